# core/content.pxi — the content of a request as Python objects
#   Prefix: content
#   Owns:  reading a body back, from memory or its file; forms, urlencoded and multipart
#   Uses:  limits, parser, multipart, form, request, objects
#   Never: collecting it; that is over
#   Holds: what is given is a copy, or a window that keeps its source alive


cdef bytes content_body(const request_t* r):
    if r.content != NULL:
        return PyBytes_FromStringAndSize(<const char*>r.content, r.content_size)
    if not r.collecting or r.body.size == 0:
        return b""
    if r.body.spool_fd < 0:
        return PyBytes_FromStringAndSize(<const char*>r.body.block, r.body.size)
    body = PyBytes_FromStringAndSize(NULL, r.body.size)
    content_read_spool(r.body.spool_fd, PyBytes_AS_STRING(body), r.body.size)
    return body


cdef int content_read_spool(int fd, char* into, uint64_t size) except -1:
    cdef uint64_t at = 0
    cdef ssize_t count
    while at < size:
        count = pread(fd, into + at, size - at, at)
        if count < 0 and errno == EINTR:
            continue
        if count <= 0:
            raise OSError(errno, "the spooled body could not be read")
        at += count
    return 0


cdef int content_read_form(RequestState req) except -1:
    """Reads fields and files at once; multipart parts are windows into the body."""
    cdef request_t* r = req.r
    cdef MultiDict form = MultiDict()
    cdef MultiDict files = MultiDict()
    kind = req.content_type.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        body = req.body
        form_parse_urlencoded(<const uint8_t*>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body),
                              limits.form_part_count_max, form)
    elif kind == "multipart/form-data":
        # Reading from the file gives the GIL away: another thread that asks for the form of a
        # streamed request must not lose it to the stream's end meanwhile.
        r.uses += 1
        try:
            content_read_multipart(req, r, form, files)
        finally:
            request_release(r)
    req._form = form
    req._files = files
    req.looked = True
    return 0


cdef int content_read_multipart(RequestState req, request_t* r, MultiDict form,
                                MultiDict files) except -1:
    """A body that came in pieces was scanned on the way; one that came whole is scanned now."""
    cdef multipart_t scanner
    cdef const uint8_t* boundary = NULL
    cdef size_t size = 0
    cdef const field_t* field
    if r.collecting and r.body.incremental:
        body = None if r.body.spool_fd >= 0 else req.body
        form_build_multipart(&r.body.multipart, body, r.body.spool_fd, form, files)
        return 0
    body = req.body
    field = &r.head.fields[r.head.type_index]
    boundary = multipart_boundary(r.data + field.value_start, field.value_size, &size)
    if boundary == NULL or not multipart_open(&scanner, boundary, size):
        raise RequestError(400, "the multipart form names no boundary")
    try:
        multipart_feed(&scanner, <const uint8_t*>PyBytes_AS_STRING(body), PyBytes_GET_SIZE(body))
        multipart_finish(&scanner)
        form_build_multipart(&scanner, body, -1, form, files)
    finally:
        multipart_free(&scanner)
    return 0


cdef str content_parameter(str content_type, str name):
    """The value of a parameter of a media type, "" if it has none."""
    for part in content_type.split(";")[1:]:
        key, equals, value = part.partition("=")
        if equals and key.strip().lower() == name:
            return value.strip().strip('"')
    return ""
