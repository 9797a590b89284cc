"""A request that waits for its answer: it comes two turns later, or too late, or for nothing."""

from __future__ import annotations

import harness
import pytest

from nodepp import _core

GET = b"GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
BEHIND = b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
TIME_MS = 5000


class Desk:
    """Handlers whose requests wait; what they wait for, and what they were told."""

    def __init__(self) -> None:
        self.waiting: list[_core.Later] = []
        self.dropped = 0

    def later(self, req):
        self.waiting.append(_core.Later(TIME_MS, self.drop))
        return self.waiting[-1]

    def drop(self) -> None:
        self.dropped += 1

    def answer(self, result, index: int = -1) -> bool:
        it = self.waiting[index]
        return _core.probe_answer(it.slot, it.generation, it.number, result)


@pytest.fixture(params=harness.POLLERS)
def desk(request):
    """desk.server serves /later on desk.poller."""
    desk = Desk()
    with harness.serving(request.param, handlers={"later": desk.later}) as server:
        desk.server = server
        desk.poller = request.param
        yield desk


def wait(desk: Desk, data: bytes = GET) -> harness.Client:
    client = desk.server.connect()
    client.send(data)
    desk.server.until(lambda: desk.waiting and desk.waiting[-1].number)
    desk.server.idle()
    return client


def test_an_answer_comes_two_turns_later(desk):
    client = wait(desk)
    desk.server.engine.turn(0)
    assert not client.read()
    assert desk.answer("late but there")
    answer, = client.responses(count=1)
    assert (answer.status, answer.body) == (200, b"late but there")
    client.send(BEHIND)
    assert client.responses(count=2)[1].status == 200
    assert desk.dropped == 0


