# core/witness.pxi — where the code is that holds the loop
#   Prefix: witness
#   Owns:  a look at the stack with the GIL, in a thread made for it; the dump by faulthandler, with
#          its signal and its pipe
#   Uses:  clock, pulse, plainlog, request, objects, current, context
#   Never: the decision that a step is slow, or that the process ends
#   Holds: the watchdog's thread needs no GIL and waits a bounded time for everything here

# A stack is read in one of two ways. With the GIL nothing moves meanwhile, so Python can make a
# readable text of it. Code that keeps the GIL is interrupted by a signal instead: faulthandler
# writes the stack in the loop's own thread, where it cannot change under the reader. A thread that
# walks the stack of another one that runs, as faulthandler.dump_traceback_later does, may crash.

cdef enum:
    WITNESS_GIL_MS = 100               # so long is waited for the GIL
    WITNESS_DUMP_MS = 1000             # and so long for a dump
    WITNESS_DUMP_SIZE = 128 * 1024     # bytes of a dump: 100 stacks of 15 frames; the rest is lost
    WITNESS_LINE_SIZE = 500            # bytes of a request line that are shown
    WITNESS_TOLD_COUNT = 16            # requests that are remembered as told of

cdef enum:                             # what is asked for
    WITNESS_STACK                      # the loop's stack is reported
    WITNESS_HOLD                       # the GIL is kept, so that all stacks stand still for a dump

cdef enum:                             # how far a thread that wants the GIL has come
    WITNESS_FREE                       # there is none
    WITNESS_ASKED
    WITNESS_HEARD                      # it has the GIL
    WITNESS_LATE                       # it is not waited for any more, and does nothing
    WITNESS_ENDED                      # to be joined

cdef extern from *:
    """
    #include <errno.h>
    #include <poll.h>
    #include <pthread.h>
    #include <signal.h>
    #include <stdint.h>
    #include <unistd.h>
    static pthread_t witness_loop;         /* the thread that is watched */
    static pthread_t witness_thread;       /* the one that wants the GIL */
    static int witness_place;              /* WITNESS_FREE … */
    static int witness_dumped;
    static void (*witness_faulthandler)(int);

    static void witness_speak(void);       /* below, in Cython */
    static void witness_write_line(void);

    static int witness_spawn_any(pthread_t *thread, void *(*main)(void *), void *argument) {
        sigset_t all, before;
        int failed;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        failed = pthread_create(thread, NULL, main, argument);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return failed;
    }

    static void *witness_main(void *nothing) {
        (void)nothing;
        witness_speak();
        __atomic_store_n(&witness_place, 4 /* WITNESS_ENDED */, __ATOMIC_RELEASE);
        return NULL;
    }
    #define witness_spawn() witness_spawn_any(&witness_thread, witness_main, NULL)
    #define witness_join() pthread_join(witness_thread, NULL)
    #define witness_load_place() __atomic_load_n(&witness_place, __ATOMIC_ACQUIRE)
    #define witness_store_place(value) __atomic_store_n(&witness_place, value, __ATOMIC_RELEASE)
    static int witness_swap(int from, int to) {
        return __atomic_compare_exchange_n(&witness_place, &from, to, 0, __ATOMIC_ACQ_REL,
                                           __ATOMIC_ACQUIRE);
    }
    #define witness_watch_this_thread() (witness_loop = pthread_self())

    /* The end of the process, also if what is done until then takes for ever. */
    static void *witness_end(void *status) {
        poll(NULL, 0, 1500);
        _exit((int)(intptr_t)status);
    }
    static void witness_end_soon(int status) {
        pthread_t thread;
        (void)witness_spawn_any(&thread, witness_end, (void *)(intptr_t)status);
    }

    /* Runs in the loop's thread, amid whatever it is doing. */
    static void witness_on_signal(int number) {
        int kept = errno;
        witness_write_line();
        witness_faulthandler(number);
        __atomic_store_n(&witness_dumped, 1, __ATOMIC_RELEASE);
        errno = kept;
    }

    #ifdef SIGRTMAX
    /* A signal that means nothing here, or 0. */
    static int witness_find_signal(void) {
        struct sigaction now;
        int number;
        for (number = SIGRTMAX - 1; number > SIGRTMIN; number--)
            if (sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
                return number;
        return 0;
    }
    #else   /* macOS has none to spare */
    #define witness_find_signal() 0
    #endif

    /* Puts our handler before faulthandler's, which it calls. */
    static int witness_take_over(int number) {
        struct sigaction now;
        if (sigaction(number, NULL, &now) != 0 || now.sa_handler == SIG_DFL
            || (now.sa_flags & SA_SIGINFO))
            return -1;
        witness_faulthandler = now.sa_handler;
        now.sa_handler = witness_on_signal;
        now.sa_flags |= SA_RESTART;        /* or a handler's system call would fail by it */
        return sigaction(number, &now, NULL);
    }
    /* A dump that is still on its way must not meet the default, which is death. */
    static void witness_discard(int number) {
        signal(number, SIG_IGN);
        signal(number, SIG_DFL);
    }
    static int witness_send(int number) {
        __atomic_store_n(&witness_dumped, 0, __ATOMIC_RELEASE);
        return pthread_kill(witness_loop, number);
    }
    #define witness_is_dumped() __atomic_load_n(&witness_dumped, __ATOMIC_ACQUIRE)
    """
    int witness_spawn() nogil
    void witness_join() nogil
    int witness_load_place() nogil
    void witness_store_place(int value) nogil
    bint witness_swap(int before, int after) nogil
    void witness_watch_this_thread() nogil
    void witness_end_soon(int exit_status) nogil
    int witness_find_signal() nogil
    int witness_take_over(int number) nogil
    void witness_discard(int number) nogil
    int witness_send(int number) nogil
    bint witness_is_dumped() nogil

