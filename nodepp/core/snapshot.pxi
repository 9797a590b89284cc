# core/snapshot.pxi — what is served now: paths and the resources behind them
#   Prefix: snapshot
#   Owns:  class Snapshot: for each host a hash table of paths, swapped in whole
#   Uses:  scan, target, statics
#   Never: bytes of resources; answering
#   Holds: a Snapshot never changes; a table is never more than half full

cdef struct place_t:                   # an entry of a table; free if path is NULL
    uint64_t hash
    PyObject* path                     # bytes
    PyObject* resource                 # Resource

cdef struct host_t:
    PyObject* name                     # bytes, lower case; b"" for the main host
    place_t* places
    size_t room                        # a power of two
    size_t count

cdef int snapshot_count                # that are alive, for the tests' books


@cython.final
@cython.no_gc
cdef class Snapshot:
    """An immutable index of resources: {host: {path: Resource}}.

    The main host is ""; other names are without port, in lower case. A path begins with a slash and
    is decoded. ValueError for anything else.
    """
    cdef host_t* hosts_                # the main host first
    cdef int host_count

    def __cinit__(self):
        global snapshot_count
        snapshot_count += 1

    def __init__(self, hosts: dict):
        if self.hosts_ != NULL:
            raise RuntimeError("a Snapshot is filled once")
        try:
            snapshot_fill(self, dict(hosts))
        except BaseException:
            snapshot_empty(self)       # half of it must not be published
            raise

    def __dealloc__(self):
        global snapshot_count
        snapshot_count -= 1
        snapshot_empty(self)

    def with_changes(self, changes: dict) -> Snapshot:
        """A new Snapshot with {host: {path: Resource, or None to take it away}} applied."""
        cdef Snapshot new = Snapshot.__new__(Snapshot)
        cdef host_t* old
        cdef host_t* host
        cdef size_t i
        cdef int index
        names = [""] + sorted({*self.hosts, *changes} - {""})
        snapshot_reserve(new, len(names))
        for index, name in enumerate(names):
            changed = {snapshot_check_path(path): resource
                       for path, resource in changes.get(name, {}).items()}
            host = &new.hosts_[index]
            old = snapshot_host_named(self, name.encode())
            snapshot_open_host(host, name, len(changed) + (old.count if old != NULL else 0))
            if old != NULL:
                for i in range(old.room):
                    if old.places[i].path != NULL and <bytes>old.places[i].path not in changed:
                        snapshot_put(host, <bytes>old.places[i].path,
                                     <Resource>old.places[i].resource)
            for path, resource in changed.items():
                if resource is not None:
                    snapshot_put(host, path, resource)
        return new

    def get(self, str path not None, str host="") -> object:
        """The Resource of a path, or None."""
        cdef host_t* found = snapshot_host_named(self, host.encode())
        cdef PyObject* resource
        encoded = path.encode()
        if found == NULL:
            return None
        resource = snapshot_find(found, <const uint8_t*>PyBytes_AS_STRING(encoded), len(encoded),
                                 scan_hash(<const uint8_t*>PyBytes_AS_STRING(encoded),
                                           len(encoded)))
        return None if resource == NULL else <object>resource

    def paths(self, str host="") -> list:
        """All paths of a host, sorted; [] for one that is not known."""
        cdef host_t* found = snapshot_host_named(self, host.encode())
        cdef size_t i
        if found == NULL:
            return []
        return sorted([(<bytes>found.places[i].path).decode() for i in range(found.room)
                       if found.places[i].path != NULL])

    @property
    def hosts(self) -> tuple:
        """The names of the hosts, the main one ("") first."""
        return tuple([(<bytes>self.hosts_[i].name).decode() for i in range(self.host_count)])

    def __len__(self):
        return sum([self.hosts_[i].count for i in range(self.host_count)])


cdef int snapshot_fill(Snapshot snapshot, dict hosts) except -1:
    names = [""] + sorted([name for name in hosts if name])
    snapshot_reserve(snapshot, len(names))
    for index, name in enumerate(names):
        resources = dict(hosts.get(name, {}))
        snapshot_open_host(&snapshot.hosts_[index], name, len(resources))
        for path, resource in resources.items():
            snapshot_put(&snapshot.hosts_[index], snapshot_check_path(path), resource)
    return 0


