# core/vault.pxi — where sessions lie
#   Prefix: vault
#   Owns:  session_t and its copies, the memory of a table of them: reserved once, given back once
#   Uses:  limits, clock, lock, sigbus
#   Never: which session is whose
#   Holds: a place is reserved for every session of a full table and for an index in its worst shape

cdef enum:
    VAULT_ID_SIZE = 24                 # bytes: 8 to search by, 16 compared in constant time
    VAULT_CSRF_SIZE = 12               # bytes of a session's token
    VAULT_KEY_SIZE = 32                # bytes of the key that marks our ids
    VAULT_BLOCK_SIZE = 512             # keys of an index block; inserting moves 6 KiB at most
    VAULT_MERGE_SIZE = 256             # neighbours with no more than this together become one
    VAULT_GUESS_COUNT = 2048           # addresses whose wrong ids are counted at a time: 800 KiB
    VAULT_GUESS_MARK_COUNT = 64        # values remembered for each of them, the oldest forgotten
    VAULT_GUESS_RUNG_COUNT = 3         # a minute, an hour, a day
    VAULT_GUESS_TENTH_COUNT = 10       # times remembered for each rung
    VAULT_WHEEL_COUNT = 4096           # seconds ahead that sessions are sorted by when they end
    VAULT_COUNT_MAX = 1000000          # sessions of a table
    VAULT_DATA_SIZE_MAX = 1024 * 1024  # bytes of one session's data

cdef enum:                             # bits of session_t.version; those below count changes
    VAULT_LIVE = 1 << 31
    VAULT_LOGGED = 1 << 30
    VAULT_KEPT = 1 << 29               # logged in for as long as its cookie lasts
    VAULT_COUNTER = (1 << 29) - 1      # its lowest bit says which of the two copies is live

cdef struct session_t:                 # what finding one touches: a line of the processor's cache
    uint32_t version                   # whoever reads it twice the same has read a whole copy
    uint32_t agent                     # whose browser it is bound to; 0: nobody's
    uint32_t started_s                 # since 1970: of the session, or of its login
    uint32_t active_s                  # when it was last asked for
    uint8_t id[2][VAULT_ID_SIZE]       # one a copy, so that a new id takes effect with its copy

cdef struct session_copy_t:            # data follow it, and the name behind them
    int64_t uid                        # 0: not logged in
    uint32_t login_s
    uint32_t data_size
    uint32_t checksum
    uint8_t level
    uint8_t name_size
    uint8_t spare[2]
    uint32_t serial                    # of the session: it stays when the id becomes another
    uint8_t csrf[VAULT_CSRF_SIZE]

cdef struct guess_t:                   # an address that has shown ids that were never issued
    uint64_t who                       # as guess_who has it; 0: free
    uint32_t till_s                    # since 1970: it is blocked until then; 0: it is not
    uint32_t last_s                    # when a value counted last
    uint32_t count                     # different values
    uint32_t why                       # it is blocked: a GUESS_ outcome
    uint32_t mark[VAULT_GUESS_MARK_COUNT]    # keyed hashes of the last values
    # For each rung: when the last tenths of its values began
    uint32_t begun_s[VAULT_GUESS_RUNG_COUNT][VAULT_GUESS_TENTH_COUNT]

cdef struct vault_counts_t:            # since the table was opened; changed under the lock
    uint64_t started, expired, evicted, refused, ended, logins, forged, recoveries
    uint64_t addresses_blocked, requests_blocked
    uint64_t damaged                   # sessions lost because what they held was overwritten
    uint64_t repairs                   # how often the index was made anew because it was damaged

cdef struct vault_shared_t:            # what all processes see
    lock_t lock
    uint32_t sequence                  # odd while the index is being changed
    uint32_t used_count
    uint32_t high_water
    uint32_t first_free                # no slot below it is free
    uint32_t highest_used              # one past the highest slot in use
    uint32_t highest_ever              # one past the highest that ever was: beyond lies untouched
    uint32_t block_count               # of the directory
    uint32_t free_block_count
    uint32_t wheel_s                   # no session is over that is linked in an earlier second
    uint32_t moved                     # 1: the file is damaged, sessions are in memory only
    int64_t opened_ms
    vault_counts_t counts
    uint32_t guess_alarm_s             # no address is blocked for longer; 0: none is
    guess_t guess[VAULT_GUESS_COUNT]

