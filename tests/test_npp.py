"""The Node++ way: macros over the current request, hooks, #defines."""

import types

import pytest

from nodepp import App, RouteError, StartError, log, macros, npp
from nodepp.macros import Macro
from nodepp.npp import app_from_module
from nodepp.testing import Client


def module(main, **names):
    """A module as a user would write it, with `from nodepp.npp import *` at its top."""
    made = types.ModuleType("hello")
    for name in npp.__all__:
        setattr(made, name, getattr(npp, name))
    made.npp_app_main = main
    for name, value in names.items():
        setattr(made, name, value)
    return made


def ask(look, target="/", method="GET", **options):
    """What look() gives in npp_app_main."""
    seen = []

    def npp_app_main():
        seen.append(look())

    names = options.pop("names", {})
    client = Client(module(npp_app_main, **names), raise_exceptions=True)
    answer = client.request(method, target, **options)
    assert answer.status == 200
    (value,) = seen
    return value


def page(write, target="/", method="GET", names=None, **options):
    """The answer of an npp_app_main that is write()."""
    client = Client(module(lambda: write() and None, **(names or {})), raise_exceptions=True)
    return client.request(method, target, **options)


@pytest.fixture(autouse=True)
def defaults():
    """#defines are kept in nodepp.npp: none may be left over for the next test."""
    yield
    app_from_module(module(lambda: None))


# An application.


def test_the_example_of_the_documentation_works(tmp_path):
    source = tmp_path / "hello.py"
    source.write_text(
        "from nodepp.npp import *\n"
        "\n"
        "def npp_app_main():\n"
        '    if REQ(""):\n'
        '        OUT("<h1>Hello</h1>")\n'
        '    elif REQ("welcome"):\n'
        '        name = QS("name")\n'
        '        if name: OUT("<p>Welcome %s</p>", name)\n'
        "    else:\n"
        "        RES_STATUS(404)\n"
        "\n"
        "def npp_app_init(): return True\n"
    )
    import importlib.util

    spec = importlib.util.spec_from_file_location("hello", source)
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    with Client(made) as client:
        assert client.get("/").text == "<h1>Hello</h1>"
        answer = client.get("/welcome", params={"name": "<Ann>"})
        assert answer.text == "<p>Welcome &lt;Ann&gt;</p>"
        assert client.get("/welcome").text == ""
        answer = client.get("/other")
        assert answer.status == 404
        assert "Not Found" in answer.text


def test_a_star_import_brings_all_names_and_nothing_else():
    names = {}
    exec("from nodepp.npp import *", names)
    names.pop("__builtins__")
    assert sorted(names) == sorted(npp.__all__)
    assert not [name for name in names if name.startswith("_")]


def test_a_module_without_main_is_refused():
    with pytest.raises(RouteError, match="hello has no function npp_app_main"):
        app_from_module(types.ModuleType("hello"))


# Where the request is for.


@pytest.mark.parametrize(
    ("target", "name", "matches"),
    [
        ("/", "", True),
        ("/", "/", True),
        ("/?a=1", "", True),
        ("/welcome", "welcome", True),
        ("/welcome", "/welcome", True),
        ("/welcome/more", "welcome", True),
        ("/welcome/", "welcome", True),
        ("//welcome", "welcome", True),
        ("/welcome?x", "welcome", True),
        ("/caf%C3%A9", "café", True),
        ("/welcome", "", False),
        ("/", "welcome", False),
        ("/welcome2", "welcome", False),
        ("/Welcome", "welcome", False),
        ("/a/welcome", "welcome", False),
    ],
)
def test_req_compares_the_first_part_of_the_path(target, name, matches):
    assert ask(lambda: npp.REQ(name), target) is matches
    assert ask(lambda: npp.REQ0(name), target) is matches


def test_the_other_parts_have_macros_of_their_own():
    def look():
        return [
            npp.REQ0("a"),
            npp.REQ1("b"),
            npp.REQ2("/c"),
            npp.REQ3("d"),
            npp.REQ4("e"),
            npp.REQ5("f"),
            npp.REQ1("c"),
            npp.REQ5(""),
        ]

    assert ask(look, "/a//b/c/d/e/f/g") == [True] * 6 + [False] * 2
    assert ask(lambda: (npp.REQ1(""), npp.REQ1("b")), "/a") == (True, False)


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("/", ""),
        ("/a", "a"),
        ("/a/b/7", "7"),
        ("/a/7/", "7"),
        ("/a/7?b=8", "7"),
        ("/a/x%20y", "x y"),
    ],
)
def test_req_id_is_the_last_part(target, value):
    assert ask(lambda: npp.REQ_ID(), target) == value


