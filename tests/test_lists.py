"""blacklist.txt and whitelist.txt: what their lines mean, and how they are rewritten."""

from __future__ import annotations

import fcntl
import os
import socket
import subprocess
import sys

import pytest
from machine import descriptors

from nodepp.errors import ConfigError
from nodepp.sessions import lists
from nodepp.sessions.addresses import blockable, covers, parse_address, parse_ranges
from nodepp.sessions.levels import AuthLevel, level_name, parse_level
from nodepp.sessions.lists import ListFile, remove

NOON = 1_700_000_000.0          # a moment; what it is called depends on the time zone


def packed(text):
    """As a socket that listens to both versions of IP gives it."""
    if ":" in text:
        return socket.inet_pton(socket.AF_INET6, text)
    return bytes(10) + b"\xff\xff" + socket.inet_pton(socket.AF_INET, text)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "blacklist.txt"


def loaded(path, text=None):
    if text is not None:
        path.write_text(text)
    result = ListFile(str(path))
    result.load()
    return result


def has(found, address):
    return found.covers(parse_ranges(address))


# --- addresses ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "first", "last"), [
    ("1.2.3.4", "1.2.3.4", "1.2.3.4"),
    ("1.2.3.0/24", "1.2.3.0", "1.2.3.255"),
    ("1.2.3.4/24", "1.2.3.0", "1.2.3.255"),
    ("1.2.3.4/32", "1.2.3.4", "1.2.3.4"),
    ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
    ("1.2.3.4-1.2.4.1", "1.2.3.4", "1.2.4.1"),
    ("1.2.3.4 - 1.2.3.4", "1.2.3.4", "1.2.3.4"),
    ("2001:db8::1", "2001:db8::1", "2001:db8::1"),
    ("2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:DB8::5/127", "2001:db8::4", "2001:db8::5"),
    ("2001:db8::1-2001:db8::f", "2001:db8::1", "2001:db8::f"),
    ("::ffff:1.2.3.4", "1.2.3.4", "1.2.3.4"),
    ("::ffff:1.2.3.0/120", "1.2.3.0", "1.2.3.255"),
    ("::ffff:0:0/96", "0.0.0.0", "255.255.255.255"),
])  # fmt: skip
def test_an_entry_covers_from_a_first_address_to_a_last(text, first, last):
    assert parse_ranges(text) == ((packed(first), packed(last)),)


@pytest.mark.parametrize("text", ["::/0", "::/64", "::-ffff::"])
def test_networks_of_ipv6_leave_those_of_ipv4_out(text):
    ranges = parse_ranges(text)
    assert len(ranges) == 2
    assert covers(ranges, parse_ranges("::1"))
    assert not covers(ranges, parse_ranges("1.2.3.4"))
    assert not covers(ranges, parse_ranges("0.0.0.0"))
    assert not covers(ranges, parse_ranges("255.255.255.255"))


@pytest.mark.parametrize("text", [
    "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4x", "1.2.3.*", "example.org", "[::1]", "::1%eth0",
    "1.2.3.0/33", "1.2.3.0/-1", "1.2.3.0/", "1.2.3.0/ 8", "1.2.3.0/255.255.255.0", "1.2.3.0/²",
    "2001:db8::/129", "1.2.3.9-1.2.3.4", "1.2.3.4-::1", "1.2.3.4-", "-1.2.3.4", "1.2.3.4 5.6.7.8",
    "1.2.3.4\0", "1" * 200, "1.2.3.0/8-9", "",
])  # fmt: skip
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError):
        parse_ranges(text)


@pytest.mark.parametrize(("peer", "text"), [
    ("1.2.3.4", "1.2.3.4"),
    ("::ffff:1.2.3.4", "1.2.3.4"),
    ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
    ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
])  # fmt: skip
def test_a_subscriber_of_ipv6_is_blocked_with_all_the_addresses_he_has(peer, text):
    assert blockable(peer) == text


def test_an_address_has_sixteen_bytes():
    assert parse_address("1.2.3.4") == packed("1.2.3.4")
    assert parse_address("::1") == packed("::1")


# --- reading --------------------------------------------------------------------------------------


