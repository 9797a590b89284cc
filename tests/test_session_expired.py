"""Sessions that are over count as gone, in every decision and at every size of the table.

A table of 1,000 logins that had expired refused 276 of 300 new visitors with a 503: expired
sessions were taken out within a minute, and until then they held their places.
"""

from __future__ import annotations

import itertools
import os
import random
import time

import pytest
from processes import at_once
from responsereader import read_responses
from sessionfiles import Settings
from visitors import LOGIN_HANDLERS, Visits

from nodepp import _core
from nodepp.sessions.table import open_table

SEEDS = range(int(os.environ.get("NODEPP_EXPIRY_SEEDS", "12")))
USER = 10
_numbers = itertools.count(1)


def row(idle_s: float = 0, age_s: float | None = None, uid: int = 0, kept: bool = False) -> tuple:
    """A session that was used so long ago, as SessionTable.restore() takes it."""
    now = int(time.time())
    id = next(_numbers).to_bytes(24, "big")[::-1]
    return (id, int(now - (idle_s if age_s is None else age_s)), int(now - idle_s), 0, int(kept),
            uid, USER if uid else 1, now if uid else 0, b"", b"c" * 12, b"")


def filled(capacity: int, **options) -> _core.SessionTable:
    table = _core.SessionTable(capacity, 16)
    for _ in range(capacity):
        assert table.restore(row(**options))
    return table


def all_at_once(site: Visits, targets: list[str]) -> list[int]:
    """Requests of visitors without a cookie, answered in one turn; their statuses."""
    client = site.server.connect()
    client.exchange(b"".join(site.visitor().bytes_of("GET", target) for target in targets))
    responses, rest = read_responses(bytes(client.received))
    assert not rest
    return [response.status for response in responses]


@pytest.mark.parametrize("target", ["/login?uid=5", "/count"])
@pytest.mark.parametrize("kind", ["logins", "kept", "anonymous"])
def test_a_table_full_of_expired_sessions_refuses_nobody(visiting, target, kind):
    uid, kept = kind != "anonymous", kind == "kept"
    table = filled(1000, idle_s=31 * 86400 if kept else 1900, uid=uid, kept=kept)
    site = visiting(table=table, handlers=LOGIN_HANDLERS)
    assert site.stat("sessions") == len(table) == 0
    assert all_at_once(site, [target] * 300) == [200] * 300
    site.gone_to(300)
    # They are gone for all figures; their hooks come in shares of a turn.
    events = site.app.events
    site.server.until(lambda: events.count("stop") >= 1000, "the end of all")
    # Who was pushed out because he was over was told so, once.
    assert site.app.events.count("stop") == 1000
    assert site.app.events.count("logout") == (1000 if uid else 0)
    stats = table.stats()
    assert stats["sessions_expired"] == 1000
    assert (stats["sessions_evicted"], stats["sessions_refused"]) == (0, 0)


