"""core/format.pxi: what `req.out(text, *args)` writes."""

from __future__ import annotations

import decimal
import enum
import fractions
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodepp import App, _core, current
from nodepp._core import Raw, html_escape, probe_escape, probe_format, probe_format_used, raw
from nodepp.testing import Client


def out(text, *args):
    return probe_format(text, args, True)


def plain(text, *args):
    return probe_format(text, args, False)


ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;"}


def escaped(text):
    """The model: a character at a time."""
    return "".join(ENTITIES.get(character, character) for character in text)


class Shown:
    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


class Marked:
    def __html__(self):
        return "<b>trusted</b>"

    def __str__(self):
        return "<i>not this</i>"


# without arguments

@pytest.mark.parametrize("text", ["", "a", "100%", "%s %d %", "<b>&</b>", "é", "日本", "😀\0x"])
def test_a_text_without_arguments_is_copied_as_it_is(text):
    assert out(text) == text.encode()


def test_a_text_that_is_no_str_is_refused():
    with pytest.raises(TypeError):
        probe_format(None, (), True)
    with pytest.raises(TypeError):
        probe_format(b"abc", (), True)


def test_a_lone_surrogate_in_the_text_is_an_encode_error():
    with pytest.raises(UnicodeEncodeError):
        out("a\ud800b")
    with pytest.raises(UnicodeEncodeError):
        out("a\ud800%s", 1)


# %s

@pytest.mark.parametrize("size", [*range(40), 1023, 1024, 1025, 5000])
@pytest.mark.parametrize("special", ["", "&", "<", ">", '"', "'", "<'&\">"])
def test_each_special_character_is_escaped_at_every_place(size, special):
    places = range(size + 1) if size < 40 else (0, 7, 8, size - 1, size)
    for place in places:
        text = "x" * place + special + "y" * (size - place)
        assert out("[%s]", text) == ("[" + escaped(text) + "]").encode()
        assert plain("[%s]", text) == ("[" + text + "]").encode()


def test_only_the_five_characters_are_escaped():
    every = "".join(map(chr, range(256)))
    assert out("%s", every) == escaped(every).encode()
    assert out("%s", every[:128]) == escaped(every[:128]).encode()


@given(st.text(), st.booleans())
@example("é" * 3000, True)
@example("😀&" * 700 + "<", True)
def test_any_text_comes_out_as_utf8(text, html):
    expected = escaped(text) if html else text
    assert probe_format("-%s-", (text,), html) == f"-{expected}-".encode()


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "😀\ud800", "x" * 1030 + "\udc00"])
def test_a_lone_surrogate_in_a_value_is_an_encode_error(text):
    with pytest.raises(UnicodeEncodeError):
        out("<%s>", text)


@pytest.mark.parametrize("value", [
    0, 1, -1, 2**63 - 1, -2**63, 2**63, -2**63 - 1, 10**40, True, False, None, 1.5, 1e300, -0.0,
    math.inf, [1], (), {"a": 1}, Shown("q"), decimal.Decimal("1.20"), 3 + 4j,
])
def test_any_value_is_shown_as_str_shows_it(value):
    assert out("%s", value) == escaped(str(value)).encode()
    assert plain("%s", value) == str(value).encode()
    text = "%8s|%-8s|%.2s"
    assert plain(text, value, value, value) == (text % ((str(value),) * 3)).encode()


def test_bytes_are_taken_as_utf8():
    assert out("%s", "zażółć <".encode()) == "zażółć &lt;".encode()
    assert out("%s", b"a\xffb") == "a\ufffdb".encode()


def test_what_an_object_says_is_escaped():
    assert out("%s", Shown("<é>")) == "&lt;é&gt;".encode()
    assert plain("%s", Shown("<é>")) == "<é>".encode()
    assert out("%s", {"<": 1}) == b"{&#39;&lt;&#39;: 1}"


def test_text_with_html_of_its_own_is_trusted():
    assert out("%s", raw("<b>")) == b"<b>"
    assert out("%s", Marked()) == b"<b>trusted</b>"
    assert out("%s", raw("é<b>" * 1000)) == ("é<b>" * 1000).encode()
    assert plain("%s", raw("<b>")) == b"<b>"


