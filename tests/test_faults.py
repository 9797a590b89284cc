"""System calls that fail at the first time, the second, the third …; sends cut at every byte.

Whatever fails, the books balance afterwards (conftest), nobody gets a wrong answer, and the next
client is served.
"""

from __future__ import annotations

import errno

import harness
import pytest
from harness import requests_in
from responsereader import read_responses

from nodepp import _core

GET = requests_in(1)
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5000
CHUNKED = (
    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"1000\r\n" + b"y" * 4096 + b"\r\n3\r\nabc\r\n0\r\n\r\n"
)
STREAM = requests_in(1, "/stream")
BIG = requests_in(1, "/big")
NTH = range(1, 9)

# What a connection goes through, in the pieces in which it is sent: heads and bodies in two parts,
# pipelining, a stream, an answer that is not copied.
JOURNEY = (
    GET[:10], GET[10:], POST[:30], POST[30:3000], POST[3000:], CHUNKED[:100], CHUNKED[100:],
    STREAM + GET, BIG + GET,
)  # fmt: skip
STATUS_COUNT = 7
WHOLE = (
    b"nothing", b"x" * 5000, b"y" * 4096 + b"abc", b"one two three", b"nothing", b"x" * 100_000,
    b"nothing",
)  # fmt: skip


def travel(server: harness.Server) -> harness.Client:
    """Goes on the journey on a new connection, as far as it lasts."""
    client = server.connect()
    for piece in JOURNEY:
        client.send(piece)
        server.idle()
        client.read()
    return client


def arrive(server: harness.Server, client: harness.Client) -> None:
    """The client has all seven answers, whole."""
    client.until(lambda: len(read_responses(client.received)[0]) == STATUS_COUNT, "seven answers")
    assert tuple(each.body for each in client.responses()) == WHOLE


def hold_prefix(client: harness.Client) -> None:
    """What the client has is a beginning of the seven answers; at most its last one is a 503."""
    responses, rest = read_responses(client.received, closed=client.closed == "eof")
    bodies = [each.body for each in responses if each.status == 200]
    assert tuple(bodies) == WHOLE[:len(bodies)]
    assert [each.status for each in responses[:len(bodies)]] == [200] * len(bodies)
    assert [each.status for each in responses[len(bodies):]] in ([], [503])
    assert b"HTTP/1.1 " not in rest[1:]


def hold_alive(server: harness.Server) -> None:
    """Another client is served."""
    _core.probe_fault_clear()
    client = server.connect()
    client.send(GET)
    assert client.responses(count=1)[0].status == 200


@pytest.mark.parametrize("number", [errno.ECONNRESET, errno.ETIMEDOUT, errno.EIO])
@pytest.mark.parametrize("nth", NTH)
def test_a_recv_that_fails_ends_that_connection_only(serve, nth, number):
    server = serve()
    _core.probe_fault("recv", nth, number)
    client = travel(server)
    hold_prefix(client)
    hold_alive(server)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EINTR])
@pytest.mark.parametrize("nth", NTH)
def test_a_recv_that_brings_nothing_is_tried_again(serve, nth, number):
    server = serve()
    _core.probe_fault("recv", nth, number)
    arrive(server, travel(server))


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET, errno.EIO])
@pytest.mark.parametrize("nth", NTH)
def test_a_send_that_fails_ends_that_connection_only(serve, nth, number):
    server = serve()
    _core.probe_fault("send", nth, number)
    client = travel(server)
    hold_prefix(client)
    hold_alive(server)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EINTR, 0])
@pytest.mark.parametrize("nth", NTH)
def test_a_send_that_takes_nothing_or_a_byte_is_continued(serve, nth, number, count):
    server = serve()
    _core.probe_fault("send", nth, number, count)
    arrive(server, travel(server))


ANSWER_SIZE = 160                  # bytes, about, of the answer to GET
PIPELINE = GET + STREAM + requests_in(2)


@pytest.mark.parametrize("size", [*range(1, 80), *range(80, 2 * ANSWER_SIZE, 7)])
def test_sends_of_any_size_make_the_same_bytes(serve_epoll, size):
    server = serve_epoll()
    _core.probe_send_limit(size)
    client = server.connect()
    client.send(PIPELINE)
    bodies = [each.body for each in client.responses(count=4)]
    assert bodies == [b"nothing", b"one two three", b"nothing", b"nothing"]


