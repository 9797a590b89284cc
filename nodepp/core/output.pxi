# core/output.pxi — what leaves, in which pieces?
#   Prefix: output
#   Owns:  the output buffer with its headroom, the pieces of one write, what a peer has not taken
#   Uses:  limits, clock, memory, transport, file, readahead
#   Never: what the bytes mean
#   Holds: pieces lie in the order of the answers; a piece's owner lives until the piece has left

# One buffer serves all connections, one after the other: whoever suspends takes its rest along as a
# pending_t. Offsets, not pointers, name what lies in the buffer, for it may move when it grows.

cdef enum:
    OUTPUT_ROOM = 256 * 1024           # bytes; untouched pages cost nothing
    OUTPUT_ROOM_KEPT = 1024 * 1024     # bytes; a buffer that grew past this is given back

cdef enum:                             # outcomes
    OUTPUT_SENT                        # all has left
    OUTPUT_REST                        # the peer takes no more for now
    OUTPUT_CLOSED                      # the peer has gone
    OUTPUT_COLD                        # the next bytes of a file must be read from the disk first

cdef struct piece_t:
    const char* data                   # NULL: in the output buffer, or a file, at `start`
    size_t start
    size_t size
    PyObject* owner                    # keeps `data` alive, or a File; NULL: buffer or pending_t

cdef struct pending_t:
    size_t taken                       # bytes of this block, for memory_give
    job_t* job                         # the disk is being read for it; NULL: it is not
    uint64_t warm_end                  # a file's bytes before this were just read ahead:
    int64_t warm_until_ms              # sent without another question until then
    int count
    int at                             # pieces before it have left
    piece_t pieces[1]                  # count of them, then copied bytes

cdef struct mark_t:
    size_t used
    size_t queued
    size_t last_size                   # of the last piece, which later bytes may have joined
    int piece_count

cdef struct output_t:
    char* buffer
    size_t room
    size_t used                        # end of what has been written
    size_t body_start                  # of the body being rendered; 0: none is
    size_t queued                      # bytes of all pieces
    int piece_count
    bint has_file                      # a file is among them
    piece_t pieces[ENTRY_COUNT_MAX]

cdef output_t output


cdef int output_open() except -1:
    free(output.buffer)                # a probe may have made it grow while no engine was open
    output.buffer = <char*>malloc(OUTPUT_ROOM)
    if output.buffer == NULL:
        raise MemoryError("no room for the output buffer")
    output.room = OUTPUT_ROOM
    output_begin()
    return 0


cdef void output_close() noexcept:
    output_drop()
    free(output.buffer)
    output.buffer = NULL
    output.room = 0


cdef inline void output_begin() noexcept nogil:
    """The buffer belongs to the next connection."""
    ensure(output.piece_count == 0)
    output.used = output.queued = output.body_start = 0
    output.has_file = False


cdef void output_drop() noexcept:
    """Forgets what was queued: the peer has gone, or the rest has been moved."""
    cdef int i
    for i in range(output.piece_count):
        Py_XDECREF(output.pieces[i].owner)
    output.piece_count = 0
    output.used = output.queued = output.body_start = 0
    output.has_file = False
    if output.room > OUTPUT_ROOM_KEPT:
        output_shrink()


cdef void output_shrink() noexcept:
    cdef char* smaller = <char*>malloc(OUTPUT_ROOM)
    if smaller != NULL:
        free(output.buffer)
        output.buffer = smaller
        output.room = OUTPUT_ROOM


cdef char* output_reserve(size_t size) except NULL:
    """Room for `size` more bytes at the end; the pointer holds until the next call."""
    if unlikely_(output.used + size > output.room):
        output_grow(size)
    return output.buffer + output.used


cdef int output_grow(size_t size) except -1:
    cdef size_t room = output.room * 2
    if room < output.used + size:
        room = output.used + size + OUTPUT_ROOM
    cdef char* grown = <char*>realloc(output.buffer, room)
    if grown == NULL:
        raise MemoryError("no room for an answer of %d bytes" % (output.used + size))
    output.buffer = grown
    output.room = room
    return 0


cdef inline void output_advance(size_t size) noexcept nogil:
    output.used += size


cdef inline int output_append(const char* data, size_t size) except -1:
    memcpy(output_reserve(size), data, size)
    output.used += size
    return 0


cdef inline int output_begin_body() except -1:
    """What is appended from now on is the body of a rendered answer; its head will be written
    into the headroom before it, so that both leave in one piece."""
    output_reserve(HEADROOM_SIZE)
    output.used += HEADROOM_SIZE
    output.body_start = output.used
    return 0


