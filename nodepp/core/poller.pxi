# core/poller.pxi — which descriptors are ready?
#   Prefix: poller
#   Owns:  interest and readiness; epoll, poll, select and the selectors API behind one seam
#   Uses:  limits, fork
#   Never: what is done with a descriptor that is ready
#   Holds: a descriptor is reported with the key of its latest poller_add or poller_change

# The seam: open, close, add, change, remove, wait. All are level-triggered: what is not taken
# this turn is reported again the next one. After wait, the first ones of
# poller_event tell what is ready.

cdef enum:
    POLLER_READ = 1, POLLER_WRITE = 2, POLLER_GONE = 4     # GONE: error, or both sides are shut

cdef enum:                             # kinds
    POLLER_NONE, POLLER_EPOLL, POLLER_POLL, POLLER_SELECT, POLLER_SELECTORS

cdef struct event_t:
    uint64_t key
    int ready                      # POLLER_ bits

cdef event_t poller_event[EVENT_COUNT_MAX]
cdef int poller_kind_open          # POLLER_NONE while no engine is open
cdef int poller_epoll_fd = -1
cdef epoll_event poller_epoll_event[EVENT_COUNT_MAX]

# poll, select and selectors share this table, dense, in no order.
cdef pollfd* poller_watched        # descriptors and interest
cdef uint64_t* poller_key          # beside each its key
cdef int poller_watched_count
cdef int poller_watched_room
cdef int* poller_position          # by descriptor: where it stands in the table, -1: nowhere
cdef int poller_position_room
cdef bint poller_waiting           # poll() writes to the table, without the GIL
cdef int poller_turn_start         # where the next report begins, so that none is left waiting
cdef object poller_selector        # the selectors.BaseSelector


cdef int poller_open(int kind, object selector_factory) except -1:
    global poller_kind_open, poller_epoll_fd, poller_selector
    ensure(poller_kind_open == POLLER_NONE)
    if kind == POLLER_EPOLL:
        poller_epoll_fd = epoll_create1(EPOLL_CLOEXEC)
        if poller_epoll_fd < 0:
            raise OSError(errno, "epoll_create1 failed")
    elif kind == POLLER_SELECTORS:
        poller_selector = selector_factory()
        fork_mark(poller_selector_fd())
    poller_kind_open = kind
    return 0


cdef int poller_close() except -1:
    global poller_kind_open, poller_epoll_fd, poller_selector, poller_watched, poller_key
    global poller_position, poller_watched_count, poller_watched_room, poller_position_room
    if poller_epoll_fd >= 0:
        posix_close(poller_epoll_fd)
    poller_epoll_fd = -1
    fork_unmark(poller_selector_fd())
    selector, poller_selector = poller_selector, None
    free(poller_watched)
    free(poller_key)
    free(poller_position)
    poller_watched = NULL
    poller_key = NULL
    poller_position = NULL
    poller_watched_count = poller_watched_room = poller_position_room = 0
    poller_kind_open = POLLER_NONE
    if selector is not None:
        selector.close()
    return 0


cdef int poller_selector_fd() noexcept:
    """The descriptor of epoll or kqueue that a selector may have, else -1."""
    try:
        return poller_selector.fileno()
    except Exception:                  # poll and select have none
        return -1


cdef void poller_forget() noexcept nogil:
    """In a child: no call reaches the parent's epoll any more. A selector's own is replaced."""
    global poller_epoll_fd, poller_waiting
    if poller_epoll_fd >= 0:
        posix_close(poller_epoll_fd)
    poller_epoll_fd = -1
    poller_waiting = False


cdef void poller_close_child() noexcept:
    """As poller_close, where a selector that fails to close must not hinder the child."""
    global poller_selector
    try:
        poller_close()
    except Exception:
        poller_selector = None


cdef inline bint poller_can_watch(int fd) noexcept nogil:
    """select has a fixed number of bits; a descriptor past it must be refused, never stored."""
    return poller_kind_open != POLLER_SELECT or fd < FD_SETSIZE


cdef int poller_add(int fd, uint64_t key, int interest) noexcept:
    """0, or -1 when the kernel or memory refuses; then nothing is watched."""
    cdef epoll_event event
    if poller_kind_open == POLLER_EPOLL:
        event.events = poller_epoll_bits(interest)
        event.data.u64 = key
        return epoll_ctl(poller_epoll_fd, EPOLL_CTL_ADD, fd, &event)
    if poller_table_add(fd, key, interest) < 0:
        return -1
    if poller_kind_open == POLLER_SELECTORS and poller_selectors_change(fd, 0, interest) < 0:
        poller_table_remove(fd)
        return -1
    return 0


