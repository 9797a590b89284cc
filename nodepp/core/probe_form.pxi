# core/probe_form.pxi — doors of the rooms format, multipart and form for the tests
#   Owns:  nothing
#   Uses:  all
#   Never: used by a room
#   Holds: leaves the output's end where it was

def probe_format(text, tuple args=(), bint html=True) -> bytes:
    """The bytes that `req.out(text, *args)` appends."""
    cdef size_t mark = output.used
    cdef size_t size
    cdef bytes appended
    output_reserve(1)    # without an engine there is no buffer yet
    printf_render(text, nodepp_tuple_items(args), len(args), html)
    size = output.used - mark
    appended = PyBytes_FromStringAndSize(output_reserve(1) - size, size)
    output.used = mark
    return appended


def probe_format_used() -> int:
    """Where the output ends."""
    return output.used


def probe_escape(bytes text) -> bytes:
    """The bytes that printf_escape_into() appends."""
    cdef size_t mark = output.used
    cdef size_t size
    cdef bytes appended
    printf_escape_into(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
    size = output.used - mark
    appended = PyBytes_FromStringAndSize(output_reserve(1) - size, size)
    output.used = mark
    return appended


def probe_urlencoded(bytes data, pair_count_max=None) -> MultiDict:
    """What form_parse_urlencoded() makes of a copy that ends where its memory ends."""
    cdef MultiDict into = MultiDict()
    cdef size_t size = PyBytes_GET_SIZE(data)
    cdef uint8_t* copy = <uint8_t*>malloc(size)
    if size:
        memcpy(copy, PyBytes_AS_STRING(data), size)
    try:
        form_parse_urlencoded(copy, size, limits.form_part_count_max if pair_count_max is None
                              else pair_count_max, into)
    finally:
        free(copy)
    return into


cdef int probe_form_feed(multipart_t* m, bytes data, bytes boundary, cuts) except -1:
    """Feeds the data in pieces, each a copy that ends where its memory ends."""
    cdef size_t begin = 0
    cdef size_t end
    cdef uint8_t* copy
    if not multipart_open(m, <const uint8_t*>PyBytes_AS_STRING(boundary), len(boundary)):
        raise RequestError(400, "no boundary")
    for cut in (*cuts, len(data)):
        end = cut
        copy = <uint8_t*>malloc(end - begin)
        memcpy(copy, PyBytes_AS_STRING(data) + begin, end - begin)
        multipart_feed(m, copy, end - begin)
        free(copy)
        begin = end
    return multipart_finish(m)


def probe_multipart(bytes data, bytes boundary, cuts=(), bint spool=False) -> tuple:
    """(form, files) of a multipart body that comes in pieces cut at those offsets, kept in memory
    or in a temporary file."""
    cdef multipart_t m
    cdef MultiDict form = MultiDict()
    cdef MultiDict files = MultiDict()
    try:
        probe_form_feed(&m, data, boundary, cuts)
        if spool:
            from nodepp.library import library
            with library("tempfile").TemporaryFile() as file:
                file.write(data)
                file.flush()
                form_build_multipart(&m, None, file.fileno(), form, files)
        else:
            form_build_multipart(&m, data, -1, form, files)
    finally:
        multipart_free(&m)
    return form, files


def probe_multipart_parts(bytes data, bytes boundary, cuts=()) -> tuple:
    """(status, parts): the scanner's verdict, and (head, data) of each part it found."""
    cdef multipart_t m
    cdef multipart_part_t* part
    cdef uint32_t i
    parts = []
    try:
        probe_form_feed(&m, data, boundary, cuts)
        for i in range(m.part_count):
            part = &m.parts[i]
            parts.append((data[part.head_start:part.head_start + part.head_size],
                          data[part.data_start:part.data_start + part.data_size]))
        return m.status, parts
    finally:
        multipart_free(&m)


def probe_multipart_boundary(bytes content_type):
    """The boundary that a Content-Type names, or None."""
    cdef size_t size = 0
    cdef const uint8_t* boundary = multipart_boundary(
        <const uint8_t*>PyBytes_AS_STRING(content_type), len(content_type), &size)
    return None if boundary == NULL else boundary[:size]


def probe_form_limits(part_count_max=None, field_size_max=None) -> tuple:
    """Sets the limits that are given; the ones before."""
    before = limits.form_part_count_max, limits.form_field_size_max
    if part_count_max is not None:
        limits.form_part_count_max = part_count_max
    if field_size_max is not None:
        limits.form_field_size_max = field_size_max
    return before
