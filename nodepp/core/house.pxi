# core/house.pxi — what a turn does beside answering: who comes in, who has to go
#   Prefix: house
#   Owns:  accepting, deadlines that have passed, the end of starvation, stopping
#   Uses:  limits, clock, trouble, state, tables, deadline, poller, transport, output, address,
#          response, listener, connection, callbacks, loop, wait
#   Never: requests
#   Holds: whoever is sent away is told why, if he can still hear it

cdef int64_t house_cut_ms              # while stopping: when the rest is cut
cdef uint32_t house_draining_count     # connections when the last one had been accepted
cdef bint house_swept                  # idle connections have been closed
cdef bint house_doors_open             # while stopping: listeners are still to be closed
cdef uint32_t house_capacity           # connections before the reserve begins
cdef bint house_guarded                # there is one of them
cdef bint house_expels                 # they are new: whoever is connected is to be looked at

cdef const char* HOUSE_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 24\r\nConnection: close\r\nRetry-After: 5\r\n\r\n503 Service Unavailable\n")


cdef int house_accept(int index) except -1:
    """Accepts until nobody waits, within a bound: those who are here want their turn. 1: more may
    be waiting."""
    cdef peer_t peer
    cdef int i, fd
    for i in range(ACCEPT_COUNT_TURN):
        fd = transport_accept(listener_table[index].fd, &peer)
        if fd >= 0:
            stats.accepted += 1
            house_welcome(fd, &peer)
        elif fd == TRANSPORT_AGAIN:
            return 0
        elif fd == TRANSPORT_EXHAUSTED:
            stats.accept_pauses += 1
            trouble_note(TROUBLE_ACCEPT, errno)
            listener_park()
            return 0
        elif fd == TRANSPORT_BROKEN:
            callback_log(1, f"descriptor {listener_table[index].fd} accepts no more: given up")
            listener_drop(index)
            return 0
    return 1


cdef int house_welcome(int fd, const peer_t* peer) except -1:
    """A slot for the peer; without one, 503 and Retry-After."""
    cdef connection_t* c = NULL
    cdef int trouble = TROUBLE_CONNECTIONS
    if unlikely_(house_guarded) and house_refuses(peer):
        stats.blocked += 1
        transport_close(fd)
        return 0
    if not poller_can_watch(fd):
        trouble = TROUBLE_WATCH
        transport_set_errno(EMFILE)    # select: the number is too high, though slots are free
    elif tables_used_count < tables_slot_count:
        trouble = TROUBLE_WATCH        # if it is not watched, the poller has said why
        c = connection_begin(fd, peer)
    if c == NULL:
        house_note_full(trouble, errno if trouble == TROUBLE_WATCH else 0)
        transport_send_once(fd, HOUSE_FULL, strlen(HOUSE_FULL))
        return 0
    if tables_used_count <= house_capacity:
        return 0
    # A slot of the reserve: only to be told, and to have the time to hear it.
    house_note_full(TROUBLE_CONNECTIONS, 0)
    c.closing = c.linger = True
    output_begin()
    response_queue_brief(503, True)
    return loop_after_flush(c, connection_flush(c))


cdef int house_set_lists(AddressList black, AddressList white) except -1:
    """Who is connected already is looked at when this turn is over."""
    global address_black, address_white, house_guarded, house_expels
    address_black = black
    address_white = white
    house_guarded = house_expels = black is not None or white is not None
    return 0


cdef bint house_refuses(const peer_t* peer) noexcept:
    """Is this peer on the black list, or missing from the white one? A unix socket has no address,
    and its permissions have decided."""
    cdef address_t address
    if not address_of(peer.family, peer.address, &address):
        return False
    if address_white is not None and not address_is_on(address_white, &address):
        return True
    return address_black is not None and address_is_on(address_black, &address)


cdef int house_expel() except -1:
    """Closes the connections of peers that the lists refuse now."""
    global house_expels
    cdef connection_t* c
    cdef peer_t peer
    cdef uint32_t slot = tables_highest_used
    house_expels = False
    while slot > 0:
        slot -= 1
        if slot >= tables_highest_used:
            continue
        c = &tables_connection[slot]
        if c.state == CONNECTION_FREE:
            continue
        peer.family = c.family
        memcpy(peer.address, c.peer, sizeof(peer.address))
        if house_refuses(&peer):
            stats.blocked += 1
            loop_close(c)
    return 0


