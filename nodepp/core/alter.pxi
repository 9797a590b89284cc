# core/alter.pxi — what a handler writes into a session
#   Owns:  setting, deleting and clearing keys, and whether they fit
#   Uses:  limits, store, personal, entry, settle, declared
#   Never: the table: it is written when the request is settled
#   Holds: what does not fit, or cannot be held, changes nothing


cdef int alter_set(Session s, key, value) except -1:
    """Sets a key, if it fits: what is surely small is not measured."""
    cdef size_t bound
    if not isinstance(key, str):
        raise TypeError(f"a key of a session is a str, not {type(key).__name__}")
    personal_values(s)                 # refuses declared classes
    personal_need(s)
    bound = settle_bound(key, value)
    if unlikely_(bound == 0 or s.bound + bound > settle_room(s)):
        alter_measured(s, key, value)
    else:
        personal_values(s)[key] = value
        s.bound += bound
    return alter_note(s, key)


cdef int alter_measured(Session s, str key, value) except -1:
    """Encodes all to know whether it fits; what was there stays if not."""
    cdef dict values = personal_values(s)
    cdef bytes data
    cdef size_t size
    try:
        data = settle_encode({**values, key: value})
    except TypeError as problem:
        raise TypeError(f"session[{key!r}]: {problem}") from None
    size = PyBytes_GET_SIZE(data)
    if size > settle_room(s):
        raise SessionFull(f"with {key!r} the session would hold {size} bytes, {settle_room(s)} "
                          "are possible (sessionDataSize)")
    values[key] = value
    s.bound = len(data)
    return 0


cdef int alter_note(Session s, key) except -1:
    """Most requests change one key: a set is made for the second one."""
    if s.changed_key is None:
        s.changed_key = key
    elif s.changed is None:
        if s.changed_key is not key:
            s.changed = {s.changed_key, key}
    else:
        s.changed.add(key)
    return 0


cdef int alter_clear(Session s) except -1:
    personal_check_writable(s)
    personal_load(s)
    entry_forget(s)
    if personal_defaults is not None:
        declared_mark_all(s)
    s.cleared = True
    return 0
