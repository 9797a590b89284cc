"""The file that sessions survive in: who may have it, what becomes of a damaged one, and of one
that was made for other settings or by an older application.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pathlib
import resource
import signal
import subprocess
import sys
import tempfile
from typing import Annotated

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodepp._core import SessionTable
from nodepp.errors import StartError
from nodepp.sessions import disk, file
from nodepp.sessions.header import (
    FORMAT,
    HEADER_SIZE,
    STATE_OFFSET,
    STATE_SIZE,
    Header,
    State,
    boot_id,
)
from nodepp.sessions.schema import declare
from nodepp.sessions.table import open_table, slot_size

WAR, INF = 2, 3

NOBODY = 65534              # a user that is not the one of the tests

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


class Settings:
    """What open_table() reads of a Config."""

    def __init__(self, path, max_sessions=50, session_data_size=256):
        self.session_file = str(path)
        self.max_sessions, self.session_data_size = max_sessions, session_data_size


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions.npp"


@pytest.fixture
def log():
    return []


@pytest.fixture
def start(path, log):
    """start(…) opens the file as a server does; what a test leaves open is closed."""
    opened = []

    def begin(max_sessions=50, session_data_size=256, declared=None, path=path):
        opened.append(open_table(Settings(path, max_sessions, session_data_size), declared,
                                 lambda level, text: log.append((level, text))))
        return opened[-1]

    yield begin
    for it in opened:
        if it._file is not None:
            it.close(clean=False)


def record(number, uid=0, active=1_700_000_000, data=b"", name=b""):
    """One session, as SessionTable.records() gives it."""
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


# --- without a file -------------------------------------------------------------------------------


def test_without_a_file_the_table_is_in_memory(start, tmp_path):
    opened = start(path="")
    assert opened.path == "" and opened.restored == 0
    assert opened.table.find(opened.table.start()) >= 0
    opened.close()
    assert files_of(tmp_path) == []


def test_a_table_that_no_memory_holds_is_refused_with_its_size(monkeypatch):
    def refuse(*args, **options):
        raise MemoryError("no room")

    refuse.region_size = SessionTable.region_size
    monkeypatch.setattr("nodepp._core.SessionTable", refuse)
    with pytest.raises(StartError, match=r"maxSessions=50: no memory .* MiB \(no room\)\. Lower"):
        open_table(Settings(""), None, print)


# --- a new file -----------------------------------------------------------------------------------


def test_a_new_file_is_allocated_in_full_and_for_its_owner_only(start, path, tmp_path, log):
    before = os.umask(0)
    try:
        opened = start(max_sessions=500)
    finally:
        os.umask(before)
    found = path.stat()
    assert found.st_size == HEADER_SIZE + SessionTable.region_size(500, 256)
    assert found.st_blocks * 512 >= found.st_size           # no holes
    assert found.st_mode & 0o7777 == 0o600
    assert opened.path == str(path) and opened.restored == 0
    assert files_of(tmp_path) == ["sessions.npp"] and log == []


def test_an_empty_file_is_a_new_one(start, path):
    path.touch(0o600)
    assert start().restored == 0
    assert path.stat().st_size > HEADER_SIZE


def test_a_region_begins_where_any_page_may_begin():
    assert HEADER_SIZE % 65536 == 0 and STATE_OFFSET + STATE_SIZE <= HEADER_SIZE
    assert STATE_OFFSET % 4096 == 0         # in a page, and a sector, of its own


def test_the_sizes_of_slots_belong_to_this_format():
    """Whoever changes them raises header.FORMAT: a file of before would be read as nonsense."""
    sizes = [SessionTable.region_size(*it) for it in ((1, 16), (1000, 1024), (1000, 1000))]
    assert (FORMAT, sizes) == (1, [4096, 2195456, 2146304])


def test_a_relative_path_is_fine(start, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    start(path="here.npp").close()
    assert files_of(tmp_path) == ["here.npp"]


# --- the same again -------------------------------------------------------------------------------


def test_sessions_are_there_after_a_restart(start, log):
    records = filled(start, 20)
    opened = start()
    assert opened.restored == 20
    assert sessions_of(opened) == records
    assert log == []


def test_sessions_are_there_after_the_server_was_killed(path, start, log):
    code = """
