"""Where lines are written that must never make the server wait: a file, or a stream whose reader
may have stopped reading.

A sink takes what can be written at once, always whole lines; what it does
not take is for the caller to keep or to count. docs/decisions/0017 has the reasons.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from . import forks
from .library import library
from .streams import is_standard

TYPE_CHECKING = False
if TYPE_CHECKING:
    import select
    import socket
    from typing import Optional

# Bytes. Linux's PIPE_BUF: a pipe takes so many all at once or not at all, so that lines of several
# writers do not mix; and where poll() must say whether there is room, so many have room.
PIECE_SIZE_MAX = 4096

# Seconds between two looks for a reader of a FIFO: each is one open(2).
LOOK_S = 1.0

_REASONS = {
    errno.EAGAIN: "their reader is too slow",
    errno.EPIPE: "they have no reader",
    errno.ENXIO: "they have no reader",
}


class Sink:
    """One destination that was opened, under a descriptor of its own.

    path: a file, FIFO or terminal. Otherwise `stream`: the descriptor of a standard stream. Its
    flags are shared with every process that has inherited it, and O_NONBLOCK would change the
    user's terminal: so a pipe or terminal is opened once more, and a socket is told with each
    send. OSError: it cannot be opened; a FIFO that has no reader yet is no error.
    """

    __slots__ = ("_is_cut", "_is_stream", "_looked", "_owner", "_poll", "_socket", "fd",
                 "lost_count", "path", "reason", "stream", "trouble")

    def __init__(self, path: str = "", stream: int = -1) -> None:
        self.path = path
        self.stream = _stream_at(path) if path else stream
        self.fd = -1                    # ours; -1: closed, or there is no reader yet
        self.lost_count = 0             # lines that were given up and not yet reported
        self.reason = ""                # why the last of them was
        self.trouble = ""               # why a write may wait after all; "" if none can
        self._is_cut = False            # what was written last is the beginning of a line
        self._looked = 0.0              # when a reader was looked for
        self._open()

    # --- descriptors: opened and closed here only -----------------------------------------------

    def _open(self) -> None:
        self._owner = os.getpid()
        self._socket: Optional[socket.socket] = None
        self._poll: Optional[select.poll] = None
        self._looked = time.monotonic()
        if self.stream >= 0:
            self._open_stream()
        else:
            self.fd = _open_path(self.path, os.O_CREAT)
        forks.own(self.fd)
        self._is_stream = self.fd < 0 or not stat.S_ISREG(os.fstat(self.fd).st_mode)

    def _open_stream(self) -> None:
        mode = os.fstat(self.stream).st_mode
        if stat.S_ISSOCK(mode):
            self._socket = _socket_of(os.dup(self.stream))
            self.fd = self._socket.fileno()
            return
        if stat.S_ISFIFO(mode) or os.isatty(self.stream):
            try:
                self.fd = _open_path(f"/proc/self/fd/{self.stream}")
                return
            except OSError as error:
                self.trouble = os.strerror(error.errno or 0)
        self.fd = os.dup(self.stream)
        if self.trouble:
            select = library("select")
            self._poll = select.poll()
            self._poll.register(self.fd, select.POLLOUT)

    def close(self) -> None:
        """Nothing is taken from now on."""
        forks.disown(self.fd)
        if self._socket is not None:
            self._socket.close()
        elif self.fd >= 0:
            os.close(self.fd)
        self._socket = None
        self.fd = -1
        self._looked = float("inf")

    def _open_in_child(self) -> None:
        """After a fork. The number may be closed here, and another file's by now: it is forgotten,
        and the destination opened once more.
        """
        if self._socket is not None:
            self._socket.detach()
        self.fd = -1
        try:
            self._open()
        except OSError:
            self._looked = float("inf")

    @property
    def is_steady(self) -> bool:
        """Whether `fd` stays what it is until close()."""
        return self.fd >= 0 and (self.stream >= 0 or not self._is_stream)

    def is_at(self, path: str, stream: int = -1) -> bool:
        """Whether a path, or else a stream, leads to what is open here: it need not be opened. A
        stream stays what it was at the start: by now a file of the application may have its number.
        """
        if not path:
            return stream == self.stream
        if self.fd < 0:
            return path == self.path
        try:
            return os.path.samestat(os.stat(path), os.fstat(self.fd))
        except OSError:
            return False

    # --- writing --------------------------------------------------------------------------------

    def write(self, lines: bytes, lost_count: int = 0) -> int:
        """Writes what can be written at once: how many bytes that were, up to the end of a line.
        `lost_count`: lines before these which the caller has given up. Never raises OSError.
        """
        self.lost_count += lost_count
        if self._owner != os.getpid():
            self._open_in_child()
        at = 0
        try:
            if self.fd < 0:
                self._look_for_reader()
            if self._is_cut and lines:
                self._put(b"\n")        # half a line must not become the beginning of another
                self._is_cut = False
            while at < len(lines):
                at += self._put(lines[at : self._end_of_piece(lines, at)])
        except OSError as error:
            code = error.errno or 0
            self.reason = _REASONS.get(code) or os.strerror(code)
            if error.errno == errno.EPIPE and self.stream < 0:
                self._close_without_reader()
        whole = lines.rfind(b"\n", 0, at) + 1
        if at:
            self._is_cut = at > whole
        if self._is_cut and lines[at : at + 1] == b"\n":
            whole = at + 1              # it lacks its end only, and that comes first next time
        return whole

    def _end_of_piece(self, lines: bytes, at: int) -> int:
        """A file takes all. A stream takes whole lines that fit into one piece, or, of a line that
        is longer, a piece.
        """
        limit = at + PIECE_SIZE_MAX
        if not self._is_stream or len(lines) <= limit:
            return len(lines)
        return lines.rfind(b"\n", at, limit) + 1 or limit

    def _put(self, piece: bytes) -> int:
        """How many bytes were taken, at least 1. OSError: none."""
        if self._socket is not None:
            socket = library("socket")
            # Elsewhere than on Linux MSG_NOSIGNAL may be missing; Python ignores SIGPIPE anyway.
            flags = socket.MSG_DONTWAIT | getattr(socket, "MSG_NOSIGNAL", 0)
            count = self._socket.send(piece, flags)
        elif self._poll is not None and not self._poll.poll(0):
            count = 0
        else:
            count = os.write(self.fd, piece)
        if not count:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return count

    def _look_for_reader(self) -> None:
        """Opens a FIFO whose reader may have come. OSError if there is none."""
        now = time.monotonic()
        if now - self._looked >= LOOK_S:
            self._looked = now
            self.fd = _open_path(self.path)     # no O_CREAT: a FIFO may be made anew
            forks.own(self.fd)
        if self.fd < 0:
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))

    def _close_without_reader(self) -> None:
        """The next reader of a FIFO is met by opening it again."""
        self.close()
        self._is_cut = False
        self._looked = time.monotonic()


def renewed(sink: Optional[Sink], path: str, stream: int = -1) -> Sink:
    """The sink for a destination: the same if it leads there, as after a rotation that moved
    nothing, or else a new one, to which goes what the other has not reported. OSError: it cannot be
    opened.
    """
    if sink is not None and sink.is_at(path, stream):
        return sink
    new = Sink(path, stream)
    if sink is not None:
        new.lost_count, new.reason = sink.lost_count, sink.reason
    return new


def _stream_at(path: str) -> int:
    """The standard stream that a path leads to, as /dev/stdout does, or a link to it: else -1. It
    may be a socket, which cannot be opened, or a file that is written from where it ends now.
    """
    for fd in (1, 2):
        try:
            if is_standard(fd) and os.path.samestat(os.stat(path), os.fstat(fd)):
                return fd
        except OSError:                         # a file that will be made
            pass
    return -1


def _open_path(path: str, create: int = 0) -> int:
    """-1: a FIFO that has no reader."""
    flags = (os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC | create)
    try:
        return os.open(path, flags, 0o640)      # requests are private
    except OSError as error:
        if error.errno == errno.ENXIO and stat.S_ISFIFO(os.stat(path).st_mode):
            return -1
        raise


def _socket_of(fd: int) -> socket.socket:
    """The socket that `fd` is. A default timeout of the application would set O_NONBLOCK on it."""
    module = library("socket")
    timeout = module.getdefaulttimeout()
    module.setdefaulttimeout(None)
    try:
        made: socket.socket = module.socket(fileno=fd)
        return made
    finally:
        module.setdefaulttimeout(timeout)
