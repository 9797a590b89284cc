"""Rounds: every server once in each, the limit among them, so that what drifts drifts for all of
them.

A figure of one server alone says little: the machine is faster in one minute than in the next. A
ratio of two servers measured seconds apart says much, and ten such ratios say how far to believe
their median.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Optional

import client
import peers
from client import Sample, Timing
from exchange import Wrong
from places import SCRATCH
from servers import NotStarted, Server, serving
from workload import Bound, Workload, model_answer
from workloads import CONNECTIONS, WORKLOADS

NOISE = "limit-again"  # the limit a second time: its ratio to itself is the noise of the method


@dataclass
class Row:
    """All samples of one server under one workload, by round."""

    name: str
    title: str
    samples: dict[int, Sample] = field(default_factory=dict)
    error: str = ""  # why there are none, or no more


@dataclass
class Table:
    """One workload, measured."""

    workload: Workload
    rows: dict[str, Row]
    answer_size: int  # bytes that the limit sends
    modelled: bool  # the limit's answer is a model, for nodepp could not be asked

    def ratios(self, name: str, base: str = "limit") -> list[float]:
        """CPU per request over the base's, paired by round."""
        samples, bases = self.rows[name].samples, self.rows[base].samples
        return [samples[n].cpu_us / bases[n].cpu_us for n in sorted(samples) if n in bases]

    def noise(self) -> float:
        """How far the limit's ratio to itself lies from 1, in the middle of the rounds."""
        ratios = self.ratios(NOISE) if NOISE in self.rows else []
        return statistics.median(abs(ratio - 1) for ratio in ratios) if ratios else 0.0


@dataclass(frozen=True)
class Summary:
    median: float
    low: float
    high: float


def summary(values: Iterable[float]) -> Optional[Summary]:
    found = sorted(values)
    return Summary(statistics.median(found), found[0], found[-1]) if found else None


@dataclass(frozen=True)
class Plan:
    rounds: int
    timing: Timing
    other_rounds: int  # of the rounds, how many the other peers take part in
    wrk: bool = False


def order(
    present: Sequence[peers.Peer], workload: Workload, round_index: int, plan: Plan
) -> list[str]:
    """Who is measured in this round, in which order.

    The limit, nodepp, the limit again and whoever nodepp has a bound against stay neighbours, for
    theirs are the ratios that matter most; their order turns with the rounds, so that being first
    or last favours nobody. So does that of the others, who may sit rounds out.
    """
    bases = {bound.base for bound in workload.bounds}
    near = [peer.name for peer in present if peer.name == "nodepp" or peer.name in bases]
    first = ["limit", *(name for name in near if name != "limit"), NOISE]
    others = [peer.name for peer in present if peer.name not in first]
    turn = round_index % len(first)
    takes_part = round_index * plan.other_rounds % plan.rounds < plan.other_rounds
    names = first[turn:] + first[:turn]
    if others and takes_part:
        turn = round_index % len(others)
        names += others[turn:] + others[:turn]
    return names


def record_answer(workload: Workload, present: Sequence[peers.Peer]) -> tuple[Path, bool]:
    """Asks nodepp for the answer that the limit is to send. A model of it where nodepp cannot be
    asked. The workload may be another than the one measured: `limit_does`.
    """
    path, model = SCRATCH / f"{workload.name}.answer", model_answer(workload)
    path.write_bytes(model)
    if not any(peer.name == "nodepp" for peer in present):
        return path, True
    try:
        with serving(peers.NODEPP, workload, path) as server:
            path.write_bytes(client.verify(server, workload).raw)
    except (NotStarted, Wrong):
        return path, True  # the rounds will say what is wrong with it
    return path, False


def measure(workload: Workload, present: Sequence[peers.Peer], plan: Plan, tell: Any) -> Table:
    """All rounds of one workload. `tell(text)` is called with what is going on."""
    limited = WORKLOADS[workload.limit_does] if workload.limit_does else workload
    answer, modelled = record_answer(limited, present)
    rows = {peer.name: Row(peer.name, peer.title, {}, unable(peer, workload)) for peer in present}
    rows[NOISE] = Row(NOISE, "the limit against itself: noise")
    able = [peer for peer in present if not rows[peer.name].error]
    for round_index in range(plan.rounds):
        for name in order(able, workload, round_index, plan):
            if rows[name].error:
                continue
            tell(f"{workload.name}: round {round_index + 1} of {plan.rounds}, {name}")
            peer = peers.LIMIT if name == NOISE else peers.PEERS[name]
            does = limited if peer is peers.LIMIT else workload
            try:
                rows[name].samples[round_index] = measure_once(peer, does, answer, plan)
            except (NotStarted, Wrong) as error:
                rows[name].error = str(error)
    return Table(workload, rows, answer.stat().st_size, modelled)


def unable(peer: peers.Peer, workload: Workload) -> str:
    """Why a server takes no part; empty if it does."""
    takes_part = workload.peers is None or peer in (peers.LIMIT, peers.NODEPP)
    if takes_part or peer.name in (workload.peers or ()):
        return peer.without.get(workload.name, "")
    return workload.why_not


