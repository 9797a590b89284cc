# core/target.pxi — which resource is meant, and on which host?
#   Prefix: target
#   Owns:  the four forms of a request target (RFC 9112 §3.2), authorities, percent-encodings,
#          dot segments
#   Uses:  scan, parser
#   Never: which application answers there
#   Holds: what is accepted has one reading: no userinfo, no fragment, no broken escape in a path

# parser and target are one floor; parser calls target once per head.

cdef enum:
    TARGET_HOST_SIZE_MAX = 255         # bytes of a host name; RFC 1035 has as many


cdef bint target_split(parser_t* p, const uint8_t* data) noexcept nogil:
    """Notes path and query (and, in absolute form, the authority) of the target. False: refuse."""
    cdef const uint8_t* target = data + p.target_start
    cdef const uint8_t* end = target + p.target_size
    cdef const uint8_t* path = target
    if p.method == METHOD_CONNECT:
        return target_authority(target, p.target_size)
    if target[0] == c'*':
        return p.target_size == 1
    if target[0] != c'/':
        path = target_skip_authority(p, data)
        if path == NULL:
            return False
    if p.query_start:
        p.query_size = <uint16_t>(p.target_start + p.target_size - p.query_start)
        end = data + p.query_start - 1
    p.path_start = <uint16_t>(path - data)
    p.path_size = <uint16_t>(end - path)
    return not p.path_escaped or target_escapes_hold(path, end)


cdef const uint8_t* target_skip_authority(parser_t* p, const uint8_t* data) noexcept nogil:
    """absolute-form = scheme "://" authority path; gives where the path begins, or NULL."""
    cdef const uint8_t* target = data + p.target_start
    cdef const uint8_t* end = target + p.target_size
    cdef const uint8_t* authority
    cdef const uint8_t* path
    if p.target_size > 7 and scan_equal_lower(target, b"http", 4) \
            and memcmp(target + 4, b"://", 3) == 0:
        authority = target + 7
    elif p.target_size > 8 and scan_equal_lower(target, b"https", 5) \
            and memcmp(target + 5, b"://", 3) == 0:
        authority = target + 8
        p.secured = True
    else:
        return NULL
    path = authority
    while path < end and path[0] != c'/' and path[0] != c'?':
        path += 1
    if not target_authority(authority, path - authority):
        return NULL
    # RFC 9112 §3.2.2: the Host field is ignored in favour of this one.
    p.absolute = True
    p.host_start = <uint16_t>(authority - data)
    p.host_size = <uint16_t>(path - authority)
    return path


cdef bint target_authority(const uint8_t* text, size_t size) noexcept nogil:
    """host [ ":" port ] with host = IP-literal / IPv4address / reg-name, not empty; no userinfo."""
    cdef const uint8_t* at = text
    cdef const uint8_t* end = text + size
    cdef uint32_t port = 0
    if size == 0:
        return False
    if at[0] == c'[':
        at = target_skip_literal(at, end)
        if at == NULL:
            return False
    else:
        while at < end and (scan_class[at[0]] & SCAN_HOST or at[0] == c'%'):
            if at[0] == c'%' and not target_escape_holds(at, end):
                return False
            at += 1
        if at == text:
            return False
    if at == end:
        return True
    if at[0] != c':':
        return False
    at += 1
    while at < end:
        if not scan_class[at[0]] & SCAN_DIGIT:
            return False
        port = port * 10 + at[0] - 48
        if port > 65535:
            return False
        at += 1
    return True


cdef const uint8_t* target_skip_literal(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """IP-literal = "[" ( IPv6address / IPvFuture ) "]": gives what follows it, or NULL."""
    cdef char text[64]
    cdef uint8_t address[16]
    cdef size_t size
    cdef const uint8_t* close = <const uint8_t*>memchr(at, c']', end - at)
    if close == NULL:
        return NULL
    size = close - at - 1
    if size == 0 or size >= sizeof(text):
        return NULL
    memcpy(text, at + 1, size)
    text[size] = 0
    if inet_pton(AF_INET6, text, address) != 1:
        return NULL                        # IPvFuture has no user; zones are not for the wire
    return close + 1


cdef inline bint target_escape_holds(const uint8_t* at, const uint8_t* end) noexcept nogil:
    return end - at >= 3 and scan_nibble[at[1]] < 16 and scan_nibble[at[2]] < 16


cdef bint target_escapes_hold(const uint8_t* at, const uint8_t* end) noexcept nogil:
    """Every "%" of a path is followed by two hexadecimal digits that are not 00."""
    while at < end:
        if at[0] == c'%':
            if not target_escape_holds(at, end) or (at[1] == c'0' and at[2] == c'0'):
                return False
            at += 2
        at += 1
    return True


cdef inline bint target_has_dots(const uint8_t* path, size_t size) noexcept nogil:
    """Could there be a dot segment? A segment that begins with a dot is told from one later."""
    cdef const uint8_t* end = path + size
    cdef const uint8_t* dot = <const uint8_t*>memchr(path, c'.', size)
    while dot != NULL:
        if dot > path and dot[-1] == c'/':
            return True
        dot = <const uint8_t*>memchr(dot + 1, c'.', end - dot - 1)
    return False


cdef Py_ssize_t target_resolve(const uint8_t* path, size_t size, bint escaped,
                               uint8_t* into) noexcept nogil:
    """The path, percent-decoded once, then without dot segments (RFC 3986 §5.2.4): its size in
    `into`, which has room for `size` bytes; -1 when it leads out above the root."""
    cdef size_t n = size
    cdef size_t at = 0                 # where the segment begins that is being read
    cdef size_t out = 0                # where it will begin
    cdef size_t length
    cdef const uint8_t* slash
    if escaped:
        n = scan_percent_decode(path, size, into, False)
    else:
        memcpy(into, path, size)
    while at < n:                      # into[at] is the slash before a segment
        slash = <const uint8_t*>memchr(into + at + 1, c'/', n - at - 1)
        length = (<size_t>(slash - into) if slash != NULL else n) - at
        if length == 2 and into[at + 1] == c'.':
            if slash == NULL:
                into[out] = c'/'
                out += 1
        elif length == 3 and into[at + 1] == c'.' and into[at + 2] == c'.':
            if out == 0:
                return -1
            out -= 1
            while into[out] != c'/':
                out -= 1
            if slash == NULL:
                out += 1
        else:
            memmove(into + out, into + at, length)
            out += length
        at += length
    if out == 0:
        into[0] = c'/'
        out = 1
    return out


cdef size_t target_host(const uint8_t* text, size_t size, uint8_t* name) noexcept nogil:
    """The name of an authority for comparing: lower case, without port and final dot, in `name`,
    which has TARGET_HOST_SIZE_MAX bytes; its size, 0 for what is no name of a site. Whoever asks
    which site is meant asks here: two readings would let one past the rules of the other."""
    cdef size_t i
    cdef size_t used = 0
    if size == 0 or text[0] == c'[':
        return 0
    for i in range(size):
        if text[i] == c':':
            break
        if used == TARGET_HOST_SIZE_MAX:
            return 0
        name[used] = text[i] | 0x20 if 65 <= text[i] <= 90 else text[i]
        used += 1
    if used and name[used - 1] == c'.':    # fully qualified: the same name
        used -= 1
    return used
