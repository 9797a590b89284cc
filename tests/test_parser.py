"""The parser by itself: limits, guard pages, and what other readers make of what it accepts."""

from __future__ import annotations

import os
import random

import harness
import oracles
import pytest
import wirecases
from hypothesis import given, settings
from hypothesis import strategies as st

from nodepp import _core

EXAMPLES = int(os.environ.get("NODEPP_EXAMPLES", "200"))    # of each property

CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
THEMES = wirecases.themes()
CASES = [case for cases in THEMES.values() for case in cases]


def parse(data: bytes, cuts: tuple[int, ...] = ()) -> list[dict]:
    entries = _core.probe_parse_all(data, cuts)
    for entry in entries:
        if entry["outcome"] != "complete":
            del entry["consumed"]
    return entries


def outcome(data: bytes) -> tuple[str, int]:
    """("complete", 0), ("incomplete", 0) or ("error", status) of the first request."""
    entry = _core.probe_parse_all(data)[0]
    return entry["outcome"], entry["status"]


COMPLETE = ("complete", 0)
INCOMPLETE = ("incomplete", 0)


@pytest.fixture(scope="module", autouse=True)
def default_limits():
    harness.restore_limits()


@pytest.fixture
def guarded():
    """A read one byte past what has arrived is a crash."""
    _core.probe_guard(True)
    yield
    _core.probe_guard(False)


# Limits: one below, at, one above.

@pytest.mark.parametrize(
    ("size", "expected"), [(8191, COMPLETE), (8192, COMPLETE), (8193, ("error", 414))]
)
@pytest.mark.parametrize("prefix", [b"/", b"/?", b"http://a/", b"http://a?"])
def test_target_size(size, expected, prefix, guarded):
    target = prefix + b"x" * (size - len(prefix))
    assert outcome(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n") == expected


@pytest.mark.parametrize(
    ("size", "expected"), [(16383, COMPLETE), (16384, COMPLETE), (16385, ("error", 431))]
)
@pytest.mark.parametrize("field", [b"X: %s\r\n", b"%s: x\r\n", b"X: y\r\nX:%s\r\n"])
def test_head_size(size, expected, field, guarded):
    fixed = b"GET / HTTP/1.1\r\nHost: a\r\n%s\r\n"
    filling = size - len(fixed % (field % b""))
    assert outcome(fixed % (field % (b"y" * filling))) == expected


@pytest.mark.parametrize("short", range(1, 12))
def test_head_at_its_limit_is_incomplete_until_its_last_byte(short, guarded):
    head = b"GET / HTTP/1.1\r\nHost: a\r\nX: %s\r\n\r\n"
    head %= b"y" * (16384 - len(head) + 2)
    assert outcome(head[:-short]) == INCOMPLETE


def test_head_above_its_limit_is_refused_without_its_end(guarded):
    assert outcome(b"GET / HTTP/1.1\r\nX: " + b"y" * (16384 - 19)) == INCOMPLETE
    assert outcome(b"GET / HTTP/1.1\r\nX: " + b"y" * (16385 - 19)) == ("error", 431)


@pytest.mark.parametrize(
    ("count", "expected"), [(99, COMPLETE), (100, COMPLETE), (101, ("error", 431))]
)
def test_field_count(count, expected, guarded):
    fields = b"Host: a\r\n" + b"X: y\r\n" * (count - 1)
    assert outcome(b"GET / HTTP/1.1\r\n" + fields + b"\r\n") == expected


@pytest.mark.parametrize(
    ("size", "expected"), [(23, ("error", 501)), (24, ("error", 501)), (25, ("error", 501))]
)
def test_method_size(size, expected, guarded):
    assert outcome(b"M" * size + b" / HTTP/1.1\r\nHost: a\r\n\r\n") == expected


@pytest.mark.parametrize(("size", "expected"), [(24, INCOMPLETE), (25, ("error", 501))])
def test_method_without_end(size, expected, guarded):
    assert outcome(b"M" * size) == expected


@pytest.mark.parametrize("count", [0, 1, 2])
def test_leading_empty_lines(count, guarded):
    assert outcome(b"\r\n" * count + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == COMPLETE
    assert outcome(b"\r\n" * (count + 3)) == ("error", 400)


PAYLOAD = 16 * 1024 * 1024


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (PAYLOAD - 1, INCOMPLETE),
        (PAYLOAD, INCOMPLETE),
        (PAYLOAD + 1, ("error", 413)),
        (2**31 - 1, ("error", 413)),
        (2**32, ("error", 413)),
        (2**63 - 1, ("error", 413)),
        (2**63, ("error", 413)),
        (2**64 - 1, ("error", 413)),
        (2**64, ("error", 413)),
        (2**64 + 5, ("error", 413)),
        (10**100, ("error", 413)),
    ],
)
def test_content_length(length, expected, guarded):
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    assert outcome(head % length) == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (PAYLOAD - 1, INCOMPLETE),
        (PAYLOAD, INCOMPLETE),
        (PAYLOAD + 1, ("error", 413)),
        (2**32, ("error", 413)),
        (2**63, ("error", 413)),
        (2**64 - 1, ("error", 413)),
        (2**64, ("error", 400)),
    ],
)
def test_chunk_size(size, expected, guarded):
    assert outcome(CHUNKED + b"%x\r\n" % size) == expected


