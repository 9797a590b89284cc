"""Replays wire cases: in the pure parser, and over sockets, a hundred connections side by side."""

from __future__ import annotations

import random
import urllib.parse

import harness
from responsereader import Response, read_parts, read_responses
from wirecases import Case, Expected

from nodepp import _core

MODES = ("whole", "bytes", *(f"split {number}" for number in range(1, 9)))
ABREAST = 100                    # connections at once; select holds 1,024 descriptors
SMALL_SIZE = 2048                # bytes; longer input goes byte by byte at its ends only
SENTINEL = b"GET /echo/sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n"


def pieces(data: bytes, mode: str, seed: str) -> list[bytes]:
    """`data` as it is sent in this mode."""
    if mode == "whole" or len(data) < 2:
        return [data] if data else []
    if mode == "bytes":
        cuts = range(1, len(data))
        if len(data) > SMALL_SIZE:
            end = len(data) - 100
            cuts = [*range(1, 200), *range(200, end, 997), *range(end, len(data))]
    else:
        number = int(mode.split()[1])
        count = min(1 + number % 4, len(data) - 1)
        cuts = sorted(random.Random(f"{seed}/{mode}").sample(range(1, len(data)), count))
    starts = [0, *cuts]
    return [data[start:end] for start, end in zip(starts, [*cuts, len(data)])]


def replay(server: harness.Server, cases: list[Case], mode: str) -> dict[str, str]:
    """Plays all cases in this mode; the faults found, by the name of the case."""
    faults = {}
    for first in range(0, len(cases), ABREAST):
        plays = [Play(server, case, mode) for case in cases[first:first + ABREAST]]
        run(server, plays)
        for play in plays:
            try:
                play.verify()
            except AssertionError as fault:
                faults[play.case.name] = str(fault)
            play.client.reset()
        server.clients.clear()
        server.until(lambda: harness.balanced(connections=True), "the balance")
    return faults


def run(server: harness.Server, plays: list[Play]) -> None:
    pending = plays
    while pending:
        pending = [play for play in pending if play.step()]
        server.idle()
    for play in plays:
        play.probe_end()
    server.idle()
    for _ in range(200):          # loopback has delivered by now, except on a very busy machine
        if all(play.settled() for play in plays):
            break
        server.engine.turn(1)


class Play:
    """One case on one connection."""

    def __init__(self, server: harness.Server, case: Case, mode: str) -> None:
        self.case = case
        self.application = server.app
        self.client = server.connect()
        self.script: list[bytes | None] = []         # None: wait
        for segment in case.segments:
            self.script += [*pieces(segment, mode, case.name), None]
        self.script.reverse()

    def step(self) -> bool:
        """Does the next thing; False when all is sent."""
        if not self.script:
            if self.case.half_close:
                self.client.finish_sending()
            return False
        piece = self.script.pop()
        if piece is not None:
            self.client.send(piece)
        self.client.read()
        return True

    def probe_end(self) -> None:
        """Finds out what became of the connection."""
        self.client.read()
        self.before_end = len(self.client.received)
        if self.case.final == "open":
            self.client.send(SENTINEL)
        elif self.case.final == "waiting":
            self.open_before_end = not self.client.closed
            self.client.finish_sending()

    def settled(self) -> bool:
        self.client.read()
        if self.case.final == "open":
            whole = self.client.received[self.before_end:].endswith(b"\r\n\r\nnothing")
            return whole or bool(self.client.closed)
        return bool(self.client.closed)

    def responses(self) -> list[Response]:
        methods = [expected.method for expected in self.case.responses if not expected.interim]
        if methods and not methods[0] and self.case.data.startswith(b"HEAD "):
            methods[0] = "HEAD"      # refused: the case does not name it, the bytes do
        if self.case.final == "open":
            methods.append("GET")
        closed = self.client.closed == "eof"
        responses, rest = read_responses(self.client.received, methods, closed)
        assert not rest, f"after {[each.status for each in responses]} came {bytes(rest[:200])!r}"
        return responses

    def verify(self) -> None:
        """AssertionError with the first thing that is not as the case has it."""
        responses = self.responses()
        seen = self.application.seen.pop(self.client.port, [])
        statuses = [response.status for response in responses]
        assert self.client.closed != "reset", f"reset after {statuses}"
        if self.case.final == "open":
            assert not self.client.closed, f"closed after {statuses}"
            assert statuses and statuses.pop() == 200, f"out of step: {statuses}"
            assert seen and seen.pop().target == "/echo/sentinel", "the sentinel was not seen"
            responses.pop()
        elif self.case.final == "waiting":
            assert self.open_before_end, f"closed after {statuses}"
            assert self.client.closed, "still open after the client has gone"
        else:
            assert self.client.closed, f"still open after {statuses}"
        matched = match_responses(self.case.responses, responses)
        for expected, response in matched:
            verify_response(expected, response)
        verify_seen([expected for expected in self.case.responses if is_seen(expected)], seen)
        self.verify_connection_field([response for _, response in matched])

    def verify_connection_field(self, responses: list[Response]) -> None:
        """RFC 9112 §9.6: who closes says so, in the last response and in no other."""
        options = [(response.get("connection") or "").lower() for response in responses]
        if self.case.final != "close" or self.case.half_close:
            assert "close" not in options, f"announces the end: {options}"
            return
        assert "close" not in options[:-1], f"announces the end too early: {options}"
        if options and b"HTTP/1.0" not in self.case.data:
            assert options[-1] == "close", f"does not announce the end: {options}"


