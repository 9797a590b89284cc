"""What a handler may answer with, and what leaves for it."""

import datetime
import uuid

import msgspec
import pytest

from nodepp import App, HTTPError, Raw, Response, raw
from nodepp.testing import Client


def answer_to(handler, method="GET", **options):
    """The answer that a handler gives, and what was logged."""
    app = App()
    app.set_fallback(handler)
    return Client(app, raise_exceptions=True).request(method, "/", **options)


def broken(handler):
    """The answer of a handler that cannot be answered, which must be a 500 and one line."""
    app = App()
    lines = []
    app.host.log = lambda level, message: lines.append(message)
    app.set_fallback(handler)
    answer = Client(app).get("/")
    assert answer.status == 500
    assert len(lines) == 1
    assert "Traceback" not in answer.text
    return lines[0]


# Results.


class Point(msgspec.Struct):
    x: int
    y: int


@pytest.mark.parametrize(
    ("result", "content_type", "body"),
    [
        ("<h1>é</h1>", "text/html; charset=utf-8", "<h1>é</h1>".encode()),
        ("", "text/html; charset=utf-8", b""),
        (b"\x00\xff", "application/octet-stream", b"\x00\xff"),
        (bytearray(b"ab"), "application/octet-stream", b"ab"),
        (memoryview(b"ab"), "application/octet-stream", b"ab"),
        ({"a": 1, "b": [None, True]}, "application/json", b'{"a":1,"b":[null,true]}'),
        ({}, "application/json", b"{}"),
        ([1, "é"], "application/json", '[1,"é"]'.encode()),
        ([], "application/json", b"[]"),
        (Point(1, 2), "application/json", b'{"x":1,"y":2}'),
        (Response("x"), "text/html; charset=utf-8", b"x"),
        (Response(b"x"), "application/octet-stream", b"x"),
        (Response({"a": 1}), "application/json", b'{"a":1}'),
        (Response([1]), "application/json", b"[1]"),
        (Response(Point(1, 2)), "application/json", b'{"x":1,"y":2}'),
        (Response("x", content_type="text/plain"), "text/plain; charset=utf-8", b"x"),
        (Response(b"x", content_type="image/png"), "image/png", b"x"),
    ],
)
def test_each_kind_of_result_has_its_type(result, content_type, body):
    answer = answer_to(lambda req: result)
    assert answer.status == 200
    assert answer.headers.get("content-type") == (content_type if body else None)
    assert answer.body == body
    assert answer.headers["content-length"] == str(len(body))


def test_json_knows_dates_and_uuids():
    key = uuid.UUID("12345678-1234-5678-1234-567812345678")
    day = datetime.date(2024, 2, 29)
    assert answer_to(lambda req: {"k": key, "d": day}).json() == {"k": str(key), "d": "2024-02-29"}


@pytest.mark.parametrize(
    ("result", "status", "content_type", "body"),
    [
        ((201, "made"), 201, "text/html", b"made"),
        ((404, {"error": "x"}), 404, "application/json", b'{"error":"x"}'),
        ((202, b"x"), 202, "application/octet-stream", b"x"),
        ((204, None), 204, "", b""),
        ((204, ""), 204, "", b""),
    ],
)
def test_a_pair_is_status_and_body(result, status, content_type, body):
    answer = answer_to(lambda req: result)
    assert (answer.status, answer.body) == (status, body)
    if content_type:
        assert answer.content_type == content_type


def test_an_error_status_without_a_body_gets_its_page():
    def page(req):
        req.status = 404

    assert "Not Found" in answer_to(page).text
    assert "I&#39;m a Teapot" in answer_to(lambda req: (418, None)).text
    assert answer_to(lambda req: (404, "")).text == ""


def test_none_without_out_is_an_empty_page():
    answer = answer_to(lambda req: None)
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "0")


def test_a_str_subclass_and_marked_text_are_sent_as_text():
    class Text(str):
        pass

    assert answer_to(lambda req: Text("<b>")).body == b"<b>"
    assert answer_to(lambda req: raw("<b>")).body == b"<b>"


@pytest.mark.parametrize(
    "result", [5, 1.5, True, object(), (1, 2, 3), ("a", "b"), (99, "x"), (600, "x"), (200,), ()]
)
def test_a_result_that_is_no_answer_is_a_500(result):
    assert broken(lambda req: result)


