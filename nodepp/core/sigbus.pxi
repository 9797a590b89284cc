# core/sigbus.pxi — a mapped file that loses its pages does not end the process
#   Prefix: sigbus
#   Owns:  the handler of SIGBUS; the mapped files that it knows
#   Uses:  nothing
#   Never: what lies in a file; what becomes of its table
#   Holds: a fault outside of the mapped files is for the handler that was there before

# A page of a mapped file that the file does not have any more (it was cut), or that the disk cannot
# give or take, is a SIGBUS at the instruction that touches it. The handler puts zero pages in the
# place of the whole mapping, sets the owner's flag and returns: the instruction is executed again.
# mmap is not on the list of what a handler may call; on Linux and macOS it is a system call and
# nothing else.
cdef extern from *:
    """
    #include <errno.h>
    #include <signal.h>
    #include <stddef.h>
    #include <stdint.h>
    #include <string.h>
    #include <sys/mman.h>

    #define SIGBUS_MAP_MAX 16       /* mapped files; a start that converts one has two */

    static struct { volatile uintptr_t start; volatile size_t size; volatile uint32_t *flag; }
        sigbus_map[SIGBUS_MAP_MAX];
    static volatile int sigbus_count;                   /* of them in use */
    static struct sigaction sigbus_before;              /* whose faults the others are */
    static volatile sig_atomic_t sigbus_passed;         /* a fault was given to it */

    /* Zero pages for the mapping that has this address; 0: it is none of ours. */
    static int sigbus_replace(uintptr_t at) {
        int i;
        for (i = 0; i < SIGBUS_MAP_MAX; i++) {
            size_t size = sigbus_map[i].size;
            uintptr_t start = sigbus_map[i].start;
            if (size == 0 || at < start || at - start >= size) continue;
            if (mmap((void *)start, size, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE
                     | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) == MAP_FAILED) return 0;
            *sigbus_map[i].flag = 1;
            return 1;
        }
        return 0;
    }

    /* A handler that has been told of a fault and ends by raise(), as faulthandler does, may come
       here again: then the signal does what it does without a handler. */
    static void sigbus_pass(int number, siginfo_t *info, void *context) {
        struct sigaction before = sigbus_before;
        int by_kernel = info->si_code > 0;
        int is_plain = !(before.sa_flags & SA_SIGINFO);
        if (is_plain && before.sa_handler == SIG_IGN && !by_kernel) return;
        if ((!by_kernel && (sigbus_passed || sigbus_count == 0))
                || (is_plain && (before.sa_handler == SIG_DFL || before.sa_handler == SIG_IGN))) {
            signal(number, SIG_DFL);        /* a fault strikes again */
            if (!by_kernel) raise(number);
            return;
        }
        sigbus_passed = by_kernel;
        if (is_plain) before.sa_handler(number);
        else before.sa_sigaction(number, info, context);
    }

    static void sigbus_handle(int number, siginfo_t *info, void *context) {
        int kept = errno;
        if (info->si_code <= 0 || !sigbus_replace((uintptr_t)info->si_addr))
            sigbus_pass(number, info, context);
        errno = kept;
    }

    /* Puts our handler before the one that is there, if it has something to do. Again after a
       library may have put its own in the way. */
    static void sigbus_install(void) {
        struct sigaction now, ours;
        memset(&ours, 0, sizeof(ours));
        if (sigbus_count == 0 || sigaction(SIGBUS, NULL, &now) != 0) return;
        if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == sigbus_handle) return;
        sigbus_before = now;
        ours.sa_sigaction = sigbus_handle;
        ours.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
        sigemptyset(&ours.sa_mask);
        sigaction(SIGBUS, &ours, NULL);
    }

    static void sigbus_restore(void) {
        struct sigaction now;
        if (sigaction(SIGBUS, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO)
                && now.sa_sigaction == sigbus_handle)
            sigaction(SIGBUS, &sigbus_before, NULL);
    }

    /* From now on faults of this mapping are survived, and set the flag. 0: there are too many. */
    static int sigbus_watch(void *start, size_t size, uint32_t *flag) {
        int i;
        for (i = 0; i < SIGBUS_MAP_MAX; i++) {
            if (sigbus_map[i].size) continue;
            sigbus_map[i].start = (uintptr_t)start;
            sigbus_map[i].flag = flag;
            sigbus_map[i].size = size;
            sigbus_count++;
            sigbus_install();
            return 1;
        }
        return 0;
    }

    /* Before it is unmapped. The last one takes the handler with it. */
    static void sigbus_forget(const void *start) {
        int i;
        for (i = 0; i < SIGBUS_MAP_MAX; i++) {
            if (sigbus_map[i].size == 0 || sigbus_map[i].start != (uintptr_t)start) continue;
            sigbus_map[i].size = 0;
            if (--sigbus_count == 0) sigbus_restore();
        }
    }
    """
    void sigbus_install() noexcept nogil
    bint sigbus_watch(void* start, size_t size, uint32_t* flag) noexcept nogil
    void sigbus_forget(const void* start) noexcept nogil