def test_html_is_not_asked_for_when_the_content_is_no_html():
    assert plain("%s", Marked()) == b"<i>not this</i>"


def test_html_must_be_text():
    class Wrong:
        def __html__(self):
            return 5

    with pytest.raises(TypeError, match=r"Wrong.__html__"):
        out("%s", Wrong())


def test_html_of_the_instance_alone_is_not_trusted():
    value = Shown("<x>")
    value.__html__ = lambda: "<x>"
    assert out("%s", value) == b"&lt;x&gt;"


def test_a_subclass_of_str_is_a_str():
    class Name(str):
        pass

    class Loud(str):
        def __str__(self):
            return self.upper()

    assert out("%s|%s", Name("<é>"), Loud("<x>")) == "&lt;é&gt;|&lt;X&gt;".encode()


def test_raw_is_a_str_and_what_is_made_of_it_is_not_trusted():
    trusted = raw("<b>")
    assert type(trusted) is Raw and isinstance(trusted, str)
    assert trusted == "<b>" and trusted.__html__() is trusted
    assert out("%s", trusted + "<i>") == b"&lt;b&gt;&lt;i&gt;"
    assert raw(5) == "5"


@pytest.mark.parametrize("text", ["", "a", "<é>", "日本語です", "😀😀😀", "<<<<>>>>''&&"])
@pytest.mark.parametrize("width", ["", "3", "-3", "10", "-10", "0", "010", "4096"])
@pytest.mark.parametrize("precision", ["", ".", ".0", ".1", ".2", ".3", ".100"])
def test_width_and_precision_count_characters_before_escaping(text, width, precision):
    spec = f"%{width}{precision}s"
    assert plain(spec, text) == (spec % text).encode()
    shown = (f"%{precision}s" % text)
    assert out(spec, text) == (spec % text).replace(shown, escaped(shown), 1).encode()
    assert out(spec, raw(text)) == (spec % text).encode()


# numbers

NUMBER_FLAGS = ["", "0", "-", "+", " ", "0+", "-+", "- ", "-0", "0 "]


@pytest.mark.parametrize("conversion", ["d", "i", "ld", "lld", "li"])
@pytest.mark.parametrize("flags", NUMBER_FLAGS)
@pytest.mark.parametrize("size", ["", "1", "5", "25", ".0", ".3", "8.3", "3.8", "30.25"])
def test_decimal_is_what_python_writes(conversion, flags, size):
    for value in (0, 7, -7, 42, 12345, -12345, 2**63 - 1, -2**63, 2**64, -10**30, True):
        spec = f"%{flags}{size}"
        assert plain(spec + conversion, value) == (f"{spec}d" % value).encode()
        assert plain(spec + "x", value) == (f"{spec}x" % value).encode()
        if value >= 0:
            assert plain(spec + "u", value) == (f"{spec}u" % value).encode()


@given(st.integers())
@example(-2**63)
@example(10**100)
def test_any_int_is_written_exactly(value):
    expected = f"{value} {value} {value} {value:x}"
    assert out("%d %i %s %x", value, value, value, value) == expected.encode()


def test_floats_lose_their_fraction_in_decimal_as_in_c():
    assert out("%d %d %i %u", 3.99, -3.99, 1e20, 2.5) == b"3 -3 100000000000000000000 2"
    with pytest.raises(OverflowError):
        out("%d", math.inf)
    with pytest.raises(ValueError):
        out("%d", math.nan)


def test_numbers_of_other_kinds_are_taken():
    class Colour(enum.IntEnum):
        RED = 7

    class Index:
        def __index__(self):
            return 255

    assert out("%d %x", Colour.RED, Index()) == b"7 ff"
    assert out("%d %.1f", decimal.Decimal("7.9"), decimal.Decimal("7.25")) == b"7 7.2"
    assert out("%.3f", fractions.Fraction(1, 8)) == b"0.125"


