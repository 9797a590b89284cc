# core/download.pxi — a file from the disk, while the disk takes its time
#   Prefix: download
#   Owns:  the state READING_AHEAD: how a connection gets into it and out again
#   Uses:  clock, tables, poller, file, readahead, output, connection, callbacks
#   Never: reading the disk; the helper does
#   Holds: a connection that leaves the state, in whatever way, leaves no job behind

cdef bint download_watched             # the helper is there, and its pipe is watched
cdef int64_t download_retry_ms         # it could not be had, and is asked for again then; else 0

cdef enum:
    DOWNLOAD_KEY = 0x7FFFFFFE          # of the helper's pipe
    DOWNLOAD_RETRY_MS = 60000          # a shortage of threads or descriptors may be over


cdef void download_open() noexcept:
    global download_watched, download_retry_ms, readahead_count
    download_watched = False
    download_retry_ms = 0
    readahead_count = 0


cdef int download_wait(connection_t* c) except -1:
    """The helper reads what comes next of the file; nobody waits for the disk but this peer.
    Without a helper the loop has to wait itself: slow, but nothing is lost."""
    cdef const piece_t* piece = &c.pending.pieces[c.pending.at]
    if download_has_helper():
        c.pending.job = readahead_ask(<File>piece.owner, piece.start, piece.size,
                                      connection_key(c) + 1)
        if c.pending.job != NULL:
            connection_enter(c, CONNECTION_READING_AHEAD)
            return 0
    output_warm(c.pending, piece.start + piece.size)
    connection_enter(c, CONNECTION_WRITING)
    return 0


cdef bint download_has_helper() except -1:
    """Starts it when it is needed for the first time, and after a shortage."""
    global download_watched, download_retry_ms
    cdef int fd
    if download_watched:
        return True
    if clock_now_ms < download_retry_ms:
        return False
    fd = readahead_open()
    download_watched = fd >= 0 and poller_can_watch(fd) \
        and poller_add(fd, DOWNLOAD_KEY, POLLER_READ) == 0
    if download_watched:
        if download_retry_ms:
            callback_log(2, "a thread reads ahead from now on: a slow disk is not waited for")
        return True
    readahead_close()
    if download_retry_ms == 0:
        callback_log(2, "no thread for reading ahead: a slow disk is waited for until there is one")
    download_retry_ms = clock_now_ms + DOWNLOAD_RETRY_MS
    return False


cdef connection_t* download_next() noexcept:
    """A connection whose peer can have what the helper has read, or NULL: no other one."""
    cdef job_t* job = readahead_take()
    cdef connection_t* c
    while job != NULL:
        c = NULL
        if job.key != 0:
            c = tables_find(<uint32_t>((job.key - 1) & 0xFFFFFFFF), <uint32_t>((job.key - 1) >> 32))
        if c != NULL and c.state == CONNECTION_READING_AHEAD:
            output_warm(c.pending, job.offset + job.size)
            readahead_free(job)
            return c
        readahead_free(job)
        job = readahead_take()
    return NULL
