# core/plainlog.pxi — entries of the error log that are written without Python
#   Prefix: plainlog
#   Owns:  a duplicate of the log's descriptor; the time, the level and the shape of an entry
#   Uses:  nothing
#   Never: waiting longer than a second for room: the rest of an entry is lost then
#   Holds: one thread writes at a time; the descriptor is changed under the lock

cdef enum:
    PLAINLOG_SIZE = 192 * 1024         # bytes of an entry; what is longer ends there
    PLAINLOG_WRITE_SIZE = 4096         # bytes of one write: a pipe that polls writable takes them
    PLAINLOG_WAIT_MS = 1000            # for room in the log
    PLAINLOG_TRY_MAX = 200             # writes of an entry

cdef extern from *:
    """
    #include <pthread.h>
    static pthread_mutex_t plainlog_mutex = PTHREAD_MUTEX_INITIALIZER;
    #define plainlog_lock() pthread_mutex_lock(&plainlog_mutex)
    #define plainlog_unlock() pthread_mutex_unlock(&plainlog_mutex)
    #define plainlog_renew_lock() \\
        (plainlog_mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER)
    """
    void plainlog_lock() nogil
    void plainlog_unlock() nogil
    void plainlog_renew_lock() nogil

cdef int plainlog_fd = -1              # a duplicate: the log may be reopened while one writes
cdef bint plainlog_dated
cdef char plainlog_text[PLAINLOG_SIZE]
cdef size_t plainlog_size


cdef void plainlog_set(int fd, bint dated) noexcept nogil:
    """Where entries go; -1: nowhere. dated: with the date before the time."""
    global plainlog_fd, plainlog_dated
    plainlog_lock()
    if plainlog_fd >= 0:
        posix_close(plainlog_fd)
    plainlog_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3) if fd >= 0 else -1
    plainlog_dated = dated
    plainlog_unlock()


cdef void plainlog_forget() noexcept nogil:
    """In a child that was forked: its parent's log is not its own."""
    plainlog_renew_lock()
    plainlog_set(-1, False)


cdef void plainlog_begin(const char* level) noexcept nogil:
    """Begins an entry, as log.py has it: time, level, message."""
    global plainlog_size
    cdef timespec now
    cdef tm local
    cdef const char* shape = b"%Y-%m-%d %H:%M:%S" if plainlog_dated else b"%H:%M:%S"
    clock_gettime(CLOCK_REALTIME, &now)
    localtime_r(&now.tv_sec, &local)
    plainlog_size = strftime(plainlog_text, 64, shape, &local)
    plainlog_size += snprintf(plainlog_text + plainlog_size, 64, b".%03d %s ",
                              <int>(now.tv_nsec // 1000000), level)


cdef void plainlog_add(const char* text, size_t size) noexcept nogil:
    """Adds to the entry. A peer may have sent it: a line break does not begin an entry, and other
    control characters do not reach a terminal."""
    global plainlog_size
    cdef size_t i
    for i in range(size):
        if text[i] == c'\n':
            plainlog_break()
        elif plainlog_size < PLAINLOG_SIZE - 1:
            plainlog_text[plainlog_size] = text[i] if 32 <= text[i] < 127 else c'?'
            plainlog_size += 1


cdef void plainlog_add_text(const char* text) noexcept nogil:
    plainlog_add(text, strlen(text))


cdef void plainlog_break() noexcept nogil:
    """A further line of the same entry."""
    global plainlog_size
    if plainlog_size + 6 < PLAINLOG_SIZE:
        memcpy(plainlog_text + plainlog_size, b"\n    ", 5)
        plainlog_size += 5


cdef void plainlog_end() noexcept nogil:
    """Writes the entry."""
    cdef size_t at = 0
    cdef ssize_t count
    cdef pollfd room
    cdef int i
    plainlog_text[plainlog_size] = c'\n'
    plainlog_lock()
    room.fd = fcntl(plainlog_fd, F_DUPFD_CLOEXEC, 3) if plainlog_fd >= 0 else -1
    plainlog_unlock()
    room.events = POLLOUT
    for i in range(PLAINLOG_TRY_MAX):
        if room.fd < 0 or at > plainlog_size or poll(&room, 1, PLAINLOG_WAIT_MS) <= 0:
            break
        count = posix_write(room.fd, plainlog_text + at,
                            min(<size_t>PLAINLOG_WRITE_SIZE, plainlog_size + 1 - at))
        if count > 0:
            at += count
        elif errno != EAGAIN and errno != EINTR:
            break
    if room.fd >= 0:
        posix_close(room.fd)