def is_seen(expected: Expected) -> bool:
    """OPTIONS is answered by the core unless the path is unknown."""
    return expected.reaches_application and not expected.static and not (
        expected.method == "OPTIONS" and expected.status == 204
    )


def match_responses(
    expected: list[Expected], responses: list[Response]
) -> list[tuple[Expected, Response]]:
    pairs = []
    rest = list(responses)
    for each in expected:
        if rest and rest[0].status == each.status:
            pairs.append((each, rest.pop(0)))
        else:
            assert each.optional, (
                f"statuses {[response.status for response in responses]}, "
                f"expected {[each.status for each in expected]}"
            )
    assert not rest, (
        f"statuses {[response.status for response in responses]}, "
        f"expected {[each.status for each in expected]}"
    )
    return pairs


def verify_response(expected: Expected, response: Response) -> None:
    for name, value in expected.fields.items():
        actual = response.get(name)
        if value is None:
            assert actual is None, f"{response.status}: {name}: {actual!r} should not be there"
        elif value == "*":
            assert actual is not None, f"{response.status}: there is no {name}"
        else:
            assert actual == value, f"{response.status}: {name} is {actual!r}"
    if expected.reply is not None:
        assert response.body == expected.reply, f"{response.status}: body {response.body!r}"
    if expected.parts:
        parts = read_parts(response)
        assert parts == expected.parts, f"{response.status}: parts {parts}"


def verify_seen(expected: list[Expected], seen: list[harness.Seen]) -> None:
    wanted = [(each.method, each.target.decode("latin-1")) for each in expected]
    actual = [(each.method, each.target) for each in seen]
    assert actual == wanted, f"the application saw {actual}, not {wanted}"
    for want, have in zip(expected, seen):
        values = {
            "path": have.path.encode(),
            "host": (have.host or "").encode(),
            "body": have.body,
            "version": have.version.encode(),
        }
        for key, value in want.seen.items():
            if key in values:
                assert values[key] == value, f"{key} is {values[key]!r}, not {value!r}"
        for name, value in want.saw_fields:
            values_of_name = [v for n, v in have.fields if n.lower() == name.lower()]
            assert values_of_name == [value], f"field {name!r} is {values_of_name}"


def verify_parsed(case: Case, parsed: list[dict]) -> None:
    """Holds what probe_parse_all gives against a case."""
    entries = list(parsed)
    outcomes = [(entry["outcome"], entry.get("status")) for entry in entries]
    for expected in (each for each in case.responses if not each.interim):
        assert entries, f"parsed {outcomes}: the request of {expected.status} is missing"
        entry = entries.pop(0)
        if not expected.reaches_application:
            assert (entry["outcome"], entry["status"]) == ("error", expected.status), outcomes
            assert not entries, f"read on after an error: {outcomes}"
            return
        if expected.status >= 400 and case.final == "close" and entry["outcome"] == "incomplete":
            return                                  # refused before its content came
        assert entry["outcome"] == "complete", f"{outcomes} for {expected.target!r}"
        verify_parsed_request(expected, entry)
        if not entry["keep_alive"]:
            assert case.final == "close", "the connection would close"
            return                                  # what follows is never looked at
    if case.final == "open":
        # Empty lines that may come before the next request are not a request yet.
        if case.data.endswith(b"\r\n\r\n\r\n"):
            entries = [entry for entry in entries if entry["outcome"] != "incomplete"]
        assert not entries, f"parsed {outcomes}: more than expected"
    elif case.final == "waiting":
        assert [entry["outcome"] for entry in entries] == ["incomplete"], outcomes
    else:
        assert case.half_close or case.responses[-1].status == 200, outcomes


def verify_parsed_request(expected: Expected, entry: dict) -> None:
    assert entry["method"] == expected.method.encode(), entry["method"]
    assert entry["target"] == expected.target, entry["target"]
    for key, value in expected.seen.items():
        if key == "version":
            actual = b"%d.%d" % entry["version"]
        elif key == "path":
            actual = without_dots(urllib.parse.unquote_to_bytes(entry["path"]) or b"/")
        else:
            actual = entry[key] or b""
        assert actual == value, f"{key} is {actual!r}, not {value!r}"
    for name, value in expected.saw_fields:
        values = [v for n, v in entry["fields"] if n.lower() == name.lower()]
        assert values == [value], f"field {name!r} is {values}"


def without_dots(path: bytes) -> bytes:
    """RFC 3986 §5.2.4; the path of a case that is answered does not leave the root."""
    kept: list[bytes] = []
    segments = path[1:].split(b"/")
    for segment in segments:
        if segment == b"..":
            kept.pop()
        elif segment != b".":
            kept.append(segment)
    if segments[-1] in (b".", b".."):
        kept.append(b"")
    return b"/" + b"/".join(kept)


def parse(data: bytes, cuts: tuple[int, ...] = ()) -> list[dict]:
    """What the parser makes of one connection's bytes that come in pieces cut there."""
    entries = _core.probe_parse_all(data, cuts)
    for entry in entries:
        if entry["outcome"] != "complete":
            del entry["consumed"]          # how far it had looked is no part of the answer
    return entries
