"""Everything at once: clients that send, read, stop, vanish at random, handlers of every kind,
calls that fail, time that jumps. Each run is a seed; a seed that fails fails again.

What must hold whatever happens: an answer is whole or cut, belongs to the request that it answers
and holds nobody else's bytes; an iterator that was begun is closed once; a Request that was kept is
over when its answer is; when nothing moves the engine comes to rest; and in the end nothing is
left over. CHAOS_SEEDS=1000-2000 CHAOS_STEPS=2000 look further, best under AddressSanitizer.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import selectors
import socket
import struct

import harness
import pytest
from responsereader import read_response
from waiting import until

from nodepp import _core

FIRST, _, LAST = os.environ.get("CHAOS_SEEDS", "0-29").partition("-")
SEEDS = range(int(FIRST), int(LAST or FIRST) + 1)
STEPS = int(os.environ.get("CHAOS_STEPS", "1000"))
PLACES = (
    "text", "text", "json", "out", "stream", "stream", "echo", "form", "fail", "late", "empty",
    "with/a%20b", "file", "nowhere",
)  # fmt: skip
NONSENSE = (
    b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"GET /" + b"x" * 70_000, b"\r\n\r\n\r\n",
)  # fmt: skip
ALL = harness.METHODS_ALL | _core.METHOD_OPTIONS
SIZES = (0, 1, 7, 100, 1000, 5000, 16_384, 16_385, 40_000, 300_000)
FILE = b"file" * 10_000
REST_TURNS = 20_000                  # more of them and the engine spins


def pattern(token: str, size: int) -> bytes:
    """The only bytes that may appear in what belongs to a token."""
    unit = f"<{token}>".encode()
    return (unit * (size // len(unit) + 1))[:size]


class Pieces:
    """An iterator that yields its token's bytes in all sizes and counts its end."""

    def __init__(self, world: World, req, size: int, fails: bool) -> None:
        self.world, self.req = world, req
        self.token = world.token(req)
        self.data = pattern(self.token, size)
        self.at = 0
        self.fails = fails
        self.closed = 0
        self.begun = False

    def __iter__(self):
        return self

    def __next__(self):
        if not self.begun:
            self.begun = True
            self.world.streams.append(self)
        assert self.world.token(self.req) == self.token
        assert not self.closed
        self.world.meddle()
        if self.at >= len(self.data):
            if self.fails:
                raise self.world.random.choice([ValueError, ZeroDivisionError, SystemExit])
            raise StopIteration
        size = self.world.random.choice((0, 1, 10, 1000, 20_000, 100_000))
        piece = self.data[self.at:self.at + size]
        self.at += size
        return self.world.random.choice((bytes, bytearray, memoryview, bytes.decode))(piece)

    def close(self) -> None:
        self.closed += 1
        assert self.req.method
        self.world.meddle()
        if self.world.random.random() < 0.05:
            raise self.world.random.choice([OSError, KeyboardInterrupt])


