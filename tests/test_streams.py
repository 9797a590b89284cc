"""Standard streams that are closed, full, without a reader, or not UTF-8."""

from __future__ import annotations

import itertools
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness import requests_in

from nodepp import streams

DEADLINE_S = 60.0                  # the sanitizers are slow

RUN = "from nodepp.cli import main; raise SystemExit(main())"
APP = """\
from nodepp import App
app = App()

@app.get("/")
def landing(req):
    return "hello"

@app.get("/boom")
def boom(req):
    return 1 / 0
"""
COMMANDS = [("--version",), ("--help", "all"), ("--print-config",), ("--print-statics",),
            ("--check",), ("--blocked",)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One whose name is not UTF-8, with an application and a file that are."""
    it = Path(os.fsdecode(os.fsencode(tmp_path) + "/café ".encode() + b"\xff"))
    (it / "res").mkdir(parents=True)
    (it / "res" / "żółw.txt").write_text("x")
    (it / "app.py").write_text(APP)
    (it / "blacklist.txt").write_text("10.9.8.7  # kücken\n")
    return it


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith("NPP_") and name not in ("PORT", "PYTHONIOENCODING")}
    return {**kept, "PYTHONSAFEPATH": "1", **more}


def run(folder: Path, *words: str, code: str = RUN, closed=(), env=None, **options):
    """A command with some of its descriptors closed."""
    return subprocess.run([*closing(closed), sys.executable, "-c", code, *words], cwd=folder,
                          env=environment(**env or {}), timeout=DEADLINE_S,
                          **{"stderr": subprocess.PIPE, **options})


def closing(closed) -> list[str]:
    """The beginning of a command line that closes these descriptors."""
    return ["sh", "-c", 'exec "$@" ' + " ".join(f"{fd}>&-" for fd in closed), "sh"]


# --- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_command_whose_reader_has_gone_ends_quietly(folder: Path, words) -> None:
    """nodepp-run --version | true gave a traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run(folder, *words, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, without_note(done.stderr)) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_command_that_cannot_write_says_so_in_a_line(folder: Path, words) -> None:
    with open("/dev/full", "wb") as full:
        done = run(folder, *words, stdout=full)
    assert (done.returncode, without_note(done.stderr)) == \
        (1, b"stdout: No space left on device.\n")


def without_note(text: bytes) -> bytes:
    """What --blocked says on stderr of the worth of its list is no complaint."""
    note, _, rest = text.partition(b"\n")
    return rest if b"blocked.txt" in note else text


@pytest.mark.parametrize("words", [*COMMANDS, ("--prot", "1"), (b"\xff:app",), ("--host", b"\xff")],
                         ids=repr)
def test_what_the_encoding_cannot_show_is_escaped(folder: Path, words) -> None:
    """A terminal that is not UTF-8, or a folder whose name is not, gave a traceback."""
    done = run(folder, *words, env={"PYTHONIOENCODING": "ascii"}, stdout=subprocess.PIPE)
    text = (done.stdout + done.stderr).decode("ascii")
    assert "Traceback" not in text
    assert done.returncode == (0 if words in COMMANDS else 2 if len(words) == 2 else 3), text
    if words[0] == "--print-config":
        assert "caf\\xe9 \\udcff" in text
    if words[0] == "--print-statics":
        assert "\\u017c" in text


def test_python_m_nodepp_is_the_same_command(folder: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "nodepp", "--version"], cwd=folder,
                          env=environment(), capture_output=True, text=True, check=True)
    assert done.stdout.startswith("nodepp ")


@pytest.mark.parametrize("closed", [it for count in range(4)
                                    for it in itertools.combinations(range(3), count)], ids=repr)
def test_command_ends_well_with_streams_closed(folder: Path, closed) -> None:
    """2>&- ended the command with status 1, and without a word."""
    done = run(folder, "--check", closed=closed, stdout=subprocess.PIPE)
    assert done.returncode == 0
    assert done.stderr == b""
    assert (b"Application is fine" in done.stdout) == (1 not in closed)


def test_error_without_a_stderr_is_still_an_error(folder: Path) -> None:
    assert run(folder, "--prot", closed=(2,)).returncode == 2


