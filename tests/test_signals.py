"""Signals and the application: its own handlers, code that swallows a stop, code that does not end.
"""

from __future__ import annotations

import signal
import sys
import threading
import time

import pytest
from nodepprun import Run

APP = """\
import asyncio, itertools, os, signal, sys
from nodepp import App
app = App()

def say(text):
    os.write(2, (text + "\\n").encode())

class ApiError(Exception):
    status = None

def alarm(number, frame):
    say("alarm")
    raise RuntimeError("the alarm")

@app.get("/")
def hello(req):
    return "hello"

@app.get("/loops")
def loops(req):
    say("loops")
    while True:
        pass

@app.get("/counts")
def counts(req):
    say("counts")
    sum(itertools.repeat(1))                # in C, with the GIL

@app.get("/alarm")
def set_alarm(req):
    signal.signal(signal.SIGALRM, alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    return "set"

@app.get("/asyncio")
def other_loop(req):
    async def main():
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR2, lambda: None)
        loop.remove_signal_handler(signal.SIGUSR2)
    asyncio.run(main())
    return "done"

@app.get("/takes-term")
def takes_term(req):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    return "taken"

@app.get("/api-error")
def api_error(req):
    req.session["a"] = 1
    raise ApiError("no status")

@app.on_stop
def end():
    say("on_stop ran")
"""


@pytest.fixture
def start(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    return lambda *words: Run(tmp_path, *words)


def ask_for(server: Run, path: str, said: str) -> threading.Thread:
    """Asks in a thread, and waits until the handler has said that it runs."""
    asking = threading.Thread(target=server.converse, args=(
        f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(),))
    asking.start()
    server.wait_for(f"^{said}$")
    return asking


@pytest.mark.parametrize("path, status", [("loops", 0), ("counts", 128 + signal.SIGTERM)])
def test_one_term_ends_a_handler_that_never_returns_after_the_grace_time(start, path, status):
    """gracefulTimeout cut connections only: a handler in an endless loop kept the server up until
    somebody sent a second signal, or KILL."""
    with start("--graceful-timeout", "100ms") as server:
        asking = ask_for(server, f"/{path}", path)
        server.process.send_signal(signal.SIGTERM)
        assert server.end() == status, server.text
        asking.join()
    assert ("on_stop ran" in server.text) == (status == 0)


def test_an_alarm_that_raises_between_two_requests_ends_no_server(start):
    """A handler of a signal that raises is how timeouts are made; it came out of the loop."""
    with start() as server:
        assert server.get("/alarm").body == b"set"
        server.wait_for("a handler of a signal failed|in alarm")
        assert server.get("/").body == b"hello"
    assert "RuntimeError: the alarm" in server.text


def test_signals_are_heard_again_after_another_loop_took_their_pipe(start):
    """asyncio takes Python's wake-up descriptor for its signals and does not give it back: the
    watchdog heard no signal any more."""
    with start() as server:
        assert server.get("/asyncio").body == b"done"
        ask_for_a_while(server)
        asking = ask_for(server, "/counts", "counts")
        for _ in range(2):
            server.process.send_signal(signal.SIGTERM)
        assert server.end() == 128 + signal.SIGTERM, server.text
        asking.join()


def ask_for_a_while(server: Run) -> None:
    """Until the look of every second has come."""
    end_s = time.monotonic() + 2
    server.until(lambda: server.get("/").body and time.monotonic() > end_s, "the next look")


def test_the_applications_own_handler_of_term_may_end_the_server(start):
    """SystemExit out of it was answered with 500 like a fault of a request, and the signal lost."""
    with start() as server:
        assert server.get("/takes-term").body == b"taken"
        server.process.send_signal(signal.SIGTERM)
        assert server.end() == 7, server.text
    assert "on_stop ran" in server.text


def test_an_error_whose_status_is_no_number_is_named(start):
    """The page of the error could not be made, and the log said TypeError, without handler or line.
    """
    with start() as server:
        assert server.get("/api-error").status == 500
        server.wait_for("ApiError: no status")
    assert "TypeError" not in server.text


def test_a_stop_that_the_import_swallows_is_no_less_a_stop(tmp_path):
    """An optional import in try and except took the KeyboardInterrupt: the server went on to start,
    and the next TERM cut instead of draining."""
    (tmp_path / "app.py").write_text(
        "import os, time\ntry:\n    os.write(2, b'slow\\n')\n    while True:\n"
        "        time.sleep(0.01)\n"
        "except BaseException:\n    pass\nfrom nodepp import App\napp = App()\n")
    with Run(tmp_path, ready=False) as server:
        server.wait_for("^slow$")
        server.process.send_signal(signal.SIGTERM)
        assert server.end() == 0, server.text
    assert "Stopped before it was ready." in server.text and "Ready" not in server.text


@pytest.mark.skipif(sys.platform != "linux", reason="signals of one process to itself")
def test_a_cut_while_the_access_log_is_written_ends_in_order(tmp_path):
    """Cut came out of the loop through the writing of the log: a traceback, and status 1."""
    (tmp_path / "app.py").write_text(APP + """
from nodepp.sink import Sink
write = Sink.write

def meddle(sink, lines, lost=0):
    if b"GET /marked" in lines:
        os.kill(os.getpid(), signal.SIGQUIT)
    return write(sink, lines, lost)

Sink.write = meddle
""")
    with Run(tmp_path, "--access-log") as server:
        server.get("/marked")
        assert server.end() == 0, server.text
    assert "Traceback" not in server.text and "on_stop ran" in server.text
