# core/alter.pxi — what a handler writes into a session
#   Prefix: alter
#   Owns:  setting and deleting keys and fields, and whether they fit
#   Uses:  limits, objects, store, packing, record, loaded, entry
#   Never: the table: it is written when the request is settled
#   Holds: what does not fit, or cannot be held, changes nothing


cdef int alter_set(SessionState s, key, value) except -1:
    """Sets a key, if it fits: what is surely small is not measured."""
    cdef size_t bound
    if not isinstance(key, str):
        raise TypeError(f"a key of a session is a str, not {type(key).__name__}")
    loaded_values(s)                   # refuses declared classes
    entry_need(s)
    bound = packing_bound(key, value)
    if unlikely_(bound == 0 or s.bound + bound > packing_room(s)):
        alter_measured(s, key, value)
    else:
        loaded_values(s)[key] = value
        s.bound += bound
    return alter_note(s, key)


cdef int alter_measured(SessionState s, str key, value) except -1:
    """Encodes all to know whether it fits; what was there stays if not."""
    cdef dict values = loaded_values(s)
    cdef bytes data
    cdef size_t size
    try:
        data = packing_encode({**values, key: value})
    except TypeError as problem:
        raise TypeError(f"session[{key!r}]: {problem}") from None
    size = PyBytes_GET_SIZE(data)
    if size > packing_room(s):
        raise SessionFull(f"with {key!r} the session would hold {size} bytes, {packing_room(s)} "
                          "are possible (sessionDataSize)")
    values[key] = value
    s.bound = len(data)
    return 0


cdef int alter_note(SessionState s, key) except -1:
    """Most requests change one key: a set is made for the second one."""
    if s.changed_key is None:
        s.changed_key = key
    elif s.changed is None:
        if s.changed_key is not key:
            s.changed = {s.changed_key, key}
    else:
        s.changed.add(key)
    return 0


cdef int alter_set_field(FieldState field, SessionState s, value) except -1:
    entry_need(s)
    record_put(field, s, value)
    s.changed_fields[field.index >> 6] |= <uint64_t>1 << (field.index & 63)
    s.record_changed = True
    return 0
