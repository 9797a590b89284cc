"""The Node++ way: snippets, Markdown, generated statics, hosts, the minifier."""

from __future__ import annotations

import types

import pytest

from nodepp import npp, npp_files
from nodepp.npp import app_from_module
from nodepp.testing import Client


@pytest.fixture
def ask(tmp_path):
    """ask(write, host): the answer of an npp_app_main that is write()."""
    for name, text in (("a.html", "<p>a ü</p>"), ("b.md", "*b*"), ("c.txt", "*c*"), ("e", "")):
        (tmp_path / name).write_text(text, "utf-8")
    own = tmp_path / "own"
    own.mkdir()
    (own / "a.html").write_text("own")
    module = types.ModuleType("hello")
    module.npp_app_main = lambda: None
    lines = []

    def ask(write, host="localhost"):
        module.npp_app_main = write
        app = app_from_module(module)
        app.add_host("example.com", snippets=str(own))
        app.host.log = lambda level, message: lines.append((level, message))
        client = Client(app, base_url=f"http://{host}", statics={"snippets": str(tmp_path)},
                        raise_exceptions=True)  # fmt: skip
        return client.get("/")

    ask.lines = lines
    yield ask
    app_from_module(module)


def test_a_snippet_is_written_as_it_stands_in_its_file(ask):
    answer = ask(lambda: npp.OUT_SNIPPET("a.html") or npp.OUT_SNIPPET("b.md"))
    assert answer.text == "<p>a ü</p>*b*"


def test_a_markdown_snippet_is_rendered_whatever_it_is_called(ask):
    answer = ask(lambda: npp.OUT_SNIPPET_MD("b.md") or npp.OUT_SNIPPET_MD("c.txt"))
    assert answer.text == "<p><em>b</em></p>\n<p><em>c</em></p>\n"


def test_the_host_that_is_asked_has_its_own(ask):
    assert ask(lambda: npp.OUT_SNIPPET("a.html"), "www.example.com").text == "own"


def test_text_and_size_of_a_snippet(ask):
    seen = []
    ask(lambda: seen.append([(npp.npp_get_snippet(it), npp.npp_get_snippet_len(it))
                             for it in ("a.html", "e")]))  # fmt: skip
    assert seen == [[("<p>a ü</p>", 11), ("", 0)]]


def test_outside_a_request_snippets_are_those_of_the_main_host(ask):
    ask(lambda: None)
    assert npp.npp_get_snippet("a.html") == "<p>a ü</p>"


def test_a_missing_snippet_writes_nothing_and_is_named_once(ask):
    def main():
        npp.OUT("[")
        for _ in range(3):
            npp.OUT_SNIPPET("a.htm")
            npp.OUT_SNIPPET_MD("a.htm")
            npp.OUT_SNIPPET_MD("a.mdd")
        npp.OUT("%s%d]", npp.npp_get_snippet("a.htm"), npp.npp_get_snippet_len("a.htm"))

    assert ask(main).text == "[0]"
    assert ask.lines == [
        (2, "There is no snippet 'a.htm'. Did you mean 'a.html'?"),
        (2, "There is no snippet 'a.mdd'."),
    ]


def test_names_that_visitors_make_up_do_not_fill_the_log(ask, monkeypatch):
    monkeypatch.setattr(npp_files, "MISSING_COUNT_MAX", 5)
    ask(lambda: [npp.OUT_SNIPPET(f"{number}") for number in range(50)] and None)
    assert len(ask.lines) == 5


def test_markdown_is_rendered_as_commonmark():
    assert npp.npp_render_md("# One\n\n1 &lt; **2**") == (
        "<h1>One</h1>\n<p>1 &lt; <strong>2</strong></p>\n"
    )


@pytest.mark.parametrize(
    ("text", "kind", "small"),
    [
        ("a { color : red ; } /* b */", "css", "a{color:red}"),
        ("var a = 1; // one\nvar b = `x  y`;", "js", "var a=1;var b=`x  y`;"),
        ("", "css", ""),
    ],
)
def test_minifying_gives_the_text(text, kind, small):
    assert npp.npp_minify(text, kind) == small


def test_minifying_takes_css_and_js_only():
    with pytest.raises(ValueError, match='"css" or "js", not \'html\''):
        npp.npp_minify("<b>", "html")


def test_hosts_and_generated_files_are_added_in_init(tmp_path):
    for folder, name, text in (("res", "a.css", "a { }"), ("min", "b.css", "b { c : d }"),
                               ("snippets", "a.html", "own")):  # fmt: skip
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_text(text)
    folders = [str(tmp_path / name) for name in ("res", "min", "snippets")]

    def init():
        return (
            npp.npp_add_host("example.com", *folders, npp.AUTH_LEVEL_NONE)
            and npp.npp_add_to_static_res("", "sitemap.xml", "<ü/>")
            and npp.npp_add_to_static_res("example.com", "/a.bin", b"\x00")
        )

    module = types.ModuleType("hello")
    module.npp_app_init = init
    module.npp_app_main = lambda: npp.OUT_SNIPPET("a.html")
    with Client(module) as client:
        answer = client.get("/sitemap.xml")
        assert answer.text == "<ü/>"
        assert answer.headers["content-type"] == "application/xml"
        assert client.get("/a.css").text == ""
    with Client(module, base_url="http://www.example.com") as client:
        assert client.get("/a.css").text == "a { }"
        assert client.get("/b.css").text == "b{c:d}"
        assert client.get("/a.bin").body == b"\x00"
        assert client.get("/").text == "own"


def test_assets_are_those_of_the_host_that_is_asked(ask):
    ask(lambda: None)
    npp_files.state.app.asset = lambda name, host="": f"/{name}?{host}"
    assert npp.asset("a.css") == "/a.css?"
    assert npp.asset("a.css", "b.org") == "/a.css?b.org"


def test_without_an_application_the_macros_say_so(monkeypatch):
    monkeypatch.setattr(npp_files.state, "app", None)
    with pytest.raises(RuntimeError, match="no application"):
        npp.npp_get_snippet("a.html")


def test_before_the_files_are_read_the_macros_say_so(ask):
    ask(lambda: None)
    npp_files.state.app.statics = None
    with pytest.raises(RuntimeError, match="not being served"):
        npp.npp_get_snippet("a.html")
