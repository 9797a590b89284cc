# core/parting.pxi — sessions that end, and whom that is told
#   Prefix: parting
#   Owns:  ending a session with its hooks; the share of a turn that looks for those that are over;
#          who gives way when the table is full
#   Uses:  limits, clock, pulse, lock, trouble, fork, tables, vault, wheel, session, mend, expiry,
#          cookie, callbacks, objects, policy, store, loaded, visit
#   Never: a session that a request is being given: it is noted, and ends when that has been done
#   Holds: who ends a session does so once, and tells after it has gone

cdef enum:
    PARTING_NS_TURN = 1000000          # nanoseconds of a turn for ending sessions, hooks included
    PARTING_TRY_MAX = 8                # sessions that other processes were quicker to end

cdef bint parting_behind                 # sessions that are over wait for the next turn


cdef void parting_open() noexcept:
    global parting_behind
    parting_behind = False


cdef int parting_end_noted() except -1:
    """Ends the sessions that the current request has shown and whose time is up."""
    global visit_over_count
    cdef visit_over_t over[2 * COOKIE_MATCH_MAX]
    cdef int count = visit_over_count
    cdef int i
    memcpy(over, visit_over, sizeof(over))
    visit_over_count = 0
    for i in range(count):
        parting_end(over[i].slot, over[i].id, &policy_vault.shared.counts.expired)
    return 0


cdef bint parting_end(uint32_t slot, const uint8_t* id, uint64_t* counter) except -1:
    """Ends a session and tells those who want to know; False: another was quicker."""
    cdef vault_t* v = policy_vault
    cdef uint32_t version = session_version(v, slot, id)
    cdef SessionState last = None
    if policy.hears_stop or (policy.hears_logout and version & VAULT_LOGGED):
        last = loaded_last(slot, id)
    if not session_remove(v, slot, id, counter):
        return False
    parting_part(slot)
    if last is not None:
        last.gives_way = counter == &v.shared.counts.evicted
        if version & VAULT_LOGGED and policy.hears_logout:
            parting_tell("logout", last)
        if policy.hears_stop:
            parting_tell("stop", last)
    return True


cdef void parting_part(uint32_t slot) noexcept nogil:
    """The connection that used it last forgets it, if it is one of this process and has not met
    another since."""
    cdef uint32_t at = policy_connection[slot]
    if tables_connection != NULL and at < tables_highest_used \
            and tables_connection[at].session_slot == <int32_t>slot:
        tables_connection[at].session_slot = -1


cdef bint parting_tell(str event, subject) except -1:
    """Calls the hooks of an event; False: one of them refuses, or has failed. They see the request
    that has caused it: that which is being answered, or none between requests."""
    pulse_step(b"a hook of sessions")
    try:
        accepted = callback_host.session_event(event, subject) is not False
        fork_check(None)
        return accepted
    except BaseException as problem:
        if not isinstance(problem, Cut):
            callback_keep(problem)
            callback_log_problem(f"on_session {event}", problem)
    return False


cdef int parting_expire() except -1:
    """This turn's share of ending sessions that are over."""
    global parting_behind
    cdef vault_t* v = policy_vault
    cdef uint8_t id[VAULT_ID_SIZE]
    cdef uint32_t share = EXPIRY_SHARE_MAX
    cdef uint32_t now_s = vault_now_s(v)
    cdef int64_t until_ns, slot
    cdef bint behind = parting_behind
    parting_behind = False
    if unlikely_(v.faulted or v.shared.moved != v.moved):
        session_lock(v)                # another process may have noticed; this one follows
        lock_give(&v.shared.lock)
    if likely_(not wheel_is_due(v, now_s)):
        return 0
    if not behind:
        mend_look(v)
    until_ns = clock_read_ns() + PARTING_NS_TURN
    while share and clock_read_ns() < until_ns:
        slot = expiry_next(v, now_s, &share, id)
        if slot == EXPIRY_NONE:
            return 0
        if slot >= 0:
            parting_end(<uint32_t>slot, id, &v.shared.counts.expired)
    parting_behind = True
    return 0


cdef bint parting_take_over(vault_t* v) except -1:
    """A full table gets room if a session is over. In a full table of 1,000,000 of which none is,
    that is known by one comparison, or when those have been looked at whose second has come."""
    cdef uint8_t id[VAULT_ID_SIZE]
    cdef uint32_t now_s = vault_now_s(v)
    cdef uint32_t share
    cdef uint32_t i
    cdef int64_t slot
    for i in range(v.capacity // EXPIRY_SHARE_MAX + PARTING_TRY_MAX):
        share = EXPIRY_SHARE_MAX
        slot = expiry_next(v, now_s, &share, id)
        if slot == EXPIRY_NONE:
            return False
        if slot < 0:
            continue
        if v != policy_vault:
            if session_remove(v, <uint32_t>slot, id, &v.shared.counts.expired):
                return True
        elif parting_end(<uint32_t>slot, id, &v.shared.counts.expired):
            return True
    return False


cdef bint parting_make_room(bint for_login) except -1:
    """The table is full: a session that is over makes room for all; the anonymous session that has
    been idle longest gives way to a login."""
    cdef vault_t* v = policy_vault
    cdef uint8_t id[VAULT_ID_SIZE]
    cdef int64_t slot
    if parting_take_over(v):
        return True
    if not for_login:
        return False
    slot = expiry_give_way(v, id)
    return slot >= 0 and parting_end(<uint32_t>slot, id, &v.shared.counts.evicted)


cdef int parting_note_full() except -1:
    store_count_refused(policy_vault)
    trouble_note(TROUBLE_SESSIONS, 0)
    return 0
