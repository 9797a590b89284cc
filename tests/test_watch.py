"""Watching folders: real files, real writers, an engine that turns."""

import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import time
import types

import harness
import pytest
import waiting
from machine import descriptors, memory_folder
from waiting import cpu_s

from nodepp import _core
from nodepp.statics import watch, watchnames, watchscan, watchtree
from nodepp.statics.watch import Watcher, is_being_written

TURN_S = 0.005  # that a turn waits for something to happen
QUIET_S = 0.4  # longer than anything is gathered

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="inotify is Linux's")


class Bench:
    """An open engine with a watcher, and what it reported."""

    def __init__(self, *folders, flat=()):
        self.engine = _core.Engine({}, _core.Router(), harness.Application())
        self.engine.open([])
        self.lines = []
        self.seen = set()
        self.reports = []
        self.turn_count = 0
        self.watcher = Watcher(self.changed, lambda level, line: self.lines.append(line))
        self.watcher.set_folders([str(folder) for folder in folders], flat)

    def changed(self, files):
        self.reports.append(files)
        self.seen |= files

    def begin(self):
        self.watcher.begin(self.engine)
        return self

    def turn(self):
        self.engine.turn(int(TURN_S * 1000))
        self.turn_count += 1

    def until(self, condition):
        """Turns until this holds; how many seconds that takes at most on a machine that lets it
        turn when it has to.
        """
        before = self.turn_count
        waiting.until(condition, f"a report, beside {sorted(self.seen)},", self.turn)
        return (self.turn_count - before) * TURN_S

    def until_seen(self, *files):
        took_s = self.until(lambda: {str(file) for file in files} <= self.seen)
        self.seen.clear()
        return took_s

    def turn_quietly(self, seconds=QUIET_S):
        """Turns for a while, in which a report would have come."""
        over = []
        self.engine.later(seconds, lambda: over.append(True))
        waiting.until(lambda: over, between=self.turn)

    def settled(self, file):
        return self.watcher.is_settled(str(file))

    def close(self):
        self.watcher.end()
        self.engine.close()


@pytest.fixture
def res(tmp_path):
    folder = tmp_path / "res"
    (folder / "css").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "css" / "app.css").write_text("b")
    return folder


def can_watch():
    """A user may have 128 watchers, those of all programs together."""
    try:
        _core.Inotify().close()
    except OSError:
        return False
    return True


@pytest.fixture
def make():
    """make(folder, …) gives a Bench; no descriptor is left over."""
    made = []
    waiting.until(can_watch, "a place for one more watcher (fs.inotify.max_user_instances)")
    before = descriptors()

    def start(*folders, **options):
        made.append(Bench(*folders, **options))
        return made[-1]

    yield start
    for bench in made:
        bench.close()
    assert descriptors() == before


@pytest.fixture
def bench(make, res):
    return make(res).begin()


# What is reported.


def test_nothing_is_reported_while_nothing_changes(bench):
    bench.turn_quietly()
    assert bench.reports == []
    assert bench.lines == []


def test_a_file_that_was_written_is_reported_well_within_a_second(bench, res):
    (res / "a.txt").write_text("new")
    assert bench.until_seen(res / "a.txt") < 0.5
    (res / "css" / "app.css").write_text("new")
    assert bench.until_seen(res / "css" / "app.css") < 0.5


def test_a_file_that_is_new_or_goes_or_is_renamed_is_reported(bench, res):
    (res / "css" / "new.css").write_text("new")
    bench.until_seen(res / "css" / "new.css")
    os.rename(res / "css" / "new.css", res / "other.css")
    bench.until_seen(res / "css" / "new.css", res / "other.css")
    os.unlink(res / "other.css")
    bench.until_seen(res / "other.css")


def test_a_file_that_is_replaced_by_rename_is_reported_and_its_hidden_name_is_not(bench, res):
    (res / ".a.txt.swp").write_text("new")
    os.rename(res / ".a.txt.swp", res / "a.txt")
    bench.until(lambda: bench.seen)
    assert bench.seen == {str(res / "a.txt")}


