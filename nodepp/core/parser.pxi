# core/parser.pxi — what does the client ask?
#   Prefix: parser
#   Owns:  request line and field lines, RFC 9112 §2 to §5: one pass, resumed where it stopped
#   Uses:  limits, scan, target, field
#   Never: a file descriptor, a clock, a Python object, a byte at or past `size`
#   Holds: what was accepted does not depend on the pieces in which it came

# message   = *( CRLF ) request-line *( field-line CRLF ) CRLF
# request-line = method SP request-target SP HTTP-version CRLF
# field-line   = token ":" OWS field-value OWS

cdef enum:                             # outcomes
    PARSER_GO              # this state is done, the next one may have bytes
    PARSER_INCOMPLETE      # all bytes are used up
    PARSER_COMPLETE        # the head ends before `position`
    PARSER_BAD             # refuse with `status` and close

cdef enum:
    PARSER_START, PARSER_METHOD, PARSER_TARGET, PARSER_VERSION, PARSER_VERSION_LF
    PARSER_FIELD_START, PARSER_FIELD_NAME, PARSER_VALUE_START, PARSER_VALUE, PARSER_VALUE_LF
    PARSER_END_LF

cpdef enum:                # Python code that registers routes uses them too
    METHOD_GET = 1, METHOD_HEAD = 2, METHOD_POST = 4, METHOD_PUT = 8, METHOD_DELETE = 16
    METHOD_OPTIONS = 32, METHOD_PATCH = 64

cdef enum:                 # and those that nobody can register for
    METHOD_CONNECT = 128, METHOD_UNKNOWN = 256

cdef enum:                 # what the fields said, one bit each
    SAID_HOST = 1, SAID_LENGTH = 2, SAID_CLOSE = 4, SAID_KEEP_ALIVE = 8, SAID_CONTINUE = 16
    SAID_EXPECT_UNKNOWN = 32, SAID_MULTIPART = 64, SAID_COOKIE = 128, SAID_TYPE = 256

cdef enum:                 # Transfer-Encoding so far, all its lines taken as one list
    CODING_NONE, CODING_CHUNKED, CODING_OTHER, CODING_OTHER_CHUNKED, CODING_BAD

cdef struct field_t:       # 8 bytes a field line; offsets count from the first byte of the head
    uint16_t name_start
    uint16_t name_size
    uint16_t value_start
    uint16_t value_size

cdef struct parser_t:
    uint32_t position      # the byte to look at next
    uint32_t mark          # where the part that is being read began
    uint16_t status        # of a refusal
    uint16_t method        # one METHOD_ bit
    uint8_t state
    uint8_t leading        # empty lines before the request line
    uint8_t minor          # 0 or more of HTTP/1.x
    uint8_t coding         # CODING_
    uint8_t type_index     # which field is Content-Type, if SAID_TYPE
    uint16_t said          # SAID_ bits
    uint16_t field_count
    bint path_escaped      # the path has percent-encodings
    bint absolute          # the target brought its own authority
    bint secured           # and names https
    uint16_t method_start, method_size
    uint16_t target_start, target_size
    uint16_t path_start, path_size
    uint16_t query_start, query_size     # query_start 0: there is no "?"
    uint16_t host_start, host_size
    uint64_t content_length
    field_t fields[FIELD_COUNT_CEILING]  # last: a reset does not touch it


cdef inline void parser_reset(parser_t* p) noexcept nogil:
    memset(p, 0, sizeof(parser_t) - sizeof(p.fields))


