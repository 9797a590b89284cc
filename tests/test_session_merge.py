"""Two processes, one session: what each of them has changed is there afterwards.

The other process is asked from within a handler of this one, so that both requests are under way at
the same time, and always in the same order.
"""

from __future__ import annotations

import copy
import json
import os
import socket
import urllib.parse

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import Child, at_once
from responsereader import read_responses
from visitors import LOGIN_HANDLERS, Visitor, Visits
from waiting import DEADLINE_S

from nodepp import _core

EXAMPLES = int(os.environ.get("NODEPP_MERGE_EXAMPLES", "60"))
NUMBERS, LISTS = ("n", "m"), ("l", "k")


def do(session, steps) -> None:
    """Steps as JSON has them: [what, key, value]."""
    for what, key, value in steps:
        if what == "set":
            session[key] = value
        elif what == "delete":
            session.pop(key, None)
        elif what == "append":
            session.setdefault(key, []).append(value)
        elif what == "add":
            session.add(key, value)
        elif what == "clear":
            session.clear()
        elif what == "login":
            session.login(value)
        else:
            getattr(session, what)()


def do_all(req):
    do(req.session, json.loads(req.query["steps"]))
    return "done"


HANDLERS = {**LOGIN_HANDLERS, "do": do_all}


class Elsewhere:
    """The site in another process, asked over one connection."""

    def __init__(self, table) -> None:
        self.socket, theirs = socket.socketpair()
        self.socket.settimeout(DEADLINE_S)
        self.child = Child(self.serve, table, theirs)
        theirs.close()

    def serve(self, table, theirs: socket.socket) -> None:
        self.socket.close()
        site = Visits(table=table, handlers=HANDLERS)
        theirs.setblocking(False)
        site.server.engine.adopt(theirs.detach())
        while True:
            site.server.engine.turn(1000)

    def ask(self, visitor: Visitor, target: str):
        self.socket.sendall(visitor.bytes_of("GET", target))
        data = b""
        while True:
            data += self.socket.recv(1 << 16)
            responses, rest = read_responses(data)
            if responses and not rest:
                return responses[0]

    def do(self, visitor: Visitor, steps) -> None:
        response = self.ask(visitor, "/do?steps=" + urllib.parse.quote(json.dumps(steps)))
        assert response.status == 200, response
        visitor.take(response)                       # of a login, or of a renewal

    def close(self) -> None:
        self.child.kill()
        self.socket.close()


class Pair:
    """Two processes with one table, and a visitor whose session both have in hand."""

    def __init__(self, first: dict | None, table=None) -> None:
        self.table = table or _core.SessionTable(20, 512)
        self.elsewhere = Elsewhere(self.table)
        self.steps: list = []
        self.site = Visits(table=self.table, handlers={**HANDLERS, "here": self.here})
        self.visitor = self.site.visitor()
        if first is not None:
            self.begin(first)

    def begin(self, first: dict) -> None:
        self.visitor.jar = {}
        for id in self.table.ids():
            self.table.remove(id)
        self.do_here([["start", "", 0], *(["set", key, value] for key, value in first.items())])

    def here(self, req):
        for step in self.steps:
            if step[0] == "theirs":
                self.elsewhere.do(self.visitor, step[1])
            elif callable(step[0]):
                step[0](req.session)
            else:
                do(req.session, [step])
        return "done"

    def do_here(self, steps) -> None:
        """One request of this process; ["theirs", steps] is one of the other in its midst."""
        self.steps = steps
        response = self.visitor.get("/here")
        if self.site.app.problems:
            raise self.site.app.problems.pop()
        assert response.body == b"done"

    def data(self) -> dict:
        return self.site.data(self.visitor)

    def close(self) -> None:
        self.elsewhere.close()
        self.site.close()


@pytest.fixture
def pair():
    pair = Pair({"n": 1, "l": [1]})
    yield pair
    pair.close()


