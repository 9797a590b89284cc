"""Where sessions meet what is beside them: hooks that ask for a session, caches, hosts.

Each story was found by reading or breaking, and opens its test.
"""

from __future__ import annotations

import harness
import pytest
from responsereader import read_responses
from visitors import AGENT, HANDLERS

from nodepp import _core

USER = 10


def test_hook_of_an_end_may_ask_for_the_session_of_the_request(visiting):
    """It did so while the request's own session was being looked for: two were made, and the first
    one kept pointing at a Request that served somebody else later.
    """
    kept = []

    def told(session):
        now = _core.current().session
        now["flash"] = "your session has ended"
        kept.append(now)
        return True

    site = visiting(handlers=HANDLERS, events={"stop": told})
    visitor = site.visitor()
    visitor.get("/count")
    site.app.session_events = frozenset(("stop",))
    # Only a look at the cookie ends it: the sweep has no request to speak of.
    _core.probe_clock(700_000)
    assert visitor.get("/show").body == b"{'flash': 'your session has ended'}"
    assert visitor.get("/show").body == b"{'flash': 'your session has ended'}"
    assert len(kept) == 1 and len(site.table) == 1
    with pytest.raises(RuntimeError):
        kept[0]["again"] = 1
    with pytest.raises(RuntimeError):
        kept[0].login(5)


def test_port_of_any_length_leads_to_the_rules_of_its_host():
    """Files and rules read the Host field by two functions: zeros before the port made the name too
    long for one of them, which then took the main host's rules.
    """
    secret = _core.Resource(b"secret", "text/plain", etag="x")
    table = _core.SessionTable(4, 64)
    server = harness.Server(
        statics=_core.Snapshot({"": {}, "staff.example.com": {"/secret": secret}}),
        sessions=table, auth_rules=[("staff.example.com", "", USER)])  # fmt: skip
    try:
        for port in ("", ":8080", ":" + "0" * 250 + "8080", "." + ":0"):
            client = server.connect()
            client.send(f"GET /secret HTTP/1.1\r\nHost: staff.example.com{port}\r\n\r\n".encode())
            server.idle()
            (answer,), _ = read_responses(client.read(), ["GET"])
            assert answer.status in (400, 401), port
    finally:
        server.close()
        table.close()


def test_lists_may_close_a_stream_whose_end_closes_the_engine(serve_epoll):
    """set_lists() outside a turn closed it while the engine could be closed under it."""
    refused = []

    def stream(req):
        def pieces():
            try:
                while True:
                    yield b""
            finally:
                for call in (server.engine.close, server.engine.turn):
                    try:
                        call()
                    except RuntimeError as problem:
                        refused.append(problem)
        return pieces()

    server = serve_epoll(handlers={"endless": stream})
    client = server.connect(peer=("192.0.2.1", 5))
    client.send(b"GET /endless HTTP/1.1\r\nHost: h\r\n\r\n")
    for _ in range(5):
        server.engine.turn(0)
    address = b"\0" * 10 + b"\xff\xff\xc0\0\2\1"
    server.engine.set_lists(_core.AddressList([(address, address)]), None)
    assert server.engine.running and len(refused) == 2


def test_page_that_looks_at_a_session_is_not_for_caches(visiting):
    """It said nothing of it unless it set a cookie: a proxy gave one visitor's page to another."""
    def said(req):
        req.set_header("Cache-Control", "max-age=5")
        return str(req.session.get("count"))

    site = visiting(handlers={**HANDLERS, "said": said, "plain": lambda req: "x"})
    visitor = site.visitor()
    visitor.get("/count")
    assert visitor.get("/show").get("Cache-Control") == "private, no-cache"
    assert visitor.get("/said").get("Cache-Control") == "max-age=5"
    assert visitor.get("/plain").get("Cache-Control") is None


def test_cookie_of_a_session_never_leaves_beside_public(visiting):
    def careless(req):
        req.session["a"] = 1
        return _core.Response("x", headers={"Cache-Control": "public, max-age=60"})

    site = visiting(handlers={"careless": careless})
    visitor = site.visitor()
    assert visitor.get("/careless").get("Cache-Control") == "private, no-cache"
    assert visitor.get("/careless").get("Cache-Control") == "public, max-age=60"


@pytest.mark.parametrize("fields", ["", "If-None-Match: \"x\"\r\n", "Range: bytes=0-1\r\n",
                                    "Range: bytes=0-0,2-3\r\n"])
def test_file_behind_a_rule_is_not_for_caches(visiting, fields):
    """It left as public for 90 days, to the proxy's next visitor too."""
    file = _core.Resource(b"secret", "text/plain", etag="x", modified=1, expires_s=1000,
                          cache_control="public, max-age=1000")
    site = visiting(handlers={"in": lambda req: req.session.login(5)},
                    statics=_core.Snapshot({"": {"/members/a": file, "/open": file}}),
                    auth_rules=[("", "/members", USER)])  # fmt: skip
    visitor = site.visitor()
    visitor.get("/in")
    name, _, value = fields.strip().partition(": ")
    more = {name: value} if name else {}
    answer = visitor.get("/members/a", **more)
    assert answer.status in (200, 206, 304)
    assert answer.get("Cache-Control") == "private, no-cache" and answer.get("Expires") is None
    answer = visitor.get("/open", **more)
    assert answer.get("Cache-Control") == "public, max-age=1000" and answer.get("Expires")


