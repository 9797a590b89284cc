"""An application: routes, error pages, events. While it is being written it is plain lists;
freeze() makes of them the table that the core reads.

Uses routes.py (patterns and handlers), errors.py (the default error page), nodepp._core (only when
frozen or run).
"""

from __future__ import annotations

from . import errors
from .errors import HTTPError, NodeppError, RouteError, StartError
from .routes import METHODS, Route, call_order, check_handler, handler_name, signature_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Callable, TypeVar, Union

    from ._core import Engine, Request, Router

    Handler = Callable[..., Any]
    HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
    Cause = Union[int, type[BaseException]]
    Static = tuple[str, bytes, str, bytes]  # path, body, content type, further field lines

# Levels of the log, as in npp.conf's logLevel.
ALWAYS, ERR, WAR, INF, DBG = 0, 1, 2, 3, 4

# The settings under "app." of the configuration, without the prefix. Filled before the application
# is imported, so that its module level can read app.config already; each App begins with a copy.
user_settings: dict[str, str] = {}

HTML = "text/html; charset=utf-8"


class App:
    """A web application.

    Handlers are registered with decorators and called as handler(req, …) on the engine's thread,
    one at a time. After freeze() (which run() does) nothing can be registered any more.
    """

    def __init__(self) -> None:
        self.config: dict[str, str] = dict(user_settings)
        self.host = Host(self)
        self.engine: Engine | None = None  # the one that serves it, while it is being served
        self._routes: list[Route] = []
        self._known: dict[tuple[object, str], Route] = {}
        self._error_handlers: dict[Cause, tuple[Handler, bool]] = {}
        self._events: dict[str, list[Handler]] = {}
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._fallback: tuple[Handler, int] | None = None
        self._is_frozen = False

    # Routes.

    def route(
        self, path: str, methods: Iterable[str] | str = ("GET",)
    ) -> Callable[[HandlerT], HandlerT]:
        """Registers the decorated function for a path.

        path: a pattern such as "/user/{id:int}"; converters are str (default), int (digits), float,
        uuid and path (the rest, with slashes). A segment holds one parameter at most, with literal
        text
        around it if wanted: "/file-{name}.txt".
        methods: names, in any case. HEAD is answered by GET's handler, and OPTIONS by itself,
        unless they are named. Raises RouteError for what cannot work.
        """

        def register(handler: HandlerT) -> HandlerT:
            self._require_thawed(f"route {path}")
            self._add_route(Route(path, methods, handler))
            return handler

        return register

    def get(self, path: str) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for GET, and for HEAD if that has none of its own. See route()."""
        return self.route(path, ("GET",))

    def post(self, path: str) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for POST. See route()."""
        return self.route(path, ("POST",))

    def put(self, path: str) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for PUT. See route()."""
        return self.route(path, ("PUT",))

    def patch(self, path: str) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for PATCH. See route()."""
        return self.route(path, ("PATCH",))

    def delete(self, path: str) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for DELETE. See route()."""
        return self.route(path, ("DELETE",))

    def head(self, path: str) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for HEAD, where GET's would be too dear. See route()."""
        return self.route(path, ("HEAD",))

    def options(self, path: str) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for OPTIONS, in place of the answer the core makes. See route()."""
        return self.route(path, ("OPTIONS",))

    def _add_route(self, route: Route) -> None:
        shape = route.shape
        for method in route.methods:
            known = self._known.get((shape, method))
            if known is not None:
                raise RouteError(
                    f"route {method} {route.path} of {handler_name(route.handler)}:"
                    f" already taken by {handler_name(known.handler)}{place_of(known.handler)}"
                )
        for method in route.methods:
            self._known[shape, method] = route
        self._routes.append(route)

    @property
    def routes(self) -> tuple[Route, ...]:
        """The registered routes, in order of registration."""
        return tuple(self._routes)

    @property
    def route_count(self) -> int:
        """How many routes are registered."""
        return len(self._routes)

    def set_fallback(self, handler: Handler, flags: int = 0) -> None:
        """The handler for every path that neither a static nor a route answers, whatever the
        method.

        flags: of nodepp._core, FLAG_NO_REQUEST for one that takes no argument. The Node++ way uses
        this.
        """
        self._require_thawed("the fallback")
        self._fallback = (handler, flags)

    # Errors.

    def error(self, *causes: Cause) -> Callable[[HandlerT], HandlerT]:
        """Registers the decorated function to answer error statuses (400 to 599) or classes of
        exceptions.

        It is called with (req, exc), or with (req) if it takes one argument only, and returns what
        any handler may; req.status is already set. exc is an HTTPError for a route miss too. A
        class stands for its subclasses, the nearest one wins, and a class wins over a status. An
        exception that has a handler of its class is not logged.
        """
        for cause in causes:
            self._check_cause(cause)
        if not causes:
            raise RouteError("app.error: give a status (404) or a class of exceptions")

        def register(handler: HandlerT) -> HandlerT:
            self._require_thawed("an error handler")
            takes_exception = takes_two_arguments(handler)
            for cause in causes:
                self._error_handlers[cause] = (handler, takes_exception)
            return handler

        return register

    def _check_cause(self, cause: Cause) -> None:
        if isinstance(cause, int) and not isinstance(cause, bool):
            if not 400 <= cause <= 599:
                raise RouteError(f"app.error: {cause} is not an error status (400 to 599)")
        elif not (isinstance(cause, type) and issubclass(cause, BaseException)):
            raise RouteError(f"app.error: {cause!r} is neither a status nor a class of exceptions")
        if cause in self._error_handlers:
            handler = self._error_handlers[cause][0]
            what = cause if isinstance(cause, int) else cause.__name__
            raise RouteError(
                f"app.error({what}): already taken by {handler_name(handler)}{place_of(handler)}"
            )

    # Events.

    def on_start(self, handler: HandlerT) -> HandlerT:
        """Decorator: called without arguments before the first request. Returning False refuses to
        start.
        """
        return self._on("start", handler)

    def on_stop(self, handler: HandlerT) -> HandlerT:
        """Decorator: called without arguments after the last request, the last registered one
        first.
        """
        return self._on("stop", handler)

    def on_session_start(self, handler: HandlerT) -> HandlerT:
        """Decorator: called with the request when a session has begun. False refuses it."""
        return self._on("session_start", handler)

    def on_session_stop(self, handler: HandlerT) -> HandlerT:
        """Decorator: called with the session that ends."""
        return self._on("session_stop", handler)

    def on_login(self, handler: HandlerT) -> HandlerT:
        """Decorator: called with the request when its session has been logged in."""
        return self._on("login", handler)

    def on_logout(self, handler: HandlerT) -> HandlerT:
        """Decorator: called with the session that was logged out."""
        return self._on("logout", handler)

    def _on(self, event: str, handler: HandlerT) -> HandlerT:
        self._require_thawed(f"on_{event}")
        check_handler(handler, f"on_{event}")
        self._events.setdefault(event, []).append(handler)
        return handler

    def every(self, seconds: float) -> Callable[[HandlerT], HandlerT]:
        """Registers the decorated function to be called without arguments every so many seconds, on
        the engine's thread.

        One that raises is logged and called again next time. Short work only: all requests wait
        meanwhile.
        """
        if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not seconds > 0:
            raise RouteError(f"app.every takes a number of seconds above 0, not {seconds!r}")

        def register(handler: HandlerT) -> HandlerT:
            self._require_thawed("app.every")
            check_handler(handler, f"app.every({seconds:g})")
            self._timers.append((float(seconds), Timer(self.host, handler)))
            return handler

        return register

    @property
    def timers(self) -> tuple[tuple[float, Callable[[], None]], ...]:
        """(seconds, callback) for Engine.every; the callbacks never raise."""
        return tuple(self._timers)

    def start(self) -> None:
        """Runs the on_start handlers. Raises StartError when one returns False, and whatever one
        raises.
        """
        for handler in self._events.get("start", ()):
            if handler() is False:
                raise StartError(
                    f"{handler_name(handler)} returned False: the application refuses to start"
                )

    def stop(self) -> None:
        """Runs the on_stop handlers, last registered first; one that raises is logged, and the
        others still run.
        """
        for handler in reversed(self._events.get("stop", ())):
            try:
                handler()
            except Exception as exc:
                self.host.log_exception(f"on_stop {handler_name(handler)}", exc)

    # Running.

    def freeze(self, statics: Iterable[Static] = ()) -> Router:
        """Makes the table that the core reads, and closes registration.

        statics: what statics.load() gives. May be called again: each call makes a table of its own.
        """
        core = import_core()
        self._is_frozen = True
        router: Router = core.Router()
        for route in self._routes:
            router.add(route.segments, route.method_bits, route.handler, 0, route.order)
        if self._fallback is not None:
            router.set_fallback(*self._fallback)
        for path, body, content_type, head in statics:
            router.add_static(path, body, content_type, head)
            if path.endswith("/") and path != "/" and self._fallback is None:
                self._redirect_to_folder(router, path)
        router.freeze()
        return router

    def _redirect_to_folder(self, router: Router, path: str) -> None:
        """/docs leads to /docs/, where its index page is: relative links of the page would be wrong
        without the slash.
        """
        target = "/" + quote_path(path[1:])
        segments = tuple((text,) for text in path[1:-1].split("/"))
        if (segments, "GET") not in self._known:
            router.add(segments, METHODS["GET"], lambda req: req.redirect(target, 301), 0, ())

    def run(self, **settings: Any) -> None:
        """Serves the application until it is told to stop (INT, TERM).

        settings: by the names of npp.conf or of the command line, e.g. app.run(port=8081,
        host="0.0.0.0").
        """
        from . import server

        server.run(self, settings)

    def stats(self) -> dict[str, Any]:
        """The engine's figures since it was opened, as Engine.stats() has them: requests,
        average_us, connections and connections_high_water, status_2xx, bytes_out, uptime_s and
        others; sizes in bytes, times as the name says. RuntimeError when nobody serves the
        application.
        """
        if self.engine is None:
            raise RuntimeError("the application is not being served: there are no figures")
        return self.engine.stats()

    def _require_thawed(self, what: str) -> None:
        if self._is_frozen:
            raise RouteError(f"{what}: the application is running already, register before that")


class Timer:
    """A periodic function that cannot stop the engine: what it raises is logged."""

    __slots__ = ("handler", "host")

    def __init__(self, host: Host, handler: Handler) -> None:
        self.host = host
        self.handler = handler

    def __call__(self) -> None:
        try:
            self.handler()
        except Exception as exc:
            self.host.log_exception(f"every {handler_name(self.handler)}", exc)


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

    def error(self, req: Request, status: int, exc: BaseException | None) -> Any:
        """The answer for an error, as a handler would give it.

        status: 404, 405 … for what the core found; exc: what a handler raised, else None. Never
        raises: what an error handler raises is logged, and the default page is given.
        """
        problem = self._problem(status, exc)
        if not self.expects(problem):
            self.log_exception(f"{req.method} {req.target}", problem)
        try:
            return self._answer(req, problem)
        except HTTPError as second:
            return self.page(req, second)
        except Exception as second:
            self.log_exception(f"{req.method} {req.target}: error handler", second)
            return self.page(req, second)

    def _problem(self, status: int, exc: BaseException | None) -> BaseException:
        """What went wrong as an exception: a miss or an unreadable body becomes an HTTPError."""
        if exc is None:
            return HTTPError(status)
        if isinstance(exc, import_core().RequestError):
            return HTTPError(exc.status, str(exc) or None)
        return exc

    def expects(self, exc: BaseException) -> bool:
        """Whether an exception is an answer of the application rather than a fault: HTTPError, or
        one with a handler.
        """
        handlers = self.app._error_handlers
        return isinstance(exc, HTTPError) or any(cls in handlers for cls in type(exc).__mro__)

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
                return handler(req, problem) if takes_exception else handler(req)
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

    def warm_up(self) -> None:
        """Does that import before anybody waits for it."""
        _json()

    def log_exception(self, what: str, exc: BaseException) -> None:
        """One entry in the error log: what was being done, then the user's frames, then the
        exception.
        """
        from . import log

        self.log(ERR, f"{what}: {log.exception_text(exc, self.verbose)}")


def status_of(problem: BaseException) -> int:
    """The status that an exception is answered with."""
    return problem.status if isinstance(problem, NodeppError) else 500


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


def _json() -> Any:
    global _json_module
    if _json_module is None:
        import msgspec

        _json_module = msgspec.json
    return _json_module


def import_core() -> Any:
    """nodepp._core, or an ImportError that says how to build it."""
    try:
        # Not "from . import", which says the same for a module that is missing and one that fails.
        import nodepp._core as _core
    except ImportError as exc:
        raise errors.core_missing(exc) from None
    return _core


def takes_two_arguments(handler: Handler) -> bool:
    """Whether an error handler takes the exception after the request. Raises RouteError if it takes
    neither form.
    """
    signature = signature_of(handler)
    if signature is None:
        return True
    call_order(handler, signature.positional[:1], "of an error")
    return bool(signature.positional) or signature.takes_any_positional


def place_of(handler: Handler) -> str:
    """ " (app.py:12)" for a function, "" for what has no place."""
    code = getattr(handler, "__code__", None)
    if code is None:
        return ""
    return f" ({code.co_filename.rpartition('/')[2]}:{code.co_firstlineno})"


def quote_path(path: str) -> str:
    """Percent-encodes a decoded path for use in Location (RFC 3986 §3.3). urllib.parse costs 3 ms
    to import.
    """
    safe = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/!$&'()*+,;=:@"
    return "".join(chr(byte) if byte in safe else f"%{byte:02X}" for byte in path.encode())
