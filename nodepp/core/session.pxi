# core/session.pxi — who is this visitor?
#   Prefix: session
#   Owns:  taking and giving slots, finding, reading and changing a session; when it is over
#   Uses:  limits, scan, lock, vault, ident, index, wheel, mend
#   Never: sockets, the syntax of cookies, Python objects, Python under the lock
#   Holds: every live slot is in the index under its id, and nothing else is; a copy that is being
#          written is never the live one

cdef enum:                             # outcomes of a change
    SESSION_DONE
    SESSION_GONE                       # there is no such session any more
    SESSION_MOVED                      # another has changed it since it was read
    SESSION_AGAIN                      # its key is taken, or the table has changed: another id
    SESSION_NO_ROOM                    # the table is full

cdef enum:
    SESSION_TRY_MAX = 64               # readings that a change spoilt; then the lock is asked for
    SESSION_NAME_SIZE_MAX = 60         # bytes of a name; longer ones are cut
    SESSION_LEVEL_MAX = 124            # the highest that a login gives; 125 is closed to all

cdef struct session_change_t:          # what a copy shall say
    const uint8_t* id                  # a new one, or the one it has
    int64_t uid
    uint32_t login_s
    uint8_t level
    bint kept
    bint login                         # it is a login: the session's lifetime begins anew
    const uint8_t* csrf
    const uint8_t* data
    uint32_t data_size
    const uint8_t* name
    uint32_t name_size


cdef inline uint32_t session_room(const vault_t* v, uint32_t name_size) noexcept nogil:
    """Bytes of data that there is room for beside a name."""
    return v.data_size - name_size


cdef inline int64_t session_find(vault_t* v, const uint8_t* id, bint to_use) noexcept nogil:
    """The slot of a live session, verified, or -1. Takes the lock only when others have changed the
    index all the while. `to_use`: what it holds is wanted next."""
    cdef uint64_t key = ident_key(id)
    cdef int64_t slot = index_find(v, key)
    if unlikely_(slot == INDEX_UNSURE):
        session_lock(v)
        slot = index_look(v, key)
        lock_give(&v.shared.lock)
    if slot < 0 or slot >= v.capacity:
        return -1
    if to_use:
        vault_expect(v, <uint32_t>slot)
    return slot if session_version(v, <uint32_t>slot, id) else -1


cdef inline uint32_t session_version(const vault_t* v, uint32_t slot,
                                     const uint8_t* id) noexcept nogil:
    """The version of the slot if a live session with this id is there, else 0."""
    cdef const session_t* s = &v.heads[slot]
    cdef uint32_t version
    cdef bint same
    while True:                        # ends: whoever changes it again has done a whole change
        version = lock_load(&s.version)
        if not version & VAULT_LIVE:
            return 0
        same = ident_same(s.id[version & 1], id)
        lock_fence()
        if likely_(lock_load(&s.version) == version):
            return version if same else 0


cdef uint32_t session_read(vault_t* v, uint32_t slot, const uint8_t* id, session_copy_t* copy,
                           uint8_t* data, uint8_t* name) noexcept nogil:
    """Copies what a session holds; its version, 0 if it has gone. `data` has room for the table's
    data_size, `name` for SESSION_NAME_SIZE_MAX bytes; either may be NULL."""
    cdef uint32_t version = 0
    cdef bint whole = True
    cdef int i
    for i in range(SESSION_TRY_MAX):
        version = session_version(v, slot, id)
        if version == 0:
            return 0
        whole = session_copy_out(v, slot, version, id, copy, data, name)
        lock_fence()
        if likely_(lock_load(&v.heads[slot].version) == version):
            if unlikely_(not whole):
                break
            return version
    session_lock(v)
    version = session_version(v, slot, id)
    if version and not session_copy_out(v, slot, version, id, copy, data, name):
        mend_drop(v, slot)
        version = 0
    lock_give(&v.shared.lock)
    return version


cdef inline bint session_copy_out(const vault_t* v, uint32_t slot, uint32_t version,
                                  const uint8_t* id, session_copy_t* copy, uint8_t* data,
                                  uint8_t* name) noexcept nogil:
    """False: this was never written so, or is being overwritten. Sizes are bounded before they
    count."""
    cdef session_copy_t* live = vault_copy(v, slot, version)
    memcpy(copy, live, sizeof(session_copy_t))
    if unlikely_(not session_is_possible(v, copy, version)):
        copy.name_size = 0
        copy.data_size = 0
        return False
    if data != NULL:
        memcpy(data, vault_data(live), copy.data_size)
    if name != NULL:
        memcpy(name, vault_data(live) + copy.data_size, copy.name_size)
    return not v.checks or copy.checksum == session_checksum(copy, id, vault_data(live))