@pytest.mark.parametrize(("text", "value"), [
    ("%d", "5"), ("%i", None), ("%u", [1]), ("%x", 1.5), ("%x", "a"), ("%f", "1.5"), ("%f", None),
    ("%f", b"1"), ("%d", 1j), ("%f", 1j), ("%c", 1.5), ("%c", "ab"), ("%c", ""), ("%c", None),
])
def test_a_value_of_the_wrong_type_is_a_type_error(text, value):
    with pytest.raises(TypeError):
        out(text, value)


@pytest.mark.parametrize("value", [-1, -2.5, -10**30])
def test_unsigned_refuses_negative_numbers(value):
    with pytest.raises(ValueError, match="%u wants no negative number"):
        out("%u", value)


@pytest.mark.parametrize("flags", NUMBER_FLAGS)
@pytest.mark.parametrize("size", ["", "1", "12", ".0", ".1", ".2", ".6", "12.3", ".9", ".10", ".4"])
def test_float_is_what_python_writes(flags, size):
    for value in (0.0, -0.0, 0.5, 1.5, 2.5, -2.5, 0.125, 0.375, 3.14159, -1e-9, 999999999.9999999,
                  1e9, 1e15, -1.7e308, 5e-324, math.inf, -math.inf, math.nan, 3, -4, 10**18, True):
        spec = f"%{flags}{size}f"
        assert out(spec, value) == (spec % value).encode(), (spec, value)


@given(st.floats(), st.integers(0, 12))
@example(0.5, 0)
@example(1000000.5, 0)
@example(999999999.9999999, 6)
@example(2**-67, 9)
def test_any_float_is_written_exactly(value, precision):
    assert out(f"%.{precision}f", value) == f"{value:.{precision}f}".encode()


@given(st.integers(0, 10**10), st.integers(0, 30), st.integers(0, 9))
def test_halves_are_rounded_to_even(number, shift, precision):
    value = number / 2**shift
    assert out(f"%.{precision}f", value) == f"{value:.{precision}f}".encode()


def test_an_int_that_no_float_can_hold_is_an_overflow():
    with pytest.raises(OverflowError):
        out("%f", 10**400)


def test_character():
    assert out("%c%c%c", 65, "b", "é") == "Abé".encode()
    assert out("%c", 0x1F600) == "😀".encode()
    assert out("%3c|%-3c|", "a", "b") == b"  a|b  |"
    assert out("%c", "<") == b"&lt;" and plain("%c", "<") == b"<"
    assert out("%c", 0) == b"\0"
    for value in (-1, 0x110000, 10**30):
        with pytest.raises(ValueError, match="code point"):
            out("%c", value)
    with pytest.raises(UnicodeEncodeError):
        out("%c", 0xD800)


# the text as a format

def test_literals_stand_between_conversions():
    for before in range(20):
        for after in range(20):
            text = "<" * before + "%d" + "é" * after
            assert out(text, 7) == text.replace("%d", "7").encode()


def test_percent_signs_are_written_by_two_of_them():
    assert out("%d%% of %s %%", 5, "x") == b"5% of x %"
    assert out("%%%d%%%%", 5) == b"%5%%"


@pytest.mark.parametrize(("text", "args", "kind", "message"), [
    ("a %d b %d", (1,), TypeError, r"no argument for %d, 1 given \(at 7\)"),
    ("é %d b %s", (1,), TypeError, r"no argument for %s, 1 given \(at 7\)"),
    ("nothing", (1,), TypeError, "1 arguments given, 0 taken"),
    ("a%d", (1, 2, 3), TypeError, "3 arguments given, 1 taken"),
    ("%%", (1,), TypeError, "1 arguments given, 0 taken"),
    ("abc%", (1,), ValueError, r"cut off by the end of the text \(at 3\)"),
    ("abc%-08.3l", (1,), ValueError, "cut off"),
    ("%q", (1,), ValueError, r"no conversion %q \(at 0\)"),
    ("%X", (1,), ValueError, "no conversion %X"),
    ("%o", (1,), ValueError, "no conversion %o"),
    ("%*d", (1, 2), ValueError, r"no conversion %\*"),
    ("%(a)s", ({},), ValueError, r"no conversion %\("),
    ("%1.2.3f", (1,), ValueError, "no conversion"),
    ("%é", (1,), ValueError, "no conversion"),
    ("%\0", (1,), ValueError, "no conversion"),
    ("%4097d", (1,), ValueError, "4096 characters"),
    ("%.4097f", (1,), ValueError, "4096 characters"),
    ("%99999999999999999999d", (1,), ValueError, "4096 characters"),
    ("x %d", ("5",), TypeError, r"%d wants a number, not str \(at 2\)"),
])
def test_an_error_names_the_format_and_the_place(text, args, kind, message):
    with pytest.raises(kind, match=message):
        out(text, *args)


