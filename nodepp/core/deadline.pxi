# core/deadline.pxi — whose time is up?
#   Prefix: deadline
#   Owns:  a wheel of buckets of 128 ms; each slot is in one of them at most
#   Uses:  clock, tables
#   Never: what happens to whom the time has run out
#   Holds: a slot's bucket comes no later than its deadline

# A request on a kept-alive connection only moves its deadline further away; the slot stays in the
# bucket where it is and is looked at again when that comes. So the hot path writes one number.

cdef enum:
    DEADLINE_TICK_MS = 128
    DEADLINE_BUCKET_COUNT = 1024       # 131 s around; what lies further is looked at on the way
    DEADLINE_COUNT_TURN = 1024         # slots expired per turn; the rest comes the next turn

cdef int32_t deadline_bucket[DEADLINE_BUCKET_COUNT]   # first slot of each, -1: none
cdef int64_t deadline_tick             # all buckets before this tick have been looked at


cdef void deadline_open() noexcept nogil:
    global deadline_tick
    cdef int i
    for i in range(DEADLINE_BUCKET_COUNT):
        deadline_bucket[i] = -1
    deadline_tick = clock_now_ms // DEADLINE_TICK_MS


cdef inline void deadline_set(connection_t* c, int64_t after_ms) noexcept nogil:
    """The connection must have moved on `after_ms` from now."""
    cdef int64_t deadline = clock_now_ms + after_ms
    cdef bint later = c.bucket >= 0 and deadline >= c.deadline_ms
    c.deadline_ms = deadline
    if not later:
        deadline_place(c)


cdef void deadline_place(connection_t* c) noexcept nogil:
    """Puts the slot into the bucket of its deadline, or the furthest one before it."""
    cdef int64_t tick = c.deadline_ms // DEADLINE_TICK_MS + 1
    cdef int32_t slot = <int32_t>tables_slot(c)
    deadline_clear(c)
    if tick < deadline_tick:
        tick = deadline_tick
    if tick > deadline_tick + DEADLINE_BUCKET_COUNT - 1:
        tick = deadline_tick + DEADLINE_BUCKET_COUNT - 1
    c.bucket = <int32_t>(tick % DEADLINE_BUCKET_COUNT)
    c.previous = -1
    c.next = deadline_bucket[c.bucket]
    if c.next >= 0:
        tables_connection[c.next].previous = slot
    deadline_bucket[c.bucket] = slot


cdef void deadline_clear(connection_t* c) noexcept nogil:
    if c.bucket < 0:
        return
    if c.previous >= 0:
        tables_connection[c.previous].next = c.next
    else:
        deadline_bucket[c.bucket] = c.next
    if c.next >= 0:
        tables_connection[c.next].previous = c.previous
    c.bucket = c.next = c.previous = -1


cdef connection_t* deadline_next_expired() noexcept nogil:
    """A connection whose time is up (it is in no bucket then), or NULL when there is none."""
    global deadline_tick
    cdef int64_t now = clock_now_ms // DEADLINE_TICK_MS
    cdef connection_t* c
    cdef int32_t slot
    # A clock that has jumped needs no more than one way round.
    if now - deadline_tick > DEADLINE_BUCKET_COUNT:
        deadline_tick = now - DEADLINE_BUCKET_COUNT
    while deadline_tick <= now:
        slot = deadline_bucket[deadline_tick % DEADLINE_BUCKET_COUNT]
        if slot < 0:
            if deadline_tick == now:
                break
            deadline_tick += 1
            continue
        c = &tables_connection[slot]
        deadline_clear(c)
        if c.deadline_ms <= clock_now_ms:
            return c
        # Looked at on the way, or its deadline has moved: it goes where it belongs now. That
        # is never this tick again, for its deadline is still to come.
        deadline_place(c)
    return NULL
