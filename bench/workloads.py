"""What is asked of each server, by name.

A request has no fields but Host (and what it is about): more of them would measure the parsers,
which micro.py does exactly. `browser`, `small-browser`, `not-modified-browser`, not part of the
default run, have the head that a browser sends.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Optional

import places
from workload import HELLO, Bound, Workload, equals, get, post

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
FIND_BOUND_NS = {100_000: 150.0, 1_000_000: 400.0}  # by number of sessions
START_BOUND_NS = 10_000.0  # of a session
SESSION_BOUND_BYTES = 200  # beside two copies of its data
RESTART_BOUND_MS = 50.0  # more than with an empty session file


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

_session = Workload(
    "session-100",
    "session counter, 100 live sessions; the limit says hello",
    get("/session"),
    equals(b"1"),  # of the first answer; load.c checks that each is one above the one before
    (Bound(1.25),),
    limit_does="hello",
    app="sessions",
    sessions=100,
    begin=get("/session"),
    counts=True,
    peers=("starlette", "flask", "aiohttp"),
    why_not="it has no sessions of its own",
)

SESSIONS = (
    _session,
    replace(
        _session,
        name="session-100k",
        title="session counter, 100,000 live sessions; the limit says hello",
        bounds=(Bound(1.25), Bound(1.05, "without")),
        sessions=100_000,
        settings={"maxSessions": 110_000},  # and 100 of the workload before, and the first asker's
        beside="session-100",
        peers=(),
        why_not="it keeps no sessions: session-100 is its figure at any number of them",
    ),
    replace(
        _session,
        name="session-typed",
        title="session counter, a declared field; the limit says hello",
        app="typed",
        peers=(),
        why_not="it has no declared fields",
    ),
    replace(
        _session,
        name="session-add",
        title="session counter by session.add; the limit says hello",
        request=get("/session/add"),
        begin=get("/session/add"),
        peers=(),
        why_not="it has nothing like it",
    ),
    replace(
        _session,
        name="session-member",
        title="hello for those who are logged in; the limit says it to everybody",
        app="members",
        request=get("/member"),
        begin=get("/enter"),
        check=equals(HELLO),
        bounds=(),
        counts=False,
        peers=(),
        why_not="it has no access rules",
    ),
)

WORKLOADS = {workload.name: workload for workload in (*ENGINE, *STATICS, *SESSIONS)}

# These are no loads: startup.py, sent.py, compress.py, sessions.py and restart.py measure them.
_OTHERS_OF = {
    "engine": ["startup"],
    "statics": ["site-startup", "site-bytes", "compress"],
    "sessions": ["session-table", "session-restart"],
}
OTHERS = [name for names in _OTHERS_OF.values() for name in names]
BY_WISH = ("browser", "small-browser", "not-modified-browser", "range", "session-member")
GROUPS = {
    group: [w.name for w in some if w.name not in BY_WISH] + _OTHERS_OF[group]
    for group, some in (("engine", ENGINE), ("statics", STATICS), ("sessions", SESSIONS))
}
DEFAULT = [name for group in GROUPS.values() for name in group]
