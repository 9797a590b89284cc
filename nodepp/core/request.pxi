# core/request.pxi — one request's bytes, from its first one until its answer has been made
#   Prefix: request
#   Owns:  request_t: where head and content lie, and the copy of them that a suspended one needs
#   Uses:  limits, memory, parser, multipart, body
#   Never: sockets, Python objects
#   Holds: `data` points into shared scratch only while the request is being looked at, this turn

cdef struct request_t:
    const uint8_t* data                # first byte of the head; offsets in `head` count from it
    uint8_t* block                     # own copy of the head and what follows, or NULL
    size_t block_size                  # bytes in it
    size_t block_room
    const uint8_t* content             # the content, whole and in memory; else it is in `body`
    uint64_t content_size
    int32_t uses                       # who holds it: connection, input, Request
    bint on_heap                       # False: request_now, which never outlives the turn
    bint collecting                    # `body` is in use
    int64_t begun_ns                   # when it was looked at first; for the log
    body_t body
    parser_t head                      # last: most of it is field lines that are not there

cdef request_t request_now             # what arrives whole needs no other
cdef int request_heap_count


cdef inline request_t* request_begin(const uint8_t* data) noexcept nogil:
    """The shared request, for what begins at `data`."""
    cdef request_t* r = &request_now
    ensure(r.uses == 0)
    r.data = data
    r.block = NULL
    r.block_size = r.block_room = 0
    r.content = NULL
    r.content_size = 0
    r.begun_ns = 0
    r.uses = 1
    r.on_heap = r.collecting = False
    parser_reset(&r.head)
    return r


cdef request_t* request_take() noexcept nogil:
    """A request of its own, or NULL when buffer memory is spent."""
    global request_heap_count
    cdef request_t* r = <request_t*>memory_take(sizeof(request_t))
    if r == NULL:
        return NULL
    memset(r, 0, sizeof(request_t) - sizeof(r.head.fields))
    r.uses = 1
    r.on_heap = True
    request_heap_count += 1
    return r


cdef void request_release(request_t* r) noexcept nogil:
    """One holder less; the last one frees it."""
    global request_heap_count
    ensure(r.uses > 0)
    r.uses -= 1
    if r.uses:
        return
    if r.collecting:
        body_close(&r.body)
        r.collecting = False
    if not r.on_heap:
        return
    if r.block != NULL:
        memory_give(r.block, r.block_room)
    request_heap_count -= 1
    memory_give(r, sizeof(request_t))


cdef void request_forget() noexcept nogil:
    """In a child: the shared request was the parent's."""
    request_now.uses = 0
    request_now.collecting = False


cdef bint request_append(request_t* r, const uint8_t* data, size_t size) noexcept nogil:
    """Adds bytes to the copy, which moves; False: no memory."""
    cdef size_t room = r.block_room
    cdef void* block
    if r.block_size + size > room:
        room = 2 * room if room else 1024
        if room < r.block_size + size:
            room = r.block_size + size
        if r.block == NULL:
            block = memory_take(room)
        else:
            block = memory_grow(r.block, r.block_room, room)
        if block == NULL:
            return False
        r.block = <uint8_t*>block
        r.block_room = room
    if size:
        memcpy(r.block + r.block_size, data, size)
    r.block_size += size
    r.data = r.block
    return True


cdef request_t* request_own(request_t* r) noexcept nogil:
    """The same request for one more holder, who may keep it beyond the turn: the shared one is
    copied to the heap and loses its body to the copy. NULL: no memory, nothing has changed."""
    cdef size_t size = r.head.position
    cdef request_t* own
    if r.on_heap:
        r.uses += 1
        return r
    own = request_take()
    if own == NULL:
        return NULL
    if r.content != NULL:
        size = (r.content - r.data) + r.content_size
    if not request_append(own, r.data, size):
        request_release(own)
        return NULL
    request_copy_head(&own.head, &r.head)
    own.begun_ns = r.begun_ns
    if r.content != NULL:
        own.content = own.block + (r.content - r.data)
        own.content_size = r.content_size
    own.collecting = r.collecting
    if r.collecting:
        own.body = r.body
        r.collecting = False
    return own


cdef inline bint request_wants_body(const request_t* r) noexcept nogil:
    """RFC 9110 §9.3.2: an answer to HEAD has no body, a refusal neither."""
    return r == NULL or r.head.method != METHOD_HEAD


cdef inline void request_copy_head(parser_t* into, const parser_t* head) noexcept nogil:
    cdef size_t field_count = head.field_count + 1    # with the one that is being read
    if field_count > FIELD_COUNT_CEILING:
        field_count = FIELD_COUNT_CEILING
    memcpy(into, head, sizeof(parser_t) - sizeof(head.fields) + field_count * sizeof(field_t))


cdef const field_t* request_find_field(const request_t* r, const uint8_t* lower,
                                       size_t size) noexcept nogil:
    """The first field line of that name (given in lower case), or NULL."""
    cdef const field_t* field
    cdef uint32_t i
    for i in range(r.head.field_count):
        field = &r.head.fields[i]
        if field.name_size == size and request_name_is(r.data + field.name_start, lower, size):
            return field
    return NULL


cdef inline bint request_name_is(const uint8_t* name, const uint8_t* lower,
                                 size_t size) noexcept nogil:
    """Names may hold more than letters and "-": compared with case folded exactly."""
    cdef size_t i
    cdef uint8_t byte
    for i in range(size):
        byte = name[i]
        if byte - 65 < 26 and byte >= 65:
            byte |= 0x20
        if byte != lower[i]:
            return False
    return True


cdef inline bint request_has_content(const request_t* r) noexcept nogil:
    return r.head.said & SAID_LENGTH != 0 or r.head.coding == CODING_CHUNKED


cdef void request_open_body(request_t* r) noexcept nogil:
    """The content has not arrived whole: from now on `body` collects it."""
    cdef const uint8_t* boundary
    cdef const uint8_t* value
    cdef size_t size
    cdef const field_t* field
    body_open(&r.body, r.head.coding == CODING_CHUNKED, r.head.content_length)
    r.collecting = True
    if r.head.said & SAID_MULTIPART:
        field = &r.head.fields[r.head.type_index]
        value = r.data + field.value_start
        boundary = multipart_boundary(value, field.value_size, &size)
        if boundary != NULL:
            r.body.incremental = multipart_open(&r.body.multipart, boundary, size)
