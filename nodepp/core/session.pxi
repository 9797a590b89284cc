# core/session.pxi — who is this visitor?
#   Owns:  taking and giving slots, finding, reading and changing a session; mending after a death
#   Uses:  limits, scan, lock, vault, ident, index
#   Never: sockets, the syntax of cookies, Python objects, Python under the lock
#   Holds: every live slot is in the index under its id, and nothing else is; a copy that is being
#          written is never the live one

cdef enum:                             # outcomes of a change
    SESSION_DONE
    SESSION_GONE                       # there is no such session any more
    SESSION_MOVED                      # another has changed it since it was read
    SESSION_TWICE                      # the new id's key is taken: draw another one
    SESSION_NO_ROOM                    # the table is full

cdef enum:
    SESSION_TRY_MAX = 64               # readings that a change spoilt; then the lock is asked for
    SESSION_NAME_SIZE_MAX = 60         # bytes of a name; longer ones are cut

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
    cdef int i
    for i in range(SESSION_TRY_MAX):
        version = session_version(v, slot, id)
        if version == 0:
            return 0
        session_copy_out(v, slot, version, copy, data, name)
        lock_fence()
        if likely_(lock_load(&v.heads[slot].version) == version):
            return version
    session_lock(v)
    version = session_version(v, slot, id)
    if version:
        session_copy_out(v, slot, version, copy, data, name)
    lock_give(&v.shared.lock)
    return version


cdef inline void session_copy_out(const vault_t* v, uint32_t slot, uint32_t version,
                                  session_copy_t* copy, uint8_t* data,
                                  uint8_t* name) noexcept nogil:
    """What is being overwritten meanwhile may be nonsense: sizes are bounded before they count."""
    cdef session_copy_t* live = vault_copy(v, slot, version)
    memcpy(copy, live, sizeof(session_copy_t))
    if copy.name_size > SESSION_NAME_SIZE_MAX or copy.name_size > v.data_size:
        copy.name_size = 0
    if copy.data_size > v.data_size - copy.name_size:
        copy.data_size = 0
    if data != NULL:
        memcpy(data, vault_data(live), copy.data_size)
    if name != NULL:
        memcpy(name, vault_data(live) + copy.data_size, copy.name_size)


cdef inline void session_touch(vault_t* v, uint32_t slot, uint32_t now_s) noexcept nogil:
    """It was asked for. Without the lock: at worst a later session of the slot is as young as it
    is anyway."""
    if v.heads[slot].active_s != now_s:
        v.heads[slot].active_s = now_s


cdef inline bint session_is_over(const vault_t* v, uint32_t slot, uint32_t version,
                                 uint32_t now_s) noexcept nogil:
    """Idle for too long, or too old altogether? In whole seconds, so up to one more."""
    cdef const session_t* s = &v.heads[slot]
    cdef int64_t idle_s = <int64_t>now_s - s.active_s
    cdef int64_t age_s = <int64_t>now_s - s.started_s
    if version & VAULT_KEPT:
        return idle_s > v.keep_s or age_s > v.keep_s
    return age_s > v.lifetime_s \
        or idle_s > (v.auth_idle_s if version & VAULT_LOGGED else v.idle_s)


# Changes. No Python between taking the lock and giving it back.


cdef void session_lock(vault_t* v) noexcept nogil:
    if unlikely_(lock_take(&v.shared.lock) == LOCK_INHERITED):
        session_mend(v)
        v.shared.counts.recoveries += 1
        lock_mended(&v.shared.lock)


cdef int session_start(vault_t* v, const session_change_t* change, uint32_t agent, uint32_t now_s,
                       uint32_t* slot) noexcept nogil:
    """A new session with that id in the lowest free slot: DONE, TWICE or NO_ROOM."""
    cdef uint64_t key = ident_key(change.id)
    cdef session_t* s
    cdef uint32_t version
    cdef int outcome = SESSION_DONE
    session_lock(v)
    slot[0] = session_lowest_free(v)
    if slot[0] >= v.capacity:
        outcome = SESSION_NO_ROOM
    elif index_look(v, key) >= 0:
        outcome = SESSION_TWICE
    else:
        session_take(v, slot[0])
        s = &v.heads[slot[0]]
        ensure(not s.version & VAULT_LIVE)
        s.agent = agent
        s.started_s = s.active_s = now_s
        version = vault_next(s.version, session_flags(change))
        memcpy(&vault_copy(v, slot[0], version).serial, change.id + 8, 4)
        session_fill(v, slot[0], version, change)
        index_insert(v, key, slot[0])
        lock_store(&s.version, version)
        v.shared.counts.started += 1
    lock_give(&v.shared.lock)
    return outcome


