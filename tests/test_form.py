"""core/form.pxi, core/multipart.pxi, core/upload.pxi: what the visitor filled in and uploaded."""

from __future__ import annotations

import enum
import gc
import io
import os
import pickle
import random
import urllib.parse
import warnings

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from machine import descriptors

from nodepp._core import (
    MultiDict,
    RequestError,
    UploadFile,
    probe_form_limits,
    probe_multipart,
    probe_multipart_boundary,
    probe_multipart_parts,
    probe_urlencoded,
)

CRLF = b"\r\n"
BOUNDARY = b"--a-boundary"      # as browsers' begin: dashes of its own


def refused(call, *args, **named):
    """The status that the call is refused with."""
    with pytest.raises(RequestError) as caught:
        call(*args, **named)
    return caught.value.status


# MultiDict

def test_a_multidict_gives_the_first_value_and_all_of_them():
    values = MultiDict([("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")])
    assert values["a"] == "1" and values.get("b") == "2" and values.get("c") is None
    assert values.getlist("a") == ["1", "3", "4"]
    assert values.getlist("b") == ["2"] and values.getlist("c") == []
    assert values.multi_items() == [("a", "1"), ("a", "3"), ("a", "4"), ("b", "2")]
    assert dict(values) == {"a": "1", "b": "2"} and isinstance(values, dict)


def test_a_multidict_that_is_changed_forgets_the_other_values_of_the_key():
    values = MultiDict([("a", "1"), ("a", "2"), ("b", "x"), ("b", "y")])
    values["a"] = "new"
    del values["b"]
    assert values.getlist("a") == ["new"] and values.getlist("b") == []
    values.add("b", "z")
    values.add("a", "newer")
    values.add("b", "zz")
    assert values.getlist("a") == ["new", "newer"] and values.getlist("b") == ["z", "zz"]
    assert values.multi_items() == [("a", "new"), ("a", "newer"), ("b", "z"), ("b", "zz")]


def test_the_list_of_a_key_is_a_copy():
    values = MultiDict([("a", "1"), ("a", "2")])
    values.getlist("a").append("3")
    assert values.getlist("a") == ["1", "2"]


def test_a_multidict_is_copied_pickled_and_shown_with_all_values():
    values = MultiDict([("a", "1"), ("b", "2"), ("a", "3")])
    pickled = pickle.loads(pickle.dumps(values))
    for other in (values.copy(), pickled, MultiDict(values.multi_items())):
        assert type(other) is MultiDict and other.multi_items() == values.multi_items()
    assert repr(values) == "MultiDict([('a', '1'), ('a', '3'), ('b', '2')])"
    assert MultiDict({"a": 1}) == {"a": 1} and MultiDict() == {}


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3))))
def test_a_multidict_keeps_every_pair(pairs):
    values = MultiDict(pairs)
    for key in "abcd":
        assert values.getlist(key) == [value for name, value in pairs if name == key]
    first = {}
    for key, value in pairs:
        first.setdefault(key, value)
    assert values == first and list(values) == list(first)
    assert sorted(values.multi_items()) == sorted(pairs)


def test_a_multidict_that_holds_itself_is_collected():
    values = MultiDict()
    values.add("self", values)
    values.add("self", [values])
    del values
    assert gc.collect() >= 1


# application/x-www-form-urlencoded

