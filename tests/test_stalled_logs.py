"""Logs whose reader stalls, goes, or has no room: every request is answered, lines stay whole, and
the lines that were read and those that were reported as lost are together those that were written.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from harness import requests_in
from responsereader import read_responses

from nodepp import _core, log_files, sink
from nodepp import log as log_module

DEADLINE_S = 60.0                  # the sanitizers are slow
F_SETPIPE_SZ = 1031                # Linux; Python names it from 3.10 on
REQUESTS = 300

RUN = "from nodepp.cli import main; raise SystemExit(main())"
# As in a container whose user did not make the pipe.
RUN_AS_ANOTHER_USER = """
import os
real = os.open
def open_(path, *rest, **more):
    if str(path).startswith("/proc/self/fd/"):
        raise PermissionError(13, "Permission denied")
    return real(path, *rest, **more)
os.open = open_
""" + RUN

APP = """\
from nodepp import App, log
app = App()
count = 0

@app.get("/")
def landing(req):
    return "hello"

@app.get("/log")
def write(req):
    global count
    count += 1
    log.err(f"message {count} {'.' * 90} end")
    return "written"
"""
MESSAGE = re.compile(r"\d ERR message (\d+) \.{90} end$")
LOST = re.compile(r"WAR ([\d,]+) lines? before this (?:was|were) lost: (.*)\.$")
ACCESS = re.compile(r'^\S+ 127\.0\.0\.1 "GET /\S* HTTP/1\.1" 200 \d+  #\d+  [\d.]+ ms$')
ACCESS_LOST = re.compile(r"WAR access log: ([\d,]+) lines? (?:was|were) lost: (.*)\.$")


class Served:
    """A server on a listening socket that was there before it, so that it need not say its port."""

    def __init__(self, folder: Path, words=(), code: str = RUN, **streams) -> None:
        (folder / "app.py").write_text(APP)
        self.listener = socket.create_server(("127.0.0.1", 0))
        fd = self.listener.fileno()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("NPP_")}
        kept.update(PYTHONSAFEPATH="1", NO_COLOR="1")
        self.process = subprocess.Popen(
            # No lines but those that are counted: none of a slow machine, none of compressing.
            [sys.executable, "-c", code, "--bind", f"fd://{fd}", "--no-compress", "--slow-log", "0",
             *words], cwd=folder,
            env=kept, pass_fds=(fd,),
            **{"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, **streams})

    def ask(self, path: str, count: int = 1) -> None:
        """All are answered, on one connection."""
        with socket.create_connection(self.listener.getsockname(), DEADLINE_S) as client:
            received, answered = b"", 0
            for _ in range(count):
                client.sendall(requests_in(1, path))
                while True:
                    received += client.recv(65536)
                    responses, received = read_responses(received, ("GET",))
                    if responses:
                        break
                assert responses[0].status == 200
                answered += 1
        assert answered == count

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(DEADLINE_S) == 0

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_) -> None:
        self.listener.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def drain(fd: int, until: str = "") -> str:
    """What lies there now; or what comes until a pattern has come."""
    data = b""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        text = data.decode().replace("\r\n", "\n")
        if until and re.search(until, text, re.M):
            return text
        if not select.select([fd], [], [], deadline - time.monotonic() if until else 0)[0]:
            assert not until, f"{until!r} did not come:\n{text}"
            return text
        try:
            piece = os.read(fd, 1 << 16)
        except OSError:                             # a terminal that nothing has open any more
            piece = b""
        assert piece or not until, f"{until!r} did not come:\n{text}"
        if not piece:
            return text
        data += piece


def go_on(server: Served, fd: int) -> tuple[str, int]:
    """Asks until a message comes through again: what could be read, and how many messages there
    were. A terminal has room a little later than it was read.
    """
    text, asked = drain(fd), REQUESTS
    deadline = time.monotonic() + DEADLINE_S
    while not re.search(LOST.pattern, text, re.M):
        assert time.monotonic() < deadline, text
        asked += 1
        server.ask("/log")
        text += drain(fd)
    server.stop()
    return text + drain(fd), asked


def number(text: str) -> int:
    return int(text.replace(",", ""))


def books(text: str) -> tuple[int, int]:
    """How many messages came whole, and how many lines were reported as lost."""
    lines = text.splitlines()
    whole = [match[1] for line in lines if (match := MESSAGE.search(line))]
    assert len(set(whole)) == len(whole)
    return len(whole), sum(number(match[1]) for line in lines if (match := LOST.search(line)))


# --- the error log --------------------------------------------------------------------------------


def small_pipe():
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, 16384)
    return reader, writer


def unix_stream():
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
    return ours.detach(), theirs.detach()


def datagrams():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    return ours.detach(), theirs.detach()


@pytest.mark.parametrize(
    ("make", "code"),
    [(small_pipe, RUN), (small_pipe, RUN_AS_ANOTHER_USER), (unix_stream, RUN), (datagrams, RUN),
     (os.openpty, RUN)],
    ids=["pipe", "pipe of another user", "unix socket", "datagrams", "terminal"])
def test_stalled_stderr_stops_no_request(make, code: str, tmp_path: Path) -> None:
    """With stderr on a pipe that nothing read, every request of every client hung after a few
    hundred lines."""
    reader, writer = make()
    flags = fcntl.fcntl(writer, fcntl.F_GETFL)
    with Served(tmp_path, code=code, stderr=writer) as server:
        if make is os.openpty:
            server.ask("/")
            os.write(reader, b"\x13")               # Ctrl-S
        server.ask("/log", REQUESTS)
        assert fcntl.fcntl(writer, fcntl.F_GETFL) == flags
        os.close(writer)
        if make is os.openpty:
            os.write(reader, b"\x11")               # Ctrl-Q
        text, asked = go_on(server, reader)
    whole, lost = books(text)
    assert lost > 0
    assert whole + lost == asked
    assert ("cannot be opened once more" in text) == (code is RUN_AS_ANOTHER_USER)
    os.close(reader)


def test_log_on_stdout_stalls_no_request_either(tmp_path: Path) -> None:
    reader, writer = small_pipe()
    with Served(tmp_path, ("--set", "logToStdout=1"), stdout=writer,
                stderr=subprocess.DEVNULL) as server:
        os.close(writer)
        server.ask("/log", REQUESTS)
        text, asked = go_on(server, reader)
    assert sum(books(text)) == asked
    os.close(reader)


def test_reader_that_ends_stops_no_request(tmp_path: Path) -> None:
    """nodepp-run 2>&1 | head"""
    reader, writer = small_pipe()
    with Served(tmp_path, stderr=writer) as server:
        os.close(writer)
        server.ask("/log", 3)
        os.close(reader)
        server.ask("/log", REQUESTS)
        server.stop()


def test_a_file_that_may_not_grow_loses_whole_lines_and_goes_on(tmp_path: Path) -> None:
    """A full disk glued half a line to the next one, silently."""
    with Served(tmp_path, ("--log-file", "error.log", "--access-log-file", "access.log"),
                stderr=subprocess.DEVNULL) as server:
        server.ask("/log")
        before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (2000, before[1]))
        server.ask("/log", REQUESTS)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)
        server.ask("/log")
        server.stop()
    text = (tmp_path / "error.log").read_text()
    assert sum(books(text)) == REQUESTS + 2
    assert "lost: File too large." in text
    access = (tmp_path / "access.log").read_text().splitlines()
    assert len([line for line in access if ACCESS.search(line)]) == REQUESTS + 2


# --- the access log -------------------------------------------------------------------------------


def access_books(lines: str, error_log: str) -> tuple[int, int]:
    whole = [line for line in lines.splitlines() if ACCESS.search(line)]
    found = [match for line in error_log.splitlines() if (match := ACCESS_LOST.search(line))]
    return len(whole), sum(number(match[1]) for match in found)


@pytest.mark.parametrize("reader", ["none", "late", "stalled"])
def test_access_log_on_a_fifo_stops_no_request(reader: str, tmp_path: Path) -> None:
    """The start waited for a reader of the FIFO, and requests for a reader that had stalled."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    count = 3000                                    # more than the FIFO and the buffer hold
    fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK) if reader == "stalled" else -1
    if fd >= 0:
        fcntl.fcntl(fd, F_SETPIPE_SZ, 4096)
    with Served(tmp_path, ("--access-log-file", str(fifo)), stderr=subprocess.PIPE) as server:
        server.ask("/", count)
        if reader == "late":
            fd = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        text = ""
        if fd >= 0:
            text = drain(fd, r"ms$")                # what waits comes by itself
        server.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + DEADLINE_S
        while fd >= 0 and server.process.poll() is None:
            select.select([fd], [], [], 0.01)
            text += drain(fd)
            assert time.monotonic() < deadline
        errors = server.process.communicate(timeout=DEADLINE_S)[1].decode()
        assert server.process.returncode == 0
    if fd >= 0:
        text += drain(fd)
        os.close(fd)
    whole, lost = access_books(text, errors)
    assert whole + lost == count, errors
    assert (whole > 0) == (reader != "none")
    assert lost > 0


