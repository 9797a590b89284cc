"""Markdown that changes while the server runs: rendered by another process, shown when it is done.

The story: saving a text of 780 KB stopped the server for three seconds.
"""

from __future__ import annotations

import os
import pathlib
import selectors
import sys

import pytest
from nodepprun import Run
from waiting import Deadline

from nodepp import snippets
from nodepp.rendering import Renderer, packed, unpacked
from nodepp.snippets import NO_MARKDOWN, Snippets

LINE = "Some *text* with [a](http://b) and `code`, on and on it goes for a whole line.\n\n"


class Engine:
    """What a Renderer uses of an engine."""

    def __init__(self):
        self.readers = {}
        self.timers = []

    def add_reader(self, fd, callback):
        self.readers[fd] = callback

    def remove_reader(self, fd):
        del self.readers[fd]

    def later(self, seconds, callback):
        self.timers.append((seconds, callback))

    def run(self):
        """Until nothing is to be read any more."""
        deadline = Deadline("the end of all that is read")
        while self.readers:
            with selectors.DefaultSelector() as selector:
                for fd in self.readers:
                    selector.register(fd, selectors.EVENT_READ)
                for key, _ in selector.select(deadline.rest_s()):
                    self.readers[key.fd]()

    def fire(self):
        timers, self.timers = self.timers, []
        for _, callback in timers:
            callback()


@pytest.fixture
def engine():
    made = Engine()
    yield made
    assert not made.readers


class Site:
    """A folder of snippets that an engine keeps up to date."""

    def __init__(self, folder, engine):
        self.folder = folder
        self.engine = engine
        self.lines = []
        self.snippets = Snippets()

    def write(self, name, text):
        (self.folder / name).write_text(text)

    def load(self):
        self.snippets.load({"": str(self.folder)}, lambda level, text: self.lines.append(text))
        self.snippets.begin(self.engine)

    def page(self, name):
        return self.snippets.get(name)


@pytest.fixture
def site(tmp_path, engine):
    made = Site(tmp_path, engine)
    yield made
    made.snippets.end()


def test_the_old_page_is_there_until_the_new_one_is(site):
    site.write("a.md", "*one*")
    site.load()
    assert site.page("a.md") == b"<p><em>one</em></p>\n"
    site.write("a.md", "*second*")
    assert not site.snippets.refresh()
    assert site.page("a.md") == b"<p><em>one</em></p>\n"
    assert site.snippets.raw("a.md") == b"*one*"
    site.engine.run()
    assert site.page("a.md") == b"<p><em>second</em></p>\n"
    assert site.snippets.raw("a.md") == b"*second*"
    assert site.lines == []


def test_what_is_no_markdown_is_there_at_once(site):
    site.load()
    site.write("a.html", "<p>")
    assert site.snippets.refresh()
    assert site.page("a.html") == b"<p>"
    assert not site.engine.readers


def test_a_text_that_waits_is_not_read_again(site, monkeypatch):
    site.load()
    site.write("a.md", "a")
    site.snippets.refresh()
    monkeypatch.setattr(snippets, "open", None, raising=False)
    assert not site.snippets.refresh()
    site.engine.run()
    assert not site.snippets.refresh()
    assert site.page("a.md") == b"<p>a</p>\n"


def test_of_a_text_that_changes_again_only_the_last_version_is_shown(site):
    site.load()
    for text in ("one", "second", "the third"):
        site.write("a.md", text)
        site.write(f"{text}.md", text)
        site.snippets.refresh()
    shown = []
    show = site.snippets._rendered
    site.snippets._renderer.done = lambda *found: (shown.append(found[1]), show(*found))
    site.engine.run()
    assert site.page("a.md") == b"<p>the third</p>\n"
    assert site.page("one.md") == b"<p>one</p>\n"
    assert site.snippets.names() == ["a.md", "one.md", "second.md", "the third.md"]
    assert shown.count(b"<p>the third</p>\n") == 2
    assert shown.count(b"<p>second</p>\n") == 1


def test_a_text_that_went_meanwhile_stays_away(site):
    site.load()
    site.write("a.md", "a")
    site.snippets.refresh()
    (site.folder / "a.md").unlink()
    site.snippets.refresh()
    site.engine.run()
    assert site.snippets.names() == []


def test_without_the_extra_the_page_says_so(engine, monkeypatch):
    found = []
    monkeypatch.setattr(sys, "path", [it for it in sys.path if not it.endswith("-packages")])
    renderer = Renderer(engine, None, lambda *page: found.append(page))
    renderer.add(("", "a.md"), b"a")
    engine.run()
    assert found == [(("", "a.md"), b"", NO_MARKDOWN)]


def test_a_process_that_dies_leaves_the_old_page_and_one_line(site):
    site.write("a.md", "one")
    site.load()
    site.write("a.md", "second")
    site.snippets.refresh()
    site.engine.fire()                              # as if it had taken two minutes
    site.engine.run()
    assert site.page("a.md") == b"<p>one</p>\n"
    assert site.lines == ["snippets: the process that renders Markdown died; as they were: a.md"]
    site.write("a.md", "the third")
    site.snippets.refresh()
    site.engine.run()
    assert site.page("a.md") == b"<p>the third</p>\n"


def test_a_deadline_of_a_process_that_is_done_does_nothing(site):
    site.load()
    site.write("a.md", "a")
    site.snippets.refresh()
    site.engine.run()
    site.engine.fire()
    site.write("a.md", "b, again")
    site.snippets.refresh()
    site.engine.run()
    assert site.page("a.md") == b"<p>b, again</p>\n"
    assert site.lines == []


def test_without_processes_it_is_rendered_here(site, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "posix_spawn", refuse)
    site.load()
    site.write("a.md", "a")
    site.snippets.refresh()
    site.engine.fire()
    assert site.page("a.md") == b"<p>a</p>\n"
    assert "no process to render Markdown" in site.lines[0]


def test_the_end_leaves_no_process(site):
    site.load()
    site.write("a.md", LINE * 5000)
    site.snippets.refresh()
    process = site.snippets._renderer._process
    site.snippets.end()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_records_are_read_as_far_as_they_are_whole():
    data = packed([b"", b"ab", b"c" * 300])
    assert unpacked(data) == [b"", b"ab", b"c" * 300]
    for size in range(len(data)):
        assert unpacked(data[:size]) == [b"", b"ab", b"c" * 300][: len(unpacked(data[:size]))]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads Linux's /proc")
def test_a_server_answers_while_a_large_text_is_rendered(tmp_path):
    (tmp_path / "app.py").write_text(
        "from nodepp import App\napp = App()\n"
        "app.get('/hello')(lambda req: 'hello')\n"
        "@app.get('/page')\ndef page(req):\n    req.out_snippet('x.md')\n")
    (tmp_path / "snippets").mkdir()
    text = LINE * 2500
    (tmp_path / "snippets" / "x.md").write_text(text)
    with Run(tmp_path) as run:
        assert b"the end" not in run.get("/page").body
        (tmp_path / "snippets" / "x.md").write_text(text + "the end")
        during = []

        def is_new():
            before = children(run.process.pid)
            assert run.get("/hello").body == b"hello"
            during.extend(before & children(run.process.pid))
            return b"the end" in run.get("/page").body

        run.until(is_new, "the new page")
        assert during, "nothing was answered from the beginning of the rendering to its end"


def children(number: int) -> set[str]:
    """Its processes that live."""
    return set(pathlib.Path(f"/proc/{number}/task/{number}/children").read_text().split())
