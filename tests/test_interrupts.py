"""Exceptions that are no Exception, raised by an application's code: a 500, or a cut stream, and
the server goes on. Where the engine is driven by hand they come out: tests/test_reentry.py.
"""

from __future__ import annotations

import signal
import socket

import harness
import nodepprun
import pytest
from harness import requests_in

from nodepp import _core

APP = """\
import asyncio, os, sys
from nodepp import App

class Own(BaseException):
    pass

KINDS = {"exit": SystemExit, "cancelled": asyncio.CancelledError, "generator": GeneratorExit,
         "interrupt": KeyboardInterrupt, "own": Own}
app = App()
armed = {}

def fail(req):
    raise KINDS[req.query["kind"]]("out")

@app.get("/")
def landing(req):
    return "fine"

@app.get("/handler")
def handler(req):
    fail(req)

@app.get("/first")
def first(req):
    fail(req)
    yield b""

@app.get("/later")
def later(req):
    yield b"begun"
    fail(req)

class Pieces:
    def __init__(self, req, place):
        self.req, self.place, self.left = req, place, 2

    def __iter__(self):
        if self.place == "iter":
            fail(self.req)
        return self

    def __next__(self):
        if self.place == "next":
            fail(self.req)
        if not self.left:
            raise StopIteration
        self.left -= 1
        return b"piece"

    def close(self):
        if self.place == "close":
            raise KINDS[armed["kind"]]("out")

@app.get("/pieces/{place}")
def pieces(req, place):
    armed["kind"] = req.query["kind"]
    return Pieces(req, place)

@app.get("/page")
def page(req):
    raise LookupError

@app.error(LookupError)
def page_for(req, error):
    fail(req)

@app.get("/missing-page")
def status_only(req):
    req.status = 418

@app.error(418)
def teapot(req):
    fail(req)

def encode(value):
    raise KINDS[armed["kind"]]("out")

@app.get("/encoder")
def encoder(req):
    armed["kind"] = req.query["kind"]
    return {"is": "encoded"}

app.host.json_encode = encode

@app.get("/session")
def session(req):
    armed["hook"] = req.query["kind"]
    req.session["a"] = 1
    return "kept"

@app.on_session_start
def session_start(req):
    if armed.get("hook"):
        raise KINDS[armed["hook"]]("out")

@app.get("/reader")
def reader(req):
    source, sink = os.pipe()
    def readable():
        app.engine.remove_reader(source)
        os.close(source), os.close(sink)
        fail_as(kind)
    kind = req.query["kind"]
    app.engine.add_reader(source, readable)
    os.write(sink, b"1")
    return "added"

def fail_as(kind):
    raise KINDS[kind]("out")

@app.get("/timer")
def timer(req):
    kind = req.query["kind"]
    app.engine.later(0.001, lambda: fail_as(kind))
    return "set"

@app.get("/beat")
def beat(req):
    armed["beat"] = req.query["kind"]
    return "armed"

@app.every(0.001)
def tick():
    kind = armed.pop("beat", None)
    if kind:
        raise KINDS[kind]("out")

@app.on_stop
def last():
    os.write(2, b"the last on_stop ran\\n")

@app.on_stop
def bad_end():
    sys.exit(5)
"""

KINDS = {"exit": "SystemExit", "cancelled": "CancelledError", "generator": "GeneratorExit",
         "interrupt": "KeyboardInterrupt", "own": "Own"}

# Path, status (0: the stream is cut), and what the log says where.
PLACES = [
    ("/handler", 500, "in handler: fail(req)"),
    ("/first", 500, "in first: fail(req)"),
    ("/later", 0, "in later: fail(req)"),
    ("/pieces/iter", 500, "in __iter__: fail(self.req)"),
    ("/pieces/next", 500, "in __next__: fail(self.req)"),
    ("/pieces/close", 200, "in close: raise"),
    ("/page", 500, "in page_for: fail(req)"),
    ("/missing-page", 500, "in teapot: fail(req)"),
    ("/encoder", 500, "in encode: raise"),
    ("/session", 500, "in session_start: raise"),
    ("/reader", 200, "in fail_as: raise"),
    ("/timer", 200, "in fail_as: raise"),
    ("/beat", 200, "in tick: raise"),
]


@pytest.mark.parametrize("monitor", ["epoll", "poll", "select", "selectors"])
def test_no_exception_of_the_application_ends_a_server(tmp_path, monitor):
    """sys.exit() in a handler, or a CancelledError that a library let out, was answered with 500
    and then ended the server for all visitors."""
    (tmp_path / "app.py").write_text(APP)
    kinds = KINDS if monitor == "epoll" else {"exit": "SystemExit"}
    with nodepprun.Run(tmp_path, "--fd-monitor", monitor, "--slow-log", "0") as server:
        for path, status, place in PLACES:
            for kind, name in kinds.items():
                seen = len(server.text)
                target = f"{path}?kind={kind}"
                if status:
                    assert server.get(target).status == status, target
                else:
                    request = f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n"
                    received = server.converse(request.encode())
                    assert b"begun" in received and not received.endswith(b"0\r\n\r\n")
                server.until(lambda at=seen, words=place: words in server.text[at:]
                             and server.get("/").status == 200, f"{target} in the log")
                text = server.text[seen:]
                assert name in text and "  app.py:" in text, text
    assert "on_stop bad_end(): SystemExit: 5\n" in server.text
    assert "in bad_end: sys.exit(5)" in server.text
    assert "the last on_stop ran" in server.text


