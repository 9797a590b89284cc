# core/multipart.pxi — where are the parts of a form, and what do their heads say?
#   Prefix: multipart
#   Owns:  the delimiters of RFC 2046, found while the body comes in; the table of parts; the
#          grammar of part heads and their parameters, RFC 7578
#   Uses:  limits, scan, trouble
#   Never: Python objects, the content of a part, where the body is kept
#   Holds: what is found does not depend on the pieces in which the body came; no byte is looked
#          at twice but by memchr

# multipart = [preamble CRLF] delimiter-line *(part delimiter-line) close [CRLF epilogue]
# delimiter = CRLF "--" boundary; delimiter-line = delimiter *(SP / HTAB) CRLF
# close     = delimiter "--"
# part      = *(field CRLF) CRLF *OCTET

cdef enum:
    MULTIPART_BOUNDARY_SIZE_MAX = 70    # bytes, RFC 2046 §5.1.1; over: 400
    MULTIPART_HEAD_SIZE_MAX = 8 * 1024  # bytes of a part's field lines; over: 413
    MULTIPART_FIELD_COUNT_MAX = 32      # field lines of a part's head; over: 413
    MULTIPART_PART_ROOM = 8             # parts of the first table; it doubles

cdef enum:                  # what is awaited
    MULTIPART_PREAMBLE      # the first delimiter
    MULTIPART_DELIMITED     # what follows a delimiter: "--", padding or CRLF
    MULTIPART_CLOSE         # the second "-" behind a delimiter
    MULTIPART_PADDING       # white space behind a delimiter, or CR
    MULTIPART_DELIMITER_LF
    MULTIPART_LINE          # a line of a head, or the empty one that ends it
    MULTIPART_LINE_END      # the CR of a line
    MULTIPART_LINE_LF
    MULTIPART_HEAD_LF       # the LF of the empty line
    MULTIPART_DATA          # the next delimiter
    MULTIPART_EPILOGUE      # nothing

cdef struct multipart_part_t:    # offsets count from the body's first byte
    uint64_t head_start
    uint64_t data_start
    uint64_t data_size
    uint32_t head_size           # with the CRLF of the last field
    uint32_t field_count

cdef struct multipart_t:
    uint64_t position            # of the next byte
    multipart_part_t* parts
    uint32_t part_count
    uint32_t part_room
    uint16_t status              # 0, or what the body is to be refused with
    uint8_t state
    uint8_t matched              # bytes of the delimiter that the last bytes were
    uint8_t delimiter_size
    uint8_t delimiter[4 + MULTIPART_BOUNDARY_SIZE_MAX]

cdef struct multipart_text_t:    # a window into a head; NULL: it was not there
    const uint8_t* text
    size_t size
    bint quoted                  # a quoted-string, without its quotes

cdef struct multipart_head_t:
    multipart_text_t name
    multipart_text_t filename
    multipart_text_t filename_extended    # filename*=, RFC 5987
    multipart_text_t content_type


cdef bint multipart_open(multipart_t* m, const uint8_t* boundary, size_t size) noexcept nogil:
    """Makes ready for a body with this boundary. False: it is no boundary, refuse with 400."""
    cdef size_t i
    memset(m, 0, sizeof(multipart_t))
    if size == 0 or size > MULTIPART_BOUNDARY_SIZE_MAX or boundary[size - 1] == c' ':
        return False
    for i in range(size):
        # bchars of RFC 2046 §5.1.1. They hold no CR: multipart_search relies on it.
        if not (scan_class[boundary[i]] & SCAN_UNRESERVED and boundary[i] != c'~') \
                and (boundary[i] == 0 or memchr(b"'()+,/:=? ", boundary[i], 10) == NULL):
            return False
    memcpy(m.delimiter, b"\r\n--", 4)
    memcpy(m.delimiter + 4, boundary, size)
    m.delimiter_size = <uint8_t>(size + 4)
    # The first delimiter may begin the body: as if a CRLF had come before.
    m.matched = 2
    return True


cdef void multipart_free(multipart_t* m) noexcept nogil:
    free(m.parts)
    m.parts = NULL
    m.part_count = m.part_room = 0


