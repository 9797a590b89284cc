"""Processes that die while they work on one table of sessions, holding its lock or not.

Each worker writes down in shared memory what it is about to do and what it has done, so that it can
be told afterwards what must be there, what may be there, and what must not. NODEPP_STORM_S=30 is a
storm of full length; NODEPP_CRASH_SAMPLES=2000 dies at more instructions.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import random
import select
import signal
import struct
import sys
import time

import pytest
from processes import Child
from waiting import Deadline, spin, until

from nodepp import _core

STORM_S = float(os.environ.get("NODEPP_STORM_S", "1.5"))
CRASH_SAMPLES = int(os.environ.get("NODEPP_CRASH_SAMPLES", 3 if _core.FLAVOUR == "asan" else 8))
WORKERS = 4
SHARED_COUNT = 8                   # sessions in which all workers count
GROWN_UP = 20                      # what a worker has done before it may die
FREE, STARTING, LIVE, RENEWING, REMOVING = range(5)
STATE, PENDING, DONE, ID = range(4)          # words of a row; the id has three
ROW_WORDS = 6


class Ledger:
    """A row for each session: (state, number being written, number written, id), of one worker; two
    words for each worker and shared session: counting to, counted to; and a word for each worker:
    what it has done since it began. Each is stored at once: who dies leaves whole words.
    """

    def __init__(self, row_count: int) -> None:
        self.row_count = row_count
        words = row_count * ROW_WORDS + 2 * WORKERS * SHARED_COUNT + WORKERS
        self.words = memoryview(mmap.mmap(-1, words * 8)).cast("Q")
        self.shared: list[bytes] = []

    def get(self, row: int, what: int) -> int:
        return self.words[row * ROW_WORDS + what]

    def put(self, row: int, what: int, value: int) -> None:
        self.words[row * ROW_WORDS + what] = value

    def id(self, row: int) -> bytes:
        at = row * ROW_WORDS + ID
        return struct.pack("3Q", *self.words[at:at + 3])

    def put_id(self, row: int, id: bytes) -> None:
        for place, word in enumerate(struct.unpack("3Q", id)):
            self.put(row, ID + place, word)

    def count_at(self, worker: int, place: int) -> int:
        return self.row_count * ROW_WORDS + 2 * (worker * SHARED_COUNT + place)

    def done_at(self, worker: int) -> int:
        return len(self.words) - 1 - worker


def content(row: int, number: int, data_size: int) -> bytes:
    """What session `row` holds after its write `number`: of any length, and no two alike."""
    filler = bytes([number % 251]) * (number * 7919 % (data_size - 16))
    return struct.pack("<QQ", row, number) + filler


def number_in(data: bytes, row: int, data_size: int) -> int:
    """Which write that was. AssertionError if it is no whole one."""
    if not data:
        return 0
    found, number = struct.unpack_from("<QQ", data)
    assert found == row and data == content(row, number, data_size), "half a write"
    return number


class Worker:
    """One process: it takes up the rows of the one that died before it, and works until it dies."""

    def __init__(self, table, ledger: Ledger, place: int, seed: int) -> None:
        self.table, self.ledger, self.place = table, ledger, place
        self.random = random.Random(seed)
        share = ledger.row_count // WORKERS
        self.rows = range(place * share, (place + 1) * share)

    def run(self) -> None:
        for row in self.rows:
            if self.ledger.get(row, STATE) not in (FREE, LIVE) or (
                    self.ledger.get(row, PENDING) != self.ledger.get(row, DONE)):
                self.take_up(row)
        done_at = self.ledger.done_at(self.place)
        while True:
            self.ledger.words[done_at] += 1
            row = self.random.choice(self.rows)
            if self.ledger.get(row, STATE) == FREE:
                self.start(row)
                continue
            what = self.random.random()
            if what < 0.5:
                self.write(row)
            elif what < 0.7:
                self.read(self.random.randrange(self.ledger.row_count))
            elif what < 0.8:
                self.count()
            elif what < 0.9:
                self.renew(row)
            else:
                self.remove(row)

    def take_up(self, row: int) -> None:
        """What was done last may have happened or not; it is looked up."""
        ledger, found = self.ledger, self.table.read(self.ledger.id(row))
        if ledger.get(row, STATE) == STARTING or found is None:
            assert ledger.get(row, STATE) != LIVE, "a live session is gone"
            ledger.put(row, STATE, FREE)
            return
        number = number_in(found[1], row, self.table.data_size)
        assert number in (ledger.get(row, PENDING), ledger.get(row, DONE))
        ledger.put(row, DONE, number)
        ledger.put(row, PENDING, number)
        ledger.put(row, STATE, LIVE)

    def start(self, row: int) -> None:
        ledger = self.ledger
        ledger.put(row, STATE, STARTING)
        id = self.table.start()
        ledger.put_id(row, id)
        ledger.put(row, PENDING, 0)
        ledger.put(row, DONE, 0)
        ledger.put(row, STATE, LIVE)

    def write(self, row: int) -> None:
        ledger, id = self.ledger, self.ledger.id(row)
        number = ledger.get(row, DONE) + 1
        version, data = self.table.read(id)
        assert number_in(data, row, self.table.data_size) == number - 1
        ledger.put(row, PENDING, number)
        assert self.table.write(id, content(row, number, self.table.data_size), version)
        ledger.put(row, DONE, number)

    def read(self, row: int) -> None:
        """Of anybody: it may go at any time, and while its id is being written it is nobody's."""
        found = self.table.read(self.ledger.id(row))
        if found is not None:
            number_in(found[1], row, self.table.data_size)

    def renew(self, row: int) -> None:
        ledger = self.ledger
        ledger.put(row, STATE, RENEWING)
        ledger.put_id(row, self.table.renew(ledger.id(row)))
        ledger.put(row, STATE, LIVE)

    def remove(self, row: int) -> None:
        self.ledger.put(row, STATE, REMOVING)
        assert self.table.remove(self.ledger.id(row))
        self.ledger.put(row, STATE, FREE)

    def count(self) -> None:
        """One more in a session in which the others count as well: each has its own number."""
        which = self.random.randrange(SHARED_COUNT)
        id, words = self.ledger.shared[which], self.ledger.words
        at = self.ledger.count_at(self.place, which)
        while True:
            version, data = self.table.read(id)
            numbers = list(struct.unpack("<4Q", data))
            if words[at] != words[at + 1]:          # who was here before died in the midst of it
                words[at + 1] = words[at] = numbers[self.place]
            assert numbers[self.place] == words[at + 1], "a count was lost"
            numbers[self.place] += 1
            words[at] = numbers[self.place]
            if self.table.write(id, struct.pack("<4Q", *numbers), version):
                break
            words[at] = words[at + 1]               # it has not happened
        words[at + 1] = words[at]


