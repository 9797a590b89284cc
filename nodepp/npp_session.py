"""The Node++ way: who is asking. SESSION, SESSION_DATA, the levels, CSRFT_.

Uses macros.py. Applications import all names from npp.py, which says what differs from C.
"""

from __future__ import annotations

from .macros import Macro, app_of_module, current, state
from .npp_request import parameter
from .sessions import AuthLevel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._core import Request, Session

AUTH_LEVEL_NONE = int(AuthLevel.NONE)
AUTH_LEVEL_ANONYMOUS = int(AuthLevel.ANONYMOUS)
AUTH_LEVEL_LOGGED = int(AuthLevel.LOGGED)
AUTH_LEVEL_LOGGEDIN = AUTH_LEVEL_LOGGED
AUTH_LEVEL_AUTHENTICATED = AUTH_LEVEL_LOGGED
AUTH_LEVEL_USER = int(AuthLevel.USER)
AUTH_LEVEL_CUSTOMER = int(AuthLevel.CUSTOMER)
AUTH_LEVEL_STAFF = int(AuthLevel.STAFF)
AUTH_LEVEL_MODERATOR = int(AuthLevel.MODERATOR)
AUTH_LEVEL_ADMIN = int(AuthLevel.ADMIN)
AUTH_LEVEL_ROOT = int(AuthLevel.ROOT)
AUTH_LEVEL_NOBODY = int(AuthLevel.NOBODY)

# Flags for applications' own use; nothing here reads them.
AUTH_NONE = 0x00
AUTH_CREATE = 0x01
AUTH_READ = 0x02
AUTH_UPDATE = 0x04
AUTH_DELETE = 0x08
AUTH_FULL = 0xFF

# What the functions of the engine give.
OK = 0
ERR_INT_SERVER_ERROR = 6
ERR_SERVER_TOOBUSY = 7
ERR_CSRFT = 15


def _session() -> Session:
    """The visitor's session; in a hook, the one that it is about."""
    # An empty session is false, as a dict is.
    session: Session = current().session if state.session is None else state.session
    return session


def _asking() -> Request:
    """The request of the session's visitor. RuntimeError where there is none: the session has ended
    by time, or another visitor's login took its place, whose request is the current one.
    """
    if state.session is not None and state.session.evicted:
        raise RuntimeError(
            "this session made way for another visitor's login, and only that visitor's request is"
            " here: a session keeps no address and no browser")
    return current()


class SessionFields:
    """SESSION: what Node++ keeps of a session, by its names."""

    __slots__ = ("_kept",)

    def __init__(self, session: Session) -> None:
        self._kept = session

    @property
    def sessid(self) -> str:
        """The id; "" without a session."""
        return self._kept.id

    @property
    def auth_level(self) -> int:
        """One of AUTH_LEVEL_, or between two of them."""
        return self._kept.level

    @property
    def user_id(self) -> int:
        """Who is logged in; 0 for nobody."""
        return self._kept.uid

    @property
    def login(self) -> str:
        """The name that session.login() was given."""
        return self._kept.name

    name = login

    @property
    def csrft(self) -> str:
        """A token for a form; begins a session."""
        return self._kept.csrf_token

    @property
    def last_activity(self) -> int:
        """Seconds since 1970; 0 without a session."""
        return self._kept.active

    @property
    def ip(self) -> str:
        """The address that asks now, as the others below: a session does not keep it."""
        return _asking().client.ip

    @property
    def uagent(self) -> str:
        """The browser's User-Agent."""
        return _asking().header("user-agent", "")

    @property
    def referer(self) -> str:
        """The page that the visitor comes from."""
        return _asking().header("referer", "")

    @property
    def lang(self) -> str:
        """The language asked for."""
        return _asking().lang or ""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"SESSION has no {name}: what an application keeps is in SESSION_DATA")

    def __repr__(self) -> str:
        return f"<SESSION of user {self.user_id}, level {self.auth_level}>"


SESSION = Macro("SESSION", lambda: SessionFields(_session()))
SESSION_DATA = Macro("SESSION_DATA", _session)
IS_SESSION = Macro("IS_SESSION", lambda: _session().exists)
UID = Macro("UID", lambda: _session().uid)
LOGGED = Macro("LOGGED", lambda: _session().logged_in)
LOGGEDIN = AUTHENTICATED = LOGGED
# As in Node++: exactly that level. `SESSION.auth_level >= AUTH_LEVEL_STAFF` is "at least".
CUSTOMER = Macro("CUSTOMER", lambda: _session().level == AUTH_LEVEL_CUSTOMER)
STAFF = Macro("STAFF", lambda: _session().level == AUTH_LEVEL_STAFF)
MODERATOR = Macro("MODERATOR", lambda: _session().level == AUTH_LEVEL_MODERATOR)
ADMIN = Macro("ADMIN", lambda: _session().level == AUTH_LEVEL_ADMIN)
ROOT = Macro("ROOT", lambda: _session().level == AUTH_LEVEL_ROOT)

CSRFT_OK = Macro("CSRFT_OK", lambda: _session().check_csrf(parameter("csrft") or ""))


def CSRFT_OUT_INPUT() -> None:
    """Appends the hidden input of a form that CSRFT_OK will ask for; begins a session."""
    request = current()
    request.out_raw("%s", request.csrf_input())


OUT_CSRFT = CSRFT_OUT_INPUT


def CSRFT_REFRESH() -> None:
    """A new secret: forms that were sent before are not taken any more."""
    _session().refresh_csrf()


def npp_eng_session_start(sessid: str | None = None) -> int:
    """Begins a session if there is none: OK, ERR_SERVER_TOOBUSY when the table is full,
    ERR_INT_SERVER_ERROR when npp_app_session_init refused it.

    sessid: None. ValueError for anything else: ids come from the system's generator only, so that
    nobody can plant one.
    """
    from ._core import SessionsExhausted

    if sessid:
        raise ValueError("npp_eng_session_start: nobody chooses the id of a session; pass None")
    session = current().session
    try:
        session.start()
    except SessionsExhausted:
        return ERR_SERVER_TOOBUSY
    except RuntimeError:
        return ERR_INT_SERVER_ERROR
    return OK


def npp_require_auth(host: str | None, path: str, level: int) -> None:
    """Asks for a level, for npp_app_init. host: "" or None is the main one. path: as "admin" or
    "admin/*"; see App.require_auth. RouteError for a pattern with anything else in it.
    """
    app_of_module().require_auth(path, level, host or "")


def IS_AUTH_CREATE(flags: int) -> bool:
    """Whether AUTH_CREATE is among the flags."""
    return flags & AUTH_CREATE == AUTH_CREATE


def IS_AUTH_READ(flags: int) -> bool:
    """Whether AUTH_READ is among the flags."""
    return flags & AUTH_READ == AUTH_READ


def IS_AUTH_UPDATE(flags: int) -> bool:
    """Whether AUTH_UPDATE is among the flags."""
    return flags & AUTH_UPDATE == AUTH_UPDATE


def IS_AUTH_DELETE(flags: int) -> bool:
    """Whether AUTH_DELETE is among the flags."""
    return flags & AUTH_DELETE == AUTH_DELETE
