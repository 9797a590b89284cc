"""Application code that reaches back into the engine while it works, or throws what ends programs.

Handlers, iterators, their close(), encoders, pages and the log are called in the midst of things:
what they call must work or be refused, and what they raise must find its way out at the end.
"""

from __future__ import annotations

import errno
import os
import socket
import threading

import harness
import pytest
from harness import requests_in
from waiting import pause

from nodepp import _core

GET = requests_in(1)


def endless():
    while True:
        yield b"x" * 1000


class Closing:
    """An iterator whose close() does something."""

    def __init__(self, pieces, close) -> None:
        self.pieces = iter(pieces)
        self.close = close

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.pieces)


def interrupted(server: harness.Server, kind: type[BaseException]) -> None:
    """The exception comes out of the turn, once."""
    with pytest.raises(kind):
        for _ in range(100):
            server.engine.turn(1)
    server.idle()


# stop() from a handler.

@pytest.mark.parametrize("rendered", [False, True])
def test_stop_by_a_handler_leaves_the_output_alone(serve, rendered):
    """stop() accepted whoever was waiting; with the table full he was sent 503 at once, through the
    output buffer in which the handler's own page and the answers before it lay: an abort, or an
    empty page. Signal handlers call stop() in the midst of handlers too."""
    late = []

    def stop(req):
        if rendered:
            req.out("kept")
        late.append(server.connect())
        server.engine.stop(1000)
        return None if rendered else "kept"

    server = serve(handlers={"stop": stop}, max_connections=1)
    client = server.connect()
    client.send(GET * 3 + requests_in(1, "/stop"))
    client.until_closed()
    assert [each.body for each in client.responses()] == [b"nothing"] * 3 + [b"kept"]
    assert len(late) == 1


def test_stop_answers_all_whom_the_kernel_had_accepted(serve):
    """Only 64 were accepted before the listener was closed; the others of a full backlog met a
    reset."""
    server = serve(max_connections=1000)
    clients = [server.connect() for _ in range(150)]
    for client in clients:
        client.send(GET)
    server.engine.stop()
    for client in clients:
        client.until_closed()
        assert [each.status for each in client.responses()] == [200]


def test_a_grace_without_end_is_one(serve_epoll):
    """2**63 - 1 overflowed, so that all were cut at once."""
    server = serve_epoll()
    client = server.connect()
    client.send(GET[:10])
    server.idle()
    server.engine.stop(2**63 - 1)
    client.send(GET[10:])
    client.until_closed()
    assert client.responses()[0].status == 200


# Calls from close() of an iterator, while the engine is closed.

@pytest.mark.parametrize("what", ["close", "turn", "open", "stop", "adopt"])
def test_calls_while_the_engine_is_closed(poller, what):
    """close() ran the iterators' close() with the engine open to all calls: a second close() gave
    the tables back under the first, an adopted socket was left in them."""
    keep = []

    def adopt():
        ours, theirs = socket.socketpair()
        keep.append(ours)
        server.engine.adopt(theirs.detach())

    calls = {
        "close": lambda: server.engine.close(), "turn": lambda: server.engine.turn(0),
        "open": lambda: server.engine.open([]), "stop": lambda: server.engine.stop(),
        "adopt": adopt,
    }  # fmt: skip
    server = harness.Server(
        poller, {"endless": lambda req: Closing(endless(), calls[what])}
    )
    clients = [server.connect(receive_buffer=4096) for _ in range(3)]
    for client in clients:
        client.send(requests_in(1, "/endless"))
    for _ in range(50):
        server.engine.turn(0)
    server.engine.close()
    for client in clients:
        client.reset()
    for ours in keep:
        assert ours.recv(1) == b""
        ours.close()
    server.close()
    refused = [line for _, line in server.app.logged if "RuntimeError" in line]
    assert len(refused) == (3 if what in ("close", "turn", "open") else 0)


# What is adopted.

def test_descriptors_that_cannot_be_adopted_are_refused(serve, tmp_path):
    """-1 wrote before the table of poll, a descriptor that was there already aborted, one that
    epoll refuses stayed in the table behind the selectors."""
    server = serve()
    ours, theirs = socket.socketpair()
    server.engine.adopt(theirs.fileno())
    gone = os.dup(0)
    os.close(gone)
    for number in (-1, gone, theirs.fileno()):
        with pytest.raises(OSError, match=r"."):
            server.engine.adopt(number)
    theirs.detach()
    for _ in range(2):
        with open(tmp_path / "file", "wb") as file:
            if server.stat("poller") in ("epoll", "selectors"):
                with pytest.raises(OSError, match=r"."):
                    server.engine.adopt(file.fileno())
    ours.close()
    server.idle()


