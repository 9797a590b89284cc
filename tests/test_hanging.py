"""Code that never comes back: what the second signal does, in order where that is possible, and
what the watchdog does where it is not. Real servers, a process each.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time
from pathlib import Path

import nodepprun
import pytest

from nodepp.sessions.header import HEADER_SIZE, STATE_OFFSET, State

APP = """\
import ctypes, os, sys
from nodepp import App

app = App()
PLACE = os.environ["HANGS_IN"]

def say(text):
    os.write(2, f"{text}\\n".encode())

def spin():
    while True:
        pass

def catches():
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass

def keeps_the_gil():
    mutex = ctypes.create_string_buffer(256)    # all zero: an ordinary one, not taken
    lock = ctypes.PyDLL(None).pthread_mutex_lock
    lock(mutex)
    lock(mutex)                                 # waits for itself, with the GIL

def reads():
    os.read(os.pipe()[0], 1)                    # Python begins it again after each signal

def hang(place):
    if place == PLACE:
        say("hanging")
        HOW()

hang("import")

@app.on_start
def begin():
    hang("on_start")

@app.on_stop
def bye():
    say("on_stop ran")

@app.on_stop
def end():                                      # the last one registered comes first
    hang("on_stop")

@app.every(0.001)
def tick():
    hang("timer")

@app.get("/")
def landing(req):
    hang("handler")
    return "hello"

@app.get("/stream")
def stream(req):
    yield b"one"
    hang("generator")
    yield b"two"
"""

# Where it hangs, and the two signals. The first one stops; nothing is being served before a start
# is over, so there the first one is enough where Python sees it.
PLACES = {
    "handler": signal.SIGINT,
    "generator": signal.SIGTERM,
    "timer": signal.SIGQUIT,
    "on_start": signal.SIGINT,
    "import": signal.SIGTERM,
    "on_stop": signal.SIGTERM,
}


# What the log calls it.
NAMES = {
    "handler": "GET /",
    "generator": "GET /stream",
    "timer": "a periodic callback",
    "on_start": "on_start",
    "import": "the import of the application",
    "on_stop": "on_stop",
}


class Hanging(nodepprun.Run):
    """A server whose code hangs in a place."""

    def __init__(self, folder: Path, place: str, how: str) -> None:
        folder = folder / place
        folder.mkdir()
        (folder / "app.py").write_text(APP.replace("HOW", how))
        self.place, self.folder, self.number = place, folder, PLACES[place]
        self.client: socket.socket | None = None
        os.environ["HANGS_IN"] = place
        try:
            super().__init__(folder, "--uds", "socket", "--session-file", "sessions",
                             "--limit-sessions", "10", "--slow-log", "0", ready=False)
        finally:
            del os.environ["HANGS_IN"]

    def begin(self) -> None:
        """Until it hangs."""
        if self.place in ("handler", "generator", "on_stop"):
            self.wait_until_ready()
        if self.place in ("handler", "generator"):
            self.client = self.connect()
            path = "/stream" if self.place == "generator" else "/"
            self.client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        if self.place == "on_stop":
            self.process.send_signal(signal.SIGTERM)
        self.wait_for("^hanging$")

    def signal_twice(self) -> None:
        """The second one when the first has been understood; QUIT needs no second one."""
        self.process.send_signal(self.number)
        if self.place in ("handler", "generator"):
            self.wait_for("^.*Stopping")
            self.process.send_signal(self.number)

    def signal_until_the_end(self) -> None:
        """Nobody answers: of two that come close together the kernel may make one."""
        deadline = time.monotonic() + nodepprun.DEADLINE_S
        while self.process.poll() is None:
            self.process.send_signal(self.number)
            assert time.monotonic() < deadline, f"{self.place} lives on:\n{self.text}"
            with contextlib.suppress(nodepprun.subprocess.TimeoutExpired):
                self.process.wait(0.2)

    def is_clean(self) -> bool:
        data = (self.folder / "sessions").read_bytes()
        return State.unpack(data[STATE_OFFSET:HEADER_SIZE]).is_clean

    def close(self) -> None:
        if self.client is not None:
            self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.end()


@pytest.fixture
def hanging(tmp_path):
    """hanging(how) gives a server for each place, all at once, when they hang."""
    begun: list[Hanging] = []

    def begin(how: str) -> list[Hanging]:
        for place in PLACES:
            begun.append(Hanging(tmp_path, place, how))
        for it in begun:
            it.begin()
        return begun

    yield begin
    for it in begun:
        it.close()


@pytest.mark.parametrize("how", ["spin", "reads"])
def test_what_python_can_interrupt_is_cut_in_order(hanging, how):
    """A handler with an endless loop, or one that waits for a pipe, went on after the second
    Ctrl-C; the server had to be killed, and left its socket and an unclean session file behind."""
    servers = hanging(how)
    for it in servers:
        it.signal_twice()
    for it in servers:
        assert it.end() == 0, it.text
        assert "did not come back" not in it.text
        assert "Traceback" not in it.text
        if it.place in ("on_start", "import"):
            assert "Stopped before it was ready." in it.text
        else:
            assert re.search(rf"Interrupted: app\.py:\d+ in ({how}|say)$", it.text, re.M)
            assert "on_stop ran" in it.text
        assert not (it.folder / "socket").exists()
        assert it.place == "import" or it.is_clean()


@pytest.mark.parametrize("how", ["catches", "keeps_the_gil"])
def test_what_python_cannot_interrupt_is_ended_by_the_watchdog(hanging, how):
    """One that catches BaseException, and C code that keeps the GIL, could only be killed, and
    nothing told where the server had been."""
    servers = hanging(how)
    for it in servers:
        it.signal_until_the_end()
    for it in servers:
        assert it.end() == 128 + it.number, it.text
        name = signal.Signals(it.number).name[3:]
        assert f"did not come back within 0.8 s after {name}: " \
               f"the process ends with status {128 + it.number}." in it.text
        assert 'app.py", line' in it.text and f"in {how}" in it.text
        assert f"{NAMES[it.place]} did not" in it.text