def test_a_list_has_an_entry_a_line_and_comments(path):
    found = loaded(path, "# who may not\n\n1.2.3.4\r\n  10.0.0.0/8  # the house next door\n"
                         "::1#no space\n#1.1.1.1\n2.2.2.2")
    assert [(it.line, it.text, it.comment) for it in found.entries] == [
        (3, "1.2.3.4", ""), (4, "10.0.0.0/8", "the house next door"), (5, "::1", "no space"),
        (7, "2.2.2.2", "")]
    assert has(found, "10.9.9.9") and not has(found, "11.0.0.0") and not has(found, "1.1.1.1")


def test_an_editor_of_windows_may_have_written_it(path):
    path.write_bytes(b"\xef\xbb\xbf1.2.3.4\r\n# gr\xfc\xdfe\r\n5.6.7.8\r\n")
    assert [it.text for it in loaded(path).entries] == ["1.2.3.4", "5.6.7.8"]


def test_an_empty_list_is_there_and_has_nobody(path):
    found = loaded(path, "")
    assert found.exists and len(found) == 0


def test_a_list_that_is_not_there_is_empty_unless_it_is_required(path):
    assert not loaded(path).exists
    with pytest.raises(ConfigError, match=r"blacklist=.*/blacklist.txt: there is no such file\."):
        ListFile(str(path)).load(required=True)
    nobody = ListFile("")
    nobody.load()
    assert len(nobody) == 0 and not nobody.has_changed()


def test_a_mistake_names_file_and_line_and_how_many_others_there_are(path):
    with pytest.raises(ConfigError) as error:
        loaded(path, "1.2.3.4\n# no\nexample.org\n1.2.3.0/99\n")
    assert str(error.value).startswith(f"{path}:3: 'example.org' is no IP address;")
    assert str(error.value).endswith(" (1 more line is wrong too).")
    with pytest.raises(ConfigError, match=r"\(2 more lines are wrong too\)\.$"):
        loaded(path, "1\n2\n1.2.3.4\n3\n")
    with pytest.raises(ConfigError, match=r"10\.0\.0\.9\)\.$"):
        loaded(path, "1\n")


def test_after_a_mistake_the_entries_stay_what_they_were(path):
    found = loaded(path, "1.2.3.4\n")
    path.write_text("nonsense\n")
    with pytest.raises(ConfigError):
        found.load()
    assert has(found, "1.2.3.4")
    assert not found.has_changed()          # it would be read again every other second
    path.write_text("5.6.7.8\n")
    assert found.has_changed()


def test_a_folder_is_no_list(tmp_path):
    before = descriptors()
    with pytest.raises(ConfigError, match="a folder, and no regular file"):
        ListFile(str(tmp_path)).load()
    assert descriptors() == before


