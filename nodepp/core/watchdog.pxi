# core/watchdog.pxi — a thread that ends a server which does not come back, and names slow code
#   Prefix: watchdog
#   Owns:  the pipe that Python writes signals to; the time a cut may take; what counts as slow
#   Uses:  clock, pulse, plainlog, fork, connection, witness
#   Never: the GIL, and whatever else the loop may keep from it
#   Holds: each signal is counted once, and reaches the engine's poller; time in which this process
#          was stopped counts for nothing

cdef enum:
    WATCHDOG_LOOK_MS = 100             # between two looks at a turn that has to come back
    WATCHDOG_LOOK_COUNT = 8            # looks at the same turn after a cut; then the process ends
    WATCHDOG_REST_MS_MIN = 125         # between two looks for slow code: 8 a second at most
    WATCHDOG_LATE_MS = 250             # a look that is later: the process was stopped meanwhile
    WATCHDOG_TOLD_MAX = 10             # slow steps that are told of in a window; others are counted
    WATCHDOG_WINDOW_MS = 60 * 1000

cdef struct watchdog_look_t:           # what the last look for slow code has seen
    int64_t at_ns
    int64_t trusted_ns                 # since then the process was not stopped
    int rest_ms                        # until the next one
    uint64_t since_ns                  # of the turn; 0: the loop was waiting
    uint64_t steps
    int64_t began_ns                   # when this step was begun, as far as is known
    bint told                          # of this step

cdef extern from *:
    """
    static pthread_t watchdog_thread;
    static pthread_mutex_t watchdog_mutex = PTHREAD_MUTEX_INITIALIZER;
    static int watchdog_end_flag;
    static void *watchdog_main(void *);    /* below, in Cython */
    #define watchdog_spawn() witness_spawn_any(&watchdog_thread, watchdog_main, NULL)
    #define watchdog_join() pthread_join(watchdog_thread, NULL)
    #define watchdog_lock() pthread_mutex_lock(&watchdog_mutex)
    #define watchdog_unlock() pthread_mutex_unlock(&watchdog_mutex)
    #define watchdog_renew_lock() \\
        (watchdog_mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER)
    #define watchdog_terminate() kill(getpid(), SIGTERM)
    #define watchdog_is_ending() __atomic_load_n(&watchdog_end_flag, __ATOMIC_ACQUIRE)
    #define watchdog_set_ending(value) \\
        __atomic_store_n(&watchdog_end_flag, value, __ATOMIC_RELEASE)
    """
    int watchdog_spawn()
    void watchdog_join() nogil
    void watchdog_lock() nogil
    void watchdog_unlock() nogil
    void watchdog_renew_lock() nogil
    bint watchdog_is_ending() nogil
    void watchdog_set_ending(bint value) nogil
    int SIGINT, SIGTERM, SIGQUIT       # of <signal.h>
    void watchdog_exit "_exit"(int exit_status) nogil
    void watchdog_terminate() nogil

cdef bint watchdog_running
cdef bint watchdog_has_thread
cdef int watchdog_signals[2]           # Python writes the numbers of signals to it
cdef int watchdog_wakeup[2]            # they go on through this one, to the poller
cdef bytes watchdog_what               # what pulse_kind points to, outside of the loop
cdef uint64_t watchdog_slow_ms         # 0: nothing is slow
cdef uint64_t watchdog_grace_ms        # what a stop may take
cdef uint64_t watchdog_grace_ns        # monotonic; when that is over; 0: no stop
cdef uint64_t watchdog_window_ms = WATCHDOG_WINDOW_MS
# Under the lock:
cdef int watchdog_stop_count           # INT and TERM that have come
cdef int watchdog_cut                  # the signal that has cut; 0: none, or the turn came back
cdef uint64_t watchdog_cut_turns       # the turn that was running then
cdef int watchdog_look_count           # looks at it since
cdef int64_t watchdog_looked_ns        # the last of them
# The thread's own:
cdef watchdog_look_t watchdog_seen
cdef int64_t watchdog_window_ns        # when the window of reports began
cdef int watchdog_told_count
cdef uint64_t watchdog_left_out
watchdog_signals[0] = watchdog_signals[1] = watchdog_wakeup[0] = watchdog_wakeup[1] = -1


