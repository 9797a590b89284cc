# core/index.pxi — which slot has this key?
#   Owns:  the sorted index: blocks of keys under a directory of their first keys
#   Uses:  limits, lock, vault
#   Never: the sessions themselves; taking the lock
#   Holds: keys rise within a block, and each block's first key is above the last one before it;
#          two neighbouring blocks hold more than VAULT_MERGE_SIZE keys

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
    place[0] = v.block_place[d]
    size[0] = v.block_size[d]
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


# What follows is called under the lock.


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


cdef void index_insert(vault_t* v, uint64_t key, uint32_t slot) noexcept nogil:
    """Adds a key that is not there."""
    index_begin(v)
    index_put(v, key, slot)
    index_end(v)


cdef void index_put(vault_t* v, uint64_t key, uint32_t slot) noexcept nogil:
    cdef uint32_t d = 0
    cdef uint32_t at, size
    cdef uint64_t* keys
    cdef uint32_t* slots
    if v.shared.block_count == 0:
        index_add_block(v, 0, key)
    else:
        d = index_directory(v, key, v.shared.block_count)
        if v.block_size[d] == VAULT_BLOCK_SIZE:
            index_split(v, d)
            d = index_directory(v, key, v.shared.block_count)
    size = v.block_size[d]
    keys = v.keys + <size_t>v.block_place[d] * VAULT_BLOCK_SIZE
    slots = v.slots + <size_t>v.block_place[d] * VAULT_BLOCK_SIZE
    at = index_bound_in(v, d, keys, size, key)
    ensure(at == size or keys[at] != key)
    memmove(keys + at + 1, keys + at, (size - at) * sizeof(uint64_t))
    memmove(slots + at + 1, slots + at, (size - at) * sizeof(uint32_t))
    keys[at] = key
    slots[at] = slot
    v.block_size[d] = <uint16_t>(size + 1)
    if at == 0:
        v.block_first[d] = key


cdef bint index_remove(vault_t* v, uint64_t key) noexcept nogil:
    """Takes a key out; False: it is not there."""
    cdef uint32_t d, at, size
    cdef uint64_t* keys
    cdef uint32_t* slots
    if v.shared.block_count == 0:
        return False
    d = index_directory(v, key, v.shared.block_count)
    size = v.block_size[d]
    keys = v.keys + <size_t>v.block_place[d] * VAULT_BLOCK_SIZE
    slots = v.slots + <size_t>v.block_place[d] * VAULT_BLOCK_SIZE
    at = index_bound_in(v, d, keys, size, key)
    if at == size or keys[at] != key:
        return False
    index_begin(v)
    memmove(keys + at, keys + at + 1, (size - at - 1) * sizeof(uint64_t))
    memmove(slots + at, slots + at + 1, (size - at - 1) * sizeof(uint32_t))
    v.block_size[d] = <uint16_t>(size - 1)
    if size == 1:
        index_drop_block(v, d)
    else:
        v.block_first[d] = keys[0]
        if d + 1 < v.shared.block_count \
                and v.block_size[d] + v.block_size[d + 1] <= VAULT_MERGE_SIZE:
            index_merge(v, d)
    # Dropping a block makes neighbours of two that were none.
    if d > 0 and d < v.shared.block_count \
            and v.block_size[d - 1] + v.block_size[d] <= VAULT_MERGE_SIZE:
        index_merge(v, d - 1)
    index_end(v)
    return True


cdef inline uint32_t index_bound_in(const vault_t* v, uint32_t d, const uint64_t* keys,
                                    uint32_t size, uint64_t key) noexcept nogil:
    cdef uint64_t next_first = \
        v.block_first[d + 1] if d + 1 < v.shared.block_count else <uint64_t>-1
    if size == 0:
        return 0
    return index_lower_bound(keys, size, key, index_guess(keys[0], size, key, next_first))


cdef void index_add_block(vault_t* v, uint32_t d, uint64_t first) noexcept nogil:
    """An empty block at this position of the directory."""
    cdef uint32_t rest = v.shared.block_count - d
    ensure(v.shared.free_block_count > 0)
    memmove(v.block_first + d + 1, v.block_first + d, rest * sizeof(uint64_t))
    memmove(v.block_place + d + 1, v.block_place + d, rest * sizeof(uint32_t))
    memmove(v.block_size + d + 1, v.block_size + d, rest * sizeof(uint16_t))
    v.shared.free_block_count -= 1
    v.block_first[d] = first
    v.block_place[d] = v.free_block[v.shared.free_block_count]
    v.block_size[d] = 0
    lock_store(&v.shared.block_count, v.shared.block_count + 1)


cdef void index_drop_block(vault_t* v, uint32_t d) noexcept nogil:
    cdef uint32_t rest = v.shared.block_count - d - 1
    v.free_block[v.shared.free_block_count] = v.block_place[d]
    v.shared.free_block_count += 1
    memmove(v.block_first + d, v.block_first + d + 1, rest * sizeof(uint64_t))
    memmove(v.block_place + d, v.block_place + d + 1, rest * sizeof(uint32_t))
    memmove(v.block_size + d, v.block_size + d + 1, rest * sizeof(uint16_t))
    lock_store(&v.shared.block_count, v.shared.block_count - 1)


cdef void index_split(vault_t* v, uint32_t d) noexcept nogil:
    """The upper half of a full block becomes the next one."""
    cdef uint32_t half = VAULT_BLOCK_SIZE // 2
    cdef size_t old = <size_t>v.block_place[d] * VAULT_BLOCK_SIZE
    cdef size_t new
    index_add_block(v, d + 1, v.keys[old + half])
    new = <size_t>v.block_place[d + 1] * VAULT_BLOCK_SIZE
    memcpy(v.keys + new, v.keys + old + half, half * sizeof(uint64_t))
    memcpy(v.slots + new, v.slots + old + half, half * sizeof(uint32_t))
    v.block_size[d] = v.block_size[d + 1] = <uint16_t>half


cdef void index_merge(vault_t* v, uint32_t d) noexcept nogil:
    """A block takes over the keys of the next one."""
    cdef size_t into = <size_t>v.block_place[d] * VAULT_BLOCK_SIZE + v.block_size[d]
    cdef size_t of = <size_t>v.block_place[d + 1] * VAULT_BLOCK_SIZE
    cdef uint32_t size = v.block_size[d + 1]
    memcpy(v.keys + into, v.keys + of, size * sizeof(uint64_t))
    memcpy(v.slots + into, v.slots + of, size * sizeof(uint32_t))
    v.block_size[d] = <uint16_t>(v.block_size[d] + size)
    index_drop_block(v, d + 1)
