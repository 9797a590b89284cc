# core/readahead.pxi — reading from the disk what the loop must not wait for
#   Prefix: readahead
#   Owns:  one helper thread, its list of jobs and of what is done, the pipe that says so
#   Uses:  file
#   Never: Python in the helper; sockets
#   Holds: a job keeps its File alive; nothing waits that no connection waits for

cdef enum:
    READAHEAD_SIZE = 1024 * 1024       # bytes read for one job
    READAHEAD_BLOCK = 128 * 1024       # bytes of one read: the kernel's own window

cdef enum:                             # where a job is
    READAHEAD_QUEUED, READAHEAD_BEGUN, READAHEAD_DONE

cdef struct job_t:
    job_t* next
    job_t* previous                    # in the queue only
    int place                          # READAHEAD_; under the lock
    uint64_t key                       # who waits; 0: nobody any more
    PyObject* file                     # the File, held
    int fd
    uint64_t offset
    size_t size

cdef extern from *:
    """
    #include <pthread.h>
    #include <signal.h>
    static pthread_t readahead_thread;
    static int readahead_end_flag;
    static pthread_mutex_t readahead_mutex = PTHREAD_MUTEX_INITIALIZER;
    static pthread_cond_t readahead_wanted = PTHREAD_COND_INITIALIZER;

    static void *readahead_main(void *);   /* below, in Cython */
    /* Signals are for the main thread: it has a pipe for them. */
    static int readahead_spawn(void) {
        sigset_t all, before;
        int failed;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        failed = pthread_create(&readahead_thread, NULL, readahead_main, NULL);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return failed;
    }
    /* The helper may have held the lock at the fork: the child gets a lock of its own. */
    static void readahead_renew(void) {
        static const pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
        static const pthread_cond_t wanted = PTHREAD_COND_INITIALIZER;
        readahead_mutex = mutex;
        readahead_wanted = wanted;
    }
    #define readahead_lock() pthread_mutex_lock(&readahead_mutex)
    #define readahead_unlock() pthread_mutex_unlock(&readahead_mutex)
    #define readahead_wait() pthread_cond_wait(&readahead_wanted, &readahead_mutex)
    #define readahead_call() pthread_cond_signal(&readahead_wanted)
    #define readahead_join() pthread_join(readahead_thread, NULL)
    #define readahead_is_ending() __atomic_load_n(&readahead_end_flag, __ATOMIC_ACQUIRE)
    #define readahead_set_ending(value) \\
        __atomic_store_n(&readahead_end_flag, value, __ATOMIC_RELEASE)
    """
    int readahead_spawn()
    void readahead_renew() nogil
    void readahead_lock() nogil
    void readahead_unlock() nogil
    void readahead_wait() nogil
    void readahead_call() nogil
    void readahead_join() nogil
    bint readahead_is_ending() nogil
    void readahead_set_ending(bint value) nogil

# The lists belong to both threads: only under the lock.
cdef job_t* readahead_first
cdef job_t* readahead_last
cdef job_t* readahead_done
cdef bint readahead_held               # a test plays a disk that does not answer
# The rest is the loop's own.
cdef bint readahead_running
cdef int readahead_pipe[2]
cdef uint64_t readahead_count          # jobs so far, for stats
readahead_pipe[0] = readahead_pipe[1] = -1


cdef int readahead_open() noexcept:
    """Starts the helper; the descriptor that says when something is done, or -1."""
    global readahead_running
    if readahead_running:
        return readahead_pipe[0]
    readahead_set_ending(False)
    if pipe2(readahead_pipe, O_CLOEXEC | O_NONBLOCK) < 0:
        return -1
    if readahead_spawn() != 0:
        posix_close(readahead_pipe[0])
        posix_close(readahead_pipe[1])
        return -1
    readahead_running = True
    return readahead_pipe[0]


cdef void readahead_close() noexcept:
    """Ends the helper, after the block it is at; jobs are dropped."""
    global readahead_running, readahead_last
    if not readahead_running:
        return
    readahead_lock()
    readahead_set_ending(True)
    readahead_call()
    readahead_unlock()
    with nogil:
        readahead_join()
    readahead_running = False
    readahead_drop(&readahead_first)
    readahead_drop(&readahead_done)
    readahead_last = NULL
    posix_close(readahead_pipe[0])
    posix_close(readahead_pipe[1])