def measure_once(peer: peers.Peer, workload: Workload, answer: Path, plan: Plan) -> Sample:
    """A fresh server, verified, warmed up, measured. Fresh each time: how memory happens to be laid
    out is part of the spread, not of the result.
    """
    with serving(peer, workload, answer) as server:
        if workload.idle:
            return measure_idle(server, workload, plan.timing)
        # The limit has one answer only, and that is the one of the workload itself.
        if workload.beside and peer is not peers.LIMIT:
            return measure_beside(server, workload, plan.timing)
        if plan.wrk and is_plain(workload):
            return client.wrk(server, workload, plan.timing, CONNECTIONS)
        return client.load(server, workload, plan.timing, CONNECTIONS)


def is_plain(workload: Workload) -> bool:
    """Whether wrk, told nothing but the URL, asks the same."""
    fields = workload.request.count(b"\r\n") - 3  # request line, Host, empty line
    known = workload.conditional or workload.begin
    return workload.depth == 1 and not fields and not known


def measure_beside(server: Server, workload: Workload, timing: Timing) -> Sample:
    """The other workload first, in the same server, so that nothing but the difference differs."""
    without = client.load(server, WORKLOADS[workload.beside], timing, CONNECTIONS)
    sample = client.load(server, workload, timing, CONNECTIONS)
    sample.extra = compared(sample, without)
    return sample


def compared(sample: Sample, without: Sample) -> dict[str, float]:
    return {
        "cpu_us_without": without.cpu_us,
        "ratio_to_without": sample.cpu_us / without.cpu_us,
        "added_us": sample.cpu_us - without.cpu_us,
    }


def measure_idle(server: Server, workload: Workload, timing: Timing) -> Sample:
    """Hello without and with the idle connections, in the same server; and what each of them takes
    of its memory.
    """
    without = client.load(server, WORKLOADS["hello"], timing, CONNECTIONS)
    before = server.resident_bytes()
    after = before

    def at_rest() -> None:
        nonlocal after
        after = server.resident_bytes()

    sample = client.load(server, workload, timing, CONNECTIONS, workload.idle, at_rest)
    sample.extra = {
        **compared(sample, without),
        "bytes_per_idle_connection": (after - before) / workload.idle,
    }
    return sample


def row_as_dict(table: Table, row: Row) -> dict[str, Any]:
    """A row for the JSON file: every sample, and their summaries."""
    samples = [row.samples[n] for n in sorted(row.samples)]
    base = "limit" in table.rows and bool(table.rows["limit"].samples)
    extras = sorted({key for sample in samples for key in sample.extra})
    return {
        "peer": row.name,
        "title": row.title,
        "error": row.error,
        "cpu_us": as_dict(summary(sample.cpu_us for sample in samples)),
        "requests_per_second": as_dict(summary(sample.requests_per_second for sample in samples)),
        "ratio_to_limit": as_dict(summary(table.ratios(row.name))) if base else None,
        "client_bound": majority(sample.client_bound for sample in samples),
        "disturbed": majority(sample.disturbed for sample in samples),
        "answer_size": samples[0].answer_size if samples else None,
        "extra": {key: as_dict(summary(sample.extra[key] for sample in samples)) for key in extras},
        "samples": [{"round": n, **asdict(row.samples[n])} for n in sorted(row.samples)],
    }


def as_dict(found: Optional[Summary]) -> Optional[dict[str, float]]:
    return asdict(found) if found else None


def majority(marks: Iterable[bool]) -> bool:
    found = list(marks)
    return sum(found) * 2 > len(found)


def times(base: str) -> str:
    return "× the limit" if base == "limit" else f"× {base}"


OWN = {  # bounds that no other server is needed for: where the figure is, how it is called
    "without": ("ratio_to_without", "× without it"),
    "added": ("added_us", "µs added"),
    "bytes": ("bytes_per_idle_connection", "bytes per idle connection"),
}


def bound_as_dict(table: Table, bound: Bound) -> dict[str, Any]:
    """What nodepp was found to do of a bound. A ratio may be over it by the noise of the table;
    microseconds and bytes may not.
    """
    row = table.rows.get("nodepp")
    samples = row.samples if row else {}
    key, label = OWN.get(bound.base, ("", times(bound.base)))
    if key:
        found = summary(sample.extra[key] for sample in samples.values())
    else:
        found = summary(table.ratios("nodepp", bound.base) if bound.base in table.rows else ())
    # The noise is that of a ratio near 1; a bound below has its share of it.
    noise = table.noise() * min(1.0, bound.most) if label.startswith("×") else 0.0
    return judged(label, bound.most, found, noise)


def judged(label: str, most: float, found: Optional[Summary], noise: float = 0.0) -> dict[str, Any]:
    """A bound and what was found, for the JSON file; the median is what counts."""
    allowed = most + noise
    return {
        "label": label,
        "most": most,
        "allowed": allowed,
        "found": as_dict(found),
        "kept": found.median <= allowed if found else None,
    }


def table_as_dict(table: Table) -> dict[str, Any]:
    workload = table.workload
    found: dict[str, Any] = {
        "title": workload.title,
        "bounds": [bound_as_dict(table, bound) for bound in workload.bounds],
        "noise": table.noise(),
        "limit_answer_size": table.answer_size,
        "limit_answer_modelled": table.modelled,
        "rows": [row_as_dict(table, row) for row in table.rows.values()],
    }
    return found
