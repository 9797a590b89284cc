# core/result.pxi — what a handler returned becomes an answer
#   Prefix: result
#   Owns:  the meaning of each type of result; status, type and field lines into the head
#   Uses:  limits, tables, output, response, request, callbacks, objects, current, answer, reply,
#          personal, finish, pool, compress, later, stream
#   Never: calling the handler, sending
#   Holds: it raises before anything is queued, or the caller rewinds to its mark

cdef enum:                             # outcomes beside 0: queued
    RESULT_PAGE_WANTED = 1             # nothing was said with this status: the host has a page


cdef int result_answer(RequestState req, head_t* head, object result) except -1:
    """Turns a handler's result into an answer, by its type: 0, or RESULT_PAGE_WANTED."""
    if output.body_start and result is not None:
        raise TypeError(f"the handler used out() and returned {type(result).__name__}: "
                        "one of them is the body")
    if PyUnicode_CheckExact(result):
        return result_text(req, head, result)
    if result is None:
        return result_rendered(req, head)
    if PyBytes_CheckExact(result):
        return result_bytes(req, head, PyBytes_AS_STRING(result), PyBytes_GET_SIZE(result),
                            result, RESPONSE_BINARY)
    if isinstance(result, (dict, list)):
        return result_json(req, head, result)
    if isinstance(result, Response):
        return result_response(req, head, <Response>result)
    if isinstance(result, tuple):
        if len(result) != 2:
            raise TypeError("a tuple is (status, body), this one has "
                            f"{len(result)} elements")
        if isinstance(result[1], tuple):
            raise TypeError("the body of (status, body) cannot be a tuple")
        req._status = answer_check_status(result[0])
        return result_answer(req, head, result[1])
    return result_other(req, head, result)


cdef int result_other(RequestState req, head_t* head, object result) except -1:
    """The rarer types of result."""
    if type(result) is Later:
        return later_take(req, <Later>result)
    if isinstance(result, str):
        return result_text(req, head, str(result))
    if isinstance(result, (bytes, bytearray, memoryview)):
        result = bytes(result)
        return result_bytes(req, head, PyBytes_AS_STRING(result), PyBytes_GET_SIZE(result),
                            result, RESPONSE_BINARY)
    if isinstance(result, Session):
        return result_json(req, head, dict(result))
    if hasattr(result, "__struct_fields__"):
        return result_json(req, head, result)
    if hasattr(result, "__await__"):
        raise TypeError("the handler returned a coroutine: handlers are plain functions")
    if hasattr(result, "__iter__"):
        return stream_answer(req, head, iter(result))
    raise TypeError(f"a handler cannot answer with {type(result).__name__}")


cdef int result_text(RequestState req, head_t* head, str text) except -1:
    """ASCII is sent from the str's own bytes; other text is encoded first."""
    if likely_(PyUnicode_IS_COMPACT_ASCII(text)):
        return result_bytes(req, head, <const char*>PyUnicode_DATA(text),
                            PyUnicode_GET_LENGTH(text), text, RESPONSE_HTML)
    encoded = text.encode()
    return result_bytes(req, head, PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded),
                        encoded, RESPONSE_HTML)


cdef int result_json(RequestState req, head_t* head, object value) except -1:
    encoded = callback_json_encode(value)
    if unlikely_(not PyBytes_CheckExact(encoded)):
        encoded = bytes(memoryview(encoded))
    if unlikely_(not callback_json_settled):
        callback_settle_json()
    return result_bytes(req, head, PyBytes_AS_STRING(encoded), PyBytes_GET_SIZE(encoded),
                        encoded, RESPONSE_JSON)


cdef int result_response(RequestState req, head_t* head, Response answer) except -1:
    """Moves a Response's parts to the request and answers with its body."""
    req._status = answer._status
    if answer.content_type is not None:
        reply_set_type(req, answer.content_type)
    if answer.lines is not None:
        # What the request had under a name gives way to all that the Response has under it.
        names = {name.lower().encode() for name, _ in answer.lines} - {b"set-cookie"}
        if req.lines is not None:
            req.lines[:] = [entry for entry in req.lines if entry[0] not in names]
        for name, value in answer.lines:
            reply_add_line(req, name, value)
    if isinstance(answer.body, (Response, tuple)):
        raise TypeError(f"the body of a Response cannot be a {type(answer.body).__name__}")
    return result_answer(req, head, b"" if answer.body is None else answer.body)


cdef int result_bytes(RequestState req, head_t* head, const char* body, size_t size, object owner,
                      int type_of_result) except -1:
    """Queues a body whose length is known."""
    cdef bytes coded
    if unlikely_(output.body_start):   # by an object that was being encoded
        raise RuntimeError("out() was called after the handler had returned its result")
    if unlikely_(<int64_t>size >= compress_threshold) \
            and compress_wanted(req, type_of_result):
        coded = compress_body(req, owner if PyBytes_CheckExact(owner)
                              else PyBytes_FromStringAndSize(body, size), size)
        if coded is not None:
            body = PyBytes_AS_STRING(coded)
            size = PyBytes_GET_SIZE(coded)
            owner = coded
    extra = finish_head(req, head, type_of_result,
                        size > 0 and response_has_body(req._status))
    cdef bint with_body = req.r.head.method != METHOD_HEAD
    if unlikely_(not response_has_body(head.status)):
        head.length = 0 if head.status == 205 else RESPONSE_LENGTH_NONE
        size = 0
    else:
        head.length = <int64_t>size
    if not with_body:
        size = 0
    req.sent = size
    if size <= COPY_SIZE_MAX:
        return response_queue(head, body, size)
    return response_queue_object(head, body, size, <PyObject*>owner)


cdef int result_rendered(RequestState req, head_t* head) except -1:
    """Queues what out() has written; nothing written and an error status: the page for it."""
    cdef size_t size
    if output.body_start == 0:
        if req._status >= 400 and not req.paged:
            return RESULT_PAGE_WANTED
        return result_bytes(req, head, NULL, 0, None, RESPONSE_HTML)
    size = output.used - output.body_start
    if unlikely_(<int64_t>size >= compress_threshold) \
            and compress_wanted(req, RESPONSE_HTML):
        result_compress_rendered(req, size)
        size = output.used - output.body_start
    extra = finish_head(req, head, RESPONSE_HTML, size > 0)
    cdef bint with_body = req.r.head.method != METHOD_HEAD
    head.length = <int64_t>size
    if not response_has_body(head.status):
        head.length = 0 if head.status == 205 else RESPONSE_LENGTH_NONE
        with_body = False
    req.sent = size if with_body else 0
    return response_queue_rendered(head, with_body)


cdef int result_compress_rendered(RequestState req, size_t size) except -1:
    """What out() has written gives way to its shorter form."""
    cdef bytes coded = compress_body(
        req, PyBytes_FromStringAndSize(output.buffer + output.body_start, size), size)
    if coded is not None:
        memcpy(output.buffer + output.body_start, PyBytes_AS_STRING(coded), len(coded))
        output.used = output.body_start + len(coded)
    return 0


cdef int result_end(connection_t* c, request_t* r, RequestState req, head_t* head) except -1:
    """After the answer was queued: ends the Request, unless it waits or goes on as a stream."""
    current_leave(NULL)
    if req.iterator is not None:
        pool_forget()
        if type(req.iterator) is Later:
            return later_park(c, r, req)
        return stream_begin(c, r, req)
    finish_count(c, r, head.status, req.sent)
    pool_give(req)
    return 0
