"""Forged requests: a page of somebody else makes a browser send what its visitor never meant."""

from __future__ import annotations

import re
import urllib.parse

import pytest
from harness import Application
from visitors import HANDLERS, HOST

from nodepp import _core

UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


def token(req):
    return req.csrf_token


def form(req):
    return req.csrf_input()


def change(req):
    req.session["changed"] = True
    return "changed"


def unchecked(req):
    return "unchecked"


unchecked.flags = 8                              # FLAG_NO_CSRF

PAGES = {**HANDLERS, "token": token, "form": form, "change": change, "hook": unchecked}


@pytest.fixture
def site(visiting):
    return visiting(handlers=PAGES, csrf=True)


@pytest.fixture
def visitor(site):
    """One who has seen a page with a token."""
    visitor = site.visitor()
    visitor.token = visitor.get("/token").body.decode()
    return visitor


def body_of(value: str) -> bytes:
    return b"a=1&csrft=" + urllib.parse.quote(value, safe="").encode()


def multipart(value: str) -> dict:
    body = (f'--b\r\nContent-Disposition: form-data; name="csrft"\r\n\r\n{value}\r\n--b--\r\n')
    return {"body": body.encode(), "Content_Type": "multipart/form-data; boundary=b"}


def test_flag_is_what_routes_say():
    assert unchecked.flags == _core.FLAG_NO_CSRF


@pytest.mark.parametrize("method", UNSAFE)
def test_token_in_a_field_lets_in(visitor, method):
    assert visitor.ask(method, "/change", X_CSRF_Token=visitor.token).body == b"changed"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_token_in_the_form_lets_in(visitor, method):
    assert visitor.ask(method, "/change", body_of(visitor.token)).body == b"changed"
    assert visitor.ask(method, "/change", **multipart(visitor.token)).body == b"changed"


@pytest.mark.parametrize("method", UNSAFE)
def test_without_a_token_nothing_is_changed(site, visitor, method):
    assert visitor.ask(method, "/change").status == 403
    assert visitor.ask(method, "/change", b"a=1").status == 403
    assert visitor.ask(method, "/change?csrft=" + visitor.token).status == 403
    assert isinstance(site.app.problems[0], _core.CsrfError)
    assert visitor.get("/show").body == b"{}"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_need_none(visitor, method):
    assert visitor.ask(method, "/nothing", Sec_Fetch_Site="cross-site").status < 400


@pytest.mark.parametrize("method", UNSAFE)
def test_route_may_do_without(site, method):
    stranger = site.visitor()
    response = stranger.ask(method, "/hook", b"{}", Origin="https://other.example")
    assert response.body == b"unchecked" and not stranger.jar


def test_off_unless_switched_on(visiting):
    site = visiting(handlers=PAGES)
    assert site.visitor().post("/change", Origin="https://evil.example").body == b"changed"


@pytest.mark.parametrize("wrong", [
    "", "x", "null", "undefined", "A" * 16, "A" * 32, "A" * 1000, "\u00e9" * 16, "=" * 32,
])  # fmt: skip
def test_wrong_token_is_refused(visitor, wrong):
    assert visitor.post("/change", body_of(wrong)).status == 403
    if wrong.isascii():
        assert visitor.post("/change", X_CSRF_Token=wrong).status == 403


def test_altered_token_is_refused(visitor):
    for place in range(len(visitor.token)):
        letter = "A" if visitor.token[place] != "A" else "B"
        wrong = visitor.token[:place] + letter + visitor.token[place + 1:]
        assert visitor.post("/change", X_CSRF_Token=wrong).status == 403
    for wrong in (visitor.token[:-1], visitor.token + "A", visitor.token[::-1]):
        assert visitor.post("/change", X_CSRF_Token=wrong).status == 403


def test_token_of_another_visitor_is_refused(site, visitor):
    other = site.visitor()
    other.get("/token")
    assert other.post("/change", X_CSRF_Token=visitor.token).status == 403


def test_token_of_a_visitor_without_a_session_is_refused(site, visitor):
    """In Node++ an empty token passed where there was no session."""
    stranger = site.visitor()
    for value in ("", visitor.token, "A" * 16):
        assert stranger.post("/change", body_of(value)).status == 403
        assert stranger.post("/change", X_CSRF_Token=value).status == 403


def test_token_is_another_text_each_time_and_all_of_them_count(visiting):
    """What stays the same in a compressed page can be guessed from its length (BREACH)."""
    site = visiting(handlers=PAGES, csrf=True)
    visitor = site.visitor()
    tokens = [visitor.get("/token").body.decode() for _ in range(20)]
    assert len(set(tokens)) == 20
    for position in range(len(tokens[0])):
        assert len({each[position] for each in tokens}) > 3, "a character that never changes"
    for each in tokens:
        assert re.fullmatch(r"[A-Za-z0-9_-]+", each)
        assert visitor.post("/change", X_CSRF_Token=each).body == b"changed"