cdef int poller_change(int fd, uint64_t key, int old_interest, int interest) noexcept:
    cdef epoll_event event
    if poller_kind_open == POLLER_EPOLL:
        event.events = poller_epoll_bits(interest)
        event.data.u64 = key
        return epoll_ctl(poller_epoll_fd, EPOLL_CTL_MOD, fd, &event)
    poller_key[poller_position[fd]] = key
    poller_watched[poller_position[fd]].events = poller_poll_bits(interest)
    if poller_kind_open == POLLER_SELECTORS:
        return poller_selectors_change(fd, old_interest, interest)
    return 0


cdef void poller_remove(int fd, int old_interest) noexcept:
    """Before the descriptor is closed."""
    cdef epoll_event event
    if poller_kind_open == POLLER_EPOLL:
        epoll_ctl(poller_epoll_fd, EPOLL_CTL_DEL, fd, &event)
        return
    if poller_kind_open == POLLER_SELECTORS:
        poller_selectors_change(fd, old_interest, 0)
    poller_table_remove(fd)


cdef void poller_table_remove(int fd) noexcept nogil:
    """The entry is filled with the last one."""
    global poller_watched_count
    cdef int position = poller_position[fd]
    ensure(position >= 0 and position < poller_watched_count)
    poller_watched_count -= 1
    poller_watched[position] = poller_watched[poller_watched_count]
    poller_key[position] = poller_key[poller_watched_count]
    poller_position[poller_watched[position].fd] = position
    poller_position[fd] = -1


cdef int poller_wait(int timeout_ms, bint release) except -2:
    """How many events there are; 0 also after a signal. `release`: give the GIL away meanwhile."""
    if poller_kind_open == POLLER_EPOLL:
        return poller_epoll_wait(timeout_ms, release)
    if poller_kind_open == POLLER_POLL:
        return poller_poll_wait(timeout_ms, release)
    if poller_kind_open == POLLER_SELECT:
        return poller_select_wait(timeout_ms, release)
    return poller_selectors_wait(timeout_ms)


cdef inline uint32_t poller_epoll_bits(int interest) noexcept nogil:
    return (EPOLLIN if interest & POLLER_READ else 0) | (EPOLLOUT if interest & POLLER_WRITE else 0)


cdef inline short poller_poll_bits(int interest) noexcept nogil:
    return (POLLIN if interest & POLLER_READ else 0) | (POLLOUT if interest & POLLER_WRITE else 0)


cdef int poller_epoll_wait(int timeout_ms, bint release) noexcept:
    cdef int i, count
    cdef uint32_t bits
    if release:
        with nogil:
            count = epoll_wait(poller_epoll_fd, poller_epoll_event, EVENT_COUNT_MAX, timeout_ms)
    else:
        count = epoll_wait(poller_epoll_fd, poller_epoll_event, EVENT_COUNT_MAX, timeout_ms)
    for i in range(count):
        bits = poller_epoll_event[i].events
        poller_event[i].key = poller_epoll_event[i].data.u64
        poller_event[i].ready = (POLLER_READ if bits & EPOLLIN else 0) \
            | (POLLER_WRITE if bits & EPOLLOUT else 0) \
            | (POLLER_GONE if bits & (EPOLLERR | EPOLLHUP) else 0)
    return count if count > 0 else 0


cdef int poller_table_add(int fd, uint64_t key, int interest) noexcept:
    global poller_watched_count
    if poller_waiting:                     # another thread calls: the table must not move now
        return -1
    if fd < 0 or not poller_can_watch(fd) or not poller_table_reserve(fd):
        return -1
    if poller_position[fd] != -1:          # watched already
        return -1
    poller_position[fd] = poller_watched_count
    poller_watched[poller_watched_count].fd = fd
    poller_watched[poller_watched_count].events = poller_poll_bits(interest)
    poller_watched[poller_watched_count].revents = 0
    poller_key[poller_watched_count] = key
    poller_watched_count += 1
    return 0


cdef bint poller_table_reserve(int fd) noexcept:
    """Room for one more entry and for this descriptor's position; doubles, so it is rare."""
    global poller_watched, poller_key, poller_watched_room, poller_position, poller_position_room
    cdef int room, i
    if poller_watched_count == poller_watched_room:
        room = max(256, 2 * poller_watched_room)
        watched = <pollfd*>realloc(poller_watched, room * sizeof(pollfd))
        if watched == NULL:
            return False
        poller_watched = watched
        keys = <uint64_t*>realloc(poller_key, room * sizeof(uint64_t))
        if keys == NULL:
            return False
        poller_key = keys
        poller_watched_room = room
    if fd >= poller_position_room:
        room = max(fd + 1, max(256, 2 * poller_position_room))
        positions = <int*>realloc(poller_position, room * sizeof(int))
        if positions == NULL:
            return False
        poller_position = positions
        for i in range(poller_position_room, room):
            poller_position[i] = -1
        poller_position_room = room
    return True


