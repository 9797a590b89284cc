"""The process that compresses, seen from the server: fed and read without ever waiting for it.

A job leaves as far as the pipe takes it, and goes on when the process says that it has read
(coder.py has the records).
"""

from __future__ import annotations

import os
import sys
import time

from .. import forks
from ..library import library, path_without_application
from .cachefile import unpack
from .coders import CODINGS, coder_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .compressor import Compressor

    Job = tuple[int, int, str, bytes]  # size, number, key, body

WRITE_COUNT_MAX = 16  # writes at a time: some pipes take a megabyte, and the engine waits meanwhile
JOB_COUNT_MAX = 4  # sent and not answered: the next is there in time, the others can take turns
END_WAIT_S = 2.0  # a killed process that is not gone then hangs in the system: left alone, logged
USED_COUNT_MAX = 1 << 16  # keys that are told in one record

# -I -S: neither the application's folder nor .pth files come before the server's own sys.path,
# which is sent as the first record; -B: nothing is written beside the libraries.
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    " from nodepp.statics.coder import main; main()")
_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Process:
    """One process, its two pipes, and what was sent to it."""

    def __init__(self, owner: Compressor, idle: bool) -> None:
        """Starts it. idle: at the lowest priority. OSError: the system refuses."""
        self.owner = owner
        self.idle = idle
        self.is_ready = False  # it has said hello
        self.is_told_to_end = False
        self._engine: Any = None
        self._sent: list[Job] = []  # and not answered, the oldest first
        self._out = [memoryview(self._settings())]  # what the pipe did not take yet
        self._in = bytearray()
        theirs, self.sink = os.pipe()
        try:
            self.source, theirs_too = os.pipe()
        except OSError:
            os.close(theirs)
            os.close(self.sink)
            raise
        try:
            os.set_blocking(self.sink, False)
            os.set_blocking(self.source, False)
            self.number = _spawn(theirs, theirs_too, idle)
        except OSError:
            os.close(self.sink)
            os.close(self.source)
            raise
        finally:
            os.close(theirs)
            os.close(theirs_too)
        self._owner = os.getpid()
        forks.own(self.sink)
        forks.own(self.source)

    def begin(self, engine: Any) -> None:
        """Reads from now on; engine: None when run() does that."""
        if engine is not None:
            engine.add_reader(self.source, self.readable)
            self._engine = engine
        self.feed()

    def feed(self) -> None:
        """Writes as much as the pipe takes."""
        for _ in range(WRITE_COUNT_MAX):
            if self.is_told_to_end or not (self._out or self._take_job()):
                return
            try:
                count = os.write(self.sink, self._out[0])
            except OSError:  # full; or it has gone, which the other pipe will tell
                return
            self._out[0] = self._out[0][count:]
            if not self._out[0]:
                del self._out[0]

    def readable(self) -> None:
        """Takes what came. A record that is whole is worked off at once."""
        try:
            data = os.read(self.source, 1 << 18)
        except BlockingIOError:
            return
        if not data:
            self._end()
            return
        self._in += data
        while len(self._in) >= 9:
            size = int.from_bytes(self._in[1:9], "little")
            if len(self._in) < 9 + size:
                break
            record = self._in
            if len(record) == 9 + size:
                self._in = bytearray()
            else:
                record = record[: 9 + size]
                del self._in[: 9 + size]
            self._record(bytes(record[:1]), memoryview(record)[9:])
            if self.number < 0:  # done() has ended us
                return
        self.feed()

    def kill(self) -> bool:
        """Ends it and takes its remains; False if that could not be waited for."""
        if self.number < 0 or os.getpid() != self._owner:
            return True  # gone; or it works for the process that this one was forked from
        try:
            os.kill(self.number, 9)
        except ProcessLookupError:
            pass  # somebody has reaped it for us
        # Its end of the pipe closes just before it is gone; waitpid alone could wait for ever.
        deadline = time.monotonic() + END_WAIT_S
        waiting = library("select").poll()
        waiting.register(self.source)
        while (wait_s := deadline - time.monotonic()) > 0:
            if waiting.poll(wait_s * 1000) and not self._discard():
                self._reap()
                return True
        self._close()
        return False

    def _discard(self) -> bool:
        """Reads what nobody wants any more; False at the end."""
        try:
            return bool(os.read(self.source, 1 << 18))
        except OSError:
            return True

    def _settings(self) -> bytes:
        cache = self.owner.cache
        folder = cache.folder if cache is not None else ""
        data = "\0".join([*path_without_application(), folder]).encode("utf-8", "surrogateescape")
        used = "".join(cache.used[:USED_COUNT_MAX]).encode("ascii") if cache is not None else b""
        if cache is not None:
            cache.used.clear()
        return _head(b"S", len(data)) + data + (_head(b"U", len(used)) + used if used else b"")

    def _take_job(self) -> bool:
        """The next job is what is written; without one the process is told to end."""
        if len(self._sent) >= JOB_COUNT_MAX:
            return False
        job = self.owner.next_job()
        if job is None:
            if not self._sent:
                self.is_told_to_end = True
                forks.close(self.sink)
            return False
        self._sent.append(job)
        size, _, key, body = job
        head = _head(b"J", 32 + size) + key.encode("ascii")
        self._out = [memoryview(part) for part in (head, body) if part]
        return True

    def _record(self, kind: bytes, record: memoryview) -> None:
        if kind == b"R" and self._sent:
            key = self._sent.pop(0)[2]
            codings = unpack(key, record)
            if codings is None:
                self.owner.complain("an answer that is damaged")
            self.owner.finished(key, codings or {})
        elif kind == b"E":
            self.owner.complain(bytes(record).decode("utf-8", "replace"))
        elif kind == b"H":
            self.is_ready = True
            self.owner.started()
            theirs = bytes(record).decode().split("\0")
            ours = [coder_id(coding) for coding in CODINGS]
            if theirs != ours:
                self.owner.complain(f"it has other libraries: {theirs} instead of {ours}")

    def _end(self) -> None:
        """It has closed its pipe."""
        blamed = None
        if self._sent and self.is_ready and not self.is_told_to_end:
            blamed = self._sent.pop(0)
        self.owner.put_back(self._sent)
        self._reap()
        self.owner.ended(self, blamed)

    def _reap(self) -> None:
        number = self.number
        self._close()
        try:
            os.waitpid(number, 0)
        except ChildProcessError:
            pass  # an application that waits for all its children was quicker

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.remove_reader(self.source)
        forks.close(self.source)
        if not self.is_told_to_end:
            forks.close(self.sink)
        self.number = -1


def _head(kind: bytes, size: int) -> bytes:
    return kind + size.to_bytes(8, "little")


def _spawn(stdin: int, stdout: int, idle: bool) -> int:
    """Starts coder.py; its process id.

    posix_spawn does not copy the server's page tables, as fork does, and needs no subprocess
    module, whose import takes 10 ms. A process group of its own: Ctrl-C at the terminal is the
    server's to handle. Not a session of its own: where the kernel groups processes by session to
    share the processor among them (autogroup), niceness counts within a session only.
    """
    if not sys.executable:
        raise OSError(2, "nobody knows where the interpreter is")
    words = [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, _HOME, str(os.getpid())]
    return os.posix_spawn(
        sys.executable,
        [*words, "idle"] if idle else words,
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, stdout, 1)],
        setpgroup=0,
        setsigmask=[],
    )