@cython.final
cdef class Watchdog:
    """Watches the thread that makes it, from a thread that needs no GIL; one a process at a time.

    A second INT or TERM, or QUIT, gives the turn that is running 0.8 s to come back; then all
    stacks go into the log, and the process ends with status 128 + signal. `report(what, held_ms,
    frame)` is called, in another thread, for a step of user code that holds the loop longer than
    `slow_ms` (0: never). RuntimeError: there is one already. OSError: no descriptors are left.
    """

    def __init__(self, report, int slow_ms):
        global watchdog_stop_count, watchdog_cut, watchdog_running, watchdog_has_thread
        if watchdog_running:
            raise RuntimeError("this process has a watchdog already")
        global watchdog_window_ns, watchdog_told_count, watchdog_left_out
        watchdog_stop_count = watchdog_cut = watchdog_told_count = 0
        watchdog_window_ns = watchdog_left_out = 0
        pulse_store(&watchdog_grace_ns, 0)
        watchdog_set_ending(False)
        pulse_store(&watchdog_slow_ms, slow_ms)
        try:
            witness_open(report)
            watchdog_open_pipe(watchdog_signals)
            watchdog_open_pipe(watchdog_wakeup)
            watchdog_begin(b"the start")
            watchdog_running = True
            watchdog_has_thread = watchdog_spawn() == 0
        except BaseException:
            watchdog_close_pipes()
            witness_close()
            raise

    @property
    def signal_fd(self) -> int:
        """For signal.set_wakeup_fd()."""
        return watchdog_signals[1] if watchdog_has_thread else watchdog_wakeup[1]

    @property
    def watching(self) -> bool:
        """False: there is no thread, for the system refused one. Signals still wake the engine."""
        return watchdog_has_thread

    @property
    def wakeup_fd(self) -> int:
        """For the engine's setting: readable when a signal has come."""
        return watchdog_wakeup[0]

    @property
    def signals(self) -> int:
        """How many INT and TERM have come; also those of which Python made one."""
        watchdog_take_signals()
        posix_write(watchdog_signals[1], b"\0", 1)    # the thread has to know as well
        return watchdog_stop_count

    @property
    def busy(self) -> bool:
        """Whether a turn is running: not when the loop waits, or when there is none."""
        return pulse_load(&pulse_since_ns) != 0

    def begin(self, str what not None) -> None:
        """Work outside of the loop begins: a start, a hook of the stop."""
        watchdog_begin(what.encode("ascii", "replace"))

    def cut(self, int number) -> None:
        """A signal has cut: from now on the turn that is running has 0.8 s."""
        watchdog_lock()
        watchdog_note_cut(number)
        watchdog_unlock()
        posix_write(watchdog_signals[1], b"\0", 1)

    def set_grace(self, int64_t grace_ms) -> None:
        """What a stop may take from the first INT or TERM on. A turn that still runs then is sent a
        second TERM: the loop cannot cut what holds it."""
        pulse_store(&watchdog_grace_ms, grace_ms)

    def set_slow(self, int slow_ms) -> None:
        """From now on code is slow after that time; 0: never."""
        pulse_store(&watchdog_slow_ms, slow_ms)
        if watchdog_running:
            posix_write(watchdog_signals[1], b"\0", 1)

    def set_log(self, int fd, bint dated) -> None:
        """Where stacks go that are written without Python: the descriptor of the error log.
        dated: as its other lines."""
        plainlog_set(fd, dated)

    def close(self) -> None:
        """Ends the thread. Nothing happens the second time, or in a child that was forked."""
        global watchdog_running, watchdog_has_thread
        if watchdog_running:
            watchdog_running = False
            watchdog_set_ending(True)
            posix_write(watchdog_signals[1], b"\0", 1)
            if watchdog_has_thread:
                with nogil:
                    watchdog_join()
            watchdog_has_thread = False
            watchdog_close_pipes()
            witness_close()
            plainlog_set(-1, False)


cdef int watchdog_open_pipe(int* ends) except -1:
    if pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0:
        raise OSError(errno, "no pipe for signals")
    fork_mark(ends[0])
    fork_mark(ends[1])
    return 0


cdef void watchdog_close_pipes() noexcept nogil:
    cdef int i
    for i in range(2):
        watchdog_close_end(watchdog_signals[i])
        watchdog_close_end(watchdog_wakeup[i])
        watchdog_signals[i] = watchdog_wakeup[i] = -1


cdef void watchdog_close_end(int fd) noexcept nogil:
    if fd >= 0:
        fork_unmark(fd)
        posix_close(fd)


cdef void watchdog_forget() noexcept nogil:
    """In a child that was forked: its parent's thread is not there, and fork makes /dev/null of the
    pipes, for Python may still write to one of them."""
    global watchdog_running, watchdog_has_thread
    if watchdog_running:
        watchdog_running = watchdog_has_thread = False
        watchdog_renew_lock()
        watchdog_signals[0] = watchdog_signals[1] = watchdog_wakeup[0] = watchdog_wakeup[1] = -1
        witness_forget()
        plainlog_forget()


