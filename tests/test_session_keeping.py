"""When what was written is kept: handlers that fail, streams, sessions held for too long."""

from __future__ import annotations

import pytest
from visitors import Fault, run


def test_exception_discards_what_was_written(visiting):
    def it(req):
        req.session["count"] = 100
        req.session["more"] = 1
        raise ZeroDivisionError

    _, visitor = run(visiting, it)
    assert visitor.get("/it").status == 500
    assert visitor.get("/show").body == b"{'count': 1}"
    assert visitor.get("/count").body == b"2"


@pytest.mark.parametrize("status", [500, 503, 599])
def test_exception_ends_a_session_that_it_has_begun(visiting, status):
    def it(req):
        req.session["a"] = 1
        raise Fault(status)

    site, _ = run(visiting, it)
    stranger = site.visitor()
    assert stranger.get("/it").status == status
    assert not stranger.jar and len(site.table) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 422])
def test_exception_that_is_an_answer_keeps_what_was_written(visiting, status):
    def it(req):
        req.session["count"] = 100
        raise Fault(status)

    _, visitor = run(visiting, it)
    assert visitor.get("/it").status == status
    assert visitor.get("/count").body == b"101"


def test_status_that_a_handler_returns_keeps_what_was_written(visiting):
    def it(req):
        req.session["count"] = 100
        return 500, "as the handler wishes"

    _, visitor = run(visiting, it)
    assert visitor.get("/it").status == 500
    assert visitor.get("/count").body == b"101"


def test_exception_takes_a_login_back(visiting):
    def it(req):
        req.session.login(7)
        raise ZeroDivisionError

    site, visitor = run(visiting, it)
    before = dict(visitor.jar)
    visitor.get("/it")
    assert visitor.jar == before
    assert visitor.get("/count").body == b"2"
    assert next(site.table.records())[5] == 0                  # uid


def test_answer_that_cannot_be_made_discards_what_was_written(visiting):
    def it(req):
        req.session["count"] = 100
        return object()

    _, visitor = run(visiting, it)
    assert visitor.get("/it").status == 500
    assert visitor.get("/count").body == b"2"


def test_what_cannot_be_packed_is_an_error_of_the_handler(visiting):
    def it(req):
        req.session["a"] = object()
        return "fine so far"

    site, visitor = run(visiting, it)
    assert visitor.get("/it").status == 500
    assert isinstance(site.app.problems[0], TypeError)
    assert visitor.get("/show").body == b"{'count': 1}"


# Streams.

def test_stream_keeps_what_its_handler_wrote(visiting):
    def it(req):
        req.session["count"] = 100
        return (b"%d" % req.session["count"] for _ in range(2))

    site, visitor = run(visiting, it)
    assert visitor.get("/it").body == b"100100"
    assert visitor.get("/count").body == b"101"
    stranger = site.visitor()
    assert stranger.get("/it").body == b"100100" and "as" in stranger.jar


def test_session_of_a_stream_can_be_read_to_its_end(visiting):
    def it(req):
        session = req.session

        def pieces():
            for _ in range(3):
                yield f"{session['count']}{req.session['count']}{session.id[:0]}"

        return pieces()

    _, visitor = run(visiting, it)
    assert visitor.get("/it").body == b"111111"


def test_writing_in_a_stream_is_refused_or_kept_but_never_lost(visiting):
    refused = []

    def it(req):
        yield b"a"
        try:
            req.session["count"] = 100
        except RuntimeError:
            refused.append(1)
        yield b"b"

    _, visitor = run(visiting, it)
    assert visitor.get("/it").body == b"ab"
    assert visitor.get("/count").body == (b"2" if refused else b"101")


# Later.

def test_session_that_was_kept_is_over_with_its_request(visiting):
    kept = []

    def it(req):
        kept.append(req.session)
        assert kept[-1]["count"]
        return "kept"

    _, visitor = run(visiting, it)
    visitor.get("/it")
    visitor.get("/count")
    (session,) = kept
    assert session["count"] == 1 and session.get("count") == 1 and "count" in session
    for write in (
        lambda: session.__setitem__("count", 5), lambda: session.pop("count"),
        lambda: session.update(a=1), session.clear, lambda: session.add("count"),
        lambda: session.setdefault("b", 1), lambda: session.login(1), session.logout,
        session.renew, session.start, session.refresh_csrf, lambda: session.__delitem__("count"),
    ):  # fmt: skip
        with pytest.raises(RuntimeError):
            write()
    assert visitor.get("/show").body == b"{'count': 2}"


def test_session_that_was_kept_unread_is_none_of_the_next_visitor(visiting):
    """The Request is used again for the next one; what was kept must not become his."""
    kept = []

    def it(req):
        kept.append(req.session)
        return "kept"

    site, visitor = run(visiting, it)
    visitor.get("/it")
    other = site.visitor()
    other.get("/count")
    other.get("/count")
    try:
        assert kept[0].get("count") in (1, None)
    except RuntimeError:
        pass
    with pytest.raises(RuntimeError):
        kept[0]["count"] = 77
    assert other.get("/count").body == b"3"


def test_session_is_the_same_object_throughout_a_request(visiting):
    def it(req):
        assert req.session is req.session
        return "same"

    _, visitor = run(visiting, it)
    assert visitor.get("/it").body == b"same"


@pytest.mark.parametrize("again", [False, True])
def test_session_that_was_kept_outlives_the_engine(visiting, again):
    """Whoever keeps one unread reads it late: there is no table any more, or another one."""
    kept = []

    def it(req):
        kept.append(req.session)
        return "kept"

    site, visitor = run(visiting, it, capacity=50)
    for _ in range(20):
        other = site.visitor()
        other.get("/count")
        other.get("/it")
    visitor.get("/it")
    site.close()
    if again:
        visiting(handlers={"it": it}, capacity=1)
    for session in kept:
        for use in (
            lambda s: s.id, lambda s: s.level, lambda s: s.get("count"), repr, dict, len,
            lambda s: s.check_csrf("x" * 32), lambda s: s.exists, lambda s: s.name,
            lambda s: s.csrf_token, lambda s: s.started, lambda s: s == {},
        ):  # fmt: skip
            try:
                use(session)
            except RuntimeError:
                pass
        for change in (
            lambda s: s.__setitem__("a", 1), lambda s: s.login(1), lambda s: s.clear(),
            lambda s: s.logout(), lambda s: s.add("a"), lambda s: s.start(),
        ):  # fmt: skip
            with pytest.raises(RuntimeError):
                change(session)
