"""Long work in short slices, so that a deploy of a thousand files holds no visitor up."""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, Callable, Optional

    from .._core import Engine

SLICE_S = 0.005  # of work, then the loop has its turn; a request waits that long at most
PAUSE_S = 0.001  # until the next slice: the timer's grain
FLUSH_S = 0.25  # what was done so far is shown, though more is to come: some 15 ms of work itself


class Slices:
    """Runs generators, one after the other, between the turns of an engine.

    flush: shows what was done; called when nothing is left, and every quarter of a second before.
    failed: told of an exception, which ends that generator and no more.
    """

    def __init__(
        self, flush: Callable[[], object], failed: Callable[[BaseException], None]
    ) -> None:
        self.flush = flush
        self.failed = failed
        self._engine: Optional[Engine] = None
        self._queue: list[Generator[None, None, Any]] = []
        self._is_scheduled = False
        self._flushed_at = 0.0

    def begin(self, engine: Engine) -> None:
        """From now on work is done by this engine's timers."""
        self._engine = engine
        if self._queue:
            self._schedule()

    def end(self) -> None:
        """Nothing more is done."""
        self._engine = None
        self._queue.clear()

    @property
    def is_busy(self) -> bool:
        """Whether anything is left to do."""
        return bool(self._queue)

    def add(self, steps: Generator[None, None, Any]) -> None:
        """Queues work; without an engine it is done at once."""
        self._queue.append(steps)
        if self._engine is None:
            while self._queue:
                self._step()
            self.flush()
        else:
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled and self._engine is not None:
            self._is_scheduled = True
            self._flushed_at = self._flushed_at or time.perf_counter()
            self._engine.later(PAUSE_S, self._slice)

    def _slice(self) -> None:
        self._is_scheduled = False
        if self._engine is None:
            return
        until = time.perf_counter() + SLICE_S
        try:
            while self._queue and time.perf_counter() < until:
                self._step()
        except BaseException:  # none that a step may raise: the core logs it, and the rest goes on
            self._schedule()
            raise
        now = time.perf_counter()
        if not self._queue or now - self._flushed_at >= FLUSH_S:
            self._flushed_at = now if self._queue else 0.0
            self._flush()
        if self._queue:
            self._schedule()

    def _step(self) -> None:
        steps = self._queue[0]
        try:
            next(steps)
        except StopIteration:
            self._queue.remove(steps)
        except BaseException as error:  # a fault in one file's work must not end the server
            self._queue.remove(steps)
            if not isinstance(error, Exception):
                raise
            self.failed(error)

    def _flush(self) -> None:
        try:
            self.flush()
        except Exception as error:
            self.failed(error)