cdef int watchdog_begin(bytes what) except -1:
    global watchdog_what, pulse_kind
    pulse_wait()
    pulse_store(&pulse_stretches, pulse_stretches + 1)
    pulse_kind = PyBytes_AS_STRING(what)
    watchdog_what = what
    return 0


# Signals.


cdef void watchdog_take_signals() noexcept nogil:
    """Counts those that have come and passes them on. The main thread asks too: of two that come
    close together Python calls its handler once."""
    global watchdog_stop_count
    cdef uint8_t numbers[64]
    cdef ssize_t count, i
    watchdog_lock()
    count = posix_read(watchdog_signals[0], numbers, sizeof(numbers))
    for i in range(count):
        if numbers[i] == SIGINT or numbers[i] == SIGTERM:
            watchdog_stop_count += 1
            if watchdog_stop_count > 1:
                watchdog_note_cut(numbers[i])
            else:
                pulse_store(&watchdog_grace_ns,
                            clock_read_ns() + pulse_load(&watchdog_grace_ms) * 1000000)
        elif numbers[i] == SIGQUIT:
            watchdog_note_cut(SIGQUIT)
    if count > 0:                      # full: the engine wakes up anyway
        posix_write(watchdog_wakeup[1], numbers, count)
    watchdog_unlock()


cdef uint64_t watchdog_turns() noexcept nogil:
    """Another number when the loop, or work outside of it, has gone on."""
    return pulse_load(&stats.turns) + (pulse_load(&pulse_stretches) << 48)


cdef void watchdog_note_cut(int number) noexcept nogil:
    """Under the lock. A further signal does not give the same turn more time."""
    global watchdog_cut, watchdog_cut_turns, watchdog_look_count, watchdog_looked_ns
    cdef uint64_t turns = watchdog_turns()
    if watchdog_cut == 0 or watchdog_cut_turns != turns:
        watchdog_cut = number
        watchdog_cut_turns = turns
        watchdog_look_count = 0
        watchdog_looked_ns = clock_read_ns()


cdef bint watchdog_count_down() noexcept nogil:
    """Is a cut under way? Looks are counted, not time: a process that was stopped has none."""
    global watchdog_cut, watchdog_look_count, watchdog_looked_ns
    cdef int64_t now_ns = clock_read_ns()
    cdef int number
    cdef bint is_due
    watchdog_lock()
    if watchdog_cut and watchdog_turns() != watchdog_cut_turns:
        watchdog_cut = 0               # it came back
    number = watchdog_cut
    if now_ns - watchdog_looked_ns >= WATCHDOG_LOOK_MS * 1000000:
        watchdog_look_count += 1       # not for each signal that wakes this thread
        watchdog_looked_ns = now_ns
    is_due = number != 0 and watchdog_look_count >= WATCHDOG_LOOK_COUNT
    watchdog_unlock()
    if is_due:
        watchdog_end_process(number)
    return number != 0


cdef void watchdog_end_process(int number) noexcept nogil:
    """Ends the process, with all stacks in the log if they can be had."""
    cdef char message[160]
    cdef const char* name = b"QUIT"
    if number == SIGINT:
        name = b"INT"
    elif number == SIGTERM:
        name = b"TERM"
    witness_end_soon(128 + number)
    witness_ask(WITNESS_HOLD, 0, 0)
    snprintf(message, sizeof(message), b" did not come back within 0.8 s after %s: "
             b"the process ends with status %d.", name, 128 + number)
    witness_log(b"ERR", message, witness_dump(), True)
    watchdog_exit(128 + number)


# Slow code.