@pytest.mark.parametrize(("steps", "expected"), [
    ([["theirs", [["set", "b", 2]]], ["set", "a", 1]], {"n": 1, "l": [1], "a": 1, "b": 2}),
    ([["set", "a", 1], ["theirs", [["set", "b", 2]]]], {"n": 1, "l": [1], "a": 1, "b": 2}),
    ([["set", "a", 1], ["theirs", [["set", "a", 2]]]], {"n": 1, "l": [1], "a": 1}),
    ([["set", "n", 5], ["theirs", [["delete", "n", 0]]]], {"n": 5, "l": [1]}),
    ([["delete", "n", 0], ["theirs", [["set", "b", 2]]]], {"l": [1], "b": 2}),
    ([["delete", "n", 0], ["theirs", [["set", "n", 2]]]], {"l": [1]}),
    ([["append", "l", 2], ["theirs", [["set", "b", 2]]]], {"n": 1, "l": [1, 2], "b": 2}),
    ([["set", "a", 1], ["theirs", [["append", "l", 2]]]], {"n": 1, "l": [1, 2], "a": 1}),
    ([["append", "l", 2], ["theirs", [["append", "l", 3]]]], {"n": 1, "l": [1, 2]}),
    ([["append", "k", 2], ["theirs", [["append", "l", 3]]]], {"n": 1, "l": [1, 3], "k": [2]}),
    ([["set", "a", 1], ["theirs", [["clear", "", 0]]]], {"a": 1}),
    ([["clear", "", 0], ["theirs", [["set", "b", 2]]]], {}),
    ([["clear", "", 0], ["set", "a", 1], ["theirs", [["set", "b", 2]]]], {"a": 1}),
    ([["set", "a", 1], *[["theirs", [["set", each, 0]]] for each in "xyz"]],
     {"n": 1, "l": [1], "a": 1, "x": 0, "y": 0, "z": 0}),
])  # fmt: skip
def test_only_what_was_changed_is_written_over_what_others_wrote(pair, steps, expected):
    pair.do_here(steps)
    assert pair.data() == expected


@pytest.mark.parametrize(("steps", "expected"), [
    ([["add", "n", 1], ["theirs", [["add", "n", 10]]], ["add", "n", 100]], 112),
    ([["theirs", [["add", "n", 10]]], ["add", "n", 100]], 111),
    ([["set", "x", 0], ["theirs", [["add", "n", 10]]], ["add", "n", 100]], 111),
    ([["add", "n", 100], ["theirs", [["set", "n", 5]]]], 5),
    ([["add", "n", 100], ["theirs", [["set", "n", 5]]], ["set", "x", 0]], 5),
    ([["set", "n", 50], ["theirs", [["add", "n", 10]]], ["add", "n", 1]], 51),
    ([["add", "n", 0.5], ["theirs", [["add", "n", 1]]]], 2.5),
])  # fmt: skip
def test_adding_is_done_at_once(pair, steps, expected):
    pair.do_here(steps)
    assert pair.data()["n"] == expected


def test_adding_survives_the_failure_of_its_request(pair):
    def fail(session):
        session["x"] = 1
        session.add("n", 10)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pair.do_here([[fail]])
    assert pair.data() == {"n": 11, "l": [1]}


@pytest.mark.parametrize("value", ["text", None, [1], True])
def test_adding_to_what_is_no_number_is_refused(pair, value):
    def add(session):
        with pytest.raises(TypeError):
            session.add("v", 1)

    pair.do_here([["set", "v", value]])
    if value is not True:                      # a bool is a number to Python
        pair.do_here([[add]])
        assert pair.data()["v"] == value


def test_value_that_is_held_across_an_add_is_still_the_sessions(pair):
    """add() had to read again what another had written; a list that the handler held was the
    session's no longer."""
    held = []
    pair.do_here([
        [lambda session: held.append(session["l"])],
        ["theirs", [["set", "b", 2]]],
        ["add", "n", 1],
        [lambda session: held[0].append(2)],
    ])  # fmt: skip
    assert pair.data() == {"n": 2, "l": [1, 2], "b": 2}


def test_merged_data_that_do_not_fit_are_an_error_and_the_others_stay(pair):
    with pytest.raises(_core.SessionFull):
        pair.do_here([["set", "a", "x" * 300], ["theirs", [["set", "b", "y" * 300]]]])
    assert pair.data() == {"n": 1, "l": [1], "b": "y" * 300}


# Who the visitor is.

