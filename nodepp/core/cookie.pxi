# core/cookie.pxi — the cookies that carry an id
#   Prefix: cookie
#   Owns:  finding them in a head without making any Python object
#   Uses:  parser, request
#   Never: what the value means
#   Holds: a name is compared whole: `alias=` is not `as=`

cdef enum:
    COOKIE_MATCH_MAX = 4               # cookies of one name that are tried; a browser sends one
    COOKIE_NAME_SIZE_MAX = 64          # bytes, with the prefix

cdef struct cookie_name_t:
    char text[COOKIE_NAME_SIZE_MAX]
    size_t size

cdef struct cookie_t:                  # a value as it came, without quotes
    const uint8_t* at
    size_t size


cdef struct cookies_t:
    cookie_t found[COOKIE_MATCH_MAX]
    int count


cdef void cookie_find(const request_t* r, const cookie_name_t* names, int name_count,
                      cookies_t* found) noexcept nogil:
    """For each name the values it came with, in their order."""
    cdef const field_t* field
    cdef uint32_t i
    cdef int n
    for n in range(name_count):
        found[n].count = 0
    for i in range(r.head.field_count):
        field = &r.head.fields[i]
        if field.name_size == 6 and request_name_is(r.data + field.name_start,
                                                    <const uint8_t*>b"cookie", 6):
            cookie_read(r.data + field.value_start, field.value_size, names, name_count, found)


cdef void cookie_read(const uint8_t* at, size_t size, const cookie_name_t* names, int name_count,
                      cookies_t* found) noexcept nogil:
    """RFC 6265 §4.2.1: name=value pairs with a semicolon and a space between them."""
    cdef const uint8_t* end = at + size
    cdef const uint8_t* pair_end
    cdef int n
    while at < end:
        while at < end and (at[0] == c' ' or at[0] == c'\t'):
            at += 1
        pair_end = <const uint8_t*>memchr(at, c';', end - at) if at < end else NULL
        if pair_end == NULL:
            pair_end = end
        for n in range(name_count):
            if <size_t>(pair_end - at) > names[n].size and at[names[n].size] == c'=' \
                    and memcmp(at, names[n].text, names[n].size) == 0:
                cookie_note(&found[n], at + names[n].size + 1, pair_end)
        at = pair_end + 1


cdef void cookie_note(cookies_t* found, const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Notes a value without the space and the quotes around it; an empty one is none."""
    while end > at and (end[-1] == c' ' or end[-1] == c'\t'):
        end -= 1
    if end - at >= 2 and at[0] == c'"' and end[-1] == c'"':
        at += 1
        end -= 1
    if found.count < COOKIE_MATCH_MAX and end > at:
        found.found[found.count].at = at
        found.found[found.count].size = end - at
        found.count += 1