cdef struct vault_t:                   # a table as this process sees it
    vault_shared_t* shared
    session_t* heads
    uint8_t* copies                    # two a session
    size_t copy_size                   # bytes from one copy to the next
    uint32_t capacity
    uint32_t data_size
    uint64_t* used_bits                # one bit a slot
    # The directory, in the order of keys: each block's first key, its place, its count
    uint64_t* block_first
    uint32_t* block_place
    uint16_t* block_size
    uint32_t* free_block               # places of blocks that are not in the directory
    uint64_t* keys                     # VAULT_BLOCK_SIZE a block, in a row of their own
    uint32_t* slots
    uint32_t* wheel_next               # links of the wheel: its seconds, then the slots
    uint32_t* wheel_before
    uint32_t block_max
    void* region                       # heads and copies
    size_t region_size
    void* spare                        # of a file: memory that takes its place if it is damaged
    uint32_t moved                     # this process uses the spare one
    uint32_t faulted                   # 1: a page of the file could not be had; see sigbus.pxi
    void* index                        # all else
    size_t index_size
    uint8_t secret[VAULT_KEY_SIZE]
    uint64_t place_salt                # made of it, and no more can be learnt of it
    uint64_t agent_salt                # likewise
    bint checks                        # copies have a checksum: others may write into a file
    uint32_t look_slot                 # where mend_look goes on
    uint32_t duplicate_count           # sessions that this process has found twice
    bint secret_is_new                 # ids of before the start cannot be told from forged ones
    int64_t wall_offset_ms             # wall time less monotonic time when the table was opened
    # How long sessions live, seconds
    uint32_t idle_s
    uint32_t auth_idle_s
    uint32_t keep_s
    uint32_t lifetime_s

cdef vault_t* vault_in_use             # the table of the open engine; NULL: it has none


cdef inline size_t vault_round(size_t size, size_t unit) noexcept nogil:
    return (size + unit - 1) // unit * unit


cdef inline size_t vault_copy_size(uint32_t data_size) noexcept nogil:
    return vault_round(sizeof(session_copy_t) + data_size, 8)


cdef size_t vault_region_size(uint32_t capacity, uint32_t data_size) noexcept nogil:
    """Bytes of heads and copies, whole pages."""
    return vault_round(<size_t>capacity * (sizeof(session_t) + 2 * vault_copy_size(data_size)),
                       4096)


