# core/file.pxi — a large file that is being sent from the disk
#   Prefix: file
#   Owns:  class File: the descriptor, what it was like when it was opened, which of it is cached
#   Uses:  fork
#   Never: its name; sockets
#   Holds: once its size or date has moved, no more of it is sent

cdef enum:
    FILE_PROBE_STEP = 16 * 1024        # bytes between two questions whether the kernel has it

cdef extern from *:
    """
    #ifndef _GNU_SOURCE
    #define _GNU_SOURCE
    #endif
    #include <sys/stat.h>
    #include <sys/uio.h>
    static int file_look(int fd, uint64_t *size, int64_t *modified_ns) {
        struct stat found;
        if (fstat(fd, &found) < 0) return -1;
        *size = (uint64_t)found.st_size;
    #ifdef __APPLE__
        *modified_ns = (int64_t)found.st_mtimespec.tv_sec * 1000000000
            + found.st_mtimespec.tv_nsec;
    #else
        *modified_ns = (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec;
    #endif
        return S_ISREG(found.st_mode) ? 0 : -1;
    }

    /* Is the byte in memory? 1 yes, 0 no. A file system that cannot tell counts as a disk. */
    static int file_peek(int fd, int64_t offset) {
    #ifdef RWF_NOWAIT
        char byte;
        struct iovec one = {&byte, 1};
        return preadv2(fd, &one, 1, offset, RWF_NOWAIT) >= 0;
    #else
        (void)fd; (void)offset;
        return 1;
    #endif
    }
    """
    int file_look(int fd, uint64_t* size, int64_t* modified_ns) nogil
    bint file_peek(int fd, int64_t offset) nogil

cdef int file_count                    # that are open, for the tests' books
cdef bint file_always_cold             # a test plays a slow disk


@cython.final
@cython.no_gc
cdef class File:
    """An open regular file, to be sent by the engine. Takes the descriptor over and closes it when
    the last answer that needs it has left. OSError: it is no regular file."""
    cdef int fd
    cdef readonly uint64_t size        # bytes, when it was opened
    cdef int64_t modified_ns

    def __cinit__(self, int fd):
        global file_count
        self.fd = -1
        file_count += 1
        if file_look(fd, &self.size, &self.modified_ns) < 0:
            raise OSError(errno, f"descriptor {fd} is no regular file")
        self.fd = fd
        fork_mark(fd)

    def __dealloc__(self):
        global file_count
        file_count -= 1
        if self.fd >= 0:
            fork_unmark(self.fd)
            posix_close(self.fd)

    def fileno(self) -> int:
        """The descriptor."""
        return self.fd


cdef bint file_is_whole(File file) noexcept:
    """Is it still what it was? Not its change time: that moves when another file takes its name."""
    cdef uint64_t size = 0
    cdef int64_t modified_ns = 0
    return file_look(file.fd, &size, &modified_ns) == 0 and size == file.size \
        and modified_ns == file.modified_ns


cdef size_t file_warm_size(File file, uint64_t offset, size_t size) noexcept:
    """How many of the bytes from `offset` on the kernel has in memory, asked in steps: it reads
    and forgets in pieces that are larger than those. 0: a sendfile would wait for the disk."""
    cdef uint64_t at = offset
    if file_always_cold:
        return 0
    while at < offset + size:
        if not file_peek(file.fd, at):
            return at - offset
        at = (at // FILE_PROBE_STEP + 1) * FILE_PROBE_STEP
    if not file_peek(file.fd, offset + size - 1):
        return (offset + size - 1) // FILE_PROBE_STEP * FILE_PROBE_STEP - offset \
            if (offset + size - 1) // FILE_PROBE_STEP * FILE_PROBE_STEP > offset else 0
    return size
