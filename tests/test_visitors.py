"""What an application says of its visitors: levels of paths, data of sessions, events."""

from __future__ import annotations

from typing import Annotated

import msgspec
import pytest

from nodepp import App, AuthLevel, CsrfError, HTTPError, RouteError, Session, SessionsExhausted
from nodepp.config import load
from nodepp.testing import Client
from nodepp.visitors import rule_warnings

HTML = {"accept": "text/html"}


@pytest.fixture
def app():
    app = App()
    app.get("/")(lambda req: {"level": req.session.level, "uid": req.session.uid})
    app.get("/count")(lambda req: {"count": req.session.add("count")})
    app.get("/in/{level:int}")(lambda req, level: req.session.login(1, level, "Ann"))
    app.get("/out")(lambda req: req.session.logout())
    app.get("/admin")(lambda req: "admin")
    app.get("/admin/users")(lambda req: "users")
    app.get("/administrator")(lambda req: "somebody else")
    app.get("/login")(lambda req: req.next_url())
    return app


def rules_of(app, **settings):
    given = [(name, str(value), name) for name, value in settings.items()]
    return app.auth_rules(load(given, {}, conf=""))


# --- levels ---------------------------------------------------------------------------------------


def test_a_path_and_all_below_it_asks_for_its_level(app):
    app.require_auth("/admin", AuthLevel.ADMIN)
    client = Client(app)
    for path in ("/admin", "/admin/users"):
        assert client.get(path).status == 401
        assert client.get(path, headers=HTML).headers["location"] == f"/login?next={path}"
    assert client.get("/administrator").text == "somebody else"
    client.get("/in/20")
    assert client.get("/admin").status == 403
    client.get("/in/50")
    assert client.get("/admin/users").text == "users"
    client.get("/out")
    assert client.get("/admin").status == 401


@pytest.mark.parametrize(
    ("path", "rule"),
    [("/admin", "/admin"), ("admin", "/admin"), ("/admin/", "/admin"), ("/admin/*", "/admin/*"),
     ("adm*", "/adm*"), ("", ""), ("/", ""), ("*", ""), ("/*", ""), ("/café", "/café")],
)
def test_a_rule_is_written_as_people_write_paths(path, rule):
    app = App()
    app.require_auth(path, 10)
    assert ("", rule, 10) in rules_of(app)


@pytest.mark.parametrize(
    ("level", "number"),
    [("ADMIN", 50), ("admin", 50), ("AUTH_LEVEL_STAFF", 30), (AuthLevel.ROOT, 100), (25, 25),
     ("25", 25), (0, 0)],
)
def test_a_level_is_a_name_or_a_number(level, number):
    app = App()
    app.require_auth("/x", level)
    assert ("", "/x", number) in rules_of(app)