def test_login_elsewhere_is_not_undone(pair):
    pair.do_here([["set", "a", 1], ["theirs", [["login", "", 7]]]])
    assert pair.visitor.get("/who").body.startswith(b"7 ")
    assert pair.data() == {"n": 1, "l": [1], "a": 1}


SECRET = [["set", "iban", "secret"], ["login", "", 5]]


@pytest.mark.parametrize("steps", [
    [["set", "mine", 1]], [["clear", "", 0], ["set", "mine", 1]], [["refresh_csrf", "", 0]],
])  # fmt: skip
def test_who_had_the_old_id_sees_nothing_of_a_login_elsewhere(pair, steps):
    """Keys that were set before the login took effect are put beside it, and no more: the session
    of a request that was under way showed the login, its data and its new id, took its token, and
    emptied it.
    """
    kept = []
    look = [lambda session: kept.append(session) or session.get("n")]
    pair.do_here([look, ["theirs", SECRET], *steps])
    (row,) = pair.table.records()
    assert row[5] == 5
    mine = {"mine": 1} if ["set", "mine", 1] in steps else {}
    assert msgspec.msgpack.decode(row[10]) == {"n": 1, "l": [1], "iban": "secret", **mine}
    session = kept.pop()
    assert (session.exists, session.id, session.uid, dict(session)) == (False, "", 0, {})


def test_login_here_over_a_login_elsewhere_gets_a_session_of_its_own(pair):
    """It took over the other's, with his data."""
    pair.do_here([[lambda session: session.get("n")], ["theirs", SECRET], ["login", "", 7]])
    found = {row[5]: msgspec.msgpack.decode(row[10]) for row in pair.table.records()}
    assert found == {5: {"n": 1, "l": [1], "iban": "secret"}, 7: {"n": 1, "l": [1]}}
    assert pair.visitor.get("/who").body.startswith(b"7 ")


def test_login_here_keeps_what_was_written_elsewhere(pair):
    pair.do_here([["login", "", 7], ["theirs", [["set", "b", 2]]], ["set", "a", 1]])
    assert pair.visitor.get("/who").body.startswith(b"7 ")
    assert pair.data() == {"n": 1, "l": [1], "a": 1, "b": 2}


def test_renewal_elsewhere_loses_nothing(pair):
    pair.do_here([["set", "a", 1], ["theirs", [["renew", "", 0]]]])
    assert pair.data() == {"n": 1, "l": [1], "a": 1}
    assert len(pair.table) == 1


def test_renewal_here_keeps_what_was_written_elsewhere(pair):
    pair.do_here([["renew", "", 0], ["theirs", [["set", "b", 2]]], ["set", "a", 1]])
    assert pair.data() == {"n": 1, "l": [1], "a": 1, "b": 2}


def test_logout_elsewhere_is_final(pair):
    """What a request was still about to write begins no session for him who has left."""
    pair.do_here([["login", "", 7]])
    pair.do_here([["set", "a", 1], ["theirs", [["logout", "", 0]]], ["set", "c", 3]])
    assert len(pair.table) == 0
    assert pair.visitor.get("/who").body.startswith(b"0 ")


@pytest.mark.parametrize("uses", [
    lambda session: session.add("n", 1), lambda session: session.update(x=1),
    lambda session: session.login(9), lambda session: session.renew(),
    lambda session: session.clear(), lambda session: session.refresh_csrf(),
])  # fmt: skip
def test_slot_that_a_stranger_has_now_is_left_alone(pair, uses):
    """The session has ended meanwhile, and the lowest free slot was taken by another visitor."""
    stranger = pair.site.visitor()
    ids = []

    def stranger_comes(session):
        pair.elsewhere.do(stranger, [["set", "mine", 1]])

    def use(session):
        session["l"].append(5)
        try:
            uses(session)
        except RuntimeError:
            pass
        session["x"] = 2
        ids.append(session.id)

    try:
        pair.do_here([["set", "y", 1], ["theirs", [["logout", "", 0]]], [stranger_comes], [use]])
    except RuntimeError:
        pass                                   # said so; nothing was written
    assert pair.site.data(stranger) == {"mine": 1}
    assert stranger.values[0] not in ids
    assert stranger.values != pair.visitor.values
    assert pair.visitor.get("/who").body.startswith(b"0 ") or uses.__code__.co_names[:1] == (
        "login",)  # fmt: skip


