# core/leave.pxi — what a request has changed of a session that is another's by now
#   Prefix: leave
#   Owns:  putting changed keys beside what the one has who has logged in meanwhile
#   Uses:  vault, session, objects, policy, store, packing, record, loaded, merge
#   Never: showing anything of his to the request: who had the old id need not be him
#   Holds: afterwards the request has no session


cdef int leave_behind(SessionState s) except -1:
    """It was anonymous, and while this request was under way another one has logged in: nothing
    that was put into the basket is lost. If it does not fit, or there is no such session, it is."""
    cdef session_copy_t meta
    cdef session_change_t change
    cdef uint8_t id[VAULT_ID_SIZE]
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef uint32_t version
    cdef int i
    try:
        for i in range(MERGE_TRY_MAX):
            if s.seen_uid or not session_follow(policy_vault, s.slot, s.meta.serial, 0, True, id):
                break
            version = session_read(policy_vault, s.slot, id, &meta, policy_scratch, name)
            if version == 0:
                continue
            data = leave_merged(s, policy_scratch, meta.data_size)
            if data is None or len(data) + meta.name_size > policy_vault.data_size:
                break
            store_say(&change, &meta, id, NULL, name)
            change.kept = version & VAULT_KEPT != 0
            change.data = <const uint8_t*>PyBytes_AS_STRING(data)
            change.data_size = <uint32_t>len(data)
            if session_change(policy_vault, s.slot, id, &version, &change,
                              vault_now_s(policy_vault)) == SESSION_DONE:
                break
    finally:
        loaded_blank(s)
    return 0


cdef bytes leave_merged(SessionState s, const uint8_t* data, uint32_t size):
    """His data with the keys that this request has set or deleted; None: it has changed none."""
    cdef dict his
    if s.record is not None:
        return record_merged(s, data, size) if s.record_changed else None
    if s.held is None:
        return None
    changed = merge_changed(s)
    if not changed:
        return None
    his = packing_decode(data[:size])
    for key in changed:
        if key in s.held:
            his[key] = s.held[key]
        else:
            his.pop(key, None)
    return packing_encode(his)