@pytest.mark.parametrize(
    ("path", "level", "host", "message"),
    [
        ("/x?a=1", 10, "", "a query is not part of a path"),
        ("/a/*/b", 10, "", "a rule is for a path and all below it"),
        ("/user/{id}", 10, "", "means nothing in it"),
        ("/../x", 10, "", "dot segments"),
        (5, 10, "", "is a str, not int"),
        ("/x", "ADMINN", "", "'ADMINN' is no level; there are NONE"),
        ("/x", 126, "", "0 to 125"),
        ("/x", -1, "", "0 to 125"),
        ("/x", True, "", "no level"),
        ("/x", None, "", "no level"),
        ("/x", 10, "shop.example", "there is no host 'shop.example': app.add_host"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_at_once(path, level, host, message):
    with pytest.raises(RouteError, match=message):
        App().require_auth(path, level, host)


def test_a_path_asks_for_one_level():
    app = App()
    app.require_auth("/x", 10)
    app.require_auth("x/", "USER")                  # the same, said again: npp_app_init runs again
    with pytest.raises(RouteError, match="it asks for level 10 already"):
        app.require_auth("/x", 20)


def test_there_are_a_thousand_rules_at_most():
    app = App()
    for number in range(1000):
        app.require_auth(f"/{number}", 10)
    with pytest.raises(RouteError, match="1000 rules"):
        app.require_auth("/more", 10)


def test_the_setting_is_the_rule_for_everything_and_is_not_undercut():
    app = App()
    app.require_auth("/open", "NONE")
    assert rules_of(app, requiredAuthLevel="USER") == [("", "/open", 0), ("", "", 10)]
    app.require_auth("/", "STAFF")
    assert ("", "", 30) in rules_of(app, requiredAuthLevel="USER")
    with pytest.raises(RouteError, match="level 30 for everything, but requiredAuthLevel is 50"):
        rules_of(app, requiredAuthLevel="ADMIN")


def test_with_a_level_for_everything_only_the_login_page_is_open(app):
    client = Client(app, session_settings={"required_auth_level": "USER"})
    assert client.get("/count").status == 401
    assert client.get("/login?next=/count").text == "/count"
    client = Client(app, session_settings={"requiredAuthLevel": 10, "loginPath": "/in/10"})
    assert client.get("/count", headers=HTML).headers["location"].startswith("/in/10?next=")
    assert client.get("/in/10").status == 200
    assert client.get("/count").json() == {"count": 1}


def test_a_host_has_a_level_and_rules_of_its_own(app):
    app.add_host("shop.example", required_auth_level="STAFF")
    app.require_auth("/count", "NONE", host="shop.example")
    app.require_auth("/admin", "ADMIN")
    client = Client(app)
    assert client.get("http://shop.example/").status == 401
    assert client.get("http://www.shop.example/").status == 401
    assert client.get("http://shop.example/count").status == 200
    assert client.get("http://shop.example/admin").status == 401
    assert client.get("http://localhost/").status == 200


def test_a_host_with_a_level_that_is_none_is_not_added(app):
    with pytest.raises(RouteError, match="is no level"):
        app.add_host("shop.example", required_auth_level="STUFF")
    assert not app.declared.hosts


def test_files_are_guarded_as_routes_are(app, tmp_path):
    (tmp_path / "admin").mkdir()
    (tmp_path / "admin" / "secret.txt").write_text("secret")
    app.require_auth("/admin", "ADMIN")
    client = Client(app, res=str(tmp_path))
    assert client.get("/admin/secret.txt").status == 401
    client.get("/in/50")
    assert client.get("/admin/secret.txt").text == "secret"


def test_rules_may_be_added_in_on_start_and_not_while_it_serves(app):
    @app.on_start
    def guard():
        app.require_auth("/admin", "ADMIN")

    @app.get("/more")
    def more(req):
        app.require_auth("/count", 10)

    client = Client(app, raise_exceptions=True)
    assert client.get("/admin").status == 401
    with pytest.raises(RouteError, match="the application is running"):
        client.get("/more")


# --- what a session keeps -------------------------------------------------------------------------


def test_a_declared_class_is_what_sessions_are(app):
    @app.session_data
    class Visitor:
        hits: int = 0
        nick: Annotated[str, 10] = "guest"

        def greet(self):
            self.hits += 1
            return f"{self.nick} {self.hits}"

    app.get("/greet")(lambda req: req.session.greet())
    assert issubclass(Visitor, Session)
    with Client(app, raise_exceptions=True) as client:
        assert [client.get("/greet").text for _ in range(3)] == ["guest 1", "guest 2", "guest 3"]
        client.cookies.clear()
        assert client.get("/greet").text == "guest 1"


def test_a_second_class_and_a_field_that_cannot_be_kept_are_refused():
    app = App()

    class Wrong:
        cart: list = []                             # noqa: RUF012

    with pytest.raises(TypeError, match=r"Wrong\.cart: a field is an int"):
        app.session_data(Wrong)

    class Right:
        count: int = 0

    app.session_data(Right)
    with pytest.raises(RouteError, match="Right is there already"):
        app.session_data(Right)


# --- events ---------------------------------------------------------------------------------------


def test_events_come_in_order_with_their_subjects(app):
    seen = []
    app.on_session_start(lambda req: seen.append(("start", req.path, req.session.exists)))
    app.on_login(lambda req: seen.append(("login", req.session.uid, req.session.name)))
    app.on_logout(lambda session: seen.append(("logout", session.uid, session["count"])))
    app.on_session_stop(lambda session: seen.append(("stop", dict(session.items()))))
    with Client(app, raise_exceptions=True) as client:
        for path in ("/count", "/in/10", "/", "/out"):
            client.get(path)
    assert seen == [("start", "/count", True), ("login", 1, "Ann"), ("logout", 1, 1),
                    ("stop", {"count": 1})]


def test_only_events_that_somebody_listens_to_are_asked_for(app):
    assert app.host.session_events == frozenset()
    app.on_login(lambda req: None)
    app.on_session_stop(lambda session: None)
    assert app.host.session_events == {"login", "stop"}


def test_a_session_that_is_refused_is_a_500_and_not_there(app):
    app.on_session_start(lambda req: req.query.get("yes") is not None)
    client = Client(app)
    answer = client.get("/count")
    assert (answer.status, answer.headers.get("set-cookie")) == (500, None)
    assert client.get("/count?yes=1").json() == {"count": 1}


def test_an_event_that_fails_is_logged_and_the_others_come(app):
    lines, seen = [], []
    app.host.log = lambda level, text: lines.append((level, text))

    @app.on_login
    def fails(req):
        raise KeyError("greeting")

    app.on_login(lambda req: seen.append(req.session.uid))

    @app.on_logout
    def fails_too(session):
        raise ValueError("goodbye")

    with Client(app) as client:
        assert client.get("/in/10").status == 200
        assert client.get("/out").status == 200
    assert seen == [1]
    assert [(level, text.split("\n")[0]) for level, text in lines] == [
        (1, "on_login fails(req): KeyError: 'greeting'"),
        (1, "on_logout fails_too(session): ValueError: goodbye")]


def test_an_event_of_the_start_that_fails_refuses_the_session(app):
    lines = []
    app.host.log = lambda level, text: lines.append(text)

    @app.on_session_start
    def fails(req):
        raise KeyError("no such shop")

    assert Client(app).get("/count").status == 500
    assert lines[0].startswith("on_session_start fails(req): KeyError")
    with pytest.raises(KeyError, match="no such shop"):
        Client(app, raise_exceptions=True).get("/count")


# --- the login page ------------------------------------------------------------------------------


def warned(app, tmp_path=None, **settings):
    client = Client(app, res=str(tmp_path) if tmp_path else None)
    client.get("/")
    given = [(name, str(value), name) for name, value in settings.items()]
    return "\n".join(rule_warnings(app, load(given, {}, conf="")))


def test_nothing_is_said_of_a_login_page_that_nobody_is_sent_to():
    app = App()
    app.require_auth("/basket", AuthLevel.ANONYMOUS)
    app.require_auth("/open", AuthLevel.NONE)
    assert warned(app) == ""


@pytest.mark.parametrize(
    ("path", "is_there"),
    [("/login", True), ("/{page}", True), ("/{rest:path}", True), ("/log{what}", True),
     ("/", False), ("/login/{name}", False), ("/x/{rest:path}", False), ("/{a}/{b}", False),
     ("/login/", False), ("/{name}.html", False)],
)
def test_a_login_page_is_what_a_route_for_get_takes(path, is_there):
    for method in ("GET", "POST"):
        app = App()
        app.route(path, method)(lambda req, **given: "")
        app.require_auth("/members", AuthLevel.LOGGED)
        assert bool(warned(app)) == (not is_there or method == "POST")


def test_a_login_page_may_be_a_file_or_a_folder_of_any_host(tmp_path):
    (tmp_path / "enter").mkdir()
    (tmp_path / "enter" / "index.html").write_text("login")
    (tmp_path / "in.html").write_text("login")
    for path in ("/enter", "/enter/", "/in.html"):
        app = App()
        app.require_auth("", AuthLevel.USER)
        assert warned(app, tmp_path, loginPath=path) == ""
        assert warned(app, tmp_path) == (
            "Nothing answers loginPath=/login, and browsers are sent there that must log in for"
            " everything. Add a route, or set loginPath.")
    app = App()
    app.add_host("shop.example.com", res=str(tmp_path), required_auth_level="USER")
    assert warned(app, loginPath="/in.html") == ""


def test_a_setting_sends_to_the_login_page_too_and_the_fallback_answers_for_it():
    app = App()
    assert "that must log in for everything" in warned(app, requiredAuthLevel="USER")
    app = App()
    app.set_fallback(lambda req: "")
    assert warned(app, requiredAuthLevel="USER") == ""


@pytest.mark.parametrize(
    ("path", "level", "main", "is_said"),
    [("/adm", "ADMIN", None, True), ("/adm", "ADMIN", ("/adm", "USER"), True),
     ("/adm", "ADMIN", ("/adm", "ADMIN"), False), ("/adm", "ADMIN", ("", "ROOT"), False),
     ("/ad*", "ADMIN", None, True), ("", "USER", None, True), ("/adm/x", "ADMIN", None, True),
     ("/admin", "ADMIN", None, False), ("/adm", "NONE", ("/adm", "USER"), False),
     ("/adm", "ADMIN", ("/ad*", "ADMIN"), False)],
)  # fmt: skip
def test_a_rule_of_one_host_does_not_close_a_route_and_that_is_said(path, level, main, is_said):
    """Routes are the same on all hosts, and a client says what host it likes."""
    app = App()
    app.get("/login")(lambda req: "")
    app.get("/adm/x")(lambda req: "open")
    app.add_host("shop.example.com")
    app.require_auth(path, level, host="shop.example.com")
    if main:
        app.require_auth(*main)
    text = (f"app.require_auth({path or '/'!r}, …, host='shop.example.com') does not close"
            f" {'/login' if not path else '/adm/x'}: routes answer on every host. Add a rule"
            " without host.")
    assert warned(app) == (text if is_said else "")


# --- forms ----------------------------------------------------------------------------------------


@pytest.fixture
def forms(app):
    app.get("/form")(lambda req: req.csrf_token)
    for register in (app.post, app.put, app.patch, app.delete):
        register("/form")(lambda req: req.method)
        register("/hook", csrf=False)(lambda req: "called back")
    app.route("/both", ("GET", "POST"), csrf=False)(lambda req: "both")
    return app


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_unsafe_methods_need_the_token_unless_their_route_does_not(forms, method):
    client = Client(forms, session_settings={"csrf": True})
    token = client.get("/form").text
    assert client.request(method, "/form").status == 403
    assert client.request(method, "/form", headers={"X-CSRF-Token": token}).text == method
    assert client.request(method, "/hook").text == "called back"
    assert client.post("/both").text == "both"


def test_what_the_csrf_check_found_is_on_the_page_and_one_line_of_the_log(forms):
    lines = []
    forms.host.log = lambda level, text: lines.append((level, text))
    answer = Client(forms, session_settings={"csrf": 1}).post("/form", headers=HTML)
    assert answer.status == 403
    assert "token" in answer.text
    ((level, text),) = lines
    assert level == 3
    assert text == "POST /form: 403, csrf: there is no session that a token could be of"


def test_the_log_says_that_bots_have_no_session_that_a_token_could_be_of(forms):
    """curl -c and -b are what the guides say, and curl counts as one."""
    lines = []
    forms.host.log = lambda level, text: lines.append(text)
    client = Client(forms, session_settings={"csrf": 1}, headers={"User-Agent": "curl/8.5"})
    assert client.post("/form").status == 403
    assert lines[-1].startswith("POST /form: 403, csrf: ")
    assert "bot" in lines[-1] and "sessionsForBots" in lines[-1]


def test_an_application_may_answer_for_both_errors_of_sessions(forms):
    seen = []

    @forms.error(CsrfError, SessionsExhausted)
    def refused(req, exc):
        seen.append((type(exc), req.status))
        return "mine"

    client = Client(forms, session_settings={"csrf": True, "max_sessions": 1})
    assert client.post("/form").text == "mine"
    client.get("/count")
    client.cookies.clear()
    answer = client.get("/count")
    assert (answer.status, answer.text) == (503, "mine")
    assert seen == [(CsrfError, 403), (SessionsExhausted, 503)]


def test_a_full_table_is_a_503_that_says_when_to_come_again(app):
    lines = []
    app.host.log = lambda level, text: lines.append(text)
    client = Client(app, session_settings={"max_sessions": 1})
    client.get("/count")
    client.cookies.clear()
    answer = client.get("/count", headers={"accept": "application/json"})
    assert answer.status == 503
    assert answer.headers["retry-after"] == "30"
    assert answer.json()["error"] == "Service Unavailable"
    assert not any("SessionsExhausted" in line for line in lines)   # no traceback


def test_a_handler_that_is_an_error_itself_is_still_one(app):
    app.get("/gone")(lambda req: (_ for _ in ()).throw(HTTPError(410)))
    assert Client(app).get("/gone").status == 410


# --- values ---------------------------------------------------------------------------------------


def test_values_are_packed_by_the_library_from_the_second_time_on():
    host = App().host
    data = {"a": 1, "b": [None, True, 1.5, "ü", b"x"], "c": {"d": -(1 << 63)}}
    assert host.session_unpack(host.session_pack(data)) == data
    assert type(host.session_pack).__name__ == "builtin_function_or_method"
    assert type(host.session_unpack).__name__ == "builtin_function_or_method"
    with pytest.raises(TypeError):
        host.session_pack({"x": object()})
    for damaged in (b"", b"\xff", host.session_pack({"a": 1})[:-1], b"\x01"):
        with pytest.raises(msgspec.DecodeError):
            host.session_unpack(damaged)


def test_blocking_is_logged_without_a_server():
    app, lines = App(), []
    app.host.log = lambda level, text: lines.append((level, text))
    app.host.address_blocked("192.0.2.1", "10 forged session ids within a minute", 60)
    assert lines == [(2, "192.0.2.1 is blocked for 60 s: 10 forged session ids within a minute")]
