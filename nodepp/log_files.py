"""The logs of a server: where the error log goes, and what takes the lines of the access log."""

from __future__ import annotations

from .errors import StartError
from .log import WAR, log
from .sink import renewed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ._core import Engine
    from .config import Config
    from .sink import Sink

ACCESS_LOG_FORMATS = {"npp": 1, "combined": 2, "json": 3}

REPORT_S = 60.0                 # between two lines that say how many were lost


class Logs:
    """Both logs of a server. Where the access log goes the way of the error log they share a sink,
    so that a line of one is never written into a line of the other.
    """

    def __init__(self) -> None:
        self._engine: Optional[Engine] = None
        self._own: Optional[Sink] = None        # the access log's, unless it is the error log's
        self._access: Optional[Sink] = None
        self._format = 0

    def open(self, config: Config) -> None:
        """Opens what the settings name: at the start, when they have changed, and after a rotation.
        What leads to its destination still stays open. Lines that wait go to the new destination
        if the old one takes none. StartError if a file cannot be written.
        """
        if self._engine is not None:
            self._engine.flush_access_log()
        self.report()
        try:
            log.configure(config.log_level, config.log_file, config.log_to_stdout)
        except OSError as error:
            raise StartError(f"logFile={config.log_file}: {error.strerror}.") from None
        self._access = self._open_access_log(config) if config.access_log else None
        self._format = ACCESS_LOG_FORMATS[config.access_log_format]
        self._connect()
        before, self._own = self._own, None if self._access is log.sink else self._access
        if before is not None and before is not self._own:
            before.close()

    def _open_access_log(self, config: Config) -> Sink:
        path = config.access_log_file
        assert log.sink is not None
        if not path or log.sink.is_at(path):
            return log.sink
        try:
            return renewed(self._own, path)
        except OSError as error:
            raise StartError(f"accessLogFile={path}: {error.strerror}.") from None

    def begin(self, engine: Engine) -> None:
        """When the engine is open."""
        self._engine = engine
        self._connect()
        engine.every(REPORT_S, self.report)

    def end(self) -> None:
        """After the last request. Lines that are not taken now are lost."""
        if self._engine is not None:
            self._engine.set_access_log(None, 0)
            self._engine = None
            self.report()

    def close(self) -> None:
        """Messages go straight to stderr again."""
        if self._own is not None:
            self._own.close()
        self._own = self._access = None
        log.close()

    def report(self) -> None:
        """Says in the error log how many lines of either log were lost, if it takes that."""
        own = self._own
        if own is not None and own.lost_count:
            count, own.lost_count = own.lost_count, 0
            lost = "1 line was" if count == 1 else f"{count:,} lines were"
            log.write(WAR, f"access log: {lost} lost: {own.reason}.")
        log.report()

    def _connect(self) -> None:
        if self._engine is not None:
            write = None if self._access is None else self._access.write
            self._engine.set_access_log(write, self._format)