@pytest.mark.parametrize(("text", "pairs"), [
    (b"", []),
    (b"&", []),
    (b"&&&a=1&&", [("a", "1")]),
    (b"q=hello&n=3", [("q", "hello"), ("n", "3")]),
    (b"a", [("a", "")]),
    (b"a&b", [("a", ""), ("b", "")]),
    (b"a=", [("a", "")]),
    (b"=", [("", "")]),
    (b"=x", [("", "x")]),
    (b"a=b=c", [("a", "b=c")]),
    (b"a==", [("a", "=")]),
    (b"a=1;b=2", [("a", "1;b=2")]),
    (b"a+b=c+d", [("a b", "c d")]),
    (b"a%20b=%2B%26%3D", [("a b", "+&=")]),
    (b"%61=%6a%6A", [("a", "jj")]),
    (b"a=%", [("a", "%")]),
    (b"a=%4", [("a", "%4")]),
    (b"a=%zz%4g%41", [("a", "%zz%4gA")]),
    (b"a=%00", [("a", "\0")]),
    (b"a=%C5%BC", [("a", "ż")]),
    ("a=ż".encode(), [("a", "ż")]),
    (b"a=%F0%9F%98%80", [("a", "😀")]),
    (b"a=%ff", [("a", "\ufffd")]),
    (b"a=\xff%C5", [("a", "\ufffd\ufffd")]),
    (b"a=%ED%A0%80", [("a", "\ufffd" * 3)]),
    (b"a=1&a=2&b=3&a=1", [("a", "1"), ("a", "2"), ("a", "1"), ("b", "3")]),
])
def test_urlencoded_text_is_read_as_whatwg_reads_it(text, pairs):
    assert probe_urlencoded(text).multi_items() == pairs


@given(st.lists(st.tuples(st.text(), st.text()), max_size=8))
@example([("x" * 600, "ż" * 600)])
def test_what_urlencode_wrote_is_read_back(pairs):
    pairs = [(key.encode("utf-8", "replace").decode(), value.encode("utf-8", "replace").decode())
             for key, value in pairs]
    read = probe_urlencoded(urllib.parse.urlencode(pairs).encode())
    assert sorted(read.multi_items()) == sorted(pairs)


@given(st.binary(max_size=60))
@example(b"a=%e2%28%a1")
def test_any_bytes_are_read_as_the_standard_library_reads_them(text):
    expected = urllib.parse.parse_qsl(text.decode("latin-1"), keep_blank_values=True,
                                      encoding="latin-1", max_num_fields=None)
    expected = [(key.encode("latin-1").decode("utf-8", "replace"),
                 value.encode("latin-1").decode("utf-8", "replace")) for key, value in expected]
    assert sorted(probe_urlencoded(text).multi_items()) == sorted(expected)


def test_more_pairs_than_allowed_are_refused():
    for count in (0, 1, 5):
        text = b"&".join(b"a%d=1" % i for i in range(count))
        assert len(probe_urlencoded(text, count)) == count
        assert len(probe_urlencoded(b"&&" + text + b"&&", count)) == count
        assert refused(probe_urlencoded, text + b"&x", count) == 413


@pytest.fixture
def small_limits():
    before = probe_form_limits(4, 100)
    yield
    probe_form_limits(*before)


def test_a_value_longer_than_allowed_is_refused(small_limits):
    assert probe_urlencoded(b"a=" + b"x" * 100)["a"] == "x" * 100
    assert refused(probe_urlencoded, b"a=" + b"x" * 101) == 413


# multipart: the boundary

@pytest.mark.parametrize(("content_type", "boundary"), [
    (b"multipart/form-data; boundary=abc", b"abc"),
    (b'multipart/form-data; boundary="a b"', b"a b"),
    (b"multipart/form-data;boundary=abc", b"abc"),
    (b"multipart/form-data ; charset=utf-8 ;; BOUNDARY=abc;", b"abc"),
    (b"multipart/form-data; boundary=----WebKitFormBoundary7MA", b"----WebKitFormBoundary7MA"),
    (b"multipart/form-data", None),
    (b"multipart/form-data;", None),
    (b"multipart/form-data; boundary", None),
    (b"multipart/form-data; boundary=", None),
    (b"multipart/form-data; boundary =a", None),
    (b"multipart/form-data; boundary= a", None),
    (b'multipart/form-data; boundary="abc', None),
    (b'multipart/form-data; boundary="abc"d', None),
    (b"multipart/form-data; boundary=a; boundary=b", None),
    (b"multipart/form-data; a b; boundary=b", None),
])
def test_the_boundary_is_found_in_the_content_type(content_type, boundary):
    assert probe_multipart_boundary(content_type) == boundary


