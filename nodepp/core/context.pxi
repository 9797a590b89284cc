# core/context.pxi — the request as a handler sees it
#   Prefix: context
#   Owns:  class Request: what was asked, made into Python objects only when looked at
#   Uses:  limits, scan, escape, transport, output, format, target, form, request, callbacks,
#          objects, current, visitor, headers, answer, reply, content, locate, personal
#   Never: what the handler is called with or what becomes of its result
#   Holds: a Request whose life is over holds no pointer: it raises, it never shows other bytes

from codecs import lookup as context_lookup


@cython.final
@cython.no_gc_clear
cdef class Request(RequestState):
    """One request, valid until its answer is produced or cut; afterwards every use raises
    RequestGone. Attributes are computed when first read. Handlers get it, nobody makes one."""

    @property
    def method(self) -> str:
        """The method, upper case."""
        cdef request_t* r = objects_live(self)
        if r.head.method == METHOD_GET:
            return "GET"
        return (<const char*>r.data)[r.head.method_start:r.head.method_start
                                     + r.head.method_size].decode("ascii")

    @property
    def path(self) -> str:
        """The path, percent-decoded once; bytes that are not UTF-8 become U+FFFD."""
        cdef request_t* r = objects_live(self)
        if self._path is None:
            self._path = context_path(r)
            self.looked = True
        return self._path

    @property
    def target(self) -> str:
        """The request target as it came."""
        cdef request_t* r = objects_live(self)
        return (<const char*>r.data)[r.head.target_start:r.head.target_start
                                     + r.head.target_size].decode("ascii")

    @property
    def query(self) -> MultiDict:
        """The parameters of the query string: a dict of first values, with getlist()."""
        cdef request_t* r = objects_live(self)
        if self._query is None:
            query = MultiDict.__new__(MultiDict)
            form_parse_urlencoded(r.data + r.head.query_start, r.head.query_size,
                                  limits.form_part_count_max, query)
            self._query = query
            self.looked = True
        return self._query

    @property
    def query_string(self) -> str:
        """The query as it came, without the question mark; "" if there is none."""
        cdef request_t* r = objects_live(self)
        return (<const char*>r.data)[r.head.query_start:r.head.query_start
                                     + r.head.query_size].decode("ascii")

    @property
    def headers(self) -> Headers:
        """All field lines."""
        cdef request_t* r = objects_live(self)
        if self._headers is None:
            self._headers = headers_of(r)
            self.looked = True
        return self._headers

    def header(self, str name, default=None):
        """The first value of a field, or `default`."""
        lower = name.lower().encode("latin-1", "replace")
        return headers_value(objects_live(self), lower, len(lower), default)

    @property
    def cookies(self) -> dict:
        """Cookies by name."""
        cdef request_t* r = objects_live(self)
        if self._cookies is None:
            self._cookies = headers_cookies(r)
            self.looked = True
        return self._cookies

    @property
    def content_type(self):
        """Read: the Content-Type of the request, "" if there is none. Set: that of the answer."""
        return headers_value(objects_live(self), b"content-type", 12, "")

    @content_type.setter
    def content_type(self, value):
        objects_live(self)
        reply_set_type(self, value)

    @property
    def body(self) -> bytes:
        """The content, as it came (dechunked); b"" if there is none. A large one is read back from
        its file: prefer `files` for uploads."""
        cdef request_t* r = objects_live(self)
        if self._body is None:
            self._body = content_body(r)
            self.looked = True
        return self._body

    @property
    def text(self) -> str:
        """The body decoded by its charset, UTF-8 if it names none; wrong bytes become U+FFFD."""
        body = self.body
        charset = content_parameter(self.content_type, "charset") or "utf-8"
        try:
            # Python's own, and quadratic: nobody who means well sends them.
            if context_lookup(charset).name in ("idna", "punycode"):
                raise LookupError
            return body.decode(charset, "replace")
        except (LookupError, ValueError):
            raise RequestError(415, f"the charset {charset!r} is not known") from None

    def json(self):
        """The body read as JSON. RequestError (400) when it is not."""
        body = self.body
        try:
            return callback_json_decode(body)
        except (ValueError, UnicodeError) as problem:
            raise RequestError(400, f"the body is not JSON: {problem}") from None

    @property
    def form(self) -> MultiDict:
        """The fields of an urlencoded or multipart form; empty for any other body.
        RequestError: malformed (400) or beyond the limits (413)."""
        objects_live(self)
        if self._form is None:
            content_read_form(self)
        return self._form

    @property
    def files(self) -> MultiDict:
        """The uploaded files of a multipart form by field name: UploadFile. Errors as `form`."""
        objects_live(self)
        if self._files is None:
            content_read_form(self)
        return self._files

    @property
    def params(self) -> dict:
        """The parameters of the path by name."""
        cdef request_t* r = objects_live(self)
        if self._params is None:
            self._params = locate_params(r)
            self.looked = True
        return self._params

    @property
    def client(self):
        """The address of the peer: (ip, port)."""
        objects_live(self)
        return ClientAddress(transport_peer_text(self.connection.family, self.connection.peer),
                             self.connection.port)

    @property
    def scheme(self) -> str:
        """"http" or "https"."""
        objects_live(self)
        return "http"

    @property
    def host(self) -> str:
        """Host and port as the client named them, "" if it did not (HTTP/1.0)."""
        cdef request_t* r = objects_live(self)
        return (<const char*>r.data)[r.head.host_start:r.head.host_start
                                     + r.head.host_size].decode("ascii")

    @property
    def http_version(self) -> str:
        """"1.0" or "1.1"."""
        return "1.1" if objects_live(self).head.minor else "1.0"

    @property
    def lang(self) -> str:
        """The first language the client asks for, upper case ("EN-US"); "" if it names none."""
        value = headers_value(objects_live(self), b"accept-language", 15, "")
        return value.partition(",")[0].partition(";")[0].strip()[:5].upper()

    @property
    def device(self) -> str:
        """"desktop", "tablet" or "mobile", by the User-Agent."""
        return agent_device(headers_value(objects_live(self), b"user-agent", 10, ""))

    @property
    def is_bot(self) -> bool:
        """True for crawlers and scanners, by User-Agent and From."""
        cdef request_t* r = objects_live(self)
        return agent_is_bot(headers_value(r, b"user-agent", 10, ""),
                            headers_value(r, b"from", 4, ""))

    # Whose it is

    @property
    def session(self) -> Session:
        """The visitor's session; without one it is empty, and begins when it is written to."""
        objects_live(self)
        if self._session is None:
            personal_open(self)
        return self._session

    @property
    def csrf_token(self) -> str:
        """The session's token against forged requests, masked; begins a session."""
        return self.session.csrf_token

    def csrf_input(self) -> Raw:
        """A hidden field with that token, for a form."""
        return raw(f'<input type="hidden" name="csrft" value="{self.session.csrf_token}">')

    def next_url(self, str default="/") -> str:
        """Where a login leads back to: the parameter `next`, if it is a path of this site."""
        objects_live(self)
        return context_next_url(self, default)

    # The answer

    @property
    def status(self) -> int:
        """The status of the answer, 200 unless set; 200 to 599."""
        objects_live(self)
        return self._status

    @status.setter
    def status(self, value):
        objects_live(self)
        reply_check_head(self)
        self._status = answer_check_status(value)

    @property
    def compress(self) -> bool:
        """True when the answer may leave compressed. Set it to False where a secret stands beside
        text that others choose (BREACH)."""
        objects_live(self)
        return not self.uncompressed

    @compress.setter
    def compress(self, value):
        objects_live(self)
        self.uncompressed = not value

    # out(text, *args) stands in fastcall.

    def out_snippet(self, str name not None) -> None:
        """Appends a snippet, as it is; LookupError when there is none of that name."""
        objects_live(self)
        text = callback_host.snippet(name, self.host)
        self.out_raw(text)

    def render(self, str name not None, /, **context) -> str:
        """The text of a template with these values; what it needs is told by the host's errors."""
        objects_live(self)
        return callback_host.render(self, name, context)

    def out_raw(self, text, *args) -> None:
        """As `out`, but values are never escaped. bytes are appended as they are, without args."""
        objects_live(self)
        if output.body_start == 0 or current_request != <PyObject*>self:
            reply_begin_out(self)
        if isinstance(text, bytes):
            if args:
                raise TypeError("bytes take no arguments")
            output_append(PyBytes_AS_STRING(text), PyBytes_GET_SIZE(text))
        elif not PyUnicode_Check(text):
            raise TypeError(f"out_raw() takes str or bytes, not {type(text).__name__}")
        else:
            printf_render(<str>text, nodepp_tuple_items(args), PyTuple_GET_SIZE(args), False)

    def out_clear(self) -> None:
        """Forgets what out() has appended so far."""
        objects_live(self)
        if output.body_start and current_request == <PyObject*>self:
            output.used = output.body_start - HEADROOM_SIZE
            output.body_start = 0

    def set_header(self, name: str, value: str) -> None:
        """Sets a field of the answer, in place of an earlier one of that name. ValueError: it
        cannot be sent, or is the engine's own (Content-Length, Transfer-Encoding, Date …)."""
        objects_live(self)
        reply_set_line(self, name, value)

    def set_cookie(self, name: str, value: str = "", max_age=None, expires=None, path="/",
                   domain=None, secure=False, httponly=False, samesite="Lax") -> None:
        """Adds a Set-Cookie field; arguments as Response.set_cookie."""
        objects_live(self)
        reply_add_line(self, "Set-Cookie", headers_cookie(
            name, value, max_age, expires, path, domain, secure, httponly, samesite))

    def redirect(self, url: str, status: int = 303) -> None:
        """Sends the client elsewhere: sets status (301, 302, 303, 307 or 308) and Location.
        Characters beyond ASCII are percent-encoded."""
        objects_live(self)
        if status not in (301, 302, 303, 307, 308):
            raise ValueError(f"{status} is not a redirection")
        reply_set_line(self, "Location", reply_uri(url))
        self._status = status

    def no_cache(self) -> None:
        """Tells browser and proxies to keep nothing of this answer."""
        objects_live(self)
        reply_set_line(self, "Cache-Control", "private, no-store, no-cache, max-age=0")

    def __repr__(self):
        if self.r is NULL:
            return "<Request, over>"
        return f"<Request {self.method} {self.target}>"


