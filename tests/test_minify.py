"""Minifying CSS and JavaScript."""

import sys

import pytest

from nodepp.statics import minify as module
from nodepp.statics.minify import can_minify, is_finished, minify

CSS = b"/* note */\nbody {\n    color: red;\n}\n"
JS = b"// note\nfunction f(a) {\n    return a + 1\n}\nvar re = /[/]{2}\\/\\//g, t = `a  //  b`\n"


@pytest.fixture
def log():
    lines = []

    def write(level, message):
        lines.append((level, message))

    write.lines = lines
    return write


def test_blanks_and_comments_go_and_strings_stay(log):
    assert minify("/a.css", "a.css", CSS, log) == b"body{color:red}"
    small = minify("/a.js", "a.js", JS, log)
    assert len(small) < len(JS)
    assert b"note" not in small
    assert b"`a  //  b`" in small
    assert b"/[/]{2}\\/\\//g" in small
    assert log.lines == []


@pytest.mark.parametrize("name", ["a.CSS", "a.Js", "a.mjs", "b/c.css", "min.css", "a.min/x.css"])
def test_the_extension_says_what_is_minified(name):
    assert can_minify(f"/{name}", b"x")


@pytest.mark.parametrize(
    "name", ["a.html", "a.svg", "a.json", "a.png", "css", "a.css.map", "a.min.css", "a.min.js",
             "a-min.js", "b/a.min.mjs"])
def test_anything_else_and_what_is_finished_stays_as_it_is(name, log):
    assert minify(f"/{name}", name, CSS, log) is CSS


@pytest.mark.parametrize("comment", [
    b"\n//# sourceMappingURL=a.js.map\n",
    b"\n/*# sourceMappingURL=data:application/json;base64,e30= */",
    b"\n//@ sourceMappingURL=old.map",
])  # fmt: skip
def test_a_file_that_names_a_source_map_stays_as_it_is(comment, log):
    # The map counts its columns.
    body = JS + comment
    assert is_finished("/a.js", body)
    assert minify("/a.js", "a.js", body, log) is body


def test_a_byte_order_mark_is_dropped(log):
    assert minify("/a.css", "a.css", b"\xef\xbb\xbf" + CSS, log) == b"body{color:red}"


def test_a_failing_minifier_serves_the_original_and_says_so(log, monkeypatch):
    def broken(extension):
        def fail(text):
            raise RuntimeError("lost")

        return fail

    monkeypatch.setattr(module, "_minifier", broken)
    assert minify("/a.css", "/x/a.css", CSS, log) is CSS
    assert log.lines == [(2, "static: /x/a.css is served as it is: RuntimeError: lost")]


def test_what_is_not_utf8_is_served_as_it_is(log):
    body = b"var a = '\xff'"
    assert minify("/b.js", "b.js", body, log) is body
    assert "UnicodeDecodeError" in log.lines[0][1]


def test_a_missing_minifier_serves_the_original(log, monkeypatch):
    monkeypatch.setitem(sys.modules, "rcssmin", None)
    assert minify("/a.css", "a.css", CSS, log) is CSS
    assert "ModuleNotFoundError" in log.lines[0][1]


def test_a_minifier_that_eats_a_file_is_not_believed(log, monkeypatch):
    monkeypatch.setattr(module, "_minifier", lambda extension: lambda text: "")
    assert minify("/a.css", "a.css", CSS.replace(b"/* note */", b""), log) != b""
    assert len(log.lines) == 1
    assert minify("/b.css", "b.css", b"/* only a note */", log) == b""
    assert minify("/c.css", "c.css", b"", log) == b""
    assert len(log.lines) == 1


def test_what_would_grow_stays_as_it_is(log, monkeypatch):
    monkeypatch.setattr(module, "_minifier", lambda extension: lambda text: text + " ")
    assert minify("/a.css", "a.css", CSS, log) is CSS
