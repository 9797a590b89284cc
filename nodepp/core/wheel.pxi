# core/wheel.pxi — which sessions may be over by now?
#   Prefix: wheel
#   Owns:  a wheel of seconds, in each of which those sessions are linked that may be over then
#   Uses:  limits, lock, vault
#   Never: what a session holds; taking the lock
#   Holds: a session in use is linked in one second, not later than the one in which it is over;
#          a link is checked before it is followed, for other processes write here too

# A request that uses a session moves the moment in which that is over, and touches nothing here: a
# link is a lower bound. When its second has come, the session is over, or is linked where it would
# be over now. So each session is looked at about once in its timeout, and a full table of which
# none is over is recognised by one comparison. What is further away than the wheel goes round is
# linked at its far end, and looked at once in a round (68 minutes).

cdef enum:
    WHEEL_NONE = -1                    # no session is due
    WHEEL_BROKEN = -2                  # a link leads nowhere: the wheel must be made anew
    WHEEL_AHEAD_S = 3600               # further ahead than this no process's clock is

# A node is a number: 0 none, then the seconds, then the slots. That of a second is the head of a
# ring, which is empty while its `wheel_next` is 0 or the head itself.


cdef inline uint32_t wheel_head(uint32_t second) noexcept nogil:
    return 1 + second % VAULT_WHEEL_COUNT


cdef inline uint32_t wheel_node(uint32_t slot) noexcept nogil:
    return 1 + VAULT_WHEEL_COUNT + slot


cdef void wheel_clear(vault_t* v, uint32_t slot_count) noexcept nogil:
    """No session is linked; of the slots, those below `slot_count` ever were."""
    memset(v.wheel_next, 0, wheel_node(slot_count) * sizeof(uint32_t))
    v.shared.wheel_s = vault_now_s(v)


cdef bint wheel_link(vault_t* v, uint32_t slot, int64_t due_s) noexcept nogil:
    """Links a session that is not linked; it cannot be over before `due_s`. False: it is broken."""
    cdef int64_t at_s = v.shared.wheel_s
    cdef uint32_t node = wheel_node(slot)
    cdef uint32_t head, first
    if due_s < at_s:
        due_s = at_s
    if due_s >= at_s + VAULT_WHEEL_COUNT:
        due_s = at_s + VAULT_WHEEL_COUNT - 1
    head = wheel_head(<uint32_t>due_s)
    first = lock_load(&v.wheel_next[head])
    if first == 0:
        first = head
    elif first >= wheel_node(v.capacity) or v.wheel_before[first] != head:
        return False
    v.wheel_next[node] = first
    v.wheel_before[node] = head
    v.wheel_before[first] = node
    v.wheel_next[head] = node
    return True


cdef bint wheel_unlink(vault_t* v, uint32_t slot) noexcept nogil:
    """Nothing is done if it is not linked. False: it is broken."""
    cdef uint32_t node = wheel_node(slot)
    cdef uint32_t next = lock_load(&v.wheel_next[node])
    cdef uint32_t before = lock_load(&v.wheel_before[node])
    cdef uint32_t count = wheel_node(v.capacity)
    if next == 0:
        return True
    if next >= count or before >= count or v.wheel_before[next] != node \
            or v.wheel_next[before] != node:
        return False
    v.wheel_next[before] = next
    v.wheel_before[next] = before
    v.wheel_next[node] = 0
    return True


cdef int64_t wheel_first(vault_t* v, uint32_t now_s) noexcept nogil:
    """A slot of the earliest second that is not after `now_s`; WHEEL_NONE, WHEEL_BROKEN."""
    cdef uint32_t at_s = v.shared.wheel_s
    cdef uint32_t head, node
    if likely_(at_s > now_s):
        return WHEEL_NONE if at_s - now_s <= WHEEL_AHEAD_S else WHEEL_BROKEN
    if now_s - at_s >= VAULT_WHEEL_COUNT:
        at_s = now_s - VAULT_WHEEL_COUNT + 1     # it has gone round: each second is looked at once
    while at_s <= now_s:
        head = wheel_head(at_s)
        node = lock_load(&v.wheel_next[head])
        if node != 0 and node != head:
            v.shared.wheel_s = at_s
            if node <= VAULT_WHEEL_COUNT or node >= wheel_node(v.capacity):
                return WHEEL_BROKEN
            return node - wheel_node(0)
        at_s += 1
    v.shared.wheel_s = at_s
    return WHEEL_NONE


cdef inline bint wheel_is_due(const vault_t* v, uint32_t now_s) noexcept nogil:
    """Has a second passed whose sessions have not been looked at? Without the lock: a hint."""
    return v.shared.wheel_s <= now_s or v.shared.wheel_s - now_s > WHEEL_AHEAD_S
