"""Fixtures that several rooms share: a server on every poller, and books that must balance."""

from __future__ import annotations

import faulthandler
import gc
import os
import random
import traceback

import machine
import pytest
from hypothesis import HealthCheck, settings

try:
    from nodepp import _core
except ImportError:                # the tests of pure Python rooms run without the core
    _core = None


# Each run has the same examples, and no example has to be quick: a failure is never the machine's.
# --hypothesis-profile=search looks for new ones.
settings.register_profile(
    "same", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.register_profile("search", settings.get_profile("same"), derandomize=False)
settings.load_profile("same")


# Of one test. A test that waits for ever ends the run, instead of keeping it until somebody looks.
HANG_S = 300
STDERR = pytest.StashKey()

# Files of 10 s of processor time and more.
LONGEST = {
    "test_wire", "test_watch", "test_browser", "test_codings", "test_parser", "test_sample",
    "test_server", "test_bench_sessions", "test_session_storm", "test_streams", "test_hanging",
    "test_bench", "test_shadowing", "test_signals", "test_stalled_logs", "test_rewriting",
}


def pytest_addoption(parser) -> None:
    parser.addoption(
        "--shuffle", metavar="SEED", help="the files in another order, and the tests in each file")


def pytest_configure(config) -> None:
    config.stash[STDERR] = os.fdopen(os.dup(2), "w")       # nothing is captured yet


def pytest_unconfigure(config) -> None:
    config.stash[STDERR].close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """After HANG_S the stacks are written and this process ends; pytest-xdist names the test."""
    faulthandler.dump_traceback_later(HANG_S, exit=True, file=item.config.stash[STDERR])
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A child that a test has forked, and that came back into it, is not a second run."""
    process = os.getpid()
    try:
        return (yield)
    finally:
        if os.getpid() != process:
            traceback.print_exc()
            os._exit(70)


def pytest_report_header(config) -> list[str]:
    seed = config.getoption("--shuffle")
    return [f"shuffled: {seed}"] if seed else []


def pytest_collection_modifyitems(config, items) -> None:
    """Files stay together, so that a server which a file shares is started once. The longest ones
    come first: none of the processes of a whole run then waits for another's last file.
    """
    seed = config.getoption("--shuffle")
    if not seed:
        items.sort(key=lambda item: item.path.stem not in LONGEST)
    else:
        dice = random.Random(seed)
        places = {item.path: dice.random() for item in items}
        items.sort(key=lambda item: (places[item.path], dice.random()))


@pytest.fixture(scope="session", autouse=True)
def plain_machine(tmp_path_factory):
    """No setting of the one who runs the tests reaches a server; what servers keep between two
    starts (compressed files) is kept for this run only.
    """
    before, mask = dict(os.environ), os.umask(0o022)
    os.environ.clear()
    os.environ.update(machine.plain_environment(before))
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))
    machine.allow_descriptors()
    yield
    os.umask(mask)
    os.environ.clear()
    os.environ.update(before)


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
        request.node.funcargs.clear()  # pytest holds it until a file's own fixtures have ended
        books = _core.probe_balance()
        if any(books.values()):
            gc.collect()
            books = _core.probe_balance()
        assert not any(books.values()), f"left over by {request.node.name}: {books}"