cdef int multipart_feed(multipart_t* m, const uint8_t* data, size_t size) noexcept nogil:
    """Takes the next bytes of the body. 0, or the status to refuse the form with."""
    cdef const uint8_t* at = data
    cdef const uint8_t* end = data + size
    cdef const uint8_t* begin
    while at < end and m.status == 0:
        begin = at
        if m.state == MULTIPART_DATA or m.state == MULTIPART_PREAMBLE:
            at = multipart_search(m, at, end)
            m.position += at - begin
            if m.matched == m.delimiter_size:
                multipart_end_data(m)
        elif m.state == MULTIPART_LINE_END and scan_class[at[0]] & SCAN_VALUE:
            at = scan_value(at, end)
            m.position += at - begin
        elif m.state == MULTIPART_EPILOGUE:
            at = end
        else:
            at += 1
            m.position += 1
            multipart_step(m, begin[0])
        if MULTIPART_LINE <= m.state <= MULTIPART_LINE_LF and m.status == 0 \
                and m.position - m.parts[m.part_count - 1].head_start > MULTIPART_HEAD_SIZE_MAX:
            m.status = 413
    return m.status


cdef int multipart_finish(multipart_t* m) noexcept nogil:
    """The body has ended. 0, or the status to refuse the form with."""
    if m.status == 0 and m.state != MULTIPART_EPILOGUE:
        m.status = 400
    return m.status


cdef const uint8_t* multipart_search(multipart_t* m, const uint8_t* at,
                                     const uint8_t* end) noexcept nogil:
    """Goes on to behind the delimiter, when m.matched is its size, or to `end`.

    The delimiter's only CR is its first byte, so after a mismatch nothing before the mismatching
    byte can begin another one: no byte is compared twice, wherever the pieces are cut.
    """
    while at < end:
        if m.matched == 0:
            at = <const uint8_t*>memchr(at, c'\r', end - at)
            if at == NULL:
                return end
            at += 1
            m.matched = 1
        while at < end and at[0] == m.delimiter[m.matched]:
            at += 1
            m.matched += 1
            if m.matched == m.delimiter_size:
                return at
        if at < end:
            m.matched = at[0] == c'\r'
            at += m.matched
    return at


cdef void multipart_end_data(multipart_t* m) noexcept nogil:
    """A delimiter has just been passed."""
    cdef multipart_part_t* part
    cdef uint64_t data_end = m.position - m.delimiter_size
    if m.state == MULTIPART_DATA:
        part = &m.parts[m.part_count - 1]
        # A part may end with its head: then the head's last CRLF is the delimiter's.
        part.data_size = data_end - part.data_start if m.position >= part.data_start \
            + m.delimiter_size else 0
    m.state = MULTIPART_DELIMITED


cdef void multipart_step(multipart_t* m, uint8_t byte) noexcept nogil:
    """Takes one byte of a delimiter's end or of a head; m.position is behind it."""
    cdef uint8_t state = m.state
    m.state = MULTIPART_EPILOGUE
    if state == MULTIPART_DELIMITED and byte == c'-':
        m.state = MULTIPART_CLOSE
    elif state == MULTIPART_CLOSE and byte == c'-':
        pass                                    # RFC 2046 §5.1.1: the epilogue is ignored
    elif state == MULTIPART_DELIMITED or state == MULTIPART_PADDING:
        # RFC 2046 §5.1.1: it suffices that the boundary begins the line, so anything else here
        # is no content that looks like a delimiter but a broken form.
        if byte == c'\r':
            m.state = MULTIPART_DELIMITER_LF
        elif byte == c' ' or byte == c'\t':
            m.state = MULTIPART_PADDING
        else:
            m.status = 400
    elif state == MULTIPART_DELIMITER_LF and byte == c'\n':
        m.status = multipart_add_part(m)
        m.state = MULTIPART_LINE
    elif state == MULTIPART_LINE:
        multipart_step_line(m, byte)
    elif state == MULTIPART_LINE_END and byte == c'\r':
        m.state = MULTIPART_LINE_LF
    elif state == MULTIPART_LINE_LF and byte == c'\n':
        m.state = MULTIPART_LINE
    elif state == MULTIPART_HEAD_LF and byte == c'\n':
        m.parts[m.part_count - 1].data_start = m.position
        m.matched = 2
        m.state = MULTIPART_DATA
    else:
        m.status = 400