def test_who_asks_for_the_login_form_gets_a_place_in_a_full_table(visiting):
    """A flood of visitors who never came back shut out those who wanted to log in: the form begins
    a session for its token.
    """
    site = visiting(handlers={**HANDLERS, "login": lambda req: str(req.csrf_input())}, capacity=2)
    for _ in range(2):
        site.visitor().get("/count")
    assert site.visitor().get("/count").status == 503
    assert site.visitor().get("/login").status == 200
    assert site.stat("sessions_evicted") == 1


def test_id_after_a_login_is_that_of_the_cookie(visiting):
    """Who notes it at the login noted one that was gone when the answer left."""
    def enter(req):
        req.session.login(7)
        return req.session.id

    site = visiting(handlers={"enter": enter, **HANDLERS})
    visitor = site.visitor()
    visitor.get("/count")
    assert visitor.get("/enter").body.decode() == visitor.jar["ls"]


def test_login_over_anothers_login_logs_that_one_out(visiting):
    seen = []
    site = visiting(
        handlers={"a": lambda req: req.session.login(1, name="Ann"),
                  "b": lambda req: req.session.login(2, name="Ben")},
        events={"logout": lambda session: seen.append((session.uid, session.name))})  # fmt: skip
    visitor = site.visitor()
    visitor.get("/a")
    visitor.get("/b")
    assert seen == [(1, "Ann")]


def test_session_is_json_when_it_is_returned_and_equal_to_its_dict(visiting):
    def show(req):
        req.session["n"] = [1]
        assert req.session == {"n": [1]} and req.session != {"n": 2}
        assert req.session.copy() == {"n": [1]} and type(req.session.copy()) is dict
        return req.session

    site = visiting(handlers={"show": show})
    answer = site.visitor().get("/show")
    assert answer.body == b'{"n": [1]}' and answer.get("Content-Type") == "application/json"


@pytest.mark.parametrize("value", ["\ud800", object(), 1 << 70, {1: "\udfff"}, [object()]])
def test_what_a_session_cannot_hold_is_told_at_once_and_by_name(visiting, value):
    told = []

    def put(req):
        req.session["kept"] = 1
        try:
            req.session["odd"] = value
        except TypeError as problem:
            told.append(str(problem))
        return str(dict(req.session))

    site = visiting(handlers={"put": put})
    assert site.visitor().get("/put").body == b"{'kept': 1}"
    assert "odd" in told[0] and "session" in told[0]


def test_too_much_names_the_largest(visiting):
    def fill(req):
        cart = req.session.setdefault("cart", [])
        cart.append("x" * 500)
        return "full"

    site = visiting(handlers={"fill": fill})
    assert site.visitor().get("/fill").status == 500
    assert "'cart'" in str(site.app.problems[0])


def test_hook_that_looks_at_another_request_does_not_give_its_session_away(visiting):
    """on_session_stop read the session of a stream that was open: what had been found for it was
    taken for what the request brought, which then had the other visitor's login.
    """
    streams = []

    def stream(req):
        streams.append(req)

        def pieces():
            while True:
                yield b"x" * 65536       # nobody reads it: it waits
        return pieces()

    def told(session):
        if streams:
            assert streams[0].session.uid == 5
        return True

    site = visiting(
        handlers={"in": lambda req: req.session.login(5, 100), "endless": stream, **HANDLERS,
                  "secret": lambda req: "secret", "who": lambda req: str(req.session.uid)},
        events={"stop": told}, auth_rules=[("", "/secret", 100)],
        session_auth_timeout_s=10_000, send_timeout_ms=10_000_000)  # fmt: skip
    member, stranger, third = site.visitor(), site.visitor(), site.visitor()
    member.get("/in")
    stranger.get("/count")
    third.get("/count")
    open_one = site.server.connect()
    cookie = f"ls={member.jar['ls']}"
    open_one.send(f"GET /endless HTTP/1.1\r\nHost: example.org\r\nUser-Agent: {AGENT}\r\n"
                  f"Cookie: {cookie}\r\n\r\n".encode())
    for _ in range(5):
        site.server.engine.turn(0)
    _core.probe_clock(700_000)           # both are over, and only a look at them finds out
    assert stranger.get("/who").body == b"0"
    assert third.get("/secret").status == 401
    open_one.close()


def test_refused_visitor_is_rid_of_a_wrong_cookie(visiting):
    """He kept it, and was counted again for each picture behind the rule."""
    site = visiting(handlers=HANDLERS, auth_rules=[("", "/", USER)], key=b"k" * 32)
    for accept, status in (("text/html", 303), ("*/*", 401)):
        visitor = site.visitor(peer=("203.0.113.9", 4))
        visitor.jar["as"] = "x" * 40
        assert visitor.get("/show", Accept=accept).status == status
        assert "as" not in visitor.jar


def test_wrong_cookie_beside_a_session_is_not_counted(visiting):
    """A neighbour under the same domain can set one that nobody but he can delete."""
    site = visiting(handlers=HANDLERS, key=b"k" * 32)
    visitor = site.visitor(peer=("203.0.113.9", 4))
    visitor.get("/count")
    for _ in range(20):
        assert visitor.get("/show", cookie=f"ls={'x' * 40}; as={visitor.values[-1]}").status == 200
    assert site.app.blocked == []


def test_whole_segments_are_a_closer_match_than_a_beginning(visiting):
    """"/admin*" was sorted behind "/admin", and so opened it."""
    site = visiting(handlers={"in": lambda req: req.session.login(5, 10),
                              "admin": lambda req: "admin", "admin/x": lambda req: "x",
                              "administer": lambda req: "open"},
                    auth_rules=[("", "/admin*", 2), ("", "/admin", 50)])  # fmt: skip
    visitor = site.visitor()
    visitor.get("/in")
    assert visitor.get("/admin").status == visitor.get("/admin/x").status == 403
    assert visitor.get("/administer").status == 200
