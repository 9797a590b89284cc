# core/loop.pxi — one turn: wait, accept, advance each ready connection, expire
#   Prefix: loop
#   Owns:  the order of things; what each outcome leads to; stopping
#   Uses:  limits, clock, pulse, trouble, fork, memory, state, tables, deadline, poller, transport,
#          readahead, output, response, listener, request, accesslog, connection, queue, callbacks,
#          policy, visit, parting, later, stream, telling, dispatch, timer, reader, download, wait,
#          house
#   Never: how a thing is done
#   Holds: a turn never waits for one connection, and none gets more than its share of it

cdef bint loop_in_turn                 # a nested turn would take the shared buffers away
cdef int64_t loop_released_ms          # when the GIL was last given away
cdef int loop_wakeup_fd = -1           # the signal pipe's read end

cdef enum:
    LOOP_KEY_WAKEUP = 0x7FFFFFFF
    LOOP_ROUND_MAX = 16                # times one connection fills the queue in a turn
    LOOP_SWEEP_MS = 20                 # between two shares of looking for sessions that are over
    LOOP_LAZY_MS = 2                   # between two questions to streams that have nothing to say


cdef int loop_turn(int timeout_ms) except -1:
    """One pass; how many connections advanced."""
    cdef int i, count
    cdef int64_t begun_ns
    clock_advance()
    pulse_wait()
    count = loop_wait(loop_timeout(timeout_ms))
    clock_update()
    begun_ns = clock_now_ns
    if unlikely_(loop_signals() < 0):
        loop_take_signal()
    stats.turns += 1
    pulse_turn(<uint64_t>begun_ns, stats.requests)
    fork_check(None)                   # a handler of a signal has forked
    for i in range(count):
        if unlikely_(connection_draining) and house_cuts():
            break
        loop_event(poller_event[i].key, poller_event[i].ready)
    count += loop_run_queue()
    house_expire()
    if unlikely_(timer_is_due()) and not house_cuts():
        timer_run()
    if likely_(policy_vault != NULL):
        parting_expire()
    accesslog_turn()
    if unlikely_(loop_is_unusual()):
        loop_run_unusual()
    stats.busy_ns += clock_read_ns() - begun_ns
    return count


cdef inline bint loop_is_unusual() noexcept:
    """Is there any of what most turns have nothing of? One question for all of it."""
    return (fork_orphaned | connection_starved_count | house_expels | listener_parked
            | connection_draining | trouble_waits | accesslog_failed) != 0


cdef int loop_run_unusual() except -1:
    fork_check(None)                   # what ran unseen, such as a __del__, has forked
    if connection_starved_count:
        house_feed_starved()
    if house_expels:
        house_expel()
    listener_resume(False)
    if connection_draining:
        house_stop_step()
    if trouble_waits:
        telling_turn()
    if accesslog_failed:
        accesslog_raise()
    return 0


cdef extern from "Python.h":
    int loop_signals "PyErr_CheckSignals"() noexcept


cdef int loop_take_signal() except -1:
    """A handler of a signal has raised. Where the signals are the server's, that is a handler of
    the application, such as for an alarm, and its fault ends no server."""
    try:
        callback_raise()
    except BaseException as problem:
        fork_check(problem)
        if not callback_owns_signals or not callback_keep(problem):
            raise
        stats.handler_errors += 1
        callback_log_problem("a handler of a signal failed", problem)
    return 0


cdef int loop_wait(int timeout_ms) except -2:
    """Waits for events. While there is work the wait does not block and keeps the GIL, but at
    least every BUSY_MS_MAX it is given away, so that other threads live."""
    cdef int count
    if clock_now_ms - loop_released_ms < BUSY_MS_MAX:
        count = poller_wait(0, False)
        if count or timeout_ms == 0:
            return count
    loop_note_release()
    return poller_wait(timeout_ms, True)


cdef inline void loop_note_release() noexcept:
    global loop_released_ms
    loop_released_ms = clock_now_ms


cdef int loop_timeout(int timeout_ms) noexcept:
    """How long the wait may last: until the next deadline or timer at most."""
    cdef int64_t wait = DEADLINE_TICK_MS if tables_used_count else 1000
    if queue_first >= 0:
        # Streams that yield b"" are asked again a little later, not at once without end.
        wait = LOOP_LAZY_MS if queue_lazy else 0
    if parting_behind and wait > LOOP_SWEEP_MS:
        wait = LOOP_SWEEP_MS
    if timer_next_ms - clock_now_ms < wait:
        wait = max(0, timer_next_ms - clock_now_ms)
    if timeout_ms >= 0 and timeout_ms < wait:
        wait = timeout_ms
    return <int>wait


cdef int loop_event(uint64_t key, int ready) except -1:
    cdef uint32_t slot = <uint32_t>(key & 0xFFFFFFFF)
    cdef connection_t* c
    if unlikely_(slot >= READER_KEY):
        return loop_other_event(slot, <uint32_t>(key >> 32))
    c = tables_find(slot, <uint32_t>(key >> 32))
    if c == NULL:                      # closed earlier in this turn
        return 0
    return loop_advance(c, ready)


