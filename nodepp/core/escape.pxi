# core/escape.pxi — how does a str become HTML?
#   Prefix: escape
#   Owns:  the five entities; str → UTF-8, escaped or not, into memory that has the room;
#          Raw, raw(), html_escape()
#   Uses:  nothing
#   Never: where the bytes go, which text is trusted
#   Holds: a character becomes at most ESCAPE_GROWTH bytes

cdef enum:
    ESCAPE_GROWTH = 5        # bytes at most that a character becomes: "&#34;"

cdef uint8_t escape_entity_size[256]    # 0: the byte is written as it is
cdef char escape_entity[256][8]


cdef void escape_init():
    cdef uint8_t byte
    cdef bytes entity
    # The forms that Jinja and Django write too: valid in text and in quoted attributes.
    for byte, entity in ((38, b"&amp;"), (60, b"&lt;"), (62, b"&gt;"), (34, b"&#34;"),
                         (39, b"&#39;")):
        escape_entity_size[byte] = <uint8_t>len(entity)
        memcpy(escape_entity[byte], <const char*>entity, len(entity))


escape_init()


cdef class Raw(str):
    """A str that is HTML already: `req.out` writes it as it is. What is added to it or cut from
    it is a plain str again."""

    def __html__(self):
        return self


def raw(value) -> Raw:
    """`value` as a str that `req.out` does not escape. Only for text that you made yourself."""
    return Raw(value)


cdef inline bint escape_special(uint64_t eight) noexcept nogil:
    """True when one of eight bytes is & < > " or '. A byte is zero after the exclusive or when it
    is the one sought; "<" and ">" differ in bit 1, "&" and "'" in bit 0, so three tests do."""
    cdef uint64_t ones = <uint64_t>0x0101010101010101
    cdef uint64_t angle = (eight | (2 * ones)) ^ (0x3E * ones)
    cdef uint64_t other = (eight | ones) ^ (0x27 * ones)
    cdef uint64_t quote = eight ^ (0x22 * ones)
    return (((angle - ones) & ~angle | (other - ones) & ~other | (quote - ones) & ~quote)
            & (0x80 * ones)) != 0


cdef inline char* escape_byte(char* into, uint8_t byte) noexcept nogil:
    cdef uint8_t size = escape_entity_size[byte]
    if size:
        memcpy(into, escape_entity[byte], 5)
        return into + size
    into[0] = <char>byte
    return into + 1


cdef inline char* escape_text(char* into, const uint8_t* text, size_t size) noexcept nogil:
    """Writes `text` escaped; there must be room for ESCAPE_GROWTH times its size."""
    cdef const uint8_t* end = text + size
    cdef uint64_t eight
    cdef uint32_t four
    cdef int i
    while end - text >= 8:
        memcpy(&eight, text, 8)
        if escape_special(eight):
            for i in range(8):
                into = escape_byte(into, text[i])
        else:
            memcpy(into, &eight, 8)
            into += 8
        text += 8
    # Fast path: removing it changes no answer. Names and words are short.
    if end - text >= 4:
        memcpy(&four, text, 4)
        if not escape_special(four):
            memcpy(into, &four, 4)
            into += 4
            text += 4
    while text < end:
        into = escape_byte(into, text[0])
        text += 1
    return into


cdef char* escape_encode(char* into, int kind, const void* data, Py_ssize_t at, Py_ssize_t end,
                         bint escape) noexcept nogil:
    """Writes characters as UTF-8, escaped if so wished. NULL: there is a lone surrogate."""
    cdef uint32_t character
    for at in range(at, end):
        character = PyUnicode_READ(kind, data, at)
        if character < 0x80:
            if escape:
                into = escape_byte(into, <uint8_t>character)
            else:
                into[0] = <char>character
                into += 1
        elif character < 0x800:
            into[0] = <char>(0xC0 | character >> 6)
            into[1] = <char>(0x80 | character & 0x3F)
            into += 2
        elif character < 0x10000:
            if 0xD800 <= character < 0xE000:
                return NULL
            into[0] = <char>(0xE0 | character >> 12)
            into[1] = <char>(0x80 | character >> 6 & 0x3F)
            into[2] = <char>(0x80 | character & 0x3F)
            into += 3
        else:
            into[0] = <char>(0xF0 | character >> 18)
            into[1] = <char>(0x80 | character >> 12 & 0x3F)
            into[2] = <char>(0x80 | character >> 6 & 0x3F)
            into[3] = <char>(0x80 | character & 0x3F)
            into += 4
    return into


def html_escape(value) -> str:
    """str(value) with & < > " and ' as entities, for HTML text and quoted attributes."""
    cdef str text = value if type(value) is str else str.__str__(str(value))
    cdef Py_ssize_t size = PyUnicode_GET_LENGTH(text)
    cdef Py_ssize_t at
    cdef Py_ssize_t out_at = 0
    cdef Py_ssize_t growth = 0
    cdef uint32_t character
    cdef uint8_t i
    cdef object escaped
    cdef int kind = PyUnicode_KIND(text)
    cdef int out_kind
    cdef void* data = PyUnicode_DATA(text)
    cdef void* out_data
    for at in range(size):
        character = PyUnicode_READ(kind, data, at)
        if character < 128 and escape_entity_size[character]:
            growth += escape_entity_size[character] - 1
    if growth == 0:
        return text
    escaped = PyUnicode_New(size + growth, PyUnicode_MAX_CHAR_VALUE(text))
    out_kind = PyUnicode_KIND(escaped)
    out_data = PyUnicode_DATA(escaped)
    for at in range(size):
        character = PyUnicode_READ(kind, data, at)
        if character < 128 and escape_entity_size[character]:
            for i in range(escape_entity_size[character]):
                PyUnicode_WRITE(out_kind, out_data, out_at + i,
                                <uint8_t>escape_entity[character][i])
            out_at += escape_entity_size[character]
        else:
            PyUnicode_WRITE(out_kind, out_data, out_at, character)
            out_at += 1
    return escaped