cdef inline void output_add_range(size_t start, size_t size) noexcept nogil:
    """Queues bytes of the buffer; they merge with the piece they follow."""
    cdef piece_t* last
    output.queued += size
    if output.piece_count > 0:
        last = &output.pieces[output.piece_count - 1]
        if last.data == NULL and last.owner == NULL and last.start + last.size == start:
            last.size += size
            return
    output_add_piece(NULL, start, size, NULL)


cdef inline void output_add_object(const char* data, size_t size, PyObject* owner) noexcept:
    """Queues bytes of an object, which is kept alive until they have left."""
    Py_INCREF(<object>owner)
    output.queued += size
    output_add_piece(data, 0, size, owner)


cdef inline void output_add_file(File file, uint64_t start, uint64_t size) noexcept:
    """Queues bytes of a file, which stays open until they have left."""
    Py_INCREF(file)
    output.queued += size
    output.has_file = True
    output_add_piece(NULL, start, size, <PyObject*>file)


cdef inline bint output_is_file(const piece_t* piece) noexcept nogil:
    return piece.data == NULL and piece.owner != NULL


cdef inline void output_add_piece(const char* data, size_t start, size_t size,
                                  PyObject* owner) noexcept nogil:
    ensure(output.piece_count < ENTRY_COUNT_MAX)
    cdef piece_t* piece = &output.pieces[output.piece_count]
    piece.data = data
    piece.start = start
    piece.size = size
    piece.owner = owner
    output.piece_count += 1


cdef inline void output_mark(mark_t* mark) noexcept nogil:
    """Remembers what is queued, in case the answer that is begun now fails."""
    mark.used = output.used
    mark.queued = output.queued
    mark.piece_count = output.piece_count
    mark.last_size = output.pieces[output.piece_count - 1].size if output.piece_count else 0


cdef void output_rewind(const mark_t* mark) noexcept:
    """Takes back all that was queued since the mark."""
    while output.piece_count > mark.piece_count:
        output.piece_count -= 1
        Py_XDECREF(output.pieces[output.piece_count].owner)
    if output.piece_count:
        output.pieces[output.piece_count - 1].size = mark.last_size
    output.used = mark.used
    output.queued = mark.queued
    output.body_start = 0


cdef inline bint output_is_full() noexcept nogil:
    """Must it be written before another answer is queued? A file ends the batch: one peer holds
    one descriptor at a time."""
    return output.queued > QUEUE_SIZE_MAX or output.has_file \
        or output.piece_count + ANSWER_ENTRY_MAX > ENTRY_COUNT_MAX


cdef int output_flush(int fd, pending_t** rest, uint64_t* sent_size) noexcept:
    """Sends what is queued, in one call. OUTPUT_REST: what did not leave is in `rest`, a block of
    its own, and the buffer is free for others."""
    cdef iovec pieces[ENTRY_COUNT_MAX]
    cdef piece_t* piece
    cdef size_t size = output.queued
    cdef ssize_t sent
    cdef int i
    cdef int count = output.piece_count
    if count == 0:
        return OUTPUT_SENT
    for i in range(count):
        piece = &output.pieces[i]
        pieces[i].iov_base = <void*>piece.data
        if likely_(piece.data == NULL):
            if unlikely_(piece.owner != NULL):
                count = i              # a file: its turn comes when all before it has left
                break
            pieces[i].iov_base = <void*>(output.buffer + piece.start)
        pieces[i].iov_len = piece.size
    if unlikely_(count < output.piece_count):
        size = 0
        for i in range(count):
            size += pieces[i].iov_len
    sent = transport_send(fd, pieces, count, size, count < output.piece_count)
    if sent == TRANSPORT_AGAIN or sent == TRANSPORT_WANTS_READ:
        sent = 0
    if sent < 0:
        output_drop()
        return OUTPUT_CLOSED
    sent_size[0] += sent
    if likely_(<size_t>sent == output.queued):
        output_drop()
        return OUTPUT_SENT
    rest[0] = output_detach(sent)
    output_drop()
    return OUTPUT_REST if rest[0] != NULL else OUTPUT_CLOSED


