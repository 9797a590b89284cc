"""Instructions per request, by room of the core: `bench/micro.py [--workloads hello,page] [--rooms]
[--against OLD.json]`.

Seconds are noisy; instructions repeat to the last digit. Each workload runs under callgrind, in one
process without a network: requests are written to one end of a socket pair, the engine has the
other. Counted is what happens inside Engine.turn(), Python handler included, kernel not; and the
difference of two run lengths is taken, so that nothing that happens once is in it.

Callgrind tells the line of C; Cython's comments in the C file tell which line of which part it came
from; so each instruction has its room, also where gcc has inlined one room into another. What the
core spends in the interpreter and in libc stands in columns of its own.
"""

from __future__ import annotations

import argparse
import bisect
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Optional

import compress
import places
import startup
import website
import workloads
from drive import CASES
from layout import lay_out

COUNTS = (40, 140)  # requests of the two runs; the first few fill caches
# Cython's name of Engine.turn; gcc keeps the function, for Python calls it by its address.
TURN = "__pyx_pw_*Engine_*turn"

GROUPS = {
    "parser": ("parser", "scan", "target", "field", "decimal"),
    "body": ("body", "chunk", "form", "multipart", "upload"),
    "dispatch": (
        *("dispatch", "locate", "result", "finish", "failure", "route", "freeze"),
        *("callbacks",),
    ),
    "statics": (
        *("statics", "snapshot", "negotiate", "precondition", "ranges", "deliver"),
        *("asked", "file", "calendar", "readahead", "download"),
    ),
    "request": (
        *("request", "objects", "current", "context", "pool", "content", "reply"),
        *("fastcall", "headers", "visitor", "escape"),
    ),
    "visits": (
        *("cookie", "visit", "entry", "admit", "rules", "personal", "declared", "settle"),
        *("policy", "packing", "record", "loaded", "merge", "alter", "tally", "leave", "parting"),
    ),
    "sessions": (
        *("session", "index", "vault", "lock", "ident", "expiry", "store", "roster", "audit"),
        *("guess", "address", "wheel", "mend"),
    ),
    "head": ("response", "clock", "answer"),
    "output": ("output", "format", "stream", "compress"),
    "loop": (
        *("loop", "engine", "house", "timer", "deadline", "poller", "listener", "transport"),
        *("connection", "tables", "memory", "accesslog", "queue", "reader", "inotify"),
        *("fork", "child", "trouble", "telling", "pulse", "watchdog", "witness", "plainlog"),
    ),
}
ROOM_GROUP = {room: group for group, rooms in GROUPS.items() for room in rooms}
OUTSIDE = ("python", "libc", "libraries")  # libraries: msgspec and the like
COLUMNS = [*GROUPS, "other core", *OUTSIDE, "total"]


DEFAULT = (
    "hello,browser,pipelined,json,params,params-no-files,params-1000-files,echo,page,small,"
    "small-coded,small-browser,not-modified,not-modified-browser,range,"
    "session-100,session-typed,session-add,session-member"
)

Cost = Counter[str]  # instructions by room, or by OUTSIDE


def callgrind(name: str, count: int) -> Path:
    """Runs drive() under callgrind; gives the file of costs."""
    out = places.SCRATCH / f"callgrind.{name}.{count}"
    options = "--tool=callgrind --collect-atstart=no --compress-strings=no --compress-pos=no"
    own = [sys.executable, str(places.BENCH / "drive.py"), name, str(count)]
    files = [f"--toggle-collect={TURN}", f"--callgrind-out-file={out}"]
    command = ["valgrind", *options.split(), "--dump-line=yes", *files, *own]
    # A fixed seed: dictionaries of str lie the same way in each run.
    environment = {**os.environ, "PYTHONHASHSEED": "0", "NPP_DIR": str(places.SITE)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith("==")]
        raise SystemExit(
            f"{name}: {(lines or done.stderr.splitlines() or ['callgrind failed'])[-1]}"
        )
    return out


def costs(out: Path, lines: Optional[LineMap]) -> Cost:
    """Own instructions of each room: no callee's are in its caller's.

    The format: `ob=`, `fl=`, `fi=`, `fe=` say where the cost lines that follow belong; a line after
    `calls=` is what a callee took, which is counted where it was spent.
    """
    found: Cost = Counter()
    place, file, after_call = "", "", False
    for line in out.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals:
            if key == "ob":
                place = value
            elif key in ("fl", "fi", "fe"):
                file = value
            after_call = key == "calls"
        elif line[:1].isdigit():
            if not after_call:
                number, cost = line.split()[:2]
                found[room_of(place, file, int(number), lines)] += int(cost)
            after_call = False
    return found


