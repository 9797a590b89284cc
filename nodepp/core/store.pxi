# core/store.pxi — a table of sessions as Python holds it
#   Owns:  class SessionTable; SessionFull, SessionsExhausted
#   Uses:  clock, lock, vault, ident, session, mend, expiry, connection, audit, parting
#   Never: requests
#   Holds: the memory goes when the last process that has the table closes it

cdef enum:
    STORE_TRY_MAX = 8                  # ids drawn for one session; one is taken once in 2^64 draws


class SessionFull(ValueError):
    """The data do not fit into the session; what was there stays."""


class SessionsExhausted(RuntimeError):
    """The table of sessions is full: the answer is 503. It has been counted and logged."""
    status = 503


@cython.final
@cython.no_gc
cdef class SessionTable:
    """Sessions in memory that this process and those it forks share.

    capacity: sessions, 1 to 1,000,000. data_size: bytes of data of each, 16 to 1 MiB. key: 32 bytes
    that mark ids as ours, b"" for random ones. fd, offset: a file with region_size() bytes from
    there on, all zero or a table of the same sizes; without it the memory is nobody else's. check:
    compares all checksums now, and not only when a session is read. Sessions that are damaged are
    dropped. What is over counts as gone. Ids are 24 bytes; times are seconds since 1970.
    ValueError, MemoryError, OSError.
    """
    cdef vault_t vault
    cdef bint opened                   # once is enough: others may hold what it was

    def __init__(self, int64_t capacity, int64_t data_size=1024, *, key=b"", int fd=-1,
                 int64_t offset=0, bint key_is_new=True, bint check=False):
        store_check_sizes(capacity, data_size)
        if self.opened:
            raise RuntimeError("a SessionTable is opened once")
        key = bytes(key)
        if len(key) not in (0, VAULT_KEY_SIZE) or offset % getpagesize():
            raise ValueError("a key has 32 bytes, and the table in a file begins with a page")
        if fd >= 0:
            from os import fstat
            if fstat(fd).st_size < offset + <int64_t>vault_region_size(capacity, data_size):
                raise ValueError("the file is too short for the table")
        self.opened = True
        vault_open(&self.vault, <uint32_t>capacity, <uint32_t>data_size, fd, offset)
        if key:
            memcpy(self.vault.secret, <const char*>key, VAULT_KEY_SIZE)
        else:
            ident_draw(self.vault.secret, VAULT_KEY_SIZE)
        ident_open(&self.vault)
        self.vault.secret_is_new = key_is_new or not key
        if fd >= 0:
            store_recover(self, check)

    def __dealloc__(self):
        vault_close(&self.vault)

    @staticmethod
    def region_size(capacity: int, data_size: int) -> int:
        """Bytes that a file must have for such a table, beside what comes before it."""
        store_check_sizes(capacity, data_size)
        return vault_region_size(capacity, data_size)

    @property
    def capacity(self) -> int:
        """Sessions that there is room for."""
        return self.vault.capacity

    @property
    def data_size(self) -> int:
        """Bytes of data of each session, its name included."""
        return self.vault.data_size

    @property
    def damaged(self) -> int:
        """Sessions that were lost since the table was opened, in all processes: what they held was
        overwritten, or their file has gone."""
        return store_open(self).shared.counts.damaged

    @property
    def duplicates(self) -> int:
        """Sessions that this process has dropped because their id was there twice."""
        return self.vault.duplicate_count

    @property
    def file_left(self) -> bool:
        """True when the file was damaged while in use: sessions lie in memory since then."""
        return self.vault.moved or self.vault.faulted

    def leave_file(self) -> None:
        """The file is not what it was: all sessions are lost, and new ones lie in memory, for all
        processes. Nothing happens to a table without a file."""
        store_open(self).faulted = 1
        session_lock(&self.vault)
        lock_give(&self.vault.shared.lock)

    def set_timeouts(self, uint32_t idle_s, uint32_t login_s, uint32_t keep_s,
                     uint32_t lifetime_s) -> None:
        """How long sessions live: unused, unused with a login, with one that is kept; and whatever
        they do."""
        session_set_timeouts(store_open(self), idle_s, login_s, keep_s, lifetime_s)

    @property
    def bytes_per_session(self) -> int:
        """Memory reserved for one, with its share of the index, rounded up."""
        cdef size_t constant = sizeof(vault_shared_t)
        store_open(self)
        return (self.vault.region_size + self.vault.index_size - constant
                + self.vault.capacity - 1) // self.vault.capacity

    def __len__(self):
        """Sessions in use."""
        return store_count(store_open(self))

    def start(self, uint32_t agent=0) -> bytes:
        """A new session, empty; its id. SessionsExhausted."""
        cdef uint8_t id[VAULT_ID_SIZE]
        cdef uint32_t slot
        while not store_start(self, agent, id, &slot):
            if not parting_take_over(&self.vault):
                store_count_refused(&self.vault)
                raise store_full(&self.vault)
        return id[:VAULT_ID_SIZE]

    def find(self, id: bytes) -> int:
        """The slot of a session, -1 if there is none with this id."""
        return store_find(store_open(self), store_id(id))

    def read(self, id: bytes) -> object:
        """(version, data) of a session, None if there is none."""
        cdef vault_t* v = store_open(self)
        cdef session_copy_t copy
        cdef int64_t slot = store_find(v, store_id(id))
        data = PyBytes_FromStringAndSize(NULL, v.data_size)
        if slot < 0:
            return None
        version = session_read(v, <uint32_t>slot, store_id(id), &copy,
                               <uint8_t*>PyBytes_AS_STRING(data), NULL)
        return (version, data[:copy.data_size]) if version else None

    def write(self, id: bytes, data: bytes, int64_t version=-1) -> int:
        """Puts data in place of those that are there; the new version. 0: there is no such session,
        or its version is not the one given (-1: any). SessionFull."""
        return store_write(store_open(self), store_id(id), store_id(id), data, version)

    def renew(self, id: bytes) -> bytes:
        """Gives a session another id, which is returned. LookupError: there is none."""
        cdef uint8_t new[VAULT_ID_SIZE]
        ident_draw(new, VAULT_ID_SIZE)
        if not store_write(store_open(self), store_id(id), new, None, -1):
            raise LookupError("there is no such session")
        return new[:VAULT_ID_SIZE]

    def remove(self, id: bytes) -> bool:
        """Ends a session; False: there was none."""
        cdef vault_t* v = store_open(self)
        cdef int64_t slot = store_find(v, store_id(id))
        return slot >= 0 and session_remove(v, <uint32_t>slot, store_id(id),
                                            &v.shared.counts.ended)

    def ids(self) -> list:
        """The ids of all sessions."""
        return [record[0] for record in self.records()]

    def records(self):
        """All sessions, one after the other: (id, started, active, agent, flags, uid, level,
        login_s, name, csrf, data); flags: 1 the login is kept. What begins or ends meanwhile may
        be missing."""
        cdef uint32_t slot
        for slot in range(session_highest(store_open(self))):
            record = store_record(store_open(self), slot)
            if record is not None:
                yield record

    def restore(self, record: tuple) -> bool:
        """Puts such a record in; False: the table is full, or has that id. SessionFull."""
        cdef int outcome = store_restore(store_open(self), record)
        while outcome == SESSION_NO_ROOM and parting_take_over(&self.vault):
            outcome = store_restore(&self.vault, record)
        return outcome == SESSION_DONE

    def check(self) -> list:
        """What is not as it must be, in words; [] of a sound table."""
        store_open(self)
        session_lock(&self.vault)
        try:
            return audit_table(&self.vault)
        finally:
            lock_give(&self.vault.shared.lock)

    def cookie(self, id: bytes) -> str:
        """The id as a cookie carries it, 40 characters."""
        cdef vault_t* v = store_open(self)
        cdef int64_t slot = store_find(v, store_id(id))
        return ident_text(v, store_id(id), <uint32_t>max(slot, 0)).decode("ascii")

    def is_ours(self, str cookie) -> bool:
        """Was this cookie made with our key, whether or not its session lives?"""
        text = cookie.encode("utf-8", "replace")
        return ident_is_ours(store_open(self), <const uint8_t*>PyBytes_AS_STRING(text), len(text))

    def stats(self) -> dict:
        """How full the table is, and what has happened since it was opened, in all processes."""
        return store_stats(self)

    def close(self) -> None:
        """Gives the memory of this process back. RuntimeError: an engine uses the table."""
        if vault_in_use == &self.vault:
            raise RuntimeError("an engine uses the table: close that first")
        vault_close(&self.vault)