def test_a_file_that_becomes_readable_is_reported(bench, res):
    os.chmod(res / "a.txt", 0o600)
    bench.until_seen(res / "a.txt")


def test_files_in_new_folders_are_reported_by_the_folder_or_themselves(bench, res):
    os.makedirs(res / "one" / "two")
    (res / "one" / "two" / "deep.txt").write_text("deep")
    bench.until_seen(res / "one")
    (res / "one" / "two" / "deep.txt").write_text("deeper")
    bench.until_seen(res / "one" / "two" / "deep.txt")


def test_a_folder_moved_in_and_out_is_reported_and_watched_where_it_is(bench, res, tmp_path):
    other = tmp_path / "build"
    (other / "sub").mkdir(parents=True)
    (other / "sub" / "x.js").write_text("x")
    os.rename(other, res / "build")
    bench.until_seen(res / "build")
    (res / "build" / "sub" / "x.js").write_text("y")
    bench.until_seen(res / "build" / "sub" / "x.js")
    os.rename(res / "build", res / "renamed")
    bench.until_seen(res / "build", res / "renamed")
    (res / "renamed" / "sub" / "x.js").write_text("z")
    bench.until_seen(res / "renamed" / "sub" / "x.js")
    os.rename(res / "renamed", tmp_path / "away")
    bench.until_seen(res / "renamed")
    (tmp_path / "away" / "sub" / "x.js").write_text("not ours any more")
    bench.turn_quietly()
    assert bench.seen == set()


def test_a_folder_that_is_removed_and_made_again_is_watched_again(bench, res):
    for text in ("one", "two", "three"):
        (res / "css" / "app.css").unlink(missing_ok=True)
        os.rmdir(res / "css")
        os.mkdir(res / "css")
        bench.until_seen(res / "css")
        (res / "css" / "app.css").write_text(text)
        bench.until_seen(res / "css" / "app.css")


def test_many_files_are_few_reports(bench, res):
    for number in range(300):
        (res / f"{number}.txt").write_text("x")
    bench.until(lambda: len(bench.seen) >= 300)
    assert len(bench.reports) <= 4


def test_a_stream_of_changes_is_reported_before_it_ends(bench, res):
    def write():
        (res / "a.txt").write_text("x")
        bench.engine.turn(0)

    waiting.until(lambda: bench.reports, "a report", write)


def test_hidden_files_and_folders_are_not_reported_but_well_known_ones_are(bench, res):
    (res / ".git").mkdir()
    (res / ".git" / "index").write_text("x")
    (res / ".env").write_text("x")
    (res / ".well-known").mkdir()
    bench.until_seen(res / ".well-known")
    (res / ".well-known" / "security.txt").write_text("x")
    bench.until(lambda: bench.seen)
    assert not any(".git" in file or ".env" in file for file in bench.seen)


def test_of_a_flat_folder_only_what_is_directly_in_it_is_reported(make, res, tmp_path):
    (tmp_path / "venv").mkdir()
    bench = make(flat=[str(tmp_path)]).begin()
    (tmp_path / "venv" / "x.txt").write_text("x")
    (res / "a.txt").write_text("x")
    (tmp_path / "favicon.ico").write_text("x")
    bench.until_seen(tmp_path / "favicon.ico")
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "x.txt").write_text("x")
    bench.until_seen(tmp_path / "later")
    (tmp_path / "later" / "x.txt").write_text("y")
    bench.turn_quietly()
    assert bench.seen == set()


# Names.


def test_a_file_in_a_linked_folder_is_reported_by_all_its_names(make, res):
    (res / "link").symlink_to("css")
    (res / "deep").mkdir()
    (res / "deep" / "again").symlink_to("../link")
    bench = make(res).begin()
    (res / "css" / "app.css").write_text("new")
    bench.until_seen(res / "css/app.css", res / "link/app.css", res / "deep/again/app.css")


