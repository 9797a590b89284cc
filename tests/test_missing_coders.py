"""Without zstandard, brotli or msgspec: one line at the start; gzip for what is rendered.

The story: each request that asked for zstd, as all browsers do, was a line in the log, and its
answer left as it was.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import pytest
from nodepprun import Run

from nodepp import App
from nodepp.statics import coders

APP = """\
import sys
missing = MISSING
for name in missing:
    sys.modules[name] = None
if "zstandard" in missing:
    from nodepp.statics import coders
    coders._load_zstd = lambda: None    # its way around the package
from nodepp import App
app = App()

@app.get("/")
def landing(req):
    return "<p>hello</p>" * 200
"""


@pytest.fixture
def no_zstd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coders, "_zstd", None)
    monkeypatch.setattr(coders, "_load_zstd", lambda: None)
    monkeypatch.setitem(sys.modules, "zstandard", None)


def test_the_core_is_told_what_there_is() -> None:
    assert App().host.codings == ("zstd", "gzip")


def test_the_core_is_told_of_gzip_alone(no_zstd) -> None:
    assert App().host.codings == ("gzip",)


@pytest.mark.parametrize(
    ("missing", "line"),
    [
        (["brotli"], "as br, gzip is larger: brotli cannot be imported. Try: pip install brotli"),
        (["zstandard"],
         "as zstd, gzip is larger: zstandard cannot be imported. Try: pip install zstandard"),
        (["brotli", "zstandard"],
         "as zstd or br, gzip is larger: zstandard and brotli cannot be imported."
         " Try: pip install zstandard brotli"),
    ],
    ids="+".join,
)
def test_missing_libraries_are_one_line_at_the_start(
    tmp_path: Path, missing: list[str], line: str
) -> None:
    (tmp_path / "app.py").write_text(APP.replace("MISSING", repr(missing)))
    with Run(tmp_path) as run:
        run.wait_for("Try: pip install")
        for _ in range(2):
            answer = run.get("/", "Accept-Encoding: gzip, deflate, br, zstd\r\n")
            assert answer.status == 200
        coding = {name.lower(): value for name, value in answer.fields}["content-encoding"]
        if "zstandard" in missing:
            assert coding == "gzip"
            assert gzip.decompress(answer.body) == b"<p>hello</p>" * 200
        else:
            assert coding == "zstd"
        assert f"Nothing leaves {line}\n" in run.text
        assert "no coder" not in run.text
    assert run.text.count("WAR") == 1


def test_nothing_is_said_of_coders_that_are_not_wanted(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP.replace("MISSING", "['brotli']"))
    with Run(tmp_path, "--no-compress") as run:
        run.get("/")
    assert "brotli" not in run.text


def test_without_the_library_of_json_one_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP.replace("MISSING", "['msgspec']"))
    with Run(tmp_path) as run:
        run.wait_for(r"WAR JSON takes msgspec: .*\. Try: pip install msgspec$")
    assert "ERR" not in run.text
