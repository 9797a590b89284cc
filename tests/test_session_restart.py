"""Sessions over restarts of a real server: stopped, killed, upgraded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from nodepprun import RUN, Run
from waiting import DEADLINE_S

from nodepp.sessions.header import HEADER_SIZE

APP = """
from nodepp import App
app = App()

@app.get("/count")
def count(req):
    return {"n": req.session.add("n"), "cart": req.session.setdefault("cart", ["a"])}

@app.get("/login")
def login(req):
    req.session.login(7, name="Ann", keep=True)
    return {}

@app.get("/who")
def who(req):
    return {"uid": req.session.uid, "name": req.session.name, "exists": req.session.exists}
"""

TYPED = """
from typing import Annotated
from nodepp import App
app = App()

@app.session_data
class Visitor:
    n: float = 0
    theme: Annotated[str, 10] = "dark"

@app.get("/count")
def count(req):
    req.session.n += 1
    return {"n": req.session.n, "theme": req.session.theme}
"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def serve(site, *words):
    return Run(site, "app.py", "--session-file", "sessions.npp", "--limit-sessions", "100", *words)


def ask(server, path, cookies):
    """The object of the answer; cookies are kept."""
    sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
    response = server.get(path, f"Cookie: {sent}\r\n" if sent else "")
    for name, value in response.fields:
        if name.lower() == "set-cookie":
            key, _, rest = value.partition("=")
            cookies[key] = rest.partition(";")[0]
            if "Max-Age=0" in rest:
                del cookies[key]
    assert response.status == 200, response.body
    return json.loads(response.body)


def test_sessions_and_logins_outlive_a_restart(site):
    visitor, ann = {}, {}
    with serve(site) as server:
        ask(server, "/count", visitor)
        assert ask(server, "/count", visitor)["n"] == 2
        ask(server, "/count", ann)
        ask(server, "/login", ann)
    assert (site / "sessions.npp").stat().st_mode & 0o777 == 0o600
    with serve(site) as server:
        assert "sessions.npp  2 restored" in server.text
        assert ask(server, "/count", visitor) == {"n": 3, "cart": ["a"]}
        assert ask(server, "/who", ann) == {"uid": 7, "name": "Ann", "exists": True}
        assert ask(server, "/count", ann)["n"] == 2


def test_sessions_outlive_a_server_that_was_killed(site):
    visitor = {}
    with serve(site) as server:
        assert ask(server, "/count", visitor)["n"] == 1
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
        with serve(site) as second:
            assert ask(second, "/count", visitor)["n"] == 2
            assert "damaged" not in second.text
            server.process.returncode = 0           # killed, as it was meant to be


def test_an_upgraded_application_finds_the_fields_that_it_still_has(site):
    visitor = {}
    with serve(site) as server:
        ask(server, "/count", visitor)
        ask(server, "/count", visitor)
    (site / "app.py").write_text(TYPED)
    with serve(site) as server:
        assert ask(server, "/count", visitor) == {"n": 3.0, "theme": "dark"}
        server.wait_for(r"took over 1 session in .* dicts became fields n, theme\.")
    (site / "app.py").write_text(APP)
    with serve(site, "--session-data", "200") as server:
        assert ask(server, "/count", visitor) == {"n": 4.0, "cart": ["a"]}


def test_a_second_server_on_the_file_does_not_start(site):
    with serve(site) as server:
        run = subprocess.run(
            [sys.executable, "-c", RUN, "app.py", "--session-file", "sessions.npp", "--port", "0"],
            cwd=site, capture_output=True, text=True, timeout=DEADLINE_S)
        assert run.returncode == 3
        assert f"another server uses it (process {server.process.pid}). Stop that" in run.stderr
        assert "Traceback" not in run.stderr


def test_a_damaged_file_is_no_reason_not_to_start(site):
    (site / "sessions.npp").write_bytes(b"\0" * (HEADER_SIZE + 100))
    os.chmod(site / "sessions.npp", 0o600)
    with serve(site) as server:
        assert ask(server, "/count", {})["n"] == 1
        server.wait_for(r"damaged: .* set aside as .*sessions\.npp\.damaged-")