@pytest.mark.parametrize(
    ("target", "uri"),
    [("/", ""), ("/a/b?c=%20", "a/b?c=%20"), ("http://x.example/a?b", "a?b")],
)
def test_req_uri_is_path_and_query_without_the_leading_slash(target, uri):
    seen = []
    client = Client(module(lambda: seen.append(npp.REQ_URI())))
    client.send(f"GET {target} HTTP/1.1\r\nHost: x.example\r\n\r\n".encode())
    assert seen == [uri]


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("blog/7", True),
        ("/blog/7", True),
        ("blog/*", True),
        ("blog/{id}", True),
        ("bl*", True),
        ("*", True),
        ("blog", False),
        ("blog/8", False),
        ("news/*", False),
        ("blog/7/x", False),
    ],
)
def test_uri_matches_the_whole_path_or_its_beginning(pattern, matches):
    assert ask(lambda: npp.URI(pattern), "/blog/7?x=1") is matches
    assert ask(lambda: npp.URI(pattern), "/blog/7/") is matches


@pytest.mark.parametrize(
    ("host", "name", "matches"),
    [
        ("example.com", "example.com", True),
        ("www.example.com", "example.com", True),
        ("EXAMPLE.com:8080", "example.com", True),
        ("example.com", "WWW.EXAMPLE.COM", True),
        # Node++ took the first label off whatever it was.
        ("example.co.uk", "co.uk", False),
        ("blog.example.com", "example.com", False),
        ("[::1]:80", "[::1]", True),
        ("127.0.0.1", "0.0.1", False),
    ],
)
def test_host_compares_without_case_port_and_www(host, name, matches):
    assert ask(lambda: npp.HOST(name), headers={"Host": host}) is matches


# Macros that are values.


