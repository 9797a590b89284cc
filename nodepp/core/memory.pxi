# core/memory.pxi — may this be kept, and where?
#   Prefix: memory
#   Owns:  blocks for what slow peers leave behind, counted against `buffer_memory_max`; faults
#   Uses:  limits, trouble
#   Never: allocation on the path of a request that arrives and leaves whole
#   Holds: memory_used is the sum of the sizes of all living blocks

cdef struct fault_t:                   # set by the tests: the nth call from now fails
    int countdown                      # 0: not armed
    int count                          # how many calls fail, once it has come to that
    int number                         # errno of the failure; 0: one byte passes (send)

cdef size_t memory_used                # bytes in blocks
cdef size_t memory_high_water
cdef int memory_block_count
cdef bint memory_system_refused        # the last refusal was the system's, not the budget's
cdef fault_t memory_fault


cdef inline bint fault_strikes(fault_t* fault) noexcept nogil:
    """True when this call is one that shall fail. Costs one load where nothing is armed."""
    if likely_(fault.countdown == 0):
        return False
    if fault.countdown > 1:
        fault.countdown -= 1
        return False
    fault.count -= 1
    if fault.count <= 0:
        fault.countdown = 0
    return True


cdef inline bint memory_holds(size_t size) noexcept nogil:
    """May `size` more bytes be kept?"""
    return memory_used + size <= limits.buffer_memory_max


cdef void* memory_take(size_t size) noexcept nogil:
    """A block of `size` bytes, or NULL when the budget is spent: the caller answers 503."""
    global memory_system_refused
    if not memory_holds(size):
        memory_system_refused = False
        return NULL
    return memory_overdraw(size)


cdef void* memory_overdraw(size_t size) noexcept nogil:
    """A block even beyond the budget, for the tail of an answer that has begun to leave: to cut
    it would be worse. Nothing is read while the budget is overdrawn, so this is bounded."""
    global memory_used, memory_high_water, memory_block_count, memory_system_refused
    cdef void* block = NULL
    if not fault_strikes(&memory_fault):
        block = malloc(size)
    memory_system_refused = block == NULL
    if block != NULL:
        memory_used += size
        memory_block_count += 1
        if memory_used > memory_high_water:
            memory_high_water = memory_used
    return block


cdef void* memory_grow(void* block, size_t old_size, size_t new_size) noexcept nogil:
    """The block with `new_size` bytes, or NULL with the old block left as it was."""
    global memory_used, memory_high_water, memory_system_refused
    cdef void* grown = NULL
    memory_system_refused = memory_holds(new_size - old_size)
    if memory_system_refused and not fault_strikes(&memory_fault):
        grown = realloc(block, new_size)
    if grown != NULL:
        memory_used += new_size - old_size
        if memory_used > memory_high_water:
            memory_high_water = memory_used
    return grown


cdef void memory_note_refusal() noexcept nogil:
    """For the operator: what a request or an answer is refused for, after one of these gave NULL.
    """
    trouble_note(TROUBLE_MEMORY if memory_system_refused else TROUBLE_BUDGET,
                 ENOMEM if memory_system_refused else 0)


cdef void memory_give(void* block, size_t size) noexcept nogil:
    """Gives a block back; `size` is what was taken."""
    global memory_used, memory_block_count
    ensure(memory_used >= size and memory_block_count > 0)
    memory_used -= size
    memory_block_count -= 1
    free(block)
