"""nodepp with each of its pollers, at 64, 1,000 and 10,000 connections: all of them busy, and 64
busy among idle ones.

The two kinds differ: with all busy, a poller that looks through every descriptor finds work at most
of them; with idle ones it looks for nothing. A poller that cannot hold that many (select:
FD_SETSIZE) says so in its row.
"""

from __future__ import annotations

from typing import Any, Optional

import client
import peers
from client import Sample, Timing
from exchange import Wrong
from measure import Plan, as_dict, summary
from places import SCRATCH
from servers import NotStarted, serving
from workloads import CONNECTIONS, WORKLOADS

POLLERS = ("epoll", "poll", "select", "selectors")
COUNTS = (64, 1_000, 10_000)

Key = tuple[str, int, int]  # poller, connections, of them busy


def cases() -> list[tuple[int, int]]:
    """(connections, of them busy)."""
    return [(count, busy) for count in COUNTS for busy in sorted({CONNECTIONS, count})]


def measure(plan: Plan, tell: Any) -> dict[str, Any]:
    """All pollers in each round, one after the other; ratios to epoll in the same round."""
    samples: dict[Key, dict[int, Sample]] = {}
    errors: dict[Key, str] = {}
    for round_index in range(plan.rounds):
        for connections, busy in cases():
            turn = round_index % len(POLLERS)
            for poller in POLLERS[turn:] + POLLERS[:turn]:
                key = (poller, connections, busy)
                if key in errors:
                    continue
                tell(
                    f"pollers: round {round_index + 1} of {plan.rounds}, {poller} at {connections}"
                )
                try:
                    samples.setdefault(key, {})[round_index] = sample_of(
                        poller, connections, busy, plan.timing
                    )
                except (NotStarted, Wrong) as error:
                    full = "503" in str(error)
                    errors[key] = "holds fewer; the others get 503" if full else str(error)
    rows = [
        row((poller, connections, busy), samples, errors)
        for connections, busy in cases()
        for poller in POLLERS
    ]
    return {"title": "hello with each fdMonitor", "rows": rows}


def sample_of(poller: str, connections: int, busy: int, timing: Timing) -> Sample:
    workload = WORKLOADS["hello"]
    # Opening 10,000 connections takes poll many seconds: none may time out meanwhile.
    settings = {"fdMonitor": poller, "maxConnections": 12_000, "connectionTimeout": "600s"}
    with serving(peers.NODEPP, workload, SCRATCH / "none", settings) as server:
        client.verify(server, workload)
        return client.load(server, workload, timing, busy, connections - busy)


def row(key: Key, samples: dict[Key, dict[int, Sample]], errors: dict[Key, str]) -> dict[str, Any]:
    poller, connections, busy = key
    own, epoll = samples.get(key, {}), samples.get(("epoll", connections, busy), {})
    ratios = [own[n].cpu_us / epoll[n].cpu_us for n in own if n in epoll]
    error: Optional[str] = errors.get(key, "")
    return {
        "poller": poller,
        "connections": connections,
        "busy": busy,
        "error": error,
        "cpu_us": as_dict(summary(sample.cpu_us for sample in own.values())),
        "ratio_to_epoll": as_dict(summary(ratios)),
        "requests_per_second": as_dict(
            summary(sample.requests_per_second for sample in own.values())
        ),
    }