def test_a_json_value_that_cannot_be_written_is_a_500():
    assert "TypeError" in broken(lambda req: {"a": object()})


@pytest.mark.parametrize(
    "result",
    ["\ud800", {"a": "\udcff"}, Response("\ud800"), (200, "\ud800")],
    ids=["str", "dict", "Response", "tuple"],
)
def test_lone_surrogates_are_a_500(result):
    assert broken(lambda req: result)


def test_lone_surrogates_in_out_are_a_500():
    assert broken(lambda req: req.out("\ud800"))
    assert broken(lambda req: req.out("%s", "\ud800"))


def test_large_bodies_arrive_whole():
    for size in (16 * 1024, 64 * 1024 + 1, 3_000_000):
        assert answer_to(lambda req, size=size: "x" * size).body == b"x" * size
        assert answer_to(lambda req, size=size: b"x" * size).body == b"x" * size
        text = "é" * (size // 2)
        assert answer_to(lambda req, text=text: text).text == text


# Streams.


def test_an_iterator_is_streamed_in_chunks():
    def pieces(req):
        yield b"one,"
        yield b""
        yield b"two,"
        yield b"x" * 100_000

    answer = answer_to(pieces)
    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers
    assert answer.body == b"one,two," + b"x" * 100_000


def test_an_iterator_with_a_type_of_its_own_and_status():
    def page(req):
        req.status = 202
        req.content_type = "text/csv"
        return iter([b"a,b\r\n", b"1,2\r\n"])

    answer = answer_to(page)
    assert (answer.status, answer.content_type) == (202, "text/csv")
    assert answer.body == b"a,b\r\n1,2\r\n"
    answer = answer_to(lambda req: Response(iter([b"x"]), content_type="text/plain"))
    assert (answer.body, answer.content_type) == (b"x", "text/plain")


def test_the_request_stays_valid_while_its_iterator_is_sent():
    def pieces(req):
        for _ in range(3):
            yield f"{req.path}{req.query['a']} ".encode()
            yield b"x" * 300_000

    app = App()
    app.get("/p")(pieces)
    body = Client(app).get("/p?a=1").body
    assert body == (b"/p1 " + b"x" * 300_000) * 3


def test_an_iterator_is_closed_when_it_is_used_up():
    seen = []

    def pieces(req):
        try:
            yield b"x"
        finally:
            seen.append("closed")

    assert answer_to(pieces).body == b"x"
    assert seen == ["closed"]


def test_an_iterator_that_raises_cuts_the_answer_and_is_logged():
    app = App()
    lines = []
    app.host.log = lambda level, message: lines.append(message)

    @app.get("/")
    def pieces(req):
        yield b"x"
        raise ValueError("in the middle")

    with pytest.raises(Exception, match="ended within a chunk"):
        Client(app).get("/")
    assert len(lines) == 1
    assert "in the middle" in lines[0]


def test_an_iterator_that_raises_at_once_is_logged():
    app = App()
    lines = []
    app.host.log = lambda level, message: lines.append(message)

    @app.get("/")
    def pieces(req):
        raise ValueError("at once")
        yield b"x"

    try:
        assert Client(app).get("/").status == 500
    except Exception as exc:  # a cut answer is as honest
        assert "ended within" in str(exc)
    assert len(lines) == 1
    assert "at once" in lines[0]


def test_head_does_not_run_through_the_iterator():
    def pieces(req):
        yield b"x"

    answer = answer_to(pieces, method="HEAD")
    assert (answer.status, answer.body) == (200, b"")


# Rendering.


def out(text, *args, content_type=None):
    def handler(req):
        if content_type is not None:
            req.content_type = content_type
        req.out(text, *args)

    return answer_to(handler).text


def test_out_without_arguments_appends_trusted_text_as_it_is():
    assert out("<b>100% of %s</b>") == "<b>100% of %s</b>"


def test_out_appends_piece_after_piece():
    def page(req):
        for n in range(1000):
            req.out("<li>%d</li>", n)

    assert answer_to(page).text == "".join(f"<li>{n}</li>" for n in range(1000))


@pytest.mark.parametrize(
    ("text", "args", "written"),
    [
        ("%s", ("a",), "a"),
        ("%s", ("<é&\"'>",), "&lt;é&amp;&#34;&#39;&gt;"),
        ("%s", (5,), "5"),
        ("%s", (None,), "None"),
        ("%s", (raw("<b>"),), "<b>"),
        ("%d|%i|%u|%x", (1, -2, 3, 255), "1|-2|3|ff"),
        ("%5d|%-5d|%05d", (42, 42, 42), "   42|42   |00042"),
        ("%f|%.2f|%8.3f", (1.5, 2.345, 3.14159), "1.500000|2.35|   3.142"),
        ("%c%c", ("a", 66), "aB"),
        ("%%", (), "%%"),
        ("%d%%", (5,), "5%"),
        ("%.3s", ("abcdef",), "abc"),
        ("%10s|", ("abc",), "       abc|"),
        ("%-10s|", ("abc",), "abc       |"),
    ],
)
def test_out_formats_as_printf_does_and_escapes_text(text, args, written):
    assert out(text, *args) == written


def test_out_does_not_escape_where_the_answer_is_no_html():
    assert out("%s", "<&>", content_type="text/plain") == "<&>"
    assert out("%s", "<&>", content_type="application/json") == "<&>"
    assert out("%s", "<&>", content_type="text/html; charset=utf-8") == "&lt;&amp;&gt;"


def test_a_value_with_an_html_method_is_trusted():
    class Widget:
        def __html__(self):
            return "<hr>"

    assert out("%s", Widget()) == "<hr>"


@pytest.mark.parametrize(
    ("text", "args"),
    [("%d", ("x",)), ("%s %s", ("a",)), ("%s", ("a", "b")), ("%y", (1,)), ("%", (1,))],
)
def test_a_format_that_does_not_fit_is_a_500(text, args):
    assert broken(lambda req: req.out(text, *args))


def test_marked_text_is_a_str():
    assert isinstance(raw("<b>"), Raw)
    assert isinstance(raw("<b>"), str)
    assert raw(5).__html__() == "5"


def test_a_result_beside_out_is_refused_because_only_one_can_be_the_body():
    def page(req):
        req.out("written")
        return "returned"

    assert "used out() and returned str" in broken(page)


# The answer's side of the request.


@pytest.mark.parametrize(
    "status", [200, 201, 202, 203, 206, 226, 400, 404, 418, 451, 500, 503, 599]
)
def test_a_status_is_sent(status):
    def page(req):
        req.status = status
        return "x"

    answer = answer_to(page)
    assert (answer.status, answer.body) == (status, b"x")


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(status):
    def page(req):
        req.status = status
        return "not sent"

    answer = answer_to(page)
    assert (answer.status, answer.body) == (status, b"")


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 600, -1, 1000, "x", None])
def test_a_status_that_is_none_is_refused(status):
    def page(req):
        with pytest.raises((ValueError, TypeError)):
            req.status = status
        with pytest.raises((ValueError, TypeError)):
            Response("", status=status)
        return "refused"

    assert answer_to(page).text == "refused"


