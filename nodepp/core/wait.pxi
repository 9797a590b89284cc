# core/wait.pxi — a request waits, and its connection with it
#   Prefix: wait
#   Owns:  the states WAITING and WAITING_DEAF: entering, listening for the client's end, the answer
#          that comes, the time-out
#   Uses:  limits, clock, memory, tables, transport, output, response, request, connection, queue,
#          callbacks, objects, current, visit, finish, pool, later, stream, failure, dispatch, loop
#   Never: making the answer
#   Holds: an answer goes to the request that waits for it, or nowhere

cdef enum:
    WAIT_INPUT_MAX = SCRATCH_SIZE      # bytes kept of what comes behind; more: not read for now


cdef int wait_begin(connection_t* c) except -1:
    """What was queued before it has left: the request waits, unless its answer is here."""
    cdef Later later = later_of(c)
    connection_enter(c, CONNECTION_WAITING)
    connection_hurry(c, later.deadline_ms - clock_now_ms)
    if later.answered:
        queue_add(c)
    return 0


cdef int wait_listen(connection_t* c) except -1:
    """Something has come. The end of the client's input means that it has left, unless `halfClose`
    says that such clients still read. Pipelined requests are kept, so that the end behind them is
    seen, up to a bound."""
    cdef input_t input
    cdef ssize_t count
    cdef bint kept
    if c.request != NULL and c.request.block_size >= WAIT_INPUT_MAX \
            or not memory_holds(4 * SCRATCH_SIZE):
        connection_enter(c, CONNECTION_WAITING_DEAF)
        return 0
    count = connection_receive(c, &input)
    if count > 0:
        if c.request == NULL:
            kept = connection_hold(c, &input)
        else:
            kept = request_append(c.request, input.at, count)
        if kept:
            return 0
        stats.refused_memory += 1
        memory_note_refusal()
    elif count == TRANSPORT_AGAIN:
        return 0
    elif errno == 0 and limits.half_close:
        connection_enter(c, CONNECTION_WAITING_DEAF)
        return 0
    loop_close(c)
    return 0


cdef bint wait_answer(uint32_t slot, uint32_t generation, uint64_t number, object result) noexcept:
    """The answer has come: a result as of a handler, or an exception. It leaves when the turn comes
    to the connection, so this may be called at any time on the engine's thread. False: nothing
    waits for it any more."""
    cdef connection_t* c = tables_find(slot, generation)
    cdef Later later
    if c == NULL:
        return False
    later = later_of(c)
    if later is None or later.number != number or later.answered:
        return False
    later.result = result
    later.answered = True
    if c.state == CONNECTION_WAITING or c.state == CONNECTION_WAITING_DEAF:
        queue_add(c)
    return True


cdef int wait_time_out(connection_t* c) except -1:
    """The answer has not come in time: 504, and the connection goes on."""
    cdef Later later = later_of(c)
    queue_remove(c)
    if later.answered:
        return wait_go_on(c)
    wait_finish(c, later, 504)
    stream_close(later)
    return wait_flush(c)


cdef int wait_go_on(connection_t* c) except -1:
    wait_finish(c, later_of(c), 0)
    return wait_flush(c)


cdef int wait_flush(connection_t* c) except -1:
    if c.cut:
        output_drop()
        loop_close(c)
        return 0
    return loop_after_flush(c, connection_flush(c))


cdef int wait_finish(connection_t* c, Later later, int status) noexcept:
    """Queues the answer, or the page for `status`. The Request ends, unless it goes on as a stream.
    """
    cdef RequestState req = <RequestState>c.stream
    cdef request_t* r = req.r
    cdef mark_t mark
    cdef head_t head
    memset(&head, 0, sizeof(head))
    if connection_draining:
        c.closing = True
    head.close = c.closing
    head.keep_alive = r.head.minor == 0
    output_begin()
    output_mark(&mark)
    current_enter(req)
    req.iterator = None
    try:
        wait_queue(req, &head, later.result, status, &mark)
    except BaseException as problem:   # no memory, or the host fails where it must not
        wait_blame(c, req, &head, problem, &mark)
    later.result = None
    current_leave(NULL)
    visit_shown.number = 0             # what it points to goes now
    if visit_over_count:
        dispatch_end_noted(c, r)
    if req.iterator is not None and not c.cut:
        return 0
    c.stream = NULL
    Py_DECREF(req)                     # c.stream's; the variable still holds it
    finish_count(c, r, head.status, req.sent)
    pool_give(req)
    request_release(r)
    return 0


cdef int wait_queue(RequestState req, head_t* head, object result, int status,
                    const mark_t* mark) except -1:
    if status:
        return failure_page(req, head, status, None, mark)
    if isinstance(result, BaseException):
        return failure_blame(req, head, result, mark)
    return failure_take_result(req, head, result, mark)


cdef void wait_blame(connection_t* c, RequestState req, head_t* head, problem,
                     const mark_t* mark) noexcept:
    """A line of text ends the connection, as far as there is room for that."""
    callback_keep(problem)
    stats.handler_errors += 1
    try:
        failure_brief(req, head, mark)
    except BaseException:
        c.cut = True
