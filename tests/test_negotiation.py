"""Which coding is sent: the core against a model of RFC 9110 §12.5.3 in plain Python; and entity
tags and dates against models of §8.8.3 and §5.6.7."""

from __future__ import annotations

import calendar
import datetime
import email.utils
import re
import time

import harness
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nodepp import _core

CODINGS = ("identity", "gzip", "br", "zstd")
rules = settings(deadline=None, max_examples=300)

# Accept-Encoding


ELEMENT = re.compile(
    r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)"
    r"(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?[ \t]*"
)


def weights(value: str) -> tuple[int, ...]:
    """Of each coding, in thousandths, RFC 9110 §12.5.3. What is malformed says nothing; of what
    stands twice the higher weight counts; identity that is not mentioned comes last."""
    said: dict[str, int] = {}
    for element in value.split(","):
        match = ELEMENT.fullmatch(element)
        if match:
            name = match[1].lower()
            name = "gzip" if name == "x-gzip" else name
            said[name] = max(said.get(name, 0), round(float(match[2] or 1) * 1000))
    rest = said.get("*")
    identity = 1 if rest is None else rest
    return tuple(said.get(name, identity if name == "identity" else rest or 0) for name in CODINGS)


names = st.sampled_from(
    ["gzip", "br", "zstd", "identity", "*", "x-gzip", "deflate", "GZIP", "Br", "g", "gzi", "gzipp"])
blanks = st.sampled_from(["", "", " ", "\t", " \t "])
qvalues = st.one_of(
    st.sampled_from(["0", "1", "0.5", "0.001", "1.000", "0.", "1.", "0.999", "0.0"]),
    st.integers(0, 1000).map(lambda q: f"{q / 1000:.3f}"),
    st.sampled_from(["2", "1.001", "0.0001", "-1", "a", "", ".5", "00", "1e0", "0.5x", "\u00b2"]),
)
weighted = st.builds(
    lambda *parts: "".join(parts),
    names, blanks, st.just(";"), blanks, st.sampled_from(["q=", "Q=", "q =", "level=", ""]),
    qvalues, blanks)  # fmt: skip
elements = st.one_of(names, weighted, blanks, st.text(";=q01.gzipbr, \t\"*", max_size=8))
fields = st.lists(elements, max_size=8).map(",".join)


@rules
@given(fields)
@example("gzip;q=0.5,*;q=0")
@example("*")
@example("")
@example("identity;q=0")
def test_the_weights_of_a_field_are_those_of_the_model(value):
    assert _core.probe_negotiate(value.encode("latin-1")) == weights(value)


@rules
@given(st.binary(max_size=60))
def test_any_bytes_can_be_weighed(value):
    found = _core.probe_negotiate(value)
    assert found == weights(value.decode("latin-1"))
    assert all(0 <= q <= 1000 for q in found)


def test_a_field_that_was_seen_before_says_the_same_again():
    """The last value is remembered; what follows it must not be taken for it."""
    for value in (b"gzip", b"gzip;q=0", b"gzip", b"", b"br", b"gzip " * 20, b"gzip", b"GZIP"):
        assert _core.probe_negotiate(value) == weights(value.decode())


def chosen(weight: tuple[int, ...], sizes: dict[str, int]) -> str | None:
    """The heaviest, of equals the smallest, of these the first."""
    there = [name for name in CODINGS if name in sizes and weight[CODINGS.index(name)] > 0]
    if not there:
        return None
    return min(there, key=lambda name: (-weight[CODINGS.index(name)], sizes[name]))


class Chooser:
    """A server with one resource at a time, and a client that stays."""

    def __init__(self) -> None:
        self.server = harness.Server()
        self.client = self.server.connect()
        self.count = 0

    def ask(self, fields: bytes, sizes: dict[str, int]):
        """The answer to a GET with these field lines, of a resource with bodies of these sizes."""
        coded = {name: (name[:1].encode() * size, f"t-{name}") for name, size in sizes.items()}
        body, etag = coded.pop("identity")
        resource = _core.Resource(body, "text/plain", etag=etag, varies=True, codings=coded)
        self.server.engine.publish(_core.Snapshot({"": {"/x": resource}}))
        self.client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n" + fields + b"\r\n")
        self.count += 1
        return self.client.responses(count=self.count)[-1]


@pytest.fixture(scope="module")
def chooser():
    chooser = Chooser()
    yield chooser
    chooser.server.close()


@pytest.fixture(autouse=True)
def balance():
    """The connection of `chooser` stays until the module ends, and is counted then."""
    yield


sizes = st.fixed_dictionaries(
    {"identity": st.integers(0, 40)},
    optional={name: st.integers(1, 40) for name in CODINGS[1:]})


@settings(deadline=None, max_examples=200)
@given(st.lists(fields, max_size=3), sizes)
def test_the_coding_that_is_sent_is_that_of_the_model(chooser, values, sizes):
    values = [value.encode("latin-1").replace(b"\xb2", b"2") for value in values]
    lines = b"".join(b"Accept-Encoding: %s\r\n" % value for value in values)
    answer = chooser.ask(lines, sizes)
    weight = weights(",".join(v.decode() for v in values)) if values else (1000, 0, 0, 0)
    expected = chosen(weight, sizes)
    assert answer.get("vary") == "Accept-Encoding"
    if expected is None:
        assert answer.status == 406
        return
    assert answer.status == 200
    assert answer.get("content-encoding") == (None if expected == "identity" else expected)
    assert answer.get("etag") == f'"t-{expected}"'
    assert answer.body == expected[:1].encode() * sizes[expected]


