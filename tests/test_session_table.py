"""The table of sessions against a dict, and what it promises in detail.

NODEPP_TABLE_EXAMPLES=1000 looks longer.
"""

from __future__ import annotations

import os
import random

import pytest
from harness import Application
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from machine import resident_size

from nodepp import _core

EXAMPLES = int(os.environ.get("NODEPP_TABLE_EXAMPLES", "25"))
TICK_S = 300                       # two of them are the idle timeout: what is as old has expired
MODEL = settings(max_examples=EXAMPLES, stateful_step_count=40, deadline=None,
                 suppress_health_check=list(HealthCheck))  # fmt: skip


@pytest.fixture
def table():
    table = _core.SessionTable(8, 64)
    yield table
    assert table.check() == []
    table.close()


class TableModel(RuleBasedStateMachine):
    """What a dict of id → data does, the table does. An engine beside it lets sessions expire."""

    @initialize(capacity=st.sampled_from((1, 2, 7, 40)), data_size=st.sampled_from((16, 100)))
    def open(self, capacity, data_size):
        self.table = _core.SessionTable(capacity, data_size)
        self.engine = _core.Engine(
            {"sessions": self.table, "max_connections": 4, "session_timeout_s": 2 * TICK_S},
            _core.Router(), Application())
        self.engine.open([])
        self.data: dict[bytes, bytes] = {}
        self.version: dict[bytes, int] = {}
        self.born: dict[bytes, int] = {}
        self.gone: list[tuple] = []            # (record, born) of sessions that were removed
        self.tick = 0

    def any_id(self, random: random.Random) -> bytes:
        """One that lives, mostly."""
        known = list(self.data)
        if known and random.random() < 0.9:
            return random.choice(known)
        if self.gone and random.random() < 0.5:
            return random.choice(self.gone)[0][0]
        if known and random.random() < 0.5:     # found by its first 8 bytes, refused by the others
            id = bytearray(random.choice(known))
            id[random.randrange(8, 24)] ^= 1 << random.randrange(8)
            return bytes(id)
        return bytes(random.randrange(256) for _ in range(24))

    def forget(self, id: bytes) -> None:
        for each in (self.data, self.version, self.born):
            del each[id]

    @rule(agent=st.integers(0, 2**32 - 1))
    def start(self, agent):
        if len(self.data) == self.table.capacity:
            with pytest.raises(_core.SessionsExhausted):
                self.table.start(agent)
            return
        id = self.table.start(agent)
        assert len(id) == 24 and id not in self.data
        self.data[id], self.born[id] = b"", self.tick
        self.version[id] = self.table.read(id)[0]

    @rule(random=st.randoms(use_true_random=False), data=st.binary(max_size=120),
          how=st.sampled_from(("any", "right", "old")))
    def write(self, random, data, how):
        id = self.any_id(random)
        expected = {"any": -1, "right": self.version.get(id, 1), "old": 0}[how]
        if how == "old":
            expected = self.version.get(id, 1) + 2
        if id in self.data and len(data) > self.table.data_size and how != "old":
            with pytest.raises(_core.SessionFull):
                self.table.write(id, data, expected)
            return
        assume(len(data) <= self.table.data_size)
        version = self.table.write(id, data, expected)
        if id not in self.data or how == "old":
            assert version == 0
        else:
            assert version not in (0, self.version[id])
            self.data[id], self.version[id] = data, version

    @rule(random=st.randoms(use_true_random=False))
    def read(self, random):
        id = self.any_id(random)
        expected = (self.version[id], self.data[id]) if id in self.data else None
        assert self.table.read(id) == expected
        assert (self.table.find(id) >= 0) == (id in self.data)

    @rule(random=st.randoms(use_true_random=False))
    def renew(self, random):
        id = self.any_id(random)
        if id not in self.data:
            with pytest.raises(LookupError):
                self.table.renew(id)
            return
        slot = self.table.find(id)
        new = self.table.renew(id)
        assert new != id and self.table.find(id) == -1 and self.table.find(new) == slot
        for each in (self.data, self.born):
            each[new] = each[id]
        self.version[new] = self.table.read(new)[0]
        self.forget(id)

    @rule(random=st.randoms(use_true_random=False))
    def remove(self, random):
        id = self.any_id(random)
        records = {record[0]: record for record in self.table.records()}
        assert self.table.remove(id) == (id in self.data)
        if id in self.data:
            self.gone.append((records[id], self.born[id]))
            self.forget(id)

    @precondition(lambda self: self.gone)
    @rule(random=st.randoms(use_true_random=False))
    def restore(self, random):
        """As it was, also as old; what would have expired meanwhile is left alone."""
        record, born = random.choice(self.gone)
        assume(self.tick - born < 2)
        room = len(self.data) < self.table.capacity and record[0] not in self.data
        assert self.table.restore(record) == room
        if room:
            self.data[record[0]], self.born[record[0]] = record[-1], born
            self.version[record[0]] = self.table.read(record[0])[0]

    @rule()
    def let_time_pass(self):
        _core.probe_clock(1000 * TICK_S)
        self.tick += 1
        for id in [id for id in self.data if self.tick - self.born[id] >= 2]:
            self.forget(id)
        for _ in range(200):
            self.engine.turn(0)
            if len(self.table) == len(self.data):
                break
            _core.probe_clock(1000)

    @invariant()
    def same_as_the_model(self):
        if not hasattr(self, "table"):
            return
        assert self.table.check() == []
        assert len(self.table) == len(self.data) == self.table.stats()["sessions"]
        assert {record[0]: record[-1] for record in self.table.records()} == self.data
        assert sorted(self.table.ids()) == sorted(self.data)
        slots = {self.table.find(id) for id in self.data}
        assert -1 not in slots and len(slots) == len(self.data)

    def teardown(self):
        if hasattr(self, "table"):
            self.engine.close()
            self.table.close()


