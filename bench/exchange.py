"""One request, one answer, every byte looked at: what proves that a server does the work before its
time is taken.
"""

from __future__ import annotations

import gzip
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
    if parts[1] == b"304":
        # RFC 9110 §15.4.5: it has no body, whatever length it gives.
        return Answer(head + b"\r\n\r\n", 304, fields, b""), rest
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


def decoded(answer: Answer) -> bytes:
    """The body as it was before its Content-Encoding. Raises Wrong when it is none, or one that
    nobody asked for.
    """
    coding = answer.fields.get(b"content-encoding", b"identity").decode("latin-1")
    try:
        if coding == "identity":
            return answer.body
        if coding == "gzip":
            return gzip.decompress(answer.body)
        if coding == "br":
            import brotli

            return bytes(brotli.decompress(answer.body))
        if coding == "zstd":
            import zstandard

            return bytes(zstandard.ZstdDecompressor().decompressobj().decompress(answer.body))
    except ImportError as error:
        raise Wrong(f"{coding} cannot be decoded here: {error}") from error
    except Exception as error:  # brotli and zstandard have classes of their own
        raise Wrong(f"the body is not {coding}: {error}") from error
    raise Wrong(f"the coding {coding!r} was not asked for")


def exchange(
    port: int, request: bytes, timeout: float = 5, count: int = 1, status: int = 200
) -> list[Answer]:
    """Sends the request `count` times in one write; gives the answers. Raises OSError, or Wrong
    when one has another status.
    """
    with socket.create_connection(("127.0.0.1", port), timeout) as stream:
        stream.sendall(request * count)
        answers, rest = [], b""
        for _ in range(count):
            answer, rest = read_answer(stream, rest)
            if answer.status != status:
                raise Wrong(f"status {answer.status}, body {answer.body[:60]!r}")
            answers.append(answer)
        if rest:
            raise Wrong(f"bytes after the last answer: {rest[:60]!r}")
        if b"connection: close" in request.lower() and stream.recv(1):
            raise Wrong("bytes where the connection should end")
    return answers
