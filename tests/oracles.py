"""Two other readers of HTTP/1.1, and where we differ from them.

The law: what nodepp accepts as one request, h11 accepts as the same one request, of the same
bytes; and llhttp (httptools) understands it alike. The differences that are allowed stand in
`argued`, each with its reason; whatever is not there is a bug of ours until somebody argues.
"""

from __future__ import annotations

import re

import h11
import httptools

Understanding = dict                 # method, target, fields, body

def argued(reader: str, raw: bytes) -> str | None:
    """Why `reader` may refuse what we accept; None: it may not."""
    head, _, rest = strip_leading(raw).partition(b"\r\n\r\n")
    version = head.split(b"\r\n")[0][-8:]
    chunked = re.search(rb"(?i)\r\ntransfer-encoding:", head)
    if chunked and re.search(rb"(?:^|\r\n)[0-9A-Fa-f]+[ \t]*;[^\r\n]*\r\n", rest):
        # RFC 9112 §7.1.1 has BWS there, and RFC 9110 §5.6.3 says that it MUST be parsed. h11 takes
        # no blank before the ";", llhttp none at all, nor a tab or obs-text in a quoted value.
        return "chunk extensions"
    if reader == "llhttp" and version[:7] == b"HTTP/1." and version[7:] not in b"01":
        # RFC 9110 §2.5: a higher minor version is processed as the highest known.
        return "HTTP/1.2 and above"
    if reader == "llhttp" and re.search(rb"(?i)\r\ntransfer-encoding:.*\t", head):
        # RFC 9110 §5.5: OWS is SP and HTAB; llhttp trims only SP from a coding.
        return "a tab around a coding"
    if reader == "llhttp" and re.search(rb"(?i)\r\nupgrade:", head):
        return "llhttp stops at an upgrade and leaves the rest to its caller"
    return None


def strip_leading(raw: bytes) -> bytes:
    """RFC 9112 §2.2: a server SHOULD ignore empty lines before the request line. h11 does not."""
    for _ in range(2):
        if raw.startswith(b"\r\n"):
            raw = raw[2:]
    return raw


def read_with_h11(raw: bytes) -> Understanding | str:
    """What h11 makes of one request, or why it does not."""
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
    connection.receive_data(strip_leading(raw))
    understood: Understanding = {"body": b""}
    try:
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Request):
                understood["method"] = event.method
                understood["target"] = event.target
                understood["fields"] = [(bytes(n), bytes(v)) for n, v in event.headers]
            elif isinstance(event, h11.Data):
                understood["body"] += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return f"incomplete: {event!r}"
    except h11.RemoteProtocolError as error:
        return f"refused: {error}"
    left = connection.trailing_data[0]
    return f"left {left!r}" if left else understood


class Collector:
    """The callbacks that httptools wants."""

    def __init__(self) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self.body = b""
        self.complete = 0
        self.in_trailers = False

    def on_url(self, data: bytes) -> None:
        self.target += data

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.in_trailers:
            self.fields.append((name, value))

    def on_headers_complete(self) -> None:
        self.in_trailers = True

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete += 1


def read_with_llhttp(raw: bytes) -> Understanding | str:
    """What llhttp makes of one request, or why it does not."""
    collector = Collector()
    parser = httptools.HttpRequestParser(collector)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        return "refused: upgrade"
    except httptools.HttpParserError as error:
        return f"refused: {error}"
    if collector.complete != 1:
        return f"understood {collector.complete} requests"
    return {
        "method": parser.get_method(),
        "target": collector.target,
        "fields": collector.fields,
        "body": collector.body,
    }


def comparable(understood: Understanding) -> Understanding:
    """Without what the readers spell differently: the case of names and of codings, leading zeros,
    and white space after a value, which llhttp leaves to its caller."""
    fields = []
    for name, value in understood["fields"]:
        lower = bytes(name).lower()
        value = value.rstrip(b" \t")
        if lower == b"transfer-encoding":
            value = value.lower()
        elif lower == b"content-length":
            value = value.lstrip(b"0") or b"0"
        fields.append((lower, bytes(value)))
    return {
        "method": bytes(understood["method"]),
        "target": bytes(understood["target"]),
        "fields": fields,
        "body": bytes(understood["body"]),
    }


def disagreement(ours: Understanding, raw: bytes) -> str | None:
    """What is wrong with a request that we accepted; `raw` are exactly its bytes. None: nothing."""
    for reader, read in (("h11", read_with_h11), ("llhttp", read_with_llhttp)):
        theirs = read(raw)
        if isinstance(theirs, str):
            if argued(reader, raw) is None:
                return f"{reader}: {theirs}: {raw[:300]!r}"
        elif comparable(theirs) != comparable(ours):
            return f"{reader} reads {comparable(theirs)}, we {comparable(ours)}: {raw[:300]!r}"
    return None


def disagreements(data: bytes, parsed: list[Understanding]) -> list[str]:
    """Over all requests of one connection; `parsed` is what probe_parse_all gave for `data`."""
    found = []
    start = 0
    for entry in parsed:
        if entry["outcome"] != "complete":
            break
        raw = data[start:start + entry["consumed"]]
        start += entry["consumed"]
        wrong = disagreement(entry, raw)
        if wrong:
            found.append(wrong)
    return found
