"""Descriptors of others on the engine's thread: Engine.add_reader and remove_reader; Inotify."""

from __future__ import annotations

import os

import harness
import pytest

from nodepp import _core


@pytest.fixture
def pipe():
    ours, theirs = os.pipe()
    yield ours, theirs
    for fd in (ours, theirs):
        os.close(fd)


@pytest.fixture(params=harness.POLLERS)
def server(request):
    with harness.serving(request.param) as server:
        yield server


def test_a_reader_is_called_while_there_is_something_to_read(server, pipe):
    ours, theirs = pipe
    read: list[bytes] = []
    server.engine.add_reader(ours, lambda: read.append(os.read(ours, 1)))
    server.idle()
    assert read == []
    os.write(theirs, b"ab")
    server.until(lambda: len(read) == 2)
    assert read == [b"a", b"b"]
    server.engine.remove_reader(ours)
    os.write(theirs, b"c")
    server.idle()
    assert len(read) == 2


def test_a_reader_may_remove_itself_and_another_one(server, pipe):
    ours, theirs = pipe
    second, their_second = os.pipe()
    called = []

    def callback():
        called.append(True)
        server.engine.remove_reader(ours)
        server.engine.remove_reader(second)

    server.engine.add_reader(ours, callback)
    server.engine.add_reader(second, callback)
    os.write(theirs, b"x")
    os.write(their_second, b"x")
    server.until(lambda: called)
    server.idle()
    assert len(called) == 1
    os.close(second)
    os.close(their_second)


def test_a_reader_that_fails_is_logged_and_requests_are_answered(server, pipe):
    ours, theirs = pipe

    def callback():
        os.read(ours, 1)
        raise ValueError("bad news")

    server.engine.add_reader(ours, callback)
    os.write(theirs, b"x")
    server.until(lambda: server.app.logged)
    assert "bad news" in server.app.logged[0][1]
    client = server.connect()
    client.send(harness.requests_in(1))
    assert client.responses("GET", count=1)[0].status == 200
    server.engine.remove_reader(ours)


def test_a_second_reader_of_a_descriptor_takes_the_place_of_the_first(server, pipe):
    ours, theirs = pipe
    called = []
    server.engine.add_reader(ours, lambda: called.append("first"))
    server.engine.add_reader(ours, lambda: called.append(os.read(ours, 1)))
    os.write(theirs, b"x")
    server.until(lambda: called)
    server.idle()
    assert called == [b"x"]
    server.engine.remove_reader(ours)


def test_what_cannot_be_watched_is_refused(pipe):
    with harness.serving() as server:
        with pytest.raises(OSError):
            server.engine.add_reader(10_000_000, print)
        server.engine.remove_reader(10_000_000)
    with pytest.raises(RuntimeError):
        server.engine.add_reader(pipe[0], print)


def test_a_folder_tells_what_happens_in_it(tmp_path):
    watch = _core.Inotify()
    number = watch.add(str(tmp_path))
    assert watch.read() == []
    (tmp_path / "a").write_text("one")
    os.rename(tmp_path / "a", tmp_path / "żółw")
    os.unlink(tmp_path / "żółw")
    events = watch.read()
    assert {wd for wd, _, _ in events} == {number}
    seen = [(mask, name) for _, mask, name in events]
    assert (_core.IN_CREATE, "a") in seen
    assert (_core.IN_CLOSE_WRITE, "a") in seen
    assert (_core.IN_MOVED_TO, "żółw") in seen
    assert (_core.IN_DELETE, "żółw") in seen
    watch.remove(number)
    assert [mask for _, mask, _ in watch.read()] == [_core.IN_IGNORED]
    watch.remove(number)
    watch.close()
    assert watch.fileno() == -1
    watch.close()


@pytest.mark.parametrize("path", ["missing", "file"])
def test_what_is_no_folder_cannot_be_watched(tmp_path, path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match=path):
        _core.Inotify().add(str(tmp_path / path))


def test_more_events_than_one_read_takes(tmp_path):
    watch = _core.Inotify()
    watch.add(str(tmp_path))
    for number in range(500):
        (tmp_path / f"{'n' * 100}{number}").touch()
    names = {name for _, mask, name in watch.read() if mask == _core.IN_CREATE}
    assert len(names) == 500