def room_of(place: str, file: str, number: int, lines: Optional[LineMap]) -> str:
    if "nodepp/_core." in place:
        if lines and file.endswith("_core.c"):
            return lines.room(number)
        return "other core"  # macros of Python's headers, Cython's helpers
    library = os.path.basename(place)
    if library.startswith(("python", "libpython")):
        return "python"
    return "libc" if library.startswith(("libc.", "libc-", "ld-", "ld.")) else "libraries"


class LineMap:
    """From a line of the generated C file to the part it was made from, by the comments that Cython
    leaves.
    """

    def __init__(self, source: Path) -> None:
        self.starts: list[int] = []
        self.rooms: list[str] = []
        mark = re.compile(r'^\s*/\* "(?:.*/)?(\w+)\.(?:pxi|pyx|pxd)":\d+')
        # What follows the last part is Cython's own: import of the module, helpers.
        end = re.compile(r"^/\* #### Code section: (?!module_code)")
        for number, line in enumerate(source.read_text().splitlines(), 1):
            found = mark.match(line)
            if found or end.match(line):
                self.starts.append(number)
                self.rooms.append(found.group(1) if found else "other core")

    def room(self, number: int) -> str:
        index = bisect.bisect_right(self.starts, number) - 1
        return self.rooms[index] if index >= 0 else "other core"


def line_map() -> Optional[LineMap]:
    """None when the C file of the installed core is not there, or the core has no line numbers."""
    core = subprocess.run(
        [sys.executable, "-c", "import nodepp._core as c; print(c.__file__)"],
        capture_output=True,
        text=True,
    ).stdout.strip()
    source = places.ROOT / "build" / "release" / "c" / "nodepp" / "_core.c"
    if not core or not source.exists() or b".debug_line" not in Path(core).read_bytes():
        return None
    return LineMap(source)


def per_request(name: str, lines: Optional[LineMap]) -> dict[str, float]:
    """Instructions per request by room, from two runs of different length."""
    short, long = (costs(callgrind(name, count), lines) for count in COUNTS)
    requests = (COUNTS[1] - COUNTS[0]) * workloads.WORKLOADS[CASES[name].workload].depth
    return {
        room: (long[room] - short[room]) / requests for room in long if long[room] != short[room]
    }


def grouped(rooms: dict[str, float]) -> dict[str, float]:
    found = dict.fromkeys(COLUMNS, 0.0)
    for room, cost in rooms.items():
        found[room if room in OUTSIDE else ROOM_GROUP.get(room, "other core")] += cost
    found["total"] = sum(rooms.values())
    return found


def table(result: dict[str, dict[str, float]], old: dict[str, dict[str, float]]) -> str:
    """A line for each workload; with an older result, the change of each figure."""
    lines = []
    for name, rooms in result.items():
        now, before = grouped(rooms), grouped(old[name]) if name in old else {}
        cells = []
        for column in COLUMNS:
            change = now[column] - before[column] if before else 0.0
            cells.append(f"{now[column]:,.0f}" + (f" ({change:+,.0f})" if round(change) else ""))
        lines.append([name, *cells])
    return lay_out(["instructions per request", *COLUMNS], lines)


def room_table(result: dict[str, dict[str, float]]) -> str:
    names = sorted({room for rooms in result.values() for room in rooms})
    lines = [[room, *(f"{rooms.get(room, 0):,.1f}" for rooms in result.values())] for room in names]
    return lay_out(["room", *result], lines)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--workloads", default=DEFAULT, metavar="A,B")
    add("--compress", action="store_true", help="microseconds of host.compress too")
    add("--rooms", action="store_true", help="a line for each room too")
    add("--against", type=Path, metavar="JSON", help="an older micro.json: changes are shown")
    add("--out", type=Path, default=places.OUT / "micro.json")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    if not shutil.which("valgrind"):
        sys.exit("micro: valgrind is missing (on Debian: apt-get install valgrind)")
    places.prepare()
    names = options.workloads.split(",")
    prepare_files(names)
    lines = line_map()
    if not lines:
        print(
            "micro: no line numbers or no C file: rooms cannot be told apart (make build)",
            file=sys.stderr,
        )
    old = json.loads(options.against.read_text()) if options.against else {}
    result = {name: per_request(name, lines) for name in names}
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(table(result, old))
    if options.rooms:
        print("\n" + room_table(result))
    if options.compress:
        print("\n" + compress.table(compress.measure_all(10, lambda text: None)))


def prepare_files(names: list[str]) -> None:
    """The site where it is needed; the codings, which are not made under callgrind."""
    for home in {CASES[name].home for name in names}:
        if home == places.WEBSITE:
            website.prepare(home)
    startup.precompress(places.SITE, places.CACHE, workloads.WORKLOADS["small"])


if __name__ == "__main__":
    main()