def test_another_thread_adopts_or_is_refused_while_the_engine_waits(serve):
    """poll() writes to its table without the GIL; an adoption moved the table to a larger block."""
    def adopt():
        while not over:
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            try:
                server.engine.adopt(theirs.fileno())
                theirs.detach()
                adopted.append(ours)
            except OSError:
                theirs.close()
                ours.close()
            pause()

    over: list = []
    adopted: list[socket.socket] = []
    server = serve(max_connections=1000)
    thread = threading.Thread(target=adopt)
    thread.start()
    for _ in range(15):
        server.engine.turn(10)
    over.append(True)
    thread.join()
    for ours in adopted:
        ours.close()
    server.idle()


def test_select_adopts_nothing_that_it_cannot_watch():
    """It set a bit behind the end of its fd_set, on the stack."""
    high = 1500
    ours, theirs = socket.socketpair()
    with harness.serving("select") as server:
        os.dup2(theirs.fileno(), high)             # conftest has raised the limit
        with pytest.raises(OSError, match=r"."):
            server.engine.adopt(high)
        server.idle()
        os.close(high)
    ours.close()
    theirs.close()


def test_an_engine_that_slept_gives_an_adopted_socket_its_time(serve_epoll):
    """Hosted by another loop, an engine may not turn for minutes: the deadline was set by the time
    of its last turn, and had passed before the first byte."""
    server = serve_epoll()
    server.idle()
    _core.probe_clock(60_000)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    server.engine.adopt(theirs.detach())
    server.idle()
    ours.send(GET)
    server.idle()
    assert ours.recv(12) == b"HTTP/1.1 200"
    ours.close()


# KeyboardInterrupt and SystemExit.

def raise_exit(*_):
    raise SystemExit(3)


def first_piece(req):
    raise_exit()
    yield b""


@pytest.mark.parametrize("where", ["handler", "page", "log", "first piece", "encoder"])
def test_an_interrupt_comes_out_at_the_end_of_the_turn(serve, where):
    """Out of a handler it did; out of an iterator's first piece, a page for an error, the log or an
    encoder it left the turn half done: the next request aborted the process, and who had kept the
    Request held a dangling pointer."""
    kept = []

    def handler(req):
        kept.append(req)
        if where == "handler":
            raise_exit()
        if where == "first piece":
            return first_piece(req)
        if where == "encoder":
            return {}
        raise ValueError

    def fails(*_):
        raise ValueError

    # The host's functions are looked up at each call, but for the encoder.
    encode, harness.Application.json_encode = harness.Application.json_encode, raise_exit
    try:
        server = serve(handlers={"handler": handler})
    finally:
        harness.Application.json_encode = staticmethod(encode)
    if where in ("page", "log"):
        server.app.error = raise_exit if where == "page" else fails
    if where == "log":
        server.app.log = raise_exit
    client = server.connect()
    client.send(GET + requests_in(1, "/handler"))
    interrupted(server, SystemExit)
    statuses = [each.status for each in client.responses(count=2)]
    assert statuses == [200, 500]
    with pytest.raises(_core.RequestGone):
        kept[0].path                                     # noqa: B018
    other = server.connect()
    other.send(GET)
    assert other.responses(count=1)[0].status == 200


# Iterators that begin badly.

def test_an_iterator_that_begins_badly_is_closed(serve_epoll):
    closed = []
    server = serve_epoll(handlers={"bad": lambda req: Closing([5], lambda: closed.append(1))})
    client = server.connect()
    client.send(requests_in(1, "/bad") + GET)
    assert [each.status for each in client.responses(count=2)] == [500, 200]
    assert closed == [1]


def test_out_in_the_first_piece_is_a_500_of_that_request_only(serve_epoll):
    """It was let pass, and the next request on the connection was told that it had used out()."""
    def bad(req):
        req.out("stray")
        return
        yield b""

    server = serve_epoll(handlers={"bad": bad})
    client = server.connect()
    client.send(requests_in(1, "/bad") + GET)
    assert [each.status for each in client.responses(count=2)] == [500, 200]


