"""Sessions as a server has them: kept over a restart, told in the banner, refused where they must
not lie."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from nodepprun import DEADLINE_S, RUN, Run

APP = """\
from nodepp import App
app = App()

@app.get("/")
def count(req):
    return str(req.session.add("count"))

@app.get("/stats")
def stats(req):
    return {name: value for name, value in app.stats().items() if "session" in name}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def start_fails(folder: Path, *words: str) -> tuple[int, str]:
    command = subprocess.run(
        [sys.executable, "-c", RUN, "--port", "0", *words], cwd=folder, text=True,
        capture_output=True, timeout=DEADLINE_S)
    return command.returncode, command.stderr


def test_sessions_survive_a_restart_and_the_banner_says_how_many(folder: Path) -> None:
    words = ("--session-file", "sessions.npp", "--limit-sessions", "100")
    with Run(folder, *words) as run:
        run.wait_for(r"^ limits   10,000 connections  100 sessions  body 16m")
        run.wait_for(r"^ sessions sessions.npp  0 restored")
        answer = run.get("/")
        assert answer.body == b"1"
        cookie = answer.get("set-cookie").partition(";")[0]
        assert run.get("/").body == b"1"
    assert (folder / "sessions.npp").stat().st_mode & 0o777 == 0o600
    with Run(folder, *words) as run:
        run.wait_for(r"^ sessions sessions.npp  2 restored")
        assert run.get("/", f"Cookie: {cookie}\r\n").body == b"2"


def test_without_a_file_sessions_end_with_the_server(folder: Path) -> None:
    with Run(folder) as run:
        assert " sessions " not in run.text.replace("50,000 sessions ", "")
        cookie = run.get("/").get("set-cookie").partition(";")[0]
        assert run.get("/", f"Cookie: {cookie}\r\n").body == b"2"
        assert b'"sessions":1,' in run.get("/stats").body
    with Run(folder) as run:
        assert run.get("/", f"Cookie: {cookie}\r\n").body == b"1"


def test_a_declared_class_survives_and_its_fields_are_converted(folder: Path) -> None:
    source = """\
from nodepp import App
app = App()

@app.session_data
class Visitor:
    FIELDS

@app.get("/")
def count(req):
    req.session.hits += 1
    return str(req.session.hits)
"""
    words = ("--session-file", "sessions.npp", "--limit-sessions", "100")
    (folder / "app.py").write_text(source.replace("FIELDS", "hits: int = 0"))
    with Run(folder, *words) as run:
        cookie = run.get("/").get("set-cookie").partition(";")[0]
    (folder / "app.py").write_text(source.replace("FIELDS", "rank: int = 7; hits: int = 0"))
    with Run(folder, *words) as run:
        assert run.get("/", f"Cookie: {cookie}\r\n").body == b"2"


def test_a_session_file_among_the_public_files_is_refused(folder: Path) -> None:
    (folder / "app.py").write_text(APP + 'app.serve("public", "files")\n')
    (folder / "public").mkdir()
    status, text = start_fails(folder, "--session-file", "public/sessions.data")
    assert status == 3
    assert "it would be served with the public files. Put it elsewhere." in text
    assert not list((folder / "public").iterdir())
    # In the application's own folder its name keeps it in.
    (folder / "app.py").write_text(APP)
    with Run(folder, "--static", ".", "--session-file", "sessions.npp") as run:
        assert run.get("/sessions.npp").status == 404


@pytest.mark.parametrize(
    ("source", "words", "message"),
    [
        ('app.require_auth("/", "NONE")\n', ["--required-auth-level", "USER"],
         "level 0 for everything, but requiredAuthLevel is 10"),
        ('app.require_auth("/x", "ADMNI")\n', [], "'ADMNI' is no level; there are NONE"),
        ("", ["--session-file", "no/such/sessions.npp"], "sessionFile=|sessions.npp"),
        ("", ["--session-file", "app.py"], r"sessionFile=.*/app\.py: that is no session file of"),
    ],
)
def test_what_cannot_be_kept_is_no_start_and_no_check(
    folder: Path, source: str, words: list[str], message: str
) -> None:
    (folder / "app.py").write_text(APP + source)
    for more in ([], ["--check"]):
        status, text = start_fails(folder, *words, *more)
        assert (status, bool(re.search(message, text))) == (3, True), text
    assert (folder / "app.py").read_text() == APP + source


def test_a_start_that_fails_after_the_table_was_opened_leaves_it_sound(folder: Path) -> None:
    words = ("--session-file", "sessions.npp", "--limit-sessions", "100")
    with Run(folder, *words) as run:
        cookie = run.get("/").get("set-cookie").partition(";")[0]
    (folder / "app.py").write_text(APP + "app.on_start(lambda: False)\n")
    assert start_fails(folder, *words)[0] == 3
    (folder / "app.py").write_text(APP)
    with Run(folder, *words) as run:
        assert run.get("/", f"Cookie: {cookie}\r\n").body == b"2"
        assert "damaged" not in run.text


def test_a_rule_that_on_start_gets_wrong_is_no_start(folder: Path) -> None:
    (folder / "app.py").write_text(APP + """
@app.on_start
def guard():
    app.require_auth("/admin", "ADMIN", host="shop.example")
""")
    status, text = start_fails(folder)
    assert status == 3
    assert text.startswith("on_start failed: ")
    assert "there is no host 'shop.example': app.add_host('shop.example') comes first" in text


def test_a_reload_names_settings_of_sessions_that_need_a_restart(folder: Path) -> None:
    with Run(folder) as run:
        (folder / "npp.conf").write_text("sessionTimeout=60\ncsrf=1\n")
        os.kill(run.process.pid, signal.SIGHUP)
        run.wait_for("Needs a restart: sessionTimeout=60s, csrf=1")


def test_app_run_takes_the_settings_too(folder: Path) -> None:
    source = APP + 'app.run(port=0, limit_sessions=3, required_auth_level="USER")\n'
    (folder / "app.py").write_text(source)
    process = subprocess.Popen(
        [sys.executable, "app.py"], cwd=folder, stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True)
    try:
        text = ""
        while "Ready in" not in text:
            line = process.stderr.readline()
            assert line, text
            text += line
        assert "3 sessions" in text
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
