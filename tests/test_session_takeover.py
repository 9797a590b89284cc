"""What lives in a session file when it was made for other settings, or by an older application."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Annotated

import msgspec
import pytest
from machine import descriptors
from sessionfiles import (
    INF,
    WAR,
    files_of,
    filled,
    now,
    packed,
    record,
    said,
    sessions_of,
    set_aside,
    starting,
)

from nodepp.sessions.schema import declare
from nodepp.sessions.table import slot_size


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions.npp"


@pytest.fixture
def log():
    return []


@pytest.fixture
def start(path, log):
    yield from starting(path, log)


def test_with_more_room_all_sessions_are_taken_over(start, path, log):
    opened = start()
    for number in range(50):
        opened.table.restore(record(number, uid=number % 2 * number, data=packed(n=number),
                                    name=b"me" * (number % 2)))
    cookie = opened.table.cookie(opened.table.ids()[0])
    records = sessions_of(opened)
    opened.close()
    opened = start(max_sessions=2000, session_data_size=1024)
    assert sessions_of(opened) == records and opened.restored == 50
    assert opened.table.capacity == 2000 and opened.table.data_size == 1024
    assert opened.table.is_ours(cookie)
    assert files_of(path.parent) == ["sessions.npp"]
    assert len(log) == 1 and log[0][0] == INF
    assert log[0][1].startswith(f"sessionFile={path}: took over 50 sessions in ")
    assert log[0][1].endswith(" s; maxSessions 50 → 2,000; room 256 → 1,024 bytes.")
    opened.close()
    assert sessions_of(start(max_sessions=2000, session_data_size=1024)) == records
    assert len(log) == 1


def test_with_less_room_those_stay_that_are_logged_in_and_the_newest(start, log):
    opened = start()
    for number in range(30):
        opened.table.restore(record(number, uid=number if number < 5 else 0,
                                    active=now() - 100 + number))
    opened.close()
    opened = start(max_sessions=10)
    kept = sessions_of(opened)
    assert sorted(it[0][0] for it in kept) == [1, 2, 3, 4, *range(24, 30)]
    assert log[0][0] == WAR
    assert "took over 10 sessions" in log[0][1] and "20 sessions left out" in log[0][1]


def test_values_that_do_not_fit_any_more_are_left_out_and_counted(start, log):
    opened = start()
    opened.table.restore(record(1, uid=7, name=b"Ann", data=packed(n=1, essay="x" * 200)))
    opened.table.restore(record(2, data=packed(n=2)))
    opened.close()
    opened = start(session_data_size=64)
    assert [msgspec.msgpack.decode(it[-1]) for it in sessions_of(opened)] == [{"n": 1}, {"n": 2}]
    assert [it[8] for it in sessions_of(opened)] == [b"Ann", b""]
    assert log[0][0] == WAR and "1 value did not fit" in log[0][1]


def test_a_name_that_does_not_fit_any_more_is_left_out(start):
    opened = start()
    opened.table.restore(record(1, uid=7, name=b"N" * 60, data=packed(n=1)))
    opened.close()
    (found,) = sessions_of(start(session_data_size=16))
    assert found[8] == b"" and msgspec.msgpack.decode(found[-1]) == {"n": 1}


class Before:
    hits: int = 0
    nick: Annotated[str, 30] = ""
    gone: bool


class After:
    nick: Annotated[str, 4] = "me"
    hits: float = 0
    fresh: int = 42


def test_a_new_version_of_the_class_keeps_what_has_the_same_name(start, path, log):
    before, after = declare(Before).__session_schema__, declare(After).__session_schema__
    data = bytearray(before.record)
    for field, value in zip(before.fields, (7, "grüße", True)):
        field.write(data, value)
    opened = start(declared=declare(Before))
    assert opened.table.data_size == slot_size(before)
    opened.table.restore(record(1, uid=5, name=b"A" * 60, data=bytes(data)))
    opened.table.restore(record(2))
    opened.close()
    opened = start(declared=declare(After))
    first, second = sessions_of(opened)
    assert {it.name: it.read(first[-1]) for it in after.fields} == {
        "nick": "grü", "hits": 7.0, "fresh": 42}
    assert first[8] == b"A" * 60 and second[-1] == b""
    assert "fields kept: nick, hits; new: fresh; gone: gone." in said(log)
    opened.close()
    assert start(declared=declare(After)).restored == 2 and len(log) == 1


def test_dicts_become_a_class_and_dicts_again(start, log):
    opened = start()
    opened.table.restore(record(1, data=packed(hits=3, nick="Ann", cart=[1, 2])))
    opened.close()
    opened = start(declared=declare(After))
    schema = declare(After).__session_schema__
    (found,) = sessions_of(opened)
    assert {it.name: it.read(found[-1]) for it in schema.fields} == {
        "nick": "Ann", "hits": 3.0, "fresh": 42}
    opened.close()
    (found,) = sessions_of(start())
    assert msgspec.msgpack.decode(found[-1]) == {"nick": "Ann", "hits": 3.0, "fresh": 42}
    assert "dicts became fields nick, hits, fresh" in log[0][1]
    assert "fields became dicts" in log[1][1]


KILLED = """
import os, signal, sys
from nodepp.sessions import file, restore, table
class Settings:
    session_file, max_sessions, session_data_size = sys.argv[1], int(sys.argv[3]), 256
def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)
where, _, name = sys.argv[2].partition(".")
setattr({"restore": restore, "file": file, "os": os}[where], name, die)
table.open_table(Settings, None, print)
"""


@pytest.mark.parametrize("moment", ["restore.fill_from", "file.fill", "os.fsync", "os.rename"])
@pytest.mark.parametrize("max_sessions", [50, 80])
def test_a_server_killed_while_it_converts_leaves_the_old_file(
    start, path, moment, max_sessions, log
):
    records = filled(start, 20)
    run = subprocess.run([sys.executable, "-c", KILLED, str(path), moment, "80"])
    assert run.returncode == -signal.SIGKILL
    assert files_of(path.parent) == ["sessions.npp", "sessions.npp.new"]
    assert sessions_of(start(max_sessions)) == records
    assert files_of(path.parent) == ["sessions.npp"]
    assert len(log) == (max_sessions == 80)


@pytest.mark.parametrize("moment", ["file.fill", "os.fsync", "os.rename"])
def test_a_server_killed_while_it_makes_its_first_file_leaves_nothing_in_the_way(
    start, path, moment, log
):
    run = subprocess.run([sys.executable, "-c", KILLED, str(path), moment, "80"])
    assert run.returncode == -signal.SIGKILL
    assert start().restored == 0
    assert files_of(path.parent) == ["sessions.npp"] and log == []


def test_a_server_killed_while_it_sets_a_damaged_file_aside_has_it_twice_at_most(start, path, log):
    garbage = b"npp-sess, and then nothing that makes sense"
    path.write_bytes(garbage)
    path.chmod(0o600)
    run = subprocess.run([sys.executable, "-c", KILLED, str(path), "os.rename", "50"])
    assert run.returncode == -signal.SIGKILL
    assert start().restored == 0
    names = set_aside(path.parent)
    assert 1 <= len(names) <= 2
    assert all((path.parent / it).read_bytes() == garbage for it in names)


def test_descriptors_are_given_back(start):
    before = descriptors()
    for max_sessions in (50, 50, 60, 20):
        start(max_sessions).close()
    assert descriptors() == before
