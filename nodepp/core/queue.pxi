# core/queue.pxi — who goes on next turn without being ready?
#   Prefix: queue
#   Owns:  the run queue, a list through the table of connections
#   Uses:  tables
#   Never: what going on means
#   Holds: a connection is in it once at most, and not after its end

cdef int32_t queue_first             # run queue: connections that go on without being ready
cdef int32_t queue_last
cdef int queue_count
cdef bint queue_lazy                 # nobody in it had anything to say last turn


cdef void queue_open() noexcept nogil:
    global queue_first, queue_last, queue_count
    queue_first = queue_last = -1
    queue_count = 0


cdef void queue_add(connection_t* c) noexcept:
    """It goes on next turn, whatever the poller says."""
    global queue_first, queue_last, queue_count, queue_lazy
    cdef int32_t slot = <int32_t>tables_slot(c)
    if c.queued:
        return
    c.queued = True
    queue_lazy = False
    c.queue_next = -1
    c.queue_previous = queue_last
    if queue_last < 0:
        queue_first = slot
    else:
        tables_connection[queue_last].queue_next = slot
    queue_last = slot
    queue_count += 1


cdef void queue_remove(connection_t* c) noexcept:
    global queue_first, queue_last, queue_count
    if not c.queued:
        return
    c.queued = False
    if c.queue_previous < 0:
        queue_first = c.queue_next
    else:
        tables_connection[c.queue_previous].queue_next = c.queue_next
    if c.queue_next < 0:
        queue_last = c.queue_previous
    else:
        tables_connection[c.queue_next].queue_previous = c.queue_previous
    queue_count -= 1
