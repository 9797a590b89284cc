"""open_table(): the table of sessions that a server starts with, in its file or without one.

A file of the geometry and layout that are asked for is mapped as it is: 50,000 sessions are there
in a few milliseconds. Else what lives in it is put into a new one, converted.
"""

from __future__ import annotations

import os
import time

from ..errors import StartError
from .disk import MIB
from .file import INF, WAR, SessionFile, hold
from .header import HEADER_SIZE, KEY_SIZE, Header
from .schema import Schema, schema_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Optional, Union

    from .._core import SessionTable
    from ..config import Config
    from .convert import Converter
    from .file import Write

# A login's name lies behind the data (core/session.pxi, SESSION_NAME_SIZE_MAX): a record that fills
# its slot would leave none for it.
NAME_SIZE_MAX = 60
DATA_SIZE_MIN = 16

# Places in a record of SessionTable.records().
_ACTIVE, _UID, _NAME, _DATA = 2, 5, 8, 10


class OpenedTable:
    """A table in use. restored: how many sessions were there; path: its file, "" without one."""

    def __init__(self, table: SessionTable, file: Optional[SessionFile] = None) -> None:
        self.table = table
        self.path = file.name if file else ""
        self.restored = len(table)
        self._file = file
        self._owner = os.getpid()

    def close(self, clean: bool = True) -> None:
        """Ends it, when the engine is closed. clean: the sessions are whole, and written to disk.

        In a process that was forked since, only its own view of it ends.
        """
        self.table.close()
        if self._file is not None:
            self._file.end(clean and os.getpid() == self._owner)
            self._file = None


def open_table(config: Config, declared: Optional[type], write: Write) -> OpenedTable:
    """The table that max_sessions, session_data_size and session_file ask for.

    declared: the class of app.session_data, None for dicts. write: the log, write(level, message).
    StartError says what to do when the memory or the file cannot be had.
    """
    from .._core import SessionTable

    schema = schema_of(declared)
    data_size = slot_size(schema) if schema else config.session_data_size
    capacity = config.max_sessions
    if not config.session_file:
        return OpenedTable(_make_table(capacity, data_size))
    region_size = SessionTable.region_size(capacity, data_size)
    layout = schema.layout if schema else ""
    wanted = Header(capacity, data_size, layout, b"", region_size, int(time.time()))
    file = hold(config.session_file, write)
    try:
        return _open_in(file, wanted, schema)
    except BaseException:
        file.abandon_next()
        file.discard_if_empty()
        file.end(is_clean=False)
        raise


def slot_size(schema: Schema) -> int:
    """Bytes of data that a slot needs for the record of a declared class and a login's name."""
    size = schema.size + NAME_SIZE_MAX
    return max(DATA_SIZE_MIN, size + -size % 8)


def _make_table(capacity: int, data_size: int, **place: Any) -> SessionTable:
    from .._core import SessionTable

    try:
        return SessionTable(capacity, data_size, **place)
    except (MemoryError, OSError) as error:
        size = SessionTable.region_size(capacity, data_size)
        raise StartError(
            f"maxSessions={capacity}: no memory for so many sessions of {data_size:,} bytes,"
            f" {size / MIB:,.1f} MiB ({error}). Lower maxSessions or sessionDataSize.") from None


def _open_in(file: SessionFile, wanted: Header, schema: Optional[Schema]) -> OpenedTable:
    old_schema = _check(file)
    header = file.header
    if header is None:
        table = _begin_anew(file, wanted)
    elif _same(header, wanted):
        file.fill_holes()
        table = _map(file.descriptor, header, is_new=False, check=file.needs_check)
        _say_what_was_dropped(file, table)
        try:
            file.begin()
        except BaseException:
            table.close()
            raise
    else:
        table = _take_over(file, header, wanted, old_schema, schema)
    return OpenedTable(table, file)


def _check(file: SessionFile) -> Optional[Schema]:
    """The layout of the file; one that this nodepp cannot read is damage like any other."""
    from .._core import SessionTable

    header = file.header
    if header is None:
        return None
    try:
        size = SessionTable.region_size(header.capacity, header.data_size)
        if size != header.region_size:
            raise ValueError("another version of nodepp laid it out")
        return Schema.parse(header.layout) if header.layout else None
    except (ValueError, OverflowError) as error:
        file.header, file.damage = None, str(error)
        return None


