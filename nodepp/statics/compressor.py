"""The process that compresses, seen from the server: fed and read without ever waiting for it.

A job leaves as far as the pipe takes it, and goes on when the process says that it has read
(coder.py has the records). What comes back is handed over on the engine's thread, and lies in the
cache by then or soon after. When there is nothing left to do the process ends, so that an idle
server has no second one.
"""

from __future__ import annotations

import os
import sys
from heapq import heapify, heappop, heappush

from .cachefile import unpack
from .coders import CODINGS, coder_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Callable, Optional

    from .codings import Cache

    Log = Callable[[int, str], None]
    Done = Callable[[str, dict[str, Optional[bytes]]], None]
    Job = tuple[int, int, str, bytes]  # size, number, key, body

ERR, WAR, INF, DBG = 1, 2, 3, 4

RESTART_COUNT_MAX = 3  # times that a process which died is followed by another
WRITE_COUNT_MAX = 16  # writes at a time: some pipes take a megabyte, and the engine waits meanwhile
JOB_COUNT_MAX = 4  # sent and not answered: the next is there in time, the others can take turns
ORDER_SPARE_COUNT = 1000  # places of bodies that were dropped; more are cleared away
END_WAIT_S = 2.0  # a killed process that is not gone then hangs in the system: left alone, logged
USED_COUNT_MAX = 1 << 16  # keys that are told in one record

# -I -S: neither the application's folder nor .pth files come before the server's own sys.path,
# which is sent as the first record; -B: nothing is written beside the libraries.
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1));"
    " from nodepp.statics.coder import main; main()")
