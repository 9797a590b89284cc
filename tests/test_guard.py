"""An address that guesses ids is kept from guessing on; a visitor who merely comes back late, or
with another application's cookie, is served. Lists of addresses.
"""

from __future__ import annotations

import base64
import ipaddress
import os
import random
import socket
import time

import pytest
import wiresite
from processes import DEADLINE_S, Child, at_once
from visitors import HANDLERS

from nodepp import _core

PEER = ("203.0.113.5", 1)
OTHER = ("198.51.100.1", 1)
KEY = bytes(range(32))
MINUTE, HOUR, DAY = 10, 100, 1000       # different values that are too many
DAY_S = 86400
NOT_BLOCKED, BY_MINUTE, BY_HOUR, BY_DAY = range(4)


def guess() -> str:
    """A value that could be an id, and was never issued."""
    return base64.urlsafe_b64encode(os.urandom(30)).decode()


def write(req):
    """A handler that writes into the session, and shows a form's token."""
    req.session["seen"] = True
    return str(req.csrf_input())


@pytest.fixture
def site(visiting):
    """One whose key is an old one: what it did not make was made by no other server."""
    return visiting(handlers={**HANDLERS, "write": write}, key=KEY)


def guesses(site, count: int, peer=PEER, name: str = "as") -> None:
    """So many different ids from there that were never issued."""
    visitor = site.visitor(peer=peer)
    for number in range(count):
        visitor.get("/show" if number % 2 else "/count", cookie=f"{name}={guess()}")
    visitor.client.reset()


def answer(site, cookie: str | None = None, peer=PEER, path: str = "/show", **options):
    """What a request with that cookie gets; without one, with an id that was never issued."""
    visitor = site.visitor(peer=peer)
    response = visitor.get(path, cookie=f"as={guess()}" if cookie is None else cookie, **options)
    visitor.client.reset()
    return response


def is_blocked(site, peer=PEER) -> bool:
    """Does one more guess from there get 429?"""
    return answer(site, peer=peer).status == 429


# What does not count. Two applications were under one domain, and the other one kept the language
# in a cookie "ls": after eleven pages each visitor was written into blacklist.txt, with all who
# shared the address, and locked out until the operator looked.

@pytest.mark.parametrize("value", [
    "de", "x" * 39, "x" * 41, "x" * 5000, "%00", "../../etc/passwd", "' OR 1=1", "x" * 39 + "!",
    "x" * 39 + "=", "+" * 40,
])  # fmt: skip
@pytest.mark.parametrize("name", ["as", "ls"])
def test_a_value_that_is_no_id_never_counts(site, name, value):
    visitor = site.visitor(peer=PEER)
    for number in range(3 * MINUTE):
        different = f"{number:02}{value[2:]}" if number else value
        assert visitor.get("/show", cookie=f"{name}={different}").status == 200
    assert not site.app.blocked
    assert site.stat("addresses_blocked") == site.stat("session_ids_forged") == 0


def test_a_value_that_is_shown_again_and_again_counts_once(site):
    """A cookie of before a new key, in a browser that does not give it up."""
    visitor, stale = site.visitor(peer=PEER), [guess() for _ in range(MINUTE - 1)]
    for _ in range(20):
        for value in stale:
            assert visitor.get("/show", cookie=f"as={value}").status == 200
    assert not site.app.blocked
    visitor.get("/show", cookie=f"as={guess()}")
    assert len(site.app.blocked) == 1


def test_a_bad_cookie_beside_a_good_one_never_counts(site):
    visitor = site.visitor(peer=PEER)
    visitor.get("/count")
    good = visitor.jar["as"]
    for _ in range(3 * MINUTE):
        for cookie in (f"as={good}; as={guess()}", f"as={guess()}; as={good}",
                       f"ls={guess()}; as={good}"):
            assert visitor.get("/count", cookie=cookie).status == 200
    assert not site.app.blocked and site.stat("session_ids_forged") == 0


def test_other_cookies_are_none_of_our_business(site):
    visitor = site.visitor(peer=PEER)
    for _ in range(3 * MINUTE):
        visitor.get("/count", cookie=f"alias={guess()}; sid={guess()}; AS={guess()}; xls=x")
    assert not site.app.blocked


# Thresholds.