@pytest.mark.parametrize("boundary", [b"a", b"0'()+_,-./:=?z", b"a b", b"x" * 70])
def test_each_boundary_of_the_grammar_serves(boundary):
    body = b"--" + boundary + b'\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--' \
        + boundary + b"--"
    assert probe_multipart(body, boundary)[0] == {"a": "x"}


@pytest.mark.parametrize("boundary", [
    b"", b"x" * 71, b"a ", b'a"', b"a\\", b"a;b", b"a\r", b"a\0", b"a~", b"a\xe9", b"a*", b"<a>",
])
def test_what_is_no_boundary_is_refused(boundary):
    assert refused(probe_multipart, b"--" + boundary + b"--", boundary) == 400


# multipart: the parts

def part(data, disposition=b'form-data; name="f"', *lines):
    return CRLF.join((b"Content-Disposition: " + disposition, *lines, b"", data))


def multipart(*parts, boundary=BOUNDARY, preamble=b"", epilogue=CRLF):
    between = CRLF + b"--" + boundary
    body = b"".join(between + CRLF + one for one in parts) + between + b"--" + epilogue
    return preamble + (body if preamble else body[2:])


TRICKY = [
    b"", b"x", CRLF, b"\r", b"\n", b"\r\r\n", b"\n\r", b"-", b"--", b"\r\n-", b"\r\n--",
    b"\r\n--" + BOUNDARY[:-1], b"\r\n--" + BOUNDARY[:-1] + b"\r\n--", b" --" + BOUNDARY + b"--",
    b"\r\r\n--" + BOUNDARY[:-1], b"\n--" + BOUNDARY, b"\r--" + BOUNDARY + CRLF, b"\r\n\r\n",
    b"\r\n--" * 5, b"x\r\n--" + BOUNDARY.upper() + CRLF, bytes(range(256)), b"\r\n --" + BOUNDARY,
]


@pytest.mark.parametrize("data", TRICKY)
def test_data_is_found_whole_wherever_the_body_is_cut(data):
    heads = (b'Content-Disposition: form-data; name="a"', b"Content-Type: text/plain")
    body = multipart(CRLF.join((*heads, b"", data)), CRLF.join((heads[0], b"", data)))
    head, short = CRLF.join((*heads, b"")), heads[0] + CRLF
    expected = (0, [(head, data), (short, data)])
    assert probe_multipart_parts(body, BOUNDARY) == expected
    assert probe_multipart_parts(body, BOUNDARY, range(1, len(body))) == expected
    for cut in range(len(body)):
        assert probe_multipart_parts(body, BOUNDARY, (cut,)) == expected


