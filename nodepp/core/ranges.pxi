# core/ranges.pxi — which bytes of it?
#   Prefix: ranges
#   Owns:  the Range field, RFC 9110 §14.2, resolved against a size
#   Uses:  scan
#   Never: whether a range applies; If-Range and the method are the caller's to ask
#   Holds: what comes out lies within the representation: first <= last < size

# Range = "bytes=" #( first "-" [ last ] / "-" suffix-length )

cdef enum:
    RANGES_MAX = 16                    # of one request; more: the whole. Apache 200, nginx by size

cdef uint64_t RANGES_FAR = <uint64_t>1 << 58   # beyond every file; longer numbers are all equal

cdef enum:                             # outcomes besides a count
    RANGES_WHOLE = 0                   # the field is to be ignored
    RANGES_UNSATISFIABLE = -1          # 416

cdef enum:                             # what an element of the list is
    RANGES_FOUND, RANGES_BEYOND, RANGES_BLANK, RANGES_BAD

cdef struct range_t:
    uint64_t first
    uint64_t last                      # included


cdef int ranges_read(const uint8_t* at, size_t length, uint64_t size,
                     range_t* into) noexcept nogil:
    """How many ranges were put into `into` (room for RANGES_MAX + 1), or an outcome. When they ask
    for more bytes than there are (they overlap), the whole is sent: §14.2 lets us, and it is less.
    """
    cdef const uint8_t* end = at + length
    cdef const uint8_t* stop
    cdef uint64_t total = 0
    cdef int count = 0
    cdef int asked = 0
    cdef int found
    # An empty representation has no byte that Content-Range could name.
    if length < 6 or not scan_equal_lower(at, b"bytes", 5) or at[5] != c'=' or size == 0:
        return RANGES_WHOLE
    at += 6
    while at < end:
        stop = <const uint8_t*>memchr(at, c',', end - at)
        if stop == NULL:
            stop = end
        found = ranges_element(at, stop, size, &into[count])
        at = stop + 1
        if found == RANGES_BLANK:
            continue
        asked += 1
        if found == RANGES_BAD or asked > RANGES_MAX:
            return RANGES_WHOLE
        if found == RANGES_FOUND:
            total += into[count].last - into[count].first + 1
            count += 1
    if asked == 0 or total > size:
        return RANGES_WHOLE
    return count if count else RANGES_UNSATISFIABLE


cdef int ranges_element(const uint8_t* at, const uint8_t* end, uint64_t size,
                        range_t* range_) noexcept nogil:
    cdef uint64_t first = 0
    cdef uint64_t last = size - 1
    cdef bint has_first, has_last
    while at < end and (at[0] == c' ' or at[0] == c'\t'):
        at += 1
    while end > at and (end[-1] == c' ' or end[-1] == c'\t'):
        end -= 1
    if at == end:
        return RANGES_BLANK
    has_first = at[0] != c'-'
    if has_first:
        at = ranges_number(at, end, &first)
        if at == NULL or at == end or at[0] != c'-':
            return RANGES_BAD
    at += 1
    has_last = at < end
    if has_last:
        at = ranges_number(at, end, &last)
        if at != end:
            return RANGES_BAD
    elif not has_first:
        return RANGES_BAD              # "-" alone
    if not has_first:                  # the last so many bytes
        if last == 0:
            return RANGES_BEYOND
        first = size - last if last < size else 0
        last = size - 1
    elif has_last and last < first:
        return RANGES_BAD
    if first >= size:
        return RANGES_BEYOND
    range_.first = first
    range_.last = last if last < size else size - 1
    return RANGES_FOUND


cdef const uint8_t* ranges_number(const uint8_t* at, const uint8_t* end,
                                  uint64_t* value) noexcept nogil:
    """Reads 1*DIGIT; gives what follows, or NULL. A number too long for 64 bits is a large one."""
    cdef const uint8_t* begin = at
    cdef uint64_t number = 0
    while at < end and scan_class[at[0]] & SCAN_DIGIT:
        number = number * 10 + at[0] - 48 if number < RANGES_FAR else RANGES_FAR
        at += 1
    value[0] = number
    return at if at > begin else NULL
