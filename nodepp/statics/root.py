"""A folder of public files, and what was read of it."""

from __future__ import annotations

import os

from .tree import Walk, is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Optional

    from .entry import Entry
    from .tree import Log

INF = 3

TOLD_COUNT_MAX = 10_000  # lines that are remembered


class Root:
    """A folder that is served below a prefix, a single file, or what was generated (folder "").

    found: path → Entry of all that was read, also of what a file of an earlier root hides.
    """

    def __init__(
        self,
        folder: str,
        prefix: str = "",
        *,
        has_index: bool = True,
        minified: bool = False,
        is_single: bool = False,
        private: bool = False,
        excluded: str = "",
    ) -> None:
        self.folder = folder  # as given, absolute; of a single one: the file
        self.prefix = prefix  # "" or "/static"; of a single one: its path
        self.has_index = has_index
        self.minified = minified
        self.is_single = is_single
        self.private = private  # whether names of source, keys and the like are left out
        self.excluded = excluded  # a folder that is never served, its real path; "" for none
        self.found: dict[str, Entry] = {}
        self._planned: dict[str, Optional[Entry]] = {}  # what will be found, by apply()
        # Folder → what is directly in it. So that removing a folder, of which a deploy may have
        # thousands, does not take a look at every file of the site.
        self._inside: dict[str, set[str]] = {}
        self._links: dict[str, set[str]] = {}  # real path → paths that lead there by a link
        self._told: set[str] = set()  # what was logged, as long as its cause lasts
        self._said: set[str] = set()  # the same, of the pass that is under way
        self.real = ""
        self.find_real()

    def find_real(self) -> None:
        """Follows the links on the way to the folder: they may lead elsewhere than before."""
        self.real = os.path.realpath(self.folder) if self.folder else ""

    # What was read.

    def plan(self, path: str, entry: Optional[Entry]) -> None:
        """Puts aside what was read at a path, None if there is nothing any more."""
        self._planned[path] = entry
        if entry is not None:
            self._enter(path)

    def apply(self) -> list[str]:
        """Keeps what was put aside; its paths."""
        planned, self._planned = self._planned, {}
        for path, entry in planned.items():
            if entry is None:
                self.found.pop(path, None)
                self._leave(path)
            else:
                self.found[path] = entry
        return list(planned)

    def known(self, path: str) -> Optional[Entry]:
        """What was read at a path, also if it is put aside yet."""
        return self._planned[path] if path in self._planned else self.found.get(path)

    def below(self, path: str) -> list[str]:
        """The paths of what is known at a path, and below it."""
        found = [path] if self.known(path) is not None else []
        waiting = [path]
        while waiting:
            for name in self._inside.get(waiting.pop(), ()):
                if self.known(name) is not None:
                    found.append(name)
                if name in self._inside:
                    waiting.append(name)
        return found

    def _enter(self, path: str) -> None:
        while path:
            folder = path[: path.rfind("/")]
            inside = self._inside.setdefault(folder, set())
            if path in inside:
                return
            inside.add(path)
            path = folder

    def _leave(self, path: str) -> None:
        while path and path not in self.found and path not in self._inside:
            folder = path[: path.rfind("/")]
            inside = self._inside.get(folder, set())
            inside.discard(path)
            if not inside:
                self._inside.pop(folder, None)
            path = folder

    # Passes over the folder.

    def walk(self, log: Log) -> Walk:
        """A look at the folder as it is now. What it has to say goes to the log once."""
        def say(level: int, message: str) -> None:
            self.say(log, level, message)

        return Walk(self.real, say, self.private, self.excluded)

    def say(self, log: Log, level: int, message: str) -> None:
        """Logs a line, unless its cause has been there since it was logged."""
        if len(self._told) >= TOLD_COUNT_MAX:
            self._told.clear()
            self._said.clear()
        self._said.add(message)
        if message not in self._told:
            self._told.add(message)
            log(level, message)

    def begin_pass(self) -> None:
        """All of it will be looked at."""
        self._said = set()

    def end_pass(self, walk: Walk, log: Log) -> None:
        """All of it was looked at: causes that were not met again have gone."""
        if walk.private_count:
            self.say(log, INF, f"static: {self.folder} has files or folders that are not for the"
                               " public (source, settings, keys, copies …): not served")
        self._told = set(self._said)
        self._links = {}
        self.add_links(walk.links)

    def add_links(self, links: Iterable[tuple[str, str]]) -> None:
        """Takes note of links: (path below the root, real path that it leads to)."""
        for path, real in links:
            self._links.setdefault(real, set()).add(path)

    # Names.

    def path_of(self, file: str) -> Optional[str]:
        """The path below the root of an absolute file name, "" for the root, or for a folder that
        the root lies in; None if it has nothing to do with it.
        """
        for base in (self.folder,) if self.folder == self.real else (self.folder, self.real):
            if base == file or base.startswith(file.rstrip("/") + "/"):
                return ""
            if not self.is_single and base and file.startswith(base.rstrip("/") + "/"):
                return file[len(base.rstrip("/")) :]
        return None

    def paths_of(self, file: str) -> Iterator[str]:
        """path_of(), and the paths by which links lead to the same file."""
        path = self.path_of(file)
        if path is None:
            return
        yield path
        if path and self._links:
            real = os.path.realpath(self.real + path)
            if real != self.real + path and is_within(self.real, real):
                yield real[len(self.real.rstrip("/")) :]
            rest = ""
            while len(real) > len(self.real):
                for link in self._links.get(real, ()):
                    yield link + rest
                real, _, name = real.rpartition("/")
                rest = f"/{name}{rest}"

    def has(self, real: str) -> bool:
        """Whether a real path is the root or lies below it."""
        return real == self.real or (not self.is_single and is_within(self.real, real))