import os, signal, sys
from nodepp.sessions.table import open_table
class Settings:
    session_file, max_sessions, session_data_size = sys.argv[1], 50, 256
opened = open_table(Settings, None, print)
for number in range(10):
    id = opened.table.start()
    opened.table.write(id, b"x" * number)
    sys.stdout.write(id.hex() + "\\n")
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
    run = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert run.returncode == -signal.SIGKILL, run.stderr
    opened = start()
    ids = [bytes.fromhex(it) for it in run.stdout.split()]
    assert opened.restored == len(ids) == 10
    for number, id in enumerate(ids):
        assert opened.table.read(id)[1] == b"x" * number
    assert log == []                    # nothing to check: what it wrote, the kernel has


def test_the_key_lives_with_the_file(start, tmp_path):
    opened = start()
    cookie = opened.table.cookie(opened.table.start())
    assert opened.table.is_ours(cookie)
    opened.close()
    assert start().table.is_ours(cookie)
    assert not start(path=tmp_path / "other.npp").table.is_ours(cookie)


def test_the_key_is_new_only_with_the_file(start, monkeypatch):
    seen = []

    def make(*args, **options):
        seen.append(options.get("key_is_new", True))
        return SessionTable(*args, **options)

    make.region_size = SessionTable.region_size
    monkeypatch.setattr("nodepp._core.SessionTable", make)
    start().close()
    start().close()
    start(max_sessions=60).close()
    start(path="").close()
    assert seen == [True, False, False, False, True]        # the third one: old table and new


# --- power loss -----------------------------------------------------------------------------------


@pytest.fixture
def rebooted(monkeypatch):
    def reboot(id="another-start-of-the-machine"):
        monkeypatch.setattr(file, "boot_id", lambda: id)

    return reboot


def test_a_file_that_was_closed_needs_no_check_after_a_reboot(start, rebooted, log):
    records = filled(start)
    rebooted()
    assert sessions_of(start()) == records
    assert log == []


def test_after_a_power_loss_whole_sessions_stay_and_damaged_ones_go(start, path, rebooted, log):
    filled(start)
    start().close(clean=False)              # the power fails
    data = bytearray(path.read_bytes())
    at = data.index(b"needle-0001")
    data[at : at + 4] = bytes(4)            # a page of it never reached the disk
    path.write_bytes(data)
    rebooted()
    opened = start()
    assert [msgspec.msgpack.decode(it[-1])["name"] for it in sessions_of(opened)] == [
        "needle-0000", "needle-0002"]
    assert "the machine went down while it was in use" in said(log, WAR)
    assert "2 sessions whole, 1 damaged and gone." in said(log, WAR)


def test_after_a_power_loss_a_conversion_checks_too(start, path, rebooted, log):
    filled(start)
    start().close(clean=False)
    data = bytearray(path.read_bytes())
    at = data.index(b"needle-0001")
    data[at : at + 4] = bytes(4)
    path.write_bytes(data)
    rebooted()
    assert start(max_sessions=60).restored == 2
    assert "1 damaged and gone" in said(log)


def test_after_a_check_there_is_nothing_to_check(start, rebooted, log):
    filled(start)
    start().close(clean=False)
    rebooted()
    start().close(clean=False)
    assert len(log) == 1 and log[0][0] == INF
    start().close(clean=False)              # the same start of the machine
    assert len(log) == 1


def test_where_starts_of_the_machine_have_no_id_unclean_files_are_checked(start, rebooted, log):
    rebooted("")
    filled(start)
    start().close(clean=False)
    start()
    assert "the machine went down" in said(log)


