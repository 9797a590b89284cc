"""Access rules: which level a path asks for, and what those meet who do not have it."""

from __future__ import annotations

import urllib.parse

import pytest
import wiresite
from harness import Application
from visitors import HANDLERS, HOST

from nodepp import _core

BOT = "Googlebot/2.1"
HTML = "text/html,application/xhtml+xml"
NONE, ANONYMOUS, LOGGED, USER, STAFF, ADMIN, ROOT, NOBODY = 0, 1, 2, 10, 30, 50, 100, 125


def log_in(req):
    req.session.login(int(req.query.get("uid", 7)), int(req.query["level"]))
    return req.next_url()


def page(req):
    return f"{req.path} {req.session.level}"


PAGES = {
    **HANDLERS, "login": log_in, "welcome": page, "admin": page, "admin/x": page,
    "admin/public": page, "admin/public/deep": page, "administrator": page, "staff": page,
    "echo": page, "echo/other": page,
}  # fmt: skip
RULES = [("", "/admin", ADMIN), ("", "/admin/public", NONE), ("", "/staff", STAFF)]


@pytest.fixture
def site(visiting):
    return visiting(handlers=PAGES, auth_rules=RULES)


def member(site, level: int):
    visitor = site.visitor()
    assert visitor.get(f"/login?level={level}").status == 200
    return visitor


def refused(response) -> bool:
    return response.status in (303, 401, 403)


# What is refused, and how.

@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_browser_that_is_not_logged_in_is_sent_to_the_login_page(site, method):
    response = site.visitor().ask(method, "/admin/x?a=1&b=%20c", Accept=HTML)
    assert response.status == 303
    location = response.get("Location")
    assert location.startswith("/login?next=")
    assert urllib.parse.unquote(location[len("/login?next="):]) == "/admin/x?a=1&b=%20c"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_browser_that_has_sent_something_finds_no_way_back(site, method):
    response = site.visitor().ask(method, "/admin", b"a=1", Accept=HTML)
    assert (response.status, response.get("Location")) == (303, "/login")


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "image/*"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_program_that_is_not_logged_in_is_told_so(site, method, accept):
    response = site.visitor().ask(method, "/admin", Accept=accept)
    assert response.status == 401
    assert response.get("WWW-Authenticate") == "Session"


@pytest.mark.parametrize("accept", ["", HTML])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_who_is_logged_in_but_too_low_is_forbidden(site, method, accept):
    visitor = member(site, USER)
    assert visitor.ask(method, "/admin", Accept=accept).status == 403
    assert visitor.get("/welcome").body == b"/welcome 10"


@pytest.mark.parametrize("level", [ADMIN, ADMIN + 1, ROOT])
def test_who_has_the_level_is_let_in(site, level):
    assert member(site, level).get("/admin/x").body == b"/admin/x %d" % level


def test_refusals_are_kept_by_no_cache(site):
    for visitor, accept in ((site.visitor(), HTML), (site.visitor(), ""), (member(site, 10), "")):
        cached = visitor.get("/admin", Accept=accept).get("Cache-Control")
        assert cached is not None and ("no-store" in cached or "no-cache" in cached)


def test_refused_visitor_gets_no_session(site):
    visitor = site.visitor()
    visitor.get("/admin", Accept=HTML)
    visitor.get("/admin")
    assert not visitor.jar and len(site.table) == 0


def test_handler_of_a_refused_request_is_not_called(visiting):
    called = []
    site = visiting(handlers={"admin": lambda req: called.append(1) or "x"}, auth_rules=RULES)
    for method in ("GET", "POST", "HEAD", "OPTIONS"):
        site.visitor().ask(method, "/admin")
    assert not called


def test_nobody_is_let_in_where_nobody_may_go(visiting):
    site = visiting(handlers=PAGES, auth_rules=[("", "/admin", NOBODY)])
    assert member(site, ROOT).get("/admin").status == 403


def test_an_anonymous_session_is_no_login(site):
    visitor = site.visitor()
    visitor.get("/count")
    assert visitor.get("/admin").status == 401
    assert visitor.get("/admin", Accept=HTML).status == 303


def test_logged_level_lets_in_whoever_is_logged_in(visiting):
    site = visiting(handlers=PAGES, auth_rules=[("", "/admin", LOGGED)])
    assert site.visitor().get("/admin").status == 401
    assert member(site, USER).get("/admin").status == 200


