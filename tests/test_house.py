"""What a turn does beside answering: refusals logged, broken listeners, timers, lazy streams."""

from __future__ import annotations

import selectors
import socket

import pytest
from harness import Application, Server, requests_in

from nodepp import _core
from nodepp.sink import Sink

GET = requests_in(1)


def lines_of(server: Server, path) -> list[str]:
    server.engine.flush_access_log()
    return path.read_text().splitlines()


@pytest.fixture
def logged(serve, tmp_path):
    """A server whose access log goes to a file, in Node++'s format."""
    server = serve()
    path = tmp_path / "access.log"
    sink = Sink(str(path))
    server.engine.set_access_log(sink.write, 1)
    yield server, path
    server.engine.set_access_log(None, 0)
    sink.close()


def test_a_refused_request_has_its_line_in_the_access_log(logged):
    """Refusals of the engine itself left no trace anywhere: who probed a server was not seen."""
    server, path = logged
    server.connect().exchange(b"GET /probe HTTP/1.1\r\nHost: a b\r\n\r\n")
    server.connect().exchange(b"TRACE /x HTTP/1.1\r\nHost: a\r\n\r\n")
    (first, second) = lines_of(server, path)
    assert '"GET /probe HTTP/1.' in first and '" 400 16  #' in first
    assert '"TRACE /x HTTP/1.1" 501 20  #' in second


def test_what_is_refused_before_its_target_is_logged_as_a_dash(logged):
    server, path = logged
    server.connect().exchange(b"\x16\x03\x01\r\n\r\n")
    assert '"-" 400 ' in lines_of(server, path)[0]


def test_a_request_that_never_ends_is_logged_when_it_is_given_up(logged):
    server, path = logged
    client = server.connect()
    client.send(b"GET /slow HTTP/1.1\r\nHost:")
    server.idle()
    _core.probe_clock(11_000)
    client.until_closed()
    assert '"GET /slow HTTP/1.1" 408 ' in lines_of(server, path)[0]


def test_time_taken_is_zero_when_the_log_is_opened_by_the_handler_itself(serve, tmp_path):
    path = tmp_path / "access.log"
    sink = Sink(str(path))
    server = serve(handlers={"open": lambda req: server.engine.set_access_log(sink.write, 1)})
    server.connect().exchange(b"GET /open HTTP/1.1\r\nHost: a\r\n\r\n")
    assert lines_of(server, path)[0].endswith("  0.000 ms")
    server.engine.set_access_log(None, 0)
    sink.close()


def test_a_listener_that_fails_for_good_does_not_keep_the_loop_busy(serve):
    """A listening socket that had been shut down reported itself at every turn, without end."""
    server = serve()
    server.listener.shutdown(socket.SHUT_RDWR)
    for _ in range(5):
        server.engine.turn(0)
    assert any("accepts no more" in message for _, message in server.app.logged)
    assert server.engine.turn(0) == 0


def test_a_stream_that_has_nothing_to_say_does_not_keep_the_loop_busy(serve):
    def patient(req):
        for _ in range(400):
            yield b""
        yield b"at last"

    server = serve(handlers={"patient": patient})
    client = server.connect()
    before = server.stat("turns")
    client.send(b"GET /patient HTTP/1.1\r\nHost: a\r\n\r\n")
    while not client.read().endswith(b"0\r\n\r\n"):
        server.engine.turn(50)
    assert b"at last" in client.read()
    # One question a turn: each of the waits between them is one turn, not thousands.
    assert server.stat("turns") - before < 1200


def test_later_is_called_once(serve):
    server = serve()
    called: list[int] = []
    server.engine.later(0.5, lambda: called.append(1))
    for _ in range(3):
        _core.probe_clock(1000)
        server.engine.turn(0)
    assert called == [1]


def test_a_callback_may_add_another_one(serve):
    server = serve()
    called: list[str] = []
    server.engine.later(0.1, lambda: (called.append("a"),
                                      server.engine.later(0.1, lambda: called.append("b"))))
    for _ in range(3):
        _core.probe_clock(200)
        server.engine.turn(0)
    assert called == ["a", "b"]


def test_a_wait_below_a_second_is_asked_of_the_selector_as_it_is():
    """The division was one of whole numbers: 150 ms were 0 s, and the engine spun."""
    asked = []

    class Selector(selectors.DefaultSelector):
        def select(self, timeout=None):
            asked.append(timeout)
            return super().select(0)

    engine = _core.Engine(
        {"poller": "selectors", "selector_factory": Selector}, _core.Router(), Application())
    engine.open([])
    _core.probe_clock(1000)                    # nothing has happened for long
    engine.turn(150)
    engine.turn(150)
    engine.close()
    assert 0.15 in asked


@pytest.mark.parametrize(("order", "flags"), [((1,), 0), ((0, 0), 0), ((), 0), (None, 1)])
def test_a_route_whose_parameters_do_not_fit_its_handler_is_refused(order, flags):
    router = _core.Router()
    with pytest.raises(ValueError, match="parameter"):
        router.add((("", "", "int", "id"),), _core.METHOD_GET, print, flags, order)


def test_a_tuple_within_a_tuple_is_no_answer(serve):
    """A result nested a million deep ran through the C stack."""
    nested = "end"
    for _ in range(100_000):
        nested = (200, nested)
    server = serve(handlers={"nested": lambda req: nested})
    client = server.connect()
    assert client.exchange(b"GET /nested HTTP/1.1\r\nHost: a\r\n\r\n" + GET).count(b" 200 OK") == 1
