"""nodepp.current(): code of the application that is called for a request finds that request,
whatever calls it; code that is called for none gets an error that says so.
"""

from __future__ import annotations

import contextlib
import socket

import pytest
import wiresite
from visitors import HANDLERS, LOGIN_HANDLERS, Fault

from nodepp import _core

ANONYMOUS, USER = 1, 10
EVENTS = ("start", "stop", "login", "logout")
HTML = "text/html"


def asked() -> str:
    """The path of the current request; "" without one."""
    try:
        return _core.current().path
    except RuntimeError as error:
        assert "there is no current request" in str(error)
        return ""


class Notes:
    """What hooks have found: (event, path of the current request)."""

    def __init__(self) -> None:
        self.all: list[tuple[str, str]] = []

    def hook(self, event):
        def call(subject):
            self.all.append((event, asked()))
            return True

        return call

    @property
    def events(self):
        return {event: self.hook(event) for event in EVENTS}


@pytest.fixture
def notes():
    return Notes()


@pytest.fixture
def files():
    return wiresite.snapshot()


@pytest.fixture
def site(visiting, notes, files):
    """A rule gives a session to each visitor of some of its paths; others need a login."""
    def raises(req):
        req.session["a"] = 1
        raise Fault(500)

    handlers = {**LOGIN_HANDLERS, "page": lambda req: "page", "members": lambda req: "in",
                "pieces": lambda req: iter([b"one", b"two"]), "raises": raises}
    rules = [("", path, ANONYMOUS) for path in ("/big.txt", "/page", "/pieces")]
    return visiting(handlers=handlers, events=notes.events, statics=files,
                    auth_rules=[*rules, ("", "/members", USER)])


def expired(site):
    """A visitor with a cookie whose session is over and has not been looked at yet."""
    visitor = site.visitor()
    visitor.get("/count")
    site.app.events.clear()
    _core.probe_clock(700_000)
    return visitor


# --- sessions that begin, change and end in a request ---------------------------------------------


def test_a_hook_sees_the_request_for_which_a_rule_begins_the_session(site, notes):
    """A hook that logged the visitor's address asked for the current request and found none,
    because the session was begun before the handler was called: each new visitor got a 500.
    """
    assert site.visitor().get("/page").body == b"page"
    assert notes.all == [("start", "/page")]


def test_hooks_of_a_handler_see_its_request(site, notes):
    visitor = site.visitor()
    for path in ("/count", "/login", "/renew", "/login?uid=8", "/logout"):
        visitor.get(path)
    assert notes.all == [("start", "/count"), ("login", "/login"), ("logout", "/login"),
                         ("login", "/login"), ("logout", "/logout"), ("stop", "/logout")]


def test_a_session_that_goes_with_a_failed_handler_ends_in_its_request(site, notes):
    assert site.visitor().get("/raises").status == 500
    assert notes.all == [("start", "/raises"), ("stop", "/raises")]


def test_a_hook_that_refuses_a_session_sees_its_request(visiting, notes):
    site = visiting(handlers=HANDLERS, auth_rules=[("", "", ANONYMOUS)],
                    events={**notes.events, "start": lambda req: asked() != "/show"})
    assert site.visitor().get("/show").status == 500
    assert notes.all == [("stop", "/show")]


@pytest.mark.parametrize(("path", "fields"), [
    ("/show", {}),                                  # the handler asks for the session
    ("/page", {}),                                  # the rule does
    ("/pieces", {}),                                # and the answer is a stream
    ("/big.txt", {}),                               # no handler
    ("/members", {}),                               # refused, by the page of 401 …
    ("/members", {"Accept": HTML}),                 # … or sent to the login page
])  # fmt: skip
def test_a_session_that_is_over_ends_in_the_request_that_shows_it(site, notes, path, fields):
    visitor = expired(site)
    notes.all.clear()
    visitor.get(path, **fields)
    assert [note for note in notes.all if note[0] == "stop"] == [("stop", path)]
    assert site.stat("sessions_expired") == 1 and not site.app.problems


def test_the_old_session_stops_before_the_new_one_starts(site, notes):
    visitor = expired(site)
    notes.all.clear()
    visitor.get("/page")
    assert notes.all == [("stop", "/page"), ("start", "/page")]


def test_a_hook_after_the_answer_cannot_change_it(visiting, files):
    """Nothing of a public file's head can be said once it is queued."""
    problems = []

    def stop(session):
        req = _core.current()
        for change in (lambda: req.set_header("X-Late", "1"), lambda: req.out("late"),
                       lambda: req.session.update(a=1), lambda: req.session.login(7)):
            with contextlib.suppress(RuntimeError):
                change()
                problems.append(change)
        assert not req.session.exists

    site = visiting(handlers=HANDLERS, events={"stop": stop}, statics=files,
                    auth_rules=[("", "/ten.txt", ANONYMOUS)])
    visitor = expired(site)
    response = visitor.get("/ten.txt")
    assert response.body == b"0123456789" and "x-late" not in str(response.fields).lower()
    assert site.app.events == ["stop"] and not problems and len(site.table) == 0
    assert visitor.get("/count").body == b"1"


def test_an_evicted_session_ends_in_the_request_of_the_login_that_takes_its_place(visiting, notes):
    seen = []

    def stop(session):
        seen.append((session["count"], session.evicted, asked(), _core.current().client.ip))

    site = visiting(handlers=LOGIN_HANDLERS, capacity=1, events={**notes.events, "stop": stop})
    site.visitor(peer=("198.51.100.7", 1)).get("/count")
    site.visitor(peer=("203.0.113.5", 1)).get("/login")
    assert seen == [(1, True, "/login", "203.0.113.5")]


