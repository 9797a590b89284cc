# core/format.pxi — what does `req.out(text, *args)` write?
#   Prefix: printf
#   Owns:  the formats of `out`: parsing them, converting what is asked for, their errors
#   Uses:  limits, scan, decimal, escape, output
#   Never: the head, the socket; a temporary object for a str or an int
#   Holds: every byte is written within the room asked for; after an error the output's end is
#          where it was; no pointer into the output outlives a call that can run Python code

cdef enum:
    PRINTF_LEFT = 1          # "-"
    PRINTF_ZERO = 2          # "0"
    PRINTF_PLUS = 4          # "+"
    PRINTF_SPACE = 8         # " "
    PRINTF_WIDTH_MAX = 4096  # characters of a width or a precision; over: ValueError
    PRINTF_SLICE = 1024      # characters encoded between two looks at the room
    PRINTF_SLACK = 256       # bytes of room asked for at first, per argument: most fit

cdef struct printf_spec_t:
    uint8_t flags
    char conversion
    int width        # characters, 0: none
    int precision    # -1: none

# `start` is the output's end as the output knows it, `at` where the next byte goes, `end` the
# end of the room. The other two say where in the format we are, for messages.
cdef struct printf_writer_t:
    char* start
    char* at
    char* end
    const char* format
    const char* percent

ctypedef int (*printf_quiet_t)(str, PyObject**, Py_ssize_t, bint) noexcept


cdef int printf_render(str text, PyObject** args, Py_ssize_t arg_count, bint html) except -1:
    """Appends `text` to the output as UTF-8; with arguments it is a format.

    Formats are %s %d %i %u %x %f %c and %%, with the flags, width and precision that they have
    in Python; `l` is skipped, for Node++ has %ld. Values of %s and %c are HTML-escaped when
    `html` is true and their type has no __html__. bytes are UTF-8, %u is not negative.
    Raises TypeError or ValueError that name format and position, UnicodeEncodeError for lone
    surrogates, and whatever an argument's own methods raise; nothing is written then.
    """
    cdef size_t mark = output.used
    # Called as if it could not raise: -1 comes back with the exception set, and the output's end
    # is restored without the 4 ns that a try costs each call that goes well.
    if (<printf_quiet_t>printf_run)(text, args, arg_count, html) < 0:
        output.used = mark
        return -1
    return 0


cdef int printf_run(str text, PyObject** args, Py_ssize_t arg_count, bint html) except -1:
    """Copies the literals and hands each conversion to the one that writes it.

    The text is parsed each time. A cache of parsed texts by identity saved 2 of the 22 ns that
    "<tr><td>%d</td><td>%s</td></tr>" takes and 9 of 40 with four conversions, for a table that
    keeps texts alive and must not be changed by what an argument's __str__ writes: not worth it.
    """
    cdef printf_writer_t writer
    cdef printf_spec_t spec
    cdef Py_ssize_t size
    cdef Py_ssize_t arg_index = 0
    cdef const char* at = printf_utf8(text, &size)
    cdef const char* end = at + size
    cdef object value
    writer.start = writer.at = output_reserve(size + PRINTF_SLACK * arg_count)
    if arg_count == 0:
        memcpy(writer.at, at, size)
        output_advance(size)
        return 0
    writer.end = writer.start + size + PRINTF_SLACK * arg_count
    writer.format = at
    while True:
        printf_room(&writer, end - at + 8)
        writer.percent = printf_literal(&writer, at, end)
        if writer.percent == end:
            break
        at = writer.percent + 1
        # Fast path: removing it changes no answer. A bare %s of a str, a bare %d of an int.
        if at < end and arg_index < arg_count:
            if at[0] == c's' and PyUnicode_CheckExact(<object>args[arg_index]):
                printf_put_str(&writer, <object>args[arg_index], 0,
                               PyUnicode_GET_LENGTH(<object>args[arg_index]), html)
                at += 1
                arg_index += 1
                continue
            if at[0] == c'd' and PyLong_CheckExact(<object>args[arg_index]) \
                    and printf_put_small(&writer, <object>args[arg_index]):
                at += 1
                arg_index += 1
                continue
        at = printf_parse(&writer, at, end, &spec)
        if spec.conversion == c'%':
            printf_put(&writer, b"%", 1)
            continue
        if arg_index == arg_count:
            printf_fail(&writer, TypeError,
                        f"no argument for %{chr(spec.conversion)}, {arg_count} given")
        value = <object>args[arg_index]
        arg_index += 1
        if spec.conversion == c's':
            printf_put_value(&writer, &spec, value, html)
        elif spec.conversion == c'f':
            printf_put_float(&writer, &spec, value)
        elif spec.conversion == c'c':
            printf_put_character(&writer, &spec, value, html)
        else:
            printf_put_integer(&writer, &spec, value)
    if arg_index < arg_count:
        printf_fail(&writer, TypeError, f"{arg_count} arguments given, {arg_index} taken")
    output_advance(writer.at - writer.start)
    return 0


