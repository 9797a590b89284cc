"""The class that an application declares for its sessions: its fields, their place in a record, and
what becomes of the data when it changes.
"""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated, ClassVar, Optional, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepp._core import Session
from nodepp.sessions.convert import Converter, fitted
from nodepp.sessions.header import LAYOUT_SIZE_MAX
from nodepp.sessions.schema import (
    FIELDS_COUNT_MAX,
    NAME_SIZE_MAX,
    Field,
    Schema,
    declare,
    schema_of,
)
from nodepp.sessions.table import slot_size

ROOM = 10_000


class Counting:
    count: int = 0

    def describe(self) -> str:
        return f"{self.count} times"


class Visitor(Counting):
    """Who is here."""

    hits: int = -7
    share: float = 1
    on: bool = True
    nick: Annotated[str, 9] = "grüß"
    token: Annotated[bytes, 5] = b"\0\xff"
    later: float
    LIMIT = 10
    kinds: ClassVar[int] = 3

    @property
    def loud(self) -> str:
        return self.nick.upper()

    @staticmethod
    def twice(number: int) -> int:
        return 2 * number

    def own_class(self) -> type:
        return __class__


def schema(**kinds):
    """schema(hits="int", nick=("str", 30))"""
    fields = []
    for name, kind in kinds.items():
        kind, size = kind if isinstance(kind, tuple) else (kind, 1 if kind == "bool" else 8)
        zero = {"int": 0, "float": 0.0, "bool": False, "str": "", "bytes": b""}[kind]
        fields.append(Field(name, kind, size, zero))
    return Schema(fields)


def record(layout, **values):
    data = bytearray(layout.record)
    for field in layout.fields:
        if field.name in values:
            field.write(data, values[field.name])
    return bytes(data)


def values_of(layout, data):
    return {it.name: it.read(data) for it in layout.fields}


# --- the class ------------------------------------------------------------------------------------


def test_a_declared_class_is_a_session_with_the_methods_of_the_class():
    declared = declare(Visitor)
    assert issubclass(declared, Session) and declared.__name__ == "Visitor"
    assert declared.__doc__ == "Who is here." and declared.__module__ == __name__
    assert declared.LIMIT == 10 and declared.kinds == 3 and declared.twice(4) == 8
    assert isinstance(declared.loud, property)
    assert declared.describe is Counting.describe
    assert declared.own_class(None) is declared         # what super() needs
    assert "__dict__" not in vars(declared)             # a typing mistake is an AttributeError


def test_the_record_has_the_defaults():
    declared = declare(Visitor)
    layout = schema_of(declared)
    assert declared.__session_record__ == layout.record
    assert values_of(layout, layout.record) == {
        "count": 0, "hits": -7, "share": 1.0, "on": True, "nick": "grüß", "token": b"\0\xff",
        "later": 0.0}


def test_fields_lie_where_their_alignment_wants_them_and_do_not_overlap():
    layout = schema_of(declare(Visitor))
    taken = set()
    for field in layout.fields:
        assert field.offset % {"int": 8, "float": 8, "str": 2, "bytes": 2, "bool": 1}[field.kind] \
            == 0
        place = set(range(field.offset, field.end))
        assert not place & taken and field.end <= layout.size
        taken |= place
    assert layout.size % 8 == 0 and layout.size - len(taken) < 10


def test_numbers_are_little_endian_and_text_has_two_bytes_of_length():
    layout = schema(hits="int", nick=("str", 4))
    assert record(layout, hits=-2, nick="ü") == (
        b"\xfe\xff\xff\xff\xff\xff\xff\xff" b"\x02\x00\xc3\xbc\x00\x00" b"\0\0")
    assert layout.layout == "hits int 0 8\nnick str 8 4\n"


def test_the_layout_of_a_class_is_read_back_from_its_text():
    layout = schema_of(declare(Visitor))
    again = Schema.parse(layout.layout)
    assert again.layout == layout.layout and again.size == layout.size
    assert values_of(again, layout.record) == values_of(layout, layout.record)


