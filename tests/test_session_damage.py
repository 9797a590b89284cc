"""Session files that are damaged, and disks that are full or fail."""

from __future__ import annotations

import errno
import os
import resource

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machine import descriptors
from sessionfiles import (
    WAR,
    Settings,
    files_of,
    filled,
    said,
    sessions_of,
    set_aside,
    starting,
)

from nodepp._core import SessionTable
from nodepp.errors import StartError
from nodepp.sessions import disk, file
from nodepp.sessions.header import (
    FORMAT,
    HEADER_SIZE,
    STATE_OFFSET,
    Header,
    State,
)
from nodepp.sessions.table import open_table

GARBAGE = b"npp-sess" + b"garbage\n" * 3     # of a file that was one of ours once


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions.npp"


@pytest.fixture
def log():
    return []


@pytest.fixture
def start(path, log):
    yield from starting(path, log)


# --- damaged --------------------------------------------------------------------------------------


def expect_set_aside(start, path, log):
    content = path.read_bytes()
    opened = start()
    assert opened.restored == 0 and sessions_of(opened) == []
    names = set_aside(path.parent)
    assert len(names) == 1 and (path.parent / names[0]).read_bytes() == content
    assert files_of(path.parent) == ["sessions.npp", *names]
    assert len(log) == 1 and log[0][0] == WAR
    assert log[0][1].startswith(f"sessionFile={path}: damaged: ")
    assert log[0][1].endswith(
        f". It was set aside as {path.parent / names[0]}, and a new one was begun: everybody is"
        " logged out.")
    opened.close()
    assert start().restored == 0 and len(log) == 1
    return log[0][1]


@pytest.mark.parametrize("size", [8, 100, HEADER_SIZE - 1, HEADER_SIZE, HEADER_SIZE + 5000, -1])
def test_a_truncated_file_is_set_aside(start, path, log, size):
    filled(start)
    os.truncate(path, size if size > 0 else path.stat().st_size - 1)
    assert "bytes" in expect_set_aside(start, path, log)


def test_a_file_that_grew_is_set_aside(start, path, log):
    filled(start)
    with open(path, "ab") as it:
        it.write(b"more")
    assert "bytes instead of" in expect_set_aside(start, path, log)


@pytest.mark.parametrize("content", [
    GARBAGE, b"\0", b"\0" * HEADER_SIZE * 3, b"\0" * HEADER_SIZE + b"\xff" * 200_000,
])  # fmt: skip
def test_garbage_is_set_aside(start, path, log, content):
    path.write_bytes(content)
    path.chmod(0o600)
    expect_set_aside(start, path, log)


@pytest.mark.parametrize("lost", [0, STATE_OFFSET])
def test_a_head_of_which_a_page_never_reached_the_disk_is_ours(start, path, lost):
    filled(start)
    with open(path, "r+b") as it:
        it.seek(lost)
        it.write(b"\0" * 4096)
    opened = start()
    assert opened.restored == (3 if lost else 0)
    assert len(set_aside(path.parent)) == (0 if lost else 1)


@pytest.mark.parametrize("content", [
    b"from nodepp import App\napp = App()\n", b"SQLite format 3\0" + b"\0" * 200_000, b"n",
    b"\xff" * 200_000, b"\0" * 1000 + b"x",
], ids=["source", "database", "a letter", "bytes", "late"])  # fmt: skip
def test_a_file_that_never_was_one_is_refused_and_not_touched(start, path, log, content):
    """The application's own source was moved aside, and 110 MB were written in its place."""
    path.write_bytes(content)
    path.chmod(0o644)
    before = path.stat()
    with pytest.raises(StartError) as error:
        start()
    assert str(error.value) == \
        f"sessionFile={path}: that is no session file of nodepp. Name another, or remove it."
    after = path.stat()
    assert path.read_bytes() == content and log == [] and files_of(path.parent) == ["sessions.npp"]
    assert (after.st_mode, after.st_ino, after.st_mtime_ns, after.st_ctime_ns) == \
        (before.st_mode, before.st_ino, before.st_mtime_ns, before.st_ctime_ns)
    with pytest.raises(StartError, match="no session file of nodepp"):
        file.check_file(str(path))


