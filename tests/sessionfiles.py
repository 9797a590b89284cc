"""Session files that are opened as a server opens them, and what lies in them."""

from __future__ import annotations

import os
import time

import msgspec
import pytest

from nodepp.sessions.table import open_table

WAR, INF = 2, 3

NOBODY = 65534              # a user that is not the one of the tests

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


class Settings:
    """What open_table() reads of a Config."""

    def __init__(self, path, max_sessions=50, session_data_size=256):
        self.session_file = str(path)
        self.max_sessions, self.session_data_size = max_sessions, session_data_size


def starting(path, log):
    """For a fixture: start(…) opens the file as a server does; what is left open is closed."""
    global _began_s
    _began_s = int(time.time())
    opened = []

    def begin(max_sessions=50, session_data_size=256, declared=None, path=path):
        opened.append(open_table(Settings(path, max_sessions, session_data_size), declared,
                                 lambda level, text: log.append((level, text))))
        return opened[-1]

    yield begin
    for it in opened:
        if it._file is not None:
            it.close(clean=False)


_began_s = int(time.time())


def now():
    """Seconds since 1970 when this test began: what was used a moment ago is not over. Sessions as
    old as the import were over, once a run took longer than a session lives.
    """
    return _began_s


def record(number, uid=0, active=None, data=b"", name=b""):
    """One session, as SessionTable.records() gives it."""
    active = now() - 30 if active is None else active
    id = number.to_bytes(24, "big")[::-1]           # differs in the bytes that are searched by
    return (id, active - 10, active, 77, 0, uid, 10 if uid else 1, active - 5 if uid else 0,
            name, b"c" * 12, data)


def packed(**values):
    return msgspec.msgpack.encode(values)


def filled(start, count=3, **options):
    """A file that a server was stopped on with so many sessions; what they were."""
    opened = start(**options)
    for number in range(count):
        assert opened.table.restore(record(number, data=packed(name=f"needle-{number:04}")))
    records = sorted(opened.table.records())
    opened.close()
    return records


def sessions_of(opened):
    assert opened.table.check() == []
    return sorted(opened.table.records())


def said(log, level=None):
    return "\n".join(text for its, text in log if level is None or its == level)


def files_of(folder):
    return sorted(it.name for it in folder.iterdir())


def set_aside(folder):
    return [it for it in files_of(folder) if it.startswith("sessions.npp.damaged-")]