cdef inline int poller_report(int count, int position, int ready) noexcept nogil:
    poller_event[count].key = poller_key[position]
    poller_event[count].ready = ready
    return count + 1


cdef int poller_poll_wait(int timeout_ms, bint release) noexcept:
    global poller_waiting
    cdef int i, ready, bits, at
    cdef int count = 0
    if release:
        poller_waiting = True
        with nogil:
            ready = poll(poller_watched, poller_watched_count, timeout_ms)
        poller_waiting = False
    else:
        ready = poll(poller_watched, poller_watched_count, timeout_ms)
    at = poller_begin()
    for i in range(poller_watched_count):
        if ready <= 0 or count == EVENT_COUNT_MAX:
            break
        bits = poller_watched[at].revents
        if bits:
            ready -= 1
            count = poller_report(count, at, (POLLER_READ if bits & POLLIN else 0)
                                  | (POLLER_WRITE if bits & POLLOUT else 0)
                                  | (POLLER_GONE if bits & (POLLERR | POLLHUP | POLLNVAL) else 0))
        at = at + 1 if at + 1 < poller_watched_count else 0
    poller_end(at)
    return count


cdef inline int poller_begin() noexcept nogil:
    return poller_turn_start if poller_turn_start < poller_watched_count else 0


cdef inline void poller_end(int at) noexcept nogil:
    global poller_turn_start
    poller_turn_start = at


cdef int poller_select_wait(int timeout_ms, bint release) noexcept:
    cdef fd_set readable, writable
    cdef timeval timeout
    cdef int i, fd, ready, bits, at
    cdef int highest = -1
    cdef int count = 0
    FD_ZERO(&readable)
    FD_ZERO(&writable)
    for i in range(poller_watched_count):
        fd = poller_watched[i].fd
        if poller_watched[i].events & POLLIN:
            FD_SET(fd, &readable)
        if poller_watched[i].events & POLLOUT:
            FD_SET(fd, &writable)
        if fd > highest:
            highest = fd
    timeout.tv_sec = timeout_ms // 1000
    timeout.tv_usec = timeout_ms % 1000 * 1000
    if release:
        with nogil:
            ready = select(highest + 1, &readable, &writable, NULL,
                           NULL if timeout_ms < 0 else &timeout)
    else:
        ready = select(highest + 1, &readable, &writable, NULL,
                       NULL if timeout_ms < 0 else &timeout)
    at = poller_begin()
    for i in range(poller_watched_count):
        if ready <= 0 or count == EVENT_COUNT_MAX:
            break
        fd = poller_watched[at].fd
        bits = (POLLER_READ if FD_ISSET(fd, &readable) else 0) \
            | (POLLER_WRITE if FD_ISSET(fd, &writable) else 0)
        if bits:
            count = poller_report(count, at, bits)
        at = at + 1 if at + 1 < poller_watched_count else 0
    poller_end(at)
    return count


cdef int poller_selectors_change(int fd, int old_interest, int interest) noexcept:
    """The selectors API refuses an empty interest: then the descriptor is not registered."""
    try:
        if interest == 0:
            if old_interest:
                poller_selector.unregister(fd)
        elif old_interest == 0:
            poller_selector.register(fd, interest)
        else:
            poller_selector.modify(fd, interest)
    except (OSError, ValueError, KeyError):
        return -1
    return 0


cdef int poller_selectors_wait(int timeout_ms) except -2:
    """EVENT_READ and EVENT_WRITE are 1 and 2, as POLLER_READ and POLLER_WRITE are."""
    cdef int count = 0
    cdef int fd
    try:
        found = poller_selector.select(None if timeout_ms < 0 else timeout_ms / 1000.0)
    except OSError:                    # a handler of a signal has forked: it has none any more
        fork_check(None)
        raise
    except BaseException as problem:   # or has raised: Python calls it in select()
        fork_check(problem)
        raise
    for selected, mask in found:
        fd = selected.fd
        if count == EVENT_COUNT_MAX:
            break
        if fd < poller_position_room and poller_position[fd] >= 0:
            count = poller_report(count, poller_position[fd], mask)
    return count
