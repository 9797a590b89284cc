"""The result as tables for people (Markdown, which a terminal shows as well) and as CSV."""

from __future__ import annotations

import csv
import platform
import sys
from pathlib import Path
from typing import Any

import compress
import restart
import sent
import sessions
import startup
from layout import KIB, MIB, bounds_table, lay_out, spread, verdict


def machine() -> dict[str, str]:
    """What the figures depend on, without names of places or people."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {"cpu": model, "kernel": platform.release(), "python": sys.version.split()[0]}


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
    reasons: dict[str, list[str]] = {}
    for row in table["rows"]:
        if not row["cpu_us"]:
            reasons.setdefault(row["error"], []).append(row["peer"])
    text += [f"- {', '.join(names)}: not measured: {why}" for why, names in reasons.items()]
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


def beside_table(table: dict[str, Any]) -> str:
    """Beside the load table: the same server with the workload that differs in one thing only."""
    rows = [row for row in table["rows"] if row["extra"].get("added_us")]
    rows.sort(key=lambda row: row["extra"]["added_us"]["median"])
    keys = ("cpu_us_without", "added_us", "ratio_to_without")
    lines = [[row["title"], *(spread(row["extra"][key], 2) for key in keys)] for row in rows]
    return lay_out(["server", "CPU µs without", "µs added", "× without"], lines) + "\n"


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
    text += verdict(table)
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


FURTHER = {
    "startup": startup_table,
    "site_startup": startup.site_table,
    "site_bytes": sent.table,
    "compress": compress.table,
    "session_table": sessions.table,
    "session_restart": restart.table,
}


def judged_tables(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    further = {name.replace("_", "-"): result[name] for name in FURTHER if result.get(name)}
    return {**result["workloads"], **further}


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
        extras = {key for row in table["rows"] for key in row["extra"]}
        if "bytes_per_idle_connection" in extras:
            text.append(idle_table(table))
        elif "added_us" in extras:
            text.append(beside_table(table))
    for name, table_of in FURTHER.items():
        if result.get(name):
            text.append(table_of(result[name]))
    text.append(bounds_table(judged_tables(result)))
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