def test_a_request_with_a_body_waits_with_it(desk):
    seen = []

    def later(req):
        seen.append(req)
        return desk.later(req)

    desk.server.close()
    with harness.serving(desk.poller, handlers={"later": later}) as desk.server:
        client = wait(desk, b"GET /later HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        assert seen[0].body == b"abc"
        seen[0].set_header("X-Kept", "1")
        desk.answer((201, "made"))
        answer, = client.responses(count=1)
        assert (answer.status, answer.body) == (201, b"made")
        assert ("X-Kept", "1") in answer.fields


def test_others_are_served_meanwhile(desk):
    first = wait(desk)
    other = desk.server.connect()
    other.send(BEHIND)
    assert other.responses(count=1)[0].status == 200
    assert not first.read()
    desk.answer("x")
    assert first.responses(count=1)[0].body == b"x"


def test_pipelined_requests_wait_in_order(desk):
    client = wait(desk, BEHIND + GET + BEHIND)
    client.send(BEHIND[:10])
    desk.server.idle()
    client.send(BEHIND[10:] + GET)
    desk.server.idle()
    assert len(client.responses(count=1)) == 1
    desk.answer("second")
    assert client.responses(count=4)[1].body == b"second"
    desk.server.idle()
    assert len(desk.waiting) == 2
    desk.answer("fifth")
    assert client.responses(count=5)[4].body == b"fifth"


def test_what_comes_behind_is_kept_up_to_a_bound(desk):
    """And all of it is answered in the end."""
    client = wait(desk)
    client.send(BEHIND * 3000)
    desk.server.idle()
    assert _core.probe_balance()["buffer_memory"] < 512 * 1024
    desk.answer("first")
    assert len(client.responses(count=3001)) == 3001


@pytest.mark.parametrize("leave", ["reset", "close", "finish_sending"])
def test_a_client_that_leaves_is_not_waited_for(desk, leave):
    client = wait(desk)
    getattr(client, leave)()
    desk.server.until(lambda: desk.server.engine.connection_count == 0)
    assert desk.dropped == 1
    assert not desk.answer("for nobody")
    assert harness.balanced(connections=True)


def test_a_client_that_leaves_behind_pipelined_requests_is_seen(desk):
    client = wait(desk, GET + BEHIND)
    client.finish_sending()
    desk.server.until(lambda: desk.server.engine.connection_count == 0)
    assert desk.dropped == 1


def test_a_reset_behind_more_input_than_is_kept(desk):
    """select and selectors do not tell of it where nothing is watched: then the answer does."""
    client = wait(desk, GET + BEHIND * 4000)
    desk.server.idle()
    client.reset()
    if desk.poller in ("epoll", "poll"):
        desk.server.until(lambda: desk.server.engine.connection_count == 0)
        assert desk.dropped == 1
        assert not desk.answer("for nobody")
    else:
        desk.server.idle()
        assert desk.answer("for nobody")
        desk.server.until(lambda: desk.server.engine.connection_count == 0)


def test_an_end_before_an_answer_that_does_not_wait_changes_nothing(desk):
    client = desk.server.connect()
    client.send(BEHIND)
    client.finish_sending()
    assert client.responses(count=1)[0].status == 200


def test_half_close_lets_the_request_go_on(desk):
    desk.server.close()
    with harness.serving(desk.poller, handlers={"later": desk.later}, half_close=True) as server:
        desk.server = server
        client = wait(desk, GET + BEHIND)
        client.finish_sending()
        server.idle()
        assert desk.answer("still read")
        first, second = client.responses(count=2)
        assert (first.body, second.status) == (b"still read", 200)
        client.until_closed()
        assert desk.dropped == 0


def test_a_late_answer_is_refused_by_its_number(desk):
    """The connection is the same one, and so are slot and generation: the request is another."""
    client = wait(desk)
    _core.probe_clock(TIME_MS + 1000)
    assert client.responses(count=1)[0].status == 504
    assert desk.server.stat("timeouts_answer") == 1
    assert desk.dropped == 1
    assert not desk.answer("too late")
    client.send(GET)
    desk.server.until(lambda: len(desk.waiting) == 2 and desk.waiting[1].number)
    assert desk.waiting[0].generation == desk.waiting[1].generation
    assert not desk.answer("for the first one", 0)
    assert desk.answer("for the second one", 1)
    assert client.responses(count=2)[1].body == b"for the second one"


def test_a_late_answer_is_refused_by_generation(desk):
    client = wait(desk)
    client.reset()
    desk.server.until(lambda: desk.server.engine.connection_count == 0)
    other = wait(desk)
    desk.server.until(lambda: len(desk.waiting) == 2 and desk.waiting[1].number)
    assert desk.waiting[0].slot == desk.waiting[1].slot
    assert not desk.answer("for the one before", 0)
    assert not other.read()
    assert desk.answer("for this one", 1)
    assert other.responses(count=1)[0].body == b"for this one"


def test_an_answer_is_given_once(desk):
    client = wait(desk)
    assert desk.answer("one")
    assert not desk.answer("two")
    assert client.responses(count=1)[0].body == b"one"
    assert not desk.answer("three")


def test_an_exception_is_an_answer_too(desk):
    client = wait(desk)
    desk.answer(ValueError("elsewhere"))
    assert client.responses(count=1)[0].status == 500
    assert desk.server.stat("handler_errors") == 1


def test_a_stream_may_come_later(desk):
    client = wait(desk)
    desk.answer(iter(["a", "b", "c"]))
    assert client.responses(count=1)[0].body == b"abc"


def test_what_cannot_be_sent_is_a_500(desk):
    client = wait(desk)
    desk.answer(object())
    assert client.responses(count=1)[0].status == 500
    client.send(GET)
    desk.server.until(lambda: len(desk.waiting) == 2 and desk.waiting[1].number)
    desk.answer(desk.waiting[0])
    assert client.responses(count=2)[1].status == 500


def test_a_stop_waits_for_the_answer_within_its_grace(desk):
    client = wait(desk)
    desk.server.engine.stop(10_000)
    desk.server.engine.turn(0)
    assert desk.server.engine.connection_count == 1
    desk.answer("in time")
    answer, = client.responses(count=1)
    assert answer.body == b"in time"
    client.until_closed()
    assert desk.server.stat("cut") == 0


def test_a_stop_cuts_what_waits_longer(desk):
    client = wait(desk)
    desk.server.engine.stop(1000)
    desk.server.engine.turn(0)
    _core.probe_clock(1500)
    client.until_closed()
    assert desk.server.stat("cut") == 1
    assert desk.dropped == 1


def test_the_access_log_says_what_became_of_it(desk):
    lines = []
    desk.server.engine.set_access_log(lambda text, lost: lines.append(text) or len(text), 2)
    client = wait(desk)
    desk.answer("four")
    client.responses(count=1)
    client.send(GET)
    desk.server.until(lambda: len(desk.waiting) == 2 and desk.waiting[1].number)
    _core.probe_clock(TIME_MS + 1000)
    client.responses(count=2)
    wait(desk).reset()
    desk.server.until(lambda: desk.dropped == 2)
    desk.server.engine.flush_access_log()
    statuses = [line.split(b'"')[2].split()[0] for line in b"".join(lines).splitlines()]
    assert statuses == [b"200", b"504", b"499"]


def test_without_memory_to_wait_the_answer_is_503(desk):
    client = desk.server.connect()
    client.send(GET)
    _core.probe_fault("malloc", 1, 0)
    assert client.responses(count=1)[0].status == 503
    client.until_closed()
    assert desk.dropped == 1


def test_an_engine_that_closes_drops_what_waits(desk):
    wait(desk)
    desk.server.engine.close()
    assert desk.dropped == 1
    assert not desk.answer("after the end")