cdef inline bint session_is_possible(const vault_t* v, const session_copy_t* copy,
                                     uint32_t version) noexcept nogil:
    """Could a session say so? A level that no login gives would open what is closed to all."""
    return copy.name_size <= SESSION_NAME_SIZE_MAX and copy.name_size <= v.data_size \
        and copy.data_size <= v.data_size - copy.name_size and copy.level <= SESSION_LEVEL_MAX \
        and (copy.uid != 0) == (version & VAULT_LOGGED != 0)


cdef inline void session_touch(vault_t* v, uint32_t slot, uint32_t now_s) noexcept nogil:
    """It was asked for. Without the lock: at worst a later session of the slot is as young as it
    is anyway."""
    if v.heads[slot].active_s != now_s:
        v.heads[slot].active_s = now_s


cdef inline bint session_is_over(const vault_t* v, uint32_t slot, uint32_t version,
                                 uint32_t now_s) noexcept nogil:
    """Idle for too long, or too old altogether?"""
    return session_over_s(v, slot, version) <= now_s


cdef inline int64_t session_over_s(const vault_t* v, uint32_t slot,
                                   uint32_t version) noexcept nogil:
    """The first second in which it is over if it is not used again. In whole seconds, so up to one
    more."""
    cdef const session_t* s = &v.heads[slot]
    cdef int64_t idle_s = v.auth_idle_s if version & VAULT_LOGGED else v.idle_s
    cdef int64_t life_s = v.lifetime_s
    if version & VAULT_KEPT:
        idle_s = life_s = v.keep_s
    return min(s.active_s + idle_s, s.started_s + life_s) + 1


# Changes. No Python between taking the lock and giving it back.


cdef void session_lock(vault_t* v) noexcept nogil:
    """What is read before may be of a table that is given up by this."""
    cdef int outcome = lock_take(&v.shared.lock)
    if unlikely_(lock_load(&v.faulted) or lock_load(&v.shared.moved) != v.moved):
        mend_move(v)
    if unlikely_(outcome == LOCK_INHERITED):
        mend_table(v, v.shared.highest_ever, False)
        v.shared.counts.recoveries += 1
        lock_mended(&v.shared.lock)


cdef int session_start(vault_t* v, const session_change_t* change, uint32_t agent,
                       uint32_t started_s, uint32_t active_s, uint32_t* slot) noexcept nogil:
    """A new session with that id in the lowest free slot: DONE, AGAIN or NO_ROOM."""
    cdef int outcome = SESSION_DONE
    session_lock(v)
    slot[0] = session_lowest_free(v)
    if unlikely_(v.shared.used_count != v.capacity if slot[0] >= v.capacity
                 else v.heads[slot[0]].version & VAULT_LIVE != 0):
        mend_repair(v)                 # bits, counter or slot have been overwritten
        slot[0] = session_lowest_free(v)
    if slot[0] >= v.capacity or v.heads[slot[0]].version & VAULT_LIVE:
        outcome = SESSION_NO_ROOM
    elif index_look(v, ident_key(change.id)) >= 0:
        outcome = SESSION_AGAIN
    else:
        session_begin(v, change, agent, started_s, active_s, slot[0])
        v.shared.counts.started += 1
        if unlikely_(lock_load(&v.faulted) or not session_version(v, slot[0], change.id)):
            outcome = SESSION_AGAIN    # the memory has gone from under it
    lock_give(&v.shared.lock)
    return outcome


cdef void session_begin(vault_t* v, const session_change_t* change, uint32_t agent,
                        uint32_t started_s, uint32_t active_s, uint32_t slot) noexcept nogil:
    cdef session_t* s = &v.heads[slot]
    cdef uint32_t version = vault_next(s.version, session_flags(change))
    cdef bint sound
    session_take(v, slot)
    s.agent = agent
    s.started_s = started_s
    s.active_s = active_s
    memcpy(&vault_copy(v, slot, version).serial, change.id + 8, 4)
    session_fill(v, slot, version, change)
    sound = index_insert(v, ident_key(change.id), slot)
    lock_store(&s.version, version)
    sound = wheel_link(v, slot, session_over_s(v, slot, version)) and sound
    if unlikely_(not sound):
        mend_repair(v)