def test_methods_are_tested_by_their_macros():
    def look():
        macros = (
            npp.REQ_GET,
            npp.REQ_POST,
            npp.REQ_PUT,
            npp.REQ_PATCH,
            npp.REQ_DELETE,
            npp.REQ_HEAD,
            npp.REQ_OPTIONS,
        )
        return [index for index, macro in enumerate(macros) if macro]

    for index, method in enumerate(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")):
        assert ask(look, method=method) == [index]


def test_a_text_macro_behaves_as_the_str_it_reads():
    def look():
        macro = npp.REQ_METHOD
        return [
            macro == "POST",
            macro != "POST",
            macro == "GET",
            macro == "POST",
            str(macro),
            f"{macro}|{macro:>6}|{macro!r}",
            "m=" + macro,
            macro + "!",
            macro.lower(),
            macro[0],
            len(macro),
            "OS" in macro,
            list(macro),
            {"POST": 1}[macro],
            macro in ("PUT", "POST"),
            "%s" % macro,  # noqa: UP031
            macro < "Q",
            sorted([macro(), "A"]),
            macro * 2,
        ]

    assert ask(look, method="POST") == [
        True,
        False,
        False,
        True,
        "POST",
        "POST|  POST|'POST'",
        "m=POST",
        "POST!",
        "post",
        "P",
        4,
        True,
        ["P", "O", "S", "T"],
        1,
        True,
        "POST",
        True,
        ["A", "POST"],
        "POSTPOST",
    ]


def test_macros_can_be_compared_and_combined_with_each_other():
    def look():
        return [
            npp.REQ_ID == npp.REQ_METHOD,
            npp.REQ_ID + npp.REQ_METHOD,
            npp.REQ_GET == True,  # noqa: E712
            bool(npp.REQ_GET and not npp.REQ_POST),
            npp.REQ_GET & npp.REQ_DSK,
            npp.REQ_POST | npp.REQ_DSK,
            int(npp.REQ_ID) if npp.REQ_ID.isdigit() else None,
            "%d" % npp.REQ_ID,  # noqa: UP031
        ]

    assert ask(look, "/a/7") == [False, "7GET", True, True, True, True, 7, "7"]


def test_a_macro_outside_a_request_raises_but_can_be_shown():
    with pytest.raises(RuntimeError):
        bool(npp.REQ_GET)
    assert "REQ_GET" in repr(npp.REQ_GET)


def test_request_is_the_current_one():
    assert ask(lambda: (npp.REQUEST.path, npp.REQUEST().method), "/x") == ("/x", "GET")


def test_the_client_is_classed():
    def look():
        return [bool(m) for m in (npp.REQ_DSK, npp.REQ_TAB, npp.REQ_MOB, npp.REQ_BOT)]

    assert ask(look) == [True, False, False, False]
    assert ask(look, headers={"User-Agent": "iPad"}) == [False, True, False, False]
    assert ask(look, headers={"User-Agent": "Android Googlebot"}) == [False, False, True, True]


def test_the_rest_of_the_request_is_read():
    def look():
        return [
            npp.REQ_LANG(),
            npp.REQ_CONTENT_TYPE(),
            npp.REQ_DATA(),
            bytes(npp.REQ_DATA),
            npp.REQ_GET_HEADER("x-any"),
            npp.REQ_GET_HEADER("none"),
            npp.REQ_COOKIE("a"),
            npp.REQ_COOKIE("none"),
            npp.NPP_PROTOCOL(),
        ]

    headers = {"Accept-Language": "pl-PL,pl", "Content-Type": "text/x", "X-Any": "1"}
    value = ask(look, method="POST", headers=headers, data=b"body", cookies={"a": "1"})
    assert value == ["PL-PL", "text/x", b"body", b"body", "1", None, "1", "", "http"]


# Parameters.


def test_qs_reads_the_query_and_the_body():
    assert ask(lambda: npp.QS("a"), "/?a=1") == "1"
    assert ask(lambda: npp.QS("a"), method="POST", data={"a": "2"}) == "2"
    assert ask(lambda: npp.QS("a"), method="PUT", data={"a": "2"}) == "2"
    assert ask(lambda: npp.QS("a"), method="POST", json={"a": "3"}) == "3"
    assert ask(lambda: npp.QS("a"), method="POST", data={"a": "4"}, files={"f": b""}) == "4"


def test_the_body_of_a_post_comes_before_its_query_which_node_plus_plus_ignored():
    def look():
        return npp.QS("a"), npp.QS("b")

    assert ask(look, "/?a=query&b=query", method="POST", data={"a": "body"}) == ("body", "query")


def test_a_missing_parameter_is_empty_and_its_presence_can_be_tested():
    def look():
        return npp.QS("x"), npp.QS("x", None), npp.QS("empty", None), npp.QS("x", "d")

    assert ask(look, "/?empty=") == ("", None, "", "d")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        (5, "5"),
        (1.5, "1.5"),
        (True, "true"),
        (False, "false"),
        (None, "missing"),
        ([1], "missing"),
        ({"b": 1}, "missing"),
    ],
)
def test_scalars_of_the_top_level_of_json_are_parameters(value, text):
    assert ask(lambda: npp.QS("a", "missing"), method="POST", json={"a": value}) == text


def test_json_that_is_no_object_has_no_parameters_and_broken_json_is_a_400():
    assert ask(lambda: npp.QS("a", "missing"), method="POST", json=[1]) == "missing"
    headers = {"Content-Type": "application/json"}
    app = module(lambda: npp.QS("a"))
    assert Client(app).post("/", data=b"{", headers=headers).status == 400


def test_parameters_are_escaped_for_html_unless_asked_otherwise():
    value = '<a href="x">\'&\\\r\n'

    def look():
        return npp.QS("a"), npp.QS_HTML_ESCAPE("a"), npp.QS_SQL_ESCAPE("a"), npp.QS_DONT_ESCAPE("a")

    html = "&lt;a href=&quot;x&quot;&gt;&apos;&amp;&#92;\n"
    sql = '<a href=\\"x\\">\\\'&\\\\\r\n'
    assert ask(look, method="POST", data={"a": value}) == (html, html, sql, value)


