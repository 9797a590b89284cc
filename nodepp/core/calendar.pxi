# core/calendar.pxi — which moment does this date name?
#   Prefix: calendar
#   Owns:  reading the three forms of HTTP-date, RFC 9110 §5.6.7
#   Uses:  scan
#   Never: the present, but for the century of a two-digit year
#   Holds: what is not a date to the letter is none: the caller ignores the field

cdef enum:
    CALENDAR_NONE = -1                 # this is no date


cdef int64_t calendar_read(const uint8_t* text, size_t size, int64_t now_s) noexcept nogil:
    """Seconds since 1970, or CALENDAR_NONE. A recipient MUST accept all three forms:
    "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994".
    """
    cdef const uint8_t* at = text
    cdef const uint8_t* end = text + size
    while at < end and at[0] != c',' and at[0] != c' ':
        at += 1
    if end - at < 21:
        return CALENDAR_NONE
    if at[0] == c' ':
        return calendar_asctime(at + 1, end) if calendar_is_day(text, at, False) else CALENDAR_NONE
    if at[1] != c' ':
        return CALENDAR_NONE
    if calendar_is_day(text, at, False):
        return calendar_fixdate(at + 2, end)
    if calendar_is_day(text, at, True):
        return calendar_rfc850(at + 2, end, now_s)
    return CALENDAR_NONE


cdef bint calendar_is_day(const uint8_t* text, const uint8_t* end, bint long_) noexcept nogil:
    """Is it the name of a weekday? Which one is not held against the date: nobody computes it."""
    cdef const char* names = b"Monday   Tuesday  WednesdayThursday Friday   Saturday Sunday   "
    cdef const int* sizes = [6, 7, 9, 8, 6, 8, 6]
    cdef size_t size = <size_t>(end - text)
    cdef int i
    for i in range(7):
        if size == <size_t>(sizes[i] if long_ else 3) and memcmp(text, names + 9 * i, size) == 0:
            return True
    return False


cdef int64_t calendar_fixdate(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """06 Nov 1994 08:49:37 GMT"""
    if end - at != 24 or at[2] != c' ' or at[6] != c' ' or at[11] != c' ' \
            or memcmp(at + 20, b" GMT", 4) != 0:
        return CALENDAR_NONE
    return calendar_moment(calendar_number(at + 7, 4), calendar_month(at + 3),
                           calendar_number(at, 2), at + 12)


cdef int64_t calendar_rfc850(const uint8_t* at, const uint8_t* end, int64_t now_s) noexcept nogil:
    """06-Nov-94 08:49:37 GMT"""
    cdef int year
    cdef int64_t moment
    if end - at != 22 or at[2] != c'-' or at[6] != c'-' or at[9] != c' ' \
            or memcmp(at + 18, b" GMT", 4) != 0:
        return CALENDAR_NONE
    year = calendar_number(at + 7, 2)
    if year < 0:
        return CALENDAR_NONE
    moment = calendar_moment(2000 + year, calendar_month(at + 3), calendar_number(at, 2), at + 10)
    # RFC 9110 §5.6.7: more than 50 years in the future is the century before.
    if moment > now_s + <int64_t>50 * 365 * 86400 + 12 * 86400:
        moment = calendar_moment(1900 + year, calendar_month(at + 3), calendar_number(at, 2),
                                 at + 10)
    return moment


cdef int64_t calendar_asctime(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Nov  6 08:49:37 1994"""
    cdef int day
    if end - at != 20 or at[3] != c' ' or at[6] != c' ' or at[15] != c' ':
        return CALENDAR_NONE
    day = calendar_number(at + 5, 1) if at[4] == c' ' else calendar_number(at + 4, 2)
    return calendar_moment(calendar_number(at + 16, 4), calendar_month(at), day, at + 7)


cdef int calendar_number(const uint8_t* text, int count) noexcept nogil:
    """The value of so many digits, or -1."""
    cdef int value = 0
    cdef int i
    for i in range(count):
        if not scan_class[text[i]] & SCAN_DIGIT:
            return -1
        value = value * 10 + text[i] - 48
    return value


cdef int calendar_month(const uint8_t* name) noexcept nogil:
    """1 to 12, or -1."""
    cdef const char* names = b"JanFebMarAprMayJunJulAugSepOctNovDec"
    cdef int i
    for i in range(12):
        if memcmp(name, names + 3 * i, 3) == 0:
            return i + 1
    return -1


cdef int64_t calendar_moment(int year, int month, int day, const uint8_t* clock) noexcept nogil:
    """Seconds since 1970 of a day and "08:49:37"."""
    cdef int hour = calendar_number(clock, 2)
    cdef int minute = calendar_number(clock + 3, 2)
    cdef int second = calendar_number(clock + 6, 2)
    if clock[2] != c':' or clock[5] != c':' or year < 0 or month < 1 or day < 1 \
            or day > calendar_month_size(year, month) or hour < 0 or hour > 23 \
            or minute < 0 or minute > 59 or second < 0 or second > 60:
        return CALENDAR_NONE
    return calendar_days(year, month, day) * 86400 + hour * 3600 + minute * 60 + second


cdef int calendar_month_size(int year, int month) noexcept nogil:
    cdef const int* sizes = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    if month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0):
        return 29
    return sizes[month - 1]


cdef int64_t calendar_days(int year, int month, int day) noexcept nogil:
    """Days since 1970-01-01 in the Gregorian calendar. Years begin in March here, so that the day
    that comes and goes is the last one."""
    cdef int64_t y = year - (1 if month <= 2 else 0)
    cdef int64_t era = (y if y >= 0 else y - 399) // 400
    cdef int64_t year_of_era = y - era * 400
    cdef int64_t day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 \
        + day_of_year - 719468
