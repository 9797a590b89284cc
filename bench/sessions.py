"""The session table alone: what finding, starting and writing one takes, and how much memory.

    bench/sessions.py COUNT [ROUNDS]          prints one line of JSON

run.py starts it on the server's core, once for each number of sessions. The table is filled: every
session has DATA_SIZE bytes of data, written twice, so that both copies of it are there.

A search is of a random id among all, verified, and measured twice: at once after a memory of
COLD_SIZE bytes was read, so that nothing of the table is in the processor's caches (each slot is
then looked at once); and again, as it is where nothing else runs between two searches.
"""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import measure
import peers
import places
import workloads
from layout import lay_out, spread, verdict
from servers import SERVER_CORE

DATA_SIZE = 1024  # bytes of a session; the default
COUNTS = (100, 100_000, 1_000_000)
COUNTS_QUICK = (100, 2_000)
CAPACITY_MAX = 1_000_000
FINDS_MIN = 100_000  # of a round; fewer sessions are found more than once
START_COUNT = 1_000  # sessions started in a round
WRITE_COUNT = 10_000  # writes of a round
WRITE_SIZE = 256  # bytes of each
COLD_SIZE = 96 * 1024 * 1024  # bytes; three times the last cache of the machine of the figures


# ---- in the process of the table ----


def drive(count: int, rounds: int) -> dict[str, Any]:
    """Everything about a table of that many sessions; seconds where there are a million."""
    from nodepp import _core

    started = START_COUNT * rounds
    capacity = min(count + started, CAPACITY_MAX)
    shared = shared_bytes()
    table = _core.SessionTable(capacity, DATA_SIZE)
    _core.probe_session_start(table, capacity - started)
    start = [_core.probe_session_start(table, START_COUNT) for _ in range(rounds)]
    ids = table.ids()
    for data in (b"a" * DATA_SIZE, b"b" * DATA_SIZE):
        for id in ids:
            table.write(id, data)
    random.Random(count).shuffle(ids)
    found = {
        "sessions": len(table),
        "start": start,
        "write": [write_ns(table, ids, number) for number in range(rounds)],
        "reserved": table.bytes_per_session,
        "resident": (shared_bytes() - shared) / capacity,
    }
    wanted = b"".join(ids[:count])
    repeats = max(1, FINDS_MIN // count)
    _core.probe_session_find(table, wanted, 1)
    found["find"] = [_core.probe_session_find(table, wanted, repeats) for _ in range(rounds)]
    found["find_cold"] = [cold_find(_core, table, wanted) for _ in range(rounds)]
    wrong = table.check()
    if wrong or found["sessions"] != capacity:
        raise SystemExit(f"the table is broken: {wrong or found['sessions']}")
    return found


def cold_find(core: Any, table: Any, wanted: bytes) -> float:
    """Each id once, after the caches were filled with something else."""
    bytes(COLD_SIZE).count(b"x")
    found: float = core.probe_session_find(table, wanted, 1)
    return found


def write_ns(table: Any, ids: list[bytes], number: int) -> float:
    """Of a write as Python calls it: the search, the lock, the copy, and the call."""
    data = bytes([number % 256]) * WRITE_SIZE
    some = random.Random(number).choices(ids, k=WRITE_COUNT)
    write = table.write
    began = time.process_time_ns()
    for id in some:
        write(id, data)
    return (time.process_time_ns() - began) / WRITE_COUNT


def shared_bytes() -> int:
    """Memory of this process that is resident in mappings others could share: the table's are, and
    Python has hardly any. Pss would be the same: nobody does share them.
    """
    total, is_shared = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            is_shared = line.split()[1].endswith("s")
        elif is_shared and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


# ---- outside ----


def measure_all(counts: tuple[int, ...], rounds: int, tell: Any) -> dict[str, Any]:
    """A row for each number of sessions, and what was found of the bounds."""
    rows, error = [], ""
    here = os.sched_getaffinity(0)
    for count in counts:
        tell(f"session-table: {count:,} sessions")
        os.sched_setaffinity(0, {SERVER_CORE})
        try:
            command = [sys.executable, __file__, str(count), str(rounds)]
            environment = peers.environment(places.BARE)
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
        finally:
            os.sched_setaffinity(0, here)
        if done.returncode:
            error = f"{count:,}: {(done.stderr.strip().splitlines() or ['it failed'])[-1]}"
            break
        rows.append({"count": count, **json.loads(done.stdout)})
    bounds = [bound for row in rows for bound in bounds_of(row)]
    title = f"the session table alone, {DATA_SIZE:,} bytes of data each"
    return {"title": title, "bounds": bounds, "error": error, "rows": rows}


def bounds_of(row: dict[str, Any]) -> list[dict[str, Any]]:
    count = row["count"]
    if count not in workloads.FIND_BOUND_NS:
        return []
    most = 2 * DATA_SIZE + workloads.SESSION_BOUND_BYTES
    return [
        measure.judged(f"{unit}, {count:,} sessions", bound, measure.summary(samples))
        for unit, bound, samples in (
            ("ns to find one, cold", workloads.FIND_BOUND_NS[count], row["find_cold"]),
            ("ns to start one", workloads.START_BOUND_NS, row["start"]),
            ("bytes reserved for each", most, [row["reserved"]]),
            ("bytes resident of each", most, [row["resident"]]),
        )
    ]


def table(result: dict[str, Any]) -> str:
    lines = []
    for row in result["rows"]:
        samples = [row[key] for key in ("find", "find_cold", "start", "write")]
        times = [spread(measure.as_dict(measure.summary(some)), 0) for some in samples]
        sizes = [f"{row[key]:,.0f}" for key in ("reserved", "resident")]
        lines.append([f"{row['count']:,}", *times, *sizes])
    head = [
        "sessions",
        "ns to find one",
        "the same, cold",
        "ns to start one",
        "ns to write one, from Python",
        "bytes reserved",
        "bytes resident",
    ]
    text = [f"### session-table: {result['title']}", "", lay_out(head, lines), ""]
    text += [f"- not measured: {result['error']}"] if result["error"] else []
    return "\n".join([*text, *verdict(result)]) + "\n"


if __name__ == "__main__":
    print(json.dumps(drive(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5)))