cdef inline const char* printf_utf8(str text, Py_ssize_t* size) except NULL:
    """The UTF-8 of a text, which the text owns. One that is not ASCII keeps it once it is made:
    texts of `out` are literals mostly, encoded at their first use only."""
    if text is None:
        raise TypeError("out() wants a str")
    if PyUnicode_IS_COMPACT_ASCII(text):
        size[0] = PyUnicode_GET_LENGTH(text)
        return <const char*>PyUnicode_DATA(text)
    return PyUnicode_AsUTF8AndSize(text, size)


cdef inline const char* printf_literal(printf_writer_t* writer, const char* at,
                                       const char* end) noexcept nogil:
    """Copies the text up to the next "%", which it gives, or to the end. There is room for all
    of it and 8 bytes more. Literals are short: two calls into libc each would cost more."""
    cdef uint64_t ones = <uint64_t>0x0101010101010101
    cdef uint64_t eight
    cdef char* into = writer.at
    while end - at >= 8:
        memcpy(&eight, at, 8)
        memcpy(into, &eight, 8)
        eight ^= c'%' * ones
        if (eight - ones) & ~eight & (0x80 * ones):
            break
        at += 8
        into += 8
    while at < end and at[0] != c'%':
        into[0] = at[0]
        at += 1
        into += 1
    writer.at = into
    return at


cdef const char* printf_parse(printf_writer_t* writer, const char* at, const char* end,
                              printf_spec_t* spec) except NULL:
    """Reads one conversion, of which `at` is the byte after "%", and gives where it ends."""
    cdef int* number
    memset(spec, 0, sizeof(printf_spec_t))
    spec.precision = -1
    while at < end:
        if at[0] == c'-':
            spec.flags |= PRINTF_LEFT
        elif at[0] == c'0':
            spec.flags |= PRINTF_ZERO
        elif at[0] == c'+':
            spec.flags |= PRINTF_PLUS
        elif at[0] == c' ':
            spec.flags |= PRINTF_SPACE
        else:
            break
        at += 1
    number = &spec.width
    while at < end:
        if c'0' <= at[0] <= c'9':
            number[0] = number[0] * 10 + (at[0] - 48)
            if number[0] > PRINTF_WIDTH_MAX:
                printf_fail(writer, ValueError, f"more than {PRINTF_WIDTH_MAX} characters wide")
        elif at[0] == c'.' and number == &spec.width:
            number = &spec.precision
            number[0] = 0
        else:
            break
        at += 1
    while at < end and at[0] == c'l':
        at += 1
    if at == end:
        printf_fail(writer, ValueError, "the conversion is cut off by the end of the text")
    spec.conversion = at[0]
    at += 1
    if memchr(b"sdiuxfc%", spec.conversion, 8) == NULL:
        printf_fail(writer, ValueError, "there is no conversion "
                    + writer.percent[:at - writer.percent].decode("utf-8", "replace"))
    return at


cdef int printf_fail(printf_writer_t* writer, kind, str what) except -1:
    """Raises `kind`, naming the format and the character position of its conversion."""
    cdef bytes before = writer.format[:writer.percent - writer.format]
    cdef str shown = (<const char*>writer.format).decode("utf-8", "replace")
    if len(shown) > 80:
        shown = shown[:77] + "…"
    raise kind(f"out({shown!r}): {what} (at {len(before.decode())})")


# What writes. Each asks for the room it needs, for the first guess may not suffice.

cdef inline int printf_room(printf_writer_t* writer, size_t size) except -1:
    """Makes sure that `size` bytes can be written at `writer.at`."""
    # "<=": after printf_commit() there is no room, and it must be asked for even if size is 0.
    if unlikely_(<size_t>(writer.end - writer.at) <= size):
        printf_commit(writer)
        writer.start = writer.at = output_reserve(size + PRINTF_SLACK)
        writer.end = writer.start + size + PRINTF_SLACK
    return 0


cdef void printf_commit(printf_writer_t* writer) noexcept:
    """Tells the output what was written, and forgets the room: so before any call that may run
    Python code, which may itself write, or move the output."""
    if writer.at != writer.start:
        output_advance(writer.at - writer.start)
    writer.start = writer.at = writer.end = NULL


cdef inline int printf_put(printf_writer_t* writer, const char* text, size_t size) except -1:
    printf_room(writer, size)
    memcpy(writer.at, text, size)
    writer.at += size
    return 0


cdef int printf_pad(printf_writer_t* writer, char filler, Py_ssize_t count) except -1:
    if count > 0:
        printf_room(writer, count)
        memset(writer.at, filler, count)
        writer.at += count
    return 0