def test_table_does_what_a_dict_does():
    run_state_machine_as_test(TableModel, settings=MODEL)


# Details.

def test_ids_are_random_and_carry_a_tag_of_the_key(table):
    ids = [table.start() for _ in range(8)]
    assert len({id[:8] for id in ids} | {id[8:16] for id in ids} | {id[16:] for id in ids}) == 24
    cookies = [table.cookie(id) for id in ids]
    assert all(len(cookie) == 40 and cookie.isascii() for cookie in cookies)
    assert all(table.is_ours(cookie) for cookie in cookies)
    other = _core.SessionTable(1, 16)
    assert not any(other.is_ours(cookie) for cookie in cookies)
    other.close()


def test_each_altered_character_makes_a_cookie_a_forged_one(table):
    cookie = table.cookie(table.start())
    for place in range(40):
        for letter in ("A", "-", "_", "z", "=", "\u00e9", "\0"):
            if letter != cookie[place]:
                assert not table.is_ours(cookie[:place] + letter + cookie[place + 1:])
    for wrong in ("", "x", cookie[:-1], cookie + "A", cookie + "=", cookie * 2):
        assert not table.is_ours(wrong)


def test_ours_stays_ours_with_the_same_key():
    key = bytes(range(32))
    first, second = _core.SessionTable(1, 16, key=key), _core.SessionTable(1, 16, key=key)
    assert second.is_ours(first.cookie(first.start()))
    first.close()
    second.close()


@pytest.mark.parametrize(("capacity", "data_size"), [
    (0, 16), (-1, 16), (1_000_001, 16), (1, 15), (1, (1 << 20) + 1), (1, -1)])  # fmt: skip
def test_sizes_out_of_range_are_refused(capacity, data_size):
    with pytest.raises((ValueError, OverflowError)):
        _core.SessionTable(capacity, data_size)


@pytest.mark.parametrize("size", [1, 31, 33, 64])
def test_key_of_another_size_is_refused(size):
    with pytest.raises(ValueError):
        _core.SessionTable(1, 16, key=bytes(size))


def test_too_much_data_leaves_what_was_there(table):
    id = table.start()
    version = table.write(id, b"kept")
    with pytest.raises(_core.SessionFull):
        table.write(id, bytes(65))
    assert table.read(id) == (version, b"kept")
    assert table.write(id, bytes(64)) and table.read(id)[1] == bytes(64)


def test_slot_that_is_used_again_holds_nothing_of_before(table):
    """Who was here before is nobody's business, in memory neither."""
    ids = [table.start() for _ in range(8)]
    for id in ids:
        table.write(id, b"secret" * 10)
        table.write(id, b"secret" * 10)
        assert table.remove(id)
    for _ in range(8):
        assert table.read(table.start())[1] == b""
    assert not any(b"secret" in bytes(str(record), "ascii") for record in table.records())


def test_id_of_another_size_is_no_session(table):
    for id in (b"", b"x", bytes(23), bytes(25)):
        try:
            assert table.find(id) == -1
        except ValueError:
            pass


def test_memory_per_session_is_two_copies_and_two_hundred_bytes():
    for capacity in (50_000, 1_000_000):         # below, an index block more is noticed
        table = _core.SessionTable(capacity, 1024)
        assert table.bytes_per_session <= 2 * 1024 + 202
        table.close()


def test_a_table_of_a_million_costs_nothing_until_it_is_used():
    before = resident_size()
    table = _core.SessionTable(1_000_000, 1024)
    for _ in range(100):
        table.start()
    assert resident_size() - before < 30 << 20
    table.close()


def test_records_are_all_of_a_session():
    source, target = _core.SessionTable(3, 32), _core.SessionTable(5, 64)
    for number in range(3):
        source.write(source.start(number), b"data %d" % number)
    records = sorted(source.records())
    assert all(target.restore(record) for record in records)
    assert sorted(target.records()) == records
    assert not any(target.restore(record) for record in records)       # they are there already
    source.close()
    target.close()


def test_record_that_does_not_fit_is_refused_clearly():
    source, target = _core.SessionTable(1, 64), _core.SessionTable(1, 16)
    source.write(source.start(), bytes(64))
    (record,) = source.records()
    with pytest.raises(_core.SessionFull):
        target.restore(record)
    assert len(target) == 0 and target.check() == []
    source.close()
    target.close()


def test_statistics_count_what_happened(table):
    ids = [table.start() for _ in range(8)]
    with pytest.raises(_core.SessionsExhausted):
        table.start()
    for id in ids[:5]:
        table.remove(id)
    stats = table.stats()
    assert stats["sessions"] == 3
    assert stats["sessions_high_water"] == stats["session_slots"] == stats["sessions_started"] == 8
    assert stats["sessions_refused"] in (0, 1)       # whoever asks counts and logs it
    assert stats["session_data_size"] == 64
    assert stats["session_size"] == table.bytes_per_session


def test_closed_table_refuses_everything():
    table = _core.SessionTable(4, 16)
    id = table.start()
    table.close()
    table.close()
    for call in (table.start, table.ids, table.check, lambda: table.find(id),
                 lambda: table.read(id), lambda: table.write(id, b""), lambda: table.remove(id),
                 lambda: table.renew(id), lambda: list(table.records()), table.stats):  # fmt: skip
        with pytest.raises((RuntimeError, ValueError)):
            call()
