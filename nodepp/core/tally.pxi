# core/tally.pxi — adding to a number of a session, whoever else does
#   Owns:  read, add, and write if nobody was quicker; what is brought up to date by that
#   Uses:  vault, session, store, visit, personal, alter, entry, settle, declared
#   Never: what else the request has changed: that waits for its end
#   Holds: a sum that was given has been written


cdef object tally_add(Session s, str name, amount):
    """The sum, written at once: read, add, and write if nobody was quicker, else again."""
    cdef dict latest
    cdef bytes data
    cdef int i
    if not isinstance(amount, (int, float)):
        raise TypeError(f"add() takes a number, not {type(amount).__name__}")
    if personal_defaults is not None:
        return declared_add(s, name, amount)
    if s.local or s.cleared or name in settle_changed(s):
        # It is this request's own until it ends: the later counts anyway.
        total = tally_sum(personal_values(s), name, amount)
        alter_set(s, name, total)
        return total
    for i in range(SETTLE_TRY_MAX):
        latest = settle_unpack(s.base) if i == 0 else tally_latest(s)
        if latest is None and settle_follow(s):
            latest = tally_latest(s)
        if latest is None:
            entry_blank(s)
            raise RuntimeError("the session has been ended by another request")
        total = tally_sum(latest, name, amount)
        latest[name] = total
        data = settle_encode(latest)
        settle_check_size(s, data)
        if tally_try(s, data):
            if s.held is not None:
                s.held[name] = total
            return total
    raise RuntimeError(f"a session was changed by others {SETTLE_TRY_MAX} times in a row")


cdef object tally_sum(dict values, str name, amount):
    value = values.get(name, 0)
    if not isinstance(value, (int, float)):
        raise TypeError(f"{name!r} is no number but {type(value).__name__}")
    return value + amount


cdef dict tally_latest(Session s):
    """What the session holds in the table now; None: it has gone. Of what this request has seen
    before, the keys that it has not changed are brought up to date; a value that is the same stays
    the same object, for the handler may hold it."""
    cdef session_copy_t meta
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef dict latest, seen, before
    cdef uint32_t version = session_read(visit_vault, s.slot, s.key, &meta, visit_scratch, name)
    if version == 0:
        return None
    base = visit_scratch[:meta.data_size]
    latest = settle_unpack(base)
    if s.held is not None:
        seen = settle_unpack(base)
        before = settle_unpack(s.base)
        changed = settle_changed(s)
        for key, value in before.items():
            if seen.get(key) == value and key in s.held:
                seen[key] = s.held[key]
        for key in changed:
            if key in s.held:
                seen[key] = s.held[key]
            else:
                seen.pop(key, None)
        s.held = seen
    s.base = base
    settle_take_meta(s, &meta, name, version)
    return latest


cdef bint tally_try(Session s, bytes data) except -1:
    """Writes data alone, if nobody was quicker: who is logged in stays as the table has it."""
    cdef session_change_t change
    cdef session_copy_t meta
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef uint32_t version = s.version
    meta = s.meta
    if s.entering or s.altered:        # what is to become of it is not yet
        if session_read(visit_vault, s.slot, s.key, &meta, NULL, name) != version:
            return False
        store_say(&change, &meta, s.key, NULL, name)
        change.kept = version & VAULT_KEPT != 0
        change.data = <const uint8_t*>PyBytes_AS_STRING(data)
        change.data_size = <uint32_t>PyBytes_GET_SIZE(data)
        if change.data_size + change.name_size > visit_vault.data_size:
            raise SessionFull("there is no room beside the name")
    else:
        settle_say(s, &change, s.key, data)
    if session_change(visit_vault, s.slot, s.key, &s.version, &change,
                      vault_now_s(visit_vault)) != SESSION_DONE:
        return False
    s.base = data
    return True