@pytest.mark.parametrize("capacity", [1, 2, 63, 64, 65, 1000])
def test_the_only_session_that_is_over_gives_its_place_wherever_it_lies(capacity):
    for place in sorted({0, capacity // 2, capacity - 1}):
        table = _core.SessionTable(capacity, 16)
        for slot in range(capacity):
            assert table.restore(row(idle_s=601 if slot == place else 590))
        assert len(table) == capacity - 1
        id = table.start()
        assert table.find(id) == place
        with pytest.raises(_core.SessionsExhausted):
            table.start()
        assert table.check() == [] and len(table) == capacity
        table.close()


def test_who_came_back_in_time_is_not_over(visiting):
    site = visiting(handlers=LOGIN_HANDLERS, capacity=50)
    visitors = [site.visitor() for _ in range(50)]
    for visitor in visitors:
        visitor.get("/count")
    site.skip(595)
    for visitor in visitors[1:]:
        assert visitor.get("/show").status == 200
    site.skip(10)
    statuses = all_at_once(site, ["/count"] * 3)
    assert statuses == [200, 503, 503]
    assert [visitor.get("/count").body for visitor in visitors[1:]] == [b"2"] * 49
    assert visitors[0].get("/show").body == b"nobody"


def test_an_expired_login_makes_room_before_an_anonymous_visitor_has_to(visiting):
    site = visiting(handlers=LOGIN_HANDLERS, capacity=2, session_auth_timeout_s=60)
    site.visitor().get("/login?uid=1")
    site.skip(50)
    anonymous = site.visitor()
    anonymous.get("/count")
    _core.probe_clock(20_000)
    assert all_at_once(site, ["/login?uid=2"]) == [200]
    assert anonymous.get("/count").body == b"2"
    assert site.stat("sessions_evicted") == 0 and site.stat("sessions_expired") == 1


def test_a_login_may_end_a_session_earlier_than_it_would_have_ended(visiting):
    """Login times out sooner than a visit here, and a login that is not kept sooner than a kept
    one: what was noted of the session before is too late."""
    site = visiting(handlers=LOGIN_HANDLERS, capacity=1, session_auth_timeout_s=60)
    for target in ("/count", "/login?uid=1&keep=1"):
        visitor = site.visitor()
        visitor.get(target)
        visitor.get("/login?uid=1")
        _core.probe_clock(62_000)
        assert len(site.table) == 0
        assert all_at_once(site, ["/count", "/count"]) == [200, 503]
        _core.probe_clock(700_000)


def test_shorter_timeouts_hold_for_the_sessions_that_are_there(visiting):
    table = filled(100, idle_s=100)
    site = visiting(table=table, handlers=LOGIN_HANDLERS, session_timeout_s=60)
    assert len(table) == 0
    assert all_at_once(site, ["/count"] * 100) == [200] * 100


def test_what_is_over_cannot_be_looked_up():
    table = _core.SessionTable(3, 16)
    rows = [row(idle_s=601) for _ in range(3)]
    assert all(table.restore(each) for each in rows)
    assert table.ids() == [] and list(table.records()) == []
    for id, *_ in rows:
        assert table.find(id) == -1 and table.read(id) is None
        assert not table.remove(id) and not table.write(id, b"x")
    table.close()


def test_a_clock_that_jumps_ends_all_or_none(visiting):
    site = visiting(handlers=LOGIN_HANDLERS, capacity=10)
    for days in (1, 400, 20_000):
        for number in range(10):
            site.visitor().get(f"/login?uid={number + 1}&keep={number % 2}")
        _core.probe_clock(days * 86_400_000)
        assert len(site.table) == (5 if days == 1 else 0)
        assert all_at_once(site, ["/count"] * 10).count(200) == (5 if days == 1 else 10)
        _core.probe_clock(31 * 86_400_000)
        assert site.table.check() == []


def live(seed: int) -> None:
    """A table of few places against a dict of when each session is over."""
    generator = random.Random(seed)
    capacity = generator.choice((1, 3, 40))
    idle, login, keep, life = (generator.randrange(80, 900) for _ in range(4))
    table = _core.SessionTable(capacity, 16)
    table.set_timeouts(idle, login, keep, life)
    over: dict[bytes, float] = {}
    began_s, now_s = time.time(), 0        # what was skipped since
    for _ in range(400):
        # The clock goes on by itself: what ends about now is waited for.
        while any(now_s - 2 <= end_s <= now_s + time.time() - began_s + 2
                  for end_s in over.values()):
            _core.probe_clock(5000)
            now_s += 5
        alive = [id for id, end_s in over.items() if now_s < end_s]
        assert len(table) == len(alive) == table.stats()["sessions"]
        assert sorted(table.ids()) == sorted(alive)
        what = generator.random()
        if what < 0.5:
            uid, kept = generator.choice(((0, False), (1, False), (1, True)))
            age, used = sorted((generator.randrange(50), generator.randrange(50)), reverse=True)
            id, *rest = row(uid=uid, kept=kept)
            rest[0:2] = [int(began_s) + now_s - age, int(began_s) + now_s - used]
            ends = min(keep - used, keep - age) if kept else \
                min((login if uid else idle) - used, life - age)
            had_room = len(alive) < capacity
            assert table.restore((id, *rest)) == had_room
            if had_room and ends > 20:
                over[id] = now_s + ends + 1
            elif had_room:
                assert table.remove(id) == (id in table.ids())
        elif what < 0.7:
            try:
                over[table.start()] = now_s + time.time() - began_s + min(idle, life) + 1
                assert len(alive) < capacity
            except _core.SessionsExhausted:
                assert len(alive) == capacity
        elif what < 0.8 and alive:
            id = generator.choice(alive)
            assert table.remove(id)
            del over[id]
        else:
            step_s = generator.choice((1, 7, 100, 5000))
            _core.probe_clock(step_s * 1000)
            now_s += step_s
        assert table.check() == []
    table.close()


@pytest.mark.parametrize("seed", SEEDS)
def test_a_table_holds_those_that_are_not_over_and_has_room_for_the_rest(seed):
    live(seed)


def take_all(table, seed: int) -> tuple[int, list[str]]:
    site = Visits(table=table, handlers=LOGIN_HANDLERS)
    statuses = [site.visitor().get(f"/login?uid={seed * 1000 + number}").status
                for number in range(1, 41)]
    site.server.close()
    return statuses.count(200), site.app.events


def test_four_processes_share_the_places_of_what_is_over():
    table = filled(100, idle_s=3000, uid=9)
    reports = at_once(*[(take_all, table, seed) for seed in range(1, 5)])
    assert sum(count for count, _ in reports) == 100
    assert sum(events.count("stop") for _, events in reports) == 100
    assert table.check() == [] and len(table) == 100
    table.close()


def refusal_ns(table) -> float:
    """What it costs to find out that there is no room, at best."""
    best = 1e9
    for _ in range(20):
        began = time.perf_counter_ns()
        for _ in range(50):
            with pytest.raises(_core.SessionsExhausted):
                table.start()
        best = min(best, (time.perf_counter_ns() - began) / 50)
    return best


def test_a_flood_of_visitors_does_not_search_a_large_full_table():
    small, large = filled(10), filled(100_000)
    assert refusal_ns(large) < 5 * refusal_ns(small)
    small.close()
    large.close()


def test_expired_logins_take_no_place_in_a_smaller_file(tmp_path):
    """maxSessions was lowered: logins go first into the new file, but not those that are over."""
    path, lines = tmp_path / "sessions.npp", []
    opened = open_table(Settings(path, 60), None, print)
    rows = [row(idle_s=3000, uid=7) for _ in range(30)] + [row(idle_s=5) for _ in range(20)]
    assert all(opened.table.restore(each) for each in rows)
    opened.close()
    opened = open_table(Settings(path, 20), None, lambda level, text: lines.append(text))
    assert opened.restored == len(opened.table) == 20
    assert sorted(opened.table.ids()) == sorted(each[0] for each in rows[30:])
    assert "left out" not in lines[0]
    opened.close()
