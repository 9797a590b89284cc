"""Measuring sessions still runs, and would notice a lost count. Nothing here looks at a time."""

from __future__ import annotations

import json
import os
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Callable

import pytest
from waiting import DEADLINE_S

BENCH = Path(__file__).resolve().parent.parent / "bench"

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads Linux's /proc"),
    pytest.mark.skipif(not shutil.which("cc"), reason="it compiles limit.c and load.c"),
]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of bench/ that know sessions, the two C programs built."""
    monkeypatch.syspath_prepend(str(BENCH))
    import exchange
    import jar
    import measure
    import peers
    import places
    import restart
    import sessions
    import workload
    import workloads

    places.prepare()
    return SimpleNamespace(
        exchange=exchange, measure=measure, peers=peers, places=places, restart=restart,
        sessions=sessions, jar=jar, workload=workload, workloads=workloads,
    )  # fmt: skip


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or not {0, 1} <= os.sched_getaffinity(0),
    reason="the server has one core, the client another",
)
def test_a_quick_run_of_sessions_gives_a_whole_result(tmp_path: Path) -> None:
    names = "session-100,session-100k,session-typed,session-add,session-member"
    command = [sys.executable, str(BENCH / "run.py"), "--quick", "--peers", "nodepp", "--no-plots",
               "--out", str(tmp_path), "--workloads", names + ",session-table,session-restart"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=10 * DEADLINE_S)
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "bench.json").read_text())
    for name, table in result["workloads"].items():
        row = next(row for row in table["rows"] if row["peer"] == "nodepp")
        assert row["error"] == "", name
        assert row["cpu_us"], name
    many = result["workloads"]["session-100k"]["bounds"]
    assert [bound["label"] for bound in many] == ["× the limit", "× without it"]
    assert all(bound["found"] for bound in many)
    assert result["session_table"]["error"] == ""
    assert [row["count"] for row in result["session_table"]["rows"]] == [100, 2000]
    restarts = result["session_restart"]
    assert [row["error"] for row in restarts["rows"]] == ["", "", ""]
    assert [bound["kept"] for bound in restarts["bounds"] if "missing" in bound["label"]] == [
        True, True]


@contextmanager
def counting_server(count_of: Callable[[str], int], split: bool = False) -> Iterator[int]:
    """Answers each request with count_of(its cookie), the head apart from the body if split. Gives
    its port.
    """
    def answer(stream: socket.socket) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                part = stream.recv(65536)
                if not part:
                    return
                data += part
            head, _, data = data.partition(b"\r\n\r\n")
            cookie = head.partition(b"Cookie: ")[2].partition(b"\r\n")[0].decode()
            body = b"%d" % count_of(cookie)
            fields = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n" % len(body)
            if not cookie:
                fields += b"Set-Cookie: as=new; HttpOnly\r\n"
            for piece in (fields + b"\r\n", body) if split else (fields + b"\r\n" + body,):
                stream.sendall(piece)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                answer(self.request)
            except OSError:
                pass  # the client has seen enough

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def visited(bench: Any, folder: Path, port: int, cookies: list[str], *options: str) -> Any:
    """What load.c says after asking that server with these cookies, on two connections."""
    (folder / "request").write_bytes(bench.workload.get("/"))
    (folder / "cookies").write_text("\n".join(cookies) + "\n")
    done = subprocess.run(
        [bench.places.BIN / "load", "--port", str(port), "--request", folder / "request",
         "--cookies", folder / "cookies", "--connections", "2", "--warmup", "0.01",
         "--seconds", "0.05", *options],
        input="\n\n", capture_output=True, text=True, timeout=DEADLINE_S)
    return json.loads(done.stdout.splitlines()[-1])


COOKIES = [f"as={name}" for name in "abcdefghijkl"]


@pytest.mark.parametrize("split", [False, True])
def test_each_session_counts_by_itself(bench: Any, tmp_path: Path, split: bool) -> None:
    counts = dict.fromkeys(COOKIES, 7)  # soon there are more digits than at first

    def count_of(cookie: str) -> int:
        counts[cookie] += 1
        return counts[cookie]

    with counting_server(count_of, split) as port:
        result = visited(bench, tmp_path, port, COOKIES, "--step", "1")
    assert result["errors"] == 0, result["message"]
    assert set(counts) == set(COOKIES)
    assert all(count > 9 for count in counts.values())


@pytest.mark.parametrize(
    "counts, step",
    [
        ([3, 4, 5, 5], 1),  # given twice
        ([3, 4, 6], 1),  # one was lost
        ([2, 2, 2, 3], 0),  # a cookie that does not change cannot count
        ([0], 1),
    ],
)
def test_a_count_that_cannot_follow_is_an_error(
    bench: Any, tmp_path: Path, counts: list[int], step: int
) -> None:
    given: dict[str, int] = {}

    def count_of(cookie: str) -> int:
        given[cookie] = given.get(cookie, -1) + 1
        return counts[min(given[cookie], len(counts) - 1)]

    with counting_server(count_of) as port:
        result = visited(bench, tmp_path, port, COOKIES, "--step", str(step))
    assert result["errors"] > 0
    assert "not the count" in result["message"]


def test_there_must_be_more_cookies_than_connections(bench: Any, tmp_path: Path) -> None:
    assert "Invalid argument" in visited(bench, tmp_path, 1, COOKIES[:2], "--step", "1")["error"]


def begun(bench: Any, count_of: Callable[[str], int], in_cookie: bool) -> Any:
    """What load.c is told of a server whose sessions count so."""
    visit = bench.workloads.WORKLOADS["session-100"]
    with counting_server(count_of) as port:
        peer = SimpleNamespace(name="one", state_in_cookie=in_cookie)
        return bench.jar.session_options(SimpleNamespace(port=port, peer=peer), visit)[-2:]


def test_counts_in_a_cookie_stay(bench: Any) -> None:
    def in_cookie(cookie: str) -> int:
        return 2 if cookie else 1

    assert begun(bench, in_cookie, in_cookie=True) == ["--step", "0"]


def test_one_session_for_all_visitors_is_wrong(bench: Any) -> None:
    with pytest.raises(bench.exchange.Wrong, match="one session"):
        begun(bench, lambda cookie: 1, in_cookie=False)


def test_a_first_count_that_is_lost_is_wrong(bench: Any) -> None:
    counts = chain([1] * 100, count(3))
    with pytest.raises(bench.exchange.Wrong, match="'3', b'4'"):
        begun(bench, lambda cookie: next(counts), in_cookie=True)


def test_peers_without_sessions_are_named_with_the_reason(bench: Any) -> None:
    peers, many = bench.peers.PEERS, bench.workloads.WORKLOADS["session-100k"]
    few = bench.workloads.WORKLOADS["session-100"]
    for name in ("limit", "nodepp", "flask", "starlette", "aiohttp"):
        assert bench.measure.unable(peers[name], few) == ""
    assert "no sessions" in bench.measure.unable(peers["nginx"], few)
    assert "session-100 is its figure" in bench.measure.unable(peers["flask"], many)
    assert bench.measure.unable(peers["nodepp"], many) == ""


def test_the_table_is_judged_where_there_are_bounds(bench: Any) -> None:
    row = {"count": 100_000, "find_cold": [140.0, 160.0, 150.0], "start": [9000.0],
           "reserved": 2300.0, "resident": 2200.0}
    found = {bound["label"]: bound["kept"] for bound in bench.sessions.bounds_of(row)}
    assert found == {
        "ns to find one, cold, 100,000 sessions": True,
        "ns to start one, 100,000 sessions": True,
        "bytes reserved for each, 100,000 sessions": False,
        "bytes resident of each, 100,000 sessions": True,
    }
    assert bench.sessions.bounds_of({**row, "count": 100}) == []


def test_a_restart_is_compared_with_that_of_its_round(bench: Any) -> None:
    Case = bench.restart.Case
    none = Case("none", Path("a"), 0, times=[10.0, 100.0])
    full = Case("full", Path("b"), 5, times=[20.0, 160.0], missing=1)
    failed = Case("failed", Path("c"), 5, error="it did not start")
    result = bench.restart.as_result([none, full, failed])
    added, missing = result["bounds"][:2]
    assert added["found"] == {"median": 35.0, "low": 10.0, "high": 60.0}
    assert (added["kept"], missing["kept"]) == (True, False)
    assert [bound["kept"] for bound in result["bounds"][2:]] == [None, None]