def test_a_linked_file_is_reported_when_its_target_changes(make, res):
    (res / "one.css").symlink_to("css/app.css")
    (res / "two.css").symlink_to("one.css")
    bench = make(res).begin()
    (res / "css" / "app.css").write_text("new")
    bench.until_seen(res / "css" / "app.css", res / "one.css", res / "two.css")
    os.rename(res / "a.txt", res / "css" / "app.css")
    bench.until_seen(res / "css" / "app.css", res / "one.css", res / "two.css")


def test_a_link_that_is_switched_is_followed(make, res):
    (res / "v1").mkdir()
    (res / "v2").mkdir()
    (res / "v2" / "x.txt").write_text("x")
    (res / "current").symlink_to("v1")
    bench = make(res).begin()
    (res / "next").symlink_to("v2")
    os.rename(res / "next", res / "current")
    bench.until_seen(res)
    (res / "v2" / "x.txt").write_text("y")
    bench.until_seen(res / "v2" / "x.txt", res / "current" / "x.txt")


def test_a_link_in_a_circle_and_one_that_leaves_end_the_walk(make, res, tmp_path):
    (res / "css" / "up").symlink_to("..")
    (res / "css" / "self").symlink_to("self")
    (res / "out").symlink_to(tmp_path)
    (tmp_path / "x.txt").write_text("x")
    bench = make(res).begin()
    (tmp_path / "x.txt").write_text("y")
    (res / "a.txt").write_text("y")
    bench.until(lambda: bench.seen)
    assert str(res / "out" / "x.txt") not in bench.seen


def test_a_hard_link_is_reported_by_all_its_names(make, res):
    os.link(res / "a.txt", res / "css" / "twin.txt")
    bench = make(res).begin()
    (res / "a.txt").write_text("new")
    bench.until_seen(res / "a.txt", res / "css" / "twin.txt")


def test_a_hard_link_that_is_made_later_is_known_then(bench, res):
    os.link(res / "a.txt", res / "twin.txt")
    bench.until_seen(res)
    (res / "twin.txt").write_text("new")
    bench.until_seen(res / "a.txt", res / "twin.txt")


def test_a_file_that_is_written_by_a_name_outside_is_found_every_minute(make, res, tmp_path):
    os.link(res / "a.txt", tmp_path / "outside.txt")
    bench = make(res).begin()
    (tmp_path / "outside.txt").write_text("longer than before")
    bench.turn_quietly()
    assert bench.seen == set()
    bench.watcher._look_closer(bench.engine)
    bench.until_seen(res / "a.txt")


# Roots.


def test_a_root_that_is_removed_and_copied_anew_is_watched(bench, res):
    for text in ("one", "two"):
        for name in ("css/app.css", "a.txt"):
            (res / name).unlink(missing_ok=True)
        os.rmdir(res / "css")
        os.rmdir(res)
        bench.until_seen(res)
        (res / "css").mkdir(parents=True)
        bench.until_seen(res)
        (res / "css" / "app.css").write_text(text)
        bench.until_seen(res / "css" / "app.css")


def test_a_root_that_is_replaced_by_rename_is_watched_within_a_second(bench, res, tmp_path):
    other = tmp_path / "new"
    other.mkdir()
    (other / "a.txt").write_text("new")
    os.rename(res, tmp_path / "old")
    os.rename(other, res)
    assert bench.until_seen(res) < 1
    (res / "a.txt").write_text("newer")
    bench.until_seen(res / "a.txt")


def test_a_root_behind_a_link_that_is_switched_is_watched_within_a_second(make, tmp_path):
    for release in ("41", "42"):
        (tmp_path / "releases" / release / "res").mkdir(parents=True)
        (tmp_path / "releases" / release / "res" / "a.txt").write_text(release)
    (tmp_path / "current").symlink_to("releases/41")
    root = tmp_path / "current" / "res"
    bench = make(root).begin()
    (tmp_path / "next").symlink_to("releases/42")
    os.rename(tmp_path / "next", tmp_path / "current")
    assert not bench.settled(root / "a.txt")  # what was read now may be of either
    assert bench.until_seen(root) < 1
    (tmp_path / "releases" / "42" / "res" / "a.txt").write_text("new")
    bench.until_seen(root / "a.txt")
    assert bench.settled(root / "a.txt")