def test_the_policy_of_escaping_is_a_define():
    def look():
        return npp.QS("a"), npp.QS_TEXT("a"), npp.QS_HTML_ESCAPE("a")

    url = "/?a=%3C%27"
    html = "&lt;&apos;"
    assert ask(look, url, names={"QS_DEF_DONT_ESCAPE": True}) == ("<'", "<'", html)
    assert ask(look, url, names={"QS_DEF_SQL_ESCAPE": True}) == ("<\\'", "<\\'", html)
    assert ask(look, url, names={"QS_DEF_HTML_ESCAPE": True}) == (html, html, html)
    assert ask(look, url) == (html, html, html)


def test_new_lines_become_breaks_if_so_defined():
    names = {"HTML_ESCAPE_NEW_LINES": True}
    assert ask(lambda: npp.QS("a"), "/?a=1%0D%0A2", names=names) == "1<br>2"
    assert ask(lambda: npp.QS("a"), "/?a=1%0D%0A2") == "1\n2"


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("QS", 255),
        ("QS1K", 1023),
        ("QS2K", 2047),
        ("QS4K", 4095),
        ("QS8K", 8191),
        ("QS16K", 16383),
        ("QS32K", 32767),
        ("QS64K", 65535),
        ("QS_TEXT", 65535),
        ("QS_TEXT_HTML_ESCAPE", 65535),
        ("QS_TEXT_SQL_ESCAPE", 65535),
        ("QS_TEXT_DONT_ESCAPE", 65535),
        ("QS_HTML_ESCAPE", 255),
        ("QS_SQL_ESCAPE", 255),
        ("QS_DONT_ESCAPE", 255),
    ],
)
def test_each_kind_of_parameter_has_its_longest_value(name, size):
    read = getattr(npp, name)
    for given in (size - 1, size, size + 1):
        value = ask(lambda: read("a"), method="POST", data={"a": "x" * given})
        assert len(value) == min(given, size)


def test_a_value_is_cut_before_it_is_escaped():
    assert ask(lambda: npp.QS("a"), method="POST", data={"a": "<" * 300}) == "&lt;" * 255


@pytest.mark.parametrize(
    ("text", "i", "u", "long"),
    [
        ("0", 0, 0, 0),
        ("42", 42, 42, 42),
        ("+42", 42, 42, 42),
        ("-42", -42, 9, -42),
        (" 42 ", 42, 42, 42),
        ("007", 7, 7, 7),
        ("2147483647", 2147483647, 2147483647, 2147483647),
        ("2147483648", 9, 2147483648, 2147483648),
        ("-2147483648", -2147483648, 9, -2147483648),
        ("-2147483649", 9, 9, -2147483649),
        ("4294967295", 9, 4294967295, 4294967295),
        ("4294967296", 9, 9, 4294967296),
        ("9223372036854775807", 9, 9, 9223372036854775807),
        ("9223372036854775808", 9, 9, 9),
        ("-9223372036854775808", 9, 9, -9223372036854775808),
        ("9" * 5000, 9, 9, 9),
        ("", 9, 9, 9),
        ("-", 9, 9, 9),
        ("x", 9, 9, 9),
        ("4x", 9, 9, 9),
        ("1_0", 9, 9, 9),
        ("1.5", 9, 9, 9),
        ("٣", 9, 9, 9),
    ],
)
def test_integers_are_read_within_their_bounds(text, i, u, long):
    def look():
        return npp.QSI("a", 9), npp.QSU("a", 9), npp.QSL("a", 9)

    assert ask(look, method="POST", data={"a": text}) == (i, u, long)


def test_a_missing_number_is_zero():
    def look():
        return npp.QSI("a"), npp.QSU("a"), npp.QSL("a"), npp.QSF("a"), npp.QSD("a"), npp.QSB("a")

    assert ask(look) == (0, 0, 0, 0.0, 0.0, False)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.5", 1.5),
        ("-1e3", -1000.0),
        (" 2 ", 2.0),
        ("", 9.0),
        ("x", 9.0),
        ("nan", 9.0),
        ("inf", 9.0),
        ("-Infinity", 9.0),
        ("1e999", 9.0),
        ("1_0", 9.0),
        ("٣", 9.0),
    ],
)
def test_floats_are_read(text, number):
    def look():
        return npp.QSF("a", 9.0), npp.QSD("a", 9.0)

    assert ask(look, method="POST", data={"a": text}) == (number, number)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("t", True),
        ("true", True),
        ("True", True),
        ("1", True),
        ("on", True),
        ("off", False),
        ("0", False),
        ("f", False),
        ("", False),
        ("yes", False),
    ],
)
def test_booleans_are_read_as_node_plus_plus_does(text, value):
    assert ask(lambda: npp.QSB("a"), method="POST", data={"a": text}) is value


