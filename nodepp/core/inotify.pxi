# core/inotify.pxi — the kernel tells which files of a folder change
#   Prefix: inotify
#   Owns:  class Inotify and the IN_ bits
#   Uses:  fork
#   Never: what a change means; which folders are of interest
#   Holds: reading never blocks

cdef extern from *:
    """
    #ifdef __linux__
    #include <sys/inotify.h>
    #else   /* So that the same text compiles; Inotify() fails there. */
    #include <errno.h>
    struct inotify_event { int wd; uint32_t mask, cookie, len; char name[1]; };
    enum { IN_MODIFY = 2, IN_ATTRIB = 4, IN_CLOSE_WRITE = 8, IN_MOVED_FROM = 64, IN_MOVED_TO = 128,
           IN_CREATE = 256, IN_DELETE = 512, IN_DELETE_SELF = 1024, IN_MOVE_SELF = 2048,
           IN_Q_OVERFLOW = 16384, IN_IGNORED = 32768, IN_ISDIR = 1 << 30, IN_ONLYDIR = 1 << 24,
           IN_NONBLOCK = 0, IN_CLOEXEC = 0 };
    static int inotify_init1(int flags) { (void)flags; errno = ENOSYS; return -1; }
    static int inotify_add_watch(int fd, const char *path, uint32_t mask)
        { (void)fd; (void)path; (void)mask; errno = ENOSYS; return -1; }
    static int inotify_rm_watch(int fd, int wd) { (void)fd; (void)wd; return -1; }
    #endif
    """
    cdef struct inotify_event:
        int wd
        uint32_t mask
        uint32_t len
        char name[1]
    int inotify_init1(int flags)
    int inotify_add_watch(int fd, const char* path, uint32_t mask)
    int inotify_rm_watch(int fd, int wd)
    int INOTIFY_NONBLOCK "IN_NONBLOCK"
    int INOTIFY_CLOEXEC "IN_CLOEXEC"
    uint32_t INOTIFY_ONLYDIR "IN_ONLYDIR"
    uint32_t INOTIFY_MODIFY "IN_MODIFY"
    uint32_t INOTIFY_ATTRIB "IN_ATTRIB"
    uint32_t INOTIFY_CLOSE_WRITE "IN_CLOSE_WRITE"
    uint32_t INOTIFY_MOVED_FROM "IN_MOVED_FROM"
    uint32_t INOTIFY_MOVED_TO "IN_MOVED_TO"
    uint32_t INOTIFY_CREATE "IN_CREATE"
    uint32_t INOTIFY_DELETE "IN_DELETE"
    uint32_t INOTIFY_DELETE_SELF "IN_DELETE_SELF"
    uint32_t INOTIFY_MOVE_SELF "IN_MOVE_SELF"
    uint32_t INOTIFY_Q_OVERFLOW "IN_Q_OVERFLOW"
    uint32_t INOTIFY_IGNORED "IN_IGNORED"
    uint32_t INOTIFY_ISDIR "IN_ISDIR"

IN_MODIFY = INOTIFY_MODIFY
IN_ATTRIB = INOTIFY_ATTRIB
IN_CLOSE_WRITE = INOTIFY_CLOSE_WRITE
IN_MOVED_FROM = INOTIFY_MOVED_FROM
IN_MOVED_TO = INOTIFY_MOVED_TO
IN_CREATE = INOTIFY_CREATE
IN_DELETE = INOTIFY_DELETE
IN_DELETE_SELF = INOTIFY_DELETE_SELF
IN_MOVE_SELF = INOTIFY_MOVE_SELF
IN_Q_OVERFLOW = INOTIFY_Q_OVERFLOW
IN_IGNORED = INOTIFY_IGNORED
IN_ISDIR = INOTIFY_ISDIR

cdef enum:
    INOTIFY_HEAD_SIZE = 16             # bytes of an event before its name
    INOTIFY_EVENT_MAX = 2048           # of one call, but for what the last read brings

cdef uint32_t inotify_mask = (
    INOTIFY_MODIFY | INOTIFY_ATTRIB | INOTIFY_CLOSE_WRITE | INOTIFY_MOVED_FROM | INOTIFY_MOVED_TO
    | INOTIFY_CREATE | INOTIFY_DELETE | INOTIFY_DELETE_SELF | INOTIFY_MOVE_SELF)


@cython.final
cdef class Inotify:
    """Folders that are watched for changes (Linux). OSError: the system has no inotify, or no more
    instances for this user."""
    cdef int fd

    def __cinit__(self):
        self.fd = inotify_init1(INOTIFY_NONBLOCK | INOTIFY_CLOEXEC)
        if self.fd < 0:
            inotify_raise("inotify cannot be used")
        fork_mark(self.fd)

    def __dealloc__(self):
        self.close()

    def fileno(self) -> int:
        """The descriptor: readable when something has changed. -1 after close()."""
        return self.fd

    def add(self, str path not None) -> int:
        """Watches a folder; the number that its events will have. OSError: ENOSPC when the limit
        of watches is reached, ENOENT, ENOTDIR …"""
        from os import fsencode
        cdef bytes name = fsencode(path)
        cdef int wd = inotify_add_watch(self.fd, name, inotify_mask | INOTIFY_ONLYDIR)
        if wd < 0:
            inotify_raise(f"{path} cannot be watched")
        return wd

    def remove(self, int wd) -> None:
        """Watches a folder no more. One that has gone already is no error."""
        inotify_rm_watch(self.fd, wd)

    def read(self) -> list:
        """What has happened: (number of the folder, IN_ bits, name in it); [] if nothing has. Some
        thousand events at most, 15 ms of work: the rest comes with the next call."""
        cdef char buffer[16384]
        cdef inotify_event event
        cdef ssize_t count, at
        events = []
        while len(events) < INOTIFY_EVENT_MAX:
            count = posix_read(self.fd, buffer, sizeof(buffer))
            if count <= 0:
                break
            at = 0
            while at < count:
                memcpy(&event, buffer + at, sizeof(event))
                events.append((event.wd, event.mask, inotify_name(buffer + at, event.len)))
                at += INOTIFY_HEAD_SIZE + event.len
        return events

    def close(self) -> None:
        """Ends all watches."""
        if self.fd >= 0:
            fork_unmark(self.fd)
            posix_close(self.fd)
        self.fd = -1


cdef str inotify_name(const char* event, uint32_t size):
    """The name behind an event's head; it is filled up with zeros."""
    from os import fsdecode
    if size == 0:
        return ""
    return fsdecode(event[INOTIFY_HEAD_SIZE:INOTIFY_HEAD_SIZE + size].rstrip(b"\0"))


cdef int inotify_raise(str message) except -1:
    cdef int number = errno
    from os import strerror
    raise OSError(number, f"{message}: {strerror(number)}")
