# core/locate.pxi — what does the path of a request lead to?
#   Prefix: locate
#   Owns:  the routes and the public files that are served now; the path that is looked for
#   Uses:  limits, scan, target, snapshot, request, route
#   Never: answering
#   Holds: files and routes see the same path: decoded once, without dot segments

cdef Router locate_router              # the frozen routes of the application
cdef Snapshot locate_snapshot          # the public files; None: there are none
cdef bint locate_has_files             # it is there, and not empty
cdef uint8_t locate_decoded[HEAD_SIZE_CEILING]   # a path that had to be decoded or resolved


cdef int locate_publish(Snapshot snapshot) except -1:
    """These files from now on. Answers that are under way keep the bytes that they hold."""
    global locate_snapshot, locate_has_files
    locate_snapshot = snapshot
    locate_has_files = snapshot is not None and len(snapshot) > 0
    return 0


cdef inline bint locate_path(const request_t* r, match_t* match, uint8_t* decoded) noexcept:
    """Notes the path that is looked for, decoded once and without dot segments; False: there is
    none. `decoded` has room for it, and is the caller's as long as the match is in use."""
    cdef const uint8_t* path = r.data + r.head.path_start
    cdef size_t size = r.head.path_size
    cdef Py_ssize_t resolved
    if unlikely_(size == 0):           # absolute form without a path, or "*"
        if r.data[r.head.target_start] == c'*':
            return False
        path = <const uint8_t*>b"/"
        size = 1
    if unlikely_(r.head.path_escaped) or target_has_dots(path, size):
        resolved = target_resolve(path, size, r.head.path_escaped, decoded)
        if resolved < 0:
            return False
        path = decoded
        size = resolved
    match.path = path
    match.size = size
    match.hash = scan_hash(path, size)
    return True


cdef inline bint locate_route(const request_t* r, match_t* match, uint8_t* decoded) noexcept:
    """Which handler it would be; False: there is no path."""
    match.capture_count = 0
    match.handler = NULL
    match.endpoint = NULL
    if not locate_path(r, match, decoded):
        return False
    route_find(locate_router, r.head.method, match)
    return True


cdef inline PyObject* locate_file(const request_t* r, const match_t* match) noexcept:
    """The Resource of the path on the host that was named, borrowed, or NULL."""
    return snapshot_find(
        snapshot_host(locate_snapshot, r.data + r.head.host_start, r.head.host_size),
        match.path, match.size, match.hash)


cdef dict locate_params(const request_t* r):
    """The parameters of the path, matched once more: few handlers ask for them in this way. In room
    of its own: another request may be on its way to its handler."""
    cdef bytes decoded = PyBytes_FromStringAndSize(NULL, r.head.path_size)
    cdef match_t match
    cdef int i
    params = {}
    locate_route(r, &match, <uint8_t*>PyBytes_AS_STRING(decoded))
    if match.handler != NULL:
        for i in range(match.capture_count):
            params[(<tuple>match.handler.names)[i]] = route_convert(&match.captures[i])
    return params
