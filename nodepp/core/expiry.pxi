# core/expiry.pxi — which sessions are over, and which gives way to another?
#   Owns:  the sweep, a share per turn; the anonymous sessions that have been idle longest
#   Uses:  clock, lock, vault, session
#   Never: ending a session: whoever asks may have to tell others of it first
#   Holds: all slots in use are looked at once in EXPIRY_ROUND_MS, and never all in one turn

cdef enum:
    EXPIRY_ROUND_MS = 60 * 1000        # for one look at all; nobody is let in by an ended session
    EXPIRY_SHARE_MAX = 512             # slots looked at in a turn: 32 KiB of memory, 5 µs
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


cdef uint32_t expiry_due(const vault_t* v) noexcept nogil:
    """How many slots are to be looked at by now."""
    cdef int64_t waited_ms = clock_now_ms - v.shared.sweep_ms
    cdef int64_t due
    if v.shared.highest_used == 0 or waited_ms <= 0:
        return 0
    due = waited_ms * v.shared.highest_used // EXPIRY_ROUND_MS
    if due == 0 and waited_ms >= 1000:
        due = 1
    return <uint32_t>(due if due < EXPIRY_SHARE_MAX else EXPIRY_SHARE_MAX)


cdef void expiry_done(vault_t* v, uint32_t share) noexcept nogil:
    """So many have been looked at: what is left of the time that has passed is for the next turn,
    but nobody runs after more than one round."""
    v.shared.sweep_ms += <int64_t>share * EXPIRY_ROUND_MS // max(1, v.shared.highest_used)
    if v.shared.sweep_ms < clock_now_ms - EXPIRY_ROUND_MS:
        v.shared.sweep_ms = clock_now_ms - EXPIRY_ROUND_MS
    elif v.shared.sweep_ms > clock_now_ms:
        v.shared.sweep_ms = clock_now_ms


cdef int64_t expiry_next(vault_t* v, uint32_t now_s, uint32_t* share) noexcept nogil:
    """The next session that is over, of the share that is left of this turn; -1: none. Several
    processes may be at it: the cursor is a hint, and who ends a session does so under the lock."""
    cdef uint32_t slot
    cdef uint32_t version
    while share[0]:
        share[0] -= 1
        slot = v.shared.sweep_slot
        if slot >= v.shared.highest_used:
            slot = 0
        v.shared.sweep_slot = slot + 1
        version = lock_load(&v.heads[slot].version)
        if version & VAULT_LIVE and session_is_over(v, slot, version, now_s):
            return slot
    return -1


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
    for slot in range(v.shared.highest_used):
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
