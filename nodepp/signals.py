"""What a server does when it is sent a signal: INT and TERM drain and stop, a second one of them or
QUIT cuts, HUP reloads, USR1 reopens the logs. USR2 means nothing yet: it is ignored, with a
line, for by default it would end the server, and tools send it to other servers.

All others stay as they are. Python ignores PIPE and XFSZ, the kernel CHLD, WINCH and URG. ALRM,
VTALRM and PROF are an application's own timers. STOP, TSTP, TTIN and TTOU are job control's.

Python runs these between two steps of its own code; a pipe wakes the engine for them. A cut also
interrupts the code of the application that is running: Cut is raised in it. Where that does not
help, the watchdog (core/watchdog.pxi) ends the process. In a child that the application forks,
signals do what they did before the server (core/fork.pxi).
"""

from __future__ import annotations

import os
import signal
import time

from . import forks
from .errors import StartError
from .host import import_core
from .log import ALWAYS, WAR, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Callable, Optional

    from ._core import Watchdog
    from .server import Server

    Handler = Callable[[int, Optional[FrameType]], Any]


UNUSED_PAUSE_S = 60.0           # between two lines about a signal that means nothing
SOON_S = 0.001                  # the shortest time of a timer


class Signals:
    """Those of one server, from catch() to release()."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.watchdog: Optional[Watchdog] = None
        self._handlers: dict[int, Any] = {}     # of before, by signal
        self._set: set[Any] = set()             # those that replace them
        self._wakeup_before = -1
        self._generation = 0                # of the process whose signals they are
        self._is_interruptible = False
        self._is_starting = False           # code of the application runs that a stop abandons
        self._is_stop_wanted = False        # before there was an engine
        self._unused_until_s = 0.0

    @property
    def wakeup_fd(self) -> int:
        """Readable when a signal has come; -1 unless they are caught."""
        return self.watchdog.wakeup_fd if self.watchdog is not None else -1

    @property
    def are_ours(self) -> bool:
        """Whether signals come here: then no exception of the application ends the server."""
        return bool(self._handlers)

    @property
    def is_stop_wanted(self) -> bool:
        """Whether a signal has asked for the end of a start."""
        return self._is_stop_wanted

    def keep_pipe(self) -> None:
        """asyncio takes Python's wake-up descriptor for its own signals, and does not give it back.
        """
        assert self.watchdog is not None
        signal.set_wakeup_fd(self.watchdog.signal_fd, warn_on_full_buffer=False)

    def are_heard(self) -> bool:
        """Whether INT and TERM come here still: an application may set handlers of its own."""
        return all(signal.getsignal(it) in self._set for it in (signal.SIGINT, signal.SIGTERM))

    def catch(self) -> None:
        """From now on they come here, and slow code is reported. In a thread, as in tests of an
        application, there are no signals: the code that started it stops it.
        """
        try:
            self.watchdog = import_core().Watchdog(_report, self.server.config.slow_log_ms)
        except OSError as error:
            raise StartError(f"The watchdog could not be made: {error.strerror}.") from None
        assert self.watchdog is not None
        if not self.watchdog.watching:
            log.write(WAR, "There is no thread for the watchdog: a handler that hangs can only be"
                           " killed, and slow ones are not reported.")
        self.follow()
        try:
            # A full pipe means that the engine will wake up anyway.
            self._wakeup_before = signal.set_wakeup_fd(
                self.watchdog.signal_fd, warn_on_full_buffer=False)
        except ValueError:                  # not the main thread
            return
        handlers = {
            signal.SIGINT: self._on_stop,
            signal.SIGTERM: self._on_stop,
            signal.SIGQUIT: self._on_cut,
            signal.SIGHUP: self._on_reload,
            signal.SIGUSR1: self._on_reopen,
            signal.SIGUSR2: self._on_unused,
        }
        self._generation = forks.generation()
        _keep_for_children(self)
        for number, handler in handlers.items():
            self._handlers[number] = signal.signal(number, self._in_parent(handler))

    def release(self) -> None:
        """From now on they do what they did before."""
        if self._handlers:
            _keep_for_children(None)
            signal.set_wakeup_fd(self._wakeup_before)
            self._restore()
        if self.watchdog is not None:
            self.watchdog.close()
            self.watchdog = None

    def _restore(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._handlers.clear()

    def _in_parent(self, handler: Handler) -> Handler:
        """The handler as it is set. A child that C code has forked never ran restore_in_child()."""
        def caught(number: int, frame: Optional[FrameType]) -> None:
            if forks.generation() == self._generation:
                handler(number, frame)
            else:
                self.restore_in_child()
                os.kill(os.getpid(), number)

        self._set.add(caught)
        return caught

    def restore_in_child(self) -> None:
        """What signal.getsignal() tells is true again. The system's dispositions are those of
        before already, also of a signal that the application has taken since: that one is set anew.
        """
        if forks.generation() == self._generation:
            return                          # a process of nodepp's own
        if self._handlers:
            signal.set_wakeup_fd(self._wakeup_before)
        for number, before in self._handlers.items():
            now = signal.getsignal(number)
            if now not in self._set:
                before = now
            signal.signal(number, before if before is not None else signal.SIG_DFL)
        self._handlers.clear()

    def follow(self) -> None:
        """After a change of the settings, or of the log."""
        if self.watchdog is not None:
            self.watchdog.set_slow(self.server.config.slow_log_ms)
            self.watchdog.set_grace(self.server.config.graceful_timeout_ms)
            self.watchdog.set_log(log.fileno(), bool(log.path))

    def begin(self, what: str) -> None:
        """Work outside of the loop begins: the watchdog counts anew."""
        if self.watchdog is not None:
            self.watchdog.begin(what)

    def start_step(self, what: str, work: Callable[..., Any], *args: Any) -> Any:
        """Runs code of the application before there is an engine. A stop abandons the start, also
        when that code has swallowed the KeyboardInterrupt.
        """
        self.begin(what)
        self._is_starting = True
        try:
            return forks.call(work, *args)
        finally:
            self._is_starting = False
            if self._is_stop_wanted:
                raise KeyboardInterrupt

    def run_stop_hook(self, hook: Callable[[], object]) -> None:
        """Runs code of the application after the last request: a cut interrupts it, and nothing
        else.
        """
        self.begin("on_stop")
        self._is_interruptible = True
        try:
            forks.call(hook)
        except import_core().Cut:
            pass
        finally:
            self._is_interruptible = False

    def _on_stop(self, number: int, frame: Optional[FrameType]) -> None:
        if self.server.engine is None:
            self._abandon_start()
            return
        assert self.watchdog is not None
        if self.server.stopping_since is None and self.watchdog.signals < 2:
            self.server.stop()
        else:
            self._on_cut(number, frame)

    def _on_cut(self, number: int, frame: Optional[FrameType]) -> None:
        assert self.watchdog is not None
        self.watchdog.cut(number)           # it knows, unless the application has taken its pipe
        if self.server.engine is None:
            self._abandon_start()
            return
        self.server.cut()
        if self._is_interruptible or self.watchdog.busy:
            if frame is not None:
                from .slow import place_of

                log.write(ALWAYS, f"Interrupted: {place_of(frame)}")
            raise import_core().Cut

    def _abandon_start(self) -> None:
        """Still starting: the import, or on_start, ends. Once only, for what follows gives back
        what was opened.
        """
        if self._is_interruptible:
            raise import_core().Cut
        if self._is_starting or not self._is_stop_wanted:
            self._is_stop_wanted = True
            raise KeyboardInterrupt

    def _on_reload(self, number: int, frame: Optional[FrameType]) -> None:
        if self.server.engine is not None and self.server.stopping_since is None:
            self._soon(self.server.reload)

    def _on_reopen(self, number: int, frame: Optional[FrameType]) -> None:
        self._soon(self.server.reopen_logs)

    def _soon(self, action: Callable[[], None]) -> None:
        """Between two requests: now a log may be in the middle of a write, and it would be closed.
        """
        engine = self.server.engine
        if engine is None or not engine.running:
            if self.server.stopping_since is None:
                action()
        else:
            engine.later(SOON_S, action)

    def _on_unused(self, number: int, frame: Optional[FrameType]) -> None:
        now_s = time.monotonic()
        if now_s >= self._unused_until_s:
            self._unused_until_s = now_s + UNUSED_PAUSE_S
            name = signal.Signals(number).name
            log.write(WAR, f"{name} means nothing here: ignored. HUP reloads, USR1 reopens logs.")


_caught: Optional[Signals] = None       # those that a child gives back
_is_hooked = False


def _keep_for_children(signals: Optional[Signals]) -> None:
    """Before they are caught, and None when they are released."""
    global _caught, _is_hooked
    from ._core import fork_keep_signals, fork_release_signals

    _caught = signals
    if signals is None:
        fork_release_signals()
        return
    fork_keep_signals()
    if not _is_hooked:
        _is_hooked = True                   # once: it cannot be taken back
        os.register_at_fork(after_in_child=_restore_in_child)


def _restore_in_child() -> None:
    if _caught is not None:
        _caught.restore_in_child()


def _report(what: str, held_ms: int, frame: Optional[FrameType]) -> None:
    """Imported when there is something to report."""
    from .slow import report

    report(what, held_ms, frame)
