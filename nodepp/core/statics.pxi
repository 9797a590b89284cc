# core/statics.pxi — one public file: its bytes in every coding, with what is said about them
#   Prefix: statics
#   Owns:  class Resource: representations and their ready-made field lines
#   Uses:  clock, negotiate
#   Never: the file system; under which path it is found
#   Holds: a Resource never changes, so that any number of snapshots and answers may hold it

cdef enum:                             # kinds
    STATICS_MEMORY                     # its bytes lie here
    STATICS_DISK                       # they lie in a file that is too large
    STATICS_REDIRECT                   # a folder without its slash

cdef enum:
    STATICS_EXPIRES_SIZE = 40          # "Expires: " date CRLF
    STATICS_TERM_MAX = 10 * 366 * 86400  # seconds; years of five digits are no HTTP-date
    STATICS_EXPIRES_COUNT = 4          # ready-made ones: few different terms are in use

cdef struct representation_t:          # a resource in one coding
    PyObject* body                     # bytes; NULL: there is none in this coding
    const char* data
    size_t size
    const char* lines                  # Content-Type first, then all that a 200 or 206 says
    size_t lines_size
    size_t type_size                   # of the first line: multipart/byteranges replaces it
    size_t cache_size                  # of the last line, Cache-Control; 0: there is none
    size_t kept_start                  # from here on a 304 says it too: ETag, Vary, Cache-Control
    const char* etag                   # with its quotes
    size_t etag_size

cdef struct static_t:
    int kind                           # STATICS_
    int64_t modified_s                 # since 1970; -1: no date
    int64_t expires_s                  # from now; -1: says nothing of it
    uint64_t disk_size
    bint varies                        # says Vary: Accept-Encoding
    const char* location               # of a redirect: the path, encoded
    size_t location_size
    representation_t coded[NEGOTIATE_COUNT]

cdef struct expires_t:
    int64_t term_s
    int64_t made_s                     # the second in which it was made; 0: never
    char line[STATICS_EXPIRES_SIZE]

cdef expires_t statics_expires[STATICS_EXPIRES_COUNT]
cdef int statics_resource_count        # that are alive, for the tests' books

cdef tuple statics_codings = ("identity", "gzip", "br", "zstd")


@cython.final
@cython.no_gc
cdef class Resource:
    """One public file as it is served. Immutable.

    body: its bytes; None for a file on disk (`path`, absolute, and `size` in bytes) and for a
    redirect (`location`: an encoded path). etag: without quotes, of letters, digits, ".", "_" and
    "-". modified: seconds since 1970, -1 for none. cache_control: the field's value, "" for none.
    expires_s: Expires is so many seconds from now, -1 for none. varies: other codings exist or may
    come. codings: {"gzip": (bytes, etag), "br": …, "zstd": …}. Raises ValueError for what cannot
    stand in a field.
    """
    cdef static_t file
    cdef readonly object body          # bytes or None
    cdef readonly str content_type
    cdef readonly str etag
    cdef readonly str cache_control
    cdef readonly str path
    cdef readonly str location
    cdef tuple kept                    # every object that `file` points to

    def __cinit__(self):
        global statics_resource_count
        statics_resource_count += 1

    def __init__(self, body, str content_type not None, *, str etag="", int64_t modified=-1,
                 str cache_control="", int64_t expires_s=-1, bint varies=False, codings=None,
                 str path="", uint64_t size=0, str location=""):
        if self.kept is not None:
            raise RuntimeError("a Resource is made once")
        if body is not None and not isinstance(body, bytes):
            raise TypeError(f"the body of a resource is bytes, not {type(body).__name__}")
        if not -1 <= expires_s <= STATICS_TERM_MAX:
            raise ValueError(f"expires_s is {expires_s}: -1 to {STATICS_TERM_MAX} is possible")
        if codings and body is None:
            raise ValueError("a resource without a body has no codings")
        self.body = body
        self.content_type = content_type
        self.etag = etag
        self.cache_control = cache_control
        self.path = path
        self.location = location
        # RFC 9110 §8.8.2.1: a file dated in the future MUST NOT show it; it was changed just now.
        self.file.modified_s = min(modified, clock_read_wall_s())
        self.file.expires_s = expires_s
        self.file.varies = varies
        self.file.disk_size = size
        self.file.kind = STATICS_MEMORY
        if location:
            self.file.kind = STATICS_REDIRECT
        elif body is None:
            if not path:
                raise ValueError("a resource without a body needs a path or a location")
            self.file.kind = STATICS_DISK
        statics_fill(self, {} if codings is None else codings)

    def __dealloc__(self):
        global statics_resource_count
        statics_resource_count -= 1

    @property
    def size(self) -> int:
        """Bytes of the identity representation."""
        return self.file.disk_size if self.file.kind == STATICS_DISK \
            else self.file.coded[NEGOTIATE_IDENTITY].size

    @property
    def modified(self) -> int:
        """Seconds since 1970, -1 for no date."""
        return self.file.modified_s

    @property
    def expires_s(self) -> int:
        """Seconds from the answer to Expires, -1 for none."""
        return self.file.expires_s

    @property
    def varies(self) -> bool:
        """True when it says Vary: Accept-Encoding."""
        return self.file.varies

    @property
    def codings(self) -> dict:
        """Bytes of each coding beside identity."""
        return {statics_codings[i]: self.file.coded[i].size
                for i in range(1, NEGOTIATE_COUNT) if self.file.coded[i].body != NULL}

    def with_codings(self, codings: dict) -> Resource:
        """The same resource with these codings instead."""
        return Resource(self.body, self.content_type, etag=self.etag, modified=self.modified,
                        cache_control=self.cache_control, expires_s=self.expires_s,
                        varies=self.varies, codings=codings, path=self.path,
                        size=self.file.disk_size, location=self.location)

    def __repr__(self):
        return f"<Resource {self.content_type or 'redirect'} {self.size}>"