def test_a_str_with_text_plain_set_is_plain_text():
    def page(req):
        req.content_type = "text/plain"
        return "a < b"

    answer = answer_to(page)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_field_is_set_and_set_again():
    def page(req):
        req.set_header("X-One", "1")
        req.set_header("x-one", "2")
        req.set_header("X-Latin", "café")
        return ""

    answer = answer_to(page)
    assert answer.headers.getlist("x-one") == ["2"]
    assert answer.headers["x-latin"] == "café"


def test_content_type_can_be_set_as_a_field():
    def page(req):
        req.set_header("Content-Type", "text/css")
        return "a{}"

    assert answer_to(page).headers.getlist("content-type") == ["text/css; charset=utf-8"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X", "a\r\nSet-Cookie: evil=1"),
        ("X", "a\nb"),
        ("X", "a\rb"),
        ("X", "a\x00b"),
        ("X\r\nY", "a"),
        ("X Y", "a"),
        ("X:", "a"),
        ("", "a"),
        ("Ä", "a"),
        ("X", "\u20ac"),
        ("X", "\ud800"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("transfer-encoding", "gzip"),
        ("Date", "now"),
    ],
)
def test_a_field_that_would_break_the_answer_is_refused(name, value):
    def page(req):
        with pytest.raises(ValueError, match=r"."):
            req.set_header(name, value)
        return "refused"

    answer = answer_to(page)
    assert answer.text == "refused"
    assert "evil" not in str(answer.headers)