def test_slot_that_a_stranger_has_is_left_alone_after_a_restart_too(
        tmp_path, request):
    """What numbers sessions through must not begin again beside those that a file has kept."""
    with open(tmp_path / "sessions", "w+b") as file:
        os.posix_fallocate(file.fileno(), 0, _core.SessionTable.region_size(20, 512))
        options = {"key": bytes(32), "key_is_new": False, "fd": file.fileno()}
        before = Visits(table=_core.SessionTable(20, 512, **options), handlers=HANDLERS)
        visitor = before.visitor()
        visitor.get("/count")
        before.close()
        pair = Pair(None, _core.SessionTable(20, 512, **options))
    request.addfinalizer(pair.close)
    pair.visitor.jar = visitor.jar
    stranger = pair.site.visitor()
    assert pair.visitor.get("/show").body == b"{'count': 1}"
    pair.do_here([
        ["set", "y", 1], ["theirs", [["logout", "", 0]]],
        [lambda session: pair.elsewhere.do(stranger, [["set", "mine", 1]])], ["set", "x", 2],
    ])  # fmt: skip
    assert pair.site.data(stranger) == {"mine": 1}


def test_logout_here_counts_against_what_is_written_elsewhere(pair):
    pair.do_here([["login", "", 7]])
    pair.do_here([["set", "a", 1], ["theirs", [["set", "b", 1]]], ["logout", "", 0]])
    assert len(pair.table) == 0 and not pair.visitor.jar


def test_token_made_anew_elsewhere_stays(pair):
    tokens = []
    pair.do_here([
        ["set", "a", 1], [lambda session: tokens.append(session.csrf_token)],
        ["theirs", [["refresh_csrf", "", 0]]]])  # fmt: skip
    checked = []
    pair.do_here([[lambda session: checked.append(session.check_csrf(tokens[0]))]])
    assert checked == [False] and pair.data()["a"] == 1


# Against a model.

class Model:
    """What the table holds, and what the request of this process sees of it."""

    def __init__(self, first: dict) -> None:
        self.table = copy.deepcopy(first)
        self.version = 0
        self.either: set[str] = set()
        self.view: dict | None = None

    def load(self) -> None:
        if self.view is None:
            self.changed: set[str] = set()
            self.sync()

    def sync(self) -> None:
        """The view is that of the table again, but for what was changed."""
        mine = {} if self.view is None else {key: self.view.get(key) for key in self.changed}
        there = set() if self.view is None else set(self.view)
        self.view, self.base = copy.deepcopy(self.table), copy.deepcopy(self.table)
        self.seen = self.version
        for key, value in mine.items():
            self.view.pop(key, None)
            if key in there:
                self.view[key] = value

    def notice_inner_changes(self) -> None:
        self.changed |= {key for key, value in self.view.items()
                         if isinstance(value, list) and self.base.get(key) != value}

    def here(self, what: str, key: str, value) -> None:
        self.load()
        if what == "set":
            self.view[key] = copy.deepcopy(value)
            self.changed.add(key)
        elif what == "delete" and key in self.view:
            del self.view[key]
            self.changed.add(key)
        elif what == "append":
            if key not in self.view:
                self.view[key] = []
                self.changed.add(key)
            self.view[key].append(value)
        elif what == "add" and key in self.changed:
            self.view[key] = self.view.get(key, 0) + value
        elif what == "add":
            self.notice_inner_changes()
            if self.seen != self.version:
                self.sync()
            self.table[key] = self.table.get(key, 0) + value
            self.version += 1
            self.seen = self.version
            self.view[key] = self.table[key]
            self.base = copy.deepcopy(self.table)

    def theirs(self, steps) -> None:
        before = msgspec.msgpack.encode(self.table)
        other = Model(self.table)
        for step in steps:
            other.here(*step)
        self.version += other.version
        other.end()
        self.table = other.table
        self.version += msgspec.msgpack.encode(self.table) != before

    def end(self) -> None:
        if self.view is None:
            return
        self.notice_inner_changes()
        for key in self.changed:
            if self.view.get(key) == self.base.get(key):
                self.either.add(key)               # set to what it was: before the others, or after
            self.table.pop(key, None)
            if key in self.view:
                self.table[key] = self.view[key]
        self.view = None

    def agrees(self, data: dict, before: dict) -> bool:
        """`before`: the table without this request's changes."""
        return all(data.get(key) == self.table.get(key)
                   or (key in self.either and data.get(key) == before.get(key))
                   for key in {*data, *self.table, *before})


