# core/stream.pxi — answers whose length nobody knows yet
#   Prefix: stream
#   Owns:  pulling an iterator, the chunked coding of its pieces, its close()
#   Uses:  limits, scan, clock, pulse, fork, memory, tables, output, response, request, connection,
#          callbacks, objects, current, reply, settle, finish, pool, later
#   Never: more than one share per turn: others are waiting
#   Holds: an iterator that was begun is closed exactly once, whoever ends it

cdef enum:                             # outcomes
    STREAM_GOES_ON                     # its share of this turn is queued
    STREAM_ENDED                       # all is queued
    STREAM_BROKEN                      # it raised: the connection must be cut, not ended


cdef object stream_nothing = object()  # what next() gives at the end


cdef int stream_answer(RequestState req, head_t* head, object iterator) except -1:
    """Queues the head and the first piece; a failure before that is still a 500."""
    try:
        first = stream_next(req, iterator)
        if output.body_start:
            raise RuntimeError("out() belongs into the handler, not into the iterator it returned")
        if req._session is not None:
            settle_request(req)
        if req._session is not None or req.guarded:
            reply_forbid_caches(req)
    except BaseException:
        stream_close(iterator)
        raise
    req.streaming = True
    return stream_answer_first(req, head, iterator, first)


cdef int stream_answer_first(RequestState req, head_t* head, object iterator,
                             bytes first) except -1:
    """The iterator has begun well; `first` is None when it has ended at once."""
    cdef bint with_body
    extra = finish_head(req, head, RESPONSE_BINARY, True)
    with_body = response_has_body(head.status) and req.r.head.method != METHOD_HEAD
    req.chunked = req.r.head.minor > 0
    if not response_has_body(head.status):
        head.length = 0 if head.status == 205 else RESPONSE_LENGTH_NONE
    elif req.chunked:
        head.length = RESPONSE_LENGTH_CHUNKED
    else:                              # RFC 9112 §6.3: to a 1.0 client the close is the end
        head.length = RESPONSE_LENGTH_CLOSE
        head.keep_alive = False
        head.close = req.connection.closing = True
    response_queue(head, NULL, 0)
    if not with_body:
        stream_close(iterator)
        return 0
    if first is None:
        stream_queue_end(req)
        stream_close(iterator)
        return 0
    stream_queue(req, first)
    req.iterator = iterator
    return 0


cdef object stream_next(RequestState req, iterator):
    """The next piece as bytes, b"" for "nothing yet, others first"; None at the end."""
    pulse_step(NULL)
    try:
        piece = next(iterator, stream_nothing)
        fork_check(None)
    except BaseException as problem:
        fork_check(problem)
        raise
    if piece is stream_nothing:
        return None
    if isinstance(piece, str):
        return piece.encode()
    return piece if PyBytes_CheckExact(piece) else bytes(memoryview(piece))


cdef int stream_queue(RequestState req, bytes piece) except -1:
    """chunk = size CRLF data CRLF; as it is for a 1.0 client."""
    cdef size_t size = PyBytes_GET_SIZE(piece)
    cdef size_t start = output.used
    cdef char* into
    cdef int digits
    if size == 0:
        return 0
    req.sent += size
    into = output_reserve(20)
    if req.chunked:
        digits = scan_write_hex(into, size)
        memcpy(into + digits, b"\r\n", 2)
        output_advance(digits + 2)
    if size > COPY_SIZE_MAX:
        if output.used > start:
            output_add_range(start, output.used - start)
        output_add_object(PyBytes_AS_STRING(piece), size, <PyObject*>piece)
        start = output.used
    else:
        output_append(PyBytes_AS_STRING(piece), size)
    if req.chunked:
        output_append(b"\r\n", 2)
    if output.used > start:
        output_add_range(start, output.used - start)
    return 0


cdef int stream_queue_end(RequestState req) except -1:
    cdef size_t start = output.used
    if req.chunked:
        output_append(b"0\r\n\r\n", 5)
        output_add_range(start, 5)
    return 0


cdef int stream_begin(connection_t* c, request_t* r, RequestState req) except -1:
    """The first piece is queued: from now on the request lives until the iterator ends."""
    cdef request_t* own = request_own(r)
    if own == NULL:
        # Not a byte has left yet, but bytes are queued: cut rather than end it short.
        stream_end(c, r, req)
        c.cut = c.closing = True
        stats.refused_memory += 1
        memory_note_refusal()
        return 0
    req.r = own
    c.stream = <PyObject*>req
    Py_INCREF(req)
    return 0


cdef int stream_step(connection_t* c) noexcept:
    """Queues the next share of the stream: a stream_outcome."""
    cdef RequestState req = <RequestState>c.stream
    cdef PyObject* before = current_enter(req)
    cdef int outcome = stream_share(req)
    current_leave(before)
    return outcome


cdef int stream_share(RequestState req) noexcept:
    cdef int64_t end_ns = clock_read_ns() + STREAM_NS_TURN
    cdef int step
    try:
        for step in range(STREAM_STEP_MAX):
            if output.queued >= STREAM_SIZE_TURN or output_is_full():
                return STREAM_GOES_ON
            piece = stream_next(req, req.iterator)
            if piece is None:
                stream_queue_end(req)
                return STREAM_ENDED
            stream_queue(req, piece)
            if not piece or clock_read_ns() > end_ns:
                break
        return STREAM_GOES_ON
    except BaseException as problem:
        if callback_keep(problem):
            stream_report(req, problem)
        return STREAM_BROKEN


cdef void stream_report(RequestState req, problem) noexcept:
    """The head has left already: a line in the log is all that can be done."""
    stats.handler_errors += 1
    try:
        callback_host.stream_error(req, problem)
    except BaseException as failure:
        callback_keep(failure)
        callback_log_problem("a stream failed, and reporting that failed too", failure)


cdef void stream_finish(connection_t* c) noexcept:
    """Ends the connection's stream, complete or not: close() of the iterator runs here."""
    cdef RequestState req = <RequestState>c.stream
    cdef request_t* r = req.r
    c.stream = NULL
    Py_DECREF(req)                     # c.stream's; the variable still holds it
    stream_end(c, r, req)
    request_release(r)


cdef void stream_end(connection_t* c, request_t* r, RequestState req) noexcept:
    cdef PyObject* before = current_enter(req)
    iterator = req.iterator
    req.iterator = None
    stream_close(iterator)
    current_leave(before)
    # No answer has left: nginx logs 499 too.
    finish_count(c, r, 499 if type(iterator) is Later else req._status, req.sent)
    pool_give(req)


cdef void stream_close(iterator) noexcept:
    pulse_step(b"close() of a streamed iterator")
    try:
        close = getattr(iterator, "close", None)
        if close is not None:
            close()
        fork_check(None)
    except BaseException as problem:
        if callback_keep(problem):
            callback_log_problem("close() of a streamed iterator failed", problem)
