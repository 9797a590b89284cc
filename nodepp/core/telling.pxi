# core/telling.pxi — what an operator is told of trouble: its cause, its number, what to change
#   Prefix: telling
#   Owns:  the lines; one at once, then one a minute for each cause while it lasts
#   Uses:  limits, clock, trouble, body, callbacks, policy
#   Never: a line for each request: the same cause comes by the thousand
#   Holds: what was counted is told, in the end when the engine is closed

cdef enum:
    TELLING_PAUSE_MS = 60000           # between two lines of one cause

cdef str telling_file = ""             # the public file that could not be opened last, and why


cdef int telling_open(bint listens) except -1:
    """Before the first request of a server: a spool folder that is of no use is told now, not at
    the first upload."""
    cdef int fd
    trouble_forget()
    if not listens or limits.spool_size >= limits.payload_size_max:
        return 0                       # an application's tests; or no body goes to a file
    fd = body_open_nameless(body_spool_dir)
    if fd >= 0:
        posix_close(fd)
    else:
        trouble_note(TROUBLE_SPOOL, errno)
    return 0


cdef int telling_turn() except -1:
    """At the end of a turn in which there was trouble, or has been."""
    telling_all(TELLING_PAUSE_MS)
    return 0


cdef void telling_close() noexcept:
    """Counts that would have come with the next line."""
    try:
        telling_all(0)
    except BaseException as problem:
        callback_keep(problem)


cdef int telling_all(int64_t pause_ms) except -1:
    global trouble_waits
    cdef trouble_t* trouble
    cdef int cause
    if not trouble_waits:
        return 0
    trouble_waits = False
    for cause in range(TROUBLE_COUNT):
        trouble = &trouble_table[cause]
        if trouble.count == trouble.told:
            continue
        if trouble.told_ms and clock_now_ms - trouble.told_ms < pause_ms:
            trouble_waits = True
            continue
        telling_say(cause, trouble)
    return 0


cdef int telling_say(int cause, trouble_t* trouble) except -1:
    cdef uint64_t count = trouble.count - trouble.told
    cdef int64_t since_ms = clock_now_ms - trouble.told_ms if trouble.told_ms else 0
    text = telling_text(cause, trouble.number)
    if count > 1:
        text += f" ({count:,} times in {max(1, since_ms // 1000)} s)"
    trouble.told = trouble.count
    trouble.told_ms = clock_now_ms
    callback_log(1 if trouble.number else 2, text)
    return 0


cdef int telling_of_file(str path, problem) except -1:
    """A public file could not be opened for now; `problem` is the exception."""
    global telling_file
    reason = getattr(problem, "strerror", None) or f"{type(problem).__name__}: {problem}"
    telling_file = f"{path}: {reason}"
    trouble_note(TROUBLE_FILE, getattr(problem, "errno", None) or EIO)
    return 0


cdef str telling_text(int cause, int number):
    """Where, why, what comes of it, and the setting that would change that."""
    from os import strerror
    why = strerror(number)
    spool = (<const char*>body_spool_dir).decode("utf-8", "surrogateescape")
    if cause == TROUBLE_SPOOL:
        return f"spoolDir={spool}: {why}. Bodies of more than {limits.spool_size:,} bytes " \
            "(spoolSize) are answered 503"
    if cause == TROUBLE_SPOOL_WRITE:
        return f"spoolDir={spool}: {why}. A body could not be kept: answering 507"
    if cause == TROUBLE_BUDGET:
        return f"bufferMemory, {limits.buffer_memory_max:,} bytes, is spent: answering 503"
    if cause == TROUBLE_MEMORY:
        return "the system gives no more memory: requests are answered 503, answers cut"
    if cause == TROUBLE_CONNECTIONS:
        return f"the table of {limits.connection_count_max} connections is full: answering 503 " \
            "(maxConnections)"
    if cause == TROUBLE_WATCH:
        return f"a connection cannot be watched: {why}. Answering 503 (fdMonitor)"
    if cause == TROUBLE_ACCEPT:
        return telling_accept(number, why)
    if cause == TROUBLE_SESSIONS:
        return f"the table of {policy_vault.capacity if policy_vault != NULL else 0} sessions is " \
            "full: answering 503 (maxSessions)"
    if cause == TROUBLE_FILE:
        return f"{telling_file}: answering 503"
    return f"a public file cannot be read on: {why}. Its answer was cut"


cdef str telling_accept(int number, str why):
    if number == EMFILE:
        return "out of file descriptors: accepting is paused (raise ulimit -n)"
    if number == ENFILE:
        return "the system is out of file descriptors: accepting is paused (fs.file-max)"
    return f"no descriptor for a connection ({why}): accepting is paused"