cdef const char* WITNESS_NOTHING = b"work of the server itself"
cdef object witness_report             # report(what, held_ms, frame)
cdef object witness_ident              # of the loop's thread, for Python
cdef int witness_signal                # 0: there are no dumps
cdef int witness_pipe[2]               # what faulthandler writes
cdef int witness_kind                  # what the thread is asked for, and about which step
cdef uint64_t witness_since_ns
cdef int64_t witness_held_ms
cdef uint64_t witness_number           # of the request that a dump has met; 0: none
cdef uint64_t witness_told[WITNESS_TOLD_COUNT]
cdef int witness_told_next
cdef char witness_text[WITNESS_DUMP_SIZE]
witness_pipe[0] = witness_pipe[1] = -1


cdef int witness_open(report) except -1:
    """Watches the calling thread. Without faulthandler, or a signal for it, there are no dumps."""
    global witness_report, witness_ident, witness_signal
    import faulthandler
    from _thread import get_ident
    witness_report = report
    witness_ident = get_ident()
    witness_watch_this_thread()
    memset(witness_told, 0, sizeof(witness_told))
    if pipe2(witness_pipe, O_CLOEXEC | O_NONBLOCK) < 0:
        raise OSError(errno, "no pipe for stacks")
    witness_signal = witness_find_signal()
    if witness_signal:
        faulthandler.register(witness_signal, file=witness_pipe[1], all_threads=True, chain=False)
        if witness_take_over(witness_signal) < 0:
            witness_quit_signal()
    return 0


cdef int witness_quit_signal() except -1:
    global witness_signal
    import faulthandler
    number = witness_signal
    witness_signal = 0
    if number:
        faulthandler.unregister(number)
        witness_discard(number)
    return 0


cdef int witness_close() except -1:
    """When the watchdog's thread has ended."""
    global witness_report
    witness_swap(WITNESS_ASKED, WITNESS_LATE)
    if witness_load_place() != WITNESS_FREE:
        with nogil:
            witness_join()
    witness_store_place(WITNESS_FREE)
    witness_report = None
    witness_quit_signal()
    witness_forget()
    return 0


cdef void witness_forget() noexcept nogil:
    """Closes the descriptors. In a child that was forked this is all: its threads are gone."""
    cdef int i
    witness_store_place(WITNESS_FREE)
    for i in range(2):
        if witness_pipe[i] >= 0:
            posix_close(witness_pipe[i])
        witness_pipe[i] = -1


# With the GIL.


cdef bint witness_ask(int kind, uint64_t since_ns, int64_t held_ms) noexcept nogil:
    """Has a thread take the GIL; False: it could not be had in time."""
    global witness_kind, witness_since_ns, witness_held_ms
    cdef int waited_ms = 0
    if witness_load_place() == WITNESS_ENDED:
        witness_join()
        witness_store_place(WITNESS_FREE)
    if witness_load_place() != WITNESS_FREE:
        return False                   # the one before still waits for it
    witness_kind = kind
    witness_since_ns = since_ns
    witness_held_ms = held_ms
    witness_store_place(WITNESS_ASKED)
    if witness_spawn() != 0:
        witness_store_place(WITNESS_FREE)
        return False
    while witness_load_place() == WITNESS_ASKED and waited_ms < WITNESS_GIL_MS:
        poll(NULL, 0, 2)
        waited_ms += 2
    return not witness_swap(WITNESS_ASKED, WITNESS_LATE)


