"""From exec to the first 200, with a warm page cache, and the memory then resident.

nodepp is started with an NPP_DIR that holds no `res`, with the application of all workloads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import peers
from exchange import Wrong
from measure import as_dict, summary
from places import SCRATCH
from servers import NotStarted, serving
from workloads import STARTUP_BOUND_BYTES, STARTUP_BOUND_MS, WORKLOADS, model_answer


def measure(present: Sequence[peers.Peer], rounds: int, tell: Any) -> dict[str, Any]:
    """Starts each server once a round, after one start that fills the caches and is not counted."""
    workload = WORKLOADS["hello"]
    answer = SCRATCH / "hello.answer"
    if not answer.exists():
        answer.write_bytes(model_answer(workload))
    times: dict[str, list[float]] = {peer.name: [] for peer in present}
    sizes: dict[str, list[float]] = {peer.name: [] for peer in present}
    errors: dict[str, str] = {}
    for round_index in range(-1, rounds):
        for peer in present:
            if peer.name in errors:
                continue
            tell(f"startup: round {round_index + 1} of {rounds}, {peer.name}")
            try:
                with serving(peer, workload, answer, bare=True) as server:
                    milliseconds, size = server.started_ms, server.resident_bytes()
            except (NotStarted, Wrong) as error:
                errors[peer.name] = str(error)
                continue
            if round_index >= 0:
                times[peer.name].append(milliseconds)
                sizes[peer.name].append(float(size))
    return {
        "title": "exec to first 200, and resident memory then",
        "bound_ms": STARTUP_BOUND_MS,
        "bound_bytes": STARTUP_BOUND_BYTES,
        "rows": [
            {
                "peer": peer.name,
                "title": peer.title,
                "error": errors.get(peer.name, ""),
                "milliseconds": as_dict(summary(times[peer.name])),
                "resident_bytes": as_dict(summary(sizes[peer.name])),
            }
            for peer in present
        ],
    }
