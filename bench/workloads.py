"""What is asked of each server: the request, how it is sent, what the answer must be, and the
bounds that nodepp has.

A request has no fields but Host (and what it is about): more of them would measure the parsers,
which micro.py does exactly. `browser`, `small-browser`, `not-modified-browser`, not part of the
default run, have the head that a browser sends.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, replace
from typing import Callable, Optional

import places

Check = Callable[[bytes], Optional[str]]  # None: right; else what is wrong

HELLO = b"Hello, World!"
ECHO_BODY = bytes(range(32, 96)) * 16  # 1 KiB
PAGE_PIECE_COUNT = 107
CONNECTIONS = 64
IDLE_COUNT = 10_000

STARTUP_BOUND_MS = 120
STARTUP_BOUND_BYTES = 20 * 1024 * 1024
SITE_STARTUP_BOUND_MS = 300  # with a thousand files whose codings are in the cache
SITE_BYTES_BOUND = 0.90  # of what nginx sends
IDLE_BOUND_BYTES = 256  # per idle connection
DYNAMIC_BOUND_US = {"zstd": 30.0, "gzip": 60.0}  # for the 10 KB page


@dataclass(frozen=True)
class Bound:
    """At most so much, by the median over the rounds.

    base: "limit" and names of peers: CPU per request as a multiple of theirs; "without": of the
    same server's own for the workload `beside`; "added": microseconds more than that; "bytes": of
    memory per idle connection.
    """

    most: float
    base: str = "limit"


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    request: bytes
    check: Check  # of the decoded body
    bounds: tuple[Bound, ...] = ()
    content_type: bytes = b"text/html; charset=utf-8"  # of the model answer
    model_body: bytes = HELLO  # what the limit sends when nodepp is not there to be recorded
    depth: int = 1
    idle: int = 0
    churn: bool = False
    request_body_size: int = 0
    codings: tuple[str, ...] = ()  # one of them must have been used; none: it must be identity
    status: int = 200
    conditional: bool = False  # the ETag that the request's answer has is sent with each request
    beside: str = ""  # the workload measured before this one in the same server
    limit_does: str = ""  # the workload that the limit does instead


def get(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: 127.0.0.1:8080", *fields, "", ""]).encode()


def asking_again(workload: Workload, etag: bytes) -> Workload:
    """A conditional workload for a server whose answer had this ETag."""
    request = workload.request[:-2] + b"If-None-Match: " + etag + b"\r\n\r\n"
    return replace(workload, request=request, status=304, check=equals(b""), codings=())


def post(target: str, body: bytes) -> bytes:
    head = [
        f"POST {target} HTTP/1.1",
        "Host: 127.0.0.1:8080",
        "Content-Type: application/octet-stream",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def equals(expected: bytes) -> Check:
    def check(body: bytes) -> Optional[str]:
        return None if body == expected else f"the body is {body[:60]!r}, not {expected[:60]!r}"

    return check


def check_json(body: bytes) -> Optional[str]:
    try:
        value = json.loads(body)
    except ValueError as error:
        return f"the body is not JSON: {error}"
    if (
        value.get("message") != HELLO.decode()
        or not 1000 <= value.get("number", 0) <= 9999
        or len(value) != 2
    ):
        return f"the object is {value!r}"
    return None


def page() -> bytes:
    """The page as apps/common.py gives it, written a second time: a mistake in one is found by the
    other.
    """
    lines = ["<!DOCTYPE html>\n<html><head><title>Articles</title></head><body><table>\n"]
    for n in range(PAGE_PIECE_COUNT - 2):
        name = f"Article {n * 7919 % 10000:04d}"
        cells = f'<td class="number">{n}</td><td class="name">{name}</td><td>in stock</td>'
        lines.append(f'<tr class="row">{cells}</tr>\n')
    lines.append(f"</table><p>{PAGE_PIECE_COUNT - 2} rows</p></body></html>\n")
    return "".join(lines).encode()


ACCEPT_ENCODING = "Accept-Encoding: gzip, deflate, br, zstd"  # of today's browsers, with TLS
BROWSER_FIELDS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.7,pl;q=0.3",
    ACCEPT_ENCODING,
    "DNT: 1",
    "Connection: keep-alive",
    "Cookie: ls=7d2b0c6f1e9a4853b6d7e8f901a2b3c4; theme=dark; consent=essential",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: none",
    "Priority: u=0, i",
)
BROWSER_CODINGS = ("zstd", "br", "gzip")

_SMALL, _LARGE, _PAGE = places.small_resource(), places.large_resource(), page()
_JSON = b'{"message":"Hello, World!","number":1000}'
_USER = b"User 12345 asks for tea"

ENGINE = (
    Workload("hello", "hello, 64 connections", get("/"), equals(HELLO), (Bound(1.10),)),
    Workload(
        "pipelined", "hello, pipelined ×16", get("/"), equals(HELLO), (Bound(1.60),), depth=16
    ),
    Workload(
        "json",
        "JSON built per request",
        get("/json"),
        check_json,
        (Bound(1.15),),
        b"application/json",
        _JSON,
    ),
    Workload(
        "params",
        "path and query parameter",
        get("/user/12345?q=tea"),
        equals(_USER),
        (Bound(1.20),),
        model_body=_USER,
    ),
    Workload(
        "echo",
        "1 KiB POST echo",
        post("/echo", ECHO_BODY),
        equals(ECHO_BODY),
        (Bound(1.20),),
        b"application/octet-stream",
        ECHO_BODY,
        request_body_size=len(ECHO_BODY),
    ),
    Workload(
        "page",
        "10 KB page rendered in 107 pieces",
        get("/page"),
        equals(_PAGE),
        (Bound(2.60),),
        model_body=_PAGE,
    ),
    Workload(
        "churn",
        "a connection for each request",
        get("/", "Connection: close"),
        equals(HELLO),
        churn=True,
    ),
    Workload(
        "idle",
        "hello beside 10,000 idle connections",
        get("/"),
        equals(HELLO),
        (Bound(1.05, "without"), Bound(IDLE_BOUND_BYTES, "bytes")),
        idle=IDLE_COUNT,
        beside="hello",
    ),
    Workload("browser", "hello with a browser's head", get("/", *BROWSER_FIELDS), equals(HELLO)),
)

_small = Workload(
    "small",
    "static file, 1.5 KB",
    get("/static/small.css"),
    equals(_SMALL),
    (Bound(1.10), Bound(0.60, "nginx")),
    b"text/css",
    _SMALL,
)
_large = Workload(
    "large",
    "static file, 100 KB",
    get("/static/large.js"),
    equals(_LARGE),
    (Bound(1.05),),
    b"text/javascript",
    _LARGE,
)
_not_modified = replace(
    _small,
    name="not-modified",
    title="304 for a file that the client has; the limit says hello",
    bounds=(Bound(1.10),),
    conditional=True,
    limit_does="hello",
)


def dynamic(coding: str, bound_us: float) -> Workload:
    return Workload(
        f"dynamic-{coding}",
        f"the 10 KB page, compressed when it is asked for: {coding}",
        get("/page", f"Accept-Encoding: {coding}"),
        equals(_PAGE),
        (Bound(bound_us, "added"),),
        model_body=_PAGE,
        codings=(coding,),
        beside="page",
    )


STATICS = (
    _small,
    replace(
        _small,
        name="small-coded",
        title="static file, 1.5 KB, in the best coding for a browser",
        request=get("/static/small.css", ACCEPT_ENCODING),
        codings=BROWSER_CODINGS,
    ),
    _large,
    replace(
        _large,
        name="precompressed",
        title="static file, 100 KB, in the best coding for a browser",
        request=get("/static/large.js", ACCEPT_ENCODING),
        bounds=(Bound(0.90, "nginx"),),
        codings=BROWSER_CODINGS,
    ),
    _not_modified,
    dynamic("zstd", DYNAMIC_BOUND_US["zstd"]),
    dynamic("gzip", DYNAMIC_BOUND_US["gzip"]),
    replace(
        _small,
        name="small-browser",
        title="static file, 1.5 KB, with a browser's head",
        request=get("/static/small.css", *BROWSER_FIELDS),
        codings=BROWSER_CODINGS,
    ),
    replace(
        _not_modified,
        name="not-modified-browser",
        title="304 with a browser's head; the limit says hello",
        request=get("/static/small.css", *BROWSER_FIELDS),
        codings=BROWSER_CODINGS,
    ),
    replace(
        _large,
        name="range",
        title="1,000 bytes of a static file of 100 KB",
        request=get("/static/large.js", "Range: bytes=50000-50999"),
        check=equals(_LARGE[50000:51000]),
        bounds=(),
        status=206,
    ),
)

WORKLOADS = {workload.name: workload for workload in (*ENGINE, *STATICS)}

# These are no loads: startup.py, sent.py and compress.py measure them.
OTHERS = ("startup", "site-startup", "site-bytes", "compress")
BY_WISH = ("browser", "small-browser", "not-modified-browser", "range")
GROUPS = {
    "engine": [w.name for w in ENGINE if w.name not in BY_WISH] + ["startup"],
    "statics": [w.name for w in STATICS if w.name not in BY_WISH] + list(OTHERS[1:]),
}
DEFAULT = [name for group in GROUPS.values() for name in group]


def model_answer(workload: Workload) -> bytes:
    """An answer of the shape nodepp gives, for measuring others where nodepp is not built."""
    body = workload.model_body
    head = [
        b"HTTP/1.1 200 OK",
        b"Date: Thu, 01 Jan 2026 00:00:00 GMT",
        b"Server: nodepp",
        b"Content-Type: " + workload.content_type,
    ]
    if "gzip" in workload.codings:
        body = gzip.compress(body, mtime=0)
        head.append(b"Content-Encoding: gzip")
    if workload.churn:
        head.append(b"Connection: close")
    head.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join([*head, b"", b""]) + body