NPP = """\
import os, sys
from nodepp.npp import *

def npp_app_main():
    if REQ("exit"):
        sys.exit(3)
    elif REQ("status"):
        RES_STATUS(418)
    elif REQ("session"):
        npp_eng_session_start(None)
        OUT("begun")
    else:
        OUT("fine")

def npp_app_session_init():
    sys.exit(4)

def npp_app_custom_message_page(code):
    if code == 418:
        raise GeneratorExit
    OUT("page")

beats = []

def npp_app_every_spare_second():
    beats.append(1)
    if len(beats) == 1:
        raise KeyboardInterrupt

def npp_app_done():
    sys.exit(5)
"""


def test_no_exception_of_a_node_plus_plus_application_ends_a_server(tmp_path):
    (tmp_path / "app.py").write_text(NPP)
    with nodepprun.Run(tmp_path, "--slow-log", "0") as server:
        assert server.get("/exit").status == 500
        assert server.get("/status").status == 500
        server.get("/session")
        server.wait_for("in npp_app_every_spare_second: raise KeyboardInterrupt")
        assert server.get("/").body == b"fine"
    for place in ("npp_app_main: sys.exit(3)", "npp_app_session_init: sys.exit(4)",
                  "npp_app_custom_message_page: raise GeneratorExit", "npp_app_done: sys.exit(5)"):
        assert f"in {place}" in server.text, server.text


WAITS = """\
import os
from nodepp import App

app = App()

@app.get("/")
def landing(req):
    os.write(2, b"waiting\\n")
    end = os.environ["END"]
    while not os.path.exists(end):
        pass
    return "finished"
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_real_interrupt_in_a_handler_finishes_it_and_stops(tmp_path, monkeypatch, number):
    """The other side: what the keyboard sends is no exception of the application."""
    end = tmp_path / "end"
    monkeypatch.setenv("END", str(end))
    (tmp_path / "app.py").write_text(WAITS)
    with nodepprun.Run(tmp_path) as server, server.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        server.wait_for("^waiting$")
        server.process.send_signal(number)
        server.wait_for("Stopping: 1 connection open")
        end.touch()
        received = b""
        while piece := client.recv(65536):
            received += piece
        assert received.endswith(b"finished")
        assert server.end() == 0, server.text


@pytest.mark.parametrize("raises, status, words", [
    ("import asyncio\nraise asyncio.CancelledError('early')", 3, "CancelledError: early"),
    ("raise GeneratorExit", 3, "GeneratorExit"),
    ("import sys\nsys.exit(7)", 3, "ended the process while it was imported (exit 7)"),
    (START := "from nodepp import App\napp = App()\n@app.on_start\ndef begin():\n    "
     "raise GeneratorExit", 3, "on_start failed: GeneratorExit"),
    (START.replace("raise GeneratorExit", "raise SystemExit(7)"), 3,
     "on_start failed: SystemExit: 7"),
    (START.replace("raise GeneratorExit", "raise SystemExit"), 3, "on_start failed: SystemExit"),
    (START.replace("raise GeneratorExit", "raise KeyboardInterrupt"), 3,
     "on_start failed: KeyboardInterrupt"),
])
def test_exceptions_of_a_start_end_it_with_a_line(tmp_path, raises, status, words):
    (tmp_path / "app.py").write_text(raises + "\n")
    with nodepprun.Run(tmp_path, ready=False) as server:
        assert server.end() == status
    assert words in server.text and "Traceback" not in server.text


# --- the engine's setting -------------------------------------------------------------------------


def test_an_engine_that_owns_the_signals_answers_and_logs(serve):
    def handler(req):
        raise SystemExit(3)

    server = serve(handlers={"handler": handler}, owns_signals=True)
    client = server.connect()
    client.send(requests_in(1, "/handler") + requests_in(1))
    assert [each.status for each in client.responses(count=2)] == [500, 200]
    assert (1, "SystemExit(3)") in server.app.logged


def test_what_is_a_fault_depends_on_the_open_engine(serve_epoll):
    """The decision is the core's alone; without an engine it is what a program expects."""
    assert _core.is_fault(ValueError()) and not _core.is_fault(SystemExit())
    serve_epoll(owns_signals=True)
    assert _core.is_fault(SystemExit()) and not _core.is_fault(_core.Cut())


def test_a_cut_leaves_no_answer_and_no_line(serve):
    """What the watchdog interrupts is cut with its connection: half an answer would look whole."""
    def handler(req):
        server.engine.stop(0)
        raise _core.Cut

    server = serve(handlers={"handler": handler}, owns_signals=True)
    client = server.connect()
    client.send(requests_in(2, "/handler"))
    client.until_closed()
    assert client.received == b""
    assert server.app.logged == []


def test_nothing_more_is_begun_in_a_turn_that_was_cut(serve_epoll):
    """Of a hundred requests that had come in together, each slow, all were handled before a cut
    took place."""
    called = []

    def handler(req):
        called.append(req.path)
        server.engine.stop(0)
        return "done"

    server = serve_epoll(handlers={"handler": handler})
    clients = [server.connect() for _ in range(5)]
    server.idle()
    for client in clients:
        client.send(requests_in(1, "/handler"))
    server.idle()
    assert len(called) == 1
    assert isinstance(clients[0].socket, socket.socket) and harness.balanced(connections=True)
