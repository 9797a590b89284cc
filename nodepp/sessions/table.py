"""open_table(): the table of sessions that a server starts with, in its file or without one.

What only a file needs is imported when there is one.
"""

from __future__ import annotations

import os

from ..errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    from .._core import Engine, SessionTable
    from ..config import Config
    from .file import SessionFile
    from .guard import FileGuard
    from .schema import Schema

    Write = Callable[[int, str], None]
    Timeouts = tuple[int, int, int, int]

# A login's name lies behind the data (core/session.pxi, SESSION_NAME_SIZE_MAX): a record that fills
# its slot would leave none for it.
NAME_SIZE_MAX = 60
DATA_SIZE_MIN = 16

# Seconds that sessions live: unused, unused with a login, with a login that is kept, altogether.
# Those of the settings' defaults.
TIMEOUTS = (600, 1800, 30 * 86400, 30 * 86400)


class OpenedTable:
    """A table in use. restored: how many sessions were there; path: its file, "" without one."""

    def __init__(self, table: SessionTable, file: Optional[SessionFile] = None) -> None:
        self.table = table
        self.path = file.name if file else ""
        self.restored = len(table)
        self._file = file
        self._owner = os.getpid()
        self._guard: Optional[FileGuard] = None
        if file is not None:
            from .guard import FileGuard

            self._guard = FileGuard(table, file)

    def begin(self, engine: Engine) -> None:
        """While this engine runs, the file is looked after."""
        if self._guard is not None:
            self._guard.begin(engine)

    def close(self, clean: bool = True) -> None:
        """Ends it, when the engine is closed. clean: the sessions are whole, and written to disk.

        In a process that was forked since, only its own view of it ends.
        """
        is_ours = clean and os.getpid() == self._owner
        if self._guard is not None and is_ours:
            self._guard.save()
        self.table.close()
        if self._file is not None:
            self._file.end(is_ours)
            self._file = self._guard = None


def timeouts_of(config: Config) -> Timeouts:
    """The settings of how long sessions live."""
    settings = config.session_settings()
    return (settings["session_timeout_s"], settings["session_auth_timeout_s"],
            settings["session_keep_s"], settings["session_lifetime_s"])


def open_table(
    config: Config, declared: Optional[type], write: Write, timeouts: Timeouts = TIMEOUTS
) -> OpenedTable:
    """The table that max_sessions, session_data_size and session_file ask for.

    declared: the class of app.session_data, None for dicts. write: the log, write(level, message).
    timeouts: what is over is not taken over from the file. StartError says what to do when the
    memory or the file cannot be had.
    """
    schema: Optional[Schema] = getattr(declared, "__session_schema__", None)
    data_size = slot_size(schema) if schema else config.session_data_size
    capacity = config.max_sessions
    if not config.session_file:
        return OpenedTable(make_table(capacity, data_size))
    from .restore import open_in_file

    return OpenedTable(
        *open_in_file(config.session_file, capacity, data_size, schema, write, timeouts))


def slot_size(schema: Schema) -> int:
    """Bytes of data that a slot needs for the record of a declared class and a login's name."""
    size = schema.size + NAME_SIZE_MAX
    return max(DATA_SIZE_MIN, size + -size % 8)


def make_table(capacity: int, data_size: int, **place: Any) -> SessionTable:
    """A table of the core. StartError: there is no memory for it."""
    from .._core import SessionTable

    try:
        return SessionTable(capacity, data_size, **place)
    except (MemoryError, OSError) as error:
        from .disk import size_text

        size = SessionTable.region_size(capacity, data_size)
        raise StartError(
            f"maxSessions={capacity}: no memory for so many sessions of {data_size:,} bytes,"
            f" {size_text(size)} ({error}). Lower maxSessions or sessionDataSize.") from None
