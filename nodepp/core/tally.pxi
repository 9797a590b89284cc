# core/tally.pxi — adding to a number of a session, whoever else does
#   Prefix: tally
#   Owns:  read, add, and write if nobody was quicker; what is brought up to date by that
#   Uses:  vault, session, objects, policy, store, packing, record, loaded, alter, merge
#   Never: what else the request has changed: that waits for its end
#   Holds: a sum that was given has been written


cdef object tally_add(SessionState s, str name, amount):
    """The sum, written at once: read, add, and write if nobody was quicker, else again."""
    cdef dict latest
    cdef bytes data
    cdef int i
    if not isinstance(amount, (int, float)):
        raise TypeError(f"add() takes a number, not {type(amount).__name__}")
    if policy_defaults is not None:
        return tally_add_field(s, name, amount)
    if s.local or s.cleared or name in merge_changed(s):
        # It is this request's own until it ends: the later counts anyway.
        total = tally_sum(loaded_values(s), name, amount)
        alter_set(s, name, total)
        return total
    for i in range(MERGE_TRY_MAX):
        latest = packing_decode(s.base) if i == 0 else tally_latest(s)
        if latest is None and merge_follow(s):
            latest = tally_latest(s)
        if latest is None:
            loaded_blank(s)
            raise RuntimeError("the session has been ended by another request")
        total = tally_sum(latest, name, amount)
        latest[name] = total
        data = packing_encode(latest)
        packing_check_size(s, data)
        if tally_try(s, data):
            if s.held is not None:
                s.held[name] = total
            return total
    raise RuntimeError(f"a session was changed by others {MERGE_TRY_MAX} times in a row")


cdef object tally_sum(dict values, str name, amount):
    value = values.get(name, 0)
    if not isinstance(value, (int, float)):
        raise TypeError(f"{name!r} is no number but {type(value).__name__}")
    return value + amount


cdef dict tally_latest(SessionState s):
    """What the session holds in the table now; None: it has gone. Of what this request has seen
    before, the keys that it has not changed are brought up to date; a value that is the same stays
    the same object, for the handler may hold it."""
    cdef session_copy_t meta
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef dict latest, seen, before
    cdef uint32_t version = session_read(policy_vault, s.slot, s.key, &meta, policy_scratch, name)
    if version == 0:
        return None
    base = policy_scratch[:meta.data_size]
    latest = packing_decode(base)
    if s.held is not None:
        seen = packing_decode(base)
        before = packing_decode(s.base)
        changed = merge_changed(s)
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
    merge_take_meta(s, &meta, name, version)
    return latest


cdef bint tally_try(SessionState s, bytes data) except -1:
    """Writes data alone, if nobody was quicker: who is logged in stays as the table has it."""
    cdef session_change_t change
    cdef session_copy_t meta
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef uint32_t version = s.version
    meta = s.meta
    if s.entering or s.altered:        # what is to become of it is not yet
        if session_read(policy_vault, s.slot, s.key, &meta, NULL, name) != version:
            return False
        store_say(&change, &meta, s.key, NULL, name)
        change.kept = version & VAULT_KEPT != 0
        change.data = <const uint8_t*>PyBytes_AS_STRING(data)
        change.data_size = <uint32_t>PyBytes_GET_SIZE(data)
        if change.data_size + change.name_size > policy_vault.data_size:
            raise SessionFull("there is no room beside the name")
    else:
        merge_say(s, &change, s.key, data)
    if session_change(policy_vault, s.slot, s.key, &s.version, &change,
                      vault_now_s(policy_vault)) != SESSION_DONE:
        return False
    s.base = data
    return True


cdef object tally_add_field(SessionState s, str name, amount):
    """The sum in a field that is a number, written at once."""
    cdef FieldState field = getattr(policy_class, name, None)
    cdef uint8_t data[8]
    cdef int i
    cdef bint pending
    if field is None or field.code > RECORD_FLOAT:
        raise TypeError(f"{name!r} is no declared number")
    pending = s.changed_fields[field.index >> 6] >> (field.index & 63) & 1
    if s.local or pending:
        total = record_get(field, s) + amount
        alter_set_field(field, s, total)
        return total
    for i in range(MERGE_TRY_MAX):
        loaded_read(s)
        total = record_get(field, s) + amount
        if tally_try_field(s, field, total):
            return total
        if merge_session(s) is None and not (
                merge_follow(s) and merge_session(s) is not None):
            loaded_blank(s)
            raise RuntimeError("the session has been ended by another request")
    raise RuntimeError(f"a session was changed by others {MERGE_TRY_MAX} times in a row")


cdef bint tally_try_field(SessionState s, FieldState field, total) except -1:
    """Writes the record that the table has with this one field changed; what else this request has
    changed waits for its end."""
    cdef session_copy_t meta
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef bytearray mine = s.record
    cdef uint64_t changed[OBJECTS_WORD_COUNT]
    cdef bint any_changed = s.record_changed
    if session_read(policy_vault, s.slot, s.key, &meta, policy_scratch, name) != s.version:
        return False
    memcpy(changed, s.changed_fields, sizeof(changed))
    s.record = bytearray(policy_defaults)
    record_load(s, policy_scratch, meta.data_size)
    try:
        record_put(field, s, total)
        done = tally_try(s, bytes(s.record))
    finally:
        s.record = mine
        memcpy(s.changed_fields, changed, sizeof(changed))
        s.record_changed = any_changed
    if done:
        record_put(field, s, total)
    return done