cdef vault_t* store_open(SessionTable table) except NULL:
    if table.vault.index == NULL:
        raise RuntimeError("this SessionTable is closed")
    clock_update()                     # nobody else may be turning
    return &table.vault


cdef int store_check_sizes(int64_t capacity, int64_t data_size) except -1:
    if not 1 <= capacity <= VAULT_COUNT_MAX:
        raise ValueError(f"{capacity} sessions: 1 to {VAULT_COUNT_MAX} are possible")
    if not 16 <= data_size <= VAULT_DATA_SIZE_MAX:
        raise ValueError(f"{data_size} bytes of data: 16 to {VAULT_DATA_SIZE_MAX} are possible")
    return 0


cdef const uint8_t* store_id(id) except NULL:
    if not PyBytes_CheckExact(id) or PyBytes_GET_SIZE(id) != VAULT_ID_SIZE:
        raise ValueError(f"{id!r} is no id: 24 bytes")
    return <const uint8_t*>PyBytes_AS_STRING(id)


cdef int store_recover(SessionTable table, bint check) except -1:
    """Takes over what the file holds: the index is made anew."""
    cdef vault_t* v = &table.vault
    cdef session_t* s
    cdef uint32_t now_s = vault_now_s(v)
    cdef uint32_t slot
    session_lock(v)
    for slot in range(v.capacity):
        s = &v.heads[slot]
        if s.version & VAULT_LIVE and max(s.active_s, s.started_s) > now_s:
            # A clock that was ahead must not keep them for ever.
            s.active_s = min(s.active_s, now_s)
            s.started_s = min(s.started_s, now_s)
    mend_table(v, v.capacity, check)
    v.shared.high_water = v.shared.used_count
    lock_give(&v.shared.lock)
    return 0


cdef bint store_start(SessionTable table, uint32_t agent, uint8_t* id, uint32_t* slot) except -1:
    """A new, empty session in a free slot; False: there is none."""
    cdef vault_t* v = store_open(table)
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


cdef dict store_stats(SessionTable table):
    cdef vault_shared_t* shared = store_open(table).shared
    cdef vault_counts_t* counts = &shared.counts
    return {"sessions": store_count(&table.vault), "sessions_high_water": shared.high_water,
            "session_slots": table.vault.capacity, "sessions_started": counts.started,
            "sessions_expired": counts.expired, "sessions_evicted": counts.evicted,
            "sessions_refused": counts.refused, "sessions_ended": counts.ended,
            "logins": counts.logins, "session_ids_forged": counts.forged,
            "addresses_blocked": counts.addresses_blocked,
            "requests_blocked": counts.requests_blocked,
            "session_size": table.bytes_per_session, "session_data_size": table.vault.data_size,
            "lock_recoveries": counts.recoveries, "sessions_damaged": counts.damaged,
            "session_index_repairs": counts.repairs}