def test_a_check_takes_what_a_start_would_take_and_makes_nothing(start, path):
    file.check_file(str(path))
    assert files_of(path.parent) == []
    for content in (b"", GARBAGE, b"\0" * HEADER_SIZE):
        path.write_bytes(content)
        file.check_file(str(path))
        assert path.read_bytes() == content
    with pytest.raises(StartError, match="that is no regular file"):
        file.check_file(str(path.parent))


@pytest.mark.parametrize("is_ours", [True, False])
def test_of_the_next_file_only_what_we_began_is_removed(start, path, is_ours):
    other = path.parent / "sessions.npp.new"
    content = b"\0" * 5000 if is_ours else b"a letter that somebody wrote"
    other.write_bytes(content)
    if is_ours:
        start()
        assert files_of(path.parent) == ["sessions.npp"]
        return
    with pytest.raises(StartError, match=r"sessions\.npp\.new is in the way, and no session file"):
        start()
    assert files_of(path.parent) == [other.name] and other.read_bytes() == content


@pytest.mark.parametrize("offset", [0, 7, 9, 12, 16, 24, 32, 40, 48, 60, 87, 91])
def test_a_head_that_is_not_what_was_written_is_set_aside(start, path, log, offset):
    filled(start)
    with open(path, "r+b") as it:
        it.seek(offset)
        byte = it.read(1)[0]
        it.seek(offset)
        it.write(bytes([byte ^ 0x80]))
    expect_set_aside(start, path, log)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture],
          deadline=None)
@given(st.integers(0, 120), st.binary(min_size=1, max_size=60))
def test_no_head_stops_a_start_but_a_newer_one(tmp_path_factory, offset, data):
    path = tmp_path_factory.mktemp("head") / "sessions.npp"
    open_table(Settings(path), None, print).close()
    with open(path, "r+b") as it:
        it.seek(offset)
        it.write(data)
    lines = []
    try:
        open_table(Settings(path), None, lambda level, text: lines.append(text)).close()
    except StartError as error:
        assert "a newer nodepp made it" in str(error)


def test_a_region_of_another_shape_is_set_aside(start, path, log):
    header = Header(50, 256, "", b"k" * 32, 1_000_000)
    path.write_bytes(header.pack().ljust(header.file_size, b"\0"))
    path.chmod(0o600)
    assert "another version of nodepp" in expect_set_aside(start, path, log)


@pytest.mark.parametrize(("capacity", "data_size", "layout"), [
    (0, 256, ""), (1 << 40, 256, ""), (50, 1 << 60, ""), (50, 256, "no layout"),
])  # fmt: skip
def test_a_geometry_that_cannot_be_is_set_aside(start, path, log, capacity, data_size, layout):
    size = SessionTable.region_size(50, 256)
    header = Header(capacity, data_size, layout, b"k" * 32, size)
    path.write_bytes(header.pack().ljust(header.file_size, b"\0"))
    path.chmod(0o600)
    expect_set_aside(start, path, log)


def test_two_damaged_files_of_one_second_have_two_names(start, path, monkeypatch):
    monkeypatch.setattr(disk.time, "strftime", lambda format: "20250102-030405")
    contents = [GARBAGE + number for number in (b"one", b"two")]
    for content in contents:
        path.write_bytes(content)
        path.chmod(0o600)
        start().close()
    names = set_aside(path.parent)
    assert names == ["sessions.npp.damaged-20250102-030405",
                     "sessions.npp.damaged-20250102-030405-2"]
    assert [(path.parent / it).read_bytes() for it in names] == contents


