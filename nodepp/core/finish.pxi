# core/finish.pxi — what the answers of handlers have in common
#   Prefix: finish
#   Owns:  status, type and field lines into the head; private caching; booking an answer
#   Uses:  limits, tables, response, request, accesslog, connection, objects, reply, settle
#   Never: the body
#   Holds: a head that has been settled is not settled again


cdef inline bytes finish_head(RequestState req, head_t* head, int type_of_result,
                              bint has_content):
    """Status, type and further lines. Gives the bytes that head.extra points into."""
    cdef bytes extra = None
    if unlikely_(req._session is not None) and not req.streaming:
        settle_request(req)
    head.status = req._status
    head.close = req.connection.closing
    if unlikely_(req.type < 0):
        head.type = PyBytes_AS_STRING(req.type_line)
        head.type_size = PyBytes_GET_SIZE(req.type_line)
    elif has_content:
        head.type = response_type_line[type_of_result].text
        head.type_size = response_type_line[type_of_result].size
    if unlikely_(req._session is not None or req.guarded) and not req.streaming:
        if req.lines is not None:
            reply_forbid_caches(req)
        else:
            head.extra = RESPONSE_PRIVATE
            head.extra_size = RESPONSE_PRIVATE_SIZE
    if unlikely_(req.lines is not None):
        extra = b"".join([line for _, line in req.lines])
        head.extra = PyBytes_AS_STRING(extra)
        head.extra_size = PyBytes_GET_SIZE(extra)
    return extra


cdef void finish_count(const connection_t* c, const request_t* r, int status,
                       uint64_t size) noexcept:
    """Books an answer that has been made."""
    stats.status_class[status // 100] += 1
    if unlikely_(accesslog_kind != ACCESSLOG_OFF):
        accesslog_write(c, r, status, size, stats.requests)
