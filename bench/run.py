"""`make bench`: nodepp beside its peers and beside what the kernel alone costs.

    bench/run.py                                   everything: 10 rounds of 3 s; hours
    bench/run.py --workloads hello,page --peers nodepp,bjoern --rounds 5 --seconds 1
    bench/run.py --workloads statics --peers nodepp,nginx --rounds 7 --seconds 2
    bench/run.py --quick --peers nodepp            does it still run? seconds
    bench/run.py --pollers                         epoll, poll, select, selectors

bench/README.md has the method.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import compress
import measure
import peers
import places
import pollers
import report
import restart
import sent
import servers
import sessions
import startup
import workloads
from client import Timing
from exchange import Wrong
from measure import Plan

QUICK = Plan(rounds=1, timing=Timing(seconds=0.2, warmup=0.05), other_rounds=1)
QUICK_SHARE = 0.01  # of the site's files


def arguments(argv: Optional[list[str]] = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog=f"workloads: {', '.join([*workloads.WORKLOADS, *workloads.OTHERS])}; "
        f"{', '.join(workloads.GROUPS)} stand for many. "
        f"peers: {', '.join(peers.PEERS)}; the limit always takes part.",
    )
    add = parser.add_argument
    add("--workloads", metavar="A,B", help="default: engine,statics,sessions")
    add("--peers", metavar="A,B", help="default: all")
    add("--rounds", type=int, default=10)
    add("--seconds", type=float, default=3.0, help="of each measurement")
    add(
        "--other-rounds",
        type=int,
        metavar="N",
        help="rounds in which others than nodepp and the limit take part (default: all)",
    )
    add("--quick", action="store_true", help="one round of 0.2 s: shows that it runs, not how fast")
    add(
        "--client",
        choices=("load", "wrk"),
        default="load",
        help="wrk does GET without pipelining; the rest stays with load",
    )
    add(
        "--pollers",
        action="store_true",
        help="nodepp with each fdMonitor at 64, 1,000 and 10,000 connections, instead",
    )
    add("--out", type=Path, default=places.OUT, metavar="FOLDER", help="default: build/bench/out")
    add("--no-plots", action="store_true")
    add("--publish", action="store_true", help="copy tables and plots to docs/bench/")
    add(
        "--install-only",
        action="store_true",
        help="make the virtual environments of the peers, and stop",
    )
    options = parser.parse_args(argv)
    known = [*workloads.WORKLOADS, *workloads.OTHERS]
    options.workloads = chosen(
        parser, options.workloads, known, workloads.DEFAULT, workloads.GROUPS
    )
    options.peers = chosen(parser, options.peers, list(peers.PEERS), list(peers.PEERS), {})
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("at least one round, and some time")
    return options


def chosen(
    parser: argparse.ArgumentParser,
    text: Optional[str],
    known: list[str],
    default: list[str],
    groups: dict[str, list[str]],
) -> list[str]:
    """The names in the text, groups opened, each once."""
    if not text:
        return default
    names: list[str] = []
    for name in (part.strip() for part in text.split(",") if part.strip()):
        if name not in known and name not in groups:
            parser.error(f"{name!r} is unknown; there are: {', '.join([*groups, *known])}")
        names += groups.get(name, [name])
    return list(dict.fromkeys(names))


def tell(text: str) -> None:
    """What is going on, on one line of the terminal; nothing into a file."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def install(names: list[str]) -> tuple[list[peers.Peer], dict[str, str]]:
    """Who can be measured, and why the others cannot."""
    present, missing = [peers.LIMIT], {}
    for name in names:
        if name == "limit":
            continue
        tell(f"installing {name}")
        try:
            peers.ensure_installed(peers.PEERS[name])
            present.append(peers.PEERS[name])
        except (places.MissingTool, subprocess.CalledProcessError, OSError) as error:
            missing[name] = str(error)
    return present, missing


def pin_client() -> None:
    """This process, and with it the client, stays off the server's core."""
    cores = os.sched_getaffinity(0)
    if not {servers.SERVER_CORE, servers.CLIENT_CORE} <= cores:
        sys.exit("bench: two cores are needed, 0 for the server and 1 for the client")
    os.sched_setaffinity(0, {servers.CLIENT_CORE})


def plan_of(options: argparse.Namespace) -> Plan:
    wrk = options.client == "wrk"
    if options.quick:
        return replace(QUICK, wrk=wrk)
    others = min(options.other_rounds or options.rounds, options.rounds)
    return Plan(options.rounds, Timing(options.seconds), others, wrk)


