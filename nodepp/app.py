"""An application: routes, error pages, events. While it is being written it is plain lists;
freeze() makes of them the table that the core reads.

Uses routes.py (patterns and handlers), events.py (app.on_start and the like), visitors.py (sessions
and levels), public_files.py (app.serve and the like), host.py (what the core asks of Python),
nodepp._core (only when frozen or run).
"""

from __future__ import annotations

from .errors import RouteError
from .events import Events
from .host import Host as Host
from .host import import_core as import_core
from .routes import Route, call_order, handler_name, signature_of
from .visitors import Visitors

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Callable, TypeVar, Union

    from ._core import Engine, Router

    Handler = Callable[..., Any]
    HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])
    Cause = Union[int, type[BaseException]]

# The settings under "app." of the configuration, without the prefix. Filled before the application
# is imported, so that its module level can read app.config already; each App begins with a copy.
user_settings: dict[str, str] = {}


class App(Visitors, Events):
    """A web application.

    Handlers are registered with decorators and called as handler(req, …) on the engine's thread,
    one at a time. After freeze() (which run() does) nothing can be registered any more.
    """

    def __init__(self) -> None:
        Visitors.__init__(self)
        Events.__init__(self, Host(self))
        self.config: dict[str, str] = dict(user_settings)
        self.engine: Engine | None = None  # the one that serves it, while it is being served
        self._routes: list[Route] = []
        self._known: dict[tuple[object, str], Route] = {}
        self._error_handlers: dict[Cause, tuple[Handler, bool]] = {}
        self._fallback: tuple[Handler, int] | None = None

    # Routes.

    def route(
        self,
        path: str,
        methods: Iterable[str] | str = ("GET",),
        *,
        compress: bool = True,
        csrf: bool = True,
    ) -> Callable[[HandlerT], HandlerT]:
        """Registers the decorated function for a path.

        path: a pattern such as "/user/{id:int}"; converters are str (default), int (digits), float,
        uuid and path (the rest, with slashes). A segment holds one parameter at most, with literal
        text
        around it if wanted: "/file-{name}.txt".
        methods: names, in any case. HEAD is answered by GET's handler, and OPTIONS by itself,
        unless they are named.
        compress: False, and its answers are never compressed, for a page that shows both a secret
        and what its visitor sent (BREACH).
        csrf: False, and the setting csrf does not apply: for clients that have no session, such as
        another server that calls back. Raises RouteError for what cannot work.
        """

        def register(handler: HandlerT) -> HandlerT:
            self._require_thawed(f"route {path}")
            self._add_route(Route(path, methods, handler, compress, csrf))
            return handler

        return register

    def get(self, path: str, *, compress: bool = True) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for GET, and for HEAD if that has none of its own. See route()."""
        return self.route(path, ("GET",), compress=compress)

    def post(
        self, path: str, *, compress: bool = True, csrf: bool = True
    ) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for POST. See route()."""
        return self.route(path, ("POST",), compress=compress, csrf=csrf)

    def put(
        self, path: str, *, compress: bool = True, csrf: bool = True
    ) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for PUT. See route()."""
        return self.route(path, ("PUT",), compress=compress, csrf=csrf)

    def patch(
        self, path: str, *, compress: bool = True, csrf: bool = True
    ) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for PATCH. See route()."""
        return self.route(path, ("PATCH",), compress=compress, csrf=csrf)

    def delete(
        self, path: str, *, compress: bool = True, csrf: bool = True
    ) -> Callable[[HandlerT], HandlerT]:
        """Registers a handler for DELETE. See route()."""
        return self.route(path, ("DELETE",), compress=compress, csrf=csrf)

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

    # Running.

    def freeze(self) -> Router:
        """Makes the table that the core reads, and closes registration.

        May be called again: each call makes a table of its own. Public files are not in it; they
        travel in a Snapshot (nodepp.statics).
        """
        global _latest
        from _weakref import ref  # built in; weakref would be two modules to load

        core = import_core()
        self._is_frozen = True
        _latest = ref(self)
        router: Router = core.Router()
        for route in self._routes:
            flags = 0 if route.compress else core.FLAG_NO_COMPRESS
            flags |= 0 if route.csrf else core.FLAG_NO_CSRF
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

    def may_answer(self, path: str) -> bool:
        """Whether a public file of any host, a route for GET or the fallback takes a path. What a
        converter does not take counts too.
        """
        if self._fallback is not None:
            return True
        if self.statics is not None:
            snapshot = self.statics.snapshot
            if any(snapshot.get(path, host) is not None for host in snapshot.hosts):
                return True
        return any("GET" in route.methods and route.may_match(path) for route in self._routes)

    def run(self, **settings: Any) -> None:
        """Serves the application until it is told to stop (INT, TERM).

        settings: by the names of npp.conf or of the command line, e.g. app.run(port=8081,
        host="0.0.0.0").
        """
        from . import server

        server.run(self, settings)

    def stats(self) -> dict[str, Any]:
        """The engine's figures since it was opened, as Engine.stats() has them: requests,
        average_us, connections and connections_high_water, sessions and sessions_high_water,
        status_2xx, bytes_out, uptime_s and others; sizes in bytes, times as the name says.
        RuntimeError when nobody serves the application.
        """
        if self.engine is None:
            raise RuntimeError("the application is not being served: there are no figures")
        return self.engine.stats()


# The application that was frozen last: the one that is served. A weak reference, for it shall not
# keep the files of an application that nobody has any more.
_latest: Callable[[], App | None] = type(None)


def asset(name: str, host: str = "") -> str:
    """App.asset() of the application that is being served: for modules that have no App at hand.

    Before there is one, the plain path.
    """
    return (_latest() or App()).asset(name, host)


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