ONE = multipart(part(b"x"))
BODIES = {
    "no part": (multipart(), 0, 0),
    "closed without CRLF": (multipart(part(b"x"), epilogue=b""), 0, 1),
    "preamble": (multipart(part(b"x"), preamble=b"ignore\r\n--this\r\n"), 0, 1),
    "preamble that is a CRLF": (CRLF + multipart(part(b"x")), 0, 1),
    "epilogue": (multipart(part(b"x"), epilogue=b"\r\n--" + BOUNDARY + b"\r\nmore"), 0, 1),
    "epilogue at once": (multipart(part(b"x"), epilogue=b"-- more"), 0, 1),
    "padding": (ONE.replace(BOUNDARY + CRLF, BOUNDARY + b" \t \r\n"), 0, 1),
    "head and nothing": (ONE.replace(b"\r\n\r\nx", CRLF), 0, 1),
    "part without a head": (multipart(b"\r\ndata"), 0, 1),
    "empty": (b"", 400, 0),
    "dashes": (b"--", 400, 0),
    "only the delimiter": (b"--" + BOUNDARY, 400, 0),
    "only the delimiter line": (b"--" + BOUNDARY + CRLF, 400, 1),
    "one dash": (b"--" + BOUNDARY + b"-", 400, 0),
    "one dash and more": (b"--" + BOUNDARY + b"-x", 400, 0),
    "longer than the boundary": (ONE.replace(BOUNDARY + CRLF, BOUNDARY + b"y\r\n"), 400, 0),
    "padding and more": (ONE.replace(BOUNDARY + CRLF, BOUNDARY + b" x\r\n"), 400, 0),
    "bare LF behind the delimiter": (ONE.replace(BOUNDARY + CRLF, BOUNDARY + b"\n"), 400, 0),
    "bare CR behind the delimiter": (ONE.replace(BOUNDARY + CRLF, BOUNDARY + b"\rx"), 400, 0),
    "bare LF in the head": (ONE.replace(b"\r\n\r\n", b"\n\r\n"), 400, 1),
    "bare CR in the head": (ONE.replace(b"\r\n\r\n", b"\r\r\n"), 400, 1),
    "bare LF behind the head": (ONE.replace(b"\r\n\r\n", b"\r\n\n"), 400, 1),
    "bare CR behind the head": (ONE.replace(b"\r\n\r\n", b"\r\n\rx"), 400, 1),
    "NUL in the head": (ONE.replace(b"form-data", b"form\0data"), 400, 1),
    "folded line": (multipart(part(b"x", b"form-data;\r\n name=a")), 400, 1),
    "fold at the beginning": (multipart(b" " + part(b"x")), 400, 1),
    "another boundary": (multipart(part(b"x"), boundary=b"other"), 400, 0),
    "not closed": (multipart(part(b"x"))[:-4], 400, 1),
    "only LF": (ONE.replace(CRLF, b"\n"), 400, 0),
}


@pytest.mark.parametrize("name", BODIES)
def test_the_verdict_does_not_depend_on_the_pieces(name):
    body, status, part_count = BODIES[name]
    expected = probe_multipart_parts(body, BOUNDARY)
    assert (expected[0], len(expected[1])) == (status, part_count)
    assert probe_multipart_parts(body, BOUNDARY, range(1, len(body))) == expected
    for cut in range(len(body)):
        assert probe_multipart_parts(body, BOUNDARY, (cut,)) == expected


def test_every_truncation_is_refused():
    body = multipart(part(b"x"), part(b"y", b'form-data; name="g"; filename="a"'), epilogue=b"")
    for size in range(len(body)):
        assert refused(probe_multipart, body[:size], BOUNDARY) == 400
    assert probe_multipart(body, BOUNDARY)[0] == {"f": "x"}


PIECES = st.sampled_from([b"\r", b"\n", b"-", b"--", b"a", b"b", CRLF + b"--"])


@given(st.lists(st.lists(PIECES, max_size=12), max_size=4), st.randoms(use_true_random=False))
def test_data_that_looks_like_delimiters_is_data(pieces, rng):
    boundary = b"ab"
    data = [b"".join(each) for each in pieces]
    while any(boundary in each for each in data):
        data = [each.replace(boundary, b"b") for each in data]
    body = multipart(*(part(each) for each in data), boundary=boundary)
    cuts = sorted(rng.sample(range(len(body)), min(len(body), rng.randrange(8))))
    status, parts = probe_multipart_parts(body, boundary, cuts)
    assert status == 0 and [each for head, each in parts] == data


SCRAPS = st.sampled_from([
    b"--ab", b"\r\n", b"\r", b"\n", b"--", b"-", b" ", b"\t", b"x", b"\0", b"\xff", b":", b";",
    b'"', b"\\", b"=", b"%22", b"Content-Disposition: form-data", b"; name=a", b'; name="b"',
    b"; filename=c", b"; filename*=UTF-8''%41", b"Content-Type: text/plain", b"\r\n\r\n",
    b"\r\n--ab\r\n", b"'",
])