def test_a_root_that_comes_later_is_watched(make, tmp_path):
    bench = make(tmp_path / "resmin").begin()
    (tmp_path / "resmin").mkdir()
    assert bench.until_seen(tmp_path / "resmin") < 1
    (tmp_path / "resmin" / "a.css").write_text("x")
    bench.until_seen(tmp_path / "resmin" / "a.css")


def test_folders_may_be_set_anew(bench, res, tmp_path):
    (tmp_path / "more").mkdir()
    bench.watcher.set_folders([str(tmp_path / "more")])
    (res / "a.txt").write_text("no longer")
    (tmp_path / "more" / "x.txt").write_text("x")
    bench.until_seen(tmp_path / "more" / "x.txt")
    assert len(bench.reports) == 1


def test_what_changes_before_the_engine_is_there_is_reported_then(make, res):
    bench = make(res)
    (res / "a.txt").write_text("new")
    assert not bench.settled(res / "a.txt")
    bench.begin()
    bench.until_seen(res / "a.txt")


# Settled or not.


def test_a_file_that_nobody_writes_is_settled(make, res):
    bench = make(res)
    assert bench.settled(res / "a.txt")
    bench.begin()
    assert bench.settled(res / "css" / "app.css")


def test_a_file_is_not_settled_from_the_write_until_its_report(bench, res):
    with open(res / "a.txt", "w") as file:
        assert not bench.settled(res / "a.txt")
        file.write("half")
        file.flush()
        assert not bench.settled(res / "a.txt")
        bench.turn_quietly()
        assert bench.seen == set()
        file.write("whole")
    assert not bench.settled(res / "a.txt")  # closed since the read: read again
    bench.until_seen(res / "a.txt")
    assert bench.settled(res / "a.txt")


def test_a_file_that_is_written_again_after_it_was_closed_is_not_settled(bench, res):
    (res / "a.txt").write_text("first")
    bench.until_seen(res / "a.txt")
    file = open(res / "a.txt", "w")  # noqa: SIM115 - it is truncated now, which is the point
    try:
        assert not bench.settled(res / "a.txt")
    finally:
        file.close()
    bench.until_seen(res / "a.txt")
    assert bench.settled(res / "a.txt")


def test_notices_alone_tell_of_a_writer_that_began_after_the_watch(bench, res, monkeypatch):
    # As for a file of another user, of whose writers the kernel does not tell us.
    monkeypatch.setattr(watch, "is_being_written", lambda file: None)
    bench.watcher._tree._is_open = lambda file: None
    monkeypatch.setattr(watch, "FRESH_S", 0)
    assert bench.settled(res / "a.txt")
    with open(res / "a.txt", "w") as file:
        assert not bench.settled(res / "a.txt")
        bench.turn_quietly()
        assert not bench.settled(res / "a.txt")
        file.write("x")
    with open(res / "new.txt", "w"):
        bench.turn_quietly()
        assert not bench.settled(res / "new.txt")  # made, and empty so far
        assert bench.settled(res / "a.txt")
    bench.until_seen(res / "new.txt")
    assert bench.settled(res / "new.txt")


def test_where_nobody_tells_a_file_of_this_moment_is_read_again(bench, res, monkeypatch):
    monkeypatch.setattr(watch, "is_being_written", lambda file: None)
    monkeypatch.setattr(watch, "FRESH_S", 3600)
    (res / "a.txt").write_text("x")
    bench.until_seen(res / "a.txt")
    os.utime(res / "a.txt")
    bench.watcher._drain(1)
    bench.watcher._tree.changed.clear()
    assert not bench.settled(res / "a.txt")
    bench.until_seen(res / "a.txt")


