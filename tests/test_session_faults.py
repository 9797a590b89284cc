"""Sessions when everything goes wrong: calls that fail, hooks that raise, visitors who vanish.

Nothing is promised to whom it hits, but that the table stays sound, that nobody gets another's
data, and that the server goes on. Each run is a seed. FAULT_SEEDS=100-999 FAULT_STEPS=2000 look
further.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random

import pytest
from visitors import Visits

from nodepp import _core

FIRST, _, LAST = os.environ.get("FAULT_SEEDS", "0-9").partition("-")
SEEDS = range(int(FIRST), int(LAST or FIRST) + 1)
STEPS = int(os.environ.get("FAULT_STEPS", "500"))
PROBLEMS = (ValueError, KeyboardInterrupt, SystemExit, MemoryError)


class Mischief:
    """A site and ten visitors, each of whom writes his own number into whatever he gets."""

    def __init__(self, visiting, seed: int) -> None:
        self.random = random.Random(seed)
        choice = self.random.choice
        self.faults: list[str] = []
        self.kept: list = []
        self.site: Visits = visiting(
            handlers={"it": self.it}, capacity=choice((2, 8, 200)), data_size=choice((64, 500)),
            events=dict.fromkeys(("start", "stop", "login", "logout"), self.hook),
            auth_rules=choice(([], [("", "/it", 1)])), csrf=choice((False, True)),
            max_connections=choice((15, 60)), buffer_memory=choice((100_000, 1 << 26)),
        )  # fmt: skip
        self.visitors = [self.site.visitor() for _ in range(10)]

    def hook(self, subject):
        number = self.random.random()
        if number < 0.05:
            raise self.random.choice(PROBLEMS)
        if number < 0.15:
            with contextlib.suppress(RuntimeError, _core.SessionFull):
                (subject if isinstance(subject, _core.Session) else subject.session)["hook"] = 1
        elif number < 0.25:
            self.kept.append(subject)
        return number < 0.95

    def it(self, req):
        session, mine = req.session, int(req.query["who"])
        if session.get("mine", mine) != mine:
            self.faults.append(f"{mine} found what is {session.get('mine')}'s")
        for _ in range(self.random.randrange(4)):
            with contextlib.suppress(RuntimeError, _core.SessionFull, TypeError):
                self.use(session, mine)
        if self.random.random() < 0.1:
            self.kept.append(session)
        end = self.random.random()
        if end < 0.1:
            raise self.random.choice(PROBLEMS)
        if end < 0.2:
            return self.pieces(session)
        return object() if end < 0.25 else "x" * self.random.choice((1, 100, 50_000))

    def pieces(self, session):
        for _ in range(3):
            with contextlib.suppress(RuntimeError):
                session["late"] = 1
            if self.random.random() < 0.1:
                raise ValueError
            yield b"piece" * self.random.choice((1, 10_000))

    def use(self, session, mine: int) -> None:
        choice = self.random.choice
        choice((
            lambda: session.update(mine=mine), lambda: session.update(mine=mine, big="x" * 300),
            lambda: session.update(mine=mine, odd=object()), lambda: session.add("sum"),
            lambda: session.setdefault("cart", []).append(mine), session.clear, session.renew,
            session.logout, session.start, session.refresh_csrf, lambda: session.csrf_token,
            lambda: session.login(mine + 1, 20, "x" * mine * 9), lambda: session.pop("cart", None),
        ))()  # fmt: skip

    def turn(self) -> None:
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            self.site.server.engine.turn(0)

    def step(self) -> None:
        number, choice = self.random.random(), self.random.choice
        if number < 0.15:
            _core.probe_fault(
                choice(("recv", "send", "accept", "malloc")), self.random.randrange(1, 12),
                choice((errno.ECONNRESET, errno.ENOMEM, errno.EAGAIN, errno.EPIPE)), choice((1, 4)))
        elif number < 0.2:
            _core.probe_clock(choice((1000, 100_000, 700_000, 2_000_000)))
        elif number < 0.25:
            _core.probe_send_limit(choice((0, 0, 500)))
        elif number < 0.3:
            self.look_at_kept()
        else:
            self.ask(self.random.randrange(10))
        for _ in range(choice((1, 3, 10))):
            self.turn()

    def ask(self, place: int) -> None:
        visitor = self.visitors[place]
        with contextlib.suppress(OSError):
            client = self.site.server.connect()
            client.socket.send(visitor.bytes_of("GET", f"/it?who={place}") * 2)
            for _ in range(self.random.choice((0, 2, 8))):
                self.turn()
            self.take(visitor, bytes(client.read()))
            if self.random.random() < 0.5:
                client.reset()

    def take(self, visitor, received: bytes) -> None:
        """Whatever cookies have come, of whole heads."""
        for head in received.split(b"\r\n\r\n")[:-1]:
            for line in head.split(b"\r\n"):
                if line.startswith(b"Set-Cookie: "):
                    name, _, value = line[12:].split(b";")[0].decode().partition("=")
                    visitor.jar.pop(name, None)
                    if value:
                        visitor.jar[name] = value

    def look_at_kept(self) -> None:
        for thing in self.kept:
            with contextlib.suppress(RuntimeError):
                session = thing if isinstance(thing, _core.Session) else thing.session
                repr(session)
                session["late"] = 1
                self.faults.append("a session that is over was written")
        self.kept.clear()


@pytest.mark.parametrize("seed", SEEDS)
def test_table_stays_sound_whatever_goes_wrong(visiting, seed):
    world = Mischief(visiting, seed)
    for _ in range(STEPS):
        world.step()
        assert not world.faults, world.faults
        assert world.site.table.check() == []
    _core.probe_fault_clear()
    world.hook = None
    world.site.app.on.clear()
    for client in world.site.server.clients:
        client.reset()
    for _ in range(50):
        world.turn()
    world.look_at_kept()
    assert not world.faults, world.faults
    assert len(world.site.table) == len(world.site.table.ids())