@given(st.lists(SCRAPS, max_size=40).map(b"".join))
@example(b"--ab\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n--ab--")
def test_any_body_is_read_alike_in_one_piece_and_in_many(body):
    assert probe_multipart_parts(body, b"ab") == probe_multipart_parts(
        body, b"ab", range(1, len(body)))
    try:
        form, files = probe_multipart(body, b"ab")
    except RequestError as error:
        assert error.status == 400
    else:
        for name, value in form.multi_items():
            assert isinstance(name, str) and isinstance(value, str)
        for file in files.values():
            assert len(file.read()) == file.size


def test_the_number_of_parts_has_a_limit(small_limits):
    for spool in (False, True):
        body = multipart(*(part(b"x", b"form-data; name=n%d" % i) for i in range(4)))
        assert len(probe_multipart(body, BOUNDARY, spool=spool)[0]) == 4
        body = multipart(*(part(b"x", b"form-data; name=n%d" % i) for i in range(5)))
        assert refused(probe_multipart, body, BOUNDARY, spool=spool) == 413


def test_many_parts():
    body = multipart(*(part(b"%d" % i, b"form-data; name=n") for i in range(1000)))
    form, files = probe_multipart(body, BOUNDARY)
    assert form.getlist("n") == [str(i) for i in range(1000)] and files == {}


def test_a_head_has_a_limit():
    lines = b'Content-Disposition: form-data; name="f"\r\nX: '
    for size, status in ((8 * 1024 - 1, 0), (8 * 1024, 0), (8 * 1024 + 1, 413)):
        body = multipart(lines + b"x" * (size - len(lines) - 2) + b"\r\n\r\ndata")
        for cuts in ((), range(1, len(body)), (100,)):
            assert probe_multipart_parts(body, BOUNDARY, cuts)[0] == status


def test_the_field_lines_of_a_head_have_a_limit():
    for count, status in ((31, 0), (32, 413)):
        body = multipart(part(b"x", b"form-data; name=f", *[b"X: y"] * count))
        assert probe_multipart_parts(body, BOUNDARY)[0] == status


def test_a_field_has_a_limit_and_a_file_has_none_of_its_own(small_limits):
    for spool in (False, True):
        body = multipart(part(b"x" * 100))
        assert probe_multipart(body, BOUNDARY, spool=spool)[0] == {"f": "x" * 100}
        body = multipart(part(b"x" * 101))
        assert refused(probe_multipart, body, BOUNDARY, spool=spool) == 413
        body = multipart(part(b"x" * 5000, b"form-data; name=f; filename=a"))
        assert probe_multipart(body, BOUNDARY, spool=spool)[1]["f"].size == 5000


# multipart: heads

@pytest.mark.parametrize(("disposition", "name"), [
    (b'form-data; name="a"', "a"),
    (b"form-data; name=a", "a"),
    (b"form-data; name=a[]", "a[]"),
    (b'FORM-DATA ;  NAME="a" ;', "a"),
    (b'form-data; name=""', ""),
    (b'form-data; name="a;b=c"', "a;b=c"),
    (b'form-data; name="a\\"b"', 'a"b'),
    (b'form-data; name="a\\\\b"', "a\\b"),
    (b'form-data; name="a\\b"', "a\\b"),
    (b'form-data; name="a%22b%0D%0Ac%0d%0a"', 'a"b\r\nc\r\n'),
    (b'form-data; name="100%25 %41 %2 %"', "100%25 %41 %2 %"),
    (b"form-data; name=a%22", "a%22"),
    ('form-data; name="ż😀"'.encode(), "ż😀"),
    (b'form-data; name="\xff"', "\ufffd"),
    (b'form-data; name="a"; other="b"', "a"),
])
def test_names_are_read_as_browsers_write_them(disposition, name):
    assert list(probe_multipart(multipart(part(b"x", disposition)), BOUNDARY)[0]) == [name]


