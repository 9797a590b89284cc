"""Assembles a server (settings → listeners → application → statics → engine), and runs it.

The order is the contract. Listeners are opened before the application is imported, so that a taken
port costs no start-up; on_start runs before the first request; whatever was opened is closed again,
also when a later step fails.
"""

from __future__ import annotations

import errno
import os
import sys
import time

from . import forks
from . import listeners as listening
from .access import AccessLists
from .banner import banner, counted, raise_descriptor_limit, warn_of_missing_coders
from .checking import refuse_public
from .errors import ConfigError, RouteError, StartError
from .host import import_core
from .log import ALWAYS, INF, WAR, complain, exception_text, log
from .log_files import Logs
from .sessions import open_table, timeouts_of
from .signals import Signals
from .site import Site, site_of
from .visitors import rule_warnings, visitor_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Callable, Optional

    from ._core import Engine
    from .app import App
    from .config import Config
    from .sessions import OpenedTable
    from .statics import Statics

EXIT_USAGE = 2                  # wrong usage or configuration
EXIT_START = 3                  # could not start

SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN)    # of what a start takes

KEEP_S = 1.0                    # between two looks whether signals still wake the loop
WARM_UP_S = 0.5                 # after the start, when the first visitors have their answers


class Server:
    """One run, from the sockets to the last answer."""

    def __init__(
        self,
        config: Config,
        find_site: Callable[[Config], Site],
        reload: Optional[Callable[[], Config]] = None,
        verbose: bool = False,
        started: Optional[float] = None,
    ) -> None:
        """`find_site` imports the application; it is called when the sockets listen.

        `reload` reads the settings again, for SIGHUP. `started`: perf_counter() of the beginning.
        """
        self.config = config            # a reload replaces it
        self.began_with = config
        self.find_site = find_site
        self.read_again = reload
        self.verbose = verbose
        self.started = time.perf_counter() if started is None else started
        self.engine: Optional[Engine] = None
        self.statics: Optional[Statics] = None
        self.listeners: list[listening.Listener] = []
        self.stopping_since: Optional[float] = None
        self.access: Optional[AccessLists] = None
        self._is_cut = False
        self._turns_at_stop = 0
        self._logs = Logs()
        self._signals = Signals(self)

    # --- the run --------------------------------------------------------------------------------

    def run(self) -> None:
        """Serves until it is told to stop. StartError or ConfigError when it could not start."""
        import_core()                   # it has to know which descriptors are the server's
        try:
            # Before the application may drop privileges: afterwards a terminal or pipe of another
            # user cannot be opened.
            self._logs.open(self.config)
            self._signals.catch()           # before long lists are read: USR1 and USR2 would end us
            self.access = AccessLists(self.config)
            self.listeners = self._listen()
            site = self._signals.start_step(
                "the import of the application", self.find_site, self.config)
            raise_descriptor_limit(self.config.max_connections)
            self._serve(site)
        except KeyboardInterrupt:
            if self.engine is None:
                log.write(ALWAYS, "Stopped before it was ready.")
        finally:
            for listener in self.listeners:
                listener.close()
            self._signals.release()
            self._logs.close()

    def _listen(self) -> list[listening.Listener]:
        config = self.config
        bind: Sequence[str] = config.listeners
        if not config.bind and listening.given_by_systemd():
            bind = ("systemd",)
        return listening.open_all(bind, config.backlog, config.uds_permissions)

    def _serve(self, site: Site) -> None:
        app = site.app
        app.host.verbose = self.verbose
        router = app.freeze()
        refuse_public(self.config, site.statics)    # before it is made
        opened = open_table(
            self.config, app.session_class, log.write, timeouts_of(self.config))
        try:
            self._serve_with(site, router, opened)
        finally:
            opened.close(clean=True)

    def _serve_with(self, site: Site, router: Any, opened: OpenedTable) -> None:
        app = site.app
        # An on_start handler may add hosts, rules and generated files, as npp_app_init of Node++.
        self._start_application(app)
        statics = self.statics = site.statics
        try:
            statics.watch()
            forks.call(statics.load)        # it makes generated files
            refuse_public(self.config, statics)     # on_start may have named another folder
            if self.config.precompress:
                statics.precompress()
            self.engine = app.engine = self._make_engine(app, router, opened)
            self.engine.publish(statics.snapshot)
            app.host.hears_signals = self._signals.are_heard
            access = app.host.access = self.access
            assert access is not None
            access.begin(self.engine)
            self._open_engine()
            access.follow()
            opened.begin(self.engine)
            statics.begin(self.engine)
            statics.snippets.begin(self.engine)
            for seconds, callback in app.timers:
                self.engine.every(seconds, callback)
            self._logs.begin(self.engine)
            if log.level >= INF:
                self._print_banner(site, opened)
            for warning in (*self.config.warnings, *rule_warnings(app, self.config)):
                log.write(WAR, warning)
            warn_of_missing_coders(self.config)
            for path in app.hidden_routes():
                log.write(INF, f"a file hides the route GET {path}: files win")
            # The first JSON answer shall not wait for the import (35 ms), nor shall the start.
            self.engine.later(WARM_UP_S, app.host.warm_up)
            if self._signals.are_ours:
                self.engine.every(KEEP_S, self._signals.keep_pipe)
            self._run_engine()
            self._say_stopped()
        finally:
            # on_stop runs after the last request, and also when the engine could not be made.
            app.stop(self._signals.run_stop_hook)
            self._signals.begin("the end of the server")
            statics.end()
            if self.access is not None:
                self.access.end()
            app.engine = app.host.access = None
            if self.engine is not None:
                statics.snippets.end()
                self._logs.end()
                self.engine.close()

    def _run_engine(self) -> None:
        assert self.engine is not None
        while True:
            try:
                return self.engine.run()
            except import_core().Cut:       # it met code of ours: the engine has been told to stop
                pass

    def _start_application(self, app: App) -> None:
        try:
            self._signals.start_step("on_start", app.start)
        except (StartError, ConfigError):
            raise
        except KeyboardInterrupt:
            if self._signals.is_stop_wanted:
                raise
            raise StartError("on_start failed: KeyboardInterrupt") from None
        except BaseException as error:
            text = exception_text(error, self.verbose)
            raise StartError(f"on_start failed: {text}") from None

    def _make_engine(self, app: App, router: Any, opened: OpenedTable) -> Engine:
        _core = import_core()
        settings = self.config.engine_settings()
        try:
            settings.update(visitor_settings(app, self.config, opened.table))
        except RouteError as error:
            raise StartError(str(error)) from None
        settings["wakeup_fd"] = self._signals.wakeup_fd
        settings["owns_signals"] = self._signals.are_ours
        monitor = self.config.fd_monitor
        if monitor == "selectors" or (monitor == "auto" and not sys.platform.startswith("linux")):
            from .selectors_api import DefaultSelector

            settings["selector_factory"] = DefaultSelector
        try:
            engine: Engine = _core.Engine(settings, router, app.host)
        except (ValueError, MemoryError) as error:
            raise StartError(f"The engine could not be made: {error}.") from None
        return engine

    def _open_engine(self) -> None:
        assert self.engine is not None
        try:
            self.engine.open([(it.socket.fileno(), it.kind) for it in self.listeners])
        except (ValueError, MemoryError, OSError) as error:
            raise StartError(f"The engine could not be opened: {error}.") from None

    # --- stopping -------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stops accepting, lets requests finish, closes: run() returns after that."""
        assert self.engine is not None
        self.stopping_since = time.perf_counter()
        open_count = self.engine.connection_count
        log.write(ALWAYS, f"Stopping: {counted(open_count, 'connection')} open.")
        self.engine.stop(self.config.graceful_timeout_ms)
        self._turns_at_stop = self.engine.stats()["turns"]
        self.engine.every(0.05, self._close_listeners)

    def cut(self) -> None:
        """Closes all connections at once: run() returns after that."""
        assert self.engine is not None
        if not self._is_cut:
            self._is_cut = True
            log.write(ALWAYS, f"Cut {counted(self.engine.connection_count, 'connection')}.")
        self.stopping_since = self.stopping_since or time.perf_counter()
        self.engine.stop(0)

    def _close_listeners(self) -> None:
        """While requests finish, new peers are refused at once instead of waiting in vain.

        The engine lets in whoever the kernel had accepted at the end of the turn in which it was
        stopped; two turns later it does not look at the sockets any more.
        """
        assert self.engine is not None
        if self.engine.stats()["turns"] >= self._turns_at_stop + 2:
            for listener in self.listeners:
                listener.close()
            self.listeners.clear()

    def _say_stopped(self) -> None:
        assert self.engine is not None
        self._logs.end()              # its last lines come before this one
        duration_s = time.perf_counter() - (self.stopping_since or time.perf_counter())
        stats = self.engine.stats()
        count = stats["requests"]
        # Earlier than that, cut() has said it. The engine's clock has milliseconds: by that one the
        # time may be over a little before it is by this one.
        in_time = self._is_cut and duration_s * 1000 < self.config.graceful_timeout_ms
        if stats["cut"] and not in_time:
            log.write(ALWAYS, f"Cut {stats['cut']:,} of {stats['draining']:,} after"
                              f" {round(duration_s, 1):g} s: requests were not finished in time"
                              " (gracefulTimeout).")
        log.write(ALWAYS, f"Stopped in {duration_s:.1f} s, after {counted(count, 'request')}.")

    # --- settings that may change ---------------------------------------------------------------

    def reload(self) -> None:
        """Applies the settings that can change at run time, and names those that cannot; looks at
        all public files again.
        """
        if self.engine is not None and self.statics is not None:
            self.statics.refresh()
        if self.read_again is None:
            log.write(WAR, "Nothing to reload: the settings came from the program.")
            return
        from .settings import KEYS
        from .values import format_value

        try:
            new = self.read_again()
        except ConfigError as error:
            log.write(WAR, f"Not reloaded: {error}")
            return
        changed: list[str] = []
        later: list[str] = []
        for key in KEYS:
            value = getattr(new, key.attribute)
            now = self.config if key.reloadable else self.began_with
            if value != getattr(now, key.attribute):
                (changed if key.reloadable else later).append(
                    f"{key.name}={format_value(key, value)}")
        self.config, old = new, self.config
        try:
            assert self.access is not None
            self.access.read(new)
            self._logs.open(new)
            self._signals.follow()
        except (StartError, ConfigError) as error:
            self.config = old
            log.write(WAR, f"Not reloaded: {error}")
            return
        text = f"Reloaded: {', '.join(changed) or 'nothing changed'}."
        if later:
            text += f" Needs a restart: {', '.join(later)}."
        log.write(ALWAYS, text)

    def reopen_logs(self) -> None:
        """After log rotation has moved the files away."""
        try:
            self._logs.open(self.config)
            self._signals.follow()
        except StartError as error:
            log.write(WAR, f"The logs could not be reopened: {error}")
            return
        log.write(ALWAYS, "Logs reopened.")

    # --- the banner -----------------------------------------------------------------------------

    def _print_banner(self, site: Site, opened: OpenedTable) -> None:
        assert self.engine is not None and self.access is not None
        rows = banner(self.config, site, self.listeners, self.engine.stats(), opened,
                      self.access.banner(), self.started)
        log.tell("\n".join(rows))