cdef int session_change(vault_t* v, uint32_t slot, const uint8_t* id, uint32_t* version,
                        const session_change_t* change, uint32_t now_s) noexcept nogil:
    """What the session shall be from now on, its id included: DONE with its new version, or GONE,
    MOVED (nothing was done), AGAIN."""
    cdef bint rekeyed = not ident_same(id, change.id)
    cdef uint32_t now, next
    cdef int outcome = SESSION_DONE
    session_lock(v)
    now = session_version(v, slot, id)
    if now == 0:
        outcome = SESSION_GONE
    elif now != version[0]:
        outcome = SESSION_MOVED
    elif rekeyed and index_look(v, ident_key(change.id)) >= 0:
        outcome = SESSION_AGAIN
    else:
        next = vault_next(now, session_flags(change))
        vault_copy(v, slot, next).serial = vault_copy(v, slot, now).serial
        session_fill(v, slot, next, change)
        if change.login:
            v.heads[slot].started_s = now_s
            v.shared.counts.logins += 1
        lock_store(&v.heads[slot].version, next)
        if rekeyed or (now ^ next) & (VAULT_LOGGED | VAULT_KEPT):
            session_resort(v, slot, ident_key(id), ident_key(change.id), next)
        version[0] = next
        if unlikely_(lock_load(&v.faulted)):
            outcome = SESSION_GONE
    lock_give(&v.shared.lock)
    return outcome


cdef void session_resort(vault_t* v, uint32_t slot, uint64_t old, uint64_t new,
                         uint32_t version) noexcept nogil:
    """It has another id, or other timeouts: index and wheel learn of it."""
    cdef bint sound = True
    if old != new:
        sound = index_remove(v, old) and index_insert(v, new, slot)
    if unlikely_(not (sound and wheel_unlink(v, slot)
                      and wheel_link(v, slot, session_over_s(v, slot, version)))):
        mend_repair(v)


cdef bint session_follow(vault_t* v, uint32_t slot, uint32_t serial, int64_t uid, bint into_login,
                         uint8_t* id) noexcept nogil:
    """It is not there under the id it had: has it got another one since? Then `id` is that one. Not
    if somebody else is logged in now than `uid`; `into_login`: whoever he is."""
    cdef session_copy_t* copy
    cdef uint32_t version
    cdef bint same = False
    session_lock(v)
    version = v.heads[slot].version
    if version & VAULT_LIVE:
        copy = vault_copy(v, slot, version)
        same = copy.serial == serial and (into_login or uid == copy.uid)
        if same:
            memcpy(id, v.heads[slot].id[version & 1], VAULT_ID_SIZE)
    lock_give(&v.shared.lock)
    return same


cdef bint session_remove(vault_t* v, uint32_t slot, const uint8_t* id,
                         uint64_t* counter) noexcept nogil:
    """Ends it, and counts that in `counter` (of v.shared.counts); False: it had gone."""
    cdef bint found
    session_lock(v)
    found = session_version(v, slot, id) != 0
    if found:
        session_erase(v, slot)
        counter[0] += 1
    lock_give(&v.shared.lock)
    return found


cdef void session_erase(vault_t* v, uint32_t slot) noexcept nogil:
    """Under the lock. What it held is overwritten: nobody finds it in a file later."""
    cdef session_t* s = &v.heads[slot]
    cdef uint64_t key = ident_key(s.id[s.version & 1])
    cdef bint sound
    lock_store(&s.version, vault_next(s.version, 0))
    sound = index_remove(v, key)
    sound = wheel_unlink(v, slot) and sound
    session_wipe(v, slot, 0)
    session_wipe(v, slot, 1)
    session_give(v, slot)
    if unlikely_(not sound):
        mend_repair(v)


cdef void session_wipe(vault_t* v, uint32_t slot, uint32_t which) noexcept nogil:
    cdef session_copy_t* copy = vault_copy(v, slot, which)
    cdef uint64_t size = <uint64_t>lock_load(&copy.data_size) + SESSION_NAME_SIZE_MAX
    if size > v.data_size:
        size = v.data_size
    memset(copy, 0, sizeof(session_copy_t) + size)
    memset(v.heads[slot].id[which], 0, VAULT_ID_SIZE)


cdef inline uint32_t session_flags(const session_change_t* change) noexcept nogil:
    return VAULT_LIVE | (VAULT_LOGGED if change.uid else 0) \
        | (VAULT_KEPT if change.uid and change.kept else 0)


cdef void session_fill(vault_t* v, uint32_t slot, uint32_t version,
                       const session_change_t* change) noexcept nogil:
    """Writes the copy that will be live with `version`."""
    cdef session_copy_t* copy = vault_copy(v, slot, version)
    cdef uint8_t* data = vault_data(copy)
    cdef session_copy_t said           # what is read again could be another's
    ensure(change.name_size <= SESSION_NAME_SIZE_MAX
           and change.data_size + change.name_size <= v.data_size)
    said = copy[0]
    said.uid = change.uid
    said.login_s = change.login_s
    said.data_size = change.data_size
    said.level = change.level
    said.name_size = <uint8_t>change.name_size
    memcpy(said.csrf, change.csrf, VAULT_CSRF_SIZE)
    if change.data_size:
        memcpy(data, change.data, change.data_size)
    if change.name_size:
        memcpy(data + change.data_size, change.name, change.name_size)
    memcpy(v.heads[slot].id[version & 1], change.id, VAULT_ID_SIZE)
    if v.checks:
        said.checksum = session_checksum(&said, change.id, data)
    copy[0] = said


