"""The process that compresses: `python -c "from nodepp.statics.coder import main; main()"`.

Seen from the server it is a pair of pipes (coderprocess.py): jobs go in, entries come out, and are
put into the cache's folder. It runs when nobody else wants the processor.

    in     b"S" | size | the server's path, and the cache's folder or ""   (split by NUL)
           b"J" | size | key (32 hex digits), body
           b"U" | size | keys whose entries were used                          (32 digits each)
    out    b"H" | size | ids of the coders, the answer to S                    (split by NUL)
           b"R" | size | an entry (cachefile.py), the answer to the oldest J
           b"E" | size | what went wrong, a line for the log
           b"." | 0    | has read, and is about to read again

size is 8 bytes, little-endian. The dot lets the server, which must never block, write just as much
as the pipe takes, and go on when there is room again.
"""

from __future__ import annotations

import os
import sys

from ..library import library
from . import cachefile, coders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional


class Worker:
    """Reads jobs, writes records, until there is no more input.

    source, sink: descriptors; both may block here.
    """

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.folder = ""
        self._waiting = bytearray()

    def run(self) -> None:
        """All jobs. OSError: the other side has gone."""
        while True:
            head = self._read(9)
            if head is None:
                break
            data = self._read(int.from_bytes(head[1:], "little"))
            if data is None:
                break
            if head[:1] == b"J":
                self._code(data[:32].decode("ascii"), data[32:])
            elif head[:1] == b"U":
                self._touch(data.decode("ascii"))
            elif head[:1] == b"S":
                self._set_up(data.decode("utf-8", "surrogateescape").split("\0"))
        self._tend()

    def _read(self, size: int) -> Optional[bytes]:
        while len(self._waiting) < size:
            self._send(b".", b"")
            data = os.read(self.source, 1 << 18)
            if not data:
                return None
            self._waiting += data
        found = bytes(self._waiting[:size])
        del self._waiting[:size]
        return found

    def _send(self, kind: bytes, data: bytes) -> None:
        for part in (kind + len(data).to_bytes(8, "little"), data):
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(self.sink, rest) :]

    def _set_up(self, words: list[str]) -> None:
        self.folder = words.pop()
        sys.path[:] = words  # the same libraries as the server, wherever it has found them
        self._send(b"H", "\0".join(map(coders.coder_id, coders.CODINGS)).encode())

    def _code(self, key: str, body: bytes) -> None:
        codings: dict[str, Optional[bytes]] = {}
        for coding in coders.CODINGS:
            try:
                codings[coding] = coders.encode(coding, body)
            except Exception as exc:  # a library's trouble with one body is no reason to stop
                self._complain(f"{coding} failed: {type(exc).__name__}: {exc}")
        entry = cachefile.pack(key, codings)
        self._send(b"R", entry)
        if self.folder:
            try:
                cachefile.store(self.folder, key, entry)
            except OSError as exc:
                self._complain(f"the cache in {self.folder} cannot be written: {exc.strerror}")
                self.folder = ""

    def _touch(self, keys: str) -> None:
        for start in range(0, len(keys), 32):
            try:
                os.utime(cachefile.entry_path(self.folder, keys[start : start + 32]))
            except OSError:
                continue  # gone meanwhile

    def _tend(self) -> None:
        if self.folder:
            try:
                if cachefile.is_due(self.folder):
                    cachefile.tend(self.folder)
            except OSError as exc:  # another process tends it too
                self._complain(f"the cache in {self.folder} cannot be tended: {exc.strerror}")

    def _complain(self, message: str) -> None:
        self._send(b"E", message.encode("utf-8", "backslashreplace"))


def step_back(parent: int) -> None:
    """Takes only the time that nobody else wants, and dies with the server; as far as this system
    has that. parent: the server's process id."""
    try:
        # PR_SET_PDEATHSIG, SIGKILL. The end of the input says it too, but only between two jobs.
        library("ctypes").CDLL(None).prctl(1, 9)
    except (ImportError, AttributeError, OSError):
        pass
    if os.getppid() != parent:
        sys.exit()
    try:
        # When memory is short it should be us that is ended, not the server.
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")
    except OSError:
        pass


def give_way() -> None:
    """The lowest priority; with SCHED_IDLE the disk's too."""
    os.nice(19)
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):
        pass


def main() -> None:
    """Arguments: the server's process id; "idle" unless it waits for us."""
    if "idle" in sys.argv[2:]:
        give_way()
    step_back(int(sys.argv[1]))
    try:
        Worker(0, 1).run()
    except OSError:
        pass  # nobody reads any more
    os._exit(0)  # there is nothing to tidy up, and what we took goes back at once
