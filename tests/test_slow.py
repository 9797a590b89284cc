"""slowLog: where the code is that holds the loop. Real servers; what holds them up waits for the
test, so that nothing depends on how fast the machine is.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import nodepprun
import pytest

APP = """\
import ctypes, os, time
from nodepp import App, _core

app = App()
FIFO = os.path.abspath("fifo")
app.host.warm_up = lambda: None                 # takes long where the machine is busy

def wait():
    with open(FIFO, "rb", buffering=0) as fifo:
        fifo.read(1)

def wait_with_gil():
    fd = os.open(FIFO, os.O_RDWR)               # the opening does not wait
    text = ctypes.create_string_buffer(1)
    ctypes.PyDLL(None).read(fd, text, 1)
    os.close(fd)

def spin():
    fd = os.open(FIFO, os.O_RDWR | os.O_NONBLOCK)
    while True:
        try:
            os.read(fd, 1)
        except BlockingIOError:
            continue
        break
    os.close(fd)

@app.get("/")
def landing(req):
    return "fine"

@app.get("/waits")
def waits(req):
    wait()
    return "done"

@app.get("/keeps")
def keeps(req):
    wait_with_gil()
    return "done"

@app.get("/spins")
def spins(req):
    spin()
    return "done"

@app.get("/stream")
def stream(req):
    yield b"one"
    wait()
    time.sleep(0.6)
    yield b"two"

@app.get("/later")
def later(req):
    app.engine.later(0.001, wait)
    return "done"

@app.get("/session")
def session(req):
    req.session["a"] = 1
    return "done"

@app.on_session_start
def session_start(req):
    wait()

@app.get("/reader")
def reader(req):
    source, sink = os.pipe()
    def readable():
        app.engine.remove_reader(source)
        os.close(source), os.close(sink)
        wait()
    app.engine.add_reader(source, readable)
    os.write(sink, b"1")
    return "done"

@app.get("/short")
def short(req):
    time.sleep(0.01)
    return "done"

@app.get("/nap")
def nap(req):
    os.write(2, b"napping\\n")
    time.sleep(float(req.query["s"]))
    return "done"

@app.get("/window")
def window(req):
    _core.probe_slow_window(1)
    return "done"
"""


@pytest.fixture
def start(tmp_path: Path):
    """start(*words) gives a Run; release() lets go what waits."""
    (tmp_path / "app.py").write_text(APP)
    os.mkfifo(tmp_path / "fifo")
    with open(os.open(tmp_path / "fifo", os.O_RDWR), "wb", buffering=0) as fifo:
        def begin(*words: str, program: str = nodepprun.RUN) -> nodepprun.Run:
            kind = type("Run", (nodepprun.Run,), {
                "program": program, "release": lambda self: fifo.write(b"1")})
            return kind(tmp_path, *words)

        yield begin


def ask(server: nodepprun.Run, target: str):
    client = server.connect()
    client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    return client


def answer(client) -> bytes:
    with client:
        received = b""
        while piece := client.recv(65536):
            received += piece
    return received


# Path, what the log calls it, and a line of the stack.
PLACES = [
    ("/waits?a=1", "GET /waits?a=1", "in waits: wait()"),
    ("/spins", "GET /spins", "in spins: spin()"),
    ("/keeps", "GET /keeps", "in wait_with_gil"),
    ("/session", "(?:a hook of sessions|GET /session)", "in session_start: wait()"),
    ("/later", "a periodic callback", "in wait: fifo.read(1)"),
    ("/reader", "a reader's callback", "in readable: wait()"),
]


def test_code_that_holds_the_loop_is_named_once(start):
    """A handler that waited for a database held all visitors up, and no log told which it was."""
    with start("--slow-log", "200ms") as server:
        for target, what, line in PLACES:
            client = ask(server, target)
            server.wait_for(rf"WAR {what.replace('?a', '.a')} has held the loop for \d+ ms")
            server.until(lambda words=line: words in server.text, line)
            server.release()
            assert b"200 OK" in answer(client)
            assert server.get("/").status == 200
    assert server.text.count("has held the loop") == len(PLACES), server.text


def test_a_step_of_a_stream_is_named_once_a_request(start):
    with start("--slow-log", "200ms") as server:
        client = ask(server, "/stream")
        server.wait_for(r"WAR GET /stream has held the loop for \d+ ms")
        server.release()
        assert answer(client).endswith(b"0\r\n\r\n")       # the second step was slow, too
    assert server.text.count("has held the loop") == 1
    assert "in stream: wait()" in server.text


def test_many_short_requests_are_no_slow_one(start):
    """One turn handles them all, and takes longer than a slow handler may."""
    with start("--slow-log", "1s") as server:
        with server.connect() as client:
            client.sendall(b"GET /short HTTP/1.1\r\nHost: x\r\n\r\n" * 150
                           + b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            received = b""
            while piece := client.recv(65536):
                received += piece
        assert received.count(b"200 OK") == 151
    assert "has held the loop" not in server.text


def test_a_process_that_was_stopped_was_not_slow(start):
    """A debugger, or Ctrl-Z, for minutes."""
    with start("--slow-log", "500ms") as server:
        client = ask(server, "/nap?s=0.2")
        server.wait_for("^napping$")
        server.process.send_signal(signal.SIGSTOP)
        time.sleep(1.5)                # sleeps: nothing can be asked of it meanwhile
        server.process.send_signal(signal.SIGCONT)
        assert b"200 OK" in answer(client)
    assert "has held the loop" not in server.text


def test_ten_are_named_a_minute_and_the_others_counted(start):
    with start("--slow-log", "50ms") as server:
        for count in range(1, 11):
            client = ask(server, f"/waits?n={count}")
            server.wait_for(rf"GET /waits.n={count} has held the loop")
            server.release()
            answer(client)
        for _ in range(2):
            answer(ask(server, "/nap?s=0.7"))
        server.get("/window")
        server.wait_for(r"WAR The loop was held [12] times more \(slowLog\)\.")
    assert server.text.count("has held the loop") == 10


def test_it_is_switched_off_and_on_while_the_server_runs(start, tmp_path):
    conf = tmp_path / "npp.conf"
    conf.write_text("slowLog=0\n")
    with start() as server:
        answer(ask(server, "/nap?s=0.7"))
        conf.write_text("slowLog=150ms\n")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("Reloaded: slowLog=150ms")
        assert "has held the loop" not in server.text
        client = ask(server, "/waits")
        server.wait_for("GET /waits has held the loop")
        server.release()
        answer(client)


IN_A_THREAD = """\
import sys, threading
sys.path.insert(0, ".")
from app import app

def serve():
    app.run(port=0, slowLog="150ms")

thread = threading.Thread(target=serve)
thread.start()
sys.stdin.close()
import os, signal
def stop(*_):
    app.engine.stop(0)
signal.signal(signal.SIGTERM, stop)
while thread.is_alive():
    thread.join(0.05)
"""


def test_a_server_in_a_thread_names_slow_code_too(start):
    with start(program=IN_A_THREAD) as server:
        for path in ("/waits", "/keeps"):
            client = ask(server, path)
            server.wait_for(f"GET {path} has held the loop")
            server.release()
            assert b"200 OK" in answer(client)
