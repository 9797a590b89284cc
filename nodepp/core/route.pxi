# core/route.pxi — which handler answers for this path and method?
#   Prefix: route
#   Owns:  exact paths by hash, paths with parameters as a tree; the frozen Router
#   Uses:  scan, freeze
#   Never: the call itself
#   Holds: after freeze() nothing changes, so that pointers into the tables may be kept

cdef enum:
    ROUTE_METHOD_COUNT = 7             # the METHOD_ bits a handler can be registered for
    ROUTE_PARAM_MAX = 16               # parameters of one path
    ROUTE_SEGMENT_MAX = 64             # segments of a path that has parameters; deeper: 404
    ROUTE_DIGIT_MAX = 1000             # digits of an int; int() of many is quadratic; more: 404

cdef enum:                             # converters
    ROUTE_STR, ROUTE_INT, ROUTE_FLOAT, ROUTE_UUID, ROUTE_PATH

cpdef enum:                            # how a handler is called
    FLAG_NO_REQUEST = 1                # without arguments: it reads current()
    FLAG_STATUS_PAGE = 2               # an error status without a body gets its page
    FLAG_NO_COMPRESS = 4               # its answers are never compressed
    FLAG_NO_CSRF = 8                   # it takes requests that other sites have made

cdef struct handler_t:
    PyObject* callable                 # owned by the Router
    PyObject* names                    # tuple of parameter names
    bint by_name                       # they are keywords; else positions
    uint8_t order[ROUTE_PARAM_MAX]     # by position: which capture comes where
    int param_count
    int flags

cdef struct endpoint_t:                # what a path leads to
    handler_t* handlers[ROUTE_METHOD_COUNT]
    uint16_t methods                   # that have a handler, METHOD_ bits
    PyObject* allow                    # bytes: the line of the Allow field

cdef struct exact_t:                   # an entry of the hash table; free if path is NULL
    const uint8_t* path
    size_t size
    uint64_t hash
    endpoint_t* endpoint

cdef struct node_t:                    # a segment of the tree; siblings are tried in this order
    const uint8_t* text                # literal: the segment. Parameter: what stands before it
    size_t size
    const uint8_t* suffix              # parameter: what stands behind it
    size_t suffix_size
    int converter                      # route_converter, -1: literal
    int first_child                    # index, -1: none
    int next_sibling
    endpoint_t* endpoint               # NULL: no path ends here

cdef struct capture_t:
    const uint8_t* text
    size_t size
    int converter

cdef struct match_t:
    const uint8_t* path                # decoded, without dot segments
    size_t size
    uint64_t hash
    endpoint_t* endpoint               # NULL: nothing there
    handler_t* handler                 # NULL: not for this method
    int capture_count
    capture_t captures[ROUTE_PARAM_MAX]


@cython.final
cdef class Router:
    """The routes of an application: filled once, frozen, then only read by the engine.

    `add` and `set_fallback` describe paths, `freeze` builds the tables. An App makes
    one of itself; applications do not meet it.
    """
    cdef exact_t* exact
    cdef size_t exact_room             # a power of two
    cdef endpoint_t* endpoints
    cdef handler_t* handlers
    cdef node_t* nodes
    cdef int root                      # first node, -1: no path has parameters
    cdef handler_t fallback
    cdef bint frozen
    cdef readonly uint16_t methods     # all that any path knows
    cdef dict paths                    # exact path (bytes) → {method bit: (handler, flags)}
    cdef list tree                     # [segment, children, {method bit: …}] with parameters
    cdef list kept                     # every object that a table points to

    def __cinit__(self):
        self.root = -1
        self.paths = {}
        self.tree = []
        self.kept = []

    def __dealloc__(self):
        free(self.exact)
        free(self.endpoints)
        free(self.handlers)
        free(self.nodes)

    def add(self, segments: tuple, methods: int, handler, flags: int = 0, order=None) -> None:
        """Leads `methods` (METHOD_ bits) of a path to a handler.

        A literal segment is `(text,)`, a parameter `(prefix, suffix, converter, name)` with the
        converters str, int, float, uuid and, last and without suffix, path. `order` says which
        parameter each position takes; None calls by keyword. Raises ValueError on a duplicate.
        """
        if self.frozen:
            raise RuntimeError("the routes are frozen: the application is being served")
        names = tuple(segment[3] for segment in segments if len(segment) == 4)
        if len(names) > ROUTE_PARAM_MAX:
            raise ValueError(f"a path has {len(names)} parameters, {ROUTE_PARAM_MAX} are possible")
        if order is not None and sorted(order) != list(range(len(names))):
            raise ValueError(f"order {order} does not name each of {len(names)} parameters once")
        if names and flags & FLAG_NO_REQUEST:
            raise ValueError("a handler without arguments cannot take parameters")
        entry = (handler, flags, names, order)
        if names:
            route_insert(self.tree, segments, methods, entry)
        else:
            path = ("/" + "/".join(segment[0] for segment in segments)).encode()
            route_register(self.paths.setdefault(path, {}), methods, entry)

    def set_fallback(self, handler, flags: int = 0) -> None:
        """What is called when no path fits, for all methods."""
        self.kept.append(handler)
        self.fallback.callable = <PyObject*>handler
        self.fallback.flags = flags

    def freeze(self) -> None:
        """Builds the tables; afterwards nothing can be added."""
        if not self.frozen:
            route_freeze(self)
            self.frozen = True


