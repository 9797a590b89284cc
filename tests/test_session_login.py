"""login(), logout(), renew(): who the visitor is, and which cookies he then has."""

from __future__ import annotations

import pytest
from visitors import LOGIN_HANDLERS


@pytest.fixture
def site(visiting):
    return visiting(handlers=LOGIN_HANDLERS)


def test_login_is_there_at_the_next_request(site):
    visitor = site.visitor()
    assert visitor.get("/login?uid=12&level=40&name=Ann").body == b"in"
    assert visitor.get("/who").body == b"12 40 Ann True False"
    assert list(visitor.jar) == ["ls"]


def test_login_keeps_slot_and_data_and_changes_the_id(site):
    visitor = site.visitor()
    visitor.get("/count")
    (before,) = site.table.ids()
    slot, old = site.table.find(before), dict(visitor.jar)
    visitor.get("/login")
    (after,) = site.table.ids()
    assert after != before and site.table.find(after) == slot
    assert visitor.get("/count").body == b"2"
    thief = site.visitor()                     # who had planted or seen the id of before
    thief.jar = old
    assert thief.get("/show").body == b"nobody"


def test_login_deletes_the_anonymous_cookie(site):
    visitor = site.visitor()
    visitor.get("/count")
    assert list(visitor.jar) == ["as"]
    visitor.get("/login")
    assert list(visitor.jar) == ["ls"]


def test_login_of_somebody_else_finds_nothing_of_the_one_before(site):
    visitor = site.visitor()
    visitor.get("/login?uid=1")
    visitor.get("/count")
    visitor.get("/login?uid=1&level=20")       # the same one again: it stays
    assert visitor.get("/show").body == b"{'count': 1}"
    visitor.get("/login?uid=2")
    assert visitor.get("/show").body == b"{}"
    assert visitor.get("/who").body.startswith(b"2 ")
    assert len(site.table) == 1


@pytest.mark.parametrize("uid", [0, 2**63, -(2**63) - 1, "7", None, 1.5])
def test_uid_is_a_number_of_64_bits_and_not_zero(visiting, uid):
    refused = []

    def it(req):
        try:
            req.session.login(uid)
        except (ValueError, OverflowError, TypeError):
            refused.append(1)
        return "ok"

    site = visiting(handlers={**LOGIN_HANDLERS, "it": it})
    visitor = site.visitor()
    visitor.get("/it")
    assert refused and visitor.get("/who").body.startswith(b"0 ")


@pytest.mark.parametrize("uid", [1, -1, 2**63 - 1, -(2**63)])
def test_any_other_uid_is_kept(site, uid):
    visitor = site.visitor()
    visitor.get(f"/login?uid={uid}")
    assert visitor.get("/who").body.startswith(b"%d " % uid)


@pytest.mark.parametrize(("name", "kept"), [
    ("", ""), ("x" * 60, "x" * 60), ("x" * 61, "x" * 60), ("\u00e9" * 31, "\u00e9" * 30),
    ("x" + "\u00e9" * 30, "x" + "\u00e9" * 29), ("\U0001f600" * 16, "\U0001f600" * 15),
])  # fmt: skip
def test_long_name_is_cut_at_a_character(visiting, name, kept):
    names = []

    def it(req):
        req.session.login(7, name=name)
        return "ok"

    site = visiting(handlers={"it": it, "who": lambda req: names.append(req.session.name) or ""})
    visitor = site.visitor()
    visitor.get("/it")
    visitor.get("/who")
    assert names == [kept]


def test_login_is_known_within_its_request(visiting):
    def it(req):
        session = req.session
        session.login(7, 50, "Ann", keep=True)
        assert (session.uid, session.level, session.name) == (7, 50, "Ann")
        assert session.logged_in and session.kept and session.exists
        session["after"] = 1
        return "ok"

    site = visiting(handlers={**LOGIN_HANDLERS, "it": it})
    visitor = site.visitor()
    assert visitor.get("/it").body == b"ok"
    assert visitor.get("/who").body == b"7 50 Ann True True"
    assert visitor.get("/show").body == b"{'after': 1}"


def test_login_lasts_longer_than_an_anonymous_session(site):
    visitor = site.visitor()
    visitor.get("/login")
    site.skip(1700)
    assert visitor.get("/who").body.startswith(b"7 ")
    site.skip(1801)
    assert visitor.get("/who").body.startswith(b"0 ")


