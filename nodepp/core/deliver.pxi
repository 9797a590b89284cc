# core/deliver.pxi — a public file as the answer to GET or HEAD
#   Prefix: deliver
#   Owns:  200, 206, 304, 301, and why it is 406, 412 or 416
#   Uses:  limits, scan, clock, tables, file, output, response, precondition, ranges, statics,
#          request, callbacks, current, finish, asked, failure, telling
#   Never: which resource is meant
#   Holds: a Resource is held as long as its lines are being copied; its body until it has left

cdef enum:
    DELIVER_BOUNDARY_SIZE = 24


cdef int deliver_resource(connection_t* c, request_t* r, head_t* head,
                          Resource resource) except -1:
    """Queues the answer."""
    cdef static_t* file = &resource.file
    cdef representation_t* coded
    cdef representation_t guarded
    cdef asked_t asked
    cdef File opened = None
    cdef int coding, outcome
    if unlikely_(file.kind == STATICS_DISK) and r.head.method == METHOD_GET:
        # Opened before anything is said of it: what it says of itself now is what counts.
        resource, opened, status = deliver_open(resource)
        if opened is None:
            return failure_miss(c, r, head, status, NULL)
        file = &resource.file
    asked_look(r, &asked)
    coding = statics_choose(file, &asked.weights)
    if unlikely_(coding < 0):
        return deliver_miss(c, r, head, 406, b"vary", b"Vary: Accept-Encoding\r\n")
    coded = &file.coded[coding]
    if unlikely_(current_guarded):        # not for everybody: not for a cache either
        guarded = coded[0]
        guarded.lines_size -= guarded.cache_size
        coded = &guarded
        head.extra = RESPONSE_PRIVATE
        head.extra_size = RESPONSE_PRIVATE_SIZE
    head.status = 200
    head.type = coded.lines
    head.type_size = coded.lines_size
    head.length = <int64_t>coded.size
    if file.expires_s >= 0 and not current_guarded:
        head.extra = statics_expires_line(file.expires_s)
        head.extra_size = STATICS_EXPIRES_SIZE
    asked_compare(r, &asked, coded)
    outcome = precondition_judge(&asked.conditions, coded.etag, coded.etag_size,
                                 file.modified_s, clock_wall_s)
    if outcome == PRECONDITION_NOT_MODIFIED:
        return deliver_not_modified(c, r, head, coded)
    if unlikely_(outcome == PRECONDITION_FAILED):
        return deliver_miss(c, r, head, 412, b"vary",
                            b"Vary: Accept-Encoding\r\n" if file.varies else None)
    if unlikely_(asked.range.at != NULL) and r.head.method == METHOD_GET:
        if deliver_ranges(c, r, head, resource, coded, opened, &asked):
            return 0
    if r.head.method == METHOD_GET:
        deliver_queue(head, coded, opened, 0, coded.size)
        finish_count(c, r, 200, coded.size)
    else:
        response_queue(head, NULL, 0)
        finish_count(c, r, 200, 0)
    return 0


cdef tuple deliver_open(Resource resource):
    """(the resource as it is now, its File, 200); without a File the status is 404 when it has
    gone, and 503 when the host could not open it for now: no descriptors, for one."""
    cdef Resource now
    cdef File opened
    try:
        found = callback_host.open_file(resource)
        if found is None:
            return resource, None, 404
        now, opened = found
        if now is None or opened is None:
            raise TypeError("neither a Resource nor a File can be None")
        if now.file.kind != STATICS_DISK or opened.size != now.file.disk_size:
            raise ValueError("the file that was opened is not the resource")
        if now is not resource:
            clock_update()             # it may be newer than this turn: RFC 9110 §8.8.2.1
        return now, opened, 200
    except BaseException as problem:
        callback_keep(problem)
        telling_of_file(resource.path, problem)
    return resource, None, 503


cdef int deliver_queue(const head_t* head, const representation_t* coded, File opened,
                       uint64_t first, uint64_t size) except -1:
    """Queues a head and a share of the body: copied behind it when it is short."""
    if unlikely_(opened is not None):
        response_queue(head, NULL, 0)
        if size:
            output_add_file(opened, first, size)
        return 0
    if size <= COPY_SIZE_MAX:
        return response_queue(head, coded.data + first, size)
    return response_queue_object(head, coded.data + first, size, coded.body)


cdef int deliver_not_modified(connection_t* c, request_t* r, head_t* head,
                              const representation_t* coded) except -1:
    """RFC 9110 §15.4.5: what a 200 would have said of caching, and no more."""
    head.status = 304
    head.type = coded.lines + coded.kept_start
    head.type_size = coded.lines_size - coded.kept_start
    head.length = RESPONSE_LENGTH_NONE
    response_queue(head, NULL, 0)
    finish_count(c, r, 304, 0)
    return 0


cdef int deliver_miss(connection_t* c, request_t* r, head_t* head, int status, bytes name,
                      bytes line) except -1:
    """The host's page for a refusal, with a field line of ours if there is one."""
    head.type = head.extra = NULL
    head.type_size = head.extra_size = 0
    return failure_miss_with(c, r, head, status, None if line is None else [(name, line)])