def test_a_file_is_read():
    def look():
        file = npp.QS_FILE("f")
        return file.filename, file.size, file.read(), npp.QS_FILE("none")

    value = ask(look, method="POST", files={"f": ("a.png", b"\x89PNG")})
    assert value == ("a.png", 4, b"\x89PNG", None)


# The answer.


def test_out_never_escapes_and_formats_as_printf():
    def write():
        npp.OUT("<b>100%</b>")
        npp.OUT("%s|%5d|%-3u|%x|%.2f|%c|%%|", "<&>", 42, 7, 255, 2.345, "x")
        npp.OUT("%ld|%lu|%lld|%llu|%zu|%hd", 1, 2, 3, 4, 5, 6)
        npp.OUT("|%X|%o|%g|%e", 255, 8, 0.5, 0.5)
        npp.OUT("|%s", npp.REQ_METHOD)
        npp.OUTSS("|%s")
        npp.OUT(5)

    assert page(write).text == (
        "<b>100%</b><&>|   42|7  |ff|2.35|x|%|1|2|3|4|5|6|FF|10|0.5|5.000000e-01|GET|%s5"
    )


def test_out_bin_appends_bytes():
    def write():
        npp.RES_CONTENT_TYPE("application/x-test")
        npp.OUT("a")
        npp.OUT_BIN(b"\x00\xff")
        npp.OUT_BIN(bytearray(b"123456"), 3)
        npp.OUT_BIN(memoryview(b"789"))

    answer = page(write)
    assert answer.body == b"a\x00\xff123789"
    assert answer.content_type == "application/x-test"


def test_a_format_that_does_not_fit_is_a_500():
    app = app_from_module(module(lambda: npp.OUT("%d", "x")))
    app.host.log = lambda level, message: None
    assert Client(app).get("/").status == 500


def test_header_and_footer_make_a_page_of_the_defines():
    def write():
        npp.OUT_HTML_HEADER()
        npp.OUT("<p>x</p>\n")
        npp.OUT_HTML_FOOTER()

    text = page(write).text
    assert text.startswith("<!DOCTYPE html>")
    assert "<title>Node++ Web Application</title>" in text
    assert "description" not in text
    assert text.endswith("<p>x</p>\n</body>\n</html>\n")
    names = {"NPP_APP_NAME": "A & B", "NPP_APP_DESCRIPTION": "d", "NPP_APP_KEYWORDS": '"k"'}
    text = page(write, names=names).text
    assert "<title>A &amp; B</title>" in text
    assert '<meta name="description" content="d">' in text
    assert '<meta name="keywords" content="&quot;k&quot;">' in text


def test_loaders_cannot_leave_their_script():
    def write():
        npp.APPEND_CSS("a.css")
        npp.APPEND_CSS('"</script>', False)
        npp.APPEND_SCRIPT("a.js")
        npp.APPEND_SCRIPT("b.js", False)

    text = page(write).text
    assert text.count("function npp_css") == text.count("function npp_script") == 1
    assert 'npp_css("a.css");' in text
    assert 'npp_css("\\"\\u003c/script>");' in text
    assert 'npp_script("a.js");\nnpp_script("b.js");' in text


@pytest.mark.parametrize(
    ("call", "content_type"),
    [
        (lambda: None, "text/html; charset=utf-8"),
        (lambda: npp.RES_CONTENT_TYPE("text/csv"), "text/csv; charset=utf-8"),
        (lambda: npp.RES_CONTENT_TYPE_TEXT(), "text/plain; charset=utf-8"),
        (lambda: npp.RES_CONTENT_TYPE_HTML(), "text/html; charset=utf-8"),
        (lambda: npp.RES_CONTENT_TYPE_JSON(), "application/json"),
        (lambda: npp.RES_CONTENT_TYPE_FROM_FILE_EXTENSION("a.png"), "image/png"),
    ],
)
def test_content_types_are_set(call, content_type):
    def write():
        call()
        npp.OUT("x")

    assert page(write).headers["content-type"] == content_type


