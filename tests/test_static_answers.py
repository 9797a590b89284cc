"""Resources and snapshots: what they are made of, being swapped under way, and being freed.

What is answered is in tests/wire/statics*.md; here is what needs more than one connection.
"""

from __future__ import annotations

import errno
import gc
import os
import random
import sys

import harness
import pytest
import wiresite
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import descriptors, resident_size
from responsereader import read_parts, read_responses

from nodepp import _core

FAR_SIZE = 8 << 20                # bytes: more than the kernel keeps for two ends of a connection


def get(path: str, fields: str = "", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


def resource(body: bytes = b"x", **options) -> _core.Resource:
    return _core.Resource(body, "text/plain", etag="t", **options)


def published(**bodies: bytes) -> _core.Snapshot:
    return _core.Snapshot({"": {f"/{name}": resource(body) for name, body in bodies.items()}})


@pytest.fixture(scope="module", autouse=True)
def freed():
    """In the end there are as many snapshots, resources and files as in the beginning."""
    gc.collect()
    before = _core.probe_statics()
    yield
    gc.collect()
    assert _core.probe_statics() == before


# Resources


def test_a_resource_tells_what_it_was_made_of():
    made = _core.Resource(
        b"body", "text/css", etag="e", modified=5, cache_control="no-cache", expires_s=60,
        varies=True, codings={"gzip": (b"gz", "e-gz"), "br": (b"b", "e-br")})
    assert (made.body, made.content_type, made.etag, made.modified) == (b"body", "text/css", "e", 5)
    assert (made.cache_control, made.expires_s, made.varies) == ("no-cache", 60, True)
    assert (made.size, made.codings) == (4, {"gzip": 2, "br": 1})
    assert (made.path, made.location) == ("", "")


def test_a_resource_has_defaults():
    made = resource()
    assert (made.modified, made.cache_control, made.expires_s, made.varies) == (-1, "", -1, False)
    assert made.codings == {}


def test_a_resource_gets_its_codings_later():
    made = resource(b"body", varies=True, modified=7, cache_control="no-cache", expires_s=9)
    coded = made.with_codings({"zstd": (b"z", "t-zs")})
    assert made.codings == {}
    assert coded.codings == {"zstd": 1}
    assert (coded.body, coded.etag, coded.modified, coded.cache_control, coded.expires_s,
            coded.varies) == (b"body", "t", 7, "no-cache", 9, True)
    assert coded.with_codings({}).codings == {}


def test_a_resource_on_disk_and_a_redirect():
    disk = _core.Resource(None, "video/mp4", etag="d", path="/srv/film.mp4", size=1 << 40)
    assert (disk.body, disk.path, disk.size) == (None, "/srv/film.mp4", 1 << 40)
    redirect = _core.Resource(None, "", etag="", location="/folder/")
    assert (redirect.body, redirect.location) == (None, "/folder/")


@pytest.mark.parametrize("options", [
    {"etag": 'a"b'}, {"etag": "a b"}, {"etag": "a\r\n"}, {"etag": "\u00e9"}, {"etag": ""},
    {"content_type": "text/plain\r\nX: y"}, {"content_type": "text/\u20ac"},
    {"cache_control": "no\r\ncache"}, {"cache_control": "no\0cache"},
    {"codings": {"deflate": (b"", "e")}}, {"codings": {"identity": (b"", "e")}},
    {"codings": {"gzip": (b"", 'e"')}}, {"body": None},
    {"body": None, "location": "/a\r\nX: y"}, {"body": None, "location": "/\u00e9"},
])  # fmt: skip
def test_what_cannot_stand_in_a_field_is_refused(options):
    values = {"body": b"", "content_type": "text/plain", "etag": "e", **options}
    with pytest.raises(ValueError, match=r"\S"):
        _core.Resource(values.pop("body"), values.pop("content_type"), **values)


@pytest.mark.parametrize("options", [
    {"body": "text"}, {"body": bytearray(b"x")}, {"content_type": None},
    {"codings": {"gzip": ("text", "e")}}, {"modified": "now"},
])  # fmt: skip
def test_what_has_another_type_is_refused(options):
    values = {"body": b"", "content_type": "text/plain", "etag": "e", **options}
    with pytest.raises(TypeError):
        _core.Resource(values.pop("body"), values.pop("content_type"), **values)


# Snapshots


def test_a_snapshot_finds_what_it_holds():
    first, second = resource(b"1"), resource(b"2")
    snapshot = _core.Snapshot({"": {"/a": first, "/caf\u00e9": second}, "b.com": {"/a": second}})
    assert snapshot.get("/a") is first
    assert snapshot.get("/caf\u00e9") is second
    assert snapshot.get("/a", "b.com") is second
    assert snapshot.get("/b") is None
    assert snapshot.get("/a", "c.com") is None
    assert sorted(snapshot.paths()) == ["/a", "/caf\u00e9"]
    assert snapshot.paths("b.com") == ["/a"]
    assert snapshot.hosts == ("", "b.com")
    assert len(snapshot) == 3


def test_a_snapshot_may_be_empty(serve_epoll):
    snapshot = _core.Snapshot({})
    assert (len(snapshot), snapshot.paths(), snapshot.get("/")) == (0, [], None)
    server = serve_epoll(statics=snapshot)
    assert b" 404 " in server.connect().exchange(get("/ten.txt"))


@pytest.mark.parametrize("path", ["", "a", "a/b"])
def test_a_path_begins_with_a_slash(path):
    with pytest.raises(ValueError, match="path"):
        _core.Snapshot({"": {path: resource()}})


def test_a_change_leaves_the_old_snapshot_as_it_was():
    first, second, third = resource(), resource(), resource()
    old = _core.Snapshot({"": {"/a": first, "/b": second}, "c": {"/a": first}})
    new = old.with_changes({"": {"/a": None, "/b": third, "/d": first}, "e": {"/x": second}})
    assert sorted(old.paths()) == ["/a", "/b"]
    assert (old.get("/b"), old.hosts) == (second, ("", "c"))
    assert sorted(new.paths()) == ["/b", "/d"]
    assert (new.get("/b"), new.get("/a", "c"), new.get("/x", "e")) == (third, first, second)
    assert len(new) == 4


paths = st.text("ab/\u00e9\u20ac", max_size=4).map("/".__add__)
hosts = st.sampled_from(["", "a.com", "b.com"])


@settings(deadline=None, max_examples=100)
@given(st.lists(st.dictionaries(
    hosts, st.dictionaries(paths, st.none() | st.integers(0, 5), max_size=12), max_size=3)))
def test_a_snapshot_is_a_dictionary_of_dictionaries(steps):
    """Any row of changes, against the same in a plain dict."""
    resources = [resource(b"%d" % number) for number in range(6)]
    model: dict[str, dict[str, _core.Resource]] = {"": {}}
    snapshot = _core.Snapshot({})
    for step in steps:
        changes = {host: {path: None if number is None else resources[number]
                          for path, number in found.items()} for host, found in step.items()}
        snapshot = snapshot.with_changes(changes)
        for host, found in changes.items():
            tree = model.setdefault(host, {})
            for path, made in found.items():
                if made is None:
                    tree.pop(path, None)
                else:
                    tree[path] = made
    assert len(snapshot) == sum(map(len, model.values()))
    for host, tree in model.items():
        assert sorted(snapshot.paths(host)) == sorted(tree)
        assert all(snapshot.get(path, host) is made for path, made in tree.items())


def test_ten_thousand_paths_are_found_and_no_others(serve_epoll):
    many = {f"/{number:x}/{number}": resource(b"%d" % number) for number in range(10_000)}
    server = serve_epoll(statics=_core.Snapshot({"": many}))
    client = server.connect()
    sample = random.Random(5).sample(range(10_000), 200)
    data = b"".join(get(f"/{n:x}/{n}") + get(f"/{n:x}/{n}x") for n in sample)
    client.send(data)
    answers = client.responses(count=400)
    assert [each.body for each in answers[::2]] == [b"%d" % number for number in sample]
    assert {each.status for each in answers[1::2]} == {404}


# Swaps


def test_a_snapshot_is_swapped_between_two_requests(serve):
    server = serve(statics=published(a=b"old", gone=b"1"))
    client = server.connect()
    assert client.exchange(get("/a") + get("/gone")).count(b" 200 OK") == 2
    server.engine.publish(published(a=b"new", come=b"2"))
    client.exchange(get("/a") + get("/gone") + get("/come"))
    answers = client.responses(count=5)[2:]
    assert [each.status for each in answers] == [200, 404, 200]
    assert answers[0].body == b"new"


def test_a_snapshot_may_be_taken_away(serve_epoll):
    server = serve_epoll(statics=published(a=b"old"))
    server.engine.publish(None)
    assert b" 404 " in server.connect().exchange(get("/a"))


def test_a_snapshot_is_published_by_a_handler(serve_epoll):
    server = serve_epoll(
        handlers={"swap": lambda req: server.engine.publish(published(a=b"new")) or "done"},
        statics=published(a=b"old"))
    client = server.connect()
    client.exchange(get("/a") + get("/swap") + get("/a"))
    assert [each.body for each in client.responses(count=3)] == [b"old", b"done", b"new"]


def test_only_a_snapshot_is_published(serve_epoll):
    server = serve_epoll()
    with pytest.raises(TypeError):
        server.engine.publish({"": {}})


def test_an_answer_under_way_keeps_the_old_bytes(serve):
    """Slow readers, each of another version; all get theirs whole, whenever they go on."""
    server = serve()
    readers = []
    for number in range(3):
        body = bytes([65 + number]) * FAR_SIZE
        server.engine.publish(published(a=body, b=b"%d" % number))
        reader = server.connect(receive_buffer=4096)
        reader.send(get("/a") + get("/b"))
        server.idle()
        readers.append(reader)
    server.engine.publish(published(a=b"short", b=b"last"))
    for number, reader in reversed(list(enumerate(readers))):
        answers = reader.responses(count=2)
        assert answers[0].body == bytes([65 + number]) * FAR_SIZE
        assert answers[1].body == b"last", "what was asked later is answered later"
        reader.reset()


def test_bytes_are_let_go_when_the_last_reader_is_done(serve_epoll):
    server = serve_epoll()
    body = bytes(FAR_SIZE)
    before = sys.getrefcount(body)
    server.engine.publish(published(a=body))
    readers = [server.connect(receive_buffer=4096) for _ in range(3)]
    for reader in readers:
        reader.send(get("/a"))
    server.idle()
    server.engine.publish(None)
    gc.collect()
    assert sys.getrefcount(body) > before, "three are still being sent to"
    readers[0].reset()                                           # goes away in the middle
    assert len(readers[1].responses(count=1)[0].body) == FAR_SIZE
    readers[1].reset()
    readers[2].finish_sending()                                  # and one that only says so
    assert len(readers[2].responses(count=1)[0].body) == FAR_SIZE
    server.until(lambda: sys.getrefcount(body) == before, "the end of the last answer")


def test_books_balance_after_each_swap(serve_epoll):
    server = serve_epoll()
    gc.collect()                       # what other tests dropped would go in the midst of this
    base = _core.probe_statics()
    for number in range(1, 50):
        server.engine.publish(published(**{f"p{n}": b"x" for n in range(number)}))
        now = _core.probe_statics()
        assert now["snapshots"] - base["snapshots"] == 1
        assert now["resources"] - base["resources"] == number
    server.engine.publish(None)
    assert _core.probe_statics() == base


@pytest.mark.skipif(not os.path.exists("/proc/self/smaps_rollup"), reason="it reads Linux's /proc")
def test_two_hundred_swaps_take_no_memory(serve_epoll, tmp_path):
    """Neither bytes, nor resources, nor descriptors stay, with clients that come and go."""
    site = wiresite.snapshot(tmp_path)
    server = serve_epoll()

    def swap(number: int) -> None:
        body = resource(bytes([number % 256]) * 500_000)
        server.engine.publish(site.with_changes({"": {"/body": body}}))
        client = server.connect(receive_buffer=0 if number % 2 else 4096)
        client.send(get("/body") + get("/big.txt") + get("/coded.txt", "Accept-Encoding: br\r\n"))
        server.idle()
        if number % 2:
            assert client.responses(count=3)[0].body == bytes([number % 256]) * 500_000
        client.reset()
        server.idle()
        server.clients.clear()

    for number in range(20):
        swap(number)
    gc.collect()
    before_all = descriptors()
    counts = _core.probe_statics()
    for number in range(200):
        swap(number)
        if number == 50:
            gc.collect()
            before = resident_size()
    gc.collect()
    grown = resident_size() - before
    # One of the 150 bodies since then, and what the allocator keeps; AddressSanitizer keeps all.
    assert grown < 4_000_000 or _core.FLAVOUR == "asan", f"{grown:,} bytes more"
    assert _core.probe_statics() == counts
    assert descriptors() == before_all


# Peers and systems that fail


JOURNEY = (
    get("/ten.txt") + get("/big.txt") + get("/big.txt", "Range: bytes=0-9,50000-90000,-5\r\n")
    + get("/coded.txt", "Accept-Encoding: gzip\r\n") + get("/folder")
    + get("/ten.txt", 'If-None-Match: "ten"\r\n') + get("/ten.txt", 'If-Match: "x"\r\n')
    + get("/ten.txt", "Range: bytes=20-\r\n") + get("/ten.txt"))
STATUSES = [200, 200, 206, 200, 301, 304, 412, 416, 200]


@pytest.fixture(params=["memory", "disk"])
def site(request, tmp_path):
    """The site of the wire cases, in memory or on disk."""
    return wiresite.snapshot(tmp_path if request.param == "disk" else None)


def body_of(answer):
    """The body; of several ranges their parts, for the boundary is another one each time."""
    return read_parts(answer) if "multipart" in (answer.get("content-type") or "") else answer.body


@pytest.mark.parametrize("limit", [1, 2, 7, 100, 1000, 16_384, 65_537])
def test_an_answer_that_leaves_in_pieces_is_the_same(serve_epoll, site, limit):
    server = serve_epoll(statics=site)
    client = server.connect()
    whole = server.connect()
    whole.send(JOURNEY)
    expected = whole.responses(count=9)
    data = JOURNEY if limit >= 100 else get("/ten.txt", "Range: bytes=1-2,4-5\r\n")
    _core.probe_send_limit(limit)
    client.send(data)
    answers = client.responses(count=9 if limit >= 100 else 1)
    if limit >= 100:
        assert [each.status for each in answers] == STATUSES
        assert list(map(body_of, answers)) == list(map(body_of, expected))
    else:
        assert answers[0].status == 206


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EINTR, 0, errno.EPIPE, errno.ECONNRESET])
@pytest.mark.parametrize("nth", range(1, 7))
def test_a_send_that_fails_ends_that_connection_only(serve_epoll, site, nth, number):
    server = serve_epoll(statics=site)
    client = server.connect()
    _core.probe_send_limit(30_000)
    _core.probe_fault("send", nth, number)
    client.send(JOURNEY)
    if number in (errno.EPIPE, errno.ECONNRESET):
        client.until(lambda: client.closed or len(client.received) > 240_000, "an end")
    else:
        assert [each.status for each in client.responses(count=9)] == STATUSES
    _core.probe_fault_clear()
    other = server.connect()
    other.send(JOURNEY)
    assert [each.status for each in other.responses(count=9)] == STATUSES


