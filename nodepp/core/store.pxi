# core/store.pxi — one session of a table: begun, found, written, as Python's objects
#   Prefix: store
#   Owns:  what SessionTable and the sessions of requests do with a table; SessionFull,
#          SessionsExhausted
#   Uses:  lock, vault, ident, session, expiry
#   Never: requests
#   Holds: a session that is over is not found

cdef enum:
    STORE_TRY_MAX = 8                  # ids drawn for one session; one is taken once in 2^64 draws


class SessionFull(ValueError):
    """The data do not fit into the session; what was there stays."""


class SessionsExhausted(RuntimeError):
    """The table of sessions is full: the answer is 503. It has been counted and logged."""
    status = 503


cdef const uint8_t* store_id(id) except NULL:
    if not PyBytes_CheckExact(id) or PyBytes_GET_SIZE(id) != VAULT_ID_SIZE:
        raise ValueError(f"{id!r} is no id: 24 bytes")
    return <const uint8_t*>PyBytes_AS_STRING(id)


cdef bint store_start(vault_t* v, uint32_t agent, uint8_t* id, uint32_t* slot) except -1:
    """A new, empty session in a free slot; False: there is none."""
    cdef session_change_t change
    cdef uint8_t csrf[VAULT_CSRF_SIZE]
    cdef uint32_t now_s = vault_now_s(v)
    cdef int outcome
    cdef int i
    memset(&change, 0, sizeof(change))
    change.level = 1
    change.csrf = csrf
    change.id = id
    ident_draw(csrf, VAULT_CSRF_SIZE)
    for i in range(STORE_TRY_MAX):
        ident_draw(id, VAULT_ID_SIZE)
        outcome = session_start(v, &change, agent, now_s, now_s, slot)
        if outcome != SESSION_AGAIN:
            return outcome == SESSION_DONE
    return False


cdef object store_full(const vault_t* v):
    return SessionsExhausted(f"the table of {v.capacity} sessions is full")


cdef int64_t store_find(vault_t* v, const uint8_t* id) noexcept nogil:
    """The slot of a session that is not over, or -1."""
    cdef int64_t slot = session_find(v, id, False)
    cdef uint32_t version = 0
    if slot >= 0:
        version = session_version(v, <uint32_t>slot, id)
    if version == 0 or session_is_over(v, <uint32_t>slot, version, vault_now_s(v)):
        return -1
    return slot


cdef uint32_t store_count(vault_t* v) noexcept nogil:
    """Sessions that are not over."""
    cdef uint32_t over = expiry_count_over(v, vault_now_s(v))
    cdef uint32_t used = min(v.shared.used_count, v.capacity)
    return used - over if used > over else 0


cdef void store_count_refused(vault_t* v) noexcept nogil:
    session_lock(v)
    v.shared.counts.refused += 1
    lock_give(&v.shared.lock)


cdef uint32_t store_write(vault_t* v, const uint8_t* id, const uint8_t* new_id, data,
                          int64_t wanted) except? 0:
    """New data (None: the old ones) or a new id. The version, 0: gone, or moved on."""
    cdef session_copy_t copy
    cdef session_change_t change
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef uint32_t version
    cdef int outcome = SESSION_MOVED
    cdef int64_t slot = store_find(v, id)
    kept = PyBytes_FromStringAndSize(NULL, v.data_size)
    if slot < 0:
        return 0
    while outcome == SESSION_MOVED:    # ends: who was quicker has written
        version = session_read(v, <uint32_t>slot, id, &copy,
                               <uint8_t*>PyBytes_AS_STRING(kept), name)
        if version == 0 or wanted >= 0 and version != wanted:
            return 0
        store_say(&change, &copy, new_id, <const uint8_t*>PyBytes_AS_STRING(kept), name)
        change.kept = version & VAULT_KEPT != 0
        if data is not None:
            if len(data) > session_room(v, copy.name_size):
                raise SessionFull(f"{len(data)} bytes: the session holds "
                                  f"{session_room(v, copy.name_size)}")
            change.data = <const uint8_t*>PyBytes_AS_STRING(data)
            change.data_size = <uint32_t>len(data)
        outcome = session_change(v, <uint32_t>slot, id, &version, &change, vault_now_s(v))
    return version if outcome == SESSION_DONE else 0


cdef void store_say(session_change_t* change, session_copy_t* copy, const uint8_t* id,
                    const uint8_t* data, const uint8_t* name) noexcept nogil:
    """A change that changes nothing."""
    change.id = id
    change.uid = copy.uid
    change.login_s = copy.login_s
    change.level = copy.level
    change.kept = change.login = False
    change.csrf = copy.csrf
    change.data = data
    change.data_size = copy.data_size
    change.name = name
    change.name_size = copy.name_size


cdef object store_record(vault_t* v, uint32_t slot):
    cdef session_copy_t copy
    cdef session_t head = v.heads[slot]
    cdef uint8_t name[SESSION_NAME_SIZE_MAX]
    cdef uint8_t* id = head.id[head.version & 1]
    cdef uint32_t version = 0
    data = PyBytes_FromStringAndSize(NULL, v.data_size)
    if head.version & VAULT_LIVE \
            and not session_is_over(v, slot, head.version, vault_now_s(v)):
        version = session_read(v, slot, id, &copy, <uint8_t*>PyBytes_AS_STRING(data), name)
    if version == 0:
        return None
    return (id[:VAULT_ID_SIZE], head.started_s, head.active_s, head.agent,
            1 if version & VAULT_KEPT else 0, copy.uid, copy.level, copy.login_s,
            name[:copy.name_size], copy.csrf[:VAULT_CSRF_SIZE], data[:copy.data_size])


cdef int store_restore(vault_t* v, tuple record) except -1:
    cdef session_change_t change
    cdef uint32_t slot, begun_s, used_s, bound_to
    id, started_s, active_s, agent, flags, uid, level, login_s, name, csrf, data = record
    begun_s, used_s, bound_to = started_s, active_s, agent
    if not (PyBytes_CheckExact(name) and PyBytes_CheckExact(csrf) and PyBytes_CheckExact(data)):
        raise TypeError("name, csrf and data of a record are bytes")
    name = name[:SESSION_NAME_SIZE_MAX]
    if len(csrf) != VAULT_CSRF_SIZE or len(data) > session_room(v, len(name)):
        raise SessionFull(f"{len(data)} bytes of data and {len(name)} of a name do not fit")
    change.id = store_id(id)
    change.uid = uid
    change.login_s = login_s
    change.level = level
    change.kept = flags & 1
    change.login = False
    change.csrf = <const uint8_t*>PyBytes_AS_STRING(csrf)
    change.data = <const uint8_t*>PyBytes_AS_STRING(data)
    change.data_size = <uint32_t>len(data)
    change.name = <const uint8_t*>PyBytes_AS_STRING(name)
    change.name_size = <uint32_t>len(name)
    return session_start(v, &change, bound_to, begun_s, used_s, &slot)
