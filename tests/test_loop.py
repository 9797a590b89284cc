"""The loop: fairness, deadlines, limits that are met, stopping, streams, clients slow or gone.

The clock is moved, never waited for.
"""

from __future__ import annotations

import os
import random
import resource
import socket
import threading

import harness
import pytest
from harness import requests_in
from responsereader import read_responses
from waiting import Deadline

from nodepp import _core

GET = requests_in(1)
SLACK_MS = 400                   # deadlines are met to within a tick or two of 128 ms


def pass_time(server: harness.Server, ms: int) -> None:
    """Moves the clock in steps, with turns in between as a living engine has them."""
    for _ in range(ms // 100):
        _core.probe_clock(100)
        server.engine.turn(0)
    _core.probe_clock(ms % 100)
    server.idle()


# Who is served when.

def test_a_pipeline_without_end_does_not_keep_others_waiting(serve):
    server = serve()
    greedy, modest = server.connect(), server.connect()
    server.idle()
    greedy.send(requests_in(8000))          # several recvs of 64 KiB
    modest.send(GET)
    for _ in range(3):
        server.engine.turn(0)
    assert modest.responses(count=1)[0].status == 200
    assert len(greedy.responses(count=8000)) == 8000


def test_a_stream_without_end_does_not_keep_others_waiting(serve):
    def endless(req):
        def pieces():
            while True:
                yield b"x" * 4096
        return pieces()

    server = serve(handlers={"endless": endless})
    greedy, modest = server.connect(), server.connect()
    greedy.send(requests_in(1, "/endless"))
    server.engine.turn(0)
    modest.send(GET)
    for _ in range(6):
        server.engine.turn(0)
        greedy.read()
    assert modest.responses(count=1)[0].status == 200
    assert len(greedy.received) > 4096


@pytest.mark.parametrize("depth", [2, 16, 1000])
def test_pipelined_answers_come_in_order(serve, depth):
    server = serve()
    client = server.connect()
    client.send(b"".join(requests_in(1, f"/echo/{number}") for number in range(depth)))
    assert len(client.responses(count=depth)) == depth
    paths = [seen.path for seen in server.app.seen[client.port]]
    assert paths == [f"/echo/{number}" for number in range(depth)]


def test_pipelined_bodies_come_back_in_order_through_a_narrow_pipe(serve):
    """The answers fill the socket's buffers again and again; parsing stops and goes on."""
    server = serve()
    client = server.connect(receive_buffer=4096)
    bodies = [random.Random(number).randbytes(number * 37 % 5000) for number in range(200)]
    for body in bodies:
        head = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        client.send(head + body)
    answers = [each.body for each in client.responses(count=len(bodies))]
    assert answers == [body or b"nothing" for body in bodies]


def test_parsing_stops_while_the_peer_does_not_take_its_answers(serve):
    """Answers that nobody reads are not even made, beyond 256 KiB and what the kernel holds."""
    server = serve()
    client = server.connect(receive_buffer=4096)
    request = requests_in(1, "/big")
    client.send(request * 200)                 # 20 MB of answers
    server.idle()
    assert len(server.app.seen[client.port]) < 100
    assert server.stat("buffer_memory_used") < 1024 * 1024
    assert len(client.responses(count=200)) == 200


def test_many_connections_are_served_side_by_side(serve):
    server = serve(max_connections=300)
    clients = [server.connect() for _ in range(200)]
    for byte in GET:
        for client in clients:
            client.send(bytes([byte]))
        server.engine.turn(0)
    for client in clients:
        assert client.responses(count=1)[0].status == 200


# Deadlines.

def test_a_head_that_does_not_come_in_time_is_answered_408(serve):
    server = serve(header_timeout_ms=5000)
    client = server.connect()
    client.exchange(GET[:20])
    pass_time(server, 4000)
    assert not client.read()
    pass_time(server, 1000 + SLACK_MS)
    client.until_closed()
    answer, = client.responses()
    assert (answer.status, answer.get("connection")) == (408, "close")
    assert server.stat("timeouts_header") == 1


def test_bytes_that_drip_in_do_not_buy_time_for_a_head(serve):
    server = serve(header_timeout_ms=5000)
    client = server.connect()
    client.exchange(b"GET /echo HTTP/1.1\r\nHost: a\r\nX: ")
    for _ in range(60):
        client.send(b"y")
        pass_time(server, 100)
        if client.read():
            break
    assert [each.status for each in client.responses()] == [408]


def test_a_body_that_stops_coming_is_answered_408(serve):
    server = serve(body_timeout_ms=5000)
    client = server.connect()
    client.exchange(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhel")
    pass_time(server, 5000 + SLACK_MS)
    client.until_closed()
    assert [each.status for each in client.responses()] == [408]
    assert server.stat("timeouts_body") == 1


def test_a_body_that_goes_on_coming_is_waited_for(serve):
    server = serve(body_timeout_ms=5000)
    client = server.connect()
    client.exchange(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n")
    for _ in range(8):
        pass_time(server, 4000)
        client.exchange(b"x")
    assert client.responses(count=1)[0].body == b"xxxxxxxx"


def test_a_client_that_expected_100_and_never_sends_is_answered_408(serve):
    server = serve(body_timeout_ms=5000)
    client = server.connect()
    client.exchange(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\nExpect: 100-continue\r\n\r\n")
    pass_time(server, 5000 + SLACK_MS)
    client.until_closed()
    assert [each.status for each in client.responses()] == [100, 408]


def test_an_idle_connection_is_closed_without_a_word(serve):
    server = serve(keep_alive_timeout_ms=7000)
    client = server.connect()
    client.exchange(GET)
    received = bytes(client.received)
    pass_time(server, 6000)
    assert not client.closed
    pass_time(server, 1000 + SLACK_MS)
    client.until_closed()
    assert client.received == received
    assert server.stat("timeouts_idle") == 1


def test_a_connection_that_never_says_a_word_is_closed_without_one(serve):
    server = serve(header_timeout_ms=5000)
    client = server.connect()
    server.idle()
    pass_time(server, 5000 + SLACK_MS)
    client.until_closed()
    assert not client.received


def test_each_request_renews_the_time_of_an_idle_connection(serve):
    server = serve(keep_alive_timeout_ms=5000)
    client = server.connect()
    for _ in range(5):
        client.exchange(GET)
        pass_time(server, 4000)
    assert not client.closed
    assert len(client.responses()) == 5


def test_a_second_head_has_its_own_deadline(serve):
    """The slow beginning of a later request is met by header_timeout, not keep_alive_timeout."""
    server = serve(header_timeout_ms=5000, keep_alive_timeout_ms=60_000)
    client = server.connect()
    client.exchange(GET)
    client.exchange(GET[:9])
    pass_time(server, 5000 + SLACK_MS)
    client.until_closed()
    assert [each.status for each in client.responses()] == [200, 408]


def test_a_peer_that_takes_nothing_is_cut(serve):
    server = serve(send_timeout_ms=5000)
    client = server.connect(receive_buffer=4096)
    client.send(requests_in(100, "/big"))
    server.idle()
    pass_time(server, 5000 + SLACK_MS)
    assert server.stat("timeouts_send") == 1
    assert server.engine.connection_count == 0


def test_a_peer_that_takes_a_little_now_and_then_is_served(serve):
    server = serve(send_timeout_ms=5000)
    client = server.connect(receive_buffer=4096)
    client.send(requests_in(20, "/big"))
    server.idle()
    while len(client.received) < 500_000:
        pass_time(server, 4000)
        before = len(client.received)
        client.received += client.socket.recv(65_536)
        assert len(client.received) > before
    assert len(client.responses(count=20)) == 20


def test_a_stream_that_nobody_takes_is_cut_and_closed(serve):
    closed = []

    def endless(req):
        try:
            while True:
                yield b"x" * 10_000
        finally:
            closed.append(True)

    server = serve(handlers={"endless": endless}, send_timeout_ms=5000)
    client = server.connect(receive_buffer=4096)
    client.send(requests_in(1, "/endless"))
    server.idle()
    assert not closed
    pass_time(server, 5000 + SLACK_MS)
    assert closed == [True]


def test_a_clock_that_jumps_expires_each_once(serve):
    server = serve()
    clients = [server.connect() for _ in range(20)]
    for client in clients:
        client.exchange(GET)
    _core.probe_clock(10_000_000)
    server.idle()
    for client in clients:
        client.until_closed()
    assert server.stat("timeouts_idle") == 20


# Lingering close: RFC 9112 §9.6.

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"POST /echo HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 1048576\r\n\r\n", 417),
        (b"POST /echo HTTP/2.0\r\n", 505),
        (b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
def test_a_client_that_writes_a_mebibyte_before_it_reads_has_its_answer(serve, head, status):
    server = serve()
    client = server.connect()
    client.send(head)
    for _ in range(16):
        client.send(b"x" * (MIB // 16))
        server.engine.turn(0)
    client.finish_sending()
    client.until_closed()
    assert client.closed == "eof", "a reset destroys the answer"
    assert [each.status for each in client.responses()] == [status]


def test_an_answer_before_the_end_of_the_input_survives_it(serve):
    """Content-Length too large, the client sends all the same, blocking, as simple clients do."""
    server = serve(max_payload=1000)
    client = server.connect()
    client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n" + b"x" * MIB)
    client.until_closed()
    assert client.closed == "eof"
    assert [each.status for each in client.responses()] == [413]


def test_a_peer_that_never_closes_its_side_is_closed_after_a_while(serve):
    server = serve()
    client = server.connect()
    client.exchange(b"nonsense\r\n\r\n")
    assert client.closed == "eof"
    assert server.engine.connection_count == 1
    pass_time(server, 2000 + SLACK_MS)
    assert server.engine.connection_count == 0


def test_a_peer_that_never_stops_sending_is_closed_after_a_while(serve):
    server = serve()
    client = server.connect()
    client.exchange(b"nonsense\r\n\r\n")
    for _ in range(120):
        client.send(b"x")
        pass_time(server, 100)
    assert server.engine.connection_count == 0


# Limits of the whole.

def test_a_full_table_answers_503_and_tells_when_to_come_again(serve):
    server = serve(max_connections=3)
    _core.probe_clock(2000)                    # the log says it once a second
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.exchange(GET)
    refused = server.connect()
    refused.send(GET)
    refused.until_closed()
    answer, = refused.responses()
    assert answer.status == 503
    assert int(answer.get("retry-after")) > 0
    assert answer.get("connection") == "close"
    assert server.stat("refused_full") == 1
    assert any("full" in message for _, message in server.app.logged)
    for client in clients:                     # the others are still served
        client.exchange(GET)
        assert len(client.responses()) == 2


def test_a_slot_that_comes_free_is_taken_again(serve):
    server = serve(max_connections=2)
    for _ in range(10):
        clients = [server.connect() for _ in range(2)]
        for client in clients:
            client.send(GET)
            assert client.responses(count=1)[0].status == 200
        for client in clients:
            client.close()
        server.until(lambda: server.engine.connection_count == 0)


def test_a_crowd_before_a_full_table_is_answered_or_closed(serve):
    """More than the reserve for refusals holds: nobody hangs."""
    server = serve(max_connections=2)
    crowd = [server.connect() for _ in range(200)]
    for client in crowd:
        client.send(GET)
    server.idle()
    served = [client for client in crowd if b" 200 " in client.read()[:20]]
    assert len(served) == 2
    for client in crowd:
        if client not in served:
            client.until_closed()
            responses, _ = read_responses(client.received)
            assert [each.status for each in responses] in ([503], [])


def test_a_descriptor_beyond_select_is_refused_and_not_stored():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1100
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip("the limit of descriptors cannot be raised above FD_SETSIZE")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    filling = []
    try:
        with harness.serving("select", max_connections=10_000) as server:
            assert server.stat("connection_slots") < 1024
            assert any("select" in message for _, message in server.app.logged)
            client = server.connect()
            while not filling or filling[-1] < 1030:
                filling.append(os.dup(server.listener.fileno()))
            client.send(GET)
            client.until_closed()
            assert [each.status for each in client.responses()] == [503]
            for descriptor in filling:
                os.close(descriptor)
            filling.clear()
            client = server.connect()
            client.send(GET)
            assert client.responses(count=1)[0].status == 200
    finally:
        for descriptor in filling:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def send_what_fits(client: harness.Client, data: bytes) -> int:
    """Sends until the kernel takes no more, with turns in between: how much went out."""
    sent = 0
    idle = 0
    while sent < len(data) and idle < 5:
        try:
            sent += client.socket.send(data[sent:sent + 20_000])
            idle = 0
        except BlockingIOError:
            idle += 1
        client.server.idle()
    return sent


HEAD_150K = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 150000\r\n\r\n"


def test_spent_buffer_memory_stops_reading_and_then_is_answered_503(serve):
    # A minute: a busy machine takes seconds to fill the memory.
    server = serve(buffer_memory=200_000, spool_size=10 * MIB, body_timeout_ms=60_000)
    first, second = server.connect(), server.connect()
    first.send(HEAD_150K)
    send_what_fits(first, b"x" * 149_999)
    second.send(HEAD_150K)
    send_what_fits(second, b"y" * 149_999)
    assert server.stat("buffer_memory_used") <= 200_000
    pass_time(server, 60_000 + SLACK_MS)
    first.until_closed()
    second.until_closed()
    statuses = [[each.status for each in client.responses()] for client in (first, second)]
    assert statuses[0] in ([408], [503])
    assert statuses[1] in ([408], [503])
    assert [503] in statuses


def test_reading_goes_on_when_buffer_memory_comes_back(serve):
    server = serve(buffer_memory=280_000, spool_size=10 * MIB)
    first, second = server.connect(), server.connect()
    first.send(HEAD_150K)
    second.send(HEAD_150K)
    sent_first = send_what_fits(first, b"x" * 149_999)
    sent_second = send_what_fits(second, b"y" * 149_999)
    assert server.stat("buffer_memory_used") < 280_000
    first.send(b"x" * (150_000 - sent_first))
    assert first.responses(count=1)[0].body == b"x" * 150_000
    second.send(b"y" * (150_000 - sent_second))
    assert second.responses(count=1)[0].body == b"y" * 150_000


def test_a_head_for_which_there_is_no_memory_is_answered_503(serve):
    server = serve(buffer_memory=64 * 1024, spool_size=10 * MIB)
    hoarders = []
    for _ in range(40):
        hoarder = server.connect()
        hoarder.exchange(b"GET /echo HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 8000)
        hoarders.append(hoarder)
    statuses = [
        [each.status for each in hoarder.responses()] for hoarder in hoarders if hoarder.read()
    ]
    assert statuses
    assert all(each == [503] for each in statuses)
    assert server.stat("buffer_memory_used") <= 64 * 1024
    assert server.stat("refused_memory") == len(statuses)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_body_goes_to_a_file_and_comes_back_whole(serve, framing):
    server = serve()
    body = random.Random(1).randbytes(3 * MIB + 12_345)
    client = server.connect()
    if framing == "length":
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body))
        client.send(body[:2 * MIB])
        server.idle()
        assert _core.probe_balance()["files"] == 1
        assert server.stat("buffer_memory_used") < MIB
        client.send(body[2 * MIB:])
    else:
        client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 70_001):
            piece = body[start:start + 70_001]
            client.send(b"%x\r\n" % len(piece) + piece + b"\r\n")
        client.send(b"0\r\n\r\n")
    answer = client.responses(count=1)[0]
    assert answer.status == 200
    assert answer.body == body
    assert _core.probe_balance()["files"] == 0


@pytest.mark.parametrize("size", [999, 1000, 1001])
def test_content_at_the_limit(serve_epoll, size):
    server = serve_epoll(max_payload=1000)
    expected = 200 if size <= 1000 else 413
    for request in (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size,
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % size
        + b"x" * size + b"\r\n0\r\n\r\n",
    ):
        client = server.connect()
        client.send(request)
        assert client.responses(count=1)[0].status == expected


@pytest.mark.parametrize("size", [999, 1000, 1001])
def test_a_head_at_a_limit_that_was_set(serve_epoll, size):
    server = serve_epoll(head_size_max=1000)
    client = server.connect()
    head = b"GET /echo HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n"
    client.send(head % (b"y" * (size - len(head) + 2)))
    assert client.responses(count=1)[0].status == (200 if size <= 1000 else 431)


@pytest.mark.parametrize("count", [4, 5, 6])
def test_fields_at_a_limit_that_was_set(serve_epoll, count):
    server = serve_epoll(field_count_max=5)
    client = server.connect()
    client.send(b"GET /echo HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * (count - 1) + b"\r\n")
    assert client.responses(count=1)[0].status == (200 if count <= 5 else 431)


@pytest.mark.parametrize("size", [99, 100, 101])
def test_a_target_at_a_limit_that_was_set(serve_epoll, size):
    server = serve_epoll(target_size_max=100)
    client = server.connect()
    client.send(requests_in(1, "/echo/".ljust(size, "x")))
    assert client.responses(count=1)[0].status == (200 if size <= 100 else 414)


# Clients that are slow or gone.

def test_a_slow_reader_gets_all_of_a_large_answer(serve):
    body = random.Random(2).randbytes(8 * MIB)
    server = serve(handlers={"huge": lambda req: body})
    client = server.connect(receive_buffer=4096)
    client.send(requests_in(1, "/huge") + GET)
    server.idle()
    assert server.stat("buffer_memory_used") < MIB, "a large body is not copied"
    answers = client.responses(count=2)
    assert answers[0].body == body
    assert answers[1].status == 200


def test_a_peer_that_goes_while_its_answer_is_on_its_way_leaves_nothing(serve):
    body = b"z" * (8 * MIB)
    server = serve(handlers={"huge": lambda req: body})
    for _ in range(5):
        client = server.connect(receive_buffer=4096)
        client.send(requests_in(1, "/huge"))
        server.idle()
        client.reset()
        server.until(lambda: harness.balanced(connections=True), "the balance")


def test_a_stream_makes_no_more_than_the_peer_takes(serve):
    made = []

    def endless(req):
        while True:
            made.append(1)
            yield b"x" * 10_000

    server = serve(handlers={"endless": endless})
    client = server.connect(receive_buffer=4096)
    client.send(requests_in(1, "/endless"))
    server.idle()
    before = len(made)
    for _ in range(50):
        server.engine.turn(0)
    assert len(made) == before, "nothing is made while nothing is taken"
    assert before * 10_000 < 8 * MIB           # what the kernel's buffers hold, and 64 KiB
    client.until(lambda: len(made) > before, "a further piece")


@pytest.mark.parametrize("way", ["reset", "close"])
def test_the_iterator_is_closed_when_the_client_goes(serve, way):
    events = []

    def watched(req):
        try:
            while True:
                events.append(req.path)        # the request is valid meanwhile
                yield b"x" * 10_000
        finally:
            events.append("closed")

    server = serve(handlers={"watched": watched})
    client = server.connect(receive_buffer=4096)
    client.send(requests_in(1, "/watched"))
    server.idle()
    assert events[-1] == "/watched"
    getattr(client, way)()
    server.until(lambda: events[-1] == "closed", "close()")
    assert events.count("closed") == 1


def test_the_iterator_is_closed_once_at_its_end(serve):
    closed = []

    class Pieces:
        def __init__(self):
            self.left = 3

        def __iter__(self):
            return self

        def __next__(self):
            if not self.left:
                raise StopIteration
            self.left -= 1
            return b"piece"

        def close(self):
            closed.append(True)

    server = serve(handlers={"pieces": lambda req: Pieces()})
    client = server.connect()
    client.send(requests_in(1, "/pieces"))
    assert client.responses(count=1)[0].body == b"piecepiecepiece"
    assert closed == [True]


def test_a_stream_that_fails_is_cut_short_and_not_ended(serve):
    def failing(req):
        yield b"some"
        raise ValueError("in the middle")

    server = serve(handlers={"failing": failing})
    client = server.connect()
    client.send(requests_in(1, "/failing") + GET)
    client.until_closed()
    assert b"some" in client.received
    assert b"0\r\n\r\n" not in client.received, "the client must not take it for complete"
    assert any("in the middle" in message for _, message in server.app.logged)
    assert len(server.app.seen.get(client.port, [])) == 0


def test_a_stream_that_fails_at_once_is_a_500(serve):
    def failing(req):
        raise ValueError("at once")
        yield b""

    server = serve(handlers={"failing": failing})
    client = server.connect()
    client.send(requests_in(1, "/failing") + GET)
    assert [each.status for each in client.responses(count=2)] == [500, 200]


def test_a_handler_that_fails_is_a_500_and_the_connection_lives(serve):
    def failing(req):
        req.out("half a page")
        raise ValueError("oh")

    server = serve(handlers={"failing": failing})
    client = server.connect()
    client.send(requests_in(1, "/failing") + GET)
    answers = client.responses(count=2)
    assert [each.status for each in answers] == [500, 200]
    assert b"half a page" not in answers[0].body
    assert b"ValueError" not in answers[0].body


# Answers without content.

@pytest.mark.parametrize("status", [204, 205, 304])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_statuses_without_content_have_none_whatever_the_handler_says(serve_epoll, status, method):
    server = serve_epoll(handlers={"odd": lambda req: (status, "a body that must not be sent")})
    client = server.connect()
    client.send(requests_in(1, "/odd").replace(b"GET", method.encode()) + GET)
    first, second = client.responses(method, "GET", count=2)
    assert (first.status, first.body) == (status, b"")
    assert first.get("content-length") in (None, "0")
    assert second.body == b"nothing"


@pytest.mark.parametrize("path", ["/echo", "/big", "/missing", "/rendered", "/json", "/text"])
def test_head_has_the_fields_that_get_has(serve_epoll, path):
    def rendered(req):
        req.out("<p>%s</p>", "x" * 5000)

    server = serve_epoll(
        handlers={
            "rendered": rendered,
            "json": lambda req: {"a": 1},
            "text": lambda req: "text that is not ASCII: \u20ac",
        }
    )
    client = server.connect()
    client.send(requests_in(1, path) + requests_in(1, path).replace(b"GET", b"HEAD"))
    get, head = client.responses("GET", "HEAD", count=2)
    assert head.status == get.status
    assert head.fields == get.fields
    assert len(get.body) == int(head.get("content-length"))


def test_each_answer_has_its_own_type_however_many_there_are(serve_epoll):
    """Found by fuzzing: ready-made Content-Type lines are remembered up to a number; beyond it the
    line was freed before the head was written, and the head held what lay there then."""
    server = serve_epoll()
    client = server.connect()
    types = [f"x/{number}-{'y' * (number % 200)}" for number in range(600)]
    for content_type in types:
        client.send(
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: 1\r\n\r\nz"
            % content_type.encode())
    answers = client.responses(count=len(types))
    assert [each.get("content-type") for each in answers] == types


# Stopping.

def drain(server: harness.Server) -> None:
    server.until(lambda: server.engine.connection_count == 0, "the end of all connections")


def test_stop_closes_idle_connections_and_accepts_nobody(serve):
    server = serve()
    client = server.connect()
    client.exchange(GET)
    server.engine.stop()
    drain(server)
    client.until_closed()
    assert client.closed == "eof"
    assert server.engine.stopping
    late = server.connect()
    for _ in range(5):
        server.engine.turn(0)
    assert server.engine.connection_count == 0
    late.reset()


def test_stop_waits_for_a_request_that_has_begun(serve):
    server = serve()
    client = server.connect()
    client.exchange(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
    server.engine.stop()
    server.idle()
    assert not client.read()
    client.send(b"llo")
    client.until_closed()
    answer, = client.responses()
    assert (answer.status, answer.body, answer.get("connection")) == (200, b"hello", "close")
    drain(server)


def test_stop_lets_a_stream_end(serve):
    gate = []

    def gated(req):
        yield b"one"
        while not gate:
            yield b""
        yield b"two"

    server = serve(handlers={"gated": gated})
    client = server.connect()
    client.send(requests_in(1, "/gated"))
    for _ in range(5):
        server.engine.turn(0)
    server.engine.stop()
    for _ in range(5):
        server.engine.turn(0)
    assert server.engine.connection_count == 1
    gate.append(True)
    client.until_closed()
    assert client.responses()[0].body == b"onetwo"


def test_stop_cuts_what_takes_too_long(serve):
    server = serve()
    client = server.connect()
    client.exchange(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhe")
    server.engine.stop(grace_ms=3000)
    pass_time(server, 2000)
    assert server.engine.connection_count == 1
    pass_time(server, 1000 + SLACK_MS)
    assert server.engine.connection_count == 0
    client.until_closed()


def test_a_second_stop_shortens_the_grace(serve):
    server = serve()
    client = server.connect()
    client.exchange(GET[:10])
    server.engine.stop(grace_ms=60_000)
    server.idle()
    server.engine.stop(grace_ms=0)
    drain(server)
    client.until_closed()


def test_stop_answers_what_the_kernel_had_accepted(serve):
    server = serve()
    clients = [server.connect() for _ in range(5)]
    for client in clients:
        client.send(GET)
    server.engine.stop()
    for client in clients:
        client.until_closed()
        answer, = client.responses()
        assert (answer.status, answer.get("connection")) == (200, "close")


def test_stop_may_be_called_by_a_handler(serve):
    servers = []

    def stop(req):
        servers[0].engine.stop()
        return "stopping"

    servers.append(serve(handlers={"stop": stop}))
    client = servers[0].connect()
    client.send(requests_in(1, "/stop") + GET)
    client.until_closed()
    assert client.responses()[0].body == b"stopping"
    drain(servers[0])


def test_run_ends_when_it_was_stopped_and_drained(serve):
    servers = []

    def stop(req):
        servers[0].engine.stop()
        return "stopping"

    servers.append(serve(handlers={"stop": stop}))
    client = servers[0].connect()
    client.send(requests_in(1, "/stop"))
    servers[0].engine.run()
    client.until(lambda: client.closed)
    assert client.responses()[0].status == 200


# The engine as Python holds it.

def test_a_turn_within_a_turn_is_refused(serve_epoll):
    said = []

    def nested(req):
        try:
            servers[0].engine.turn(0)
        except RuntimeError as problem:
            said.append(str(problem))
        return "after"

    servers = [serve_epoll(handlers={"nested": nested})]
    client = servers[0].connect()
    client.send(requests_in(1, "/nested") + GET)
    assert [each.body for each in client.responses(count=2)] == [b"after", b"nothing"]
    assert len(said) == 1


def test_one_engine_may_be_open(serve_epoll):
    server = serve_epoll()
    other = _core.Engine({}, _core.Router(), server.app)
    with pytest.raises(RuntimeError):
        other.open([])
    client = server.connect()
    client.send(GET)
    assert client.responses(count=1)[0].status == 200


@pytest.mark.parametrize(
    "wrong",
    [{"max_connections": 0}, {"head_size_max": 10}, {"field_count_max": 0}, {"poller": "nothing"},
     {"nonsense": 1}, {"buffer_memory": 1}, {"server_header": b"a\r\nb"}],
)  # fmt: skip
def test_a_setting_out_of_its_bounds_is_a_value_error(wrong):
    router = _core.Router()
    app = harness.Application()
    with pytest.raises(ValueError):
        _core.Engine(wrong, router, app).open([])
    harness.restore_limits()


def test_an_adopted_socket_is_served(serve):
    server = serve()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    server.engine.adopt(theirs.detach(), ("127.0.0.9", 4711))
    ours.setblocking(False)
    ours.send(GET)
    server.idle()
    assert read_responses(ours.recv(1000))[0][0].status == 200
    assert 4711 in server.app.seen
    ours.close()
    drain(server)


def test_a_unix_socket_is_served(serve, tmp_path):
    """A second listener beside the first: sockets of any family are alike after accept."""
    path = str(tmp_path / "socket")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.setblocking(False)
    server = serve()
    server.engine.close()
    server.engine.open([(server.listener.fileno(), "tcp"), (listener.fileno(), "unix")])
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    client.setblocking(False)
    client.send(GET)
    server.idle()
    assert read_responses(client.recv(1000))[0][0].status == 200
    tcp = server.connect()
    tcp.send(GET)
    assert tcp.responses(count=1)[0].status == 200
    client.close()
    tcp.close()
    drain(server)
    listener.close()


def test_an_ipv6_socket_is_served(serve):
    listener = socket.socket(socket.AF_INET6)
    try:
        listener.bind(("::1", 0))
    except OSError:
        pytest.skip("there is no IPv6 here")
    listener.listen()
    listener.setblocking(False)
    server = serve()
    server.engine.close()
    server.engine.open([(listener.fileno(), "tcp")])
    client = socket.socket(socket.AF_INET6)
    client.connect(listener.getsockname())
    client.setblocking(False)
    client.send(GET)
    server.idle()
    assert read_responses(client.recv(1000))[0][0].status == 200
    client.close()
    drain(server)
    listener.close()


def test_periodic_callbacks_come_on_time_and_survive_their_failures(serve):
    beats = []

    def beat():
        beats.append(len(beats))
        if len(beats) == 2:
            raise ValueError("once")

    server = serve()
    server.engine.every(5, beat)
    pass_time(server, 4900)
    assert beats == []
    pass_time(server, 200)
    assert len(beats) == 1
    pass_time(server, 15_000)
    assert len(beats) == 4


def test_other_threads_live_while_the_engine_is_busy(serve_epoll):
    server = serve_epoll()
    client = server.connect()
    beats = []
    end = threading.Event()

    def beat():
        while not end.is_set():
            beats.append(1)
            end.wait(0.001)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        deadline = Deadline("a turn of the other thread, which needs the GIL,")
        while len(beats) < 20:
            client.send(GET)
            server.engine.turn(0)
            client.read()
            client.received.clear()
            deadline.rest_s()
    finally:
        end.set()
        thread.join()


def test_an_idle_connection_is_small_and_owns_no_buffer(serve):
    server = serve()
    for _ in range(50):
        server.connect().exchange(GET)
    books = _core.probe_balance()
    assert books["connections"] == 50
    assert (books["buffers"], books["buffer_memory"], books["requests"]) == (0, 0, 0)
    assert server.stat("connection_size") <= 256


def test_figures_count_what_happened(serve):
    server = serve()
    client = server.connect()
    client.exchange(GET + requests_in(1, "/missing") + requests_in(1, "/204"))
    other = server.connect()
    other.exchange(b"nonsense\r\n\r\n")
    stats = server.engine.stats()
    assert stats["accepted"] == 2
    assert stats["requests"] == 4  # the refused one too
    assert (stats["status_2xx"], stats["status_4xx"]) == (2, 2)
    assert stats["parse_errors"] == 1
    assert stats["bytes_in"] == len(GET) * 3 + 12 + len("/missing/204") - len("/echo/echo")
    assert stats["bytes_out"] == len(client.read()) + len(other.read())
    assert stats["poller"] == server.engine.poller


def test_stop_before_open_is_not_forgotten():
    """A SIGTERM between making the engine and opening it was lost, and the server ran on."""
    from nodepp import _core

    router = _core.Router()

    class Host:
        error = stream_error = log = json_encode = json_decode = staticmethod(lambda *_: b"")

    engine = _core.Engine({}, router, Host())
    engine.stop(1000)
    engine.open([])
    try:
        assert engine.stopping
        engine.run()
    finally:
        engine.close()
