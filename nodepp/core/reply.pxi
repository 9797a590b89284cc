# core/reply.pxi — what a handler sets on its request for the answer
#   Prefix: reply
#   Owns:  the answer's type and field lines while it is being made; where out() begins
#   Uses:  output, objects, current, headers, answer
#   Never: writing the head
#   Holds: nothing is set any more once the head is settled


cdef int reply_set_type(RequestState req, value) except -1:
    """Sets the answer's Content-Type; "" sends none."""
    if not isinstance(value, str):
        raise TypeError(f"a content type is a str, not {type(value).__name__}")
    reply_check_head(req)
    req.type_line, req.html = answer_type(value)
    req.type = -1
    return 0


cdef int reply_set_line(RequestState req, name, value) except -1:
    """Adds a field line of the answer in place of earlier ones of that name."""
    headers_line(name, value)
    lower = name.lower().encode()
    if req.lines is not None and lower != b"set-cookie":
        req.lines[:] = [entry for entry in req.lines if entry[0] != lower]
    return reply_add_line(req, name, value)


cdef int reply_add_line(RequestState req, name, value) except -1:
    """Adds a field line of the answer beside others of that name."""
    reply_check_head(req)
    line = headers_line(name, value)
    lower = name.lower().encode()
    if lower == b"content-type":
        return reply_set_type(req, value)
    if lower in answer_reserved:
        if lower == b"connection" and value.lower() == "close":
            req.connection.closing = True
            return 0
        raise ValueError(f"{name} is the engine's to set")
    if req.lines is None:
        req.lines = []
    req.lines.append((lower, line))
    return 0


cdef inline int reply_check_head(RequestState req) except -1:
    """RuntimeError once the head has been settled."""
    if req.streaming:
        raise RuntimeError("the head of this answer has been sent: set fields and status "
                           "before the first piece is yielded")
    return 0


cdef int reply_begin_out(RequestState req) except -1:
    """The first out of this answer: the body begins behind its headroom."""
    if req.streaming or current_request != <PyObject*>req:
        raise RuntimeError("out() belongs into the handler, not into the iterator it returned: "
                           "yield the bytes there")
    return output_begin_body()


cdef str reply_uri(str url):
    """The URL with what is no character of one percent-encoded; controls are left for the check
    of field values to refuse."""
    cdef Py_UCS4 character
    for character in url:
        if character > 126 or character in ' "<>\\^`{|}':
            from nodepp.library import library
            quote = library("urllib.parse").quote
            headers_line("Location", quote(url, safe="\0\r\n!#$%&'()*+,/:;=?@[]~"))
            return quote(url, safe="!#$%&'()*+,/:;=?@[]~")
    return url


cdef int reply_forbid_caches(RequestState req) except -1:
    """What depends on who asks is not for a cache between (RFC 9111 §7.3), unless the handler has
    said so; with the cookie of a session in it, whatever he has said."""
    if req.keyed:
        req.lines[:] = [entry for entry in req.lines if b"no-store" in entry[1]
                        or entry[0] not in (b"cache-control", b"expires")]
    if req.lines is not None:
        for name, _ in req.lines:
            if name == b"cache-control":
                return 0
    return reply_add_line(req, "Cache-Control", "private, no-cache")
