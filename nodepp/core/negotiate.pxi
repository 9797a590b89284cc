# core/negotiate.pxi — which codings does the client take, and how gladly?
#   Prefix: negotiate
#   Owns:  Accept-Encoding, RFC 9110 §12.5.3, read into a weight for each coding we have
#   Uses:  scan
#   Never: which codings a resource has
#   Holds: a weight is in thousandths; 0 is "not acceptable"

# Accept-Encoding = #( codings [ OWS ";" OWS "q=" qvalue ] )

cdef enum:                             # the codings we have, and how many
    NEGOTIATE_IDENTITY, NEGOTIATE_GZIP, NEGOTIATE_BR, NEGOTIATE_ZSTD, NEGOTIATE_COUNT
    NEGOTIATE_STAR = NEGOTIATE_COUNT   # "*" while a field is being read
    NEGOTIATE_OTHER                    # a coding that we do not have

cdef enum:
    NEGOTIATE_UNSAID = -1
    NEGOTIATE_LEAST = 1                # thousandths: identity that was not mentioned at all
    NEGOTIATE_TEXT_MAX = 64            # bytes of a field value that is remembered

cdef struct weights_t:
    int16_t q[NEGOTIATE_COUNT + 2]

cdef uint8_t negotiate_text[NEGOTIATE_TEXT_MAX]  # the field value that was read last
cdef size_t negotiate_text_size
cdef weights_t negotiate_last          # and what it said


cdef inline void negotiate_none(weights_t* w) noexcept nogil:
    """There is no such field. Any coding would do, but who says nothing may know none."""
    w.q[NEGOTIATE_IDENTITY] = 1000
    w.q[NEGOTIATE_GZIP] = w.q[NEGOTIATE_BR] = w.q[NEGOTIATE_ZSTD] = 0


cdef inline void negotiate_one(weights_t* w, const uint8_t* value, size_t size) noexcept nogil:
    """What a single field line says."""
    global negotiate_text_size, negotiate_last
    # Fast path: removing it changes no answer. Visitors have the browsers that visitors have.
    if size == negotiate_text_size and size and memcmp(value, negotiate_text, size) == 0:
        w[0] = negotiate_last
        return
    negotiate_begin(w)
    negotiate_line(w, value, size)
    negotiate_end(w)
    if size <= NEGOTIATE_TEXT_MAX:
        memcpy(negotiate_text, value, size)
        negotiate_text_size = size
        negotiate_last = w[0]


cdef void negotiate_begin(weights_t* w) noexcept nogil:
    cdef int i
    for i in range(NEGOTIATE_COUNT + 2):
        w.q[i] = NEGOTIATE_UNSAID


cdef void negotiate_line(weights_t* w, const uint8_t* at, size_t size) noexcept nogil:
    """Reads one line of the field; several are one list, RFC 9110 §5.3."""
    cdef const uint8_t* end = at + size
    cdef const uint8_t* stop
    while at < end:
        stop = <const uint8_t*>memchr(at, c',', end - at)
        if stop == NULL:
            stop = end
        negotiate_element(w, at, stop)
        at = stop + 1


cdef void negotiate_element(weights_t* w, const uint8_t* at, const uint8_t* end) noexcept nogil:
    """One coding with its weight. Of a coding that is there twice the higher weight counts; an
    element that is not well formed says nothing."""
    cdef const uint8_t* name
    cdef size_t size
    cdef int coding, q
    at = negotiate_skip(at, end)
    name = at
    at = scan_run(at, end, SCAN_TOKEN)
    size = <size_t>(at - name)
    if size == 0:
        return
    at = negotiate_skip(at, end)
    q = 1000 if at == end else negotiate_weight(at, end)
    coding = negotiate_coding(name, size)
    if q > w.q[coding]:
        w.q[coding] = <int16_t>q


cdef inline const uint8_t* negotiate_skip(const uint8_t* at, const uint8_t* end) noexcept nogil:
    while at < end and (at[0] == c' ' or at[0] == c'\t'):
        at += 1
    return at


cdef int negotiate_coding(const uint8_t* name, size_t size) noexcept nogil:
    if size == 1 and name[0] == c'*':
        return NEGOTIATE_STAR
    if size == 2 and scan_equal_lower(name, b"br", 2):
        return NEGOTIATE_BR
    if size == 4 and scan_equal_lower(name, b"gzip", 4):
        return NEGOTIATE_GZIP
    if size == 4 and scan_equal_lower(name, b"zstd", 4):
        return NEGOTIATE_ZSTD
    if size == 6 and scan_equal_lower(name, b"x-gzip", 6):     # RFC 9110 §8.4.1.3
        return NEGOTIATE_GZIP
    if size == 8 and scan_equal_lower(name, b"identity", 8):
        return NEGOTIATE_IDENTITY
    return NEGOTIATE_OTHER


cdef int negotiate_weight(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """weight = OWS ";" OWS "q=" qvalue, with qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "."
    0*3("0") ] ): thousandths, or NEGOTIATE_UNSAID when it is anything else."""
    cdef int q, unit = 100
    if at[0] != c';':
        return NEGOTIATE_UNSAID
    at = negotiate_skip(at + 1, end)
    while end > at and (end[-1] == c' ' or end[-1] == c'\t'):
        end -= 1
    if end - at < 3 or end - at > 7 or at[0] | 0x20 != c'q' or at[1] != c'=':
        return NEGOTIATE_UNSAID
    if at[2] != c'0' and at[2] != c'1':
        return NEGOTIATE_UNSAID
    q = 1000 * (at[2] - 48)
    at += 3
    if at < end and at[0] != c'.':
        return NEGOTIATE_UNSAID
    at += 1
    while at < end:
        if not scan_class[at[0]] & SCAN_DIGIT:
            return NEGOTIATE_UNSAID
        q += unit * (at[0] - 48)
        unit //= 10
        at += 1
    return q if q <= 1000 else NEGOTIATE_UNSAID


cdef void negotiate_end(weights_t* w) noexcept nogil:
    """What was not mentioned: "*" speaks for it, else only identity is acceptable, and that after
    all that was asked for."""
    cdef int i
    cdef int16_t rest = w.q[NEGOTIATE_STAR]
    for i in range(NEGOTIATE_COUNT):
        if w.q[i] == NEGOTIATE_UNSAID:
            if rest != NEGOTIATE_UNSAID:
                w.q[i] = rest
            else:
                w.q[i] = NEGOTIATE_LEAST if i == NEGOTIATE_IDENTITY else 0
