# core/fork.pxi — is this still the process that serves?
#   Prefix: fork
#   Owns:  the hooks of fork, what they have seen; which descriptors of Python's are the server's;
#          the dispositions of signals from before the server; the end of a child
#   Uses:  limits
#   Never: whose tables hold descriptors; child does
#   Holds: nothing of the parent's is used by a child after the hook: a descriptor is closed there,
#          never shut down, and what Python still believes to own has become /dev/null

# The hooks are pthread_atfork's, so that forks of C code count too. The child's hook runs without
# the GIL, in a process whose other threads are gone: it takes no lock and allocates nothing.

cdef extern from *:
    """
    #include <fcntl.h>
    #include <pthread.h>
    #include <signal.h>
    #include <stdint.h>
    #include <unistd.h>

    #define FORK_DESCRIPTOR_MAX (1 << 20)   /* Linux's nr_open; one beyond it stays open */
    static const int fork_signal[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2};
    #define FORK_SIGNAL_COUNT ((int)(sizeof(fork_signal) / sizeof(fork_signal[0])))

    static uint64_t fork_owned[FORK_DESCRIPTOR_MAX / 64];
    static int fork_owned_end;              /* no descriptor from here on was ever owned */
    static int fork_null = -1;              /* the child's /dev/null, while the hook runs */
    static struct sigaction fork_before[FORK_SIGNAL_COUNT];
    static int fork_signals_caught;
    static __thread int fork_kept;          /* this thread makes a process of nodepp's own */
    static __thread int fork_masked;        /* between the hooks: signals are held back */
    static __thread sigset_t fork_mask;

    static int fork_parted;                 /* a child has been made: it may hold descriptors */
    static int fork_orphaned;               /* a child, and no engine has been opened in it */
    static int fork_generation;

    static void (*fork_forget)(void);       /* what a child does first; without the GIL */

    static void fork_mark(int fd) {
        if (fd < 0 || fd >= FORK_DESCRIPTOR_MAX) return;
        fork_owned[fd / 64] |= (uint64_t)1 << fd % 64;
        if (fd >= fork_owned_end) fork_owned_end = fd + 1;
    }

    static void fork_unmark(int fd) {
        if (fd >= 0 && fd < FORK_DESCRIPTOR_MAX) fork_owned[fd / 64] &= ~((uint64_t)1 << fd % 64);
    }

    /* Closes a descriptor whose number must stay taken: its owner closes it once more. */
    static void fork_replace(int fd) {
        if (fork_null < 0) fork_null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fork_null < 0 || dup2(fork_null, fd) < 0) close(fd);
        else fcntl(fd, F_SETFD, FD_CLOEXEC);
    }

    static void fork_replace_owned(void) {
        int word, words = (fork_owned_end + 63) / 64;
        for (word = 0; word < words; word++)
            while (fork_owned[word]) {
                fork_replace(word * 64 + __builtin_ctzll(fork_owned[word]));
                fork_owned[word] &= fork_owned[word] - 1;
            }
    }

    /* A signal between fork and the child's hook would run the server's handler in the child, or
       wake the parent through the pipe that both have then. */
    static void fork_prepare(void) {
        sigset_t ours;
        int i;
        fork_masked = !fork_kept && fork_signals_caught;
        if (!fork_masked) return;
        sigemptyset(&ours);
        for (i = 0; i < FORK_SIGNAL_COUNT; i++) sigaddset(&ours, fork_signal[i]);
        pthread_sigmask(SIG_BLOCK, &ours, &fork_mask);
    }

    static void fork_unmask(void) {
        if (fork_masked) pthread_sigmask(SIG_SETMASK, &fork_mask, NULL);
    }

    static void fork_in_parent(void) {
        if (fork_kept) return;
        fork_parted = 1;
        fork_unmask();
    }

    static void fork_in_child(void) {
        int i;
        if (fork_kept) return;
        fork_orphaned = 1;
        fork_generation++;
        for (i = 0; fork_signals_caught && i < FORK_SIGNAL_COUNT; i++)
            sigaction(fork_signal[i], &fork_before[i], NULL);
        fork_signals_caught = 0;
        if (fork_forget) fork_forget();
        fork_replace_owned();
        if (fork_null >= 0) close(fork_null);
        fork_null = -1;
        fork_unmask();
    }

    static int fork_hook(void) {
        return pthread_atfork(fork_prepare, fork_in_parent, fork_in_child);
    }

    static void fork_note_signals(void) {
        int i;
        for (i = 0; i < FORK_SIGNAL_COUNT; i++) sigaction(fork_signal[i], NULL, &fork_before[i]);
        fork_signals_caught = 1;
    }

    #define fork_drop_signals() (fork_signals_caught = 0)
    #define fork_set_kept(value) (fork_kept = (value))
    #define fork_set_forget(function) (fork_forget = (function))
    """
    int fork_parted
    int fork_orphaned
    int fork_generation
    void fork_mark(int fd) nogil
    void fork_unmark(int fd) nogil
    void fork_replace(int fd) nogil
    int fork_hook()
    void fork_note_signals()
    void fork_drop_signals()
    void fork_set_kept(int value)
    void fork_set_forget(void (*forget)() noexcept nogil)

if fork_hook():
    raise MemoryError("no room for the hooks of fork")


def fork_worker() -> int:
    """os.fork() for a process of nodepp's own, such as a worker: what it gives. Both keep all that
    there is, listeners, signals and the session table too; the hooks do nothing."""
    from os import fork
    fork_set_kept(True)
    try:
        return fork()
    finally:
        fork_set_kept(False)


def fork_count() -> int:
    """How many forks lie between this process and the one that loaded the core. Code that compares
    it before and after a call knows whether it has become a child; fork_worker() does not count."""
    return fork_generation


def fork_own(int fd) -> None:
    """A descriptor that is the server's: a child that the application forks finds /dev/null there.
    fork_disown() comes before it is closed."""
    fork_mark(fd)


def fork_disown(int fd) -> None:
    """The descriptor is about to be closed, or no longer the server's."""
    fork_unmark(fd)


def fork_keep_signals() -> None:
    """Before the server's handlers are set: a child gets the dispositions of now back, of TERM,
    INT, QUIT, HUP, USR1 and USR2."""
    fork_note_signals()


def fork_release_signals() -> None:
    """When they are no longer the server's."""
    fork_drop_signals()


def fork_exit(problem=None) -> None:
    """Ends this process, a child whose code has come back to the server or has raised `problem`:
    flushes the standard streams, and no handler of the parent's runs."""
    fork_leave(problem)


cdef inline int fork_check(problem) noexcept:
    """After each call of the application's code, with what it raised or None: a child ends here."""
    if unlikely_(fork_orphaned):
        fork_leave(problem)
    return 0


cdef void fork_leave(problem) noexcept:
    """Status 0, that of a SystemExit, or 1 after the traceback, as an interpreter gives them."""
    import os
    import sys
    cdef int status = 1
    try:
        status = fork_status(problem)
    except BaseException:              # stderr is closed or full: the status alone tells
        pass
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:          # likewise, or there is none
            pass
    os._exit(status)


cdef int fork_status(problem) except? -1:
    import sys
    if problem is None:
        return 0
    if not isinstance(problem, SystemExit):
        from nodepp.library import library
        library("traceback").print_exception(type(problem), problem, problem.__traceback__)
        return 1
    if problem.code is None:
        return 0
    if isinstance(problem.code, int):
        return <int>(problem.code & 0xFF)
    print(problem.code, file=sys.stderr)
    return 1
