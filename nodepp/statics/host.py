"""The files of one host: the folders that they come from, which of them wins at a path, and what a
snapshot has at each path because of that.
"""

from __future__ import annotations

from .reading import content_key, finish
from .root import Root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .entry import Entry, Policy

INDEX = "index.html"
# Style sheets that import each other in a chain; a reference beyond stays as it is written.
IMPORT_DEPTH_MAX = 64

# Bytes of changed files that pages out there still name: as many files and bytes as a large deploy
# has. The oldest leave first.
OLD_COUNT_MAX = 256
OLD_SIZE_MAX = 32 << 20


class Old:
    """Fingerprinted resources of versions that have gone, of all hosts. kept: (host, fingerprinted
    path) → (Resource, path), the oldest first.
    """

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], tuple[Any, str]] = {}
        self.size = 0

    def add(self, host: HostFiles, name: str, resource: Any, path: str) -> None:
        """Keeps one, and drops the oldest above the bounds."""
        self.discard(host, name)
        self.kept[host.name, name] = (resource, path)
        self.size += size_of(resource)
        while len(self.kept) > OLD_COUNT_MAX or self.size > OLD_SIZE_MAX:
            place = next(iter(self.kept))
            self.discard(host.site[place[0]], place[1])

    def get(self, host: HostFiles, name: str) -> Any:
        """The Resource, or None."""
        found = self.kept.get((host.name, name))
        return found and found[0]

    def discard(self, host: HostFiles, name: str) -> None:
        """Forgets one, if it is there."""
        found = self.kept.pop((host.name, name), None)
        if found is not None:
            self.size -= size_of(found[0])
            host.touched.add(name)

    def discard_versions(self, host: HostFiles, path: str) -> None:
        """Forgets all versions of a file, which nobody is to see any more."""
        for place in [place for place, (_, of) in self.kept.items()
                      if of == path and place[0] == host.name]:
            self.discard(host, place[1])


def size_of(resource: Any) -> int:
    """Bytes that a resource in memory holds, codings included."""
    size: int = resource.size + sum(resource.codings.values())
    return size


