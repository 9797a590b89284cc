"""Files that are looked at several times before what was read of them counts: those of this moment,
where the kernel does not tell us whether anybody is writing them (another user's).

A write is told when it is done, and until then a file has its new date, but only a part of its new
bytes. A single write(2) does not take long; but its process may have to wait for its turn, or the
whole machine stand still, which makes every file look old to who wakes first. So a span of time
proves little; several looks, with time for others in between, at a file that stays the same, do.
"""

from __future__ import annotations

import os
import time

from .watchnames import stamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    Stamp = tuple[int, ...]

LOOK_S = 0.1  # from one look to the next
LOOK_COUNT = 4
LOOKS_PER_TURN = 500  # 2 ms


class Looks:
    """tell(files): these have stayed the same for LOOK_COUNT looks, or have gone."""

    def __init__(self, tell: Callable[[set[str]], None]) -> None:
        self.tell = tell
        self._engine: Any = None
        self._is_due = False
        self._ripe: dict[str, Stamp] = {}
        # Looks so far, what was seen, when the next is due: the next one first.
        self._waiting: dict[str, tuple[int, Stamp, float]] = {}

    def begin(self, engine: Any) -> None:
        """Looks by this engine's timers."""
        self._engine = engine

    def end(self) -> None:
        """Looks no more."""
        self._engine = None
        self._waiting.clear()

    def forget(self) -> None:
        """What has stayed the same up to now has to do so again; once in a while, for room."""
        self._ripe.clear()

    def is_ripe(self, file: str) -> bool:
        """Whether a file is as it was in enough looks. If not it will be told when it is."""
        now = look_at(file)
        if now is None or self._ripe.get(file) == now:
            return True
        self._ripe.pop(file, None)
        if file not in self._waiting or self._waiting[file][1] != now:
            self._wait(file, 1, now)
            self._look_soon()
        return False

    def _wait(self, file: str, count: int, seen: Stamp) -> None:
        self._waiting.pop(file, None)  # it goes to the end
        self._waiting[file] = count, seen, time.monotonic() + LOOK_S

    def _look_soon(self) -> None:
        if self._waiting and not self._is_due and self._engine is not None:
            self._is_due = True
            engine = self._engine
            engine.later(LOOK_S / 4, lambda: self._look(engine))

    def _look(self, engine: Any) -> None:
        if self._engine is not engine:
            return
        self._is_due = False
        told = set()
        for _ in range(min(LOOKS_PER_TURN, len(self._waiting))):
            file = next(iter(self._waiting))
            count, seen, due_s = self._waiting[file]
            if time.monotonic() < due_s:
                break
            now = look_at(file)
            if now is not None and (now != seen or count + 1 < LOOK_COUNT):
                self._wait(file, count + 1 if now == seen else 1, now)
                continue
            del self._waiting[file]
            told.add(file)
            if now is not None:
                self._ripe[file] = now
        if told:
            self.tell(told)
        self._look_soon()


def look_at(file: str) -> Optional[Stamp]:
    """What differs when a file was written to, or is another one; None if it is not there."""
    try:
        return stamp(os.stat(file))
    except OSError:
        return None
