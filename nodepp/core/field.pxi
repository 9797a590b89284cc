# core/field.pxi — which field lines rule the message itself?
#   Prefix: field
#   Owns:  Host, Content-Length, Transfer-Encoding, Connection, Expect: what they say, once
#   Uses:  limits, scan, parser, target
#   Never: fields that only the application reads
#   Holds: a repeated or doubtful framing field is refused where it stands, never chosen from

cdef uint8_t field_host_text[64]       # the Host that was found valid last
cdef size_t field_host_size


cdef int field_note(parser_t* p, const uint8_t* data, const field_t* field) noexcept nogil:
    """Looks at a field line that is complete. PARSER_GO, or PARSER_BAD with a status."""
    cdef const uint8_t* name = data + field.name_start
    cdef const uint8_t* value = data + field.value_start
    # A switch on the size leaves at most one comparison for nearly all fields.
    if field.name_size == 4:
        if scan_equal_lower(name, b"host", 4):
            return field_host(p, field, value)
    elif field.name_size == 6:
        if scan_equal_lower(name, b"expect", 6):
            field_expect(p, value, value + field.value_size)
        elif scan_equal_lower(name, b"cookie", 6):
            p.said |= SAID_COOKIE
    elif field.name_size == 10:
        if scan_equal_lower(name, b"connection", 10):
            field_connection(p, value, value + field.value_size)
    elif field.name_size == 12:
        if scan_equal_lower(name, b"content-type", 12):
            return field_content_type(p, field, value)
    elif field.name_size == 14:
        if scan_equal_lower(name, b"content-length", 14):
            return field_content_length(p, value, value + field.value_size)
    elif field.name_size == 17:
        if scan_equal_lower(name, b"transfer-encoding", 17):
            field_transfer_encoding(p, value, value + field.value_size)
    return PARSER_GO


cdef int field_host(parser_t* p, const field_t* field, const uint8_t* value) noexcept nogil:
    global field_host_size
    # RFC 9112 §3.2: more than one, or one with an invalid value: 400.
    if p.said & SAID_HOST:
        return parser_refuse(p, 400)
    # Fast path: removing it changes no answer. A server is called by few names.
    if field.value_size != field_host_size or field.value_size == 0 \
            or memcmp(value, field_host_text, field.value_size) != 0:
        if not target_authority(value, field.value_size):
            return parser_refuse(p, 400)
        if field.value_size <= sizeof(field_host_text):
            memcpy(field_host_text, value, field.value_size)
            field_host_size = field.value_size
    p.said |= SAID_HOST
    if not p.absolute:
        p.host_start = field.value_start
        p.host_size = field.value_size
    return PARSER_GO


cdef int field_content_length(parser_t* p, const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Content-Length = 1*DIGIT. A second one, or a list, is refused even when equal: RFC 9112
    §6.3 leaves the choice, and two readers of one message must not differ."""
    cdef uint64_t length = 0
    cdef size_t digit_count = end - at
    if p.said & SAID_LENGTH or at == end:
        return parser_refuse(p, 400)
    p.said |= SAID_LENGTH
    while at < end:
        if not scan_class[at[0]] & SCAN_DIGIT:
            return parser_refuse(p, 400)
        length = length * 10 + at[0] - 48
        at += 1
    # More digits than 64 bits hold are beyond every limit; so are zeros without end, which other
    # readers refuse.
    p.content_length = length if digit_count <= LENGTH_DIGIT_MAX else <uint64_t>-1
    return PARSER_GO


cdef void field_transfer_encoding(parser_t* p, const uint8_t* at,
                                  const uint8_t* end) noexcept nogil:
    """Takes each coding of the list; what it comes to is judged when the head is complete."""
    cdef const uint8_t* begin
    while p.coding != CODING_BAD:
        while at < end and (at[0] == c' ' or at[0] == c'\t'):
            at += 1
        begin = at
        at = scan_run(at, end, SCAN_TOKEN)
        if at == begin:
            p.coding = CODING_BAD          # empty, or an empty element
            return
        if p.coding == CODING_CHUNKED or p.coding == CODING_OTHER_CHUNKED:
            p.coding = CODING_BAD          # something after chunked, or chunked twice
            return
        if at - begin == 7 and scan_equal_lower(begin, b"chunked", 7):
            p.coding = CODING_OTHER_CHUNKED if p.coding == CODING_OTHER else CODING_CHUNKED
        else:
            p.coding = CODING_OTHER
            at = field_skip_parameters(at, end)
        while at < end and (at[0] == c' ' or at[0] == c'\t'):
            at += 1
        if at == end:
            return
        if at[0] != c',':
            p.coding = CODING_BAD          # parameters of chunked, or plain nonsense
            return
        at += 1


cdef const uint8_t* field_skip_parameters(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Over `;name=value` of a coding that will be refused with 501 anyway."""
    while at < end and at[0] != c',':
        at += 1
    return at


cdef void field_connection(parser_t* p, const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Connection = #token, of which we know close and keep-alive."""
    cdef const uint8_t* begin
    while at < end:
        begin = at
        at = scan_run(at, end, SCAN_TOKEN)
        if at - begin == 5 and scan_equal_lower(begin, b"close", 5):
            p.said |= SAID_CLOSE
        elif at - begin == 10 and scan_equal_lower(begin, b"keep-alive", 10):
            p.said |= SAID_KEEP_ALIVE
        if at == begin:
            at += 1                        # a comma, a blank, or what a list should not hold


cdef void field_expect(parser_t* p, const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Expect = #expectation; 100-continue is the only one there is, RFC 9110 §10.1.1."""
    cdef const uint8_t* begin
    while at < end:
        begin = at
        while at < end and at[0] != c',':
            at += 1
        if field_is_continue(begin, at):
            p.said |= SAID_CONTINUE
        else:
            p.said |= SAID_EXPECT_UNKNOWN
        at += 1


cdef bint field_is_continue(const uint8_t* at, const uint8_t* end) noexcept nogil:
    while at < end and (at[0] == c' ' or at[0] == c'\t'):
        at += 1
    while end > at and ((end - 1)[0] == c' ' or (end - 1)[0] == c'\t'):
        end -= 1
    return end - at == 12 and scan_equal_lower(at, b"100-continue", 12)


cdef int field_content_type(parser_t* p, const field_t* field, const uint8_t* value) noexcept nogil:
    # Two of them would be two readings of the body (gunicorn#3366).
    if p.said & SAID_TYPE:
        return parser_refuse(p, 400)
    p.said |= SAID_TYPE
    p.type_index = <uint8_t>(p.field_count - 1)
    if field.value_size > 20 and scan_equal_lower(value, b"multipart/form-data", 19):
        p.said |= SAID_MULTIPART
    return PARSER_GO
