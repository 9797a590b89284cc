"""What a workload is: the request, how it is sent, what the answer must be, and the bounds that
nodepp has. workloads.py has all that there are.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Callable, Optional

Check = Callable[[bytes], Optional[str]]  # None: right; else what is wrong

HELLO = b"Hello, World!"


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
    app: str = "app"  # the application that has it: apps/PEER_APP.py
    settings: Mapping[str, object] = field(default_factory=dict)  # npp.conf keys, for nodepp
    sessions: int = 0  # live ones; each request has the cookie of one of them, at random
    begin: bytes = b""  # the request that begins a session: its answer gives the cookie
    counts: bool = False  # answers are the session's own count, one more each time
    peers: Optional[tuple[str, ...]] = None  # who does it beside the limit and nodepp; None: all
    why_not: str = ""  # what the others lack


def get(target: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", "Host: 127.0.0.1:8080", *fields, "", ""]).encode()


def asking_again(workload: Workload, etag: bytes) -> Workload:
    """A conditional workload for a server whose answer had this ETag."""
    request = workload.request[:-2] + b"If-None-Match: " + etag + b"\r\n\r\n"
    return replace(workload, request=request, status=304, check=equals(b""), codings=())


def with_cookie(request: bytes, cookie: str) -> bytes:
    """The request with a Cookie field behind its others, as load.c sends it."""
    return request[:-2] + f"Cookie: {cookie}\r\n\r\n".encode("latin-1")


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
