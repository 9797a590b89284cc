"""What callgrind runs for micro.py: an engine in this process, asked over a socket pair.

    bench/drive.py CASE COUNT

COUNT requests of the case, without a network.
"""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import places
import workloads
from workload import Workload, asking_again, with_cookie

TURNS_MAX = 1000  # for one answer; more is a failure
SESSION_COUNT = 16  # that take turns: a connection's last session is not that of its next request
ACCESS_RULES = {"members": [("", "/member", 10)]}  # of the application, as the server hands them


@dataclass(frozen=True)
class Case:
    """A workload, and the files that lie beside it."""

    workload: str
    home: Path = places.SITE


# Most are workloads under their own names. Then a route with no file and with a thousand: what it
# costs that its path is looked up among the files first.
CASES = {
    **{name: Case(name) for name in workloads.WORKLOADS},
    "params-no-files": Case("params", places.BARE),
    "params-1000-files": Case("params", places.WEBSITE),
}


def drive(name: str, count: int) -> None:
    """Answers `count` requests of a case in this process."""
    import socket

    case = CASES[name]
    workload = workloads.WORKLOADS[case.workload]
    engine = engine_of(workload, case.home)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    ours.setblocking(False)
    engine.adopt(theirs.detach(), ("127.0.0.1", 50000))
    workload, requests = asked(engine, ours, workload)
    for number in range(count):
        ours.sendall(requests[number % len(requests)])
        answer_taken(engine, ours, workload)
    ours.close()
    os._exit(0)  # nothing of the end is of interest


def engine_of(workload: Workload, home: Path) -> Any:
    """An open engine with the workload's application and files, and a session table if it has
    sessions.
    """
    from nodepp import _core
    from nodepp.statics.collection import Statics
    from nodepp.statics.options import Options

    sys.path.insert(0, str(places.APPS))
    app = import_module(f"nodepp_{workload.app}").app
    folder = str(home / "res") if home != places.BARE else ""
    statics = Statics(app, Options(res=folder, static_cache=str(places.CACHE)))
    settings = {"max_connections": 8, "reserved_descriptors": 0, "poller": "epoll"}
    if workload.begin:
        settings["sessions"] = _core.SessionTable(1000)
        settings["auth_rules"] = ACCESS_RULES.get(workload.app, [])
    engine = _core.Engine(settings, app.freeze(), app.host)
    engine.publish(statics.load())
    engine.open([])
    return engine


def asked(engine: Any, ours: Any, workload: Workload) -> tuple[Workload, list[bytes]]:
    """The requests that are sent by turns, and the workload as their answers are."""
    if workload.conditional:
        ours.sendall(workload.request)
        etag = field_of(answer_taken(engine, ours, workload), b"etag")
        workload = asking_again(workload, etag)
    requests = [workload.request * workload.depth]
    if workload.begin:
        requests = []
        for _ in range(SESSION_COUNT):
            ours.sendall(workload.begin)
            cookie = field_of(answer_taken(engine, ours, workload), b"set-cookie").partition(b";")
            if not cookie[0]:
                raise SystemExit(f"{workload.name}: a new visitor was given no cookie")
            requests.append(with_cookie(workload.request, cookie[0].decode()))
    return workload, requests


def field_of(answer: bytes, name: bytes) -> bytes:
    found = re.search(rb"\r\n" + name + rb": *([^\r]*)", answer, re.I)
    return found.group(1) if found else b""


def answer_taken(engine: Any, ours: Any, workload: Workload) -> bytes:
    """Turns the engine until all answers are here. They are counted by their status lines."""
    data, begin = b"", b"HTTP/1.1 %d " % workload.status
    for _ in range(TURNS_MAX):
        engine.turn(0)
        try:
            data += ours.recv(1 << 20)
        except BlockingIOError:
            continue
        head, _, body = data.rpartition(begin)[2].partition(b"\r\n\r\n")
        size = re.search(rb"content-length: *(\d+)", head, re.I)
        whole = workload.status == 304 or (size and len(body) == int(size.group(1)))
        if whole and data.count(begin) == workload.depth and b"\r\n\r\n" in data:
            coding = re.search(rb"content-encoding: *(\w+)", head, re.I)
            if bool(coding) != bool(workload.codings):
                raise SystemExit(f"{workload.name}: the wrong coding: {head!r}")
            return data
    raise SystemExit(f"{workload.name}: no answer in {TURNS_MAX} turns; so far {data[:200]!r}")


if __name__ == "__main__":
    drive(sys.argv[1], int(sys.argv[2]))
