"""The Node++ way: sessions, levels, CSRF."""

from __future__ import annotations

import re
import types
from typing import Annotated

import pytest

from nodepp import AuthLevel, RouteError, npp
from nodepp.macros import state
from nodepp.npp import app_from_module
from nodepp.testing import Client


def module(main, **names):
    """A module as a user would write it, with `from nodepp.npp import *` at its top."""
    made = types.ModuleType("shop")
    for name in npp.__all__:
        setattr(made, name, getattr(npp, name))
    made.npp_app_main = main
    for name, value in names.items():
        setattr(made, name, value)
    return made


@pytest.fixture(autouse=True)
def defaults():
    """#defines are kept in nodepp.npp: none may be left over for the next test."""
    yield
    app_from_module(module(lambda: None))


@pytest.fixture
def visit():
    """visit(main, **names) gives a client of that module; all are closed in the end."""
    clients = []

    def make(main, session_settings=None, raise_exceptions=True, **names):
        clients.append(Client(module(main, **names), raise_exceptions=raise_exceptions,
                              session_settings=session_settings))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def log_in(level=npp.AUTH_LEVEL_USER):
    npp.REQUEST.session.login(7, level, "ann")


# --- SESSION --------------------------------------------------------------------------------------


def test_without_a_session_its_fields_are_empty(visit):
    seen = []

    def main():
        seen.append((bool(npp.IS_SESSION), npp.SESSION.sessid, npp.SESSION.auth_level,
                     npp.SESSION.user_id, npp.SESSION.login, npp.SESSION.last_activity))
        seen.append((bool(npp.LOGGED), npp.UID == 0, int(npp.UID), bool(npp.ADMIN)))

    assert "set-cookie" not in visit(main).get("/").headers
    assert seen == [(False, "", 0, 0, "", 0), (False, True, 0, False)]


def test_a_session_has_the_fields_of_node_plus_plus(visit):
    seen = []

    def main():
        log_in()
        fields = npp.SESSION
        seen.append((bool(npp.IS_SESSION), len(fields.sessid), fields.auth_level, fields.user_id,
                     fields.login, fields.name, fields.last_activity > 0, len(fields.csrft) > 20))
        seen.append((fields.ip, fields.uagent, fields.referer, fields.lang))
        npp.OUT("%s is %d", npp.SESSION.name, npp.UID)

    answer = visit(main).get("/", headers={
        "User-Agent": "test", "Referer": "http://localhost/from", "Accept-Language": "de"})
    assert answer.text == "ann is 7"
    assert seen[0] == (True, 40, 10, 7, "ann", "ann", True, True)
    assert seen[1] == ("127.0.0.1", "test", "http://localhost/from", "DE")


def test_what_a_session_does_not_have_is_said(visit):
    with pytest.raises(AttributeError, match=r"SESSION has no email: .* SESSION_DATA"):
        visit(lambda: npp.SESSION.email).get("/")


@pytest.mark.parametrize(
    ("level", "true"),
    [
        (2, {"LOGGED", "LOGGEDIN", "AUTHENTICATED"}),
        (20, {"LOGGED", "LOGGEDIN", "AUTHENTICATED", "CUSTOMER"}),
        (30, {"LOGGED", "LOGGEDIN", "AUTHENTICATED", "STAFF"}),
        (40, {"LOGGED", "LOGGEDIN", "AUTHENTICATED", "MODERATOR"}),
        (50, {"LOGGED", "LOGGEDIN", "AUTHENTICATED", "ADMIN"}),
        (100, {"LOGGED", "LOGGEDIN", "AUTHENTICATED", "ROOT"}),
    ],
)
def test_a_level_is_exactly_that_one(visit, level, true):
    seen = set()

    def main():
        log_in(level)
        for name in ("LOGGED", "LOGGEDIN", "AUTHENTICATED", "CUSTOMER", "STAFF", "MODERATOR",
                     "ADMIN", "ROOT"):
            if getattr(npp, name):
                seen.add(name)

    visit(main).get("/")
    assert seen == true


