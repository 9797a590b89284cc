# core/index.pxi — which slot has this key?
#   Prefix: index
#   Owns:  the sorted index: blocks of keys under a directory of their first keys
#   Uses:  limits, lock, vault
#   Never: the sessions themselves; taking the lock
#   Holds: keys rise within a block, and each block's first key is above the last one before it;
#          two neighbouring blocks hold more than VAULT_MERGE_SIZE keys; counts and places are
#          checked each time that they are read, for other processes write here too

cdef enum:
    INDEX_TRY_MAX = 64                 # readings that a change spoilt; then the lock is asked for
    INDEX_UNSURE = -2                  # they were all spoilt


cdef inline uint32_t index_directory(const vault_t* v, uint64_t key,
                                     uint32_t count) noexcept nogil:
    """The last block whose first key is not above `key`, of `count` > 0; else the first one."""
    cdef const uint64_t* base = v.block_first
    cdef uint32_t half
    while count > 1:
        half = count >> 1
        if base[half] <= key:          # gcc makes a conditional move of it: nothing to mispredict
            base += half
        count -= half
    return <uint32_t>(base - v.block_first)


cdef inline uint32_t index_guess(uint64_t first, uint32_t count, uint64_t key,
                                 uint64_t next_first) noexcept nogil:
    """Where a key should be among `count` > 0 that begin with `first`: ids are uniform."""
    cdef uint32_t at = 0
    if key > first:
        at = <uint32_t>(((key - first) >> 32) * count // (((next_first - first) >> 32) + 1))
    return at if at < count else count - 1


cdef inline uint32_t index_lower_bound(const uint64_t* keys, uint32_t count, uint64_t key,
                                       uint32_t at) noexcept nogil:
    """How many keys of a block are below `key`; the search starts where it should be. A step or two
    from there instead of nine halvings, each in a line of its own."""
    if count == 0:
        return 0
    if keys[at] < key:
        while at < count and keys[at] < key:
            at += 1
    else:
        while at > 0 and keys[at - 1] >= key:
            at -= 1
    return at


cdef inline bint index_aim(const vault_t* v, uint64_t key, uint32_t* place, uint32_t* size,
                           uint32_t* at) noexcept nogil:
    """The block that a key is in if anywhere, and where in it: told by the directory alone, so that
    the lines of key and slot are fetched at once. False: there is nothing. The index may change
    meanwhile: nothing read here is trusted further than the memory it leads to."""
    cdef uint32_t count = lock_load(&v.shared.block_count)
    cdef uint32_t d
    cdef size_t row
    if count == 0 or count > v.block_max:
        return False
    d = index_directory(v, key, count)
    place[0] = lock_load(&v.block_place[d])
    size[0] = lock_load_16(&v.block_size[d])
    if place[0] >= v.block_max or size[0] == 0 or size[0] > VAULT_BLOCK_SIZE:
        return False
    at[0] = index_guess(v.block_first[d], size[0], key,
                        v.block_first[d + 1] if d + 1 < count else <uint64_t>-1)
    row = <size_t>place[0] * VAULT_BLOCK_SIZE + at[0]
    lock_prefetch(v.keys + row)
    lock_prefetch(v.keys + row + 8)
    lock_prefetch(v.keys + row - 8)
    lock_prefetch(v.slots + row)
    return True


cdef inline int64_t index_look(const vault_t* v, uint64_t key) noexcept nogil:
    """The slot of a key, or -1."""
    cdef uint32_t place, size, at
    cdef const uint64_t* keys
    if not index_aim(v, key, &place, &size, &at):
        return -1
    keys = v.keys + <size_t>place * VAULT_BLOCK_SIZE
    at = index_lower_bound(keys, size, key, at)
    if at < size and keys[at] == key:
        return v.slots[<size_t>place * VAULT_BLOCK_SIZE + at]
    return -1


cdef inline int64_t index_find(const vault_t* v, uint64_t key) noexcept nogil:
    """The slot of a key, -1, or INDEX_UNSURE: another process has kept changing the index, or died
    at it. Without the lock."""
    cdef uint32_t sequence
    cdef int64_t slot
    cdef int i
    for i in range(INDEX_TRY_MAX):
        sequence = lock_load(&v.shared.sequence)
        if likely_(sequence & 1 == 0):
            slot = index_look(v, key)
            lock_fence()
            if likely_(lock_load(&v.shared.sequence) == sequence):
                return slot
    return INDEX_UNSURE


# What follows is called under the lock. False: the index is not as it must be, and has to be made
# anew; it may have been changed in part. Keys that are lost or stand in the wrong place are not
# found out: the id in the slot decides whose it is.


cdef inline void index_begin(vault_t* v) noexcept nogil:
    lock_store(&v.shared.sequence, v.shared.sequence | 1)
    lock_fence_all()


cdef inline void index_end(vault_t* v) noexcept nogil:
    lock_fence_all()
    lock_store(&v.shared.sequence, (v.shared.sequence | 1) + 1)


cdef void index_clear(vault_t* v) noexcept nogil:
    """No keys; all blocks are free. Between index_begin and index_end, as index_put: while an index
    is made anew nobody must find it empty."""
    cdef uint32_t i
    for i in range(v.block_max):
        v.free_block[i] = v.block_max - 1 - i
    v.shared.free_block_count = v.block_max
    lock_store(&v.shared.block_count, 0)


cdef inline int64_t index_block(const vault_t* v, uint32_t d, uint32_t* size) noexcept nogil:
    """Where the keys of a block of the directory begin, and how many they are; -1: nowhere."""
    cdef uint32_t place = lock_load(&v.block_place[d])
    size[0] = lock_load_16(&v.block_size[d])
    if place >= v.block_max or size[0] > VAULT_BLOCK_SIZE:
        return -1
    return <int64_t>place * VAULT_BLOCK_SIZE


cdef bint index_insert(vault_t* v, uint64_t key, uint32_t slot) noexcept nogil:
    """Adds a key that is not there."""
    cdef bint done
    index_begin(v)
    done = index_put(v, key, slot)
    index_end(v)
    return done


cdef bint index_put(vault_t* v, uint64_t key, uint32_t slot) noexcept nogil:
    """A key that is there against all expectation leads to this slot now."""
    cdef uint32_t count = lock_load(&v.shared.block_count)
    cdef uint32_t d = 0
    cdef uint32_t at, size
    cdef int64_t row
    if count > v.block_max or count == 0 and not index_add_block(v, 0, 0, key):
        return False
    d = index_directory(v, key, max(count, 1))
    row = index_block(v, d, &size)
    if size == VAULT_BLOCK_SIZE:
        if row < 0 or not index_split(v, d, count, row):
            return False
        count += 1
        d = index_directory(v, key, count)
        row = index_block(v, d, &size)
    if row < 0 or size == VAULT_BLOCK_SIZE:
        return False
    at = index_bound_in(v, d, count, v.keys + row, size, key)
    if at == size or v.keys[row + at] != key:
        memmove(v.keys + row + at + 1, v.keys + row + at, (size - at) * sizeof(uint64_t))
        memmove(v.slots + row + at + 1, v.slots + row + at, (size - at) * sizeof(uint32_t))
        v.block_size[d] = <uint16_t>(size + 1)
    v.keys[row + at] = key
    v.slots[row + at] = slot
    if at == 0:
        v.block_first[d] = key
    return True


cdef bint index_remove(vault_t* v, uint64_t key) noexcept nogil:
    """Takes a key out, if it is there."""
    cdef uint32_t count = lock_load(&v.shared.block_count)
    cdef uint32_t d, at, size
    cdef int64_t row
    cdef bint done = True
    if count == 0 or count > v.block_max:
        return count == 0
    d = index_directory(v, key, count)
    row = index_block(v, d, &size)
    if row < 0:
        return False
    at = index_bound_in(v, d, count, v.keys + row, size, key)
    if at == size or v.keys[row + at] != key:
        return True
    index_begin(v)
    memmove(v.keys + row + at, v.keys + row + at + 1, (size - at - 1) * sizeof(uint64_t))
    memmove(v.slots + row + at, v.slots + row + at + 1, (size - at - 1) * sizeof(uint32_t))
    v.block_size[d] = <uint16_t>(size - 1)
    if size == 1:
        done = index_drop_block(v, d, count)
        count -= 1
    else:
        v.block_first[d] = v.keys[row]
        if d + 1 < count:
            done = index_merge(v, d, &count)
    # Dropping a block makes neighbours of two that were none.
    if done and d > 0 and d < count:
        done = index_merge(v, d - 1, &count)
    index_end(v)
    return done


cdef inline uint32_t index_bound_in(const vault_t* v, uint32_t d, uint32_t count,
                                    const uint64_t* keys, uint32_t size,
                                    uint64_t key) noexcept nogil:
    cdef uint64_t next_first = v.block_first[d + 1] if d + 1 < count else <uint64_t>-1
    if size == 0:
        return 0
    return index_lower_bound(keys, size, key, index_guess(keys[0], size, key, next_first))


cdef bint index_add_block(vault_t* v, uint32_t d, uint32_t count, uint64_t first) noexcept nogil:
    """An empty block at this position of a directory of `count`."""
    cdef uint32_t free_count = lock_load(&v.shared.free_block_count)
    cdef uint32_t rest = count - d
    if count >= v.block_max or free_count == 0 or free_count > v.block_max:
        return False
    memmove(v.block_first + d + 1, v.block_first + d, rest * sizeof(uint64_t))
    memmove(v.block_place + d + 1, v.block_place + d, rest * sizeof(uint32_t))
    memmove(v.block_size + d + 1, v.block_size + d, rest * sizeof(uint16_t))
    v.shared.free_block_count = free_count - 1
    v.block_first[d] = first
    v.block_place[d] = v.free_block[free_count - 1]
    v.block_size[d] = 0
    lock_store(&v.shared.block_count, count + 1)
    return True


cdef bint index_drop_block(vault_t* v, uint32_t d, uint32_t count) noexcept nogil:
    cdef uint32_t free_count = lock_load(&v.shared.free_block_count)
    cdef uint32_t rest = count - d - 1
    if free_count >= v.block_max:
        return False
    v.free_block[free_count] = v.block_place[d]
    v.shared.free_block_count = free_count + 1
    memmove(v.block_first + d, v.block_first + d + 1, rest * sizeof(uint64_t))
    memmove(v.block_place + d, v.block_place + d + 1, rest * sizeof(uint32_t))
    memmove(v.block_size + d, v.block_size + d + 1, rest * sizeof(uint16_t))
    lock_store(&v.shared.block_count, count - 1)
    return True


cdef bint index_split(vault_t* v, uint32_t d, uint32_t count, int64_t old) noexcept nogil:
    """The upper half of a full block becomes the next one."""
    cdef uint32_t half = VAULT_BLOCK_SIZE // 2
    cdef uint32_t size
    cdef int64_t new
    if not index_add_block(v, d + 1, count, v.keys[old + half]):
        return False
    new = index_block(v, d + 1, &size)
    if new < 0:
        return False
    memmove(v.keys + new, v.keys + old + half, half * sizeof(uint64_t))
    memmove(v.slots + new, v.slots + old + half, half * sizeof(uint32_t))
    v.block_size[d] = v.block_size[d + 1] = <uint16_t>half
    return True


cdef bint index_merge(vault_t* v, uint32_t d, uint32_t* count) noexcept nogil:
    """A block takes over the keys of the next one, if both together are small."""
    cdef uint32_t into_size, size
    cdef int64_t into = index_block(v, d, &into_size)
    cdef int64_t of = index_block(v, d + 1, &size)
    if into < 0 or of < 0:
        return False
    if into_size + size > VAULT_MERGE_SIZE:
        return True
    memmove(v.keys + into + into_size, v.keys + of, size * sizeof(uint64_t))
    memmove(v.slots + into + into_size, v.slots + of, size * sizeof(uint32_t))
    v.block_size[d] = <uint16_t>(into_size + size)
    if not index_drop_block(v, d + 1, count[0]):
        return False
    count[0] -= 1
    return True