cdef int parser_run(parser_t* p, const uint8_t* data, size_t size) noexcept nogil:
    """Reads on in the head that begins at `data`, of which `size` bytes have arrived."""
    cdef int outcome = PARSER_GO
    cdef uint32_t visible = <uint32_t>size
    if size > limits.head_size_max:
        visible = limits.head_size_max
    while outcome == PARSER_GO:
        if p.state == PARSER_FIELD_START:
            outcome = parser_field_start(p, data, visible)
        elif p.state == PARSER_FIELD_NAME:
            outcome = parser_field_name(p, data, visible)
        elif p.state == PARSER_VALUE_START:
            outcome = parser_value_start(p, data, visible)
        elif p.state == PARSER_VALUE:
            outcome = parser_value(p, data, visible)
        elif p.state == PARSER_VALUE_LF:
            outcome = parser_line_feed(p, data, visible, PARSER_FIELD_START)
        elif p.state == PARSER_START:
            outcome = parser_start(p, data, visible)
        elif p.state == PARSER_METHOD:
            outcome = parser_method(p, data, visible)
        elif p.state == PARSER_TARGET:
            outcome = parser_target(p, data, visible)
        elif p.state == PARSER_VERSION:
            outcome = parser_version(p, data, visible)
        elif p.state == PARSER_VERSION_LF:
            outcome = parser_version_end(p, data, visible)
        else:
            outcome = parser_line_feed(p, data, visible, PARSER_END_LF)
            if outcome == PARSER_GO:
                outcome = parser_finish(p, data)
    if outcome == PARSER_INCOMPLETE and size > visible:
        return parser_refuse(p, 431)
    return outcome


cdef inline int parser_refuse(parser_t* p, uint16_t status) noexcept nogil:
    p.status = status
    return PARSER_BAD


cdef inline int parser_start(parser_t* p, const uint8_t* data, uint32_t size) noexcept nogil:
    cdef uint8_t byte
    while p.position < size:
        byte = data[p.position]
        if p.mark == 1:                    # the LF of an empty line
            if byte != c'\n':
                return parser_refuse(p, 400)
            p.mark = 0
            p.leading += 1
        elif byte == c'\r':
            # RFC 9112 §2.2: ignore at least one empty line; more than a few is an attack.
            if p.leading >= LEADING_CRLF_MAX:
                return parser_refuse(p, 400)
            p.mark = 1
        else:
            p.method_start = <uint16_t>p.position
            p.state = PARSER_METHOD
            return PARSER_GO
        p.position += 1
    return PARSER_INCOMPLETE


cdef inline int parser_method(parser_t* p, const uint8_t* data, uint32_t size) noexcept nogil:
    cdef const uint8_t* begin = data + p.method_start
    cdef const uint8_t* end = scan_run(data + p.position, data + size, SCAN_TOKEN)
    p.position = <uint32_t>(end - data)
    if end - begin > METHOD_SIZE_MAX:
        return parser_refuse(p, 501)       # RFC 9112 §3: longer than any that we implement
    if p.position == size:
        return PARSER_INCOMPLETE
    if end[0] != c' ' or end == begin:
        return parser_refuse(p, 400)
    p.method_size = <uint16_t>(end - begin)
    p.method = parser_method_bit(begin, p.method_size)
    p.position += 1
    p.target_start = <uint16_t>p.position
    p.state = PARSER_TARGET
    return PARSER_GO


cdef inline uint16_t parser_method_bit(const uint8_t* name, uint16_t size) noexcept nogil:
    # Methods are case-sensitive, RFC 9110 §9.1: "get" is unknown.
    if size == 3:
        if memcmp(name, b"GET", 3) == 0:
            return METHOD_GET
        if memcmp(name, b"PUT", 3) == 0:
            return METHOD_PUT
    elif size == 4:
        if memcmp(name, b"POST", 4) == 0:
            return METHOD_POST
        if memcmp(name, b"HEAD", 4) == 0:
            return METHOD_HEAD
    elif size == 5:
        if memcmp(name, b"PATCH", 5) == 0:
            return METHOD_PATCH
    elif size == 6:
        if memcmp(name, b"DELETE", 6) == 0:
            return METHOD_DELETE
    elif size == 7:
        if memcmp(name, b"OPTIONS", 7) == 0:
            return METHOD_OPTIONS
        if memcmp(name, b"CONNECT", 7) == 0:
            return METHOD_CONNECT
    return METHOD_UNKNOWN