def test_a_lost_page_of_the_state_costs_a_check_and_nothing_else(start, path, log):
    records = filled(start)
    with open(path, "r+b") as it:
        it.seek(STATE_OFFSET)
        it.write(bytes(4096))
    opened = start()
    assert sessions_of(opened) == records
    assert "3 sessions whole, 0 damaged" in said(log, INF)


def test_the_file_says_on_the_disk_that_it_is_in_use_before_it_is_served(start, path):
    def state():
        return State.unpack(path.read_bytes()[STATE_OFFSET:HEADER_SIZE])

    opened = start()
    assert (state().is_clean, state().pid, state().boot) == (False, os.getpid(), boot_id())
    opened.close()
    assert state().is_clean
    opened = start()
    assert not state().is_clean
    opened.close(clean=False)
    assert not state().is_clean


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture],
          deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from([512, 4096]), st.booleans())
def test_of_pages_old_and_new_only_whole_sessions_are_made(
    tmp_path_factory, random, page_size, garbage
):
    """What a disk may hold after a power loss: of each page what it was, or what it became; in the
    worst case something else.
    """
    path = tmp_path_factory.mktemp("torn") / "sessions.npp"
    opened = open_table(Settings(path), None, print)
    ours = opened.table
    versions = {}
    for _ in range(random.randrange(50)):
        versions[ours.start()] = {b""}
    before = path.read_bytes()
    for id, known in list(versions.items()):
        chance = random.random()
        if chance < 0.5:
            known.add(b"%x" % random.getrandbits(4 * random.randrange(1, 240)))
            ours.write(id, max(known, key=len))
        elif chance < 0.6:
            ours.remove(id)
        elif chance < 0.8:
            versions[ours.renew(id)] = known
    opened.close(clean=False)
    torn = bytearray(path.read_bytes())
    for at in range(HEADER_SIZE, len(torn), page_size):
        if random.random() < 0.5:
            torn[at : at + page_size] = before[at : at + page_size]
        elif garbage and random.random() < 0.2:
            torn[at : at + page_size] = random.randbytes(len(torn[at : at + page_size]))
    torn[STATE_OFFSET:HEADER_SIZE] = bytes(HEADER_SIZE - STATE_OFFSET)
    path.write_bytes(torn)
    opened = open_table(Settings(path), None, lambda level, text: None)
    try:
        assert opened.table.check() == []
        for id, data in ((it[0], it[-1]) for it in opened.table.records()):
            assert opened.table.find(id) >= 0 and data in versions[id]
    finally:
        opened.close()


# --- two servers ----------------------------------------------------------------------------------


def test_a_second_server_is_refused_and_told_who_has_the_file(start, path, tmp_path):
    opened = start()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(StartError) as error:
        start()
    assert str(error.value) == (
        f"sessionFile={path}: another server uses it (process {os.getpid()}). Stop that one, or"
        " give this one a file of its own.")
    assert len(os.listdir("/proc/self/fd")) == before
    assert files_of(tmp_path) == ["sessions.npp"]
    opened.close()
    start()


def test_a_second_server_with_other_settings_is_refused_as_well(start, tmp_path):
    start()
    with pytest.raises(StartError, match="another server uses it"):
        start(max_sessions=10)
    assert files_of(tmp_path) == ["sessions.npp"]


def test_a_file_that_was_replaced_is_locked_too(start):
    filled(start)
    start(max_sessions=60)
    with pytest.raises(StartError, match="another server uses it"):
        start(max_sessions=60)


def test_who_was_killed_holds_no_file(path, start):
    code = "import sys; from nodepp.sessions.file import hold; hold(sys.argv[1], print);" \
           " print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(StartError, match="another server uses it"):
            start()
        other.kill()
        other.wait()
    start()


def test_a_worker_process_keeps_the_file_when_its_parent_is_gone(start):
    opened = start()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)             # until the parent closes its end
        os._exit(0)
    os.close(reading)
    try:
        opened.close()
        with pytest.raises(StartError, match="another server uses it"):
            start()
    finally:
        os.close(writing)
        os.waitpid(child, 0)
    start()