def test_a_long_format_is_shortened_in_the_message():
    with pytest.raises(TypeError) as caught:
        out("x" * 5000 + "%d", "no")
    assert len(str(caught.value)) < 200 and "(at 5000)" in str(caught.value)


def test_nothing_is_written_after_an_error():
    class Breaks:
        def __str__(self):
            raise LookupError("mine")

    used = probe_format_used()
    for text, args, kind in (
        ("written first %s and then %d", ("x" * 10000, "no"), TypeError),
        ("%s%s", ("a", Breaks()), LookupError),
        ("%s%s", (Shown("a" * 5000), "\ud800"), UnicodeEncodeError),
        ("%d", (1, 2), TypeError),
    ):
        with pytest.raises(kind):
            out(text, *args)
        assert probe_format_used() == used


def test_an_argument_may_write_while_it_is_asked_for_its_text():
    class Writes:
        def __str__(self):
            out("%s", "inner" * 2000)
            return "[" + out("%d", 5).decode() + "]"

    assert out("a%sb%s" + "c" * 3000, Writes(), Writes()) == b"a[5]b[5]" + b"c" * 3000


def test_many_arguments():
    assert out("%d," * 500, *range(500)) == b"".join(b"%d," % i for i in range(500))


@given(st.lists(st.one_of(st.integers(), st.text(), st.floats(allow_nan=False)), max_size=8),
       st.text(st.characters(blacklist_characters="%", blacklist_categories=("Cs",))))
def test_a_row_of_values_is_what_python_writes(values, between):
    text = between.join(["%s"] * len(values)) + between
    shown = tuple(escaped(str(value)) if isinstance(value, str) else str(value) for value in values)
    expected = text % shown if values else text
    assert out(text, *values) == expected.encode()


# html_escape and the escaping of UTF-8

@given(st.text())
@example("é<")
@example("😀&")
@example("日'")
def test_html_escape_escapes_text(text):
    assert html_escape(text) == escaped(text)


def test_what_a_character_writes_itself_moves_no_text():
    """%c of a str with a len() of its own, which rendered a page: the output moved to a larger
    block, and the rest of the text was written to where it had been."""
    class Long(str):
        def __len__(self):
            current().out("y" * 3_000_000)
            return 1

    app = App()
    app.get("/")(lambda req: req.out("before %c after", Long("a")))
    assert Client(app).get("/").body == b"before " + b"y" * 3_000_000 + b"a after"


def test_html_escape_takes_anything_and_trusts_nothing():
    assert html_escape(5) == "5"
    assert html_escape(None) == "None"
    assert html_escape(raw("<")) == "&lt;"
    assert type(html_escape(raw("a"))) is str
    assert html_escape(Shown("<")) == "&lt;"


def test_html_escape_gives_the_same_text_when_nothing_is_to_escape():
    text = "nothing special, really"
    assert html_escape(text) is text


@given(st.text())
@example("x" * 3000 + "<")
def test_utf8_is_escaped_in_pieces(text):
    assert probe_escape(text.encode()) == escaped(text).encode()


def test_a_byte_more_than_fits_is_never_written():
    # Only the sanitizers see an overrun; this walks over the places where room is asked for.
    for size in range(0, 1300, 7):
        assert out("%s", "<" * size) == b"&lt;" * size
        assert out("%s|%d", '"' * size, 10**18) == b"&#34;" * size + b"|1000000000000000000"
        if hasattr(_core, "probe_output_shrink"):
            _core.probe_output_shrink()
