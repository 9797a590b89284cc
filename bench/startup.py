"""From exec to the first 200, with a warm page cache, and the memory then resident.

Of nothing: nodepp is started with an NPP_DIR that holds no `res`, with the application of all
workloads. Of a thousand files: with the site of website.py, its codings in nodepp's cache or not.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import peers
import website
from exchange import Wrong
from layout import MIB, lay_out, spread, verdict
from measure import as_dict, judged, summary
from places import BARE, CACHE, SCRATCH
from servers import NotStarted, serving
from workload import Workload, equals, get, model_answer
from workloads import SITE_STARTUP_BOUND_MS, STARTUP_BOUND_BYTES, STARTUP_BOUND_MS, WORKLOADS

PRECOMPRESS_SECONDS_MAX = 1800  # 27 MB of text at the best level of each coder, on one core
COLD_CACHE = SCRATCH / "cold-cache"


@dataclass
class Case:
    """A way to start a server."""

    peer: peers.Peer
    title: str
    workload: Workload
    home: Path = BARE
    cache: Path = CACHE
    error: str = ""
    times: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)

    def start(self, is_counted: bool) -> None:
        if self.cache == COLD_CACHE:
            shutil.rmtree(COLD_CACHE, ignore_errors=True)
        try:
            with serving(
                self.peer, self.workload, hello_answer(), home=self.home, cache=self.cache
            ) as server:
                milliseconds, size = server.started_ms, server.resident_bytes()
        except (NotStarted, Wrong) as error:
            self.error = str(error)
            return
        if is_counted:
            self.times.append(milliseconds)
            self.sizes.append(float(size))

    def as_row(self) -> dict[str, Any]:
        return {
            "peer": self.peer.name,
            "title": self.title,
            "error": self.error,
            "milliseconds": as_dict(summary(self.times)),
            "resident_bytes": as_dict(summary(self.sizes)),
        }


def hello_answer() -> Path:
    """What the limit sends."""
    answer = SCRATCH / "hello.answer"
    if not answer.exists():
        answer.write_bytes(model_answer(WORKLOADS["hello"]))
    return answer


def rounds_of(cases: Sequence[Case], rounds: int, tell: Any) -> None:
    """Starts each once a round, after one start that fills the caches and is not counted."""
    for round_index in range(-1, rounds):
        for case in cases:
            if not case.error:
                tell(f"startup: round {round_index + 1} of {rounds}, {case.title}")
                case.start(round_index >= 0)


def measure(present: Sequence[peers.Peer], rounds: int, tell: Any) -> dict[str, Any]:
    """Every server with nothing to read."""
    cases = [Case(peer, peer.title, WORKLOADS["hello"]) for peer in present]
    rounds_of(cases, rounds, tell)
    own = next((case for case in cases if case.peer is peers.NODEPP), None)
    megabytes = [size / MIB for size in own.sizes] if own else []
    return {
        "title": "exec to first 200, and resident memory then",
        "bounds": [
            judged("ms", STARTUP_BOUND_MS, summary(own.times if own else ())),
            judged("MiB", STARTUP_BOUND_BYTES / MIB, summary(megabytes)),
        ],
        "rows": [case.as_row() for case in cases],
    }


# ---- with a thousand files ----


def site_workload(files: Sequence[website.File]) -> Workload:
    """One page of the site, as a client without any coding asks for it."""
    page = files[0]
    return Workload("site", "a page of the site", get(f"/{page.path}"), equals(page.body()))


def precompress(home: Path, cache: Path, workload: Workload) -> float:
    """Starts nodepp until every coding is in the cache. Seconds to its first answer."""
    with serving(
        peers.NODEPP,
        workload,
        hello_answer(),
        settings={"precompress": 1},
        home=home,
        cache=cache,
        seconds_max=PRECOMPRESS_SECONDS_MAX,
    ) as server:
        return server.started_ms / 1000


def measure_site(
    present: Sequence[peers.Peer], home: Path, share: float, rounds: int, tell: Any
) -> dict[str, Any]:
    """nodepp with its codings in the cache, with none there, and nginx, which reads nothing."""
    tell("site-startup: making the site")
    files = website.prepare(home, share)
    workload, names = site_workload(files), {peer.name for peer in present}
    cases, cache, seconds = [], home / "cache", None
    if "nodepp" in names:
        warm = Case(peers.NODEPP, "nodepp, codings in its cache", workload, home, cache)
        cold = Case(peers.NODEPP, "nodepp, nothing in its cache", workload, home, COLD_CACHE)
        cases += [warm, cold]
        was_empty = not cache.exists()
        tell("site-startup: compressing the site once")
        try:
            took = precompress(home, cache, workload)
            seconds = took if was_empty else None
        except (NotStarted, Wrong) as error:
            warm.error = str(error)
    if "nginx" in names:
        cases.append(Case(peers.PEERS["nginx"], "nginx, which reads nothing", workload, home))
    rounds_of(cases, rounds, tell)
    size = sum(file.size for file in files)
    own = cases[0].times if "nodepp" in names else []
    return {
        "title": f"exec to first 200 with {len(files):,} files, {size / 1e6:.1f} MB",
        "bounds": [judged("ms", SITE_STARTUP_BOUND_MS, summary(own))],
        "precompress_s": seconds,
        "rows": [case.as_row() for case in cases],
    }


def site_table(table: dict[str, Any]) -> str:
    lines = [
        [row["title"], spread(row["milliseconds"], 0), spread(row["resident_bytes"], 1, MIB)]
        for row in table["rows"]
        if row["milliseconds"]
    ]
    text = [f"### site-startup: {table['title']}", ""]
    text += [lay_out(["server", "ms", "MiB resident"], lines), ""]
    text += [
        f"- {row['title']}: not measured: {row['error']}" for row in table["rows"] if row["error"]
    ]
    if table["precompress_s"]:
        text.append(f"- Compressing all of it for the first time: {table['precompress_s']:.0f} s.")
    return "\n".join([*text, *verdict(table)]) + "\n"
