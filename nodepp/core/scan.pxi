# core/scan.pxi — what is this byte, and where does the run of such bytes end?
#   Prefix: scan
#   Owns:  the character classes of RFC 9110, 9112 and 3986; runs, percent-decoding, integers,
#          the hash of a path
#   Uses:  nothing
#   Never: what the bytes mean, where they came from
#   Holds: no function reads at or past `end`

cdef enum:
    SCAN_TOKEN = 1       # tchar, RFC 9110 §5.6.2
    SCAN_PATH = 2        # what a path may hold unescaped; "?" and "%" end the run to be looked at
    SCAN_QUERY = 4       # what a query may hold; browsers leave | ^ { } \ ` as they are
    SCAN_VALUE = 8       # field-vchar, SP and HTAB, RFC 9110 §5.5
    SCAN_HEX = 16
    SCAN_DIGIT = 32
    SCAN_HOST = 64       # unreserved and sub-delims less the comma, RFC 3986 §3.2.2
    SCAN_UNRESERVED = 128

cdef uint8_t scan_class[256]
cdef uint8_t scan_nibble[256]    # value of a hexadecimal digit, 255 for other bytes
cdef char scan_digit_pair[200]   # "00" to "99": two digits of a number at a time


cdef void scan_mark(bytes members, uint8_t bit) noexcept:
    cdef uint8_t member
    for member in members:
        scan_class[member] |= bit


cdef void scan_init() noexcept:
    cdef bytes digit = b"0123456789"
    cdef bytes alpha = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    cdef bytes unreserved = alpha + digit + b"-._~"
    cdef bytes sub_delims = b"!$&'()*+,;="
    cdef int i
    scan_mark(digit, SCAN_DIGIT | SCAN_HEX)
    scan_mark(b"abcdefABCDEF", SCAN_HEX)
    scan_mark(alpha + digit + b"!#$%&'*+-.^_`|~", SCAN_TOKEN)
    scan_mark(unreserved, SCAN_UNRESERVED)
    scan_mark(unreserved + sub_delims + b":@/[]|", SCAN_PATH)
    scan_mark(unreserved + sub_delims + b":@/?%[]|^{}\\`", SCAN_QUERY)
    scan_mark(unreserved + b"!$&'()*+;=", SCAN_HOST)
    scan_mark(bytes(range(0x20, 0x7f)) + bytes(range(0x80, 0x100)) + b"\t", SCAN_VALUE)
    for i in range(256):
        scan_nibble[i] = int(chr(i), 16) if scan_class[i] & SCAN_HEX else 255
    for i in range(100):
        scan_digit_pair[2 * i] = 48 + i // 10
        scan_digit_pair[2 * i + 1] = 48 + i % 10


scan_init()


cdef inline const uint8_t* scan_run(const uint8_t* at, const uint8_t* end,
                                    uint8_t members) noexcept nogil:
    """The first byte from `at` on that is not of the class, or `end`."""
    # Fast path: removing it changes no answer. Four bytes for each look at the end.
    while end - at >= 4:
        if not scan_class[at[0]] & members:
            return at
        if not scan_class[at[1]] & members:
            return at + 1
        if not scan_class[at[2]] & members:
            return at + 2
        if not scan_class[at[3]] & members:
            return at + 3
        at += 4
    while at < end and scan_class[at[0]] & members:
        at += 1
    return at


cdef inline const uint8_t* scan_value(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """The first byte that a field value may not hold (its CR, if all is well), or `end`."""
    # Fast path: removing it changes no answer. Eight bytes at a time while none is a control:
    # a byte below 0x20 borrows from its top bit, 0x7F is found by adding one; bytes of 0x80
    # and more, and HTAB, are left to the loop below. Cookies and user agents are long.
    cdef uint64_t eight, low, high
    while end - at >= 8:
        memcpy(&eight, at, 8)
        low = (eight - <uint64_t>0x2020202020202020) & <uint64_t>0x8080808080808080
        high = (eight | (eight + <uint64_t>0x0101010101010101)) & <uint64_t>0x8080808080808080
        if low | high:
            break
        at += 8
    return scan_run(at, end, SCAN_VALUE)


cdef inline bint scan_equal_lower(const uint8_t* text, const char* lower,
                                  size_t size) noexcept nogil:
    """True when `text` is `lower` in any case; `lower` holds lower-case letters, digits and "-"."""
    cdef size_t i
    for i in range(size):
        if (text[i] | 0x20) != <uint8_t>lower[i]:
            # "-" is 0x2D, which has the bit already; CR (0x0D) | 0x20 is 0x2D too, but a CR
            # cannot stand in a token or a value, so the shortcut is safe here.
            return False
    return True


cdef Py_ssize_t scan_percent_decode(const uint8_t* text, size_t size, uint8_t* into,
                                    bint plus_is_space) noexcept nogil:
    """Decodes %XX once into `into` (room for `size` bytes; may be `text` itself) and gives the
    decoded size. A "%" without two hexadecimal digits stays as it is, as WHATWG URL has it."""
    cdef size_t i = 0
    cdef Py_ssize_t n = 0
    cdef uint8_t byte
    while i < size:
        byte = text[i]
        if byte == c'%' and i + 2 < size and scan_nibble[text[i + 1]] < 16 \
                and scan_nibble[text[i + 2]] < 16:
            into[n] = <uint8_t>(scan_nibble[text[i + 1]] << 4 | scan_nibble[text[i + 2]])
            i += 3
        else:
            into[n] = c' ' if byte == c'+' and plus_is_space else byte
            i += 1
        n += 1
    return n


cdef inline int scan_write_decimal(char* into, uint64_t value) noexcept nogil:
    """Writes the digits of `value` (20 bytes at most) and gives their count."""
    cdef char digits[20]
    cdef int at = 20
    cdef uint32_t pair
    while value >= 100:
        pair = <uint32_t>(value % 100) * 2
        value //= 100
        at -= 2
        memcpy(digits + at, scan_digit_pair + pair, 2)
    if value >= 10:
        at -= 2
        memcpy(digits + at, scan_digit_pair + value * 2, 2)
    else:
        at -= 1
        digits[at] = <char>(48 + value)
    memcpy(into, digits + at, 20 - at)
    return 20 - at


cdef inline int scan_write_hex(char* into, uint64_t value) noexcept nogil:
    """Writes `value` in lower-case hexadecimal (16 bytes at most) and gives the count."""
    cdef int count = 1
    cdef int i
    while count < 16 and value >> (4 * count):
        count += 1
    for i in range(count):
        into[i] = b"0123456789abcdef"[(value >> (4 * (count - 1 - i))) & 15]
    return count


cdef inline uint64_t scan_hash(const uint8_t* text, size_t size) noexcept nogil:
    """Multiply and fold, eight bytes at a time: paths are short and not chosen by an enemy of the
    tables, whose chains are bounded by the number of routes and files anyway."""
    cdef uint64_t hash = <uint64_t>size * <uint64_t>0x9E3779B97F4A7C15
    cdef uint64_t word
    while size >= 8:
        memcpy(&word, text, 8)
        hash = (hash ^ word) * <uint64_t>0xFF51AFD7ED558CCD
        hash ^= hash >> 32
        text += 8
        size -= 8
    if size:
        word = 0
        memcpy(&word, text, size)
        hash = (hash ^ word) * <uint64_t>0xFF51AFD7ED558CCD
        hash ^= hash >> 32
    return hash
