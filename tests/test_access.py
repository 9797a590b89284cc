"""The black list and the white list of a server: who is let in, what is read again, and when."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import types
from pathlib import Path

import pytest
from nodepprun import DEADLINE_S, RUN, Run

from nodepp import App, access
from nodepp.access import AccessLists, blocked_listing, unblock
from nodepp.cli import main
from nodepp.config import load
from nodepp.errors import ConfigError
from nodepp.testing import Client

APP = """\
from nodepp import App
app = App()
app.get("/")(lambda req: "let in")
"""

HELLO = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Engine:
    """What AccessLists needs of one; its clock is turned by hand."""

    running = True

    def __init__(self) -> None:
        self.lists: list[tuple[object, object]] = []
        self.waiting: list[object] = []

    def set_lists(self, black, white):
        self.lists.append((black, white))

    def later(self, seconds, callback):
        self.waiting.append(callback)

    def every(self, seconds, callback):
        self.look = callback

    def blocked_addresses(self):
        return []

    def turn(self):
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()

    def lets_in(self, ip):
        black, white = self.lists[-1] if self.lists else (None, None)
        return (black is None or ip not in black) and (white is None or ip in white)


@pytest.fixture
def lines(monkeypatch):
    lines = []
    written = types.SimpleNamespace(write=lambda level, text: lines.append(text))
    monkeypatch.setattr(access, "log", written)
    return lines


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(**settings):
        return load([(name, text, f"--{name}") for name, text in settings.items()], {})

    return make


def begin(config):
    lists, engine = AccessLists(config), Engine()
    lists.begin(engine)
    lists.follow()
    return lists, engine


# --- the files ------------------------------------------------------------------------------------


def test_without_lists_everybody_is_let_in_and_the_engine_is_not_asked(config, lines):
    _, engine = begin(config())
    engine.look()
    engine.turn()
    assert (engine.lists, lines) == ([], [])


def test_both_lists_are_read(config, tmp_path):
    (tmp_path / "blacklist.txt").write_text("10.1.0.0/16  # them\n2001:db8::/32\n")
    (tmp_path / "whitelist.txt").write_text("10.0.0.0/8\n2001:db8::1\n192.0.2.7\n")
    _, engine = begin(config())
    seen = {ip: engine.lets_in(ip) for ip in
            ("10.2.0.1", "10.1.0.1", "192.0.2.7", "192.0.2.8", "2001:db8::1", "::1")}
    assert seen == {"10.2.0.1": True, "10.1.0.1": False, "192.0.2.7": True, "192.0.2.8": False,
                    "2001:db8::1": False, "::1": False}


@pytest.mark.parametrize("name", ["blacklist", "whitelist"])
def test_a_list_that_is_named_and_not_there_is_an_error(config, tmp_path, name):
    AccessLists(config(**{name: str(tmp_path / f"{name}.txt")}))      # its name by default
    AccessLists(config(**{name: ""}))
    with pytest.raises(ConfigError, match=f"{name}=.*office.txt: there is no such file"):
        AccessLists(config(**{name: "office.txt"}))


def test_a_line_that_is_no_address_is_an_error_with_its_place(config, tmp_path):
    (tmp_path / "blacklist.txt").write_text("10.0.0.1\nlocalhost\n")
    with pytest.raises(ConfigError, match=r"blacklist\.txt:2: 'localhost' is no IP address"):
        AccessLists(config())


def test_node_plus_plus_has_its_lists_beside_npp_conf(config, tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "npp.conf").write_text("IPBlackList=bad.txt\nIPWhiteList=\n")
    (tmp_path / "bin" / "bad.txt").write_text("10.0.0.1\n")
    _, engine = begin(config())
    assert not engine.lets_in("10.0.0.1")
    assert load((), {}).whitelist == ""


def test_a_white_list_that_names_nobody_lets_nobody_in_and_says_so(config, tmp_path, lines):
    (tmp_path / "whitelist.txt").write_text("# to be filled\n")
    _, engine = begin(config())
    assert not engine.lets_in("127.0.0.1")
    assert lines == [f"{tmp_path}/whitelist.txt names nobody: nobody is let in."]


def test_the_banner_names_the_lists_that_are_there(config, tmp_path):
    """A white list that happened to lie in the folder closed everybody, and nothing said so."""
    black, white = tmp_path / "blacklist.txt", tmp_path / "whitelist.txt"
    assert AccessLists(config()).banner() == ""
    black.write_text("10.0.0.0/8\n2001:db8::/32\n")
    assert AccessLists(config()).banner() == "blacklist.txt 2 entries"
    white.write_text("192.0.2.7\n")
    assert AccessLists(config()).banner() == \
        "blacklist.txt 2 entries  whitelist.txt 1 entry: only these are let in"
    black.unlink()
    white.write_text("")
    assert AccessLists(config()).banner() == "whitelist.txt 0 entries: only these are let in"


# --- changes --------------------------------------------------------------------------------------


def test_a_file_that_changed_is_read_again_and_only_then(config, tmp_path, lines):
    _, engine = begin(config())
    black = tmp_path / "blacklist.txt"
    black.write_text("10.0.0.1\n10.0.0.2\n")
    for _ in range(3):
        engine.look()
        engine.turn()
    assert len(engine.lists) == 1
    assert not engine.lets_in("10.0.0.2")
    assert lines == [f"Read {black} again: 2 entries."]
    black.unlink()
    engine.look()
    engine.turn()
    assert engine.lets_in("10.0.0.2")


def test_a_file_that_became_wrong_leaves_its_list_as_it_was(config, tmp_path, lines):
    black = tmp_path / "blacklist.txt"
    black.write_text("10.0.0.1\n")
    _, engine = begin(config())
    black.write_text("10.0.0.2\nnonsense\n")
    for _ in range(3):
        engine.look()
        engine.turn()
    assert not engine.lets_in("10.0.0.1")
    assert engine.lets_in("10.0.0.2")
    (line,) = lines
    assert line.startswith(f"The blacklist stays as it was: {black}:2: 'nonsense'")
    black.write_text("10.0.0.2\n")
    engine.look()
    engine.turn()
    assert not engine.lets_in("10.0.0.2")


def test_a_white_list_that_is_gone_counts_until_a_reload(config, tmp_path, lines):
    white = tmp_path / "whitelist.txt"
    white.write_text("10.0.0.1\n")
    lists, engine = begin(config())
    white.unlink()
    for _ in range(3):
        engine.look()
        engine.turn()
    assert not engine.lets_in("10.0.0.2")
    assert len(lines) == 1
    lists.read(config())
    engine.turn()
    assert engine.lets_in("10.0.0.2")


def test_a_reload_that_fails_changes_nothing(config, tmp_path):
    (tmp_path / "blacklist.txt").write_text("10.0.0.1\n")
    lists, engine = begin(config())
    (tmp_path / "whitelist.txt").write_text("what?\n")
    (tmp_path / "blacklist.txt").write_text("10.0.0.2\n")
    with pytest.raises(ConfigError, match=r"whitelist\.txt:1"):
        lists.read(config())
    engine.turn()
    assert not engine.lets_in("10.0.0.1")
    assert engine.lets_in("10.0.0.2")


# --- addresses that guess ids ---------------------------------------------------------------------


def test_an_address_that_guesses_does_not_go_on_the_black_list(config, tmp_path, lines):
    """The list is the operator's. Eleven visits with another application's cookie had put a visitor
    on it for ever.
    """
    lists, engine = begin(config())
    lists.address_blocked("192.0.2.1", "10 wrong ids within a minute", 3600)
    for _ in range(2):
        lists.address_blocked("192.0.2.2", "100 within an hour", 0)
    engine.turn()
    assert engine.lets_in("192.0.2.1") and os.listdir(tmp_path) == []
    assert lines == [
        "Blocked 192.0.2.1 for 3600 s: 10 wrong ids within a minute. Its requests with an unknown"
        " id get 429. To undo that: nodepp-run --unblock 192.0.2.1",
        "192.0.2.2 is not blocked (blockTime=0): 100 within an hour."]


def test_with_auto_blacklist_it_is_blocked_at_once_and_in_the_file(config, tmp_path, lines):
    lists, engine = begin(config(autoBlacklist="1"))
    for ip, why in (("192.0.2.1", "10 wrong ids within a minute"),
                    ("192.0.2.1", "10 wrong ids within a minute"),
                    ("2001:db8:1:2::3", "100 within an hour")):
        lists.address_blocked(ip, why, 86400)
    assert len(engine.waiting) == 1                 # the engine is told once, after the request
    engine.turn()
    assert not engine.lets_in("192.0.2.1")
    assert not engine.lets_in("2001:db8:1:2::4")
    text = (tmp_path / "blacklist.txt").read_text()
    assert re.fullmatch(
        r"192\.0\.2\.1  # blocked [-\d]+ [:\d]+: 10 wrong ids within a minute\n"
        r"2001:db8:1:2::/64  # blocked .*: 100 within an hour\n", text)
    assert lines == [
        "Blocked 192.0.2.1: 10 wrong ids within a minute."
        " To undo that: nodepp-run --unblock 192.0.2.1",
        "Blocked 2001:db8:1:2::3: 100 within an hour."
        " To undo that: nodepp-run --unblock 2001:db8:1:2::3"]
    engine.look()
    engine.turn()
    assert len(engine.lists) == 1                   # it knows what it has written itself


def test_without_a_file_to_write_addresses_are_blocked_until_the_end(config, tmp_path, lines):
    folder = tmp_path / "gone"
    lists, engine = begin(config())
    lists.black.path = str(folder / "blacklist.txt")
    for ip in ("192.0.2.1", "192.0.2.2"):
        lists.block(ip, "why")
    engine.turn()
    assert not engine.lets_in("192.0.2.2")
    assert sum("are blocked until the server stops" in line for line in lines) == 1
    lists.read(config())
    engine.turn()
    assert not engine.lets_in("192.0.2.2")          # a reload does not let them in again


def test_without_a_blacklist_only_the_guesses_are_refused(config, lines):
    lists, engine = begin(config(blacklist="", autoBlacklist="1"))
    lists.address_blocked("192.0.2.1", "why", 60)
    engine.turn()
    assert engine.lets_in("192.0.2.1") and lines[0].startswith("Blocked 192.0.2.1 for 60 s: why.")


def test_an_address_that_guesses_ids_is_found_and_blocked(config, tmp_path, lines):
    lists, engine = begin(config(autoBlacklist="1"))
    app = App()
    app.get("/")(lambda req: str(req.session.exists))
    app.host.access = lists
    client = Client(app, client=("192.0.2.1", 50_000), settings={"forged_grace_s": 0})
    for number in range(10):
        assert not (tmp_path / "blacklist.txt").exists()
        assert client.get("/", cookies={"as": f"{number:040}"}).text == "False"
    assert client.get("/", cookies={"as": f"{10:040}"}).status == 429
    engine.turn()
    assert not engine.lets_in("192.0.2.1")
    assert (tmp_path / "blacklist.txt").read_text().startswith("192.0.2.1  # blocked ")


# --- the command line -----------------------------------------------------------------------------


def test_the_command_line_lists_and_unblocks(config, tmp_path):
    lists, _ = begin(config())
    (tmp_path / "blacklist.txt").write_text("10.0.0.0/8  # the office\n")
    lists.block("192.0.2.1", "why")
    listing, _ = blocked_listing(config())
    assert re.fullmatch(r"10\.0\.0\.0/8  the office\n192\.0\.2\.1   blocked [-\d :]+: why\n",
                        listing)
    assert unblock(config(), "192.0.2.1").startswith("Unblocked 192.0.2.1.")
    assert blocked_listing(config())[0] == "10.0.0.0/8  the office\n"
    for address, message in (
        ("192.0.2.1", "is not blocked"),
        ("10.0.0.1", r"is blocked by 10\.0\.0\.0/8 still \(.*blacklist\.txt:1\)"),
        ("nonsense", "'nonsense' is no IP address"),
    ):
        with pytest.raises(ConfigError, match=message):
            unblock(config(), address)


def test_one_of_both_at_a_time(config):
    for words, status in ((["--blocked"], 0), (["--blocked", "--unblock", "10.0.0.1"], 2),
                          (["--unblock", "10.0.0.1"], 2), (["--unblock"], 2)):
        assert main(words) == status, words


def test_without_a_list_there_is_nothing_to_list_or_unblock(config):
    for settings in ({}, {"blacklist": ""}):
        listing, note = blocked_listing(config(**settings))
        assert listing == "" and "no server has written that it blocks addresses" in note
    assert "is not known here" in blocked_listing(config(blockedFile=""))[1]
    with pytest.raises(ConfigError, match="there is no blacklist"):
        unblock(config(blacklist=""), "192.0.2.1")


# --- a server -------------------------------------------------------------------------------------


def answer_to(run: Run, ip: str) -> bytes:
    """What comes back to a peer of that address; b"" when it is not let in."""
    received = b""
    with socket.create_connection(run.address, DEADLINE_S, source_address=(ip, 0)) as peer:
        try:
            peer.sendall(HELLO)
            while piece := peer.recv(4096):
                received += piece
        except ConnectionError:
            pass
    return received


def is_let_in(run: Run, ip: str) -> bool:
    return answer_to(run, ip).endswith(b"let in")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="127.0.0.2 is there on Linux only")
def test_a_server_follows_its_lists(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    black = tmp_path / "blacklist.txt"
    black.write_text("127.0.0.2\n")
    with Run(tmp_path) as run:
        run.wait_for(r"^ lists    blacklist\.txt 1 entry$")
        assert is_let_in(run, "127.0.0.1")
        assert answer_to(run, "127.0.0.2") == b""   # not a word
        command = subprocess.run(
            [sys.executable, "-c", RUN, "--unblock", "127.0.0.2"], cwd=tmp_path, text=True,
            capture_output=True, timeout=DEADLINE_S)
        assert (command.returncode, command.stdout[:20]) == (0, "Unblocked 127.0.0.2.")
        run.until(lambda: is_let_in(run, "127.0.0.2"), "letting in")
        (tmp_path / "whitelist.txt").write_text("127.0.0.1\n")
        os.kill(run.process.pid, signal.SIGHUP)
        run.wait_for("Reloaded: nothing changed")
        run.until(lambda: not is_let_in(run, "127.0.0.2"), "keeping out")
        assert is_let_in(run, "127.0.0.1")
        (tmp_path / "blacklist.txt").write_text("what?\n")
        os.kill(run.process.pid, signal.SIGHUP)
        run.wait_for(r"Not reloaded: .*blacklist\.txt:1: 'what\?' is no IP address")
        (tmp_path / "blacklist.txt").unlink()


def test_a_server_does_not_start_with_a_list_that_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "whitelist.txt").write_text("300.1.1.1\n")
    for words in ([], ["--check"]):
        command = subprocess.run(
            [sys.executable, "-c", RUN, "--port", "0", *words], cwd=tmp_path, text=True,
            capture_output=True, timeout=DEADLINE_S)
        assert command.returncode == 2
        assert "whitelist.txt:1: '300.1.1.1' is no IP address" in command.stderr
