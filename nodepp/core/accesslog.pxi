# core/accesslog.pxi — one line per answered request
#   Prefix: accesslog
#   Owns:  the three formats, the buffer in which lines wait to be written together, and what
#          becomes of them when they cannot be
#   Uses:  scan, clock, pulse, fork, tables, parser, request
#   Never: a write per request; a wait for the reader; anything when the log is off
#   Holds: a line holds no control character and no quote of the client's making; the buffer begins
#          and ends with a whole line

cdef enum:                             # formats
    ACCESSLOG_OFF, ACCESSLOG_NPP, ACCESSLOG_COMBINED, ACCESSLOG_JSON

cdef enum:
    # Bytes; written when half full, or every second. Full, and not taken: new lines are dropped.
    ACCESSLOG_ROOM = 64 * 1024
    ACCESSLOG_TEXT_MAX = 2048          # bytes of a target, referer or user agent; longer: cut
    # The longest line: four texts of the maximum size, each byte escaped as \u00xx in JSON.
    ACCESSLOG_LINE_MAX = 4 * 6 * ACCESSLOG_TEXT_MAX + 1024

# Takes lines and how many were dropped before them; gives how many bytes of them it has taken.
cdef object accesslog_sink = None
cdef bint accesslog_failed              # it has raised something …
cdef object accesslog_problem = None   # … which is kept until the end of the turn
cdef int accesslog_kind = ACCESSLOG_OFF
cdef char accesslog_buffer[ACCESSLOG_ROOM + ACCESSLOG_LINE_MAX]
cdef size_t accesslog_used
cdef uint64_t accesslog_lost_count     # lines dropped that the sink has not been told of
cdef bint accesslog_flushing           # the sink may run a signal handler, and that may flush
cdef bint accesslog_stalled            # the sink has left lines …
cdef int64_t accesslog_tried_ms        # … and was asked then
cdef int64_t accesslog_flushed_s


cdef void accesslog_set(sink, int kind) noexcept:
    """What waits goes to the sink that there was, or else to the new one. Without a new one it is
    lost, and the old sink counts it."""
    global accesslog_sink, accesslog_kind, accesslog_failed, accesslog_problem
    accesslog_flush()
    if sink is None and accesslog_used and not accesslog_flushing:
        accesslog_drop()
        accesslog_flush()
    accesslog_sink = sink
    accesslog_kind = kind if sink is not None else ACCESSLOG_OFF
    if sink is None:
        accesslog_failed = False       # there may be no further turn that it could come out of
        accesslog_problem = None


cdef void accesslog_drop() noexcept:
    """Gives up all lines that wait."""
    global accesslog_used, accesslog_lost_count
    cdef const char* at = accesslog_buffer
    cdef const char* end = accesslog_buffer + accesslog_used
    while at < end:
        accesslog_lost_count += 1
        at = <const char*>memchr(at, c'\n', end - at) + 1
    accesslog_used = 0


cdef void accesslog_forget() noexcept nogil:
    """In a child: the lines that wait are the parent's to write."""
    global accesslog_kind, accesslog_used, accesslog_lost_count
    accesslog_kind = ACCESSLOG_OFF
    accesslog_used = accesslog_lost_count = 0


cdef void accesslog_flush() noexcept:
    """Gives the sink the lines that wait; what it does not take waits for the next time."""
    global accesslog_used, accesslog_lost_count, accesslog_flushing, accesslog_failed
    global accesslog_problem, accesslog_flushed_s, accesslog_stalled, accesslog_tried_ms
    cdef size_t taken = 0
    if accesslog_flushing or accesslog_sink is None or not accesslog_used + accesslog_lost_count:
        return
    accesslog_flushing = True
    accesslog_flushed_s = clock_wall_s
    accesslog_tried_ms = clock_now_ms
    try:
        lost_count, accesslog_lost_count = accesslog_lost_count, 0
        taken = accesslog_sink(accesslog_buffer[:accesslog_used], lost_count)
    except MemoryError:
        pass
    except Cut:
        pass                           # the engine has been told to stop already
    except BaseException as problem:   # a signal handler's: it goes to the caller of turn()
        fork_check(problem)
        accesslog_problem = problem
        accesslog_failed = True
    accesslog_flushing = False
    taken = min(taken, accesslog_used)
    accesslog_used -= taken
    accesslog_stalled = accesslog_used != 0
    memmove(accesslog_buffer, accesslog_buffer + taken, accesslog_used)


