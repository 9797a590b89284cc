"""App's methods for those who visit: what a session keeps, and which level of access a path asks
for.

What is declared here goes to the core when the server starts (visitor_settings); sessions
themselves are the core's and nodepp.sessions'.
"""

from __future__ import annotations

from .errors import RouteError
from .public_files import PublicFiles

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from ._core import Engine, SessionTable
    from .app import App
    from .config import Config

    ClassT = TypeVar("ClassT", bound=type)

RULES_COUNT_MAX = 1000  # as in Node++; each request is compared with ten of them


class Visitors(PublicFiles):
    """The part of an App that says who may see what, and what is kept of a visitor."""

    engine: Engine | None

    def __init__(self) -> None:
        super().__init__()
        self.session_class: type | None = None  # what session_data made of the declared class
        # Of a module in the Node++ way, NPP_LOGIN_URI and NPP_REQUIRED_AUTH_LEVEL: what holds where
        # the settings say nothing.
        self.default_login_path = ""
        self.default_level = 0
        self._auth_rules: dict[tuple[str, str], int] = {}  # (host, path) → level

    def require_auth(self, path: str, level: int | str, host: str = "") -> None:
        """Lets only visitors of a level, or a higher one, see a path and all below it: files and
        routes.

        path: "/admin" covers "/admin" and "/admin/x", not "/administrator"; with a final "*" it is
        any path that begins so. The longest of several wins, also when it asks for less. "" or "/"
        is all there is, as the setting requiredAuthLevel. level: an AuthLevel, a number from 0 to
        125, or a name. host: one of app.add_host(), which obeys the rules of the main host too,
        where it has none of its own. Before the server runs, in on_start at the latest. RouteError
        for what cannot work.
        """
        what = "app.require_auth"
        if self.engine is not None:
            raise RouteError(f"{what}({path!r}): the application is running, call it before")
        rule = (self.declared.known_host(host, what), rule_path(path, what))
        number = level_of(level, f"{what}({path!r})")
        known = self._auth_rules.get(rule, number)
        if known != number:
            raise RouteError(f"{what}({path!r}): it asks for level {known} already")
        self._auth_rules[rule] = number
        if len(self._auth_rules) > RULES_COUNT_MAX:
            raise RouteError(f"{what}: there can be {RULES_COUNT_MAX} rules")

    def add_host(
        self,
        host: str,
        res: str = "",
        resmin: str = "",
        snippets: str = "",
        required_auth_level: int | str | None = None,
    ) -> None:
        """A host with files of its own, told by the Host field: "example.com", which is
        "www.example.com" too.

        res, resmin, snippets: its folders, absolute or relative to the application's; "" for none.
        Nothing of the main host's files is served for it. required_auth_level: for all its paths,
        as require_auth() takes it; None: what the main host asks for. Before the start only; raises
        RouteError for what is no name, or is there already.
        """
        if required_auth_level is not None:
            level_of(required_auth_level, f"app.add_host({host!r})")
        super().add_host(host, res, resmin, snippets)
        if required_auth_level is not None:
            self.require_auth("", required_auth_level, host)

    def session_data(self, cls: ClassT) -> ClassT:
        """Decorator for the class of what every session keeps: annotated fields with defaults, in
        place of a dict. req.session is one of it: a Session with these attributes and the methods
        of the class.

            @app.session_data
            class Visitor:
                hits: int = 0
                nick: Annotated[str, 30] = ""

        Fields are int (64 bits), float, bool, Annotated[str, N] and Annotated[bytes, N], N bytes at
        most. Raises RouteError for a second class, TypeError for a field that cannot be kept.
        """
        if self.session_class is not None:
            raise RouteError(
                f"app.session_data: {self.session_class.__name__} is there already, sessions are of"
                " one class"
            )
        from .sessions import declare

        self.session_class = declare(cls)
        return self.session_class  # type: ignore[return-value]

    def auth_rules(self, config: Config) -> list[tuple[str, str, int]]:
        """(host, path, level) of all rules and the setting, as the core takes them; path "" is all
        of a host. RouteError when a rule for everything asks for less than the setting.
        """
        rules = dict(self._auth_rules)
        level = config.required_auth_level
        if not config.is_set("required_auth_level"):
            level = self.default_level
        if rules.setdefault(("", ""), level) < level:
            raise RouteError(
                f"app.require_auth: level {rules['', '']} for everything, but requiredAuthLevel is"
                f" {level}: leave out one of them"
            )
        return [(host, path, level) for (host, path), level in rules.items()]