cdef pending_t* output_detach(size_t sent) noexcept:
    """Moves all but the first `sent` bytes into a block: bytes of the buffer are copied, objects
    are only held. NULL: there is no memory at all."""
    cdef size_t copied = 0
    cdef int i
    for i in range(output.piece_count):
        if output.pieces[i].data == NULL and output.pieces[i].owner == NULL:
            copied += output.pieces[i].size
    cdef size_t header = sizeof(pending_t) + output.piece_count * sizeof(piece_t)
    cdef pending_t* rest = <pending_t*>memory_overdraw(header + copied)
    if rest == NULL:
        memory_note_refusal()
        return NULL
    rest.taken = header + copied
    rest.count = output.piece_count
    rest.at = 0
    rest.job = NULL
    rest.warm_end = 0
    cdef char* into = <char*>rest + header
    for i in range(output.piece_count):
        rest.pieces[i] = output.pieces[i]
        if rest.pieces[i].data == NULL and rest.pieces[i].owner == NULL:
            memcpy(into, output.buffer + rest.pieces[i].start, rest.pieces[i].size)
            rest.pieces[i].data = into
            into += rest.pieces[i].size
        Py_XINCREF(rest.pieces[i].owner)
    output_skip(rest, sent)
    return rest


cdef void output_skip(pending_t* rest, size_t sent) noexcept:
    """`sent` more bytes have left."""
    cdef piece_t* piece
    while rest.at < rest.count:
        piece = &rest.pieces[rest.at]
        if sent < piece.size:
            if output_is_file(piece):
                piece.start += sent
            else:
                piece.data += sent
            piece.size -= sent
            return
        sent -= piece.size
        Py_XDECREF(piece.owner)
        piece.owner = NULL
        rest.at += 1
    ensure(sent == 0)


cdef int output_flush_rest(int fd, pending_t* rest, uint64_t* sent_size) noexcept:
    """Sends more of a rest. OUTPUT_SENT: it is empty. It is the caller's to free but after REST and
    COLD."""
    cdef iovec pieces[ENTRY_COUNT_MAX]
    cdef size_t size = 0
    cdef int count = 0
    cdef int i
    cdef ssize_t sent
    if rest.at < rest.count and output_is_file(&rest.pieces[rest.at]):
        return output_flush_file(fd, rest, sent_size)
    for i in range(rest.at, rest.count):
        if output_is_file(&rest.pieces[i]):
            break
        pieces[count].iov_base = <void*>rest.pieces[i].data
        pieces[count].iov_len = rest.pieces[i].size
        size += rest.pieces[i].size
        count += 1
    sent = transport_send(fd, pieces, count, size, rest.at + count < rest.count)
    if sent == TRANSPORT_AGAIN or sent == TRANSPORT_WANTS_READ:
        return OUTPUT_REST
    if sent < 0:
        return OUTPUT_CLOSED
    sent_size[0] += sent
    output_skip(rest, sent)
    return OUTPUT_SENT if rest.at == rest.count else OUTPUT_REST


cdef int output_flush_file(int fd, pending_t* rest, uint64_t* sent_size) noexcept:
    """Sends a share of the file that is next, as far as the kernel has it in memory. A file that
    was changed meanwhile ends the connection: what has left cannot be mended."""
    cdef piece_t* piece = &rest.pieces[rest.at]
    cdef File file = <File>piece.owner
    cdef size_t warm
    cdef ssize_t sent
    if not file_is_whole(file):
        return OUTPUT_CLOSED
    warm = min(piece.size, <size_t>FILE_SIZE_TURN)
    if piece.start < rest.warm_end and clock_now_ms < rest.warm_until_ms:
        warm = min(warm, rest.warm_end - piece.start)
    else:
        warm = file_warm_size(file, piece.start, warm)
    if warm == 0:
        return OUTPUT_COLD
    sent = transport_send_file(fd, file.fd, piece.start, warm)
    if sent == TRANSPORT_AGAIN:
        return OUTPUT_REST
    if sent < 0:
        return OUTPUT_CLOSED
    sent_size[0] += sent
    output_skip(rest, sent)
    return OUTPUT_SENT if rest.at == rest.count else OUTPUT_REST


cdef void output_warm(pending_t* rest, uint64_t end) noexcept:
    """The file that is next was read ahead as far as that. It is not asked again whether the kernel
    has it, for a while: under pressure that could go on for ever."""
    rest.job = NULL
    rest.warm_end = end
    rest.warm_until_ms = clock_now_ms + WARM_MS


cdef void output_free_rest(pending_t* rest) noexcept:
    if rest.job != NULL:
        readahead_cancel(rest.job)
    for i in range(rest.at, rest.count):
        Py_XDECREF(rest.pieces[i].owner)
    memory_give(rest, rest.taken)
