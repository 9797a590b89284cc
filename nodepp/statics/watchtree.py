"""Folders watched with inotify: which names a notice concerns.

A watch is on a folder, by inode. Its name for us may be several: a link within the tree leads to
it. Files too have several names (watchnames.py). What is rare (a link that changes, new hard links,
a root that is replaced, notices lost) is not followed in detail: is_lost says that the tables are
wrong, and sync() makes them anew.
"""

from __future__ import annotations

import os
import stat
import time
from errno import EMFILE, ENFILE, ENOMEM, ENOSPC

from .._core import (
    IN_ATTRIB,
    IN_CLOSE_WRITE,
    IN_CREATE,
    IN_DELETE,
    IN_DELETE_SELF,
    IN_IGNORED,
    IN_ISDIR,
    IN_MODIFY,
    IN_MOVE_SELF,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_Q_OVERFLOW,
    Inotify,
)
from .tree import DEPTH_MAX, VISIBLE_HIDDEN, is_within
from .watchnames import Names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

    from .watchnames import Identity

NEVER_S = 1e9


class LimitReached(Exception):
    """The system gives no more watches."""


class Tree:
    """The watched folders.

    changed: names that were written and closed, came or went, files and folders alike. writing:
    files that were written to and not closed. is_lost: see above. excluded: the real path of a
    folder that is not watched. is_open(file) tells whether anybody has a file open for writing:
    None, nobody knows.

    OSError: this system has no inotify, or no more of it.
    """

    def __init__(self, is_open: Callable[[str], Optional[bool]]) -> None:
        self.inotify = Inotify()
        self.changed: set[str] = set()
        self.writing: set[str] = set()
        self.is_lost = False
        self.excluded = ""
        self.roots: dict[str, bool] = {}  # path → whether what is below is watched too
        self.identities: dict[str, Optional[Identity]] = {}  # of the roots
        self._is_open = is_open
        self._clear()

    def _clear(self) -> None:
        self._names: dict[int, list[str]] = {}  # watch → names of its folder
        self._reals: dict[int, str] = {}  # watch → the folder's real path
        self._watches: dict[str, int] = {}  # name of a folder → its watch
        self._others = Names()

    # Making the tables.

    def sync(self) -> None:
        """Watches what is there now. LimitReached."""
        before = set(self._names)
        self._clear()
        self.is_lost = False
        for root, is_deep in self.roots.items():
            self.identities[root] = identity(root)
            real = os.path.realpath(root)
            self._add(root, real, real, () if is_deep else None)
        for watch in before - set(self._names):
            self._remove(watch)
        self.find_closed(NEVER_S)  # that CLOSE_WRITE may be among what was lost

    def _add(self, path: str, real: str, root: str, above: Optional[tuple[str, ...]]) -> None:
        """A folder, and all below it. above: real paths of the folders above, against links in a
        circle; None: without what is below. The watch comes first: what is made while we read is
        noticed."""
        if self.excluded and is_within(self.excluded, real):
            return
        try:
            watch = self.inotify.add(path)
        except OSError as exc:
            if exc.errno in (ENOSPC, ENOMEM, EMFILE, ENFILE):
                raise LimitReached(exc.strerror)
            return  # it has gone again, or is not for us
        self._watches[path] = watch
        self._reals[watch] = real
        names = self._names.setdefault(watch, [])
        if path not in names:
            names.append(path)
        if above is None or len(above) > DEPTH_MAX:
            return
        try:
            with os.scandir(path) as found:
                entries = [entry for entry in found if not is_hidden(entry.name)]
        except OSError:
            return
        for entry in entries:
            try:
                self._look(entry, real, root, (*above, real))
            except OSError:
                continue  # it has gone again

    def _look(
        self, entry: os.DirEntry[str], folder: str, root: str, above: tuple[str, ...]
    ) -> None:
        real = f"{folder}/{entry.name}"
        if entry.is_symlink():
            real = os.path.realpath(entry.path)
            if not real.startswith(root + "/"):
                return  # not served
            self._others.add_link(entry.path, real)
        if entry.is_dir():
            if real not in above:
                self._add(entry.path, real, root, above)
        elif not entry.is_symlink():
            self._others.add_file(entry.path, entry.stat())

    def _remove(self, watch: int) -> None:
        try:
            self.inotify.remove(watch)
        except OSError:
            pass  # the folder has gone, and its watch with it

    def _forget(self, path: str) -> None:
        """A folder has another name now, or none."""
        watch = self._watches.pop(path, None)
        if watch is None:
            return
        names = self._names.get(watch, [])
        if path in names:
            names.remove(path)
        if not names:
            self._names.pop(watch, None)
            self._reals.pop(watch, None)
            self._remove(watch)

    def _forget_below(self, path: str) -> None:
        """The same with all below it."""
        below = path + "/"
        for name in [it for it in self._watches if it.startswith(below)]:
            self._forget(name)
        self.writing = {file for file in self.writing if not file.startswith(below)}

    # Notices.

    def drain(self, count_max: int) -> tuple[bool, bool]:
        """Takes the notices that wait, by so many reads at most. Whether there were any, and
        whether those were all. LimitReached."""
        for count in range(count_max):
            notices = self.inotify.read()
            if not notices:
                return count > 0, True
            for watch, mask, name in notices:
                self._take(watch, mask, name)
        return True, False

    def _take(self, watch: int, mask: int, name: str) -> None:
        if mask & IN_Q_OVERFLOW:
            self.is_lost = True
            return
        folders = self._names.get(watch)
        if folders is None:
            return  # of a watch that we have given up: its folder is read again anyway
        if mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF):
            self._lose(watch, mask, folders)
        elif not name:
            self.changed.update(folders)  # its mode has changed: now we may read it, or may not
        elif is_hidden(name):
            return  # editors write there what they rename then
        elif mask & IN_ISDIR:
            self._take_folder(watch, folders, mask, name)
        else:
            self._take_file(watch, folders, mask, name)

    def _lose(self, watch: int, mask: int, folders: list[str]) -> None:
        if any(folder in self.roots for folder in folders):
            self.is_lost = True
        if mask & IN_IGNORED:  # deleted, or unmounted
            self.changed.update(folders)
            for folder in folders:
                self._watches.pop(folder, None)
            self._names.pop(watch, None)
            self._reals.pop(watch, None)

    def _take_folder(self, watch: int, folders: list[str], mask: int, name: str) -> None:
        own = f"{self._reals[watch]}/{name}"
        for folder in list(folders):
            path = f"{folder}/{name}"
            self.changed.add(path)
            if self._others.has_links_of(path, own):
                self.is_lost = True  # what these links mean has changed
            if mask & (IN_DELETE | IN_MOVED_FROM):
                self._forget(path)
                if mask & IN_MOVED_FROM:  # what is deleted is empty
                    self._forget_below(path)
            elif mask & (IN_CREATE | IN_MOVED_TO | IN_ATTRIB) and self._is_deep(folder):
                real = os.path.realpath(path)
                self._add(path, real, self._root(real), (os.path.dirname(real),))

    def _is_deep(self, folder: str) -> bool:
        return self.roots.get(folder, True) or any(
            is_deep and folder.startswith(root + "/") for root, is_deep in self.roots.items())

    def _root(self, real: str) -> str:
        """The real path of the deep root that it is in."""
        for root, is_deep in self.roots.items():
            path = os.path.realpath(root)
            if is_deep and real.startswith(path + "/"):
                return path
        return real

    def _take_file(self, watch: int, folders: list[str], mask: int, name: str) -> None:
        own = [f"{folder}/{name}" for folder in folders]
        files = own + self._others.others(own[0], f"{self._reals[watch]}/{name}")
        if mask & IN_MODIFY:
            self.writing.update(files)
            return
        if mask & (IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM):
            if self._others.is_link(own):
                self.is_lost = True
            for file in own:
                self._others.drop_twin(file)
        if mask & (IN_CREATE | IN_MOVED_TO):
            self._take_new(own[0], files, bool(mask & IN_CREATE))
            return
        if mask & (IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_FROM):
            self.writing.difference_update(files)
        self.changed.update(files)

    def _take_new(self, name: str, files: list[str], is_created: bool) -> None:
        """A name that was not there, or is another file's now."""
        try:
            found = os.lstat(name)
        except OSError:
            self.changed.update(files)
            return
        if stat.S_ISLNK(found.st_mode) or found.st_nlink > 1:
            self.is_lost = True
        elif is_created and self._is_open(name) is not False:
            # Who has created it will write: its CLOSE_WRITE is what we wait for.
            self.writing.update(files)
            return
        self.writing.difference_update(files)
        self.changed.update(files)

    def find_closed(self, quiet_s: float) -> None:
        """Gives up waiting for writers that have closed: that notice was lost, or there was none (a
        file that was linked here). Where nobody knows who has a file open: those that are unchanged
        for so many seconds."""
        for file in list(self.writing):
            is_open = self._is_open(file)
            if is_open is None:
                try:
                    is_open = os.stat(file).st_mtime > time.time() - quiet_s
                except OSError:
                    is_open = False
            if not is_open:
                self.writing.discard(file)
                self.changed.add(file)

    # Questions.

    def is_settled(self, file: str) -> bool:
        """Whether, by the notices taken, nothing happened to a file that was not told yet."""
        if self.is_lost or file in self.writing:
            return False
        while self.changed and file not in self.changed:
            folder = os.path.dirname(file)
            if folder == file:
                return True
            file = folder
        return not self.changed

    def has_moved(self) -> bool:
        """Whether a root is another folder now: replaced, switched by a link, come or gone."""
        return any(identity(root) != self.identities.get(root) for root in self.roots)

    def changed_twins(self) -> set[str]:
        """Files with hard links that were written by a name that is not in the tree."""
        return self._others.changed_twins()

    def close(self) -> None:
        """Gives all watches back."""
        self.inotify.close()
        self._clear()


def is_hidden(name: str) -> bool:
    """Names that are never served, so that nothing about them matters."""
    return name.startswith(".") and name not in VISIBLE_HIDDEN


def identity(path: str) -> Optional[Identity]:
    """Device and inode of a folder; None if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino

