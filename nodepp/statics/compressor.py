"""What is to be compressed by a process of its own (coderprocess.py), and what came of it.

What comes back is handed over on the engine's thread, and lies in the cache by then or soon after.
When there is nothing left to do the process ends, so that an idle server has no second one.
"""

from __future__ import annotations

import os
from heapq import heapify, heappop, heappush

from ..library import library
from .coderprocess import Process
from .coders import CODINGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Callable, Optional

    from .coderprocess import Job
    from .codings import Cache

    Log = Callable[[int, str], None]
    Done = Callable[[str, dict[str, Optional[bytes]]], None]

ERR, WAR, INF, DBG = 1, 2, 3, 4

RESTART_COUNT_MAX = 3  # times that a process which died is followed by another at once
# After that, and when none can be had (no descriptors, no memory, no processes), the bodies wait:
# such a shortage ends. Each attempt costs a process, so the pause doubles.
PAUSE_S = 30.0
PAUSE_S_MAX = 3600.0
ORDER_SPARE_COUNT = 1000  # places of bodies that were dropped; more are cleared away


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
        self.is_paused = False  # no process can be had: another is tried later
        self._pause_s = 0.0  # 0: the last one that was tried has started
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
        if key in self._keys:
            return
        self._keys.add(key)
        self._put(len(body), self._number, key, body)
        self._number += 1
        if self.engine is not None and not self.is_paused:
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
        self._go_on()
        if self._is_wanted():
            self._start(idle=True)

    def run(self) -> None:
        """Waits until all is compressed, on all processors. Instead of begin(), or before it."""
        select = library("select")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        try:
            self._go_on()
            for _ in range(min(cores or 1, len(self._bodies))):
                if not self.is_paused:
                    self._start(idle=False)
            while self._processes:
                waiting = select.poll()
                found = {process.source: process for process in self._processes}
                for descriptor in found:
                    waiting.register(descriptor, select.POLLIN)
                for descriptor, _ in waiting.poll():
                    found[descriptor].readable()
        finally:
            self._kill()

    def end(self) -> None:
        """Ends the process, whatever it does; forgets what waits. Nothing is left over."""
        self.engine = None
        self._kill()
        self._bodies.clear()
        self._order.clear()
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

    def started(self) -> None:
        """A process has said hello."""
        if self._pause_s:
            self._pause_s = 0.0
            self.log(WAR, "static: a process compresses again"
                          f" ({len(self._bodies):,} bodies have waited for it)")

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
        if self._bodies and not self._processes and not self.is_paused:
            self._start(process.idle)
        if blamed is not None:
            self.finished(blamed[2], {})

    def _died(self, process: Process, blamed: Optional[Job]) -> None:
        how = "did not start" if not process.is_ready else "died"
        what = f" over a body of {blamed[0]} bytes, which is left as it is" if blamed else ""
        self.restart_count += 1
        if self.restart_count == 1 and not self._pause_s:
            self.log(WAR, f"static: the process that compresses {how}{what}")
        if self.restart_count > RESTART_COUNT_MAX and not self._processes:
            self._pause("the process that compresses died again and again")

    def _pause(self, reason: str) -> None:
        """Says so once, and tries again later; in run(), begin() does."""
        self.is_paused = True
        if not self._pause_s:
            self.log(ERR, f"static: {reason}. What is not in the cache leaves as it is until there"
                          f" is one; the next attempt is in {PAUSE_S:.0f} s")
        self._pause_s = min(max(PAUSE_S, 2 * self._pause_s), PAUSE_S_MAX)
        engine = self.engine
        if engine is not None:
            engine.later(self._pause_s, lambda: self._try_again(engine))

    def _try_again(self, engine: Any) -> None:
        if self.engine is engine and self.is_paused:
            self._go_on()
            if self._is_wanted():
                self._start(idle=True)

    def _is_wanted(self) -> bool:
        return bool(self._bodies) or (self.cache is not None and self.cache.is_due())

    def _go_on(self) -> None:
        self.is_paused = False
        self.restart_count = 0

    def _start(self, idle: bool) -> None:
        process = None
        try:
            process = Process(self, idle)
            self._processes.append(process)
            process.begin(self.engine)
        except (OSError, ValueError) as exc:
            if process is not None:
                self._processes.remove(process)
                process.kill()
            if not self._processes:
                self._pause(f"no process to compress: {getattr(exc, 'strerror', None) or exc}")

    def _kill(self) -> None:
        for process in self._processes:
            number = process.number
            if not process.kill():
                self.log(WAR, f"static: process {number} does not end")
        self._processes.clear()