def test_a_session_that_is_logged_out_was_not_evicted(visiting):
    seen = []
    site = visiting(handlers=LOGIN_HANDLERS,
                    events={"stop": lambda session: seen.append(session.evicted)})
    visitor = site.visitor()
    visitor.get("/login")
    visitor.get("/logout")
    assert seen == [False]


# --- nested ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("failing", [False, True])
def test_after_a_hook_the_request_of_its_handler_is_the_current_one_again(visiting, failing):
    def hook(subject):
        assert asked() == "/it"
        if failing:
            raise Fault(500)

    def it(req):
        found = []
        for step in (lambda: req.session.start(), lambda: req.session.login(7),
                     lambda: req.session.logout()):
            with contextlib.suppress(RuntimeError):
                step()
            found.append(_core.current() is req)
        return str(found)

    site = visiting(handlers={"it": it}, events=dict.fromkeys(EVENTS, hook))
    assert site.visitor().get("/it").body == b"[True, True, True]"


def test_a_hook_within_a_hook_leaves_the_request_to_both(visiting, notes):
    def start(req):
        before = asked()
        req.session.login(3)
        notes.all.append((before, asked()))

    site = visiting(handlers=HANDLERS, auth_rules=[("", "", ANONYMOUS)],
                    events={**notes.events, "start": start})
    assert site.visitor().get("/count").status == 200
    assert notes.all == [("login", "/count"), ("/count", "/count")]


# --- between requests -----------------------------------------------------------------------------


def test_a_session_that_ends_by_time_has_no_request_and_harms_no_visitor(visiting):
    """An error that says why; the visitors who are there meanwhile are served."""
    errors = []

    def stop(session):
        with pytest.raises(RuntimeError, match=r"no current request: .* ended by time"):
            _core.current()
        errors.append(session["count"])
        raise Fault(500)

    site = visiting(handlers=LOGIN_HANDLERS, events={"stop": stop, "logout": stop})
    for path in ("/count", "/login"):
        visitor = site.visitor()
        visitor.get("/count")
        visitor.get(path)
    other = site.visitor()
    statuses = set()
    for _ in range(8):
        _core.probe_clock(500_000)
        statuses.add(other.get("/nothing").status)
        site.server.idle()
    site.gone_to(0)
    assert statuses == {200} and sorted(errors) == [1, 1, 2]


def test_a_timer_has_no_request(site, notes):
    site.visitor().get("/page")
    site.server.engine.later(0.001, lambda: notes.all.append(("timer", asked())))
    site.server.until(lambda: notes.all[-1][0] == "timer", "the timer")
    assert notes.all[-1] == ("timer", "")


# --- what else is called for a request ------------------------------------------------------------


def streaming(seen, name, pieces=3):
    """A stream that notes the current request in all that it does."""
    class Pieces:
        def __iter__(self):
            seen.append((name, "iter", asked()))
            return self.pieces()

        def pieces(self):
            try:
                for number in range(pieces):
                    seen.append((name, "next", asked()))
                    yield b"%d" % number
            finally:
                seen.append((name, "close", asked()))

    return lambda req: Pieces()


def test_a_stream_sees_its_request_from_the_first_piece_to_its_close(serve):
    seen: list[tuple[str, str, str]] = []
    server = serve(handlers={name: streaming(seen, name) for name in ("a", "b")})
    clients = {name: server.connect() for name in ("a", "b")}
    for name, client in clients.items():
        client.send(b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n" % name.encode())
    for client in clients.values():
        assert client.responses("GET", count=1)[0].body == b"012"
    assert {what for _, what, _ in seen} == {"iter", "next", "close"}
    assert all(path == f"/{name}" for name, _, path in seen)
    assert asked() == ""


@pytest.mark.parametrize("end", ["peer", "engine"])
def test_a_stream_that_is_cut_is_closed_in_its_request(serve, end):
    seen: list[tuple[str, str, str]] = []
    server = serve(handlers={"a": streaming(seen, "a", pieces=1_000_000)})
    client = server.connect()
    client.send(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
    client.until(lambda: client.received, "the first piece")
    if end == "peer":
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.socket.close()
        server.until(lambda: seen[-1][1] == "close", "the close")
    else:
        server.engine.close()
    assert seen[-1] == ("a", "close", "/a")
    assert asked() == ""


def test_what_encodes_a_result_and_the_page_of_an_error_see_the_request(visiting):
    seen = []

    def note(answer):
        seen.append(asked())
        return answer

    site = visiting(handlers={"json": lambda req: {"a": 1}, "raises": lambda req: 1 / 0})
    site.app.error = lambda req, status, problem: note("a page")
    visitor = site.visitor()
    for path in ("/raises", "/nowhere", "/json"):
        visitor.get(path)
    assert seen[:2] == ["/raises", "/nowhere"]


def test_out_after_the_result_is_an_error_and_not_a_broken_answer(serve_epoll):
    """What a handler returns may run code while it is being encoded."""
    class Text(str):
        def __str__(self):
            _core.current().out("late")
            return "text"

    server = serve_epoll(handlers={"a": lambda req: Text("x")})
    client = server.connect()
    for status in (500, 500):
        client.exchange(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.responses("GET", "GET")[-1].status == status
