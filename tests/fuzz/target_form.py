"""Forms, urlencoded and multipart, that arrive in pieces at a handler which asks for them."""

from __future__ import annotations

import pathlib
import socket

import common
import harness
from responsereader import read_responses

from nodepp import _core

TYPES = (
    b"application/x-www-form-urlencoded",
    b"multipart/form-data; boundary=b",
    b'multipart/form-data; boundary="b b"',
    b"application/json",
    b"multipart/form-data; boundary=" + b"-" * 27 + b"42",
)
SEEDS = (
    b"\0\0a=1&b=%20+&&=&c",
    b"\0\1--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nvalue\r\n--b--\r\n",
    b"\0\1--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n"
    b"Content-Type: text/plain\r\n\r\n\r\n--b \r\n--bx\r\n--b--\r\nepilogue",
    b"\0\2--b b\r\nContent-Disposition: form-data; name=a; filename*=UTF-8''%e2%82%ac\r\n\r\n\r\n"
    b"--b b--",
    b"\0\3{\"a\": [1, 2.5, null, \"\\u20ac\"]}",
)


class Forms(harness.Application):
    def echo(self, req, rest=""):
        if req.content_type and "json" in req.content_type:
            return {"json": repr(req.json())}
        files = {name: [file.filename, file.size, len(file.read())]
                 for name, file in req.files.multi_items()}
        return {"form": [list(pair) for pair in req.form.multi_items()], "files": files}

    def error(self, req, status, exc):
        known = getattr(exc, "status", status)
        if exc is not None and not 400 <= known < 500:
            raise AssertionError(f"a handler failed: {exc!r}")
        req.status = known
        return "refused"


harness.Application = Forms
server = harness.Server(
    "epoll", max_connections=8, max_payload=100_000, spool_size=700, form_part_count_max=20,
    form_field_size_max=300, buffer_memory=1 << 20,
)  # fmt: skip


def one_input(raw: bytes) -> None:
    parts = common.pieces(raw)
    if not parts or not parts[0]:
        return
    content_type = TYPES[parts[0][0] % len(TYPES)]
    parts[0] = parts[0][1:]
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    server.engine.adopt(theirs.detach(), ("127.0.0.1", 1))
    ours.send(
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
        % (content_type, sum(map(len, parts))))
    for part in parts:
        server.idle()
        if part:
            ours.send(part)
    server.idle()
    responses, rest = read_responses(ours.recv(1 << 20), ())
    ours.close()
    server.idle()
    if rest or len(responses) != 1 or responses[0].status >= 500:
        raise AssertionError(f"{responses}, {server.app.logged[-3:]}")
    if not harness.balanced(connections=True):
        raise AssertionError(f"left over: {_core.probe_balance()}")


def seed(argv: list[str]) -> None:
    folder = next((pathlib.Path(word) for word in argv[1:] if pathlib.Path(word).is_dir()), None)
    if folder is not None:
        for data in SEEDS:
            common.write_seed(folder, data)


common.start(one_input, seed)
