# core/upload.pxi — what did the visitor upload?
#   Prefix: upload
#   Owns:  UploadFile: a window into the body of a request, in memory or in its spool file
#   Uses:  nothing
#   Never: how the window was found, what it holds
#   Holds: a file stays readable after its request is over, until close(); the files of one
#          request share one descriptor

import io
import os

cdef enum:
    UPLOAD_STEP = 64 * 1024    # bytes that save() copies at a time


cdef class UploadSource:
    """Where the bytes of a body are: `memory`, or the file behind `fd`, which is ours."""
    cdef bytes memory
    cdef int fd

    def __cinit__(self):
        self.fd = -1

    def __dealloc__(self):
        if self.fd >= 0:
            posix_close(self.fd)


cdef UploadSource upload_source(bytes memory, int fd):
    """A source of its own over the bytes of a body (kept, not copied), or over a duplicate of
    the descriptor of its file."""
    cdef UploadSource source = UploadSource.__new__(UploadSource)
    source.memory = memory
    if memory is None:
        source.fd = os.dup(fd)
    return source


cdef int upload_pread(int fd, char* into, uint64_t start, uint64_t size) except -1:
    """Reads exactly that many bytes of a file."""
    cdef ssize_t count
    while size > 0:
        with nogil:
            count = pread(fd, into, size, <off_t>start)
        if count < 0 and errno == EINTR:
            continue
        if count < 0:
            raise OSError(errno, "the spooled body cannot be read")
        if count == 0:
            raise OSError("the spooled body ends early")
        into += count
        start += count
        size -= count
    return 0


cdef bytes upload_bytes(UploadSource source, uint64_t start, uint64_t size):
    """A copy of that window."""
    cdef bytes data
    if source.memory is not None:
        return PyBytes_FromStringAndSize(PyBytes_AS_STRING(source.memory) + start, size)
    data = PyBytes_FromStringAndSize(NULL, size)
    upload_pread(source.fd, PyBytes_AS_STRING(data), start, size)
    return data


cdef class UploadFile:
    """A file that came with a form.

    name: of the form's field. filename: the last component of what the client calls the file,
    without its folders; "" when none was chosen. It is the client's word: never a path to write
    to as it is. content_type: what the client says. size: in bytes.

    Valid until close(), also after the request. Not made by applications.
    """
    cdef readonly str name
    cdef readonly str filename
    cdef readonly str content_type
    cdef readonly uint64_t size
    cdef UploadSource source
    cdef uint64_t start
    cdef uint64_t position

    def read(self, n: int | None = -1) -> bytes:
        """At most `n` bytes from the position on; all that follow when `n` is negative or None."""
        cdef uint64_t count = self.size - min(self.position, self.size)
        cdef bytes data
        cdef UploadSource source = upload_living(self)
        if n is not None and 0 <= n < count:
            count = n
        data = upload_bytes(source, self.start + self.position, count) if count else b""
        self.position += count
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Moves the position, as io.IOBase.seek does; gives the new one. Past the end there is
        nothing to read. ValueError: before the beginning."""
        upload_living(self)
        if whence not in (0, 1, 2):
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        position = offset + (0, self.position, self.size)[whence]
        if not 0 <= position < 1 << 62:
            raise ValueError(f"there is no position {position}")
        self.position = position
        return position

    def tell(self) -> int:
        upload_living(self)
        return self.position

    def save(self, target: str | bytes | os.PathLike[str] | io.IOBase) -> None:
        """Writes the whole file, whatever the position, to a path (made or overwritten, mode as
        open() has it) or to a binary file object."""
        if hasattr(target, "write"):
            upload_save(self, target.write)
        else:
            upload_living(self)
            with io.open(target, "wb", buffering=0) as file:
                upload_save(self, file.write)

    def open(self) -> io.BufferedReader:
        """A binary file object over the same bytes, with a position and a life of its own."""
        return io.BufferedReader(UploadReader(upload_view(self)))

    def close(self) -> None:
        """Lets go of the bytes. What was opened or saved stays."""
        self.source = None

    @property
    def closed(self) -> bool:
        return self.source is None

    def __enter__(self):
        upload_living(self)
        return self

    def __exit__(self, *error):
        self.close()

    def __repr__(self):
        return f"<UploadFile {self.name!r} {self.filename!r} {self.content_type} {self.size} bytes>"


cdef UploadFile upload_file(str name, str filename, str content_type, UploadSource source,
                            uint64_t start, uint64_t size):
    cdef UploadFile file = UploadFile.__new__(UploadFile)
    file.name = name
    file.filename = filename
    file.content_type = content_type
    file.source = source
    file.start = start
    file.size = size
    return file


cdef UploadFile upload_view(UploadFile file):
    return upload_file(file.name, file.filename, file.content_type, upload_living(file),
                       file.start, file.size)


cdef UploadSource upload_living(UploadFile file):
    if file.source is None:
        raise ValueError("the uploaded file is closed")
    return file.source


cdef int upload_save(UploadFile file, write) except -1:
    """Hands the whole file to `write`, in steps. `write` may take less than it is given."""
    cdef UploadSource source = upload_living(file)
    cdef uint64_t at = 0
    cdef bytes data
    while at < file.size:
        data = upload_bytes(source, file.start + at, min(<uint64_t>UPLOAD_STEP, file.size - at))
        written = write(data)
        if written is None:
            written = len(data)             # file objects that do not say took all
        elif not 0 < written <= len(data):
            raise OSError(f"of {len(data)} bytes {written} were written")
        at += <uint64_t>written
    return 0


class UploadReader(io.RawIOBase):
    """What UploadFile.open() reads from."""

    def __init__(self, file):
        self._file = file

    def readable(self):
        return True

    def seekable(self):
        return True

    def readinto(self, into):
        data = self._file.read(len(into))
        into[:len(data)] = data
        return len(data)

    def seek(self, offset, whence=0):
        return self._file.seek(offset, whence)

    def tell(self):
        return self._file.tell()

    def close(self):
        self._file.close()
        super().close()
