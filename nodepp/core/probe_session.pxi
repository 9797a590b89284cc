# core/probe_session.pxi — doors for the tests: the table of sessions, without a Python call each
#   Owns:  probe_session_…
#   Uses:  limits, clock, vault, session, store
#   Never: in use while an application is served
#   Holds: what is measured is what a request does


def probe_session_find(table: SessionTable, ids: bytes, rounds: int = 1) -> float:
    """Nanoseconds to find and verify a session. ids: 24 bytes each, looked for in this order."""
    cdef vault_t* v = store_open(table)
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
        store_start(table, 0, id, &slot)
        ident_text(&table.vault, id, slot)
    return (clock_read_ns() - begun_ns) / <double>count


def probe_session_places(table: SessionTable) -> dict:
    """How full the blocks of the index are."""
    cdef vault_t* v = store_open(table)
    sizes = [v.block_size[d] for d in range(v.shared.block_count)]
    return {"blocks": len(sizes), "keys": sum(sizes), "smallest": min(sizes, default=0),
            "largest": max(sizes, default=0)}
