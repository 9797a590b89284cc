"""A strict reader of responses: it takes what RFC 9110 and 9112 allow a server to send, no more."""

from __future__ import annotations

import email.utils
import re
from dataclasses import dataclass, field


class ResponseError(AssertionError):
    """The server sent what RFC 9110 or 9112 forbids."""


@dataclass
class Response:
    status: int
    reason: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def get(self, name: str) -> str | None:
        values = [value for key, value in self.fields if key.lower() == name.lower()]
        return ", ".join(values) if values else None


STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) ([\t\x20-\x7e\x80-\xff]*)")
FIELD_LINE = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*"
    rb"((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*"
)
DATE = re.compile(
    r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), [0-3][0-9] "
    r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [0-9]{4} "
    r"[0-2][0-9]:[0-5][0-9]:[0-6][0-9] GMT"
)
ETAG = re.compile(r'(?:W/)?"[\x21\x23-\x7e]*"')
SINGLE = (
    "accept-ranges",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "date",
    "etag",
    "expires",
    "last-modified",
    "location",
    "retry-after",
    "server",
    "transfer-encoding",
)


def read_responses(data: bytes, methods=(), closed: bool = False) -> tuple[list[Response], bytes]:
    """The complete responses at the front of `data`, and the rest.

    `methods` are those of the requests in order, for HEAD; `closed` says that nothing will follow.
    """
    rest = bytes(data)
    responses: list[Response] = []
    pending = list(methods)
    while rest:
        method = pending[0] if pending else "GET"
        taken = read_response(rest, method, closed)
        if taken is None:
            break
        response, rest = taken
        responses.append(response)
        if response.status >= 200 and pending:
            pending.pop(0)
    return responses, rest