def test_the_numbers_are_those_of_node_plus_plus():
    for name in ("NONE", "ANONYMOUS", "LOGGED", "LOGGEDIN", "AUTHENTICATED", "USER", "CUSTOMER",
                 "STAFF", "MODERATOR", "ADMIN", "ROOT", "NOBODY"):
        assert getattr(npp, f"AUTH_LEVEL_{name}") == AuthLevel[name]
    assert (npp.OK, npp.ERR_INT_SERVER_ERROR, npp.ERR_SERVER_TOOBUSY, npp.ERR_CSRFT) == (
        0, 6, 7, 15)
    flags = npp.AUTH_CREATE | npp.AUTH_UPDATE
    assert [test(flags) for test in (npp.IS_AUTH_CREATE, npp.IS_AUTH_READ, npp.IS_AUTH_UPDATE,
                                     npp.IS_AUTH_DELETE)] == [True, False, True, False]
    assert npp.IS_AUTH_DELETE(npp.AUTH_FULL)
    assert not npp.IS_AUTH_READ(npp.AUTH_NONE)


# --- SESSION_DATA ---------------------------------------------------------------------------------


class app_session_data_t:
    counter: int = 0
    town: Annotated[str, 20] = ""


def test_the_struct_of_an_application_is_read_and_written_by_name(visit):
    def main():
        npp.SESSION_DATA.counter += 1
        if npp.REQ("move"):
            npp.SESSION_DATA.town = npp.QS("to")
        npp.OUT("%d %s", npp.SESSION_DATA.counter, npp.SESSION_DATA.town)

    client = visit(main, app_session_data_t=app_session_data_t)
    assert client.get("/").text == "1 "
    assert client.get("/move?to=Ulm").text == "2 Ulm"
    assert client.get("/").text == "3 Ulm"
    client.cookies.clear()
    assert client.get("/").text == "1 "


def test_without_a_struct_the_data_is_a_dict(visit):
    def main():
        npp.SESSION_DATA["seen"] = npp.SESSION_DATA.get("seen", 0) + 1
        if npp.REQ("forget"):
            del npp.SESSION_DATA["seen"]
        npp.OUT("%s", "seen" in npp.SESSION_DATA and npp.SESSION_DATA["seen"])

    client = visit(main)
    assert [client.get(path).text for path in ("/", "/", "/forget", "/")] == [
        "1", "2", "False", "1"]


def test_a_macro_that_is_no_struct_takes_no_attribute(visit):
    def main():
        npp.REQ_METHOD.colour = "red"

    with pytest.raises(AttributeError):
        visit(main).get("/")


# --- hooks ----------------------------------------------------------------------------------------


def test_hooks_read_the_session_that_they_are_about(visit):
    seen = []

    def main():
        if npp.REQ("in"):
            log_in(npp.AUTH_LEVEL_STAFF)
        elif npp.REQ("out"):
            npp.REQUEST.session.logout()
        else:
            npp.SESSION_DATA.counter += 1

    def note(name):
        def hook():
            seen.append((name, npp.SESSION_DATA.counter, int(npp.UID), bool(npp.STAFF)))
        return hook

    client = visit(
        main, app_session_data_t=app_session_data_t,
        npp_app_session_init=note("init"), npp_app_session_done=note("done"),
        npp_app_user_login=note("login"), npp_app_user_logout=note("logout"))
    for path in ("/", "/in", "/out"):
        client.get(path)
    assert [name for name, *_ in seen] == ["init", "login", "logout", "done"]
    assert seen[0][1:] == (0, 0, False)
    assert seen[1][1:] == (1, 7, True)
    assert seen[2][1:] == (1, 7, True)
    assert seen[3][1] == 1
    assert state.session is None


def test_an_init_may_write_what_the_page_reads(visit):
    def npp_app_session_init():
        npp.SESSION_DATA.town = "Ulm"
        return True

    client = visit(lambda: npp.OUT(npp.SESSION_DATA.town), app_session_data_t=app_session_data_t,
                   npp_app_session_init=npp_app_session_init, NPP_REQUIRED_AUTH_LEVEL=1)
    assert client.get("/").text == "Ulm"
    assert client.get("/").text == "Ulm"