@pytest.mark.parametrize("head", [
    b"Content-Type: text/plain",
    b"Content-Disposition: form-data",
    b"Content-Disposition: form-data; filename=a",
    b"Content-Disposition: attachment; name=a",
    b"Content-Disposition: form-datax; name=a",
    b"Content-Disposition: form-data name=a",
    b"Content-Disposition: form-data; name",
    b"Content-Disposition: form-data; name=",
    b"Content-Disposition: form-data; name =a",
    b"Content-Disposition: form-data; name= a",
    b'Content-Disposition: form-data; name="a',
    b'Content-Disposition: form-data; name="a"b',
    b'Content-Disposition: form-data; name="a" b',
    b'Content-Disposition: form-data; name="a\\"',
    b'Content-Disposition: form-data; name=a"b"',
    b"Content-Disposition: form-data; name=a; name=b",
    b"Content-Disposition: form-data; name=a; filename=b; filename=c",
    b"Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
    b"Content-Disposition: form-data; name=a\r\nContent-Type: a/b\r\nContent-Type: c/d",
    b"Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: base64",
    b"Content-Disposition: form-data; name=a; filename*=UTF-8''%00",
    b"Content-Disposition : form-data; name=a",
    b"Content-Disposition",
    b": form-data; name=a",
    b"Content-Disposition: form-data; name=a\r\nno colon",
])
def test_a_malformed_head_is_refused(head):
    assert refused(probe_multipart, multipart(head + b"\r\n\r\nx"), BOUNDARY) == 400


def test_content_that_is_not_encoded_may_say_so():
    for encoding in (b"8bit", b"7BIT", b" binary "):
        body = multipart(part(b"x", b"form-data; name=f", b"Content-Transfer-Encoding:" + encoding))
        assert probe_multipart(body, BOUNDARY)[0] == {"f": "x"}


@pytest.mark.parametrize(("disposition", "filename"), [
    (b'filename="a.txt"', "a.txt"),
    (b"filename=a.txt", "a.txt"),
    (b'filename=""', ""),
    (b'filename="a b;c.txt"', "a b;c.txt"),
    ('filename="zażółć.txt"'.encode(), "zażółć.txt"),
    (b'filename="a%22b.txt"', 'a"b.txt'),
    (b'filename="a\\"b.txt"', 'a"b.txt'),
    (b'filename="C:\\Documents\\a.txt"', "a.txt"),
    (b'filename="../../etc/passwd"', "passwd"),
    (b'filename="folder/a.txt"', "a.txt"),
    (b'filename="folder/"', ""),
    (b'filename=".."', ""),
    (b'filename="a/.."', ""),
    (b"filename*=UTF-8''a%20%C5%BC.txt", "a ż.txt"),
    (b"filename*=utf-8'en'a.txt", "a.txt"),
    (b"filename*=UTF-8''..%2Fa.txt", "a.txt"),
    (b"filename*=iso-8859-1''%E9.txt", "é.txt"),
    (b"filename*=UTF-8''%ff", "\ufffd"),
    (b"filename=\"a\"; filename*=UTF-8''b", "b"),
    (b"filename*=UTF-8''b; filename=\"a\"", "b"),
    (b"filename=\"a\"; filename*=koi8-r''b", "a"),
    (b"filename=\"a\"; filename*=broken", "a"),
    (b"filename=\"a\"; filename*=broken'too", "a"),
    (b"filename*=broken", ""),
])
def test_file_names_are_read_without_their_folders(disposition, filename):
    body = multipart(part(b"x", b'form-data; name="f"; ' + disposition))
    form, files = probe_multipart(body, BOUNDARY)
    assert form == {} and files["f"].filename == filename and files["f"].name == "f"


