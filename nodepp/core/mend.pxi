# core/mend.pxi — what is wrong with a table is put right, or given up
#   Prefix: mend
#   Owns:  index, bits and wheel made anew from the slots; sessions that are damaged; memory in the
#          place of a file that is
#   Uses:  limits, lock, sigbus, vault, ident, index, wheel, session
#   Never: hooks: what was overwritten cannot be shown
#   Holds: the caller has the lock; each step ends, whatever is written into the table meanwhile

# Sessions lie in a file that others can cut or overwrite, and in memory that other processes write.
# So what is read there is input: it is compared with its bounds when it is read, and what cannot be
# leads here. Wrong in index, bits or wheel: they are made anew. Wrong in a session: that one ends.
# The file has no pages any more (sigbus.pxi), or is another one (sessions/file.py): all of it is
# given up for memory that every process of the table has had from the start.


cdef enum:
    MEND_LOOK_COUNT = 512              # slots compared in a second; 50,000 in 100 s


cdef void mend_table(vault_t* v, uint32_t slot_count, bint checks) noexcept nogil:
    """Makes index, bits, wheel and counters anew from the first slots. `checks`: sessions that do
    not say what was written end."""
    cdef uint32_t slot
    cdef uint32_t count = min(slot_count, v.capacity)
    index_begin(v)
    v.shared.used_count = v.shared.first_free = v.shared.highest_used = 0
    memset(v.used_bits, 0, (<size_t>v.capacity + 63) // 64 * 8)
    index_clear(v)
    wheel_clear(v, min(v.shared.highest_ever, v.capacity))
    for slot in range(count):
        if v.heads[slot].version & VAULT_LIVE:
            mend_slot(v, slot, checks)
    v.shared.first_free = 0
    index_end(v)


cdef void mend_slot(vault_t* v, uint32_t slot, bint checks) noexcept nogil:
    """Puts a live slot back into index and wheel. If it is damaged, or its id is there twice, it
    ends."""
    cdef session_t* s = &v.heads[slot]
    cdef uint32_t version = lock_load(&s.version)
    cdef uint64_t key = ident_key(s.id[version & 1])
    cdef bint twice = index_look(v, key) >= 0
    cdef bint damaged = checks and not session_is_whole(v, slot)
    if twice or damaged:
        if damaged:
            v.shared.counts.damaged += 1
        else:
            v.duplicate_count += 1
        lock_store(&s.version, vault_next(version, 0))
        return
    session_take(v, slot)
    if not (index_put(v, key, slot) and wheel_link(v, slot, 0)):
        lock_store(&s.version, vault_next(version, 0))     # overwritten while it is made anew
        session_give(v, slot)


cdef void mend_repair(vault_t* v) noexcept nogil:
    """Index, bits or wheel are not as they must be."""
    v.shared.counts.repairs += 1
    mend_table(v, v.capacity, v.checks)
    v.shared.highest_ever = v.shared.highest_used


cdef void mend_look(vault_t* v) noexcept nogil:
    """Once a second: is what the next slots hold also what bits and wheel say of them? What was
    overwritten is found when it is used, but nothing else would find a session that no second
    knows, or a place that is in no use."""
    cdef uint32_t i, slot
    cdef bint live
    sigbus_install()                   # a library may have put its handler before ours
    session_lock(v)
    for i in range(min(<uint32_t>MEND_LOOK_COUNT, session_highest(v))):
        slot = v.look_slot if v.look_slot < session_highest(v) else 0
        v.look_slot = slot + 1
        live = v.heads[slot].version & VAULT_LIVE != 0
        if unlikely_(live != session_is_used(v, slot)
                     or live != (v.wheel_next[wheel_node(slot)] != 0)):
            mend_repair(v)
            break
    lock_give(&v.shared.lock)


cdef void mend_drop(vault_t* v, uint32_t slot) noexcept nogil:
    """A session that was overwritten ends."""
    v.shared.counts.damaged += 1
    session_erase(v, slot)


cdef void mend_vacant(vault_t* v, uint32_t slot) noexcept nogil:
    """A slot in use that holds no session: zeros have been written there."""
    v.shared.counts.damaged += 1
    if not wheel_unlink(v, slot):
        mend_repair(v)
    elif session_is_used(v, slot):
        session_give(v, slot)


cdef void mend_move(vault_t* v) noexcept nogil:
    """Leaves the file for the memory that was kept ready: the first process empties the table, the
    others follow. In memory there is nowhere to go."""
    if v.spare == NULL or v.moved:
        v.shared.moved = v.moved
    else:
        vault_use(v, v.spare)
        v.moved = 1
        v.checks = False
        if v.shared.moved != 1:
            v.shared.counts.damaged += v.shared.used_count
            lock_store(&v.shared.moved, 1)
            mend_table(v, 0, False)
            v.shared.highest_ever = 0
    v.faulted = 0
