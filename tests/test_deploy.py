"""Deploys of thousands of files: what they cost, what they leave in memory and in the log."""

from __future__ import annotations

import gc
import os
import shutil
import sys

import harness
import pytest
import waiting
from processes import IN_THE_FRONT

from nodepp import App, _core
from nodepp.statics import Options, Statics, coderprocess, watchtree
from nodepp.statics.entry import Entry
from nodepp.statics.tree import Walk

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify is Linux's")


class Site:
    """Public files behind an engine that turns, with the watcher and the compressor."""

    def __init__(self, folder, app=None, **options):
        self.lines = []
        app = app or App()
        options = {"app_dir": str(folder), "res": "res", "compress": False, **options}
        self.statics = Statics(
            app, Options(**options), lambda level, message: self.lines.append((level, message)))
        app.statics = self.statics
        self.engine = _core.Engine({}, _core.Router(), harness.Application())
        self.engine.open([])
        self.statics.watch()
        self.statics.load()

    def begin(self):
        self.statics.begin(self.engine)
        self.turn_quietly()
        return self

    def body(self, path):
        resource = self.statics.snapshot.get(path)
        return resource and resource.body

    def until(self, condition):
        """Turns until this holds."""
        waiting.until(condition, between=lambda: self.engine.turn(5))

    def turn_quietly(self, seconds=0.4):
        """Turns for a while, in which everything that waits is done."""
        over = []
        self.engine.later(max(seconds, 0.001), lambda: over.append(True))
        self.until(lambda: over and not self.statics.slices.is_busy)

    def close(self):
        self.statics.end()
        self.engine.close()


@pytest.fixture
def make(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(coderprocess, "_PROGRAM", IN_THE_FRONT + coderprocess._PROGRAM)

    def start(**options):
        made.append(Site(tmp_path, **options))
        return made[-1]

    yield start
    for site in made:
        site.close()


@pytest.fixture
def res(tmp_path):
    folder = tmp_path / "res"
    folder.mkdir()
    return folder


def fill(folder, count, text, per_folder=100):
    for number in range(count):
        file = folder / f"{number // per_folder:03}" / f"{number}.txt"
        if number % per_folder == 0:
            file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text} {number}")


# What it costs.


class Counted(dict):
    """A dict that counts how often all of it was gone through."""

    passes = 0

    def __iter__(self):
        Counted.passes += 1
        return super().__iter__()

    def keys(self):
        Counted.passes += 1
        return super().keys()

    def values(self):
        Counted.passes += 1
        return super().values()

    def items(self):
        Counted.passes += 1
        return super().items()


def test_a_deploy_costs_what_its_files_cost_not_what_the_site_has(make, res, monkeypatch):
    """Each changed file was looked for in the list of all: 5,000 of 20,000 took 10 s."""
    fill(res, 2000, "old")
    site = make().begin()
    host = site.statics.hosts[""]
    host.winners = Counted(host.winners)
    for root in host.roots:
        root.found = Counted(root.found)
    monkeypatch.setattr(Counted, "passes", 0)
    fill(res, 1000, "new")
    site.until(lambda: site.body("/009/999.txt") == b"new 999")
    assert all(site.body(f"/{n // 100:03}/{n}.txt") == b"new %d" % n for n in range(1000))
    assert Counted.passes < 100
    for number in range(10):
        shutil.rmtree(res / f"{number:03}")
    site.until(lambda: len(host.winners) == 1000)
    assert Counted.passes < 100


@pytest.mark.parametrize("kind", ["plain", "rename"])
def test_a_save_walks_no_tree_also_where_there_are_links(make, res, monkeypatch, kind):
    fill(res, 300, "old")
    (res / "twin").symlink_to("001")
    (res / "deep").mkdir()
    (res / "deep" / "again").symlink_to("../twin")
    (res / "one.txt").symlink_to("001/150.txt")
    site = make().begin()
    walked = []
    real = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: walked.append(path) or real(path))
    if kind == "plain":
        (res / "001" / "150.txt").write_text("new")
    else:
        (res / "001" / "x.txt").write_text("new")
        os.rename(res / "001" / "x.txt", res / "001" / "150.txt")
    names = ("/001/150.txt", "/twin/150.txt", "/deep/again/150.txt", "/one.txt")
    site.until(lambda: all(site.body(name) == b"new" for name in names))
    site.turn_quietly()
    os.mkdir(res / "beside")  # no link leads there
    (res / "beside" / "a.txt").write_text("a")
    site.until(lambda: site.body("/beside/a.txt") == b"a")
    assert {str(path) for path in walked} <= {str(res / "beside")}