def test_what_an_application_has_printed_in_vain_leaves_the_status_alone(folder: Path) -> None:
    """Python said "Exception ignored" at its exit, and the status was 120."""
    (folder / "app.py").write_text('print("x" * 100)\n' + APP)
    with open("/dev/full", "wb") as full:
        done = run(folder, "--nonsense", stdout=full)
        assert (done.returncode, done.stderr.count(b"\n")) == (2, 2)
        done = run(folder, "--bind", "unix:/nowhere/x", stdout=full)
        assert (done.returncode, done.stderr.count(b"\n")) == (3, 1)


# --- servers --------------------------------------------------------------------------------------

SCRIPT = """
import sys
from nodepp import App
DATA = open("data", "w")            # gets the lowest free number
app = App()

@app.get("/boom")
def boom(req):
    DATA.write("application\\n")
    DATA.flush()
    return 1 / 0

app.run(bind=sys.argv[1], access_log=True, log_to_stdout="stdout" in sys.argv)
"""


def serve(folder: Path, words, closed, options=()) -> tuple[int, bytes, bytes]:
    """A server with these descriptors closed, asked once; its status, stdout and stderr."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        bind = f"fd://{listener.fileno()}"
        process = subprocess.Popen(
            [*closing(closed), sys.executable, *words, bind, *options], cwd=folder,
            env=environment(), pass_fds=(listener.fileno(),),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            with socket.create_connection(listener.getsockname(), DEADLINE_S) as client:
                client.sendall(requests_in(1, "/boom"))
                received = client.recv(65536)
            assert received.startswith(b"HTTP/1.1 500 ")
            assert b"ERR" not in received       # a connection may get the number of a stream
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=DEADLINE_S)
            return process.returncode, out, err
        finally:
            process.kill()
            process.wait()


CLOSED = [it for count in range(1, 4) for it in itertools.combinations(range(3), count)]


@pytest.mark.parametrize("closed", CLOSED, ids=repr)
def test_server_serves_with_streams_closed(folder: Path, closed) -> None:
    status, _, err = serve(folder, ("-c", RUN, "--access-log", "--bind"), closed)
    assert status == 0
    assert (b"ZeroDivisionError" in err) == (2 not in closed)


@pytest.mark.parametrize(
    ("closed", "log_to"), [*((it, "stderr") for it in CLOSED), ((1,), "stdout")], ids=repr)
def test_no_log_is_written_into_a_file_of_the_application(
    folder: Path, closed, log_to: str
) -> None:
    """app.run() with descriptor 2 closed wrote log lines into the file that the application had
    opened: it had got the number."""
    (folder / "script.py").write_text(SCRIPT)
    status, out, err = serve(folder, ("script.py",), closed, (log_to,))
    assert status == 0
    assert (folder / "data").read_text() == "application\n"
    found = {"stdout": out, "stderr": err}[log_to]
    fd = streams.NAMES.index(log_to)
    assert (b"ZeroDivisionError" in found) == (fd not in closed)


def test_streams_that_were_closed_are_there_for_the_application(folder: Path) -> None:
    code = """
import os, sys
from nodepp import streams
streams.secure()
print("x"); print("x", file=sys.stderr); assert sys.stdin.read() == ""
null = os.stat(os.devnull)
assert all(os.path.samestat(os.fstat(fd), null) and os.get_inheritable(fd) for fd in range(3))
assert all(streams.is_standard(fd) for fd in range(3))
"""
    assert run(folder, code=code, closed=(0, 1, 2)).returncode == 0


def test_stream_that_the_application_has_opened_itself_is_one(folder: Path) -> None:
    code = """
import os, sys
from nodepp import streams
file = open("data", "w")
assert file.fileno() == 2 and not streams.is_standard(2)
sys.stderr = file
assert streams.is_standard(2)
"""
    assert run(folder, code=code, closed=(2,)).returncode == 0


def test_text_for_a_stream_that_was_replaced_is_given_to_it(capsys) -> None:
    assert streams.say("żółw\n") == 0
    assert re.fullmatch("żółw\n", capsys.readouterr().out)
