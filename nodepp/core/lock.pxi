# core/lock.pxi — one at a time, also between processes, whoever dies in between
#   Prefix: lock
#   Owns:  the robust mutex in shared memory; loads and stores that other processes see in order
#   Uses:  nothing
#   Never: what is being guarded
#   Holds: a lock whose holder died is given to the next with word of it, and is sound after that

cdef enum:                             # outcomes of lock_take
    LOCK_TAKEN
    LOCK_INHERITED                     # its holder died: what it guards must be mended first
    LOCK_BROKEN                        # it is no lock any more; what it guards checks all it reads

cdef extern from *:
    """
    #include <errno.h>
    #include <pthread.h>
    #include <stdint.h>
    typedef pthread_mutex_t lock_t;

    static int lock_init(lock_t *lock) {
        pthread_mutexattr_t kind;
        int failed = pthread_mutexattr_init(&kind);
        if (failed) return failed;
        failed = pthread_mutexattr_setpshared(&kind, PTHREAD_PROCESS_SHARED);
    #ifdef __linux__    /* elsewhere sessions are one process's own: nobody inherits */
        if (!failed) failed = pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
    #endif
        if (!failed) failed = pthread_mutex_init(lock, &kind);
        pthread_mutexattr_destroy(&kind);
        return failed;
    }

    /* An outcome of LOCK_, in this order. */
    static inline int lock_take(lock_t *lock) {
        int failed = pthread_mutex_lock(lock);
    #ifdef __linux__
        if (failed == EOWNERDEAD) return 1;
    #endif
        return failed ? 2 : 0;
    }

    /* After mending: until then the next one would be told of the death again. */
    static void lock_mended(lock_t *lock) {
    #ifdef __linux__
        pthread_mutex_consistent(lock);
    #endif
        (void)lock;
    }

    static inline void lock_give(lock_t *lock) { pthread_mutex_unlock(lock); }

    /* What another process reads without the lock. A store orders all that was written before it,
       a load all that is read after it; lock_fence orders reads among themselves. */
    #define lock_load(at) __atomic_load_n((at), __ATOMIC_ACQUIRE)
    #define lock_store(at, value) __atomic_store_n((at), (value), __ATOMIC_RELEASE)
    #define lock_fence() __atomic_thread_fence(__ATOMIC_ACQUIRE)
    #define lock_fence_all() __atomic_thread_fence(__ATOMIC_SEQ_CST)
    #define lock_prefetch(at) __builtin_prefetch(at)
    """
    ctypedef struct lock_t:
        pass
    int lock_init(lock_t* lock) noexcept nogil
    int lock_take(lock_t* lock) noexcept nogil
    void lock_mended(lock_t* lock) noexcept nogil
    void lock_give(lock_t* lock) noexcept nogil
    uint32_t lock_load(const uint32_t* at) noexcept nogil
    uint16_t lock_load_16 "lock_load"(const uint16_t* at) noexcept nogil
    void lock_store(uint32_t* at, uint32_t value) noexcept nogil
    void lock_fence() noexcept nogil
    void lock_fence_all() noexcept nogil
    void lock_prefetch(const void* at) noexcept nogil
