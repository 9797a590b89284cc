# core/response.pxi — what does the head of an answer say?
#   Prefix: response
#   Owns:  status lines, the fields every answer has, the small answers of the engine itself
#   Uses:  limits, clock, scan, output
#   Never: why this status; Python objects on the path of a plain answer
#   Holds: a head that was begun is written whole; 1xx, 204 and 304 have neither body nor length

cdef enum:
    RESPONSE_LENGTH_CHUNKED = -1       # the length is not known: chunked
    RESPONSE_LENGTH_CLOSE = -2         # not known, and the peer is too old: the close ends it
    RESPONSE_LENGTH_NONE = -3          # there can be no body: 1xx, 204, 304
    RESPONSE_PRIVATE_SIZE = 34         # bytes of RESPONSE_PRIVATE
    RESPONSE_FIXED_SIZE = 256          # bytes of a head beside type, extra and identity, at most

cdef struct head_t:
    int status
    const char* type                   # "Content-Type: …\r\n", or NULL
    size_t type_size
    const char* extra                  # further field lines, each with CRLF, or NULL
    size_t extra_size
    int64_t length                     # of the body, or RESPONSE_LENGTH_
    bint close                         # Connection: close
    bint keep_alive                    # Connection: keep-alive, which a 1.0 client wants to hear

# A cache between must not give one visitor's page to another, nor a browser after the logout.
cdef const char* RESPONSE_PRIVATE = b"Cache-Control: private, no-cache\r\n"

cdef struct status_line_t:
    char text[64]                      # "HTTP/1.1 200 OK\r\n"
    uint8_t size

cdef status_line_t response_line[600]  # by status

# RFC 9110 §15, and 428 429 431 451 507 511 of their own RFCs.
cdef dict response_reason = {
    100: "Continue", 101: "Switching Protocols", 103: "Early Hints", 200: "OK", 201: "Created",
    202: "Accepted", 203: "Non-Authoritative Information", 204: "No Content",
    205: "Reset Content", 206: "Partial Content", 207: "Multi-Status", 300: "Multiple Choices",
    301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
    307: "Temporary Redirect", 308: "Permanent Redirect", 400: "Bad Request",
    401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required",
    408: "Request Timeout", 409: "Conflict", 410: "Gone", 411: "Length Required",
    412: "Precondition Failed", 413: "Content Too Large", 414: "URI Too Long",
    415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed",
    418: "I'm a Teapot", 421: "Misdirected Request", 422: "Unprocessable Content",
    423: "Locked", 424: "Failed Dependency", 425: "Too Early", 426: "Upgrade Required",
    428: "Precondition Required", 429: "Too Many Requests",
    431: "Request Header Fields Too Large", 451: "Unavailable For Legal Reasons",
    500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout", 505: "HTTP Version Not Supported",
    507: "Insufficient Storage", 508: "Loop Detected", 511: "Network Authentication Required",
}

cdef enum:                             # ready-made types
    RESPONSE_HTML, RESPONSE_TEXT, RESPONSE_JSON, RESPONSE_BINARY, RESPONSE_TYPE_COUNT

cdef struct type_line_t:
    const char* text                   # the whole line
    size_t size

cdef type_line_t response_type_line[RESPONSE_TYPE_COUNT]


cdef void response_init() noexcept:
    cdef bytes line
    cdef int i
    response_type_line[RESPONSE_HTML].text = b"Content-Type: text/html; charset=utf-8\r\n"
    response_type_line[RESPONSE_TEXT].text = b"Content-Type: text/plain; charset=utf-8\r\n"
    response_type_line[RESPONSE_JSON].text = b"Content-Type: application/json\r\n"
    response_type_line[RESPONSE_BINARY].text = b"Content-Type: application/octet-stream\r\n"
    for i in range(RESPONSE_TYPE_COUNT):
        response_type_line[i].size = strlen(response_type_line[i].text)
    for status in range(100, 600):
        line = f"HTTP/1.1 {status} {response_reason.get(status, '')}\r\n".encode()
        memcpy(response_line[status].text, <const char*>line, len(line))
        response_line[status].size = <uint8_t>len(line)


response_init()


cdef inline size_t response_head_size_max(const head_t* head) noexcept nogil:
    return RESPONSE_FIXED_SIZE + IDENTITY_SIZE_MAX + head.type_size + head.extra_size


