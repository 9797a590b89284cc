# core/dispatch.pxi — who answers, and what becomes of the result
#   Prefix: dispatch
#   Owns:  file or route or fallback; calling the handler; turning its result into an answer
#   Uses:  limits, fork, tables, output, parser, response, statics, rules, request, connection,
#          callbacks, current, route, freeze, locate, visit, suspect, parting, finish, context,
#          pool, result, failure, admit, deliver
#   Never: reading or sending
#   Holds: each complete request is answered exactly once, whatever the handler does

cdef extern from "Python.h":
    PyObject* dispatch_vectorcall "PyObject_Vectorcall"(
        PyObject* callable, PyObject** args, size_t count, PyObject* names)
    size_t PY_VECTORCALL_ARGUMENTS_OFFSET

cdef bytes dispatch_allow_all          # the Allow line of "OPTIONS *"


cdef int dispatch_open(Router router) except -1:
    global locate_router, dispatch_allow_all
    locate_router = router
    pool_open()
    dispatch_allow_all = freeze_allow_line(router.methods | METHOD_OPTIONS)
    return 0


cdef void dispatch_close() noexcept:
    global locate_router
    locate_publish(None)
    locate_router = None
    pool_close()


# The same function twice: the loop asks for its outcome without a frame for exceptions, which would
# cost every request 50 instructions.
cdef extern from *:
    int dispatch_try "dispatch_request"(connection_t* c, request_t* r) noexcept


cdef int dispatch_request "dispatch_request"(connection_t* c, request_t* r) except -1:
    """Answers a complete request: the answer is queued, or c.stream goes on making it."""
    cdef match_t match
    cdef head_t head
    cdef PyObject* resource = NULL
    cdef uint16_t method = r.head.method
    stats.requests += 1
    c.answered += 1
    if unlikely_(not parser_keep_alive(&r.head) or connection_draining):
        c.closing = True
    memset(&head, 0, sizeof(head))
    head.close = c.closing
    head.keep_alive = r.head.minor == 0
    if unlikely_(visit_warm):
        visit_ahead(r, stats.requests)
    if unlikely_(suspect_alarm[0]) and admit_refuse_guess(c, r, &head):
        return 0
    if unlikely_(not locate_path(r, &match, locate_decoded)):
        return dispatch_nowhere(c, r, &head)
    if unlikely_(rules_host_count) and admit_refuse(c, r, &match, &head):
        return 0
    if locate_has_files:
        resource = locate_file(r, &match)
        if resource != NULL and method & (METHOD_GET | METHOD_HEAD) \
                and (<Resource>resource).file.kind != STATICS_REDIRECT:
            return deliver_resource(c, r, &head, <Resource>resource)
    route_find(locate_router, method, &match)
    if likely_(match.handler != NULL):
        return dispatch_call(c, r, &match, &head)
    return dispatch_unrouted(c, r, &match, &head, resource)


cdef int dispatch_unrouted(connection_t* c, request_t* r, match_t* match, head_t* head,
                           PyObject* resource) except -1:
    """Neither a file nor a route answers: a folder without its slash, the fallback, or nobody."""
    cdef uint16_t method = r.head.method
    if resource != NULL and method & (METHOD_GET | METHOD_HEAD):
        return deliver_redirect(c, r, head, <Resource>resource)
    if match.endpoint == NULL and locate_router.fallback.callable != NULL:
        match.handler = &locate_router.fallback
        return dispatch_call(c, r, match, head)
    if match.endpoint == NULL and resource == NULL:
        return failure_miss(c, r, head, 404, NULL)
    allow = dispatch_allow(match.endpoint, resource)
    if method == METHOD_OPTIONS:
        return dispatch_options(c, r, head, allow)
    return failure_miss(c, r, head, 405, <PyObject*>allow)


cdef bytes dispatch_allow(const endpoint_t* endpoint, PyObject* resource):
    """The Allow line for what is there: routes, a file, or both."""
    cdef uint16_t methods = METHOD_GET | METHOD_HEAD | METHOD_OPTIONS
    if resource == NULL:
        return <bytes>endpoint.allow
    if endpoint != NULL:
        methods |= endpoint.methods
    return freeze_allow_line(methods)


cdef int dispatch_nowhere(connection_t* c, request_t* r, head_t* head) except -1:
    """No path: "*", or one that leads out above the root."""
    cdef match_t match
    if r.data[r.head.target_start] != c'*':
        return failure_miss(c, r, head, 400, NULL)
    match.endpoint = NULL
    match.capture_count = 0
    match.path = <const uint8_t*>b"/"
    match.size = 1
    if rules_host_count and admit_refuse(c, r, &match, head):
        return 0
    if locate_router.fallback.callable != NULL:
        match.handler = &locate_router.fallback
        return dispatch_call(c, r, &match, head)
    if r.head.method == METHOD_OPTIONS:
        return dispatch_options(c, r, head, dispatch_allow_all)
    return failure_miss(c, r, head, 404, NULL)


