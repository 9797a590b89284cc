"""The deterministic harness: an Engine in this process, non-blocking clients, and turns in between.

Nothing here sleeps. A test sends, lets the engine turn until it has nothing more to do, and reads.
Loopback delivers at once, so one such round is enough in practice; `Server.until` allows for the
rare round in which it is not, with a deadline.
"""

from __future__ import annotations

import contextlib
import pathlib
import selectors
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import waiting
import wiresite
from responsereader import Response, read_responses
from waiting import Deadline

from nodepp import _core

POLLERS = ("epoll", "poll", "select", "selectors")
IDLE_TURNS = 3                    # turns without an event after which the engine counts as idle

METHODS_ALL = (
    _core.METHOD_GET
    | _core.METHOD_POST
    | _core.METHOD_PUT
    | _core.METHOD_DELETE
    | _core.METHOD_PATCH
)


@dataclass
class Seen:
    """What the application was given: one request."""

    status: int
    method: str
    target: str
    path: str
    host: str | None
    version: str
    body: bytes
    fields: list[tuple[bytes, bytes]]


class Application:
    """Echoes, and keeps what it saw by the client's port. It is the engine's Host object too."""

    def __init__(self) -> None:
        self.seen: dict[int, list[Seen]] = {}
        self.logged: list[tuple[int, str]] = []
        self.log = lambda level, message: self.logged.append((level, message))

    def note(self, req, status: int = 200) -> None:
        self.seen.setdefault(req.client[1], []).append(
            Seen(
                status,
                req.method,
                req.target,
                req.path,
                req.host,
                req.http_version,
                req.body,
                list(req.headers.raw),
            )
        )

    def echo(self, req, rest: str = ""):
        self.note(req)
        return _core.Response(req.body or b"nothing", content_type=req.content_type or "text/plain")

    def big(self, req):
        self.note(req)
        return b"x" * 100_000

    def stream(self, req):
        self.note(req)
        return iter([b"one ", b"two ", b"", b"three"])

    def no_content(self, req):
        self.note(req, 204)
        return 204, None

    def not_modified(self, req):
        self.note(req, 304)
        return 304, None

    def error(self, req, status: int, exc: BaseException | None):
        if exc is not None:
            self.logged.append((1, repr(exc)))
        else:
            self.note(req, status)
        req.content_type = "text/plain"
        return f"{status}\n"

    def stream_error(self, req, exc: BaseException) -> None:
        self.logged.append((1, repr(exc)))

    open_file = staticmethod(wiresite.open_file)

    @staticmethod
    def json_encode(obj) -> bytes:
        import json
        return json.dumps(obj).encode()

    @staticmethod
    def json_decode(data: bytes):
        import json
        return json.loads(data)

    def routes(self, **handlers) -> _core.Router:
        """The routes that tests/wire/README.md lists, and a GET for each name of `handlers`."""
        router = _core.Router()
        get = _core.METHOD_GET
        router.add((("",),), METHODS_ALL, self.echo, 0, None)
        router.add((("echo",),), METHODS_ALL, self.echo, 0, None)
        router.add((("echo",), ("", "", "path", "rest")), METHODS_ALL, self.echo, 0, None)
        router.add((("get",),), get, self.echo, 0, None)
        router.add((("post",),), _core.METHOD_POST, self.echo, 0, None)
        router.add((("form.txt",),), _core.METHOD_POST, self.echo, 0, None)
        router.add((("big",),), get, self.big, 0, None)
        router.add((("stream",),), get, self.stream, 0, None)
        router.add((("204",),), get, self.no_content, 0, None)
        router.add((("304",),), get, self.not_modified, 0, None)
        for name, handler in handlers.items():
            router.add(((name,),), get, handler, 0, None)
        return router


class Server:
    """An open Engine with one loopback listener on a port that the kernel chose.

    `statics`: a Snapshot, or a folder in which the resources of wiresite are to lie; None for
    none. `app`: another Application than the one that echoes.
    """

    def __init__(
        self, poller: str = "epoll", handlers=None, statics=None, app=None, **settings
    ) -> None:
        self.app = app or Application()
        router = self.app.routes(**handlers or {})
        router.freeze()
        settings.setdefault("max_connections", 256)
        settings["poller"] = poller
        if poller == "selectors":
            settings["selector_factory"] = selectors.DefaultSelector
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        # Inherited by what is accepted, as nodepp.listeners has it.
        self.listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.listener.listen(512)
        self.listener.setblocking(False)
        self.address = self.listener.getsockname()
        self.clients: list[Client] = []
        self.engine = _core.Engine(settings, router, self.app)
        if isinstance(statics, pathlib.Path):
            statics = wiresite.snapshot(statics)
        if statics is not None:
            self.engine.publish(statics)
        self.engine.open([(self.listener.fileno(), "tcp")])

    def connect(self, **options) -> Client:
        client = Client(self, **options)
        self.clients.append(client)
        return client

    def idle(self) -> None:
        """Turns until the engine has nothing more to do."""
        quiet = 0
        deadline = Deadline("the engine's coming to rest")
        while quiet < IDLE_TURNS:
            quiet = 0 if self.engine.turn(0) else quiet + 1
            deadline.rest_s()

    def until(self, condition: Callable[[], object], what: str = "the condition") -> None:
        """Turns until `condition` holds."""
        waiting.until(condition, what, lambda: self.engine.turn(1))

    def stat(self, name: str):
        return self.engine.stats()[name]

    def close(self) -> None:
        """Ends all clients, lets the engine notice, and holds that nothing is left over."""
        try:
            for client in self.clients:
                client.reset()
            _core.probe_fault_clear()
            _core.probe_send_limit(0)
            _core.probe_cold_files(False)
            if self.engine.running:
                with contextlib.suppress(AssertionError):
                    self.until(lambda: balanced(connections=True), "the balance")
                assert balanced(connections=True), f"left over: {_core.probe_balance()}"
        finally:
            self.engine.close()
            self.listener.close()
        assert balanced(connections=True), f"left over after close: {_core.probe_balance()}"
        assert _core.probe_statics()["files"] == 0, "files are open after close"