def test_where_nobody_tells_a_file_of_this_moment_is_read_again_after_the_start(
    make, res, monkeypatch
):
    monkeypatch.setattr(watch, "is_being_written", lambda file: None)
    monkeypatch.setattr(watch, "FRESH_AT_START_S", 3600)
    bench = make(res)
    os.utime(res / "a.txt", (1, 1))  # as cp -p and tar do; the system's own date tells
    assert not bench.settled(res / "a.txt")
    bench.begin()
    bench.until_seen(res / "a.txt")
    assert not bench.settled(res / "a.txt")
    assert bench.until_seen(res / "a.txt") < 2
    assert bench.settled(res / "a.txt")


def test_where_nobody_tells_and_nothing_is_watched_it_is_read_again_too(
    make, res, monkeypatch, soon
):
    monkeypatch.setattr(watchtree, "Inotify", NoInotify)
    monkeypatch.setattr(watch, "is_being_written", lambda file: None)
    monkeypatch.setattr(watch, "FRESH_AT_START_S", 3600)
    bench = make(res)
    assert not bench.settled(res / "a.txt")
    bench.begin()
    bench.until_seen(res / "a.txt")
    bench.until(lambda: bench.settled(res / "a.txt"))


def test_notices_that_come_in_small_portions_are_all_taken_before_an_answer(
    make, res, monkeypatch
):
    monkeypatch.setattr(watchtree, "Inotify", SmallPortions)
    bench = make(res).begin()
    (res / "css" / "app.css").write_text("other")
    (res / "a.txt").write_text("new")
    assert not bench.settled(res / "a.txt")
    bench.until_seen(res / "a.txt", res / "css" / "app.css")
    for number in range(100):
        (res / f"{number}.txt").write_text("x")
    assert not bench.settled(res / "css" / "app.css")  # an answer would take too long
    bench.until_seen(res / "css" / "app.css", *(res / f"{number}.txt" for number in range(100)))
    assert bench.settled(res / "css" / "app.css")
    assert bench.lines == []


class SmallPortions:
    """Gives some notices at a time and leaves the others to the kernel, as the core does with some
    thousand.
    """

    def __init__(self):
        self.real = _core.Inotify()

    def read(self):
        try:
            data = os.read(self.real.fileno(), 280)  # room for one of any name
        except BlockingIOError:
            return []
        notices = []
        while data:
            watch_, mask, _, size = struct.unpack_from("iIII", data)
            notices.append((watch_, mask, os.fsdecode(data[16 : 16 + size].rstrip(b"\0"))))
            data = data[16 + size :]
        return notices

    def __getattr__(self, name):
        return getattr(self.real, name)


def test_a_writer_that_began_before_the_watch_is_found(make, res):
    with open(res / "a.txt", "w") as file:
        file.write("half")
        file.flush()
        bench = make(res)
        assert not bench.settled(res / "a.txt")
        file.write("whole")
    bench.begin()
    bench.until_seen(res / "a.txt")
    assert bench.settled(res / "a.txt")


def test_who_has_a_file_open_and_does_not_write_it_keeps_nobody_waiting(make, res):
    os.utime(res / "a.txt", (1, 1))
    with open(res / "a.txt", "r+"):
        bench = make(res).begin()
        assert bench.settled(res / "a.txt")


def test_a_writer_that_stops_writing_is_asked_for_every_minute(make, res):
    with open(res / "a.txt", "r+"):
        bench = make(res).begin()
        assert not bench.settled(res / "a.txt")
        bench.watcher._look_closer(bench.engine)
        bench.until_seen(res / "a.txt")


def test_a_file_in_a_folder_that_is_not_reported_yet_is_not_settled(bench, res):
    (res / "one" / "two").mkdir(parents=True)
    (res / "one" / "two" / "x.txt").write_text("x")
    assert not bench.settled(res / "one" / "two" / "x.txt")
    bench.until_seen(res / "one")
    assert bench.settled(res / "one" / "two" / "x.txt")


