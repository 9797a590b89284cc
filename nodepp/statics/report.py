"""What is said of the public files: the banner's line, and --print-statics."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from .collection import Statics
    from .entry import Entry

SHOWN = ("gzip", "br", "zstd")
KIB, MIB = 1024, 1024**2


def banner(statics: Statics) -> str:
    """Folders, how many files, how much memory, how much compression saves."""
    entries = [entry for host in statics.hosts.values() for entry in host.winners.values()]
    folders = shown_folders(statics)
    if not entries and not folders:
        return ""
    names = " ".join(folders[:4]) + (f" and {len(folders) - 4} more" if len(folders) > 4 else "")
    rows = [names] if names else []
    in_memory = [entry for entry in entries if not entry.is_on_disk]
    size = sum(memory_of(statics))
    rows.append(f"{counted(len(entries), 'file')}  {human(size)} in memory")
    if len(in_memory) < len(entries):
        rows.append(f"{len(entries) - len(in_memory):,} on disk")
    untried = sum(entry.varies and not entry.is_tried for entry in in_memory)
    if untried:
        total = sum(entry.varies for entry in in_memory)
        rows.append(f"compressing {untried:,} of {total:,}")
    else:
        saved = saving([entry for entry in in_memory if entry.varies])
        if saved:
            rows.append(f"(zstd, br and gzip save {saved:.0f} %)")
    return "  ".join(rows)


def shown_folders(statics: Statics) -> list[str]:
    """The folders that are there, as a person would name them."""
    from ..log import short_path

    found = {}
    for host in statics.hosts.values():
        for root in host.roots:
            if root.folder and not root.is_single and os.path.isdir(root.real):
                found[short_path(root.folder)] = True
    return list(found)


def memory_of(statics: Statics) -> list[int]:
    """Bytes of each thing that is in memory, old versions too."""
    from .host import size_of

    found = [entry.memory for host in statics.hosts.values() for root in host.roots
             for entry in root.found.values()]
    if statics.hosts:
        found += [size_of(resource) for resource, _ in statics.hosts[""].old.kept.values()]
    return found


def saving(entries: list[Entry]) -> float:
    """Per cent that a client which takes all codings does not have to fetch. Of what compresses:
    one video would hide what is saved of all else.
    """
    whole = sum(len(entry.sent or b"") for entry in entries)
    least = sum(min([len(entry.sent or b""), *(len(data) for data, _ in entry.coded.values())])
                for entry in entries)
    return 100 * (whole - least) / whole if whole else 0.0


def listing(statics: Statics) -> str:
    """A line for each path, with sizes in bytes, then the sums."""
    rows: list[tuple[str, ...]] = [("type", "identity", *SHOWN, "path")]
    totals = [0, 0, 0, 0]
    count = 0
    for name, host in statics.hosts.items():
        for path in sorted(host.winners):
            entry = host.winners[path]
            sizes = sizes_of(entry)
            totals = [total + (size or sizes[0] or 0) for total, size in zip(totals, sizes)]
            kind = entry.content_type.partition(";")[0]
            cells = [f"{size:,}" if size is not None else "-" for size in sizes]
            place = " (on disk)" if entry.is_on_disk else ""
            rows.append((kind, *cells, f"{name}{path}{place}"))
            count += 1
    rows.append(("all", *(f"{total:,}" for total in totals), counted(count, "path")))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [row[column].rjust(widths[column]) for column in range(1, 5)]
        lines.append("  ".join([*cells, row[5]]))
    return "\n".join(lines) + "\n"


def sizes_of(entry: Entry) -> list[Optional[int]]:
    """Bytes as it is, and in the codings shown; None where there is none. In the sums a coding that
    is not there counts as the file itself, which is sent then.
    """
    identity = entry.signature[1] if entry.sent is None else len(entry.sent)
    return [identity, *(len(entry.coded[it][0]) if it in entry.coded else None for it in SHOWN)]


def human(size: int) -> str:
    """Bytes, for people."""
    if size >= MIB:
        return f"{size / MIB:,.1f} MiB"
    return f"{size / KIB:,.0f} KiB" if size >= KIB else counted(size, "byte")


def counted(number: int, noun: str) -> str:
    """ "1 file", "2 files"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