own_steps = st.one_of(
    st.tuples(st.just("set"), st.sampled_from(NUMBERS), st.integers(-9, 9)),
    st.tuples(st.just("set"), st.sampled_from(LISTS), st.lists(st.integers(0, 9), max_size=2)),
    st.tuples(st.just("delete"), st.sampled_from(NUMBERS + LISTS), st.just(0)),
    st.tuples(st.just("append"), st.sampled_from(LISTS), st.integers(0, 9)),
    st.tuples(st.just("add"), st.sampled_from(NUMBERS), st.integers(1, 9)),
)
all_steps = st.lists(
    st.one_of(own_steps, st.tuples(st.just("theirs"), st.lists(own_steps, max_size=3))), max_size=8)


def test_two_processes_do_what_the_model_says():
    pair = Pair({})

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(first=st.fixed_dictionaries({}, optional={
        "n": st.integers(0, 9), "l": st.lists(st.integers(0, 9), max_size=2)}), steps=all_steps)
    def example(first, steps):
        pair.begin(first)
        model = Model(first)
        for step in steps:
            if step[0] == "theirs":
                model.theirs(step[1])
            else:
                model.here(*step)
        before = copy.deepcopy(model.table)
        model.end()
        pair.do_here(steps)
        assert model.agrees(pair.data(), before), (pair.data(), model.table)

    try:
        example()
    finally:
        pair.close()


# All at once.

def count_here(table, jar: dict, place: int, times: int) -> int:
    """A process's share: it counts in what is shared, and in what is its own."""
    site = Visits(table=table, handlers={
        "hit": lambda req: str(req.session.add("hits")),
        "own": lambda req: str(req.session.update({f"own{place}": req.session.get(
            f"own{place}", 0) + 1, "last": place})),
    })  # fmt: skip
    visitor = site.visitor()
    visitor.jar = dict(jar)
    for _ in range(times):
        assert visitor.get("/hit").status == visitor.get("/own").status == 200
    assert not site.app.problems, site.app.problems
    site.server.close()
    return times


def test_four_processes_count_in_one_session_and_lose_nothing():
    table = _core.SessionTable(4, 256)
    site = Visits(table=table, handlers={"start": lambda req: str(req.session.start())})
    visitor = site.visitor()
    visitor.get("/start")
    site.server.close()
    times = at_once(*[(count_here, table, visitor.jar, place, 300) for place in range(4)])
    data = site.data(visitor)
    last = data.pop("last")
    assert data == {"hits": sum(times), **{f"own{place}": 300 for place in range(4)}}
    assert last in range(4)
    assert table.check() == [] and len(table) == 1
    table.close()


def test_session_begun_in_one_process_goes_on_in_another(pair):
    assert pair.elsewhere.ask(pair.visitor, "/count").body == b"1"
    assert pair.visitor.get("/count").body == b"2"
    assert pair.elsewhere.ask(pair.visitor, "/count").body == b"3"


def test_cookie_of_just_before_a_renewal_does_not_delete_its_successor(pair):
    """Two requests of a page; one renewed the id, and the answer of the other took the new cookie
    away, for it had shown a login cookie and begun a session of its own.
    """
    pair.do_here([["login", "", 7]])
    before = dict(pair.visitor.jar)
    pair.do_here([["renew", "", 0]])
    now = dict(pair.visitor.jar)
    assert before != now
    pair.visitor.jar = before
    answer = pair.visitor.get("/do?steps=" + urllib.parse.quote('[["set", "x", 1]]'))
    assert not any(name == "Set-Cookie" and value.startswith("ls=")
                   for name, value in answer.fields)


def test_id_that_another_request_has_given_is_not_shown(pair):
    ids = []
    note = [lambda session: ids.append(session.id) or session.get("n")]
    pair.do_here([note, ["theirs", [["renew", "", 0]]], ["add", "n", 1], note])
    assert ids[0] and ids[1] == ""
    assert pair.data()["n"] == 2