_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Compressor:
    """Compresses bodies in a process of its own, the smallest first.

    cache: where entries are kept, or None. done(key, codings) is called for each body that was
    added: bytes, or None where a coding does not save (or could not be made). On the engine's
    thread; in run() on the caller's.
    """

    def __init__(self, cache: Optional[Cache], log: Log, done: Done) -> None:
        self.cache = cache
        self.log = log
        self.done = done
        self.engine: Any = None
        self.restart_count = 0
        # What waits: the bodies, and their order: the smallest first, then the oldest. A body that
        # was dropped leaves its place in the order until that is worked off.
        self._bodies: dict[str, tuple[int, bytes]] = {}  # key → number, body
        self._order: list[tuple[int, int, str]] = []  # size, number, key
        self._number = 0
        self._keys: set[str] = set()
        self._processes: list[Process] = []
        self._told: set[str] = set()

    @property
    def pending(self) -> int:
        """Bodies that wait, or are being compressed."""
        return len(self._keys)

    def add(self, key: str, body: bytes) -> None:
        """Queues a body (which is not copied); nothing when its key is under way already."""
        if key in self._keys or self.restart_count > RESTART_COUNT_MAX:
            return
        self._keys.add(key)
        self._put(len(body), self._number, key, body)
        self._number += 1
        if self.engine is not None:
            if not self._processes:
                self._start(idle=True)
            else:
                self._processes[0].feed()

    def drop(self, key: str) -> None:
        """Forgets a body that waits; what has been sent already comes all the same."""
        if self._bodies.pop(key, None) is None:
            return
        self._keys.discard(key)
        if len(self._order) > 2 * len(self._bodies) + ORDER_SPARE_COUNT:
            self._order = [it for it in self._order if self._waits(it)]
            heapify(self._order)

    def begin(self, engine: Any) -> None:
        """Goes on in the background from now on."""
        self.engine = engine
        if self._bodies or (self.cache is not None and self.cache.is_due()):
            self._start(idle=True)

    def run(self) -> None:
        """Waits until all is compressed, on all processors. Instead of begin(), or before it."""
        from select import POLLIN, poll

        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        try:
            for _ in range(min(cores or 1, len(self._bodies))):
                self._start(idle=False)
            while self._processes:
                waiting = poll()
                found = {process.source: process for process in self._processes}
                for descriptor in found:
                    waiting.register(descriptor, POLLIN)
                for descriptor, _ in waiting.poll():
                    found[descriptor].readable()
        finally:
            self._kill()

    def end(self) -> None:
        """Ends the process, whatever it does; forgets what waits. Nothing is left over."""
        self.engine = None
        self._kill()
        self._forget()
        self._keys.clear()

    # For Process.

    def next_job(self) -> Optional[Job]:
        while self._order:
            place = heappop(self._order)
            if self._waits(place):
                size, number, key = place
                return size, number, key, self._bodies.pop(key)[1]
        return None

    def put_back(self, jobs: Iterable[Job]) -> None:
        for job in jobs:
            self._put(*job)

    def _put(self, size: int, number: int, key: str, body: bytes) -> None:
        self._bodies[key] = number, body
        heappush(self._order, (size, number, key))

    def _waits(self, place: tuple[int, int, str]) -> bool:
        found = self._bodies.get(place[2])
        return found is not None and found[0] == place[1]

    def finished(self, key: str, codings: dict[str, Optional[bytes]]) -> None:
        """A body is done with, as far as it will be."""
        self._keys.discard(key)
        try:
            self.done(key, {coding: codings.get(coding) for coding in CODINGS})
        except Exception as exc:  # the others come all the same
            self.log(ERR, f"static: taking what was compressed: {type(exc).__name__}: {exc}")

    def complain(self, message: str) -> None:
        """Once each: a full disk is full for every entry."""
        if message not in self._told:
            self._told.add(message)
            self.log(WAR, f"static: compressing: {message}")

    def ended(self, process: Process, blamed: Optional[Job]) -> None:
        """A process has gone: in order when it had been told to, else blamed is what it died of."""
        self._processes.remove(process)
        if process.is_told_to_end:
            self.restart_count = 0
        else:
            self._died(process, blamed)
        if self._bodies and not self._processes and self.restart_count <= RESTART_COUNT_MAX:
            self._start(process.idle)
        if blamed is not None:
            self.finished(blamed[2], {})

    def _died(self, process: Process, blamed: Optional[Job]) -> None:
        how = "did not start" if not process.is_ready else "died"
        what = f" over a body of {blamed[0]} bytes, which is left as it is" if blamed else ""
        self.restart_count += 1
        if self.restart_count == 1:
            self.log(WAR, f"static: the process that compresses {how}{what}")
        if self.restart_count > RESTART_COUNT_MAX and not self._processes:
            self._give_up("the process that compresses died again and again")

    def _give_up(self, reason: str) -> None:
        self.restart_count = RESTART_COUNT_MAX + 1
        self.log(ERR, f"static: {reason}: {len(self._bodies)} bodies stay as they are")
        self._keys.difference_update(self._bodies)
        self._forget()

    def _forget(self) -> None:
        self._bodies.clear()
        self._order.clear()

    def _start(self, idle: bool) -> None:
        process = None
        try:
            process = Process(self, idle)
            self._processes.append(process)
            process.begin(self.engine)
        except (OSError, ValueError) as exc:
            if process is not None:
                self._kill()
            self._give_up(f"no process to compress: {getattr(exc, 'strerror', None) or exc}")

    def _kill(self) -> None:
        for process in self._processes:
            if not process.kill():
                self.log(WAR, f"static: process {process.number} does not end")
        self._processes.clear()


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
        from select import poll
        from time import monotonic

        if self.number < 0:
            return True
        try:
            os.kill(self.number, 9)
        except ProcessLookupError:
            pass  # somebody has reaped it for us
        # Its end of the pipe closes just before it is gone; waitpid alone could wait for ever.
        deadline = monotonic() + END_WAIT_S
        waiting = poll()
        waiting.register(self.source)
        while (wait_s := deadline - monotonic()) > 0:
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
        data = "\0".join([*map(str, sys.path), folder]).encode("utf-8", "surrogateescape")
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
                os.close(self.sink)
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
        os.close(self.source)
        if not self.is_told_to_end:
            os.close(self.sink)
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