@pytest.mark.parametrize(
    ("last", "expected"), [(-1, INCOMPLETE), (0, INCOMPLETE), (1, ("error", 413))]
)
def test_sum_of_chunk_sizes(last, expected, guarded):
    first = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    assert outcome(CHUNKED + first + b"%x\r\n" % (PAYLOAD - 4096 + last)) == expected


@pytest.mark.parametrize(
    ("digits", "expected"), [(15, COMPLETE), (16, COMPLETE), (17, ("error", 400))]
)
def test_digits_of_a_chunk_size(digits, expected, guarded):
    assert outcome(CHUNKED + b"0" * digits + b"\r\n\r\n") == expected


@pytest.mark.parametrize(
    ("size", "expected"), [(1022, COMPLETE), (1023, COMPLETE), (1024, ("error", 400))]
)
def test_chunk_extension_size(size, expected, guarded):
    """The size line's extension with its CR has 1,024 bytes at most."""
    assert outcome(CHUNKED + b"0;" + b"x" * (size - 1) + b"\r\n\r\n") == expected


@pytest.mark.parametrize(
    ("count", "expected"), [(99, COMPLETE), (100, COMPLETE), (101, ("error", 431))]
)
def test_trailer_count(count, expected, guarded):
    assert outcome(CHUNKED + b"0\r\n" + b"X: y\r\n" * count + b"\r\n") == expected


@pytest.mark.parametrize(
    ("size", "expected"), [(16383, COMPLETE), (16384, COMPLETE), (16385, ("error", 431))]
)
def test_trailer_size(size, expected, guarded):
    trailers = b"X: " + b"y" * (size - 7) + b"\r\n\r\n"
    assert len(trailers) == size
    assert outcome(CHUNKED + b"0\r\n" + trailers) == expected


@pytest.mark.parametrize(("port", "expected"), [(65535, COMPLETE), (65536, ("error", 400))])
def test_port_of_host(port, expected, guarded):
    assert outcome(b"GET / HTTP/1.1\r\nHost: a:%d\r\n\r\n" % port) == expected


# Every beginning of every case.

@pytest.mark.parametrize("theme", THEMES)
def test_no_beginning_of_a_case_is_read_past_its_end(theme, guarded):
    """Against the guard page; and what is refused stays refused when more comes."""
    for case in wirecases.themes()[theme]:
        data = case.data
        refused = None
        for size in range(1, min(len(data), 1500) + 1):
            entry = _core.probe_parse(data[:size])
            if refused is not None:
                assert entry["status"] == refused, f"{case.name}: {size} bytes"
            elif entry["outcome"] == "error":
                refused = entry["status"]
            elif entry["outcome"] == "complete":
                break


# Other readers.

@pytest.mark.parametrize("theme", THEMES)
def test_what_is_accepted_of_cases_is_understood_by_others_too(theme):
    found = {case.name: oracles.disagreements(case.data, _core.probe_parse_all(case.data))
             for case in THEMES[theme]}
    assert {name: what for name, what in found.items() if what} == {}


ODD = b"\x00\x01\t\n\x0b\x0c\r \"#%'(),/:;<=>?@[\\]^`{|}0159AaFfGgZz_-+*.!~\x7f\x80\xa0\xff"
BASES = [
    b"GET /a?b=c HTTP/1.1\r\nHost: a:80\r\nX-Y:  v w \r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123456789",
    b"POST /%41 HTTP/1.1\r\nhost: [::1]\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;a=\"b\"\r\nhello\r\n1\r\nx\r\n0\r\nT: u\r\n\r\n",
    b"HEAD http://b/ HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\nCookie: a=b\r\n\r\n",
    b"\r\nOPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 0\r\n\r\n",
]


@pytest.mark.parametrize("base", BASES)
def test_one_changed_byte_is_never_accepted_alone(base, guarded):
    """Each odd byte in the place of each byte, before each byte, and each byte left out."""
    wrong = []
    for at in range(len(base) + 1):
        changed = [base[:at] + base[at + 1:]]
        for byte in ODD:
            changed.append(base[:at] + bytes([byte]) + base[at + 1:])
            changed.append(base[:at] + bytes([byte]) + base[at:])
        for data in changed:
            wrong += oracles.disagreements(data, _core.probe_parse_all(data))
    assert wrong == []