@pytest.mark.parametrize("text", [
    "hits int 8 8\n", "hits int 0 8", "hits long 0 8\n", "hits int 0\n", "hits int 0 x\n", "\n",
    "hits int 0 8\nhits", "x" * 50,
])  # fmt: skip
def test_a_text_that_is_no_layout_is_refused(text):
    with pytest.raises(ValueError):
        Schema.parse(text)


def test_defaults_are_no_part_of_the_layout():
    class One:
        hits: int = 1

    class Two:
        hits: int = 2

    assert schema_of(declare(One)).layout == schema_of(declare(Two)).layout


def test_the_layout_of_the_largest_class_fits_in_the_head_of_the_file():
    name = "n" * (NAME_SIZE_MAX - 4)
    fields = [Field(f"{name}{number:04}", "bytes", 65_000, b"", 0)
              for number in range(FIELDS_COUNT_MAX)]
    assert len(Schema(fields).layout.encode()) <= LAYOUT_SIZE_MAX


def test_a_slot_has_room_for_the_name_of_a_login_too():
    assert slot_size(schema(on="bool")) == 72
    assert slot_size(schema(nick=("str", 1000))) == 1072


def test_a_class_may_say_that_it_is_a_session_so_that_type_checkers_know_its_methods():
    class Typed(Session):
        hits: int = 0

    declared = declare(Typed)
    assert issubclass(declared, Session) and not issubclass(declared, Typed)
    assert [it.name for it in schema_of(declared).fields] == ["hits"]


def wrong(**members):
    """A class made of annotations (in `_`) and members."""
    annotations = members.pop("_", {})
    return type("Wrong", (), {"__annotations__": annotations, "__module__": __name__, **members})


TEXT, BYTES = Annotated[str, 4], Annotated[bytes, 4]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="annotations are made another way")
@pytest.mark.parametrize(("cls", "message"), [
    (wrong(), r"Wrong has no fields; write them as  hits: int = 0"),
    (wrong(_={"nick": str}), r"Wrong\.nick: how many bytes\? Write Annotated\[str, 30\]"),
    (wrong(_={"data": bytes}), r"Annotated\[bytes, 30\]"),
    (wrong(_={"nick": Annotated[str, 4, 5]}), "how many bytes"),
    (wrong(_={"nick": Annotated[str, 0]}), "its size is 1 to"),
    (wrong(_={"nick": Annotated[str, 70_000]}), "its size is 1 to"),
    (wrong(_={"cart": list}), r"Wrong\.cart: a field is an int, float, bool, Annotated\[str"),
    (wrong(_={"hits": Optional[int]}), "a field is an int"),
    (wrong(_={"hits": "Unknown"}), "annotations of Wrong cannot be read"),
    (wrong(_={"hits": int}, hits="0"), r"Wrong\.hits: its default is '0', which is no int"),
    (wrong(_={"hits": int}, hits=True), "which is no int"),
    (wrong(_={"hits": int}, hits=1 << 63), "more than 64 bits"),
    (wrong(_={"on": bool}, on=1), "which is no bool"),
    (wrong(_={"nick": TEXT}, nick="grüß"), "its default has 6 bytes; 4 at most"),
    (wrong(_={"data": BYTES}, data="abc"), "which is no bytes"),
    (wrong(_={"uid": int}), "every session has a 'uid' already; choose another name"),
    (wrong(_={"logout": bool}), "every session has a 'logout' already"),
    (wrong(_={"a" * 101: int}), "needs another name"),
    (wrong(_={"hits": int}, nick=""), r"Wrong\.nick = '' has no type; write  nick: str = ''"),
    (wrong(_={"hits": int}, cart=[]), r"cart = \[\] has no type"),
    (wrong(_={"hits": int}, __init__=lambda self: None), "sessions are made by the server"),
    (dataclasses.dataclass(wrong(_={"hits": int})), "leave @dataclass away"),
    (wrong(_={f"f{number}": int for number in range(257)}), "has 257 fields; 256 at most"),
    (wrong(_={f"f{number}": Annotated[str, 40_000] for number in range(2)}),
     r"needs 80,008 bytes; a session has 65,536 at most"),
])  # fmt: skip
def test_what_a_record_cannot_hold_is_said_with_class_and_field(cls, message):
    with pytest.raises(TypeError, match=message):
        declare(cls)


