# core/expiry.pxi — which sessions are over, and which gives way to another?
#   Prefix: expiry
#   Owns:  finding those that are over; the anonymous sessions that have been idle longest
#   Uses:  clock, lock, vault, wheel, session, mend
#   Never: ending a session: whoever asks may have to tell others of it first
#   Holds: a session that is over is found, however large the table is, without a look at the others

cdef enum:
    EXPIRY_NONE = WHEEL_NONE
    EXPIRY_MORE = -3
    EXPIRY_SHARE_MAX = 512             # sessions looked at under the lock at once: 30 µs
    EXPIRY_IDLE_COUNT = 64             # sessions noted for giving way by one search
    EXPIRY_SEARCH_MS = 100             # between two searches: one takes 1 ms for 50,000 sessions

cdef struct expiry_idle_t:
    uint32_t slot
    uint32_t active_s
    uint32_t started_s                 # a later session of the slot is another

cdef expiry_idle_t expiry_idle[EXPIRY_IDLE_COUNT]   # the oldest last
cdef int expiry_idle_count
cdef int64_t expiry_searched_ms        # when all were looked at last


cdef void expiry_open() noexcept nogil:
    """Nobody is noted: another table may have been in use."""
    global expiry_idle_count, expiry_searched_ms
    expiry_idle_count = 0
    expiry_searched_ms = clock_now_ms - EXPIRY_SEARCH_MS


cdef int64_t expiry_next(vault_t* v, uint32_t now_s, uint32_t* share, uint8_t* id) noexcept nogil:
    """A session that is over, with its id; EXPIRY_NONE, or EXPIRY_MORE: the share is used up, and
    there may be one. It stays until it is ended; several processes may be given the same."""
    cdef int64_t slot = EXPIRY_MORE
    session_lock(v)
    while share[0]:
        share[0] -= 1
        slot = wheel_first(v, now_s)
        if slot == WHEEL_NONE:
            break
        if slot == WHEEL_BROKEN:
            mend_repair(v)
        elif expiry_is_over(v, <uint32_t>slot, now_s):
            memcpy(id, v.heads[slot].id[v.heads[slot].version & 1], VAULT_ID_SIZE)
            break
        slot = EXPIRY_MORE
    lock_give(&v.shared.lock)
    return slot


cdef bint expiry_is_over(vault_t* v, uint32_t slot, uint32_t now_s) noexcept nogil:
    """Of a slot whose second has come. If the session is not over it is linked anew."""
    cdef session_t* s = &v.heads[slot]
    cdef uint32_t version = lock_load(&s.version)
    if not version & VAULT_LIVE:
        mend_vacant(v, slot)
        return False
    if max(s.active_s, s.started_s) > now_s + WHEEL_AHEAD_S \
            or v.checks and not session_is_whole(v, slot):
        mend_drop(v, slot)             # this core has not written that: it might never end
        return False
    if session_is_over(v, slot, version, now_s):
        return True
    if not (wheel_unlink(v, slot) and wheel_link(v, slot, session_over_s(v, slot, version))):
        mend_repair(v)
    return False


cdef uint32_t expiry_count_over(vault_t* v, uint32_t now_s) noexcept nogil:
    """How many sessions of the table are over: those whose second has come are all looked at."""
    cdef uint32_t count = 0
    cdef uint32_t looked = 0
    cdef uint32_t at_s, node, next
    session_lock(v)
    wheel_first(v, now_s)              # nothing lies before `wheel_s` now
    at_s = v.shared.wheel_s
    while at_s <= now_s:
        node = lock_load(&v.wheel_next[wheel_head(at_s)])
        while wheel_node(0) <= node < wheel_node(v.capacity) and looked < v.capacity:
            looked += 1
            next = lock_load(&v.wheel_next[node])
            count += expiry_is_over(v, node - wheel_node(0), now_s)
            node = next
        at_s += 1
    lock_give(&v.shared.lock)
    return count


cdef int64_t expiry_give_way(vault_t* v, uint8_t* id) noexcept nogil:
    """The anonymous session that has been idle longest, with its id; -1: there is none. All are
    looked at once in EXPIRY_SEARCH_MS at most, or when those noted have all given way."""
    cdef int64_t slot = expiry_noted(v, id)
    if slot < 0 and clock_now_ms - expiry_searched_ms >= EXPIRY_SEARCH_MS:
        expiry_search(v)
        slot = expiry_noted(v, id)
    return slot


cdef int64_t expiry_noted(vault_t* v, uint8_t* id) noexcept nogil:
    """The first of those noted who is still there and anonymous. Who has come back meanwhile has
    still been away longer than most."""
    cdef uint32_t slot, version
    while expiry_idle_count:
        slot = expiry_idle[expiry_idle_count - 1].slot
        version = lock_load(&v.heads[slot].version)
        if version & VAULT_LIVE and not version & VAULT_LOGGED \
                and v.heads[slot].started_s == expiry_idle[expiry_idle_count - 1].started_s:
            memcpy(id, v.heads[slot].id[version & 1], VAULT_ID_SIZE)
            return slot
        expiry_forget()
    return -1


cdef void expiry_forget() noexcept nogil:
    """It has gone. When the last one has, the next search may begin at once: it was of use."""
    global expiry_idle_count, expiry_searched_ms
    expiry_idle_count -= 1
    if expiry_idle_count == 0:
        expiry_searched_ms = clock_now_ms - EXPIRY_SEARCH_MS


cdef void expiry_search(vault_t* v) noexcept nogil:
    """Looks at all sessions once, for the next EXPIRY_IDLE_COUNT that give way: 1 ms for 50,000,
    paid by one login in so many while the table is full."""
    global expiry_idle_count, expiry_searched_ms
    cdef uint32_t slot, version, active_s
    expiry_idle_count = 0
    expiry_searched_ms = clock_now_ms
    for slot in range(session_highest(v)):
        version = lock_load(&v.heads[slot].version)
        active_s = v.heads[slot].active_s
        if not version & VAULT_LIVE or version & VAULT_LOGGED:
            continue
        if expiry_idle_count == EXPIRY_IDLE_COUNT:
            if active_s >= expiry_idle[0].active_s:
                continue
            expiry_idle_count -= 1     # the youngest of those noted goes
            memmove(expiry_idle, expiry_idle + 1, expiry_idle_count * sizeof(expiry_idle_t))
        expiry_note(slot, active_s, v.heads[slot].started_s)


cdef void expiry_note(uint32_t slot, uint32_t active_s, uint32_t started_s) noexcept nogil:
    """Puts a session in its place among those noted."""
    global expiry_idle_count
    cdef int at = expiry_idle_count
    while at > 0 and expiry_idle[at - 1].active_s <= active_s:
        expiry_idle[at] = expiry_idle[at - 1]
        at -= 1
    expiry_idle[at].slot = slot
    expiry_idle[at].active_s = active_s
    expiry_idle[at].started_s = started_s
    expiry_idle_count += 1