# --- app.run() ----------------------------------------------------------------------------------

_running_in = 0                 # a process; a child may have a server of its own


def serve(server: Server) -> int:
    """Runs a server; gives the exit status, having said why on stderr if it is not 0."""
    global _running_in
    if _running_in == os.getpid():
        raise RuntimeError(
            "a server runs in this process already. If app.run() stands at the end of a module that"
            ' nodepp-run imports, put it under: if __name__ == "__main__":')
    _running_in = os.getpid()
    try:
        forks.call(server.run)
    except ConfigError as error:
        complain(str(error))
        return EXIT_USAGE
    except StartError as error:
        complain(str(error))
        return EXIT_START
    except OSError as error:
        # A module that cannot be read for want of descriptors, a pipe that cannot be made.
        if server.engine is not None or error.errno not in SHORTAGES:
            raise
        complain(f"Cannot start: {error}. Try: ulimit -n")
        return EXIT_START
    finally:
        _running_in = 0
    return 0


def run(app: App, settings: Mapping[str, object]) -> None:
    """app.run(**settings). SystemExit when it could not start, as for `nodepp-run`."""
    from .config import load_settings
    from .streams import secure

    secure()

    def read() -> Config:
        return load_settings(settings)

    try:
        config = read()
    except ConfigError as error:
        complain(str(error))
        raise SystemExit(EXIT_USAGE) from None
    app.config.update(config.user)
    status = serve(Server(config, lambda config: site_of(app, "App", config), read))
    if status:
        raise SystemExit(status)
