"""Which folders are served: those of the settings, and those that the application named."""

from __future__ import annotations

import os

from ..private import is_private
from .declared import INDEX, MINIFY, Host
from .root import Root
from .tree import is_hidden, is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .collection import Statics
    from .declared import Folder
    from .host import HostFiles

WAR = 2

HIDDEN_COUNT_MAX = 5  # files that others hide, of which a start says each; then their number


def add_roots(statics: Statics) -> None:
    """Gives all hosts their roots, in the order in which they win."""
    for host, root, is_expected in _roots(statics):
        _add(statics, statics.hosts[host], root, is_expected)


def _roots(statics: Statics) -> Iterator[tuple[str, Root, bool]]:
    """(host, root, whether somebody expects it to be there) of all that is to be served."""
    main = Host("", statics.config.res, statics.config.resmin, "")
    for given in (main, *statics.declared.hosts.values()):
        for name, minified in ((given.res, False), (given.resmin, True)):
            if name:
                folder = statics.absolute(name)
                root = Root(folder, minified=minified, private=_is_private(statics, folder),
                            excluded=cache_folder(statics))
                yield given.name, root, given is not main
    for declared in statics.declared.folders:
        yield declared.host, _root_of(statics, declared), True


def add_folder(statics: Statics, folder: Folder) -> Root:
    """A root for what app.serve or app.serve_file named, while the server runs."""
    root = _root_of(statics, folder)
    _add(statics, statics.hosts[folder.host], root, is_expected=True)
    return root


def _root_of(statics: Statics, folder: Folder) -> Root:
    name = statics.absolute(folder.path)
    return Root(
        name, folder.prefix, has_index=bool(folder.flags & INDEX),
        minified=bool(folder.flags & MINIFY), is_single=folder.is_single,
        private=not folder.is_single and _is_private(statics, name),
        excluded=cache_folder(statics))


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
    """Whether a file of that name, there or not yet, is public, or will be. file: absolute."""
    real = os.path.realpath(file)
    for _, root, _ in _roots(statics):
        if root.real == real:
            return True
        if is_within(root.real, real):
            names = real[len(root.real) :].strip("/").split("/")
            if not any(is_hidden(it) or (root.private and is_private(it)) for it in names):
                return True
    return False


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
