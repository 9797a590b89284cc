# core/entry.pxi — a session begins and ends
#   Prefix: entry
#   Owns:  beginning one, logging in and out
#   Uses:  clock, vault, ident, session, callbacks, objects, policy, store, loaded, visit, parting
#   Never: writing a login into the table; that is done when the request is settled
#   Holds: who begins a session, or ends it, does so at once and tells those who want to know

cdef enum:
    ENTRY_TRY_MAX = 4                  # times that room is made for one session


cdef int entry_begin(SessionState s, bint for_login) except -1:
    """A new session; for bots, unless it is a login, one that ends with the request."""
    cdef RequestState req = <RequestState>s.request
    loaded_blank(s)
    if not for_login and not policy.for_bots and req.is_bot:
        ident_draw(s.meta.csrf, VAULT_CSRF_SIZE)
        s.local = True
        callback_log(4, "no session is kept for a bot (sessionsForBots=0)")
        return 0
    # The form to log in with begins a session for its token: that visitor is about to log in.
    entry_take(s, req, for_login or req.path.encode() == policy_login_path)
    s.live = s.fresh = s.cookie_due = True
    s.loaded = False
    loaded_read(s)
    if not s.live:                     # of a full table another login has taken it already
        parting_note_full()
        raise store_full(policy_vault)
    visit_meet(req.connection, s.slot)
    if policy.hears_start and not parting_tell("start", req):
        parting_end(s.slot, s.key, &policy_vault.shared.counts.ended)
        loaded_blank(s)
        raise RuntimeError("on_session_start has refused the session")
    return 0


cdef int entry_take(SessionState s, RequestState req, bint may_evict) except -1:
    """A slot and an id. SessionsExhausted: all others are in use."""
    cdef int i
    clock_update()                     # the handler may have taken its time
    for i in range(ENTRY_TRY_MAX):     # what was made room for may be another's already
        if store_start(policy_vault, visit_agent(req.r), s.key, &s.slot):
            return 0
        if not parting_make_room(may_evict):
            break
    parting_note_full()
    raise store_full(policy_vault)


cdef int entry_login(SessionState s, uid, level, name, bint keep) except -1:
    cdef int64_t who
    cdef bytes label
    if not isinstance(uid, int) or isinstance(uid, bool):
        raise TypeError(f"uid is an int, not {type(uid).__name__}: keep other names in the session")
    if uid == 0 or not -(1 << 63) <= uid < 1 << 63:
        raise ValueError("uid is not 0 and has 64 bits")
    if not isinstance(level, int):
        raise TypeError(f"level is an int, not {type(level).__name__}")
    if not 2 <= level <= 124:
        raise ValueError(f"level is 2 to 124, not {level!r}")
    who = uid
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name is a str, not {type(name).__name__}")
    label = entry_cut(name or "")
    loaded_check_writable(s)
    loaded_read(s)
    if not s.live:
        entry_begin(s, True)
    if len(label) > policy_vault.data_size:
        raise SessionFull("there is no room for the name")
    if s.meta.uid and s.meta.uid != who:
        if policy.hears_logout:
            parting_tell("logout", loaded_last(s.slot, s.key))
        loaded_clear(s)
    if not s.live:
        raise RuntimeError("a hook has ended the session that is being logged in")
    s.meta.uid = who
    s.meta.level = <uint8_t>level
    s.meta.login_s = vault_now_s(policy_vault)
    s.label = label
    s.keep = keep
    ident_draw(s.meta.csrf, VAULT_CSRF_SIZE)
    loaded_rekey(s)
    s.entering = s.cookie_due = True
    if policy.hears_login:
        parting_tell("login", <RequestState>s.request)
    return 0


cdef int entry_anew(SessionState s) except -1:
    """The session that somebody logs in to has been ended, or is another's by now: he gets one of
    his own, with what this request knows."""
    entry_take(s, <RequestState>s.request, False)
    s.version = session_version(policy_vault, s.slot, s.key)
    memcpy(&s.meta.serial, s.key + 8, 4)
    s.fresh = True
    s.followed = False
    visit_meet((<RequestState>s.request).connection, s.slot)
    s.cookie_due = True
    return loaded_rekey(s)


cdef bytes entry_cut(str name):
    """Its first 60 bytes, whole characters."""
    label = name.encode("utf-8", "replace")
    if len(label) > SESSION_NAME_SIZE_MAX:
        label = label[:SESSION_NAME_SIZE_MAX].decode("utf-8", "ignore").encode()
    return label


cdef int entry_logout(SessionState s) except -1:
    loaded_check_writable(s)
    loaded_read(s)
    if s.live:
        parting_end(s.slot, s.key, &policy_vault.shared.counts.ended)
    loaded_blank(s)
    s.ended = True
    return 0


cdef int entry_need(SessionState s) except -1:
    """It is to be changed: begins one if there is none."""
    loaded_check_writable(s)
    loaded_read(s)
    if not s.live and not s.local:
        entry_begin(s, False)
        if not s.live and not s.local:
            raise RuntimeError("on_session_start has ended the session that it was told of")
    return 0
