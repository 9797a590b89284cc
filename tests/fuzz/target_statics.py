"""The fields that a static resource is asked by: codings, conditions, ranges; and paths.

Each input is a row of field values and a path. Whatever they say, the answer is one that RFC 9110
allows for this resource: its bytes whole, in the coding told, or exactly the parts told, or none.
"""

from __future__ import annotations

import pathlib
import re
import socket
import tempfile

import common
import harness
import wiresite
from responsereader import read_parts, read_responses

NAMES = (b"Accept-Encoding", b"If-None-Match", b"If-Match", b"If-Modified-Since",
         b"If-Unmodified-Since", b"Range", b"If-Range", b"Host")
PATHS = (b"/ten.txt", b"/coded.txt", b"/gzip.txt", b"/empty.txt", b"/big.txt", b"/undated.txt",
         b"/folder", b"/folder/", b"/form.txt", b"/not-yet.txt")
BODIES = {
    '"ten"': b"0123456789", '"undated"': b"0123456789", '"empty"': b"", '"big"': wiresite.BIG,
    '"id"': wiresite.IDENTITY, '"page"': b"<p>page", '"file"': b"file", '"other"': b"other here",
    **{f'"{etag}"': body for body, etag in wiresite.CODINGS.values()},
}  # fmt: skip
STATUSES = {200, 206, 301, 304, 400, 404, 405, 406, 412, 416, 204}
SEEDS = (
    b"\0\0\0gzip, br;q=0.5, *;q=0\n\1\"ten\", W/\"x\"\n",
    b"\1\0\0identity;q=0, zstd\n\5bytes=0-4,7-\n",
    b"\4\0\5bytes=-5\n\6\"big\"\n",
    b"\0\0\3Sun, 06 Nov 1994 08:49:37 GMT\n\4Sunday, 06-Nov-94 08:49:37 GMT\n",
    b"\0\0\5bytes=0-0,2-2,4-4,6-6\n\6Sun Nov  6 08:49:37 1994\n",
    b"\377\0/x/%2e%2e/ten.txt\n\0*;q=0.001\n",
    b"\377\0/..%2f..%5c%252e%c0%ae/ten.txt\n",
)

folder = tempfile.TemporaryDirectory()
server = harness.Server(
    "epoll", max_connections=8, buffer_memory=1 << 20,
    statics=wiresite.snapshot(pathlib.Path(folder.name)))


def request_of(raw: bytes) -> tuple[bytes, bytes]:
    """(method, bytes). The first byte chooses the path, 255 takes it from the first line; the
    second one chooses the method; each line is a field, named by its first byte."""
    choice, method, lines = raw[0], (b"GET", b"GET", b"GET", b"HEAD")[raw[1] % 4], raw[2:]
    path = PATHS[choice % len(PATHS)]
    fields = lines.split(b"\n")
    if choice == 255:
        path = fields.pop(0) or b"/"
    head = b"%s %s HTTP/1.1\r\nHost: a\r\n" % (method, path)
    for line in fields:
        if line:
            head += NAMES[line[0] % 7] + b": " + line[1:] + b"\r\n"
    return method, head + b"\r\n"


def one_input(raw: bytes) -> None:
    parts = common.pieces(raw)
    whole = b"".join(parts)
    if len(whole) < 3:
        return
    method, data = request_of(whole)
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    server.engine.adopt(theirs.detach(), ("127.0.0.1", 1))
    ours.send(data[:len(data) // 2])
    server.idle()
    try:
        ours.send(data[len(data) // 2:])
    except (BrokenPipeError, ConnectionResetError):
        pass
    received = receive(ours)
    ours.close()
    server.idle()
    server.app.seen.pop(1, None)
    # A line feed and what else a value may not hold makes two requests of it, or none.
    responses, _ = read_responses(received, [method.decode()] * 1000)
    for response in responses[:1]:
        verify(method, response)
    if not harness.balanced(connections=True):
        raise AssertionError(f"left over: {harness._core.probe_balance()}")


def receive(ours: socket.socket) -> bytes:
    received = b""
    for _ in range(50):
        server.idle()
        try:
            data = ours.recv(1 << 18)
        except (BlockingIOError, ConnectionResetError):
            break
        if not data:
            break
        received += data
    return received


def verify(method: bytes, response) -> None:
    """The answer is whole, or says which part it is."""
    if response.status not in STATUSES and response.status < 500:
        raise AssertionError(f"{response.status}")
    if response.status >= 500 and response.status not in (501, 505):
        raise AssertionError(f"{response.status}: {server.app.logged[-3:]}")
    body = BODIES.get(response.get("etag") or "")
    if body is None or method == b"HEAD" or response.status == 304:
        return
    if response.status == 200 and response.body != body:
        raise AssertionError(f"{response.get('etag')}: {response.body[:100]!r}")
    if response.status == 206:
        parts = [(response.get("content-range"), response.body)]
        if parts[0][0] is None:
            parts = read_parts(response)
        for place, content in parts:
            first, last, size = map(int, re.findall(r"[0-9]+", place))
            if size != len(body) or body[first:last + 1] != content:
                raise AssertionError(f"{place}: {content[:100]!r}")


def seed(argv: list[str]) -> None:
    target = next((pathlib.Path(word) for word in argv[1:] if pathlib.Path(word).is_dir()), None)
    if target is not None:
        for data in SEEDS:
            common.write_seed(target, b"\0" + data)


common.start(one_input, seed)
