# core/statics.pxi — files that lie ready in memory
#   Owns:  static_t: a body and its ready-made field lines
#   Uses:  limits, response
#   Never: the file system; that was read before the first request
#   Holds: a body never changes; the Router that owns it outlives every answer made of it

cdef struct static_t:
    PyObject* body                     # bytes, owned by the Router
    const char* data
    size_t size
    const char* lines                  # Content-Type and what else was handed in
    size_t lines_size


cdef int statics_fill(static_t* file, bytes body, bytes lines) except -1:
    file.body = <PyObject*>body
    file.data = <const char*>body
    file.size = len(body)
    file.lines = <const char*>lines
    file.lines_size = len(lines)
    return 0


cdef int statics_queue(const static_t* file, head_t* head, bint with_body) except -1:
    """Queues the file; `head` says how the connection goes on."""
    head.status = 200
    head.type = file.lines
    head.type_size = file.lines_size
    head.length = <int64_t>file.size
    if not with_body:
        return response_queue(head, NULL, 0)
    if file.size <= COPY_SIZE_MAX:
        return response_queue(head, file.data, file.size)
    return response_queue_object(head, file.data, file.size, file.body)