cdef inline int parser_target(parser_t* p, const uint8_t* data, uint32_t size) noexcept nogil:
    """Runs over the target and notes where its path and query are."""
    cdef const uint8_t* at = data + p.position
    cdef const uint8_t* end = data + size
    # Only so many bytes are looked at that the first one too many is met, whole or in pieces.
    cdef const uint8_t* bound = data + p.target_start + limits.target_size_max + 1
    if end > bound:
        end = bound
    while True:
        at = scan_run(at, end, SCAN_QUERY if p.query_start else SCAN_PATH)
        if at == end:
            break
        if at[0] == c'%' and not p.query_start:
            p.path_escaped = True
        elif at[0] == c'?' and not p.query_start:
            p.query_start = <uint16_t>(at + 1 - data)
        else:
            break
        at += 1
    p.position = <uint32_t>(at - data)
    if at - (data + p.target_start) > limits.target_size_max:
        return parser_refuse(p, 414)
    if at == end:
        return PARSER_INCOMPLETE
    if at[0] != c' ':
        return parser_refuse(p, 400)
    p.target_size = <uint16_t>(p.position - p.target_start)
    if p.target_size == 0 or not target_split(p, data):
        return parser_refuse(p, 400)
    p.position += 1
    p.mark = p.position
    p.state = PARSER_VERSION
    return PARSER_GO


cdef inline int parser_version(parser_t* p, const uint8_t* data, uint32_t size) noexcept nogil:
    """HTTP-version = "HTTP/" DIGIT "." DIGIT, then the CR."""
    cdef const char* pattern = b"HTTP/d.d\r"
    cdef uint32_t index
    # Fast path: removing it changes no answer. Nobody says anything else.
    if p.position == p.mark and size - p.position >= 9 \
            and memcmp(data + p.position, b"HTTP/1.1\r", 9) == 0:
        p.position += 9
        p.state = PARSER_VERSION_LF
        return PARSER_GO
    while p.position < size:
        index = p.position - p.mark
        if pattern[index] == c'd':
            if not scan_class[data[p.position]] & SCAN_DIGIT:
                return parser_refuse(p, 400)
        elif data[p.position] != <uint8_t>pattern[index]:
            return parser_refuse(p, 400)
        p.position += 1
        if index == 8:
            p.state = PARSER_VERSION_LF
            return PARSER_GO
    return PARSER_INCOMPLETE


cdef inline int parser_version_end(parser_t* p, const uint8_t* data, uint32_t size) noexcept nogil:
    cdef int outcome = parser_line_feed(p, data, size, PARSER_FIELD_START)
    if outcome != PARSER_GO:
        return outcome
    if data[p.mark + 5] != c'1':
        return parser_refuse(p, 505)
    # RFC 9110 §2.5: a higher minor version is processed as the highest we know.
    p.minor = data[p.mark + 7] - 48
    if data[p.target_start] == c'*' and p.method != METHOD_OPTIONS:
        return parser_refuse(p, 400)
    return PARSER_GO


cdef inline int parser_line_feed(parser_t* p, const uint8_t* data, uint32_t size,
                                 uint8_t next_state) noexcept nogil:
    """After a CR nothing but LF may come: a bare CR is refused, RFC 9112 §2.2."""
    if p.position == size:
        return PARSER_INCOMPLETE
    if data[p.position] != c'\n':
        return parser_refuse(p, 400)
    p.position += 1
    p.state = next_state
    return PARSER_GO