cdef void multipart_step_line(multipart_t* m, uint8_t byte) noexcept nogil:
    """Takes the first byte of a head's line."""
    cdef multipart_part_t* part = &m.parts[m.part_count - 1]
    if byte == c'\r':
        part.head_size = <uint32_t>(m.position - 1 - part.head_start)
        m.state = MULTIPART_HEAD_LF
    elif byte == c' ' or byte == c'\t' or not scan_class[byte] & SCAN_VALUE:
        m.status = 400                          # a folded line, or a control character
    elif part.field_count == MULTIPART_FIELD_COUNT_MAX:
        m.status = 413
    else:
        part.field_count += 1
        m.state = MULTIPART_LINE_END


cdef int multipart_add_part(multipart_t* m) noexcept nogil:
    """Begins a part at m.position. 0, or a status."""
    cdef uint32_t room
    cdef multipart_part_t* parts
    if m.part_count >= limits.form_part_count_max:
        return 413
    if m.part_count == m.part_room:
        room = 2 * m.part_room if m.part_room else MULTIPART_PART_ROOM
        parts = <multipart_part_t*>realloc(m.parts, room * sizeof(multipart_part_t))
        if parts == NULL:
            trouble_note(TROUBLE_MEMORY, ENOMEM)
            return 503
        m.parts = parts
        m.part_room = room
    memset(&m.parts[m.part_count], 0, sizeof(multipart_part_t))
    m.parts[m.part_count].head_start = m.position
    m.part_count += 1
    return 0


# Heads and parameters.

cdef const uint8_t* multipart_boundary(const uint8_t* value, size_t size,
                                       size_t* boundary_size) noexcept nogil:
    """The boundary that a Content-Type names; NULL: none, or the field is malformed."""
    cdef const uint8_t* at = value
    cdef const uint8_t* end = value + size
    cdef const uint8_t* boundary = NULL
    cdef multipart_text_t name, text
    cdef int more
    while at < end and at[0] != c';':
        at += 1
    while True:
        more = multipart_parameter(&at, end, &name, &text)
        if more <= 0:
            return boundary if more == 0 else NULL
        if name.size == 8 and scan_equal_lower(name.text, b"boundary", 8):
            if boundary != NULL:
                return NULL
            boundary = text.text
            boundary_size[0] = text.size


cdef bint multipart_read_head(const uint8_t* head, size_t size,
                              multipart_head_t* into) noexcept nogil:
    """Finds what a part's head says. False: it is malformed, or says nothing of a form's field."""
    cdef const uint8_t* at = head
    cdef const uint8_t* end = head + size
    cdef const uint8_t* stop
    cdef const uint8_t* name
    cdef size_t name_size
    cdef bint disposed = False
    memset(into, 0, sizeof(multipart_head_t))
    while at < end:
        name = at
        at = scan_run(at, end, SCAN_TOKEN)
        name_size = at - name
        if name_size == 0 or at == end or at[0] != c':':
            return False
        at += 1
        stop = scan_value(at, end)              # the CR: multipart_feed saw to it
        if name_size == 19 and scan_equal_lower(name, b"content-disposition", 19):
            if disposed or not multipart_read_disposition(at, stop, into):
                return False
            disposed = True
        elif name_size == 12 and scan_equal_lower(name, b"content-type", 12):
            if into.content_type.text != NULL:
                return False
            into.content_type.text = multipart_trim(at, &stop)
            into.content_type.size = stop - into.content_type.text
            stop = scan_value(at, end)
        elif name_size == 25 and scan_equal_lower(name, b"content-transfer-encoding", 25):
            # RFC 7578 §4.7: not to be sent. Content that is encoded would be taken as it is.
            if not multipart_is_plain(at, stop):
                return False
        at = stop + 2
    return disposed and into.name.text != NULL


cdef inline const uint8_t* multipart_trim(const uint8_t* at, const uint8_t** end) noexcept nogil:
    """Leaves white space out at both ends."""
    cdef const uint8_t* last = end[0] - 1
    while at <= last and (at[0] == c' ' or at[0] == c'\t'):
        at += 1
    while at <= last and (last[0] == c' ' or last[0] == c'\t'):
        last -= 1
    end[0] = last + 1
    return at