cdef void snapshot_empty(Snapshot snapshot) noexcept:
    cdef int i
    for i in range(snapshot.host_count):
        snapshot_close_host(&snapshot.hosts_[i])
    free(snapshot.hosts_)
    snapshot.hosts_ = NULL
    snapshot.host_count = 0


cdef int snapshot_reserve(Snapshot snapshot, int count) except -1:
    snapshot.hosts_ = <host_t*>calloc(count, sizeof(host_t))
    if snapshot.hosts_ == NULL:
        raise MemoryError("no room for a snapshot")
    snapshot.host_count = count
    return 0


cdef int snapshot_open_host(host_t* host, str name, size_t count) except -1:
    if name != name.lower() or ":" in name or len(name.encode()) > TARGET_HOST_SIZE_MAX:
        raise ValueError(f"{name!r} is no host name in lower case and without port")
    encoded = name.encode()
    Py_INCREF(encoded)
    host.name = <PyObject*>encoded
    host.room = 8
    while host.room < 2 * count + 2:
        host.room *= 2
    host.places = <place_t*>calloc(host.room, sizeof(place_t))
    if host.places == NULL:
        raise MemoryError("no room for an index of %d paths" % count)
    return 0


cdef void snapshot_close_host(host_t* host) noexcept:
    cdef size_t i
    if host.places != NULL:
        for i in range(host.room):
            Py_XDECREF(host.places[i].path)
            Py_XDECREF(host.places[i].resource)
    free(host.places)
    Py_XDECREF(host.name)


cdef bytes snapshot_check_path(path):
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError(f"{path!r} is not a path: it begins with a slash")
    return path.encode()


cdef int snapshot_put(host_t* host, bytes path, Resource resource) except -1:
    """Adds an entry whose path is not there yet."""
    cdef uint64_t hash
    cdef size_t at
    if resource is None:
        raise TypeError("a Snapshot holds resources, not None")
    hash = scan_hash(<const uint8_t*>PyBytes_AS_STRING(path), PyBytes_GET_SIZE(path))
    at = hash & (host.room - 1)
    while host.places[at].path != NULL:
        at = (at + 1) & (host.room - 1)
    Py_INCREF(path)
    Py_INCREF(resource)
    host.places[at].hash = hash
    host.places[at].path = <PyObject*>path
    host.places[at].resource = <PyObject*>resource
    host.count += 1
    return 0


cdef inline PyObject* snapshot_find(const host_t* host, const uint8_t* path, size_t size,
                                    uint64_t hash) noexcept:
    """The Resource behind a path, borrowed, or NULL."""
    cdef size_t at = hash & (host.room - 1)
    cdef const place_t* place
    while True:                        # ends: the table is never more than half full
        place = &host.places[at]
        if place.path == NULL:
            return NULL
        if place.hash == hash and <size_t>PyBytes_GET_SIZE(<object>place.path) == size \
                and memcmp(PyBytes_AS_STRING(<object>place.path), path, size) == 0:
            return place.resource
        at = (at + 1) & (host.room - 1)


cdef host_t* snapshot_host_named(Snapshot snapshot, bytes name) except? NULL:
    cdef int i
    for i in range(snapshot.host_count):
        if <bytes>snapshot.hosts_[i].name == name:
            return &snapshot.hosts_[i]
    return NULL


cdef const host_t* snapshot_host(Snapshot snapshot, const uint8_t* text, size_t size) noexcept:
    """The host that an authority names, as Node++ tells them: the port does not count, nor the
    first label if the name is not known with it (www.example.com is example.com). Any other name
    is the main host."""
    cdef uint8_t name[TARGET_HOST_SIZE_MAX]
    cdef const uint8_t* dot
    cdef int index
    if snapshot.host_count == 1:
        return &snapshot.hosts_[0]
    size = target_host(text, size, name)
    index = snapshot_host_index(snapshot, name, size)
    if index == 0:
        dot = <const uint8_t*>memchr(name, c'.', size)
        if dot != NULL:
            index = snapshot_host_index(snapshot, dot + 1, name + size - dot - 1)
    return &snapshot.hosts_[index]


cdef int snapshot_host_index(Snapshot snapshot, const uint8_t* name, size_t size) noexcept:
    """0, the main host, when there is none of that name."""
    cdef int i
    for i in range(1, snapshot.host_count):
        if <size_t>PyBytes_GET_SIZE(<object>snapshot.hosts_[i].name) == size and memcmp(
                PyBytes_AS_STRING(<object>snapshot.hosts_[i].name), name, size) == 0:
            return i
    return 0
