"""Cookies that carry ids: what is set, and what is found in a Cookie field of any shape."""

from __future__ import annotations

import pytest
from visitors import HANDLERS, LOGIN_HANDLERS, Fault

PLAIN = {"HttpOnly": "", "SameSite": "Lax", "Path": "/"}


@pytest.fixture
def site(visiting):
    return visiting(handlers=LOGIN_HANDLERS)


@pytest.fixture
def known(site):
    """A visitor with {"count": 1}; known.id is the value of his cookie."""
    visitor = site.visitor()
    visitor.get("/count")
    visitor.id = visitor.jar["as"]
    return visitor


# What is set.

def test_cookie_has_its_attributes_and_no_others(site):
    visitor = site.visitor()
    visitor.get("/count")
    (cookie,) = visitor.set
    assert cookie.name == "as" and len(cookie.value) == 40
    assert cookie.attributes == PLAIN


def test_cookie_of_a_login_has_the_same(site):
    visitor = site.visitor()
    visitor.get("/login")
    (cookie,) = visitor.set
    assert cookie.name == "ls" and cookie.attributes == PLAIN


def test_cookie_of_a_kept_login_lasts(visiting):
    site = visiting(handlers=LOGIN_HANDLERS, session_keep_s=86400)
    visitor = site.visitor()
    visitor.get("/login?keep=1")
    (cookie,) = visitor.set
    assert cookie.attributes == {**PLAIN, "Max-Age": "86400"}


def test_secure_cookies_belong_to_their_host_alone(visiting):
    site = visiting(handlers=LOGIN_HANDLERS, secure_cookies=True)
    visitor = site.visitor()
    visitor.get("/count")
    (cookie,) = visitor.set
    assert cookie.name == "__Host-as" and cookie.attributes == {**PLAIN, "Secure": ""}
    assert visitor.get("/count").body == b"2"
    visitor.get("/login")
    assert list(visitor.jar) == ["__Host-ls"]
    assert all("Secure" in each.attributes for each in visitor.set)
    visitor.get("/logout")
    assert not visitor.jar and all("Secure" in each.attributes for each in visitor.set)


def test_plain_name_is_nothing_where_cookies_are_secure(visiting):
    """Whoever holds the plain connection, or a host beside this one, could have set it."""
    site = visiting(handlers=HANDLERS, secure_cookies=True)
    visitor = site.visitor()
    visitor.get("/count")
    value = visitor.jar["__Host-as"]
    assert visitor.get("/show", cookie=f"as={value}").body == b"nobody"


def test_names_are_those_that_were_set(visiting):
    site = visiting(handlers=LOGIN_HANDLERS, session_cookie="sid", login_cookie="user.id")
    visitor = site.visitor()
    visitor.get("/count")
    assert list(visitor.jar) == ["sid"]
    visitor.get("/login")
    assert list(visitor.jar) == ["user.id"]
    assert visitor.get("/count").body == b"2"


@pytest.mark.parametrize("name", ["", "a b", "a=b", "a;b", "\u00e9", "a\r\nb", "x" * 1000])
def test_name_that_is_no_token_is_refused(visiting, name):
    from harness import Application

    from nodepp import _core
    table = _core.SessionTable(1, 16)
    engine = _core.Engine({"sessions": table, "session_cookie": name}, _core.Router(),
                          Application())  # fmt: skip
    with pytest.raises(ValueError):
        engine.open([])
    engine.close()
    table.close()


def test_deleted_cookie_has_the_path_that_it_was_set_with(site):
    visitor = site.visitor()
    visitor.get("/login")
    visitor.get("/logout")
    (cookie,) = visitor.set
    assert cookie.deletes and cookie.value == ""
    assert cookie.attributes["Path"] == "/"


@pytest.mark.parametrize("status", [204, 301, 304, 404, 500])
def test_cookie_comes_with_every_answer(visiting, status):
    def it(req):
        req.session["a"] = 1
        if status == 301:
            req.redirect("/elsewhere", 301)
            return None
        return status, None if status in (204, 304) else "x"

    site = visiting(handlers={**HANDLERS, "it": it})
    visitor = site.visitor()
    assert visitor.get("/it").status == status
    assert visitor.get("/show").body == b"{'a': 1}"


def test_cookie_comes_with_the_page_of_an_error(visiting):
    def it(req):
        req.session["a"] = 1
        raise Fault(404)

    site = visiting(handlers={**HANDLERS, "it": it})
    visitor = site.visitor()
    visitor.get("/it")
    assert visitor.get("/show").body == b"{'a': 1}"