def test_kept_login_lasts_for_thirty_days(site):
    visitor = site.visitor()
    visitor.get("/login?keep=1")
    assert visitor.set[0].attributes["Max-Age"] == "2592000"
    site.skip(29 * 86400)
    assert visitor.get("/who").body == b"7 10  True True"
    site.skip(2 * 86400)
    assert visitor.get("/who").body.startswith(b"0 ")


# Logout.

def test_logout_ends_the_session_and_deletes_its_cookies(site):
    visitor = site.visitor()
    visitor.get("/login")
    visitor.get("/count")
    stolen = dict(visitor.jar)
    assert visitor.get("/logout").body == b"out"
    assert not visitor.jar and len(site.table) == 0
    visitor.jar = stolen                       # a real logout: the cookie is worth nothing now
    assert visitor.get("/who").body.startswith(b"0 ")
    assert visitor.get("/show").body == b"nobody"


def test_what_is_written_after_logout_begins_a_new_session(visiting):
    def it(req):
        session = req.session
        session.logout()
        assert not session.exists and session == {} and session.uid == 0 and session.level == 0
        session["flash"] = "bye"
        return "ok"

    site = visiting(handlers={**LOGIN_HANDLERS, "it": it})
    visitor = site.visitor()
    visitor.get("/login")
    visitor.get("/count")
    assert visitor.get("/it").body == b"ok"
    assert list(visitor.jar) == ["as"]
    assert visitor.get("/show").body == b"{'flash': 'bye'}"
    assert len(site.table) == 1


def test_logout_of_nobody_is_nothing(site):
    visitor = site.visitor()
    assert visitor.get("/logout").body == b"out"
    assert not site.app.events and len(site.table) == 0


def test_logout_of_an_anonymous_session_ends_it(site):
    visitor = site.visitor()
    visitor.get("/count")
    visitor.get("/logout")
    assert not visitor.jar and len(site.table) == 0
    assert site.app.events == ["start", "stop"]


def test_logout_and_login_in_one_request(visiting):
    def it(req):
        req.session.logout()
        req.session.login(9, name="new")
        return "ok"

    site = visiting(handlers={**LOGIN_HANDLERS, "it": it})
    visitor = site.visitor()
    visitor.get("/login?uid=1")
    visitor.get("/count")
    visitor.get("/it")
    assert visitor.get("/who").body == b"9 10 new True False"
    assert visitor.get("/show").body == b"{}"
    assert list(visitor.jar) == ["ls"] and len(site.table) == 1


# Renewal.

@pytest.mark.parametrize("first", ["/count", "/login", "/login?keep=1"])
def test_renewed_id_replaces_the_one_before(site, first):
    visitor = site.visitor()
    visitor.get(first)
    visitor.get("/count")
    count, old = site.data(visitor)["count"], dict(visitor.jar)
    names = list(visitor.jar)
    visitor.get("/renew")
    assert list(visitor.jar) == names and visitor.jar != old
    assert visitor.set[0].attributes.get("Max-Age") == ("2592000" if "keep" in first else None)
    assert visitor.get("/count").body == b"%d" % (count + 1)
    thief = site.visitor()
    thief.jar = old
    assert thief.get("/show").body == b"nobody"
    assert len(site.table) == 1


def test_id_within_the_request_is_the_one_of_the_cookie(visiting):
    ids = []

    def it(req):
        req.session.start()
        ids.append(req.session.id)
        return "ok"

    site = visiting(handlers={"it": it})
    visitor = site.visitor()
    visitor.get("/it")
    assert ids == [visitor.jar["as"]]


def test_started_session_is_new_once(visiting):
    seen = []

    def it(req):
        req.session.start()
        seen.append((req.session.exists, req.session.is_new, req.session.level))
        return "ok"

    site = visiting(handlers={"it": it})
    visitor = site.visitor()
    visitor.get("/it")
    visitor.get("/it")
    assert seen == [(True, True, 1), (True, False, 1)]
    assert len(site.table) == 1


def test_times_are_told(visiting):
    times = []

    def it(req):
        req.session.start()
        times.append((req.session.started, req.session.active))
        return "ok"

    site = visiting(handlers={"it": it})
    visitor = site.visitor()
    visitor.get("/it")
    site.skip(100)
    visitor.get("/it")
    (start, active), (start_again, active_again) = times
    assert start == start_again == active and 100 <= active_again - start < 130
