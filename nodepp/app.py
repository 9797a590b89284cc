"""An application: routes, error pages, events. While it is being written it is plain lists;
freeze() makes of them the table that the core reads.

Uses routes.py (patterns and handlers), errors.py (the default error page), nodepp._core (only when
frozen or run).
"""

from __future__ import annotations

from . import errors
from .errors import HTTPError, NodeppError, RouteError, StartError
from .routes import Route, call_order, check_handler, handler_name, signature_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from typing import Any, Callable, TypeVar, Union

    from ._core import Engine, File, Request, Resource, Router
    from .statics import Statics
    from .statics.declared import Declared

    Handler = Callable[..., Any]
    HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
    Cause = Union[int, type[BaseException]]
    FileName = Union[str, os.PathLike[str]]

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
        self.statics: Statics | None = None  # its public files, from the start of the server on
        self._declared: Declared | None = None
        self._routes: list[Route] = []
        self._known: dict[tuple[object, str], Route] = {}
        self._error_handlers: dict[Cause, tuple[Handler, bool]] = {}
        self._events: dict[str, list[Handler]] = {}
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._fallback: tuple[Handler, int] | None = None
        self._is_frozen = False

    # Routes.

    def route(
        self, path: str, methods: Iterable[str] | str = ("GET",), *, compress: bool = True
    ) -> Callable[[HandlerT], HandlerT]:
        """Registers the decorated function for a path.

        path: a pattern such as "/user/{id:int}"; converters are str (default), int (digits), float,
        uuid and path (the rest, with slashes). A segment holds one parameter at most, with literal
        text
        around it if wanted: "/file-{name}.txt".
        methods: names, in any case. HEAD is answered by GET's handler, and OPTIONS by itself,
        unless they are named.
        compress: False, and its answers are never compressed, for a page that shows both a secret
        and what its visitor sent (BREACH). Raises RouteError for what cannot work.
        """

        def register(handler: HandlerT) -> HandlerT:
            self._require_thawed(f"route {path}")
            self._add_route(Route(path, methods, handler, compress))
            return handler

        return register

    def get(self, path: str, *, compress: bool = True) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for GET, and for HEAD if that has none of its own. See route()."""
        return self.route(path, ("GET",), compress=compress)

    def post(self, path: str, *, compress: bool = True) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for POST. See route()."""
        return self.route(path, ("POST",), compress=compress)

    def put(self, path: str, *, compress: bool = True) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for PUT. See route()."""
        return self.route(path, ("PUT",), compress=compress)

    def patch(self, path: str, *, compress: bool = True) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for PATCH. See route()."""
        return self.route(path, ("PATCH",), compress=compress)

    def delete(self, path: str, *, compress: bool = True) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for DELETE. See route()."""
        return self.route(path, ("DELETE",), compress=compress)

    def head(self, path: str, *, compress: bool = True) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for HEAD, where GET's would be too dear. See route()."""
        return self.route(path, ("HEAD",), compress=compress)

    def options(self, path: str, *, compress: bool = True) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for OPTIONS, in place of the answer the core makes. See route()."""
        return self.route(path, ("OPTIONS",), compress=compress)

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

    # Public files. What is declared here is read when the server starts.

    @property
    def declared(self) -> Declared:
        """What was said with the methods below."""
        if self._declared is None:
            from .statics.declared import Declared

            self._declared = Declared()
        return self._declared

    def serve(
        self, directory: FileName, prefix: str = "", flags: int = 1, host: str = ""
    ) -> None:
        """Serves the files of a folder, and of all folders in it, below a prefix of the path.

        directory: absolute, or relative to the application's folder. prefix: "static" or "/static";
        "" for the root. flags: FileFlags; INDEX (1), index.html stands for its folder; MINIFY, CSS
        and JavaScript are minified. host: one of app.add_host(). May be called while the server
        runs, on its thread (handlers, events, timers). Raises RouteError for arguments that cannot
        work.
        """
        folder = self.declared.serve(directory, prefix, flags, host)
        if self.statics is not None:
            self.statics.add_folder(folder)

    def serve_file(self, file: FileName, path: str = "", host: str = "") -> None:
        """Serves a single file.

        path: where; "" for its own name at the root, and one that ends with a slash for its own
        name there. For the rest see serve().
        """
        folder = self.declared.serve_file(file, path, host)
        if self.statics is not None:
            self.statics.add_folder(folder)

    def unserve(self, prefix_or_path: str) -> None:
        """Takes away what serve(), serve_file() or add_static() serves there, on all hosts. Raises
        RouteError when nothing is.
        """
        gone = self.declared.unserve(prefix_or_path)
        if self.statics is not None:
            self.statics.remove(gone)

    def add_static(
        self, path: str, body: bytes | str, content_type: str = "", host: str = ""
    ) -> None:
        """Serves bytes that the application made as if they were a file: compressed, with an ETag
        and Range. They win over a file of the same path.

        body: a str is encoded as UTF-8. content_type: "" takes it from the path's extension. May be
        called while the server runs, on its thread, and again for the same path. Raises RouteError
        for arguments that cannot work.
        """
        made = self.declared.add_static(path, body, content_type, host)
        if self.statics is not None:
            self.statics.add_generated(made)

    def add_host(self, host: str, res: str = "", resmin: str = "", snippets: str = "") -> None:
        """A host with files of its own, told by the Host field: "example.com", which is
        "www.example.com" too.

        res, resmin, snippets: its folders, absolute or relative to the application's; "" for none.
        Nothing of the main host's files is served for it. Before the start only; raises RouteError
        for what is no name, or is there already.
        """
        if self.statics is not None and self.statics.is_loaded:
            raise RouteError(f"app.add_host({host!r}): the files are read already, add it before")
        self.declared.add_host(host, res, resmin, snippets)

    def asset(self, name: str, host: str = "") -> str:
        """The URL path of a public file, with a fingerprint in it that changes with the content:
        asset("css/app.css") gives "/css/app.3f2a9c1b2d.css", which browsers keep for ever.

        A query or fragment stays. host: the Host field of the request, for one of app.add_host().
        What is not known gives its plain path, and one line in the log.
        """
        if self.statics is None:
            from .statics import Options, Statics

            return Statics(self, Options()).asset(name, host)
        return self.statics.asset(name, host)

    # Running.

    def freeze(self) -> Router:
        """Makes the table that the core reads, and closes registration.

        May be called again: each call makes a table of its own. Public files are not in it; they
        travel in a Snapshot (nodepp.statics).
        """
        global _latest
        from weakref import ref

        core = import_core()
        self._is_frozen = True
        _latest = ref(self)
        router: Router = core.Router()
        for route in self._routes:
            flags = 0 if route.compress else core.FLAG_NO_COMPRESS
            router.add(route.segments, route.method_bits, route.handler, flags, route.order)
        if self._fallback is not None:
            router.set_fallback(*self._fallback)
        router.freeze()
        return router

    def hidden_routes(self) -> list[str]:
        """The paths of routes for GET that are never asked, because a public file is there."""
        if self.statics is None:
            return []
        snapshot = self.statics.snapshot
        found = []
        for route in self._routes:
            if "GET" in route.methods and all(len(segment) == 1 for segment in route.segments):
                resource = snapshot.get("/" + "/".join(segment[0] for segment in route.segments))
                if resource is not None and not resource.location:
                    found.append(route.path)
        return found

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


# The application that was frozen last: the one that is served. A weak reference, for it shall not
# keep the files of an application that nobody has any more.
_latest: Callable[[], App | None] = type(None)


def asset(name: str, host: str = "") -> str:
    """App.asset() of the application that is being served: for modules that have no App at hand.

    Before there is one, the plain path.
    """
    return (_latest() or App()).asset(name, host)


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

    def compress(self, coding: str, data: bytes) -> bytes:
        """Rendered text as "zstd" or "gzip", fast; raises LookupError without a coder."""
        from .statics.codings import compress

        # From now on the core calls it directly.
        self.compress = compress  # type: ignore[method-assign]
        return compress(coding, data)

    def warm_up(self) -> None:
        """Does that import before anybody waits for it."""
        _json()

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

