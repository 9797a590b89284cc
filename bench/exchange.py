"""One request, one answer, every byte looked at: what proves that a server does the work before its
time is taken.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass


class Wrong(Exception):
    """The answer is not what the workload asks for; the message says in what."""


@dataclass(frozen=True)
class Answer:
    raw: bytes
    status: int
    fields: dict[bytes, bytes]  # names in lower case
    body: bytes


def read_answer(stream: socket.socket, data: bytes = b"") -> tuple[Answer, bytes]:
    """Reads one answer of known length; gives it and what came after it."""
    while b"\r\n\r\n" not in data:
        data += receive(stream)
    head, _, rest = data.partition(b"\r\n\r\n")
    status_line, *lines = head.split(b"\r\n")
    parts = status_line.split(b" ", 2)
    if len(parts) < 2 or not parts[1].isdigit():
        raise Wrong(f"the status line is {status_line!r}")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in lines)
    }
    if not fields.get(b"content-length", b"").isdigit():
        raise Wrong(f"no length is given: {status_line.decode('latin-1')}")
    size = int(fields[b"content-length"])
    while len(rest) < size:
        rest += receive(stream)
    raw = head + b"\r\n\r\n" + rest[:size]
    return Answer(raw, int(parts[1]), fields, rest[:size]), rest[size:]


def receive(stream: socket.socket) -> bytes:
    data = stream.recv(65536)
    if not data:
        # An OSError, for a server that closes while it starts is asked again.
        raise ConnectionResetError("closed before the answer was whole")
    return data


def exchange(port: int, request: bytes, timeout: float = 5, count: int = 1) -> list[Answer]:
    """Sends the request `count` times in one write; gives the answers. Raises OSError, or Wrong
    when one is not a 200.
    """
    with socket.create_connection(("127.0.0.1", port), timeout) as stream:
        stream.sendall(request * count)
        answers, rest = [], b""
        for _ in range(count):
            answer, rest = read_answer(stream, rest)
            if answer.status != 200:
                raise Wrong(f"status {answer.status}, body {answer.body[:60]!r}")
            answers.append(answer)
        if rest:
            raise Wrong(f"bytes after the last answer: {rest[:60]!r}")
        if b"connection: close" in request.lower() and stream.recv(1):
            raise Wrong("bytes where the connection should end")
    return answers
