"""The conversation of the test client with its engine: bytes one way, an answer the other."""

from __future__ import annotations

import time

from .answers import Reader, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from ._core import Engine

RECEIVE_SIZE = 65536  # bytes per recv


def _receive(ours: socket.socket) -> bytes | None:
    """What has come, None if nothing has, b"" at the end of the connection."""
    try:
        return ours.recv(RECEIVE_SIZE)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


def converse(
    engine: Engine, ours: socket.socket, data: bytes, method: str, timeout: float
) -> Response:
    """Writes data and turns the engine until the answer is complete."""
    reader = Reader(method)
    deadline = time.monotonic() + timeout
    unsent = memoryview(data)
    while True:
        moved = False
        try:
            sent_count = ours.send(unsent[:RECEIVE_SIZE]) if unsent else 0
        except BlockingIOError:
            sent_count = 0
        except (BrokenPipeError, ConnectionResetError):
            unsent, sent_count = (
                unsent[:0],
                0,
            )  # answered before all was read: the answer is what counts
        unsent = unsent[sent_count:]
        moved = sent_count > 0
        # Turns that find nothing wait a little, so that a slow handler's thread or timer is not
        # starved of the CPU.
        moved = engine.turn(0) > 0 or moved
        piece = _receive(ours)
        if piece is not None:
            if reader.feed(piece):
                engine.turn(0)
                reader.refuse(_receive(ours) or b"")
                return reader.response()
            moved = True
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"no whole answer in {timeout:g} s; got {bytes(reader.data[:200])!r}"
            )
        if not moved:
            engine.turn(5)


def end(engine: Engine) -> None:
    """Lets the engine notice that its peer is gone: iterators are closed, spooled files removed."""
    engine.stop(0)
    for _ in range(8):
        if not engine.connection_count:
            break
        engine.turn(0)
    engine.close()
