"""The result as tables for people (Markdown, which a terminal shows as well) and as CSV."""

from __future__ import annotations

import csv
import platform
import sys
from pathlib import Path
from typing import Any, Optional

from workloads import IDLE_BOUND_BYTES

Found = Optional[dict[str, float]]

KIB, MIB = 1024, 1024 * 1024


def machine() -> dict[str, str]:
    """What the figures depend on, without names of places or people."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"cpu": model, "kernel": platform.release(), "python": sys.version.split()[0]}


def spread(found: Found, digits: int, factor: float = 1.0) -> str:
    """`median (low to high)`."""
    if not found:
        return "–"
    median, low, high = (f"{found[key] / factor:,.{digits}f}" for key in ("median", "low", "high"))
    return median if low == high else f"{median} ({low} to {high})"


def lay_out(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with its columns aligned: the first to the left, the others to the right."""
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]

    def line(cells: list[str]) -> str:
        first, *others = cells
        padded = [
            first.ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(others, widths[1:])),
        ]
        return "| " + " | ".join(padded) + " |"

    rule = (
        "|"
        + "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
        + "|"
    )
    return "\n".join([line(head), rule, *(line(row) for row in rows)])


def load_table(name: str, table: dict[str, Any]) -> str:
    """One workload: a line for each server, the cheapest first; the limit and its noise on top."""
    measured = [row for row in table["rows"] if row["cpu_us"]]
    measured.sort(key=lambda row: (not row["peer"].startswith("limit"), row["cpu_us"]["median"]))
    lines = [load_line(row) for row in measured]
    text = [f"### {name}: {table['title']}", ""]
    text.append(
        lay_out(
            ["server", "CPU µs per request", "× the limit", "requests per second", "marks"], lines
        )
    )
    text.append("")
    text += [
        f"- {row['peer']}: not measured: {row['error']}"
        for row in table["rows"]
        if not row["cpu_us"]
    ]
    text += [f"- {row['peer']}: stopped: {row['error']}" for row in measured if row["error"]]
    text.append(
        f"- The limit sends {table['limit_answer_size']:,} bytes an answer"
        + (
            " (a model: nodepp was not there to be recorded)."
            if table["limit_answer_modelled"]
            else ", as nodepp does."
        )
    )
    text += verdict(table)
    return "\n".join(text) + "\n"


def load_line(row: dict[str, Any]) -> list[str]:
    marks = [mark for mark in ("client_bound", "disturbed") if row[mark]]
    return [
        row["title"],
        spread(row["cpu_us"], 2),
        spread(row["ratio_to_limit"], 2),
        spread(row["requests_per_second"], 0),
        ", ".join(mark.replace("_", "-") for mark in marks),
    ]


def row_of(table: dict[str, Any], peer: str) -> Optional[dict[str, Any]]:
    return next((row for row in table["rows"] if row["peer"] == peer), None)


def verdict(table: dict[str, Any]) -> list[str]:
    """Whether nodepp keeps its bound: the median of the paired ratios within the bound and the
    limit's noise.
    """
    row = row_of(table, "nodepp")
    found: Found = row and (row["extra"].get("ratio_to_without") or row["ratio_to_limit"])
    if not found or not table["bound"]:
        return []
    allowed = table["bound"] + table["noise"]
    kept = "kept" if found["median"] <= allowed else f"missed by {found['median'] - allowed:.2f}"
    return [
        f"- Bound {table['bound']:.2f} + noise {table['noise']:.3f}: {found['median']:.3f}, {kept}."
    ]