cdef inline bint accesslog_may_flush() noexcept:
    """A sink that has left lines is asked once a millisecond at most."""
    return not accesslog_stalled or clock_now_ms != accesslog_tried_ms


cdef inline void accesslog_turn() noexcept:
    if accesslog_used and accesslog_may_flush() and (
            accesslog_used > ACCESSLOG_ROOM // 2 or clock_wall_s != accesslog_flushed_s):
        accesslog_flush()


cdef int accesslog_raise() except -1:
    """What the sink has raised, out of the turn."""
    global accesslog_failed, accesslog_problem
    problem, accesslog_problem = accesslog_problem, None
    accesslog_failed = False
    raise problem


cdef void accesslog_write(const connection_t* c, const request_t* r, int status, uint64_t size,
                          uint64_t number) noexcept:
    """Appends the line of one answer; `size` is the bytes of its content."""
    global accesslog_lost_count
    # 0: the log was opened while this request was being answered.
    cdef int64_t elapsed_us = (clock_read_ns() - r.begun_ns) // 1000 if r.begun_ns else 0
    if accesslog_used >= ACCESSLOG_ROOM and accesslog_may_flush():
        accesslog_flush()
    if accesslog_used >= ACCESSLOG_ROOM:
        accesslog_lost_count += 1
        return
    if accesslog_kind == ACCESSLOG_JSON:
        accesslog_json(c, r, status, size, elapsed_us)
    else:
        accesslog_text(c, r, status, size, elapsed_us, number)
    accesslog_put(b"\n", 1)


cdef inline void accesslog_put(const char* text, size_t size) noexcept:
    global accesslog_used
    memcpy(accesslog_buffer + accesslog_used, text, size)
    accesslog_used += size


cdef inline void accesslog_puts(const char* text) noexcept:
    accesslog_put(text, strlen(text))


cdef void accesslog_number(uint64_t value) noexcept:
    global accesslog_used
    accesslog_used += scan_write_decimal(accesslog_buffer + accesslog_used, value)


cdef void accesslog_quote(const uint8_t* text, size_t size, bint json) noexcept:
    """What the client sent, made harmless: control bytes, quotes, backslashes and, so that a log
    is valid whatever its reader expects, bytes beyond ASCII are escaped."""
    cdef size_t i
    cdef uint8_t byte
    cdef char escaped[6]
    if size > ACCESSLOG_TEXT_MAX:
        size = ACCESSLOG_TEXT_MAX
    for i in range(size):
        byte = text[i]
        if byte >= 0x20 and byte < 0x7F and byte != c'"' and byte != c'\\':
            accesslog_put(<const char*>&byte, 1)
            continue
        memcpy(escaped, b"\\u0000" if json else b"\\x00", 6 if json else 4)
        escaped[4 if json else 2] = b"0123456789abcdef"[byte >> 4]
        escaped[5 if json else 3] = b"0123456789abcdef"[byte & 15]
        accesslog_put(escaped, 6 if json else 4)


cdef void accesslog_field(const request_t* r, const char* lower, bint json) noexcept:
    cdef const field_t* field = request_find_field(r, <const uint8_t*>lower, strlen(lower))
    if field == NULL:
        accesslog_put(b"-", 1)
    else:
        accesslog_quote(r.data + field.value_start, field.value_size, json)


cdef void accesslog_peer(const connection_t* c) noexcept:
    cdef char text[64]
    if c.family == AF_UNIX or inet_ntop(c.family, c.peer, text, sizeof(text)) == NULL:
        accesslog_put(b"-", 1)
    else:
        accesslog_puts(text)


cdef void accesslog_request_line(const request_t* r) noexcept:
    if r.head.target_size == 0:        # refused before it had one
        accesslog_put(b"-", 1)
        return
    accesslog_quote(r.data + r.head.method_start, r.head.method_size, False)
    accesslog_put(b" ", 1)
    accesslog_quote(r.data + r.head.target_start, r.head.target_size, False)
    accesslog_puts(b" HTTP/1.1" if r.head.minor else b" HTTP/1.0")


cdef void accesslog_local_time() noexcept:
    """[10/Oct/2000:13:55:36 -0700], as Common Log Format has it."""
    global accesslog_used
    cdef time_t moment = clock_wall_s
    cdef tm local
    localtime_r(&moment, &local)
    accesslog_used += strftime(accesslog_buffer + accesslog_used, 40,
                               b"[%d/%b/%Y:%H:%M:%S %z]", &local)


cdef void accesslog_clock_time() noexcept:
    global accesslog_used
    cdef time_t moment = clock_wall_s
    cdef tm local
    localtime_r(&moment, &local)
    accesslog_used += strftime(accesslog_buffer + accesslog_used, 40, b"%H:%M:%S", &local)


cdef void accesslog_text(const connection_t* c, const request_t* r, int status, uint64_t size,
                         int64_t elapsed_us, uint64_t number) noexcept:
    """npp: time, address, request line, status, bytes, #number, milliseconds. combined: as Apache
    and nginx write it."""
    if accesslog_kind == ACCESSLOG_NPP:
        accesslog_clock_time()
        accesslog_put(b" ", 1)
        accesslog_peer(c)
    else:
        accesslog_peer(c)
        accesslog_puts(b" - - ")
        accesslog_local_time()
    accesslog_puts(b' "')
    accesslog_request_line(r)
    accesslog_puts(b'" ')
    accesslog_number(status)
    accesslog_put(b" ", 1)
    accesslog_number(size)
    if accesslog_kind == ACCESSLOG_NPP:
        accesslog_puts(b"  #")
        accesslog_number(number)
        accesslog_puts(b"  ")
        accesslog_milliseconds(elapsed_us)
        accesslog_puts(b" ms")
        return
    accesslog_puts(b' "')
    accesslog_field(r, b"referer", False)
    accesslog_puts(b'" "')
    accesslog_field(r, b"user-agent", False)
    accesslog_put(b'"', 1)


cdef void accesslog_milliseconds(int64_t elapsed_us) noexcept:
    cdef char digits[3]
    accesslog_number(elapsed_us // 1000)
    digits[0] = <char>(48 + elapsed_us % 1000 // 100)
    digits[1] = <char>(48 + elapsed_us % 100 // 10)
    digits[2] = <char>(48 + elapsed_us % 10)
    accesslog_put(b".", 1)
    accesslog_put(digits, 3)


cdef void accesslog_json(const connection_t* c, const request_t* r, int status, uint64_t size,
                         int64_t elapsed_us) noexcept:
    """One object a line; time in seconds since 1970, elapsed in microseconds."""
    accesslog_puts(b'{"time":')
    accesslog_number(clock_wall_s)
    accesslog_puts(b',"client":"')
    accesslog_peer(c)
    accesslog_puts(b'","method":"')
    accesslog_quote(r.data + r.head.method_start, r.head.method_size, True)
    accesslog_puts(b'","target":"')
    accesslog_quote(r.data + r.head.target_start, r.head.target_size, True)
    accesslog_puts(b'","status":')
    accesslog_number(status)
    accesslog_puts(b',"bytes":')
    accesslog_number(size)
    accesslog_puts(b',"elapsed_us":')
    accesslog_number(elapsed_us)
    accesslog_puts(b',"host":"')
    accesslog_quote(r.data + r.head.host_start, r.head.host_size, True)
    accesslog_puts(b'","referer":"')
    accesslog_field(r, b"referer", True)
    accesslog_puts(b'","user_agent":"')
    accesslog_field(r, b"user-agent", True)
    accesslog_puts(b'"}')
