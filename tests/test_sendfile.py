"""Large files from the disk: whole, in parts, to slow readers, cold, changed under way, freed."""

from __future__ import annotations

import array
import contextlib
import errno
import functools
import os
import pathlib
import random

import harness
import machine
import pytest
import waiting
import wiresite
from responsereader import read_parts

from nodepp import _core

SIZE = 3_000_016                  # bytes: several shares of a turn, and not a whole number of them
FAR_SIZE = 7_000_000              # more than the kernel takes for a peer that does not read
HELLO = harness.requests_in(1)


@functools.cache
def content(size: int = SIZE, seed: int = 0) -> bytes:
    """Bytes that tell where they stand, so that none can be missing, doubled or misplaced."""
    return array.array("Q", range(seed << 32, (seed << 32) + size // 8 + 1)).tobytes()[:size]


def get(path: str = "/file", fields: str = "", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()


def ranged(value: str) -> bytes:
    return get(fields=f"Range: bytes={value}\r\n")


def snapshot_of(path: pathlib.Path) -> _core.Snapshot:
    found = path.stat()
    return _core.Snapshot({"": {"/file": _core.Resource(
        None, "application/x-disk", etag=f"{found.st_mtime_ns:x}-{found.st_size:x}",
        modified=int(found.st_mtime), path=str(path), size=found.st_size)}})


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(content())
    return path


@pytest.fixture
def far(tmp_path):
    path = tmp_path / "far"
    path.write_bytes(content(FAR_SIZE))
    return path


@pytest.fixture(autouse=True)
def closed():
    yield
    assert _core.probe_statics()["files"] == 0


# What is sent


def test_a_file_comes_whole_with_its_fields(serve, file):
    server = serve(statics=snapshot_of(file))
    client = server.connect()
    client.send(get() + get(method="HEAD"))
    whole, head = client.responses("GET", "HEAD", count=2)
    assert whole.status == head.status == 200
    assert whole.body == content()
    assert whole.get("content-length") == head.get("content-length") == str(SIZE)
    assert whole.get("content-type") == "application/x-disk"
    assert whole.get("etag") == head.get("etag")
    assert head.body == b""


@pytest.mark.parametrize("size", [1, 16_384, 16_385, 262_143, 262_144, 262_145, 524_288])
def test_files_of_all_sizes_come_whole(serve_epoll, tmp_path, size):
    path = tmp_path / "file"
    path.write_bytes(content(size))
    server = serve_epoll(statics=snapshot_of(path))
    client = server.connect()
    client.send(get() + HELLO)
    assert client.responses(count=2)[0].body == content(size)


@pytest.mark.parametrize(("first", "last"), [
    (0, 0), (0, 99), (SIZE - 1, SIZE - 1), (1, SIZE - 1), (262_143, 262_144), (262_144, 524_287),
    (1_000_001, 2_000_001), (SIZE - 100, SIZE - 1), (4095, 4096),
])  # fmt: skip
def test_a_range_comes_from_its_place(serve_epoll, file, first, last):
    server = serve_epoll(statics=snapshot_of(file))
    client = server.connect()
    client.send(ranged(f"{first}-{last}") + HELLO)
    answer = client.responses(count=2)[0]
    assert answer.status == 206
    assert answer.get("content-range") == f"bytes {first}-{last}/{SIZE}"
    assert answer.body == content()[first:last + 1]


def test_several_ranges_come_from_their_places(serve, file):
    server = serve(statics=snapshot_of(file))
    client = server.connect()
    wanted = [(0, 9), (500_000, 1_499_999), (SIZE - 5, SIZE - 1), (9, 9), (2_000_000, 2_300_000)]
    client.send(ranged(",".join(f"{first}-{last}" for first, last in wanted)) + HELLO)
    answer = client.responses(count=2)[0]
    whole = content()
    assert read_parts(answer) == [
        (f"bytes {first}-{last}/{SIZE}", whole[first:last + 1]) for first, last in wanted]


def test_files_keep_their_order_in_a_pipeline(serve, file):
    server = serve(statics=snapshot_of(file))
    client = server.connect()
    client.send(HELLO + get() + HELLO + ranged("5-9") + get(method="HEAD") + ranged("-8,0-7")
                + get() + HELLO)
    answers = client.responses("GET", "GET", "GET", "GET", "HEAD", count=8)
    whole = content()
    assert [each.status for each in answers] == [200, 200, 200, 206, 200, 206, 200, 200]
    assert [each.body for each in answers[:5]] == [b"nothing", whole, b"nothing", whole[5:10], b""]
    assert [body for _, body in read_parts(answers[5])] == [whole[-8:], whole[:8]]
    assert [each.body for each in answers[6:]] == [whole, b"nothing"]


def test_the_connection_is_closed_after_the_whole_file(serve, file):
    server = serve(statics=snapshot_of(file))
    for request in (get(fields="Connection: close\r\n"), b"GET /file HTTP/1.0\r\n\r\n"):
        client = server.connect()
        client.send(request)
        client.until_closed()
        assert client.closed == "eof"
        assert client.responses(count=1)[0].body == content()


def test_what_was_opened_is_what_is_told(serve_epoll, file):
    """The file was replaced after the snapshot was made: tag, date and length are the new one's."""
    server = serve_epoll(statics=snapshot_of(file))
    other = file.with_name("other")
    other.write_bytes(content(1_000_000, 7))
    os.replace(other, file)

    def open_file(resource):
        return wiresite.open_file(snapshot_of(file).get("/file"))

    server.app.open_file = open_file
    client = server.connect()
    client.send(get())
    answer = client.responses(count=1)[0]
    assert answer.body == content(1_000_000, 7)
    assert answer.get("etag") == f'"{snapshot_of(file).get("/file").etag}"'


def test_a_file_that_has_gone_is_not_found(serve, file):
    server = serve(statics=snapshot_of(file))
    file.unlink()
    client = server.connect()
    client.send(get() + ranged("0-1") + HELLO)
    assert [each.status for each in client.responses(count=3)] == [404, 404, 200]


def test_a_file_that_cannot_be_opened_is_logged_and_not_sent(serve_epoll, file):
    server = serve_epoll(statics=snapshot_of(file))

    def fails(resource):
        raise OSError(errno.EMFILE, "Too many open files")

    server.app.open_file = fails
    client = server.connect()
    client.send(get() + HELLO)
    answers = client.responses(count=2)
    assert answers[0].status in (404, 500, 503)
    assert answers[1].status == 200
    assert any("Too many open files" in message for _, message in server.app.logged)


# Slow readers, and others beside them


def test_a_slow_reader_gets_all_of_it_and_costs_no_memory(serve, far):
    server = serve(statics=snapshot_of(far))
    client = server.connect(receive_buffer=16_384)
    client.send(get() + HELLO)
    server.idle()
    assert server.stat("buffer_memory_used") < 100_000
    other = server.connect()
    for number in range(1, 6):
        other.send(HELLO)
        other.responses(count=number)
        client.read()
    assert client.responses(count=2)[0].body == content(FAR_SIZE)


def test_thirty_readers_of_one_file_get_their_parts(serve, file):
    server = serve(statics=snapshot_of(file))
    chance = random.Random(9)
    whole = content()
    readers = []
    for number in range(30):
        first = chance.randrange(SIZE - 1)
        last = min(SIZE - 1, first + chance.randrange(1, SIZE // 2))
        client = server.connect(receive_buffer=16_384 if number % 3 == 0 else 0)
        client.send(ranged(f"{first}-{last}"))
        readers.append((client, whole[first:last + 1]))
    for client, expected in readers:
        assert client.responses(count=1)[0].body == expected


def test_readers_that_leave_in_the_middle_leave_no_descriptor(serve, far):
    server = serve(statics=snapshot_of(far))
    chance = random.Random(3)
    for _ in range(40):
        client = server.connect(receive_buffer=16_384)
        client.send(get() if chance.random() < 0.5 else ranged("9-99999,200000-6000000"))
        for _ in range(chance.randrange(5)):
            server.engine.turn(0)
            client.read()
        client.reset()
    server.clients.clear()
    server.until(lambda: _core.probe_statics()["files"] == 0, "the last file to be closed")


def test_a_reader_that_stands_still_is_cut(serve_epoll, far):
    server = serve_epoll(statics=snapshot_of(far), send_timeout_ms=5000)
    client = server.connect(receive_buffer=16_384)
    client.send(get())
    server.idle()
    for _ in range(4):
        _core.probe_clock(3_000)
        server.idle()
    server.until(lambda: _core.probe_statics()["files"] == 0, "the file to be closed")
    client.until_closed()


def test_the_server_stops_while_a_file_is_sent(far):
    """The answer under way is ended first, as long as the grace lasts."""
    with harness.serving(statics=snapshot_of(far)) as server:
        client = server.connect(receive_buffer=16_384)
        client.send(get())
        server.idle()
        server.engine.stop(grace_ms=60_000)
        client.until_closed()
        assert client.responses(count=1)[0].body == content(FAR_SIZE)


@pytest.mark.parametrize("cold", [False, True])
def test_the_engine_is_closed_while_a_file_is_sent(far, cold):
    server = harness.Server(statics=snapshot_of(far))
    _core.probe_cold_files(cold)
    for _ in range(5):
        server.connect(receive_buffer=16_384).send(get())
    server.engine.turn(0)
    server.engine.turn(0)
    for client in server.clients:
        client.reset()
    _core.probe_cold_files(False)
    server.engine.close()
    server.listener.close()
    assert harness.balanced(connections=True)


# Cold files: the loop never waits for the disk


@pytest.fixture
def cold():
    """No byte of a file counts as being in memory until it has been read ahead."""
    _core.probe_cold_files(True)
    yield
    _core.probe_cold_files(False)


def test_a_cold_file_comes_whole(serve, cold, file):
    server = serve(statics=snapshot_of(file))
    client = server.connect()
    client.send(HELLO + get() + HELLO + ranged("100-1000000,2000000-2000100") + HELLO)
    answers = client.responses(count=5)
    assert answers[1].body == content()
    assert [body for _, body in read_parts(answers[3])] == [
        content()[100:1_000_001], content()[2_000_000:2_000_101]]
    assert server.stat("reads_ahead") >= SIZE // (1 << 20)


def test_others_are_answered_while_a_cold_file_is_read(serve, cold, far):
    server = serve(statics=snapshot_of(far))
    client, other = server.connect(), server.connect()
    client.send(get())
    for number in range(1, 21):
        other.send(HELLO)
        assert other.responses(count=number)[-1].body == b"nothing"
    assert client.responses(count=1)[0].body == content(FAR_SIZE)


def test_many_cold_readers_all_get_theirs(serve_epoll, cold, file):
    server = serve_epoll(statics=snapshot_of(file))
    readers = [server.connect() for _ in range(24)]
    for number, client in enumerate(readers):
        client.send(ranged(f"{number * 100_000}-{number * 100_000 + 700_000}") + HELLO)
    for number, client in enumerate(readers):
        start = number * 100_000
        assert client.responses(count=2)[0].body == content()[start:start + 700_001]


def test_readers_that_leave_while_the_disk_is_read_leave_nothing(serve, cold, far):
    server = serve(statics=snapshot_of(far))
    for number in range(30):
        client = server.connect()
        client.send(get())
        for _ in range(number % 4):
            server.engine.turn(0)
        client.reset()
    server.clients.clear()
    server.until(lambda: _core.probe_statics()["files"] == 0, "the last file to be closed")
    survivor = server.connect()
    survivor.send(HELLO)
    assert survivor.responses(count=1)[0].status == 200


def chill(path: pathlib.Path) -> None:
    """No byte of it is in memory; where files have no other place, the core takes it for so."""
    _core.probe_cold_files(not machine.chill(path))


def reads_ahead(server: harness.Server, client: harness.Client, value: str) -> int:
    """How often the helper had to read for one range, which has to come whole and right."""
    before = server.stat("reads_ahead")
    client.send(ranged(value))
    answer = client.responses(count=len(client.complete) + 1)[-1]
    first, last = map(int, value.split("-"))
    assert answer.body == content(FAR_SIZE)[first:last + 1]
    return server.stat("reads_ahead") - before


@pytest.fixture
def reader(serve_epoll, far):
    """A server of the large file, and a client of it."""
    server = serve_epoll(statics=snapshot_of(far))
    return server, server.connect()


def test_a_cold_file_is_read_by_the_helper_and_not_by_the_loop(reader, far):
    """On a real file system, with a file that really is not in memory.

    It failed on a machine that had kept the file, though asked to drop it. Any program may read a
    file into memory again: then it is taken out once more.
    """
    server, client = reader

    def is_read_by_the_helper():
        chill(far)
        return reads_ahead(server, client, "5000000-5500000")

    waiting.until(is_read_by_the_helper, "a file that is read by the helper")


def test_others_are_answered_before_a_file_that_really_is_cold(reader, far):
    server, client = reader
    other = server.connect()
    chill(far)
    client.send(ranged("5000000-5500000"))
    other.send(HELLO)
    assert other.responses(count=1)[0].body == b"nothing"
    assert client.responses(count=1)[0].body == content(FAR_SIZE)[5_000_000:5_500_001]


def test_a_file_in_memory_is_sent_by_the_loop_alone(reader, far):
    """The kernel may forget it at any time: then it is read into memory once more. A file system
    that does not tell what is in memory counts as a disk, always.
    """
    server, client = reader

    def is_sent_by_the_loop():
        assert far.read_bytes() == content(FAR_SIZE)
        return reads_ahead(server, client, "5000000-5500000") == 0

    if machine.tells_memory(far):
        waiting.until(is_sent_by_the_loop, "a file that is sent by the loop")
    else:
        assert not is_sent_by_the_loop()


@pytest.mark.parametrize("value", ["0-99", "4000000-4000099", "-100", "0-0,3000000-3000000,-1"])
def test_cold_ranges_are_read_where_they_are(serve_epoll, far, value):
    server = serve_epoll(statics=snapshot_of(far))
    chill(far)
    client = server.connect()
    client.send(ranged(value) + HELLO)
    answer = client.responses(count=2)[0]
    assert answer.status == 206
    whole = content(FAR_SIZE)
    if "," in value:
        assert [body for _, body in read_parts(answer)] == [
            whole[:1], whole[3_000_000:3_000_001], whole[-1:]]
    else:
        first, last = answer.get("content-range").partition(" ")[2].split("/")[0].split("-")
        assert answer.body == whole[int(first):int(last) + 1]


# Sends that are cut short, or fail


@pytest.mark.parametrize("limit", [1000, 65_537, 262_143, 262_145])
@pytest.mark.parametrize("coldness", [False, True])
def test_a_file_that_leaves_in_pieces_is_the_same(serve_epoll, file, limit, coldness):
    server = serve_epoll(statics=snapshot_of(file))
    _core.probe_cold_files(coldness)
    client = server.connect()
    _core.probe_send_limit(limit)
    size = 400_000 if limit == 1000 else SIZE
    client.send(HELLO + ranged(f"0-{size - 1}") + HELLO)
    answers = client.responses(count=3)
    assert answers[1].body == content(size)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EINTR, 0])
@pytest.mark.parametrize("nth", range(1, 9))
def test_a_send_that_does_not_succeed_is_repeated(serve_epoll, file, nth, number):
    server = serve_epoll(statics=snapshot_of(file))
    client = server.connect()
    _core.probe_fault("send", nth, number, 3)
    client.send(HELLO + get() + ranged("7-1000000,2000000-2000009") + HELLO)
    answers = client.responses(count=4)
    assert [each.status for each in answers] == [200, 200, 206, 200]
    assert answers[1].body == content()
    assert [body for _, body in read_parts(answers[2])] == [
        content()[7:1_000_001], content()[2_000_000:2_000_010]]


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ECONNRESET, errno.EIO, errno.EINVAL])
@pytest.mark.parametrize("nth", range(1, 7))
def test_a_send_that_fails_cuts_that_connection_only(serve_epoll, file, nth, number):
    server = serve_epoll(statics=snapshot_of(file))
    client = server.connect()
    _core.probe_fault("send", nth, number)
    client.send(get())
    client.until_closed()
    assert content()[:100] not in client.received or len(client.received) < SIZE
    _core.probe_fault_clear()
    other = server.connect()
    other.send(get())
    assert other.responses(count=1)[0].body == content()


# Changed under way


def begin(server: harness.Server) -> harness.Client:
    """A reader that has some of the file, of which the server still has much to send."""
    client = server.connect(receive_buffer=16_384)
    client.send(get() + HELLO)
    client.until(lambda: len(client.received) > 100_000, "the beginning")
    return client


def hold_cut(client: harness.Client) -> None:
    """The connection ends before the length that was told."""
    client.until_closed()
    body = client.received.partition(b"\r\n\r\n")[2]
    assert len(body) < FAR_SIZE
    assert b"nothing" not in client.received[-200:]


def truncate(path: pathlib.Path) -> None:
    os.truncate(path, 1000)


def truncate_to_nothing(path: pathlib.Path) -> None:
    os.truncate(path, 0)


def append(path: pathlib.Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def overwrite(path: pathlib.Path) -> None:
    with path.open("r+b") as stream:
        stream.write(b"X" * FAR_SIZE)


def overwrite_one_byte_at_the_end(path: pathlib.Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"X")


def rewrite(path: pathlib.Path) -> None:
    path.write_bytes(content(FAR_SIZE, 1))


@pytest.mark.parametrize("coldness", [False, True])
@pytest.mark.parametrize("change", [
    truncate, truncate_to_nothing, append, overwrite, overwrite_one_byte_at_the_end, rewrite])
def test_a_change_in_place_cuts_the_connection(serve_epoll, far, change, coldness):
    server = serve_epoll(statics=snapshot_of(far))
    _core.probe_cold_files(coldness)
    client = begin(server)
    change(far)
    hold_cut(client)
    other = server.connect()
    other.send(HELLO)
    assert other.responses(count=1)[0].status == 200


def replace(path: pathlib.Path) -> None:
    other = path.with_name("other")
    other.write_bytes(content(FAR_SIZE, 1))
    os.replace(other, path)


def rename_away(path: pathlib.Path) -> None:
    path.rename(path.with_name("away"))


def delete(path: pathlib.Path) -> None:
    path.unlink()


def protect(path: pathlib.Path) -> None:
    path.chmod(0o400)


@pytest.mark.parametrize("coldness", [False, True])
@pytest.mark.parametrize("change", [replace, rename_away, delete, protect])
def test_a_file_that_loses_its_name_is_sent_to_its_end(serve_epoll, far, change, coldness):
    server = serve_epoll(statics=snapshot_of(far))
    _core.probe_cold_files(coldness)
    client = begin(server)
    change(far)
    answers = client.responses(count=2)
    assert answers[0].body == content(FAR_SIZE)
    assert answers[1].body == b"nothing"


# The File object


def test_a_file_tells_its_size_and_closes_its_descriptor(file):
    descriptor = os.open(file, os.O_RDONLY)
    opened = _core.File(descriptor)
    assert (opened.size, opened.fileno()) == (SIZE, descriptor)
    assert _core.probe_statics()["files"] == 1
    del opened
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(descriptor)


def test_only_regular_files_are_files(tmp_path):
    reading, writing = os.pipe()
    folder = os.open(tmp_path, os.O_RDONLY)
    for descriptor in (reading, folder, 99_999):
        with pytest.raises(OSError, match=r"\S"):
            _core.File(descriptor)
    with contextlib.ExitStack() as stack:          # refused ones stay their owner's
        for descriptor in (reading, writing, folder):
            stack.callback(os.close, descriptor)
