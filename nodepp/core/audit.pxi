# core/audit.pxi — is a table of sessions sound?
#   Prefix: audit
#   Owns:  walking index and slots, and saying what is not as it must be
#   Uses:  vault, ident, index, wheel, session
#   Never: mending it
#   Holds: whoever asks has the lock


cdef list audit_table(vault_t* v):
    """Under the lock: walks index and slots."""
    cdef uint32_t d, i, slot, size
    cdef int64_t row
    cdef uint64_t last = 0
    cdef uint32_t total = 0
    cdef uint64_t* keys
    faults = []
    if v.shared.sequence & 1:
        faults.append("the index says that it is being changed")
    if v.shared.block_count > v.block_max:
        return [f"there are {v.shared.block_count} blocks of {v.block_max}"]
    for d in range(v.shared.block_count):
        row = index_block(v, d, &size)
        if row < 0 or size == 0 or v.keys[row] != v.block_first[d]:
            faults.append(f"block {d} has {size} keys, or another first key")
        if row < 0:
            continue
        keys = v.keys + row
        if d and v.block_size[d - 1] + size <= VAULT_MERGE_SIZE:
            faults.append(f"blocks {d - 1} and {d} could be one")
        for i in range(size):
            slot = v.slots[row + i]
            if total and keys[i] <= last:
                faults.append(f"key {i} of block {d} is not above the one before")
            if slot >= v.capacity:
                faults.append(f"key {i} of block {d} leads out of the table")
            elif not v.heads[slot].version & VAULT_LIVE \
                    or ident_key(v.heads[slot].id[v.heads[slot].version & 1]) != keys[i]:
                faults.append(f"key {i} of block {d} leads to slot {slot}, which is another's")
            last = keys[i]
            total += 1
    if v.shared.block_count + v.shared.free_block_count != v.block_max:
        faults.append("blocks are missing")
    return faults + audit_slots(v, total) + audit_wheel(v)


cdef list audit_wheel(vault_t* v):
    """Each ring leads back to its head, through sessions that are not over before its second."""
    cdef uint32_t head, node, slot
    cdef uint32_t linked = 0
    cdef int64_t second_s
    faults = []
    for head in range(1, VAULT_WHEEL_COUNT + 1):
        # The first second from `wheel_s` on that has this head.
        second_s = v.shared.wheel_s + (head - wheel_head(v.shared.wheel_s)) % VAULT_WHEEL_COUNT
        node = v.wheel_next[head]
        while node != 0 and node != head:
            if not wheel_node(0) <= node < wheel_node(v.capacity) or linked > v.capacity:
                return faults + [f"the second {second_s} leads nowhere"]
            linked += 1
            slot = node - wheel_node(0)
            if second_s > max(v.shared.wheel_s, vault_now_s(v)) \
                    and session_over_s(v, slot, v.heads[slot].version) < second_s:
                faults.append(f"slot {slot} would be found too late to be over")
            node = v.wheel_next[node]
    if linked != v.shared.used_count:
        faults.append(f"{linked} sessions are in the wheel, {v.shared.used_count} in use")
    return faults


cdef list audit_slots(vault_t* v, uint32_t indexed):
    cdef uint32_t slot
    cdef uint32_t used = 0
    cdef uint32_t highest = 0
    faults = []
    for slot in range(min(v.shared.highest_ever, v.capacity)):
        if v.heads[slot].version & VAULT_LIVE != 0:
            used += 1
            highest = slot + 1
            if index_look(v, ident_key(v.heads[slot].id[v.heads[slot].version & 1])) != slot:
                faults.append(f"slot {slot} is not found")
            if v.wheel_next[wheel_node(slot)] == 0:
                faults.append(f"slot {slot} is not in the wheel")
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
