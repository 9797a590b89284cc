# core/tables.pxi — who is connected?
#   Prefix: tables
#   Owns:  connection_t, its array (reserved once, touched as needed), first-free and highest-used
#   Uses:  limits, output, request
#   Never: what a connection does
#   Holds: a slot's generation moves on when it is given back, so that a late reply finds nobody

cdef struct request_t
cdef struct pending_t

cdef struct connection_t:
    int32_t fd
    uint32_t generation
    uint8_t state                  # CONNECTION_; connection_enter writes it
    uint8_t interest               # POLLER_ bits the poller has been asked for
    uint8_t family                 # of `peer`; AF_UNIX has none
    bint closing                   # close when all has been sent
    bint linger                    # drain the input before closing
    bint cut                       # close at once: what is queued must not look complete
    bint queued                    # in the run queue: goes on next turn without being ready
    uint16_t port                  # of the peer, host order
    uint8_t peer[16]               # its address, network order
    int64_t deadline_ms            # when it must have moved on
    int64_t linger_end_ms          # while lingering: the last moment
    uint32_t linger_size           # bytes drained
    uint32_t answered              # requests answered on this connection
    int32_t next                   # in its bucket of deadlines
    int32_t previous
    int32_t bucket                 # -1: in none
    int32_t queue_next             # in the run queue
    int32_t queue_previous
    request_t* request             # what is being received or waits to be parsed; NULL when idle
    pending_t* pending             # what the peer has not taken yet; NULL: nothing
    int32_t session_slot           # of whom it brought last, a hint; -1: nobody
    PyObject* stream               # the Request that waits, or whose iterator is sent; NULL: none

cdef connection_t* tables_connection   # the array; NULL while no engine is open
cdef uint64_t* tables_used_bits        # one bit a slot: finding a free one reads 64 at a time
cdef size_t tables_mapped_size
cdef uint32_t tables_slot_count        # with the reserve for refused peers
cdef uint32_t tables_first_free        # no slot below it is free
cdef uint32_t tables_highest_used      # one past the highest slot in use
cdef uint32_t tables_used_count        # slots in use
cdef uint32_t tables_high_water        # the most that were ever in use


cdef int tables_open(uint32_t connection_count) except -1:
    """Reserves the array: pages that are never touched cost nothing."""
    global tables_connection, tables_used_bits, tables_mapped_size, tables_slot_count
    global tables_first_free, tables_highest_used, tables_used_count, tables_high_water
    cdef size_t words
    ensure(tables_connection == NULL)
    ensure(sizeof(connection_t) <= 256)
    tables_slot_count = connection_count + RESERVE_COUNT
    words = (tables_slot_count + 63) // 64
    tables_mapped_size = tables_slot_count * sizeof(connection_t) + words * sizeof(uint64_t)
    cdef void* region = mmap(NULL, tables_mapped_size, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if region == MAP_FAILED:
        raise MemoryError("no room for a table of %d connections" % connection_count)
    tables_used_bits = <uint64_t*>region
    tables_connection = <connection_t*>(tables_used_bits + words)
    tables_first_free = tables_highest_used = tables_used_count = tables_high_water = 0
    return 0


cdef void tables_close() noexcept:
    global tables_connection
    if tables_connection != NULL:
        ensure(tables_used_count == 0)
        munmap(tables_used_bits, tables_mapped_size)
        tables_connection = NULL


cdef void tables_forget() noexcept nogil:
    """In a child: the array stays where it is, for pointers into it may be about."""
    global tables_connection, tables_used_count, tables_highest_used
    tables_connection = NULL
    tables_used_count = tables_highest_used = 0


cdef inline connection_t* tables_find(uint32_t slot, uint32_t generation) noexcept nogil:
    """The connection that was known as (slot, generation), or NULL if it has gone."""
    cdef connection_t* c
    if slot >= tables_highest_used:
        return NULL
    c = &tables_connection[slot]
    return c if c.generation == generation and c.state != CONNECTION_FREE else NULL


cdef inline uint32_t tables_slot(const connection_t* c) noexcept nogil:
    return <uint32_t>(c - tables_connection)


cdef connection_t* tables_take() noexcept nogil:
    """The lowest free slot, or NULL when even the reserve is full. Its state is the caller's to
    enter."""
    global tables_first_free, tables_highest_used, tables_used_count, tables_high_water
    cdef connection_t* c
    cdef uint32_t generation
    cdef uint32_t slot = tables_lowest_free()
    if slot >= tables_slot_count:
        return NULL
    tables_used_bits[slot // 64] |= <uint64_t>1 << (slot % 64)
    tables_first_free = slot + 1
    if slot >= tables_highest_used:
        tables_highest_used = slot + 1
    tables_used_count += 1
    if tables_used_count > tables_high_water:
        tables_high_water = tables_used_count
    c = &tables_connection[slot]
    ensure(c.state == CONNECTION_FREE)
    generation = c.generation
    memset(c, 0, sizeof(connection_t))
    c.generation = generation
    c.fd = c.bucket = c.next = c.previous = c.session_slot = -1
    return c


cdef inline uint32_t tables_lowest_free() noexcept nogil:
    """Full words are skipped from the first-free counter on: 10,000 slots are 157 words."""
    cdef uint32_t word = tables_first_free // 64
    cdef uint32_t word_count = (tables_slot_count + 63) // 64
    while word < word_count and tables_used_bits[word] == <uint64_t>-1:
        word += 1
    if word == word_count:
        return tables_slot_count
    return word * 64 + <uint32_t>tables_trailing_ones(tables_used_bits[word])


cdef extern from *:
    """
    #define tables_trailing_ones(word) __builtin_ctzll(~(word))
    """
    int tables_trailing_ones(uint64_t word) noexcept nogil


cdef void tables_give(connection_t* c) noexcept nogil:
    """Gives a slot back. Whoever still knows its generation finds it gone."""
    global tables_first_free, tables_highest_used, tables_used_count
    cdef uint32_t slot = tables_slot(c)
    ensure(c.state == CONNECTION_FREE and c.request == NULL and c.pending == NULL)
    ensure(c.stream == NULL and c.bucket == -1)
    ensure(tables_used_bits[slot // 64] >> (slot % 64) & 1)
    c.generation += 1
    tables_used_bits[slot // 64] &= ~(<uint64_t>1 << (slot % 64))
    if slot < tables_first_free:
        tables_first_free = slot
    while tables_highest_used > 0 \
            and tables_connection[tables_highest_used - 1].state == CONNECTION_FREE:
        tables_highest_used -= 1
    tables_used_count -= 1