def test_fields_and_files_stand_apart():
    body = multipart(
        part(b"1", b'form-data; name="a"'),
        part(b"one", b'form-data; name="a"; filename="1.txt"', b"Content-Type: text/plain;a=b "),
        part("żÿ".encode() + b"\xff", b'form-data; name="b"'),
        part(b"two", b'form-data; name="a"; filename="2.bin"'),
        part(b"2", b'form-data; name="a"'),
    )
    for spool in (False, True):
        form, files = probe_multipart(body, BOUNDARY, spool=spool)
        assert form.multi_items() == [("a", "1"), ("a", "2"), ("b", "żÿ\ufffd")]
        one, two = files.getlist("a")
        assert (one.filename, one.content_type, one.size) == ("1.txt", "text/plain;a=b", 3)
        assert (two.filename, two.content_type) == ("2.bin", "application/octet-stream")
        assert one.read() == b"one" and two.read() == b"two"


# UploadFile

DATA = random.Random(1).randbytes(200_000)
needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts in /proc")


@pytest.fixture(params=[False, True], ids=["memory", "spool"])
def upload(request):
    file = part(DATA, b'form-data; name="f"; filename="a.bin"')
    body = multipart(part(b"before"), file, part(b"x"))
    files = probe_multipart(body, BOUNDARY, spool=request.param)[1]
    yield files["f"]
    files["f"].close()


def test_an_upload_is_read_like_a_file(upload):
    assert upload.size == len(DATA) and type(upload) is UploadFile
    assert upload.tell() == 0
    assert upload.read(10) == DATA[:10] and upload.tell() == 10
    assert upload.read(0) == b""
    assert upload.read() == DATA[10:] and upload.tell() == len(DATA)
    assert upload.read() == b"" and upload.read(5) == b""
    assert upload.seek(-5, 2) == len(DATA) - 5
    assert upload.read(100) == DATA[-5:]
    assert upload.seek(7) == 7 and upload.seek(3, 1) == 10
    assert upload.read(None) == DATA[10:]
    assert upload.seek(len(DATA) + 5) == len(DATA) + 5
    assert upload.read() == b"" and upload.read(3) == b""


def test_an_upload_takes_any_int_and_refuses_the_rest(upload):
    class Size(enum.IntEnum):
        FOUR = 4

    assert upload.read(Size.FOUR) == DATA[:4]
    assert upload.read(2**40) == DATA[4:]
    for call in (lambda: upload.seek(-1), lambda: upload.seek(0, 3), lambda: upload.seek(-10**6, 2),
                 lambda: upload.seek(2**63)):
        with pytest.raises(ValueError):
            call()
    with pytest.raises(TypeError):
        upload.read("5")


def test_an_upload_is_saved_whole_to_a_path(upload, tmp_path):
    upload.read(100)
    mask = os.umask(0o027)
    try:
        upload.save(tmp_path / "a")
        upload.save(str(tmp_path / "b"))
    finally:
        os.umask(mask)
    assert (tmp_path / "a").read_bytes() == DATA == (tmp_path / "b").read_bytes()
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert upload.tell() == 100
    with pytest.raises(FileNotFoundError):
        upload.save(tmp_path / "none" / "a")


def test_an_upload_is_saved_to_a_file_object(upload):
    target = io.BytesIO()
    upload.save(target)
    assert target.getvalue() == DATA


def test_saving_goes_on_after_a_short_write(upload):
    class Short:
        def __init__(self):
            self.data = b""

        def write(self, data):
            assert len(data) <= 64 * 1024
            self.data += data[:50_000]
            return len(data[:50_000])

    class Silent(Short):
        def write(self, data):
            self.data += data

    class Lying(Short):
        def write(self, data):
            return len(data) + 1

    for target in (Short(), Silent()):
        upload.save(target)
        assert target.data == DATA
    with pytest.raises(OSError):
        upload.save(Lying())


