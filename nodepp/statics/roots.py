"""Which folders are served: those of the settings, and those that the application named."""

from __future__ import annotations

import os

from .declared import INDEX, MINIFY, Host
from .root import Root
from .tree import Walk, is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .collection import Statics
    from .declared import Folder
    from .host import HostFiles

WAR = 2

HIDDEN_COUNT_MAX = 5  # files that others hide, of which a start says each; then their number


def add_roots(statics: Statics) -> None:
    """Gives all hosts their roots, in the order in which they win."""
    main = Host("", statics.config.res, statics.config.resmin, "")
    for given in (main, *statics.declared.hosts.values()):
        host = statics.hosts[given.name]
        for name, minified in ((given.res, False), (given.resmin, True)):
            if name:
                folder = statics.absolute(name)
                root = Root(folder, minified=minified, private=_is_private(statics, folder),
                            excluded=cache_folder(statics))
                _add(statics, host, root, is_expected=given is not main)
    for declared in statics.declared.folders:
        add_folder(statics, declared)


def add_folder(statics: Statics, folder: Folder) -> Root:
    """A root for what app.serve or app.serve_file named."""
    name = statics.absolute(folder.path)
    root = Root(
        name, folder.prefix, has_index=bool(folder.flags & INDEX),
        minified=bool(folder.flags & MINIFY), is_single=folder.is_single,
        private=not folder.is_single and _is_private(statics, name),
        excluded=cache_folder(statics))
    _add(statics, statics.hosts[folder.host], root, is_expected=True)
    return root


def _is_private(statics: Statics, folder: str) -> bool:
    """Where the application's own folder is served (or one that it lies in), its source and keys
    are not.
    """
    return is_within(os.path.realpath(folder), os.path.realpath(statics.config.app_dir))


def cache_folder(statics: Statics) -> str:
    """The real path of the cache of codings, "" if there is none. It is not to be served, not even
    in a folder that is.
    """
    folder = statics.config.static_cache
    return os.path.realpath(statics.absolute(folder)) if folder else ""


def serves(statics: Statics, file: str) -> bool:
    """Whether a file is public, or will be: one that was written just now is served a little later.
    file: absolute.
    """
    real = os.path.realpath(file)
    for host in statics.hosts.values():
        for root in host.roots:
            if not root.folder or not is_within(root.real, real):
                continue
            walk = Walk(root.real, _say_nothing, root.private, root.excluded)
            if root.real == real or walk.find(real[len(root.real.rstrip("/")) :])[0]:
                return True
    return False


def _say_nothing(level: int, message: str) -> None:
    pass


def _add(statics: Statics, host: HostFiles, root: Root, is_expected: bool) -> None:
    host.roots.append(root)
    there = os.path.isfile(root.real) if root.is_single else os.path.isdir(root.real)
    if is_expected and not there:
        statics.log(WAR, f"static: there is no {'file' if root.is_single else 'folder'}"
                         f" {root.folder}")


def report_hidden(statics: Statics) -> None:
    """Logs files that nobody sees, for another has their path."""
    hidden = [
        (entry.file, host.winners[path].file or "what app.add_static was given")
        for host in statics.hosts.values() for root in host.roots
        for path, entry in root.found.items() if host.winners[path] is not entry]
    for file, by in hidden[:HIDDEN_COUNT_MAX]:
        statics.log(WAR, f"static: {file} is hidden by {by}")
    if len(hidden) > HIDDEN_COUNT_MAX:
        statics.log(WAR, f"static: {len(hidden) - HIDDEN_COUNT_MAX} more files are hidden so")
