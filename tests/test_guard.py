"""Whoever guesses ids is blocked; who merely comes back late is not. Lists of addresses."""

from __future__ import annotations

import ipaddress
import os

import pytest
from visitors import HANDLERS

from nodepp import _core

PEER = ("203.0.113.5", 1)
KEY = bytes(range(32))
GUESSES_MINUTE, GUESSES_HOUR, GUESSES_EVER = 10, 100, 1000


def guess() -> str:
    """A value that could be an id, and is none of ours."""
    import base64
    return base64.urlsafe_b64encode(os.urandom(30)).decode()


@pytest.fixture
def site(visiting):
    """One whose key is an old one: what it did not make was made by nobody else."""
    return visiting(handlers=HANDLERS, key=KEY)


def guesses(site, count: int, peer=PEER, name: str = "as") -> None:
    """So many forged ids from there."""
    visitor = site.visitor(peer=peer)
    for _ in range(count):
        visitor.get("/show" if count % 2 else "/count", cookie=f"{name}={guess()}")
    visitor.client.reset()


# The ladder.

@pytest.mark.parametrize("name", ["as", "ls"])
def test_ten_forged_ids_within_a_minute_are_one_too_few(site, name):
    guesses(site, GUESSES_MINUTE - 1, name=name)
    assert not site.app.blocked
    guesses(site, 2, name=name)
    (ip, why), = site.app.blocked
    assert ip == PEER[0] and "minute" in why
    assert site.stat("session_ids_forged") >= GUESSES_MINUTE


def test_counting_begins_anew_each_minute(site):
    for _ in range(8):
        guesses(site, GUESSES_MINUTE - 1)
        site.skip(61)
    assert not site.app.blocked


def test_hundred_within_an_hour_are_too_many(site):
    for _ in range(11):
        guesses(site, GUESSES_MINUTE - 1)
        site.skip(61)
    assert not site.app.blocked
    guesses(site, 3)
    (_, why), = site.app.blocked
    assert "hour" in why


def test_thousand_are_too_many_however_long_it_takes(site):
    count = 0
    while not site.app.blocked and count < 2 * GUESSES_EVER:
        for _ in range(8):
            guesses(site, GUESSES_MINUTE - 1)
            site.skip(61)
        count += 8 * (GUESSES_MINUTE - 1)
        site.skip(3600)
    assert GUESSES_EVER <= count <= GUESSES_EVER + 8 * GUESSES_MINUTE
    assert len(site.app.blocked) == 1


@pytest.mark.parametrize("value", [
    "x", "x" * 39, "x" * 40, "x" * 41, "x" * 5000, "%00", "../../etc/passwd", "' OR 1=1", "0",
])  # fmt: skip
def test_whatever_our_key_did_not_make_is_forged(site, value):
    visitor = site.visitor(peer=PEER)
    for _ in range(GUESSES_MINUTE + 1):
        visitor.get("/show", cookie=f"as={value}")
    assert len(site.app.blocked) == 1


def test_altered_id_of_ours_is_forged(site):
    visitor = site.visitor(peer=PEER)
    visitor.get("/count")
    id = visitor.jar["as"]
    for place in range(GUESSES_MINUTE + 1):
        letter = "A" if id[place] != "A" else "B"
        visitor.get("/count", cookie=f"as={id[:place]}{letter}{id[place + 1:]}")
    assert len(site.app.blocked) == 1


# Who is never blocked.

def test_ids_that_were_ours_are_no_guesses(site):
    """One who comes back after months, again and again, with all his browsers."""
    for _ in range(30):
        visitor = site.visitor(peer=PEER)
        visitor.get("/count")
        site.skip(700)
        for _ in range(3):
            visitor.get("/nothing")
            visitor.get("/show")
    assert not site.app.blocked and site.stat("session_ids_forged") == 0


def test_nothing_counts_for_half_an_hour_after_a_start_with_a_new_key(visiting):
    """An office behind one address comes back with the cookies of before: nobody may be blocked."""
    site = visiting(handlers=HANDLERS)
    for _ in range(5):
        guesses(site, 100)
        site.skip(300)
    assert not site.app.blocked
    site.skip(400)
    guesses(site, GUESSES_MINUTE + 1)
    assert len(site.app.blocked) == 1


def test_grace_is_as_long_as_it_was_set(visiting):
    site = visiting(handlers=HANDLERS, forged_grace_s=60)
    guesses(site, GUESSES_MINUTE + 1)
    assert not site.app.blocked
    site.skip(61)
    guesses(site, GUESSES_MINUTE + 1)
    assert len(site.app.blocked) == 1


