"""A declared class of session data: attributes of fixed size in a record, without any encoding."""

from __future__ import annotations

import math
import os
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_session_merge import Elsewhere
from visitors import Site, Visits

from nodepp import _core

EXAMPLES = int(os.environ.get("NODEPP_MERGE_EXAMPLES", "60"))
KINDS = {"int": 8, "float": 8, "bool": 1}


def declare(**fields: tuple) -> type[_core.Session]:
    """A class as nodepp.sessions makes it of a declared one. Each field: (kind, default) or, of str
    and bytes, (kind, default, size)."""
    members: dict = {"__slots__": (), "greet": lambda self: f"hello {self.nick}"}
    record = bytearray()
    for index, (name, (kind, default, *size)) in enumerate(fields.items()):
        width = 8 if kind in ("int", "float") else 1 if kind == "bool" else 2
        record += bytes(-len(record) % width)
        room = size[0] if size else KINDS[kind]
        members[name] = _core.SessionField(name, kind, len(record), room, index)
        if kind in ("str", "bytes"):
            data = default.encode() if kind == "str" else default
            record += struct.pack("<H", len(data)) + data.ljust(room, b"\0")
        else:
            record += struct.pack({"int": "<q", "float": "<d", "bool": "<?"}[kind], default)
    members["__session_record__"] = bytes(record + bytes(-len(record) % 8))
    return type("Visitor", (_core.Session,), members)


def declared() -> type[_core.Session]:
    return declare(
        hits=("int", 0), ratio=("float", 0.5), member=("bool", False), nick=("str", "you", 12),
        blob=("bytes", b"\0\xff", 4), other=("int", -7))  # fmt: skip


FIELDS = ("hits", "ratio", "member", "nick", "blob", "other")
DEFAULTS = (0, 0.5, False, "you", b"\0\xff", -7)


def values(session) -> tuple:
    return tuple(getattr(session, name) for name in FIELDS)


def hit(req):
    req.session.hits += 1
    return str(req.session.hits)


@pytest.fixture
def typed(visiting):
    """typed(step, step …): each is called with the session of one visitor, in a request each."""
    def start(*steps, **options):
        queue = list(steps)
        site = visiting(handlers={"it": lambda req: str(queue.pop(0)(req.session)), "hit": hit},
                        session_class=declared(), **options)  # fmt: skip
        visitor = site.visitor()
        for _ in steps:
            visitor.get("/it")
            if site.app.problems:
                raise site.app.problems.pop()
        return site, visitor

    return start


def test_fields_have_their_defaults_and_nobody_gets_a_session_for_reading(typed):
    def read(session):
        assert values(session) == DEFAULTS
        assert not session.exists and isinstance(session, _core.Session)

    site, visitor = typed(read)
    assert not visitor.jar and len(site.table) == 0


def test_what_is_written_is_there_at_the_next_request(typed):
    def write(session):
        session.hits, session.ratio, session.member = 2**63 - 1, -1e300, True
        session.nick, session.blob, session.other = "\u00e9\u20ac", b"", -(2**63)
        assert values(session) == expected

    expected = (2**63 - 1, -1e300, True, "\u00e9\u20ac", b"", -(2**63))
    seen = []
    typed(write, lambda session: seen.append(values(session)))
    assert seen == [expected]


def test_one_field_that_is_written_leaves_the_others(typed):
    seen = []

    def write(session):
        session.other = 5

    typed(write, lambda session: seen.append(values(session)))
    assert seen == [(*DEFAULTS[:-1], 5)]


def test_counter_counts(typed):
    _, visitor = typed()
    assert [visitor.get("/hit").body for _ in range(3)] == [b"1", b"2", b"3"]


def test_methods_of_the_class_are_kept(typed):
    typed(lambda session: session.greet() == "hello you" or 1 / 0)


@pytest.mark.parametrize(("name", "value"), [
    ("nick", "x" * 13), ("nick", "\u20ac" * 5), ("blob", b"12345"), ("nick", "x" * 100_000),
])  # fmt: skip
def test_value_that_does_not_fit_leaves_the_old_one(typed, name, value):
    def write(session):
        session.hits = 1
        with pytest.raises(_core.SessionFull):
            setattr(session, name, value)
        assert values(session)[1:] == DEFAULTS[1:]

    typed(write)


