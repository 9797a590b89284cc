# core/chunk.pxi — where does a chunked body end, and what is in it?
#   Prefix: chunk
#   Owns:  the chunked coding of RFC 9112 §7.1, byte by byte, with its extensions and trailers
#   Uses:  limits, scan
#   Never: where the content goes
#   Holds: a grammar that is not met to the letter is refused: here requests are smuggled

# chunk      = chunk-size *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted ) ] ) CRLF data CRLF
# last-chunk = 1*"0" [ extensions ] CRLF, then trailer fields, then CRLF

cdef enum:                             # outcomes
    CHUNK_INCOMPLETE                   # all bytes are used up
    CHUNK_DATA                         # `span` is content; call again
    CHUNK_COMPLETE                     # the body has ended
    CHUNK_BAD                          # refuse with `status` and close

cdef enum:
    CHUNK_SIZE, CHUNK_EXT_SPACE, CHUNK_EXT_NAME_START, CHUNK_EXT_NAME, CHUNK_EXT_EQUALS
    CHUNK_EXT_VALUE_START, CHUNK_EXT_VALUE, CHUNK_EXT_QUOTED, CHUNK_EXT_ESCAPED, CHUNK_EXT_AFTER
    CHUNK_SIZE_LF, CHUNK_CONTENT, CHUNK_CONTENT_CR, CHUNK_CONTENT_LF
    CHUNK_TRAILER_START, CHUNK_TRAILER_NAME, CHUNK_TRAILER_VALUE, CHUNK_TRAILER_LF, CHUNK_END_LF

cdef struct chunk_t:
    uint64_t remaining                 # of this chunk's data
    uint64_t total                     # of all chunks announced so far
    uint16_t status                    # of a refusal
    uint8_t state
    uint8_t digits                     # of the size
    uint16_t line_size                 # bytes of the size line
    uint16_t trailer_count
    uint32_t trailer_size              # bytes
    uint8_t name_size                  # of the trailer's name, as far as `name` has room
    char name[18]                      # lower case


cdef int chunk_next(chunk_t* chunk, const uint8_t** at, const uint8_t* end,
                    const uint8_t** span, size_t* span_size) noexcept nogil:
    """Reads on at `*at`, which moves. CHUNK_DATA gives one run of content at a time."""
    cdef int outcome
    while at[0] < end:
        if chunk.state == CHUNK_CONTENT:
            span[0] = at[0]
            span_size[0] = <size_t>(end - at[0])
            if span_size[0] > chunk.remaining:
                span_size[0] = chunk.remaining
            at[0] += span_size[0]
            chunk.remaining -= span_size[0]
            if chunk.remaining == 0:
                chunk.state = CHUNK_CONTENT_CR
            return CHUNK_DATA
        if chunk.state >= CHUNK_TRAILER_START:
            outcome = chunk_trailer(chunk, at[0][0])
        elif chunk.state >= CHUNK_SIZE_LF:
            outcome = chunk_line_end(chunk, at[0][0])
        elif chunk.state == CHUNK_SIZE:
            outcome = chunk_size(chunk, at[0][0])
        else:
            outcome = chunk_extension(chunk, at[0][0])
        at[0] += 1
        if outcome != CHUNK_INCOMPLETE:
            return outcome
    return CHUNK_INCOMPLETE


cdef inline int chunk_refuse(chunk_t* chunk, uint16_t status) noexcept nogil:
    chunk.status = status
    return CHUNK_BAD


cdef inline int chunk_size(chunk_t* chunk, uint8_t byte) noexcept nogil:
    """1*HEXDIG: no sign, no "0x", no blank in front."""
    if scan_class[byte] & SCAN_HEX:
        if chunk.digits == CHUNK_DIGIT_MAX:
            return chunk_refuse(chunk, 400)
        chunk.digits += 1
        chunk.remaining = chunk.remaining << 4 | scan_nibble[byte]
        return CHUNK_INCOMPLETE
    if chunk.digits == 0:
        return chunk_refuse(chunk, 400)
    if byte == c'\r':
        chunk.state = CHUNK_SIZE_LF
        return CHUNK_INCOMPLETE
    chunk.state = CHUNK_EXT_AFTER
    return chunk_extension(chunk, byte)