@pytest.mark.parametrize(
    ("name", "value"), [("X", "a\r\nb"), ("X\n", "a"), ("X", "\x00"), ("", "a"), ("X", "\u20ac")]
)
def test_a_response_refuses_the_same_fields(name, value):
    with pytest.raises(ValueError, match=r"."):
        Response("", headers={name: value})
    with pytest.raises(ValueError, match=r"."):
        Response("", headers=[(name, value)])
    with pytest.raises(ValueError, match=r"."):
        Response("").set_header(name, value)


@pytest.mark.parametrize(
    ("name", "value"), [("Content-Length", "99"), ("Transfer-Encoding", "chunked")]
)
def test_framing_fields_of_a_response_are_never_sent(name, value):
    app = App()
    app.host.log = lambda level, message: None
    app.get("/")(lambda req: Response("x", headers={name: value}))
    try:
        answer = Client(app).get("/")
    except ValueError:
        return
    assert answer.headers.get(name) != value


@pytest.mark.parametrize("content_type", ["a\r\nX: y", "a\nb", "a\x00", "\u20ac"])
def test_a_content_type_that_would_break_the_answer_is_refused(content_type):
    def page(req):
        with pytest.raises(ValueError, match=r"."):
            req.content_type = content_type
        return "refused"

    assert answer_to(page).text == "refused"
    assert broken(lambda req: Response("", content_type=content_type))


def test_a_response_has_status_fields_and_cookies():
    def page(req):
        answer = Response("made", status=201, content_type="text/plain", headers={"X-A": "1"})
        answer.set_header("X-B", "2")
        answer.set_cookie("c", "3")
        answer.set_cookie("d", "4")
        answer.status = 202
        return answer

    answer = answer_to(page)
    assert (answer.status, answer.text, answer.content_type) == (202, "made", "text/plain")
    assert (answer.headers["x-a"], answer.headers["x-b"]) == ("1", "2")
    assert answer.cookies == {"c": "3", "d": "4"}


def test_what_was_set_on_the_request_goes_with_a_response():
    def page(req):
        req.set_header("X-A", "1")
        req.set_cookie("c", "2")
        return Response("x")

    answer = answer_to(page)
    assert answer.headers["x-a"] == "1"
    assert answer.cookies == {"c": "2"}


def test_repeated_fields_of_a_response_are_all_sent():
    def page(req):
        req.set_header("Vary", "Origin")
        return Response("x", headers=[("Vary", "Accept"), ("Vary", "Cookie"), ("X-A", "1")])

    answer = answer_to(page)
    assert answer.headers.getlist("vary")[-2:] == ["Accept", "Cookie"]
    assert answer.headers.getlist("x-a") == ["1"]


def test_a_response_shows_its_attributes():
    answer = Response("x", 404, "text/plain", [("A", "1")])
    assert (answer.body, answer.status, answer.content_type) == ("x", 404, "text/plain")
    assert answer.headers == [("A", "1")]
    assert "404" in repr(answer)


# Cookies.


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({}, "a=1; Path=/; SameSite=Lax"),
        ({"max_age": 60}, "a=1; Max-Age=60; Path=/; SameSite=Lax"),
        ({"max_age": 0}, "a=1; Max-Age=0; Path=/; SameSite=Lax"),
        (
            {"expires": 784111777},
            "a=1; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Path=/; SameSite=Lax",
        ),
        ({"path": "/x", "domain": "a.example"}, "a=1; Domain=a.example; Path=/x; SameSite=Lax"),
        ({"secure": True, "httponly": True}, "a=1; Path=/; Secure; HttpOnly; SameSite=Lax"),
        ({"samesite": "strict", "path": None}, "a=1; SameSite=Strict"),
        ({"samesite": None, "path": None}, "a=1"),
    ],
)
def test_a_cookie_is_written(options, line):
    def page(req):
        req.set_cookie("a", "1", **options)
        return ""

    assert answer_to(page).headers.getlist("set-cookie") == [line]


def test_several_cookies_are_several_lines():
    def page(req):
        req.set_cookie("a", "1")
        req.set_cookie("b", "2")
        return ""

    assert len(answer_to(page).headers.getlist("set-cookie")) == 2


