"""The drawing of a connection's states in docs/architecture.md, made from the core's table.

`python tests/statedrawing.py` writes it anew; test_states.py checks that the document has it.
"""

from __future__ import annotations

import pathlib

from nodepp import _core

DOCUMENT = pathlib.Path(__file__).resolve().parent.parent / "docs" / "architecture.md"
BEGIN = "<!-- states: made by tests/statedrawing.py -->\n"
END = "<!-- end of states -->\n"

# States that may be followed by the same ones share a box: its arrows are those of each of them.
BOXES = {"Answer": "IDLE", "Input": "ANSWERING"}


def box_of(row: dict) -> str | None:
    for box, mark in BOXES.items():
        if mark in row["next"]:
            return box
    return None


def arrows(rows: list[dict]) -> tuple[list[str], list[str]]:
    """Mermaid's lines (boxes, arrows from a box as a whole, the arrows that are left), and in words
    what would be arrows from a box to its own states."""
    lines = []
    words = []
    drawn = set()
    for box in BOXES:
        members = [row for row in rows if box_of(row) == box]
        names = [row["name"] for row in members]
        common = set.intersection(*(set(row["next"]) for row in members)) - {"FREE"}
        lines += [f"    state {box} {{", *(f"        {name}" for name in names), "    }"]
        lines += [f"    {box} --> {row['name']}" for row in rows
                  if row["name"] in common - set(names)]
        inside = ", ".join(name for name in names if name in common)
        words.append(f"Within {box} each state may be followed by {inside}.")
        drawn |= {(name, other) for name in names for other in common}
    return lines + [
        f"    {row['name']} --> {name}" for row in rows for name in row["next"]
        if name not in ("FREE", row["name"]) and (row["name"], name) not in drawn
    ], words  # fmt: skip


def table(rows: list[dict]) -> list[str]:
    lines = ["| state | awaits | watched | deadline | ready | gone | time-out | counter | stop |",
             "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        timeout = str(row["on_timeout"] or "close") if row["name"] != "FREE" else ""
        cells = (row["name"], row["awaits"], row["interest"], row["deadline"], row["on_ready"],
                 row["on_gone"], timeout, row["counter"], row["on_stop"])
        lines.append("| " + " | ".join(cell or "–" for cell in cells) + " |")
    return lines


def drawing() -> str:
    rows = _core.probe_states()
    lines, words = arrows(rows)
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```", "", *words, "", *table(rows),
                      ""])


def parts(text: str) -> tuple[str, str, str]:
    """What stands before the drawing, the drawing, and what stands after it."""
    before, rest = text.split(BEGIN)
    found, after = rest.split(END)
    return before + BEGIN, found, END + after


if __name__ == "__main__":
    before, _, after = parts(DOCUMENT.read_text())
    DOCUMENT.write_text(before + drawing() + after)