def test_a_file_outside_of_all_folders_is_settled(bench, tmp_path):
    (tmp_path / "x.txt").write_text("x")
    assert bench.settled(tmp_path / "x.txt")
    assert bench.settled(tmp_path / "missing.txt")


def test_it_is_known_whether_a_file_is_being_written(tmp_path):
    file = tmp_path / "x"
    file.write_text("x")
    assert is_being_written(str(file)) is False
    with open(file, "rb"):
        assert is_being_written(str(file)) is False
    for mode in ("r+", "a", "w"):
        with open(file, mode):
            assert is_being_written(str(file)) is True
    assert is_being_written(str(tmp_path / "missing")) is None
    assert is_being_written(str(tmp_path)) is None


def test_a_writer_that_meets_our_question_is_not_hurt_nor_are_we(tmp_path):
    file = tmp_path / "x"
    file.write_text("x")
    code = ("import os, sys\n"
            "while not os.path.exists(sys.argv[2]):\n"
            "    with open(sys.argv[1], 'w') as file: file.write('x')\n")
    enough = tmp_path / "enough"
    process = subprocess.Popen([sys.executable, "-c", code, str(file), str(enough)])
    answers = []
    try:
        waiting.until(lambda: {False, True} <= set(answers) and len(answers) >= 3000,
                      "both answers", lambda: answers.append(is_being_written(str(file))))
        enough.touch()
        assert process.wait(waiting.DEADLINE_S) == 0
    finally:
        process.kill()
        process.wait()
    assert set(answers) == {False, True}


# One whole version, whatever a writer does.

WRITER = """
import os, sys
path, kind, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
for number in range(rounds):
    body = (b"%06d" % number) * (1 + number % 7 * 9000)
    if kind == "rename":
        other = os.path.join(os.path.dirname(path), ".new")
        with open(other, "wb") as file:
            file.write(body)
        os.rename(other, path)
    else:
        with open(path, "wb") as file:
            for start in range(0, len(body), 30000 if kind == "pieces" else len(body)):
                file.write(body[start:start + 30000 if kind == "pieces" else None])
                file.flush()
"""


@pytest.fixture
def quick_folder(tmp_path):
    """A busy disk holds a writer up between two steps, for longer than a file is looked at."""
    with tempfile.TemporaryDirectory(dir=memory_folder() or tmp_path) as name:
        yield pathlib.Path(name)


@pytest.mark.parametrize("kind", ["whole", "pieces", "rename"])
@pytest.mark.parametrize("is_lease_refused", [False, True], ids=["lease", "no lease"])
def test_a_settled_read_is_one_whole_version(
    make, quick_folder, monkeypatch, kind, is_lease_refused
):
    if is_lease_refused:
        monkeypatch.setattr(watch, "is_being_written", lambda file: None)
    (quick_folder / "a.txt").write_text("a")
    bench = make(quick_folder)
    if is_lease_refused:
        bench.watcher._tree._is_open = lambda file: None
    bench.begin()
    path = str(quick_folder / "a.txt")
    rounds = 1000
    process = subprocess.Popen([sys.executable, "-c", WRITER, path, kind, str(rounds)])
    accepted = []

    def read(files):
        try:
            with open(path, "rb") as file:
                before = os.fstat(file.fileno())
                body = file.read()
                after = os.fstat(file.fileno())
        except FileNotFoundError:
            return
        stamp = watchnames.stamp
        if stamp(before) == stamp(after) and bench.settled(path):
            assert bench.watcher._tree is not None  # no looking every minute, which is another rule
            accepted.append(body)

    bench.watcher.changed = read
    try:
        while process.poll() is None:
            bench.engine.turn(1)
            read({path})
    finally:
        process.kill()
        process.wait()
    last = b"%06d" % (rounds - 1)
    bench.until(lambda: accepted and accepted[-1][:6] == last)
    for body in accepted:
        if body != b"a":
            number = int(body[:6])
            assert body == (b"%06d" % number) * (1 + number % 7 * 9000)