def test_login_that_has_ended_lets_nobody_in(site):
    visitor = member(site, ADMIN)
    assert visitor.get("/admin").status == 200
    site.skip(1801)
    assert visitor.get("/admin").status == 401


def test_body_of_a_refused_request_is_not_the_next_request(site):
    visitor = site.visitor()
    smuggled = b"GET /welcome HTTP/1.1\r\nHost: a\r\n\r\n"
    client = visitor.connection()
    client.exchange(visitor.bytes_of("POST", "/admin", smuggled)
                    + visitor.bytes_of("GET", "/nothing"))  # fmt: skip
    responses = client.responses("POST", "GET")
    assert [each.status for each in responses] in ([401, 200], [401])


# The way back.

@pytest.mark.parametrize(("given", "followed"), [
    ("/admin/x?a=1", "/admin/x?a=1"), ("/", "/"), ("", "/"), ("//evil.example", "/"),
    ("/\\evil.example", "/"), ("\\\\evil.example", "/"), ("https://evil.example/", "/"),
    ("javascript:alert(1)", "/"), ("evil", "/"), ("/a\r\nb: c", "/"), ("/a\0", "/"),
    ("/\t/evil.example", "/"), (" //evil.example", "/")])  # fmt: skip
def test_way_back_leads_to_this_site_only(site, given, followed):
    target = "/login?level=10&next=" + urllib.parse.quote(given, safe="")
    assert site.visitor().get(target).body == followed.encode()


def test_way_back_may_come_in_the_form(site):
    body = b"next=" + urllib.parse.quote("/admin", safe="").encode()
    assert site.visitor().post("/login?level=10", body).body == b"/admin"


def test_way_to_the_login_page_and_back(site):
    visitor = site.visitor()
    asked = visitor.get("/admin/x?q=%26%2F", Accept=HTML)
    back = visitor.get(asked.get("Location") + "&level=50")
    assert back.body == b"/admin/x?q=%26%2F"
    assert visitor.get(back.body.decode(), Accept=HTML).status == 200


def test_login_page_is_open_whatever_the_rules_say(visiting):
    site = visiting(handlers=PAGES, auth_rules=[("", "/", ADMIN)])
    assert site.visitor().get("/welcome").status == 401
    for target in ("/login?level=10", "/./login?level=10", "/%6cogin?level=10"):
        assert site.visitor().get(target).status == 200
    assert site.visitor().post("/login?level=10", b"a=b").status == 200
    assert site.visitor().get("/login/x").status == 401


def test_login_page_is_the_one_that_was_set(visiting):
    site = visiting(handlers={**PAGES, "enter": log_in}, auth_rules=[("", "/", ADMIN)],
                    login_path="/enter")  # fmt: skip
    assert site.visitor().get("/welcome", Accept=HTML).get("Location").startswith("/enter?next=")
    assert site.visitor().get("/enter?level=50").status == 200
    assert site.visitor().get("/login?level=50").status == 401


def test_way_back_with_strange_characters_is_one_parameter(site):
    target = "/admin/x?a='&next=//evil%0d%0aX:y;=(*)!$@,&%26%23"
    response = site.visitor().get(target, Accept=HTML)
    location = response.get("Location")
    assert set(location) <= set(urllib.parse.quote(target, safe="/") + "/login?next=")
    assert location.count("?") == 1 and location.count("&") == 0
    way = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query, keep_blank_values=True)
    assert way == {"next": [target]}


# Which rule counts.

@pytest.mark.parametrize(("path", "open_"), [
    ("/admin", False), ("/admin/", False), ("/admin/x", False), ("/admin/missing", False),
    ("/administrator", True), ("/adm", True), ("/", True), ("/welcome", True),
    ("/admin/public", True), ("/admin/public/deep", True), ("/admin/publicity", False),
    ("/admin?x=/admin/public", False), ("/admin/x?/public", False)])  # fmt: skip
def test_longest_rule_counts_by_whole_segments(site, path, open_):
    assert refused(site.visitor().get(path)) == (not open_)


