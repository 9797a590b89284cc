"""Names that change with the content, and references to them."""

import pytest

from nodepp.statics.fingerprint import (
    fingerprinted,
    has_own_hash,
    references,
    resolve,
    rewrite,
)


@pytest.mark.parametrize(("path", "named"), [
    ("/app.css", "/app.F.css"),
    ("/css/app.css", "/css/app.F.css"),
    ("/a.tar.gz", "/a.tar.F.gz"),
    ("/folder.d/LICENSE", "/folder.d/LICENSE.F"),
    ("/LICENSE", "/LICENSE.F"),
    ("/.well-known/x", "/.well-known/x.F"),
    ("/ein wört.css", "/ein wört.F.css"),
])  # fmt: skip
def test_the_fingerprint_stands_before_the_last_extension(path, named):
    assert fingerprinted(path, "F") == named


@pytest.mark.parametrize(("path", "has"), [
    ("/app.3f2a9c1b.js", True),
    ("/app-3f2a9c1b.js", True),
    ("/a/b-c.0123456789abcdef0123456789abcdef.min.css", True),
    ("/b1946ac9-2492-4d23-8f0e-42661417400a.png", False),  # a UUID: which thing, not which bytes
    ("/photo-b1946ac9-2492-4d23-8f0e-42661417400a.png", False),
    ("/a-b-c-d-42661417400a.png", True),
    ("/app.3f2a9c1.js", False),             # seven digits: too short
    ("/app." + "1a" * 33 + ".js", False),   # 66: too long
    ("/report.20240131.pdf", False),        # a date
    ("/app.deadbeef.js", False),            # a word
    ("/3f2a9c1b.js", False),                # its name, not its hash
    ("/app-3f2a9c1b-more.js", False),
    ("/app.3f2a9c1b", False),               # its extension
    ("/3f2a9c1b.d/app.js", False),          # of the folder
    ("/app.3F2A9C1B.js", False),
    ("/app", False),
])  # fmt: skip
def test_a_hash_of_a_build_tool_is_recognised(path, has):
    assert has_own_hash(path) == has


@pytest.mark.parametrize(("target", "path"), [
    ("a.png", "/css/a.png"),
    ("./a.png", "/css/a.png"),
    ("../img/a.png", "/img/a.png"),
    ("/img/a.png", "/img/a.png"),
    ("a%20b.png", "/css/a b.png"),
    ("%C3%A4.png", "/css/ä.png"),
    ("../../a.png", None),
    ("/../a.png", None),
    ("%FF.png", None),
    ("..", "/"),
])  # fmt: skip
def test_a_reference_is_resolved_as_a_browser_does(target, path):
    assert resolve("/css/app.css", target) == path


def found(css, sheet="/css/app.css"):
    return [(css[it.start : it.end], it.path) for it in references(sheet, css)]


@pytest.mark.parametrize(("css", "expected"), [
    ("a{b:url(x.png)}", [("x.png", "/css/x.png")]),
    ("a{b:URL( 'x.png' )}", [("x.png", "/css/x.png")]),
    ('a{b:url("i/x.png?v=1#s")}', [("x.png", "/css/i/x.png")]),
    ("a{b:url(../x.svg#icon)}", [("x.svg", "/x.svg")]),
    ("a{b:url(x.eot?#iefix),url(x.woff2)}", [("x.eot", "/css/x.eot"), ("x.woff2", "/css/x.woff2")]),
    ('@import "base.css";', [("base.css", "/css/base.css")]),
    ("@IMPORT 'base.css' screen;", [("base.css", "/css/base.css")]),
    ("@import url(/base.css) layer(x);", [("base.css", "/base.css")]),
    ("a{b:url(a%20b.png)}", [("a%20b.png", "/css/a b.png")]),
    # Left alone.
    ("a{b:url(data:image/png;base64,iVBORw0KGgo=)}", []),
    ('a{b:url("data:image/svg+xml,<svg xmlns=\'x\'/>")}', []),
    ("a{b:url(http://x/y.png) url(https://x/y.png) url(//x/y.png) url(blob:x)}", []),
    ("a{b:url(#local) url() url('') url(?x)}", []),
    ("/* url(x.png) @import 'y.css' */", []),
    ("/* never closed url(x.png)", []),
    ('a{content:"url(x.png)"}', []),
    ("a{content:'a\\'url(x.png)'}", []),
    ("a{b:my-url(x.png)}", []),
    (r"a{b:url(x\.png)}", []),
    ("a{b:url(../../x.png)}", []),
    ("a{b:url(folder/)}", []),
    ("a{b:url(x y.png)}", []),
    ("a{}", []),
    ("", []),
])  # fmt: skip
def test_references_of_a_style_sheet_are_found(css, expected):
    assert found(css) == expected


def test_only_the_name_is_rewritten_and_the_rest_stays():
    css = "@import '../base.css';a{b:url( \"i/x.png?v=1#s\" ) url(y.png) url(a%20b.png)}"
    refs = references("/css/app.css", css)
    assert rewrite(css, refs, ["F1", "F2", "", "F4"]) == (
        "@import '../base.F1.css';a{b:url( \"i/x.F2.png?v=1#s\" ) url(y.png) url(a%20b.F4.png)}"
    )
    assert rewrite(css, refs, ["", "", "", ""]) == css


def test_a_long_style_sheet_takes_time_in_proportion():
    # Nothing in the pattern may try the same text again and again.
    import time

    for piece in ("url(", '"', "/*", "@import ", "url('", "\\", "url(a"):
        text = piece * (200_000 // len(piece))
        started = time.process_time()
        references("/a.css", text)
        assert time.process_time() - started < 2.0, piece
