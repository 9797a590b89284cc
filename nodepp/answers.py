"""What a client makes of the bytes that a server sends: a strict reader of HTTP/1.1 answers.

A leaf of testing.py, so that a test sees what a browser would, or an exception that says what is
wrong with it. Never used by a server.
"""

from __future__ import annotations

from http.cookies import SimpleCookie

from .errors import NodeppError
from .library import library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

INTERIM_COUNT_MAX = 16  # 1xx answers before the real one
HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")
TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class ProtocolError(NodeppError):
    """What came back is not an HTTP/1.1 answer. The message quotes what was wrong."""


class Headers:
    """The fields of an answer, in order. Names are compared without case."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.pairs = list(pairs)

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of the first field of that name."""
        for key, value in self.pairs:
            if key.lower() == name.lower():
                return value
        return default

    def getlist(self, name: str) -> list[str]:
        """The values of all fields of that name."""
        return [value for key, value in self.pairs if key.lower() == name.lower()]

    def items(self) -> list[tuple[str, str]]:
        """(name, value) of every field, as they came."""
        return list(self.pairs)

    def keys(self) -> list[str]:
        """The names as they came, repeated ones repeated."""
        return [key for key, _ in self.pairs]

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"Headers({self.pairs!r})"


class Response:
    """An answer as a client gets it.

    status, reason, headers, body (bytes, chunks joined); text and json() of the body; url of the
    request that it answers;
    history: the redirections followed on the way; interim: the statuses of 1xx answers before it.
    """

    def __init__(self, status: int, reason: str, headers: Headers, body: bytes) -> None:
        self.status = status
        self.reason = reason
        self.headers = headers
        self.body = body
        self.url = ""
        self.history: list[Response] = []
        self.interim: list[int] = []

    @property
    def content_type(self) -> str:
        """The media type, without parameters, in lower case; "" without one."""
        return (self.headers.get("content-type") or "").partition(";")[0].strip().lower()

    @property
    def text(self) -> str:
        """The body, decoded by the charset of its Content-Type, else as UTF-8. Raises
        UnicodeDecodeError if it is not.
        """
        charset = "utf-8"
        for parameter in (self.headers.get("content-type") or "").split(";")[1:]:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "charset":
                charset = value.strip().strip('"')
        return self.body.decode(charset)

    def json(self) -> Any:
        """The object that the body is the JSON of. Raises ValueError if it is none."""
        return library("json").loads(self.body)

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies that this answer sets, name to value."""
        found = {}
        for line in self.headers.getlist("set-cookie"):
            for name, morsel in SimpleCookie(line).items():
                found[name] = morsel.value
        return found

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.reason}, {len(self.body)} bytes>"


class Reader:
    """Reads one HTTP/1.1 answer from bytes as they come, stricter than browsers are: CRLF only, no
    folding, one framing, nothing after the end.
    """

    def __init__(self, method: str) -> None:
        self.data = bytearray()
        self._method = method
        self._response: Response | None = None
        self._interim: list[int] = []
        self._chunked = False
        self._size: int | None = None  # bytes of the body, None: until the end of the connection
        self._has_body = True

    def feed(self, piece: bytes) -> bool:
        """Takes bytes, b"" for the end of the connection. True when the answer is complete. Raises
        ProtocolError.
        """
        self.data += piece
        while self._response is None:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                if not piece:
                    raise ProtocolError(
                        f"the connection ended within the head: {bytes(self.data[:200])!r}"
                    )
                return False
            head = bytes(self.data[:end])
            del self.data[: end + 4]
            self._read_head(head)
        return self._read_body(at_end=not piece)

    def response(self) -> Response:
        """The answer; only after feed() gave True."""
        if self._response is None:
            raise ProtocolError("the answer is not complete")
        self._response.interim = self._interim
        return self._response

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        status = first[9:12]
        if (
            first[:9] != b"HTTP/1.1 "
            or not status.isdigit()
            or len(status) != 3
            or first[12:13] != b" "
        ):
            raise ProtocolError(f"no status line: {first[:200]!r}")
        pairs = [self._read_field(line) for line in lines]
        answer = Response(int(status), first[13:].decode("latin-1"), Headers(pairs), b"")
        if answer.status < 200:
            if len(self._interim) == INTERIM_COUNT_MAX:
                raise ProtocolError(f"more than {INTERIM_COUNT_MAX} interim answers")
            self._interim.append(answer.status)
            return
        self._response = answer
        self._read_framing(answer)

    @staticmethod
    def _read_field(line: bytes) -> tuple[str, str]:
        name, colon, value = line.partition(b":")
        if not colon or not name or not TOKEN.issuperset(name):
            raise ProtocolError(f"no field: {line[:200]!r}")
        if any((byte < 32 and byte != 9) or byte == 127 for byte in value):
            raise ProtocolError(f"a control character in a field: {line[:200]!r}")
        return name.decode("ascii"), value.strip(b" \t").decode("latin-1")

    def _read_framing(self, answer: Response) -> None:
        """How the body ends, RFC 9112 §6.3."""
        lengths = answer.headers.getlist("content-length")
        codings = answer.headers.getlist("transfer-encoding")
        if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
            raise ProtocolError(f"framed twice: {answer.headers!r}")
        if codings and codings[0].lower() != "chunked":
            raise ProtocolError(f"unknown transfer coding {codings[0]!r}")
        if lengths and not (lengths[0].isascii() and lengths[0].isdigit()):
            raise ProtocolError(f"bad length {lengths[0]!r}")
        if answer.status in (204, 304) and (codings or (lengths and answer.status == 204)):
            raise ProtocolError(f"{answer.status} with a body: {answer.headers!r}")
        self._has_body = self._method != "HEAD" and answer.status not in (204, 304)
        self._chunked = bool(codings)
        self._size = int(lengths[0]) if lengths else None

    def _read_body(self, at_end: bool) -> bool:
        answer = self.response()
        if not self._has_body:
            self.refuse(bytes(self.data))
            return True
        if self._chunked:
            return self._read_chunks(answer, at_end)
        if self._size is None:
            if at_end:
                answer.body = bytes(self.data)
            return at_end
        if len(self.data) < self._size:
            if at_end:
                raise ProtocolError(
                    f"the connection ended after {len(self.data)} of {self._size} bytes"
                )
            return False
        answer.body = bytes(self.data[: self._size])
        del self.data[: self._size]
        self.refuse(bytes(self.data))
        return True

    def _read_chunks(self, answer: Response, at_end: bool) -> bool:
        # Offsets into the data, which is cut once: cutting it after each chunk is quadratic for
        # many small ones.
        body = bytearray()
        position = 0
        is_whole = False
        while not is_whole:
            end = self.data.find(b"\r\n", position)
            if end < 0:
                break
            line = bytes(self.data[position:end])
            if not line or not HEXADECIMAL.issuperset(line):
                raise ProtocolError(f"bad size of a chunk: {line[:50]!r}")
            size = int(line, 16)
            start = end + 2
            if len(self.data) < start + size + 2:
                break
            if self.data[start + size : start + size + 2] != b"\r\n":
                raise ProtocolError(f"no CRLF after a chunk of {size} bytes")
            body += self.data[start : start + size]
            position = start + size + 2
            is_whole = size == 0
        del self.data[:position]
        answer.body += bytes(body)
        if is_whole:
            self.refuse(bytes(self.data))
        elif at_end:
            raise ProtocolError("the connection ended within a chunk")
        return is_whole

    def refuse(self, rest: bytes) -> None:
        """Raises ProtocolError for bytes that came after the answer was complete."""
        if rest:
            raise ProtocolError(f"bytes after the end of the answer: {rest[:200]!r}")