def current() -> Request:
    """The request being handled. RuntimeError where there is none."""
    if current_request is NULL:
        raise RuntimeError("there is no current request: this runs between requests (a timer, "
                           "on_start, on_stop, or a session that ended by time)")
    return <object>current_request


cdef str context_path(const request_t* r):
    """As it was looked for: decoded once, without dot segments. One that leads out above the root
    is left as it came but for its escapes."""
    cdef const char* path = <const char*>r.data + r.head.path_start
    cdef size_t size = r.head.path_size
    cdef Py_ssize_t resolved
    cdef bytes decoded
    cdef uint8_t* into
    if size == 0:
        return "*" if r.data[r.head.target_start] == c'*' else "/"
    if not r.head.path_escaped and not target_has_dots(<const uint8_t*>path, size):
        return PyUnicode_DecodeUTF8(path, size, NULL)
    decoded = PyBytes_FromStringAndSize(path, size)
    into = <uint8_t*>PyBytes_AS_STRING(decoded)
    resolved = target_resolve(<const uint8_t*>path, size, r.head.path_escaped, into)
    if resolved < 0:
        resolved = scan_percent_decode(<const uint8_t*>path, size, into, False)
    return PyUnicode_DecodeUTF8(<const char*>into, resolved, b"replace")


cdef str context_next_url(Request req, str default):
    """Where a login shall lead: a path of this site, never another site."""
    way = req.query.get("next")
    if way is None and req.r.head.method & (METHOD_POST | METHOD_PUT | METHOD_PATCH):
        way = req.form.get("next")
    if way is None or not way.startswith("/") or way[1:2] in ("/", "\\"):
        return default
    for character in way:
        if character < " " or character == "\x7f" or character == "\\":
            return default             # browsers take "\" for "/", and forget controls
    return way
