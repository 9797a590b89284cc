"""Children made by fork, for what processes share: they work, report, or are killed."""

from __future__ import annotations

import gc
import os
import pickle
import select
import signal
import traceback
import warnings
from collections.abc import Callable

from waiting import DEADLINE_S

# Before a program that steps back for everybody else: beside two busy processes its first answer
# takes a minute.
IN_THE_FRONT = "import os; os.nice = os.sched_setscheduler = lambda *_: None; "


class Child:
    """A process of its own that calls `work(*args)`; what that returns is its report.

    `as child:` kills it in the end if it still lives.
    """

    def __init__(self, work: Callable, *args) -> None:
        report, into = os.pipe()
        with warnings.catch_warnings():
            # "may lead to deadlocks in the child": other threads of this process, which only wait.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            os.close(report)
            _work(into, work, args)
        os.close(into)
        self.pipe = report
        self.status: int | None = None

    def kill(self) -> None:
        """SIGKILL: wherever it is, it does nothing more."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def wait(self) -> None:
        if self.status is None:
            _, self.status = os.waitpid(self.pid, 0)
            os.close(self.pipe)

    def report(self):
        """What `work` returned. AssertionError with its traceback if it raised."""
        data = bytearray()
        while True:
            readable, _, _ = select.select([self.pipe], [], [], DEADLINE_S)
            if not readable:
                self.kill()
                raise AssertionError(f"a child did not report within {DEADLINE_S} s")
            piece = os.read(self.pipe, 1 << 20)
            if not piece:
                break
            data += piece
        self.wait()
        assert self.status == 0, f"a child ended with status {self.status}"
        succeeded, result = pickle.loads(data)
        assert succeeded, f"in a child:\n{result}"
        return result

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_) -> None:
        self.kill()


def _work(into: int, work: Callable, args: tuple) -> None:
    """The life of a child: no clean-up of what the parent has open, no end of its tests."""
    gc.disable()                       # what the parent has dropped is not this process's to close
    try:
        report = (True, work(*args))
    except BaseException:
        report = (False, traceback.format_exc())
    try:
        data = memoryview(pickle.dumps(report))
        while data:
            data = data[os.write(into, data):]
    finally:
        os._exit(0)


def at_once(*works: tuple) -> list:
    """The reports of several children that run at the same time; each is (work, *args)."""
    children = [Child(*each) for each in works]
    try:
        return [child.report() for child in children]
    finally:
        for child in children:
            child.kill()
