# core/audit.pxi — is a table of sessions sound?
#   Owns:  walking index and slots, and saying what is not as it must be
#   Uses:  vault, ident, index, session
#   Never: mending it
#   Holds: whoever asks has the lock


cdef list audit_table(vault_t* v):
    """Under the lock: walks index and slots."""
    cdef uint32_t d, i, slot
    cdef uint64_t last = 0
    cdef uint32_t total = 0
    cdef uint64_t* keys
    faults = []
    if v.shared.sequence & 1:
        faults.append("the index says that it is being changed")
    for d in range(v.shared.block_count):
        keys = v.keys + <size_t>v.block_place[d] * VAULT_BLOCK_SIZE
        if v.block_size[d] == 0 or v.block_size[d] > VAULT_BLOCK_SIZE \
                or keys[0] != v.block_first[d]:
            faults.append(f"block {d} has {v.block_size[d]} keys, or another first key")
        if d and v.block_size[d - 1] + v.block_size[d] <= VAULT_MERGE_SIZE:
            faults.append(f"blocks {d - 1} and {d} could be one")
        for i in range(v.block_size[d]):
            slot = v.slots[<size_t>v.block_place[d] * VAULT_BLOCK_SIZE + i]
            if total and keys[i] <= last:
                faults.append(f"key {i} of block {d} is not above the one before")
            if not v.heads[slot].version & VAULT_LIVE \
                    or ident_key(v.heads[slot].id[v.heads[slot].version & 1]) != keys[i]:
                faults.append(f"key {i} of block {d} leads to slot {slot}, which is another's")
            last = keys[i]
            total += 1
    if v.shared.block_count + v.shared.free_block_count != v.block_max:
        faults.append("blocks are missing")
    return faults + audit_slots(v, total)


cdef list audit_slots(vault_t* v, uint32_t indexed):
    cdef uint32_t slot
    cdef uint32_t used = 0
    cdef uint32_t highest = 0
    faults = []
    for slot in range(v.shared.highest_ever):
        if v.heads[slot].version & VAULT_LIVE != 0:
            used += 1
            highest = slot + 1
            if index_look(v, ident_key(v.heads[slot].id[v.heads[slot].version & 1])) != slot:
                faults.append(f"slot {slot} is not found")
            if not session_is_used(v, slot):
                faults.append(f"slot {slot} counts as free")
        elif session_is_used(v, slot):
            faults.append(f"slot {slot} counts as used")
        elif slot < v.shared.first_free:
            faults.append(f"slot {slot} is free, below the first free one")
    if (used, used, highest) != (indexed, v.shared.used_count, v.shared.highest_used):
        faults.append(f"{used} live slots up to {highest}, {indexed} keys; counted "
                      f"{v.shared.used_count} up to {v.shared.highest_used}")
    return faults
