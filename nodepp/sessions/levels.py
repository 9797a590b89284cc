"""Levels of access: what a path asks for, and what a visitor has. The names are Node++'s."""

from __future__ import annotations

from enum import IntEnum

from ..errors import shown


class AuthLevel(IntEnum):
    """How much a visitor may see; more is higher. Levels between two names are fine, e.g. 25.

    A path asks for one (app.require_auth), a login gives one (session.login).
    """

    NONE = 0            # no session is needed, and none is begun
    ANONYMOUS = 1       # a session, begun when there is none
    LOGGED = 2          # anybody who is logged in
    LOGGEDIN = 2
    AUTHENTICATED = 2
    USER = 10
    CUSTOMER = 20
    STAFF = 30
    MODERATOR = 40
    ADMIN = 50
    ROOT = 100
    NOBODY = 125        # closed: no login gives it


LEVEL_MAX = int(AuthLevel.NOBODY)

# Node++ spells them so in its source and in npp_app.h.
_PREFIX = "AUTH_LEVEL_"


def parse_level(value: int | str) -> int:
    """A level as settings and applications write it: a number from 0 to 125, or a name in any case,
    with Node++'s AUTH_LEVEL_ before it or not. ValueError says what there is.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        number: int = int(value)
    elif not isinstance(value, str):        # str(None) would be the name of an open door
        raise ValueError(f"{value!r} is no level")
    else:
        name = value.strip().upper()
        if name.startswith(_PREFIX):
            name = name[len(_PREFIX) :]
        level = AuthLevel.__members__.get(name)
        if level is not None:
            return int(level)
        if not (name.isascii() and name.isdigit() and len(name) <= 9):
            names = ", ".join(AuthLevel.__members__)
            text = shown(value)
            raise ValueError(f"{text!r} is no level; there are {names}, or 0 to {LEVEL_MAX}")
        number = int(name)
    if not 0 <= number <= LEVEL_MAX:
        raise ValueError(f"a level is 0 to {LEVEL_MAX}, not {number}")
    return number


def level_name(level: int) -> str:
    """The name of a level, its number if it has none."""
    try:
        return AuthLevel(level).name
    except ValueError:
        return str(int(level))