class HostFiles:
    """Everything of one host. site: all hosts by name, of which this is one."""

    def __init__(
        self, name: str, site: dict[str, HostFiles], policy: Policy, old: Old
    ) -> None:
        self.name = name
        self.site = site
        self.policy = policy
        self.old = old
        self.generated = Root("")
        self.roots: list[Root] = [self.generated]  # the first one that has a path wins
        self.winners: dict[str, Entry] = {}
        self.names: dict[str, Entry] = {}  # fingerprinted path → Entry
        self.sheets: dict[str, Entry] = {}  # the winners that refer to others
        self.indexes: set[str] = set()  # paths of index pages that stand for their folder
        self.touched: set[str] = set()  # paths of which a snapshot may have to change
        self.fresh: list[Entry] = []  # winners since the last changes(), perhaps without codings
        self.stale: list[tuple[str, Entry]] = []  # keys of contents since then that nobody sees now
        self._referrers: dict[str, set[str]] = {}  # path → style sheets that refer to it
        self._unsettled: set[str] = set()  # paths that sheets may refer to by an old fingerprint

    # What is where.

    def decide(self, path: str) -> None:
        """Takes note of the root that wins at a path now."""
        new, has_index = None, False
        for root in self.roots:
            new = root.found.get(path)
            if new is not None:
                has_index = root.has_index and path.endswith("/" + INDEX)
                break
        old = self.winners.get(path)
        if new is old and has_index == (path in self.indexes):
            return
        if old is not None:
            self._drop(old, path if new is not None else "")
        self.indexes.discard(path)
        if new is None:
            self.old.discard_versions(self, path)
            del self.winners[path]
        else:
            self._take(path, new)
            if has_index:
                self.indexes.add(path)
        self._touch(path)
        self._unsettled.add(path)

    def _take(self, path: str, entry: Entry) -> None:
        self.winners[path] = entry
        if entry.references:
            entry.fingerprints = None
            self.sheets[path] = entry
            for reference in entry.references:
                self._referrers.setdefault(reference.path, set()).add(path)
        else:
            self._add_name(entry)

    def _drop(self, entry: Entry, keep_as: str) -> None:
        self.stale.append((entry.key, entry))
        self._drop_name(entry.name, entry.named, keep_as)
        if self.sheets.pop(entry.path, None) is not None:
            for reference in entry.references:
                referrers = self._referrers.get(reference.path, set())
                referrers.discard(entry.path)
                if not referrers:
                    self._referrers.pop(reference.path, None)

    def _touch(self, path: str) -> None:
        self.touched.add(path)
        if path.endswith("/" + INDEX):
            folder = path[: -len(INDEX)]
            self.touched.update((folder, folder[:-1]))

    def recoded(self, entry: Entry) -> None:
        """Takes note of an entry that got codings."""
        if self.winners.get(entry.path) is entry:
            self._touch(entry.path)
            self.touched.add(entry.name)

    def _add_name(self, entry: Entry) -> None:
        self.fresh.append(entry)
        if entry.name:
            self.names[entry.name] = entry
            self.old.discard(self, entry.name)
            self.touched.add(entry.name)

    def _drop_name(self, name: str, named: Any, keep_as: str) -> None:
        """keep_as: the path of which it is an old version, "" to forget it."""
        if not name:
            return
        self.names.pop(name, None)
        self.touched.add(name)
        if keep_as and named.body is not None:
            self.old.add(self, name, named, keep_as)

    def resource(self, path: str) -> Any:
        """What a snapshot has at a path: a file, an index page, the way to one, a fingerprinted
        file, an old version; None if nothing.
        """
        entry = self.winners.get(path)
        if entry is not None:
            return entry.plain
        page = path + INDEX if path.endswith("/") else f"{path}/{INDEX}"
        if page in self.indexes:
            if path.endswith("/"):
                return self.winners[page].plain
            if path:
                return self.policy.make(None, "", etag="", location=quote_path(path) + "/")
        entry = self.names.get(path)
        if entry is not None:
            return entry.named
        return self.old.get(self, path)

    def changes(self) -> dict[str, Any]:
        """path → Resource or None, for all paths that were touched since the last call."""
        self._settle()
        touched, self.touched = self.touched, set()
        touched.discard("")
        return {path: self.resource(path) for path in touched}

    # Style sheets.

    def _settle(self) -> None:
        """Puts fingerprints into the style sheets whose references have changed, those that others
        import first.
        """
        waiting, self._unsettled = list(self._unsettled), set()
        todo = {path for path in waiting if path in self.sheets}
        while waiting and self._referrers:
            for path in self._referrers.get(waiting.pop(), ()):
                if path not in todo:
                    todo.add(path)
                    waiting.append(path)
        # In order, so that of sheets in a circle it is always the same one that gives way.
        for path in sorted(todo):
            self._resolve(path, todo, [])

    def _resolve(self, path: str, todo: set[str], above: list[str]) -> None:
        if path not in todo:
            return
        entry = self.sheets[path]
        above.append(path)
        fingerprints = []
        modified = -1
        for reference in entry.references:
            target = self.winners.get(reference.path)
            # What imports itself, also by way of others, cannot name its own content.
            if target is None or reference.path in above or len(above) > IMPORT_DEPTH_MAX:
                fingerprints.append("")
                continue
            if reference.path in self.sheets:
                self._resolve(reference.path, todo, above)
            fingerprints.append(target.fingerprint)
            modified = max(modified, target.modified)
        above.pop()
        todo.discard(path)
        if fingerprints != entry.fingerprints:
            self._rewrite(entry, fingerprints, modified)

    def _rewrite(self, entry: Entry, fingerprints: list[str], modified: int) -> None:
        name, named = entry.name, entry.named
        if entry.key:
            self.stale.append((entry.key, entry))
        entry.rewrite(fingerprints, modified)
        assert entry.sent is not None
        entry.make(finish(content_key(entry.sent)), self.policy)
        if name != entry.name:
            self._drop_name(name, named, entry.path)
        self._add_name(entry)
        self._touch(entry.path)

    # For the application.

    def url(self, path: str) -> str:
        """The encoded, fingerprinted path for a path; "" if there is no such file."""
        entry = self.winners.get(path)
        if entry is None:
            page = path + INDEX
            return quote_path(path) if page in self.indexes else ""
        return quote_path(entry.name or path)


_SAFE = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/!$&'()*+,;=:@"
_ENCODED = tuple(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in range(256))
_PLAIN = frozenset(_SAFE.decode()) - frozenset("&'")


def quote_path(path: str) -> str:
    """Percent-encodes a decoded path (RFC 3986 §3.3). urllib.parse costs 3 ms to import."""
    if _PLAIN.issuperset(path):
        return path
    return "".join([_ENCODED[byte] for byte in path.encode()])