cdef uint32_t session_checksum(const session_copy_t* copy, const uint8_t* id,
                               const uint8_t* data) noexcept nogil:
    """Tells a page that never reached the disk, and what others have written into the file; no
    defence against anybody."""
    cdef uint64_t hash = scan_hash(id, VAULT_ID_SIZE)
    hash = hash * 31 + scan_hash(copy.csrf, VAULT_CSRF_SIZE)
    hash = hash * 31 + <uint64_t>copy.uid + (<uint64_t>copy.login_s << 32 | copy.data_size)
    hash = hash * 31 + copy.serial
    hash = hash * 31 + (<uint64_t>copy.level << 8 | copy.name_size)
    hash = hash * 31 + scan_hash(data, copy.data_size + copy.name_size)
    return <uint32_t>(hash ^ hash >> 32)


cdef bint session_is_whole(vault_t* v, uint32_t slot) noexcept nogil:
    """Does the live copy say what was written? A crash of the machine may have lost a page."""
    cdef uint32_t version = lock_load(&v.heads[slot].version)
    cdef session_copy_t copy
    return session_copy_out(v, slot, version, v.heads[slot].id[version & 1], &copy, NULL, NULL)


cdef void session_set_timeouts(vault_t* v, uint32_t idle_s, uint32_t auth_idle_s, uint32_t keep_s,
                               uint32_t lifetime_s) noexcept nogil:
    """How long sessions live from now on; when those that are there end is looked at anew."""
    cdef uint32_t slot
    if v.idle_s == idle_s and v.auth_idle_s == auth_idle_s and v.keep_s == keep_s \
            and v.lifetime_s == lifetime_s:
        return
    v.idle_s = idle_s
    v.auth_idle_s = auth_idle_s
    v.keep_s = keep_s
    v.lifetime_s = lifetime_s
    session_lock(v)
    wheel_clear(v, session_highest(v))
    for slot in range(session_highest(v)):
        if v.heads[slot].version & VAULT_LIVE:
            wheel_link(v, slot, 0)
    lock_give(&v.shared.lock)


# Slots, under the lock.


cdef inline uint32_t session_lowest_free(vault_t* v) noexcept nogil:
    cdef uint32_t word = v.shared.first_free // 64
    cdef uint32_t word_count = (v.capacity + 63) // 64
    cdef uint64_t bits
    while word < word_count:
        bits = v.used_bits[word]
        if bits != <uint64_t>-1:
            return word * 64 + <uint32_t>session_trailing_ones(bits)
        word += 1
    v.shared.first_free = v.capacity   # a full table is not searched again
    return v.capacity


cdef extern from *:
    """
    #define session_trailing_ones(word) __builtin_ctzll(~(word))
    """
    int session_trailing_ones(uint64_t word) noexcept nogil


cdef void session_take(vault_t* v, uint32_t slot) noexcept nogil:
    if slot >= v.shared.highest_ever:
        v.shared.highest_ever = slot + 1    # before anything lies there: mending looks so far
    v.used_bits[slot // 64] |= <uint64_t>1 << (slot % 64)
    v.shared.first_free = slot + 1
    if slot >= v.shared.highest_used:
        v.shared.highest_used = slot + 1
    v.shared.used_count += 1
    if v.shared.used_count > v.shared.high_water:
        v.shared.high_water = v.shared.used_count


cdef void session_give(vault_t* v, uint32_t slot) noexcept nogil:
    cdef uint32_t highest
    v.used_bits[slot // 64] &= ~(<uint64_t>1 << (slot % 64))
    if slot < v.shared.first_free:
        v.shared.first_free = slot
    highest = session_highest(v)
    while highest > 0 and not session_is_used(v, highest - 1):
        highest -= 1
    v.shared.highest_used = highest
    if v.shared.used_count:
        v.shared.used_count -= 1


cdef inline bint session_is_used(const vault_t* v, uint32_t slot) noexcept nogil:
    return v.used_bits[slot // 64] >> (slot % 64) & 1


cdef inline uint32_t session_highest(const vault_t* v) noexcept nogil:
    """One past the highest slot in use."""
    return min(lock_load(&v.shared.highest_used), v.capacity)