def work(table, ledger: Ledger, place: int, seed: int) -> None:
    Worker(table, ledger, place, seed).run()


def storm(row_count: int, data_size: int, period_s: float, length_s: float):
    """Workers die, one each `period_s`, and others take their places; (table, ledger, deaths)."""
    table = _core.SessionTable(row_count + SHARED_COUNT + 2000, data_size)
    ledger = Ledger(row_count)
    for _ in range(SHARED_COUNT):
        ledger.shared.append(table.start())
        table.write(ledger.shared[-1], bytes(32))
    first = Worker(table, ledger, 0, 0)
    for row in range(row_count):
        first.start(row)
    generator = random.Random()
    children = [Child(work, table, ledger, place, place) for place in range(WORKERS)]
    deaths = 0
    end_s = time.monotonic() + length_s
    try:
        while time.monotonic() < end_s:
            pipes = [child.pipe for child in children]
            # A worker reports only when something is wrong: this waits for that, or for its time.
            wrong, _, _ = select.select(pipes, [], [], period_s * generator.uniform(0.5, 1.5))
            for pipe in wrong:
                children[pipes.index(pipe)].report()
            place = generator.randrange(WORKERS)
            if ledger.words[ledger.done_at(place)] < GROWN_UP:
                continue                        # under the sanitizers beginning takes a while
            children[place].kill()
            deaths += 1
            ledger.words[ledger.done_at(place)] = 0
            children[place] = Child(work, table, ledger, place, generator.randrange(1 << 30))
    finally:
        for child in children:
            child.kill()
    return table, ledger, deaths + WORKERS


def survey(table, ledger: Ledger, deaths: int) -> None:
    """Everything that was acknowledged is there, and what is there can be accounted for."""
    assert table.check() == []
    assert len(table) == len(table.ids()) == table.stats()["sessions"]
    known = set(ledger.shared)
    for row in range(ledger.row_count):
        state, id = ledger.get(row, STATE), ledger.id(row)
        found = table.read(id)
        if state == LIVE:
            assert found is not None, f"session {row} is gone"
            assert number_in(found[1], row, table.data_size) in (
                ledger.get(row, PENDING), ledger.get(row, DONE)), f"a write of {row} is missing"
        if state in (LIVE, RENEWING, REMOVING) and found is not None:
            known.add(id)
    # Who dies between taking a slot and writing down its id leaves a session that nobody knows.
    assert known <= set(table.ids())
    assert len(table) - len(known) <= deaths
    for which, id in enumerate(ledger.shared):
        numbers = struct.unpack("<4Q", table.read(id)[1])
        for place, number in enumerate(numbers):
            at = ledger.count_at(place, which)
            assert number in ledger.words[at:at + 2], "a count was lost"