@pytest.mark.parametrize(("name", "value"), [
    ("nick", ""), ("nick", "x" * 12), ("nick", "\u20ac" * 4), ("nick", "a\0b"), ("blob", b"\0" * 4),
    ("ratio", math.inf), ("ratio", 3), ("ratio", -0.0), ("hits", True), ("member", 1),
])  # fmt: skip
def test_value_that_just_fits_comes_back(typed, name, value):
    seen = []
    typed(lambda session: setattr(session, name, value),
          lambda session: seen.append(getattr(session, name)))
    assert seen == [value]


@pytest.mark.parametrize(("name", "value"), [
    ("hits", "1"), ("hits", 1.5), ("hits", None), ("hits", 2**63), ("hits", -(2**63) - 1),
    ("ratio", "x"), ("ratio", None), ("nick", b"x"), ("nick", 5), ("nick", None), ("blob", "x"),
    ("nick", "\ud800"), ("ratio", 10**400),
])  # fmt: skip
def test_value_of_another_type_is_refused(typed, name, value):
    def write(session):
        with pytest.raises((TypeError, OverflowError, ValueError)):
            setattr(session, name, value)
        assert values(session) == DEFAULTS

    typed(write)


def test_declared_session_has_no_items_and_no_other_attributes(typed):
    def use(session):
        for call in (lambda: session["hits"], lambda: session.__setitem__("hits", 1),
                     lambda: session.pop("hits"), lambda: session.update(hits=1),
                     lambda: session.setdefault("hits", 1)):  # fmt: skip
            with pytest.raises(TypeError):
                call()
        with pytest.raises(AttributeError):
            session.hist = 1
        with pytest.raises(AttributeError):
            del session.hits

    site, _ = typed(use)
    assert len(site.table) == 0


def test_fields_can_be_added_to_at_once(typed):
    def add(session):
        assert session.add("hits") == 1 and session.add("hits", 10) == 11 == session.hits
        assert session.add("ratio", 0.25) == 0.75
        session.other = 1
        assert session.add("other", 1) == 2
        for name in ("nick", "blob", "nothing"):
            with pytest.raises((TypeError, AttributeError, KeyError)):
                session.add(name)
        with pytest.raises((OverflowError, ValueError)):
            session.add("hits", 2**63 - 1)
        return values(session)

    seen = []
    typed(add, lambda session: seen.append(values(session)))
    assert seen == [(11, 0.75, False, "you", b"\0\xff", 2)]


def test_exception_discards_what_was_written(visiting):
    def fail(req):
        req.session.hits = 100
        req.session.nick = "no"
        raise ZeroDivisionError

    site = visiting(session_class=declared(), handlers={
        "hit": hit, "fail": fail, "show": lambda req: repr(values(req.session))})  # fmt: skip
    visitor = site.visitor()
    visitor.get("/hit")
    assert visitor.get("/fail").status == 500
    assert visitor.get("/show").body == repr((1, *DEFAULTS[1:])).encode()


def test_login_of_somebody_else_finds_the_defaults(typed):
    seen = []

    def write(session):
        session.login(1)
        session.nick = "one"

    typed(write, lambda session: session.login(1), lambda session: seen.append(session.nick),
          lambda session: session.login(2), lambda session: seen.append(values(session)))
    assert seen == ["one", DEFAULTS]


def test_name_and_record_share_the_room(visiting):
    record = declared().__session_record__
    site = visiting(handlers={"it": lambda req: req.session.login(1, name="x" * 60)},
                    session_class=declared(), data_size=len(record) + 30)  # fmt: skip
    assert site.visitor().get("/it").status == 500
    assert isinstance(site.app.problems[0], _core.SessionFull)


def test_record_that_is_too_big_for_the_table_is_refused_at_the_start():
    table = _core.SessionTable(1, 16)
    engine = _core.Engine({"sessions": table}, _core.Router(), Site({}, session_class=declared()))
    with pytest.raises(ValueError):
        engine.open([])
    engine.close()
    table.close()