def test_a_save_by_another_name_of_a_hard_link_walks_no_tree(make, res, monkeypatch):
    fill(res, 10, "old")
    os.link(res / "000" / "1.txt", res / "000" / "twin.txt")
    site = make().begin()
    (res / "000" / ".new").write_text("new")
    synced = []
    monkeypatch.setattr(watchtree.Tree, "sync", lambda tree: synced.append(tree))
    os.rename(res / "000" / ".new", res / "000" / "1.txt")
    site.until(lambda: site.body("/000/1.txt") == b"new")
    assert site.body("/000/twin.txt") == b"old 1"
    (res / "000" / "twin.txt").write_text("other")
    site.until(lambda: site.body("/000/twin.txt") == b"other")
    assert site.body("/000/1.txt") == b"new"
    assert synced == []


def test_style_sheets_are_looked_at_when_what_they_name_changes_and_only_then(make, res):
    for number in range(20):
        (res / f"{number}.css").write_text(f"a{{background:url('{number}.svg')}}")
        (res / f"{number}.svg").write_text("<svg/>")
    (res / "all.css").write_text("@import '3.css';")
    site = make().begin()
    host = site.statics.hosts[""]
    resolved = []
    real = host._resolve
    host._resolve = lambda path, *rest: resolved.append(path) or real(path, *rest)
    (res / "7.txt").write_text("nobody names it")
    site.until(lambda: site.body("/7.txt"))
    assert resolved == []
    before = site.body("/all.css")
    (res / "3.svg").write_text("<svg></svg>")
    site.until(lambda: site.body("/3.svg") == b"<svg></svg>")
    assert set(resolved) == {"/3.css", "/all.css"}
    assert site.body("/all.css") != before
    assert site.statics.asset("3.svg")[1:].encode() in site.body("/3.css")


def test_a_file_that_comes_and_goes_before_it_is_shown_is_not_served(res, make):
    site = make()
    site.statics.watcher.end()
    site.statics.watcher = None  # whoever asks is told that it is whole
    file = res / "a" / "b.txt"
    file.parent.mkdir()
    file.write_text("short")
    refreshing = site.statics.refreshing
    for _ in refreshing.steps({str(file)}):
        pass
    assert site.statics.hosts[""].roots[1].known("/a/b.txt")
    shutil.rmtree(file.parent)
    for _ in refreshing.steps({str(file.parent)}):
        pass
    site.statics.flush()
    assert site.body("/a/b.txt") is None
    assert site.statics.snapshot.paths() == []


# What the log says.


def test_a_warning_is_logged_once_as_long_as_its_cause_lasts(make, res, tmp_path):
    (tmp_path / "outside").mkdir()
    (res / "out").symlink_to(tmp_path / "outside")
    (res / "dead").symlink_to("nothing")
    (res / "odd\\name").write_text("x")
    (res / "a.txt").write_text("a")
    site = make().begin()
    assert len(site.lines) == 3
    for number in range(3):
        (res / "a.txt").write_text(f"{number}")
        site.until(lambda number=number: site.body("/a.txt") == b"%d" % number)
        site.statics.refresh()
        site.turn_quietly(0)
    assert len(site.lines) == 3
    (res / "out").unlink()
    site.statics.refresh()
    site.turn_quietly()
    (res / "out").symlink_to(tmp_path / "outside")
    site.until(lambda: len(site.lines) > 3)
    assert "leads out of" in site.lines[3][1]
    assert len(site.lines) == 4