def test_a_pipe_is_no_list(tmp_path):
    """It was read as an empty one: a whitelist that let nobody in, a blacklist that let all in."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="a pipe, and no regular file"):
        ListFile(str(tmp_path / "pipe")).load()


def test_a_list_has_a_limit(path, monkeypatch):
    monkeypatch.setattr(lists, "ENTRIES_COUNT_MAX", 3)
    assert len(loaded(path, "1.1.1.1\n2.2.2.2\n3.3.3.3\n")) == 3
    with pytest.raises(ConfigError, match="4 entries; 3 at most"):
        loaded(path, "1.1.1.1\n2.2.2.2\n3.3.3.3\n4.4.4.4\n")
    monkeypatch.setattr(lists, "FILE_SIZE_MAX", 10)
    with pytest.raises(ConfigError, match="more than 10 bytes"):
        loaded(path, "1.1.1.1\n2.2.2.2\n")


def test_a_change_of_the_file_is_noticed(path):
    found = loaded(path)
    assert not found.has_changed()
    path.write_text("1.2.3.4\n")
    assert found.has_changed()
    found.load()
    assert not found.has_changed()
    path.unlink()
    assert found.has_changed()
    found.load()
    assert len(found) == 0 and not found.has_changed()


# --- blocking -------------------------------------------------------------------------------------


def test_a_blocked_address_is_a_line_with_date_and_reason(path):
    found = loaded(path, "1.1.1.1\n")
    assert found.block("2.2.2.2", "10 forged\nids", NOON) is True
    lines = path.read_text().splitlines()
    assert lines[0] == "1.1.1.1"
    address, _, comment = lines[1].partition("  # blocked ")
    assert address == "2.2.2.2"
    assert comment.startswith("2023-11-1") and comment.endswith(": 10 forged ids")
    assert [it.is_automatic for it in loaded(path).entries] == [False, True]


def test_the_file_is_made_for_the_first_one(path):
    found = loaded(path)
    found.block("2001:db8::1", "why")
    assert path.read_text().startswith("2001:db8::/64  # blocked ")
    assert path.stat().st_mode & 0o007 == 0
    assert found.exists and has(found, "2001:db8::ffff")


def test_who_is_in_the_list_already_is_not_blocked_again(path):
    found = loaded(path, "10.0.0.0/8\n")
    assert found.block("10.1.2.3", "why") is False
    assert found.block("1.2.3.4", "why") is True
    assert found.block("1.2.3.4", "why") is False
    assert len(path.read_text().splitlines()) == 2


def test_our_own_line_is_no_change_but_those_of_others_are(path):
    found = loaded(path, "1.1.1.1\n")
    found.block("2.2.2.2", "why")
    assert not found.has_changed()
    path.write_text(path.read_text() + "3.3.3.3\n")
    found.block("4.4.4.4", "why")
    assert found.has_changed()              # 3.3.3.3 was not read yet
    found.load()
    assert [it.text for it in found.entries] == ["1.1.1.1", "2.2.2.2", "3.3.3.3", "4.4.4.4"]


def test_a_last_line_without_an_end_gets_one(path):
    found = loaded(path, "1.1.1.1")
    found.block("2.2.2.2", "why")
    assert [it.text for it in loaded(path).entries] == ["1.1.1.1", "2.2.2.2"]


def test_what_cannot_be_written_is_blocked_all_the_same(tmp_path):
    found = ListFile(str(tmp_path / "missing" / "blacklist.txt"))
    found.load()
    with pytest.raises(OSError):
        found.block("1.2.3.4", "why")
    assert has(found, "1.2.3.4") and len(found) == 1
    assert found.block("1.2.3.4", "why") is False
    found.load()                            # a look at a file that is not there forgets nobody
    assert has(found, "1.2.3.4")


def test_without_a_file_it_is_blocked_in_memory():
    found = ListFile("")
    assert found.block("1.2.3.4", "why") is True
    assert has(found, "1.2.3.4")


def test_half_an_address_is_never_left_behind(path, monkeypatch):
    """A disk that filled up in the middle of a line left `10.0.0.`, and the server did not start
    again.
    """
    found = loaded(path, "1.1.1.1\n")
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    with pytest.raises(OSError, match="No space left"):
        found.block("2.2.2.2", "why")
    assert path.read_text() == "1.1.1.1\n"
    assert has(found, "2.2.2.2")


def test_a_full_list_takes_no_more(path, monkeypatch):
    monkeypatch.setattr(lists, "ENTRIES_COUNT_MAX", 2)
    found = loaded(path, "1.1.1.1\n2.2.2.2\n")
    with pytest.raises(OSError, match="2 entries already"):
        found.block("3.3.3.3", "why")
    assert len(found) == 2
    assert len(path.read_text().splitlines()) == 2


def test_nonsense_is_not_blocked(path):
    with pytest.raises(ValueError):
        loaded(path).block("example.org", "why")
    assert not path.exists()


# --- unblocking -----------------------------------------------------------------------------------


def test_an_address_is_taken_out_and_the_rest_stays_as_it_is(path):
    path.write_bytes(b"# mine \xff\n1.1.1.1\r\n2.2.2.2  # blocked 2025-01-01 00:00: why\n\n3.3.3.3")
    path.chmod(0o604)
    removed, remaining = remove(str(path), "2.2.2.2")
    assert [it.text for it in removed] == ["2.2.2.2"] and not remaining
    assert path.read_bytes() == b"# mine \xff\n1.1.1.1\r\n\n3.3.3.3"
    assert path.stat().st_mode & 0o777 == 0o604
    assert os.listdir(path.parent) == ["blacklist.txt"]


def test_the_network_that_the_server_blocked_goes_with_one_of_its_addresses(path):
    loaded(path).block("2001:db8::1", "why")
    removed, _ = remove(str(path), "2001:db8::77")
    assert [it.text for it in removed] == ["2001:db8::/64"]
    assert path.read_text() == ""


def test_the_network_that_a_person_wrote_stays(path):
    path.write_text("10.0.0.0/8  # the house next door\n10.1.2.3\n")
    removed, remaining = remove(str(path), "10.1.2.3")
    assert [it.text for it in removed] == ["10.1.2.3"]
    assert [(it.line, it.text) for it in remaining] == [(1, "10.0.0.0/8")]
    removed, remaining = remove(str(path), "10.0.0.0/8")
    assert [it.text for it in removed] == ["10.0.0.0/8"] and not remaining


def test_who_is_not_in_the_list_cannot_be_taken_out(path):
    assert remove(str(path), "1.2.3.4") == ([], [])
    path.write_text("1.1.1.1\n")
    inode = path.stat().st_ino
    assert remove(str(path), "1.2.3.4") == ([], [])
    assert path.stat().st_ino == inode          # not touched


def test_a_link_stays_one(tmp_path, path):
    real = tmp_path / "shared.txt"
    real.write_text("1.1.1.1\n2.2.2.2\n")
    path.symlink_to(real)
    remove(str(path), "1.1.1.1")
    assert path.is_symlink() and real.read_text() == "2.2.2.2\n"


def test_a_running_server_notices_that_somebody_was_taken_out(path):
    found = loaded(path)
    found.block("1.2.3.4", "why")
    remove(str(path), "1.2.3.4")
    assert found.has_changed()
    found.load()
    assert not has(found, "1.2.3.4")


def test_a_lock_that_is_never_given_back_does_not_stop_the_server(path, monkeypatch):
    monkeypatch.setattr(lists, "LOCK_WAIT_S_MAX", 0.02)
    found = loaded(path, "1.1.1.1\n")
    with open(path) as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another program holds its lock"):
            found.block("2.2.2.2", "why")
    assert has(found, "2.2.2.2")


BLOCKER = """
import sys
from nodepp.sessions.lists import ListFile, remove
found = ListFile(sys.argv[1])
found.load()
for number in range(40):
    found.block(f"10.{sys.argv[2]}.0.{number}", "why")
    if number % 2:
        remove(sys.argv[1], f"10.{sys.argv[2]}.0.{number}")