def test_session_that_was_kept_is_over_with_its_request(typed):
    kept = []
    site, visitor = typed(lambda session: kept.append(session) or session.hits)
    visitor.get("/hit")
    assert kept[0].hits == 0
    with pytest.raises(RuntimeError):
        kept[0].hits = 5
    assert visitor.get("/hit").body == b"2" and len(site.table) == 1


@pytest.mark.parametrize("arguments", [
    ("a", "int", 0, 8, 256), ("a", "long", 0, 8, 0), ("a", "str", 0, 65536, 0),
    (None, "int", 0, 8, 0), ("a", "int", -1, 8, 0)])  # fmt: skip
def test_field_that_makes_no_sense_is_refused(arguments):
    with pytest.raises((ValueError, TypeError, OverflowError)):
        _core.SessionField(*arguments)


def test_field_beyond_its_record_is_refused_when_it_is_used(visiting):
    """A mistake of whoever lays records out must not reach other memory."""
    cls = type("Visitor", (_core.Session,), {
        "__slots__": (), "__session_record__": bytes(16), "nick": None,
        "far": _core.SessionField("far", "int", 12, 8, 0),
        "long": _core.SessionField("long", "bytes", 8, 7, 1)})  # fmt: skip
    failures = []

    def it(req):
        for name, value in (("far", 1), ("long", b"x")):
            for call in (lambda n=name: getattr(req.session, n),
                         lambda n=name, v=value: setattr(req.session, n, v)):  # fmt: skip
                try:
                    call()
                except (TypeError, ValueError) as problem:
                    failures.append(problem)
        return "ok"

    site = visiting(handlers={"it": it}, session_class=cls)
    site.visitor().get("/it")
    assert len(failures) == 4


# Two processes.

steps_of_fields = st.lists(st.tuples(
    st.sampled_from(("here", "theirs")), st.sampled_from(("set", "add")),
    st.sampled_from(("hits", "other")), st.integers(1, 9)), max_size=8)


def do(req):
    """ops=set,hits,5;add,other,1"""
    for step in filter(None, req.query["ops"].split(";")):
        what, name, number = step.split(",")
        if what == "set":
            setattr(req.session, name, int(number))
        else:
            req.session.add(name, int(number))
    return "done"


class TypedElsewhere(Elsewhere):
    def serve(self, table, theirs) -> None:
        self.socket.close()
        site = Visits(table=table, handlers={"do": do}, session_class=declared())
        theirs.setblocking(False)
        site.server.engine.adopt(theirs.detach())
        while True:
            site.server.engine.turn(1000)


def model_of(first: dict, steps) -> dict:
    """Fields set here count in the end; sums are done at once, unless the field was set before."""
    table, mine = dict(first), {}
    for where, what, name, number in steps:
        if where == "here" and (what == "set" or name in mine):
            mine[name] = number if what == "set" else mine[name] + number
        elif what == "set":
            table[name] = number
        else:
            table[name] += number
    return {**table, **mine}


def test_two_processes_do_what_the_model_says():
    table = _core.SessionTable(8, 256)
    elsewhere = TypedElsewhere(table)
    state: dict = {}

    def it(req):
        for where, what, name, number in state["steps"]:
            if where == "theirs":
                elsewhere.ask(visitor, f"/do?ops={what},{name},{number}")
            elif what == "set":
                setattr(req.session, name, number)
            else:
                req.session.add(name, number)
        return "done"

    site = Visits(table=table, session_class=declared(), handlers={
        "it": it, "do": do, "show": lambda req: f"{req.session.hits} {req.session.other}"})
    visitor = site.visitor()

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(steps=steps_of_fields)
    def example(steps):
        visitor.get("/do?ops=set,hits,1;set,other,100")
        state["steps"] = steps
        assert visitor.get("/it").status == 200, site.app.problems
        expected = model_of({"hits": 1, "other": 100}, steps)
        assert visitor.get("/show").body.decode() == f"{expected['hits']} {expected['other']}"

    try:
        example()
    finally:
        elsewhere.close()
        site.close()