def balanced(connections: bool = False) -> bool:
    books = _core.probe_balance()
    if not connections:
        books = {key: value for key, value in books.items() if key != "connections"}
    return not any(books.values())


class Client:
    """A non-blocking client. `received` grows; `closed` is "" until there is "eof" or "reset".

    `peer`: (ip, port) from which it seems to come; its connection is handed to the engine.
    """

    def __init__(self, server: Server, receive_buffer: int = 0, peer=None) -> None:
        self.server = server
        if peer is not None:
            self.socket, theirs = socket.socketpair()
            theirs.setblocking(False)
            server.engine.adopt(theirs.detach(), peer)
            self.port = peer[1]
        else:
            self.socket = socket.socket()
            if receive_buffer:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.connect(server.address)        # the backlog takes it at once
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.port = self.socket.getsockname()[1]
        self.socket.setblocking(False)
        self.received = bytearray()
        self.closed = ""
        self.complete: list[Response] = []      # read off `received` so far …
        self.complete_size = 0                  # … and their bytes

    def send(self, data: bytes) -> None:
        """Sends all of it; the engine turns while the kernel has no room.

        A peer that is gone is noticed when reading.
        """
        view = memoryview(data)
        deadline = Deadline("the server's reading")
        while view:
            try:
                view = view[self.socket.send(view):]
            except BlockingIOError:
                self.server.engine.turn(0)
                deadline.rest_s()
            except (BrokenPipeError, ConnectionResetError):
                return

    def read(self) -> bytearray:
        """Takes what has come; all that ever came."""
        while not self.closed:
            try:
                data = self.socket.recv(1 << 18)
            except BlockingIOError:
                break
            except ConnectionResetError:
                self.closed = "reset"
                break
            if not data:
                self.closed = "eof"
            self.received += data
        return self.received

    def exchange(self, data: bytes) -> bytearray:
        """Sends, lets the engine work, reads."""
        self.send(data)
        self.server.idle()
        return self.read()

    def until(self, condition: Callable[[], object], what: str = "the condition") -> None:
        def holds() -> object:
            self.read()
            return condition()
        self.server.until(holds, what)

    def until_closed(self) -> None:
        self.until(lambda: self.closed, "the end of the connection")

    def responses(self, *methods: str, count: int = 0) -> list[Response]:
        """All responses so far; waits until there are `count`."""
        def enough() -> bool:
            rest = self.received[self.complete_size:]
            closed = self.closed == "eof"
            more, left = read_responses(rest, methods[len(self.complete):], closed)
            self.complete += more
            self.complete_size += len(rest) - len(left)
            return len(self.complete) >= count

        self.read()
        if not enough():
            self.until(enough, f"the answer number {count}")
        rest = bytes(self.received[self.complete_size:][:200])
        assert not rest, f"bytes after the last response: {rest!r}"
        return self.complete

    def finish_sending(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Ends the connection at once, with RST: no socket lingers in the kernel's tables."""
        if self.socket.fileno() >= 0:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.socket.close()

    def close(self) -> None:
        self.socket.close()


def restore_limits() -> None:
    """The probes of the parser go by the settings of the last engine: back to the defaults."""
    engine = _core.Engine({}, _core.Router(), Application())
    engine.open([])
    engine.close()


def requests_in(count: int, path: str = "/echo") -> bytes:
    """`count` pipelined GETs."""
    return b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode() * count


@contextlib.contextmanager
def serving(poller: str = "epoll", **options) -> Iterator[Server]:
    """A Server for a block; the books are balanced when it ends, unless the block has failed."""
    server = Server(poller, **options)
    try:
        yield server
    except BaseException:
        for client in server.clients:
            client.reset()
        _core.probe_fault_clear()
        _core.probe_send_limit(0)
        _core.probe_cold_files(False)
        server.engine.close()
        server.listener.close()
        raise
    server.close()