@pytest.mark.parametrize("name", ["as", "ls"])
def test_ten_different_guesses_within_a_minute_block_an_address(site, name):
    guesses(site, MINUTE - 1, name=name)
    assert not site.app.blocked and not is_blocked(site, OTHER)
    guesses(site, 1, name=name)
    assert site.app.blocked == [(PEER[0], "10 forged session ids within a minute", DAY_S)]
    assert is_blocked(site)
    assert site.stat("addresses_blocked") == site.stat("requests_blocked") == 1
    assert site.stat("session_ids_forged") >= MINUTE


def test_several_guesses_in_one_request_all_count(site):
    visitor = site.visitor(peer=PEER)
    for _ in range(3):
        visitor.get("/show", cookie="; ".join(f"{name}={guess()}" for name in ("as", "ls") * 2))
    assert len(site.app.blocked) == 1


def test_an_altered_id_of_ours_was_never_issued(site):
    visitor = site.visitor(peer=PEER)
    visitor.get("/count")
    id = visitor.jar["as"]
    for place in range(MINUTE):
        letter = "A" if id[place] != "A" else "B"
        visitor.get("/count", cookie=f"as={id[:place]}{letter}{id[place + 1:]}")
    assert len(site.app.blocked) == 1


def test_nine_a_minute_are_not_too_many_for_ten_minutes(site):
    for _ in range(11):
        guesses(site, MINUTE - 1)
        assert not site.app.blocked
        site.skip(61)
    guesses(site, 1)                    # but these are 100 within an hour
    assert site.app.blocked == [(PEER[0], "100 forged session ids within an hour", DAY_S)]


class Ladder:
    """The table of addresses, without requests: a clock of its own, and values that differ."""

    def __init__(self) -> None:
        self.table = _core.SessionTable(1, 16, key=KEY, key_is_new=False)
        self.now, self.mark = 1_700_000_000, 0

    def show(self, count: int = 1, who: int = 1, block_s: int = DAY_S) -> int:
        """What the last of so many new values leads to."""
        outcome = NOT_BLOCKED
        for _ in range(count):
            self.mark += 1
            assert outcome == NOT_BLOCKED
            outcome = _core.probe_session_guess(self.table, who, self.mark, self.now, block_s)
        return outcome

    def blocks(self, who: int = 1) -> bool:
        return _core.probe_session_blocked_till(self.table, who, self.now) > 0


@pytest.fixture
def ladder():
    made = Ladder()
    yield made
    assert made.table.check() == []
    made.table.close()


@pytest.mark.parametrize(("rung", "count", "seconds"), [
    (BY_MINUTE, MINUTE, 60), (BY_HOUR, HOUR, 3600), (BY_DAY, DAY, DAY_S)])  # fmt: skip
def test_so_many_within_so_long_are_too_many(ladder, rung, count, seconds):
    """Spread evenly, so that no shorter time has too many of them."""
    for number in range(count - 1):
        assert ladder.show() == NOT_BLOCKED, number
        ladder.now += (seconds - 1) // count
    assert ladder.show() == rung and ladder.blocks()