def test_an_upload_opens_as_a_buffered_file(upload):
    upload.read(5)
    with upload.open() as file, upload.open() as other:
        assert isinstance(file, io.BufferedReader)
        assert file.read(3) == DATA[:3] and other.read() == DATA
        assert file.seek(-3, io.SEEK_END) == len(DATA) - 3
        assert file.read() == DATA[-3:]
    assert upload.read(3) == DATA[5:8]
    with io.TextIOWrapper(upload.open(), encoding="latin-1", newline="") as text:
        assert text.read() == DATA.decode("latin-1")


def test_a_closed_upload_says_so(upload, tmp_path):
    file = upload.open()
    with upload as same:
        assert same is upload and not upload.closed
    assert upload.closed
    upload.close()
    for call in (upload.read, upload.tell, upload.open, lambda: upload.seek(0),
                 lambda: upload.save(tmp_path / "a"), upload.__enter__):
        with pytest.raises(ValueError, match="closed"):
            call()
    assert not (tmp_path / "a").exists()
    assert file.read() == DATA, "what was opened stays"
    file.close()
    assert "a.bin" in repr(upload)


def test_an_upload_nobody_made_is_closed():
    assert UploadFile().closed
    with pytest.raises(ValueError):
        UploadFile().read()


def test_an_empty_upload():
    for spool in (False, True):
        body = multipart(part(b"", b'form-data; name="f"; filename=""'))
        upload = probe_multipart(body, BOUNDARY, spool=spool)[1]["f"]
        target = io.BytesIO()
        upload.save(target)
        assert upload.size == 0 and upload.read() == b"" and upload.open().read() == b""
        assert target.getvalue() == b""


@needs_proc
def test_a_spool_file_that_was_cut_is_an_error():
    body = multipart(part(DATA, b"form-data; name=f; filename=a"))
    upload = probe_multipart(body, BOUNDARY, spool=True)[1]["f"]
    descriptor = upload_descriptor(upload)
    os.ftruncate(descriptor, 100)
    with pytest.raises(OSError, match="ends early"):
        upload.read()


def upload_descriptor(upload):
    """The newest descriptor: the duplicate that the upload reads from."""
    return max(int(name) for name in os.listdir("/proc/self/fd") if readable(int(name)))


def readable(fd):
    try:
        return os.fstat(fd).st_size > len(DATA)
    except OSError:
        return False


@needs_proc
def test_the_uploads_of_a_form_share_one_descriptor_and_give_it_back():
    before = descriptors()
    body = multipart(*(part(b"x%d" % i, b"form-data; name=f; filename=a") for i in range(100)))
    files = probe_multipart(body, BOUNDARY, spool=True)[1]
    assert len(descriptors()) == len(before) + 1
    assert [each.read() for each in files.getlist("f")] == [b"x%d" % i for i in range(100)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        del files
    assert descriptors() == before


# the encoders of well-known clients write what we read

def test_what_urllib3_writes_is_read():
    urllib3 = pytest.importorskip("urllib3")
    fields = [("a", "ż"), ('n"\r\n', "x"), ("f", ("zażółć \"1\".txt", DATA, "text/plain"))]
    body, content_type = urllib3.encode_multipart_formdata(fields)
    boundary = probe_multipart_boundary(content_type.encode())
    form, files = probe_multipart(body, boundary)
    assert form == {"a": "ż", 'n"\r\n': "x"}
    assert files["f"].filename == 'zażółć "1".txt' and files["f"].read() == DATA


def test_what_httpx_writes_is_read():
    httpx = pytest.importorskip("httpx")
    request = httpx.Request("POST", "http://a/", data={"a": ["1", "2"], "ż": "ó"},
                            files={"f": ("ż.bin", DATA, "application/x-a")})
    boundary = probe_multipart_boundary(request.headers["content-type"].encode())
    form, files = probe_multipart(request.read(), boundary)
    assert form.getlist("a") == ["1", "2"] and form["ż"] == "ó"
    assert files["f"].filename == "ż.bin" and files["f"].read() == DATA