cdef size_t vault_lay_out(vault_t* v, uint8_t* base) noexcept nogil:
    """Gives each array of the index its place from `base` on; bytes of all."""
    cdef size_t at = vault_round(sizeof(vault_shared_t), 64)
    v.used_bits = <uint64_t*>(base + at)
    at += vault_round((<size_t>v.capacity + 63) // 64 * 8, 64)
    v.block_first = <uint64_t*>(base + at)
    at += vault_round(<size_t>v.block_max * 8, 64)
    v.block_place = <uint32_t*>(base + at)
    at += vault_round(<size_t>v.block_max * 4, 64)
    v.block_size = <uint16_t*>(base + at)
    at += vault_round(<size_t>v.block_max * 2, 64)
    v.free_block = <uint32_t*>(base + at)
    at += vault_round(<size_t>v.block_max * 4, 64)
    v.keys = <uint64_t*>(base + at)
    at += <size_t>v.block_max * VAULT_BLOCK_SIZE * 8
    v.slots = <uint32_t*>(base + at)
    at += <size_t>v.block_max * VAULT_BLOCK_SIZE * 4
    v.wheel_next = <uint32_t*>(base + at)
    at += vault_round((<size_t>v.capacity + VAULT_WHEEL_COUNT + 1) * 4, 64)
    v.wheel_before = <uint32_t*>(base + at)
    return at + (<size_t>v.capacity + VAULT_WHEEL_COUNT + 1) * 4


cdef int vault_open(vault_t* v, uint32_t capacity, uint32_t data_size, int fd,
                    off_t offset) except -1:
    """Reserves a table: pages that are never touched cost nothing. MemoryError, OSError."""
    ensure(sizeof(session_t) == 64 and sizeof(session_copy_t) == 40)
    memset(v, 0, sizeof(vault_t))
    v.capacity = capacity
    v.data_size = data_size
    v.copy_size = vault_copy_size(data_size)
    # Two neighbours hold more than VAULT_MERGE_SIZE keys, so there cannot be more blocks.
    v.block_max = 2 * (capacity // (VAULT_MERGE_SIZE + 1)) + 3
    v.index_size = vault_lay_out(v, NULL)
    v.index = vault_map(v.index_size, -1, 0)
    v.region_size = vault_region_size(capacity, data_size)
    try:
        v.region = vault_map(v.region_size, fd, offset)
        if fd >= 0:
            v.spare = vault_map(v.region_size, -1, 0)
            if not sigbus_watch(v.region, v.region_size, &v.faulted):
                raise MemoryError("too many session files are open")
    except BaseException:
        vault_close(v)
        raise
    vault_lay_out(v, <uint8_t*>v.index)
    v.shared = <vault_shared_t*>v.index
    vault_use(v, v.region)
    v.checks = fd >= 0
    return vault_begin(v)


cdef void vault_use(vault_t* v, void* region) noexcept nogil:
    """From now on sessions lie there."""
    v.heads = <session_t*>region
    v.copies = <uint8_t*>(v.heads + v.capacity)


cdef void* vault_map(size_t size, int fd, off_t offset) except NULL:
    cdef int flags = MAP_SHARED if fd >= 0 else MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE
    cdef void* region = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, offset)
    if region == MAP_FAILED:
        raise MemoryError(f"no room for a table of sessions: {size} bytes (errno {errno})")
    return region


cdef int vault_begin(vault_t* v) except -1:
    cdef timespec wall
    cdef uint32_t i
    if lock_init(&v.shared.lock):
        raise OSError(errno, "this system has no locks that processes share")
    for i in range(v.block_max):
        v.free_block[i] = v.block_max - 1 - i
    v.shared.free_block_count = v.block_max
    clock_update()
    clock_gettime(CLOCK_REALTIME, &wall)
    v.shared.opened_ms = clock_now_ms
    v.wall_offset_ms = <int64_t>wall.tv_sec * 1000 + wall.tv_nsec // 1000000 - clock_now_ms
    v.shared.wheel_s = vault_now_s(v)
    v.idle_s = 600
    v.auth_idle_s = 1800
    v.keep_s = v.lifetime_s = 30 * 86400
    return 0


cdef void vault_close(vault_t* v) noexcept nogil:
    if v.spare != NULL:
        sigbus_forget(v.region)
        munmap(v.spare, v.region_size)
    if v.region != NULL:
        munmap(v.region, v.region_size)
    if v.index != NULL:
        munmap(v.index, v.index_size)
    v.index = v.region = v.spare = NULL


cdef inline session_copy_t* vault_copy(const vault_t* v, uint32_t slot,
                                       uint32_t version) noexcept nogil:
    """The copy that is live under this version; the other one under the next."""
    return <session_copy_t*>(v.copies + (2 * <size_t>slot + (version & 1)) * v.copy_size)


cdef inline uint8_t* vault_data(session_copy_t* copy) noexcept nogil:
    return <uint8_t*>(copy + 1)


cdef inline void vault_expect(const vault_t* v, uint32_t slot) noexcept nogil:
    """This session is about to be read and written: in a table of 100,000 each of its lines is
    cold, and together they come in the time of one (100 ns)."""
    cdef uint8_t* copies = <uint8_t*>vault_copy(v, slot, 0)
    lock_prefetch(&v.heads[slot])
    lock_prefetch(copies)
    lock_prefetch(copies + 64)
    lock_prefetch(copies + v.copy_size)
    lock_prefetch(copies + v.copy_size + 64)


cdef inline uint32_t vault_next(uint32_t version, uint32_t flags) noexcept nogil:
    """The version after this one; its flags are VAULT_ bits."""
    return ((version + 1) & VAULT_COUNTER) | flags


cdef inline uint32_t vault_now_s(const vault_t* v) noexcept nogil:
    """Seconds since 1970. A wall clock that is set while the server runs ends no session: from the
    opening on time is counted monotonically."""
    return <uint32_t>((clock_now_ms + v.wall_offset_ms) // 1000)