@pytest.mark.parametrize(("count", "seconds"), [(MINUTE, 60), (HOUR, 3600), (DAY, DAY_S)])
def test_one_fewer_in_that_time_is_never_too_many(ladder, count, seconds):
    for number in range(3 * count):
        assert ladder.show() == NOT_BLOCKED, number
        ladder.now += -(-seconds // (count - 1))


def test_a_minute_may_begin_at_any_second(ladder):
    """Five, then four, then five, each within 40 s of those before."""
    for count, wait_s in ((5, 40), (4, 25), (5, 0)):
        assert ladder.show(count) == NOT_BLOCKED
        ladder.now += wait_s
    assert ladder.show() == BY_MINUTE


def test_sixty_four_values_are_remembered_and_the_oldest_is_forgotten(ladder):
    def again(mark: int) -> int:
        return _core.probe_session_guess(ladder.table, 1, mark, ladder.now, DAY_S)

    for _ in range(64):
        assert ladder.show() == NOT_BLOCKED
        ladder.now += 60
    for _ in range(3 * MINUTE):
        assert again(1) == again(64) == NOT_BLOCKED      # both are known
    assert ladder.show() == NOT_BLOCKED                  # the first one is forgotten …
    assert [again(mark) for mark in range(1, MINUTE)] == [NOT_BLOCKED] * 8 + [BY_MINUTE]


def test_a_block_ends_and_the_counting_begins_anew(ladder):
    assert ladder.show(MINUTE, block_s=3600) == BY_MINUTE
    ladder.now += 3599
    assert ladder.blocks() and ladder.show() == NOT_BLOCKED      # nothing counts meanwhile
    ladder.now += 1
    assert not ladder.blocks()
    assert ladder.show(MINUTE - 1) == NOT_BLOCKED
    assert ladder.show() == BY_MINUTE and ladder.blocks()


# What a blocked address gets.

@pytest.fixture
def blocked(site):
    """A site that has blocked PEER."""
    guesses(site, MINUTE)
    assert is_blocked(site)
    return site


@pytest.mark.parametrize("cookie", [
    "", "a=b", "ls=de", "as=x", f"as={'x' * 41}", f"xas={'x' * 40}"])  # fmt: skip
def test_a_blocked_address_is_served_without_an_unknown_id(blocked, cookie):
    """Its other users are not to suffer: an office, a school, a mobile network."""
    assert answer(blocked, cookie).body == b"nobody"
    assert answer(blocked, cookie, path="/count").body == b"1"


def test_a_blocked_address_is_served_with_a_session_that_lives(blocked):
    visitor = blocked.visitor(peer=PEER)
    assert [visitor.get("/count").body for _ in range(3)] == [b"1", b"2", b"3"]
    bad_too = f"ls={guess()}; as={visitor.jar['as']}"
    assert visitor.get("/count", cookie=bad_too).body == b"4"


def test_a_blocked_address_is_served_with_an_id_that_has_ended(blocked):
    visitor = blocked.visitor(peer=PEER)
    visitor.get("/count")
    blocked.skip(700)
    assert visitor.get("/count").body == b"1"


@pytest.mark.parametrize("name", ["as", "ls"])
def test_the_429_takes_the_cookie_back_so_that_the_next_request_is_served(blocked, name):
    visitor = blocked.visitor(peer=PEER)
    visitor.jar[name] = guess()
    response = visitor.get("/count")
    assert (response.status, response.get("Retry-After")) == (429, "1")
    assert "no-store" in response.get("Cache-Control")
    assert [cookie.name for cookie in visitor.set] == [name] and not visitor.jar
    assert [visitor.get("/count").body for _ in range(2)] == [b"1", b"2"]


@pytest.mark.parametrize(("method", "path"), [
    ("GET", "/nothing"), ("HEAD", "/nothing"), ("GET", "/ten.txt"), ("GET", "/nowhere"),
    ("GET", "/folder"), ("OPTIONS", "/nothing"), ("POST", "/nothing"), ("GET", "/../x"),
    ("GET", "/members"),
])  # fmt: skip
def test_whatever_is_asked_for_with_an_unknown_id_gets_429(visiting, method, path):
    """Also where no session is looked at: the rule can be said in one sentence."""
    site = visiting(handlers=HANDLERS, key=KEY, statics=wiresite.snapshot(),
                    auth_rules=[("", "/members", 10)])
    guesses(site, MINUTE)
    visitor = site.visitor(peer=PEER)
    body = b"a=b" if method == "POST" else b""
    assert visitor.ask(method, path, body, cookie=f"as={guess()}").status == 429
    assert visitor.ask(method, path, body, cookie="").status != 429
    assert site.stat("requests_blocked") == 1


def test_the_page_of_the_429_is_the_application_s_and_begins_no_session(blocked):
    def page(req, status, problem):
        req.status = status
        req.session["attempts"] = 1
        assert req.session["attempts"] == 1 and len(req.csrf_token) == 32
        assert _core.current() is req
        return f"wait, {req.path}"

    blocked.app.error, before = page, len(blocked.table)
    response = answer(blocked)
    assert (response.status, response.body) == (429, b"wait, /show")
    assert response.get("Retry-After") == "1"
    assert len(blocked.table) == before
    assert [value for name, value in response.fields if name.lower() == "set-cookie"] \
        == ["as=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"]
    blocked.app.error = type(blocked.app).error.__get__(blocked.app)
    assert answer(blocked, "", path="/count").body == b"1"      # the next one has no part in it


def test_pipelined_requests_are_judged_one_by_one(blocked):
    visitor = blocked.visitor(peer=PEER)
    asked = [visitor.bytes_of("GET", "/nothing", cookie=cookie)
             for cookie in (f"as={guess()}", "", f"ls={guess()}", "ls=de")]
    client = visitor.connection()
    client.exchange(b"".join(asked))
    assert [it.status for it in client.responses(*["GET"] * 4, count=4)] == [429, 200, 429, 200]


def test_a_block_lasts_for_its_time(visiting):
    site = visiting(handlers=HANDLERS, key=KEY, block_time_s=3600)
    guesses(site, MINUTE)
    assert site.app.blocked[0][2] == 3600
    site.skip(3590)
    assert is_blocked(site)
    site.skip(11)
    assert not is_blocked(site)
    guesses(site, MINUTE - 2)
    assert not is_blocked(site)                 # the tenth since then
    assert len(site.app.blocked) == 2 and is_blocked(site)


def test_a_block_time_of_zero_blocks_nothing(visiting):
    site = visiting(handlers=HANDLERS, key=KEY, block_time_s=0)
    guesses(site, 3 * MINUTE)
    assert not is_blocked(site) and site.stat("addresses_blocked") == 0
    assert {seconds for _, _, seconds in site.app.blocked} == {0}


def test_a_guesser_is_answered_like_any_visitor_before_that(site):
    """What it sees tells it nothing."""
    visitor = site.visitor(peer=PEER)
    expected = site.visitor(peer=OTHER).get("/show")
    for _ in range(MINUTE):
        response = visitor.get("/show", cookie=f"as={guess()}")
        assert (response.status, response.body) == (expected.status, expected.body)


# Which addresses are never blocked.

def test_ids_that_were_ours_are_no_guesses(site):
    """A visitor who comes back after months, again and again, with all their browsers."""
    for _ in range(30):
        visitor = site.visitor(peer=PEER)
        visitor.get("/count")
        site.skip(700)
        for _ in range(3):
            visitor.get("/nothing")
            visitor.get("/show")
    assert not site.app.blocked and site.stat("session_ids_forged") == 0


def test_nothing_counts_for_half_an_hour_after_a_start_with_a_new_key(visiting):
    """An office behind one address comes back with the cookies of before: none may be blocked."""
    site = visiting(handlers=HANDLERS)
    for _ in range(5):
        guesses(site, 100)
        site.skip(300)
    assert not site.app.blocked
    site.skip(400)
    guesses(site, MINUTE)
    assert len(site.app.blocked) == 1


def test_grace_is_as_long_as_it_was_set(visiting):
    site = visiting(handlers=HANDLERS, forged_grace_s=60)
    guesses(site, MINUTE)
    assert not site.app.blocked
    site.skip(61)
    guesses(site, MINUTE)
    assert len(site.app.blocked) == 1


def test_stranger_with_a_new_key_loses_the_cookie_and_gets_another(visiting):
    site = visiting(handlers=HANDLERS)
    visitor = site.visitor(peer=PEER)
    visitor.jar["as"] = guess()
    assert visitor.get("/show").body == b"nobody"
    assert visitor.get("/count").body == b"1" and visitor.get("/count").body == b"2"


@pytest.mark.parametrize("peer", [
    None, ("127.0.0.1", 1), ("127.5.6.7", 1), ("::1", 1), ("::ffff:127.0.0.1", 1)])  # fmt: skip
def test_this_machine_is_never_counted(site, peer):
    """A proxy on it stands for all visitors."""
    guesses(site, 2 * MINUTE, peer)
    assert not site.app.blocked and not is_blocked(site, peer)


@pytest.mark.parametrize("peer", [None, ("::1", 1)])
def test_this_machine_is_counted_for_tests(visiting, peer):
    site = visiting(handlers=HANDLERS, key=KEY, guard_loopback=True)
    guesses(site, MINUTE, peer)
    assert [ip for ip, _, _ in site.app.blocked] == [peer[0] if peer else "127.0.0.1"]
    assert is_blocked(site, peer)
    assert site.server.engine.blocked_addresses()[0][0] == site.app.blocked[0][0]


def test_addresses_of_the_white_list_are_never_blocked(site):
    """Also one that was blocked before it was put on it."""
    guesses(site, MINUTE, OTHER)
    site.server.engine.set_lists(None, addresses("203.0.113.0/24", "198.51.100.0/24"))
    guesses(site, 3 * MINUTE)
    assert len(site.app.blocked) == 1
    assert not is_blocked(site) and not is_blocked(site, OTHER)


# Which address it is.

def test_each_address_is_counted_for_itself(site):
    for number in range(50):
        guesses(site, MINUTE - 1, (f"198.51.100.{number}", 1))
    assert not site.app.blocked
    guesses(site, 1, ("198.51.100.7", 9))
    assert [ip for ip, _, _ in site.app.blocked] == ["198.51.100.7"]
    assert is_blocked(site, ("198.51.100.7", 5)) and not is_blocked(site, ("198.51.100.8", 1))


def test_network_of_an_ipv6_visitor_is_one_address(site):
    """A subscriber has 2^64 addresses."""
    for number in range(MINUTE):
        guesses(site, 1, (f"2001:db8:1:2:{number:x}::{number + 1:x}", 1))
    assert len(site.app.blocked) == 1
    assert is_blocked(site, ("2001:db8:1:2:ffff::1", 1))
    assert not is_blocked(site, ("2001:db8:1:3::1", 1))
    assert [ip for ip, _, _ in site.server.engine.blocked_addresses()] == ["2001:db8:1:2::"]


def test_ipv6_networks_are_counted_apart(site):
    for number in range(2 * MINUTE):
        guesses(site, 1, (f"2001:db8:1:{number:x}::1", 1))
    assert not site.app.blocked


def test_mapped_address_is_that_of_ipv4(site):
    guesses(site, 5, ("203.0.113.5", 1))
    guesses(site, 5, ("::ffff:203.0.113.5", 1))
    assert len(site.app.blocked) == 1 and is_blocked(site, ("203.0.113.5", 1))


# What is blocked can be listed and undone.

def test_blocked_addresses_are_listed_and_let_in_again(blocked):
    engine = blocked.server.engine
    guesses(blocked, MINUTE, ("2001:db8::7", 1))
    listed = {ip: (until, why) for ip, until, why in engine.blocked_addresses()}
    assert set(listed) == {"203.0.113.5", "2001:db8::"}
    assert {why for _, why in listed.values()} == {"10 forged session ids within a minute"}
    assert engine.unblock("203.0.113.5") and not engine.unblock("203.0.113.5")
    assert not is_blocked(blocked) and is_blocked(blocked, ("2001:db8::8", 1))
    assert engine.unblock("2001:db8::1234") and engine.blocked_addresses() == []
    guesses(blocked, MINUTE - 2)                # unblocked is unblocked: this is the ninth
    assert len(blocked.app.blocked) == 2
    with pytest.raises(ValueError, match="not an IP address"):
        engine.unblock("example.org")


def test_without_sessions_nothing_is_blocked(serve_epoll):
    engine = serve_epoll().engine
    assert engine.blocked_addresses() == [] and not engine.unblock("192.0.2.1")


def test_a_host_that_fails_when_it_is_told_is_a_log_line(site, monkeypatch):
    def fail(ip, why, seconds):
        raise OSError("the disk is full")

    monkeypatch.setattr(site.app, "address_blocked", fail)
    guesses(site, MINUTE)
    assert any("disk is full" in message for _, message in site.app.logged)
    assert is_blocked(site) and site.visitor().get("/count").body == b"1"


# The table: bounded, shared, and in memory that other processes write.

def test_many_addresses_that_guess_once_push_out_no_block(ladder):
    """An attacker with 20,000 addresses; the table has places for 2,048."""
    assert ladder.show(MINUTE) == BY_MINUTE
    for who in range(2, 20_000):
        assert ladder.show(who=who) == NOT_BLOCKED
    assert ladder.blocks()
    assert ladder.show(MINUTE - 1, who=19_999) == BY_MINUTE     # one that goes on is found


def test_when_all_places_are_blocked_the_one_that_ends_first_gives_way(ladder):
    for who in range(1, 6001):
        assert ladder.show(MINUTE, who=who, block_s=DAY_S + who) == BY_MINUTE
    still = [who for who in range(1, 6001) if ladder.blocks(who)]
    assert len(still) == 2048 and ladder.blocks(6000)
    assert min(still) > 1000


def show_from(table, first: int, count: int) -> int:
    """A process that shows a value of its own from each of 50 addresses, again and again."""
    return sum(_core.probe_session_guess(table, 1 + number % 50, first + number, 1_700_000_000, 0)
               == BY_MINUTE for number in range(count))


def test_processes_count_together(ladder):
    """Ten guesses are ten, whichever processes they go to: 2,000 of each of four, all different."""
    found = at_once(*[(show_from, ladder.table, number * 1_000_000, 2000) for number in range(4)])
    assert sum(found) == 4 * 2000 // MINUTE


def show_for_ever(table, seed: int) -> None:
    """Counts, blocks, lets in again and pushes out, without end."""
    generator, now = random.Random(seed), 1_700_000_000
    while True:
        now += 1
        for who in generator.choices(range(1, 5000), k=3) * MINUTE:
            _core.probe_session_guess(table, who, generator.getrandbits(32), now, 2)


def test_a_process_that_dies_in_the_midst_leaves_a_table_that_works(ladder):
    def shown() -> int:
        return ladder.table.stats()["session_ids_forged"]

    for number in range(30):
        before = shown()
        with Child(show_for_ever, ladder.table, number):
            deadline = time.monotonic() + DEADLINE_S
            while shown() < before + 1000 + 7 * number:
                assert time.monotonic() < deadline, "the child does nothing"
        assert ladder.show(MINUTE, who=100_000 + number) == BY_MINUTE
        assert ladder.blocks(100_000 + number) and not ladder.blocks(200_000 + number)


@pytest.mark.parametrize("data", [b"\xff", b"\x00\xff", os.urandom(4099), b"\x80\0\0\0"])
def test_nonsense_in_the_table_does_no_harm(blocked, data):
    """Another process writes into this memory: what lies there is input."""
    table = blocked.table
    _core.probe_session_scribble(table, data)
    generator = random.Random(7)
    for _ in range(5000):
        _core.probe_session_guess(table, generator.getrandbits(64) or 1, generator.getrandbits(32),
                                  generator.getrandbits(32), 60)
    engine = blocked.server.engine
    for ip, until, why in engine.blocked_addresses():
        assert isinstance(until, int) and isinstance(why, str)
        engine.unblock(ip)
    for peer in (PEER, OTHER, ("2001:db8::1", 1)):
        assert answer(blocked, "", peer).status == 200
        assert answer(blocked, None, peer).status in (200, 429)
    _core.probe_session_scribble(table, b"\0")
    assert not is_blocked(blocked)
    guesses(blocked, MINUTE)
    assert is_blocked(blocked)


# Lists.

def mapped(text: str) -> bytes:
    address = ipaddress.ip_address(text)
    if address.version == 4:
        return b"\0" * 10 + b"\xff\xff" + address.packed
    return address.packed


def ranges(*networks: str) -> list[tuple[bytes, bytes]]:
    found = [ipaddress.ip_network(text) for text in networks]
    return [(mapped(str(each[0])), mapped(str(each[-1]))) for each in found]


def addresses(*networks: str) -> _core.AddressList:
    return _core.AddressList(ranges(*networks))


def is_closed(site, peer) -> bool:
    client = site.server.connect(peer=peer)
    client.exchange(b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n")
    if client.closed:
        assert not client.received, "it is to be closed without a word"
        return True
    assert client.received.startswith(b"HTTP/1.1 200 ")
    return False


def test_list_of_addresses_holds_what_it_was_given():
    networks = ("192.0.2.0/24", "203.0.113.5/32", "10.0.0.0/8", "2001:db8::/32", "::1/128",
                "255.255.255.255/32", "0.0.0.0/32", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128")
    held = addresses(*networks)
    for text in networks:
        network = ipaddress.ip_network(text)
        for address in (network[0], network[-1]):
            assert str(address) in held
        for outside in (int(network[0]) - 1, int(network[-1]) + 1):
            if 0 <= outside < 2**network.max_prefixlen:
                other = type(network[0])(outside)
                known = any(other in each for each in map(ipaddress.ip_network, networks)
                            if each.version == other.version)
                assert (str(other) in held) == known
    assert "::ffff:192.0.2.1" in held and "192.0.3.1" not in held


def test_list_merges_what_touches():
    held = addresses("10.0.0.0/25", "10.0.0.128/25", "10.0.0.7/32", "10.0.1.0/24", "10.0.3.0/24")
    assert len(held) == 2
    assert "10.0.1.255" in held and "10.0.2.0" not in held


def test_list_agrees_with_the_standard_library():
    import random
    generator = random.Random(3)
    networks = [ipaddress.ip_network((generator.getrandbits(32), generator.randrange(9, 33)),
                                     strict=False) for _ in range(300)]  # fmt: skip
    held = addresses(*map(str, networks))
    for _ in range(3000):
        near = generator.choice(networks)
        number = int(generator.choice((near[0], near[-1]))) + generator.randrange(-3, 4)
        address = ipaddress.IPv4Address(number % 2**32)
        assert (str(address) in held) == any(address in each for each in networks), address


def test_empty_list_holds_nobody():
    held = _core.AddressList([])
    assert len(held) == 0 and "127.0.0.1" not in held and "::" not in held


@pytest.mark.parametrize("wrong", [
    [(b"", b"")], [(bytes(15), bytes(16))], [(bytes(16), bytes(17))],
    [(b"\x01" * 16, bytes(16))]])  # fmt: skip
def test_range_that_is_none_is_refused(wrong):
    with pytest.raises(ValueError):
        _core.AddressList(wrong)


@pytest.mark.parametrize("peer", [("203.0.113.5", 1), ("2001:db8::7", 1),
                                  ("::ffff:203.0.113.9", 1)])  # fmt: skip
def test_address_of_the_black_list_is_closed_without_a_word(visiting, peer):
    site = visiting(handlers=HANDLERS)
    site.server.engine.set_lists(addresses("203.0.113.0/24", "2001:db8::/64"), None)
    before = site.stat("blocked")
    assert is_closed(site, peer)
    assert site.stat("blocked") == before + 1
    assert not is_closed(site, ("198.51.100.1", 1))
    assert not is_closed(site, ("2001:db9::1", 1))


def test_white_list_lets_in_whom_it_names(visiting):
    site = visiting(handlers=HANDLERS)
    site.server.engine.set_lists(None, addresses("198.51.100.0/24", "127.0.0.0/8"))
    assert not is_closed(site, ("198.51.100.77", 1))
    assert not is_closed(site, None)
    assert is_closed(site, ("203.0.113.5", 1)) and is_closed(site, ("::1", 1))


def test_black_list_counts_before_the_white_one(visiting):
    site = visiting(handlers=HANDLERS)
    site.server.engine.set_lists(addresses("198.51.100.7/32"), addresses("198.51.100.0/24"))
    assert is_closed(site, ("198.51.100.7", 1)) and not is_closed(site, ("198.51.100.8", 1))


def test_listed_peer_is_closed_when_it_is_accepted(visiting):
    site = visiting(handlers=HANDLERS)
    site.server.engine.set_lists(addresses("127.0.0.1/32"), None)
    assert is_closed(site, None)
    site.server.engine.set_lists(None, None)
    assert not is_closed(site, None)


def test_new_list_closes_the_connections_that_it_refuses(visiting):
    site = visiting(handlers=HANDLERS)
    refused, welcome = site.visitor(peer=PEER), site.visitor(peer=("198.51.100.1", 1))
    for visitor in (refused, welcome):
        visitor.get("/count")
    site.server.engine.set_lists(addresses("203.0.113.0/24"), None)
    site.server.idle()
    refused.client.read()
    assert refused.client.closed
    assert welcome.get("/count").body == b"2"


def test_lists_may_come_before_the_opening():
    from harness import serving
    with serving() as server:
        server.engine.close()
        server.engine.set_lists(addresses("127.0.0.0/8"), None)
        server.engine.open([(server.listener.fileno(), "tcp")])
        client = server.connect()
        client.exchange(b"GET /get HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.closed and not client.received
        server.engine.set_lists(None, None)


def test_unix_sockets_have_no_address_and_are_on_no_list(visiting):
    site = visiting(handlers=HANDLERS)
    site.server.engine.set_lists(addresses("0.0.0.0/0", "::/0"), addresses("192.0.2.1/32"))
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    site.server.engine.adopt(theirs.detach())
    ours.sendall(b"GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    site.server.idle()
    assert ours.recv(100).startswith(b"HTTP/1.1 200 ")
    ours.close()


def test_list_that_is_set_while_its_visitor_is_answered(visiting):
    """address_blocked may call set_lists: the request at hand is the one that goes."""
    site = visiting(handlers=HANDLERS, key=KEY)
    site.app.address_blocked = lambda ip, why, seconds: site.server.engine.set_lists(
        addresses(f"{ip}/32"), None)  # fmt: skip
    visitor = site.visitor(peer=PEER)
    client = visitor.connection()
    for _ in range(MINUTE + 2):
        client.exchange(visitor.bytes_of("GET", "/count", cookie=f"as={guess()}") * 2)
    site.server.idle()
    client.read()
    assert client.closed
    assert is_closed(site, PEER) and not is_closed(site, ("198.51.100.1", 1))
