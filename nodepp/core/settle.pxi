# core/settle.pxi — what a request has changed of its session takes effect
#   Prefix: settle
#   Owns:  writing back; the cookies
#   Uses:  vault, ident, session, objects, headers, reply, policy, packing, loaded, visit, parting,
#          entry, merge, leave
#   Never: Python under the lock
#   Holds: of two who change a session at once neither loses a key; of one key the later counts


cdef int settle_request(RequestState req) except -1:
    """Before the head is made: what was changed is written, cookies are said. Afterwards there is
    nothing left to do, should the answer be made a second time."""
    cdef SessionState s = req._session
    if s.live:
        settle_data(s)
        if s.entering or s.altered or s.rekeyed:
            settle_write(s, None)
        if not s.live:                 # ended by another meanwhile
            return 0
    if s.cookie_due or s.ended or s.forged:
        settle_say_cookies(req, s)
    return 0


cdef int settle_data(SessionState s) except -1:
    """Writes the data if they are others than they were."""
    cdef bytes data
    if policy_defaults is not None:
        if s.record_changed:
            settle_write(s, bytes(s.record))
        return 0
    if s.held is None or not (s.nested or s.cleared or s.changed_key is not None):
        return 0
    data = packing_encode(s.held)
    if data != s.base or s.cleared:
        packing_check_size(s, data)
        settle_write(s, data)
    s.changed_key = s.changed = None
    s.cleared = s.nested = False
    return 0


cdef int settle_write(SessionState s, bytes data) except -1:
    """Puts data (None: what was read) and meta in place. Whoever was quicker stays in it with the
    keys that this request has not changed."""
    cdef session_change_t change
    cdef uint8_t id[VAULT_ID_SIZE]
    cdef int outcome, i
    if data is None:
        data = s.base if policy_defaults is None else bytes(s.record)
    for i in range(MERGE_TRY_MAX):
        memcpy(id, loaded_key(s), VAULT_ID_SIZE)
        merge_say(s, &change, id, data)
        outcome = session_change(policy_vault, s.slot, s.key, &s.version, &change,
                                 vault_now_s(policy_vault))
        if outcome == SESSION_DONE:
            settle_done(s, id, data)
            return 0
        if outcome == SESSION_AGAIN:   # once in 2^64 draws at most
            loaded_rekey(s)
        if outcome == SESSION_GONE and merge_follow(s):
            outcome = SESSION_MOVED
        if outcome == SESSION_MOVED:
            merged = merge_session(s)
            if merged is None:
                outcome = SESSION_GONE
            else:
                data = merged
        if outcome == SESSION_GONE and not s.entering:
            leave_behind(s)
            return 0
        if outcome == SESSION_GONE:
            entry_anew(s)              # who logs in has a session then
        packing_check_size(s, data)
    raise RuntimeError(f"a session was changed by others {MERGE_TRY_MAX} times in a row")


cdef int settle_done(SessionState s, const uint8_t* id, bytes data) except -1:
    if s.rekeyed:
        memcpy(s.key, id, VAULT_ID_SIZE)
        s.cookie_due = True
    s.rekeyed = s.altered = s.entering = s.record_changed = False
    if policy_defaults is None:
        s.base = data
    memset(s.changed_fields, 0, sizeof(s.changed_fields))
    return 0


cdef int settle_discard(RequestState req) except -1:
    """The handler has failed: nothing of what it has changed takes effect."""
    cdef SessionState s = req._session
    if s.fresh and s.live:
        parting_end(s.slot, s.key, &policy_vault.shared.counts.ended)
        loaded_blank(s)
    elif not s.ended:
        s.rekeyed = s.altered = s.entering = s.cookie_due = s.local = False
        s.loaded = False
        s.held = None
        s.changed_key = s.changed = None
        s.cleared = s.nested = s.record_changed = False
        memset(s.changed_fields, 0, sizeof(s.changed_fields))
    return 0


# Cookies.


cdef int settle_say_cookies(RequestState req, SessionState s) except -1:
    """The cookie of the session, if it is new or another. Taken back are those of a logout, the
    other kind at a login, and what was never ours. One of ours that leads nowhere stays: perhaps
    the answer that brings its successor is on its way, and that would be deleted."""
    cdef int mine = -1
    cdef int which
    if s.live:
        mine = POLICY_LOGIN if s.meta.uid else POLICY_ANONYMOUS
    for which in range(2):
        if which == mine and s.cookie_due:
            text = ident_text(policy_vault, s.key, s.slot)
            settle_set_cookie(req, which, text.decode("ascii"),
                              policy_vault.keep_s if s.keep else -1)
            req.keyed = True
        elif which != mine and s.shown >> which & 1 and (
                s.ended or s.forged or mine == POLICY_LOGIN and s.cookie_due):
            settle_set_cookie(req, which, "", 0)
    s.cookie_due = s.ended = s.forged = False
    s.shown = 0
    return 0


cdef list settle_take_back(const visit_t* visit):
    """Field lines that delete what was never ours, for who is refused before there is a Request: a
    browser that keeps it would be counted again for each picture."""
    cdef int which
    if not visit.forged or visit.slot >= 0:
        return []
    return [(b"set-cookie", headers_line("Set-Cookie", settle_cookie(which, "", 0, False)))
            for which in range(2) if visit.shown >> which & 1]


cdef str settle_cookie(int which, str value, int64_t max_age_s, bint secure):
    """The value of a Set-Cookie field of ours."""
    name = policy_name[which].text[:policy_name[which].size].decode("ascii")
    return headers_cookie(name, value, None if max_age_s < 0 else max_age_s, None, "/", None,
                          secure or policy.secure, True, "Lax")


cdef int settle_set_cookie(RequestState req, int which, str value, int64_t max_age_s) except -1:
    cdef bytes mine = b"Set-Cookie: " + policy_name[which].text[:policy_name[which].size] + b"="
    if req.lines is not None:          # said before the page of an error began a session
        req.lines[:] = [entry for entry in req.lines if not entry[1].startswith(mine)]
    reply_add_line(req, "Set-Cookie", settle_cookie(which, value, max_age_s,
                                                    req.scheme == "https"))
    return 0
