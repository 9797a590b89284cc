"""The table of a connection's states: whole, reachable, and drawn as it is."""

from __future__ import annotations

import statedrawing

from nodepp import _core

ROWS = {row["name"]: row for row in _core.probe_states()}
# Rooms that are not built yet; the table has their states already.
TO_COME = {"TLS_HANDSHAKE", "UPGRADED"}


def test_the_document_has_the_drawing_of_the_table():
    """If this fails: python tests/statedrawing.py"""
    _, found, _ = statedrawing.parts(statedrawing.DOCUMENT.read_text())
    assert found == statedrawing.drawing()


def test_each_state_is_reached_and_left():
    followers = {name for row in ROWS.values() for name in row["next"]}
    assert followers == set(ROWS)
    assert all(row["next"] for row in ROWS.values())


def test_each_connection_can_end_at_any_time():
    assert all("FREE" in row["next"] for name, row in ROWS.items() if name != "FREE")


def test_each_state_is_told_of_a_peer_that_has_gone():
    assert {name for name, row in ROWS.items() if not row["on_gone"]} == {"FREE"}


def test_what_is_watched_leads_to_something():
    """A descriptor that is ready, and that nothing is done with, is reported again and again."""
    idle = {name for name, row in ROWS.items()
            if row["interest"] in ("read", "write") and not row["on_ready"]}
    assert idle == TO_COME


def test_a_state_with_a_deadline_of_its_own_says_what_a_timeout_is_counted_as():
    uncounted = {name for name, row in ROWS.items() if not row["counter"]}
    assert uncounted == {"FREE", "STARVED", "LINGERING"}