cdef void witness_speak "witness_speak"() noexcept with gil:
    """The thread's work. The turn may have ended while it waited: then there is nothing to say."""
    if not witness_swap(WITNESS_ASKED, WITNESS_HEARD):
        return
    while witness_kind == WITNESS_HOLD:
        poll(NULL, 0, 1000)            # the process ends meanwhile
    if pulse_load(&pulse_since_ns) != witness_since_ns or witness_tells_again(witness_request()):
        return
    from sys import _current_frames
    witness_report(witness_what(), witness_held_ms, _current_frames().get(witness_ident))


cdef object witness_what():
    """The request that is being handled, or what else the loop does."""
    if current_request != NULL and (<RequestState>current_request).r != NULL:
        return f"{(<Request>current_request).method} {(<Request>current_request).target}"
    return (pulse_kind if pulse_kind != NULL else WITNESS_NOTHING).decode("ascii")


cdef uint64_t witness_request() noexcept nogil:
    """The number of the request that is being handled; 0: none is."""
    if current_request == NULL or (<RequestState>current_request).r == NULL:
        return 0
    return (<RequestState>current_request).number


cdef bint witness_tells_again(uint64_t number) noexcept nogil:
    """Was it told of before? If not, it is from now on. A stream may be slow at each step."""
    global witness_told_next
    cdef int i
    if number == 0:
        return False
    for i in range(WITNESS_TOLD_COUNT):
        if witness_told[i] == number:
            return True
    witness_told[witness_told_next] = number
    witness_told_next = (witness_told_next + 1) % WITNESS_TOLD_COUNT
    return False


# Without the GIL.


cdef void witness_write_line "witness_write_line"() noexcept nogil:
    """In the signal handler: the request line, before the stacks. write() reports an address that
    is none, instead of crashing."""
    global witness_number
    cdef request_t* r
    cdef const char* kind = pulse_kind
    witness_number = witness_request()
    if witness_number:
        r = (<RequestState>current_request).r
        posix_write(witness_pipe[1], r.data + r.head.method_start, r.head.method_size)
        posix_write(witness_pipe[1], b" ", 1)
        posix_write(witness_pipe[1], r.data + r.head.target_start, r.head.target_size)
    elif kind != NULL:
        posix_write(witness_pipe[1], kind, strlen(kind))
    posix_write(witness_pipe[1], b"\n", 1)


cdef size_t witness_dump() noexcept nogil:
    """All stacks into witness_text, after a line that says what the loop does; how many bytes, 0:
    they could not be had."""
    cdef size_t size = 0
    cdef int64_t end_ns = clock_read_ns() + <int64_t>WITNESS_DUMP_MS * 1000000
    cdef ssize_t count
    cdef bint is_dumped
    if witness_signal == 0:
        return 0
    while posix_read(witness_pipe[0], witness_text, WITNESS_DUMP_SIZE) > 0:
        pass                           # of a dump that came too late
    if witness_send(witness_signal) != 0:
        return 0
    while clock_read_ns() < end_ns and size < WITNESS_DUMP_SIZE - 1:
        is_dumped = witness_is_dumped()
        count = posix_read(witness_pipe[0], witness_text + size, WITNESS_DUMP_SIZE - 1 - size)
        if count > 0:
            size += count
        elif is_dumped:
            break
        else:
            poll(NULL, 0, 1)
    witness_text[size] = 0
    return size


cdef void witness_log(const char* level, const char* message, size_t size,
                      bint all_stacks) noexcept nogil:
    """Logs what the loop does, the message, and below it the stacks of witness_text."""
    cdef char* what_end = strchr(witness_text, c'\n') if size else NULL
    cdef char* stacks = what_end
    plainlog_begin(level)
    if what_end > witness_text:
        plainlog_add(witness_text, min(<size_t>(what_end - witness_text),
                                       <size_t>WITNESS_LINE_SIZE))
    else:
        plainlog_add_text(WITNESS_NOTHING)
    plainlog_add_text(message)
    if stacks != NULL and not all_stacks:
        stacks = strstr(what_end, b"\nCurrent thread")
    if stacks != NULL:
        while size and witness_text[size - 1] == c'\n':
            size -= 1
        plainlog_add(stacks, witness_text + size - stacks)
    plainlog_end()
