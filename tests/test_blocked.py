"""blocked.txt: what a running server blocks by itself, and how an operator undoes it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import types

import pytest
from nodepprun import DEADLINE_S, RUN, Run
from processes import Child

from nodepp import blocked
from nodepp.access import blocked_listing, unblock
from nodepp.blocked import BlockedFile, is_running, read_blocked, writer_of
from nodepp.config import load
from nodepp.errors import ConfigError
from nodepp.sessions import lists

WHY = "10 forged session ids within a minute"
LATER = 4_000_000_000            # a time that these tests do not see


class Engine:
    """What BlockedFile needs of one."""

    def __init__(self, *ips: str) -> None:
        self.blocked = dict.fromkeys(ips, (LATER, WHY))

    def blocked_addresses(self):
        return [(ip, until, why) for ip, (until, why) in self.blocked.items()]

    def unblock(self, ip):
        return self.blocked.pop(ip, None) is not None


@pytest.fixture
def path(tmp_path):
    return tmp_path / "blocked.txt"


@pytest.fixture
def said(monkeypatch):
    said = []
    monkeypatch.setattr(blocked, "log", types.SimpleNamespace(
        write=lambda level, text: said.append(text)))
    return said


def begun(path, *ips):
    file, engine = BlockedFile(str(path)), Engine(*ips)
    file.look(engine)
    return file, engine


def addresses(path) -> list[str]:
    return [entry.text for entry in lists.parse(str(path), path.read_text())]


# --- what the server writes -----------------------------------------------------------------------


def test_no_file_is_made_before_an_address_is_blocked(path):
    file, engine = begun(path)
    assert os.listdir(path.parent) == []
    engine.blocked["192.0.2.1"] = (LATER, WHY)
    file.look(engine)
    assert re.fullmatch(rf"# Written by nodepp, process {os.getpid()}: .*\n"
                        rf"192\.0\.2\.1  # blocked until 2096-10-0\d [\d:]+: {WHY}\n",
                        path.read_text())
    assert path.stat().st_mode & 0o777 == 0o640


def test_the_file_follows_what_is_blocked_and_is_left_alone_meanwhile(path):
    file, engine = begun(path, "192.0.2.1", "2001:db8::")
    assert addresses(path) == ["192.0.2.1", "2001:db8::/64"]
    inode = path.stat().st_ino
    file.look(engine)
    assert path.stat().st_ino == inode
    del engine.blocked["192.0.2.1"]
    file.look(engine)
    assert addresses(path) == ["2001:db8::/64"]
    assert os.listdir(path.parent) == ["blocked.txt"]


def test_an_address_whose_line_is_taken_out_is_let_in(path, said):
    file, engine = begun(path, "192.0.2.1", "192.0.2.2", "2001:db8::")
    path.write_text(path.read_text().replace("2001:db8::/64", "#").replace("192.0.2.2", "#"))
    engine.blocked["192.0.2.3"] = (LATER, WHY)      # blocked meanwhile
    file.look(engine)
    assert list(engine.blocked) == ["192.0.2.1", "192.0.2.3"]
    assert addresses(path) == ["192.0.2.1", "192.0.2.3"]
    assert sorted(said) == [f"Let {it} in again: its line was taken out."
                            for it in ("192.0.2.2", "2001:db8::/64")]


@pytest.mark.parametrize("text", [None, "", "# Written by nodepp, process 999999999: of another\n"])
def test_a_file_that_is_gone_or_not_ours_lets_nobody_in(path, said, text):
    """A cleaner of old files is not an operator."""
    file, engine = begun(path, "192.0.2.1")
    if text is None:
        path.unlink()
    else:
        path.write_text(text)
    file.look(engine)
    assert list(engine.blocked) == addresses(path) == ["192.0.2.1"]
    assert not said


@pytest.mark.parametrize("text", ["my notes\n", "192.0.2.9\n", "\0\xff", "# Written by nodepp\n"])
def test_a_file_that_no_server_has_written_is_left_alone(path, said, text):
    path.write_text(text)
    file, engine = begun(path, "192.0.2.1")
    file.look(engine)
    assert path.read_text() == text and list(engine.blocked) == ["192.0.2.1"]
    assert len(said) == 1 and "no server has written it, so it is left alone" in said[0]
    file.remove()
    assert path.exists()


def test_a_line_that_is_no_address_is_said_and_lets_nobody_in(path, said):
    file, engine = begun(path, "192.0.2.1")
    path.write_text(path.read_text() + "what?\n")
    for _ in range(3):
        file.look(engine)
    assert list(engine.blocked) == ["192.0.2.1"]
    assert len(said) == 1 and "blocked.txt:3: 'what?' is no IP address" in said[0]


def test_a_folder_that_cannot_be_written_is_said_once_and_blocks_all_the_same(path, said):
    file = BlockedFile(str(path.parent / "missing" / "blocked.txt"))
    engine = Engine("192.0.2.1")
    for _ in range(3):
        file.look(engine)
    assert len(said) == 1
    assert said[0].startswith(f"blockedFile={path.parent}/missing/blocked.txt: No such file")
    assert list(engine.blocked) == ["192.0.2.1"]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_left_alone(path, said, make):
    make(path)
    _, engine = begun(path, "192.0.2.1")
    assert len(said) == 1 and not path.is_file() and list(engine.blocked) == ["192.0.2.1"]


def wait_for_ever() -> None:
    while True:
        os.read(os.pipe()[0], 1)


def test_two_servers_of_one_folder_do_not_undo_each_other(path, said):
    with Child(wait_for_ever) as other:
        path.write_text(f"# Written by nodepp, process {other.pid}: x\n192.0.2.9  # blocked\n")
        _, engine = begun(path, "192.0.2.1")
        assert addresses(path) == ["192.0.2.9"] and list(engine.blocked) == ["192.0.2.1"]
        assert f"the server with pid {other.pid} writes it" in said[0]
    begun(path, "192.0.2.1")                        # it has ended
    assert addresses(path) == ["192.0.2.1"]


def test_a_server_does_not_wait_for_the_lock(path, said):
    file, engine = begun(path, "192.0.2.1")
    descriptor = lists.open_locked(str(path), os.O_RDWR)
    engine.blocked["192.0.2.2"] = (LATER, WHY)
    file.look(engine)
    assert addresses(path) == ["192.0.2.1"]
    os.close(descriptor)
    file.look(engine)
    assert addresses(path) == ["192.0.2.1", "192.0.2.2"] and not said


def test_an_empty_setting_writes_nothing(tmp_path):
    BlockedFile("").look(Engine("192.0.2.1"))
    assert os.listdir(tmp_path) == []


def test_at_the_end_the_file_goes(path):
    file, _ = begun(path, "192.0.2.1")
    file.remove()
    assert os.listdir(path.parent) == []


# --- the command line -----------------------------------------------------------------------------


def test_the_command_line_shows_and_undoes_both(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    config = load((), {})
    (path.parent / "blacklist.txt").write_text("10.0.0.0/8  # the office\n192.0.2.1  # mine\n")
    file, engine = begun(path, "192.0.2.1", "2001:db8::")
    text, note = blocked_listing(config)
    assert [line.split()[0] for line in text.splitlines()] == [
        "10.0.0.0/8", "192.0.2.1", "192.0.2.1", "2001:db8::/64"]
    assert f"is written by the server with pid {os.getpid()}" in note
    assert unblock(config, "2001:db8::77").startswith("Unblocked 2001:db8::/64.")
    assert unblock(config, "192.0.2.1").startswith("Unblocked 192.0.2.1.")
    file.look(engine)
    assert engine.blocked == {}
    assert (path.parent / "blacklist.txt").read_text() == "10.0.0.0/8  # the office\n"
    with pytest.raises(ConfigError, match=r"192\.0\.2\.1 is not blocked: .*is written by the"):
        unblock(config, "192.0.2.1")


def test_what_a_server_that_has_ended_has_written_blocks_nothing(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    config = load((), {})
    with Child(wait_for_ever) as other:
        path.write_text(f"# Written by nodepp, process {other.pid}: x\n192.0.2.9  # blocked\n")
        assert [entry.text for entry in read_blocked(str(path))[0]] == ["192.0.2.9"]
    text, note = blocked_listing(config)
    assert text == "" and f"a server that has ended (pid {other.pid})" in note
    with pytest.raises(ConfigError, match="is not blocked"):
        unblock(config, "192.0.2.9")


@pytest.mark.parametrize(("text", "pid"), [
    ("# Written by nodepp, process 12: x\n", 12), ("# Written by nodepp, process : x\n", 0),
    ("# Written by nodepp, process -1: x\n", 0), ("# Written by nodepp, process 9999999999: x", 0),
    ("# Written by nodepp, process \u00b2: x\n", 0), ("", 0), ("12\n", 0),
])  # fmt: skip
def test_the_process_that_has_written_it_is_read_from_its_first_line(text, pid):
    assert writer_of(text) == pid
    assert is_running(os.getpid()) and not is_running(0)


# --- a server -------------------------------------------------------------------------------------

APP = """\
from nodepp import App, access, config
given = config.Config.session_settings
# This machine counts, and from the start: what is shown by 127.0.0.1 is shown by a stranger.
config.Config.session_settings = lambda self: {
    **given(self), "guard_loopback": True, "forged_grace_s": 0}