def test_a_location_forces_303_but_keeps_a_redirection_that_was_set():
    def write():
        status = npp.QSI("status")
        if status:
            npp.RES_STATUS(status)
        npp.RES_LOCATION("/to?id=%d", 5)

    for given, sent in ((0, 303), (200, 303), (404, 303), (301, 301), (302, 302), (307, 307)):
        answer = page(write, f"/?status={given}")
        assert (answer.status, answer.headers["location"]) == (sent, "/to?id=5")
    answer = page(lambda: npp.REDIRECT_TO_LANDING())
    assert (answer.status, answer.headers["location"]) == (303, "/")
    assert npp.RES_REDIRECT is npp.RES_LOCATION


def test_fields_and_cookies_are_set():
    def write():
        npp.RES_HEADER("X-A", 1)
        npp.RES_COOKIE("plain", "v")
        npp.RES_COOKIE("long", "w", 2)
        npp.RES_CONTENT_DISPOSITION("attachment; filename=%s", "a.txt")
        npp.RES_DONT_CACHE()

    answer = page(write)
    assert answer.headers["x-a"] == "1"
    assert answer.headers["content-disposition"] == "attachment; filename=a.txt"
    assert "no-store" in answer.headers["cache-control"]
    plain, long = answer.headers.getlist("set-cookie")
    assert plain == "plain=v; Path=/; HttpOnly; SameSite=Lax"
    assert long == "long=w; Max-Age=172800; Path=/; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    "call",
    [
        lambda: npp.RES_HEADER("X", "a\r\nSet-Cookie: evil=1"),
        lambda: npp.RES_COOKIE("x", "a\r\nSet-Cookie: evil=1"),
        lambda: npp.RES_LOCATION("/%s", "\r\nSet-Cookie: evil=1"),
        lambda: npp.RES_CONTENT_DISPOSITION("a\r\nSet-Cookie: evil=1"),
        lambda: npp.RES_CONTENT_TYPE("a\r\nSet-Cookie: evil=1"),
    ],
)
def test_nothing_can_be_injected_into_the_head(call):
    # Node++ checked none of these.
    def write():
        with pytest.raises(ValueError, match=r"."):
            call()

    answer = page(write)
    assert answer.status == 200
    assert "set-cookie" not in answer.headers


def test_an_error_status_replaces_what_was_written():
    def write():
        npp.OUT("half a page")
        npp.RES_STATUS(403)

    answer = Client(module(write)).get("/")
    assert answer.status == 403
    assert "half a page" not in answer.text
    assert "Forbidden" in answer.text


def test_an_error_status_keeps_its_content_if_told_so_for_this_request_only():
    def write():
        npp.OUT("mine")
        npp.RES_STATUS(404)
        if npp.REQ("keep"):
            npp.RES_KEEP_CONTENT()

    client = Client(module(write))
    answer = client.get("/keep")
    assert (answer.status, answer.text) == (404, "mine")
    answer = client.get("/other")
    assert answer.status == 404
    assert "mine" not in answer.text


def test_a_custom_message_page_is_rendered_with_out():
    def write():
        npp.OUT("not this")
        npp.RES_STATUS(404)

    def npp_app_custom_message_page(code):
        npp.OUT("<h1>code %d at %s</h1>", code, npp.REQ_URI)

    names = {"npp_app_custom_message_page": npp_app_custom_message_page}
    answer = Client(module(write, **names)).get("/away")
    assert (answer.status, answer.text) == (404, "<h1>code 404 at away</h1>")
    answer = Client(module(lambda: npp.RES_STATUS(404), **names)).get("/away")
    assert (answer.status, answer.text) == (404, "<h1>code 404 at away</h1>")


def test_an_exception_is_a_500_and_one_line():
    lines = []
    app = app_from_module(module(lambda: 1 / 0))
    app.host.log = lambda level, message: lines.append(message)
    assert Client(app).get("/").status == 500
    assert len(lines) == 1
    assert "ZeroDivisionError" in lines[0]


def test_main_may_return_a_result_as_a_handler_does():
    client = Client(module(lambda: {"a": 1}))
    assert client.get("/").json() == {"a": 1}


# Hooks.


