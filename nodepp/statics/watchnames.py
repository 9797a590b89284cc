"""The further names that files have, by links and hard links: a notice tells only one of them."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Identity = tuple[int, int]  # device, inode


class Names:
    """Links and hard links of the watched folders, as they were met when those were read."""

    def __init__(self) -> None:
        self._links: dict[str, str] = {}  # name of a link → real path of what it leads to
        self._linked: dict[str, list[str]] = {}  # and the other way round
        self._inodes: dict[Identity, list[str]] = {}  # names of files with hard links
        self._twins: dict[str, list[str]] = {}  # the same, by each name
        self._stamps: dict[str, tuple[int, ...]] = {}  # name → what was last seen of such a file

    def add_link(self, name: str, real: str) -> None:
        """A link; real: what it leads to."""
        if self._links.get(name) == real:
            return
        self._links[name] = real
        self._linked.setdefault(real, []).append(name)

    def add_file(self, name: str, found: os.stat_result) -> None:
        """A file: of interest if it has several names."""
        if found.st_nlink > 1 and name not in self._twins:
            twins = self._inodes.setdefault((found.st_dev, found.st_ino), [])
            twins.append(name)
            self._twins[name] = twins
            self._stamps[name] = stamp(found)

    def drop_twin(self, name: str) -> None:
        """This name is another file's now, or nobody's."""
        twins = self._twins.pop(name, None)
        if twins is not None:
            twins.remove(name)
            del self._stamps[name]

    def others(self, name: str, real: str) -> list[str]:
        """The other names of a file. real: its own path, without links on the way."""
        names: list[str] = []
        if self._linked:
            names += self._linked.get(real, ())
        if self._twins:
            names += [twin for twin in self._twins.get(name, ()) if twin != name]
        return names

    def is_link(self, names: Iterable[str]) -> bool:
        """Whether any of these was a link when it was met."""
        return bool(self._links) and any(name in self._links for name in names)

    def has_links_of(self, folder: str, real: str) -> bool:
        """Whether links lead to a folder or below it, or lie below it. real: its own path."""
        if not self._links:
            return False
        below, real_below = folder + "/", real + "/"
        return any(name.startswith(below) or to == real or to.startswith(real_below)
                   for name, to in self._links.items())

    def changed_twins(self) -> set[str]:
        """Files with hard links that look different from last time: written by a name that is not
        watched, of which nobody tells us.
        """
        changed = set()
        for file, before in self._stamps.items():
            try:
                now = stamp(os.stat(file))
            except OSError:
                continue  # its going was noticed
            if now != before:
                self._stamps[file] = now
                changed.add(file)
        return changed


def stamp(found: os.stat_result) -> tuple[int, ...]:
    """What differs when a file was written to, or is another one."""
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns
