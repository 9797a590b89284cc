"""Several servers at one table: what ends, ends once; who dies in the midst of a request takes
nothing with him that was answered."""

from __future__ import annotations

import os
import random
import select

from processes import Child, at_once
from test_session_merge import Elsewhere
from visitors import LOGIN_HANDLERS, Visits
from waiting import spin

from nodepp import _core

ROUNDS = int(os.environ.get("NODEPP_ENGINE_ROUNDS", "60"))


def begun(table, count: int, target: str = "/count"):
    """So many visitors, with a session each; the engine that began them is closed."""
    site = Visits(table=table, handlers=LOGIN_HANDLERS, max_connections=count + 10)
    visitors = [site.visitor() for _ in range(count)]
    for uid, visitor in enumerate(visitors, 1):
        visitor.get(target.format(uid))
    site.server.close()
    return visitors


def expire(table) -> list[str]:
    """A process that looks for what is over, until nothing is left; what its hooks heard."""
    site = Visits(table=table, handlers=LOGIN_HANDLERS)
    site.skip(2000)
    site.gone_to(0)
    site.server.until(lambda: site.stat("sessions_expired") >= 250, "the end of all")
    return site.app.events


def test_session_that_expires_before_four_processes_stops_once():
    table = _core.SessionTable(500, 64)
    begun(table, 150)
    begun(table, 100, "/login?uid={}")
    events = [event for heard in at_once(*[(expire, table)] * 4) for event in heard]
    assert events.count("stop") == 250 and events.count("logout") == 100
    stats = table.stats()
    assert stats["sessions"] == 0 and stats["sessions_expired"] == 250
    assert table.check() == []
    table.close()


def crowd(table, seed: int, count: int) -> tuple[int, int, list[str]]:
    """A process in which so many log in, all of whom need room that others have; how many could."""
    site = Visits(table=table, handlers=LOGIN_HANDLERS, max_connections=count + 10)
    statuses = [site.visitor().get(f"/login?uid={seed * 1000 + number}").status
                for number in range(1, count + 1)]
    site.server.close()
    return statuses.count(200), statuses.count(503), site.app.events


def test_four_processes_take_the_room_of_anonymous_visitors_once_each():
    """Ninety logins for sixty places: those who came first, whoever served them, and no session is
    pushed out twice or under a login. When nobody else is left, a session that was begun for a
    login under way may be pushed out before that has taken effect: it begins another, or is
    refused.
    """
    table = _core.SessionTable(60, 64)
    begun(table, 60)
    reports = at_once(*[(crowd, table, seed, 24) for seed in range(1, 5)])
    assert sum(logins for logins, _, _ in reports) == 60
    assert sum(refusals for _, refusals, _ in reports) == 36
    stops = sum(events.count("stop") for _, _, events in reports)
    assert all(record[5] for record in table.records()) and len(table) == 60
    assert stops == table.stats()["sessions_evicted"] >= 60
    assert table.check() == []
    table.close()


def test_who_dies_in_the_midst_of_a_request_loses_nothing_that_was_answered():
    """Requests go to three servers; one of them is killed a moment after it was asked."""
    generator = random.Random(7)
    table = _core.SessionTable(40, 128)
    visitors = begun(table, 30)
    servers = [Elsewhere(table) for _ in range(3)]
    answered = dict.fromkeys(range(30), 1)
    open_ = dict.fromkeys(range(30), 0)
    try:
        for _ in range(ROUNDS):
            for _ in range(10):
                place = generator.randrange(30)
                response = generator.choice(servers).ask(visitors[place], "/count")
                answered[place] += 1
                count = int(response.body)
                assert answered[place] <= count <= answered[place] + open_[place]
            place, victim = generator.randrange(30), generator.randrange(3)
            servers[victim].socket.sendall(visitors[place].bytes_of("GET", "/count"))
            spin(generator.random() * 0.0004)
            servers[victim].close()
            open_[place] += 1
            servers[victim] = Elsewhere(table)
        assert len(table) == 30 and table.check() == []
        for place, visitor in enumerate(visitors):
            count = int(servers[0].ask(visitor, "/count").body) - 1
            assert answered[place] <= count <= answered[place] + open_[place]
    finally:
        for server in servers:
            server.close()
    table.close()


def look_for(table, ids: list[bytes], rounds: int) -> int:
    """A process that looks for sessions that all live, while others come, go and die."""
    for _ in range(rounds):
        for id in ids:
            assert table.find(id) >= 0, "a live session was not found"
            assert table.read(id)[1] == b"here"
    return rounds


def come_and_go(table) -> None:
    while True:
        ids = [table.start() for _ in range(40)]
        for id in ids:
            table.write(id, bytes(1000))
        for id in ids:
            table.remove(table.renew(id))


def test_readers_find_every_live_session_while_an_index_is_mended():
    """Mending made the index empty for a while; whoever looked for a session then had none, and a
    visitor was logged out."""
    table = _core.SessionTable(5000, 1024)
    ids = [table.start() for _ in range(1200)]
    for id in ids:
        table.write(id, b"here")
    reader = Child(look_for, table, ids, 40 if _core.FLAVOUR == "asan" else 500)
    worker = Child(come_and_go, table)
    generator = random.Random(1)
    try:
        # Until the reader has something to say, its end or a fault, a death every few milliseconds.
        while not select.select([reader.pipe], [], [], 0.001 + generator.random() * 0.004)[0]:
            worker.kill()
            worker = Child(come_and_go, table)
        assert reader.report()
    finally:
        worker.kill()
        reader.kill()
    for id in set(table.ids()) - set(ids):
        table.remove(id)
    assert table.check() == [] and len(table) == len(ids)
    table.close()