cdef bint watchdog_look(int64_t now_ns) noexcept nogil:
    """Looks at what the loop is doing; True: the same step for too long, which was not told yet."""
    cdef uint64_t since_ns = pulse_load(&pulse_since_ns)
    cdef uint64_t before = pulse_load(&pulse_turn_steps)
    cdef uint64_t steps = pulse_load(&stats.requests) + pulse_load(&pulse_steps)
    cdef int64_t slow_ms = <int64_t>pulse_load(&watchdog_slow_ms)
    cdef int64_t left_ms
    cdef watchdog_look_t* seen = &watchdog_seen
    if now_ns - seen.at_ns > <int64_t>(seen.rest_ms + WATCHDOG_LATE_MS) * 1000000:
        seen.trusted_ns = now_ns
    seen.at_ns = now_ns
    if since_ns == 0 or since_ns != pulse_load(&pulse_since_ns):
        seen.since_ns = 0
        seen.rest_ms = <int>max(slow_ms, <int64_t>WATCHDOG_REST_MS_MIN)
        return False
    if since_ns != seen.since_ns or steps != seen.steps:
        seen.since_ns = since_ns
        seen.steps = steps
        seen.told = False
        # The only step of this turn has begun with it; when others began is not known.
        seen.began_ns = <int64_t>since_ns if steps - before <= 1 else now_ns
    left_ms = slow_ms - (now_ns - max(seen.began_ns, seen.trusted_ns)) // 1000000
    seen.rest_ms = <int>max(slow_ms // 2, <int64_t>WATCHDOG_REST_MS_MIN)
    if left_ms > 0:
        seen.rest_ms = <int>min(<int64_t>seen.rest_ms, left_ms + 1)
        return False
    if seen.told:
        return False
    seen.told = True
    return True


cdef void watchdog_tell(int64_t now_ns) noexcept nogil:
    """A slow step: its stack goes into the log, unless there were too many."""
    global watchdog_told_count, watchdog_left_out
    cdef int64_t held_ms = (now_ns - watchdog_seen.began_ns) // 1000000
    cdef char message[120]
    cdef size_t size
    if watchdog_told_count >= WATCHDOG_TOLD_MAX:
        watchdog_left_out += 1
        return
    watchdog_told_count += 1
    if witness_ask(WITNESS_STACK, watchdog_seen.since_ns, held_ms):
        return
    size = witness_dump()
    if size and not witness_tells_again(witness_number):
        snprintf(message, sizeof(message), b" has held the loop for %lld ms, in code that does "
                 b"not give the GIL away:", <long long>held_ms)
        witness_log(b"WAR", message, size, False)


cdef void watchdog_turn_window(int64_t now_ns) noexcept nogil:
    """A new minute: what was left out is said."""
    global watchdog_window_ns, watchdog_told_count, watchdog_left_out
    cdef char message[80]
    if now_ns - watchdog_window_ns < <int64_t>watchdog_window_ms * 1000000:
        return
    watchdog_window_ns = now_ns
    watchdog_told_count = 0
    if watchdog_left_out:
        plainlog_begin(b"WAR")
        snprintf(message, sizeof(message), b"The loop was held %llu times more (slowLog).",
                 <unsigned long long>watchdog_left_out)
        plainlog_add_text(message)
        plainlog_end()
        watchdog_left_out = 0


# The end of the time for a stop.


cdef int watchdog_end_grace() noexcept nogil:
    """Milliseconds until that is looked at again; -1: nothing is to be looked at."""
    cdef uint64_t end_ns = pulse_load(&watchdog_grace_ns)
    cdef uint64_t since_ns = pulse_load(&pulse_since_ns)
    cdef int64_t left_ms
    if end_ns == 0:
        return -1
    left_ms = (<int64_t>end_ns - clock_read_ns()) // 1000000
    if left_ms > -WATCHDOG_LOOK_MS:    # the loop cuts by itself, if it can
        return <int>min(max(left_ms, <int64_t>0) + WATCHDOG_LOOK_MS, <int64_t>60000)
    if since_ns != 0 and since_ns < end_ns:
        pulse_store(&watchdog_grace_ns, 0)
        watchdog_terminate()
        return -1
    return WATCHDOG_LOOK_MS


# The thread.


cdef void* watchdog_main "watchdog_main"(void* nothing) noexcept nogil:
    cdef pollfd wanted
    cdef int rest_ms = 0
    cdef int grace_ms
    cdef int64_t now_ns
    wanted.fd = watchdog_signals[0]
    wanted.events = POLLIN
    memset(&watchdog_seen, 0, sizeof(watchdog_seen))
    while True:
        if poll(&wanted, 1, rest_ms) > 0 and wanted.revents & POLLNVAL:
            wanted.fd = -1             # an application that closes all descriptors
        if watchdog_is_ending():
            return NULL
        watchdog_take_signals()
        if watchdog_count_down():
            rest_ms = WATCHDOG_LOOK_MS
            continue
        rest_ms = -1 if wanted.fd >= 0 else 1000
        if pulse_load(&watchdog_slow_ms):
            now_ns = clock_read_ns()
            watchdog_turn_window(now_ns)
            if watchdog_look(now_ns):
                watchdog_tell(now_ns)
            rest_ms = watchdog_seen.rest_ms
        grace_ms = watchdog_end_grace()
        if grace_ms >= 0 and (rest_ms < 0 or grace_ms < rest_ms):
            rest_ms = grace_ms