def test_where_there_are_no_links_a_damaged_file_is_renamed(start, path, monkeypatch, log):
    def refuse(*args):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    path.write_bytes(GARBAGE)
    path.chmod(0o600)
    expect_set_aside(start, path, log)


def test_a_file_of_a_newer_version_is_refused_and_stays(start, path):
    filled(start)
    data = bytearray(path.read_bytes())
    data[8:12] = (FORMAT + 1).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(StartError, match=r"a newer nodepp made it \(format 2\)\. Use that one"):
        start()
    assert path.read_bytes() == data
    assert files_of(path.parent) == ["sessions.npp"]


# --- a full disk ----------------------------------------------------------------------------------


@pytest.fixture
def small_files():
    """No file of this process may be larger than 256 KiB: as a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_disk_without_room_is_refused_with_sizes_and_nothing_is_left(
    start, tmp_path, small_files
):
    before = descriptors()
    with pytest.raises(StartError) as error:
        start(max_sessions=1000, session_data_size=1024)
    text = str(error.value)
    assert "a file for 1,000 sessions of 1,024 bytes takes 2.2 MiB, and " in text
    assert " are free there (File too large). Make room, or lower maxSessions" in text
    assert files_of(tmp_path) == []
    assert descriptors() == before


GIB = 1 << 30
SIZE = HEADER_SIZE + SessionTable.region_size(1000, 1024)


def roomy(monkeypatch, free, blocks=1 << 40):
    """A disk on which so many bytes are free; what is taken of any is noted."""
    taken = []
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(
        (4096, 1, blocks, free + 7, free, 0, 0, 0, 0, 255)))
    fill = disk.fill
    monkeypatch.setattr(file, "fill", lambda *args: (taken.append(args[1]), fill(*args)))
    return taken


@pytest.mark.parametrize(("free", "figure"), [
    (0, "0.0 MiB"), (SIZE - 4096, "2.2 MiB"),
])  # fmt: skip
def test_a_full_disk_is_seen_before_it_is_filled(start, tmp_path, monkeypatch, free, figure):
    """The attempt took all there was: for that moment no other program could write."""
    taken = roomy(monkeypatch, free)
    with pytest.raises(StartError) as error:
        start(max_sessions=1000, session_data_size=1024)
    assert f"takes 2.2 MiB, and {figure} are free there (No space left" in str(error.value)
    assert taken == [] and files_of(tmp_path) == []


def test_sizes_are_said_as_people_compare_them(start, monkeypatch):
    taken = roomy(monkeypatch, 74 * GIB + GIB // 10)
    with pytest.raises(StartError) as error:
        start(max_sessions=1_000_000, session_data_size=1 << 20)
    assert "takes 1.9 TiB, and 74.1 GiB are free there (No space left" in str(error.value)
    assert taken == []


def test_a_disk_that_does_not_say_how_full_it_is_is_tried(start, monkeypatch, small_files):
    taken = roomy(monkeypatch, 0, blocks=0)
    start().close()
    with pytest.raises(StartError, match=r"takes 2\.2 MiB \(File too large\)\. Make room"):
        start(max_sessions=1000, session_data_size=1024)
    assert len(taken) == 2


def test_holes_need_their_own_room_only(start, path, monkeypatch):
    records = filled(start, 3, max_sessions=3000)
    size = path.stat().st_size
    with open(path, "r+b") as it:
        it.truncate(size - 16384)
        it.truncate(size)
    if path.stat().st_blocks * 512 >= size:
        pytest.skip("this file system has no holes")
    taken = roomy(monkeypatch, 20480)
    assert sessions_of(start(max_sessions=3000)) == records and taken == [size]


def test_where_nothing_can_be_reserved_a_full_disk_is_noticed_all_the_same(
    start, tmp_path, small_files, monkeypatch
):
    monkeypatch.delattr(os, "posix_fallocate")
    with pytest.raises(StartError, match=r"takes 2\.2 MiB"):
        start(max_sessions=1000, session_data_size=1024)
    assert files_of(tmp_path) == []


def test_without_room_for_a_larger_file_the_old_one_stays(start, tmp_path, small_files, path):
    records = filled(start)
    with pytest.raises(StartError, match=r"beside the one that is there, takes 2\.2 MiB"):
        start(max_sessions=1000, session_data_size=1024)
    assert files_of(tmp_path) == ["sessions.npp"]
    assert sessions_of(start()) == records


def test_without_room_a_damaged_file_stays_where_it_is(start, path, small_files, log):
    path.write_bytes(GARBAGE)
    path.chmod(0o600)
    with pytest.raises(StartError, match=r"takes 2\.2 MiB"):
        start(max_sessions=1000, session_data_size=1024)
    assert files_of(path.parent) == ["sessions.npp"] and path.read_bytes() == GARBAGE


def test_where_nothing_can_be_reserved_zeros_are_written(start, path, monkeypatch):
    def refuse(*args):
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)
    start(max_sessions=3000).close()
    found = path.stat()
    assert found.st_blocks * 512 >= found.st_size == HEADER_SIZE + SessionTable.region_size(
        3000, 256)


@pytest.mark.parametrize("reserves", [True, False])
def test_a_copy_with_holes_is_filled(start, path, monkeypatch, reserves):
    records = filled(start, 3, max_sessions=3000)
    data = path.read_bytes()
    path.unlink()
    with open(path, "wb") as it:                # as cp --sparse=always
        os.fchmod(it.fileno(), 0o600)
        for at in range(0, len(data), 4096):
            page = data[at : at + 4096]
            if any(page):
                it.seek(at)
                it.write(page)
        it.truncate(len(data))
    if path.stat().st_blocks * 512 >= len(data):
        pytest.skip("this file system has no holes")
    if not reserves:
        monkeypatch.delattr(os, "posix_fallocate")
    assert sessions_of(start(max_sessions=3000)) == records
    assert path.stat().st_blocks * 512 >= path.stat().st_size == len(data)


@pytest.mark.parametrize("step", ["fsync", "rename", "link"])
def test_a_failure_while_a_file_takes_its_place_leaves_the_old_one(
    start, path, monkeypatch, step, log
):
    records = filled(start)
    damaged = step == "link"
    if damaged:
        os.truncate(path, 100)

    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        if damaged:
            patch.setattr(os, "rename", fail)       # which it would try next
        with pytest.raises(StartError, match="Input/output error"):
            start(max_sessions=60)
    assert files_of(path.parent) == ["sessions.npp"]
    if not damaged:
        assert sessions_of(start()) == records
    else:
        assert start().restored == 0 and len(set_aside(path.parent)) == 1


# --- a disk that fails ----------------------------------------------------------------------------


def test_a_start_that_fails_later_gives_the_file_back(start, path, monkeypatch):
    filled(start)

    def fail(self):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(file.SessionFile, "begin", fail)
        with pytest.raises(StartError, match="Input/output error"):
            start()
    assert start().restored == 3


def test_a_disk_that_cannot_be_read_refuses_the_start(start, path, monkeypatch):
    filled(start)

    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", fail)
        with pytest.raises(StartError, match=r"sessionFile=.*: Input/output error\."):
            start()
    assert start().restored == 3


@pytest.mark.parametrize(("number", "is_clean"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_what_did_not_reach_the_disk_is_not_called_clean(
    start, path, monkeypatch, number, is_clean
):
    """EINVAL: a file system that has nothing to write to."""
    opened = start()

    def fail(descriptor):
        raise OSError(number, "no")

    monkeypatch.setattr(os, "fsync", fail)
    opened.close()
    assert State.unpack(path.read_bytes()[STATE_OFFSET:HEADER_SIZE]).is_clean == is_clean


def test_the_log_says_when_a_file_could_not_be_closed(start, monkeypatch, log):
    opened = start()

    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fail)
        opened.close()
    assert "it could not be closed: Input/output error" in said(log, WAR)
    start()
