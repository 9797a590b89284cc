# core/guess.pxi — which addresses show ids that were never issued?
#   Prefix: guess
#   Owns:  different values counted for each address, in a table that all processes share; blocking
#   Uses:  scan, lock, vault, transport, address, session
#   Never: telling an id of ours from another; what becomes of a request
#   Holds: the table never grows. A process that dies in the midst of a change leaves an address
#          that is counted too low, never one that is blocked in place of another

cdef enum:
    GUESS_WAY_COUNT = 8                # places that an address may have

cdef enum:                             # what a value leads to
    GUESS_NOTED
    GUESS_MINUTE                       # the address is blocked: 10 within a minute …
    GUESS_HOUR                         # … 100 within an hour
    GUESS_DAY                          # … 1,000 within a day

# Three rungs: so many different values within so many seconds. Each remembers when the last ten
# tenths of its values began, so the time between the first and the last of them is known without a
# list of all: exactly for the minute, to a tenth too leniently for the others.
cdef uint32_t guess_tenth[VAULT_GUESS_RUNG_COUNT]      # values
cdef uint32_t guess_window_s[VAULT_GUESS_RUNG_COUNT]
guess_tenth[:] = [1, 10, 100]
guess_window_s[:] = [60, 3600, 86400]

cdef extern from *:                    # the same macros as in lock, for an address
    uint64_t guess_load "lock_load"(const uint64_t* at) noexcept nogil
    void guess_store "lock_store"(uint64_t* at, uint64_t value) noexcept nogil


cdef int guess_note(vault_t* v, uint64_t who, uint32_t mark, uint32_t now_s,
                    uint32_t block_s) noexcept nogil:
    """Counts a value that was never issued, by its hash: a GUESS_ outcome. One that the address has
    shown before does not count, nor does any while it is blocked."""
    cdef guess_t* g
    cdef int outcome = GUESS_NOTED
    session_lock(v)
    v.shared.counts.forged += 1
    g = guess_place(v, who, now_s)
    if g.till_s <= now_s and not guess_is_known(g, mark):
        g.last_s = now_s
        g.mark[g.count % VAULT_GUESS_MARK_COUNT] = mark
        outcome = guess_climb(g, now_s)
        g.count += 1
    if outcome != GUESS_NOTED:
        guess_wipe(g)                  # when it is let in again, the counting begins anew
        guess_store(&g.who, who)
        if block_s:
            g.why = outcome
            guess_block(v, g, now_s + block_s)
    lock_give(&v.shared.lock)
    return outcome


cdef int guess_climb(guess_t* g, uint32_t now_s) noexcept nogil:
    """Puts the time of one more value down on each rung: the GUESS_ outcome. What other processes
    have written is taken as it is: each index is bounded here."""
    cdef uint32_t tenth, oldest_s
    cdef int rung
    for rung in range(VAULT_GUESS_RUNG_COUNT):
        tenth = g.count // guess_tenth[rung]
        if g.count % guess_tenth[rung] == 0:
            g.begun_s[rung][tenth % VAULT_GUESS_TENTH_COUNT] = now_s
        if (g.count + 1) % guess_tenth[rung] or tenth + 1 < VAULT_GUESS_TENTH_COUNT:
            continue
        oldest_s = g.begun_s[rung][(tenth + 1) % VAULT_GUESS_TENTH_COUNT]
        if now_s - oldest_s < guess_window_s[rung]:
            return GUESS_MINUTE + rung
    return GUESS_NOTED


cdef bint guess_is_known(const guess_t* g, uint32_t mark) noexcept nogil:
    cdef uint32_t i
    for i in range(g.count if g.count < VAULT_GUESS_MARK_COUNT else VAULT_GUESS_MARK_COUNT):
        if g.mark[i] == mark:
            return True
    return False


cdef guess_t* guess_place(vault_t* v, uint64_t who, uint32_t now_s) noexcept nogil:
    """The place of an address. A new one takes a free place, else that of the address that has
    shown nothing for longest, else that of the blocked one that would be let in next."""
    cdef guess_t* first = guess_set(v, who)
    cdef guess_t* victim = first
    cdef uint64_t rank, lowest = <uint64_t>-1
    cdef int i
    for i in range(GUESS_WAY_COUNT):
        if first[i].who == who:
            return &first[i]
        rank = first[i].last_s if first[i].who else 0
        if first[i].who and first[i].till_s > now_s:
            rank = <uint64_t>1 << 32 | first[i].till_s
        if rank < lowest:
            lowest = rank
            victim = &first[i]
    guess_wipe(victim)
    guess_store(&victim.who, who)
    return victim


