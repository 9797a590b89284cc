"""What the engine of a test asks of Python: the application's host, which keeps exceptions."""

from __future__ import annotations

from .host import Host

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .app import App


class TestHost(Host):
    """The application's host, but what a handler raises is kept for the test."""

    __test__ = False  # the name does not make it a test of pytest's

    def __init__(self, app: App) -> None:
        super().__init__(app)
        vars(self).update(vars(app.host))  # what the application, or the test, has replaced
        self._pending: BaseException | None = None

    def error(self, req: Any, status: int, exc: BaseException | None) -> Any:
        """The page of the host, after the exception was noted."""
        if exc is not None and not self.expects(exc):
            self._note(exc)
        return super().error(req, status, exc)

    def hook_failed(self, what: str, exc: BaseException) -> None:
        """A handler of an event raised: noted too."""
        self._note(exc)
        super().hook_failed(what, exc)

    def _note(self, exc: BaseException) -> None:
        """The first one is the cause of the others: a session that a failing event refused."""
        self._pending = self._pending or exc

    def raise_pending(self) -> None:
        """Raises what a handler has raised, once."""
        pending, self._pending = self._pending, None
        if pending is not None:
            raise pending