cdef void house_note_full(int cause, int number) noexcept:
    stats.refused_full += 1
    stats.status_class[5] += 1
    trouble_note(cause, number)


cdef int house_expire() except -1:
    cdef connection_t* c
    cdef int i
    for i in range(DEADLINE_COUNT_TURN):
        c = deadline_next_expired()
        if c == NULL:
            break
        house_time_out(c)
    return 0


cdef int house_time_out(connection_t* c) except -1:
    """Its deadline has passed: what that means is the state's to say."""
    cdef const state_t* row = &state_table[c.state]
    stats.timeouts[row.counter] += 1
    if row.on_timeout == 0:
        loop_close(c)
        return 0
    if row.on_timeout == 503:
        trouble_note(TROUBLE_BUDGET, 0)
    if row.on_timeout == 504:
        return wait_time_out(c)
    output_begin()
    loop_refuse(c, row.on_timeout, c.request)
    return loop_after_flush(c, connection_flush(c))


cdef int house_feed_starved() except -1:
    """Buffer memory has been given back: whoever waited for it reads on."""
    cdef connection_t* c
    cdef uint32_t slot
    for slot in range(tables_highest_used):
        c = &tables_connection[slot]
        if c.state == CONNECTION_STARVED and connection_may_read(c):
            connection_enter(c, CONNECTION_READING_BODY)
    return 0


cdef int house_stop(int64_t grace_ms) except -1:
    """Nobody new; who is being served is served; the rest is cut after `grace_ms`. Within a turn
    (a handler or a signal handler calls) the listeners are closed at its end: a peer who is sent
    away needs the output buffer, which may be in use."""
    global connection_draining, house_cut_ms, house_swept, house_doors_open
    if not loop_in_turn:
        clock_update()
    if not connection_draining:
        connection_draining = house_doors_open = True
        house_swept = False
        house_cut_ms = clock_now_ms + grace_ms
    elif clock_now_ms + grace_ms < house_cut_ms:
        house_cut_ms = clock_now_ms + grace_ms
    if house_doors_open and not loop_in_turn:
        house_close_doors()
    return 0


cdef inline bint house_cuts() noexcept nogil:
    """The grace is over: nothing more is begun, so that this turn ends soon."""
    return connection_draining and clock_now_ms >= house_cut_ms


cdef int house_close_doors() except -1:
    """Whoever has been accepted by the kernel was promised an answer, as far as there are slots."""
    global house_doors_open, house_draining_count
    cdef uint32_t rounds = limits.connection_count_max // ACCEPT_COUNT_TURN + 1
    cdef int i
    house_doors_open = False
    for i in range(listener_count):
        while rounds and listener_table[i].watched and house_accept(i):
            rounds -= 1
    house_draining_count = tables_used_count
    listener_close()
    return 0


cdef int house_stop_step() except -1:
    """At the end of each turn while stopping."""
    global house_swept
    cdef connection_t* c
    cdef uint32_t slot
    cdef bint cut = house_cuts()
    if house_doors_open:
        house_close_doors()
    if not cut and house_swept:
        return 0
    house_swept = True
    slot = tables_highest_used
    while slot > 0:
        slot -= 1
        if slot >= tables_highest_used:
            continue
        c = &tables_connection[slot]
        if c.state == CONNECTION_FREE:
            continue
        if cut:
            stats.cut += state_table[c.state].on_stop == STATE_STOP_GRACE
            loop_close(c)
        elif state_table[c.state].on_stop >= STATE_STOP_CLOSE:
            house_sweep(c)
    return 0


cdef int house_sweep(connection_t* c) except -1:
    """Closes an idle connection, unless a request has just come in, or is about to: a peer that
    has not said a word yet gets two seconds for it."""
    cdef uint32_t generation = c.generation
    cdef uint32_t slot = tables_slot(c)
    cdef uint8_t before = c.state
    loop_read(c)
    c = tables_find(slot, generation)
    if c == NULL or c.state != before:
        return 0
    if state_table[before].on_stop == STATE_STOP_HURRY:
        connection_hurry(c, LINGER_IDLE_MS)
    else:
        loop_close(c)
    return 0


cdef void house_empty() noexcept:
    """Closes every connection, whatever it is at; also one that an iterator's close() adopts."""
    cdef uint32_t slot
    while tables_used_count:
        slot = tables_highest_used
        while slot > 0:
            slot -= 1
            if slot < tables_highest_used and tables_connection[slot].state != CONNECTION_FREE:
                loop_close(&tables_connection[slot])