@pytest.mark.parametrize("make", [small_pipe, unix_stream], ids=["pipe", "unix socket"])
@pytest.mark.parametrize("path", ["", "/dev/stderr"])
def test_both_logs_on_one_stream_share_it_line_by_line(make, path: str, tmp_path: Path) -> None:
    reader, writer = make()
    words = ("--access-log", *(("--access-log-file", path) if path else ()))
    with Served(tmp_path, words, stderr=writer) as server:
        os.close(writer)
        server.ask("/log", REQUESTS)
        text = drain(reader)
        server.ask("/log")
        text += drain(reader, r"  #301  ")          # what waited has come by itself
        server.process.send_signal(signal.SIGTERM)
        text += drain(reader, r"Stopped in")
        assert server.process.wait(DEADLINE_S) == 0
        text += drain(reader)
    whole, lost = books(text)
    access = [line for line in text.splitlines() if ACCESS.search(line)]
    assert whole + lost + len(access) == 2 * (REQUESTS + 1)
    known = (MESSAGE, LOST, ACCESS, re.compile("    Stop|^nodepp|^ |^Ready"))
    strange = [line for line in text.splitlines() if not any(it.search(line) for it in known)]
    assert not strange
    os.close(reader)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/full"])
def test_devices_take_an_access_log_or_refuse_it(path: str, tmp_path: Path) -> None:
    with Served(tmp_path, ("--access-log-file", path), stderr=subprocess.PIPE) as server:
        server.ask("/", 20)
        server.process.send_signal(signal.SIGTERM)
        errors = server.process.communicate(timeout=DEADLINE_S)[1].decode()
    expected = (0, 20) if path == "/dev/full" else (0, 0)
    assert access_books("", errors) == expected
    assert ("No space left on device" in errors) == (path == "/dev/full")