def announce(options: argparse.Namespace, present: list[peers.Peer], plan: Plan) -> None:
    """How long it will take, roughly: a start and a warm-up cost about a second."""
    near = sum(peer.name in ("limit", "nodepp") for peer in present) + 1
    others = len(present) + 1 - near
    measured = plan.rounds * near + plan.other_rounds * others
    loads = sum(
        2 if workloads.WORKLOADS[name].beside else 1
        for name in options.workloads
        if name in workloads.WORKLOADS
    )
    minutes = loads * measured * (plan.timing.seconds + plan.timing.warmup + 0.7) / 60
    print(
        f"{len(present)} servers, {len(options.workloads)} workloads: about {minutes:.0f} minutes",
        file=sys.stderr,
    )


def measure_all(options: argparse.Namespace) -> dict[str, Any]:
    places.prepare()
    present, missing = install(["nodepp"] if options.pollers else options.peers)
    plan = plan_of(options)
    result: dict[str, Any] = {
        "about": {
            "date": time.strftime("%Y-%m-%d"),
            "rounds": plan.rounds,
            "seconds": plan.timing.seconds,
            "client": options.client,
            "machine": report.machine(),
            "versions": peers.versions(present),
        },
        "missing": missing,
        "workloads": {},
    }
    if options.install_only:
        return result
    pin_client()
    if options.pollers:
        result["pollers"] = pollers.measure(plan, tell)
        return result
    announce(options, present, plan)
    fill_cache(present)
    for name in options.workloads:
        if name in workloads.OTHERS:
            result[name.replace("-", "_")] = measure_other(name, present, options, plan)
        else:
            table = measure.measure(workloads.WORKLOADS[name], present, plan, tell)
            result["workloads"][name] = measure.table_as_dict(table)
    tell("")
    return result


def fill_cache(present: list[peers.Peer]) -> None:
    """All codings of the loads' two files, before anything is measured: a child that compresses
    would be in the figures.
    """
    if peers.NODEPP in present:
        try:
            startup.precompress(places.SITE, places.CACHE, workloads.WORKLOADS["small"])
        except (servers.NotStarted, Wrong) as error:
            print(f"bench: nodepp, while it compresses: {error}", file=sys.stderr)


def measure_other(
    name: str, present: list[peers.Peer], options: argparse.Namespace, plan: Plan
) -> dict[str, Any]:
    """What is no load."""
    home, share = places.WEBSITE, 1.0
    if options.quick:
        home, share = places.WEBSITE_QUICK, QUICK_SHARE
    if name == "startup":
        return startup.measure(present, plan.rounds, tell)
    if name == "site-startup":
        return startup.measure_site(present, home, share, plan.rounds, tell)
    if name == "site-bytes":
        return sent.measure(present, home, share, tell)
    if name == "session-table":
        counts = sessions.COUNTS_QUICK if options.quick else sessions.COUNTS
        return sessions.measure_all(counts, plan.rounds, tell)
    if name == "session-restart":
        count = restart.COUNT_QUICK if options.quick else restart.COUNT
        return restart.measure(count, plan.rounds, tell)
    return compress.measure_all(plan.rounds, tell)


def write(result: dict[str, Any], options: argparse.Namespace) -> None:
    """Tables on stdout and in the folder; plots by a Python that has matplotlib."""
    stem = "pollers" if options.pollers else "bench"
    options.out.mkdir(parents=True, exist_ok=True)
    text = report.markdown(result)
    print(text)
    written = [options.out / f"{stem}{suffix}" for suffix in (".md", ".json", ".csv")]
    written[0].write_text(text)
    written[1].write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    report.write_csv(result, written[2])
    if not options.no_plots:
        written += draw(written[1], options.out)
    if options.publish:
        places.PUBLISHED.mkdir(parents=True, exist_ok=True)
        for path in written:
            shutil.copy(path, places.PUBLISHED / path.name)


def draw(result: Path, folder: Path) -> list[Path]:
    """The plots, in an environment of their own: nodepp needs no matplotlib. Their paths."""
    try:
        venv = peers.ensure_venv(
            "plots", ("matplotlib==3.9.4" if sys.version_info < (3, 10) else "matplotlib",)
        )
    except (places.MissingTool, subprocess.CalledProcessError) as error:
        print(f"bench: no plots: {error}", file=sys.stderr)
        return []
    command = [
        str(venv / "bin" / "python"),
        str(places.BENCH / "plots.py"),
        str(result),
        str(folder),
    ]
    said = subprocess.run(command, capture_output=True, text=True)
    if said.returncode:
        print(f"bench: no plots: {said.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
    return [Path(line) for line in said.stdout.splitlines()]


def main() -> None:
    options = arguments()
    result = measure_all(options)
    if options.install_only:
        print(
            "\n".join(f"{name}: {reason}" for name, reason in result["missing"].items())
            or "all peers are there"
        )
    else:
        write(result, options)


if __name__ == "__main__":
    main()
