"""Restarts with a session file: how long they take, and whether everybody is still known.

Three files: one without a session, one whose server was stopped, one whose server was killed. Each
start is timed as in startup.py, from exec to the first answer, and the three are neighbours in a
round. The server of the third is killed after each start, so that it always opens a file that
nobody closed. At the end every visitor comes back.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jar
import peers
from exchange import Wrong, decoded
from layout import lay_out, spread, verdict
from measure import as_dict, judged, summary
from places import BARE, SCRATCH
from servers import NotStarted, Server, serving
from startup import hello_answer
from workload import Workload
from workloads import RESTART_BOUND_MS, WORKLOADS

COUNT = 50_000  # sessions, which is the default capacity too
COUNT_QUICK = 500
# No visitor may be gone by the time of the last round.
SETTINGS = {"maxSessions": COUNT, "sessionTimeout": "1d"}


@dataclass
class Case:
    """A session file."""

    title: str
    path: Path
    count: int
    is_killed: bool = False
    cookies: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    missing: int = 0
    error: str = ""

    def run(self, workload: Workload, job: Any) -> None:
        """Starts a server with the file, calls job(server), ends it as it must end."""
        settings = {**SETTINGS, "sessionFile": self.path}
        with serving(peers.NODEPP, workload, hello_answer(), settings, BARE) as server:
            job(server)
            if self.is_killed:
                server.process.kill()
                server.process.wait()

    def fill(self, server: Server) -> None:
        counter = replace(WORKLOADS["session-100"], sessions=self.count)
        self.cookies = jar.begin(server, counter)

    def time(self, server: Server) -> None:
        self.times.append(server.started_ms)

    def come_back(self, server: Server) -> None:
        """Each visitor, whose second visit this is."""
        request = WORKLOADS["session-100"].request
        found = [decoded(answer) for answer in jar.ask(server, request, self.cookies)]
        self.missing = len(found) - found.count(b"2")


def measure(count: int, rounds: int, tell: Any) -> dict[str, Any]:
    """All rounds. The first start of each file is of the server that fills it."""
    hello = replace(WORKLOADS["hello"], app="sessions")
    cases = [
        Case("no sessions", SCRATCH / "none.sessions", 0),
        Case(f"{count:,} sessions", SCRATCH / "stopped.sessions", count),
        Case(f"{count:,} sessions, killed before", SCRATCH / "killed.sessions", count, True),
    ]
    for case in cases:
        case.path.unlink(missing_ok=True)
    for number in range(-1, rounds + 1):
        turn = number % len(cases)
        for case in cases[turn:] + cases[:turn]:
            if case.error:
                continue
            tell(f"session-restart: round {number + 1} of {rounds}, {case.title}")
            job = case.fill if number < 0 else case.time if number < rounds else case.come_back
            try:
                case.run(hello, job)
            except (NotStarted, Wrong) as error:
                case.error = str(error)
    for case in cases:
        case.path.unlink(missing_ok=True)
    return as_result(cases)


def as_result(cases: list[Case]) -> dict[str, Any]:
    rows, bounds = [], []
    for case in cases:
        # By round: what drifts drifts for both.
        added = [full - none for full, none in zip(case.times, cases[0].times)]
        if case.count:
            whole = not case.error
            bounds += [
                judged(f"ms added, {case.title}", RESTART_BOUND_MS, summary(added)),
                judged(f"missing, {case.title}", 0.0, summary([case.missing] if whole else [])),
            ]
        rows.append(
            {
                "title": case.title,
                "error": case.error,
                "milliseconds": as_dict(summary(case.times)),
                "added_ms": as_dict(summary(added)) if case.count else None,
                "missing": case.missing,
            }
        )
    return {"title": "exec to first 200 with a session file", "bounds": bounds, "rows": rows}


def table(result: dict[str, Any]) -> str:
    rows = [row for row in result["rows"] if row["milliseconds"]]
    lines = [
        [
            row["title"],
            spread(row["milliseconds"], 0),
            spread(row["added_ms"], 1),
            str(row["missing"]),
        ]
        for row in rows
    ]
    text = [f"### session-restart: {result['title']}", ""]
    text += [lay_out(["in the file", "ms", "ms added", "visitors not known"], lines), ""]
    text += [
        f"- {row['title']}: not measured: {row['error']}" for row in result["rows"] if row["error"]
    ]
    return "\n".join([*text, *verdict(result)]) + "\n"
