"""The benchmark still runs, and would notice a wrong answer. Nothing here looks at a time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCH = Path(__file__).resolve().parent.parent / "bench"

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads Linux's /proc"),
    pytest.mark.skipif(not shutil.which("cc"), reason="it compiles limit.c and load.c"),
]
two_cores = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or not {0, 1} <= os.sched_getaffinity(0),
    reason="the server has one core, the client another",
)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The modules of bench/, the two C programs built."""
    monkeypatch.syspath_prepend(str(BENCH))
    import measure
    import peers
    import places
    import report
    import servers
    import workloads

    places.prepare()
    return SimpleNamespace(
        measure=measure, peers=peers, places=places, report=report, servers=servers,
        workloads=workloads,
    )  # fmt: skip


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / "run.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@two_cores
def test_a_quick_run_gives_a_whole_result(tmp_path: Path) -> None:
    done = run("--quick", "--peers", "nodepp", "--workloads", "hello,startup", "--no-plots",
               "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "bench.json").read_text())
    assert not result["missing"]
    hello = result["workloads"]["hello"]
    assert not hello["limit_answer_modelled"]
    rows = {row["peer"]: row for row in hello["rows"]}
    assert set(rows) == {"limit", "nodepp", "limit-again"}
    for row in rows.values():
        assert row["error"] == ""
        assert row["cpu_us"]["low"] <= row["cpu_us"]["median"] <= row["cpu_us"]["high"]
        assert row["requests_per_second"]["median"] > 0
        assert row["answer_size"] == hello["limit_answer_size"]
    assert rows["limit"]["ratio_to_limit"]["median"] == 1
    started = {row["peer"]: row for row in result["startup"]["rows"]}
    assert started["nodepp"]["resident_bytes"]["median"] > 0
    assert "× the limit" in done.stdout
    assert (tmp_path / "bench.csv").read_text().startswith("workload,server,round,")


def test_an_unknown_workload_is_named(bench: Any) -> None:
    done = run("--workloads", "hello,nonsense")
    assert done.returncode == 2
    assert "'nonsense' is unknown" in done.stderr


@pytest.mark.parametrize(
    "answer, complaint",
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "unexpected answer"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "unexpected answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nyes", "bytes that nobody asked for"),
    ],
)
def test_a_wrong_answer_is_an_error_and_no_figure(
    bench: Any, tmp_path: Path, answer: bytes, complaint: str
) -> None:
    (tmp_path / "answer").write_bytes(answer)
    (tmp_path / "request").write_bytes(bench.workloads.get("/"))
    port = bench.servers.free_port()
    binaries = bench.places.BIN
    limit = subprocess.Popen(
        [binaries / "limit", "--port", str(port), "--answer", tmp_path / "answer"])
    try:
        bench.servers.wait_until_listening(port)
        done = subprocess.run(
            [binaries / "load", "--port", str(port), "--request", tmp_path / "request",
             "--connections", "2", "--warmup", "0.01", "--seconds", "0.01"],
            input="\n\n", capture_output=True, text=True, timeout=30)
    finally:
        limit.kill()
        limit.wait()
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["errors"] > 0
    assert complaint in result["message"]


def test_who_is_first_turns_with_the_rounds(bench: Any) -> None:
    plan = bench.measure.Plan(rounds=4, timing=None, other_rounds=2)
    everybody = [bench.peers.PEERS[name] for name in ("limit", "nodepp", "bjoern", "nginx")]
    orders = [bench.measure.order(everybody, number, plan) for number in range(4)]
    near = {"limit", "nodepp", "limit-again"}
    assert {order[0] for order in orders} == near
    assert all(set(order[:3]) == near for order in orders)
    assert [len(order) for order in orders].count(5) == 2


def test_ratios_are_paired_by_round(bench: Any) -> None:
    measure = bench.measure

    def row(name: str, **cpu: float) -> Any:
        samples = {int(n[1:]): SimpleNamespace(cpu_us=value) for n, value in cpu.items()}
        return measure.Row(name, name, samples)

    rows = {row.name: row for row in (
        row("limit", r0=1.0, r1=10.0, r2=5.0), row("nodepp", r0=2.0, r1=20.0),
        row("limit-again", r0=1.1, r1=10.0, r2=4.0))}
    table = measure.Table(bench.workloads.WORKLOADS["hello"], rows, 100, False)
    assert table.ratios("nodepp") == [2.0, 2.0]
    assert table.noise() == pytest.approx(0.1)


def test_a_bound_allows_for_the_noise(bench: Any) -> None:
    row = {"peer": "nodepp", "extra": {}, "ratio_to_limit": {"median": 1.12}}
    table = {"bound": 1.10, "noise": 0.03, "rows": [row]}
    assert "kept" in bench.report.verdict(table)[0]
    table["noise"] = 0.01
    assert "missed by 0.01" in bench.report.verdict(table)[0]


@pytest.mark.parametrize("name", ["hello", "json", "params", "echo", "page", "small", "large"])
def test_the_measured_application_answers_as_it_must(
    bench: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.syspath_prepend(str(bench.places.APPS))
    from nodepp_app import app

    from nodepp.testing import Client

    workload = bench.workloads.WORKLOADS[name]
    with Client(app, res=str(bench.places.SITE / "res")) as client:
        answer = client.send(workload.request)
    assert answer.status == 200
    assert workload.check(answer.body) is None
    # What the limit sends where nodepp is not built is of the same shape.
    assert answer.content_type == workload.content_type.decode().partition(";")[0]