cdef int session_change(vault_t* v, uint32_t slot, const uint8_t* id, uint32_t* version,
                        const session_change_t* change, uint32_t now_s) noexcept nogil:
    """What the session shall be from now on, its id included: DONE with its new version, or GONE,
    MOVED (nothing was done), TWICE."""
    cdef session_t* s = &v.heads[slot]
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
        outcome = SESSION_TWICE
    else:
        next = vault_next(now, session_flags(change))
        vault_copy(v, slot, next).serial = vault_copy(v, slot, now).serial
        session_fill(v, slot, next, change)
        if change.login:
            s.started_s = now_s
            v.shared.counts.logins += 1
        lock_store(&s.version, next)
        if rekeyed:
            index_remove(v, ident_key(id))
            index_insert(v, ident_key(change.id), slot)
        version[0] = next
    lock_give(&v.shared.lock)
    return outcome


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
    lock_store(&s.version, vault_next(s.version, 0))
    index_remove(v, key)
    session_wipe(v, slot, 0)
    session_wipe(v, slot, 1)
    session_give(v, slot)


cdef void session_wipe(vault_t* v, uint32_t slot, uint32_t which) noexcept nogil:
    cdef session_copy_t* copy = vault_copy(v, slot, which)
    cdef uint32_t size = copy.data_size + copy.name_size
    if copy.data_size > v.data_size or size > v.data_size:
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
    ensure(change.name_size <= SESSION_NAME_SIZE_MAX
           and change.data_size + change.name_size <= v.data_size)
    copy.uid = change.uid
    copy.login_s = change.login_s
    copy.data_size = change.data_size
    copy.level = change.level
    copy.name_size = <uint8_t>change.name_size
    memcpy(copy.csrf, change.csrf, VAULT_CSRF_SIZE)
    if change.data_size:
        memcpy(data, change.data, change.data_size)
    if change.name_size:
        memcpy(data + change.data_size, change.name, change.name_size)
    memcpy(v.heads[slot].id[version & 1], change.id, VAULT_ID_SIZE)
    if v.checks:
        copy.checksum = session_checksum(copy, change.id)


cdef uint32_t session_checksum(session_copy_t* copy, const uint8_t* id) noexcept nogil:
    """Tells a page that never reached the disk; no defence against anybody."""
    cdef uint64_t hash = scan_hash(id, VAULT_ID_SIZE)
    hash = hash * 31 + scan_hash(copy.csrf, VAULT_CSRF_SIZE)
    hash = hash * 31 + <uint64_t>copy.uid + (<uint64_t>copy.login_s << 32 | copy.data_size)
    hash = hash * 31 + copy.serial
    hash = hash * 31 + (<uint64_t>copy.level << 8 | copy.name_size)
    hash = hash * 31 + scan_hash(vault_data(copy), copy.data_size + copy.name_size)
    return <uint32_t>(hash ^ hash >> 32)


cdef bint session_is_whole(vault_t* v, uint32_t slot) noexcept nogil:
    """Does the live copy say what was written? A crash of the machine may have lost a page."""
    cdef session_t* s = &v.heads[slot]
    cdef session_copy_t* copy = vault_copy(v, slot, s.version)
    return copy.name_size <= SESSION_NAME_SIZE_MAX and copy.name_size <= v.data_size \
        and copy.data_size <= v.data_size - copy.name_size \
        and copy.checksum == session_checksum(copy, s.id[s.version & 1])


# Slots, under the lock.


cdef inline uint32_t session_lowest_free(const vault_t* v) noexcept nogil:
    cdef uint32_t word = v.shared.first_free // 64
    cdef uint32_t word_count = (v.capacity + 63) // 64
    while word < word_count and v.used_bits[word] == <uint64_t>-1:
        word += 1
    if word == word_count:
        return v.capacity
    return word * 64 + <uint32_t>session_trailing_ones(v.used_bits[word])


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
    v.used_bits[slot // 64] &= ~(<uint64_t>1 << (slot % 64))
    if slot < v.shared.first_free:
        v.shared.first_free = slot
    while v.shared.highest_used > 0 and not session_is_used(v, v.shared.highest_used - 1):
        v.shared.highest_used -= 1
    v.shared.used_count -= 1


cdef inline bint session_is_used(const vault_t* v, uint32_t slot) noexcept nogil:
    return v.used_bits[slot // 64] >> (slot % 64) & 1


cdef void session_mend(vault_t* v) noexcept nogil:
    """Makes index, bits and counters anew from the slots. Under the lock."""
    cdef uint32_t slot
    cdef session_t* s
    index_begin(v)
    v.shared.used_count = v.shared.first_free = v.shared.highest_used = 0
    memset(v.used_bits, 0, (<size_t>v.capacity + 63) // 64 * 8)
    index_clear(v)
    for slot in range(v.shared.highest_ever):
        s = &v.heads[slot]
        if s.version & VAULT_LIVE:
            session_mend_slot(v, slot)
    v.shared.first_free = 0
    index_end(v)


cdef bint session_mend_slot(vault_t* v, uint32_t slot) noexcept nogil:
    """Puts a live slot back into the index; False: its id is there twice, so it ends."""
    cdef session_t* s = &v.heads[slot]
    cdef uint64_t key = ident_key(s.id[s.version & 1])
    if index_look(v, key) >= 0:
        lock_store(&s.version, vault_next(s.version, 0))
        return False
    session_take(v, slot)
    index_put(v, key, slot)
    return True
