"""Visitors with their cookies, and a site whose handlers have sessions: for the tests of sessions.

A site is an Engine in this process with a SessionTable; a Visitor keeps what Set-Cookie gives it
and sends it back, as a browser does, over a connection that it keeps open.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import harness
import msgspec
from responsereader import Response

from nodepp import _core

AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
HOST = "example.org"
METHODS = harness.METHODS_ALL
COOKIE = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=([\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*)")


@dataclass
class SetCookie:
    """A Set-Cookie field, read by the strict grammar of RFC 6265 §4.1.1."""

    name: str
    value: str
    attributes: dict[str, str]

    @classmethod
    def read(cls, line: str) -> SetCookie:
        pair, *rest = line.split("; ")
        match = COOKIE.fullmatch(pair)
        assert match, f"not a cookie pair: {pair!r}"
        attributes: dict[str, str] = {}
        for each in rest:
            name, _, value = each.partition("=")
            assert name and name not in attributes, f"{name!r} stands twice in {line!r}"
            attributes[name] = value
        return cls(match[1], match[2], attributes)

    @property
    def deletes(self) -> bool:
        return self.attributes.get("Max-Age") == "0" or "1970" in self.attributes.get("Expires", "")


class Site(harness.Application):
    """The engine's Host: packs sessions with MessagePack, and writes down what it is told."""

    session_class: type | None = None
    session_events = frozenset(("start", "stop", "login", "logout"))

    def __init__(self, handlers, events=None, session_class=None) -> None:
        super().__init__()
        self.handlers = handlers
        self.events: list[str] = []
        self.on: dict[str, Callable] = events or {}
        self.blocked: list[tuple[str, str, int]] = []
        self.problems: list[BaseException] = []
        self.session_class = session_class

    def routes(self, **_) -> _core.Router:
        router = _core.Router()
        for name, handler in self.handlers.items():
            flags = getattr(handler, "flags", 0)
            segments = tuple((part,) for part in name.split("/"))
            router.add(segments, METHODS, handler, flags, None)
        return router

    session_pack = staticmethod(msgspec.msgpack.encode)
    session_unpack = staticmethod(msgspec.msgpack.decode)

    def session_event(self, event: str, subject) -> bool:
        self.events.append(event)
        return self.on[event](subject) if event in self.on else True

    def address_blocked(self, ip: str, why: str, seconds: int) -> None:
        self.blocked.append((ip, why, seconds))

    def error(self, req, status: int, exc: BaseException | None):
        if exc is not None:
            self.problems.append(exc)
            status = getattr(exc, "status", status)
        req.status = status
        req.content_type = "text/plain"
        return f"{status}\n"

    def stream_error(self, req, exc: BaseException) -> None:
        self.problems.append(exc)


class Visits:
    """A running site with sessions. `events`: what its hooks do; by name, without "on_". `key`: an
    old one; what it did not make was made by nobody.
    """

    def __init__(self, events=None, capacity=100, data_size=256, key=b"", table=None,
                 session_class=None, statics=None, handlers=None, **settings) -> None:  # fmt: skip
        self.closed = False
        if table is None:
            table = _core.SessionTable(capacity, data_size, key=key, key_is_new=not key)
        self.table = table
        self.app = Site(handlers or {}, events, session_class)
        self.server = harness.Server(
            app=self.app, statics=statics, sessions=self.table, **settings)

    def visitor(self, agent: str = AGENT, peer=None) -> Visitor:
        return Visitor(self, agent, peer)

    def skip(self, seconds: float) -> None:
        """Time goes by."""
        _core.probe_clock(int(seconds * 1000))
        self.server.idle()

    def stat(self, name: str):
        return self.server.stat(name)

    def gone_to(self, count: int) -> None:
        """Turns until so many sessions are left: expiry goes in steps."""
        def holds() -> bool:
            _core.probe_clock(1000)          # what is done once a second is done now
            return len(self.table) == count
        self.server.until(holds, f"{count} sessions, not {len(self.table)},")

    def data(self, visitor: Visitor) -> dict:
        """What the table holds for that visitor, decoded."""
        found = [row for row in self.table.records() if self.table.cookie(row[0]) in visitor.values]
        assert len(found) == 1, found
        return msgspec.msgpack.decode(found[0][10]) if found[0][10] else {}

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.server.close()
        assert self.table.check() == []
        self.table.close()


