"""Folders looked at again and again, where the system does not tell of changes.

A look is taken in slices of a few milliseconds. What differs from before is looked at again a
second later, and counts as changed when both looks are equal: nobody writes to it at the moment.
"""

from __future__ import annotations

import os
import stat
import time

from .tree import DEPTH_MAX, is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Callable, Optional

    Stamp = Optional[tuple[int, ...]]  # None: there is no such file

LOOK_S = 60.0  # between looks at everything
AGAIN_S = 1.1  # until the second look; file systems keep times by the second at worst
SLICE_S = 0.002  # that a slice takes at most, about
PAUSE_S = 0.01  # between slices
FILES_PER_SLICE = 50  # looked at between two glances at the clock


class Scan:
    """Looks at folders every minute. report(files) gets the absolute names of what has changed."""

    def __init__(self, report: Callable[[set[str]], None]) -> None:
        self.report = report
        self.roots: dict[str, bool] = {}  # path → whether what is below is looked at too
        self.excluded = ""  # the real path of a folder that is not looked at
        self._known: dict[str, Stamp] = {}  # as they were reported, or found first
        self._doubtful: dict[str, tuple[Stamp, float]] = {}  # different, since when as it is
        self._engine: Any = None
        self._work: Optional[Iterator[None]] = None  # the look that is under way
        self._is_first = True
        self._is_again_due = False

    def begin(self, engine: Any) -> None:
        """Looks from now on, at once for the first time: at what everything is compared with."""
        self._engine = engine
        engine.every(LOOK_S, lambda: self._look(engine))
        engine.later(PAUSE_S, lambda: self._look(engine))

    def end(self) -> None:
        """Looks no more."""
        self._engine = self._work = None

    def is_settled(self, file: str) -> bool:
        """Whether a file is as it was in two looks. If not it is reported when it will be."""
        now = look_at(file)
        if self._known.get(file, False) == now:
            return True
        if self._engine is None:
            self._known[file] = now
            return True
        self._doubt(file, now)
        self._again_soon()
        return False

    def _doubt(self, file: str, now: Stamp) -> None:
        """A file that is not as it was known; a second look at the same starts no new second."""
        before = self._doubtful.get(file)
        if before is None or before[0] != now:
            self._doubtful[file] = now, time.monotonic()

    def _look(self, engine: Any) -> None:
        if self._engine is engine and self._work is None:
            self._work = self._steps()
            self._step()

    def _step(self) -> None:
        """A slice."""
        if self._work is None or self._engine is None:
            return
        until = time.perf_counter() + SLICE_S
        while True:
            try:
                next(self._work)
            except StopIteration:
                self._work = None
                return
            if time.perf_counter() >= until:
                break
        self._engine.later(PAUSE_S, self._step)

    def _steps(self) -> Iterator[None]:
        """One look at everything."""
        found: dict[str, Stamp] = {}
        for root, is_deep in list(self.roots.items()):
            for file in files_below(root, DEPTH_MAX if is_deep else 0, self.excluded):
                found[file] = look_at(file)
                if len(found) % FILES_PER_SLICE == 0:
                    yield
        if self._is_first:
            self._is_first = False
            self._known = {**found, **self._known}
        for number, file in enumerate({**self._known, **found}):
            if self._known.get(file) != found.get(file):
                self._doubt(file, found.get(file))
            if number % FILES_PER_SLICE == 0:
                yield
        self._again_soon()

    def _again_soon(self) -> None:
        if self._doubtful and not self._is_again_due and self._engine is not None:
            self._is_again_due = True
            engine = self._engine
            engine.later(AGAIN_S, lambda: self._again(engine))

    def _again(self, engine: Any) -> None:
        """The second look at what was different."""
        self._is_again_due = False
        if self._engine is not engine:
            return
        if self._work is not None:  # one at a time
            self._again_soon()
            return
        self._work = self._second_steps()
        self._step()

    def _second_steps(self) -> Iterator[None]:
        changed = set()
        for number, file in enumerate(list(self._doubtful)):
            now = look_at(file)
            self._doubt(file, now)
            if time.monotonic() - self._doubtful[file][1] < AGAIN_S * 0.9:
                continue
            del self._doubtful[file]
            if self._known.get(file) != now:
                changed.add(file)
                if now is None:
                    self._known.pop(file, None)
                else:
                    self._known[file] = now
            if number % FILES_PER_SLICE == 0:
                yield
        if changed:
            self.report(changed)
        self._again_soon()


def look_at(file: str) -> Stamp:
    """What differs when a file was written to, or is another one; None if it is not there."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns


def files_below(folder: str, depth: int, excluded: str) -> Iterator[str]:
    """Names of everything in a folder that is no folder, and in those below it, links followed."""
    from .watchtree import is_hidden

    if excluded and is_within(excluded, os.path.realpath(folder)):
        return
    try:
        with os.scandir(folder) as found:
            entries = [(it.path, it.is_dir()) for it in found if not is_hidden(it.name)]
    except OSError:
        return
    for path, is_folder in entries:
        if not is_folder:
            yield path
        elif depth > 0:
            yield from files_below(path, depth - 1, excluded)