cdef inline bint printf_put_small(printf_writer_t* writer, object value) except -1:
    """Writes an int of at most 64 bits in decimal. False: it is larger, nothing is written."""
    cdef int overflow = 0
    cdef long long number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow:
        return False
    printf_room(writer, 24)
    if number < 0:
        writer.at[0] = c'-'
        writer.at += 1
    writer.at += scan_write_decimal(writer.at, printf_magnitude(number))
    return True


cdef inline uint64_t printf_magnitude(int64_t number) noexcept nogil:
    return <uint64_t>number if number >= 0 else 0 - <uint64_t>number


cdef inline int printf_put_str(printf_writer_t* writer, object text, Py_ssize_t at,
                               Py_ssize_t end, bint escape) except -1:
    """Writes the characters from `at` to `end` of a str."""
    # Fast path: removing it changes no answer. A short ASCII text, in one go.
    if PyUnicode_IS_COMPACT_ASCII(text) and end - at <= PRINTF_SLICE:
        if not escape:
            return printf_put(writer, <const char*>PyUnicode_DATA(text) + at, end - at)
        printf_room(writer, ESCAPE_GROWTH * (end - at))
        writer.at = escape_text(writer.at, <const uint8_t*>PyUnicode_DATA(text) + at, end - at)
        return 0
    return printf_put_slices(writer, text, at, end, escape)


cdef int printf_put_slices(printf_writer_t* writer, object text, Py_ssize_t at, Py_ssize_t end,
                           bint escape) except -1:
    """A slice at a time, so that a long text need not be asked room for as if all were "."""
    cdef Py_ssize_t stop
    cdef char* after
    cdef Py_ssize_t size
    nodepp_str_ready(text)
    while at < end:
        stop = min(at + PRINTF_SLICE, end)
        printf_room(writer, ESCAPE_GROWTH * (stop - at))
        if not PyUnicode_IS_ASCII(text):
            after = escape_encode(writer.at, PyUnicode_KIND(text), PyUnicode_DATA(text), at, stop,
                                  escape)
            if after == NULL:
                PyUnicode_AsUTF8AndSize(text, &size)    # raises UnicodeEncodeError
                raise SystemError("a lone surrogate was encoded")
            writer.at = after
        elif escape:
            writer.at = escape_text(writer.at, <const uint8_t*>PyUnicode_DATA(text) + at,
                                    stop - at)
        else:
            printf_put(writer, <const char*>PyUnicode_DATA(text) + at, stop - at)
        at = stop
    return 0


cdef int printf_put_padded(printf_writer_t* writer, printf_spec_t* spec, object text,
                           Py_ssize_t size, bint escape) except -1:
    """The first `size` characters of a text, padded to the width."""
    cdef Py_ssize_t padding = spec.width - size
    if not spec.flags & PRINTF_LEFT:
        printf_pad(writer, c' ', padding)
    printf_put_str(writer, text, 0, size, escape)
    if spec.flags & PRINTF_LEFT:
        printf_pad(writer, c' ', padding)
    return 0


cdef int printf_put_value(printf_writer_t* writer, printf_spec_t* spec, object value,
                          bint html) except -1:
    """%s of anything."""
    cdef object text = value
    cdef object own
    cdef bint escape = html
    cdef Py_ssize_t size
    cdef type kind = type(value)
    if kind is str:
        pass
    elif kind is Raw:
        escape = False
    elif kind is bytes:
        text = PyUnicode_DecodeUTF8(PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value), "replace")
    elif kind is int or kind is float or kind is bool or value is None:
        # Fast path: removing it changes no answer. Without width: no temporary object.
        if kind is int and spec.width == 0 and spec.precision < 0 \
                and printf_put_small(writer, value):
            return 0
        text = str(value)
        escape = False
    else:
        printf_commit(writer)
        own = getattr(kind, "__html__", None) if html else None
        if own is None:
            text = str(value)
        else:
            text = own(value)
            escape = False
            if not isinstance(text, str):
                printf_fail(writer, TypeError, f"{kind.__name__}.__html__() gave no str")
    nodepp_str_ready(text)
    size = PyUnicode_GET_LENGTH(text)
    if 0 <= spec.precision < size:
        size = spec.precision
    return printf_put_padded(writer, spec, text, size, escape)


cdef int printf_put_character(printf_writer_t* writer, printf_spec_t* spec, object value,
                              bint html) except -1:
    """%c of a str of one character or of its code point. Escaped as %s is: nobody who writes
    %c of a visitor's character wants markup."""
    cdef object text = value
    if not PyLong_CheckExact(value) and not PyUnicode_CheckExact(value):
        printf_commit(writer)              # its len() or comparison may be Python code
    if isinstance(value, int):
        if not 0 <= value <= 0x10FFFF:
            printf_fail(writer, ValueError, f"%c wants a code point, not {value}")
        text = chr(value)
    elif not isinstance(value, str) or len(value) != 1:
        printf_fail(writer, TypeError,
                    f"%c wants an int or one character, not {type(value).__name__}")
    return printf_put_padded(writer, spec, text, 1, html)


