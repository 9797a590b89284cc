"""Files from a disk that takes its time: who waits, what waits with him, and what is left over."""

from __future__ import annotations

import gc
import os

import harness
import pytest

from nodepp import _core

SIZE = 8 << 20
COLD_JOB = 1 << 20               # bytes that the helper reads at a time: READAHEAD_SIZE


@pytest.fixture
def slow_disk():
    _core.probe_cold_files(True)
    yield
    _core.probe_hold_disk(False)
    _core.probe_cold_files(False)


@pytest.fixture
def server(tmp_path, slow_disk):
    """Serves /file from the disk; server.path is its name."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    resource = _core.Resource(None, "text/plain", etag="f", path=str(path), size=SIZE)
    with harness.serving() as server:
        server.path = path
        server.app.open_file = lambda resource: (
            resource, _core.File(os.open(resource.path, os.O_RDONLY | os.O_CLOEXEC)))
        server.engine.publish(_core.Snapshot({"": {"/file": resource}}))
        yield server
        _core.probe_hold_disk(False)


def get(*fields: str) -> bytes:
    return "\r\n".join(["GET /file HTTP/1.1", "Host: a", *fields, "", ""]).encode()


def files() -> int:
    return _core.probe_statics()["files"]


def test_who_leaves_while_the_disk_is_read_leaves_neither_job_nor_file(server):
    """600 visitors who went away left 598 open files, and the next one waited for all of them."""
    _core.probe_hold_disk(True)
    before = files()
    clients = [server.connect() for _ in range(100)]
    for client in clients:
        client.send(get())
    server.until(lambda: server.stat("reads_ahead") >= 100)
    assert files() == before + 100
    for client in clients:
        client.reset()
    server.until(lambda: server.engine.connection_count == 0)
    assert files() == before
    reads = server.stat("reads_ahead")
    _core.probe_hold_disk(False)
    client = server.connect()
    client.send(get("Range: bytes=0-9"))
    assert client.responses("GET", count=1)[0].body == server.path.read_bytes()[:10]
    assert server.stat("reads_ahead") == reads + 1


def test_a_file_is_read_ahead_once(server):
    client = server.connect()
    client.send(get())
    assert client.responses("GET", count=1)[0].body == server.path.read_bytes()
    assert server.stat("reads_ahead") == SIZE // COLD_JOB


def test_a_pipeline_of_ranges_holds_one_descriptor(server):
    """32 ranges of one byte held 33 descriptors for as long as the peer did not read."""
    _core.probe_hold_disk(True)
    before = files()
    client = server.connect()
    client.send(get("Range: bytes=5-5") * 32)
    server.idle()
    assert files() - before <= 1
    _core.probe_hold_disk(False)
    answers = client.responses(*["GET"] * 32, count=32)
    assert {answer.body for answer in answers} == {server.path.read_bytes()[5:6]}


def test_an_engine_closes_while_the_disk_does_not_answer(tmp_path, server):
    _core.probe_hold_disk(True)
    client = server.connect()
    client.send(get())
    server.idle()
    server.engine.close()
    assert files() == 0


def test_without_a_thread_the_loop_waits_itself_and_nothing_is_cut(tmp_path, slow_disk):
    """The select poller cannot watch a pipe past its 1,024th descriptor."""
    path = tmp_path / "file"
    path.write_bytes(os.urandom(SIZE))
    resource = _core.Resource(None, "text/plain", etag="f", path=str(path), size=SIZE)
    with harness.serving("select") as server:
        server.app.open_file = lambda resource: (
            resource, _core.File(os.open(resource.path, os.O_RDONLY | os.O_CLOEXEC)))
        server.engine.publish(_core.Snapshot({"": {"/file": resource}}))
        client = server.connect()
        client.send(harness.requests_in(1))
        client.responses("GET", count=1)
        taken = []
        try:
            # The connections' own descriptors are low already; the pipe's will be high.
            while not taken or taken[-1] < 1030:
                taken.append(os.dup(0))
            client.send(get())
            low = taken[:8]
            del taken[:8]
            for fd in low[:1]:
                os.close(fd)           # for the file itself
            answers = client.responses("GET", "GET", count=2)
            for fd in low[1:]:
                os.close(fd)
        finally:
            for fd in taken:
                os.close(fd)
        assert answers[1].body == path.read_bytes()


class Unspeakable(Exception):
    def __str__(self):
        raise ValueError("there are no words")


@pytest.mark.parametrize("where", ["open_file", "error", "compress"])
def test_what_cannot_even_be_told_is_a_500_and_the_next_request_is_served(server, where):
    """Such an exception left dispatch with the request still in use, and the next one aborted."""
    def fails(*arguments):
        raise Unspeakable

    setattr(server.app, where, fails)
    client = server.connect()
    client.send(get("Range: bytes=0-0") if where == "open_file" else
                b"GET /missing HTTP/1.1\r\nHost: a\r\n\r\n")
    assert client.responses("GET", count=1)[0].status in (404, 500)
    second = server.connect()
    second.send(harness.requests_in(2))
    assert [answer.status for answer in second.responses("GET", "GET", count=2)] == [200, 200]


@pytest.mark.parametrize("found", [(None, None), None, 1, ("a", "b"), (1,)])
def test_nonsense_from_the_host_is_refused(server, found):
    server.app.open_file = lambda resource: found
    client = server.connect()
    client.send(get())
    assert client.responses("GET", count=1)[0].status == (404 if found is None else 503)


# Objects that are made wrongly.


def test_a_resource_and_a_snapshot_are_made_once():
    resource = _core.Resource(b"x", "text/plain", etag="a")
    with pytest.raises(RuntimeError):
        resource.__init__(b"y", "text/plain", etag="b")
    snapshot = _core.Snapshot({"": {"/": resource}})
    with pytest.raises(RuntimeError):
        snapshot.__init__({})
    assert snapshot.get("/") is resource


@pytest.mark.parametrize("hosts", [
    {"": {"/": 1}}, {"": {"no-slash": None}}, {"UPPER": {}}, {"a:80": {}}, {"": {"/": None}},
    {1: {}}, {"a": {1: None}}, {"x" * 256: {}},
])  # fmt: skip
def test_a_snapshot_that_failed_cannot_be_used(hosts):
    snapshot = _core.Snapshot.__new__(_core.Snapshot)
    with pytest.raises((TypeError, ValueError, AttributeError)):
        snapshot.__init__(hosts)
    assert snapshot.get("/") is None
    assert len(snapshot) == 0
    with pytest.raises(ValueError, match="never filled"), harness.serving() as server:
        server.engine.publish(snapshot)


@pytest.mark.parametrize("bad", [
    {"expires_s": 1 << 60}, {"expires_s": -2}, {"etag": ""}, {"etag": 'a"b'}, {"etag": "ż"},
    {"cache_control": "a\r\nb: c"}, {"content_type": "a\nb"}, {"codings": {"x": (b"", "e")}},
    {"codings": {"br": ("", "e")}}, {"codings": {"br": (b"", "")}}, {"body": "text"},
    {"body": None, "path": "/x", "codings": {"br": (b"", "e")}}, {"body": None},
    {"body": None, "location": "/a\r\nb"},
])  # fmt: skip
def test_what_cannot_be_said_of_a_resource_is_refused(bad):
    given = {"body": b"x", "content_type": "text/plain", "etag": "a", **bad}
    gc.collect()                       # resources of other tests would go meanwhile
    before = _core.probe_statics()["resources"]
    with pytest.raises((TypeError, ValueError)):
        _core.Resource(**given)
    assert _core.probe_statics()["resources"] == before


def test_hosts_are_found_as_node_plus_plus_has_them():
    def resource(text):
        return _core.Resource(text, "text/plain", etag="a")

    hosts = {"": {"/": resource(b"main")}, "example.com": {"/": resource(b"example")}}
    names = {"example.com": b"example", "EXAMPLE.com:80": b"example", "www.example.com": b"example",
             "example.com.": b"example", "a.www.example.com": b"main", "com": b"main",
             "x" * 300: b"main", "[::1]": b"main", "": b"main"}  # fmt: skip
    with harness.serving() as server:
        server.engine.publish(_core.Snapshot(hosts))
        client = server.connect()
        for name in names:
            client.send(f"GET / HTTP/1.1\r\nHost: {name}\r\n\r\n".encode() if name
                        else b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        answers = client.responses(*["GET"] * len(names), count=len(names))
        assert [answer.body for answer in answers] == list(names.values())