class World:
    """An engine, what it serves, and a few clients who mean it well or not."""

    def __init__(self, poller: str, seed: int, path: str) -> None:
        self.random = random.Random(seed)
        self.streams: list[Pieces] = []
        self.kept: list = []
        self.faults: list[str] = []
        self.clients: list[Wanderer] = []
        self.token_count = 0
        self.in_turn = False
        self.meddling = self.random.random() < 0.5
        self.before = _core.probe_statics()          # applications of other tests may have some
        self.listeners = [self.listen(socket.AF_INET, ("127.0.0.1", 0)),
                          self.listen(socket.AF_UNIX, path)]  # fmt: skip
        choice = self.random.choice
        self.engine = _core.Engine(
            {
                "poller": poller,
                "selector_factory": selectors.DefaultSelector,
                "max_connections": choice((3, 50, 50)),
                "buffer_memory": choice((100_000, 400_000, 1 << 26)),
                "spool_size": choice((0, 3000, 1 << 20)),
                "max_payload": choice((4000, 1 << 20)),
                "head_size_max": choice((400, 16_384)),
            },
            self.routes(),
            self,
        )
        self.file = os.path.join(os.path.dirname(path), "file")
        with open(self.file, "wb") as stream:
            stream.write(FILE)
        self.publish()
        tcp, unix = self.listeners
        self.engine.open([(tcp.fileno(), "tcp"), (unix.fileno(), "unix")])
        self.engine.set_access_log(self.take_lines, choice((0, 1, 2, 3)))
        self.engine.every(0.05, self.meddle)

    def take_lines(self, lines: bytes, lost_count: int) -> int:
        """The access log's reader: it takes all, or some of the lines, or none."""
        ended = lines.endswith(b"\n") or (lost_count and not lines)
        ended or self.faults.append("the access log was given half a line")
        limit = self.random.choice((0, len(lines), len(lines), len(lines) // 2))
        return lines.rfind(b"\n", 0, limit) + 1

    @staticmethod
    def listen(family: int, address) -> socket.socket:
        listener = socket.socket(family)
        listener.bind(address)
        listener.listen(64)
        listener.setblocking(False)
        return listener

    def publish(self) -> None:
        """A new snapshot: the file in memory or on the disk, which may be slow."""
        _core.probe_cold_files(self.random.random() < 0.5)
        if self.random.random() < 0.5:
            resource = _core.Resource(FILE, "text/plain", etag="m")
        else:
            resource = _core.Resource(None, "text/plain", etag="d", path=self.file, size=len(FILE))
        self.engine.publish(_core.Snapshot({"": {"/file": resource}}))

    # What the engine calls.

    def open_file(self, resource):
        self.meddle()
        if self.random.random() < 0.05:
            raise self.random.choice([OSError, KeyboardInterrupt])
        return resource, _core.File(os.open(resource.path, os.O_RDONLY | os.O_CLOEXEC))

    def routes(self) -> _core.Router:
        router = _core.Router()
        handlers = {
            name[3:]: getattr(self, name) for name in dir(self) if name.startswith("on_")
        }  # fmt: skip
        for name, handler in handlers.items():
            router.add(((name,),), ALL & ~_core.METHOD_OPTIONS, handler, 0, None)
        router.add((("with",), ("", "", "path", "rest")), ALL, self.on_text, 0, None)
        router.freeze()
        return router

    def log(self, level: int, message: str) -> None:
        self.meddle()

    def error(self, req, status: int, problem):
        if isinstance(problem, AssertionError):
            self.faults.append(repr(problem))
        self.meddle()
        token = self.token(req)
        if self.random.random() < 0.1:
            raise self.random.choice([ValueError, KeyboardInterrupt])
        req.content_type = "text/plain"
        return pattern(token, 30)

    def stream_error(self, req, problem: BaseException) -> None:
        if isinstance(problem, AssertionError):
            self.faults.append(repr(problem))

    @staticmethod
    def json_encode(value) -> bytes:
        return value["body"]

    @staticmethod
    def json_decode(data: bytes):
        return data

    def token(self, req) -> str:
        token = req.query.get("t", "")
        if token and not req.headers.get("x-mute"):
            with contextlib.suppress(RuntimeError):      # the head of a stream has left
                req.set_header("x-token", token)
        return token

    def meddle(self) -> None:
        """What nobody should do while the engine works: it must refuse, or bear it."""
        engine, number = self.engine, self.random.random()
        if not self.meddling or number > 0.02:
            return
        for call in (lambda: engine.turn(0), engine.close, lambda: engine.open([])):
            with contextlib.suppress(RuntimeError):
                call()
                self.faults.append("a nested call was not refused")
        engine.stats()
        engine.flush_access_log()
        if number > 0.018:
            self.publish()
        if number < 0.002:
            engine.stop(self.random.choice((0, 300, 100_000)))
        elif number < 0.006:
            ours, theirs = socket.socketpair()
            theirs.setblocking(False)
            with contextlib.suppress(OSError):
                engine.adopt(theirs.detach())
            ours.close()

    def on_text(self, req, rest=""):
        token = self.token(req)
        self.keep(req)
        return pattern(token, self.random.choice(SIZES)).decode()

    def on_json(self, req):
        return {"body": pattern(self.token(req), 400)}

    def on_out(self, req):
        token, size = self.token(req), self.random.choice(SIZES)
        left = pattern(token, size).decode()
        while left:
            step = self.random.choice((1, 50, 5000, 100_000))
            req.out_raw("%s", left[:step])
            left = left[step:]
            self.meddle()

    def on_stream(self, req):
        self.keep(req)
        return Pieces(self, req, self.random.choice(SIZES), self.random.random() < 0.1)

    def on_echo(self, req):
        token, body = self.token(req), req.body
        assert body == pattern(token, len(body))
        return _core.Response(body, content_type=req.content_type or "text/plain")

    def on_form(self, req):
        token = self.token(req)
        self.keep(req.files)
        for upload in req.files.values():
            content = upload.read()
            assert content == pattern(token, len(content))
        return pattern(token, 50)

    def on_fail(self, req):
        self.token(req)
        req.out("to be forgotten")
        raise self.random.choice([ValueError("ordinary"), SystemExit(1), _core.RequestError(413)])

    def on_late(self, req):
        """Streams out of a handler that has rendered: an error."""
        req.out("x")
        return Pieces(self, req, 100, False)

    def on_empty(self, req):
        self.token(req)
        req.status = self.random.choice((204, 205, 304, 404))
        if self.random.random() < 0.3:
            req.set_header("Connection", "close")

    def keep(self, thing) -> None:
        if self.random.random() < 0.2:
            self.kept.append(thing)

    # What happens.

    def turn(self) -> int:
        try:
            return self.engine.turn(0)
        except (KeyboardInterrupt, SystemExit):
            return 1

    def step(self) -> None:
        number = self.random.random()
        if number < 0.1 and len(self.clients) < 9:
            with contextlib.suppress(OSError):
                self.clients.append(Wanderer(self))
        elif number < 0.13:
            _core.probe_fault(
                self.random.choice(("recv", "send", "accept", "malloc")),
                self.random.randrange(1, 20),
                self.random.choice((errno.ECONNRESET, errno.EPIPE, errno.EAGAIN, errno.ENOMEM,
                                    errno.EMFILE, errno.EINTR)),
                self.random.choice((1, 1, 5)),
            )  # fmt: skip
        elif number < 0.15:
            _core.probe_send_limit(self.random.choice((0, 0, 1000, 50_000)))
        elif number < 0.155:
            _core.probe_clock(self.random.choice((100, 1000, 5000, 30_000)))
        elif number < 0.17:
            self.look_at_kept()
        elif number < 0.175:
            self.hold_rest()
        elif number < 0.18:
            self.publish()
        elif self.clients:
            client = self.random.choice(self.clients)
            client.act()
            if client.gone:
                self.clients.remove(client)
                client.check()
        for _ in range(self.random.choice((0, 1, 3))):
            self.turn()

    def look_at_kept(self) -> None:
        for thing in self.kept:
            with contextlib.suppress(_core.RequestGone, RuntimeError):
                repr(thing)
                if isinstance(thing, _core.MultiDict):       # uploads outlive their request
                    for upload in thing.values():
                        assert len(upload.open().read()) == upload.size
                    continue
                assert thing.number
                assert thing.path == thing.path
                assert isinstance(thing.body, bytes)
                thing.out("nobody listens")
                self.faults.append("out() outside a handler")
        self.kept.clear()

    def hold_rest(self) -> None:
        """When nobody moves the engine must come to rest, or it spins."""
        _core.probe_fault_clear()
        quiet = 0
        for _ in range(REST_TURNS):
            quiet = 0 if self.turn() else quiet + 1
            if quiet == 3:
                return
        self.faults.append("the engine never comes to rest")

    def end(self) -> None:
        """Ends the clients and the engine in one way or another; nothing may be left over."""
        _core.probe_fault_clear()
        if self.random.random() < 0.5:
            for client in self.clients:
                client.leave()
            self.hold_rest()
            if self.random.random() < 0.5:
                self.engine.stop(1000)
                _core.probe_clock(5000)
                until(lambda: not self.engine.connection_count, "the end of all", self.turn)
        with contextlib.suppress(KeyboardInterrupt):
            self.engine.close()
        for client in self.clients:
            client.leave()
            client.check()
        for listener in self.listeners:
            listener.close()
        self.look_at_kept()
        self.engine.publish(None)
        assert not self.faults, self.faults
        left = _core.probe_statics()
        assert all(left[name] <= count for name, count in self.before.items()), left
        assert harness.balanced(connections=True), _core.probe_balance()
        assert [each.closed for each in self.streams] == [1] * len(self.streams)


class Wanderer:
    """A client with something to say, who says it in pieces and may go at any time."""

    def __init__(self, world: World) -> None:
        self.world, self.random = world, world.random
        listener = self.random.choice(world.listeners)
        self.socket = socket.socket(listener.family)
        if self.random.random() < 0.3:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(0.1)
        try:
            self.socket.connect(listener.getsockname())
        except OSError:
            self.socket.close()
            raise
        self.socket.setblocking(False)
        self.asked: list[tuple[str, str]] = []           # method and token of each request
        self.script = b"".join(self.request() for _ in range(self.random.choice((1, 2, 5, 80))))
        self.broken = self.random.random() < 0.15        # what it says makes no sense in the end
        if self.broken:
            self.script += self.random.choice(NONSENSE)
        self.received = bytearray()
        self.ended = False                               # the server has closed
        self.gone = False

    def request(self) -> bytes:
        world = self.world
        world.token_count += 1
        token = str(world.token_count)
        name = self.random.choice(PLACES)
        method = self.random.choice(("GET", "GET", "GET", "HEAD", "POST", "OPTIONS"))
        minor = 0 if self.random.random() < 0.1 else 1
        head = f"{method} /{name}?t={token} HTTP/1.{minor}\r\nHost: a\r\n"
        if self.random.random() < 0.03:
            head += "Connection: close\r\n"
        if minor == 0 and self.random.random() < 0.7:
            head += "Connection: keep-alive\r\n"
        content = b""
        if method == "POST" or name == "echo":
            content = pattern(token, self.random.choice(SIZES[:-1]))
            if name == "form":
                head += "Content-Type: multipart/form-data; boundary=b\r\n"
                content = (b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n'
                           + content + b"\r\n--b--\r\n")  # fmt: skip
            if self.random.random() < 0.1:
                head += "Expect: 100-continue\r\n"
            if minor and self.random.random() < 0.4:
                head += "Transfer-Encoding: chunked\r\n"
                content = self.chunked(content)
            else:
                head += f"Content-Length: {len(content)}\r\n"
        self.asked.append((method, token))
        return head.encode() + b"\r\n" + content

    def chunked(self, content: bytes) -> bytes:
        chunks = []
        while content:
            size = self.random.choice((1, 100, 5000))
            chunks.append(b"%x\r\n%s\r\n" % (len(content[:size]), content[:size]))
            content = content[size:] if len(chunks) < 50 else b""
        return b"".join(chunks) + b"0\r\n\r\n"

    def act(self) -> None:
        number = self.random.random()
        if self.ended and number < 0.3:
            self.leave()
        elif number < 0.5:
            self.send()
        elif number < 0.98:
            self.read(self.random.choice((1, 1000, 1 << 20)))
        elif number < 0.985:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
        elif number < 0.99:
            self.leave()

    def send(self) -> None:
        size = self.random.choice((1, 10, 300, 70_000, 70_000, 1 << 20))
        if not self.script and not self.broken:
            self.script = b"".join(self.request() for _ in range(self.random.choice((1, 3, 9))))
        try:
            self.script = self.script[self.socket.send(self.script[:size]):]
        except BlockingIOError:
            pass
        except OSError:
            self.script, self.broken = b"", True

    def read(self, size: int) -> None:
        try:
            data = self.socket.recv(size)
        except BlockingIOError:
            return
        except OSError:
            self.ended = True
            return
        self.ended = self.ended or not data
        self.received += data

    def leave(self) -> None:
        """Closes, or resets when the dice say so."""
        if not self.gone:
            self.gone = True
            if self.random.random() < 0.5:
                linger = struct.pack("ii", 1, 0)
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.socket.close()

    def check(self) -> None:
        """Each answer is that of the request whose turn it was, and holds no foreign byte."""
        rest = bytes(self.received)
        asked = iter(self.asked)
        while rest:
            head, end, content = rest.partition(b"\r\n\r\n")
            mine = re.search(rb"\r\nx-token: (\d+)", head)
            if end and not mine and head[9:10] in b"45":     # the engine itself refuses, and closes
                assert b"\r\nConnection: close" in head, head
                assert re.fullmatch(rb"(\d+ ?[A-Za-z ]*\n?)?", content), content[:200]
                break
            method, token = next(asked, ("GET", "")) if head[9:10] != b"1" else ("GET", "")
            taken = read_response(rest, method, self.ended)
            if taken is None:
                break
            answer, rest = taken
            if mine:
                assert mine[1].decode() == token, f"{mine[1]!r} answers {token}"
                assert answer.body == pattern(token, len(answer.body)), answer.body[:200]
            elif answer.status >= 200:                       # a file, or OPTIONS
                assert answer.body == (b"" if method in ("HEAD", "OPTIONS") else FILE)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_answers_are_whole_and_nothing_is_left(poller, seed, tmp_path):
    world = World(poller, seed, str(tmp_path / "socket"))
    try:
        for _ in range(STEPS):
            world.step()
            assert not world.faults, world.faults
        world.end()
    finally:
        _core.probe_fault_clear()
        _core.probe_send_limit(0)
        _core.probe_cold_files(False)
        for client in world.clients:
            client.leave()
        if world.engine.running:
            world.engine.close()
        for listener in world.listeners:
            listener.close()
