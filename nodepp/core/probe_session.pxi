# core/probe_session.pxi — doors for the tests: the table of sessions, without a Python call each
#   Owns:  probe_session_…
#   Uses:  limits, clock, vault, session, guess, store
#   Never: in use while an application is served
#   Holds: what is measured is what a request does


cdef extern from "Python.h":
    object PyMemoryView_FromMemory(char* memory, Py_ssize_t size, int flags)
    int PROBE_WRITE "PyBUF_WRITE"


def probe_session_find(table: SessionTable, ids: bytes, rounds: int = 1) -> float:
    """Nanoseconds to find and verify a session. ids: 24 bytes each, looked for in this order."""
    cdef vault_t* v = roster_open(table)
    cdef const uint8_t* all_ids = <const uint8_t*>PyBytes_AS_STRING(ids)
    cdef size_t count = PyBytes_GET_SIZE(ids) // VAULT_ID_SIZE
    cdef size_t i
    cdef size_t last = 0
    cdef int64_t slot
    cdef int64_t found = 0
    cdef int64_t begun_ns
    cdef int round_
    cdef int round_count = rounds
    begun_ns = clock_read_ns()
    for round_ in range(round_count):
        for i in range(count):
            # Which one is looked for next depends on what came of the last: none begins earlier.
            slot = session_find(v, all_ids + (i + last) * VAULT_ID_SIZE, False)
            found += slot >= 0
            last = <size_t>(slot < 0)
    begun_ns = clock_read_ns() - begun_ns
    if found != <int64_t>(count * round_count):
        raise AssertionError(f"{found} of {count * round_count} were found")
    return begun_ns / <double>(count * round_count)


def probe_session_start(table: SessionTable, count: int) -> float:
    """Nanoseconds to begin a session: drawing its id, the cookie's text, its place in the index.
    They stay in the table."""
    cdef uint8_t id[VAULT_ID_SIZE]
    cdef uint32_t slot
    cdef int64_t begun_ns = clock_read_ns()
    for _ in range(count):
        if not store_start(roster_open(table), 0, id, &slot):
            raise store_full(&table.vault)
        ident_text(&table.vault, id, slot)
    return (clock_read_ns() - begun_ns) / <double>count


def probe_session_memory(table: SessionTable, index: bool):
    """The memory of a table as others could write it: index, wheel and counters without the lock,
    or heads and copies. Not beyond close()."""
    cdef vault_t* v = roster_open(table)
    if index:
        return PyMemoryView_FromMemory(<char*>v.index + sizeof(lock_t),
                                       v.index_size - sizeof(lock_t), PROBE_WRITE)
    return PyMemoryView_FromMemory(<char*>v.heads, v.region_size, PROBE_WRITE)


def probe_session_places(table: SessionTable) -> dict:
    """How full the blocks of the index are."""
    cdef vault_t* v = roster_open(table)
    sizes = [v.block_size[d] for d in range(v.shared.block_count)]
    return {"blocks": len(sizes), "keys": sum(sizes), "smallest": min(sizes, default=0),
            "largest": max(sizes, default=0)}


def probe_session_guess(table: SessionTable, who: int, mark: int, now_s: int,
                        block_s: int) -> int:
    """Counts a value that was never issued, as a request does: 0, or which rung blocks (1 to 3).
    who: not 0, 64 bits; mark: the hash of the value, 32 bits."""
    return guess_note(roster_open(table), who, mark, now_s, block_s)


def probe_session_blocked_till(table: SessionTable, who: int, now_s: int) -> int:
    """Until when an address is blocked; 0: it is not."""
    return guess_blocked_till(roster_open(table), who, now_s)


def probe_session_scribble(table: SessionTable, data: bytes) -> None:
    """Another process has written nonsense over the table of addresses: `data`, again and again."""
    cdef uint8_t* at = <uint8_t*>roster_open(table).shared.guess
    cdef size_t size = sizeof(guess_t) * VAULT_GUESS_COUNT
    cdef size_t i
    for i in range(size):
        at[i] = (<const uint8_t*>PyBytes_AS_STRING(data))[i % <size_t>PyBytes_GET_SIZE(data)]
