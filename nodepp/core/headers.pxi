# core/headers.pxi — field lines as a handler sees them; names and values it may send
#   Prefix: headers
#   Owns:  Headers, ClientAddress; cookies in and out; what may stand in a field line
#   Uses:  scan, escape, clock, parser, request
#   Never: the life of the request: all is copied
#   Holds: nothing with CR, LF or NUL gets past headers_line

from _collections_abc import Mapping as headers_Mapping


@cython.final
cdef class Headers:
    """The field lines of a request: a mapping without regard to case.

    `headers["host"]` and `get` give the first value of that name, `getlist` all of them in their
    order; iteration gives each name once, in lower case. Values are str, decoded as latin-1
    (RFC 9110 §5.5). `raw` is the list of (name, value) as bytes, as they came.
    """
    cdef readonly list raw
    cdef dict first

    def __cinit__(self):
        self.raw = []
        self.first = {}

    def __getitem__(self, str name):
        return self.first[name.lower()]

    def get(self, str name, default=None):
        """The first value of that name, or `default`."""
        return self.first.get(name.lower(), default)

    def getlist(self, str name) -> list:
        """All values of that name, in their order; [] if there is none."""
        wanted = name.lower().encode("latin-1", "replace")
        return [value.decode("latin-1") for key, value in self.raw if key.lower() == wanted]

    def items(self) -> list:
        """(name, value) of every line, names in lower case; repeated names are repeated."""
        return [(key.decode("latin-1").lower(), value.decode("latin-1"))
                for key, value in self.raw]

    def keys(self):
        """Each name once, in lower case."""
        return self.first.keys()

    def values(self):
        """The first value of each name."""
        return self.first.values()

    def __contains__(self, name):
        return isinstance(name, str) and name.lower() in self.first

    def __iter__(self):
        return iter(self.first)

    def __len__(self):
        return len(self.first)

    def __eq__(self, other):
        return isinstance(other, Headers) and self.raw == (<Headers>other).raw

    def __repr__(self):
        return f"Headers({self.items()!r})"


headers_Mapping.register(Headers)


class ClientAddress(tuple):
    """Who asks: (ip, port), also as `.ip` (str, "" over a unix socket) and `.port` (int)."""
    __slots__ = ()

    def __new__(cls, ip, port):
        return tuple.__new__(cls, (ip, port))

    ip = property(lambda self: self[0], doc="The address as text, IPv4 or IPv6.")
    port = property(lambda self: self[1], doc="The port, 0 over a unix socket.")


cdef Headers headers_of(const request_t* r):
    cdef Headers headers = Headers()
    cdef const field_t* field
    cdef uint32_t i
    for i in range(r.head.field_count):
        field = &r.head.fields[i]
        name = PyBytes_FromStringAndSize(<const char*>r.data + field.name_start, field.name_size)
        value = PyBytes_FromStringAndSize(<const char*>r.data + field.value_start,
                                          field.value_size)
        headers.raw.append((name, value))
        headers.first.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return headers


cdef object headers_value(const request_t* r, const char* lower, size_t size, default):
    """The first value of a name given in lower case, without making all of the Headers."""
    cdef const field_t* field = request_find_field(r, <const uint8_t*>lower, size)
    if field == NULL:
        return default
    return PyUnicode_DecodeLatin1(<const char*>r.data + field.value_start, field.value_size, NULL)


cdef dict headers_cookies(const request_t* r):
    """Cookies by name, RFC 6265 §5.4; the first of a name wins, as browsers send the most specific
    first. Several Cookie lines are read as one."""
    cdef dict cookies = {}
    cdef const field_t* field
    cdef uint32_t i
    for i in range(r.head.field_count):
        field = &r.head.fields[i]
        if field.name_size != 6 or not request_name_is(r.data + field.name_start,
                                                       <const uint8_t*>b"cookie", 6):
            continue
        line = r.data[field.value_start:field.value_start + field.value_size]
        for pair in line.split(b";"):
            name, equals, value = pair.partition(b"=")
            if equals:
                name = name.strip(b" \t").decode("utf-8", "replace")
                cookies.setdefault(name, headers_unquote(value.strip(b" \t")))
    return cookies


cdef str headers_unquote(bytes value):
    if len(value) >= 2 and value[0] == 34 and value[len(value) - 1] == 34:
        value = headers_unescape(value[1:len(value) - 1])
    return value.decode("utf-8", "replace")