def test_token_is_not_the_id(visitor):
    assert visitor.jar["as"] not in visitor.token and visitor.token not in visitor.jar["as"]


def test_token_stays_for_the_session_and_ends_with_it(site, visitor):
    site.skip(500)
    assert visitor.post("/change", X_CSRF_Token=visitor.token).status == 200
    site.skip(700)
    assert visitor.post("/change", X_CSRF_Token=visitor.token).status == 403


def test_token_can_be_made_anew(visiting):
    def refresh(req):
        req.session.refresh_csrf()
        return req.csrf_token

    site = visiting(handlers={**PAGES, "refresh": refresh}, csrf=True)
    visitor = site.visitor()
    old = visitor.get("/token").body.decode()
    new = visitor.get("/refresh").body.decode()
    assert visitor.post("/change", X_CSRF_Token=old).status == 403
    assert visitor.post("/change", X_CSRF_Token=new).status == 200


def test_check_by_hand(visiting):
    def check(req):
        session = req.session
        assert session.check_csrf(session.csrf_token) and session.check_csrf(req.csrf_token)
        for wrong in ("", "x", session.csrf_token[1:], session.csrf_token + "x", "\u00e9"):
            assert not session.check_csrf(wrong)
        return "ok"

    site = visiting(handlers={"check": check})
    assert site.visitor().get("/check").body == b"ok"


def test_input_is_a_hidden_field_with_the_token(site):
    visitor = site.visitor()
    match = re.fullmatch(r'<input type="hidden" name="csrft" value="([A-Za-z0-9_-]+)">',
                         visitor.get("/form").body.decode())
    assert match
    assert visitor.post("/change", body_of(match[1])).body == b"changed"


def test_token_begins_a_session(site):
    visitor = site.visitor()
    visitor.get("/token")
    assert list(visitor.jar) == ["as"] and len(site.table) == 1


# What the browser says of the page.

@pytest.mark.parametrize(("fields", "passes"), [
    ({}, True),
    ({"Sec_Fetch_Site": "same-origin"}, True),
    ({"Sec_Fetch_Site": "none"}, True),
    ({"Sec_Fetch_Site": "same-site"}, False),
    ({"Sec_Fetch_Site": "cross-site"}, False),
    ({"Sec_Fetch_Site": "nonsense"}, False),
    ({"Sec_Fetch_Site": "cross-site", "Origin": f"http://{HOST}"}, False),
    ({"Origin": f"http://{HOST}"}, True),
    ({"Origin": f"https://{HOST}"}, True),
    ({"Origin": f"http://{HOST.upper()}"}, True),
    ({"Origin": "https://evil.example"}, False),
    ({"Origin": f"https://evil.{HOST}"}, False),
    ({"Origin": f"https://{HOST}.evil.example"}, False),
    ({"Origin": f"https://evil.example/{HOST}"}, False),
    ({"Origin": f"https://{HOST}:8443"}, False),
    ({"Origin": f"https://{HOST}@evil.example"}, False),
    ({"Origin": HOST}, False),
    ({"Origin": "null"}, False),
    ({"Origin": "://"}, False),
    ({"Referer": "https://evil.example/"}, True),
])  # fmt: skip
def test_page_of_another_site_is_refused_even_with_a_token(visitor, fields, passes):
    response = visitor.post("/change", X_CSRF_Token=visitor.token, **fields)
    assert response.status == (200 if passes else 403)


def test_origin_names_the_host_with_its_port(visitor):
    for origin, status in ((f"http://{HOST}:8080", 200), (f"http://{HOST}", 403),
                           (f"http://{HOST}:80800", 403)):  # fmt: skip
        response = visitor.post("/change", X_CSRF_Token=visitor.token, Origin=origin,
                                Host=f"{HOST}:8080")  # fmt: skip
        assert response.status == status


def test_field_counts_before_the_form(visitor):
    assert visitor.post("/change", body_of(visitor.token), X_CSRF_Token="x").status == 403


def test_refused_request_leaves_its_session_alone(site, visitor):
    (before,) = site.table.ids()
    visitor.post("/change", X_CSRF_Token="x")
    assert site.table.ids() == [before]
    assert visitor.post("/change", X_CSRF_Token=visitor.token).body == b"changed"


def test_handler_of_a_refused_request_is_not_called(visiting):
    called = []
    site = visiting(handlers={"change": lambda req: called.append(1) or "x"}, csrf=True)
    for method in UNSAFE:
        assert site.visitor().ask(method, "/change").status == 403
    assert not called and len(site.table) == 0


def test_csrf_without_sessions_is_refused_at_the_start():
    engine = _core.Engine({"csrf": True}, _core.Router(), Application())
    with pytest.raises(ValueError):
        engine.open([])
    engine.close()
