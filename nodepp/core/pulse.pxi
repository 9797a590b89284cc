# core/pulse.pxi — what the loop is doing now, for the thread that watches it
#   Prefix: pulse
#   Owns:  since when a turn runs; how many steps of user code there were; the kind of the latest;
#          the exception that interrupts one
#   Uses:  nothing
#   Never: locks and system calls: the loop writes, the watchdog reads, each value by itself
#   Holds: pulse_since_ns is 0 while the loop waits

# A step is one call of user code. Requests are counted in stats.requests, all other steps here;
# the sum tells one long step from many short ones.

cdef extern from *:
    """
    /* Plain moves on every machine that we know; the compiler must not drop or tear them. */
    #define pulse_load(at) __atomic_load_n((at), __ATOMIC_RELAXED)
    #define pulse_store(at, value) __atomic_store_n((at), (value), __ATOMIC_RELAXED)
    """
    uint64_t pulse_load(const uint64_t* at) nogil
    void pulse_store(uint64_t* at, uint64_t value) nogil

cdef uint64_t pulse_since_ns           # monotonic; when this turn began
cdef uint64_t pulse_turn_steps         # the steps before it
cdef uint64_t pulse_stretches          # of work outside of the loop, so far
cdef uint64_t pulse_steps              # steps that are no request
cdef const char* pulse_kind            # of the latest step; NULL: a request may tell it


cdef inline void pulse_wait() noexcept nogil:
    """The loop waits from now on."""
    pulse_store(&pulse_since_ns, 0)


cdef inline void pulse_turn(uint64_t now_ns, uint64_t requests) noexcept nogil:
    """The wait is over. `requests`: how many there were."""
    global pulse_kind
    pulse_kind = NULL
    pulse_store(&pulse_turn_steps, requests + pulse_steps)
    pulse_store(&pulse_since_ns, now_ns)


cdef inline void pulse_step(const char* kind) noexcept nogil:
    """A step of user code begins that is no request."""
    global pulse_kind
    pulse_store(&pulse_steps, pulse_steps + 1)
    pulse_kind = kind


class Cut(BaseException):
    """Raised in user code that is running when the server is told to cut. Whatever is left of it is
    dropped without a word, for the connection is cut too."""
