"""A world of visitors who do everything at random, beside a model of what each of them must find.

Each run is a seed; a seed that fails fails again. SESSION_SEEDS=100-999 SESSION_STEPS=2000 look
further, best under AddressSanitizer.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import os
import random

import msgspec
import pytest
from visitors import Fault, Visitor, Visits

from nodepp import _core

FIRST, _, LAST = os.environ.get("SESSION_SEEDS", "0-11").partition("-")
SEEDS = range(int(FIRST), int(LAST or FIRST) + 1)
STEPS = int(os.environ.get("SESSION_STEPS", "150"))
# Sums of these are never near a timeout, so that it does not matter how long the test itself takes.
SKIPS_S = (170, 340, 510, 1870, 5100)
IDLE_S, LOGIN_IDLE_S, LIFETIME_S = 600, 1800, 5000
KEYS = ("a", "b", "cart")
OPERATIONS = ("set", "delete", "append", "add", "clear", "login", "logout", "renew", "start",
              "token", "look")  # fmt: skip
ENDS = ("answer", "answer", "answer", "stream", "status", "404", "500")


class Person:
    """A visitor, and what the site must know of him."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.forget()

    def forget(self) -> None:
        self.exists = False
        self.data: dict = {}
        self.uid = self.level = 0
        self.started = self.active = 0

    def state(self) -> dict:
        return {name: copy.deepcopy(value) for name, value in vars(self).items()
                if name != "visitor"}

    def restore(self, state: dict) -> None:
        vars(self).update(state)

    def is_over(self, now: int) -> bool:
        idle = LOGIN_IDLE_S if self.uid else IDLE_S
        return now - self.active >= idle or now - self.started >= LIFETIME_S

    @property
    def id(self) -> bytes:
        """Of the session that his browser knows; a login that is over may leave its cookie."""
        ids = [base64.urlsafe_b64decode(cookie)[:24] for cookie in self.visitor.values]
        return next((id for id in ids if self.visitor.site.table.find(id) >= 0), ids[0])


