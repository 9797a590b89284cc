"""Draws a result: `plots.py RESULT.json FOLDER`, with a Python that has matplotlib (run.py makes
one).

Prints the path of each file it wrote. One figure for the loads (a panel for each workload, CPU per
request as a multiple of the limit), one for requests per second, one for memory and start-up, one
for pollers: each only if it was measured.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

OURS, THEIRS, LIMIT, INK = "#1f6f8b", "#b9c0c6", "#4a5056", "#2b2f33"
KIB, MIB = 1024, 1024 * 1024
DOTS_PER_INCH = 150

STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.edgecolor": THEIRS,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "ytick.left": False,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlesize": 10,
    "svg.fonttype": "none",  # text stays text: a third of the size
    "svg.hashsalt": "nodepp",  # the same result gives the same file
}


def colour(peer: str) -> str:
    return {"nodepp": OURS, "limit": LIMIT}.get(peer, THEIRS)


def marks(
    axes: Axes, rows: list[dict[str, Any]], key: str, scale: float, form: str, log: bool
) -> None:
    """A line for each server: its median, a thin line from the lowest to the highest sample, the
    value at the right.

    Bars where the axis begins at nothing; dots on a logarithmic axis, where the length of a bar
    would mean nothing.
    """
    rows = list(reversed(rows))
    medians, lows, highs = (
        [row[key][what] / scale for row in rows] for what in ("median", "low", "high")
    )
    colours, heights = [colour(row["peer"]) for row in rows], range(len(rows))
    if log:
        axes.set_xscale("log")
        axes.set_xlim(min(lows) * 0.8, max(highs) * 3)
        axes.hlines(heights, min(lows) * 0.8, medians, color=THEIRS, linewidth=0.8, linestyle=":")
        axes.scatter(medians, heights, color=colours, s=42, zorder=3)
    else:
        axes.set_xlim(0, max(highs) * 1.2)
        axes.barh(heights, medians, color=colours, height=0.72)
    axes.hlines(heights, lows, highs, color=INK, linewidth=1, zorder=4)
    axes.set_yticks(heights, [row["title"] for row in rows])
    for label, row in zip(axes.get_yticklabels(), rows):
        if row["peer"] == "nodepp":
            label.set(fontweight="bold", color=OURS)
    for at, high in enumerate(highs):
        offset = high * 1.25 if log else high + max(highs) * 0.01
        axes.text(offset, at, form.format(medians[at]), va="center", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.xaxis.set_major_formatter(FuncFormatter(plain))
    if log:
        axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, at: ""))


def plain(value: float, at: object = None) -> str:
    """2,000,000 as 2 M, 50,000 as 50 k; small numbers as they are."""
    for unit, letter in ((1e6, " M"), (1e3, " k")):
        if abs(value) >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


def measured(table: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """Rows with a figure, the best first."""
    rows = [row for row in table["rows"] if row.get(key) and row["peer"] != "limit-again"]
    return sorted(rows, key=lambda row: row[key]["median"])


def panels(
    tables: dict[str, Any], key: str, title: str, form: str, log: bool, best_last: bool
) -> Figure:
    """A grid of panels, two in a row."""
    shown = [(table, measured(table, key)) for table in tables.values()]
    shown = [(table, rows) for table, rows in shown if rows]
    lines = (len(shown) + 1) // 2
    tallest = max(len(rows) for _, rows in shown)
    size = (12 if len(shown) > 1 else 7, lines * (tallest * 0.23 + 1.0) + 0.4)
    figure, grid = plt.subplots(
        lines, min(2, len(shown)), figsize=size, squeeze=False, layout="constrained"
    )
    for axes, (table, rows) in zip(grid.flat, shown):
        marks(axes, list(reversed(rows)) if best_last else rows, key, 1, form, log)
        axes.set_title(table["title"])
    for axes in list(grid.flat)[len(shown) :]:
        axes.set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    return figure


def idle_rows(result: dict[str, Any]) -> list[dict[str, Any]]:
    table = result["workloads"].get("idle", {"rows": []})
    rows = [{**row, "size": row["extra"].get("bytes_per_idle_connection")} for row in table["rows"]]
    return measured({"rows": rows}, "size")


def memory(result: dict[str, Any]) -> Figure:
    """Bytes for each idle connection, memory after the first answer, time to the first answer."""
    startup = result.get("startup") or {"rows": []}
    wanted = [
        (idle_rows(result), "size", KIB, "{:.2f}", "KiB of memory per idle connection", True),
        (
            measured(startup, "resident_bytes"),
            "resident_bytes",
            MIB,
            "{:.1f}",
            "MiB resident after the first answer",
            False,
        ),
        (
            measured(startup, "milliseconds"),
            "milliseconds",
            1,
            "{:.0f}",
            "ms from exec to the first answer",
            False,
        ),
    ]
    wanted = [part for part in wanted if part[0]]
    height = max(len(part[0]) for part in wanted) * 0.23 + 1.0
    figure, grid = plt.subplots(
        1, len(wanted), figsize=(6 * len(wanted), height), squeeze=False, layout="constrained"
    )
    for axes, (rows, key, scale, form, title, log) in zip(grid.flat, wanted):
        marks(axes, rows, key, scale, form, log)
        axes.set_title(title)
    return figure


def pollers(table: dict[str, Any]) -> Figure:
    """CPU per request by number of connections, a line for each poller: all busy, and 64 of them
    busy.
    """
    figure, grid = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, layout="constrained")
    colours = dict(
        zip(("epoll", "poll", "select", "selectors"), (OURS, "#c8553d", "#e0a458", "#7a7f85"))
    )
    for axes, all_busy in zip(grid.flat, (True, False)):
        for poller, line_colour in colours.items():
            rows = [
                row for row in table["rows"]
                if row["poller"] == poller and row["cpu_us"]
                and (row["busy"] == row["connections"] if all_busy else row["busy"] == 64)
            ]  # fmt: skip
            counts = [row["connections"] for row in rows]
            axes.plot(
                counts,
                [row["cpu_us"]["median"] for row in rows],
                "o-",
                label=poller,
                color=line_colour,
            )
            lows, highs = ([row["cpu_us"][end] for row in rows] for end in ("low", "high"))
            axes.fill_between(counts, lows, highs, color=line_colour, alpha=0.15)
        axes.set(xscale="log", yscale="log", xlabel="connections")
        axes.set_xticks(sorted({row["connections"] for row in table["rows"]}))
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(FuncFormatter(plain))
        axes.yaxis.set_major_formatter(FuncFormatter(plain))
        axes.set_title("all busy" if all_busy else "64 busy, the rest idle")
    grid.flat[0].set_ylabel("CPU µs per request")
    grid.flat[1].legend(frameon=False)
    return figure


def figures(result: dict[str, Any]) -> dict[str, Figure]:
    found = {}
    tables = result["workloads"]
    if any(measured(table, "ratio_to_limit") for table in tables.values()):
        title = "Server CPU per request, as a multiple of a bare epoll loop in C (less is better)"
        found["cpu"] = panels(tables, "ratio_to_limit", title, "{:.2f} ×", True, False)
    if any(measured(table, "requests_per_second") for table in tables.values()):
        title = "Requests per second, one core (more is better)"
        found["throughput"] = panels(tables, "requests_per_second", title, "{:,.0f}", False, True)
    if result.get("startup") or idle_rows(result):
        found["memory"] = memory(result)
    if result.get("pollers"):
        found["pollers"] = pollers(result["pollers"])
    return found


def main() -> None:
    result, folder = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    plt.rcParams.update(STYLE)
    for name, figure in figures(result).items():
        for suffix in ("png", "svg"):
            path = folder / f"{name}.{suffix}"
            figure.savefig(
                path, dpi=DOTS_PER_INCH, metadata={"Date": None} if suffix == "svg" else None
            )
            print(path)


if __name__ == "__main__":
    main()
