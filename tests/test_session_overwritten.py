"""Others write into a table while it is in use: into its file, or a wild pointer of a process that
shares it into its memory. What lies there is input.

Bytes at random, zeros, all ones, and pieces of the table itself are written over heads, copies,
index, wheel and counters, between and during operations. Nothing is promised but that every call
comes back, that nobody gets what another has written, and that the table works again afterwards.
NODEPP_DAMAGE_SEEDS=100-999 looks further.
"""

from __future__ import annotations

import contextlib
import os
import random

import pytest
from processes import Child
from sessionfiles import Settings
from visitors import LOGIN_HANDLERS, Visits

from nodepp import _core
from nodepp.sessions.table import open_table

FIRST, _, LAST = os.environ.get("NODEPP_DAMAGE_SEEDS", "0-7").partition("-")
SEEDS = range(int(FIRST), int(LAST or FIRST) + 1)
REFUSED = (_core.SessionsExhausted, _core.SessionFull, LookupError)


class Vandal:
    """Writes over ranges of a table's memory."""

    def __init__(self, generator: random.Random, memory: memoryview) -> None:
        self.random, self.memory = generator, memory

    def strike(self) -> None:
        choice, size = self.random.choice, len(self.memory)
        length = min(size, choice((1, 4, 8, 64, 1000, 40_000)))
        # Mostly the beginning: counters there, and the heads of the first slots.
        start = self.random.randrange(choice((min(400, size), size)))
        start = min(start, size - length)
        what = choice(("random", "random", "zeros", "ones", "copy", "bit"))
        if what == "bit":
            self.memory[start] ^= 1 << self.random.randrange(8)
            return
        piece = bytes(length) if what == "zeros" else b"\xff" * length
        if what == "random":
            piece = self.random.randbytes(length)
        elif what == "copy":
            begin = self.random.randrange(size - length + 1)
            piece = bytes(self.memory[begin:begin + length])
        self.memory[start:start + length] = piece


def live(table, generator: random.Random, steps: int, strike, is_checked: bool) -> None:
    """Starts, writes, reads, renews and ends sessions, whatever becomes of them meanwhile."""
    mine: dict[bytes, set[bytes]] = {}
    for step in range(steps):
        strike(step)
        what = generator.randrange(7)
        id = generator.choice(list(mine)) if mine else b""
        with contextlib.suppress(*REFUSED):
            if what == 0 or not id:
                mine[table.start(step)] = {b""}
            elif what == 1:
                data = b"%d of %s " % (step, id.hex().encode())
                mine[id].add(data)
                if not table.write(id, data):
                    del mine[id]
            elif what == 2:
                found = table.read(id)
                if found is not None and is_checked:
                    assert found[1] in mine[id], "another's data"
            elif what == 3:
                mine[table.renew(id)] = mine.pop(id)
            elif what == 4 and generator.random() < 0.3:
                table.remove(id)
                del mine[id]
            elif what == 5:
                assert table.find(id) < table.capacity
                table.cookie(id)
            elif generator.random() < 0.2:
                assert len(table) <= table.capacity
                assert len(table.ids()) <= table.capacity
                table.check()
                table.stats()


def works(table) -> None:
    """When all that was there is over, it can be filled, looked up, emptied."""
    for _ in range(3):
        with contextlib.suppress(_core.SessionsExhausted):
            table.start()                            # finds out what is wrong
        _core.probe_clock(40 * 86_400_000)
        assert len(table) <= table.capacity
    ids = []
    with contextlib.suppress(_core.SessionsExhausted):
        while len(ids) <= table.capacity:
            ids.append(table.start())
    assert len(ids) == table.capacity
    assert all(table.write(id, b"mine " + id) for id in ids)
    assert all(table.read(id)[1] == b"mine " + id for id in ids)
    assert all(table.remove(id) for id in ids)


@contextlib.contextmanager
def table_of(kind: str, capacity: int, folder):
    if kind == "file":
        opened = open_table(Settings(folder / "sessions.npp", capacity, 80), None, print)
        yield opened.table
        opened.close(clean=False)
    else:
        table = _core.SessionTable(capacity, 80)
        yield table
        table.close()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("kind", "of_index"), [
    ("memory", True), ("file", True), ("file", False), ("memory", False)])  # fmt: skip
def test_whatever_is_written_over_a_table_its_calls_come_back(tmp_path, kind, of_index, seed):
    generator = random.Random(seed)
    with table_of(kind, generator.choice((1, 40, 3000)), tmp_path) as table:
        for _ in range(min(table.capacity, 1200)):
            table.write(table.start(), b"first")
        vandal = Vandal(generator, _core.probe_session_memory(table, of_index))
        # In memory there is no checksum: only what has been left alone can be compared.
        live(table, generator, 300, lambda step: step % 5 or vandal.strike(),
             is_checked=kind == "file" or of_index)
        # The counts of the index are mended when it is made anew; here that is asked for.
        if of_index:
            vandal.memory[:] = bytes(len(vandal.memory))
        works(table)


def vandalize(seed: int, memory: memoryview) -> None:
    vandal = Vandal(random.Random(seed), memory)
    while True:
        vandal.strike()


@pytest.mark.parametrize("of_index", [True, False])
def test_a_process_that_writes_over_it_all_the_time_stops_no_other(tmp_path, of_index):
    with table_of("file", 2000, tmp_path) as table:
        for _ in range(1500):
            table.start()
        memory = _core.probe_session_memory(table, of_index)
        with Child(vandalize, 1, memory):
            live(table, random.Random(2), 400, lambda step: None, is_checked=False)
        if of_index:
            memory[:] = bytes(len(memory))
        works(table)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("of_index", [True, False])
def test_a_site_with_a_damaged_file_shows_nobody_what_is_anothers(tmp_path, of_index, seed):
    generator = random.Random(seed)
    opened = open_table(Settings(tmp_path / "sessions.npp", 30, 200), None, print)
    site = Visits(table=opened.table, handlers=LOGIN_HANDLERS)
    vandal = Vandal(generator, _core.probe_session_memory(opened.table, of_index))
    visitors = [site.visitor() for _ in range(20)]
    for _ in range(150):
        if generator.random() < 0.2:
            vandal.strike()
        number = generator.randrange(20)
        target = generator.choice(("/count", "/who", "/show", f"/login?uid={number + 1}&name=n",
                                   "/logout", "/renew"))
        response = visitors[number].get(target)
        assert response.status in (200, 503)
        if target == "/who":
            assert response.body.split()[0] in (b"0", b"%d" % (number + 1))
        if generator.random() < 0.1:
            site.skip(generator.choice((1, 400)))
    site.server.close()
    opened.table.check()
    opened.close()
