# core/failure.pxi — answers that no handler gives: pages of errors
#   Prefix: failure
#   Owns:  the page for a status; what becomes of an exception; the engine's own line of text
#   Uses:  pulse, fork, tables, output, response, request, connection, callbacks, objects, current,
#          settle, pool, result
#   Never: deciding that something has failed
#   Holds: what had been queued or rendered for the answer is dropped before a page takes its place


cdef int failure_miss(connection_t* c, request_t* r, head_t* head, int status,
                      PyObject* allow) except -1:
    """No handler: the host's page for 400, 404 or 405."""
    return failure_miss_with(c, r, head, status,
                             None if allow == NULL else [(b"allow", <bytes>allow)])


cdef int failure_miss_with(connection_t* c, request_t* r, head_t* head, int status,
                           list lines) except -1:
    """The host's page, with field lines: (lower-case name, whole line)."""
    cdef RequestState req = pool_take(c, r)
    cdef mark_t mark
    output_mark(&mark)
    req.lines = lines
    req.guarded = current_guarded      # also that there is nothing is not for everybody
    failure_page(req, head, status, None, &mark)
    return result_end(c, r, req, head)


cdef int failure_take_result(RequestState req, head_t* head, object result,
                             const mark_t* mark) except -1:
    """Queues what the handler returned; what cannot be sent is a 500."""
    try:
        if result_answer(req, head, result) == RESULT_PAGE_WANTED:
            failure_page(req, head, req._status, None, mark)
    except BaseException as problem:
        failure_blame(req, head, problem, mark)
    return 0


cdef int failure_take_exception(RequestState req, head_t* head, const mark_t* mark) except -1:
    """The handler raised: what it had rendered is dropped, the host makes the page."""
    try:
        callback_raise()
    except BaseException as problem:
        failure_blame(req, head, problem, mark)
    return 0


cdef int failure_blame(RequestState req, head_t* head, problem, const mark_t* mark) except -1:
    """An exception is a 500; one that is to end the program is raised when the turn is over."""
    if isinstance(problem, Cut):
        if req._session is not None:
            settle_discard(req)
        req.connection.cut = True
        return failure_brief(req, head, mark)
    if not callback_keep(problem):
        problem = RuntimeError(f"stopped by {type(problem).__name__}")
    status = getattr(problem, "status", 500)
    if req._session is not None and (not isinstance(status, int) or status >= 500):
        settle_discard(req)
    return failure_page(req, head, 500, problem, mark)


cdef int failure_page(RequestState req, head_t* head, int status, problem,
                      const mark_t* mark) except -1:
    """Answers with the host's page for a status or an exception; if that fails as well, with the
    engine's own line of text. What the handler has rendered or queued since the mark is dropped."""
    output_rewind(mark)
    req._status = status
    req.type = RESPONSE_HTML
    req.html = True
    req.iterator = None
    req.streaming = False
    req.paged = True
    if req.lines is not None:          # what was said of a body that is dropped
        req.lines = [entry for entry in req.lines if entry[0] != b"content-encoding"]
    try:
        result = callback_host.error(req, status, problem)
        fork_check(None)
        result_answer(req, head, result)
        if problem is not None and head.status >= 500:
            stats.handler_errors += 1
    except BaseException as failure:
        stats.handler_errors += 1
        failure_brief(req, head, mark)
        if isinstance(failure, Cut):
            req.connection.cut = True
        else:
            callback_keep(failure)
            callback_log_problem(f"the page for status {status} failed", failure)
    return 0


cdef int failure_brief(RequestState req, head_t* head, const mark_t* mark) except -1:
    """Answers with the engine's own line of text, and closes."""
    output_rewind(mark)
    req.iterator = None
    req.connection.closing = True
    head.status = 500
    return response_queue_brief(500, req.r.head.method != METHOD_HEAD)
