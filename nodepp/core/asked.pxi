# core/asked.pxi — which codings, conditions and ranges does a request ask for?
#   Prefix: asked
#   Owns:  the fields that matter to a public file, found in one pass
#   Uses:  limits, parser, negotiate, precondition, statics, request
#   Never: what is answered
#   Holds: pointers into the head, as long as the request lives

cdef enum:                             # fields that may not be there twice
    ASKED_MODIFIED = 1, ASKED_UNMODIFIED = 2, ASKED_RANGE = 4, ASKED_IF_RANGE = 8

cdef struct asked_t:
    weights_t weights                  # of the codings
    conditions_t conditions
    text_t range
    text_t if_range
    int accept_count                   # lines of Accept-Encoding
    text_t accept
    int seen                           # ASKED_ bits
    int repeated


cdef void asked_look(const request_t* r, asked_t* asked) noexcept nogil:
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
                asked_note(r, field, &asked.range, asked, ASKED_RANGE)
        elif field.name_size == 8:
            if request_name_is(name, <const uint8_t*>b"if-match", 8):
                asked.conditions.has_match = True
            elif request_name_is(name, <const uint8_t*>b"if-range", 8):
                asked_note(r, field, &asked.if_range, asked, ASKED_IF_RANGE)
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
                asked_note(r, field, &asked.conditions.modified_since, asked, ASKED_MODIFIED)
        elif field.name_size == 19:
            if request_name_is(name, <const uint8_t*>b"if-unmodified-since", 19):
                asked_note(r, field, &asked.conditions.unmodified_since, asked,
                           ASKED_UNMODIFIED)
    asked_weigh(r, asked)
    if unlikely_(asked.repeated):
        asked_forget(asked)


cdef inline void asked_note(const request_t* r, const field_t* field, text_t* text,
                            asked_t* asked, int bit) noexcept nogil:
    text.at = r.data + field.value_start
    text.size = field.value_size
    asked.repeated |= asked.seen & bit
    asked.seen |= bit


cdef void asked_forget(asked_t* asked) noexcept nogil:
    """A field that cannot be a list and is there twice says nothing; without a sure If-Range there
    is no range either."""
    if asked.repeated & ASKED_MODIFIED:
        asked.conditions.modified_since.at = NULL
    if asked.repeated & ASKED_UNMODIFIED:
        asked.conditions.unmodified_since.at = NULL
    if asked.repeated & (ASKED_RANGE | ASKED_IF_RANGE):
        asked.range.at = NULL


cdef inline void asked_weigh(const request_t* r, asked_t* asked) noexcept nogil:
    if asked.accept_count == 0:
        negotiate_none(&asked.weights)
    elif likely_(asked.accept_count == 1):
        negotiate_one(&asked.weights, asked.accept.at, asked.accept.size)
    else:
        asked_weigh_lines(r, &asked.weights)


cdef void asked_weigh_lines(const request_t* r, weights_t* weights) noexcept nogil:
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


cdef inline void asked_compare(const request_t* r, asked_t* asked,
                               const representation_t* coded) noexcept nogil:
    """Holds the entity tags of the request against that of the representation."""
    if asked.conditions.has_none_match:
        asked.conditions.none_match_hits = asked_names(r, b"if-none-match", 13, coded, True)
    if unlikely_(asked.conditions.has_match):
        asked.conditions.match_holds = asked_names(r, b"if-match", 8, coded, False)


cdef bint asked_names(const request_t* r, const char* lower, size_t size,
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
