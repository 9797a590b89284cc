"""nodepp-run --check: it finds what a start would stumble over, and leaves no trace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from nodepprun import DEADLINE_S, RUN, Run

from nodepp import cli
from nodepp.settings import KEYS

APP = """\
from nodepp import App
app = App()

@app.get("/")
def landing(req):
    return "hello"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An application, with a cache of its own that is not there yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home" / "cache"))
    site = tmp_path / "site"
    site.mkdir()
    (site / "app.py").write_text(APP)
    return site


def check(folder: Path, *words: str, **environment: str) -> tuple[int, str, str]:
    """(status, stdout, stderr) of a process of its own; port 0 unless the words say otherwise."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("NPP_") and name != "PORT"}
    done = subprocess.run(
        [sys.executable, "-c", RUN, "--check", *words], cwd=folder, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=DEADLINE_S, check=False,
        env={**kept, "PYTHONSAFEPATH": "1", "NPP_PORT": "0", **environment})
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def everything_below(folder: Path) -> dict[str, tuple[int, ...]]:
    """Of files also size and date: a folder's date tells that a socket was tried in it."""
    found: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        found[str(path)] = (status.st_mode,)
        if path.is_file():
            found[str(path)] += status.st_size, status.st_mtime_ns
    return found


# --- what is fine ---------------------------------------------------------------------------------


def test_a_check_says_what_is_fine_and_leaves_nothing_behind(folder: Path, tmp_path: Path) -> None:
    """It made the folder of the cache, and Python's folder of compiled modules."""
    (folder / "res").mkdir()
    (folder / "res" / "page.html").write_text("<p>hello\n" * 1000)
    (folder / "npp.conf").write_text(
        "logFile=error.log\naccessLogFile=access.log\nsessionFile=sessions.npp\nuds=server.sock\n")
    before = everything_below(tmp_path)
    status, out, err = check(folder)
    assert (status, err) == (0, "")
    assert out == (
        f"Settings are fine: {folder}/npp.conf\n"
        "Application is fine: app:app from app.py  (1 route)\n"
        "Public files are fine: res  1 file  9 KiB in memory  compressing 1 of 1\n"
        f"Addresses are fine: 127.0.0.1:0  unix:{folder}/server.sock\n")
    assert everything_below(tmp_path) == before


def test_sockets_that_others_hand_over_are_a_note(folder: Path) -> None:
    status, out, _ = check(folder, "--bind", "systemd,fd://3")
    assert status == 0
    assert "Note: systemd: its socket comes with the start: not tried.\n" in out
    assert "Note: fd://3: its socket comes with the start: not tried.\n" in out
    assert "Addresses" not in out


# --- addresses ------------------------------------------------------------------------------------


def test_a_port_that_another_program_has_is_a_problem(folder: Path) -> None:
    program = "import socket,sys; s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen();" \
        "print(s.getsockname()[1], flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        port = int(process.stdout.readline())
        status, out, err = check(folder, "--port", str(port))
        process.stdin.close()
        process.wait(DEADLINE_S)
    assert (status, out) == (3, "")
    assert err.startswith(f"Port {port} is taken by ")


def test_an_address_that_is_named_twice_is_a_problem(folder: Path) -> None:
    path = folder / "x.sock"
    status, _, err = check(folder, "--bind", f"unix:{path},unix:{path}")
    assert status == 3
    assert err == f"unix:{path} is taken: a server answers there.\n"
    assert not path.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--host", "no-such-host.invalid"), "there is no host 'no-such-host.invalid'"),
        (("--host", "192.0.2.1"), "this machine has no such address"),
        (("--uds", "nowhere/x.sock"), "No such file or directory"),
        (("--uds", "app.py"), "there is a file, and it is no socket"),
    ],
)
def test_an_address_that_cannot_be_had_is_a_problem(folder: Path, words, message) -> None:
    status, out, err = check(folder, *words)
    assert (status, out) == (3, "")
    assert message in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--bind", "0.0.0.0:99999"), "bind=0.0.0.0:99999: a port is a number from 0 to 65535."),
        (("--set", 'host="127.0.0.1"'), "values stand without quotes: host=127.0.0.1."),
        (("--uds", "s" * 120), "the path of a unix socket has 1 to 107 bytes."),
    ],
)
def test_an_address_that_is_none_is_refused_by_a_check(folder: Path, words, message) -> None:
    """`--bind 0.0.0.0:99999` and a host in quotes passed, and the start failed."""
    status, out, err = check(folder, *words)
    assert (status, out) == (2, "")
    assert message in err


