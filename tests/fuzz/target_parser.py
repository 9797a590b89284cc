"""The parser against itself in pieces, against the guard page, and against h11 and llhttp."""

from __future__ import annotations

import common
import oracles

from nodepp import _core


def parse(data: bytes, cuts: tuple[int, ...]) -> list[dict]:
    entries = _core.probe_parse_all(data, cuts)
    for entry in entries:
        if entry["outcome"] != "complete":
            del entry["consumed"]
    return entries


def one_input(raw: bytes) -> None:
    data, places = common.cut(raw)
    whole = parse(data, ())
    if parse(data, tuple(places)) != whole:
        raise AssertionError(f"cut at {places}: another outcome")
    wrong = oracles.disagreements(data, whole)
    if wrong:
        raise AssertionError(wrong)


_core.probe_guard(True)
common.start(one_input)
