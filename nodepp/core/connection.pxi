# core/connection.pxi — a slot's life: what it waits for, what it keeps, how it ends
#   Prefix: connection
#   Owns:  entering a state, input cut into requests, flushing, closing
#   Uses:  limits, clock, memory, state, tables, deadline, poller, transport, output, parser, body,
#          request, accesslog
#   Never: which handler answers; the decision what to do next is the loop's
#   Holds: IDLE owns no buffer; what is watched follows from the state

cdef enum:                             # outcomes
    CONNECTION_READY                   # a request is complete
    CONNECTION_CONTENT_WANTED          # its head is, and the peer waits for 100 before the content
    CONNECTION_MORE                    # the input is used up
    CONNECTION_REFUSED                 # answer `refusal` and close

cdef struct input_t:                   # bytes being looked at this turn
    const uint8_t* at
    const uint8_t* end
    request_t* holder                  # in whose block they lie; NULL: in scratch
    uint16_t refusal                   # status, after CONNECTION_REFUSED
    request_t* refused                 # what is refused; one use, the caller's

cdef uint8_t* connection_scratch       # SCRATCH_SIZE bytes; one recv at a time goes there
cdef bint connection_draining          # the engine stops: each answer is its connection's last
cdef uint32_t connection_starved_count  # connections that wait for buffer memory

cdef struct stats_t:
    uint64_t accepted, requests, parse_errors, handler_errors, bytes_in, bytes_out
    uint64_t status_class[6]           # by first digit
    uint64_t refused_full, refused_memory, accept_pauses, turns, busy_ns
    uint64_t timeouts[STATE_COUNTER_COUNT]
    uint64_t detached_requests, blocked
    uint64_t cut                       # at the end of the grace time, amid a request or an answer

cdef stats_t stats


cdef int connection_open_buffers() except -1:
    global connection_scratch
    connection_scratch = <uint8_t*>malloc(SCRATCH_SIZE)
    if connection_scratch == NULL:
        raise MemoryError("no room for the input buffer")
    return 0


cdef void connection_close_buffers() noexcept:
    global connection_scratch
    free(connection_scratch)
    connection_scratch = NULL


cdef inline uint64_t connection_key(const connection_t* c) noexcept nogil:
    return <uint64_t>c.generation << 32 | tables_slot(c)


cdef connection_t* connection_begin(int fd, const peer_t* peer) noexcept:
    """Gives the descriptor a slot and watches it, or NULL: the caller still has it."""
    cdef connection_t* c = tables_take()
    if c == NULL:
        return NULL
    c.fd = fd
    c.family = peer.family
    c.port = peer.port
    memcpy(c.peer, peer.address, sizeof(c.peer))
    if poller_add(fd, connection_key(c), POLLER_READ) < 0:
        tables_give(c)
        return NULL
    c.interest = POLLER_READ
    connection_enter(c, CONNECTION_ACCEPTED)
    return c


cdef void connection_end(connection_t* c) noexcept:
    """Closes the descriptor and gives all back. The stream must have been ended before."""
    ensure(c.stream == NULL)
    poller_remove(c.fd, c.interest)
    transport_close(c.fd)
    c.fd = -1
    deadline_clear(c)
    if c.request != NULL:
        request_release(c.request)
        c.request = NULL
    if c.pending != NULL:
        output_free_rest(c.pending)
        c.pending = NULL
    connection_enter(c, CONNECTION_FREE)
    tables_give(c)


cdef void connection_forget() noexcept nogil:
    """In a child: closes its copies, and those of the files that bodies are collected in."""
    cdef connection_t* c
    cdef uint32_t slot
    if tables_connection == NULL:
        return
    for slot in range(tables_highest_used):
        c = &tables_connection[slot]
        if c.state == CONNECTION_FREE or c.fd < 0:
            continue
        posix_close(c.fd)
        c.fd = -1
        if c.request != NULL and c.request.collecting and c.request.body.spool_fd >= 0:
            posix_close(c.request.body.spool_fd)
            c.request.body.spool_fd = -1