# Entity tags


def matches(field: str, etag: str, weak: bool) -> bool:
    """A list of tags, RFC 9110 §8.8.3, read up to its first fault; or "*"."""
    if field == "*":
        return True
    while True:
        field = field.lstrip(" \t,")
        match = re.match(r'(W/)?("[^"]*")[ \t]*(?=,|$)', field, re.S)
        if match is None:
            # What follows the last good tag is a fault; the tag itself was good.
            match = re.match(r'(W/)?("[^"]*")', field, re.S)
            return bool(match and match[2] == etag and (weak or not match[1]))
        if match[2] == etag and (weak or not match[1]):
            return True
        field = field[match.end():]


tags = st.one_of(
    st.sampled_from(['"x"', 'W/"x"', '"y"', '""', '"*"', "*", 'w/"x"', 'W/ "x"', '"x', "x", '"a,b"',
                     '"x" "x"', '"x"y', "W/", "W"]),
    st.text('W/"x ,*\t', max_size=6))


@rules
@given(st.lists(tags, max_size=6).map(",".join), st.sampled_from(['"x"', '"y"', '"a,b"']),
       st.booleans())
@example('"y" , W/"x"', '"x"', False)
@example("*", '"x"', False)
@example('"x', '"x"', True)
def test_tags_match_as_in_the_model(field, etag, weak):
    assert _core.probe_etag_match(field.encode(), etag.encode(), weak) == matches(field, etag, weak)


@rules
@given(st.binary(max_size=40), st.booleans())
def test_any_bytes_can_be_matched(field, weak):
    expected = matches(field.decode("latin-1"), '"x"', weak)
    assert _core.probe_etag_match(field, b'"x"', weak) == expected


# Dates


moments = st.integers(-62_135_596_800, 253_402_300_799)          # the years 1 to 9999


def asctime(moment: int) -> str:
    parts = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=moment)
    return f"{parts:%a %b} {parts.day:2} {parts:%H:%M:%S} {parts.year:04}"


def fixdate(moment: int) -> str:
    parts = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=moment)
    return f"{parts:%a, %d %b} {parts.year:04} {parts:%H:%M:%S} GMT"


def rfc850(moment: int) -> str:
    parts = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=moment)
    return f"{parts:%A, %d-%b}-{parts.year % 100:02} {parts:%H:%M:%S} GMT"


@rules
@given(moments.filter(lambda moment: moment != -1))
@example(0)
@example(951_782_400)                        # 29 February 2000
@example(4_107_542_400)                      # 1 March 2100: that year has no 29 February
def test_dates_are_read_back(moment):
    """-1 is "none" to the core; a file of that second has no date."""
    assert _core.probe_http_date(fixdate(moment).encode()) == moment
    assert _core.probe_http_date(asctime(moment).encode()) == moment


@rules
@given(st.integers(0, 4_000_000_000))
def test_dates_are_those_of_the_standard_library(moment):
    text = email.utils.formatdate(moment, usegmt=True)
    assert text == fixdate(moment)
    assert _core.probe_http_date(text.encode()) == moment
    assert calendar.timegm(time.strptime(asctime(moment), "%a %b %d %H:%M:%S %Y")) == moment


@rules
@given(st.integers(-49 * 365 * 86400, 49 * 365 * 86400))
def test_two_digits_of_a_year_mean_the_one_that_is_near(distance):
    """RFC 9110 §5.6.7: more than fifty years in the future is the past."""
    moment = int(time.time()) + distance
    assert _core.probe_http_date(rfc850(moment).encode()) == moment


def test_two_digits_of_a_year_reach_fifty_years_ahead():
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    for years, expected in ((48, 0), (52, 100)):
        there = now.replace(year=now.year + years, month=6, day=15, microsecond=0)
        moment = int((there - datetime.datetime(1970, 1, 1)).total_seconds())
        found = datetime.datetime(1970, 1, 1) + datetime.timedelta(
            seconds=_core.probe_http_date(rfc850(moment).encode()))
        assert there.year - found.year == expected


@rules
@given(moments, st.sampled_from([fixdate, asctime, rfc850]), st.data())
def test_a_date_with_one_sign_changed_is_another_one_or_none(moment, form, data):
    """It never fails, and what is accepted is a date in its own right: it can be written again."""
    text = bytearray(form(moment).encode())
    place = data.draw(st.integers(0, len(text) - 1))
    text[place] = data.draw(st.integers(0, 255))
    found = _core.probe_http_date(bytes(text))
    if found is not None:
        # The weekday is not held against the date; the 60th second is the next minute's first.
        _, blank, rest = bytes(text).partition(b" ")
        assert blank and (rest == form(found).encode().partition(b" ")[2] or b":60" in rest)


@rules
@given(st.binary(max_size=40))
def test_any_bytes_can_be_asked_for_their_date(text):
    assert _core.probe_http_date(text) is None
