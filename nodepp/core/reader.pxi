# core/reader.pxi — descriptors that others want to read on the engine's thread
#   Prefix: reader
#   Owns:  which descriptor calls what when it is readable
#   Uses:  pulse, fork, poller, connection, callbacks
#   Never: reading them
#   Holds: a callback that fails is logged and stays: the descriptor is the caller's to remove

cdef enum:
    READER_KEY = 0x7FFE0000            # keys from here to LISTENER_KEY are places in the table
    READER_COUNT_MAX = 1024            # a folder watcher, pipes of children; more: ValueError

cdef list reader_entries = []          # [descriptor, callback, generation] or None, by place
cdef uint32_t reader_generation        # so that a report for one that has gone meets nobody


cdef int reader_add(int fd, callback) except -1:
    global reader_generation
    cdef uint64_t key
    for entry in reader_entries:
        if entry is not None and entry[0] == fd:
            entry[1] = callback
            return 0
    place = reader_entries.index(None) if None in reader_entries else len(reader_entries)
    if place == READER_COUNT_MAX:
        raise ValueError(f"{READER_COUNT_MAX} descriptors have a reader already")
    reader_generation += 1
    key = <uint64_t>reader_generation << 32 | <uint32_t>(READER_KEY + <int>place)
    if not poller_can_watch(fd) or poller_add(fd, key, POLLER_READ) < 0:
        raise OSError(errno, f"descriptor {fd} cannot be watched")
    if place == len(reader_entries):
        reader_entries.append(None)
    reader_entries[place] = [fd, callback, reader_generation]
    return 0


cdef int reader_remove(int fd) except -1:
    for place, entry in enumerate(reader_entries):
        if entry is not None and entry[0] == fd:
            poller_remove(fd, POLLER_READ)
            reader_entries[place] = None
    return 0


cdef int reader_call(int place, uint32_t generation) except -1:
    """What the poller reported may have been removed by another callback of this turn, and its
    place taken."""
    if place >= len(reader_entries) or reader_entries[place] is None \
            or reader_entries[place][2] != generation:
        return 0
    pulse_step(b"a reader's callback")
    try:
        reader_entries[place][1]()
        fork_check(None)
    except BaseException as problem:
        if callback_keep(problem):
            stats.handler_errors += 1
            callback_log_problem("a reader's callback failed", problem)
    return 0


cdef void reader_forget() noexcept:
    """In a child: the poller that watched them is the parent's."""
    reader_entries.clear()


cdef void reader_close() noexcept:
    """Watches none any more; the descriptors belong to whoever added them."""
    for entry in reader_entries:
        if entry is not None:
            poller_remove(entry[0], POLLER_READ)
    reader_entries.clear()
