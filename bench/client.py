"""The load, and the server's time beside it.

load.c stops twice with every request answered: before the measurement and after it. In these
pauses, and only there, the server's counters are read, so the time belongs to exactly the requests
that were counted.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

from exchange import Answer, Wrong, decoded, exchange
from jar import session_options
from places import BIN, SCRATCH
from servers import CLIENT_CORE, SERVER_CORE, Server, core_idle_ticks
from workload import Workload, asking_again

TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
IDLE_SHARE_MAX = 0.05  # more, and the client was the slower one
DISTURBED_SHARE_MAX = 0.10  # more, and somebody else ran on the server's core


@dataclass
class Sample:
    """One measurement of one server."""

    request_count: int
    seconds: float
    cpu_us: float  # per answered request
    busy_share: float  # of the time, the server was on the CPU
    idle_share: float  # of the time, its core had nothing to do
    answer_size: int  # bytes, head and body
    extra: dict[str, float] = field(default_factory=dict)

    @property
    def requests_per_second(self) -> float:
        return self.request_count / self.seconds

    @property
    def client_bound(self) -> bool:
        return self.idle_share > IDLE_SHARE_MAX

    @property
    def disturbed(self) -> bool:
        return 1 - self.busy_share - self.idle_share > DISTURBED_SHARE_MAX


@dataclass(frozen=True)
class Timing:
    seconds: float = 3.0
    warmup: float = 0.3


def verify(server: Server, workload: Workload) -> Answer:
    """One answer, and for a pipelined workload as many at once, decoded and compared with what they
    must be. The first of them.
    """
    try:
        answers = exchange(
            server.port, workload.request, count=workload.depth, status=workload.status
        )
    except OSError as error:
        raise Wrong(f"no whole answer ({error})") from error
    for answer in answers:
        wrong = workload.check(decoded(answer)) or wrong_coding(answer, workload)
        if wrong:
            raise Wrong(wrong)
        if server.peer.dated and b"date" not in answer.fields:
            raise Wrong("the answer has no Date")
    return answers[0]


def wrong_coding(answer: Answer, workload: Workload) -> Optional[str]:
    coding = answer.fields.get(b"content-encoding", b"identity").decode("latin-1")
    if coding in (workload.codings or ("identity",)):
        return None
    return f"the body is sent as {coding}" + (", not compressed" if workload.codings else "")


def conditional(server: Server, workload: Workload) -> Workload:
    """The workload as this server knows it: with the ETag that its own answer had."""
    answer = verify(server, workload)
    if b"etag" not in answer.fields:
        raise Wrong("the answer has no ETag to ask again with")
    return asking_again(workload, answer.fields[b"etag"])


def load(
    server: Server,
    workload: Workload,
    timing: Timing,
    connections: int,
    idle: int = 0,
    at_rest: Optional[Callable[[], None]] = None,
) -> Sample:
    """Verifies one answer, then runs load.c against the server, which holds all to the length of
    that one. `at_rest` is called before the measurement, with all connections open.

    Raises Wrong when an answer was not what it should be, or none came.
    """
    if workload.conditional and workload.status == 200:
        workload = conditional(server, workload)
    if workload.begin:
        shape = session_options(server, workload)
    else:
        shape = ["--body", str(len(verify(server, workload).body))]
    request = SCRATCH / f"{workload.name}.request"
    request.write_bytes(workload.request)
    shape += ["--status", str(workload.status)]
    shape += ["--connections", str(connections), "--idle", str(idle)]
    with client_process(server.port, request, workload, timing, shape) as process:
        said = line_of(process)
        if said.strip() != "ready":
            raise Wrong(json.loads(said)["error"] if said else "the client ended early")
        if at_rest:
            at_rest()
        cpu_ns, ticks = server.cpu_ns(), core_idle_ticks(SERVER_CORE)
        go_on(process)
        said = line_of(process)
        cpu_ns, ticks = server.cpu_ns() - cpu_ns, core_idle_ticks(SERVER_CORE) - ticks
        go_on(process)
    result = json.loads(said)
    if result["errors"] or not result["requests"]:
        raise Wrong(f"{result['errors']} errors; the first: {result['message']}")
    if result["idle_closed"]:
        raise Wrong(f"{result['idle_closed']} idle connections were closed")
    seconds = result["seconds"]
    return Sample(
        request_count=result["requests"],
        seconds=seconds,
        cpu_us=cpu_ns / 1000 / result["requests"],
        busy_share=cpu_ns / 1e9 / seconds,
        idle_share=min(1.0, ticks * TICK_SECONDS / seconds),
        answer_size=result["answer_size"],
    )


def client_process(
    port: int, request: Path, workload: Workload, timing: Timing, shape: list[str]
) -> subprocess.Popen[str]:
    command = [str(BIN / "load"), "--port", str(port), "--request", str(request)]
    command += [*shape, "--depth", str(workload.depth)]
    command += ["--warmup", str(timing.warmup), "--seconds", str(timing.seconds)]
    if workload.churn:
        command.append("--churn")
    assert os.sched_getaffinity(0) == {CLIENT_CORE}  # inherited by the client
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    try:
        process.stdin.write("\n")
        process.stdin.flush()
    except BrokenPipeError:
        pass  # it ended; the next line it does not say tells so


def wrk(server: Server, workload: Workload, timing: Timing, connections: int) -> Sample:
    """The same with wrk, for who trusts a known client more: `run.py --client wrk`. GET without
    pipelining and without fields only.

    Its connecting and its last, unfinished requests are in the server's time; over seconds this is
    nothing.
    """
    verify(server, workload)
    target = workload.request.split(b" ", 2)[1].decode()
    url = f"http://127.0.0.1:{server.port}{target}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(timing.seconds))}s", url]
    cpu_ns, ticks = server.cpu_ns(), core_idle_ticks(SERVER_CORE)
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    cpu_ns, ticks = server.cpu_ns() - cpu_ns, core_idle_ticks(SERVER_CORE) - ticks
    for complaint in ("Socket errors", "Non-2xx"):
        if complaint in text:
            raise Wrong(next(line.strip() for line in text.splitlines() if complaint in line))
    words = next(line.split() for line in text.splitlines() if "requests in" in line)
    count, seconds = int(words[0]), float(words[3].rstrip("s,"))
    return Sample(
        count,
        seconds,
        cpu_ns / 1000 / count,
        cpu_ns / 1e9 / seconds,
        ticks * TICK_SECONDS / seconds,
        0,
    )
