# What the core uses of libc. Declarations only: no code lives here.
from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from posix.types cimport off_t


cdef extern from "<errno.h>" nogil:
    int errno
    int EAGAIN, EWOULDBLOCK, EINTR, EMFILE, ENFILE, ENOBUFS, ENOMEM, ECONNABORTED, EPROTO, EPERM
    int ENOSYS, ENOSPC, ECONNRESET, EIO, EPIPE, EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP


cdef extern from "<time.h>" nogil:
    ctypedef long time_t
    ctypedef int clockid_t
    cdef struct timespec:
        time_t tv_sec
        long tv_nsec
    cdef struct tm:
        int tm_sec, tm_min, tm_hour, tm_mday, tm_mon, tm_year, tm_wday
    int CLOCK_MONOTONIC, CLOCK_REALTIME
    int clock_gettime(clockid_t clock, timespec* now)
    tm* gmtime_r(const time_t* seconds, tm* broken_down)
    tm* localtime_r(const time_t* seconds, tm* broken_down)
    size_t strftime(char* text, size_t size, const char* format, const tm* broken_down)


cdef extern from "<unistd.h>" nogil:
    int posix_close "close"(int fd)
    ssize_t posix_read "read"(int fd, void* buffer, size_t size)
    ssize_t posix_write "write"(int fd, const void* buffer, size_t size)
    ssize_t pread(int fd, void* buffer, size_t size, off_t offset)
    int pipe2(int* descriptors, int flags)
    int getpagesize()
    int getentropy(void* buffer, size_t size)    # 256 bytes at most


cdef extern from *:
    """
    #if defined(__APPLE__)
    #include <sys/random.h>            /* getentropy; Linux has it in unistd.h */
    #endif
    """


cdef extern from "<stdio.h>" nogil:
    int snprintf(char* text, size_t size, const char* format, ...)


cdef extern from "<fcntl.h>" nogil:
    int O_CLOEXEC, O_NONBLOCK, F_DUPFD_CLOEXEC
    int fcntl(int fd, int command, ...)


cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void* address, size_t size, int protection, int flags, int fd, off_t offset)
    int munmap(void* address, size_t size)
    int mprotect(void* address, size_t size, int protection)
    int PROT_NONE, PROT_READ, PROT_WRITE, MAP_PRIVATE, MAP_SHARED, MAP_ANONYMOUS, MAP_NORESERVE
    void* MAP_FAILED


cdef extern from "<sys/uio.h>" nogil:
    cdef struct iovec:
        void* iov_base
        size_t iov_len


cdef extern from "<netinet/in.h>" nogil:
    cdef struct in_addr:
        uint32_t s_addr
    cdef struct in6_addr:
        uint8_t s6_addr[16]
    cdef struct sockaddr:
        uint16_t sa_family
    cdef struct sockaddr_in:
        uint16_t sin_family
        uint16_t sin_port
        in_addr sin_addr
    cdef struct sockaddr_in6:
        uint16_t sin6_family
        uint16_t sin6_port
        in6_addr sin6_addr
    cdef struct sockaddr_storage:
        uint16_t ss_family
    uint16_t ntohs(uint16_t value)
    uint16_t htons(uint16_t value)


cdef extern from "<arpa/inet.h>" nogil:
    const char* inet_ntop(int family, const void* address, char* text, uint32_t size)
    int inet_pton(int family, const char* text, void* address)


cdef extern from "<sys/socket.h>" nogil:
    ctypedef uint32_t socklen_t
    cdef struct msghdr:
        void* msg_name
        socklen_t msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
    int AF_INET, AF_INET6, AF_UNIX
    int MSG_NOSIGNAL, MSG_DONTWAIT, MSG_MORE
    int SHUT_WR, SHUT_RDWR
    int SOCK_NONBLOCK, SOCK_CLOEXEC
    ssize_t recv(int fd, void* buffer, size_t size, int flags)
    ssize_t send(int fd, const void* buffer, size_t size, int flags)
    ssize_t sendmsg(int fd, const msghdr* message, int flags)
    int accept4(int fd, sockaddr* address, socklen_t* size, int flags)
    int shutdown(int fd, int how)


cdef extern from "<poll.h>" nogil:
    ctypedef unsigned long nfds_t
    cdef struct pollfd:
        int fd
        short events
        short revents
    int poll(pollfd* descriptors, nfds_t count, int timeout_ms)
    short POLLIN, POLLOUT, POLLERR, POLLHUP, POLLNVAL


cdef extern from "<sys/select.h>" nogil:
    ctypedef struct fd_set:
        pass
    cdef struct timeval:
        long tv_sec
        long tv_usec
    int FD_SETSIZE
    void FD_ZERO(fd_set* descriptors)
    void FD_SET(int fd, fd_set* descriptors)
    void FD_CLR(int fd, fd_set* descriptors)
    int FD_ISSET(int fd, fd_set* descriptors)
    int select(int count, fd_set* readable, fd_set* writable, fd_set* failed, timeval* timeout)


cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/epoll.h>
    #define NODEPP_HAVE_EPOLL 1
    #else   /* The portable pollers serve there; these only let the same text compile. */
    #define NODEPP_HAVE_EPOLL 0
    #define EPOLLIN 1
    #define EPOLLOUT 4
    #define EPOLLERR 8
    #define EPOLLHUP 16
    #define EPOLL_CTL_ADD 1
    #define EPOLL_CTL_DEL 2
    #define EPOLL_CTL_MOD 3
    #define EPOLL_CLOEXEC 0
    struct epoll_event { uint32_t events; union { uint64_t u64; } data; };
    static int epoll_create1(int f) { (void)f; return -1; }
    static int epoll_ctl(int e, int o, int f, struct epoll_event *v)
        { (void)e; (void)o; (void)f; (void)v; return -1; }
    static int epoll_wait(int e, struct epoll_event *v, int n, int t)
        { (void)e; (void)v; (void)n; (void)t; return -1; }
    #endif
    """
    int NODEPP_HAVE_EPOLL
    int EPOLL_CTL_ADD, EPOLL_CTL_DEL, EPOLL_CTL_MOD, EPOLL_CLOEXEC
    uint32_t EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP
    ctypedef union epoll_data_t:
        uint64_t u64
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags) nogil
    int epoll_ctl(int epoll_fd, int operation, int fd, epoll_event* event) nogil
    int epoll_wait(int epoll_fd, epoll_event* events, int count, int timeout_ms) nogil
