"""req.session as a dict: its methods, its values, and what does not fit."""

from __future__ import annotations

import math

import pytest
from visitors import in_handler, run

from nodepp import _core


def test_session_reads_like_a_dict(visiting):
    def check(session):
        assert session["count"] == 1 and session.get("count") == 1
        assert session.get("x") is None and session.get("x", 5) == 5
        assert "count" in session and "x" not in session
        assert list(session) == ["count"] == list(session.keys())
        assert list(session.values()) == [1] and list(session.items()) == [("count", 1)]
        assert len(session) == 1 and session == {"count": 1} and session != {}
        assert bool(session)
        with pytest.raises(KeyError):
            session["x"]
        with pytest.raises(KeyError):
            del session["x"]

    in_handler(visiting, check)


def test_session_of_nobody_is_empty(visiting):
    def check(session):
        assert not session and len(session) == 0 and list(session) == [] and session == {}
        assert session.pop("x", 3) == 3 and session.get("x") is None
        assert (session.id, session.exists, session.is_new, session.logged_in) == (
            "", False, False, False)
        assert (session.level, session.uid, session.name, session.kept) == (0, 0, "", False)
        assert session.started == session.active == 0

    in_handler(visiting, check, begun=False)


def test_session_writes_like_a_dict(visiting):
    def check(session):
        session["a"] = 1
        session.update({"b": 2}, c=3)
        assert session.setdefault("d", 4) == 4 and session.setdefault("a", 9) == 1
        assert session.pop("b") == 2
        del session["c"]
        assert session == {"count": 1, "a": 1, "d": 4}
        assert session.popitem() in (("count", 1), ("a", 1), ("d", 4))
        assert len(session) == 2
        session.clear()
        assert session == {}
        session["last"] = "one"

    site, visitor = run(visiting, lambda req: check(req.session))
    visitor.get("/it")
    assert not site.app.problems
    assert visitor.get("/show").body == b"{'last': 'one'}"


@pytest.mark.parametrize("value", [
    None, True, False, 0, -1, 2**63 - 1, -(2**63), 1.5, math.inf, "", "caf\u00e9 \U0001f600",
    b"\0\xff", [], [1, [2, [3]]], {}, {"a": {"b": [None]}}, "x" * 100])  # fmt: skip
def test_values_come_back_as_they_were(visiting, value):
    seen = []

    def it(req):
        if "value" in req.session:
            seen.append(req.session["value"])
        req.session["value"] = value
        return "ok"

    _, visitor = run(visiting, it)
    visitor.get("/it")
    visitor.get("/it")
    assert seen == [value] and type(seen[0]) is type(value)


@pytest.mark.parametrize("key", [1, None, b"a", ("a",), 1.5])
def test_keys_are_text(visiting, key):
    def check(session):
        with pytest.raises(TypeError):
            session[key] = 1
        assert session == {"count": 1}

    in_handler(visiting, check)


def test_change_within_a_value_is_noticed(visiting):
    def it(req):
        req.session.setdefault("cart", []).append({"n": len(req.session["cart"])})
        req.session["cart"][0]["n"] += 10
        return "ok"

    _, visitor = run(visiting, it)
    visitor.get("/it")
    visitor.get("/it")
    assert visitor.get("/show").body == b"{'count': 1, 'cart': [{'n': 20}, {'n': 1}]}"


def test_change_within_a_value_of_a_later_request_is_noticed(visiting):
    def it(req):
        req.session["cart"].append(1)
        return "ok"

    site, visitor = run(visiting, it)
    site.app.handlers["count"] = None
    (id,) = site.table.ids()
    site.table.write(id, site.app.session_pack({"cart": [0], "other": 5}))
    visitor.get("/it")
    assert site.data(visitor) == {"cart": [0, 1], "other": 5}


# Full.

def test_value_that_does_not_fit_is_refused_and_the_old_one_stays(visiting):
    def check(session):
        session["a"] = "x" * 100
        for write in (
            lambda: session.__setitem__("a", "y" * 300), lambda: session.update(b="y" * 300),
            lambda: session.setdefault("b", "y" * 300),
        ):  # fmt: skip
            with pytest.raises(_core.SessionFull):
                write()
        assert session == {"count": 1, "a": "x" * 100}

    site, visitor = run(visiting, lambda req: check(req.session))
    visitor.get("/it")
    assert not site.app.problems
    assert site.data(visitor) == {"count": 1, "a": "x" * 100}


def test_a_session_can_be_filled_to_its_last_byte(visiting):
    def check(session):
        room = 256 - len(b"\x82\xa5count\x01\xa1a\xc4\x00")
        with pytest.raises(_core.SessionFull):
            session["a"] = bytes(room + 1)
        session["a"] = bytes(room)

    site, visitor = run(visiting, lambda req: check(req.session))
    visitor.get("/it")
    assert not site.app.problems
    assert len(next(site.table.records())[-1]) == 256


def test_value_that_has_grown_too_much_within_is_an_error_and_nothing_is_kept(visiting):
    def it(req):
        req.session["count"] = 50
        req.session["cart"] = []
        req.session["cart"].append("x" * 300)
        return "ok"

    site, visitor = run(visiting, it)
    assert visitor.get("/it").status == 500
    assert isinstance(site.app.problems[0], _core.SessionFull)
    assert visitor.get("/show").body == b"{'count': 1}"


def test_value_that_holds_itself_is_an_error(visiting):
    def it(req):
        cart = []
        cart.append(cart)
        req.session["cart"] = cart
        return "ok"

    _, visitor = run(visiting, it)
    assert visitor.get("/it").status == 500
    assert visitor.get("/show").body == b"{'count': 1}"