class World:
    def __init__(self, visiting, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0
        self.scripts: dict[str, tuple] = {}
        self.faults: list[str] = []
        self.site: Visits = visiting(
            capacity=self.random.choice((2, 4, 30)), data_size=200, handlers={"it": self.it},
            session_timeout_s=IDLE_S, session_auth_timeout_s=LOGIN_IDLE_S,
            session_lifetime_s=LIFETIME_S)  # fmt: skip
        self.people = [Person(self.site.visitor()) for _ in range(8)]
        self.starts = self.ends = 0

    @property
    def living(self) -> list[Person]:
        return [person for person in self.people if person.exists]

    # In a handler.

    def it(self, req):
        """Does what the script says, to the session and to the model; what differs is a fault."""
        person, operations, end = self.scripts[req.query["who"]]
        person.before = person.state()
        if person.exists:
            person.active = self.now
            person.before["active"] = self.now
        try:
            for what, key, value in operations:
                self.do(req.session, person, what, key, value)
                self.compare(req.session, person, what)
        except _core.SessionsExhausted:
            person.restore(person.before)
            if len(self.living) < self.site.table.capacity:
                self.faults.append("refused while there was room")
            raise
        if end in ("500", "404"):
            if end == "500":
                person.restore(person.before)
            raise Fault(int(end))
        if end == "stream":
            return (piece for piece in (b"o", b"k"))
        return (500, "ok") if end == "status" else "ok"

    def do(self, session, person: Person, what: str, key: str, value: int) -> None:
        if what in ("delete", "append", "add", "clear", "logout", "look") and not person.exists:
            what = "look" if what in ("delete", "clear", "logout") else what
        if what in ("set", "append", "add", "start", "token", "login", "renew"):
            self.begin(session, person, what == "login")
        if what == "set":
            session[key] = person.data[key] = value
        elif what == "delete":
            if session.pop(key, None) != person.data.pop(key, None):
                self.faults.append("another value was deleted")
        elif what == "append":
            for cart in (session, person.data):
                if not isinstance(cart.get("cart"), list) or len(cart["cart"]) > 9:
                    cart["cart"] = []
                cart["cart"].append(value)
        elif what == "add":
            person.data["sum"] = person.data.get("sum", 0) + value
            if session.add("sum", value) != person.data["sum"]:
                self.faults.append("another sum")
        elif what == "login":
            if person.uid not in (0, value):
                person.data = {}
            session.login(value, 10 + value)
            person.uid, person.level, person.started = value, 10 + value, self.now
        elif what == "logout":
            session.logout()
            person.forget()
        elif what == "clear":
            session.clear()
            person.data = {}
        elif what == "renew":
            session.renew()
        elif what == "token" and not session.check_csrf(session.csrf_token):
            self.faults.append("a token that does not count")

    def begin(self, session, person: Person, for_login: bool) -> None:
        """The session is there from now on; in a full table somebody may have had to go."""
        if person.exists:
            return
        full = len(self.living) == self.site.table.capacity
        anonymous = [each for each in self.living if not each.uid]
        if full and not (for_login and anonymous):
            session.start()                      # raises; it must
            self.faults.append("no room, and yet a session")
        if for_login:
            session.login(1, 11)
            person.uid, person.level = 1, 11
        else:
            session.start()
        if full:
            gone = [each for each in anonymous if self.site.table.find(each.id) < 0]
            oldest = min(each.active for each in anonymous)
            if len(gone) != 1 or gone[0].active != oldest:
                self.faults.append(f"{[each.active for each in gone]} gave way, not {oldest}")
            for each in gone:
                each.forget()
        person.exists, person.data = True, {}
        person.level = person.level or 1
        person.started = person.active = self.now

    def compare(self, session, person: Person, what: str) -> None:
        seen = (session.exists, session.uid, session.level, dict(session.items()))
        known = (person.exists, person.uid, person.level, person.data)
        if seen != known:
            self.faults.append(f"after {what}: {seen}, not {known}")

    # What happens.

    def script(self, person: Person) -> tuple:
        end = self.random.choice(ENDS)
        weights = [1] * len(OPERATIONS)
        if end == "500":                         # what takes effect at once cannot be taken back
            for each in ("add", "logout"):
                weights[OPERATIONS.index(each)] = 0
        operations = [(what, self.random.choice(KEYS), self.random.randrange(1, 4))
                      for what in self.random.choices(OPERATIONS, weights,
                                                      k=self.random.randrange(1, 5))]  # fmt: skip
        return person, operations, end

    def step(self) -> None:
        what = self.random.random()
        if what < 0.12:
            self.skip(self.random.choice(SKIPS_S))
        elif what < 0.16:
            person = self.random.choice(self.people)       # a browser that forgets its cookies
            if not person.exists:
                person.visitor.jar = {}
        elif what < 0.2:
            for person in self.people:                     # all take new connections
                if person.visitor.client is not None:
                    person.visitor.client.reset()
                    person.visitor.client = None
        else:
            room = self.site.table.capacity - len(self.living)
            count = self.random.randrange(1, 5) if room > 4 else 1
            self.ask(self.random.sample(self.people, count))

    def skip(self, seconds: int) -> None:
        self.site.skip(seconds)
        self.now += seconds
        for person in self.living:
            if person.is_over(self.now):
                person.forget()
        self.site.gone_to(len(self.living))

    def ask(self, people: list[Person]) -> None:
        """Their requests, one behind the other over one connection."""
        shared = people[0].visitor
        client = shared.connection()
        self.scripts = {str(place): self.script(person) for place, person in enumerate(people)}
        client.exchange(b"".join(
            person.visitor.bytes_of("GET", f"/it?who={place}")
            for place, person in enumerate(people)))  # fmt: skip
        shared.methods += ["GET"] * len(people)
        responses = client.responses(*shared.methods, count=len(shared.methods))
        for response, (person, _, end) in zip(responses[-len(people):], self.scripts.values()):
            person.visitor.take(response)
            expected = {"404": 404, "500": 500, "status": 500}.get(end, 200)
            if response.status not in (expected, 503):
                self.faults.append(f"{response.status} after {end}")
            if person.exists != (len(person.visitor.jar) > 0 and self.knows(person)):
                self.faults.append(f"after {end}: {person.state()}, {person.visitor.jar}")
        assert not self.faults, (self.faults, self.scripts)
        self.site.app.problems.clear()

    def knows(self, person: Person) -> bool:
        return self.site.table.find(person.id) >= 0

    def hold(self) -> None:
        """The table has what the model has, and nothing else."""
        table = self.site.table
        assert table.check() == []
        assert len(table) == len(self.living)
        records = {record[0]: record for record in table.records()}
        for person in self.living:
            record = records[person.id]
            data = msgspec.msgpack.decode(record[10]) if record[10] else {}
            assert (record[5], record[6], data) == (person.uid, person.level, person.data)


@pytest.mark.parametrize("seed", SEEDS)
def test_everybody_finds_his_own(visiting, seed):
    world = World(visiting, seed)
    for _ in range(STEPS):
        world.step()
        world.hold()
    with contextlib.suppress(AssertionError):
        world.site.server.idle()
    events = world.site.app.events
    assert events.count("start") - events.count("stop") == len(world.living)