@pytest.mark.parametrize("path", [
    "/./admin", "/x/../admin", "/admin/.", "/admin/public/..", "/admin/public/../x", "//admin",
    "///admin", "/admin//x", "//admin//x", "/%61dmin", "/a%64min/x", "/admin%2fx", "/%2e/admin",
    "/x/%2e%2e/admin", "/admin/public/%2E%2E/x", "/admin;x=1/..//admin", "/./././admin",
    "/admin/public/./../x", "/%2fadmin", "/admin/%70ublic/../x",
    f"http://{HOST}/admin", f"http://{HOST}//admin", f"http://{HOST}/./admin/x"])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_no_other_spelling_leads_past_a_rule(site, path, method):
    """Whatever path a handler would be found by is the one that the rules are asked about."""
    assert site.visitor().ask(method, path).status in (301, 308, 400, 401, 404)


def test_star_at_the_end_makes_a_plain_beginning(visiting):
    site = visiting(handlers=PAGES, auth_rules=[("", "/adm*", ADMIN), ("", "/admin/public", 0)])
    for path in ("/admin", "/administrator", "/adm", "/admin/x"):
        assert site.visitor().get(path).status == 401
    for path in ("/ad", "/welcome", "/admin/public"):
        assert site.visitor().get(path).status in (200, 404)


def test_rule_of_a_folder_may_end_with_a_slash(visiting):
    site = visiting(handlers=PAGES, auth_rules=[("", "/admin/", ADMIN)])
    assert site.visitor().get("/admin/x").status == 401
    assert site.visitor().get("/administrator").status == 200


def test_rule_of_the_whole_host_counts_where_no_other_does(visiting):
    site = visiting(handlers=PAGES,
                    auth_rules=[("", "", USER), ("", "/welcome", NONE), ("", "/admin", ADMIN)])
    assert site.visitor().get("/welcome").status == 200
    assert site.visitor().get("/count").status == 401
    assert member(site, USER).get("/count").status == 200
    assert member(site, USER).get("/admin").status == 403


def test_thousand_rules_are_as_good_as_one(visiting):
    rules = [("", f"/a{number}/b", ADMIN) for number in range(1000)]
    rules += [("", f"/a{number}", NONE) for number in range(0, 1000, 2)]
    rules += [("", f"/a{number}/b/c", NONE) for number in range(0, 1000, 3)]
    site = visiting(handlers=PAGES, auth_rules=rules)
    visitor = site.visitor()
    for number in (0, 1, 2, 3, 9, 10, 99, 100, 101, 998, 999):
        assert visitor.get(f"/a{number}/b").status == 401
        assert visitor.get(f"/a{number}/bc").status == 404
        assert visitor.get(f"/a{number}/b/c").status == (401 if number % 3 else 404)


@pytest.mark.parametrize("rules", [
    [("", "/admin", 256)], [("", "/admin", -1)], [("", "admin", 1)], [("", "/admin", "ADMIN")],
    [("", 5, 1)], [("", "/admin")], 5])  # fmt: skip
def test_rules_that_make_no_sense_are_refused(rules):
    table = _core.SessionTable(1, 16)
    engine = _core.Engine({"sessions": table, "auth_rules": rules}, _core.Router(), Application())
    with pytest.raises((ValueError, TypeError, AttributeError)):
        engine.open([])
    engine.close()
    table.close()


# Hosts.

def on_host(visitor, target: str, host: str, **fields):
    return visitor.ask("GET", target, Host=host, **fields)


def test_rule_of_a_host_counts_there_only(visiting):
    site = visiting(handlers=PAGES, auth_rules=[("intra.example", "/welcome", USER)])
    visitor = site.visitor()
    for host in ("intra.example", "INTRA.example", "intra.example:8080", "intra.example."):
        assert on_host(visitor, "/welcome", host).status == 401, host
    assert on_host(visitor, "/welcome", "other.example").status == 200


def test_host_may_open_what_the_main_one_guards(visiting):
    site = visiting(handlers=PAGES, auth_rules=[("", "/admin", ADMIN),
                                                ("open.example", "/admin", NONE)])  # fmt: skip
    visitor = site.visitor()
    assert on_host(visitor, "/admin", "open.example").status == 200
    assert on_host(visitor, "/admin", "any.example").status == 401


def test_what_the_main_host_guards_is_guarded_on_the_others(visiting):
    """Handlers answer on every host: another name of the machine must not lead past its rules."""
    site = visiting(handlers=PAGES, auth_rules=[("", "/admin", ADMIN),
                                                ("more.example", "/welcome", USER)])  # fmt: skip
    visitor = site.visitor()
    for host in ("more.example", "10.0.0.1", "[::1]", "[::1]:80", "localhost", "a.b.c.d.example"):
        assert on_host(visitor, "/admin", host).status == 401, host