def test_init_and_done_frame_the_run():
    seen = []
    names = {
        "npp_app_init": lambda: [seen.append("init"), True][1],
        "npp_app_done": lambda: seen.append("done"),
    }
    with Client(module(lambda: seen.append("main"), **names)) as client:
        assert seen == ["init"]
        client.get("/")
        client.get("/")
    assert seen == ["init", "main", "main", "done"]


@pytest.mark.parametrize(
    ("result", "starts"), [(True, True), (None, True), (1, True), (False, False), (0, False)]
)
def test_an_init_that_returns_false_refuses_the_start(result, starts):
    app = app_from_module(module(lambda: None, npp_app_init=lambda: result))
    if starts:
        app.start()
    else:
        with pytest.raises(StartError, match="npp_app_init"):
            app.start()


def test_init_may_take_argc_and_argv():
    seen = []

    def npp_app_init(argc, argv):
        seen.append((argc, argv))
        return True

    app_from_module(module(lambda: None, npp_app_init=npp_app_init)).start()
    ((argc, argv),) = seen
    assert argc == len(argv)


def test_the_seven_hooks_and_the_periodic_ones_are_found():
    def hook():
        pass

    names = dict.fromkeys(
        (
            "npp_app_init",
            "npp_app_done",
            "npp_app_session_init",
            "npp_app_session_done",
            "npp_app_user_login",
            "npp_app_user_logout",
            "npp_app_every_spare_second",
            "npp_app_every_minute",
        ),
        hook,
    )
    app = app_from_module(module(lambda: None, **names))
    assert sorted(app._events) == [
        "login",
        "logout",
        "session_start",
        "session_stop",
        "start",
        "stop",
    ]
    assert [seconds for seconds, _ in app.timers] == [1.0, 60.0]


# The log.


def test_log_macros_have_their_levels(monkeypatch):
    lines = []
    app = app_from_module(module(lambda: None))
    app.host.log = lambda level, message: lines.append((level, message))
    monkeypatch.setattr(log.log, "level", 4)
    npp.ALWAYS("a %d", 1)
    npp.ERR("e")
    npp.WAR("100%")
    npp.INF("%s", "i")
    npp.DBG("d %lld", 5)
    npp.ERR("%d", "x")
    assert [level for level, _ in lines] == [0, 1, 2, 3, 4, 1]
    assert [message for _, message in lines[:5]] == ["a 1", "e", "100%", "i", "d 5"]
    assert "%d ('x',)" in lines[5][1]


def test_a_level_that_is_not_asked_for_costs_no_formatting(monkeypatch):
    class Loud:
        def __str__(self):
            raise AssertionError("formatted")

    monkeypatch.setattr(log.log, "level", 3)
    npp.DBG("%s", Loud())


# Lines that do nothing in Python.


@pytest.mark.parametrize(
    "name",
    [
        "RES_DONT_CACHE",
        "RES_KEEP_CONTENT",
        "OUT_HTML_HEADER",
        "OUT_HTML_FOOTER",
        "REDIRECT_TO_LANDING",
        "RES_CONTENT_TYPE_TEXT",
        "RES_CONTENT_TYPE_HTML",
        "RES_CONTENT_TYPE_JSON",
    ],
)
def test_a_macro_that_is_not_called_is_found_at_start(tmp_path, name):
    source = tmp_path / "app.py"
    source.write_text(
        "def npp_app_main():\n"
        "    if True:\n"
        "        try:\n"
        "            pass\n"
        "        finally:\n"
        f"            {name}\n"
    )
    made = module(lambda: None)
    made.__file__ = str(source)
    with pytest.raises(RouteError) as caught:
        app_from_module(made)
    assert str(caught.value) == (
        f"app.py:6: {name} does something, so in Python it is called: {name}()"
    )


def test_calls_and_other_names_are_let_through(tmp_path):
    source = tmp_path / "app.py"
    source.write_text(
        "def npp_app_main():\n    RES_DONT_CACHE()\n    REQ_GET\n    x = OUT_HTML_HEADER\n"
    )
    made = module(lambda: None)
    made.__file__ = str(source)
    assert isinstance(app_from_module(made), App)


def test_every_statement_macro_is_a_function():
    for name in macros.STATEMENTS:
        assert name in npp.__all__
        assert callable(getattr(npp, name))
        assert not isinstance(getattr(npp, name), Macro)