def test_stranger_with_a_new_key_loses_his_cookie_and_gets_another(visiting):
    site = visiting(handlers=HANDLERS)
    visitor = site.visitor(peer=PEER)
    visitor.jar["as"] = guess()
    assert visitor.get("/show").body == b"nobody"
    assert visitor.get("/count").body == b"1" and visitor.get("/count").body == b"2"


@pytest.mark.parametrize("peer", [
    None, ("127.0.0.1", 1), ("127.5.6.7", 1), ("::1", 1), ("::ffff:127.0.0.1", 1)])  # fmt: skip
def test_this_machine_is_never_counted(site, peer):
    """A proxy on it stands for everybody."""
    guesses(site, 2 * GUESSES_MINUTE, peer)
    assert not site.app.blocked


def test_this_machine_is_counted_for_tests(visiting):
    site = visiting(handlers=HANDLERS, key=KEY, guard_loopback=True)
    guesses(site, GUESSES_MINUTE + 1, None)
    assert [ip for ip, _ in site.app.blocked] == ["127.0.0.1"]


def test_other_cookies_are_none_of_our_business(site):
    visitor = site.visitor(peer=PEER)
    for _ in range(3 * GUESSES_MINUTE):
        visitor.get("/count", cookie=f"alias={guess()}; sid={guess()}; AS={guess()}; xls=x")
    assert not site.app.blocked


# Whose guesses they are.

def test_each_address_is_counted_for_itself(site):
    for number in range(50):
        guesses(site, GUESSES_MINUTE - 1, (f"198.51.100.{number}", 1))
    assert not site.app.blocked
    guesses(site, 3, ("198.51.100.7", 9))
    assert [ip for ip, _ in site.app.blocked] == ["198.51.100.7"]


def test_network_of_an_ipv6_visitor_is_one_address(site):
    """Whoever has one has 2^64 of them."""
    for number in range(GUESSES_MINUTE + 1):
        guesses(site, 1, (f"2001:db8:1:2:{number:x}::{number + 1:x}", 1))
    assert len(site.app.blocked) == 1
    assert site.app.blocked[0][0].startswith("2001:db8:1:2:")


def test_ipv6_networks_are_counted_apart(site):
    for number in range(2 * GUESSES_MINUTE):
        guesses(site, 1, (f"2001:db8:1:{number:x}::1", 1))
    assert not site.app.blocked


def test_mapped_address_is_that_of_ipv4(site):
    guesses(site, 6, ("203.0.113.5", 1))
    guesses(site, 6, ("::ffff:203.0.113.5", 1))
    assert len(site.app.blocked) == 1


def test_table_of_addresses_is_bounded(site):
    """Thousands that guess once each: nobody is blocked, and one who goes on is found."""
    for number in range(3000):
        guesses(site, 1, (f"10.{number >> 8}.{number & 255}.1", 1))
    assert not site.app.blocked
    guesses(site, GUESSES_MINUTE + 1, ("10.200.0.1", 1))
    assert [ip for ip, _ in site.app.blocked] == ["10.200.0.1"]


def test_block_that_fails_is_a_log_line(site, monkeypatch):
    def fail(ip, why):
        raise OSError("the disk is full")

    monkeypatch.setattr(site.app, "address_blocked", fail)
    guesses(site, GUESSES_MINUTE + 1)
    assert any("disk is full" in message for _, message in site.app.logged)
    assert site.visitor().get("/count").body == b"1"


def test_guesser_is_answered_like_anybody(site):
    """What he sees tells him nothing."""
    visitor = site.visitor(peer=PEER)
    expected = site.visitor(peer=("198.51.100.1", 1)).get("/show")
    for _ in range(GUESSES_MINUTE - 1):
        response = visitor.get("/show", cookie=f"as={guess()}")
        assert (response.status, response.body) == (expected.status, expected.body)


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
    import socket
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
    site.app.address_blocked = lambda ip, why: site.server.engine.set_lists(
        addresses(f"{ip}/32"), None)  # fmt: skip
    visitor = site.visitor(peer=PEER)
    client = visitor.connection()
    for _ in range(GUESSES_MINUTE + 2):
        client.exchange(visitor.bytes_of("GET", "/count", cookie=f"as={guess()}") * 2)
    site.server.idle()
    client.read()
    assert client.closed
    assert is_closed(site, PEER) and not is_closed(site, ("198.51.100.1", 1))
