"""Addresses of the Internet as lists have them: one, a network, or from one to another.

An address is 16 bytes here, one of IPv4 mapped into IPv6 (::ffff:a.b.c.d, RFC 4291 §2.5.5.2): that
is how a socket that listens to both gives it. The standard library's ipaddress does more, and takes
8 ms to import.
"""

from __future__ import annotations

import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    # First and last, both included.
    Range = tuple[bytes, bytes]

_MAPPED = b"\0" * 10 + b"\xff\xff"
_MAPPED_FIRST = int.from_bytes(_MAPPED + b"\0" * 4, "big")
_MAPPED_LAST = _MAPPED_FIRST + 0xFFFFFFFF
_LAST = (1 << 128) - 1

# The longest text: 45 characters an address, two of them and a sign between.
TEXT_SIZE_MAX = 100


def parse_address(text: str) -> bytes:
    """The 16 bytes of an address of IPv4 or IPv6. ValueError if it is none."""
    try:
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text)
        return _MAPPED + socket.inet_pton(socket.AF_INET, text)
    except (OSError, ValueError):       # ValueError: a NUL in it
        raise ValueError(f"{text!r} is no IP address") from None


def parse_ranges(text: str) -> tuple[Range, ...]:
    """What an entry of a list covers: `1.2.3.4`, `1.2.3.0/24`, `2001:db8::/32`,
    `1.2.3.4-1.2.3.9`. ValueError says what is wrong with it.

    Bits below a network's size are ignored (1.2.3.4/24 is 1.2.3.0/24), as by nginx. A network of
    IPv6 does not cover IPv4, not even ::/0; that is why there may be two ranges.
    """
    if len(text) > TEXT_SIZE_MAX:
        raise ValueError("that is too long for an address")
    head, slash, size = text.partition("/")
    if slash:
        return _network(text, parse_address(head), size)
    head, dash, tail = text.partition("-")
    first = parse_address(head.strip())
    if not dash:
        return ((first, first),)
    last = parse_address(tail.strip())
    if is_ipv4(first) != is_ipv4(last):
        raise ValueError(f"{text!r} begins in one version of IP and ends in the other")
    if last < first:
        raise ValueError(f"{text!r} ends before it begins")
    return _without_ipv4(int.from_bytes(first, "big"), int.from_bytes(last, "big"))


def _network(text: str, address: bytes, size: str) -> tuple[Range, ...]:
    is_short = is_ipv4(address) and ":" not in text
    limit = 32 if is_short else 128
    if not (size.isascii() and size.isdigit() and len(size) <= 3 and int(size) <= limit):
        raise ValueError(f"{text!r}: a network has 0 to {limit} bits after its '/', not {size!r}")
    free = limit - int(size)
    first = int.from_bytes(address, "big") >> free << free
    return _without_ipv4(first, first + (1 << free) - 1)


def _without_ipv4(first: int, last: int) -> tuple[Range, ...]:
    """Cuts the mapped addresses out of a range that has others too."""
    if first >= _MAPPED_FIRST and last <= _MAPPED_LAST:
        return (_range(first, last),)
    pieces = ((first, min(last, _MAPPED_FIRST - 1)), (max(first, _MAPPED_LAST + 1), last))
    return tuple(_range(low, high) for low, high in pieces if low <= high)


def _range(first: int, last: int) -> Range:
    return first.to_bytes(16, "big"), last.to_bytes(16, "big")


def is_ipv4(address: bytes) -> bool:
    """Whether 16 bytes stand for an address of IPv4."""
    return address.startswith(_MAPPED)


def blockable(text: str) -> str:
    """What to block for a peer: its address; of IPv6 its /64, since one subscriber has as many
    addresses as that and may take another each time. What has a "/" already is left alone.
    """
    if "/" in text:
        return text
    address = parse_address(text)
    if is_ipv4(address):
        return socket.inet_ntop(socket.AF_INET, address[12:])
    return socket.inet_ntop(socket.AF_INET6, address[:8] + b"\0" * 8) + "/64"


def covers(outer: tuple[Range, ...], inner: tuple[Range, ...]) -> bool:
    """Whether every address of `inner` is in `outer`."""
    return all(any(low <= first and last <= high for low, high in outer) for first, last in inner)