cdef object printf_integer(printf_writer_t* writer, char conversion, object value):
    """The int that %d, %i, %u or %x is to write: floats lose their fraction, as in C; %x takes
    none, as in Python."""
    if isinstance(value, int):
        return value
    printf_commit(writer)
    if PyIndex_Check(value):
        return value.__index__()
    if conversion == c'x' or not PyNumber_Check(value):
        printf_fail(writer, TypeError,
                    f"%{chr(conversion)} wants a number, not {type(value).__name__}")
    return PyNumber_Long(value)


cdef int printf_put_integer(printf_writer_t* writer, printf_spec_t* spec, object value) except -1:
    """%d, %i, %u and %x of an int of any size."""
    cdef char digits[24]
    cdef const char* text = digits
    cdef Py_ssize_t size
    cdef int overflow = 0
    cdef long long number
    cdef bint negative
    cdef bytes long_text
    value = printf_integer(writer, spec.conversion, value)
    number = PyLong_AsLongLongAndOverflow(value, &overflow)
    if overflow:
        negative = overflow < 0
        # Not str(): a subclass may have one of its own. -0x… and - lose their beginnings.
        long_text = PyNumber_ToBase(value, 16 if spec.conversion == c'x' else 10).encode()
        long_text = long_text[negative + (2 if spec.conversion == c'x' else 0):]
        text = PyBytes_AS_STRING(long_text)
        size = PyBytes_GET_SIZE(long_text)
    else:
        negative = number < 0
        if spec.conversion == c'x':
            size = scan_write_hex(digits, printf_magnitude(number))
        else:
            size = scan_write_decimal(digits, printf_magnitude(number))
    if negative and spec.conversion == c'u':
        printf_fail(writer, ValueError, f"%u wants no negative number, {value} given")
    return printf_put_number(writer, spec, negative, text, size, max(0, spec.precision - size))


cdef int printf_put_number(printf_writer_t* writer, printf_spec_t* spec, bint negative,
                           const char* text, Py_ssize_t size, Py_ssize_t zero_count) except -1:
    """Sign, zeros of the precision, digits; padded to the width."""
    cdef char sign = c'-' if negative else c'+' if spec.flags & PRINTF_PLUS \
        else c' ' if spec.flags & PRINTF_SPACE else 0
    cdef Py_ssize_t padding = spec.width - size - zero_count - (sign != 0)
    if padding > 0 and spec.flags & PRINTF_ZERO and not spec.flags & PRINTF_LEFT:
        zero_count += padding
        padding = 0
    if not spec.flags & PRINTF_LEFT:
        printf_pad(writer, c' ', padding)
    if sign:
        printf_put(writer, &sign, 1)
    printf_pad(writer, c'0', zero_count)
    printf_put(writer, text, size)
    if spec.flags & PRINTF_LEFT:
        printf_pad(writer, c' ', padding)
    return 0


cdef int printf_put_float(printf_writer_t* writer, printf_spec_t* spec, object value) except -1:
    """%f of a float or an int, digit for digit what Python writes."""
    cdef char digits[DECIMAL_SIZE_MAX]
    cdef char* text
    cdef int size
    cdef int precision = 6 if spec.precision < 0 else spec.precision
    cdef double number
    if PyFloat_CheckExact(value):
        number = PyFloat_AS_DOUBLE(value)
    else:
        printf_commit(writer)
        if not PyNumber_Check(value):
            printf_fail(writer, TypeError, f"%f wants a number, not {type(value).__name__}")
        number = PyFloat_AsDouble(value)
    size = decimal_write(digits, fabs(number), precision)
    if size:
        return printf_put_number(writer, spec, signbit(number), digits, size, 0)
    text = PyOS_double_to_string(fabs(number), c'f', precision, 0, NULL)
    try:
        # Python shows no sign of a nan.
        return printf_put_number(writer, spec, signbit(number) and number == number, text,
                                 strlen(text), 0)
    finally:
        PyMem_Free(text)


cdef int printf_escape_into(const char* utf8, size_t size) except -1:
    """Appends UTF-8 to the output, HTML-escaped."""
    cdef size_t step
    cdef char* into
    while size:
        step = min(size, <size_t>PRINTF_SLICE)
        into = output_reserve(ESCAPE_GROWTH * step)
        output_advance(escape_text(into, <const uint8_t*>utf8, step) - into)
        utf8 += step
        size -= step
    return 0
