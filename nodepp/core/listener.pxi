# core/listener.pxi — where do peers come in?
#   Prefix: listener
#   Owns:  the listening sockets, watched or parked
#   Uses:  limits, clock, fork, poller
#   Never: who comes in
#   Holds: a parked listener is resumed: when a connection ends, or after ACCEPT_PAUSE_MS

cdef enum:
    LISTENER_KEY = 0x7FFF0000          # keys from here on are no slots

cdef struct listener_t:
    int fd
    bint watched
    bint dropped                       # it failed for good

cdef listener_t listener_table[LISTENER_COUNT_MAX]
cdef int listener_count
cdef bint listener_parked              # no descriptors are left: nobody is accepted for now
cdef int64_t listener_resume_ms


cdef int listener_open(list sockets) except -1:
    """Watches listening sockets: (descriptor, "tcp" or "unix")."""
    global listener_count
    if len(sockets) > LISTENER_COUNT_MAX:
        raise ValueError(f"{len(sockets)} listeners, {LISTENER_COUNT_MAX} are possible")
    for fd, kind in sockets:
        listener_table[listener_count].fd = fd
        listener_table[listener_count].watched = listener_table[listener_count].dropped = False
        listener_count += 1
        if not listener_watch(listener_count - 1):
            raise OSError(errno, f"descriptor {fd} cannot be watched")
    return 0


cdef bint listener_watch(int index) noexcept:
    cdef listener_t* listener = &listener_table[index]
    if not listener.watched:
        listener.watched = poller_can_watch(listener.fd) and poller_add(
            listener.fd, <uint64_t>LISTENER_KEY + index, POLLER_READ) == 0
    return listener.watched


cdef void listener_drop(int index) noexcept:
    """One that failed for good would report itself without end: never watched again."""
    cdef listener_t* listener = &listener_table[index]
    if listener.watched:
        poller_remove(listener.fd, POLLER_READ)
    listener.watched = False
    listener.dropped = True


cdef void listener_park() noexcept:
    """Out of descriptors: a level-triggered listener would report itself without end."""
    global listener_parked, listener_resume_ms
    cdef int i
    for i in range(listener_count):
        if listener_table[i].watched:
            poller_remove(listener_table[i].fd, POLLER_READ)
            listener_table[i].watched = False
    listener_parked = True
    listener_resume_ms = clock_now_ms + ACCEPT_PAUSE_MS


cdef void listener_resume(bint now) noexcept:
    """Once its rest is over, or `now` that a descriptor has come free."""
    global listener_parked
    cdef int i
    if not listener_parked or not (now or clock_now_ms >= listener_resume_ms):
        return
    listener_parked = False
    for i in range(listener_count):
        if not listener_table[i].dropped and not listener_watch(i):
            listener_parked = True


cdef void listener_close() noexcept:
    """Watches none any more; the descriptors belong to whoever opened them."""
    global listener_count
    listener_park()
    listener_count = 0
    listener_forget_pause()


cdef void listener_forget() noexcept nogil:
    """In a child: peers come in at the parent only."""
    global listener_count
    cdef int i
    for i in range(listener_count):
        if not listener_table[i].dropped:
            fork_replace(listener_table[i].fd)
    listener_count = 0


cdef void listener_forget_pause() noexcept:
    global listener_parked
    listener_parked = False
