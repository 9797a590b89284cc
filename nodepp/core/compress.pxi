# core/compress.pxi — a rendered text leaves smaller when the client takes it so
#   Prefix: compress
#   Owns:  whether an answer is compressed, in which coding, and what its head says of that
#   Uses:  response, negotiate, statics, callbacks, objects, answer, asked
#   Never: public files; those lie ready in every coding
#   Holds: whatever depends on Accept-Encoding says Vary, also when it left as it was

# BREACH: who can put text of his own beside a secret and see the size of the answer may guess the
# secret. `req.compress = False`, or compress=False on the route, keeps such an answer as it is.

cdef int64_t compress_threshold = <int64_t>1 << 62     # bytes; a shorter text is left alone


cdef bint compress_has_zstd            # the host has that coder
cdef bint compress_has_gzip


cdef int compress_open(host, int64_t threshold) except -1:
    """threshold: bytes, below 0 for off. The host's coders are those in its `codings`."""
    global compress_threshold, compress_has_zstd, compress_has_gzip
    codings = getattr(host, "codings", ("zstd", "gzip"))
    compress_has_zstd = "zstd" in codings
    compress_has_gzip = "gzip" in codings
    compress_threshold = threshold if threshold >= 0 and codings else <int64_t>1 << 62
    return 0


cdef bint compress_wanted(RequestState req, int type_of_result) except -1:
    """Is it text, and not ruled out?"""
    if req.uncompressed or req._status == 206 or not response_has_body(req._status):
        return False
    if req.type < 0:
        if not compress_is_text(req.type_line):
            return False
    elif type_of_result == RESPONSE_BINARY:
        return False
    if req.lines is not None:
        for name, line in req.lines:
            if name in compress_barred or (
                    name == b"cache-control" and b"no-transform" in line.lower()):
                return False
    return True


cdef bint compress_is_text(bytes line) noexcept:
    """By its Content-Type line, remembered: an application uses few types."""
    cdef PyObject* known
    try:
        known = PyDict_GetItemWithError(compress_texts, line)
        if known != NULL:
            return <object>known is True
        kind = line[14:].split(b";")[0].strip().lower()
        found = kind.startswith(b"text/") and kind != b"text/event-stream" \
            or kind.endswith((b"+json", b"+xml")) or kind in compress_kinds
        if len(compress_texts) < ANSWER_TYPES_MAX:
            compress_texts[line] = found
        return found
    except Exception:
        return False


# Fields that speak of the bytes as they are: another coding would make them false.
cdef frozenset compress_barred = frozenset((
    b"content-encoding", b"content-range", b"content-digest", b"repr-digest", b"digest",
    b"content-md5"))
cdef dict compress_texts = {}          # Content-Type line → whether it is text; bounded
cdef frozenset compress_kinds = frozenset((
    b"application/json", b"application/javascript", b"application/xml", b"application/yaml",
    b"application/manifest+json", b"application/graphql", b"application/x-ndjson",
    b"application/wasm"))


cdef bytes compress_body(RequestState req, body, size_t size):
    """The body in the coding that the client likes best, or None to send it as it is. Adds Vary
    and Content-Encoding to the lines of the answer."""
    cdef asked_t asked
    cdef int coding = NEGOTIATE_IDENTITY
    cdef bytes coded = None
    asked_look(req.r, &asked)
    if asked.weights.q[NEGOTIATE_ZSTD] > 0 and compress_has_zstd:
        coding = NEGOTIATE_ZSTD
    if compress_has_gzip and asked.weights.q[NEGOTIATE_GZIP] > (
            0 if coding == NEGOTIATE_IDENTITY else asked.weights.q[coding]):
        coding = NEGOTIATE_GZIP
    if coding != NEGOTIATE_IDENTITY \
            and asked.weights.q[coding] >= asked.weights.q[NEGOTIATE_IDENTITY]:
        coded = compress_ask(statics_codings[coding], body)
        if coded is not None and <size_t>len(coded) >= size:
            coded = None               # noise, or compressed already
    compress_vary(req)
    if coded is not None:
        req.lines.append((b"content-encoding",
                          b"Content-Encoding: " + statics_codings[coding].encode() + b"\r\n"))
        compress_weaken(req)
    return coded


cdef bytes compress_ask(str coding, bytes body):
    """The host's work; when it fails, the answer leaves as it is."""
    try:
        return callback_host.compress(coding, body)
    except BaseException as problem:
        if not callback_is_fault(problem):
            raise
        callback_log_problem(f"{coding} failed", problem)
        return None


cdef int compress_vary(RequestState req) except -1:
    """Vary: Accept-Encoding, beside whatever the application varies by."""
    if req.lines is None:
        req.lines = []
    for name, line in req.lines:
        if name == b"vary" and (b"accept-encoding" in line.lower() or line.strip() == b"Vary: *"):
            return 0
    req.lines.append((b"vary", b"Vary: Accept-Encoding\r\n"))
    return 0


cdef int compress_weaken(RequestState req) except -1:
    """RFC 9110 §8.8.3.3: a strong entity tag names one coding; the handler's named the text."""
    for index, (name, line) in enumerate(req.lines):
        if name == b"etag" and line[6:].lstrip().startswith(b'"'):
            req.lines[index] = (name, b"ETag: W/" + line[6:].lstrip())
    return 0