def read_response(data: bytes, method: str, closed: bool) -> tuple[Response, bytes] | None:
    """One response and what follows it; None while it is incomplete."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    status_line, *lines = head.split(b"\r\n")
    match = STATUS_LINE.fullmatch(status_line)
    if match is None:
        raise ResponseError(f"not a status line: {status_line!r}")
    response = Response(int(match[1]), match[2].decode("latin-1"))
    for line in lines:
        match = FIELD_LINE.fullmatch(line)
        if match is None:
            raise ResponseError(f"not a field line: {line!r}")
        response.fields.append((match[1].decode(), match[2].decode("latin-1")))
    check_head(response, method)
    return read_content(response, method, rest, closed)


def check_head(response: Response, method: str) -> None:
    """What holds for every response."""
    status = response.status
    names = [name.lower() for name, _ in response.fields]
    framed = "content-length" in names or "transfer-encoding" in names
    for name in SINGLE:
        if names.count(name) > 1:
            raise ResponseError(f"{status}: {name} stands twice")
    date = response.get("date")
    if date is None and 200 <= status < 500:
        raise ResponseError(f"{status}: no Date; RFC 9110 §6.6.1 wants one")
    if date is not None and not DATE.fullmatch(date):
        raise ResponseError(f"{status}: Date is {date!r}, not an IMF-fixdate, RFC 9110 §5.6.7")
    if (status < 200 or status == 204) and framed:
        raise ResponseError(f"{status}: RFC 9110 §8.6, RFC 9112 §6.1 forbid framing fields here")
    if "content-length" in names and "transfer-encoding" in names:
        raise ResponseError(f"{status}: two framings, RFC 9112 §6.2")
    if status == 405 and "allow" not in names:
        raise ResponseError("405 without Allow, RFC 9110 §15.5.6")
    check_validators(response)
    length = response.get("content-length")
    if length is not None and not re.fullmatch(r"0|[1-9][0-9]*", length):
        raise ResponseError(f"Content-Length: {length!r}")


def check_validators(response: Response) -> None:
    """What holds for tags, dates and ranges, wherever they stand."""
    status = response.status
    etag = response.get("etag")
    if etag is not None and not ETAG.fullmatch(etag):
        raise ResponseError(f"{status}: ETag: {etag!r}, RFC 9110 §8.8.3")
    modified, date = seconds(response, "last-modified"), seconds(response, "date")
    if modified is not None and date is not None and modified > date:
        raise ResponseError(f"{status}: Last-Modified is after Date, RFC 9110 §8.8.2.1")
    expires = response.get("expires")
    age = re.search(r"max-age=([0-9]+)", response.get("cache-control") or "")
    if age and expires and seconds(response, "expires") != date + int(age[1]):
        raise ResponseError(f"{status}: Expires is {expires}, at {response.get('date')}, {age[0]}")
    if response.get("content-encoding") == "identity":
        raise ResponseError(f"{status}: identity is no coding to name, RFC 9110 §8.4.1")
    content_range = response.get("content-range")
    multipart = (response.get("content-type") or "").startswith("multipart/byteranges")
    if status == 206 and (content_range is None) != multipart:
        raise ResponseError(f"206: Content-Range {content_range!r}, RFC 9110 §15.3.7")
    if status == 206 and content_range is not None:
        if range_size(content_range) != int(response.get("content-length")):
            raise ResponseError(f"206: {content_range} has another length")
    elif content_range is not None and status != 416:
        raise ResponseError(f"{status}: Content-Range means nothing here, RFC 9110 §14.4")


def seconds(response: Response, name: str) -> int | None:
    """A date field in seconds since 1970; None if it is not there."""
    value = response.get(name)
    if value is None:
        return None
    if not DATE.fullmatch(value):
        raise ResponseError(f"{response.status}: {name}: {value!r} is no IMF-fixdate")
    return int(email.utils.parsedate_to_datetime(value).timestamp())


def range_size(content_range: str) -> int:
    match = re.fullmatch(r"bytes ([0-9]+)-([0-9]+)/([0-9]+)", content_range)
    if match is None or not int(match[1]) <= int(match[2]) < int(match[3]):
        raise ResponseError(f"Content-Range: {content_range!r}, RFC 9110 §14.4")
    return int(match[2]) - int(match[1]) + 1


def read_parts(response: Response) -> list[tuple[str, bytes]]:
    """(Content-Range, content) of each part of a multipart/byteranges, RFC 9110 §14.6."""
    content_type = response.get("content-type") or ""
    match = re.fullmatch(r"multipart/byteranges; ?boundary=([0-9A-Za-z'()+_./:=?-]{1,70})",
                         content_type)
    if match is None:
        raise ResponseError(f"Content-Type: {content_type!r}")
    delimiter = b"\r\n--" + match[1].encode()
    preamble, *parts, end = (b"\r\n" + response.body).split(delimiter)
    # An empty line before the first delimiter is an empty preamble, RFC 2046 §5.1.1.
    if preamble not in (b"", b"\r\n") or not re.fullmatch(rb"--(?:\r\n)?", end):
        raise ResponseError(f"what is around the parts: {preamble!r}, {end!r}")
    found = []
    for part in parts:
        head, blank, content = part.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")[1:]
        fields = dict(line.decode().lower().split(": ", 1) for line in lines)
        if not head.startswith(b"\r\n") or not blank or "content-type" not in fields:
            raise ResponseError(f"the head of a part: {head!r}")
        if range_size(fields["content-range"]) != len(content):
            raise ResponseError(f"{fields['content-range']} holds {len(content)} bytes")
        found.append((fields["content-range"], content))
    return found


def read_content(
    response: Response, method: str, rest: bytes, closed: bool
) -> tuple[Response, bytes] | None:
    """RFC 9112 §6.3, as a client reads it."""
    if response.status < 200 or response.status in (204, 304) or method == "HEAD":
        return response, rest
    coding = response.get("transfer-encoding")
    if coding is not None:
        if coding != "chunked":
            raise ResponseError(f"Transfer-Encoding: {coding!r}")
        return read_chunks(response, rest)
    length = response.get("content-length")
    if length is None:
        if not closed:
            return None
        response.body = rest
        return response, b""
    if len(rest) < int(length):
        return None
    response.body = rest[: int(length)]
    return response, rest[int(length):]


def read_chunks(response: Response, rest: bytes) -> tuple[Response, bytes] | None:
    body = []
    while True:
        line, end, rest = rest.partition(b"\r\n")
        if not end:
            return None
        if not re.fullmatch(rb"[0-9a-fA-F]+", line):
            raise ResponseError(f"not a chunk size: {line!r}")
        size = int(line, 16)
        if len(rest) < size + 2:
            return None
        if rest[size: size + 2] != b"\r\n":
            raise ResponseError(f"chunk of {size} bytes is followed by {rest[size: size + 2]!r}")
        body.append(rest[:size])
        rest = rest[size + 2:]
        if size == 0:
            response.body = b"".join(body)
            return response, rest