def rule_path(path: str, what: str) -> str:
    """The path of a rule as the core takes it: "" for everything. RouteError for no path."""
    from .statics.declared import served_path

    star = "*" if isinstance(path, str) and path.endswith("*") else ""
    whole = served_path(path[:-1] if star else path, what, "path")
    for sign in "*{}":
        if sign in whole:
            raise RouteError(
                f"{what}: {path!r}: a rule is for a path and all below it, or ends with *;"
                f" {sign!r} means nothing in it"
            )
    if whole == "/":
        return ""
    return whole + star if star else whole.rstrip("/")


def level_of(level: int | str, what: str) -> int:
    """The number of a level. RouteError for what is none."""
    from .sessions import parse_level

    if not isinstance(level, (int, str)):  # None is not NONE
        raise RouteError(f"{what}: {level!r} is no level; it is an AuthLevel, a number or a name")
    try:
        return parse_level(level)
    except ValueError as exc:
        raise RouteError(f"{what}: {exc}") from None


def visitor_settings(app: Visitors, config: Config, table: SessionTable) -> dict[str, Any]:
    """What the core is told of sessions and levels. RouteError for rules that cannot be kept."""
    settings = config.session_settings()
    settings["sessions"] = table
    settings["auth_rules"] = app.auth_rules(config)
    settings["login_path"] = login_path_of(app, config)
    return settings


def login_path_of(app: Visitors, config: Config) -> str:
    """Where those are sent who must log in: the setting, or what a module in the Node++ way says.
    """
    if app.default_login_path and not config.is_set("login_path"):
        return app.default_login_path
    return config.login_path


def rule_warnings(app: App, config: Config) -> list[str]:
    """What is said of the rules at the start: each is kept, and may not be what was meant."""
    rules = app.auth_rules(config)
    warnings = [login_warning(app, config)]
    for host, path, level in rules:
        # Somebody may ask for the same route under another name, and gets what the main host gives.
        if host and level > _level_at(path.rstrip("*"), rules):
            routes = [route.path for route in app.routes if _covers(path, route.path)]
            if routes:
                warnings.append(
                    f"app.require_auth({path or '/'!r}, …, host={host!r}) does not close"
                    f" {routes[0]}: routes answer on every host. Add a rule without host.")
    return [warning for warning in warnings if warning]


def _level_at(path: str, rules: list[tuple[str, str, int]]) -> int:
    """What the main host asks for: the longest of its rules that covers the path."""
    found = [(len(rule), level) for host, rule, level in rules if not host and _covers(rule, path)]
    return max(found)[1] if found else 0


def _covers(rule: str, path: str) -> bool:
    if rule.endswith("*"):
        return path.startswith(rule[:-1])
    return not rule or path == rule or path.startswith(rule + "/")


def login_warning(app: App, config: Config) -> str:
    """What is said at the start when browsers are sent to a login page that is not there: they
    would get a 404. "" if all is well, and where nobody has to log in.
    """
    from .sessions import AuthLevel

    guarded = [path for _, path, level in app.auth_rules(config) if level >= AuthLevel.LOGGED]
    path = login_path_of(app, config)
    if not guarded or app.may_answer(path):
        return ""
    return (f"Nothing answers loginPath={path}, and browsers are sent there that must log in for"
            f" {guarded[0] or 'everything'}. Add a route, or set loginPath.")
