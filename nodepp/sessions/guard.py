"""A session file while it is in use: it can be cut, overwritten, replaced or removed by others.

The core survives that (core/sigbus.pxi, core/mend.pxi): from the first fault on, sessions lie in
memory. Here it is noticed also where no request has touched the file, the operator is told once,
the damaged file is set aside, and what lives in memory goes into a new file when the server stops.
docs/decisions/0018 says why.
"""

from __future__ import annotations

import time

from ..banner import counted
from ..errors import StartError
from .convert import Converter
from .file import ERR, WAR, SessionFile, hold
from .restore import begin_anew, fill_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .._core import Engine, SessionTable

LOOK_S = 2.0        # between two looks at the file: 10 µs each
SAID_S = 60.0       # between two lines about single sessions that were overwritten


class FileGuard:
    """Looks after the file of a table."""

    def __init__(self, table: SessionTable, file: SessionFile) -> None:
        self.table, self.file = table, file
        self._is_left = False           # it is damaged, and that has been said
        self._is_elsewhere = False      # its name is another file's, and that has been said
        self._lost = table.damaged
        self._said_at = -SAID_S

    def begin(self, engine: Engine) -> None:
        """From now on it is looked at, between two turns."""
        engine.every(LOOK_S, self.look)

    def look(self) -> None:
        """Is it still what it was?"""
        if self._is_left:
            return
        reason = self.file.difference()
        if not reason and self.table.file_left:
            reason = "the disk could not give or take a part of it"
        if reason:
            self._leave(reason)
        elif not self._is_elsewhere and not self.file.has_its_name():
            self._is_elsewhere = True
            self.file.write(WAR, f"{self.file.shown}: it was removed, or another file has its name."
                                 " The sessions go on, and into a new file when the server stops.")
        elif self.table.damaged != self._lost and time.monotonic() - self._said_at >= SAID_S:
            self._said_at = time.monotonic()
            count = self.table.damaged - self._lost
            self._lost += count
            self.file.write(WAR, f"{self.file.shown}: others have written into it:"
                                 f" {counted(count, 'session')} had to be ended.")

    def _leave(self, reason: str) -> None:
        self._is_left = True
        self.table.leave_file()
        aside = self.file.set_aside()
        text = f"{self.file.shown}: damaged while in use: {reason}."
        if aside:
            text += f" It was set aside as {aside}."
        self.file.write(ERR, text + " Everybody is logged out. New sessions are kept in memory, and"
                                    " go into a new file when the server stops.")

    def save(self) -> None:
        """At the stop: what the file cannot keep goes into a new one. Never raises."""
        self.look()
        if not (self._is_left or self._is_elsewhere):
            return
        header, count = self.file.header, len(self.table)
        assert header is not None
        self.file.end(is_clean=False)
        try:
            held = hold(self.file.name, self.file.write)
            if held.header is not None:
                held.end(is_clean=False)
                raise StartError(f"{held.shown}: another session file has its name.")
            try:
                header.created = int(time.time())
                table = begin_anew(held, header)
                fill_from(table, self.table, Converter(None, None))
                table.close()
            except BaseException:
                held.end(is_clean=False)
                raise
            held.end(is_clean=True)
        except (StartError, OSError) as error:
            self.file.write(ERR, f"{error} {counted(count, 'session')} could not be kept.")
