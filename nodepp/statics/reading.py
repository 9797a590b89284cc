"""Reading one file whole: never a part of one version and a part of another.

Written as generators that yield after every piece of work, so that a running server reads a large
file between two turns of its loop, and a starting one without a pause.
"""

from __future__ import annotations

import os
import stat

try:
    from _blake2 import blake2b  # hashlib loads OpenSSL as well: 8 ms
except ImportError:
    from hashlib import blake2b

from .tree import signature_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Optional, TypeVar

    T = TypeVar("T")
    Steps = Generator[None, None, T]

# Bytes read or hashed at a time: about a millisecond, a fifth of the slice that a server gives.
PIECE_SIZE = 1 << 20


class Unsettled(Exception):
    """The file changed while it was read: somebody is writing it."""


class Content:
    """What was read: body is None where the file is larger than it may be. signature: of exactly
    that version.
    """

    __slots__ = ("body", "signature")

    def __init__(self, body: Optional[bytes], signature: tuple[int, int, int, int]) -> None:
        self.body, self.signature = body, signature


def read(file: str, size_max: int) -> Steps[Optional[Content]]:
    """The bytes of a file that has size_max at most; None for what is no regular file.

    Raises OSError when it cannot be read and Unsettled when it is being written.
    """
    # O_NONBLOCK: a FIFO that has taken the file's place must not hold the server.
    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return None
        signature = signature_of(status)
        if status.st_size > size_max:
            return Content(None, signature)
        body = yield from _read_all(fd, status.st_size)
        if len(body) != status.st_size or signature_of(os.fstat(fd)) != signature:
            raise Unsettled(file)
        return Content(body, signature)
    finally:
        os.close(fd)


def _read_all(fd: int, size: int) -> Steps[bytes]:
    if size <= PIECE_SIZE:
        return os.read(fd, size)
    pieces = []
    while size > 0:
        piece = os.read(fd, min(PIECE_SIZE, size))
        if not piece:
            break
        pieces.append(piece)
        size -= len(piece)
        yield
    return b"".join(pieces)


def content_key(body: bytes) -> Steps[str]:
    """codings.content_key(), in pieces."""
    if len(body) <= PIECE_SIZE:
        return blake2b(body, digest_size=16).hexdigest()
    digest = blake2b(digest_size=16)
    view = memoryview(body)
    for start in range(0, len(body), PIECE_SIZE):
        digest.update(view[start : start + PIECE_SIZE])
        yield
    return digest.hexdigest()


def finish(steps: Steps[T]) -> T:
    """Runs a generator to its end, and gives what it returns."""
    while True:
        try:
            next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
