"""How a server ends, and what does not end it: the grace time, signals that mean nothing."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness import requests_in
from nodepprun import DEADLINE_S, Run

from nodepp import _core

APP = """\
import os, signal
from nodepp import App

app = App()

@app.get("/")
def landing(req):
    return "hello"

@app.get("/endless")
def endless(req):
    while True:
        yield b"." * 1000

if os.environ.get("TEST_SIGNAL"):
    os.kill(os.getpid(), int(os.environ["TEST_SIGNAL"]))

if __name__ == "__main__":
    app.run(port=0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def test_the_end_of_the_grace_time_says_how_many_it_cut(folder: Path) -> None:
    """Downloads broke at each deploy. The log said "Stopped in 8.0 s" and no word of them; the
    exit status stays 0, for the server did what it was told, in the time that it was given."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(Run(folder, "--graceful-timeout", "1"))

        def ask(request: bytes) -> bytes:
            client = stack.enter_context(server.connect())
            client.sendall(request)
            return client.recv(65536) if request.endswith(b"\r\n\r\n") else b""

        for _ in range(2):
            assert ask(requests_in(1, "/endless"))
        ask(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Le")
        for _ in range(3):
            assert ask(requests_in(1, "/"))
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(DEADLINE_S)
        server.wait_for(r"Cut 3 of 6 after [\d.]+ s: requests were not finished in time"
                        r" \(gracefulTimeout\)\.\n.*Stopped in")
        assert server.process.returncode == 0


def test_a_stop_that_cuts_nothing_says_nothing_of_it(folder: Path) -> None:
    with Run(folder) as server:
        server.get("/")
    assert "Stopped in" in server.text
    assert "Cut" not in server.text


def test_what_is_cut_is_counted_without_those_that_lose_nothing(serve) -> None:
    """A peer that has not said a word, and one that has its answer but stays, lose nothing."""
    server = serve()
    silent = server.connect()
    answered = server.connect()
    answered.send(b"GET /echo HTTP/1.1\r\nHost: a b\r\n\r\n")     # refused; drained, then closed
    half = server.connect()
    half.send(b"GET /echo HTT")
    server.idle()
    assert [each.status for each in answered.responses()] == [400]
    server.engine.stop(5000)
    server.idle()
    assert (server.stat("cut"), server.stat("draining")) == (0, 3)
    _core.probe_clock(6000)
    server.idle()
    assert server.stat("cut") == 1
    for client in (silent, answered, half):
        client.until_closed()


# --- signals --------------------------------------------------------------------------------------


def count_of_lines(text: str) -> int:
    return len(re.findall(r"WAR SIGUSR2 means nothing here: ignored\.", text))


def test_usr2_is_ignored_with_one_line(folder: Path) -> None:
    """A deploy script that knew USR2 from another server ended this one at once, mid-request."""
    with Run(folder) as server:
        for _ in range(3):
            server.process.send_signal(signal.SIGUSR2)
            assert server.get("/").body == b"hello"
        server.wait_for("SIGUSR2 means nothing here")
    assert count_of_lines(server.text) == 1


def test_usr2_during_the_start_is_ignored_as_well(folder: Path, monkeypatch) -> None:
    monkeypatch.setenv("TEST_SIGNAL", str(int(signal.SIGUSR2)))
    with Run(folder) as server:
        assert server.get("/").body == b"hello"
    assert count_of_lines(server.text) == 1


def test_usr2_does_not_end_app_run(folder: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("NPP_")}
    process = subprocess.Popen([sys.executable, "app.py"], cwd=folder, env=kept,
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    text = ""
    try:
        for line in process.stderr:
            text += line
            if line.startswith("Ready in"):
                process.send_signal(signal.SIGUSR2)
            if "SIGUSR2" in line:
                break
        process.send_signal(signal.SIGTERM)
        text += process.communicate(timeout=DEADLINE_S)[1]
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 0
    assert count_of_lines(text) == 1


@pytest.mark.parametrize(
    "number", [signal.SIGPIPE, signal.SIGCHLD, signal.SIGWINCH, signal.SIGURG, signal.SIGXFSZ])
def test_signals_that_mean_nothing_to_anyone_do_not_end_a_server(folder: Path, number) -> None:
    with Run(folder) as server:
        server.process.send_signal(number)
        assert server.get("/").body == b"hello"
