# core/clock.pxi — what time is it, this turn?
#   Prefix: clock
#   Owns:  monotonic and wall time, read once a turn; the ready-made Server and Date lines
#   Uses:  scan
#   Never: a system call per request, except for the access log
#   Holds: `clock_now_ms` never goes back

cdef enum:
    DATE_SIZE = 29                     # "Sun, 06 Nov 1994 08:49:37 GMT"
    IDENTITY_SIZE_MAX = 256

cdef int64_t clock_now_ns              # monotonic time of this turn, as it was read
cdef int64_t clock_now_ms              # the same, with what the tests have added
cdef int64_t clock_skew_ms             # what the tests have added
cdef int64_t clock_wall_s              # seconds since 1970 of this turn
cdef char clock_date[DATE_SIZE + 1]
cdef char clock_lines[IDENTITY_SIZE_MAX + 64]   # "Server: …\r\nDate: …\r\n"
cdef size_t clock_lines_size
cdef char clock_identity[IDENTITY_SIZE_MAX]     # "Server: …\r\n" or nothing
cdef size_t clock_identity_size


cdef inline int64_t clock_read_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return <int64_t>now.tv_sec * 1000000000 + now.tv_nsec


cdef inline int64_t clock_read_wall_s() noexcept nogil:
    """Seconds since 1970, for what happens outside a turn."""
    cdef timespec now
    clock_gettime(CLOCK_REALTIME, &now)
    return now.tv_sec


cdef inline void clock_advance() noexcept nogil:
    """Before the wait: all that it needs."""
    global clock_now_ns, clock_now_ms
    clock_now_ns = clock_read_ns()
    clock_now_ms = clock_now_ns // 1000000 + clock_skew_ms


cdef void clock_update() noexcept nogil:
    """After the wait: all that happens in a turn happens at its time."""
    global clock_wall_s
    cdef timespec wall
    clock_advance()
    clock_gettime(CLOCK_REALTIME, &wall)
    if wall.tv_sec != clock_wall_s:
        clock_wall_s = wall.tv_sec
        clock_format_date()


cdef void clock_two_digits(char* into, int value) noexcept nogil:
    memcpy(into, scan_digit_pair + 2 * (value % 100), 2)


cdef void clock_http_date(int64_t seconds, char* into) noexcept nogil:
    """IMF-fixdate of RFC 9110 §5.6.7: 29 bytes, no end mark."""
    cdef const char* days = b"SunMonTueWedThuFriSat"
    cdef const char* months = b"JanFebMarAprMayJunJulAugSepOctNovDec"
    cdef time_t moment = seconds
    cdef tm utc
    gmtime_r(&moment, &utc)
    memcpy(into, b"Sun, 00 Jan 0000 00:00:00 GMT", DATE_SIZE)
    memcpy(into, days + 3 * utc.tm_wday, 3)
    clock_two_digits(into + 5, utc.tm_mday)
    memcpy(into + 8, months + 3 * utc.tm_mon, 3)
    clock_two_digits(into + 12, (utc.tm_year + 1900) // 100)
    clock_two_digits(into + 14, utc.tm_year + 1900)
    clock_two_digits(into + 17, utc.tm_hour)
    clock_two_digits(into + 20, utc.tm_min)
    clock_two_digits(into + 23, utc.tm_sec)


cdef void clock_format_date() noexcept nogil:
    global clock_lines_size
    clock_http_date(clock_wall_s, clock_date)
    memcpy(clock_lines, clock_identity, clock_identity_size)
    memcpy(clock_lines + clock_identity_size, b"Date: ", 6)
    memcpy(clock_lines + clock_identity_size + 6, clock_date, DATE_SIZE)
    memcpy(clock_lines + clock_identity_size + 6 + DATE_SIZE, b"\r\n", 2)
    clock_lines_size = clock_identity_size + 6 + DATE_SIZE + 2


cdef int clock_identify(bytes server) except -1:
    """Sets the Server field; b"" leaves it out."""
    global clock_identity_size
    cdef bytes line = b"Server: " + server + b"\r\n" if server else b""
    if len(line) > IDENTITY_SIZE_MAX:
        raise ValueError("the Server field is too long: %d bytes" % len(server))
    memcpy(clock_identity, <const char*>line, len(line))
    clock_identity_size = len(line)
    clock_update()
    clock_format_date()
    return 0
