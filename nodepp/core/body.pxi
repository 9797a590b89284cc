# core/body.pxi — the content of a request that did not arrive whole with its head
#   Prefix: body
#   Owns:  collecting it, by length or by chunks, in memory and past `spool_size` in a file
#   Uses:  limits, trouble, memory, chunk, multipart
#   Never: what the content means
#   Holds: no more is kept than has arrived; a length that was only announced costs nothing

cdef enum:                             # outcomes
    BODY_INCOMPLETE                    # all bytes are used up
    BODY_COMPLETE
    BODY_BAD                           # refuse with `status` and close

cdef enum:
    BODY_ROOM = 16 * 1024              # bytes of the first block

cdef struct body_t:
    uint64_t size                      # bytes collected
    uint64_t remaining                 # by length: bytes to come
    uint8_t* block                     # in memory, `room` bytes
    size_t room
    int spool_fd                       # a file without a name, or -1
    uint16_t status                    # of a refusal
    bint chunked
    bint incremental                   # `multipart` follows the bytes as they come
    chunk_t chunk
    multipart_t multipart

cdef char body_spool_dir[4096]         # where spool files are made
cdef int body_spool_count              # living ones
cdef int body_oom_status = 503


cdef extern from *:
    """
    #include <fcntl.h>
    #include <stdlib.h>
    #include <unistd.h>
    /* A file that has no name from the first moment, or the nearest to it. */
    static int body_open_nameless(const char *folder) {
        char path[4200];
        int fd = -1;
    #ifdef O_TMPFILE
        fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
        if (fd >= 0) return fd;
    #endif
        snprintf(path, sizeof path, "%s/nodepp-XXXXXX", folder);
        fd = mkstemp(path);
        if (fd >= 0) { unlink(path); fcntl(fd, F_SETFD, FD_CLOEXEC); }
        return fd;
    }
    """
    int body_open_nameless(const char* folder) noexcept nogil


cdef void body_open(body_t* body, bint chunked, uint64_t length) noexcept nogil:
    body.size = 0
    body.remaining = 0 if chunked else length
    body.block = NULL
    body.room = 0
    body.spool_fd = -1
    body.status = 0
    body.chunked = chunked
    body.incremental = False
    memset(&body.chunk, 0, sizeof(chunk_t))


cdef void body_close(body_t* body) noexcept nogil:
    global body_spool_count
    if body.block != NULL:
        memory_give(body.block, body.room)
        body.block = NULL
    if body.spool_fd >= 0:
        posix_close(body.spool_fd)
        body_spool_count -= 1
        body.spool_fd = -1
    if body.incremental:
        multipart_free(&body.multipart)
        body.incremental = False


cdef int body_feed(body_t* body, const uint8_t** at, const uint8_t* end) noexcept nogil:
    """Takes what belongs to the body from `*at` on, which moves."""
    cdef const uint8_t* span
    cdef size_t span_size
    cdef int outcome
    if not body.chunked:
        span_size = <size_t>(end - at[0])
        if span_size > body.remaining:
            span_size = body.remaining
        if span_size and not body_keep(body, at[0], span_size):
            return BODY_BAD
        at[0] += span_size
        body.remaining -= span_size
        return BODY_INCOMPLETE if body.remaining else body_finish(body)
    while True:
        outcome = chunk_next(&body.chunk, at, end, &span, &span_size)
        if outcome == CHUNK_INCOMPLETE:
            return BODY_INCOMPLETE
        if outcome == CHUNK_COMPLETE:
            return body_finish(body)
        if outcome == CHUNK_BAD:
            body.status = body.chunk.status
            return BODY_BAD
        if not body_keep(body, span, span_size):
            return BODY_BAD


cdef int body_finish(body_t* body) noexcept nogil:
    if body.incremental:
        multipart_finish(&body.multipart)  # what it found is said when the form is asked for
    return BODY_COMPLETE


cdef bint body_keep(body_t* body, const uint8_t* data, size_t size) noexcept nogil:
    """Appends content; False: there is no room for it, `status` says what to answer."""
    if body.spool_fd < 0 and body.size + size + (0 if body.chunked else body.remaining - size) \
            > limits.spool_size:
        if not body_spool(body):
            return False
    if body.spool_fd >= 0:
        if not body_write(body, data, size):
            return False
    else:
        if body.size + size > body.room and not body_reserve(body, size):
            memory_note_refusal()
            body.status = body_oom_status
            return False
        memcpy(body.block + body.size, data, size)
    if body.incremental:
        multipart_feed(&body.multipart, data, size)
    body.size += size
    return True


cdef uint64_t body_growth(const body_t* body, uint64_t size) noexcept nogil:
    """How many bytes the block grows by to take `size` more: it doubles, but never past what was
    announced or what goes to a file."""
    cdef uint64_t wanted = body.size + size
    cdef uint64_t room = body.room * 2 if body.room else BODY_ROOM
    cdef uint64_t most = limits.spool_size if body.chunked else body.size + body.remaining
    if body.spool_fd >= 0 or most > limits.spool_size:
        return 0
    if wanted > most:
        wanted = most
    if wanted <= body.room:
        return 0
    if room < wanted:
        room = wanted
    if room > most:
        room = most
    return room - body.room


cdef bint body_reserve(body_t* body, size_t size) noexcept nogil:
    """Room for `size` more bytes."""
    cdef uint64_t room = body.room + body_growth(body, size)
    cdef void* block
    if body.block == NULL:
        block = memory_take(room)
    else:
        block = memory_grow(body.block, body.room, room)
    if block == NULL:
        return False
    body.block = <uint8_t*>block
    body.room = room
    return True


cdef bint body_spool(body_t* body) noexcept nogil:
    """From now on the content goes to a file; what is in memory goes first."""
    global body_spool_count
    cdef uint64_t size = body.size
    body.spool_fd = body_open_nameless(body_spool_dir)
    if body.spool_fd < 0:
        trouble_note(TROUBLE_SPOOL, errno)
        body.status = body_oom_status
        return False
    body_spool_count += 1
    if body.block != NULL:
        body.size = 0
        if not body_write(body, body.block, size):
            return False
        body.size = size
        memory_give(body.block, body.room)
        body.block = NULL
        body.room = 0
    return True


cdef bint body_write(body_t* body, const uint8_t* data, size_t size) noexcept nogil:
    cdef ssize_t written
    while size > 0:
        written = posix_write(body.spool_fd, data, size)
        if written < 0 and errno == EINTR:
            continue
        if written <= 0:
            trouble_note(TROUBLE_SPOOL_WRITE, errno if written < 0 else ENOSPC)
            body.status = 507              # the disk is full, or broken
            return False
        data += written
        size -= written
    return True