def test_host_of_the_absolute_form_is_the_one_that_counts(visiting):
    """RFC 9112 §3.2.2: the Host field is ignored then."""
    site = visiting(handlers=PAGES, auth_rules=[("intra.example", "/welcome", USER)])
    visitor = site.visitor()
    assert on_host(visitor, "http://intra.example/welcome", "intra.example").status == 401
    assert on_host(visitor, "http://intra.example/welcome", "other.example").status in (400, 401)
    assert on_host(visitor, "http://other.example/welcome", "intra.example").status in (200, 400)


# Files.

@pytest.fixture(params=["memory", "disk"])
def files(request, tmp_path):
    return wiresite.snapshot(tmp_path if request.param == "disk" else None)


@pytest.mark.parametrize("target", [
    "/ten.txt", "/./ten.txt", "//ten.txt", "/%74en.txt", "/x/../ten.txt", "/big.txt"])  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_files_are_guarded_too(visiting, files, target, method):
    """Node++ served every file to everybody: rules were asked for handlers only."""
    site = visiting(handlers=PAGES, statics=files,
                    auth_rules=[("", "/ten.txt", USER), ("", "/big.txt", USER)])  # fmt: skip
    visitor = site.visitor()
    response = visitor.ask(method, target)
    assert response.status in (401, 404, 400) and b"0123" not in response.body
    allowed = member(site, USER).ask(method, target)
    assert allowed.status in (200, 404, 400)


def test_conditions_and_ranges_lead_past_no_rule(visiting, files):
    site = visiting(handlers=PAGES, statics=files, auth_rules=[("", "/ten.txt", USER)])
    visitor = site.visitor()
    for fields in ({"If_None_Match": '"ten"'}, {"Range": "bytes=0-1"}, {"If_Match": '"x"'},
                   {"If_Modified_Since": "Sun, 06 Nov 1994 08:49:37 GMT"},
                   {"Expect": "100-continue"}):  # fmt: skip
        assert visitor.get("/ten.txt", **fields).status == 401


def test_file_that_all_may_see_is_sent_as_ever(visiting, files):
    site = visiting(handlers=PAGES, statics=files, auth_rules=[("", "/admin", USER)])
    visitor = site.visitor()
    assert visitor.get("/ten.txt").body == b"0123456789"
    assert visitor.get("/ten.txt", If_None_Match='"ten"').status == 304
    assert not visitor.jar


def test_folder_is_guarded_with_its_files(visiting, files):
    site = visiting(handlers=PAGES, statics=files, auth_rules=[("", "/folder", USER)])
    visitor = site.visitor()
    for target in ("/folder", "/folder/", "/folder/index.html"):
        assert visitor.get(target).status == 401
    assert member(site, USER).get("/folder/").body == b"<p>page"


# The level ANONYMOUS.

def test_anonymous_level_begins_a_session_for_handlers(visiting, files):
    site = visiting(handlers=PAGES, statics=files, auth_rules=[("", "", ANONYMOUS)])
    visitor = site.visitor()
    assert visitor.get("/welcome").body == b"/welcome 1"
    assert list(visitor.jar) == ["as"] and len(site.table) == 1
    visitor.get("/nothing")
    assert len(site.table) == 1 and not visitor.set


def test_anonymous_level_begins_none_for_files_heads_and_bots(visiting, files):
    site = visiting(handlers=PAGES, statics=files, auth_rules=[("", "", ANONYMOUS)])
    for visitor, method, target in (
        (site.visitor(), "GET", "/ten.txt"), (site.visitor(), "HEAD", "/welcome"),
        (site.visitor(BOT), "GET", "/welcome"), (site.visitor(), "HEAD", "/ten.txt"),
    ):  # fmt: skip
        assert visitor.ask(method, target).status == 200
        assert not visitor.jar
    assert len(site.table) == 0


def test_anonymous_level_of_a_full_table_is_a_503(visiting):
    site = visiting(handlers=PAGES, capacity=1, auth_rules=[("", "/welcome", ANONYMOUS)])
    site.visitor().get("/welcome")
    assert site.visitor().get("/welcome").status == 503
    assert site.visitor().get("/nothing").status == 200


def test_rules_without_sessions_are_refused_at_the_start():
    engine = _core.Engine({"auth_rules": [("", "/a", USER)]}, _core.Router(), Application())
    with pytest.raises(ValueError):
        engine.open([])
    engine.close()