def test_cookie_stands_beside_those_of_the_handler(visiting):
    def it(req):
        req.set_cookie("mine", "1")
        req.session["a"] = 1
        req.set_cookie("also", "2")
        return "x"

    site = visiting(handlers={"it": it})
    visitor = site.visitor()
    visitor.get("/it")
    assert sorted(visitor.jar) == ["also", "as", "mine"]


def test_answer_with_a_new_cookie_is_not_for_shared_caches(site):
    visitor = site.visitor()
    cached = visitor.get("/count").get("Cache-Control")
    assert cached is not None and ("private" in cached or "no-store" in cached)


# What is found.

@pytest.mark.parametrize("line", [
    "as={}", "as={}; a=b", "a=b; as={}", "a=b;as={}", "a=b;  as={}", "as={};", "as={} ;x",
    'as="{}"', "a; as={}", "=x; as={}", ";;; as={}", "a=b=c; as={}", "alias=x; as={}",
    "as2=x; as={}", "xas=y; as={}", "AS=x; as={}", "a=as; as={}", "a=as=x; as={}",
    'a="x; as={}', "a=\u00e9; as={}", "$Version=1; as={}"])  # fmt: skip
def test_cookie_is_found(known, line):
    assert known.get("/show", cookie=line.format(known.id)).body == b"{'count': 1}"


@pytest.mark.parametrize("line", [
    "alias={}", "urlas={}", "bas={}", "As={}", "AS={}", "as2={}", "ass={}", "a s={}", "as:{}",
    "as {}", "as=={}", "as=x{}", "as={}x", "as={}=", "as=as={}", "x=as={}", 'as="{}', "as={}\"",
    "as='{}'", "as=%22{}%22", "as=", "as", "", ";", "=", "as =x", "a=1, as={}", "as=\t",
])  # fmt: skip
def test_what_is_no_cookie_of_ours_is_none(known, line):
    """Node++ looked for "as=" as a part of the field: `alias=` shadowed it."""
    assert known.get("/show", cookie=line.format(known.id)).body == b"nobody"


def test_cookies_that_look_alike_shadow_nothing(known):
    line = f"alias={'x' * 40}; basket={'y' * 40}; as2={'z' * 40}; as={known.id}; alas=1"
    assert known.get("/show", cookie=line).body == b"{'count': 1}"


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_live_one_of_several_counts(site, known, place):
    """A host beside this one, or a folder of it, may have set a cookie of the same name."""
    other = site.visitor()
    other.get("/login")
    other.get("/logout")
    gone = site.table.cookie(bytes(24))
    values = ["x" * 40, gone]
    values.insert(place, known.id)
    line = "; ".join(f"as={value}" for value in values)
    assert known.get("/show", cookie=line).body == b"{'count': 1}"


def test_several_cookie_fields_are_one(known):
    """RFC 9113 §8.2.3 splits them, and what translates to HTTP/1.1 may forget to join them."""
    client = known.connection()
    request = known.bytes_of("GET", "/show", cookie=f"a=b\r\nCookie: as={known.id}")
    known.methods.append("GET")
    client.exchange(request)
    assert client.responses(count=len(known.methods))[-1].body == b"{'count': 1}"


def test_login_counts_before_an_anonymous_session(site, known):
    member = site.visitor()
    member.get("/login?uid=5")
    for line in (f"as={known.id}; ls={member.jar['ls']}", f"ls={member.jar['ls']}; as={known.id}"):
        assert known.get("/who", cookie=line).body.startswith(b"5 ")


def test_login_that_is_over_leaves_the_anonymous_session(site, known):
    member = site.visitor()
    member.get("/login?uid=5")
    stale = member.jar["ls"]
    member.get("/logout")
    assert known.get("/show", cookie=f"ls={stale}; as={known.id}").body == b"{'count': 1}"


def test_id_of_a_session_is_no_login_by_another_name(site, known):
    """An anonymous id under the login cookie is an anonymous session."""
    assert known.get("/who", cookie=f"ls={known.id}").body.startswith(b"0 ")


@pytest.mark.parametrize("count", [2, 5, 100, 380])
def test_many_cookies_are_bounded_work(known, count):
    line = "; ".join(["as=" + "x" * 30] * count)
    assert known.get("/show", cookie=line).body == b"nobody"


def test_long_cookies_are_no_ids(known):
    for value in ("x" * 15_000, known.id * 300, "=" * 10_000, '"' * 10_000, "\u00ff" * 10_000):
        assert known.get("/show", cookie=f"as={value}").body == b"nobody"
    assert known.get("/show", cookie=f"as={known.id}").body == b"{'count': 1}"


def test_cookie_that_was_never_ours_is_taken_back(site):
    """It would be shown, and counted, for ever."""
    visitor = site.visitor()
    visitor.jar["as"] = "x" * 40
    visitor.get("/show")
    assert not visitor.jar