def test_a_worker_process_does_not_say_that_the_file_is_closed(start, path):
    opened = start()
    child = os.fork()
    if child == 0:
        opened.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert not State.unpack(path.read_bytes()[STATE_OFFSET:HEADER_SIZE]).is_clean
    with pytest.raises(StartError):
        start()                         # and it is ours still


def test_a_server_that_waited_for_the_name_does_not_take_the_file_of_before(path, monkeypatch):
    """Opened, then replaced by its owner, who went: the lock of the old one is free, and it is not
    the file any more.
    """
    path.write_bytes(b"old")
    path.chmod(0o600)
    flock = fcntl.flock
    calls = []

    def replaced(descriptor, operation):
        if not calls:
            (path.parent / "new").write_bytes(b"")
            os.chmod(path.parent / "new", 0o600)
            os.rename(path.parent / "new", path)
        calls.append(operation)
        return flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", replaced)
    held = file.hold(str(path), print)
    try:
        assert len(calls) == 2
        assert os.path.samestat(os.fstat(held.descriptor), path.stat())
    finally:
        held.end(is_clean=False)


# --- damaged --------------------------------------------------------------------------------------


def set_aside(folder):
    return [it for it in files_of(folder) if it.startswith("sessions.npp.damaged-")]


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


@pytest.mark.parametrize("size", [1, 100, HEADER_SIZE - 1, HEADER_SIZE, HEADER_SIZE + 5000, -1])
def test_a_truncated_file_is_set_aside(start, path, log, size):
    filled(start)
    os.truncate(path, size if size > 0 else path.stat().st_size - 1)
    assert "bytes" in expect_set_aside(start, path, log)


def test_a_file_that_grew_is_set_aside(start, path, log):
    filled(start)
    with open(path, "ab") as it:
        it.write(b"more")
    assert "bytes instead of" in expect_set_aside(start, path, log)


@pytest.mark.parametrize("content", [b"garbage\n" * 3, b"\0" * HEADER_SIZE * 3, b"\xff" * 200_000])
def test_garbage_is_set_aside(start, path, log, content):
    path.write_bytes(content)
    path.chmod(0o600)
    expect_set_aside(start, path, log)


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
    for content in (b"one", b"two"):
        path.write_bytes(content)
        path.chmod(0o600)
        start().close()
    names = set_aside(path.parent)
    assert names == ["sessions.npp.damaged-20250102-030405",
                     "sessions.npp.damaged-20250102-030405-2"]
    assert [(path.parent / it).read_bytes() for it in names] == [b"one", b"two"]


def test_where_there_are_no_links_a_damaged_file_is_renamed(start, path, monkeypatch, log):
    def refuse(*args):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    path.write_bytes(b"garbage")
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


# --- what is no file of ours ----------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_named(start, tmp_path):
    with pytest.raises(StartError, match=rf"there is no folder {tmp_path}/no\. Make it"):
        start(path=tmp_path / "no" / "sessions.npp")


def test_a_folder_is_no_file(start, tmp_path):
    with pytest.raises(StartError, match=rf"that is a folder\. Name .* e\.g\. {tmp_path}"):
        start(path=tmp_path)


def test_a_file_is_no_folder(start, path):
    path.touch()
    with pytest.raises(StartError, match="is no folder"):
        start(path=path / "sessions.npp")


def test_a_pipe_is_no_file_and_holds_nobody(start, path):
    os.mkfifo(path, 0o600)
    with pytest.raises(StartError, match="no regular file"):
        start()
    assert files_of(path.parent) == ["sessions.npp"]


def test_a_name_that_cannot_be_is_refused(start):
    with pytest.raises(StartError, match="sessionFile="):
        start(path="a\0b")
    with pytest.raises(StartError, match="File name too long"):
        start(path="n" * 300)


