"""Fixtures that several rooms share: a server on every poller, and books that must balance."""

from __future__ import annotations

import gc
import os

import pytest

try:
    from nodepp import _core
except ImportError:                # the tests of pure Python rooms run without the core
    _core = None


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory):
    """What servers keep between two starts (compressed files) is kept for this run only."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["XDG_CACHE_HOME"]
    else:
        os.environ["XDG_CACHE_HOME"] = before


if _core is not None and hasattr(_core, "probe_balance"):
    import harness

    @pytest.fixture(params=harness.POLLERS)
    def poller(request) -> str:
        """Each way of waiting, one after the other."""
        return request.param

    @pytest.fixture
    def serve(poller):
        """serve(**settings) gives a running Server on this poller; its books balance afterwards."""
        yield from _servers(poller)

    @pytest.fixture
    def serve_epoll():
        """The same on epoll only, for what no poller decides."""
        yield from _servers("epoll")

    @pytest.fixture
    def visiting():
        """visiting(handlers={...}, **settings) gives a site with sessions; see visitors.py."""
        import visitors
        yield from visitors.visiting()

    def _servers(poller):
        servers = []

        def start(**options):
            server = harness.Server(poller, **options)
            servers.append(server)
            return server

        yield start
        for server in servers:
            server.close()

    @pytest.fixture(autouse=True)
    def balance(request):
        """No connection, buffer, request or file is left over by any test, also if it failed."""
        yield
        books = _core.probe_balance()
        if any(books.values()):
            gc.collect()
            books = _core.probe_balance()
        assert not any(books.values()), f"left over by {request.node.name}: {books}"