cdef bint multipart_is_plain(const uint8_t* at, const uint8_t* end) noexcept nogil:
    at = multipart_trim(at, &end)
    return (end - at == 4 and (scan_equal_lower(at, b"8bit", 4) or scan_equal_lower(at, b"7bit", 4))
            or end - at == 6 and scan_equal_lower(at, b"binary", 6))


cdef bint multipart_read_disposition(const uint8_t* at, const uint8_t* end,
                                     multipart_head_t* into) noexcept nogil:
    """RFC 7578 §4.2: form-data with a name, and a filename if it is a file."""
    cdef multipart_text_t name, text
    cdef multipart_text_t* target
    cdef int more
    at = multipart_trim(at, &end)
    if end - at < 9 or not scan_equal_lower(at, b"form-data", 9):
        return False
    at += 9
    while True:
        more = multipart_parameter(&at, end, &name, &text)
        if more <= 0:
            return more == 0
        if name.size == 4 and scan_equal_lower(name.text, b"name", 4):
            target = &into.name
        elif name.size == 8 and scan_equal_lower(name.text, b"filename", 8):
            target = &into.filename
        elif name.size == 9 and scan_equal_lower(name.text, b"filename*", 9):
            target = &into.filename_extended
        else:
            continue
        if target.text != NULL:
            return False                        # which of the two would be a matter of taste
        target[0] = text


cdef int multipart_parameter(const uint8_t** cursor, const uint8_t* end, multipart_text_t* name,
                             multipart_text_t* value) noexcept nogil:
    """Reads *( OWS ";" OWS [ token "=" ( token / quoted-string ) ] ), RFC 9110 §5.6.6, up to the
    next parameter. 1: there is one; 0: there is none; -1: malformed."""
    cdef const uint8_t* at = cursor[0]
    cdef bint separated = False
    while at < end and (at[0] == c' ' or at[0] == c'\t' or at[0] == c';'):
        separated = separated or at[0] == c';'
        at += 1
    if at == end:
        return 0
    name.text = at
    at = scan_run(at, end, SCAN_TOKEN)
    name.size = at - name.text
    if not separated or name.size == 0 or at == end or at[0] != c'=':
        return -1
    at += 1
    value.quoted = at < end and at[0] == c'"'
    if value.quoted:
        at += 1
        value.text = at
        while at < end and at[0] != c'"':
            # Browsers send a backslash as it is, curl escapes it: it escapes these two only.
            if at[0] == c'\\' and end - at > 1 and (at[1] == c'"' or at[1] == c'\\'):
                at += 1
            at += 1
        if at == end:
            return -1
        value.size = at - value.text
        at += 1
    else:
        value.text = at
        # Wider than a token: .NET sends names as they are, "[]" and all.
        while at < end and at[0] > c' ' and at[0] != c';' and at[0] != c'"':
            at += 1
        value.size = at - value.text
        if value.size == 0:
            return -1
    cursor[0] = at
    return 1


cdef size_t multipart_unquote(const multipart_text_t* text, uint8_t* into) noexcept nogil:
    """Writes what a parameter's value stands for (text.size bytes at most) and gives its size.
    Browsers write a quote, CR and LF as %22, %0D, %0A and nothing else so: WHATWG, RFC 7578 §2."""
    cdef size_t i = 0
    cdef size_t n = 0
    cdef uint8_t byte
    while i < text.size:
        byte = text.text[i]
        i += 1
        if text.quoted and i < text.size and byte == c'\\' \
                and (text.text[i] == c'"' or text.text[i] == c'\\'):
            byte = text.text[i]
            i += 1
        elif text.quoted and i + 1 < text.size and byte == c'%' and (
                text.text[i] == c'2' and text.text[i + 1] == c'2'
                or text.text[i] == c'0' and (text.text[i + 1] | 0x20 == c'a'
                                             or text.text[i + 1] | 0x20 == c'd')):
            byte = <uint8_t>(scan_nibble[text.text[i]] << 4 | scan_nibble[text.text[i + 1]])
            i += 2
        into[n] = byte
        n += 1
    return n