cdef int loop_other_event(uint32_t key, uint32_t generation) except -1:
    """Something that is no connection."""
    if key == LOOP_KEY_WAKEUP:
        loop_drain(loop_wakeup_fd)
    elif key == DOWNLOAD_KEY:
        loop_drain(readahead_pipe[0])
        loop_go_on_reading()
    elif key < LISTENER_KEY:
        reader_call(key - READER_KEY, generation)
    else:
        house_accept(key - LISTENER_KEY)
    return 0


cdef int loop_go_on_reading() except -1:
    """What the helper has read goes out."""
    cdef connection_t* c = download_next()
    while c != NULL:
        loop_after_flush(c, connection_flush(c))
        c = download_next()
    return 0


cdef int loop_drain(int fd) noexcept:
    """Empties a pipe whose bytes only say that there is something to do."""
    cdef char bytes_[256]
    while posix_read(fd, bytes_, sizeof(bytes_)) == sizeof(bytes_):
        pass
    return 0


cdef int loop_advance(connection_t* c, int ready) except -1:
    """A connection is ready for what it waits for."""
    cdef const state_t* row = &state_table[c.state]
    if likely_(row.on_ready == STATE_DO_READ and ready & POLLER_READ):
        return loop_read(c)
    return loop_do(c, row.on_gone if ready & POLLER_GONE else row.on_ready)


cdef int loop_do(connection_t* c, int action) except -1:
    if action == STATE_DO_FLUSH:
        return loop_after_flush(c, connection_flush(c))
    if action == STATE_DO_LINGER:
        return loop_linger(c)
    if action == STATE_DO_LISTEN:
        return wait_listen(c)
    if action == STATE_DO_CLOSE:
        loop_close(c)
    return 0


cdef int loop_read(connection_t* c) except -1:
    cdef input_t input
    cdef ssize_t count
    if unlikely_(not connection_may_read(c)):
        connection_starve(c)
        return 0
    count = connection_receive(c, &input)
    if likely_(count > 0):
        return loop_feed(c, &input)
    if count != TRANSPORT_AGAIN:
        loop_close(c)
    return 0


cdef int loop_feed(connection_t* c, input_t* input) except -1:
    """Answers the requests in the input, in order, until it is used up or the peer must take some
    of the answers first."""
    cdef request_t* r = NULL
    cdef mark_t mark
    cdef int outcome, flushed
    cdef int rounds = 0
    output_begin()
    while True:
        outcome = connection_next(c, input, &r)
        if outcome == CONNECTION_MORE:
            break
        if unlikely_(outcome != CONNECTION_READY):
            if outcome == CONNECTION_REFUSED:
                loop_refuse(c, input.refusal, input.refused)
                request_release(input.refused)
                break
            if loop_continue(c, input):
                break
            r = c.request
            c.request = NULL
        connection_enter(c, CONNECTION_ANSWERING)
        output_mark(&mark)
        if unlikely_(dispatch_try(c, r) < 0):
            dispatch_recover(c, r, &mark)
        visit_shown.number = 0         # what it points to goes now
        if unlikely_(visit_over_count):
            dispatch_end_noted(c, r)
        request_release(r)
        if c.closing or c.stream != NULL:
            break
        if likely_(input.at == input.end):
            break
        if output_is_full():
            flushed = connection_flush(c)
            rounds += 1
            if flushed != OUTPUT_SENT or rounds == LOOP_ROUND_MAX:
                if flushed == OUTPUT_CLOSED:
                    connection_drop_holder(input)
                    loop_close(c)
                    return 0
                break
            output_begin()
    loop_keep_input(c, input)
    if c.cut:
        output_drop()
        loop_close(c)
        return 0
    if c.pending != NULL:
        return loop_after_flush(c, OUTPUT_REST)
    return loop_after_flush(c, connection_flush(c))


cdef int loop_keep_input(connection_t* c, input_t* input) noexcept:
    """What is left of the input waits for its turn, unless the connection ends here."""
    cdef bint left = input.at < input.end
    if left and c.closing:
        c.linger = True                # RFC 9112 §9.6: a close now could reset the answer away
    elif left and not connection_hold(c, input):
        stats.refused_memory += 1
        memory_note_refusal()
        c.closing = c.linger = True
    connection_drop_holder(input)
    return 0