def test_pieces_of_a_class_of_bytes_are_sent(serve_epoll):
    class Named(bytes):
        pass

    server = serve_epoll(handlers={"named": lambda req: iter([Named(b"one"), Named(b"two")])})
    client = server.connect()
    client.send(requests_in(1, "/named"))
    assert client.responses(count=1)[0].body == b"onetwo"


def test_a_stream_for_which_there_is_no_memory_is_the_last_thing_on_its_connection(serve_epoll):
    """Requests behind it were still handled; many answers would have left, within its chunk."""
    server = serve_epoll()
    client = server.connect()
    _core.probe_fault("malloc", 1, errno.ENOMEM)
    client.send(requests_in(1, "/stream") + GET * 3)
    client.until_closed()
    assert client.received == b""
    assert [each.path for each in server.app.seen[client.port]] == ["/stream"]


@pytest.mark.parametrize("poller", ["epoll", "poll"])
def test_a_stream_with_nothing_to_say_ends_when_its_client_has_gone(poller):
    """It yields b"" until there is news. Nothing was sent, so nothing failed, and it was asked for
    ever, each turn."""
    def nothing():
        while True:
            yield b""

    closed = []
    handlers = {"quiet": lambda req: Closing(nothing(), lambda: closed.append(1))}
    with harness.serving(poller, handlers=handlers) as server:
        client = server.connect()
        client.send(requests_in(1, "/quiet"))
        for _ in range(10):
            server.engine.turn(0)
        assert not closed
        client.reset()
        server.until(lambda: closed, "the end of the stream")


# What the host hands over.

def test_an_encoder_that_gives_no_bytes_is_a_500(serve_epoll):
    """Its str was read as if it were bytes, beyond its end."""
    encode, harness.Application.json_encode = (
        harness.Application.json_encode, staticmethod(lambda value: "text"),
    )  # fmt: skip
    try:
        server = serve_epoll(handlers={"json": lambda req: {}})
        client = server.connect()
        client.send(requests_in(1, "/json"))
        assert client.responses(count=1)[0].status == 500
    finally:
        harness.Application.json_encode = staticmethod(encode)


# The access log.

BACKSLASHES = b"\\" * 2100
LONG = (b"GET /echo?%s HTTP/1.1\r\nHost: %s\r\nReferer: %s\r\nUser-Agent: %s\r\n\r\n"
        % (BACKSLASHES, b"h" * 2100, b"\xff" * 2100, b"\xff" * 2100))  # fmt: skip


def test_a_line_of_the_access_log_never_exceeds_its_buffer(serve_epoll, tmp_path):
    """The room asked for was that of three long texts, a JSON line has four: a client could write
    1,200 bytes past the buffer."""
    import json

    server = serve_epoll()
    with open(tmp_path / "log", "w+b", buffering=0) as file:
        server.engine.set_access_log(lambda lines, _: file.write(lines), 3)
        count = 0
        for fill in range(380, 450, 2):       # so that the buffer is full to any degree
            client = server.connect()
            client.exchange(GET * fill + LONG)
            client.reset()
            count += fill + 1
        server.engine.set_access_log(None, 0)
        file.seek(0)
        lines = file.read().splitlines()
    assert len(lines) == count
    longest = max(lines, key=len)
    assert len(longest) > 3 * 6 * 2048 + 2048
    assert json.loads(longest)["referer"] == "\xff" * 2048


def test_the_access_log_ends_with_its_engine():
    """The next engine wrote to the same number, which may be a client's socket by then."""
    written = []
    with harness.serving() as server:
        server.engine.set_access_log(lambda lines, _: written.append(lines) or len(lines), 1)
    with harness.serving() as server:
        client = server.connect()
        client.send(GET)
        client.responses(count=1)
        server.engine.flush_access_log()
    assert not written


@pytest.mark.parametrize("seconds", [0, -1, 0.0001, 1e10, 9.3e15, float("inf"), float("nan")])
def test_a_period_out_of_its_bounds_is_a_value_error(serve_epoll, seconds):
    with pytest.raises(ValueError, match=r"."):
        serve_epoll().engine.every(seconds, print)


def test_a_request_that_is_not_kept_serves_the_next_one_too(serve):
    """Its fields lie in a base class; the pool asks for the count of references to the whole."""
    seen = []
    server = serve(handlers={"who": lambda req: [seen.append(id(req)), "it"][1]})
    client = server.connect()
    client.send(requests_in(5, "/who"))
    client.until(lambda: len(seen) == 5)
    assert len(set(seen)) == 1