TOKEN = st.text("!#$%&'*+-.^_`|~09azAZ", min_size=1, max_size=12).map(str.encode)
VALUE = st.binary(max_size=20).map(
    lambda raw: bytes(b for b in raw if b == 9 or 32 <= b != 127).strip(b" \t")
)
OWS = st.sampled_from([b"", b" ", b"\t", b"  ", b" \t "])
METHOD = st.sampled_from([b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"])
PATH = st.text("abcXYZ019-._~!$&'()*+,;=:@/", max_size=15).map(lambda text: b"/" + text.encode())
QUERY = st.text("?ab=&/%41[]|", max_size=12).map(lambda t: b"?" + t.encode() if t else b"")
HOST = st.sampled_from([b"a", b"a:80", b"a:", b"b.example", b"127.0.0.1:80", b"[::1]", b"[::1]:1"])
RESERVED = (
    b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade",
    b"content-type",
)  # fmt: skip


@st.composite
def field_lines(draw):
    lines = []
    for name, value in draw(st.lists(st.tuples(TOKEN, VALUE), max_size=5)):
        if name.lower() not in RESERVED:
            lines.append(name + b":" + draw(OWS) + value + draw(OWS) + b"\r\n")
    return lines


@st.composite
def chunked_bodies(draw):
    body = b""
    for data in draw(st.lists(st.binary(min_size=1, max_size=40), max_size=4)):
        size = draw(st.sampled_from([b"%x", b"%X", b"0%x"])) % len(data)
        extension = draw(st.sampled_from([b"", b"", b";a", b";a=b", b";a=\"b;\\\"c\"", b";a;b=c"]))
        body += size + extension + b"\r\n" + data + b"\r\n"
    return body + b"0\r\n" + b"".join(draw(field_lines())) + b"\r\n"


@st.composite
def requests(draw):
    """A valid request of any shape that the grammar has."""
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.1", b"1.0"]))
    target = draw(PATH) + draw(QUERY)
    if draw(st.integers(0, 9)) == 0:
        target = b"http://" + draw(HOST) + target
    lines = draw(field_lines())
    lines.append(draw(st.sampled_from([b"Host: ", b"host:", b"HOST:\t"])) + draw(HOST) + b"\r\n")
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    body = b""
    if framing == "length":
        body = draw(st.binary(max_size=60))
        lines.append(b"Content-Length: %d\r\n" % len(body))
    elif framing == "chunked" and version == b"1.1":
        body = draw(chunked_bodies())
        lines.append(b"Transfer-Encoding: chunked\r\n")
    options = [b"", b"", b"Connection: keep-alive\r\n", b"Connection: x\r\n"]
    lines.append(draw(st.sampled_from(options)))
    order = draw(st.randoms(use_true_random=False))
    order.shuffle(lines)
    method = draw(METHOD)
    return method + b" " + target + b" HTTP/" + version + b"\r\n" + b"".join(lines) + b"\r\n" + body


@st.composite
def mutations(draw):
    """Bytes of a case or a valid request with a few changes."""
    data = bytearray(draw(st.one_of(requests(), st.sampled_from(SMALL))))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.integers(0, 3))
        if kind == 0:
            data[at:at] = bytes([draw(st.sampled_from(list(ODD)))])
        elif kind == 1:
            data[at:at + 1] = bytes([draw(st.sampled_from(list(ODD)))])
        elif kind == 2:
            del data[at:at + draw(st.integers(1, 5))]
        else:
            other = draw(st.integers(0, len(data)))
            data[at:at] = data[min(at, other):max(at, other)][:40]
    return bytes(data)


SMALL = [case.data for case in CASES if 0 < len(case.data) < 400]
property_of = settings(max_examples=EXAMPLES, deadline=None, derandomize=True)


@property_of
@given(requests())
def test_valid_requests_are_accepted_and_understood_as_others_do(data):
    entries = _core.probe_parse_all(data)
    assert [entry["outcome"] for entry in entries] == ["complete"]
    assert oracles.disagreements(data, entries) == []


@property_of
@given(mutations())
def test_nothing_is_accepted_that_h11_refuses(data):
    assert oracles.disagreements(data, _core.probe_parse_all(data)) == []


@property_of
@given(mutations(), st.lists(st.integers(0, 400), max_size=6))
def test_pieces_change_nothing(data, cuts):
    whole = parse(data)
    _core.probe_guard(True)
    try:
        inside = tuple(sorted({cut for cut in cuts if 0 < cut < len(data)}))
        assert parse(data, inside) == whole
        assert parse(data, tuple(range(1, len(data)))) == whole
    finally:
        _core.probe_guard(False)


@property_of
@given(st.lists(requests(), min_size=2, max_size=4))
def test_pipelined_requests_are_those_sent(datas):
    entries = _core.probe_parse_all(b"".join(datas))
    for data, entry in zip(datas, entries):
        assert entry["outcome"] == "complete"
        assert entry["consumed"] == len(data)
        if not entry["keep_alive"]:
            break
    else:
        assert len(entries) == len(datas)


@property_of
@given(st.binary(max_size=200))
def test_random_bytes_are_never_accepted(data):
    assert all(entry["outcome"] != "complete" for entry in _core.probe_parse_all(data)) or (
        oracles.disagreements(data, _core.probe_parse_all(data)) == []
    )


def test_order_of_fields_and_values_is_kept():
    names = [b"X-%d" % random.Random(5).randrange(3) for _ in range(20)]
    lines = b"".join(b"%s: %d\r\n" % (name, index) for index, name in enumerate(names))
    entry = _core.probe_parse(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
    assert entry["fields"][1:] == [(name, b"%d" % index) for index, name in enumerate(names)]