@pytest.mark.parametrize("value", ["plain", "a b", "a;b", 'q"q', "back\\slash", "comma,", "é€", ""])
def test_a_cookie_comes_back_as_it_was_set(value):
    app = App()

    @app.get("/set")
    def set_it(req):
        req.set_cookie("a", value)
        return ""

    app.get("/get")(lambda req: {"a": req.cookies["a"]})
    client = Client(app)
    line = client.get("/set").headers["set-cookie"].partition(";")[0]
    # As a browser does it: the value goes back byte for byte.
    pair = line if value != "a;b" else client.get("/set").headers["set-cookie"].split("; Path")[0]
    assert client.get("/get", headers={"Cookie": pair}).json() == {"a": value}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("", {}),
        ("a b", {}),
        ("a=b", {}),
        ("a\r\nb", {}),
        ("ä", {}),
        ("a", {"value": "x\r\nSet-Cookie: evil=1"}),
        ("a", {"value": "x\x00"}),
        ("a", {"value": "\ud800"}),
        ("a", {"path": "/;domain=x"}),
        ("a", {"path": "/\r\n"}),
        ("a", {"domain": "x\n"}),
        ("a", {"domain": "x; Secure"}),
        ("a", {"expires": "now\r\nX: y"}),
        # Years that have no four digits read past the table of them.
        ("a", {"expires": 10**17}),
        ("a", {"expires": 253402300800}),
        ("a", {"expires": -(10**14)}),
        ("a", {"samesite": "sometimes"}),
    ],
)
def test_a_cookie_that_would_break_the_answer_is_refused(name, options):
    def page(req):
        with pytest.raises(ValueError, match=r"."):
            req.set_cookie(name, **options)
        with pytest.raises(ValueError, match=r"."):
            Response("").set_cookie(name, **options)
        return "refused"

    answer = answer_to(page)
    assert answer.text == "refused"
    assert "set-cookie" not in answer.headers


# Redirections.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirection_has_its_status_and_location(status):
    answer = answer_to(lambda req: req.redirect("/there?a=1#b", status))
    assert (answer.status, answer.headers["location"]) == (status, "/there?a=1#b")
    assert answer.body == b""


def test_a_redirection_is_303_unless_told_otherwise():
    assert answer_to(lambda req: req.redirect("/there")).status == 303


def test_a_location_beyond_ascii_is_percent_encoded():
    answer = answer_to(lambda req: req.redirect("/café?q=a%20b"))
    assert answer.headers["location"] == "/caf%C3%A9?q=a%20b"


def test_a_location_with_spaces_is_percent_encoded():
    answer = answer_to(lambda req: req.redirect('/a b?c="d"'))
    assert answer.headers["location"] == "/a%20b?c=%22d%22"


@pytest.mark.parametrize("url", ["/a\r\nX: y", "/a\nb", "/a\x00"])
def test_a_location_that_would_break_the_answer_is_refused(url):
    assert "ValueError" in broken(lambda req: req.redirect(url))


@pytest.mark.parametrize("status", [200, 300, 304, 305, 404])
def test_a_redirection_with_another_status_is_refused(status):
    assert "ValueError" in broken(lambda req: req.redirect("/", status))


def test_no_cache_forbids_storing():
    def page(req):
        req.no_cache()
        return ""

    assert "no-store" in answer_to(page).headers["cache-control"]


# Every answer.


def test_every_answer_has_date_and_server():
    answer = answer_to(lambda req: "")
    assert answer.headers["date"].endswith(" GMT")
    assert answer.headers["server"] == "nodepp"
    assert len(answer.headers.getlist("date")) == 1


def test_the_server_field_can_be_changed_and_left_out():
    app = App()
    app.get("/")(lambda req: "")
    assert Client(app, settings={"server_header": b"mine"}).get("/").headers["server"] == "mine"
    assert "server" not in Client(app, settings={"server_header": b""}).get("/").headers


def test_an_http_error_is_answered_with_its_page():
    def page(req):
        raise HTTPError(403, "not <you>")

    answer = answer_to(page)
    assert answer.status == 403
    assert "not &lt;you&gt;" in answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_a_field_named_connection_close_ends_the_connection():
    def page(req):
        req.set_header("Connection", "close")
        return "x"

    assert answer_to(page).headers["connection"] == "close"
