"""Which files have changed, told soon after: by inotify, or by looking every minute.

    watcher = Watcher(changed, log)
    watcher.set_folders(roots)      before reading, so that no change falls between
    watcher.begin(engine)           from now on changed(files) is called

Whoever reads a file asks is_settled(file) afterwards, and drops what was read if it says no: the
file will be told of again. For that there are two witnesses. The notices that wait in the queue
tell who has written and closed. But a write that is under way is not there yet (a large one is told
of when it is done), and one that began before the watch never was. So the kernel is asked as well
whether anybody has the file open for writing: it gives a lease for reading only if nobody has. When
that is asked first and the queue drained then, no writer can hide: one that has closed in between
is in the queue.

What is promised: where the kernel answers (files of our own user, or the capability CAP_LEASE), a
read that is_settled() is one whole version, however long a writer takes. Where it does not (files
of another user, some file systems), so is one of a file that is written while we watch, unless a
single write(2) stands still for some tenths of a second (watchlooks.py). What was half written by
then, by another user, when the watch began is taken for whole if nothing was written to it for
FRESH_AT_START_S; it is read again when its writer goes on, or closes it.
"""

from __future__ import annotations

import fcntl
import os
import time
from signal import SIGURG

from .watchlooks import Looks
from .watchscan import Scan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Callable, Optional

    from .watchtree import Tree

    Log = Callable[[int, str], None]

ERR, WAR, INF, DBG = 1, 2, 3, 4

GATHER_S = 0.05  # of quiet, so that a deploy of many files is few snapshots …
GATHER_S_MAX = 0.25  # … but no longer than this
ROOT_S = 0.4  # between looks at the roots, whose replacement no watch of ours tells
MINUTE_S = 60.0  # between looks at what notices do not tell
# Who has a file open for writing and has not written for this long is not writing it.
WRITER_QUIET_S_MAX = 60.0
# Where the kernel does not tell who writes, files that are younger are not believed at once.
FRESH_S = 5.0
FRESH_AT_START_S = 0.3  # one write(2) takes less, also of a writer who has to wait for his turn
READ_COUNT_MAX = 4  # reads of the queue, of some thousand notices each, to answer one question
# Until inotify is tried again after a shortage; it doubles, for a tree of many folders takes time.
RETRY_S_MAX = 3600.0
FALL_BACK_LINE = "static: changes are looked for every minute, for inotify cannot be used: "


