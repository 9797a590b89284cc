# core/limits.pxi — how much of everything?
#   Prefix: limits
#   Owns:  every bound of the core with its unit, its precedent and the answer past it; ensure()
#   Uses:  nothing
#   Never: a bound that is not written here
#   Holds: what a configuration may change is in `limits`, the rest is a constant

# Settings: limits_default sets them, engine_apply overwrites them before the tables are made.
cdef struct limits_t:
    uint32_t connection_count_max   # slots; one more: 503 with Retry-After
    uint32_t head_size_max          # bytes of a head; IIS 16 KiB, node 16 KiB; over: 431
    uint32_t target_size_max        # bytes; RFC 9112 §3 wants 8,000 at least; over: 414
    uint32_t field_count_max        # field lines; gunicorn 100, nginx by size only; over: 431
    uint64_t payload_size_max       # bytes of a request body; Node++ 16 MiB; over: 413
    uint64_t buffer_memory_max      # bytes kept for slow peers; spent: no reading, then 503
    uint64_t spool_size             # bytes; a longer body goes to a temporary file
    uint32_t form_part_count_max    # parts or pairs of a form; over: 413
    uint64_t form_field_size_max    # bytes of a form field that is not a file; over: 413
    int64_t header_timeout_ms       # from the first byte of a head to its last; over: 408
    int64_t body_timeout_ms         # without a byte of the body; over: 408
    int64_t send_timeout_ms         # without progress of an answer; over: cut
    int64_t keep_alive_timeout_ms   # between requests; over: closed without a word
    bint half_close                 # a client that has ended its input waits for its answer

cdef limits_t limits

cdef enum:
    SCRATCH_SIZE = 64 * 1024        # bytes one recv may bring; the next turn brings the rest
    HEAD_SIZE_CEILING = 60 * 1024   # bytes; offsets of a head are 16 bits wide
    FIELD_COUNT_CEILING = 256       # field lines a parser_t has room for
    METHOD_SIZE_MAX = 24            # bytes; the longest registered method has 18; over: 501
    LEADING_CRLF_MAX = 2            # empty lines before a request line, RFC 9112 §2.2; over: 400
    CHUNK_LINE_SIZE_MAX = 1024      # bytes of a chunk's size and extensions; over: 400
    LENGTH_DIGIT_MAX = 19           # decimal digits of a Content-Length: 64 bits; over: 413
    CHUNK_DIGIT_MAX = 16            # hexadecimal digits: 64 bits; over: 400
    HEADROOM_SIZE = 1024            # bytes before a rendered body; a longer head goes apart
    COPY_SIZE_MAX = 16 * 1024       # bytes; a longer body is sent from the object it lies in
    ENTRY_COUNT_MAX = 100           # pieces of one write; IOV_MAX is 1,024; over: written at once
    ANSWER_ENTRY_MAX = 36           # pieces of one answer: 16 ranges, each with a head; and a tail
    FILE_SIZE_TURN = 256 * 1024     # bytes of a file before others get their turn
    WARM_MS = 1000                  # what was read ahead counts as being in memory
    QUEUE_SIZE_MAX = 256 * 1024     # bytes of answers queued; over: no further pipelined request
    STREAM_SIZE_TURN = 64 * 1024    # bytes an iterator may yield before others get their turn
    STREAM_STEP_MAX = 256           # pieces an iterator may yield before others get their turn
    STREAM_NS_TURN = 2000000        # and nanoseconds it may take for them
    ACCEPT_COUNT_TURN = 64          # connections accepted per listener and turn
    EVENT_COUNT_MAX = 512           # readiness reports taken per turn; the rest comes the next turn
    LINGER_SIZE_MAX = 16 * 1024 * 1024  # bytes drained after an early answer; over: closed
    LINGER_IDLE_MS = 2000           # without a byte while draining; over: closed
    LINGER_MS = 10000               # of draining altogether; over: closed
    RESERVE_COUNT = 64              # slots beyond the table, for peers while they read 503
    RETRY_AFTER_S = 5               # what a refused peer is told
    ACCEPT_PAUSE_MS = 1000          # a listener without descriptors rests at most this long
    BUSY_MS_MAX = 5                 # the GIL is given away at least this often
    LISTENER_COUNT_MAX = 64         # listening sockets of one process


cdef extern from *:
    """
    #include <stdio.h>
    #include <stdlib.h>
    /* A claim about our own code. It costs a predicted branch and stays in release builds:
       a core file is better than a wrong answer. */
    #define ensure(claim) do { if (__builtin_expect(!(claim), 0)) { \\
        fprintf(stderr, "nodepp: broken claim: %s (%s:%d)\\n", #claim, __FILE__, __LINE__); \\
        abort(); } } while (0)
    #define likely_(x) __builtin_expect(!!(x), 1)
    #define unlikely_(x) __builtin_expect(!!(x), 0)
    """
    void ensure(bint claim) noexcept nogil
    bint likely_(bint x) noexcept nogil
    bint unlikely_(bint x) noexcept nogil


cdef void limits_default() noexcept nogil:
    limits.connection_count_max = 10000
    limits.head_size_max = 16 * 1024
    limits.target_size_max = 8 * 1024
    limits.field_count_max = 100
    limits.payload_size_max = 16 * 1024 * 1024
    limits.buffer_memory_max = 64 * 1024 * 1024
    limits.spool_size = 1024 * 1024
    limits.form_part_count_max = 1000
    limits.form_field_size_max = 1024 * 1024
    limits.header_timeout_ms = 10 * 1000
    limits.body_timeout_ms = 60 * 1000
    limits.send_timeout_ms = 60 * 1000
    limits.keep_alive_timeout_ms = 60 * 1000
    limits.half_close = False


limits_default()
