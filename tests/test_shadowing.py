"""Modules of the application that have the names of library modules.

The story: an application had a token.py beside its app.py. All went well until a handler raised:
the log wanted `traceback`, which wants `tokenize`, which wants `token`, and got the application's;
the client got no answer. With an http.py it was the first cookie, with a random.py the first
template, with a resource.py there was no start.
"""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
import zlib
from collections.abc import Iterable

import pytest
from nodepprun import RUN, Run

from nodepp import library

# All that a file may hide but what is hidden from nodepp itself: its first line.
NAMES = sorted({*library._standard_names(), *library.PACKAGES, "config", "log"} - {"__future__"})

# Names of modules that neither Python nor nodepp has loaded when an application is imported.
OWN = ("ast", "brotli", "code", "decimal", "email", "hashlib", "html", "http", "inspect", "json",
       "logging", "msgspec", "queue", "random", "secrets", "statistics", "string", "tempfile",
       "token", "tokenize", "traceback", "unicodedata", "urllib", "uuid", "zstandard")
IMPORT_OWN = f"import {', '.join(OWN)}\n"
OWN_TEXT = "mine = __name__\n"
ASK_OWN = f"[it.mine for it in ({', '.join(OWN)})]"

APP = """\
FIRST
from nodepp import App
app = App()

@app.get("/")
def landing(req):
    hits = req.session["hits"] = req.session.get("hits", 0) + 1
    req.set_cookie("a", 'x "y"; z')
    return f"<p>{hits}</p>" + "<p>hello</p>" * 200

@app.post("/json")
def add(req):
    return {"sum": sum(req.json()["numbers"])}

@app.get("/page")
def page(req):
    return req.render("page.html", name="A & B", items=[3, 1, 2])

@app.get("/note")
def note(req):
    req.out_snippet("note.md")

@app.post("/form")
def form(req):
    return f"{req.form['name']} {req.files['file'].filename}"

@app.get("/id/{id:uuid}")
def identity(req, id):
    return str(id.int)

@app.get("/away")
def away(req):
    req.redirect("/caf\\u00e9 au lait")

@app.get("/wrong")
def wrong(req):
    raise ValueError("this went wrong")

@app.get("/own")
def own(req):
    return OWN
"""
SCRIPT = """
if __name__ == "__main__":
    app.run(port=0, precompress=1, staticCache="", sessionFile="visitors")
"""
WORDS = ("--set", "precompress=1", "--set", "staticCache=", "--set", "sessionFile=visitors")


def lay_out(folder: pathlib.Path, names: Iterable[str], text: str, first: str = "",
            own: str = "[]") -> None:
    """An application, and beside it a module with this text for each name."""
    for name in names:
        (folder / f"{name}.py").write_text(text)
    for place, content in {
            "app.py": APP.replace("FIRST", first).replace("OWN", own) + SCRIPT,
            "templates/page.html": "<p>{{ name }} {{ items | sort | join(',') }}</p>",
            "snippets/note.md": "*noted*",
            "resmin/site.css": "p { color : red ; }\n" * 100,
            "resmin/site.js": "let a = 1 ; // one\n" * 100}.items():
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text(content)


def start(folder: pathlib.Path, how: str) -> Run:
    return Run(folder, script="app.py") if how == "app.run" else Run(folder, "app.py", *WORDS)


def post(run: Run, path: str, kind: str, body: str) -> bytes:
    fields = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    received = run.converse(
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n{body}"
        .encode())
    return received.partition(b"\r\n\r\n")[2]


FORM = ("--b\r\nContent-Disposition: form-data; name=name\r\n\r\nAda\r\n--b\r\n"
        "Content-Disposition: form-data; name=file; filename=a.txt\r\n\r\nhello\r\n--b--\r\n")


def exercise(run: Run) -> None:
    """What imports something when it is used for the first time."""
    wrong = run.get("/wrong")
    assert wrong.status == 500
    run.wait_for(r"ValueError: this went wrong\n +app.py:\d+ in wrong")
    first = run.get("/", "Accept-Encoding: gzip\r\n")
    assert b"<p>1</p><p>hello</p>" in zlib.decompress(first.body, 31)
    assert r'a="x \"y\"\073 z"' in str(first.get("Set-Cookie"))
    assert run.get("/", "Accept-Encoding: zstd\r\n").body.startswith(b"\x28\xb5\x2f\xfd")
    assert post(run, "/json", "application/json", '{"numbers": [1, 2]}') == b'{"sum":3}'
    assert run.get("/page").body == b"<p>A &amp; B 1,2,3</p>"
    assert b"<em>noted</em>" in run.get("/note").body
    assert post(run, "/form", "multipart/form-data; boundary=b", FORM) == b"Ada a.txt"
    assert run.get("/id/00000000-0000-0000-0000-000000000007").body == b"7"
    assert "/caf%C3%A9%20au%20lait" in str(run.get("/away").get("Location"))
    for coding in ("zstd", "br", "gzip"):
        style = run.get("/site.css", f"Accept-Encoding: {coding}\r\n")
        assert style.get("Content-Encoding") == coding


