"""Reads the wire cases of tests/wire/: requests as prose and bytes. Its README describes the form.

A mistake in a file is an error here, with file and line, never a case that silently tests nothing.
"""

from __future__ import annotations

import functools
import pathlib
import re
from dataclasses import dataclass, field

FOLDER = pathlib.Path(__file__).parent / "wire"

FINALS = ("open", "waiting", "close")
SEEN_KEYS = ("path", "query", "host", "body", "version")

ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|([0-9]+)\{([^}]*)\}|([rntse\\]))")
LETTERS = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"s": b" ", b"\\": b"\\"}
RESPONSE = re.compile(r"([1-5][0-9][0-9])(\?)?(?: ([^ ]+) ([^ ]+)( static)?)?")
PART = re.compile(r"part (bytes [0-9]+-[0-9]+/[0-9]+)")


@dataclass
class Expected:
    """One response: its status, what the application was given, what the response holds."""

    status: int
    optional: bool = False
    method: str = ""                 # empty: refused, the application saw nothing
    target: bytes = b""
    seen: dict[str, bytes] = field(default_factory=dict)
    saw_fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    fields: dict[str, str | None] = field(default_factory=dict)      # None: absent, "*": any
    reply: bytes | None = None
    parts: list[tuple[str, bytes]] = field(default_factory=list)     # Content-Range, content
    static: bool = False             # answered from the snapshot: the application saw nothing

    @property
    def interim(self) -> bool:
        return self.status < 200

    @property
    def reaches_application(self) -> bool:
        return bool(self.method)


@dataclass
class Case:
    theme: str
    title: str
    variant: str
    why: str
    segments: list[bytes]            # what is sent; between two the client waits for the server
    half_close: bool                 # the client shuts down its side at the end
    responses: list[Expected]
    final: str

    @property
    def data(self) -> bytes:
        return b"".join(self.segments)

    @property
    def name(self) -> str:
        slug = re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")
        variant = f"[{self.variant[:80]}]" if self.variant else ""
        return f"{self.theme}: {slug}{variant}"

    def __repr__(self) -> str:
        return self.name


class WireError(ValueError):
    """A wire file that does not follow its own form."""


def unescape(text: str, where: str) -> bytes:
    """The bytes that a line of a wire block stands for."""
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        raise WireError(f"{where}: bytes above 0x7f are written \\xHH") from None

    def replace(match: re.Match[bytes]) -> bytes:
        if match[1]:
            return bytes.fromhex(match[1].decode())
        if match[2]:
            return unescape(match[3].decode(), where) * int(match[2])
        return LETTERS[match[4]]

    if b"\\" in ESCAPE.sub(b"", raw):
        raise WireError(f"{where}: a backslash that escapes nothing in {text!r}")
    return ESCAPE.sub(replace, raw)


def parse_response(line: str, where: str) -> Expected:
    match = RESPONSE.fullmatch(line)
    if match is None:
        raise WireError(f"{where}: not an outcome: {line!r}")
    status, optional, method, target, static = match.groups()
    expected = Expected(int(status), bool(optional), method or "", unescape(target or "", where))
    expected.static = bool(static)
    if not method and 200 <= expected.status < 400:
        raise WireError(f"{where}: a success names its method and target")
    return expected


def parse_detail(expected: Expected, line: str, where: str) -> None:
    key, colon, value = line.strip().partition(":")
    value = value.strip(" ")
    if key.startswith("-") and not colon:
        expected.fields[key[1:]] = None
    elif key in SEEN_KEYS:
        expected.seen[key] = unescape(value, where)
    elif key == "reply":
        expected.reply = unescape(value, where)
    elif match := PART.fullmatch(key):
        expected.parts.append((match[1], unescape(value, where)))
    elif key.startswith("saw "):
        expected.saw_fields.append((key[4:].encode(), unescape(value, where)))
    elif key[:1].isupper() and colon:
        expected.fields[key] = value
    else:
        raise WireError(f"{where}: neither seen nor a response field: {line!r}")


def parse_request(lines: list[str], where: str) -> tuple[list[bytes], bool]:
    half_close = bool(lines) and lines[-1] == "EOF"
    segments = [b""]
    for line in lines[:-1] if half_close else lines:
        if line.endswith((" ", "\t")):
            raise WireError(f"{where}: white space at the end of {line!r} is written \\s or \\t")
        if line == "...":
            segments.append(b"")
        else:
            segments[-1] += unescape(line, where)
    return segments, half_close


def parse_block(lines: list[str], variant: str, where: str) -> dict:
    """One block with its variant put in: the fields of a Case that the block decides."""
    lines = [line.replace("\\@", variant) for line in lines]
    if lines.count("---") != 1:
        raise WireError(f"{where}: one line --- between bytes and outcome")
    middle = lines.index("---")
    segments, half_close = parse_request(lines[:middle], where)
    *outcome, final = lines[middle + 1:]
    if final not in FINALS:
        raise WireError(f"{where}: the last line is one of {', '.join(FINALS)}, not {final!r}")
    responses: list[Expected] = []
    for line in outcome:
        if line.startswith("  "):
            if not responses:
                raise WireError(f"{where}: a detail before its response: {line!r}")
            parse_detail(responses[-1], line, where)
        else:
            responses.append(parse_response(line, where))
    return {"segments": segments, "half_close": half_close, "responses": responses, "final": final}


def parse_theme(path: pathlib.Path) -> list[Case]:
    cases: list[Case] = []
    title, why, block = "", [], None
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        where = f"{path.name}:{number}"
        if block is not None:
            if line == "```":
                cases += expand(path.stem, title, "\n".join(why).strip(), block, where)
                title, block = "", None
            else:
                block.append(line)
        elif line == "```wire":
            if not title:
                raise WireError(f"{where}: a block without a title of its own")
            block = []
        elif line.startswith("## "):
            if title:
                raise WireError(f"{where}: the case above has no block")
            title, why = line[3:], []
        elif title:
            why.append(line)
    if title or block is not None:
        raise WireError(f"{path.name}: the last case has no end")
    return cases


def expand(theme: str, title: str, why: str, block: list[str], where: str) -> list[Case]:
    if not why:
        raise WireError(f"{where}: {title!r} does not say why")
    variants = [""]
    if block and block[0].startswith("each: "):
        variants = [part.strip(" ") for part in block[0][6:].split(" | ")]
        block = block[1:]
        if len(set(variants)) != len(variants):
            raise WireError(f"{where}: a variant of {title!r} stands twice")
    return [
        Case(theme, title, variant, why, **parse_block(block, variant, where))
        for variant in variants
    ]


@functools.cache
def themes() -> dict[str, list[Case]]:
    """All cases by theme."""
    files = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
    return {path.stem: parse_theme(path) for path in files}


def all_cases() -> list[Case]:
    return [case for cases in themes().values() for case in cases]
