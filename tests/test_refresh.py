"""Public files that change: what is read again, and when it is shown."""

from __future__ import annotations

import os
import shutil
import time

import pytest

from nodepp import App
from nodepp.statics import Options, Statics, reading, slices
from nodepp.statics import refresh as refresh_module
from nodepp.statics.reading import Unsettled, content_key, finish, read
from nodepp.statics.slices import SLICE_S, Slices
from nodepp.testing import Client


class Engine:
    """Timers and a snapshot, without a network."""

    def __init__(self):
        self.timers = []
        self.published = []

    def later(self, seconds, callback):
        self.timers.append(callback)

    def every(self, seconds, callback):
        pass

    def publish(self, snapshot):
        self.published.append(snapshot)

    def run(self, count=10_000):
        """Runs what is due, as often as anything is; gives how many callbacks that were."""
        for done in range(count):
            if not self.timers:
                return done
            self.timers.pop(0)()
        return count


@pytest.fixture
def res(tmp_path):
    folder = tmp_path / "res"
    folder.mkdir()
    return folder


@pytest.fixture
def make(tmp_path):
    def load(app=None, engine=None, **options):
        lines = []
        app = app or App()
        options = {"app_dir": str(tmp_path), "res": "res", "compress": False, **options}
        statics = Statics(app, Options(**options), lambda level, message: lines.append(message))
        app.statics = statics
        statics.load()
        statics.lines = lines
        if engine is not None:
            statics.engine = engine
            statics.slices.begin(engine)
        return statics

    return load


def put(folder, name, text="x"):
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return str(file)


def paths(statics):
    """All but fingerprints."""
    names = statics.hosts[""].names
    return [path for path in statics.snapshot.paths() if path not in names]


# What is read again.


def test_files_that_are_named_are_read_and_no_others(res, make):
    put(res, "a.txt", "a")
    put(res, "b.txt", "b")
    statics = make()
    file = put(res, "a.txt", "aa")
    put(res, "b.txt", "bb")
    new = put(res, "c/d.txt", "new")
    assert statics.refresh({file, new, str(res / "no.txt"), "/elsewhere"})
    assert statics.snapshot.get("/a.txt").body == b"aa"
    assert statics.snapshot.get("/b.txt").body == b"b"
    assert statics.snapshot.get("/c/d.txt").body == b"new"
    assert statics.refresh()
    assert statics.snapshot.get("/b.txt").body == b"bb"
    assert not statics.refresh()


def test_a_folder_stands_for_all_below_it(res, make):
    put(res, "a/b/1.txt")
    put(res, "a/2.txt")
    put(res, "ab/3.txt")
    statics = make()
    shutil.rmtree(res / "a")
    assert statics.refresh({str(res / "a")})
    assert paths(statics) == ["/ab/3.txt"]
    put(res, "a/b/1.txt")
    put(res, "a/4.txt")
    assert statics.refresh({str(res / "a")})
    assert paths(statics) == ["/a/4.txt", "/a/b/1.txt", "/ab/3.txt"]
    shutil.rmtree(res)
    assert statics.refresh({str(res)})
    assert paths(statics) == []
    put(res, "5.txt")
    assert statics.refresh({str(res)})
    assert paths(statics) == ["/5.txt"]


def test_a_file_becomes_a_folder_and_back(res, make):
    put(res, "a", "file")
    statics = make()
    (res / "a").unlink()
    put(res, "a/index.html", "page")
    statics.refresh({str(res / "a")})
    assert paths(statics) == ["/a", "/a/", "/a/index.html"]
    assert statics.snapshot.get("/a").location == "/a/"
    shutil.rmtree(res / "a")
    put(res, "a", "file")
    statics.refresh({str(res / "a")})
    assert paths(statics) == ["/a"]
    assert statics.snapshot.get("/a").body == b"file"


@pytest.mark.parametrize("name", [".env", ".git/config", "a/.b/c.txt"])
def test_a_hidden_file_that_changes_stays_hidden(res, make, name):
    put(res, "a/x.txt")
    statics = make()
    assert not statics.refresh({put(res, name)})
    assert paths(statics) == ["/a/x.txt"]


def test_a_file_that_becomes_a_link_out_of_the_folder_is_gone(res, tmp_path, make):
    put(res, "a.txt")
    put(tmp_path, "secret.txt", "secret")
    statics = make()
    (res / "a.txt").unlink()
    (res / "a.txt").symlink_to(tmp_path / "secret.txt")
    assert statics.refresh({str(res / "a.txt")})
    assert paths(statics) == []
    assert "leads out of" in statics.lines[0]


def test_what_a_link_leads_to_is_read_again_at_both_paths(res, make):
    put(res, "real/a.txt", "one")
    (res / "link").symlink_to("real")
    statics = make()
    assert statics.refresh({put(res, "real/a.txt", "two")})
    assert statics.snapshot.get("/link/a.txt").body == b"two"
    assert statics.snapshot.get("/real/a.txt").body == b"two"