class Visitor:
    """A browser: one connection, and a jar of cookies that all belong to the whole site."""

    def __init__(self, site: Visits, agent: str = AGENT, peer=None) -> None:
        self.site, self.agent, self.peer = site, agent, peer
        self.jar: dict[str, str] = {}
        self.client: harness.Client | None = None
        self.methods: list[str] = []
        self.set: list[SetCookie] = []            # of the last answer

    @property
    def values(self) -> list[str]:
        return list(self.jar.values())

    def connection(self) -> harness.Client:
        if self.client is not None:
            self.client.read()
        if self.client is None or self.client.closed:
            self.client = self.site.server.connect(peer=self.peer)
            self.methods = []
        return self.client

    def bytes_of(self, method: str, target: str, body: bytes = b"", cookie: str | None = None,
                 fields: dict[str, str] | None = None) -> bytes:  # fmt: skip
        """A request; `cookie` stands for the jar, "" for none at all."""
        fields = {"Host": HOST, "User-Agent": self.agent, **(fields or {})}
        if cookie is None:
            cookie = "; ".join(f"{name}={value}" for name, value in self.jar.items())
        if cookie:
            fields["Cookie"] = cookie
        if body:
            fields["Content-Length"] = str(len(body))
            fields.setdefault("Content-Type", "application/x-www-form-urlencoded")
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1") + body

    def ask(self, method: str, target: str, body: bytes = b"", cookie: str | None = None,
            **fields: str) -> Response:  # fmt: skip
        """One request and its answer. Names of fields are written with _ for -."""
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        client = self.connection()
        self.methods.append(method)
        client.exchange(self.bytes_of(method, target, body, cookie, named))
        response = client.responses(*self.methods, count=len(self.methods))[-1]
        self.take(response)
        return response

    def get(self, target: str, **options) -> Response:
        return self.ask("GET", target, **options)

    def post(self, target: str, body: bytes = b"", **options) -> Response:
        return self.ask("POST", target, body, **options)

    def take(self, response: Response) -> None:
        """Set-Cookie into the jar."""
        self.set = cookies_of(response)
        for cookie in self.set:
            if cookie.deletes:
                self.jar.pop(cookie.name, None)
            else:
                self.jar[cookie.name] = cookie.value


def cookies_of(response: Response) -> list[SetCookie]:
    lines = [value for name, value in response.fields if name.lower() == "set-cookie"]
    found = [SetCookie.read(line) for line in lines]
    names = [cookie.name for cookie in found]
    assert len(set(names)) == len(names), f"one name, two cookies: {lines}"
    return found


def visiting() -> Iterator[Callable[..., Visits]]:
    """For a fixture: visiting(handlers={…}, **settings) gives a site, closed after the test."""
    sites: list[Visits] = []

    def start(**options) -> Visits:
        sites.append(Visits(**options))
        return sites[-1]

    yield start
    for site in sites:
        site.close()


# What most of these tests serve.

class Fault(Exception):
    """What a handler may raise."""

    def __init__(self, status: int) -> None:
        super().__init__(f"on purpose: {status}")
        self.status = status


def count(req):
    """A visitor's counter."""
    session = req.session
    session["count"] = session.get("count", 0) + 1
    return str(session["count"])


def show(req):
    return repr(dict(req.session.items())) if req.session.exists else "nobody"


def nothing(req):
    return "nothing"


HANDLERS = {"count": count, "show": show, "nothing": nothing}


def log_in(req):
    uid, level = int(req.query.get("uid", 7)), int(req.query.get("level", 10))
    req.session.login(uid, level, req.query.get("name", ""), req.query.get("keep") == "1")
    return "in"


def log_out(req):
    req.session.logout()
    return "out"


def who(req):
    session = req.session
    return f"{session.uid} {session.level} {session.name} {session.logged_in} {session.kept}"


def renew(req):
    req.session.renew()
    return "renewed"


LOGIN_HANDLERS = {**HANDLERS, "login": log_in, "logout": log_out, "who": who, "renew": renew}


def run(visiting, handler, **options):
    """A site with one handler more, at /it, and a visitor who has a session with {"count": 1}."""
    site = visiting(handlers={**HANDLERS, "it": handler}, **options)
    visitor = site.visitor()
    visitor.get("/count")
    return site, visitor


def in_handler(visiting, check, begun: bool = True, **options) -> None:
    """Calls check(session) in a handler; what it raises fails the test."""
    def it(req):
        check(req.session)
        return "checked"

    site, visitor = run(visiting, it, **options)
    response = (visitor if begun else site.visitor()).get("/it")
    if site.app.problems:
        raise site.app.problems[0]
    assert response.body == b"checked"