cdef endpoint_t* route_find_exact(Router router, const uint8_t* path, size_t size,
                                  uint64_t hash) noexcept:
    cdef size_t at = hash & (router.exact_room - 1)
    cdef exact_t* entry
    while True:                        # ends: the table is never more than half full
        entry = &router.exact[at]
        if entry.path == NULL:
            return NULL
        if entry.hash == hash and entry.size == size and memcmp(entry.path, path, size) == 0:
            return entry.endpoint
        at = (at + 1) & (router.exact_room - 1)


cdef void route_find(Router router, uint16_t method, match_t* match) noexcept:
    """What match.path leads to, and the handler for the method; HEAD may take that of GET."""
    cdef endpoint_t* endpoint = route_find_exact(router, match.path, match.size, match.hash)
    match.capture_count = 0
    match.handler = NULL
    if endpoint == NULL and router.root >= 0:
        endpoint = route_walk(router, router.root, match.path + 1, match.path + match.size,
                              match, 0)
    match.endpoint = endpoint
    if endpoint == NULL:
        return
    match.handler = endpoint.handlers[route_method_index(method)]
    if match.handler == NULL and method == METHOD_HEAD:
        match.handler = endpoint.handlers[route_method_index(METHOD_GET)]


cdef extern from *:
    """
    #define route_method_index(method) __builtin_ctz(method)
    """
    int route_method_index(uint16_t method) noexcept nogil


cdef endpoint_t* route_walk(Router router, int at, const uint8_t* path, const uint8_t* end,
                            match_t* match, int depth) noexcept:
    """Tries the siblings from `at` on against the segment at `path`. Each node is visited at most
    once a request, so going back costs no more than the size of the tree."""
    cdef const uint8_t* segment_end = <const uint8_t*>memchr(path, c'/', end - path) \
        if path < end else NULL
    cdef bint last = segment_end == NULL
    cdef int captured = match.capture_count
    cdef endpoint_t* endpoint
    cdef node_t* node
    if last:
        segment_end = end
    if depth == ROUTE_SEGMENT_MAX:
        return NULL
    while at >= 0:
        node = &router.nodes[at]
        if node.converter == ROUTE_PATH:
            if route_capture(node, path, end, match):
                return node.endpoint
        elif route_fits(node, path, segment_end, match):
            endpoint = node.endpoint
            if not last:
                endpoint = NULL
                if node.first_child >= 0:
                    endpoint = route_walk(router, node.first_child, segment_end + 1, end,
                                          match, depth + 1)
            if endpoint != NULL:
                return endpoint
        match.capture_count = captured
        at = node.next_sibling
    return NULL


cdef inline bint route_fits(const node_t* node, const uint8_t* segment, const uint8_t* end,
                            match_t* match) noexcept nogil:
    if node.converter < 0:
        return <size_t>(end - segment) == node.size and memcmp(segment, node.text, node.size) == 0
    return route_capture(node, segment, end, match)


cdef bint route_capture(const node_t* node, const uint8_t* text, const uint8_t* end,
                        match_t* match) noexcept nogil:
    """Is this a value of the parameter? Then it is noted."""
    cdef capture_t* capture = &match.captures[match.capture_count]
    if <size_t>(end - text) <= node.size + node.suffix_size:
        return False
    if memcmp(text, node.text, node.size) != 0 \
            or memcmp(end - node.suffix_size, node.suffix, node.suffix_size) != 0:
        return False
    text += node.size
    end -= node.suffix_size
    if node.converter == ROUTE_INT \
            and (scan_run(text, end, SCAN_DIGIT) != end or end - text > ROUTE_DIGIT_MAX):
        return False
    if node.converter == ROUTE_FLOAT and not route_is_float(text, end):
        return False
    if node.converter == ROUTE_UUID and not route_is_uuid(text, end):
        return False
    capture.text = text
    capture.size = <size_t>(end - text)
    capture.converter = node.converter
    match.capture_count += 1
    return True


cdef bint route_is_float(const uint8_t* text, const uint8_t* end) noexcept nogil:
    """digits [ "." digits ]"""
    cdef const uint8_t* at = scan_run(text, end, SCAN_DIGIT)
    if at == text or end - text > 100:
        return False
    if at == end:
        return True
    return at[0] == c'.' and at + 1 < end and scan_run(at + 1, end, SCAN_DIGIT) == end


cdef bint route_is_uuid(const uint8_t* text, const uint8_t* end) noexcept nogil:
    """8-4-4-4-12 hexadecimal digits, RFC 9562."""
    cdef int i
    if end - text != 36:
        return False
    for i in range(36):
        if i == 8 or i == 13 or i == 18 or i == 23:
            if text[i] != c'-':
                return False
        elif not scan_class[text[i]] & SCAN_HEX:
            return False
    return True


cdef object route_convert(const capture_t* capture):
    """The value of a parameter as Python sees it."""
    cdef const char* text = <const char*>capture.text
    cdef int64_t value = 0
    cdef size_t i
    if capture.converter == ROUTE_INT:
        if capture.size <= 18:
            for i in range(capture.size):
                value = value * 10 + text[i] - 48
            return value
        return int(text[:capture.size])
    if capture.converter == ROUTE_FLOAT:
        return float(text[:capture.size])
    if capture.converter == ROUTE_UUID:
        return route_uuid(text[:capture.size].decode("ascii"))
    return PyUnicode_DecodeUTF8(text, capture.size, b"replace")


cdef object route_uuid_class = None


cdef object route_uuid(str text):
    global route_uuid_class
    if route_uuid_class is None:
        from nodepp.library import library
        route_uuid_class = library("uuid").UUID
    return route_uuid_class(text)