cdef int deliver_redirect(connection_t* c, request_t* r, head_t* head,
                          Resource resource) except -1:
    """A folder was asked for without its slash: relative links of its page would lead astray."""
    cdef bytes line = b"Location: " + resource.location.encode("ascii")
    if r.head.query_start:
        line += b"?" + (<const char*>r.data)[r.head.query_start:r.head.query_start
                                             + r.head.query_size]
    line += b"\r\n"
    head.status = 301
    head.length = 0
    head.extra = PyBytes_AS_STRING(line)
    head.extra_size = PyBytes_GET_SIZE(line)
    response_queue(head, NULL, 0)
    finish_count(c, r, 301, 0)
    return 0


# Parts of it.


cdef bint deliver_ranges(connection_t* c, request_t* r, head_t* head, Resource resource,
                         const representation_t* coded, File opened,
                         const asked_t* asked) except -1:
    """Answers with the ranges; False: the whole is to be sent."""
    cdef range_t ranges[RANGES_MAX + 1]
    cdef int count
    if asked.if_range.at != NULL and not precondition_range_holds(
            &asked.if_range, coded.etag, coded.etag_size, resource.file.modified_s, clock_wall_s):
        return False
    count = ranges_read(asked.range.at, asked.range.size, coded.size, ranges)
    if count == RANGES_WHOLE:
        return False
    if count == RANGES_UNSATISFIABLE:
        line = b"Content-Range: bytes */%d\r\n" % coded.size
        if resource.file.varies:
            line += b"Vary: Accept-Encoding\r\n"
        deliver_miss(c, r, head, 416, b"content-range", line)
        return True
    if count == 1:
        deliver_range(c, r, head, coded, opened, &ranges[0])
    else:
        deliver_multipart(c, r, head, coded, opened, ranges, count)
    return True


cdef int deliver_range(connection_t* c, request_t* r, head_t* head,
                       const representation_t* coded, File opened, const range_t* part) except -1:
    cdef char lines[STATICS_EXPIRES_SIZE + 100]
    cdef size_t size = head.extra_size
    if size:
        memcpy(lines, head.extra, size)
    size += deliver_content_range(lines + size, part, coded.size)
    head.status = 206
    head.extra = lines
    head.extra_size = size
    head.length = <int64_t>(part.last - part.first + 1)
    deliver_queue(head, coded, opened, part.first, head.length)
    finish_count(c, r, 206, head.length)
    return 0


cdef size_t deliver_content_range(char* into, const range_t* part, uint64_t size) noexcept nogil:
    """Content-Range: bytes first-last/size CRLF; 85 bytes at most."""
    cdef char* at = response_put(into, b"Content-Range: bytes ", 21)
    at += scan_write_decimal(at, part.first)
    at = response_put(at, b"-", 1)
    at += scan_write_decimal(at, part.last)
    at = response_put(at, b"/", 1)
    at += scan_write_decimal(at, size)
    at = response_put(at, b"\r\n", 2)
    return at - into


cdef int deliver_multipart(connection_t* c, request_t* r, head_t* head,
                           const representation_t* coded, File opened, const range_t* ranges,
                           int count) except -1:
    """multipart/byteranges, RFC 9110 §14.6: each part with its type and its place."""
    cdef bytes boundary = deliver_make_boundary()
    cdef bytes tail = b"\r\n--" + boundary + b"--\r\n"
    cdef uint64_t length = PyBytes_GET_SIZE(tail)
    cdef bytes lines
    cdef int i
    heads = []
    for i in range(count):
        heads.append(deliver_part_head(boundary, coded, &ranges[i]))
        length += len(heads[i]) + ranges[i].last - ranges[i].first + 1
    lines = b"Content-Type: multipart/byteranges; boundary=" + boundary + b"\r\n" \
        + coded.lines[coded.type_size:coded.lines_size]
    head.status = 206
    head.type = PyBytes_AS_STRING(lines)
    head.type_size = PyBytes_GET_SIZE(lines)
    head.length = <int64_t>length
    response_queue(head, NULL, 0)
    for i in range(count):
        deliver_text(heads[i])
        deliver_part(coded, opened, &ranges[i])
    deliver_text(tail)
    finish_count(c, r, 206, length)
    return 0


cdef bytes deliver_part_head(bytes boundary, const representation_t* coded, const range_t* part):
    cdef char place[100]
    cdef size_t size = deliver_content_range(place, part, coded.size)
    return b"\r\n--" + boundary + b"\r\n" + coded.lines[:coded.type_size] + place[:size] + b"\r\n"


cdef int deliver_part(const representation_t* coded, File opened, const range_t* part) except -1:
    cdef uint64_t size = part.last - part.first + 1
    cdef size_t start
    if opened is not None:
        output_add_file(opened, part.first, size)
    elif size > COPY_SIZE_MAX:
        output_add_object(coded.data + part.first, size, coded.body)
    else:
        start = output.used
        output_append(coded.data + part.first, size)
        output_add_range(start, size)
    return 0


cdef int deliver_text(bytes text) except -1:
    cdef size_t start = output.used
    output_append(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    output_add_range(start, PyBytes_GET_SIZE(text))
    return 0


cdef bytes deliver_make_boundary():
    """Random each time: who can put text into a file must not know what would end a part."""
    from os import urandom
    return urandom(DELIVER_BOUNDARY_SIZE // 2).hex().encode()