def test_a_root_that_is_a_link_can_be_switched(res, tmp_path, make):
    put(res, "a.txt", "old")
    put(tmp_path, "new/a.txt", "new")
    (tmp_path / "current").symlink_to("res")
    statics = make(res="current")
    (tmp_path / "current").unlink()
    (tmp_path / "current").symlink_to("new")
    assert statics.refresh({str(tmp_path / "current")})
    assert statics.snapshot.get("/a.txt").body == b"new"


def test_a_single_file_is_read_again(res, tmp_path, make):
    app = App()
    file = put(tmp_path, "one.txt", "one")
    app.serve_file(file, "x.txt")
    statics = make(app)
    put(tmp_path, "one.txt", "two")
    put(tmp_path, "other.txt")
    assert statics.refresh({file, str(tmp_path / "other.txt")})
    assert statics.snapshot.get("/x.txt").body == b"two"
    os.unlink(file)
    assert statics.refresh({file})
    assert paths(statics) == []
    put(tmp_path, "one.txt", "three")
    assert statics.refresh({str(tmp_path)})
    assert statics.snapshot.get("/x.txt").body == b"three"


def test_two_versions_of_one_size_and_date_are_told_apart(res, make):
    file = put(res, "a.txt", "one")
    now_ns = time.time_ns()
    os.utime(file, ns=(now_ns, now_ns))
    statics = make()
    status = os.stat(file)
    put(res, "a.txt", "two")
    os.utime(file, ns=(now_ns, now_ns))
    # A clock that ticks slowly gives both one ctime too, which a test cannot set.
    entry = statics.hosts[""].winners["/a.txt"]
    now = os.stat(file)
    assert status.st_size == now.st_size
    entry.signature = (now.st_mtime_ns, now.st_size, now.st_ino, now.st_ctime_ns)
    assert statics.refresh()
    assert statics.snapshot.get("/a.txt").body == b"two"


def test_without_descriptors_what_is_served_stays(res, make, monkeypatch):
    put(res, "a/x.txt", "one")
    statics = make()
    real = os.open

    def exhausted(*arguments, **options):
        raise OSError(24, "Too many open files")

    put(res, "a/x.txt", "two")
    monkeypatch.setattr(os, "open", exhausted)
    monkeypatch.setattr(os, "scandir", exhausted)
    assert not statics.refresh()
    assert statics.snapshot.get("/a/x.txt").body == b"one"
    monkeypatch.undo()
    assert os.open is real
    assert statics.refresh()
    assert statics.snapshot.get("/a/x.txt").body == b"two"


# Whole versions only.


def test_a_file_that_changes_while_it_is_read_is_not_taken(res, make, monkeypatch):
    file = put(res, "a.txt", "whole")
    real = os.read

    def growing(fd, size):
        body = real(fd, size)
        with open(file, "a") as stream:
            stream.write("!")
        return body

    monkeypatch.setattr(os, "read", growing)
    with pytest.raises(Unsettled):
        finish(read(file, 1 << 20))
    statics = make()
    assert paths(statics) == []
    assert "is being written" in statics.lines[0]
    monkeypatch.undo()
    assert statics.refresh()
    assert statics.snapshot.get("/a.txt").body.startswith(b"whole!")


def test_a_file_that_somebody_writes_is_dropped_until_he_closes_it(res, make):
    class Watcher:
        answer = False

        def is_settled(self, file):
            return self.answer

    file = put(res, "a.txt", "one")
    statics = make()
    statics.watcher = Watcher()
    put(res, "a.txt", "tw")
    assert not statics.refresh({file})
    assert statics.snapshot.get("/a.txt").body == b"one"
    put(res, "a.txt", "two")
    Watcher.answer = True
    assert statics.refresh({file})
    assert statics.snapshot.get("/a.txt").body == b"two"


def test_what_is_no_regular_file_is_not_waited_for(res):
    os.mkfifo(res / "pipe")
    assert finish(read(str(res / "pipe"), 100)) is None
    with pytest.raises(OSError, match="No such file"):
        finish(read(str(res / "no"), 100))


def test_a_large_file_is_read_and_hashed_in_pieces(res, monkeypatch):
    monkeypatch.setattr(reading, "PIECE_SIZE", 10)
    file = put(res, "a.txt", "0123456789" * 5 + "x")
    steps = read(file, 100)
    assert sum(1 for _ in steps) == 6
    content = finish(read(file, 100))
    assert content.body == b"0123456789" * 5 + b"x"
    pieces = finish(content_key(content.body))
    monkeypatch.undo()
    assert pieces == finish(content_key(content.body))
    from nodepp.statics.codings import content_key as whole

    assert pieces == whole(content.body)


# In slices.