cdef void readahead_forget() noexcept nogil:
    """In a child: the helper is the parent's, and so are its jobs."""
    global readahead_running, readahead_first, readahead_last, readahead_done
    if not readahead_running:
        return
    readahead_running = False
    readahead_first = readahead_last = readahead_done = NULL
    readahead_renew()
    posix_close(readahead_pipe[0])
    posix_close(readahead_pipe[1])


cdef void readahead_drop(job_t** list_) noexcept:
    cdef job_t* job
    while list_[0] != NULL:
        job = list_[0]
        list_[0] = job.next
        readahead_free(job)


cdef void readahead_free(job_t* job) noexcept:
    Py_DECREF(<object>job.file)
    free(job)


cdef job_t* readahead_ask(File file, uint64_t offset, uint64_t size, uint64_t key) noexcept:
    """Has the helper read from `offset` on; `key` (not 0) comes back from readahead_take. The job,
    for readahead_cancel, or NULL: no memory."""
    global readahead_first, readahead_last, readahead_count
    cdef job_t* job = <job_t*>malloc(sizeof(job_t))
    if job == NULL:
        return NULL
    job.next = NULL
    job.key = key
    job.place = READAHEAD_QUEUED
    job.file = <PyObject*>file
    job.fd = file.fd
    job.offset = offset
    job.size = min(size, <uint64_t>READAHEAD_SIZE)
    Py_INCREF(file)
    readahead_count += 1
    readahead_lock()
    job.previous = readahead_last
    if readahead_first == NULL:
        readahead_first = job
    else:
        readahead_last.next = job
    readahead_last = job
    readahead_call()
    readahead_unlock()
    return job


cdef void readahead_cancel(job_t* job) noexcept:
    """Nobody waits for it any more. Unless it has been begun, it and its File are gone at once, so
    that no more jobs wait than connections."""
    cdef bint queued
    readahead_lock()
    queued = job.place == READAHEAD_QUEUED
    if queued:
        readahead_unlink(job)
    readahead_unlock()
    if queued:
        readahead_free(job)
    else:
        job.key = 0


cdef void readahead_unlink(job_t* job) noexcept nogil:
    """Takes a job out of the queue; under the lock."""
    global readahead_first, readahead_last
    if job.previous == NULL:
        readahead_first = job.next
    else:
        job.previous.next = job.next
    if job.next == NULL:
        readahead_last = job.previous
    else:
        job.next.previous = job.previous


cdef job_t* readahead_take() noexcept:
    """A job that is done, for readahead_free, or NULL."""
    global readahead_done
    cdef job_t* job
    readahead_lock()
    job = readahead_done
    if job != NULL:
        readahead_done = job.next
    readahead_unlock()
    return job


cdef void* readahead_main "readahead_main"(void* nothing) noexcept nogil:
    """The helper: no Python here, and nothing that is the loop's."""
    global readahead_done
    cdef char* block = <char*>malloc(READAHEAD_BLOCK)
    cdef char[1] said
    cdef job_t* job
    while True:
        readahead_lock()
        while (readahead_first == NULL or readahead_held) and not readahead_is_ending():
            readahead_wait()
        if readahead_is_ending():
            readahead_unlock()
            free(block)
            return NULL
        job = readahead_first
        readahead_unlink(job)
        job.place = READAHEAD_BEGUN
        readahead_unlock()
        if block != NULL:
            readahead_read(job, block)
        readahead_lock()
        job.place = READAHEAD_DONE
        job.next = readahead_done
        readahead_done = job
        readahead_unlock()
        said[0] = 1
        posix_write(readahead_pipe[1], said, 1)   # full: the loop is awake anyway


cdef void readahead_read(const job_t* job, char* block) noexcept nogil:
    """What is read is thrown away: the kernel keeps it. A failure shows when it is sent."""
    cdef uint64_t at = job.offset
    cdef uint64_t end = job.offset + job.size
    cdef ssize_t count
    while at < end and not readahead_is_ending():
        count = pread(job.fd, block, min(<uint64_t>READAHEAD_BLOCK, end - at), at)
        if count <= 0:
            return
        at += count
