"""Bytes that a whole site takes: each file of website.py asked for once, as a browser would.

nodepp against nginx with gzip_static. Heads and bodies are counted as they come from the socket,
every body is decoded and compared with the file. No time is looked at, so once is enough.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peers
import startup
import website
from exchange import Wrong, decoded, read_answer
from layout import lay_out, verdict
from measure import Summary, judged
from servers import NotStarted, serving
from workload import get
from workloads import ACCEPT_ENCODING, SITE_BYTES_BOUND

MEASURED = ("nginx", "nodepp")
ANSWER_SECONDS_MAX = 10

Sent = dict[str, int]  # "head" and "body", in bytes
Counts = dict[str, Sent]  # by kind


def ask(port: int, home: Path, files: Sequence[website.File], used: Counter[str]) -> Counts:
    """All files over one connection. Raises Wrong when one is not what lies on the disk."""
    found: Counts = {kind.name: {"head": 0, "body": 0} for kind in website.KINDS}
    rest = b""
    with socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS_MAX) as stream:
        for file in files:
            stream.sendall(get(f"/{file.path}", ACCEPT_ENCODING))
            answer, rest = read_answer(stream, rest)
            if answer.status != 200 or rest:
                raise Wrong(f"/{file.path}: status {answer.status}, {len(rest)} bytes after it")
            if decoded(answer) != (home / "res" / file.path).read_bytes():
                raise Wrong(f"/{file.path} is not the file")
            sent = found[file.kind.name]
            sent["head"] += len(answer.raw) - len(answer.body)
            sent["body"] += len(answer.body)
            used[answer.fields.get(b"content-encoding", b"identity").decode("latin-1")] += 1
    return found


def measure(present: Sequence[peers.Peer], home: Path, share: float, tell: Any) -> dict[str, Any]:
    """Both servers; the codings that nodepp chose."""
    tell("site-bytes: making the site")
    files = website.prepare(home, share)
    workload, cache = startup.site_workload(files), home / "cache"
    sent: dict[str, Counts] = {}
    errors: dict[str, str] = {}
    codings: Counter[str] = Counter()
    for peer in present:
        if peer.name not in MEASURED:
            continue
        tell(f"site-bytes: {peer.name}")
        try:
            if peer is peers.NODEPP:
                startup.precompress(home, cache, workload)
            answer = startup.hello_answer()
            with serving(peer, workload, answer, home=home, cache=cache) as server:
                used = codings if peer is peers.NODEPP else Counter()
                sent[peer.name] = ask(server.port, home, files, used)
        except (NotStarted, Wrong, OSError) as error:
            errors[peer.name] = str(error)
    rows = rows_of(files, sent)
    ratio = share_of(rows[-1])
    found = Summary(ratio, ratio, ratio) if ratio is not None else None
    return {
        "title": f"{len(files):,} files once, {ACCEPT_ENCODING}",
        "bounds": [judged("× nginx", SITE_BYTES_BOUND, found)],
        "errors": errors,
        "codings": dict(codings.most_common()),
        "rows": rows,
    }


def rows_of(files: Sequence[website.File], sent: dict[str, Counts]) -> list[dict[str, Any]]:
    """A row for each kind, one for all that compresses, one for all; the last is what counts."""
    groups: list[tuple[str, list[website.Kind]]] = [(kind.name, [kind]) for kind in website.KINDS]
    groups.append(("all that compresses", [kind for kind in website.KINDS if kind.compresses]))
    groups.append(("all", list(website.KINDS)))
    return [row_of(title, kinds, files, sent) for title, kinds in groups]


def row_of(
    title: str,
    kinds: Sequence[website.Kind],
    files: Sequence[website.File],
    sent: dict[str, Counts],
) -> dict[str, Any]:
    sizes = [file.size for file in files if file.kind in kinds]
    row: dict[str, Any] = {"kind": title, "count": len(sizes), "identity": sum(sizes)}
    for name in MEASURED:
        counts = sent.get(name)
        row[name] = counts and {
            part: sum(counts[kind.name][part] for kind in kinds) for part in ("head", "body")
        }
    return row


def share_of(row: dict[str, Any]) -> float | None:
    """What nodepp sent, heads included, as a part of what nginx did."""
    nginx, own = row["nginx"], row["nodepp"]
    if not nginx or not own:
        return None
    return float((own["head"] + own["body"]) / (nginx["head"] + nginx["body"]))


def table(result: dict[str, Any]) -> str:
    """Bytes of each kind of file: what nginx sent, what nodepp did."""
    lines = []
    for row in result["rows"]:
        cells = [row["kind"], f"{row['count']:,}", f"{row['identity']:,}"]
        for name in MEASURED:
            sent = row[name]
            cells += [f"{sent['body']:,}", f"{sent['head']:,}"] if sent else ["–", "–"]
        share = share_of(row)
        lines.append([*cells, f"{1 - share:.1%}" if share is not None else "–"])
    head = ["bytes", "files", "on disk", "nginx: bodies", "heads", "nodepp: bodies", "heads"]
    text = [f"### site-bytes: {result['title']}", "", lay_out([*head, "less"], lines), ""]
    text += [f"- {name}: not measured: {error}" for name, error in result["errors"].items()]
    used = ", ".join(f"{coding} {count}" for coding, count in result["codings"].items())
    text.append(f"- What nodepp chose: {used or 'nothing'}.")
    return "\n".join([*text, *verdict(result)]) + "\n"
