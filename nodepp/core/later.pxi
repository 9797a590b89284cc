# core/later.pxi — an answer that comes later
#   Prefix: later
#   Owns:  class Later: what a handler returns instead of its answer; parking the request for it
#   Uses:  clock, memory, tables, response, request, connection, objects, finish, pool
#   Never: when the answer comes, or what becomes of it then; wait does that
#   Holds: slot, generation and number name one wait: what comes for another one is refused

@cython.final
cdef class Later:
    """A handler returns it: the request waits `timeout_ms` at most, and other requests are answered
    meanwhile. `dropped()` is called once if no answer is wanted any more: the client has left, or
    the time is over. For the rooms of the core that make answers elsewhere."""
    cdef readonly uint32_t slot
    cdef readonly uint32_t generation
    cdef readonly uint64_t number      # of the request; 0: it does not wait yet
    cdef int64_t timeout_ms
    cdef int64_t deadline_ms
    cdef object dropped
    cdef object result
    cdef bint answered                 # `result` is the answer; it leaves at the connection's turn

    def __init__(self, int64_t timeout_ms, dropped=None):
        self.timeout_ms = timeout_ms
        self.dropped = dropped

    def close(self) -> None:
        """No answer is wanted any more."""
        dropped, self.dropped = self.dropped, None
        self.result = None
        if dropped is not None:
            dropped()


cdef int later_take(RequestState req, Later later) except -1:
    """The handler has returned it. One that waits already, or a page for an error: a mistake."""
    if later.number:
        raise TypeError("this Later stands for another request")
    if req.paged or req.connection.stream == <PyObject*>req:
        raise TypeError("an answer that has come later cannot be a Later")
    req.iterator = later
    return 0


cdef inline Later later_of(const connection_t* c):
    """The one that the connection's request waits for, or None."""
    if c.stream == NULL or type((<RequestState>c.stream).iterator) is not Later:
        return None
    return <Later>(<RequestState>c.stream).iterator


cdef int later_park(connection_t* c, request_t* r, RequestState req) except -1:
    """From now on the request lives until its answer comes. No memory for that: 503."""
    cdef Later later = <Later>req.iterator
    cdef request_t* own = request_own(r)
    if own == NULL:
        stats.refused_memory += 1
        memory_note_refusal()
        c.closing = c.linger = True
        response_queue_brief(503, request_wants_body(r))
        finish_count(c, r, 503, 0)
        pool_give(req)
        later.close()
        return 0
    req.r = own
    later.slot = tables_slot(c)
    later.generation = c.generation
    later.number = req.number
    later.deadline_ms = clock_now_ms + later.timeout_ms
    c.stream = <PyObject*>req
    Py_INCREF(req)
    return 0