cdef inline int parser_field_start(parser_t* p, const uint8_t* data, uint32_t size) noexcept nogil:
    if p.position == size:
        return PARSER_INCOMPLETE
    if data[p.position] == c'\r':
        p.position += 1
        p.state = PARSER_END_LF
        return PARSER_GO
    # A line that begins with white space (obs-fold, or before the first field) fails as a name.
    if p.field_count >= limits.field_count_max:
        return parser_refuse(p, 431)
    p.fields[p.field_count].name_start = <uint16_t>p.position
    p.state = PARSER_FIELD_NAME
    return PARSER_GO


cdef inline int parser_field_name(parser_t* p, const uint8_t* data, uint32_t size) noexcept nogil:
    cdef field_t* field = &p.fields[p.field_count]
    cdef const uint8_t* end = scan_run(data + p.position, data + size, SCAN_TOKEN)
    p.position = <uint32_t>(end - data)
    if p.position == size:
        return PARSER_INCOMPLETE
    field.name_size = <uint16_t>(p.position - field.name_start)
    if end[0] != c':' or field.name_size == 0:
        return parser_refuse(p, 400)       # also a blank before the colon, RFC 9112 §5.1
    p.position += 1
    p.state = PARSER_VALUE_START
    return PARSER_GO


cdef inline int parser_value_start(parser_t* p, const uint8_t* data, uint32_t size) noexcept nogil:
    while p.position < size and (data[p.position] == c' ' or data[p.position] == c'\t'):
        p.position += 1
    if p.position == size:
        return PARSER_INCOMPLETE
    p.fields[p.field_count].value_start = <uint16_t>p.position
    p.state = PARSER_VALUE
    return PARSER_GO


cdef inline int parser_value(parser_t* p, const uint8_t* data, uint32_t size) noexcept nogil:
    cdef field_t* field = &p.fields[p.field_count]
    cdef const uint8_t* begin = data + field.value_start
    cdef const uint8_t* end = scan_value(data + p.position, data + size)
    p.position = <uint32_t>(end - data)
    if p.position == size:
        return PARSER_INCOMPLETE
    if end[0] != c'\r':
        return parser_refuse(p, 400)       # a control, or a bare LF
    while end > begin and ((end - 1)[0] == c' ' or (end - 1)[0] == c'\t'):
        end -= 1
    field.value_size = <uint16_t>(end - begin)
    p.field_count += 1
    p.position += 1
    p.state = PARSER_VALUE_LF
    return field_note(p, data, field)


cdef int parser_finish(parser_t* p, const uint8_t* data) noexcept nogil:
    """The whole head is here: does it hang together? 400 first, then what is merely unwelcome."""
    cdef bint newer = p.minor >= 1
    if newer and not p.said & SAID_HOST:
        return parser_refuse(p, 400)       # RFC 9112 §3.2
    if p.coding != CODING_NONE:
        # RFC 9112 §6.1: under 1.0 the framing is faulty; with a length it is an attack.
        if not newer or p.said & SAID_LENGTH:
            return parser_refuse(p, 400)
        # RFC 9112 §6.3: chunked is not the last coding: the length cannot be known.
        if p.coding == CODING_BAD or p.coding == CODING_OTHER:
            return parser_refuse(p, 400)
        if p.coding == CODING_OTHER_CHUNKED:
            return parser_refuse(p, 501)
    if p.method >= METHOD_CONNECT:
        return parser_refuse(p, 501)       # RFC 9110 §9.1
    if p.secured:
        return parser_refuse(p, 421)       # RFC 9110 §7.4: https over a connection that is not
    if p.said & SAID_EXPECT_UNKNOWN and newer:
        return parser_refuse(p, 417)
    if p.said & SAID_LENGTH and p.content_length > limits.payload_size_max:
        return parser_refuse(p, 413)
    return PARSER_COMPLETE


cdef inline bint parser_keep_alive(const parser_t* p) noexcept nogil:
    """RFC 9112 §9.3: may another request follow on this connection?"""
    if p.said & SAID_CLOSE:
        return False
    return p.minor >= 1 or p.said & SAID_KEEP_ALIVE != 0
