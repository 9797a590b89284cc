"""A connection of a living engine: bytes in pieces, calls that fail, and the end of the client."""

from __future__ import annotations

import errno
import socket

import common
import harness
from responsereader import read_responses

from nodepp import _core

server = harness.Server(
    "epoll", max_connections=8, max_payload=100_000, spool_size=1000, buffer_memory=1 << 20)
settle = server.idle


FAULTS = [("malloc", 0), ("recv", errno.ECONNRESET), ("recv", errno.EAGAIN), ("send", 0),
          ("send", errno.EAGAIN), ("send", errno.EPIPE), ("malloc", 0), ("recv", errno.EINTR)]


def arm(choice: int) -> None:
    """One call that fails, soon; and sends that are cut."""
    call, number = FAULTS[choice % len(FAULTS)]
    _core.probe_fault(call, 1 + choice // 8 % 8, number, 1 + choice // 64)
    _core.probe_send_limit(choice * 3 % 500)


def one_input(raw: bytes) -> None:
    faulty = len(raw) > 1 and raw[0] & 128
    if faulty:
        arm(raw[-1])
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    server.engine.adopt(theirs.detach(), ("127.0.0.1", 1))
    received = b""
    for piece in common.pieces(raw):
        if piece:
            send(ours, piece)
        settle()
        received += drain(ours)
    if raw[:1] and raw[0] & 64:
        ours.shutdown(socket.SHUT_WR)
        settle()
        received += drain(ours)
    ours.close()
    settle()
    server.app.seen.pop(1, None)
    if faulty:
        _core.probe_fault_clear()
    elif b"HEAD" not in raw:
        read_responses(received, ())           # raises what is no response
    if not harness.balanced(connections=True):
        raise AssertionError(f"left over: {_core.probe_balance()}")


def send(ours: socket.socket, piece: bytes) -> None:
    try:
        ours.send(piece)
    except (BrokenPipeError, ConnectionResetError):
        pass


def drain(ours: socket.socket) -> bytes:
    received = b""
    try:
        while data := ours.recv(1 << 16):
            received += data
    except (BlockingIOError, ConnectionResetError):
        pass
    return received


common.start(one_input)
