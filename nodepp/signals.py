"""What a server does when it is sent a signal: INT and TERM drain and stop, INT again or QUIT cuts,
HUP reloads, USR1 reopens the logs.

Python runs these between two steps of its own code; a pipe wakes the engine for them.
"""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, Optional

    from .server import Server


class Signals:
    """Those of one server, from catch() to release()."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._handlers: dict[int, Any] = {}
        self._pipe: tuple[int, int] = (-1, -1)
        self._wakeup_before = -1

    @property
    def wakeup_fd(self) -> int:
        """Readable when a signal has come; -1 unless they are caught."""
        return self._pipe[0]

    def catch(self) -> None:
        """From now on they come here. Not in a thread, as in tests of an application: whoever
        started it stops it.
        """
        handlers = {
            signal.SIGINT: self._on_stop,
            signal.SIGTERM: self._on_stop,
            signal.SIGQUIT: self._on_cut,
            signal.SIGHUP: self._on_reload,
            signal.SIGUSR1: self._on_reopen,
        }
        self._pipe = os.pipe()
        for fd in self._pipe:
            os.set_blocking(fd, False)
        try:
            # A full pipe means that the engine will wake up anyway.
            self._wakeup_before = signal.set_wakeup_fd(self._pipe[1], warn_on_full_buffer=False)
        except ValueError:                  # not the main thread
            return
        for number, handler in handlers.items():
            self._handlers[number] = signal.signal(number, handler)

    def release(self) -> None:
        """From now on they do what they did before."""
        if self._handlers:
            signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._handlers.clear()
        for fd in self._pipe:
            if fd >= 0:
                os.close(fd)
        self._pipe = (-1, -1)

    def _on_stop(self, number: int, frame: Optional[FrameType]) -> None:
        if self.server.engine is None:
            raise KeyboardInterrupt         # still starting: the import, or on_start, is abandoned
        if self.server.stopping_since is None:
            self.server.stop()
        elif number == signal.SIGINT:
            self._on_cut(number, frame)

    def _on_cut(self, number: int, frame: Optional[FrameType]) -> None:
        if self.server.engine is None:
            raise KeyboardInterrupt
        self.server.cut()

    def _on_reload(self, number: int, frame: Optional[FrameType]) -> None:
        if self.server.engine is not None:
            self.server.reload()

    def _on_reopen(self, number: int, frame: Optional[FrameType]) -> None:
        self.server.reopen_logs()
