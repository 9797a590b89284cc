"""req.session: what is written stays with the visitor, and with nobody else, for its time."""

from __future__ import annotations

import pytest
from visitors import AGENT, HANDLERS, cookies_of, count

from nodepp import _core

BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_5) AppleWebKit/605.1.15 Version/18.0 Safari"


@pytest.fixture
def site(visiting):
    return visiting(handlers=HANDLERS)


def test_what_is_written_is_there_at_the_next_request(site):
    visitor = site.visitor()
    assert [visitor.get("/count").body for _ in range(3)] == [b"1", b"2", b"3"]
    assert list(visitor.jar) == ["as"]
    assert len(site.table) == 1


def test_each_visitor_has_a_session_of_his_own(site):
    first, second = site.visitor(), site.visitor()
    assert [first.get("/count").body, first.get("/count").body] == [b"1", b"2"]
    assert second.get("/count").body == b"1"
    assert first.jar != second.jar


def test_who_only_looks_gets_no_session(site):
    visitor = site.visitor()
    assert visitor.get("/show").body == b"nobody"
    assert not visitor.set and len(site.table) == 0


def test_cookie_is_set_once(site):
    visitor = site.visitor()
    visitor.get("/count")
    assert len(visitor.set) == 1
    for path in ("/count", "/show", "/nothing", "/missing"):
        visitor.get(path)
        assert visitor.set == []


def test_session_that_was_not_changed_is_not_written(site):
    visitor = site.visitor()
    visitor.get("/count")
    (id,) = site.table.ids()
    version, data = site.table.read(id)
    visitor.get("/show")
    visitor.get("/nothing")
    assert site.table.read(id) == (version, data)


def test_cookie_of_the_request_counts_and_never_that_of_the_connection(site):
    """Node++ kept the session of a connection for its whole life: behind a proxy that shares its
    connections visitors got each other's accounts."""
    visitors = [site.visitor() for _ in range(3)]
    for visits, visitor in enumerate(visitors, 1):
        for _ in range(visits):
            visitor.get("/count")
    stranger = site.visitor()
    order = [0, 1, None, 2, 0, None, 2, 1, 1]
    shared = site.server.connect()
    shared.exchange(b"".join(
        stranger.bytes_of("GET", "/show" if place is None else "/count") if place is None
        else visitors[place].bytes_of("GET", "/count") for place in order))
    bodies = [response.body for response in shared.responses(count=len(order))]
    assert bodies == [b"2", b"3", b"nobody", b"4", b"3", b"nobody", b"5", b"4", b"5"]


def test_strangers_who_share_a_connection_get_a_session_each(site):
    stranger = site.visitor()
    shared = site.server.connect()
    shared.exchange(stranger.bytes_of("GET", "/count") * 3)
    responses = shared.responses(count=3)
    assert [response.body for response in responses] == [b"1"] * 3
    assert len({cookies_of(response)[0].value for response in responses}) == 3
    assert len(site.table) == 3


def test_session_begins_under_whatever_method(visiting):
    site = visiting(handlers=HANDLERS)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        visitor = site.visitor()
        visitor.ask(method, "/count")
        assert visitor.ask(method, "/count").body == b"2"


def test_head_leaves_no_session_that_nobody_has_the_cookie_of(site):
    visitor = site.visitor()
    visitor.ask("HEAD", "/count")
    assert len(site.table) == len(visitor.jar)
    visitor.get("/count")
    before = site.table.records().__next__()[-1]
    visitor.ask("HEAD", "/show")
    assert next(site.table.records())[-1] == before


def test_without_a_table_there_are_no_sessions(serve_epoll):
    seen = []

    def it(req):
        with pytest.raises(RuntimeError):
            _ = req.session
        seen.append(1)
        return "ok"

    serve_epoll(handlers={"it": it}).connect().exchange(
        b"GET /it HTTP/1.1\r\nHost: a\r\nCookie: as=x\r\n\r\n")
    assert seen == [1]


# Whom it belongs to.

def test_session_is_bound_to_the_browser(site):
    visitor = site.visitor()
    visitor.get("/count")
    thief = site.visitor(SAFARI)
    thief.jar = dict(visitor.jar)
    assert thief.get("/show").body == b"nobody"
    assert thief.get("/count").body == b"1"
    assert thief.jar != visitor.jar
    assert visitor.get("/count").body == b"2"


def test_binding_to_the_browser_can_be_switched_off(visiting):
    site = visiting(handlers=HANDLERS, session_bind_agent=False)
    visitor = site.visitor()
    visitor.get("/count")
    visitor.agent = SAFARI
    assert visitor.get("/count").body == b"2"


