"""Walking a folder of public files: what may be served, and what never is.

Served: regular files. Not served: what begins with a dot (but for .well-known, RFC 8615), links
that lead out of the folder, and names that no URL should carry (bytes that are no UTF-8, control
characters, backslashes): the log names those.
"""

from __future__ import annotations

import errno
import os
import stat

from ..private import is_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Callable, Optional

    Log = Callable[[int, str], None]

ERR, WAR, INF, DBG = 1, 2, 3, 4

VISIBLE_HIDDEN = (".well-known",)  # RFC 8615: certificates and applications are looked for there
DEPTH_MAX = 32  # folders within folders; deeper ones are not read, which is logged
# Files of one tree: 60 times what Node++ has room for. More is a folder that nobody meant to serve
# (a home, node_modules); what is beyond is not read, which is logged.
FILE_COUNT_MAX = 65_536


# The folder's own trouble; with any other (no descriptors left) its files may well be there.
GONE = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ELOOP)


class Walk:
    """One pass over a folder.

    root: the folder, a real path. private: whether names that are not for the public (private.py)
    are left out. excluded: the real path of a folder that is never served, "" for none. files()
    gives (path below the root, with a leading slash; absolute name) of all that may be served,
    folder by folder in alphabetical order. links: (path, the real path that it leads to) of those
    that were met, for a change there is a change here.
    """

    def __init__(self, root: str, log: Log, private: bool = False, excluded: str = "") -> None:
        self.root = root
        self.log = log
        self.private = private
        self.excluded = excluded
        self.links: list[tuple[str, str]] = []
        self.is_partial = False  # something could not be looked at, though it may be there
        self.private_count = 0  # what was left out because of its name
        self._count = 0

    @property
    def has_links(self) -> bool:
        """Whether any link was met."""
        return bool(self.links)

    def files(self, below: str = "") -> Iterator[tuple[str, str]]:
        """below: the part of the tree that is walked, "/docs"; "" for all of it."""
        folder = self.root + below
        real = os.path.realpath(folder)
        if is_within(self.root, real) and not self._is_excluded(real):
            yield from self._files(folder, below, (real,))

    def _files(
        self, folder: str, prefix: str, above: tuple[str, ...]
    ) -> Iterator[tuple[str, str]]:
        """above: the real paths of the folders above and of this one, against links in a circle."""
        if len(above) > DEPTH_MAX + 1:
            self.log(WAR, f"static: {folder} is more than {DEPTH_MAX} folders deep: not read")
            return
        for entry in self._entries(folder):
            if not self._is_public(entry.name, entry.path):
                continue
            file, path = entry.path, f"{prefix}/{entry.name}"
            real = ""
            if entry.is_symlink():
                real = os.path.realpath(file)
                self.links.append((path, real))
                if not is_within(self.root, real):
                    self.log(WAR, f"static: {file} leads out of {self.root}: not served")
                    continue
            kind = self._kind(entry)
            if kind == "folder":
                real = real or f"{above[-1]}/{entry.name}"
                if self._is_excluded(real):
                    continue
                if real in above:
                    self.log(WAR, f"static: {file} leads to a folder that it is in: not read again")
                    continue
                yield from self._files(file, path, (*above, real))
            elif kind == "file" and not (real and self._is_excluded(real)):
                self._count += 1
                if self._count > FILE_COUNT_MAX:
                    self.is_partial = True
                    if self._count == FILE_COUNT_MAX + 1:
                        self.log(WAR, f"static: {self.root} has more than {FILE_COUNT_MAX:,} files:"
                                      " the rest is not served")
                    return
                yield path, file

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            # scandir tells files from folders without a stat of each.
            with os.scandir(folder) as entries:
                return sorted(entries, key=entry_name)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):  # a deploy's normal step
                self.log(INF, f"static: {folder} has gone")
            else:
                self.log(ERR, f"static: cannot read {folder}: {error.strerror}")
            self.is_partial = self.is_partial or error.errno not in GONE
            return []

    def _is_excluded(self, real: str) -> bool:
        if not self.excluded or not is_within(self.excluded, real):
            return False
        self.log(WAR, f"static: {self.excluded} is the cache of compressed files: not served")
        return True

    def _kind(self, entry: os.DirEntry[str]) -> str:
        """ "file", "folder", or "" for what is neither or has gone."""
        try:
            if entry.is_dir():
                return "folder"
            if entry.is_file():
                return "file"
            if entry.is_symlink():
                self.log(WAR, f"static: {entry.path} is a link to nothing that could be served")
        except OSError as error:
            self.log(WAR, f"static: cannot read {entry.path}: {error.strerror}")
        return ""

    def _is_public(self, name: str, file: str) -> bool:
        if is_hidden(name):
            return False
        if self.private and is_private(name):
            self.private_count += 1
            return False
        fault = fault_of_name(name)
        if fault:
            self.log(WAR, f"static: {file!r} has {fault} in its name: not served")
        return not fault

    def find(self, path: str) -> tuple[str, str]:
        """What is at a path now, by the same rules: ("file" or "folder", its absolute name), or
        ("", "").

        Looks at each part on the way, so that nothing below a hidden folder is found.
        """
        file = self.root + path
        names = path.split("/")[1:]
        if len(names) > DEPTH_MAX + 1 or not all(self._is_public(name, file) for name in names):
            return "", ""
        try:
            mode = os.stat(file).st_mode
        except OSError:
            return "", ""
        real = os.path.realpath(file)
        if real != file:
            self.links.append((path, real))
        if not is_within(self.root, real):
            self.log(WAR, f"static: {file} leads out of {self.root}: not served")
            return "", ""
        if self._is_excluded(real):
            return "", ""
        if stat.S_ISDIR(mode):
            return "folder", file
        return ("file", file) if stat.S_ISREG(mode) else ("", "")


def entry_name(entry: os.DirEntry[str]) -> str:
    """For sorting."""
    return entry.name


def is_hidden(name: str) -> bool:
    """Whether a name is not shown at all."""
    return name.startswith(".") and name not in VISIBLE_HIDDEN


def is_within(root: str, real: str) -> bool:
    """Whether a real path lies below the folder root (a real path too), or is it."""
    return real == root or real.startswith(root.rstrip("/") + "/")


def fault_of_name(name: str) -> Optional[str]:
    """What a name has that no URL should carry, None if nothing."""
    if name.isascii() and name.isprintable() and "\\" not in name:
        return None  # nearly all
    try:
        name.encode()
    except UnicodeEncodeError:  # os.scandir gives surrogates for bytes that are no UTF-8
        return "bytes that are not UTF-8"
    if "\\" in name:
        return "a backslash"
    if any(sign < " " or sign == "\x7f" for sign in name):
        return "a control character"
    return None


def signature_of(status: os.stat_result) -> tuple[int, int, int, int]:
    """What differs when a file was written or replaced: times in ns, size in bytes, inode."""
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_ctime_ns


def disk_etag(signature: tuple[int, int, int, int]) -> str:
    """The entity tag of a file whose bytes were not read."""
    modified_ns, size, inode, _ = signature
    return f"{modified_ns:x}-{size:x}-{inode:x}"