cdef int chunk_extension(chunk_t* chunk, uint8_t byte) noexcept nogil:
    """Extensions are read by their grammar and forgotten, RFC 9112 §7.1.1."""
    cdef bint blank = byte == c' ' or byte == c'\t'
    cdef bint token = scan_class[byte] & SCAN_TOKEN != 0
    cdef uint8_t state = chunk.state
    chunk.line_size += 1
    if chunk.line_size > CHUNK_LINE_SIZE_MAX:
        return chunk_refuse(chunk, 400)
    if state == CHUNK_EXT_NAME and token or state == CHUNK_EXT_VALUE and token:
        return CHUNK_INCOMPLETE
    if state == CHUNK_EXT_QUOTED or state == CHUNK_EXT_ESCAPED:
        return chunk_quoted(chunk, byte)
    if blank and state != CHUNK_EXT_SPACE:
        if state == CHUNK_EXT_NAME:
            chunk.state = CHUNK_EXT_EQUALS
        elif state == CHUNK_EXT_VALUE or state == CHUNK_EXT_AFTER:
            chunk.state = CHUNK_EXT_SPACE  # only ";" may follow: no blank before the CR
        return CHUNK_INCOMPLETE
    if blank:
        return CHUNK_INCOMPLETE
    if state == CHUNK_EXT_NAME_START and token:
        chunk.state = CHUNK_EXT_NAME
    elif state == CHUNK_EXT_VALUE_START and token:
        chunk.state = CHUNK_EXT_VALUE
    elif state == CHUNK_EXT_VALUE_START and byte == c'"':
        chunk.state = CHUNK_EXT_QUOTED
    elif byte == c'=' and (state == CHUNK_EXT_NAME or state == CHUNK_EXT_EQUALS):
        chunk.state = CHUNK_EXT_VALUE_START
    elif byte == c';' and state != CHUNK_EXT_NAME_START and state != CHUNK_EXT_VALUE_START:
        chunk.state = CHUNK_EXT_NAME_START
    elif byte == c'\r' and (state == CHUNK_EXT_NAME or state == CHUNK_EXT_VALUE
                            or state == CHUNK_EXT_AFTER):
        chunk.state = CHUNK_SIZE_LF
    else:
        return chunk_refuse(chunk, 400)
    return CHUNK_INCOMPLETE


cdef inline int chunk_quoted(chunk_t* chunk, uint8_t byte) noexcept nogil:
    if not scan_class[byte] & SCAN_VALUE:
        return chunk_refuse(chunk, 400)
    if chunk.state == CHUNK_EXT_ESCAPED:
        chunk.state = CHUNK_EXT_QUOTED
    elif byte == c'\\':
        chunk.state = CHUNK_EXT_ESCAPED
    elif byte == c'"':
        chunk.state = CHUNK_EXT_AFTER
    return CHUNK_INCOMPLETE


cdef inline int chunk_line_end(chunk_t* chunk, uint8_t byte) noexcept nogil:
    if chunk.state == CHUNK_CONTENT_CR:
        if byte != c'\r':
            return chunk_refuse(chunk, 400)
        chunk.state = CHUNK_CONTENT_LF
        return CHUNK_INCOMPLETE
    if byte != c'\n':
        return chunk_refuse(chunk, 400)
    if chunk.state == CHUNK_CONTENT_LF:
        chunk.state = CHUNK_SIZE
        chunk.digits = 0
        chunk.line_size = 0
        return CHUNK_INCOMPLETE
    # The size line is complete. The sum cannot overflow: both are checked against the limit.
    if chunk.remaining > limits.payload_size_max \
            or chunk.total + chunk.remaining > limits.payload_size_max:
        return chunk_refuse(chunk, 413)
    chunk.total += chunk.remaining
    chunk.state = CHUNK_CONTENT if chunk.remaining else CHUNK_TRAILER_START
    return CHUNK_INCOMPLETE


cdef int chunk_trailer(chunk_t* chunk, uint8_t byte) noexcept nogil:
    """Trailer fields obey the rules of header fields and are dropped, RFC 9110 §6.5.1."""
    chunk.trailer_size += 1
    if chunk.trailer_size > limits.head_size_max:
        return chunk_refuse(chunk, 431)
    if chunk.state == CHUNK_END_LF:
        return CHUNK_COMPLETE if byte == c'\n' else chunk_refuse(chunk, 400)
    if chunk.state == CHUNK_TRAILER_LF:
        chunk.state = CHUNK_TRAILER_START
        return CHUNK_INCOMPLETE if byte == c'\n' else chunk_refuse(chunk, 400)
    if chunk.state == CHUNK_TRAILER_START:
        if byte == c'\r':
            chunk.state = CHUNK_END_LF
            return CHUNK_INCOMPLETE
        chunk.trailer_count += 1
        if chunk.trailer_count > limits.field_count_max:
            return chunk_refuse(chunk, 431)
        chunk.name_size = 0
        chunk.state = CHUNK_TRAILER_NAME
    if chunk.state == CHUNK_TRAILER_NAME:
        if scan_class[byte] & SCAN_TOKEN:
            if chunk.name_size < sizeof(chunk.name):
                chunk.name[chunk.name_size] = <char>(byte | 0x20)
                chunk.name_size += 1
            return CHUNK_INCOMPLETE
        if byte != c':' or chunk.name_size == 0 or chunk_name_is_forbidden(chunk):
            return chunk_refuse(chunk, 400)
        chunk.state = CHUNK_TRAILER_VALUE
        return CHUNK_INCOMPLETE
    if byte == c'\r':
        chunk.state = CHUNK_TRAILER_LF
    elif not scan_class[byte] & SCAN_VALUE:
        return chunk_refuse(chunk, 400)
    return CHUNK_INCOMPLETE


cdef inline bint chunk_name_is_forbidden(const chunk_t* chunk) noexcept nogil:
    """Framing and routing fields have no business in a trailer: whoever sends them means harm."""
    return chunk.name_size == 4 and memcmp(chunk.name, b"host", 4) == 0 \
        or chunk.name_size == 14 and memcmp(chunk.name, b"content-length", 14) == 0 \
        or chunk.name_size == 17 and memcmp(chunk.name, b"transfer-encoding", 17) == 0