cdef bint dispatch_would_refuse(const request_t* r) noexcept:
    """Is it known from the head that no handler will read the content? Then it is not asked for."""
    cdef match_t match
    if locate_router.fallback.callable != NULL:
        return False
    locate_route(r, &match, locate_decoded)
    return match.handler == NULL


cdef int dispatch_options(connection_t* c, request_t* r, head_t* head, bytes allow) except -1:
    head.status = 204
    head.length = RESPONSE_LENGTH_NONE
    head.extra = <const char*>allow
    head.extra_size = len(allow)
    response_queue(head, NULL, 0)
    finish_count(c, r, 204, 0)
    return 0


cdef void dispatch_recover(connection_t* c, const request_t* r, const mark_t* mark) noexcept:
    """After an exception that no answer could be made of (there is no memory, or the host fails
    where it must not): what was queued for this request is dropped, and a line of text ends the
    connection, as far as there is room for that."""
    try:
        callback_raise()
    except BaseException as problem:
        callback_keep(problem)
        stats.handler_errors += 1
        try:
            callback_log(1, f"a request could not be answered: {type(problem).__name__}")
        except BaseException:
            pass
    current_leave(NULL)
    pool_end()
    output_rewind(mark)
    c.closing = True
    try:
        response_queue_brief(500, request_wants_body(r))
        finish_count(c, r, 500, 0)
    except BaseException:
        c.cut = True                   # what was queued before it would look complete


cdef int dispatch_call(connection_t* c, request_t* r, const match_t* match,
                       head_t* head) except -1:
    """Calls the handler and queues what it answers."""
    cdef Request req = pool_take(c, r)
    cdef PyObject* args[ROUTE_PARAM_MAX + 2]
    cdef PyObject* result
    cdef size_t count = 0 if match.handler.flags & FLAG_NO_REQUEST else 1
    cdef mark_t mark
    cdef int i
    output_mark(&mark)
    req.uncompressed = match.handler.flags & FLAG_NO_COMPRESS != 0
    args[1] = <PyObject*>req           # args[0] is the callee's to use
    if match.capture_count and not dispatch_capture(match, args, req):
        result = NULL
    elif unlikely_(admit_armed) and not admit_try_enter(req, match.handler.flags):
        result = NULL
    else:
        count += 0 if match.handler.by_name else match.capture_count
        result = dispatch_vectorcall(match.handler.callable, args + 1,
                                     count | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                     match.handler.names if match.handler.by_name else NULL)
        if unlikely_(fork_orphaned):
            dispatch_leave(result)
        visit_expected(req._session is not None)
    for i in range(match.capture_count):
        Py_XDECREF(args[2 + i])
    if likely_(result != NULL):
        failure_take_result(req, head, <object>result, &mark)
        Py_DECREF(<object>result)
    else:
        failure_take_exception(req, head, &mark)
    return result_end(c, r, req, head)


cdef bint dispatch_capture(const match_t* match, PyObject** args, Request req) noexcept:
    """Makes the parameters of the path; False with the exception set when one cannot be made."""
    cdef int i
    for i in range(match.capture_count):
        args[2 + i] = NULL
    try:
        for i in range(match.capture_count):
            value = route_convert(&match.captures[match.handler.order[i]])
            Py_INCREF(value)
            args[2 + i] = <PyObject*>value
    except BaseException as problem:
        callback_set_exception(problem)
        return False
    return True


cdef void dispatch_leave(PyObject* result) noexcept:
    """The handler has forked, and this is the child: the answer is the parent's to give."""
    try:
        if result == NULL:
            callback_raise()
    except BaseException as problem:
        fork_leave(problem)
    fork_leave(None)


cdef void dispatch_end_noted(connection_t* c, request_t* r) noexcept:
    """The same for a request whose answer asked for no session: a public file, a redirection to the
    login page. The hooks find the head of the answer settled."""
    global visit_over_count
    cdef Request req = None
    try:
        # A stream has taken the request over.
        req = <Request>c.stream if c.stream != NULL else pool_take(c, r)
        current_enter(req)
        req.streaming = True
        parting_end_noted()
    except BaseException as problem:   # no memory for a Request: the sweep will find them
        callback_keep(problem)
    visit_over_count = 0
    current_leave(NULL)
    if req is not None and c.stream == NULL:
        pool_give(req)