cdef int statics_fill(Resource resource, codings) except -1:
    """Lays out the representations. All objects are collected in `kept`."""
    cdef static_t* file = &resource.file
    kept = []
    unknown = set(codings) - set(statics_codings[1:])
    if unknown:
        raise ValueError(f"there is no coding {sorted(unknown)[0]!r}")
    if file.kind == STATICS_REDIRECT:
        location = statics_check(resource.location).encode("ascii")
        kept.append(location)
        file.location = PyBytes_AS_STRING(location)
        file.location_size = PyBytes_GET_SIZE(location)
    else:
        statics_represent(resource, NEGOTIATE_IDENTITY, resource.body, resource.etag, kept)
        for i in range(1, NEGOTIATE_COUNT):
            if statics_codings[i] in codings:
                body, etag = codings[statics_codings[i]]
                if not isinstance(body, bytes):
                    raise TypeError(f"a coded body is bytes, not {type(body).__name__}")
                statics_represent(resource, i, body, etag, kept)
    resource.kept = tuple(kept)
    return 0


cdef int statics_represent(Resource resource, int coding, body, str etag, list kept) except -1:
    cdef representation_t* coded = &resource.file.coded[coding]
    cdef bytes lines, type_line, first
    if not etag or not all([sign.isalnum() or sign in "._-" for sign in etag]):
        raise ValueError(f"{etag!r} is not an entity tag for a resource")
    quoted = b'"' + etag.encode("ascii") + b'"'
    type_line = b""
    if resource.content_type:
        type_line = f"Content-Type: {statics_check(resource.content_type)}\r\n".encode("latin-1")
    first = type_line
    if coding != NEGOTIATE_IDENTITY:
        first += f"Content-Encoding: {statics_codings[coding]}\r\n".encode()
    if resource.file.modified_s >= 0:
        first += b"Last-Modified: " + statics_date(resource.file.modified_s) + b"\r\n"
    first += b"Accept-Ranges: bytes\r\n"
    lines = first + b"ETag: " + quoted + b"\r\n"
    if resource.file.varies:
        lines += b"Vary: Accept-Encoding\r\n"
    coded.cache_size = 0
    if resource.cache_control:
        coded.cache_size = len(resource.cache_control) + 17
        lines += f"Cache-Control: {statics_check(resource.cache_control)}\r\n".encode("ascii")
    kept.extend((body, lines, quoted))
    coded.body = <PyObject*>body
    if body is not None:
        coded.data = PyBytes_AS_STRING(body)
        coded.size = PyBytes_GET_SIZE(body)
    else:
        coded.size = resource.file.disk_size
    coded.lines = PyBytes_AS_STRING(lines)
    coded.lines_size = PyBytes_GET_SIZE(lines)
    coded.type_size = PyBytes_GET_SIZE(type_line)
    coded.kept_start = PyBytes_GET_SIZE(first)
    coded.etag = PyBytes_AS_STRING(quoted)
    coded.etag_size = PyBytes_GET_SIZE(quoted)
    return 0


cdef str statics_check(str value):
    """A value that may stand in a field line as it is."""
    if not value.isprintable() or not value.isascii():
        raise ValueError(f"{value!r} cannot stand in a field")
    return value


cdef bytes statics_date(int64_t seconds):
    cdef char text[DATE_SIZE]
    clock_http_date(seconds, text)
    return text[:DATE_SIZE]


cdef inline int statics_choose(const static_t* file, const weights_t* weights) noexcept nogil:
    """The coding that the client likes best; of equals, the one with the fewest bytes. -1: it
    takes none that there is."""
    cdef int best = -1
    cdef int i
    for i in range(NEGOTIATE_COUNT):
        if file.coded[i].body == NULL or weights.q[i] <= 0:
            continue
        if best < 0 or weights.q[i] > weights.q[best] or (
                weights.q[i] == weights.q[best] and file.coded[i].size < file.coded[best].size):
            best = i
    return best


cdef const char* statics_expires_line(int64_t term_s) noexcept nogil:
    """The Expires field for this second; made once a second for each term in use."""
    cdef expires_t* entry
    cdef expires_t* oldest = &statics_expires[0]
    cdef int i
    for i in range(STATICS_EXPIRES_COUNT):
        entry = &statics_expires[i]
        if entry.term_s == term_s and entry.made_s == clock_wall_s:
            return entry.line
        if entry.made_s < oldest.made_s or entry.term_s == term_s:
            oldest = entry
    oldest.term_s = term_s
    oldest.made_s = clock_wall_s
    memcpy(oldest.line, b"Expires: ", 9)
    clock_http_date(clock_wall_s + term_s, oldest.line + 9)
    memcpy(oldest.line + 9 + DATE_SIZE, b"\r\n", 2)
    return oldest.line