def test_access_log_on_stdout_needs_no_file_of_that_name(tmp_path: Path) -> None:
    """/dev/stdout cannot be opened where it is a socket, as under systemd."""
    reader, writer = unix_stream()
    with Served(tmp_path, ("--access-log-file", "/dev/stdout"), stdout=writer,
                stderr=subprocess.DEVNULL) as server:
        os.close(writer)
        server.ask("/", 3)
        server.stop()
        assert access_books(drain(reader), "")[0] == 3
    os.close(reader)


@pytest.mark.parametrize("signal_", [signal.SIGUSR1, signal.SIGHUP])
def test_logs_that_were_moved_away_are_opened_anew(signal_: int, tmp_path: Path) -> None:
    """What waited for the access log when it was reopened is in the old file."""
    names = ("error.log", "access.log")
    with Served(tmp_path, ("--log-file", names[0], "--access-log-file", names[1]),
                stderr=subprocess.DEVNULL) as server:
        server.ask("/log", 2)
        for name in names:
            (tmp_path / name).rename(tmp_path / f"{name}.1")
        server.process.send_signal(signal_)
        deadline = time.monotonic() + DEADLINE_S
        while not all((tmp_path / name).exists() for name in names):
            assert time.monotonic() < deadline
            server.ask("/")
        server.ask("/log")
        server.stop()
    before, after = ((tmp_path / f"error.log{end}").read_text() for end in (".1", ""))
    assert (books(before), books(after)) == ((2, 0), (1, 0))
    first = (tmp_path / "access.log.1").read_text()
    assert first.count('"GET /log ') == 2
    assert (tmp_path / "access.log").read_text().count('"GET /log ') == 1