class Watcher:
    """Watches folders. changed(files) is called on the engine's thread with absolute names, of
    files and of folders: whatever lies below one of these may be different.
    """

    def __init__(self, changed: Callable[[set[str]], None], log: Log) -> None:
        self.changed = changed
        self.log = log
        self.excluded = ""  # the real path of a folder that is not watched
        self._engine: Any = None
        self._looks = Looks(self._scanned)
        self._tree: Optional[Tree] = None
        self._scan: Optional[Scan] = None
        self._told: set[str] = set()  # by the scan, and not passed on yet
        self._open: set[str] = set()  # files that were being written when we asked
        self._is_due = False  # a flush will come
        self._retry_s = 0.0  # between two attempts to have inotify back; 0: there was none yet
        self._retry_at_s = 0.0
        self._first_s = self._last_s = 0.0  # when changes came, of those that wait

    def set_folders(self, folders: list[str], flat: Iterable[str] = ()) -> None:
        """Watches these and all below them; of `flat` ones only the files directly in them.
        Absolute paths; names are reported as they begin here. One that is not there yet is watched
        when it comes. Quick when they are those of last time."""
        roots = {**dict.fromkeys(flat, False), **dict.fromkeys(folders, True)}
        if self._tree is None and self._scan is None:
            self._open_tree()
        if self._tree is not None and self._tree.roots != roots:
            self._tree.roots, self._tree.excluded = roots, self.excluded
            self._sync()
        if self._scan is not None:
            self._scan.roots, self._scan.excluded = roots, self.excluded

    def begin(self, engine: Any) -> None:
        """Reports from now on, and what has changed since set_folders()."""
        self._engine = engine
        self._looks.begin(engine)
        if self._tree is not None:
            try:
                engine.add_reader(self._tree.inotify.fileno(), self._readable)
            except (OSError, ValueError) as exc:  # select() has no room for it
                self._fall_back(str(exc))
        if self._scan is not None:
            self._scan.begin(engine)
        engine.every(ROOT_S, lambda: self._look_at_roots(engine))
        engine.every(MINUTE_S, lambda: self._look_closer(engine))
        self._flush_soon()

    def end(self) -> None:
        """Watches no more."""
        if self._scan is not None:
            self._scan.end()
        self._looks.end()
        self._close_tree()
        self._engine = self._scan = None
        self._is_due = False

    def is_settled(self, file: str) -> bool:
        """To be asked after a file was read: whether that was one whole version. If not it will be
        reported again."""
        being_written = is_being_written(file)
        if being_written and age_s(file) < WRITER_QUIET_S_MAX:
            self._open.add(file)
            return False
        if being_written is None and self._engine is None and age_s(file, True) < FRESH_AT_START_S:
            self._told.add(file)  # begin() will report it
            return False
        if self._scan is not None:
            return self._scan.is_settled(file)
        tree = self._tree
        if tree is None:
            return True
        is_all = self._drain(READ_COUNT_MAX)
        self._flush_soon()
        if tree is not self._tree:  # fallen back just now
            return False
        if tree.has_moved():
            tree.is_lost = True
            self._flush_soon()
        if not is_all:  # an answer would take too long
            tree.changed.add(file)
            self._flush_soon()
            return False
        if not tree.is_settled(file):
            return False
        is_fresh = being_written is None and abs(age_s(file, True)) < FRESH_S
        return not is_fresh or self._engine is None or self._looks.is_ripe(file)

    # Gathering.

    def _readable(self) -> None:
        self._drain(1)  # we are called again when there is more
        self._flush_soon()

    def _drain(self, count_max: int) -> bool:
        """Whether no notice waits any more."""
        from .watchtree import LimitReached

        if self._tree is None:
            return True
        try:
            is_any, is_all = self._tree.drain(count_max)
        except LimitReached as exc:
            self._fall_back(str(exc))
            return True
        if is_any:
            self._last_s = time.monotonic()
        return is_all

    def _flush_soon(self) -> None:
        if self._engine is None or self._is_due or not self._has_news():
            return
        self._is_due = True
        self._first_s = time.monotonic()
        self._flush_later()

    def _has_news(self) -> bool:
        tree = self._tree
        return bool(self._told) or (tree is not None and (tree.is_lost or bool(tree.changed)))

    def _flush_later(self) -> None:
        engine = self._engine
        engine.later(GATHER_S, lambda: self._flush(engine))

    def _flush(self, engine: Any) -> None:
        if self._engine is not engine or not self._is_due:
            return
        self._drain(1)
        now_s = time.monotonic()
        is_quiet = now_s - self._last_s > GATHER_S / 2
        if not is_quiet and now_s - self._first_s < GATHER_S_MAX:
            self._flush_later()
            return
        self._is_due = False
        files, self._told = self._told, set()
        tree = self._tree
        if tree is not None and tree.is_lost:
            self._sync()
            files |= tree.roots.keys()  # everything may be different
        if self._tree is not None:
            files |= self._tree.changed - self._tree.writing
            self._tree.changed.clear()
        if files:
            self.changed(files)

    def _sync(self) -> None:
        """Makes the tables of the tree anew."""
        from .watchtree import LimitReached

        tree = self._tree
        if tree is None:
            return
        try:
            tree.sync()
        except LimitReached as exc:
            self._fall_back(str(exc))

    # What notices do not tell.

    def _look_at_roots(self, engine: Any) -> None:
        if self._engine is engine and self._tree is not None and self._tree.has_moved():
            self._tree.is_lost = True
            self._flush_soon()

    def _look_closer(self, engine: Any) -> None:
        if self._engine is not engine:
            return
        self._told |= self._open  # is_settled() is asked again
        self._open.clear()
        self._looks.forget()
        if self._scan is not None and time.monotonic() >= self._retry_at_s:
            self._try_inotify()
        if self._tree is not None:
            self._tree.find_closed(WRITER_QUIET_S_MAX)
            self._told |= self._tree.changed_twins()
        self._flush_soon()

    # Without inotify.

    def _open_tree(self) -> None:
        try:
            from .watchtree import Tree

            self._tree = Tree(is_being_written)
        except (OSError, ImportError) as exc:
            self._fall_back(getattr(exc, "strerror", None) or str(exc))

    def _close_tree(self) -> None:
        if self._tree is not None:
            if self._engine is not None:
                self._engine.remove_reader(self._tree.inotify.fileno())
            self._tree.close()
            self._tree = None

    def _fall_back(self, reason: str) -> None:
        """Changes from now until the first look are found by reading everything again once."""
        self.log(WAR, FALL_BACK_LINE + reason)
        self._retry_later()
        self._scan = Scan(self._scanned)
        self._scan.excluded = self.excluded
        if self._tree is not None:
            self._scan.roots = self._tree.roots
            self._told.update(self._tree.roots)
            self._close_tree()
            if self._engine is not None:
                self._scan.begin(self._engine)
        self._flush_soon()

    def _retry_later(self) -> None:
        self._retry_s = min(max(MINUTE_S, 2 * self._retry_s), RETRY_S_MAX)
        self._retry_at_s = time.monotonic() + self._retry_s

    def _try_inotify(self) -> None:
        """The watches or descriptors that were short may be there again."""
        scan, tree = self._scan, None
        assert scan is not None
        try:
            from .watchtree import LimitReached, Tree
        except ImportError:
            self._retry_at_s = float("inf")  # this system has none
            return
        try:
            tree = Tree(is_being_written)
            tree.roots, tree.excluded = scan.roots, self.excluded
            tree.sync()
            self._engine.add_reader(tree.inotify.fileno(), self._readable)
        except (LimitReached, OSError, ValueError):
            if tree is not None:
                tree.close()
            self._retry_later()
            return
        scan.end()
        self._tree, self._scan = tree, None
        self._told.update(tree.roots)  # what the next look would have found
        self.log(WAR, "static: inotify tells of changes again")

    def _scanned(self, files: set[str]) -> None:
        self._told |= files
        self._flush_soon()


def age_s(file: str, is_by_system: bool = False) -> float:
    """Seconds since a file was written; many if it is not there. is_by_system: or since anything
    about it was changed, a date that nobody can set.
    """
    try:
        found = os.stat(file)
    except OSError:
        return 1e9
    return time.time() - (max(found.st_mtime, found.st_ctime) if is_by_system else found.st_mtime)


def is_being_written(file: str) -> Optional[bool]:
    """Whether anybody has a file open for writing; None if the system does not tell (another user's
    file, some file systems, not Linux).

    A lease (fcntl(2), F_SETLEASE) is given back at once. Who opens the file meanwhile is held up
    for that long, and we get a signal: SIGURG, which nobody minds, instead of SIGIO, which kills.
    """
    if not hasattr(fcntl, "F_SETLEASE"):
        return None
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False
