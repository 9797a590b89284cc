"""The sorted index alone: keys are chosen, in patterns that fill, split and merge its blocks.

NODEPP_TABLE_KEYS=1000000 fills it further; NODEPP_TABLE_EXAMPLES=1000 looks longer.
"""

from __future__ import annotations

import itertools
import os
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nodepp import _core

KEYS = int(os.environ.get("NODEPP_TABLE_KEYS", "200000"))
EXAMPLES = int(os.environ.get("NODEPP_TABLE_EXAMPLES", "25"))
PATTERNS = {
    "ascending": lambda count, random: range(count),
    "descending": lambda count, random: range(count - 1, -1, -1),
    "random": lambda count, random: random.sample(range(count), count),
    "from both ends": lambda count, random: [
        number // 2 if number % 2 == 0 else count - 1 - number // 2 for number in range(count)],
    "interleaved": lambda count, random: [
        number for start in range(7) for number in range(start, count, 7)],
}  # fmt: skip


def template() -> tuple:
    """A record as records() gives them, to be filled with other ids and data."""
    table = _core.SessionTable(1, 16)
    table.start()
    (record,) = table.records()
    table.close()
    return record


def with_id(record: tuple, id: bytes, data: bytes = b"") -> tuple:
    return (id, *record[1:-1], data)


def key(number: int, spread: int = 1 << 40) -> bytes:
    """An id whose first 8 bytes, by which the index is sorted, are this number's."""
    return (number * spread).to_bytes(8, "big") + number.to_bytes(16, "big")


def fill(table, record, numbers, spread: int = 1 << 40) -> None:
    for number in numbers:
        assert table.restore(with_id(record, key(number, spread)))


def holds(table, numbers) -> None:
    """Exactly these are there."""
    assert table.check() == []
    assert len(table) == len(numbers)
    slots = {table.find(key(number)) for number in numbers}
    assert -1 not in slots and len(slots) == len(numbers)


def test_index_holds_hundreds_of_thousands_of_keys_in_any_order():
    """Filled, thinned so that nearly each block merges with its neighbours, filled again, emptied:
    the index has room for the worst shape, whatever came before."""
    table, record = _core.SessionTable(KEYS, 16), template()
    fill(table, record, range(0, KEYS * 2, 2))
    assert table.check() == [] and len(table) == KEYS
    assert not table.restore(with_id(record, key(1)))                # full
    kept = range(0, KEYS * 2, 600)
    for number in range(0, KEYS * 2, 2):
        if number % 600:
            assert table.remove(key(number))
    holds(table, kept)
    fill(table, record, range(1, (KEYS - len(kept)) * 2 + 1, 2))     # between those that are left
    assert table.check() == [] and len(table) == KEYS
    for id in table.ids():
        assert table.remove(id)
    assert table.check() == [] and len(table) == 0
    table.close()


@pytest.mark.parametrize("inserted", PATTERNS)
@pytest.mark.parametrize("removed", PATTERNS)
def test_index_is_sound_whatever_the_order_of_coming_and_going(inserted, removed):
    count, generator = 3000, random.Random(5)
    table, record = _core.SessionTable(count, 16), template()
    fill(table, record, PATTERNS[inserted](count, generator))
    holds(table, range(count))
    left = set(range(count))
    for position, number in enumerate(PATTERNS[removed](count, generator)):
        assert table.remove(key(number))
        left.discard(number)
        if position % 250 == 0:
            holds(table, left)
    holds(table, ())
    table.close()


@pytest.mark.parametrize("seed", range(6))
def test_full_table_can_always_be_filled_again(seed):
    """Random runs are removed and others inserted where they hurt, at the brim: if the directory of
    blocks could run out, this is how."""
    generator = random.Random(seed)
    count = 6000
    table, record = _core.SessionTable(count, 16), template()
    fill(table, record, range(count))
    live = set(range(count))
    fresh = itertools.count(count)
    for _ in range(12):
        step, phase = generator.choice((2, 3, 257, 258, 512)), generator.randrange(3)
        ordered = sorted(live)
        gone = {number for position, number in enumerate(ordered)
                if (position % step <= step // 2) == bool(phase)}  # fmt: skip
        gone.discard(ordered[generator.randrange(len(ordered))])
        for number in gone:
            assert table.remove(key(number))
        live -= gone
        assert table.check() == []
        while len(live) < count:
            start = generator.choice((next(fresh), generator.randrange(1 << 22)))
            run = range(start, start + generator.choice((1, 2, 256, 300)))
            for number in run if generator.random() < 0.5 else reversed(run):
                if len(live) < count and number not in live:
                    assert table.restore(with_id(record, key(number)))
                    live.add(number)
        holds(table, live)
    table.close()


@settings(max_examples=EXAMPLES * 4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 4000), st.integers(1, 700),
                          st.integers(1, 3)), max_size=30))  # fmt: skip
def test_index_bears_runs_of_keys(steps):
    """Runs are inserted and removed, from anywhere, each or every second or third of their keys."""
    table, record, model = _core.SessionTable(5000, 16), template(), set()
    for inserts, start, count, stride in steps:
        for number in range(start, start + count, stride):
            if inserts:
                assert table.restore(with_id(record, key(number))) == (number not in model)
                model.add(number)
            else:
                assert table.remove(key(number)) == (number in model)
                model.discard(number)
        holds(table, model)
    table.close()


def test_keys_at_the_ends_of_the_range_are_found():
    table, record = _core.SessionTable(8, 16), template()
    ends = [bytes(24), b"\xff" * 24, bytes(7) + b"\x01" + bytes(16), b"\xff" * 7 + b"\xfe" * 17]
    assert all(table.restore(with_id(record, id)) for id in ends)
    assert sorted(table.ids()) == sorted(ends)
    assert all(table.find(id) >= 0 for id in ends)
    assert table.check() == []
    table.close()