# --- within a process -----------------------------------------------------------------------------


def test_lost_lines_are_reported_once_a_minute(
    serve_epoll, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sink, "LOOK_S", 3600.0)
    os.mkfifo(tmp_path / "fifo")
    error_log = tmp_path / "error.log"
    server = serve_epoll()
    logs = log_files.Logs()
    logs.open(SimpleNamespace(
        log_level=3, log_file=str(error_log), log_to_stdout=False, access_log=True,
        access_log_file=str(tmp_path / "fifo"), access_log_format="npp"))
    try:
        logs.begin(server.engine)
        total = 0
        for minute in (1, 2):
            client = server.connect()               # the one before was idle for a minute
            for _ in range(30):
                client.exchange(requests_in(100))
                total += 100
            assert error_log.read_text().count("lines were lost") == minute - 1
            _core.probe_clock(61_000)
            server.idle()
        logs.end()
    finally:
        logs.close()
    lines = [ACCESS_LOST.search(line) for line in error_log.read_text().splitlines()]
    assert len(lines) == 3                          # and the last when the engine ended
    assert sum(number(line[1]) for line in lines) == total
    assert {line[2] for line in lines} == {"they have no reader"}


def test_lost_messages_are_reported_without_a_next_one(tmp_path: Path) -> None:
    reader, writer = small_pipe()
    it = log_module.Log()
    with contextlib.ExitStack() as stack:
        kept = os.dup(2)
        stack.callback(os.close, kept)
        stack.callback(os.dup2, kept, 2)
        os.dup2(writer, 2)
        os.close(writer)
        it.configure()
        for _ in range(1000):
            it.write(log_module.ERR, "x" * 100)
        text = drain(reader)
        it.report()
        text += drain(reader)
        it.close()
    lost = LOST.search(text.splitlines()[-1])
    assert text.count(" ERR ") + number(lost[1]) == 1000
    os.close(reader)


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError])
def test_what_a_signal_handler_raises_meanwhile_is_the_callers_of_the_turn(
    serve_epoll, raised: type[BaseException]
) -> None:
    server = serve_epoll()
    calls = []

    def write(lines: bytes, lost_count: int) -> int:
        calls.append(lines)
        if len(calls) == 1:
            raise raised
        return len(lines)

    server.engine.set_access_log(write, 1)
    client = server.connect()
    client.send(requests_in(1))
    with pytest.raises(raised):
        server.until(lambda: client.read(), "the answer")   # a new second writes the line at once
        server.engine.flush_access_log()
        server.engine.turn(0)
    server.engine.set_access_log(None, 0)
    assert calls[0] == calls[1]                     # no line was lost


def test_access_log_may_be_switched_off_while_it_is_written(serve_epoll) -> None:
    """A signal handler runs while the lines are being written: SIGHUP may end the access log."""
    server = serve_epoll()
    taken = []

    def write(lines: bytes, lost_count: int) -> int:
        server.engine.set_access_log(None, 0)
        server.engine.flush_access_log()
        taken.append(lines)
        return len(lines)

    server.engine.set_access_log(write, 1)
    server.connect().exchange(requests_in(5))
    server.engine.flush_access_log()
    server.connect().exchange(requests_in(5))
    assert b"".join(taken).count(b"\n") == 5
