"""The benchmark still runs, and would notice a wrong answer. Nothing here looks at a time."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from waiting import DEADLINE_S

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
    import client
    import exchange
    import layout
    import measure
    import peers
    import places
    import report
    import sent
    import servers
    import website
    import workload
    import workloads

    places.prepare()
    return SimpleNamespace(
        client=client, exchange=exchange, layout=layout, measure=measure, peers=peers,
        places=places, report=report, sent=sent, servers=servers, website=website,
        workload=workload, workloads=workloads,
    )  # fmt: skip


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / "run.py"), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=10 * DEADLINE_S)


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


@two_cores
def test_a_quick_run_of_static_files_gives_a_whole_result(tmp_path: Path) -> None:
    done = run("--quick", "--peers", "nodepp", "--no-plots", "--out", str(tmp_path), "--workloads",
               "small-coded,not-modified,dynamic-gzip,site-startup,site-bytes,compress")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "bench.json").read_text())
    for name, table in result["workloads"].items():
        row = next(row for row in table["rows"] if row["peer"] == "nodepp")
        assert not row["error"], name
        assert row["cpu_us"], name
    assert result["workloads"]["small-coded"]["limit_answer_size"] < 1536
    dynamic = result["workloads"]["dynamic-gzip"]["bounds"]
    assert [bound["label"] for bound in dynamic] == ["µs added"]
    assert dynamic[0]["found"]
    assert [row["milliseconds"] is None for row in result["site_startup"]["rows"]] == [False, False]
    whole = result["site_bytes"]["rows"][-1]
    assert whole["kind"] == "all"
    assert 0 < whole["nodepp"]["body"] < whole["identity"]
    assert {row["coding"] for row in result["compress"]["rows"]} == {"zstd", "gzip"}
    assert "### bounds" in done.stdout


def test_an_unknown_workload_is_named(bench: Any) -> None:
    done = run("--workloads", "hello,nonsense")
    assert done.returncode == 2
    assert "'nonsense' is unknown" in done.stderr


NOT_MODIFIED = b"HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"


def loaded(bench: Any, tmp_path: Path, answer: bytes, *options: str) -> Any:
    """What load.c says of a server that always sends these bytes."""
    (tmp_path / "answer").write_bytes(answer)
    (tmp_path / "request").write_bytes(bench.workload.get("/"))
    port = bench.servers.free_port()
    binaries = bench.places.BIN
    limit = subprocess.Popen(
        [binaries / "limit", "--port", str(port), "--answer", tmp_path / "answer"])
    try:
        bench.servers.wait_until_listening(port)
        done = subprocess.run(
            [binaries / "load", "--port", str(port), "--request", tmp_path / "request",
             "--connections", "2", "--warmup", "0.01", "--seconds", "0.01", *options],
            input="\n\n", capture_output=True, text=True, timeout=DEADLINE_S)
    finally:
        limit.kill()
        limit.wait()
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "answer, options, complaint",
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", "", "unexpected answer"),
        (b"HTTP/1.1 200 OK\r\n\r\n", "", "unexpected answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nyes", "", "bytes that nobody asked for"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "--body 3", "not as many bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "--status 304", "unexpected answer"),
        (NOT_MODIFIED, "", "unexpected answer"),
        (NOT_MODIFIED + b"no", "--status 304 --body 0", "bytes that nobody asked for"),
    ],
)
def test_a_wrong_answer_is_an_error_and_no_figure(
    bench: Any, tmp_path: Path, answer: bytes, options: str, complaint: str
) -> None:
    result = loaded(bench, tmp_path, answer, *options.split())
    assert result["errors"] > 0
    assert complaint in result["message"]


@pytest.mark.parametrize(
    "answer, options",
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "--body 2"),
        (NOT_MODIFIED, "--status 304 --body 0"),
        # nginx gives none, others the length that the 200 would have.
        (NOT_MODIFIED[:-2] + b"Content-Length: 9\r\n\r\n", "--status 304 --body 0"),
    ],
)
def test_right_answers_are_counted(
    bench: Any, tmp_path: Path, answer: bytes, options: str
) -> None:
    result = loaded(bench, tmp_path, answer, *options.split())
    assert result["errors"] == 0
    assert result["requests"] > 0
    assert result["bytes"] == result["requests"] * len(answer)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd", "identity"])
def test_a_coded_answer_is_decoded_before_it_is_compared(bench: Any, coding: str) -> None:
    import brotli
    import zstandard

    coders = {"gzip": gzip.compress, "br": brotli.compress, "identity": bytes,
              "zstd": zstandard.ZstdCompressor().compress}
    fields = {b"content-encoding": coding.encode()}
    answer = bench.exchange.Answer(b"", 200, fields, coders[coding](b"a page"))
    assert bench.exchange.decoded(answer) == b"a page"
    workload = bench.workloads.WORKLOADS["small-coded" if coding != "identity" else "small"]
    assert bench.client.wrong_coding(answer, workload) is None
    other = bench.workloads.WORKLOADS["small-coded" if coding == "identity" else "small"]
    assert coding in bench.client.wrong_coding(answer, other)


@pytest.mark.parametrize("coding, body", [("gzip", b"no"), ("br", b"\xff\xff"), ("zstd", b"no"),
                                          ("deflate", b"")])
def test_a_body_that_cannot_be_decoded_is_wrong(bench: Any, coding: str, body: bytes) -> None:
    answer = bench.exchange.Answer(b"", 200, {b"content-encoding": coding.encode()}, body)
    with pytest.raises(bench.exchange.Wrong, match=coding):
        bench.exchange.decoded(answer)


def test_who_is_first_turns_with_the_rounds(bench: Any) -> None:
    plan = bench.measure.Plan(rounds=4, timing=None, other_rounds=2)
    everybody = [bench.peers.PEERS[name] for name in ("limit", "nodepp", "bjoern", "nginx")]
    hello = bench.workloads.WORKLOADS["hello"]
    orders = [bench.measure.order(everybody, hello, number, plan) for number in range(4)]
    near = {"limit", "nodepp", "limit-again"}
    assert {order[0] for order in orders} == near
    assert all(set(order[:3]) == near for order in orders)
    assert [len(order) for order in orders].count(5) == 2


def test_whom_nodepp_has_a_bound_against_is_its_neighbour_in_every_round(bench: Any) -> None:
    plan = bench.measure.Plan(rounds=4, timing=None, other_rounds=1)
    everybody = [bench.peers.PEERS[name] for name in ("limit", "nodepp", "bjoern", "nginx")]
    small = bench.workloads.WORKLOADS["small"]
    orders = [bench.measure.order(everybody, small, number, plan) for number in range(4)]
    assert all(set(order[:4]) == {"limit", "nodepp", "limit-again", "nginx"} for order in orders)
    assert len({order[0] for order in orders}) == 4


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


def judged(bench: Any, bound: Any, noise: float, **cpu_us: float) -> str:
    """What the report says of a bound, after one round in which the servers took so long."""
    rows = {name: bench.measure.Row(name, name, {0: SimpleNamespace(
        cpu_us=value, extra={"added_us": value - 10, "ratio_to_without": value / 10})})
        for name, value in cpu_us.items()}
    rows["limit"] = bench.measure.Row("limit", "", {0: SimpleNamespace(cpu_us=1.0, extra={})})
    again = SimpleNamespace(cpu_us=1.0 + noise, extra={})
    rows["limit-again"] = bench.measure.Row("limit-again", "", {0: again})
    table = bench.measure.Table(bench.workloads.WORKLOADS["hello"], rows, 100, False)
    line: str = bench.layout.verdict({"bounds": [bench.measure.bound_as_dict(table, bound)]})[0]
    return line


def test_a_bound_allows_for_the_noise(bench: Any) -> None:
    bound = bench.workload.Bound(1.10)
    assert "1.120, kept" in judged(bench, bound, 0.03, nodepp=1.12)
    assert "missed by 0.01" in judged(bench, bound, 0.01, nodepp=1.12)


def test_a_bound_may_be_against_a_peer(bench: Any) -> None:
    bound = bench.workload.Bound(0.60, "nginx")
    assert "× nginx: 0.500, kept" in judged(bench, bound, 0.0, nodepp=1.0, nginx=2.0)
    assert "missed by 0.40" in judged(bench, bound, 0.0, nodepp=1.0, nginx=1.0)
    assert "Bound 0.60 + noise 0.060" in judged(bench, bound, 0.1, nodepp=1.0, nginx=1.0)
    assert "not measured" in judged(bench, bound, 0.0, nodepp=1.0)


def test_added_microseconds_allow_for_no_noise(bench: Any) -> None:
    bound = bench.workload.Bound(30, "added")
    assert "30.000, kept" in judged(bench, bound, 0.5, nodepp=40.0)
    assert "missed by 0.10" in judged(bench, bound, 0.5, nodepp=40.1)


def test_the_site_is_as_large_as_it_says_and_the_same_each_time(bench: Any) -> None:
    files = list(bench.website.files())
    assert len(files) == 1000
    assert len({file.path for file in files}) == 1000
    assert 29_900_000 < sum(file.size for file in files) <= 30_000_000
    again = list(bench.website.files())
    assert again == files
    for kind in bench.website.KINDS:
        file = min((file for file in files if file.kind is kind), key=lambda file: file.size)
        assert len(file.body()) == file.size
        assert file.body() == file.body()


@pytest.mark.skipif(not shutil.which("gzip"), reason="nginx's files are made by it")
def test_nginx_has_the_same_files_and_those_that_gzip_makes_smaller(
    bench: Any, tmp_path: Path
) -> None:
    files = bench.website.prepare(tmp_path, 0.01)
    for file in files:
        own, theirs = (tmp_path / folder / file.path for folder in ("res", "nginx"))
        assert own.read_bytes() == theirs.read_bytes()
        packed = theirs.with_name(theirs.name + ".gz")
        assert packed.exists() == file.kind.compresses
        if packed.exists():
            assert gzip.decompress(packed.read_bytes()) == own.read_bytes()
    assert not list((tmp_path / "res").rglob("*.gz"))


def test_bytes_sent_are_compared_with_their_heads(bench: Any) -> None:
    kinds = bench.website.KINDS
    files = [next(file for file in bench.website.files() if file.kind is kind) for kind in kinds]

    def counts(body: int) -> Any:
        return {kind.name: {"head": 100, "body": body} for kind in kinds}

    rows = bench.sent.rows_of(files, {"nginx": counts(900), "nodepp": counts(400)})
    assert [row["kind"] for row in rows[-2:]] == ["all that compresses", "all"]
    assert rows[-1]["count"] == len(kinds)
    assert bench.sent.share_of(rows[-1]) == 0.5
    assert bench.sent.share_of(bench.sent.rows_of(files, {"nginx": counts(900)})[-1]) is None


@pytest.mark.parametrize("name", ["hello", "json", "params", "echo", "page", "small", "large",
                                  "range"])
def test_the_measured_application_answers_as_it_must(
    bench: Any, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.syspath_prepend(str(bench.places.APPS))
    from nodepp_app import app

    from nodepp.testing import Client

    workload = bench.workloads.WORKLOADS[name]
    with Client(app, res=str(bench.places.SITE / "res")) as client:
        answer = client.send(workload.request)
    assert answer.status == workload.status
    assert workload.check(answer.body) is None
    # What the limit sends where nodepp is not built is of the same shape.
    assert answer.content_type == workload.content_type.decode().partition(";")[0]