@pytest.fixture
def open_folder():
    """One that everybody may enter, unlike pytest's."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield pathlib.Path(name)


@needs_root
@pytest.mark.parametrize(("name", "which"), [("ours.npp", "The file"), ("new.npp", "{folder}")])
def test_what_we_may_not_open_is_said(start, open_folder, name, which):
    start(path=open_folder / "ours.npp").close()
    os.seteuid(NOBODY)
    try:
        with pytest.raises(StartError) as error:
            start(path=open_folder / name)
    finally:
        os.seteuid(0)
    assert str(error.value).endswith(
        f": permission denied. {which.format(folder=open_folder)} has to be writable for user"
        " 65534.")


def test_a_folder_in_the_way_of_the_new_file_is_said(start, path, tmp_path):
    (tmp_path / "sessions.npp.new").mkdir()
    with pytest.raises(StartError, match="sessionFile="):
        start()
    assert files_of(tmp_path) == ["sessions.npp.new"]


@needs_root
def test_a_file_of_somebody_else_is_not_used(start, path):
    filled(start)
    os.chown(path, NOBODY, NOBODY)
    content = path.read_bytes()
    with pytest.raises(StartError, match=r"it belongs to user 65534, .* as user 0\. Change its"):
        start()
    assert path.read_bytes() == content


def test_a_file_that_others_may_open_is_closed_to_them(start, path, log):
    records = filled(start)
    path.chmod(0o644)
    assert sessions_of(start()) == records
    assert path.stat().st_mode & 0o7777 == 0o600
    assert log == [(WAR, f"sessionFile={path}: others could open it (mode 644); it is 600 now.")]


def test_a_link_stays_one(start, path, tmp_path):
    (tmp_path / "data").mkdir()
    path.symlink_to(tmp_path / "data" / "real.npp")
    records = filled(start)
    assert path.is_symlink()
    assert sessions_of(start(max_sessions=60)) == records
    assert path.is_symlink() and files_of(tmp_path / "data") == ["real.npp"]


def test_a_disk_without_locks_is_refused(start, monkeypatch, path):
    def refuse(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StartError, match=r"no locks\. Name a file on a local disk"):
        start()


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
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(StartError) as error:
        start(max_sessions=1000, session_data_size=1024)
    text = str(error.value)
    assert "a file for 1,000 sessions of 1,024 bytes takes 2.2 MiB, and " in text
    assert " MiB are free there (File too large). Make room, or lower maxSessions" in text
    assert files_of(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before


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
    path.write_bytes(b"garbage")
    path.chmod(0o600)
    with pytest.raises(StartError, match=r"takes 2\.2 MiB"):
        start(max_sessions=1000, session_data_size=1024)
    assert files_of(path.parent) == ["sessions.npp"] and path.read_bytes() == b"garbage"


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


# --- other settings -------------------------------------------------------------------------------


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
                                    active=1_700_000_000 + number))
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
    path.write_bytes(b"garbage")
    path.chmod(0o600)
    run = subprocess.run([sys.executable, "-c", KILLED, str(path), "os.rename", "50"])
    assert run.returncode == -signal.SIGKILL
    assert start().restored == 0
    names = set_aside(path.parent)
    assert 1 <= len(names) <= 2
    assert all((path.parent / it).read_bytes() == b"garbage" for it in names)


def test_descriptors_are_given_back(start):
    before = len(os.listdir("/proc/self/fd"))
    for max_sessions in (50, 50, 60, 20):
        start(max_sessions).close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_start_that_fails_later_gives_the_file_back(start, path, monkeypatch):
    filled(start)

    def fail(self):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(file.SessionFile, "begin", fail)
        with pytest.raises(StartError, match="Input/output error"):
            start()
    assert start().restored == 3


def test_the_log_says_when_a_file_could_not_be_closed(start, monkeypatch, log):
    opened = start()

    def fail(*args):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", fail)
        opened.close()
    assert "it could not be closed: Input/output error" in said(log, WAR)
    start()