def test_a_hook_reads_the_request_for_which_a_rule_begins_the_session(visit):
    """The line DBG("%s", SESSION.ip) in npp_app_session_init, and each new visitor got a 500: the
    rule began the session before npp_app_main was called, and there was no current request.
    """
    seen = []

    def npp_app_session_init():
        npp.DBG("%s", npp.SESSION.ip)
        seen.append((npp.SESSION.ip, npp.SESSION.uagent, npp.REQ_METHOD(), npp.REQ_URI(),
                     bool(npp.IS_SESSION), npp.QS("a")))
        npp.RES_HEADER("X-Init", "1")
        return True

    client = visit(lambda: npp.OUT("%s", npp.REQ_URI), npp_app_session_init=npp_app_session_init,
                   NPP_REQUIRED_AUTH_LEVEL=npp.AUTH_LEVEL_ANONYMOUS)
    answer = client.post("/x?a=1", data={"b": "2"}, headers={"User-Agent": "test"})
    assert (answer.status, answer.headers["x-init"]) == (200, "1")
    assert seen == [("127.0.0.1", "test", "POST", "x?a=1", True, "1")]


def test_hooks_of_login_and_logout_read_the_request_too(visit):
    seen = []

    def note(name):
        return lambda: seen.append((name, npp.REQ_URI(), npp.SESSION.ip, int(npp.UID)))

    def main():
        if npp.REQ("in"):
            log_in()
        else:
            npp.REQUEST.session.logout()

    names = {f"npp_app_{name}": note(name) for name in
             ("session_init", "session_done", "user_login", "user_logout")}
    client = visit(main, **names)
    client.get("/in")
    client.get("/out")
    assert seen == [
        ("session_init", "in", "127.0.0.1", 0), ("user_login", "in", "127.0.0.1", 7),
        ("user_logout", "out", "127.0.0.1", 7), ("session_done", "out", "127.0.0.1", 7)]


def test_after_a_hook_within_a_hook_session_is_that_of_the_outer_one_again(visit):
    """The inner hook forgot, when it was over, which session the outer one was about."""
    seen = []

    def npp_app_session_done():
        raise ValueError("on purpose")

    def npp_app_session_init():
        npp.SESSION_DATA["step"] = 1
        log_in()
        seen.append((npp.SESSION_DATA["step"], int(npp.UID)))

    def main():
        seen.append(npp.SESSION_DATA["step"])

    client = visit(main, npp_app_session_init=npp_app_session_init,
                   npp_app_session_done=npp_app_session_done,
                   npp_app_user_login=lambda: seen.append(npp.SESSION_DATA["step"]),
                   NPP_REQUIRED_AUTH_LEVEL=npp.AUTH_LEVEL_ANONYMOUS)
    assert client.get("/").status == 200
    assert seen == [1, (1, 7), 1]


def test_a_session_that_makes_way_for_another_visitor_has_no_address(visit):
    """The address at hand is that of the visitor whose login takes the place: it would be written
    down for the wrong one.
    """
    seen = []

    def npp_app_session_done():
        seen.append((npp.SESSION_DATA["name"], npp.REQ_URI()))
        seen.append(npp.SESSION.ip)

    def main():
        if npp.REQ("in"):
            log_in()
        else:
            npp.SESSION_DATA["name"] = "first"

    client = visit(main, session_settings={"max_sessions": 1}, raise_exceptions=False,
                   npp_app_session_done=npp_app_session_done)
    client.get("/")
    client.cookies.clear()
    assert client.get("/in").status == 200
    assert seen == [("first", "in")]


def test_an_init_that_returns_false_refuses_the_session(visit):
    client = visit(lambda: npp.OUT("in"), raise_exceptions=False,
                   npp_app_session_init=lambda: False,
                   NPP_REQUIRED_AUTH_LEVEL=npp.AUTH_LEVEL_ANONYMOUS)
    answer = client.get("/")
    assert (answer.status, "set-cookie" in answer.headers) == (500, False)


# --- starting one ---------------------------------------------------------------------------------


def test_a_session_is_started_by_hand(visit):
    codes = []
    client = visit(lambda: codes.append(npp.npp_eng_session_start(None)),
                   session_settings={"max_sessions": 1})
    assert "as" in client.get("/").headers["set-cookie"]
    client.get("/")                                 # it is there already
    client.cookies.clear()
    assert client.get("/").status == 200
    assert codes == [npp.OK, npp.OK, npp.ERR_SERVER_TOOBUSY]


