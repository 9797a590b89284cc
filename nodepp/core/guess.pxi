# core/guess.pxi — who shows ids that we never made?
#   Owns:  wrong ids counted per address, in a table that all processes share; the ladder
#   Uses:  scan, lock, vault, address, session
#   Never: telling an id of ours from another; what becomes of the address
#   Holds: the table never grows: the address that has been quiet longest makes room

cdef enum:
    GUESS_MINUTE_MAX = 10              # wrong ids; Node++'s ladder. More: blocked
    GUESS_HOUR_MAX = 100
    GUESS_EVER_MAX = 1000
    GUESS_WAY_COUNT = 8                # places an address may have

cdef enum:                             # what a wrong id leads to
    GUESS_NOTED
    GUESS_MINUTE                       # too many within a minute …
    GUESS_HOUR
    GUESS_EVER


cdef int guess_count(vault_t* v, const address_t* address, uint32_t now_s) noexcept nogil:
    """Counts one more wrong id of an address: a GUESS_ outcome. When it is beyond a bound, the
    counting begins anew: unblocked is unblocked."""
    cdef uint8_t who[16]
    cdef guess_t* g
    cdef int outcome = GUESS_NOTED
    memcpy(who, &address.high, 8)
    memcpy(who + 8, &address.low, 8)
    if address.high:                   # IPv6: whoever has one address has 2^64 of them
        memset(who + 8, 0, 8)
    session_lock(v)
    v.shared.counts.forged += 1
    g = guess_place(v, who)
    if now_s - g.minute_s >= 60:
        g.minute_s = now_s
        g.in_minute = 0
    if now_s - g.hour_s >= 3600:
        g.hour_s = now_s
        g.in_hour = 0
    g.in_minute += 1
    g.in_hour += 1
    g.ever += 1
    if g.in_minute > GUESS_MINUTE_MAX:
        outcome = GUESS_MINUTE
    elif g.in_hour > GUESS_HOUR_MAX:
        outcome = GUESS_HOUR
    elif g.ever > GUESS_EVER_MAX:
        outcome = GUESS_EVER
    if outcome != GUESS_NOTED:
        memset(g, 0, sizeof(guess_t))
    lock_give(&v.shared.lock)
    return outcome


cdef guess_t* guess_place(vault_t* v, const uint8_t* who) noexcept nogil:
    """The place of an address; a new one takes that of who has been quiet longest."""
    cdef size_t set_ = scan_hash(who, 16) % (VAULT_GUESS_COUNT // GUESS_WAY_COUNT)
    cdef guess_t* first = &v.shared.guess[set_ * GUESS_WAY_COUNT]
    cdef guess_t* oldest = first
    cdef int i
    for i in range(GUESS_WAY_COUNT):
        if memcmp(first[i].address, who, 16) == 0 and first[i].ever:
            return &first[i]
        if first[i].minute_s < oldest.minute_s:
            oldest = &first[i]
    memset(oldest, 0, sizeof(guess_t))
    memcpy(oldest.address, who, 16)
    return oldest