"""


def test_servers_and_the_command_line_write_at_once_and_lose_nothing(path):
    writers = [subprocess.Popen([sys.executable, "-c", BLOCKER, str(path), str(number)])
               for number in range(3)]
    assert [it.wait(60) for it in writers] == [0, 0, 0]
    expected = {f"10.{who}.0.{number}" for who in range(3) for number in range(0, 40, 2)}
    found = loaded(path)
    assert {it.text for it in found.entries} == expected and len(found) == len(expected)
    assert os.listdir(path.parent) == ["blacklist.txt"]


def test_the_engine_gets_addresses_sorted_and_merged(path):
    addresses = loaded(path, "10.0.0.0/8\n1.2.3.4\n10.0.0.0/9\n2001:db8::/32\n").address_list()
    for inside in ("10.0.0.0", "10.255.255.255", "1.2.3.4", "2001:db8::1"):
        assert inside in addresses
    for outside in ("11.0.0.0", "9.255.255.255", "1.2.3.5", "2001:db9::", "::1"):
        assert outside not in addresses


# --- levels ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("value", "level"), [
    ("NONE", 0), ("anonymous", 1), (" Admin ", 50), ("AUTH_LEVEL_ROOT", 100), ("LOGGED", 2),
    ("loggedin", 2), ("AUTHENTICATED", 2), ("25", 25), (25, 25), (AuthLevel.STAFF, 30), ("0", 0),
    ("NOBODY", 125),
])  # fmt: skip
def test_a_level_is_a_name_or_a_number(value, level):
    assert parse_level(value) == level


@pytest.mark.parametrize("value", [
    "boss", "", "-1", "126", 126, -1, True, None, 1.0, b"ROOT", "1.5", "²", "9" * 20,
])  # fmt: skip
def test_what_is_no_level_is_refused(value):
    with pytest.raises(ValueError, match=r"level"):
        parse_level(value)


def test_levels_have_names():
    assert [level_name(it) for it in (0, 2, 50, 51)] == ["NONE", "LOGGED", "ADMIN", "51"]
    assert AuthLevel.LOGGED is AuthLevel.LOGGEDIN is AuthLevel.AUTHENTICATED