access.LOOK_S = 0.05
app = App()
app.get("/")(lambda req: str(req.session.exists))

@app.error(429)
def too_many(req):
    return "wait, please"
"""


def command(folder, *words):
    return subprocess.run([sys.executable, "-c", RUN, *words], cwd=folder, text=True,
                          capture_output=True, timeout=DEADLINE_S)


def test_an_operator_sees_and_undoes_what_a_server_blocks(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    number = iter(range(10_000))

    def show(cookie: str = ""):
        return run.get("/", f"Cookie: {cookie or f'as={next(number):040}'}\r\n")

    with Run(tmp_path) as run:
        for _ in range(12):
            assert show("ls=de").status == 200
        assert [show().status for _ in range(10)] == [200] * 10
        answer = show()
        assert (answer.status, answer.body) == (429, b"wait, please")
        assert show("ls=de").status == 200
        run.wait_for(r"WAR Blocked 127\.0\.0\.1 for 86400 s: 10 forged session ids within a minute")
        run.until((tmp_path / "blocked.txt").exists, "the file")
        seen = command(tmp_path, "--blocked")
        assert seen.returncode == 0 and seen.stdout.startswith("127.0.0.1  blocked until ")
        assert f"the server with pid {run.process.pid}" in seen.stderr
        undone = command(tmp_path, "--unblock", "127.0.0.1")
        assert (undone.returncode, undone.stdout[:20]) == (0, "Unblocked 127.0.0.1.")
        run.wait_for(r"Let 127\.0\.0\.1 in again")
        assert show().status == 200
        assert not (tmp_path / "blacklist.txt").exists()
    assert not (tmp_path / "blocked.txt").exists()