cdef inline void connection_watch(connection_t* c, int interest) noexcept:
    """Asks the poller for what is of interest now; nothing when nothing changes."""
    if c.interest != interest:
        if poller_change(c.fd, connection_key(c), c.interest, interest) == 0:
            c.interest = <uint8_t>interest


cdef inline void connection_enter(connection_t* c, int state) noexcept:
    """The connection awaits something else from now on: the table says what is watched, and until
    when. Nothing else writes c.state. Where `state` is a constant, most of this is decided by the
    compiler."""
    global connection_starved_count
    cdef const state_t* row = &state_table[state]
    state_verify(c.state, state)
    if state == CONNECTION_STARVED:
        connection_starved_count += 1
    elif state_may_follow(CONNECTION_STARVED, state) and unlikely_(c.state == CONNECTION_STARVED):
        connection_starved_count -= 1
    if row.deadline == STATE_DEADLINE_HEADER:
        if c.state != state:           # bytes that drip in do not buy time for a head
            deadline_set(c, limits.header_timeout_ms)
    elif row.deadline != STATE_DEADLINE_BEFORE:
        deadline_set(c, connection_time_ms(row.deadline))
    c.state = <uint8_t>state
    if row.interest != STATE_INTEREST_BEFORE:
        connection_watch(c, row.interest)


cdef inline int64_t connection_time_ms(int deadline) noexcept nogil:
    """How long a deadline of the table is now."""
    if deadline == STATE_DEADLINE_KEEP_ALIVE:
        return limits.keep_alive_timeout_ms
    if deadline == STATE_DEADLINE_SEND:
        return limits.send_timeout_ms
    if deadline == STATE_DEADLINE_BODY:
        return limits.body_timeout_ms
    return LINGER_IDLE_MS


cdef void connection_hurry(connection_t* c, int64_t within_ms) noexcept:
    """The state that it is in ends sooner than the table says."""
    deadline_set(c, within_ms)


cdef inline ssize_t connection_receive(connection_t* c, input_t* input) noexcept:
    """One recv into scratch: bytes received, or a transport_outcome."""
    cdef ssize_t count = transport_recv(c.fd, connection_scratch, SCRATCH_SIZE)
    input.at = input.end = connection_scratch
    input.holder = NULL
    if count > 0:
        input.end += count
        stats.bytes_in += count
    return count


cdef int connection_next(connection_t* c, input_t* input, request_t** ready) noexcept nogil:
    """Cuts the next request off the input. READY and CONTENT_WANTED give it in `ready`, with one
    use that is the caller's."""
    cdef request_t* r = c.request
    cdef int outcome
    if likely_(r == NULL):
        if input.at == input.end:
            return CONNECTION_MORE
        r = request_begin(input.at)
        if unlikely_(accesslog_kind != ACCESSLOG_OFF):
            r.begun_ns = clock_read_ns()
        outcome = parser_run(&r.head, input.at, input.end - input.at)
        if outcome == PARSER_INCOMPLETE:
            return connection_keep_head(c, input, r)
    elif r.collecting:
        return connection_read_body(c, input, ready)
    else:
        # What came before and what has come now, in one block; parsing goes on where it stopped.
        if not request_append(r, input.at, input.end - input.at):
            c.request = NULL
            return connection_refuse_full(input, r)
        input.at = input.end
        outcome = parser_run(&r.head, r.block, r.block_size)
        if outcome == PARSER_INCOMPLETE:
            return CONNECTION_MORE
        c.request = NULL
        if outcome == PARSER_COMPLETE:
            # The rest of the block is the input now; the block lives as long as it is looked at.
            connection_drop_holder(input)
            input.holder = r
            r.uses += 1
            input.end = r.block + r.block_size
    ready[0] = r
    if unlikely_(outcome == PARSER_BAD):
        stats.parse_errors += 1
        return connection_refuse(input, r, r.head.status)
    input.at = r.data + r.head.position
    if not request_has_content(r):
        return CONNECTION_READY
    return connection_begin_body(c, input, r)


