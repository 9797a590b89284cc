# core/roster.pxi — a table of sessions as Python holds it
#   Prefix: roster
#   Owns:  class SessionTable; the one that the engine uses
#   Uses:  clock, lock, vault, ident, session, mend, connection, audit, policy, store, visit,
#          parting
#   Never: requests
#   Holds: the memory goes when the last process that has the table closes it

cdef SessionTable roster_served        # the engine's; None: it has no sessions


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
        roster_check_sizes(capacity, data_size)
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
            roster_recover(self, check)

    def __dealloc__(self):
        vault_close(&self.vault)

    @staticmethod
    def region_size(capacity: int, data_size: int) -> int:
        """Bytes that a file must have for such a table, beside what comes before it."""
        roster_check_sizes(capacity, data_size)
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
        return roster_open(self).shared.counts.damaged

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
        roster_open(self).faulted = 1
        session_lock(&self.vault)
        lock_give(&self.vault.shared.lock)

    def set_timeouts(self, uint32_t idle_s, uint32_t login_s, uint32_t keep_s,
                     uint32_t lifetime_s) -> None:
        """How long sessions live: unused, unused with a login, with one that is kept; and whatever
        they do."""
        session_set_timeouts(roster_open(self), idle_s, login_s, keep_s, lifetime_s)

    @property
    def bytes_per_session(self) -> int:
        """Memory reserved for one, with its share of the index, rounded up."""
        cdef size_t constant = sizeof(vault_shared_t)
        roster_open(self)
        return (self.vault.region_size + self.vault.index_size - constant
                + self.vault.capacity - 1) // self.vault.capacity

    def __len__(self):
        """Sessions in use."""
        return store_count(roster_open(self))

    def start(self, uint32_t agent=0) -> bytes:
        """A new session, empty; its id. SessionsExhausted."""
        cdef uint8_t id[VAULT_ID_SIZE]
        cdef uint32_t slot
        while not store_start(roster_open(self), agent, id, &slot):
            if not parting_take_over(&self.vault):
                store_count_refused(&self.vault)
                raise store_full(&self.vault)
        return id[:VAULT_ID_SIZE]

    def find(self, id: bytes) -> int:
        """The slot of a session, -1 if there is none with this id."""
        return store_find(roster_open(self), store_id(id))

    def read(self, id: bytes) -> object:
        """(version, data) of a session, None if there is none."""
        cdef vault_t* v = roster_open(self)
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
        return store_write(roster_open(self), store_id(id), store_id(id), data, version)

    def renew(self, id: bytes) -> bytes:
        """Gives a session another id, which is returned. LookupError: there is none."""
        cdef uint8_t new[VAULT_ID_SIZE]
        ident_draw(new, VAULT_ID_SIZE)
        if not store_write(roster_open(self), store_id(id), new, None, -1):
            raise LookupError("there is no such session")
        return new[:VAULT_ID_SIZE]

    def remove(self, id: bytes) -> bool:
        """Ends a session; False: there was none."""
        cdef vault_t* v = roster_open(self)
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
        for slot in range(session_highest(roster_open(self))):
            record = store_record(roster_open(self), slot)
            if record is not None:
                yield record

    def restore(self, record: tuple) -> bool:
        """Puts such a record in; False: the table is full, or has that id. SessionFull."""
        cdef int outcome = store_restore(roster_open(self), record)
        while outcome == SESSION_NO_ROOM and parting_take_over(&self.vault):
            outcome = store_restore(&self.vault, record)
        return outcome == SESSION_DONE

    def check(self) -> list:
        """What is not as it must be, in words; [] of a sound table."""
        roster_open(self)
        session_lock(&self.vault)
        try:
            return audit_table(&self.vault)
        finally:
            lock_give(&self.vault.shared.lock)

    def cookie(self, id: bytes) -> str:
        """The id as a cookie carries it, 40 characters."""
        cdef vault_t* v = roster_open(self)
        cdef int64_t slot = store_find(v, store_id(id))
        return ident_text(v, store_id(id), <uint32_t>max(slot, 0)).decode("ascii")

    def is_ours(self, str cookie) -> bool:
        """Was this cookie made with our key, whether or not its session lives?"""
        text = cookie.encode("utf-8", "replace")
        return ident_is_ours(roster_open(self), <const uint8_t*>PyBytes_AS_STRING(text), len(text))

    def stats(self) -> dict:
        """How full the table is, and what has happened since it was opened, in all processes."""
        return roster_stats(self)

    def close(self) -> None:
        """Gives the memory of this process back. RuntimeError: an engine uses the table."""
        if vault_in_use == &self.vault:
            raise RuntimeError("an engine uses the table: close that first")
        vault_close(&self.vault)


cdef int roster_serve(SessionTable table, dict settings, host) except -1:
    """The engine uses this table from now on."""
    global roster_served
    visit_open()
    parting_open()
    roster_served = table
    policy_open(NULL if table is None else roster_open(table), settings, host)
    return 0


cdef void roster_close() noexcept:
    global roster_served
    roster_served = None
    policy_close()


cdef vault_t* roster_open(SessionTable table) except NULL:
    if table.vault.index == NULL:
        raise RuntimeError("this SessionTable is closed")
    clock_update()                     # nobody else may be turning
    return &table.vault


cdef int roster_check_sizes(int64_t capacity, int64_t data_size) except -1:
    if not 1 <= capacity <= VAULT_COUNT_MAX:
        raise ValueError(f"{capacity} sessions: 1 to {VAULT_COUNT_MAX} are possible")
    if not 16 <= data_size <= VAULT_DATA_SIZE_MAX:
        raise ValueError(f"{data_size} bytes of data: 16 to {VAULT_DATA_SIZE_MAX} are possible")
    return 0


cdef int roster_recover(SessionTable table, bint check) except -1:
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


cdef dict roster_stats(SessionTable table):
    cdef vault_shared_t* shared = roster_open(table).shared
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
