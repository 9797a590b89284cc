"""What compressing a page takes: host.compress on a 10 KB page, and nothing around it.

Two pages: the one that the load workloads render, a table with numbers in it, which is quick to
compress, and one of prose, menus and code as in website.py, which has more to it.

    bench/compress.py [ROUNDS]          prints one line of JSON

run.py starts it on the server's core. A round calls each coder CALLS times; its figure is the mean
of them, in CPU time of the process.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from typing import Any

import material
import measure
import peers
import places
import workloads
from layout import lay_out, spread, verdict
from servers import SERVER_CORE

CALLS = 200  # of a round: 4 to 12 ms
WARM_CALLS = 20  # a coder's first calls make its tables


def drive(rounds: int) -> list[dict[str, Any]]:
    """Runs in a process of its own, which has imported nodepp and the application."""
    sys.path.insert(0, str(places.APPS))
    from nodepp_app import app

    compress, found = app.host.compress, []
    for coding in workloads.DYNAMIC_BOUND_US:
        for what, page in pages().items():
            for _ in range(WARM_CALLS):
                packed = compress(coding, page)
            times = [round_us(compress, coding, page) for _ in range(rounds)]
            sizes = {"size": len(page), "compressed": len(packed)}
            found.append({"coding": coding, "page": what, **sizes, "samples": times})
    return found


def pages() -> dict[str, bytes]:
    """Of one size, by what is on them."""
    rendered = workloads.page()
    return {"table": rendered, "prose": material.page(random.Random("prose"), len(rendered))}


def round_us(compress: Any, coding: str, page: bytes) -> float:
    began = time.process_time_ns()
    for _ in range(CALLS):
        compress(coding, page)
    return (time.process_time_ns() - began) / 1000 / CALLS


def measure_all(rounds: int, tell: Any) -> dict[str, Any]:
    """Starts drive() on the server's core."""
    tell("compress")
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        done = subprocess.run(
            [sys.executable, __file__, str(rounds)],
            env=peers.environment(places.BARE),
            capture_output=True,
            text=True,
        )
    finally:
        os.sched_setaffinity(0, here)
    rows = json.loads(done.stdout) if done.returncode == 0 else []
    for row in rows:
        row["microseconds"] = measure.as_dict(measure.summary(row["samples"]))
    return {
        "title": "host.compress on a 10 KB page",
        "bounds": [
            measure.judged(
                f"µs with {row['coding']}, {row['page']}",
                workloads.DYNAMIC_BOUND_US[row["coding"]],
                measure.summary(row["samples"]),
            )
            for row in rows
        ],
        "error": (done.stderr.strip().splitlines() or ["it failed"])[-1] if not rows else "",
        "rows": rows,
    }


def table(result: dict[str, Any]) -> str:
    lines = []
    for row in result["rows"]:
        sizes = [f"{row[key]:,}" for key in ("size", "compressed")]
        lines.append([f"{row['coding']}, {row['page']}", spread(row["microseconds"], 1), *sizes])
    text = [f"### compress: {result['title']}", ""]
    text += [lay_out(["coding, page", "CPU µs", "bytes of the page", "bytes sent"], lines), ""]
    text += [f"- not measured: {result['error']}"] if result["error"] else []
    return "\n".join([*text, *verdict(result)]) + "\n"


if __name__ == "__main__":
    print(json.dumps(drive(int(sys.argv[1]) if len(sys.argv) > 1 else 10)))
