# core/precondition.pxi — does the client have it already, or another one?
#   Prefix: precondition
#   Owns:  comparing entity tags, RFC 9110 §8.8.3; the order in which conditions count, §13.2.2
#   Uses:  calendar
#   Never: answering
#   Holds: a list that is not well formed matches only by what is well formed before its fault

cdef enum:                             # outcomes
    PRECONDITION_PASSED
    PRECONDITION_NOT_MODIFIED          # 304 to GET and HEAD
    PRECONDITION_FAILED                # 412

cdef struct text_t:                    # a field value; at NULL: there is no such field
    const uint8_t* at
    size_t size

cdef struct conditions_t:              # what a request asks, compared with our entity tag already
    bint has_match                     # If-Match is there,
    bint match_holds                   # and names it
    bint has_none_match                # If-None-Match is there,
    bint none_match_hits               # and names it
    text_t modified_since
    text_t unmodified_since


cdef bint precondition_matches(const uint8_t* at, size_t size, const char* etag, size_t etag_size,
                               bint weak) noexcept nogil:
    """Is our (strong) `etag`, quotes included, among those of a field? `weak`: the weak comparison,
    which does not see a W/."""
    # Fast path: removing it changes no answer. A browser sends back what it was given.
    if size == etag_size and memcmp(at, etag, size) == 0:
        return True
    cdef const uint8_t* end = at + size
    cdef const uint8_t* tag
    cdef bint is_weak
    if size == 1 and at[0] == c'*':
        return True
    while at < end:
        while at < end and (at[0] == c' ' or at[0] == c'\t' or at[0] == c','):
            at += 1
        is_weak = end - at >= 2 and at[0] == c'W' and at[1] == c'/'
        if is_weak:
            at += 2
        if at == end or at[0] != c'"':
            return False
        tag = at
        at = <const uint8_t*>memchr(at + 1, c'"', end - at - 1)
        if at == NULL:
            return False
        at += 1
        if (weak or not is_weak) and <size_t>(at - tag) == etag_size \
                and memcmp(tag, etag, etag_size) == 0:
            return True
        while at < end and (at[0] == c' ' or at[0] == c'\t'):
            at += 1
        if at < end and at[0] != c',':
            return False
    return False


cdef int precondition_judge(const conditions_t* asked, const char* etag, size_t etag_size,
                            int64_t modified_s, int64_t now_s) noexcept nogil:
    """The outcome for GET or HEAD of a representation, RFC 9110 §13.2.2; modified_s -1: it has no
    date. A date that is none is no condition."""
    cdef int64_t date
    if asked.has_match:
        if not asked.match_holds:
            return PRECONDITION_FAILED
    elif asked.unmodified_since.at != NULL and modified_s >= 0:
        date = calendar_read(asked.unmodified_since.at, asked.unmodified_since.size, now_s)
        if date != CALENDAR_NONE and modified_s > date:
            return PRECONDITION_FAILED
    if asked.has_none_match:
        if asked.none_match_hits:
            return PRECONDITION_NOT_MODIFIED
    elif asked.modified_since.at != NULL and modified_s >= 0:
        date = calendar_read(asked.modified_since.at, asked.modified_since.size, now_s)
        if date != CALENDAR_NONE and modified_s <= date:
            return PRECONDITION_NOT_MODIFIED
    return PRECONDITION_PASSED


cdef bint precondition_range_holds(const text_t* field, const char* etag, size_t etag_size,
                                   int64_t modified_s, int64_t now_s) noexcept nogil:
    """If-Range, RFC 9110 §13.1.5: the very same representation, by strong tag or exact date."""
    if field.size and (field.at[0] == c'"' or field.at[0] == c'W'):
        return field.size == etag_size and memcmp(field.at, etag, etag_size) == 0
    # A date is a strong validator only if the file had been at rest for a second, §8.8.2.2.
    return modified_s >= 0 and calendar_read(field.at, field.size, now_s) == modified_s \
        and now_s > modified_s