cdef void guess_wipe(guess_t* g) noexcept nogil:
    """Frees a place. In this order, so that no address is ever seen with another's block: not by a
    reader, and not after the death of this process."""
    lock_store(&g.till_s, 0)
    guess_store(&g.who, 0)
    lock_fence_all()
    g.last_s = g.count = g.why = 0
    memset(g.mark, 0, sizeof(g.mark))
    memset(g.begun_s, 0, sizeof(g.begun_s))


cdef void guess_block(vault_t* v, guess_t* g, uint32_t till_s) noexcept nogil:
    """The alarm first: it alone does no harm."""
    if v.shared.guess_alarm_s < till_s:
        lock_store(&v.shared.guess_alarm_s, till_s)
    lock_store(&g.till_s, till_s)
    v.shared.counts.addresses_blocked += 1


cdef uint32_t guess_blocked_till(vault_t* v, uint64_t who, uint32_t now_s) noexcept nogil:
    """Until when an address is blocked; 0: it is not. Takes no lock."""
    cdef guess_t* first = guess_set(v, who)
    cdef uint32_t till_s
    cdef int i
    for i in range(GUESS_WAY_COUNT):
        if guess_load(&first[i].who) == who:
            till_s = lock_load(&first[i].till_s)
            return till_s if till_s > now_s else 0
    return 0


cdef bint guess_is_alarmed(vault_t* v, uint32_t now_s) noexcept nogil:
    """May any address be blocked? When the last block has ended, requests pay nothing again."""
    if lock_load(&v.shared.guess_alarm_s) > now_s:
        return True
    session_lock(v)
    if v.shared.guess_alarm_s <= now_s:
        lock_store(&v.shared.guess_alarm_s, 0)
    lock_give(&v.shared.lock)
    return False


cdef bint guess_let_in(vault_t* v, uint64_t who, uint32_t now_s) noexcept nogil:
    """Ends the block of an address, and forgets what it has shown; False: it was not blocked."""
    cdef guess_t* first = guess_set(v, who)
    cdef bint found = False
    cdef int i
    session_lock(v)
    for i in range(GUESS_WAY_COUNT):
        if first[i].who == who and first[i].till_s > now_s:
            guess_wipe(&first[i])
            found = True
    lock_give(&v.shared.lock)
    return found


cdef inline guess_t* guess_set(vault_t* v, uint64_t who) noexcept nogil:
    """The places that an address may have. Which ones depends on the key: an attacker cannot choose
    addresses that push a certain other one out."""
    cdef uint64_t salted[2]
    salted[0] = v.place_salt
    salted[1] = who
    return &v.shared.guess[scan_hash(<const uint8_t*>salted, sizeof(salted))
                           % (VAULT_GUESS_COUNT // GUESS_WAY_COUNT) * GUESS_WAY_COUNT]


cdef uint64_t guess_who(const address_t* address) noexcept nogil:
    """What an address counts as: one of IPv4 itself, one of IPv6 its /64, for its subscriber has
    all of those. The two cannot meet: no /64 that begins with zeros is in use (RFC 4291 §2.4)."""
    return address.high if address.high else address.low


cdef void guess_peer(uint64_t who, peer_t* into) noexcept nogil:
    """The first address that counts so."""
    cdef int i
    memset(into, 0, sizeof(peer_t))
    into.family = AF_INET6 if who >> 32 != 0xFFFF else AF_INET
    for i in range(8):
        if into.family == AF_INET and i < 4:
            into.address[i] = <uint8_t>(who >> (24 - 8 * i))
        elif into.family == AF_INET6:
            into.address[i + (0 if who >> 48 else 8)] = <uint8_t>(who >> (56 - 8 * i))


cdef void guess_count_refused(vault_t* v) noexcept nogil:
    session_lock(v)
    v.shared.counts.requests_blocked += 1
    lock_give(&v.shared.lock)
