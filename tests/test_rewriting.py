"""Files that are rewritten while many download them: every body is one version, whole.

A process rewrites, the server is another one, and this one reads on 64 connections. Each version is
filled with its own number, so that a mixture shows; and a tag never stands for two versions.
"""

from __future__ import annotations

import os
import pathlib
import re
import selectors
import socket
import subprocess
import sys
import time

import pytest
from nodepprun import Run
from responsereader import read_response
from waiting import DEADLINE_S, Deadline

CONNECTION_COUNT = 64
ROUND_COUNT = 20                  # downloads of each connection, at least
# (connections, rounds, bytes of a file in memory, times that on disk, the threshold). The second
# ones are read in pieces, between which the server does other things.
SHAPES = {"small": (CONNECTION_COUNT, ROUND_COUNT, 5000, 20, "50k"),
          "large": (10, 5, 1_200_000, 2, "2m")}
VERSION_COUNT = 5                 # of each file that must have been seen, at least

# Version v of a file: its number over and over, of a length that depends on it.
WRITER = """
import os, select, sys

folder, unit, disk_share = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])

def content(version, share):
    return b"%08d" % version * (unit * share // 8 + version % 1000)

def pieces(stream, data):
    for start in range(0, len(data), len(data) // 7 + 1):
        stream.write(data[start:start + len(data) // 7 + 1])
        stream.flush()

def in_place(path, data):
    with open(path, "wb") as stream:
        pieces(stream, data)

def in_place_without_truncation(path, data):
    with open(path, "r+b" if os.path.exists(path) else "wb") as stream:
        pieces(stream, data)
        stream.truncate()

def by_rename(path, data):
    with open(path + ".new", "wb") as stream:
        pieces(stream, data)
    os.replace(path + ".new", path)

def deleted_and_created(path, data):
    if os.path.exists(path):
        os.unlink(path)
    in_place(path, data)

def by_append(path, data):
    with open(path, "wb"):
        pass
    with open(path, "ab") as stream:
        pieces(stream, data)

FILES = {"place.txt": in_place, "untruncated.txt": in_place_without_truncation,
         "renamed.txt": by_rename, "created.txt": deleted_and_created, "appended.txt": by_append}

version = 0
while True:
    version += 1
    for name, write in FILES.items():
        write(os.path.join(folder, name), content(version, 1))
    by_rename(os.path.join(folder, "disk.txt"), content(version, disk_share))
    if version == 1:
        print("ready", flush=True)
        sys.stdin.readline()             # the server is there
    elif select.select([sys.stdin], [], [], 0.04)[0]:
        break
"""
NAMES = ("place", "untruncated", "renamed", "created", "appended", "disk")
APP = "from nodepp import App\n\napp = App()\n"