def test_browser_without_a_name_is_one_too(site):
    visitor = site.visitor("")
    visitor.get("/count")
    assert visitor.get("/count").body == b"2"
    visitor.agent = AGENT
    assert visitor.get("/show").body == b"nobody"


def test_bot_has_a_session_for_its_request_only(visiting):
    def it(req):
        session = req.session
        session["a"] = [1]
        session["a"].append(2)
        assert session["a"] == [1, 2] and not session.exists and session.id == ""
        return repr(dict(session.items()))

    site = visiting(handlers={**HANDLERS, "it": it})
    bot = site.visitor(BOT)
    assert bot.get("/it").body == b"{'a': [1, 2]}"
    assert bot.get("/count").body == bot.get("/count").body == b"1"
    assert not bot.jar and len(site.table) == 0 and not site.app.events


def test_bots_have_sessions_if_told_so(visiting):
    site = visiting(handlers=HANDLERS, sessions_for_bots=True)
    bot = site.visitor(BOT)
    bot.get("/count")
    assert bot.get("/count").body == b"2"


def test_bot_that_logs_in_is_logged_in(visiting):
    def it(req):
        req.session.login(7)
        return str(req.session.uid)

    site = visiting(handlers={**HANDLERS, "it": it, "who": lambda req: str(req.session.uid)})
    bot = site.visitor(BOT)
    assert bot.get("/it").body == b"7" and list(bot.jar) == ["ls"]
    assert bot.get("/who").body == b"7"


def test_bot_without_a_session_is_one_line_for_whoever_debugs(visiting):
    def it(req):
        for number in range(5):
            req.session[f"a{number}"] = number
        return "ok"

    site = visiting(handlers={"it": it})
    site.visitor(BOT).get("/it")
    assert [level for level, message in site.app.logged if "bot" in message] == [4]


def test_id_that_has_ended_is_never_taken_up_again(site):
    """Whoever plants a cookie in another's browser does not know the id of his session."""
    visitor = site.visitor()
    visitor.get("/count")
    planted = dict(visitor.jar)
    site.table.remove(site.table.ids()[0])
    assert visitor.get("/count").body == b"1"
    assert visitor.jar != planted
    assert site.table.cookie(site.table.ids()[0]) == visitor.jar["as"]


def test_handler_without_arguments_has_the_session_of_its_request(visiting):
    def it():
        return count(_core.current())

    it.flags = _core.FLAG_NO_REQUEST
    site = visiting(handlers={"it": it})
    visitor = site.visitor()
    visitor.get("/it")
    assert visitor.get("/it").body == b"2"


# How long it lasts.

def test_idle_session_ends_after_its_time(site):
    visitor = site.visitor()
    visitor.get("/count")
    for _ in range(3):
        site.skip(590)
        assert visitor.get("/show").body == b"{'count': 1}"     # looking is activity
    site.skip(601)
    assert visitor.get("/show").body == b"nobody"
    assert visitor.get("/count").body == b"1"


def test_expired_sessions_give_their_slots_back(site):
    for _ in range(5):
        site.visitor().get("/count")
    assert len(site.table) == 5
    site.skip(700)
    site.gone_to(0)
    assert site.stat("sessions_expired") == 5
    assert sorted(site.app.events) == ["start"] * 5 + ["stop"] * 5


def test_busy_session_ends_after_its_lifetime(visiting):
    site = visiting(handlers=HANDLERS, session_lifetime_s=3600)
    visitor = site.visitor()
    for expected in (b"1", b"2", b"3", b"4", b"5", b"6"):
        assert visitor.get("/count").body == expected
        site.skip(595)
    site.skip(60)
    assert visitor.get("/count").body == b"1"


def test_timeout_is_the_one_that_was_set(visiting):
    site = visiting(handlers=HANDLERS, session_timeout_s=60)
    visitor = site.visitor()
    visitor.get("/count")
    site.skip(55)
    assert visitor.get("/count").body == b"2"
    site.skip(61)
    assert visitor.get("/count").body == b"1"


def test_what_one_request_wrote_is_there_for_the_next_of_the_same_turn(site):
    visitor = site.visitor()
    visitor.get("/count")
    connection = site.server.connect()
    connection.exchange(visitor.bytes_of("GET", "/count") * 20)
    bodies = [int(response.body) for response in connection.responses(count=20)]
    assert bodies == list(range(2, 22))