cdef int connection_refuse(input_t* input, request_t* r, uint16_t status) noexcept nogil:
    input.refusal = status
    input.refused = r
    return CONNECTION_REFUSED


cdef int connection_refuse_full(input_t* input, request_t* r) noexcept nogil:
    """There is no memory for what has come."""
    memory_note_refusal()
    return connection_refuse(input, r, 503)


cdef void connection_drop_holder(input_t* input) noexcept nogil:
    if input.holder != NULL:
        request_release(input.holder)
        input.holder = NULL


cdef int connection_keep_head(connection_t* c, input_t* input, request_t* r) noexcept nogil:
    """Part of a head: it moves to a block of its own until the rest comes."""
    cdef request_t* own = request_take()
    if own == NULL or not request_append(own, input.at, input.end - input.at):
        if own != NULL:
            request_release(own)
        return connection_refuse_full(input, r)
    request_copy_head(&own.head, &r.head)
    own.begun_ns = r.begun_ns
    request_release(r)
    c.request = own
    input.at = input.end
    return CONNECTION_MORE


cdef int connection_begin_body(connection_t* c, input_t* input, request_t* r) noexcept nogil:
    """The head announces content: take what has come of it."""
    cdef size_t available = <size_t>(input.end - input.at)
    cdef request_t* own
    cdef int outcome
    if r.head.coding == CODING_NONE and available >= r.head.content_length:
        r.content = input.at
        r.content_size = r.head.content_length
        input.at += r.content_size
        return CONNECTION_READY
    request_open_body(r)
    outcome = body_feed(&r.body, &input.at, input.end)
    if outcome == BODY_COMPLETE:
        return CONNECTION_READY
    if outcome == BODY_BAD:
        return connection_refuse(input, r, r.body.status)
    own = request_own(r)
    if own == NULL:
        return connection_refuse_full(input, r)
    request_release(r)
    c.request = own
    if r.head.said & SAID_CONTINUE and r.head.minor and available == 0:
        return CONNECTION_CONTENT_WANTED
    return CONNECTION_MORE


cdef int connection_read_body(connection_t* c, input_t* input, request_t** ready) noexcept nogil:
    cdef request_t* r = c.request
    cdef int outcome = body_feed(&r.body, &input.at, input.end)
    if outcome == BODY_INCOMPLETE:
        return CONNECTION_MORE
    c.request = NULL
    if outcome == BODY_BAD:
        if r.body.status == 400:
            stats.parse_errors += 1
        return connection_refuse(input, r, r.body.status)
    ready[0] = r
    return CONNECTION_READY


cdef bint connection_hold(connection_t* c, input_t* input) noexcept nogil:
    """Keeps input that cannot be looked at yet (an earlier answer is on its way); False: no
    memory for it."""
    cdef request_t* r
    if input.at == input.end:
        return True
    r = request_take()
    if r == NULL:
        return False
    if not request_append(r, input.at, input.end - input.at):
        request_release(r)
        return False
    ensure(c.request == NULL)
    c.request = r
    return True


cdef inline bint connection_may_read(const connection_t* c) noexcept nogil:
    """May more of a body be taken in? Its block may have to grow for what one recv brings."""
    cdef request_t* r = c.request
    if likely_(r == NULL) or not r.collecting:
        return True
    return memory_holds(body_growth(&r.body, SCRATCH_SIZE))


cdef void connection_starve(connection_t* c) noexcept:
    """Buffer memory is spent: no reading until some is given back, or the deadline."""
    if c.state != CONNECTION_STARVED:
        connection_enter(c, CONNECTION_STARVED)


cdef int connection_flush(connection_t* c) noexcept:
    """Sends what is queued, or what was left before: an output_outcome."""
    cdef int outcome
    if c.pending != NULL:
        outcome = output_flush_rest(c.fd, c.pending, &stats.bytes_out)
        if outcome != OUTPUT_REST and outcome != OUTPUT_COLD:
            output_free_rest(c.pending)
            c.pending = NULL
        return outcome
    return output_flush(c.fd, &c.pending, &stats.bytes_out)
