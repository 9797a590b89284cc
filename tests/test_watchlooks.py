"""Files that are looked at several times before they are believed."""

from __future__ import annotations

import os
import time

import pytest

from nodepp.statics import watchlooks
from nodepp.statics.watchlooks import LOOK_COUNT, LOOK_S, Looks


class Engine:
    """Timers by hand."""

    def __init__(self):
        self.timers = []

    def later(self, seconds, callback):
        self.timers.append(callback)

    def run(self):
        timers, self.timers = self.timers, []
        for callback in timers:
            callback()


@pytest.fixture
def clock(monkeypatch):
    """A clock that goes when it is told to."""
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def looks(clock):
    it = Looks(lambda files: it.told.append(files))
    it.told = []
    it.begin(Engine())
    return it


@pytest.fixture
def file(tmp_path):
    (tmp_path / "a.txt").write_text("half")
    return str(tmp_path / "a.txt")


def turn(looks, clock, seconds=LOOK_S):
    clock[0] += seconds
    looks._engine.run()


def test_a_file_is_ripe_when_it_stayed_the_same_for_some_looks(looks, clock, file):
    assert not looks.is_ripe(file)
    for _ in range(LOOK_COUNT - 2):
        turn(looks, clock)
        assert not looks.is_ripe(file)
    turn(looks, clock, LOOK_S / 2)  # too early
    assert looks.told == []
    turn(looks, clock)
    assert looks.told == [{file}]
    assert looks.is_ripe(file)
    assert looks.is_ripe(file)
    assert looks._engine.timers == []
    looks.forget()
    assert not looks.is_ripe(file)


def test_a_machine_that_stood_still_is_no_look(looks, clock, file):
    assert not looks.is_ripe(file)
    turn(looks, clock, 100)
    looks._engine.run()
    assert not looks.is_ripe(file)
    assert looks.told == []


def test_a_file_that_changes_in_between_begins_anew(looks, clock, file):
    assert not looks.is_ripe(file)
    for _ in range(LOOK_COUNT - 2):
        turn(looks, clock)
    with open(file, "a") as stream:
        stream.write("whole")
    turn(looks, clock)
    for _ in range(LOOK_COUNT - 2):
        turn(looks, clock)
        assert looks.told == []
    turn(looks, clock)
    assert looks.told == [{file}]
    with open(file, "a") as stream:
        stream.write("!")
    assert not looks.is_ripe(file)


def test_a_file_that_goes_is_told_and_nothing_is_left_of_it(looks, clock, file, tmp_path):
    assert not looks.is_ripe(file)
    os.unlink(file)
    turn(looks, clock)
    assert looks.told == [{file}]
    assert looks.is_ripe(file)
    assert looks._waiting == looks._ripe == {}


def test_many_files_are_looked_at_in_portions(looks, clock, tmp_path, monkeypatch):
    monkeypatch.setattr(watchlooks, "LOOKS_PER_TURN", 10)
    files = set()
    for number in range(25):
        (tmp_path / f"{number}.txt").write_text("x")
        files.add(str(tmp_path / f"{number}.txt"))
    for file in sorted(files):
        assert not looks.is_ripe(file)
    for _ in range(3 * (LOOK_COUNT - 1)):
        turn(looks, clock)
    assert [len(told) for told in looks.told] == [10, 10, 5]
    assert set().union(*looks.told) == files


def test_after_the_end_nothing_is_looked_at(looks, clock, file):
    looks.is_ripe(file)
    engine = looks._engine
    looks.end()
    engine.run()
    assert looks.told == []
    assert engine.timers == []
