"""Tables in Markdown, which a terminal shows as well; which bounds are kept."""

from __future__ import annotations

from typing import Any, Optional

Found = Optional[dict[str, float]]

KIB, MIB = 1024, 1024 * 1024


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


def verdict(table: dict[str, Any]) -> list[str]:
    """A line for each bound of the table: the median of the paired figures within the bound and the
    noise that is allowed for.
    """
    lines = []
    for bound in table["bounds"]:
        noise = bound["allowed"] - bound["most"]
        limit = number(bound["most"]) + (f" + noise {noise:.3f}" if noise else "")
        median = f"{bound['found']['median']:.3f}, " if bound["found"] else ""
        lines.append(f"- Bound {limit} {bound['label']}: {median}{kept(bound)}.")
    return lines


def kept(bound: dict[str, Any]) -> str:
    found, allowed = bound["found"], bound["allowed"]
    if not found:
        return "not measured"
    if found["median"] <= allowed:
        return "kept"
    over = found["median"] - allowed
    return "missed by " + (f"{over:.2f}" if over < 10 else f"{over:,.0f}")


def number(value: float) -> str:
    """A bound: a ratio with two digits, milliseconds and bytes without."""
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def bounds_table(tables: dict[str, dict[str, Any]]) -> str:
    """Every bound in one place, in the order of measuring. Empty where there is none."""
    lines = [
        [
            name,
            f"{number(bound['most'])} {bound['label']}",
            spread(bound["found"], 3 if bound["most"] < 10 else 1),
            kept(bound),
        ]
        for name, table in tables.items()
        for bound in table["bounds"]
    ]
    if not lines:
        return ""
    return "### bounds\n\n" + lay_out(["workload", "at most", "nodepp", "median"], lines) + "\n"
