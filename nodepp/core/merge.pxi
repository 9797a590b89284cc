# core/merge.pxi — another request has changed the session meanwhile
#   Prefix: merge
#   Owns:  what is to be written then; following a session to another id
#   Uses:  vault, session, objects, policy, store, packing, record
#   Never: writing
#   Holds: of two who change a session at once neither loses a key; of one key the later counts

cdef enum:
    MERGE_TRY_MAX = 10000              # others who were quicker; each of them has got on


cdef bint merge_follow(SessionState s) except -1:
    """Another request has given the session a new id, whose cookie is on its way: this one goes on
    with it, and need not renew it again. Not if who is logged in is another by now."""
    if not session_follow(policy_vault, s.slot, s.meta.serial, s.seen_uid, False, s.key):
        return False
    s.cookie_due = s.rekeyed = s.entering
    s.followed = True
    return True


cdef void merge_take_meta(SessionState s, const session_copy_t* meta, const uint8_t* name,
                          uint32_t version) noexcept:
    """Who it is, as the table has it now, but for what this request makes of that."""
    cdef uint8_t csrf[VAULT_CSRF_SIZE]
    s.version = version
    if s.entering:
        return
    memcpy(csrf, s.meta.csrf, VAULT_CSRF_SIZE)
    s.meta = meta[0]
    if s.altered:
        memcpy(s.meta.csrf, csrf, VAULT_CSRF_SIZE)
    s.label = PyBytes_FromStringAndSize(<const char*>name, meta.name_size)
    s.keep = version & VAULT_KEPT != 0


cdef int merge_say(SessionState s, session_change_t* change, const uint8_t* id,
                   bytes data) except -1:
    change.id = id
    change.uid = s.meta.uid
    change.login_s = s.meta.login_s
    change.level = s.meta.level
    change.kept = s.keep
    change.login = s.entering
    change.csrf = s.meta.csrf
    change.data = <const uint8_t*>PyBytes_AS_STRING(data)
    change.data_size = <uint32_t>PyBytes_GET_SIZE(data)
    change.name = <const uint8_t*>PyBytes_AS_STRING(s.label)
    change.name_size = <uint32_t>PyBytes_GET_SIZE(s.label)
    if change.data_size + change.name_size > policy_vault.data_size:
        raise SessionFull(f"{change.data_size} bytes of data and a name of {change.name_size}: "
                          f"{policy_vault.data_size} are possible (sessionDataSize)")
    return 0


cdef bytes merge_session(SessionState s):
    """What is to be written now that another has written: his, with the keys that this request has
    changed, and its meta if it has changed that. None: the session has gone."""
    cdef session_copy_t meta
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef uint32_t version = session_read(policy_vault, s.slot, s.key, &meta, policy_scratch, name)
    cdef bytes base
    cdef dict latest
    if version == 0:
        return None
    merge_take_meta(s, &meta, name, version)
    if policy_defaults is not None:
        record_merge(s, policy_scratch, meta.data_size)
        return bytes(s.record)
    base = policy_scratch[:meta.data_size]
    if s.held is None:
        s.base = base
        return base
    latest = {} if s.cleared else packing_decode(base)
    for key in merge_changed(s):
        if key in s.held:
            latest[key] = s.held[key]
        else:
            latest.pop(key, None)
    s.held = latest
    s.base = base
    return packing_encode(latest)


cdef set merge_changed(SessionState s):
    """The keys that this request has set, deleted, or changed the inside of."""
    cdef dict before
    changed = s.changed
    if changed is None:
        changed = set() if s.changed_key is None else {s.changed_key}
    if s.nested:
        before = packing_decode(s.base)
        for key, value in s.held.items():
            if isinstance(value, (dict, list)) and (key not in before or before[key] != value):
                changed.add(key)
    if changed:
        s.changed = changed
        s.changed_key = next(iter(changed))
    return changed
