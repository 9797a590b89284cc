"""on_session_start, _stop, on_login, on_logout: when, with what, and what they may do."""

from __future__ import annotations

import pytest
from visitors import LOGIN_HANDLERS, Fault, Site

from nodepp import _core


@pytest.fixture
def site(visiting):
    return visiting(handlers=LOGIN_HANDLERS)


def test_hooks_are_called_in_their_order(site):
    visitor = site.visitor()
    visitor.get("/count")
    visitor.get("/count")
    assert site.app.events == ["start"]
    visitor.get("/login")
    assert site.app.events == ["start", "login"]
    visitor.get("/renew")
    visitor.get("/logout")
    assert site.app.events == ["start", "login", "logout", "stop"]


def test_login_without_a_session_starts_one_first(site):
    site.visitor().get("/login")
    assert site.app.events == ["start", "login"]


def test_login_that_expires_is_a_logout(site):
    site.visitor().get("/login")
    site.skip(2000)
    site.gone_to(0)
    assert site.app.events == ["start", "login", "logout", "stop"]


def test_start_hook_may_write_into_the_session(visiting):
    def start(req):
        req.session["born"] = req.path
        return True

    site = visiting(handlers=LOGIN_HANDLERS, events={"start": start})
    visitor = site.visitor()
    visitor.get("/count")
    assert visitor.get("/show").body == b"{'born': '/count', 'count': 1}"


def test_login_hook_sees_who_has_come(visiting):
    seen = []

    def login(req):
        seen.append((req.session.uid, req.session.level, req.session.name))
        req.session["cart"] = [1]

    site = visiting(handlers=LOGIN_HANDLERS, events={"login": login})
    visitor = site.visitor()
    visitor.get("/login?uid=3&level=20&name=Bo")
    assert seen == [(3, 20, "Bo")]
    assert visitor.get("/show").body == b"{'cart': [1]}"


@pytest.mark.parametrize("how", ["logout", "expiry"])
def test_stop_and_logout_hooks_get_what_was_there(visiting, how):
    seen = []

    def note(session):
        seen.append((session["count"], session.uid, session.name, session.id != ""))
        with pytest.raises(RuntimeError):
            session["count"] = 5
        with pytest.raises(RuntimeError):
            session.logout()

    site = visiting(handlers=LOGIN_HANDLERS, events={"stop": note, "logout": note})
    visitor = site.visitor()
    visitor.get("/login?name=Bo")
    visitor.get("/count")
    if how == "logout":
        visitor.get("/logout")
    else:
        site.skip(2000)
        site.gone_to(0)
    assert not site.app.problems
    assert seen == [(1, 7, "Bo", True)] * 2


def test_start_hook_that_says_false_refuses_the_session(visiting):
    refuse = [False]
    site = visiting(handlers=LOGIN_HANDLERS, events={"start": lambda req: refuse[0]})
    visitor = site.visitor()
    assert visitor.get("/count").status == 500
    assert not visitor.jar and len(site.table) == 0
    assert visitor.get("/nothing").status == 200
    refuse[0] = True
    assert visitor.get("/count").body == b"1"


def test_start_hook_that_says_nothing_agrees(visiting):
    site = visiting(handlers=LOGIN_HANDLERS, events={"start": lambda req: None})
    visitor = site.visitor()
    visitor.get("/count")
    assert visitor.get("/count").body == b"2"


def test_hook_that_raises_is_an_error_and_leaves_no_session(visiting):
    def start(req):
        raise Fault(500)

    site = visiting(handlers=LOGIN_HANDLERS, events={"start": start})
    visitor = site.visitor()
    assert visitor.get("/count").status == 500
    assert not visitor.jar and len(site.table) == 0


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_stop_hook_that_raises_ends_neither_the_sweep_nor_the_server(visiting, kind):
    def stop(session):
        raise kind

    site = visiting(handlers=LOGIN_HANDLERS, events={"stop": stop})
    for _ in range(3):
        site.visitor().get("/count")
    interrupts = 0
    for _ in range(300):
        try:
            _core.probe_clock(10_000)
            site.server.engine.turn(0)
        except KeyboardInterrupt:
            interrupts += 1
    assert len(site.table) == 0 and site.app.events.count("stop") == 3
    assert bool(interrupts) == (kind is KeyboardInterrupt)
    visitor = site.visitor()
    visitor.get("/count")
    assert visitor.get("/count").body == b"2"


def test_session_discarded_with_its_exception_has_stopped(visiting):
    def it(req):
        req.session["a"] = 1
        raise ZeroDivisionError

    site = visiting(handlers={"it": it})
    site.visitor().get("/it")
    assert site.app.events in (["start", "stop"], ["start"]) and len(site.table) == 0


def test_hooks_nobody_listens_to_are_not_called(visiting, monkeypatch):
    monkeypatch.setattr(Site, "session_events", frozenset(("login",)))
    site = visiting(handlers=LOGIN_HANDLERS)
    visitor = site.visitor()
    for path in ("/count", "/login", "/logout"):
        visitor.get(path)
    assert site.app.events == ["login"]


def test_logins_are_counted(site):
    visitor = site.visitor()
    visitor.get("/login")
    visitor.get("/logout")
    site.visitor().get("/count")
    stats = site.server.engine.stats()
    assert (stats["logins"], stats["sessions_started"], stats["sessions_ended"]) == (1, 2, 1)
    assert (stats["sessions"], stats["sessions_high_water"], stats["session_slots"]) == (1, 1, 100)


def test_start_hook_that_ends_the_session_loses_nothing_silently(visiting):
    site = visiting(handlers=LOGIN_HANDLERS, events={"start": lambda req: req.session.logout()})
    visitor = site.visitor()
    kept = visitor.get("/count").status == 200
    assert len(site.table) == len(visitor.jar) == kept


def test_hook_may_log_in(visiting):
    site = visiting(handlers=LOGIN_HANDLERS, events={"start": lambda req: req.session.login(3)})
    visitor = site.visitor()
    visitor.get("/count")
    assert visitor.get("/who").body.startswith(b"3 ")
    assert visitor.get("/count").body == b"2"
    assert site.app.events == ["start", "login"]