@pytest.mark.parametrize("how", ["nodepp-run", "app.run"])
@pytest.mark.parametrize("text", ["raise RuntimeError(__file__)", ""], ids=["raising", "empty"])
def test_the_server_never_imports_a_module_of_the_application(
        tmp_path: pathlib.Path, how: str, text: str) -> None:
    lay_out(tmp_path, NAMES, text)
    with start(tmp_path, how) as run:
        exercise(run)


@pytest.mark.parametrize("how", ["nodepp-run", "app.run"])
def test_what_the_application_imports_on_purpose_is_its_own(
        tmp_path: pathlib.Path, how: str) -> None:
    lay_out(tmp_path, OWN, OWN_TEXT, IMPORT_OWN, ASK_OWN)
    names = str(list(OWN)).replace("'", '"').replace(" ", "").encode()
    with start(tmp_path, how) as run:
        assert run.get("/own").body == names
        exercise(run)
        assert run.get("/own").body == names


def test_a_line_at_the_start_names_the_file(tmp_path: pathlib.Path) -> None:
    lay_out(tmp_path, ["token", "config"], "")
    with start(tmp_path, "app.run") as run:
        assert run.text.count("Named like library modules: token.py. An import") == 1
        assert run.text.count("Named like") == 1


def test_a_package_hides_a_library_module_and_a_folder_does_not(tmp_path: pathlib.Path) -> None:
    lay_out(tmp_path, [], "")
    for folder in ("html", "http", "email"):
        (tmp_path / folder).mkdir()
    (tmp_path / "http" / "__init__.py").write_text("raise RuntimeError")
    with start(tmp_path, "nodepp-run") as run:
        assert "Named like library modules: http/__init__.py." in run.text
        exercise(run)


def test_a_check_names_the_file_too(tmp_path: pathlib.Path) -> None:
    lay_out(tmp_path, ["resource"], "")
    done = subprocess.run([sys.executable, "-c", RUN, "--check", "app.py"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "Named like library modules: resource.py." in done.stderr


def test_markdown_is_rendered_in_a_process_that_does_not_see_the_application(
        tmp_path: pathlib.Path) -> None:
    lay_out(tmp_path, NAMES, "raise RuntimeError(__file__)")
    with Run(tmp_path, "app.py") as run:
        (tmp_path / "snippets" / "note.md").write_text("**changed**")
        run.until(lambda: b"<strong>changed</strong>" in run.get("/note").body, "the new text")


IMPORT_IN_A_THREAD = """\
import sys, threading, token, ast
problems = []

def work():
    while not problems and threading.main_thread().is_alive():
        try:
            sys.modules.pop("plain", None)          # so that it is looked for again
            import plain
            assert plain.mine == "plain"
        except BaseException as error:
            problems.append(repr(error))

threading.Thread(target=work).start()       # one that is killed would leak
"""


def test_threads_of_the_application_import_while_the_server_does(tmp_path: pathlib.Path) -> None:
    lay_out(tmp_path, ["plain", "token", "ast"], OWN_TEXT, IMPORT_IN_A_THREAD,
            "[*problems, token.mine, sys.modules['ast'].mine]")
    with start(tmp_path, "nodepp-run") as run:
        exercise(run)
        assert run.get("/own").body == b'["token","ast"]'


def test_a_program_named_like_a_library_module_is_served(tmp_path: pathlib.Path) -> None:
    lay_out(tmp_path, ["http"], APP.replace("FIRST", "").replace("OWN", "1"))
    with Run(tmp_path, "http.py", *WORDS) as run:
        assert run.get("/").status == 200
        assert run.get("/wrong").status == 500


IMPORT_FROM_A_FOLDER = """\
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "vendor"))
import token
"""


def test_a_folder_that_the_application_puts_on_the_path_hides_nothing(
        tmp_path: pathlib.Path) -> None:
    lay_out(tmp_path, [], "", IMPORT_FROM_A_FOLDER, "[token.mine]")
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "token.py").write_text(OWN_TEXT)
    (tmp_path / "vendor" / "http.py").write_text("")
    with start(tmp_path, "nodepp-run") as run:
        assert re.search(r"Named like .*vendor/(token|http)\.py, vendor/(token|http)\.py", run.text)
        exercise(run)
        assert run.get("/own").body == b'["token"]'
