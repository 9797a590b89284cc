"""A table of sessions without room: who gives way, who is turned away, and who never notices."""

from __future__ import annotations

from responsereader import read_responses
from visitors import HANDLERS

from nodepp import _core


def test_full_table_is_a_503_for_strangers_only(visiting):
    site = visiting(handlers=HANDLERS, capacity=2)
    known = [site.visitor(), site.visitor()]
    for visitor in known:
        visitor.get("/count")
    stranger = site.visitor()
    assert stranger.get("/count").status == 503
    assert not stranger.jar and isinstance(site.app.problems[0], _core.SessionsExhausted)
    assert stranger.get("/nothing").status == 200
    assert [visitor.get("/count").body for visitor in known] == [b"2", b"2"]
    assert site.stat("sessions_refused") >= 1
    assert any("session" in message for _, message in site.app.logged)


def test_log_of_a_full_table_is_not_flooded(visiting):
    site = visiting(handlers=HANDLERS, capacity=1)
    site.visitor().get("/count")
    before = len(site.app.logged)
    for _ in range(50):
        assert site.visitor().get("/count").status == 503
    assert 1 <= len(site.app.logged) - before <= 5
    assert site.stat("sessions_refused") >= 50


def test_room_of_an_ended_session_is_used_at_once(visiting):
    site = visiting(handlers=HANDLERS, capacity=1)
    site.visitor().get("/count")
    site.skip(700)
    assert site.visitor().get("/count").body == b"1"


def log_in(req):
    req.session.login(int(req.query["uid"]))
    return "in"


def test_oldest_idle_anonymous_session_gives_way_to_a_login(visiting):
    site = visiting(handlers={**HANDLERS, "login": log_in}, capacity=4)
    anonymous = [site.visitor() for _ in range(4)]
    for visitor in anonymous:
        visitor.get("/count")
        site.skip(10)
    anonymous[0].get("/count")
    for uid in (1, 2):
        assert site.visitor().get(f"/login?uid={uid}").body == b"in"
    assert [visitor.get("/show").body for visitor in anonymous] == [
        b"{'count': 2}", b"nobody", b"nobody", b"{'count': 1}"]
    assert site.stat("sessions_evicted") == 2
    assert site.app.events.count("stop") == 2


def test_refused_stranger_changes_nothing_of_who_gives_way(visiting):
    site = visiting(handlers={**HANDLERS, "login": log_in}, capacity=3)
    anonymous = [site.visitor() for _ in range(3)]
    for visitor in anonymous:
        visitor.get("/count")
        site.skip(10)
    for _ in range(2):
        assert site.visitor().get("/count").status == 503
    assert site.visitor().get("/login?uid=1").status == 200
    assert [visitor.get("/show").body for visitor in anonymous] == [
        b"nobody", b"{'count': 1}", b"{'count': 1}"]


def test_logged_in_sessions_never_give_way(visiting):
    site = visiting(handlers={**HANDLERS, "login": log_in}, capacity=3)
    members = [site.visitor() for _ in range(3)]
    for uid, visitor in enumerate(members, 1):
        assert visitor.get(f"/login?uid={uid}").status == 200
    late = site.visitor()
    assert late.get("/login?uid=9").status == 503 and not late.jar
    assert [visitor.get("/count").body for visitor in members] == [b"1"] * 3


def test_sessions_noted_in_a_full_table_are_none_of_the_next_table(visiting):
    """Which ones give way is noted in advance; an engine that is opened later has another table,
    and may have a smaller one."""
    for capacity in (100, 2):
        site = visiting(handlers={**HANDLERS, "login": log_in}, capacity=capacity)
        for _ in range(capacity):
            site.visitor().get("/count")
        for uid in (1, 2):
            assert site.visitor().get(f"/login?uid={uid}").status == 200
        assert site.visitor().get("/login?uid=3").status == (200 if capacity > 2 else 503)
        site.close()


def test_strangers_of_one_turn_cannot_overfill_the_table(visiting):
    site = visiting(handlers=HANDLERS, capacity=3)
    connection = site.server.connect()
    connection.exchange(site.visitor().bytes_of("GET", "/count") * 8)
    responses, rest = read_responses(bytes(connection.received))
    assert [response.status for response in responses] == [200] * 3 + [503] * 5 and not rest