cdef int loop_refuse(connection_t* c, uint16_t status, const request_t* r) except -1:
    """Answers with a line of text and closes after it."""
    cdef bint with_body = request_wants_body(r)
    if status == 503:
        stats.refused_memory += 1
    stats.requests += 1
    stats.status_class[status // 100] += 1
    c.answered += 1
    c.closing = c.linger = True
    response_queue_brief(status, with_body)
    if unlikely_(accesslog_kind != ACCESSLOG_OFF) and r != NULL:
        accesslog_write(c, r, status, response_brief_size(status) if with_body else 0,
                        stats.requests)
    return 0


cdef bint loop_continue(connection_t* c, input_t* input) except -1:
    """The peer waits before it sends the content: True, it was told to go on. False: the answer is
    known already, and the content is not wanted."""
    cdef size_t start = output.used
    if dispatch_would_refuse(c.request):
        c.closing = c.linger = True
        return False
    output_append(b"HTTP/1.1 100 Continue\r\n\r\n", 25)
    output_add_range(start, 25)
    return True


cdef int loop_after_flush(connection_t* c, int outcome) except -1:
    """All has left, or the peer takes no more for now, or it has gone."""
    if unlikely_(outcome != OUTPUT_SENT):
        if outcome == OUTPUT_CLOSED:
            loop_close(c)
            return 0
        if outcome == OUTPUT_COLD:
            return download_wait(c)
        # Progress was made or begun: the peer has its time again.
        if c.stream != NULL:
            connection_enter(c, CONNECTION_STREAM_WRITING)
        else:
            connection_enter(c, CONNECTION_WRITING)
        return 0
    if unlikely_(c.stream != NULL):
        return loop_stream(c)
    if unlikely_(c.closing or connection_draining and c.request == NULL):
        return loop_end(c)
    if likely_(c.request == NULL):
        connection_enter(c, CONNECTION_IDLE)
        return 0
    return loop_after_request(c)


cdef int loop_after_request(connection_t* c) noexcept:
    """Something of a further request is here."""
    if c.request.collecting:
        connection_enter(c, CONNECTION_READING_BODY)
        return 0
    if c.request.head.position == 0 and c.request.head.leading == 0:
        # Held back while answers were on their way: goes on without a new byte.
        connection_enter(c, CONNECTION_HELD)
        queue_add(c)
        return 0
    connection_enter(c, CONNECTION_READING_HEAD)
    return 0


cdef int loop_stream(connection_t* c) except -1:
    """The peer has taken all so far: the iterator's next share, or its end."""
    cdef int outcome
    if later_of(c) is not None:
        return wait_begin(c)
    if c.state != CONNECTION_STREAMING and c.state != CONNECTION_STREAM_WRITING:
        # The first piece has left with the head; others get their turn before the second one.
        connection_enter(c, CONNECTION_STREAMING)
        queue_add(c)
        return 0
    output_begin()
    outcome = stream_step(c)
    if outcome == STREAM_BROKEN:
        output_drop()
        loop_close(c)
        return 0
    if outcome == STREAM_ENDED:
        stream_finish(c)
        return loop_after_flush(c, connection_flush(c))
    outcome = connection_flush(c)
    if outcome != OUTPUT_SENT:
        return loop_after_flush(c, outcome)
    connection_enter(c, CONNECTION_STREAMING)
    queue_add(c)
    return 0


cdef int loop_end(connection_t* c) noexcept:
    """The last answer has left. If the peer may still be sending, its input is drained first."""
    if not c.linger:
        loop_close(c)
        return 0
    if c.request != NULL:
        request_release(c.request)
        c.request = NULL
    shutdown(c.fd, SHUT_WR)
    c.linger_size = 0
    c.linger_end_ms = clock_now_ms + LINGER_MS
    connection_enter(c, CONNECTION_LINGERING)
    return 0


cdef int loop_linger(connection_t* c) noexcept:
    """Drains and forgets what still comes, until the peer closes or a bound is met."""
    cdef ssize_t count = transport_recv(c.fd, connection_scratch, SCRATCH_SIZE)
    if count == TRANSPORT_AGAIN:
        return 0
    if count > 0:
        c.linger_size += <uint32_t>count
        if c.linger_size < LINGER_SIZE_MAX and clock_now_ms < c.linger_end_ms:
            connection_enter(c, CONNECTION_LINGERING)
            return 0
    loop_close(c)
    return 0


cdef void loop_close(connection_t* c) noexcept:
    queue_remove(c)
    if c.stream != NULL:
        stream_finish(c)
    connection_end(c)
    if unlikely_(listener_parked):
        listener_resume(True)          # its descriptor is free now


cdef int loop_run_queue() except -1:
    """Advances as many as were in the queue when this began; what is added waits a turn."""
    global queue_lazy
    cdef int advanced = 0
    cdef int i
    cdef int count = queue_count
    cdef uint64_t sent = stats.bytes_out
    cdef connection_t* c
    cdef input_t input
    if count:
        fork_check(None)               # what ran unseen before, such as a __del__, may have forked
    for i in range(count):
        if queue_first < 0 or house_cuts():
            break
        c = &tables_connection[queue_first]
        queue_remove(c)
        advanced += 1
        if c.state == CONNECTION_STREAMING and c.pending == NULL:
            loop_stream(c)
        elif c.state == CONNECTION_HELD:
            input.at = input.end = connection_scratch
            input.holder = NULL
            loop_feed(c, &input)
        elif c.state == CONNECTION_WAITING or c.state == CONNECTION_WAITING_DEAF:
            wait_go_on(c)
    queue_lazy = stats.bytes_out == sent
    return advanced
