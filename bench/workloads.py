"""What is asked of each server: the request, how it is sent, what the answer must be, and the bound
that nodepp has.

A request has no fields but Host (and what its body needs): more of them would measure the parsers,
which micro.py does exactly. `browser`, not part of the default run, is hello with the head that a
browser sends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Callable, Optional

import places

Check = Callable[[bytes], Optional[str]]  # None: right; else what is wrong

HELLO = b"Hello, World!"
ECHO_BODY = bytes(range(32, 96)) * 16  # 1 KiB
PAGE_PIECE_COUNT = 107
CONNECTIONS = 64
IDLE_COUNT = 10_000


@dataclass(frozen=True)
class Workload:
    name: str
    title: str
    request: bytes
    check: Check
    bound: Optional[float] = None  # CPU per request as a multiple of the limit's
    content_type: bytes = b"text/html; charset=utf-8"  # of the model answer
    model_body: bytes = HELLO  # what the limit sends when nodepp is not there to be recorded
    depth: int = 1
    idle: int = 0
    churn: bool = False
    request_body_size: int = 0


def get(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: 127.0.0.1:8080", *fields, "", ""]).encode()


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


BROWSER_FIELDS = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Language: en-GB,en;q=0.7,pl;q=0.3",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "DNT: 1",
    "Connection: keep-alive",
    "Cookie: ls=7d2b0c6f1e9a4853b6d7e8f901a2b3c4; theme=dark; consent=essential",
    "Upgrade-Insecure-Requests: 1",
    "Sec-Fetch-Dest: document",
    "Sec-Fetch-Mode: navigate",
    "Sec-Fetch-Site: none",
    "Priority: u=0, i",
)

_SMALL, _LARGE, _PAGE = places.small_resource(), places.large_resource(), page()
_JSON = b'{"message":"Hello, World!","number":1000}'
_USER = b"User 12345 asks for tea"

WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload("hello", "hello, 64 connections", get("/"), equals(HELLO), 1.10),
        Workload("pipelined", "hello, pipelined ×16", get("/"), equals(HELLO), 1.60, depth=16),
        Workload(
            "json",
            "JSON built per request",
            get("/json"),
            check_json,
            1.15,
            b"application/json",
            _JSON,
        ),
        Workload(
            "params",
            "path and query parameter",
            get("/user/12345?q=tea"),
            equals(_USER),
            1.20,
            model_body=_USER,
        ),
        Workload(
            "echo",
            "1 KiB POST echo",
            post("/echo", ECHO_BODY),
            equals(ECHO_BODY),
            1.20,
            b"application/octet-stream",
            ECHO_BODY,
            request_body_size=len(ECHO_BODY),
        ),
        Workload(
            "page",
            "10 KB page rendered in 107 pieces",
            get("/page"),
            equals(_PAGE),
            2.60,
            model_body=_PAGE,
        ),
        Workload(
            "small",
            "static file, 1.5 KB",
            get("/static/small.css"),
            equals(_SMALL),
            1.10,
            b"text/css",
            _SMALL,
        ),
        Workload(
            "large",
            "static file, 100 KB",
            get("/static/large.bin"),
            equals(_LARGE),
            None,
            b"application/octet-stream",
            _LARGE,
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
            1.05,
            idle=IDLE_COUNT,
        ),
        Workload(
            "browser", "hello with a browser's head", get("/", *BROWSER_FIELDS), equals(HELLO)
        ),
    )
}

# `startup` is not a load: startup.py measures it.
DEFAULT = [name for name in WORKLOADS if name != "browser"] + ["startup"]

STARTUP_BOUND_MS = 120
STARTUP_BOUND_BYTES = 20 * 1024 * 1024
IDLE_BOUND_BYTES = 256  # per idle connection


def model_answer(workload: Workload) -> bytes:
    """An answer of the shape nodepp gives, for measuring others where nodepp is not built."""
    head = [
        b"HTTP/1.1 200 OK",
        b"Date: Thu, 01 Jan 2026 00:00:00 GMT",
        b"Server: nodepp",
        b"Content-Type: " + workload.content_type,
        b"Content-Length: %d" % len(workload.model_body),
    ]
    if workload.churn:
        head.append(b"Connection: close")
    return b"\r\n".join([*head, b"", b""]) + workload.model_body
