"""App's events: what it is told of the start and the end, what it does from time to time."""

from __future__ import annotations

from . import forks
from .errors import RouteError, StartError
from .routes import check_handler, handler_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, TypeVar

    from .host import Host

    Handler = Callable[..., Any]
    HandlerT = TypeVar("HandlerT", bound=Callable[..., Any])


class Events:
    """The part of an App that says what is to be called when."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._events: dict[str, list[Handler]] = {}
        self._timers: list[tuple[float, Callable[[], None]]] = []
        self._is_frozen = False
        self._started_in: int | None = None  # the process, by forks.generation()

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
        """Decorator: called with the request when a session has begun: by its handler, or by a rule
        before that is called. Returning False refuses it, and so does an exception: the request is
        answered with 500.
        """
        return self._on("session_start", handler)

    def on_session_stop(self, handler: HandlerT) -> HandlerT:
        """Decorator: called with the session that ends, read-only. nodepp.current() is the request
        that is being answered meanwhile: that of its visitor, or, where session.evicted says so, of
        another visitor whose login takes its place. Most sessions end between requests, because
        their time is up: then there is no current request, and asking for it is a RuntimeError.
        """
        return self._on("session_stop", handler)

    def on_login(self, handler: HandlerT) -> HandlerT:
        """Decorator: called with the request when its session has been logged in."""
        return self._on("login", handler)

    def on_logout(self, handler: HandlerT) -> HandlerT:
        """Decorator: called with the session that was logged out, read-only, before it ends. A
        login that ends because its time is up is a logout without a current request, see
        on_session_stop.
        """
        return self._on("logout", handler)

    def _on(self, event: str, handler: HandlerT) -> HandlerT:
        self._require_thawed(f"on_{event}")
        check_handler(handler, f"on_{event}")
        self._events.setdefault(event, []).append(handler)
        return handler

    def handlers_of(self, event: str) -> tuple[Handler, ...]:
        """The handlers of an event, by its name without on_, in order of registration."""
        return tuple(self._events.get(event, ()))

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
        self._started_in = forks.generation()
        for handler in self._events.get("start", ()):
            if forks.call(handler) is False:
                raise StartError(
                    f"{handler_name(handler)} returned False: the application refuses to start"
                )

    def stop(self, call: Callable[[Callable[[], object]], object] = forks.call) -> None:
        """Runs the on_stop handlers, last registered first; one that raises is logged, and the
        others still run. What is no fault (SystemExit in a test, a Cut) is raised after them.
        Nothing happens in a child of the process that was started.

        call: what calls each of them.
        """
        if self._started_in not in (None, forks.generation()):
            return
        kept: BaseException | None = None
        for handler in reversed(self._events.get("stop", ())):
            try:
                call(handler)
            except BaseException as exc:
                if self.host.is_fault(exc):
                    self.host.log_exception(f"on_stop {handler_name(handler)}", exc)
                else:
                    kept = kept or exc
        if kept is not None:
            raise kept

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
            forks.call(self.handler)
        except BaseException as exc:
            if not self.host.is_fault(exc):
                raise
            self.host.log_exception(f"every {handler_name(self.handler)}", exc)