def test_the_socket_file_of_a_server_that_is_gone_stays(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(folder / "x.sock"))
    inode = (folder / "x.sock").stat().st_ino
    status, out, _ = check(folder, "--uds", "x.sock", "--host", "127.0.0.1")
    assert status == 0
    assert f"unix:{folder}/x.sock" in out
    assert (folder / "x.sock").stat().st_ino == inode


# --- what a running server holds ------------------------------------------------------------------


def test_what_a_running_server_holds_is_a_note_with_its_process(folder: Path) -> None:
    """A check before a restart failed, for the port was taken: by the server that would go."""
    words = ("--uds", "x.sock", "--session-file", "sessions.npp")
    with Run(folder, *words) as server:
        taken = everything_below(folder)
        status, out, err = check(folder, *words, "--port", str(server.port))
        assert (status, err) == (0, "")
        pid = server.process.pid
        notes = [line for line in out.splitlines() if line.startswith("Note: ")]
        assert [str(pid) in note for note in notes] == [True] * 3, out
        assert notes[0].startswith(f"Note: Port {server.port} is taken by ")
        assert f"unix:{folder}/x.sock is taken: a server answers there" in notes[1]
        assert f"sessionFile={folder}/sessions.npp: a running server" in notes[2]
        assert "Addresses" not in out
        after = everything_below(folder)    # the server itself writes to the session file
        assert {name: it[:2] for name, it in after.items()} == \
            {name: it[:2] for name, it in taken.items()}
        assert server.get("/").body == b"hello"


# --- folders and files ----------------------------------------------------------------------------


def test_a_spool_folder_that_is_not_there_is_a_problem(folder: Path) -> None:
    """Every upload got 503, nothing was logged, and the check said that all was fine."""
    status, out, err = check(folder, "--spool-dir", "nowhere")
    assert (status, out) == (3, "")
    assert err == (
        f"spoolDir={folder}/nowhere: No such file or directory. Bodies of more than 1m (spoolSize)"
        " would be answered 503. Make it, or name another folder.\n")


def test_a_spool_folder_that_is_never_used_is_none(folder: Path) -> None:
    assert check(folder, "--spool-dir", "nowhere", "--spool-size", "16m")[0] == 0


@pytest.mark.parametrize("kind", ["file", "pipe", "loop"])
def test_a_check_ends_whatever_lies_at_a_path(folder, kind, monkeypatch, capfd) -> None:
    """A pipe of that name must not be waited for. A sentence names the path."""
    path = folder / "odd"
    if kind == "file":
        path.write_text("x")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("odd")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for key in (key for key in KEYS if key.kind == "path"):
        status = cli.main(["--check", "--port", "0", "--set", f"{key.name}=odd", str(folder)])
        out, err = capfd.readouterr()
        sys.modules.pop("app", None)
        is_fine = key.name in ("logFile", "accessLogFile") and kind != "loop"
        assert (str(path) in out + err) != is_fine, (key.name, status, out, err)
        assert status in (0, 2, 3)
        assert not (status and out)


@pytest.mark.parametrize("kind", ["pipe", "broken link", "folder"])
def test_an_application_that_cannot_be_read_is_no_empty_folder(folder, kind) -> None:
    """A link to an application that had moved: the server greeted instead of serving it."""
    (folder / "app.py").unlink()
    if kind == "pipe":
        os.mkfifo(folder / "app.py")
    elif kind == "folder":
        (folder / "app.py").mkdir()
    else:
        (folder / "app.py").symlink_to("releases/7/app.py")
    status, out, err = check(folder)
    assert (status, out) == (3, "")
    assert err.startswith(f"{folder}/app.py: cannot be read: a ")


def test_all_problems_are_told_at_once(folder: Path) -> None:
    status, _, err = check(folder, "--spool-dir", "nowhere", "--log-file", "nowhere/x.log",
                           "--host", "192.0.2.1")
    assert status == 3
    assert [line.partition("=")[0].partition(":")[0] for line in err.splitlines()] == [
        "logFile", "Cannot listen on 192.0.2.1", "spoolDir"]


def test_a_session_file_for_which_there_is_no_room_is_a_problem(folder: Path) -> None:
    status, _, err = check(folder, "--session-file", "x.npp", "--limit-sessions", "1000000",
                           "--session-data", "1m")
    if "sessionFile" in err:                # a disk of more than 2 TiB takes it
        assert status == 3
        assert "lower maxSessions or sessionDataSize" in err
    assert not (folder / "x.npp").exists()


def test_a_folder_that_is_a_file_is_warned_of(folder: Path) -> None:
    (folder / "snippets").write_text("x")
    status, _, err = check(folder)
    assert status == 0
    assert f"snippets={folder}/snippets: that is no folder: not used." in err
