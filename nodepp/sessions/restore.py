"""A table in its file: the one that is there, a new one, or what lived in one of other settings.

A file of the geometry and layout that are asked for is mapped as it is: 50,000 sessions are there
in 10 ms, 17 ms with a check. Else what lives in it is put into a new one, converted (0.4 s).
"""

from __future__ import annotations

import os
import time

from ..banner import counted
from .disk import refused
from .file import INF, WAR, SessionFile, hold
from .header import HEADER_SIZE, KEY_SIZE, Header
from .schema import Schema
from .table import TIMEOUTS, make_table

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Optional

    from .._core import SessionTable
    from .convert import Converter
    from .table import Timeouts, Write

    # id, started, active, agent, flags, uid, level, login_s, name, csrf, data
    Record = tuple[bytes, int, int, int, int, int, int, int, bytes, bytes, bytes]


def open_in_file(
    name: str, capacity: int, data_size: int, schema: Optional[Schema], write: Write,
    timeouts: Timeouts = TIMEOUTS,
) -> tuple[SessionTable, SessionFile]:
    """The table in the file of that name, which is ours until it is ended. StartError."""
    from .._core import SessionTable

    region_size = SessionTable.region_size(capacity, data_size)
    layout = schema.layout if schema else ""
    wanted = Header(capacity, data_size, layout, b"", region_size, int(time.time()))
    file = hold(name, write)
    try:
        return _open_in(file, wanted, schema, timeouts), file
    except BaseException as error:
        file.abandon_next()
        file.discard_if_empty()
        file.end(is_clean=False)
        if isinstance(error, OSError):
            raise refused(file.shown, error, file.path) from None
        raise


def _open_in(
    file: SessionFile, wanted: Header, schema: Optional[Schema], timeouts: Timeouts
) -> SessionTable:
    old_schema = _check(file)
    header = file.header
    if header is None:
        wanted.key = os.urandom(KEY_SIZE)
        table = begin_anew(file, wanted)
    elif _same(header, wanted):
        file.fill_holes()
        table = _map(file.descriptor, header, is_new=False, check=file.needs_check)
        table.set_timeouts(*timeouts)
        _say_what_was_dropped(file, table)
        try:
            file.begin()
        except BaseException:
            table.close()
            raise
    else:
        table = _take_over(file, header, wanted, old_schema, schema, timeouts)
    return table


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
    return make_table(
        header.capacity, header.data_size, key=header.key, fd=descriptor, offset=HEADER_SIZE,
        key_is_new=is_new, check=check)


def begin_anew(file: SessionFile, wanted: Header) -> SessionTable:
    """An empty file, where there was none or a damaged one."""
    descriptor = file.make_next(wanted, _sizes(wanted))
    table = _map(descriptor, wanted, is_new=True)
    try:
        damage, aside = file.damage, file.publish_next()
    except BaseException:
        table.close()
        raise
    file.header = wanted
    if aside:
        file.write(WAR, f"{file.shown}: damaged: {damage}. It was set aside as {aside}, and a new"
                        " one was begun: everybody is logged out.")
    return table


def _sizes(header: Header) -> str:
    return f"a file for {header.capacity:,} sessions of {header.data_size:,} bytes"


def _say_what_was_dropped(file: SessionFile, table: SessionTable) -> None:
    if file.needs_check:
        text = f"{file.shown}: the machine went down while it was in use, or the disk lost a part."
        text += f" {counted(len(table), 'session')} whole, {table.damaged:,} damaged and gone."
        file.write(WAR if table.damaged else INF, text)
    if table.duplicates:
        file.write(WAR, f"{file.shown}: {counted(table.duplicates, 'session')} found twice.")


# --- another geometry or layout -------------------------------------------------------------------


def _take_over(
    file: SessionFile, header: Header, wanted: Header, old_schema: Optional[Schema],
    schema: Optional[Schema], timeouts: Timeouts,
) -> SessionTable:  # fmt: skip
    """What lives in the file is put into a new one. Until that is whole, the old one stays."""
    from .convert import Converter

    began = time.perf_counter()
    wanted.key = header.key             # cookies stay ours
    old = _map(file.descriptor, header, is_new=False, check=file.needs_check)
    new: Optional[SessionTable] = None
    try:
        old.set_timeouts(*timeouts)     # what is over takes no place from others
        _say_what_was_dropped(file, old)
        descriptor = file.make_next(wanted, _sizes(wanted) + ", beside the one that is there,")
        new = _map(descriptor, wanted, is_new=False)
        new.set_timeouts(*timeouts)
        converter = Converter(old_schema, schema)
        left_out = fill_from(new, old, converter)
        file.publish_next()
        file.header = wanted
    except BaseException:
        if new is not None:
            new.close()
        raise
    finally:
        old.close()
    _say_what_was_taken_over(file, header, wanted, converter, len(new), left_out, began)
    return new


def _say_what_was_taken_over(
    file: SessionFile, old: Header, new: Header, converter: Converter, count: int, left_out: int,
    began: float,
) -> None:  # fmt: skip
    parts = []
    if old.capacity != new.capacity:
        parts.append(f"maxSessions {old.capacity:,} → {new.capacity:,}")
    if old.data_size != new.data_size:
        parts.append(f"room {old.data_size:,} → {new.data_size:,} bytes")
    if converter.text():
        parts.append(converter.text())
    if converter.lost_count:
        parts.append(f"{counted(converter.lost_count, 'value')} did not fit")
    if left_out:
        parts.append(f"{counted(left_out, 'session')} left out")
    file.write(WAR if left_out or converter.lost_count else INF,
               f"{file.shown}: took over {counted(count, 'session')} in"
               f" {time.perf_counter() - began:.1f} s; {'; '.join(parts)}.")


def fill_from(new: SessionTable, old: SessionTable, converter: Converter) -> int:
    """Puts the sessions of one table into another, as many as it takes; how many it did not.

    If it is too small, those stay that are logged in, and of these and the others the newest.
    """
    records: Iterable[Record] = old.records()
    if len(old) > new.capacity:
        records = sorted(records, key=_worth, reverse=True)
    left_out = 0
    for record in records:
        id, started, active, agent, flags, uid, level, login_s, name, csrf, data = record
        if len(name) > new.data_size:
            name = b""
        data = converter.convert(data, new.data_size - len(name))
        is_in = new.restore(
            (id, started, active, agent, flags, uid, level, login_s, name, csrf, data))
        left_out += not is_in
    return left_out


def _worth(record: Record) -> tuple[bool, int]:
    uid, active = record[5], record[2]
    return uid != 0, active