def test_fields_are_listed_by_those_who_ask_for_annotations():
    assert get_type_hints(declare(Visitor), include_extras=True) == {
        "count": int, "hits": int, "share": float, "on": bool, "nick": Annotated[str, 9],
        "token": Annotated[bytes, 5], "later": float, "kinds": ClassVar[int],
    }  # fmt: skip


def test_only_classes_are_declared():
    with pytest.raises(TypeError, match="session_data decorates a class"):
        declare(lambda: None)


# --- values ---------------------------------------------------------------------------------------


def test_a_record_that_is_too_short_or_damaged_gives_defaults():
    layout = schema(hits="int", nick=("str", 4))
    full = record(layout, hits=5, nick="abc")
    assert values_of(layout, full[:9]) == {"hits": 5, "nick": ""}
    assert values_of(layout, b"") == {"hits": 0, "nick": ""}
    assert layout.fields[1].read(full[:8] + b"\xff\xff" + full[10:]) == ""
    assert layout.fields[1].read(full[:8] + b"\x02\x00\xff\xfe" + full[12:]) == ""


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.floats(allow_nan=False), st.booleans(),
       st.text(max_size=10), st.binary(max_size=40))
def test_what_is_written_is_read(hits, share, on, nick, token):
    layout = schema(on="bool", nick=("str", 40), hits="int", token=("bytes", 40), share="float")
    values = {"on": on, "nick": nick, "hits": hits, "token": token, "share": share}
    assert values_of(layout, record(layout, **values)) == values


@pytest.mark.parametrize(("kind", "value", "expected"), [
    ("int", 3.9, 3), ("int", -3.9, -3), ("int", True, 1), ("int", float("nan"), None),
    ("int", float("inf"), None), ("int", 1 << 63, None), ("int", 1e300, None), ("int", " -3", -3),
    ("int", "3.5", None), ("int", "9" * 41, None), ("int", b"3", None), ("int", "", None),
    ("int", None, None), ("int", [1], None),
    ("float", 3, 3.0), ("float", True, 1.0), ("float", 1 << 2000, None), ("float", "3.5", 3.5),
    ("float", "much", None),
    ("bool", 7, True), ("bool", 0, False), ("bool", 0.5, True), ("bool", "yes", None),
    ("str", "grüße", "grü"), ("str", "abcd", "abcd"), ("str", "abc€", "abc"),
    ("str", b"abc", "abc"), ("str", b"\xff", None), ("str", "\ud800", None),
    ("str", -3.5, "-3.5"), ("str", 12345, None), ("str", True, None),
    ("str", 3, "3"), ("str", None, None),
    ("bytes", b"abcd", b"abcd"), ("bytes", b"abcde", None), ("bytes", "grü", "grü".encode()),
    ("bytes", 3, None),
])  # fmt: skip
def test_a_value_becomes_one_of_the_field_or_nothing(kind, value, expected):
    size = {"int": 8, "float": 8, "bool": 1}.get(kind, 4)
    found = fitted(Field("x", kind, size, 0), value)
    assert found == expected and type(found) is type(expected)


# --- conversion -----------------------------------------------------------------------------------