cdef inline char* response_put(char* at, const char* text, size_t size) noexcept nogil:
    memcpy(at, text, size)
    return at + size


cdef size_t response_write_head(char* into, const head_t* head) noexcept nogil:
    """Writes the head (response_head_size_max bytes at most) and gives its size."""
    cdef char* at = into
    cdef const status_line_t* line = &response_line[head.status]
    at = response_put(at, line.text, line.size)
    at = response_put(at, clock_lines, clock_lines_size)
    if head.type != NULL:
        at = response_put(at, head.type, head.type_size)
    if head.length >= 0:
        at = response_put(at, b"Content-Length: ", 16)
        at += scan_write_decimal(at, <uint64_t>head.length)
        at = response_put(at, b"\r\n", 2)
    elif head.length == RESPONSE_LENGTH_CHUNKED:
        at = response_put(at, b"Transfer-Encoding: chunked\r\n", 28)
    if unlikely_(head.close):
        at = response_put(at, b"Connection: close\r\n", 19)
    elif unlikely_(head.keep_alive):
        at = response_put(at, b"Connection: keep-alive\r\n", 24)
    if head.extra_size:
        at = response_put(at, head.extra, head.extra_size)
    at = response_put(at, b"\r\n", 2)
    return at - into


cdef inline bint response_has_body(int status) noexcept nogil:
    """RFC 9110 §6.4.1: no content in 1xx, 204 and 304; 205 has none either, but says so."""
    return status >= 200 and status != 204 and status != 304 and status != 205


cdef int response_queue(const head_t* head, const char* body, size_t size) except -1:
    """Queues head and body one behind the other: they leave in one piece."""
    cdef size_t start = output.used
    cdef char* into = output_reserve(response_head_size_max(head) + size)
    cdef size_t head_size = response_write_head(into, head)
    if size:
        memcpy(into + head_size, body, size)
    output_advance(head_size + size)
    output_add_range(start, head_size + size)
    return 0


cdef int response_queue_object(const head_t* head, const char* body, size_t size,
                               PyObject* owner) except -1:
    """Queues a head and a body that stays where it is, in an object."""
    response_queue(head, NULL, 0)
    output_add_object(body, size, owner)
    return 0


cdef int response_queue_rendered(const head_t* head, bint with_body) except -1:
    """Queues what was rendered since output_begin_body; the head goes into the headroom."""
    cdef size_t body_start = output.body_start
    cdef size_t body_size = output.used - body_start
    cdef size_t head_size
    cdef char* into
    output.body_start = 0
    if not with_body:
        output.used = body_start - HEADROOM_SIZE
        return response_queue(head, NULL, 0)
    # Written behind the body first: its size is known only then, and it may exceed the headroom.
    into = output_reserve(response_head_size_max(head))
    head_size = response_write_head(into, head)
    if head_size <= HEADROOM_SIZE:
        memcpy(output.buffer + body_start - head_size, into, head_size)
        output_add_range(body_start - head_size, head_size + body_size)
    else:
        output_add_range(output.used, head_size)
        output_advance(head_size)
        output_add_range(body_start, body_size)
    return 0


cdef inline size_t response_brief_size(int status) noexcept nogil:
    """The size of the line of text: what stands in the status line after "HTTP/1.1 ", less its
    CR."""
    return response_line[status].size - 10


cdef int response_queue_brief(int status, bint with_body) except -1:
    """Queues the engine's own last answer on a connection: a line of text that names the status."""
    cdef head_t head
    cdef const status_line_t* line = &response_line[status]
    cdef char extra[32]
    memset(&head, 0, sizeof(head))
    head.status = status
    head.type = response_type_line[RESPONSE_TEXT].text
    head.type_size = response_type_line[RESPONSE_TEXT].size
    head.close = True
    cdef char text[64]
    cdef size_t size = response_brief_size(status)
    memcpy(text, line.text + 9, size)
    text[size - 1] = c'\n'
    head.length = size
    if status == 503:
        memcpy(extra, b"Retry-After: ", 13)
        head.extra = extra
        head.extra_size = 13 + scan_write_decimal(extra + 13, RETRY_AFTER_S)
        memcpy(extra + head.extra_size, b"\r\n", 2)
        head.extra_size += 2
    return response_queue(&head, text, size if with_body else 0)