def _same(header: Header, wanted: Header) -> bool:
    return (header.capacity, header.data_size, header.layout) == \
        (wanted.capacity, wanted.data_size, wanted.layout)


def _map(descriptor: int, header: Header, is_new: bool, check: bool = False) -> SessionTable:
    return _make_table(
        header.capacity, header.data_size, key=header.key, fd=descriptor, offset=HEADER_SIZE,
        key_is_new=is_new, check=check)


def _begin_anew(file: SessionFile, wanted: Header) -> SessionTable:
    """An empty file, where there was none or a damaged one."""
    wanted.key = os.urandom(KEY_SIZE)
    descriptor = file.make_next(wanted, _sizes(wanted))
    table = _map(descriptor, wanted, is_new=True)
    try:
        damage, aside = file.damage, file.publish_next()
    except BaseException:
        table.close()
        raise
    if aside:
        file.write(WAR, f"{file.shown}: damaged: {damage}. It was set aside as {aside}, and a new"
                        " one was begun: everybody is logged out.")
    return table


def _sizes(header: Header) -> str:
    return f"a file for {header.capacity:,} sessions of {header.data_size:,} bytes"


def _say_what_was_dropped(file: SessionFile, table: SessionTable) -> None:
    if file.needs_check:
        text = f"{file.shown}: the machine went down while it was in use. {len(table):,} sessions"
        text += f" are whole, {table.damaged:,} were damaged and are gone."
        file.write(WAR if table.damaged else INF, text)
    if table.duplicates:
        file.write(WAR, f"{file.shown}: {table.duplicates:,} sessions were there twice.")


# --- another geometry or layout -------------------------------------------------------------------


def _take_over(
    file: SessionFile, header: Header, wanted: Header, old_schema: Optional[Schema],
    schema: Optional[Schema],
) -> SessionTable:  # fmt: skip
    """What lives in the file is put into a new one. Until that is whole, the old one stays."""
    from .convert import Converter

    began = time.perf_counter()
    wanted.key = header.key             # cookies stay ours
    old = _map(file.descriptor, header, is_new=False, check=file.needs_check)
    new: Optional[SessionTable] = None
    try:
        _say_what_was_dropped(file, old)
        descriptor = file.make_next(wanted, _sizes(wanted) + ", beside the one that is there,")
        new = _map(descriptor, wanted, is_new=False)
        converter = Converter(old_schema, schema)
        left_out = fill_from(new, old, converter)
        file.publish_next()
    except BaseException:
        if new is not None:
            new.close()
        raise
    finally:
        old.close()
    parts = [f"maxSessions {header.capacity:,} → {wanted.capacity:,}"
             if header.capacity != wanted.capacity else "",
             f"room {header.data_size:,} → {wanted.data_size:,} bytes"
             if header.data_size != wanted.data_size else "",
             converter.text(),
             f"{converter.lost_count:,} values did not fit" if converter.lost_count else "",
             f"{left_out:,} sessions were left out" if left_out else ""]
    file.write(WAR if left_out or converter.lost_count else INF,
               f"{file.shown}: {len(new):,} sessions were taken over in"
               f" {time.perf_counter() - began:.1f} s; {'; '.join(it for it in parts if it)}.")
    return new


def fill_from(new: SessionTable, old: SessionTable, converter: Converter) -> int:
    """Puts the sessions of one table into another, as many as it takes; how many it did not.

    If it is too small, those stay that are logged in, and of these and the others the newest.
    """
    records: Iterable[tuple[Any, ...]] = old.records()
    if len(old) > new.capacity:
        records = sorted(records, key=lambda it: (it[_UID] != 0, it[_ACTIVE]), reverse=True)
    left_out = 0
    for record in records:
        room = new.data_size - len(record[_NAME])
        fields: list[Union[int, bytes]] = list(record)
        if room < 0:
            fields[_NAME], room = b"", new.data_size
        fields[_DATA] = converter.convert(record[_DATA], room)
        if not new.restore(tuple(fields)):
            left_out += 1
    return left_out