def test_fields_of_the_same_name_are_carried_over_and_the_rest_take_defaults():
    old = schema(hits="int", nick=("str", 30), gone="bool", share="float")
    new = Schema([Field("nick", "str", 4, "me"), Field("fresh", "int", 8, 42),
                  Field("hits", "float", 8, 0.0), Field("share", "int", 8, 1)])
    converter = Converter(old, new)
    data = record(old, hits=7, nick="grüße", gone=True, share=float("nan"))
    assert values_of(new, converter.convert(data, ROOM)) == {
        "nick": "grü", "fresh": 42, "hits": 7.0, "share": 1}
    assert converter.lost_count == 1
    assert converter.text() == "fields kept: nick, hits, share; new: fresh; gone: gone"


def test_a_dict_becomes_a_record():
    new = schema(hits="int", nick=("str", 4), on="bool")
    converter = Converter(None, new)
    data = msgspec.msgpack.encode({"hits": 7.0, "nick": "grüße", "on": "yes", "cart": [1, 2]})
    assert values_of(new, converter.convert(data, ROOM)) == {"hits": 7, "nick": "grü", "on": False}
    assert converter.lost_count == 1
    assert converter.text() == "dicts became fields hits, nick, on"


def test_a_record_becomes_a_dict():
    old = schema(hits="int", nick=("str", 9), on="bool", token=("bytes", 3), share="float")
    converter = Converter(old, None)
    values = {"hits": 7, "nick": "grüße", "on": True, "token": b"\0\1", "share": 0.5}
    found = msgspec.msgpack.decode(converter.convert(record(old, **values), ROOM))
    assert found == values and type(found["on"]) is bool
    assert converter.text() == "fields became dicts"


def test_where_there_is_less_room_the_largest_values_of_a_dict_go_first():
    converter = Converter(None, None)
    data = msgspec.msgpack.encode({"hits": 7, "essay": "x" * 500, "nick": "me", "note": "y" * 60})
    assert converter.convert(data, len(data)) is data
    found = converter.convert(data, 100)
    assert msgspec.msgpack.decode(found) == {"hits": 7, "nick": "me", "note": "y" * 60}
    assert len(converter.convert(data, 30)) <= 30
    assert converter.convert(data, 1) != data and len(converter.convert(data, 1)) <= 1
    assert converter.text() == ""


@pytest.mark.parametrize("old", [None, schema(hits="int")])
@pytest.mark.parametrize("new", [None, schema(hits="int"), schema(hits="float")])
def test_sessions_that_nobody_wrote_to_stay_so(old, new):
    assert Converter(old, new).convert(b"", ROOM) == b""


@pytest.mark.parametrize("data", [b"\xc1", b"\x93\x01", b"\x01", b"\x91" * 5000])
def test_data_that_are_no_dict_become_defaults(data):
    new = schema(hits="int")
    converter = Converter(None, new)
    assert converter.convert(data, ROOM) == new.record
    assert converter.lost_count == 1


def test_a_class_of_many_fields_is_said_in_short():
    old = schema(**{f"f{number}": "int" for number in range(20)})
    assert Converter(old, schema(f0="int")).text().endswith("f7, f8 and 11 more")


VALUES = st.dictionaries(
    st.sampled_from(["hits", "nick", "on", "token", "share", "else"]),
    st.recursive(st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.floats()
                 | st.text() | st.binary(), lambda it: st.lists(it, max_size=3), max_leaves=5))


@given(VALUES)
def test_any_dict_becomes_a_record_and_that_a_dict_again(values):
    new = schema(on="bool", nick=("str", 4), hits="int", token=("bytes", 4), share="float")
    data = Converter(None, new).convert(msgspec.msgpack.encode(values), ROOM)
    if not values:
        return
    assert len(data) == new.size
    back = msgspec.msgpack.decode(Converter(new, None).convert(data, ROOM))
    assert set(back) == {"on", "nick", "hits", "token", "share"}
    assert Converter(new, None).lost_count == 0


@given(VALUES, st.integers(0, 60))
def test_a_dict_always_fits_in_the_room_that_is_left(values, room):
    found = Converter(None, None).convert(msgspec.msgpack.encode(values), room)
    assert len(found) <= room
    if found:
        rest = msgspec.msgpack.decode(found)
        assert set(rest) <= set(values)
