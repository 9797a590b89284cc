"""What the core asks of Python while an application is served: error pages, the log, JSON, files on
disk, snippets, templates, compression, the data and events of sessions.

A leaf beside app.py. What it needs it imports when it is first used.
"""

from __future__ import annotations

from . import errors, forks
from .errors import HTTPError, NodeppError
from .library import library
from .routes import handler_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ._core import File, Request, Resource
    from .access import AccessLists
    from .app import App
    from .statics import Statics

# Levels of the log, as in npp.conf's logLevel.
ALWAYS, ERR, WAR, INF, DBG = 0, 1, 2, 3, 4

HTML = "text/html; charset=utf-8"

# Seconds after which a visitor may try again when there is no room for a session: those of others
# end all the time.
RETRY_AFTER_S = 30

# Events of sessions: what the core calls them, and the decorators of App without on_.
SESSION_EVENTS = {"start": "session_start", "stop": "session_stop", "login": "login",
                  "logout": "logout"}


class Host:
    """What the core asks of Python: error pages, the log, JSON. Attributes may be replaced until
    the Engine is made.

    verbose: log all frames of an exception, not the user's own only.
    log: where messages go, log(level, message) with levels 0 ALWAYS, 1 ERR, 2 WAR, 3 INF, 4 DBG.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.verbose = False
        self.log: Callable[[int, str], None] = write_log
        self.json_encode: Callable[[Any], bytes] = self._first_json_encode
        self.json_decode: Callable[[bytes], Any] = json_decode
        self.session_pack: Callable[[dict[str, Any]], bytes] = self._first_session_pack
        self.session_unpack: Callable[[bytes], dict[str, Any]] = self._first_session_unpack
        # Whether INT and TERM still come to the server that runs the application.
        self.hears_signals: Callable[[], bool] = lambda: True
        # While a server runs: where addresses go that guess ids of sessions.
        self.access: AccessLists | None = None

    def error(self, req: Request, status: int, exc: BaseException | None) -> Any:
        """The answer for an error, as a handler would give it.

        status: 404, 405 … for what the core found; exc: what a handler raised, else None. Raises
        no fault: what an error handler raises is logged, and the default page is given.
        """
        problem = self._problem(req, status, exc)
        if not self.expects(problem):
            self.log_exception(f"{req.method} {req.target}", problem)
        try:
            return self._answer(req, problem)
        except HTTPError as second:
            return self.page(req, second)
        except BaseException as second:
            if not self.is_fault(second):
                raise
            self.log_exception(f"{req.method} {req.target}: error handler", second)
            return self.page(req, second)

    def _problem(self, req: Request, status: int, exc: BaseException | None) -> BaseException:
        """What went wrong as an exception: a miss, an unreadable body, a form that was not ours and
        a table of sessions that is full become an HTTPError, unless the application has a handler
        for their class.
        """
        if exc is None:
            return HTTPError(status)
        core = import_core()
        if isinstance(exc, core.RequestError):
            return HTTPError(exc.status, str(exc) or None)
        if isinstance(exc, core.SessionsExhausted) and not self._has_handler(exc):
            return HTTPError(exc.status, None, {"Retry-After": str(RETRY_AFTER_S)})
        if isinstance(exc, core.CsrfError) and not self._has_handler(exc):
            # One line: whoever runs a site behind a proxy that changes Host has to learn of it, and
            # whoever has just switched csrf on does not know yet what a token is.
            self.log(INF, f"{req.method} {req.target}: {exc.status}, csrf: {exc}")
            return HTTPError(exc.status, str(exc))
        return exc

    def is_fault(self, exc: BaseException) -> bool:
        """Whether an exception is logged, and everything goes on. False: it is passed on. The core
        decides, by its setting owns_signals.
        """
        return isinstance(exc, Exception) or bool(import_core().is_fault(exc))

    def expects(self, exc: BaseException) -> bool:
        """Whether an exception is an answer rather than a fault: HTTPError, what the core says of
        sessions, or one with a handler.
        """
        core = import_core()
        answers = (HTTPError, core.SessionsExhausted, core.CsrfError)
        return isinstance(exc, answers) or self._has_handler(exc)

    def _has_handler(self, exc: BaseException) -> bool:
        handlers = self.app._error_handlers
        return any(cls in handlers for cls in type(exc).__mro__)

    def _answer(self, req: Request, problem: BaseException) -> Any:
        """Calls the error handler for the exception's class or nearest base, else for its status,
        else gives the default page.
        """
        req.status = status = status_of(problem)
        if isinstance(problem, HTTPError):
            for name, value in problem.headers:
                req.set_header(name, value)
        handlers = self.app._error_handlers
        for cause in (*type(problem).__mro__, status):
            if cause in handlers:
                handler, takes_exception = handlers[cause]
                return forks.call(handler, *((req, problem) if takes_exception else (req,)))
        return self.page(req, problem)

    def page(self, req: Request, problem: BaseException) -> Any:
        """The default error page, or its JSON form for a client that prefers JSON."""
        req.status = status = status_of(problem)
        detail = problem.detail if isinstance(problem, HTTPError) else None
        if errors.prefers_json(req.header("accept")):
            req.content_type = "application/json"
            return self.json_encode(errors.error_json(status, detail))
        req.content_type = HTML
        return errors.error_page(status, detail)

    def stream_error(self, req: Request, exc: BaseException) -> None:
        """An iterator raised while it was being sent: too late for a page, the log has it."""
        self.log_exception(f"{req.method} {req.target}: streaming", exc)

    def _first_json_encode(self, obj: Any) -> bytes:
        """Imports msgspec (35 ms) at the first JSON answer, and leaves its encoder as
        `json_encode`, which the core calls directly from then on.
        """
        self.json_encode = _json().Encoder().encode
        return self.json_encode(obj)

    # Sessions.

    @property
    def session_class(self) -> type | None:
        """What app.session_data made of the declared class; None: sessions are dicts."""
        return self.app.session_class

    @property
    def session_events(self) -> frozenset[str]:
        """The events of sessions that somebody listens to; asked when the engine is opened."""
        return frozenset(
            event for event, name in SESSION_EVENTS.items() if self.app.handlers_of(name)
        )

    def session_event(self, event: str, subject: Any) -> bool:
        """Calls the handlers of "start" or "login" with the Request, of "stop" or "logout" with the
        Session. False refuses a session that has begun: a handler returned it, or raised.

        Raises no fault: what a handler raises is logged, and the others are called.
        """
        is_fine = True
        for handler in self.app.handlers_of(SESSION_EVENTS[event]):
            try:
                is_fine = forks.call(handler, subject) is not False and is_fine
            except BaseException as exc:
                if not self.is_fault(exc):
                    raise
                self.hook_failed(f"on_{SESSION_EVENTS[event]} {handler_name(handler)}", exc)
                is_fine = False
        return is_fine or event != "start"

    def hook_failed(self, what: str, exc: BaseException) -> None:
        """A handler of an event raised: the log has it, and everything goes on."""
        self.log_exception(what, exc)

    def _first_session_pack(self, data: dict[str, Any]) -> bytes:
        """As _first_json_encode: the core calls msgspec directly from then on. MessagePack takes
        what JSON does, and bytes; of tuples and sets it makes lists. TypeError for anything else.
        """
        self._settle_sessions()
        return self.session_pack(data)

    def _first_session_unpack(self, data: bytes) -> dict[str, Any]:
        self._settle_sessions()
        return self.session_unpack(data)

    def _settle_sessions(self) -> None:
        """Both at once: the core asks for both when it has used either."""
        _json()
        self.session_pack = _msgpack.Encoder().encode
        self.session_unpack = _msgpack.Decoder(dict).decode

    def address_blocked(self, ip: str, why: str, seconds: int) -> None:
        """An address shows ids of sessions that were never issued: the core has blocked it for so
        many seconds (0: not at all, blockTime says so).
        """
        if self.access is not None:
            self.access.address_blocked(ip, why, seconds)
        else:
            self.log(WAR, f"{ip} is blocked for {seconds} s: {why}")

    # Public files, snippets, templates, compression: each is imported when it is first used.

    def open_file(self, resource: Resource) -> tuple[Resource, File] | None:
        """A public file that is not in memory, opened for one answer; None when it has gone."""
        statics = self.app.statics
        return None if statics is None else statics.open_file(resource)

    def snippet(self, name: str, authority: str = "") -> bytes:
        """A snippet as it goes into a page, in UTF-8. authority: the request's Host field.

        Raises LookupError, with what may have been meant, for an unknown name.
        """
        return statics_of(self.app).snippet(name, authority)

    def render(self, req: Request, name: str, context: dict[str, Any]) -> str:
        """The text of a Jinja2 template. See nodepp.templates.render()."""
        from .templates import render

        return render(self.app, req, name, context)

    @property
    def codings(self) -> tuple[str, ...]:
        """What compress() can do, the better one first; asked when the engine is opened. The
        library is tried, not looked for (1 ms): one that cannot be loaded is of no use.
        """
        from .statics.coders import zstd

        return ("zstd", "gzip") if zstd() else ("gzip",)

    def compress(self, coding: str, data: bytes) -> bytes:
        """Rendered text as "zstd" or "gzip", fast; raises LookupError without a coder."""
        from .statics.codings import compress

        # From now on the core calls it directly.
        self.compress = compress  # type: ignore[method-assign]
        return compress(coding, data)

    def warm_up(self) -> None:
        """Does that import, and those of the coders, before anybody waits for them. Without the
        library, JSON will say so.
        """
        try:
            _json()
        except ImportError as exc:
            self.log(WAR, f"JSON takes msgspec: {exc}. Try: pip install msgspec")
        for coding in self.codings:
            self.compress(coding, b"warm")

    def log_exception(self, what: str, exc: BaseException) -> None:
        """One entry in the error log: what was being done, then the user's frames, then the
        exception.
        """
        from . import log

        self.log(ERR, f"{what}: {log.exception_text(exc, self.verbose)}")


def statics_of(app: App) -> Statics:
    """The public files of an application; without a server, those of an application of defaults."""
    if app.statics is None:
        from .statics import Options, Statics

        app.statics = Statics(app, Options())
    return app.statics


def status_of(problem: BaseException) -> int:
    """The status that an exception is answered with."""
    core = import_core()
    if isinstance(problem, (NodeppError, core.SessionsExhausted, core.CsrfError)):
        return int(problem.status)
    return 500


def write_log(level: int, message: str) -> None:
    """The default log. Imports when used, since most runs of a short script never log."""
    from . import log

    log.write(level, message)


def json_decode(data: bytes) -> Any:
    """The object of a JSON body. Raises ValueError when it is none."""
    msgspec_json = _json()
    try:
        return msgspec_json.decode(data)
    except Exception as exc:
        # msgspec's DecodeError is no ValueError, and deep nesting is a RecursionError.
        raise ValueError(str(exc)) from None


_json_module: Any = None
_msgpack: Any = None


def _json() -> Any:
    global _json_module, _msgpack
    if _json_module is None:
        msgspec = library("msgspec")
        _json_module, _msgpack = msgspec.json, msgspec.msgpack
    return _json_module


def import_core() -> Any:
    """nodepp._core, or an ImportError that says how to build it."""
    try:
        # Not "from . import", which says the same for a module that is missing and one that fails.
        import nodepp._core as _core
    except ImportError as exc:
        raise errors.core_missing(exc) from None
    return _core
