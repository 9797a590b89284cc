"""The table of sessions as four processes see it at once, each with a dict beside it.

NODEPP_TABLE_EXAMPLES=1000 looks longer.
"""

from __future__ import annotations

import os
import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import Child, at_once

from nodepp import _core

EXAMPLES = int(os.environ.get("NODEPP_TABLE_EXAMPLES", "25"))
OPERATIONS = ("start", "write", "append", "read", "renew", "remove", "look")


def live(table, seed: int, weights: tuple, steps: int) -> dict[bytes, bytes]:
    """A process's own sessions, against its own dict; what it leaves."""
    generator = random.Random(seed)
    model: dict[bytes, bytes] = {}
    for step in range(steps):
        what = generator.choices(OPERATIONS, weights)[0]
        if what == "start" or not model:
            try:
                model[table.start(seed)] = b""
            except _core.SessionsExhausted:
                assert len(model) <= table.capacity    # the others have it; by now perhaps no more
            continue
        id = generator.choice(list(model))
        if what == "write":
            model[id] = b"%d:%d" % (seed, step) * generator.randrange(6)
            assert table.write(id, model[id])
        elif what == "append":
            version, data = table.read(id)
            assert data == model[id]
            model[id] = data[-20:] + b"+"
            assert table.write(id, model[id], version) and not table.write(id, b"no", version)
        elif what == "read":
            assert table.read(id)[1] == model[id]
        elif what == "renew":
            model[table.renew(id)] = model.pop(id)
            assert table.find(id) == -1
        elif what == "remove":
            assert table.remove(id) and table.read(id) is None
            del model[id]
        else:
            assert all(table.find(each) >= 0 for each in model)
    return model


@settings(max_examples=max(8, EXAMPLES // 3), deadline=None,
          suppress_health_check=list(HealthCheck))  # fmt: skip
@given(
    st.sampled_from((8, 60, 3000)),
    st.lists(st.tuples(st.integers(0, 2**32 - 1),
                       st.tuples(*[st.integers(1, 9)] * len(OPERATIONS))),
             min_size=4, max_size=4, unique_by=lambda each: each[0]),
)  # fmt: skip
def test_four_processes_do_what_four_dicts_do(capacity, lives):
    table = _core.SessionTable(capacity, 128)
    children = [Child(live, table, seed, weights, 1500) for seed, weights in lives]
    try:
        for _ in range(20):
            assert table.check() == []         # while they work
        models = [child.report() for child in children]
    finally:
        for child in children:
            child.kill()
    assert table.check() == []
    expected = {id: data for model in models for id, data in model.items()}
    assert {record[0]: record[-1] for record in table.records()} == expected
    assert all(table.read(id)[1] == data for id, data in expected.items())
    table.close()


def count_up(table, id: bytes, place: int, times: int) -> int:
    """Adds to its number of a session that others change as well; how often they were first."""
    spoilt = 0
    for _ in range(times):
        while True:
            version, data = table.read(id)
            numbers = [int(text) for text in data.split()]
            assert len(numbers) == 4, f"half a copy: {data!r}"
            numbers[place] += 1
            if table.write(id, b"%d %d %d %d" % tuple(numbers), version):
                break
            spoilt += 1
    return spoilt


def test_four_processes_count_in_one_session_and_lose_nothing():
    table = _core.SessionTable(2, 64)
    id = table.start()
    table.write(id, b"0 0 0 0")
    at_once(*[(count_up, table, id, place, 4000) for place in range(4)])
    assert table.read(id)[1] == b"4000 4000 4000 4000"
    assert table.check() == []
    table.close()


def read_whole(table, id: bytes, times: int) -> int:
    seen = set()
    for _ in range(times):
        version, data = table.read(id)
        assert len(set(data)) <= 1, "bytes of two copies"
        seen.add(version)
    return len(seen)


def write_whole(table, id: bytes, times: int) -> None:
    for number in range(times):
        assert table.write(id, bytes([number % 256]) * (1 + number * 7919 % table.data_size))


def test_a_reader_never_sees_half_a_copy():
    """Two flips while it copies spoil what it has read, 64 times in a row even."""
    table = _core.SessionTable(1, 16_384)
    id = table.start()
    at_once(*[(write_whole, table, id, 15_000)] * 2, *[(read_whole, table, id, 8000)] * 2)
    assert table.check() == []
    table.close()