def test_a_folder_that_goes_is_no_error(tmp_path, make, res, monkeypatch):
    for release in ("1", "2"):
        fill(tmp_path / "releases" / release, 3, release)
    (tmp_path / "current").symlink_to("releases/1")
    site = make(res="current").begin()
    (tmp_path / "next").symlink_to("releases/2")
    os.rename(tmp_path / "next", tmp_path / "current")
    shutil.rmtree(tmp_path / "releases" / "1")
    site.until(lambda: site.body("/000/1.txt") == b"2 1")
    shutil.rmtree(tmp_path / "releases" / "2")
    site.until(lambda: not site.statics.hosts[""].winners)
    assert [line for level, line in site.lines if level < 3] == []


def test_a_folder_that_goes_during_the_walk_is_told_as_such(res):
    lines = []
    walk = Walk(str(res / "gone"), lambda level, line: lines.append((level, line)))
    assert list(walk.files()) == []
    assert lines == [(3, f"static: {res}/gone has gone")]
    assert not walk.is_partial


# The cache.


@pytest.mark.parametrize("is_linked", [False, True], ids=["folder", "link"])
def test_the_cache_in_a_served_folder_is_neither_served_nor_watched(make, res, is_linked):
    cache = res / "cache"
    if is_linked:
        (res / "real").mkdir(mode=0o700)
        cache.symlink_to("real")
    (res / "a.txt").write_text("a" * 1000)
    site = make(compress=True, static_cache=str(cache)).begin()
    site.until(lambda: site.statics.snapshot.get("/a.txt").codings)
    site.turn_quietly()
    entry = next(os.path.join(path, names[0]) for path, _, names in os.walk(cache)
                 if names and names != ["tended"])
    reports = []
    site.statics.watcher.changed = reports.append
    with open(entry, "ab") as file:
        file.write(b"more")
    site.turn_quietly()
    assert reports == []
    site.statics.refresh({entry})
    site.statics.refresh()
    site.turn_quietly()
    assert [path for path in site.statics.snapshot.paths() if "a." not in path] == []
    assert [line for _, line in site.lines if "cache" in line] == [
        f"static: {os.path.realpath(cache)} is the cache of compressed files: not served"]


# Memory.


def test_what_nobody_sees_any_more_waits_for_no_codings_and_is_freed(make, res):
    site = make(compress=True).begin()
    compressing = site.statics.compressing
    compressor = compressing.compressor
    compressor.begin = compressor._start = lambda *_, **__: None  # one that never comes to it
    for version in range(12):
        for number in range(50):
            (res / f"{number}.txt").write_text(f"{version} {number} " * 2000)
        (res / "same.txt").write_text(f"{version} 49 " * 2000)
        (res / "a.css").write_text(f"a{{background:url(b.svg)}} /* {'x' * 1000} */")
        (res / "b.svg").write_text(f"<svg>{version}</svg>" * 100)
        site.until(lambda v=version: site.body("/49.txt") == b"%d 49 " % v * 2000
                   and site.body("/b.svg") == b"<svg>%d</svg>" % v * 100)
        site.turn_quietly(0.1)
    winners = site.statics.hosts[""].winners.values()
    keys = {entry.key for entry in winners}
    assert len(keys) == 52
    assert set(compressing._waiting) == keys
    assert {entry for entries in compressing._waiting.values() for entry in entries} == set(winners)
    assert set(compressor._bodies) == compressor._keys == keys
    assert compressor.pending == 52
    for file in res.iterdir():
        file.unlink()
    site.until(lambda: not site.statics.hosts[""].winners)
    assert compressing._waiting == {}
    assert compressor.pending == 0
    gc.collect()
    assert not [it for it in gc.get_objects() if type(it) is Entry and str(res) in it.file]


def test_a_body_that_was_dropped_is_not_compressed_and_can_come_again():
    from nodepp.statics.codings import Compressor

    it = Compressor(None, lambda *_: None, lambda *_: None)
    for number in range(5000):
        it.add(f"{number:032x}", b"x" * number)
    for number in range(4990):
        it.drop(f"{number:032x}")
    it.drop("unknown")
    assert it.pending == 10
    assert len(it._order) < 1100
    it.add(f"{7:032x}", b"x" * 7)
    sizes = []
    while (job := it.next_job()) is not None:
        sizes.append(job[0])
        it.drop(job[2])  # it has been sent: too late
    assert sizes == [7, *range(4990, 5000)]
    assert it.pending == 11
    it.end()
