"""All public files of an application: read at start, kept as a snapshot that the core serves, read
again when they change.

The roots of each host, in the order in which they win at a path: what the application generated
(app.add_static), res, resmin, then app.serve and app.serve_file in order of registration.
"""

from __future__ import annotations

import os
import time

from ..app import import_core
from .asset import Assets
from .compressing import Compressing
from .declared import Declared, Folder, Generated
from .disk import Disk
from .entry import Entry, Policy
from .host import HostFiles, Old
from .options import Options
from .reading import content_key, finish
from .refresh import Refresh
from .roots import add_folder, add_roots, cache_folder, report_hidden
from .slices import Slices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .._core import Engine, File, Resource, Snapshot
    from ..app import App
    from ..snippets import Snippets
    from .codings import Cache
    from .options import Settings
    from .tree import Log
    from .watch import Watcher

ERR, WAR, INF, DBG = 1, 2, 3, 4

CATCH_UP_S = 0.05  # after the start, when the first visitors have their answers


class Statics:
    """The public files of an App.

    config: a Config, or Options; None, the defaults. log: log(level, message); None, the App's.
    snapshot: what is served now; empty before load().
    """

    def __init__(self, app: App, config: Optional[Settings] = None, log: Optional[Log] = None):
        self.app = app
        self.config: Any = Options() if config is None else config
        self.log: Log = log or app.host.log
        self.declared: Declared = app.declared
        self.engine: Optional[Engine] = None
        self.cache: Optional[Cache] = None
        self.watcher: Optional[Watcher] = None
        self.hosts: dict[str, HostFiles] = {}
        self.disk = Disk(self)
        self.refreshing = Refresh(self)
        self.slices = Slices(self.flush, self._failed)
        self._snippets: Optional[Snippets] = None
        self.core = import_core()
        self.snapshot: Snapshot = self.core.Snapshot({})
        self.is_loaded = False
        self.assets = Assets(self)
        config = self.config
        threshold = config.compress_threshold if config.compress else -1
        self.policy = Policy(self.core.Resource, config.expires_statics_ms // 1000, threshold)
        self.compressing = Compressing(self)

    # Reading.

    def load(self, makes_cache: bool = True) -> Snapshot:
        """Reads everything, with the codings that the cache has. What cannot be read is a line in
        the log. makes_cache: a cache that is not there yet is begun.
        """
        if self.policy.threshold >= 0 and self.config.static_cache and (
            makes_cache or os.path.isdir(cache_folder(self))
        ):
            from .codings import Cache

            self.cache = self.policy.cache = Cache(cache_folder(self), self.log)
        self.hosts = {}
        old = Old()
        for name in ("", *self.declared.hosts):
            self.hosts[name] = HostFiles(name, self.hosts, self.policy, old)
        add_roots(self)
        self._set_folders()
        for generated in self.declared.generated.values():
            self._generate(generated)
        for host in self.hosts.values():
            for root in host.roots:
                finish(self.refreshing.whole(host, root))
        # Also hosts without files: what is asked of them is not the main host's to answer.
        self.snapshot = self.core.Snapshot({name: {} for name in self.hosts})
        self.is_loaded = True
        self.flush()
        report_hidden(self)
        if any(os.path.isdir(folder) for folder in self.snippet_folders().values()):
            self.snippets  # noqa: B018  (read now rather than at the first request)
        return self.snapshot

    def absolute(self, folder: str) -> str:
        """A folder or file as a setting or the application names it."""
        return os.path.normpath(os.path.join(self.config.app_dir, os.path.expanduser(folder)))

    def _generate(self, made: Generated) -> None:
        """An entry for what the application made. Its date is now, as in Node++."""
        host = self.hosts[made.host]
        entry = Entry(made.path, "", made.body, (0, len(made.body), 0, 0), int(time.time()),
                      made.content_type)
        before = host.generated.found.get(made.path)
        if before is not None and before.body == made.body:
            entry.read_modified = entry.modified = before.read_modified
        if not entry.references:
            entry.make(finish(content_key(made.body)), self.policy)
        host.generated.found[made.path] = entry
        host.decide(made.path)

    # What is served.

    def flush(self) -> bool:
        """Shows what has been read: a new snapshot, if anything is different in it."""
        self.refreshing.apply()
        changes = {}
        fresh = []
        for name, host in self.hosts.items():
            changed = {path: resource for path, resource in host.changes().items()
                       if resource is not self.snapshot.get(path, name)}
            if changed:
                changes[name] = changed
            for key, entry in host.stale:
                self.compressing.remove(key, entry)
            fresh += [entry for entry in host.fresh if host.winners.get(entry.path) is entry]
            host.fresh, host.stale = [], []
        for entry in fresh:
            self.compressing.add(entry)
        if not changes:
            return False
        self.snapshot = self.snapshot.with_changes(changes)
        if self.engine is not None:
            self.engine.publish(self.snapshot)
        return True

    def _failed(self, error: BaseException) -> None:
        self.app.host.log_exception("static: refreshing", error)

    # The run.

    def watch(self) -> None:
        """Watches from now on, so that no change falls between load() and begin()."""
        from .watch import Watcher

        self.watcher = Watcher(self.changed, self.log)
        if self.is_loaded:
            self._set_folders()

    def begin(self, engine: Engine) -> None:
        """Publishes to the engine, which is open, and keeps it up to date from now on: watcher and
        compressor.
        """
        self.engine = engine
        engine.publish(self.snapshot)
        self.slices.begin(engine)
        if self.watcher is None:
            self.watch()
            engine.later(CATCH_UP_S, self.refresh)
        assert self.watcher is not None
        self.watcher.begin(engine)
        engine.later(CATCH_UP_S, self.compressing.begin)

    def end(self) -> None:
        """Ends watcher and compressor. The snapshot stays."""
        self.slices.end()
        self.compressing.end()
        if self.watcher is not None:
            self.watcher.end()
        self.watcher = self.engine = None

    def _set_folders(self) -> None:
        """Tells the watcher where public files and snippets lie. Not the real paths: a link on the
        way may be switched to another folder, which is a change as well.
        """
        if self.watcher is None:
            return
        roots = [root for host in self.hosts.values() for root in host.roots if root.folder]
        folders = [root.folder for root in roots if not root.is_single]
        folders += self.snippet_folders().values()
        single = [os.path.dirname(root.folder) for root in roots if root.is_single]
        self.watcher.excluded = cache_folder(self)
        self.watcher.set_folders(folders, single)

    def changed(self, files: set[str]) -> None:
        """The watcher saw that files (or folders) were written, came or went."""
        self._refresh_snippets(files)
        self.refresh(files)

    def refresh(self, files: Optional[set[str]] = None) -> bool:
        """Reads again what has changed, and shows it: at once, or, while an engine runs, in slices
        of a few milliseconds between its turns.

        files: absolute names of files, or of folders for all below them; None, everything. True if
        anything was found to be different; with an engine, that is not known yet: True.
        """
        if not self.is_loaded:
            return False
        if files is None:
            self._refresh_snippets(None)
        before = self.snapshot
        self.slices.add(self.refreshing.steps(files))
        return self.engine is not None or self.snapshot is not before

    def precompress(self) -> None:
        """Waits until everything has all its codings: minutes, for a large site that is new."""
        self.compressing.run()

    # What the application may change while it runs.

    def add_generated(self, made: Generated) -> None:
        """app.add_static of a running application."""
        if not self.is_loaded:
            return
        self._generate(made)
        self.flush()

    def add_folder(self, folder: Folder) -> None:
        """app.serve and app.serve_file of a running application."""
        if not self.is_loaded:
            return
        root = add_folder(self, folder)
        self._set_folders()
        self.slices.add(self.refreshing.whole(self.hosts[folder.host], root))

    def remove(self, gone: list[Folder | Generated]) -> None:
        """app.unserve of a running application."""
        if not self.is_loaded:
            return
        for it in gone:
            host = self.hosts[it.host]
            if isinstance(it, Generated):
                host.generated.found.pop(it.path, None)
                host.decide(it.path)
                continue
            for root in [root for root in host.roots[1:] if root.prefix == it.prefix
                         and root.folder == self.absolute(it.path)]:
                host.roots.remove(root)
                for path in root.found:
                    host.decide(path)
        self._set_folders()
        self.flush()

    # For handlers and the core.

    def asset(self, name: str, host: str = "") -> str:
        """The URL path of a file, with its fingerprint, encoded; a query or fragment stays.

        host: an authority, as clients send it. What is not known gives its plain path, and one
        line in the log.
        """
        return self.assets.url(name, host)

    def host_of(self, authority: str) -> HostFiles:
        """The host that an authority means."""
        return self.assets.host_of(authority)

    def open_file(self, resource: Resource) -> Optional[tuple[Resource, File]]:
        """A file on disk, opened for one answer, with the Resource that describes what was opened;
        None when it has gone.
        """
        return self.disk.open(resource)

    # Snippets.

    def snippet_folders(self) -> dict[str, str]:
        """host → its folder of snippets, absolute."""
        folders = {"": self.config.snippets}
        folders.update((host.name, host.snippets) for host in self.declared.hosts.values())
        return {name: self.absolute(folder) for name, folder in folders.items() if folder}

    @property
    def snippets(self) -> Snippets:
        """The snippets of all hosts, read when they are first asked for."""
        if self._snippets is None:
            from ..snippets import Snippets

            self._snippets = Snippets()
            self._snippets.load(self.snippet_folders(), self.log)
        return self._snippets

    def snippet(self, name: str, authority: str = "") -> bytes:
        """A snippet as it goes into a page. LookupError for an unknown name."""
        return self.snippets.get(name, authority)

    def _refresh_snippets(self, files: Optional[set[str]]) -> None:
        if self._snippets is None:
            return
        try:
            settled = self.watcher.is_settled if self.watcher is not None else None
            if files is not None:
                # The watcher's names begin as the folders were given, theirs as they are.
                for folder in self.snippet_folders().values():
                    real = os.path.realpath(folder)
                    if real != folder:
                        files = {real + file[len(folder) :] if file.startswith(folder) else file
                                 for file in files}
            self._snippets.refresh(files, settled)
        except Exception as error:
            self.app.host.log_exception("snippets: refreshing", error)

    # For people.

    def listing(self) -> str:
        """A line for each path: media type, bytes as they are and in each coding, path."""
        from .report import listing

        return listing(self)

    def banner(self) -> str:
        """The start's line on public files; "" if there are none."""
        from .report import banner

        return banner(self)