class Reader:
    """One connection that asks for one file after the other."""

    def __init__(self, server: Run, watch: selectors.BaseSelector, number: int) -> None:
        self.socket = server.connect()
        self.socket.setblocking(False)
        self.watch = watch
        self.number = number
        self.received = bytearray()
        self.awaited = 0                           # bytes, as soon as the length is known
        self.round_count = 0
        watch.register(self.socket, selectors.EVENT_READ, self)
        self.ask()

    def ask(self) -> None:
        self.path = f"/{NAMES[(self.number + self.round_count) % len(NAMES)]}.txt"
        self.socket.send(f"GET {self.path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

    def read(self):
        """The answer, when it is there; then the next one has been asked for."""
        data = self.socket.recv(1 << 18)
        assert data, f"cut in the middle of {self.path}, after {len(self.received)} bytes"
        self.received += data
        if not self.awaited and (head := self.received.partition(b"\r\n\r\n"))[1]:
            length = re.search(rb"(?i)content-length: (\d+)", head[0])
            self.awaited = len(head[0]) + 4 + int(length[1])
        if len(self.received) < (self.awaited or len(self.received) + 1):
            return None
        response, rest = read_response(bytes(self.received), "GET", False)
        self.received, self.awaited = bytearray(rest), 0
        path = self.path
        self.round_count += 1
        self.ask()
        return path, response


@pytest.fixture
def site(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "res").mkdir()
    return tmp_path


def version_of(path: str, response, tags: dict, unit: int, disk_share: int) -> int:
    """Which version the body is; AssertionError if it is not one, whole."""
    body = response.body
    number = body[:8]
    share = disk_share if "disk" in path else 1
    assert re.fullmatch(rb"\d{8}", number), f"{path}: {body[:40]!r}"
    expected = number * (unit * share // 8 + int(number) % 1000)
    assert body == expected, f"{path}: {len(body)} bytes of version {int(number)}, mixed or in part"
    known = tags.setdefault((path, response.get("etag")), number)
    assert known == number, f"{path}: one tag for the versions {int(known)} and {int(number)}"
    return int(number)


@pytest.mark.parametrize("shape", SHAPES)
def test_every_body_is_one_version_whole(site, shape):
    """Many connections, six files, each rewritten in another way every few milliseconds."""
    connection_count, round_count, unit, disk_share, memory = SHAPES[shape]
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(site / "res"), str(unit), str(disk_share)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    try:
        assert writer.stdout.readline() == b"ready\n"
        with Run(site, "app.py", "--static-memory", memory) as server:
            writer.stdin.write(b"go\n")
            seen, missing = download(server, connection_count, round_count, unit, disk_share)
    finally:
        writer.stdin.close()
        writer.wait(DEADLINE_S)
        writer.stdout.close()
    assert writer.returncode == 0
    for name in NAMES:
        assert len(seen[f"/{name}.txt"]) >= VERSION_COUNT, f"{name}: {seen}"
    assert missing <= {"/created.txt"}, f"only what is deleted may be missing: {missing}"


def download(
    server: Run, connection_count: int, round_count: int, unit: int, disk_share: int
) -> tuple[dict[str, list[int]], set[str]]:
    """Which versions of each path were seen, in order, and which paths were missing at times."""
    seen: dict[str, list[int]] = {f"/{name}.txt": [] for name in NAMES}
    tags: dict[tuple[str, str], bytes] = {}
    missing: set[str] = set()
    with selectors.DefaultSelector() as watch:
        readers = [Reader(server, watch, number) for number in range(connection_count)]
        deadline = Deadline("enough versions")
        while (min(reader.round_count for reader in readers) < round_count
               or min(map(len, seen.values())) < VERSION_COUNT):
            deadline.rest_s()
            for key, _ in watch.select(1):
                answered = key.data.read()
                if answered is None:
                    continue
                path, response = answered
                if response.status == 404:
                    missing.add(path)
                    continue
                assert response.status == 200
                version = version_of(path, response, tags, unit, disk_share)
                if version not in seen[path]:
                    seen[path].append(version)
        for reader in readers:
            reader.socket.close()
    return seen, missing


# One change, and how soon it is served.


def in_place(path: pathlib.Path, data: bytes) -> None:
    path.write_bytes(data)


def by_rename(path: pathlib.Path, data: bytes) -> None:
    other = path.with_name(".coming")
    other.write_bytes(data)
    os.replace(other, path)


def by_rename_within_the_tree(path: pathlib.Path, data: bytes) -> None:
    other = path.with_name("coming.txt")
    other.write_bytes(data)
    os.replace(other, path)


def deleted_and_created(path: pathlib.Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def by_link(path: pathlib.Path, data: bytes) -> None:
    """As some deployments do it: the name is a link that is changed at once."""
    target = path.with_name(f".version-{len(data)}")
    target.with_name(target.name[1:]).write_bytes(data)
    link = path.with_name("link.tmp")
    link.symlink_to(target.name[1:])
    os.replace(link, path)


@pytest.fixture(scope="module")
def standing(tmp_path_factory):
    """A server and its folder, for the tests that change one file each."""
    site = tmp_path_factory.mktemp("standing")
    (site / "app.py").write_text(APP)
    res = site / "res"
    for name in ("a.txt", "large.bin", "style.css", "sub/b.txt"):
        path = res / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"first" if name != "large.bin" else b"first" * 20_000)
    with Run(site, "app.py", "--static-memory", "50k") as server:
        yield server, res


def latency(server: Run, path: str, body: bytes | None) -> float:
    """Seconds until `path` is answered with this body; None: until it is not found. The aim is one
    second on a machine that has nothing else to do; it is recorded, and not judged.
    """
    begin_s = time.monotonic()
    deadline = Deadline()
    while True:
        answer = server.get(path)
        if answer.body == body or (body is None and answer.status == 404):
            return time.monotonic() - begin_s
        deadline.what = f"another body than {answer.status} {answer.body[:40]!r} of {path}"
        deadline.rest_s()


@pytest.mark.parametrize("size", [10, 80_000], ids=["memory", "disk"])
@pytest.mark.parametrize("change", [
    in_place, by_rename, by_rename_within_the_tree, deleted_and_created, by_link])
def test_a_changed_file_is_served_soon(standing, record_property, change, size):
    server, res = standing
    path = res / f"{change.__name__}-{size}.txt"
    in_place(path, b"0" * size)
    latency(server, f"/{path.name}", b"0" * size)
    took = []
    for number in range(1, 4):
        data = b"%d" % number * (size + number)
        change(path, data)
        took.append(latency(server, f"/{path.name}", data))
    record_property("latency_ms", [round(each * 1000) for each in took])


def test_an_added_and_a_removed_file_are_noticed_soon(standing, record_property):
    server, res = standing
    took = []
    for number in range(3):
        path = res / "sub" / f"added-{number}.txt"
        path.write_bytes(b"added")
        took.append(latency(server, f"/sub/{path.name}", b"added"))
        path.unlink()
        took.append(latency(server, f"/sub/{path.name}", None))
    record_property("latency_ms", [round(each * 1000) for each in took])


def test_a_folder_that_comes_and_goes_is_noticed_soon(standing, record_property):
    """Made file by file, moved in whole, renamed, and removed."""
    server, res = standing
    outside = res.parent / "outside"
    (outside / "deep" / "deeper").mkdir(parents=True)
    (outside / "index.html").write_bytes(b"page")
    (outside / "deep" / "deeper" / "c.txt").write_bytes(b"deep")
    took = []
    outside.rename(res / "moved")
    took.append(latency(server, "/moved/deep/deeper/c.txt", b"deep"))
    took.append(latency(server, "/moved/", b"page"))
    assert server.get("/moved").get("location") == "/moved/"
    (res / "moved").rename(res / "renamed")
    took.append(latency(server, "/renamed/deep/deeper/c.txt", b"deep"))
    took.append(latency(server, "/moved/deep/deeper/c.txt", None))
    (res / "renamed" / "deep" / "deeper" / "c.txt").write_bytes(b"changed after the move")
    took.append(latency(server, "/renamed/deep/deeper/c.txt", b"changed after the move"))
    (res / "renamed").rename(res.parent / "gone")
    took.append(latency(server, "/renamed/", None))
    (res / "made" / "one" / "two").mkdir(parents=True)
    (res / "made" / "one" / "two" / "d.txt").write_bytes(b"made")
    took.append(latency(server, "/made/one/two/d.txt", b"made"))
    record_property("latency_ms", [round(each * 1000) for each in took])


def test_a_file_is_not_served_before_its_writer_has_closed_it(standing):
    """However often it is looked at meanwhile; a marker shows that the watcher has come by."""
    server, res = standing
    path = res / "a.txt"
    latency(server, "/a.txt", b"first")
    with path.open("wb") as stream:
        for number in range(3):
            stream.write(b"half of it ")
            stream.flush()
            marker = res / f"marker-{number}.txt"
            marker.write_bytes(b"marker")
            latency(server, f"/{marker.name}", b"marker")
            assert server.get("/a.txt").body == b"first"
        stream.write(b"and the rest")
    latency(server, "/a.txt", b"half of it " * 3 + b"and the rest")
    in_place(path, b"first")
    latency(server, "/a.txt", b"first")


def test_a_new_file_is_not_served_before_its_writer_has_closed_it(standing):
    server, res = standing
    with (res / "coming.bin").open("wb") as stream:
        stream.write(b"half")
        stream.flush()
        (res / "marker-new.txt").write_bytes(b"marker")
        latency(server, "/marker-new.txt", b"marker")
        assert server.get("/coming.bin").status == 404
        stream.write(b" whole")
    latency(server, "/coming.bin", b"half whole")


def test_two_writers_at_once_are_both_waited_for(standing):
    server, res = standing
    path = res / "two.txt"
    in_place(path, b"0000")
    latency(server, "/two.txt", b"0000")
    with path.open("r+b") as first:
        with path.open("r+b") as second:
            first.write(b"1")
            first.flush()
            second.seek(2)
            second.write(b"2")
        (res / "marker-two.txt").write_bytes(b"marker")
        latency(server, "/marker-two.txt", b"marker")
        body = server.get("/two.txt").body
        assert body in (b"0000", b"1020"), "one whole state of it, whichever"
        first.seek(3)
        first.write(b"3")
    latency(server, "/two.txt", b"1023")


def test_a_file_on_disk_that_is_changed_in_place_cuts_who_is_downloading_it(standing):
    server, res = standing
    path = res / "far.bin"
    by_rename(path, b"old." * 2_000_000)
    latency(server, "/far.bin", b"old." * 2_000_000)
    with slow_reader(server, "/far.bin") as reader:
        received = reader.recv(100_000)
        path.write_bytes(b"new." * 2_000_000)
        while True:
            try:
                data = reader.recv(1 << 20)
            except ConnectionResetError:
                break
            if not data:
                break
            received += data
    assert len(received.partition(b"\r\n\r\n")[2]) < 8_000_000, "cut, so that nobody takes it"
    latency(server, "/far.bin", b"new." * 2_000_000)


def test_a_file_on_disk_that_is_replaced_is_sent_to_its_end(standing):
    server, res = standing
    path = res / "replaced.bin"
    by_rename(path, b"old." * 2_000_000)
    latency(server, "/replaced.bin", b"old." * 2_000_000)
    with slow_reader(server, "/replaced.bin") as reader:
        received = reader.recv(100_000)
        by_rename(path, b"new." * 2_000_000)
        latency(server, "/replaced.bin", b"new." * 2_000_000)
        while len(received.partition(b"\r\n\r\n")[2]) < 8_000_000:
            data = reader.recv(1 << 20)
            assert data, "cut"
            received += data
    assert received.partition(b"\r\n\r\n")[2] == b"old." * 2_000_000


def slow_reader(server: Run, path: str) -> socket.socket:
    """A connection with a small window on which `path` has been asked for."""
    reader = socket.socket()
    reader.settimeout(DEADLINE_S)
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    reader.connect(server.address)
    reader.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    return reader
