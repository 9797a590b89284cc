# core/deliver.pxi — a public file as the answer to GET or HEAD
#   Owns:  the fields that matter to it; 200, 206, 304, 301, and why it is 406, 412 or 416
#   Uses:  limits, scan, clock, tables, file, output, parser, response, negotiate, precondition,
#          ranges, statics, request, dispatch
#   Never: which resource is meant
#   Holds: a Resource is held as long as its lines are being copied; its body until it has left

cdef enum:
    DELIVER_BOUNDARY_SIZE = 24

cdef enum:                             # fields that may not be there twice
    DELIVER_MODIFIED = 1, DELIVER_UNMODIFIED = 2, DELIVER_RANGE = 4, DELIVER_IF_RANGE = 8

cdef struct asked_t:
    weights_t weights                  # of the codings
    conditions_t conditions
    text_t range
    text_t if_range
    int accept_count                   # lines of Accept-Encoding
    text_t accept
    int seen                           # DELIVER_ bits
    int repeated


cdef int deliver_resource(connection_t* c, request_t* r, head_t* head,
                          Resource resource) except -1:
    """Queues the answer."""
    cdef static_t* file = &resource.file
    cdef representation_t* coded
    cdef asked_t asked
    cdef File opened = None
    cdef int coding, outcome
    if unlikely_(file.kind == STATICS_DISK) and r.head.method == METHOD_GET:
        # Opened before anything is said of it: what it says of itself now is what counts.
        resource, opened, status = deliver_open(resource)
        if opened is None:
            return dispatch_miss(c, r, head, status, NULL)
        file = &resource.file
    deliver_look(r, &asked)
    coding = statics_choose(file, &asked.weights)
    if unlikely_(coding < 0):
        return deliver_miss(c, r, head, 406, b"vary", b"Vary: Accept-Encoding\r\n")
    coded = &file.coded[coding]
    head.status = 200
    head.type = coded.lines
    head.type_size = coded.lines_size
    head.length = <int64_t>coded.size
    if file.expires_s >= 0:
        head.extra = statics_expires_line(file.expires_s)
        head.extra_size = STATICS_EXPIRES_SIZE
    deliver_compare(r, &asked, coded)
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
        dispatch_count(c, r, 200, coded.size)
    else:
        response_queue(head, NULL, 0)
        dispatch_count(c, r, 200, 0)
    return 0


cdef tuple deliver_open(Resource resource):
    """(the resource as it is now, its File, 200); without a File the status is 404 when it has
    gone, and 503 when the host could not open it for now: no descriptors, for one."""
    cdef Resource now
    cdef File opened
    try:
        found = dispatch_host.open_file(resource)
        if found is None:
            return resource, None, 404
        now, opened = found
        if now is None or opened is None:
            raise TypeError("neither a Resource nor a File can be None")
        if now.file.kind != STATICS_DISK or opened.size != now.file.disk_size:
            raise ValueError("the file that was opened is not the resource")
        return now, opened, 200
    except BaseException as problem:
        dispatch_keep_interrupt(problem)
        dispatch_log(1, f"{resource.path}: {type(problem).__name__}: {problem}")
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
    dispatch_count(c, r, 304, 0)
    return 0


cdef int deliver_miss(connection_t* c, request_t* r, head_t* head, int status, bytes name,
                      bytes line) except -1:
    """The host's page for a refusal, with a field line of ours if there is one."""
    head.type = head.extra = NULL
    head.type_size = head.extra_size = 0
    return dispatch_miss_with(c, r, head, status, None if line is None else [(name, line)])


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
    dispatch_count(c, r, 301, 0)
    return 0


# What the request says.


