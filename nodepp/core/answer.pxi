# core/answer.pxi — the answer while a handler makes it
#   Prefix: answer
#   Owns:  answer_t's Python side: status, type and field lines; class Response
#   Uses:  limits, headers
#   Never: sending
#   Holds: framing fields (Content-Length, Transfer-Encoding, Date) are the engine's alone

cdef set answer_reserved = {b"content-length", b"transfer-encoding", b"connection", b"date",
                            b"server", b"keep-alive", b"upgrade", b"trailer"}
cdef dict answer_types = {}            # content type → what answer_type gives; bounded
cdef int ANSWER_TYPES_MAX = 256


@cython.final
@cython.freelist(8)
cdef class Response:
    """An answer as an object: `Response(body, status, content_type, headers)`.

    body: str, bytes, dict or list (JSON), an iterator of bytes, or None. content_type: as in the
    field, or None for what the body's type suggests. headers: a dict or a list of (name, value).
    Raises ValueError for a status outside 200 to 599 or a field that cannot be sent.
    """
    cdef public object body
    cdef int _status
    cdef public object content_type
    cdef list lines                    # (name, value) in their order; None: there are none

    def __init__(self, body=b"", status=200, content_type=None, headers=None):
        answer_fill(self, body, status, content_type, headers)

    @property
    def headers(self) -> list:
        """The fields, (name, value) in their order."""
        if self.lines is None:
            self.lines = []
        return self.lines

    @property
    def status(self) -> int:
        """The status code, 200 to 599."""
        return self._status

    @status.setter
    def status(self, value):
        self._status = answer_check_status(value)

    def set_header(self, name: str, value: str) -> None:
        """Sets a field, in place of an earlier one of that name. ValueError: it cannot be sent."""
        headers_line(name, value)
        lower = name.lower()
        self.headers[:] = [line for line in self.headers if line[0].lower() != lower]
        self.headers.append((name, value))

    def set_cookie(self, name: str, value: str = "", max_age=None, expires=None, path="/",
                   domain=None, secure=False, httponly=False, samesite="Lax") -> None:
        """Adds a Set-Cookie field. max_age: seconds; expires: datetime, seconds since 1970 or an
        HTTP date. ValueError: name or value cannot be sent."""
        cookie = headers_cookie(name, value, max_age, expires, path, domain, secure, httponly,
                                samesite)
        headers_line("Set-Cookie", cookie)
        self.headers.append(("Set-Cookie", cookie))

    def __repr__(self):
        return f"<Response {self._status}>"


cdef int answer_fill(Response answer, body, status, content_type, headers) except -1:
    answer.body = body
    answer._status = answer_check_status(status)
    answer.content_type = content_type
    if headers is not None:
        for name, value in headers.items() if isinstance(headers, dict) else headers:
            headers_line(name, value)
            answer.headers.append((name, value))
    return 0


cdef Py_ssize_t answer_argument(str name) except -1:
    """The position of a keyword argument of Response."""
    for position, known in enumerate(("body", "status", "content_type", "headers")):
        if name == known:
            return position
    raise TypeError(f"Response() got an unexpected keyword argument {name!r}")


cdef int answer_check_status(status) except -1:
    if not isinstance(status, int):
        raise TypeError(f"a status is an int, not {type(status).__name__}")
    cdef int value = status
    if value < 200 or value > 599:
        raise ValueError(f"{status} is not a status that a handler can answer with (200 to 599)")
    return value


cdef tuple answer_type(str content_type):
    """(the ready-made Content-Type line, whether it is HTML), remembered: an application uses few
    types, and echoes fewer."""
    cdef PyObject* known = PyDict_GetItemWithError(answer_types, content_type)
    if likely_(known != NULL):
        return <tuple><object>known
    line = headers_line("Content-Type", answer_with_charset(content_type)) if content_type else b""
    found = (line, content_type.startswith(("text/html", "application/xhtml")))
    if len(answer_types) < ANSWER_TYPES_MAX:
        answer_types[content_type] = found
    return found


cdef str answer_with_charset(str content_type):
    """Text is UTF-8 unless it says otherwise: what `out` and str results are encoded in."""
    if content_type.startswith("text/") and "charset" not in content_type:
        return content_type + "; charset=utf-8"
    return content_type
