# core/timer.pxi — what the application wants done every so often
#   Prefix: timer
#   Owns:  periodic callbacks on the engine's thread
#   Uses:  clock, pulse, fork, connection, callbacks
#   Never: exactness: a callback runs at the end of the turn in which it is due
#   Holds: a callback that fails is logged and comes again; missed beats are not made up for

cdef list timer_entries = []           # [next_ms, interval_ms, callback]
cdef int64_t timer_next_ms = <int64_t>1 << 62


cdef int timer_add(double seconds, callback, bint once) except -1:
    global timer_next_ms
    if not 0.001 <= seconds <= 1e9:
        raise ValueError(f"every {seconds} s: a millisecond at least, 1e9 s at most")
    cdef int64_t interval_ms = <int64_t>(seconds * 1000)
    timer_entries.append([clock_now_ms + interval_ms, interval_ms, callback, once])
    timer_next_ms = min(timer_next_ms, clock_now_ms + interval_ms)
    return 0


cdef inline bint timer_is_due() noexcept:
    return clock_now_ms >= timer_next_ms


cdef int timer_run() except -1:
    global timer_next_ms
    cdef int64_t next_ms = <int64_t>1 << 62
    fork_check(None)                   # what ran unseen before, such as a __del__, may have forked
    for entry in timer_entries[:]:     # a callback may add another one
        if entry[0] <= clock_now_ms:
            entry[0] = clock_now_ms + entry[1]
            if entry[3]:
                timer_entries.remove(entry)
            timer_call(entry[2])
    for entry in timer_entries:
        next_ms = min(next_ms, <int64_t>entry[0])
    timer_next_ms = next_ms
    return 0


cdef void timer_call(callback) noexcept:
    pulse_step(b"a periodic callback")
    try:
        callback()
        fork_check(None)
    except BaseException as problem:
        if callback_keep(problem):
            stats.handler_errors += 1
            callback_log_problem("a periodic callback failed", problem)


cdef void timer_close() noexcept:
    global timer_next_ms
    timer_entries.clear()
    timer_next_ms = <int64_t>1 << 62
