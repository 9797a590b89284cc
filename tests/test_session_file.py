"""The file that sessions survive in: restarts, power loss, two servers, and whose it is."""

from __future__ import annotations

import errno
import fcntl
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from machine import descriptors
from sessionfiles import (
    INF,
    NOBODY,
    WAR,
    Settings,
    files_of,
    filled,
    needs_root,
    said,
    sessions_of,
    starting,
)

from nodepp._core import SessionTable
from nodepp.errors import StartError
from nodepp.sessions import file
from nodepp.sessions.header import (
    FORMAT,
    HEADER_SIZE,
    STATE_OFFSET,
    STATE_SIZE,
    State,
    boot_id,
)
from nodepp.sessions.table import open_table


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions.npp"


@pytest.fixture
def log():
    return []


@pytest.fixture
def start(path, log):
    yield from starting(path, log)


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
    assert "the machine went down while it was in use, or the disk lost a part" in said(log, WAR)
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
    before = descriptors()
    with pytest.raises(StartError) as error:
        start()
    assert str(error.value) == (
        f"sessionFile={path}: another server uses it (process {os.getpid()}). Stop that one, or"
        " give this one a file of its own.")
    assert descriptors() == before
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
    path.touch(0o600)
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


def test_a_file_that_is_replaced_all_the_time_is_given_up(start, path, tmp_path, monkeypatch):
    def replaced(descriptor, operation):
        (tmp_path / "new").touch(0o600)
        os.rename(tmp_path / "new", path)

    monkeypatch.setattr(fcntl, "flock", replaced)
    with pytest.raises(StartError, match="other servers keep replacing it"):
        start()


def test_a_file_that_is_removed_while_it_is_opened_is_made_again(start, path, monkeypatch):
    flock = fcntl.flock
    removed = []

    def remove_once(descriptor, operation):
        if not removed:
            path.unlink()
            removed.append(path)
        return flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_once)
    assert start().restored == 0 and removed


@pytest.mark.parametrize("pid", [999_999_999, -5])
def test_a_process_that_is_not_there_is_not_named(start, path, pid):
    start()
    with open(path, "r+b") as it:
        it.seek(STATE_OFFSET)
        it.write(State(False, pid, boot_id()).pack())
    with pytest.raises(StartError, match=r"another server uses it\. Stop that one"):
        start()


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


def test_where_files_have_no_modes_it_is_said_and_served(start, path, log, monkeypatch):
    records = filled(start)
    path.chmod(0o644)
    monkeypatch.setattr(os, "fchmod", lambda descriptor, mode: None)
    assert sessions_of(start()) == records
    assert log == [
        (WAR, f"sessionFile={path}: others may read it, and that cannot be changed there.")]


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