@pytest.mark.parametrize("nth", range(1, 9))
def test_memory_that_fails_ends_that_connection_only(serve_epoll, site, nth):
    server = serve_epoll(statics=site)
    client = server.connect(receive_buffer=4096)
    _core.probe_fault("malloc", nth, 0, 1)
    client.send(JOURNEY)
    client.until(lambda: client.closed or len(
        read_responses(client.received)[0]) == 9, "an end")
    _core.probe_fault_clear()
    other = server.connect()
    other.send(JOURNEY)
    assert [each.status for each in other.responses(count=9)] == STATUSES


def test_clients_that_leave_in_the_middle_leave_nothing(serve, tmp_path):
    server = serve(statics=wiresite.snapshot(tmp_path))
    chance = random.Random(1)
    for _ in range(60):
        client = server.connect(receive_buffer=4096)
        client.send(JOURNEY[:chance.randrange(1, len(JOURNEY))])
        for _ in range(chance.randrange(4)):
            server.engine.turn(0)
            client.read()
        client.reset()
    server.clients.clear()
    server.until(lambda: harness.balanced(connections=True), "the balance")
    assert _core.probe_statics()["files"] == 0


def test_nothing_is_kept_after_the_engine_is_closed():
    gc.collect()
    before = _core.probe_statics()
    server = harness.Server(statics=wiresite.snapshot())
    server.connect().exchange(get("/ten.txt"))
    server.close()
    del server
    gc.collect()
    assert _core.probe_statics() == before
