"""Waiting for what must come true, and measuring what may be measured.

A test says what it waits for, never how long that takes: other programs may want the processor, and
the sanitizers are slow. It asks until the answer is right; only a test that fails waits for the
deadline. For the same reason no test looks at the time on the wall to judge how fast something is:
the processor time of a process is the same, or nearly so, on a busy machine.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable

DEADLINE_S = 60.0                 # of anything: ten times what the slowest takes on a busy machine
PAUSE_S = 0.002                   # between two questions


class Deadline:
    """The time that is left; AssertionError when none is. `what`: for which something waits."""

    def __init__(self, what: str = "what was waited for") -> None:
        self.what = what
        self.end_s = time.monotonic() + DEADLINE_S

    def rest_s(self) -> float:
        """Seconds that are left, above 0: what select() and settimeout() take."""
        rest_s = self.end_s - time.monotonic()
        assert rest_s > 0, f"{self.what} did not come true within {DEADLINE_S:.0f} s"
        return rest_s


def pause() -> None:
    """Lets others work for a moment."""
    time.sleep(PAUSE_S)


def until(
    condition: Callable[[], object], what: str = "the condition", between: Callable = pause
) -> object:
    """Asks until the condition holds, and gives what it was. between(): what happens meanwhile."""
    deadline = Deadline(what)
    while not (found := condition()):
        deadline.rest_s()
        between()
    return found


def spin(seconds: float) -> None:
    """A moment that is too short for a sleep: to meet another process at a random place."""
    end_s = time.perf_counter() + seconds
    while time.perf_counter() < end_s:
        pass


def cpu_s(work: Callable[[], object], times: int = 3) -> float:
    """Processor seconds of this process that work() takes: the least of several times."""
    found = []
    for _ in range(times):
        start_s = time.process_time()
        work()
        found.append(time.process_time() - start_s)
    return min(found)


def children_cpu_s() -> float:
    """Processor seconds of all child processes that have ended and were waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