def test_a_session_that_is_refused_is_a_code(visit):
    codes = []
    client = visit(lambda: codes.append(npp.npp_eng_session_start()),
                   npp_app_session_init=lambda: False)
    client.get("/")
    assert codes == [npp.ERR_INT_SERVER_ERROR]


def test_nobody_chooses_the_id_of_a_session(visit):
    with pytest.raises(ValueError, match="nobody chooses the id"):
        visit(lambda: npp.npp_eng_session_start("0123456789")).get("/")


# --- levels of paths ------------------------------------------------------------------------------


def test_paths_are_guarded_in_npp_app_init(visit):
    def npp_app_init():
        npp.npp_add_host("b.example", required_auth_level=npp.AUTH_LEVEL_STAFF)
        npp.npp_require_auth("", "admin", npp.AUTH_LEVEL_ADMIN)
        npp.npp_require_auth(None, "api/*", npp.AUTH_LEVEL_USER)
        npp.npp_require_auth("b.example", "open", npp.AUTH_LEVEL_NONE)
        return True

    client = visit(lambda: npp.OUT("in"), npp_app_init=npp_app_init)
    for url, status in (("/", 200), ("/admin", 401), ("/admin/x", 401), ("/api", 200),
                        ("/api/x", 401), ("http://b.example/", 401),
                        ("http://b.example/open", 200), ("http://b.example/admin", 401)):
        assert client.get(url).status == status, url


def test_the_defines_give_level_and_page_of_the_login(visit):
    def main():
        npp.OUT("%s", npp.REQ_URI)

    names = {"NPP_REQUIRED_AUTH_LEVEL": npp.AUTH_LEVEL_USER, "NPP_LOGIN_URI": "enter"}
    client = visit(main, **names)
    answer = client.get("/shop?a=1", headers={"accept": "text/html"})
    assert answer.headers["location"] == "/enter?next=/shop%3Fa%3D1"
    assert client.get("/enter").text == "enter"
    # The settings of whoever runs it are heard first.
    client = visit(main, {"required_auth_level": "NONE", "login_path": "/door"}, **names)
    assert client.get("/shop").text == "shop"


def test_a_level_that_is_none_is_refused():
    with pytest.raises(RouteError, match="NPP_REQUIRED_AUTH_LEVEL"):
        app_from_module(module(lambda: None, NPP_REQUIRED_AUTH_LEVEL="USERS"))


# --- CSRFT ----------------------------------------------------------------------------------------


def test_the_token_of_a_form_is_checked_by_hand(visit):
    def main():
        if npp.REQ("form"):
            npp.CSRFT_OUT_INPUT()
        elif npp.REQ("again"):
            npp.CSRFT_REFRESH()
        else:
            npp.OUT("%s", "ok" if npp.CSRFT_OK else "no")

    client = visit(main)
    assert client.post("/", data={"csrft": ""}).text == "no"
    form = client.get("/form").text
    (token,) = re.findall(r'^<input type="hidden" name="csrft" value="([^"]+)">$', form)
    assert client.post("/", data={"csrft": token}).text == "ok"
    assert client.get("/", params={"csrft": token}).text == "ok"
    assert client.post("/", data={"csrft": token[:-2] + "AA"}).text == "no"
    assert client.post("/").text == "no"
    client.get("/again")
    assert client.post("/", data={"csrft": token}).text == "no"


def test_the_engine_checks_the_token_when_told_so(visit):
    def main():
        npp.OUT_CSRFT() if npp.REQ_GET else npp.OUT("posted")

    client = visit(main, {"csrf": True})
    (token,) = re.findall(r'value="([^"]+)"', client.get("/").text)
    assert client.post("/").status == 403
    assert client.post("/", data={"csrft": token}).text == "posted"


def test_a_macro_that_does_something_must_be_called(tmp_path):
    for name in ("CSRFT_OUT_INPUT", "OUT_CSRFT", "CSRFT_REFRESH"):
        made = module(lambda: None)
        made.__file__ = str(tmp_path / "shop.py")
        (tmp_path / "shop.py").write_text(f"def npp_app_main():\n    {name}\n")
        with pytest.raises(RouteError, match=rf"shop\.py:2: {name} does something"):
            app_from_module(made)
