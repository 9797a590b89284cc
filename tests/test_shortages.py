"""A feature that could not start because something was short starts later, and says so."""

from __future__ import annotations

import errno
import os
import resource
import sys
from pathlib import Path

import harness
import pytest
import waiting
from nodepprun import Run

from nodepp import _core, rendering
from nodepp.rendering import Renderer
from nodepp.statics import watch, watchtree
from nodepp.statics.watch import Watcher

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify is Linux's")


@pytest.fixture
def engine():
    engine = _core.Engine({}, _core.Router(), harness.Application())
    engine.open([])
    yield engine
    engine.close()


def until(engine, condition) -> None:
    waiting.until(condition, between=lambda: engine.turn(5))


# --- compressing ----------------------------------------------------------------------------------

# It takes all descriptors as soon as it serves, and gives them back when a file is there: that can
# be looked for without one.
GREEDY = """\
import os, resource
from nodepp import App
from nodepp.statics import compressor

compressor.PAUSE_S = 0.2
app = App()
held = []

@app.every(0.001)
def take_or_give():
    if os.path.exists("enough"):
        while held:
            os.close(held.pop())
        return
    try:
        while True:
            held.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass

@app.on_start
def lower():
    resource.setrlimit(resource.RLIMIT_NOFILE, (100, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
"""


def test_files_are_compressed_when_the_shortage_is_over(tmp_path: Path, monkeypatch) -> None:
    """At a start without descriptors for two pipes, nothing was compressed until the restart."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "app.py").write_text(GREEDY)
    (tmp_path / "res").mkdir()
    (tmp_path / "res" / "page.html").write_text("<p>hello\n" * 1000)
    with Run(tmp_path) as server:
        server.wait_for(r"ERR static: no process to compress: Too many open files\."
                        r" What is not in the cache leaves as it is")
        (tmp_path / "enough").touch()
        server.wait_for("static: a process compresses again")

        def is_compressed() -> bool:
            answer = server.get("/page.html", "Accept-Encoding: br\r\n")
            return answer.get("content-encoding") == "br"

        server.until(is_compressed, "the page as br")
    assert server.text.count("no process to compress") == 1


# --- watching -------------------------------------------------------------------------------------


@linux
@pytest.mark.parametrize("when", ["at the start", "later"])
def test_inotify_is_tried_again_after_a_shortage(tmp_path, engine, monkeypatch, when) -> None:
    """Watches that were short at the start meant a look each minute until the restart."""
    monkeypatch.setattr(watch, "MINUTE_S", 0.02)
    is_short = True
    real_sync, real_init = watchtree.Tree.sync, watchtree.Tree.__init__

    def sync(tree) -> None:
        if is_short:
            raise watchtree.LimitReached(os.strerror(errno.ENOSPC))
        real_sync(tree)

    def init(tree, *rest) -> None:
        if is_short and when == "at the start":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        real_init(tree, *rest)

    monkeypatch.setattr(watchtree.Tree, "sync", sync)
    monkeypatch.setattr(watchtree.Tree, "__init__", init)
    lines: list[str] = []
    seen: set[str] = set()
    watcher = Watcher(seen.update, lambda level, line: lines.append(line))
    watcher.set_folders([str(tmp_path)])
    watcher.begin(engine)
    for _ in range(20):
        engine.turn(5)
    assert len(lines) == 1
    assert lines[0].startswith(watch.FALL_BACK_LINE)
    is_short = False
    until(engine, lambda: len(lines) == 2)
    assert lines[1] == "static: inotify tells of changes again"
    until(engine, lambda: str(tmp_path) in seen)       # what has changed meanwhile
    (tmp_path / "new").write_text("x")
    until(engine, lambda: str(tmp_path / "new") in seen)
    watcher.end()


# --- rendering ------------------------------------------------------------------------------------


def test_a_renderer_that_is_short_says_so_once_and_when_that_is_over(engine, monkeypatch) -> None:
    lines: list[str] = []
    pages: dict[str, bytes] = {}
    spawn = rendering._spawn

    def refuse(records):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(rendering, "_spawn", refuse)
    renderer = Renderer(engine, lambda level, line: lines.append(line),
                        lambda place, page, problem: pages.update({place[1]: page}))
    for name in ("one", "two"):
        renderer.add(("", name), b"text")
        until(engine, lambda name=name: name in pages)
    assert len(lines) == 1
    assert "no process to render Markdown" in lines[0]
    monkeypatch.setattr(rendering, "_spawn", spawn)
    renderer.add(("", "three"), b"text")
    until(engine, lambda: "three" in pages)
    assert lines[1:] == ["snippets: a process renders Markdown again"]
    renderer.end()


# --- reading ahead --------------------------------------------------------------------------------


def test_the_thread_that_reads_ahead_is_tried_again(tmp_path) -> None:
    """Once it had failed to start, a slow disk held up all visitors until the restart."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 300_000)
    file = _core.Resource(None, "text/plain", etag="f", path=str(path), size=300_000)
    get = b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n"
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with harness.serving() as server:
        server.app.open_file = lambda resource: (
            resource, _core.File(os.open(resource.path, os.O_RDONLY | os.O_CLOEXEC)))
        server.engine.publish(_core.Snapshot({"": {"/file": file}}))
        client = server.connect()
        client.exchange(b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")
        _core.probe_cold_files(True)
        one = os.open(path, os.O_RDONLY)
        os.close(one)
        resource.setrlimit(resource.RLIMIT_NOFILE, (one + 1, before[1]))   # the file, and no pipe
        try:
            client.send(get)
            assert client.responses(count=2)[1].body == path.read_bytes()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        short = "no thread for reading ahead: a slow disk is waited for until there is one"
        assert [line for _, line in server.app.logged] == [short]
        assert server.stat("reads_ahead") == 0
        _core.probe_clock(60_000)
        other = server.connect()
        other.send(get)
        assert other.responses(count=1)[0].body == path.read_bytes()
        assert [line for _, line in server.app.logged][1:] == [
            "a thread reads ahead from now on: a slow disk is not waited for"]
        assert server.stat("reads_ahead") > 0
