# core/loaded.pxi — the session of a request: read when first looked at
#   Prefix: loaded
#   Owns:  what it holds; the pooled one; emptying it; the last look at one that has ended
#   Uses:  vault, ident, session, callbacks, objects, policy, packing, record
#   Never: the table, but for reading
#   Holds: it is read once; what a request that is over has kept of it can be read on

cdef SessionState loaded_spare         # the pooled one


cdef SessionState loaded_make():
    """The pooled one, or a new one."""
    global loaded_spare
    cdef SessionState session = loaded_spare
    loaded_spare = None
    if session is None:
        session = policy_class.__new__(policy_class)
    return session


cdef void loaded_release(RequestState req) noexcept:
    """The request is over. A session that the application keeps can still be read."""
    global loaded_spare
    cdef SessionState session = req._session
    req._session = None
    if Py_REFCNT(session) > 1:
        loaded_see(session)            # the application keeps it: it may outlive the table
    session.request = NULL
    if Py_REFCNT(session) == 1 and loaded_spare is None and type(session) is policy_class:
        loaded_reset(session)
        loaded_spare = session


cdef void loaded_see(SessionState s) noexcept:
    """Reads all there is, as long as there is a table to read."""
    try:
        loaded_read(s)
        s.shown_id = ""
        if s.live and not s.followed:
            s.shown_id = ident_text(policy_vault, s.key, s.slot).decode("ascii")
        if policy_defaults is None:
            loaded_values(s)
    except BaseException as problem:
        callback_keep(problem)
        s.held = {}


cdef void loaded_reset(SessionState s) noexcept:
    s.live = s.local = s.fresh = s.loaded = s.rekeyed = s.altered = s.cookie_due = False
    s.entering = s.followed = False
    s.ended = s.keep = s.cleared = s.nested = s.record_changed = False
    s.held = None
    s.base = s.label = s.shown_id = None
    s.changed_key = s.changed = None
    memset(s.changed_fields, 0, sizeof(s.changed_fields))


cdef int loaded_read(SessionState s) except -1:
    """Reads what the table has; nothing is there when it has gone meanwhile."""
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef uint32_t version = 0
    if s.loaded:
        return 0
    s.loaded = True
    if s.live and policy_vault != NULL:
        version = session_read(policy_vault, s.slot, s.key, &s.meta, policy_scratch, name)
    if version == 0:
        s.live = False
        memset(&s.meta, 0, sizeof(s.meta))
    s.version = version
    s.seen_uid = s.meta.uid
    s.began_s = policy_vault.heads[s.slot].started_s if version else 0
    s.seen_s = policy_vault.heads[s.slot].active_s if version else 0
    s.keep = version & VAULT_KEPT != 0
    s.label = name[:s.meta.name_size]
    if policy_defaults is not None:
        record_load(s, policy_scratch, s.meta.data_size)
    else:
        s.base = policy_scratch[:s.meta.data_size]
    return 0


cdef inline dict loaded_values(SessionState s):
    """What it holds, decoded when it is first looked at."""
    if s.held is not None:
        return s.held
    if policy_defaults is not None or s.record is not None:
        raise TypeError(f"{type(s).__name__} has declared fields: they are attributes, not items")
    loaded_read(s)
    s.held = packing_decode(s.base)
    s.bound = PyBytes_GET_SIZE(s.base) + 4
    return s.held


cdef int loaded_check_writable(SessionState s) except -1:
    if s.request == NULL:
        raise RuntimeError("this session is read-only: its request is over")
    if (<RequestState>s.request).streaming:
        raise RuntimeError("the head of this answer has been sent: a session is changed before "
                           "the first piece is yielded")
    return 0


cdef int loaded_blank(SessionState s) except -1:
    """As a visitor's without a session."""
    s.live = s.local = s.fresh = s.rekeyed = s.altered = s.cookie_due = s.keep = False
    s.entering = False
    s.began_s = s.seen_s = 0
    memset(&s.meta, 0, sizeof(s.meta))
    s.meta.level = 0
    s.label = b""
    s.loaded = True
    return loaded_forget(s)


cdef int loaded_forget(SessionState s) except -1:
    """No data."""
    s.held = None if policy_defaults is not None else {}
    s.base = b""
    s.changed_key = s.changed = None
    s.bound = 4
    s.cleared = s.nested = False
    if policy_defaults is not None:
        record_load(s, NULL, 0)
    return 0


cdef int loaded_rekey(SessionState s) except -1:
    """It gets another id when the request is settled: this one."""
    ident_draw(s.new_key, VAULT_ID_SIZE)
    s.rekeyed = True
    return 0


cdef inline const uint8_t* loaded_key(SessionState s) noexcept:
    """The id that it has, or is about to have."""
    if s.rekeyed:
        return &s.new_key[0]
    return &s.key[0]


cdef SessionState loaded_last(uint32_t slot, const uint8_t* id):
    """A copy of a session that ends, for those who want to see it once more."""
    cdef SessionState last = policy_class.__new__(policy_class)
    last.live = True
    last.slot = slot
    memcpy(last.key, id, VAULT_ID_SIZE)
    loaded_see(last)
    return last


cdef int loaded_clear(SessionState s) except -1:
    loaded_check_writable(s)
    loaded_read(s)
    loaded_forget(s)
    if policy_defaults is not None:
        record_mark_all(s)
    s.cleared = True
    return 0
