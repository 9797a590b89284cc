"""The logs of a server: which file the error log goes to, and the descriptor that the engine writes
the access log to.
"""

from __future__ import annotations

import os

from . import forks
from .errors import StartError
from .log import log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._core import Engine
    from .config import Config

ACCESS_LOG_FORMATS = {"npp": 1, "combined": 2, "json": 3}


def open_error_log(config: Config) -> None:
    """StartError if its file cannot be written."""
    forks.disown(log.file)
    try:
        log.configure(config.log_level, config.log_file, config.log_to_stdout)
    except OSError as error:
        raise StartError(f"logFile={config.log_file}: {error.strerror}.") from None
    finally:
        forks.own(log.file)


def reopen_error_log() -> None:
    """After its file was moved away. OSError if it cannot be opened again; the old one stays."""
    forks.disown(log.file)
    try:
        log.reopen()
    finally:
        forks.own(log.file)


class AccessLog:
    """The access log of a server."""

    def __init__(self) -> None:
        self._fd = -1                       # of a file that we opened

    def open(self, config: Config, engine: Engine) -> None:
        """Gives the engine the descriptor; the old one is closed when nothing is waiting for it.
        StartError if its file cannot be written.
        """
        fd = log.fileno() if config.access_log else -1
        opened = -1
        if config.access_log and config.access_log_file:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            try:
                fd = opened = os.open(config.access_log_file, flags, 0o640)
                forks.own(opened)
            except OSError as error:
                path = config.access_log_file
                raise StartError(f"accessLogFile={path}: {error.strerror}.") from None
        engine.flush_access_log()
        engine.set_access_log(fd, ACCESS_LOG_FORMATS[config.access_log_format])
        self.close()
        self._fd = opened

    def close(self) -> None:
        """When the engine is closed."""
        if self._fd >= 0:
            forks.close(self._fd)
            self._fd = -1