@pytest.mark.parametrize("first", [*range(1, 60), *range(60, 2 * ANSWER_SIZE, 11)])
def test_a_send_cut_at_any_byte_goes_on_when_the_peer_reads(serve_epoll, first):
    """The first send passes so many bytes, the second none: the rest waits for the poller."""
    server = serve_epoll()
    _core.probe_send_limit(first)
    _core.probe_fault("send", 2, errno.EAGAIN)
    client = server.connect()
    client.send(PIPELINE)
    server.engine.turn(0)
    _core.probe_send_limit(0)
    bodies = [each.body for each in client.responses(count=4)]
    assert bodies == [b"nothing", b"one two three", b"nothing", b"nothing"]


@pytest.mark.parametrize("size", [1000, 4096, 65_536])
def test_an_answer_that_is_not_copied_survives_partial_writes(serve, size):
    server = serve()
    _core.probe_send_limit(size)
    client = server.connect()
    client.send(BIG + GET)
    bodies = [each.body for each in client.responses(count=2)]
    assert bodies == [b"x" * 100_000, b"nothing"]


@pytest.mark.parametrize("number", [errno.ECONNABORTED, errno.EINTR, errno.EPROTO, errno.EPERM])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_an_accept_that_fails_for_one_peer_does_not_stop_the_others(serve, nth, number):
    server = serve()
    _core.probe_fault("accept", nth, number)
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.send(GET)
    for client in clients:
        assert client.responses(count=1)[0].status == 200
    assert server.stat("accept_pauses") == 0


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_descriptors_the_listener_is_parked_and_resumed(serve, number):
    server = serve()
    _core.probe_fault("accept", 1, number, count=1_000_000)
    client = server.connect()
    client.send(GET)
    server.idle()
    assert server.stat("accept_pauses") == 1, "a parked listener is not asked again"
    for _ in range(20):
        server.engine.turn(0)
    assert server.stat("accept_pauses") == 1
    assert not client.read()
    assert any("descriptor" in message for _, message in server.app.logged)
    _core.probe_fault_clear()
    _core.probe_clock(1100)
    assert client.responses(count=1)[0].status == 200


def test_a_parked_listener_is_resumed_when_a_connection_ends(serve):
    server = serve()
    first = server.connect()
    first.send(GET)
    first.responses(count=1)
    _core.probe_fault("accept", 1, errno.EMFILE, count=1)
    second = server.connect()
    second.send(GET)
    server.idle()
    assert server.stat("accept_pauses") == 1
    first.close()
    assert second.responses(count=1)[0].status == 200


def test_a_listener_that_finds_no_descriptors_again_is_parked_again(serve):
    server = serve()
    _core.probe_fault("accept", 1, errno.EMFILE, count=1_000_000)
    client = server.connect()
    client.send(GET)
    server.idle()
    for pauses in range(2, 5):
        _core.probe_clock(1100)
        server.until(lambda pauses=pauses: server.stat("accept_pauses") == pauses)
    _core.probe_fault_clear()
    _core.probe_clock(1100)
    assert client.responses(count=1)[0].status == 200


@pytest.mark.parametrize("count", [1, 2, 100])
@pytest.mark.parametrize("nth", range(1, 13))
def test_memory_that_is_not_there_costs_one_answer_at_most(serve_epoll, nth, count):
    server = serve_epoll()
    _core.probe_send_limit(500)    # tails of answers want memory as well
    _core.probe_fault("malloc", nth, errno.ENOMEM, count)
    client = travel(server)
    _core.probe_send_limit(0)
    server.idle()
    client.read()
    hold_prefix(client)
    hold_alive(server)


@pytest.mark.parametrize("nth", range(1, 7))
def test_memory_that_is_not_there_is_answered_with_503(serve_epoll, nth):
    """Each allocation of input: the part of a head, its growth, the body."""
    server = serve_epoll()
    _core.probe_fault("malloc", nth, errno.ENOMEM)
    client = server.connect()
    for piece in (GET[:10], GET[10:], POST[:30], POST[30:3000], POST[3000:], GET):
        client.send(piece)
        server.idle()
    client.read()
    responses, rest = read_responses(client.received)
    assert not rest
    statuses = [each.status for each in responses]
    assert statuses in ([200] * 3, [200] * (len(statuses) - 1) + [503])
    hold_alive(server)


def test_a_spool_file_that_cannot_be_made_is_answered_with_503(serve_epoll, tmp_path):
    server = serve_epoll(spool_size=1000, spool_dir=str(tmp_path / "nowhere"))
    client = server.connect()
    client.exchange(POST[:3000])
    client.until_closed()
    assert [each.status for each in client.responses()] == [503]
    hold_alive(server)