def test_with_an_engine_work_is_done_by_its_timers_and_shown_once(res, make):
    engine = Engine()
    statics = make(engine=engine)
    for number in range(50):
        put(res, f"{number}.txt")
    before = statics.snapshot
    assert statics.refresh()
    assert statics.snapshot is before
    assert engine.run() > 0
    assert len(paths(statics)) == 50
    assert engine.published == [statics.snapshot]


def test_a_slice_ends_after_some_milliseconds_and_nothing_is_shown_before_the_last(
    res, make, monkeypatch
):
    engine = Engine()
    statics = make(engine=engine)
    put(res, "a.css", "@import 'b.css';")
    put(res, "b.css", "b{}")
    clock = [1000.0]
    real = refresh_module.read

    def slow(*arguments):
        clock[0] += SLICE_S * 1.5
        return real(*arguments)

    monkeypatch.setattr(refresh_module, "read", slow)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    statics.refresh()
    engine.run(1)
    # a.css is read; what asset() gives must be in a snapshot already.
    assert engine.published == []
    assert statics.asset("a.css") == "/a.css"
    engine.run(1)
    engine.run()
    assert len(engine.published) == 1
    assert statics.asset("a.css") != "/a.css"


def test_a_long_batch_is_shown_in_portions(res, make, monkeypatch):
    monkeypatch.setattr(slices, "FLUSH_S", 0.5)
    engine = Engine()
    statics = make(engine=engine)
    for number in range(10):
        put(res, f"{number}.txt")
    clock = [1000.0]
    real = refresh_module.read

    def slow(*arguments):
        clock[0] += 0.2
        return real(*arguments)

    monkeypatch.setattr(refresh_module, "read", slow)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    statics.refresh()
    engine.run()
    assert [sum(path.count(".") == 1 for path in snapshot.paths())
            for snapshot in engine.published] == [3, 6, 9, 10]  # fmt: skip


def test_a_fault_in_one_batch_is_logged_and_the_next_one_is_done():
    done, failed = [], []
    slices = Slices(lambda: done.append("shown"), failed.append)

    def broken():
        yield
        raise RuntimeError("lost")

    def fine():
        yield
        done.append("fine")

    slices.add(broken())
    engine = Engine()
    slices.begin(engine)
    slices.add(broken())
    slices.add(fine())
    engine.run()
    assert [str(error) for error in failed] == ["lost", "lost"]
    assert done == ["shown", "fine", "shown"]
    slices.add(fine())
    slices.end()
    engine.run()
    assert len(done) == 3


# On disk.


@pytest.fixture
def large(res):
    (res / "large.bin").write_bytes(b"0123456789" * 10)
    return res / "large.bin"


@pytest.fixture
def client(res, large):
    with Client(App(), res=str(res), statics={"res_cache_threshold": 50}) as client:
        yield client


def test_a_large_file_stays_on_disk_and_is_served(client, large):
    answer = client.get("/large.bin")
    assert answer.body == b"0123456789" * 10
    resource = client.app.statics.snapshot.get("/large.bin")
    assert resource.body is None
    assert (resource.path, resource.size) == (str(large), 100)
    assert answer.headers["etag"] == f'"{resource.etag}"'
    assert client.get("/large.bin", headers={"Range": "bytes=5-7"}).body == b"567"
    url = client.app.asset("large.bin")
    assert url != "/large.bin"
    assert client.get(url).body == answer.body


def test_a_large_file_that_was_replaced_is_served_anew_at_once(client, large):
    before = client.get("/large.bin")
    url = client.app.asset("large.bin")
    other = large.with_name("other")
    other.write_bytes(b"new" * 40)
    os.replace(other, large)
    old_name = client.get(url)
    assert old_name.body == b"new" * 40
    assert old_name.headers["cache-control"] == "no-cache"
    after = client.get("/large.bin")
    assert after.body == b"new" * 40
    assert after.headers["etag"] != before.headers["etag"]
    assert client.app.asset("large.bin") != url
    assert client.get(url).status == 404


def test_a_large_file_that_has_gone_is_not_found(client, large):
    assert client.get("/large.bin").status == 200
    large.unlink()
    assert client.get("/large.bin").status == 404
    assert client.app.statics.snapshot.get("/large.bin") is None


def test_a_large_file_that_became_a_link_out_of_the_folder_is_not_found(client, large, tmp_path):
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"s" * 100)
    assert client.get("/large.bin").status == 200
    large.unlink()
    large.symlink_to(secret)
    assert client.get("/large.bin").status == 404


def test_a_large_file_whose_place_a_pipe_took_is_not_found(client, large):
    assert client.get("/large.bin").status == 200
    large.unlink()
    os.mkfifo(large)
    assert client.get("/large.bin").status == 404


def test_a_descriptor_is_not_inherited(client, large):
    statics = client.app.statics
    resource, file = statics.open_file(statics.snapshot.get("/large.bin"))
    assert not os.get_inheritable(file.fileno())
    assert file.size == 100
    assert resource is statics.snapshot.get("/large.bin")