cdef void deliver_look(const request_t* r, asked_t* asked) noexcept nogil:
    """One pass over the field lines: the size of a name rules out nearly all others."""
    cdef const field_t* field
    cdef const uint8_t* name
    cdef uint32_t i
    memset(asked, 0, sizeof(asked_t))
    for i in range(r.head.field_count):
        field = &r.head.fields[i]
        name = r.data + field.name_start
        if field.name_size == 5:
            if request_name_is(name, <const uint8_t*>b"range", 5):
                deliver_note(r, field, &asked.range, asked, DELIVER_RANGE)
        elif field.name_size == 8:
            if request_name_is(name, <const uint8_t*>b"if-match", 8):
                asked.conditions.has_match = True
            elif request_name_is(name, <const uint8_t*>b"if-range", 8):
                deliver_note(r, field, &asked.if_range, asked, DELIVER_IF_RANGE)
        elif field.name_size == 13:
            if request_name_is(name, <const uint8_t*>b"if-none-match", 13):
                asked.conditions.has_none_match = True
        elif field.name_size == 15:
            if request_name_is(name, <const uint8_t*>b"accept-encoding", 15):
                asked.accept.at = r.data + field.value_start
                asked.accept.size = field.value_size
                asked.accept_count += 1
        elif field.name_size == 17:
            if request_name_is(name, <const uint8_t*>b"if-modified-since", 17):
                deliver_note(r, field, &asked.conditions.modified_since, asked, DELIVER_MODIFIED)
        elif field.name_size == 19:
            if request_name_is(name, <const uint8_t*>b"if-unmodified-since", 19):
                deliver_note(r, field, &asked.conditions.unmodified_since, asked,
                             DELIVER_UNMODIFIED)
    deliver_weigh(r, asked)
    if unlikely_(asked.repeated):
        deliver_forget(asked)


cdef inline void deliver_note(const request_t* r, const field_t* field, text_t* text,
                              asked_t* asked, int bit) noexcept nogil:
    text.at = r.data + field.value_start
    text.size = field.value_size
    asked.repeated |= asked.seen & bit
    asked.seen |= bit


cdef void deliver_forget(asked_t* asked) noexcept nogil:
    """A field that cannot be a list and is there twice says nothing; without a sure If-Range there
    is no range either."""
    if asked.repeated & DELIVER_MODIFIED:
        asked.conditions.modified_since.at = NULL
    if asked.repeated & DELIVER_UNMODIFIED:
        asked.conditions.unmodified_since.at = NULL
    if asked.repeated & (DELIVER_RANGE | DELIVER_IF_RANGE):
        asked.range.at = NULL


cdef inline void deliver_weigh(const request_t* r, asked_t* asked) noexcept nogil:
    if asked.accept_count == 0:
        negotiate_none(&asked.weights)
    elif likely_(asked.accept_count == 1):
        negotiate_one(&asked.weights, asked.accept.at, asked.accept.size)
    else:
        deliver_weigh_lines(r, &asked.weights)


cdef void deliver_weigh_lines(const request_t* r, weights_t* weights) noexcept nogil:
    """Several lines of Accept-Encoding are one list."""
    cdef const field_t* field
    cdef uint32_t i
    negotiate_begin(weights)
    for i in range(r.head.field_count):
        field = &r.head.fields[i]
        if field.name_size == 15 and request_name_is(
                r.data + field.name_start, <const uint8_t*>b"accept-encoding", 15):
            negotiate_line(weights, r.data + field.value_start, field.value_size)
    negotiate_end(weights)


cdef inline void deliver_compare(const request_t* r, asked_t* asked,
                                 const representation_t* coded) noexcept nogil:
    """Holds the entity tags of the request against that of the representation."""
    if asked.conditions.has_none_match:
        asked.conditions.none_match_hits = deliver_names(r, b"if-none-match", 13, coded, True)
    if unlikely_(asked.conditions.has_match):
        asked.conditions.match_holds = deliver_names(r, b"if-match", 8, coded, False)


cdef bint deliver_names(const request_t* r, const char* lower, size_t size,
                        const representation_t* coded, bint weak) noexcept nogil:
    """Is the tag in any line of that field?"""
    cdef const field_t* field
    cdef uint32_t i
    for i in range(r.head.field_count):
        field = &r.head.fields[i]
        if field.name_size == size \
                and request_name_is(r.data + field.name_start, <const uint8_t*>lower, size) \
                and precondition_matches(r.data + field.value_start, field.value_size,
                                         coded.etag, coded.etag_size, weak):
            return True
    return False


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
    dispatch_count(c, r, 206, head.length)
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
    dispatch_count(c, r, 206, length)
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
