# core/pool.pxi — the one Request that serves a request after the other
#   Prefix: pool
#   Owns:  taking a Request for what has come, and giving it back; the end of its life
#   Uses:  limits, tables, request, connection, objects, current, loaded, context
#   Never: what is asked or answered
#   Holds: a Request that the application has kept is over, and never given to another request

cdef Request pool_spare                # the pooled one
cdef Request pool_taken                # the one that is being answered; a stream goes on without


cdef int pool_open() except -1:
    global pool_spare
    pool_spare = Request()
    return 0


cdef void pool_close() noexcept:
    global pool_spare, pool_taken
    pool_spare = pool_taken = None


cdef Request pool_take(connection_t* c, request_t* r):
    """The pooled Request, or a new one while the pooled one is in use. It is the current one until
    its answer is queued: whatever runs before that runs for it."""
    global pool_spare, pool_taken
    cdef Request req = pool_spare
    if unlikely_(req is None):
        req = Request()
    pool_spare = None
    req.number = stats.requests
    objects_bind(req, c, r)
    pool_taken = req
    current_enter(req)
    return req


cdef inline void pool_give(RequestState req) noexcept:
    """Ends its life. It is used again only if nobody else holds it: whoever kept it finds it over,
    never another request in it."""
    global pool_spare, pool_taken
    pool_release(req)
    if likely_(pool_taken is req):
        pool_taken = None
    if likely_(Py_REFCNT(req) == 1):   # the caller's variable
        if pool_spare is None:
            pool_spare = <Request>req
    else:
        stats.detached_requests += 1


cdef void pool_forget() noexcept:
    global pool_taken
    pool_taken = None


cdef void pool_end() noexcept:
    """Ends the life of the one that is being answered, if there is one."""
    if pool_taken is not None:
        pool_release(pool_taken)
        pool_forget()


cdef void pool_release(RequestState req) noexcept:
    """Its life is over."""
    if req._session is not None:
        loaded_release(req)
    req.r = NULL
    req.connection = NULL
    if req.looked:
        req._path = req._query = req._headers = req._cookies = None
        req._body = req._form = req._files = None
        req._params = None
        req.looked = False
    if req.lines is not None:
        req.lines = None
    if req.type_line is not None:
        req.type_line = None
    req.iterator = None
    req.sent = 0
    req.paged = req.streaming = req.uncompressed = req.guarded = False
    req.keyed = False
