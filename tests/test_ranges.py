"""The Range field: the core against a model of RFC 9110 §14 in plain Python, and what is sent."""

from __future__ import annotations

import re

import harness
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from responsereader import read_parts

from nodepp import _core

RANGES_MAX = 16
HUGE = "9" * 25


def wanted(value: str, size: int) -> list[tuple[int, int]] | None:
    """The ranges to send; None: the field is ignored; []: there is nothing that could be sent."""
    match = re.fullmatch(r"bytes=(.*)", value, re.I | re.S)
    if match is None or size == 0:
        return None
    specs = [spec for spec in (part.strip(" \t") for part in match[1].split(",")) if spec]
    if not specs or len(specs) > RANGES_MAX:
        return None
    found = []
    for spec in specs:
        numbers = re.fullmatch(r"([0-9]*)-([0-9]*)", spec, re.A)
        if numbers is None or spec == "-":
            return None
        if not numbers[1]:
            first, last = max(0, size - int(numbers[2])), size - 1
        else:
            first, last = int(numbers[1]), int(numbers[2] or size)
            if numbers[2] and last < first:
                return None
        if first < size:
            found.append((first, min(last, size - 1)))
    return None if sum(last - first + 1 for first, last in found) > size else found


numbers = st.one_of(
    st.integers(0, 30).map(str), st.sampled_from(["", "007", HUGE, "a", " 1", "+1"]))
specs = st.one_of(
    st.builds("{}-{}".format, numbers, numbers),
    st.integers(0, 25).map(lambda at: f"{at}-{at}"),
    st.sampled_from(["", " ", "\t", "-", "--1", "1", "1-2-3"]))
values = st.builds(
    "{}{}".format, st.sampled_from(["bytes=", "bytes=", "Bytes=", "bytes", "items=", "bytes ="]),
    st.lists(specs, max_size=6).map(",".join))


@settings(deadline=None, max_examples=500)
@given(values, st.integers(0, 40))
@example("bytes=0-", 1)
@example("bytes=-0", 10)
@example("bytes=" + "0-0," * 16, 100)
@example("bytes=" + "0-0," * 17, 100)
@example(f"bytes={HUGE}-{HUGE}", 10)
@example(f"bytes=-{HUGE}", 10)
def test_ranges_are_those_of_the_model(value, size):
    assert _core.probe_ranges(value.encode(), size) == wanted(value, size)


@settings(deadline=None)
@given(st.lists(st.integers(0, 99), min_size=1, max_size=20), st.integers(0, 100))
def test_many_single_bytes_are_served_or_ignored(places, size):
    value = "bytes=" + ",".join(f"{place}-{place}" for place in places)
    assert _core.probe_ranges(value.encode(), size) == wanted(value, size)


@settings(deadline=None)
@given(st.binary(max_size=40), st.integers(0, 1 << 57))
def test_any_bytes_can_be_asked_for_their_ranges(tail, size):
    found = _core.probe_ranges(b"bytes=" + tail, size)
    assert found == wanted("bytes=" + tail.decode("latin-1"), size)
    assert all(0 <= first <= last < size for first, last in found or [])


@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 1000, 1 << 32, 1 << 53, 1 << 57])
def test_the_ends_of_a_representation_can_be_named(size):
    for value, expected in (
        (f"bytes=0-{size - 1}", [(0, size - 1)]),
        (f"bytes=0-{size}", [(0, size - 1)]),
        (f"bytes={size - 1}-", [(size - 1, size - 1)]),
        (f"bytes=-{size}", [(0, size - 1)]),
        (f"bytes=-{size + 1}", [(0, size - 1)]),
        (f"bytes={size}-", []),
        (f"bytes={size}-{size}", []),
    ):
        assert _core.probe_ranges(value.encode(), size) == expected, value


# What is sent


class Body:
    """A server with the same bytes in memory and on disk, and a client that stays."""

    def __init__(self, folder) -> None:
        self.bytes = bytes(range(256)) * 300                     # 76,800
        path = folder / "body"
        path.write_bytes(self.bytes)
        memory = _core.Resource(self.bytes, "text/plain", etag="m")
        disk = _core.Resource(
            None, "text/plain", etag="d", path=str(path), size=len(self.bytes))
        self.server = harness.Server(
            statics=_core.Snapshot({"": {"/memory": memory, "/disk": disk}}))
        self.client = self.server.connect()
        self.count = 0

    def ask(self, path: str, value: str):
        self.client.send(b"GET %s HTTP/1.1\r\nHost: a\r\nRange: %s\r\n\r\n"
                         % (path.encode(), value.encode()))
        self.count += 1
        return self.client.responses(count=self.count)[-1]


@pytest.fixture(scope="module")
def body(tmp_path_factory):
    body = Body(tmp_path_factory.mktemp("ranges"))
    yield body
    body.server.close()


@pytest.fixture(autouse=True)
def balance():
    """The connection of `body` stays until the module ends, and is counted then."""
    yield


places = st.one_of(
    st.integers(0, 77_000), st.sampled_from([0, 16383, 16384, 16385, 76_799, 76_800]))
pairs = st.tuples(places, st.integers(0, 40_000)).map(lambda pair: f"{pair[0]}-{sum(pair)}")


@settings(deadline=None, max_examples=150)
@given(st.lists(st.one_of(pairs, places.map("-{}".format), places.map("{}-".format)),
                min_size=1, max_size=5).map(lambda specs: "bytes=" + ",".join(specs)),
       st.sampled_from(["/memory", "/disk"]))
def test_what_is_sent_is_what_the_model_wants(body, value, path):
    answer = body.ask(path, value)
    expected = wanted(value, len(body.bytes))
    if expected is None:
        assert (answer.status, answer.body) == (200, body.bytes)
    elif not expected:
        assert (answer.status, answer.get("content-range")) == (416, "bytes */76800")
    elif len(expected) == 1:
        ((first, last),) = expected
        assert (answer.status, answer.get("content-range")) == (206, f"bytes {first}-{last}/76800")
        assert answer.body == body.bytes[first:last + 1]
    else:
        assert answer.status == 206
        assert read_parts(answer) == [
            (f"bytes {first}-{last}/76800", body.bytes[first:last + 1]) for first, last in expected]


def test_a_download_that_broke_off_is_continued(body):
    """As curl -C - and browsers do it: with the tag, from where they are."""
    whole = b""
    while len(whole) < len(body.bytes):
        answer = body.ask("/disk", f'bytes={len(whole)}-{len(whole) + 9999}\r\nIf-Range: "d"')
        assert answer.status == 206
        whole += answer.body
    assert whole == body.bytes