def still_works(table) -> None:
    for id in table.ids()[::7]:
        assert table.remove(id)
    for _ in range(len(table) // 10):
        assert table.find(table.start()) >= 0
    assert table.check() == []


def test_storm_of_deaths_loses_nothing_that_was_acknowledged():
    """Twenty thousand sessions, a death every 50 ms."""
    table, ledger, deaths = storm(20_000, 256, 0.05, STORM_S)
    survey(table, ledger, deaths)
    still_works(table)
    table.close()


def test_storm_over_few_big_sessions_loses_nothing_either():
    table, ledger, deaths = storm(40, 32_768, 0.01, STORM_S)
    survey(table, ledger, deaths)
    still_works(table)
    table.close()


def hold_the_lock(table, id: bytes, begun: memoryview) -> None:
    """Writes so much that it holds the lock for a good part of its time."""
    pages = [bytes([letter]) * table.data_size for letter in b"ab"]
    while True:
        for page in pages:
            assert table.write(id, page)
            begun[0] = 1


def test_whoever_comes_after_a_death_under_the_lock_mends_what_he_finds():
    table = _core.SessionTable(300, 1 << 20)
    ids = [table.start() for _ in range(200)]
    begun = memoryview(mmap.mmap(-1, 8)).cast("Q")
    deadline = Deadline("five deaths under the lock")
    while table.stats()["lock_recoveries"] < 5:
        deadline.rest_s()
        begun[0] = 0
        with Child(hold_the_lock, table, ids[7], begun) as child:
            until(lambda: begun[0], "the first write", lambda: None)
            spin(random.random() * 0.001)
            child.kill()
        assert all(table.find(id) >= 0 for id in ids)
        assert table.check() == [] and len(table) == 200
        assert len(set(table.read(ids[7])[1])) == 1
    still_works(table)
    table.close()


# Instruction by instruction.

PTRACE_TRACEME, PTRACE_SINGLESTEP = 0, 9
KEYS = {                             # in the index when the operation begins
    "start": 512,                    # a whole block: one more splits it
    "write": 40,
    "renew": 512,
    "remove": 257,                   # in two blocks: one less merges them
}  # fmt: skip


def ptrace(what: int, pid: int) -> None:
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    call.restype = ctypes.c_long
    if call(what, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def one_operation(table, what: str, id: bytes) -> None:
    """Stops before and after it, for whoever traces this process."""
    arguments = {"start": (), "write": (id, b"new" * 30), "renew": (id,), "remove": (id,)}[what]
    operation, stop = getattr(table, what), signal.SIGSTOP
    ptrace(PTRACE_TRACEME, 0)
    signal.raise_signal(stop)
    operation(*arguments)
    signal.raise_signal(stop)


def steps_until(child: Child, count: int) -> int:
    """Lets it do so many instructions, or those up to its next stop; how many they were."""
    for step in range(count):
        ptrace(PTRACE_SINGLESTEP, child.pid)
        _, status = os.waitpid(child.pid, 0)
        assert os.WIFSTOPPED(status), status
        if os.WSTOPSIG(status) == signal.SIGSTOP:
            return step
    return count


def begin(what: str) -> tuple:
    """A table as it is before the operation, the session that it is about, and who will do it."""
    table = _core.SessionTable(600, 100)
    for _ in range(KEYS[what] + (256 if what == "remove" else 0)):
        table.write(table.start(), b"old" * 30)
    for id in sorted(table.ids())[1:257] if what == "remove" else ():
        table.remove(id)             # one is left of the first block: with it, it would be merged
    id = sorted(table.ids())[len(table) // 2]
    child = Child(one_operation, table, what, id)
    _, status = os.waitpid(child.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        child.status = status
        pytest.skip("processes cannot be traced here")
    return table, id, child


def hold_after_death(table, what: str, id: bytes, before: list[bytes], finds_first: bool) -> None:
    """It has happened or it has not; nothing else has."""
    if finds_first:                  # readers take no lock, until they see no other way
        assert all(table.find(each) >= 0 for each in before if each != id)
    assert table.check() == []
    assert all(table.read(each)[1] == b"old" * 30 for each in before if each != id)
    found, more = table.read(id), set(table.ids()) - set(before)
    if what == "start":
        assert found[1] == b"old" * 30 and len(more) <= 1
    elif what == "write":
        assert found[1] in (b"old" * 30, b"new" * 30) and not more
    elif what == "renew":
        assert (found is None) == (len(more) == 1)
        assert all(table.read(each)[1] == b"old" * 30 for each in more)
    else:
        assert not more
    assert len(table) == len(table.ids()) == len(before) + len(more) - (found is None)
    assert table.find(table.start()) >= 0 and table.check() == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ptrace as Linux has it")
@pytest.mark.parametrize("what", KEYS)
def test_death_at_any_instruction_is_as_if_it_came_before_or_after(what):
    processors = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(processors)})       # twice as fast: stepping is changing over
    try:
        warm = _core.SessionTable(4, 100)            # symbols are bound at their first use
        getattr(warm, what)(*{"start": (), "write": (warm.start(), b"")}.get(
            what, (warm.start(),)))  # fmt: skip
        warm.close()
        table, id, child = begin(what)
        with child:
            whole = steps_until(child, 1_000_000)
        table.close()
        for sample in range(CRASH_SAMPLES):
            table, id, child = begin(what)
            before = table.ids()
            with child:
                steps_until(child, int(whole * (sample + random.random()) / CRASH_SAMPLES))
            hold_after_death(table, what, id, before, sample % 2 == 1)
            table.close()
    finally:
        os.sched_setaffinity(0, processors)