# When notices are lost, or there are none.


class Overflowing:
    """Says once that notices were lost, as the kernel does whose queue is full; and they are."""

    def __init__(self, real):
        self.real = real
        self.is_over = False

    def read(self):
        notices = self.real.read()
        if self.is_over or not notices:
            return notices
        self.is_over = True
        return [(-1, _core.IN_Q_OVERFLOW, "")]

    def __getattr__(self, name):
        return getattr(self.real, name)


@pytest.mark.parametrize("is_real", [True, False])
def test_after_an_overflow_everything_is_read_again(bench, res, is_real):
    """The kernel's own where its queue can be filled: an operator may have made it very long."""
    with open("/proc/sys/fs/inotify/max_queued_events") as file:
        limit = int(file.read())
    if is_real and limit <= 70000:
        for number in range(limit // 2 + 10):  # two notices each: equal ones in a row are merged
            os.utime(res / ("a.txt" if number % 2 else "css"))
            os.utime(res / ("css/app.css" if number % 2 else "a.txt"))
    else:
        bench.watcher._tree.inotify = Overflowing(bench.watcher._tree.inotify)
    (res / "late").mkdir()
    bench.until_seen(res)
    (res / "late" / "x.txt").write_text("x")
    bench.until_seen(res / "late" / "x.txt")
    assert bench.settled(res / "a.txt")


def test_a_writer_whose_closing_was_lost_is_not_waited_for(bench, res):
    file = open(res / "a.txt", "w")  # noqa: SIM115
    assert not bench.settled(res / "a.txt")
    file.close()
    while bench.watcher._tree.inotify.read():
        pass
    bench.watcher._tree.is_lost = True
    bench.watcher._flush_soon()
    bench.until_seen(res)
    assert bench.settled(res / "a.txt")


class NoInotify:
    def __init__(self):
        raise OSError(24, "Too many open files")


class FewWatches:
    """Refuses the third folder, as the kernel does at fs.inotify.max_user_watches."""

    def __init__(self):
        self.real = _core.Inotify()
        self.count = 0

    def add(self, path):
        self.count += 1
        if self.count > 2:
            raise OSError(28, "No space left on device")
        return self.real.add(path)

    def __getattr__(self, name):
        return getattr(self.real, name)


@pytest.fixture
def soon(monkeypatch):
    """Looks come every 50 ms instead of every minute, and twice in 30 ms."""
    monkeypatch.setattr(watchscan, "LOOK_S", 0.05)
    monkeypatch.setattr(watchscan, "AGAIN_S", 0.03)


@pytest.fixture
def scanning(make, res, monkeypatch, soon):
    monkeypatch.setattr(watchtree, "Inotify", NoInotify)
    bench = make(res).begin()
    bench.until(lambda: not bench.watcher._scan._is_first)
    return bench


def test_without_inotify_changes_are_looked_for_and_the_log_says_so_once(scanning, res):
    (res / "a.txt").write_text("new")
    scanning.until_seen(res / "a.txt")
    assert scanning.settled(res / "a.txt")
    (res / "css" / "new.css").write_text("new")
    scanning.until_seen(res / "css" / "new.css")
    os.unlink(res / "a.txt")
    scanning.until_seen(res / "a.txt")
    assert scanning.lines == [watch.FALL_BACK_LINE + "Too many open files"]


def test_a_file_that_differs_between_two_looks_is_not_taken(scanning, res, monkeypatch):
    monkeypatch.setattr(watch, "is_being_written", lambda file: None)
    over, now = [], [0.0]
    clock = types.SimpleNamespace(monotonic=lambda: now[0], perf_counter=time.perf_counter)
    scanning.engine.later(0.5, lambda: over.append(True))
    with monkeypatch.context() as patch:
        patch.setattr(watchscan, "time", clock)  # it stands still from a write to the look after it
        while not over:
            now[0] = time.monotonic()
            with open(res / "a.txt", "a") as file:
                file.write("x")
            assert not scanning.settled(res / "a.txt")
            scanning.engine.turn(1)
    assert scanning.reports == []
    scanning.until_seen(res / "a.txt")
    assert scanning.settled(res / "a.txt")


def test_a_file_that_is_new_to_the_scan_is_settled_after_two_looks(scanning, res):
    (res / "new.txt").write_text("x")
    assert not scanning.settled(res / "new.txt")
    scanning.until_seen(res / "new.txt")
    assert scanning.settled(res / "new.txt")


def test_before_the_engine_runs_the_scan_takes_what_is_there(make, res, monkeypatch, soon):
    monkeypatch.setattr(watchtree, "Inotify", NoInotify)
    bench = make(res)
    assert bench.settled(res / "a.txt")
    (res / "a.txt").write_text("changed before the first look")
    bench.begin()
    bench.until_seen(res / "a.txt")


def test_at_the_limit_of_watches_looking_goes_on(make, res, monkeypatch, soon):
    monkeypatch.setattr(watchtree, "Inotify", FewWatches)
    bench = make(res).begin()
    assert bench.watcher._tree is not None
    (res / "third").mkdir()
    bench.until_seen(res)
    assert bench.watcher._tree is None
    bench.until(lambda: not bench.watcher._scan._is_first)
    (res / "third" / "x.txt").write_text("x")
    bench.until_seen(res / "third" / "x.txt")
    assert bench.lines == [watch.FALL_BACK_LINE + "No space left on device"]


def test_a_scan_of_a_thousand_files_is_sliced(make, tmp_path, monkeypatch, soon):
    monkeypatch.setattr(watchtree, "Inotify", NoInotify)
    monkeypatch.setattr(watchscan, "SLICE_S", 0)
    for number in range(1000):
        (tmp_path / f"{number}.txt").write_text("x")
    slices = []
    real = watchscan.Scan._step
    monkeypatch.setattr(watchscan.Scan, "_step",
                        lambda scan: slices.append(real(scan)) or None)
    monkeypatch.setattr(watchscan, "PAUSE_S", 0.001)
    bench = make(tmp_path).begin()
    bench.until(lambda: not bench.watcher._scan._is_first)
    assert len(slices) >= 1000 / watchscan.FILES_PER_SLICE / 2


def test_a_poller_that_has_no_room_for_the_watch_leaves_looking(make, res, monkeypatch, soon):
    bench = make(res)

    class Full:
        def __getattr__(self, name):
            return getattr(bench.engine, name)

        def add_reader(self, fd, callback):
            raise OSError(24, "descriptor cannot be watched")

        def remove_reader(self, fd):
            pass

    bench.watcher.begin(Full())
    bench.until_seen(res)
    assert len(bench.lines) == 1


def test_end_may_come_twice_and_before_the_beginning(make, res):
    bench = make(res)
    bench.watcher.end()
    bench.begin()
    bench.watcher.end()
    bench.watcher.end()
    (res / "a.txt").write_text("new")
    bench.turn_quietly()
    assert bench.reports == []


def test_a_thousand_files_are_watched_and_asked_about_quickly(make, tmp_path):
    files = []
    for folder in range(50):
        (tmp_path / f"{folder}").mkdir()
        for number in range(20):
            files.append(tmp_path / f"{folder}" / f"{number}.txt")
            files[-1].write_text("x")
    made = []
    set_s = cpu_s(lambda: made.append(make(tmp_path)), times=1)
    assert all(made[0].settled(file) for file in files)
    asked_s = cpu_s(lambda: [made[0].settled(file) for file in files])
    print(f"watching {set_s * 1e3:.1f} ms, asking {asked_s * 1e3:.1f} ms")
    assert set_s + asked_s < 0.5  # some 30 ms on a machine that has nothing else to do