def idle_table(table: dict[str, Any]) -> str:
    """Beside the load table: what the idle connections cost each server."""
    rows = [row for row in table["rows"] if row["extra"] and row["peer"] != "limit-again"]
    rows.sort(key=lambda row: row["extra"]["bytes_per_idle_connection"]["median"])
    lines = [
        [
            row["title"],
            spread(row["extra"]["bytes_per_idle_connection"], 2, KIB),
            spread(row["extra"]["cpu_us_without"], 2),
            spread(row["extra"]["ratio_to_without"], 2),
        ]
        for row in rows
    ]
    head = ["server", "KiB per idle connection", "CPU µs without them", "× without them"]
    text = [lay_out(head, lines)]
    own = row_of(table, "nodepp")
    if own and own["extra"]:
        size = own["extra"]["bytes_per_idle_connection"]["median"]
        kept = "kept" if size <= IDLE_BOUND_BYTES else "missed"
        text += ["", f"- Bound {IDLE_BOUND_BYTES} bytes per idle connection: {size:.0f}, {kept}."]
    return "\n".join(text) + "\n"


def startup_table(table: dict[str, Any]) -> str:
    rows = [row for row in table["rows"] if row["milliseconds"]]
    rows.sort(key=lambda row: row["milliseconds"]["median"])
    lines = [
        [row["title"], spread(row["milliseconds"], 0), spread(row["resident_bytes"], 1, MIB)]
        for row in rows
    ]
    text = [
        f"### startup: {table['title']}",
        "",
        lay_out(["server", "ms", "MiB resident"], lines),
        "",
    ]
    text += [
        f"- {row['peer']}: not measured: {row['error']}" for row in table["rows"] if row["error"]
    ]
    own = row_of(table, "nodepp")
    if own and own["milliseconds"]:
        ms, size = own["milliseconds"]["median"], own["resident_bytes"]["median"]
        kept = "kept" if ms <= table["bound_ms"] and size <= table["bound_bytes"] else "missed"
        text.append(
            f"- Bounds {table['bound_ms']} ms and {table['bound_bytes'] // MIB} MiB: {kept}."
        )
    return "\n".join(text) + "\n"


def pollers_table(table: dict[str, Any]) -> str:
    lines = [
        [row["poller"], f"{row['connections']:,}", f"{row['busy']:,}", spread(row["cpu_us"], 2),
         spread(row["ratio_to_epoll"], 2), spread(row["requests_per_second"], 0), row["error"]]
        for row in table["rows"]
    ]  # fmt: skip
    head = [
        "fdMonitor",
        "connections",
        "of them busy",
        "CPU µs per request",
        "× epoll",
        "requests per second",
        "note",
    ]
    return f"### pollers: {table['title']}\n\n" + lay_out(head, lines) + "\n"


def markdown(result: dict[str, Any]) -> str:
    """The whole result."""
    about, text = result["about"], []
    machine_text = ", ".join(f"{key} {value}" for key, value in about["machine"].items())
    method = f"{about['rounds']} rounds of {about['seconds']} s; client: {about['client']}"
    text.append(f"{method}; {machine_text}.\n")
    if about["versions"]:
        text.append(
            "Versions: " + "; ".join(f"{k}: {v}" for k, v in about["versions"].items()) + ".\n"
        )
    text += [f"Not measured: {name}: {reason}\n" for name, reason in result["missing"].items()]
    for name, table in result["workloads"].items():
        text.append(load_table(name, table))
        if any(row["extra"] for row in table["rows"]):
            text.append(idle_table(table))
    if result.get("startup"):
        text.append(startup_table(result["startup"]))
    if result.get("pollers"):
        text.append(pollers_table(result["pollers"]))
    return "\n".join(text)


def write_csv(result: dict[str, Any], path: Path) -> None:
    """One line for each sample of each server."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        columns = ["request_count", "seconds", "cpu_us", "busy_share", "idle_share", "answer_size"]
        writer.writerow(["workload", "server", "round", *columns])
        for name, table in result["workloads"].items():
            for row in table["rows"]:
                for sample in row["samples"]:
                    values = [
                        f"{sample[key]:.6g}" if isinstance(sample[key], float) else sample[key]
                        for key in columns
                    ]
                    writer.writerow([name, row["peer"], sample["round"] + 1, *values])