cdef bytes headers_unescape(bytes value):
    """Resolves \\ooo, a byte of UTF-8, and \\x as http.cookies writes them. What that reads them
    with takes a second for 15 KB of backslashes in many a Python (CVE-2024-7592)."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(value)
    cdef bytes plain = PyBytes_FromStringAndSize(NULL, size)
    cdef const uint8_t* at = <const uint8_t*>PyBytes_AS_STRING(value)
    cdef const uint8_t* end = at + size
    cdef uint8_t* into = <uint8_t*>PyBytes_AS_STRING(plain)
    while at < end:
        if at[0] == c'\\' and end - at >= 4 and c'0' <= at[1] <= c'3' \
                and c'0' <= at[2] <= c'7' and c'0' <= at[3] <= c'7':
            into[0] = <uint8_t>((at[1] - 48) << 6 | (at[2] - 48) << 3 | (at[3] - 48))
            at += 4
        else:
            if at[0] == c'\\' and end - at >= 2:
                at += 1
            into[0] = at[0]
            at += 1
        into += 1
    return plain[:into - <uint8_t*>PyBytes_AS_STRING(plain)]


cdef bytes headers_line(name, value):
    """`name: value` CRLF, checked. ValueError for what would end the line or is not a name."""
    if not isinstance(name, str) or not isinstance(value, (str, int)):
        raise TypeError("a field is a str name and a str value, not "
                        f"{type(name).__name__} and {type(value).__name__}")
    try:
        name_bytes = name.encode("ascii")
        value_bytes = str(value).encode("latin-1")
    except UnicodeEncodeError:
        raise ValueError(f"field {name!r}: only latin-1 can be sent, "
                         "encode what lies beyond (RFC 8187)") from None
    if not headers_all_of(name_bytes, SCAN_TOKEN) or not name_bytes:
        raise ValueError(f"{name!r} is not a field name")
    if not headers_all_of(value_bytes, SCAN_VALUE):
        raise ValueError(f"field {name!r}: the value holds a control character")
    return name_bytes + b": " + value_bytes.strip(b" \t") + b"\r\n"


cdef bint headers_all_of(bytes text, uint8_t members) noexcept:
    cdef const uint8_t* begin = <const uint8_t*>PyBytes_AS_STRING(text)
    cdef const uint8_t* end = begin + PyBytes_GET_SIZE(text)
    return scan_run(begin, end, members) == end


cdef str headers_cookie(name, value, max_age, expires, path, domain, secure, httponly, samesite):
    """The value of a Set-Cookie field, RFC 6265bis."""
    if not isinstance(name, str) or not name or \
            not headers_all_of(name.encode("ascii", "replace"), SCAN_TOKEN):
        raise ValueError(f"{name!r} is not a cookie name")
    value = str(value)
    for part in (value, path or "", domain or ""):
        if "\r" in part or "\n" in part or "\0" in part:
            raise ValueError(f"cookie {name!r}: CR, LF and NUL cannot be sent")
    for part in (path or "", domain or ""):
        if ";" in part:
            raise ValueError(f"cookie {name!r}: path and domain cannot hold a semicolon")
    if value and not headers_is_cookie_value(value):
        from nodepp.library import library
        value = library("http.cookies")._quote(value.encode("utf-8").decode("latin-1"))
    pieces = [f"{name}={value}"]
    if max_age is not None:
        pieces.append(f"Max-Age={int(max_age)}")
    if expires is not None:
        pieces.append("Expires=" + (expires if isinstance(expires, str)
                                    else headers_http_date(expires)))
    if domain:
        pieces.append(f"Domain={domain}")
    if path:
        pieces.append(f"Path={path}")
    if secure:
        pieces.append("Secure")
    if httponly:
        pieces.append("HttpOnly")
    if samesite:
        if str(samesite).lower() not in ("lax", "strict", "none"):
            raise ValueError(f"cookie {name!r}: samesite is lax, strict or none")
        pieces.append("SameSite=" + str(samesite).capitalize())
    return "; ".join(pieces)


cdef bint headers_is_cookie_value(str value):
    """cookie-octet: visible ASCII without quotes, comma, semicolon, backslash."""
    for character in value:
        if not "!" <= character <= "~" or character in '",;\\':
            return False
    return True


cdef str headers_http_date(moment):
    """An HTTP date of a datetime or of seconds since 1970."""
    cdef char text[DATE_SIZE]
    if hasattr(moment, "timestamp"):
        moment = moment.timestamp()
    moment = int(moment)
    if not -62135596800 <= moment <= 253402300799:
        raise ValueError(f"{moment} is no moment of the years 1 to 9999")
    clock_http_date(moment, text)
    return text[:DATE_SIZE].decode("ascii")
