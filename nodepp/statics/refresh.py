"""Which files have to be read, now or again: the work that is done in slices.

What was read is put aside until apply(): between two slices the application must not hear of names
that no snapshot has yet.
"""

from __future__ import annotations

import errno
import os
import time

from .entry import Entry
from .minify import can_minify, minify
from .reading import Unsettled, content_key, read
from .tree import disk_etag, signature_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from .collection import Statics
    from .host import HostFiles
    from .reading import Content, Steps
    from .root import Root

ERR, WAR, INF, DBG = 1, 2, 3, 4

READ_COUNT_MAX = 3  # of one file, one after the other, while somebody writes it
# Who has a file open and has not written for so long is not writing it (watch.py thinks so too).
WRITER_QUIET_S_MAX = 60.0
# A file system's clock ticks every 4 to 10 ms, some every 2 s (FAT): two versions of the same size
# can bear the same date.
RACY_NS = 2_100_000_000
AGAIN_S = 1.0  # after which such a file is looked at again


class Refresh:
    """Looks at files, and keeps what was read until apply()."""

    def __init__(self, statics: Statics) -> None:
        self.statics = statics
        self._changed: dict[Root, HostFiles] = {}

    def apply(self) -> None:
        """Hands what was read since the last call over to the hosts."""
        changed, self._changed = self._changed, {}
        for root, host in changed.items():
            paths = root.apply()
            if root in host.roots:  # not taken away meanwhile
                for path in paths:
                    host.decide(path)

    def _plan(self, host: HostFiles, root: Root, path: str, entry: Optional[Entry]) -> None:
        root.plan(path, entry)
        self._changed[root] = host

    def steps(self, files: Optional[set[str]]) -> Steps[None]:
        """Looks at files, absolute names, or folders for all below them; None: at everything."""
        for host in list(self.statics.hosts.values()):
            for root in list(host.roots):
                if not root.folder:
                    continue
                if files is None:
                    yield from self.whole(host, root)
                else:
                    yield from self._some(host, root, files)

    def _some(self, host: HostFiles, root: Root, files: set[str]) -> Steps[None]:
        found = {path for file in files for path in root.paths_of(file)}
        if "" in found:
            yield from self.whole(host, root)
            return
        for path in sorted(found):
            yield from self._one(host, root, path)

    def whole(self, host: HostFiles, root: Root, below: str = "") -> Steps[None]:
        """Looks at all that a root has, or at what is below one of its folders."""
        if not root.folder:
            return
        if not below:
            root.find_real()
        if root.is_single:
            yield from self._single(host, root)
            return
        if not below and not root.found and not os.path.isdir(root.real):
            return  # it is not there: said when it was registered
        walk = root.walk(self.statics.log)
        if not below:
            root.begin_pass()
        seen = set()
        for path, file in walk.files(below):
            served = root.prefix + path
            seen.add(served)
            yield from self._look(host, root, served, file)
            yield
        if below or walk.is_partial:
            root.add_links(walk.links)
        else:
            root.end_pass(walk, self.statics.log)
        if not walk.is_partial:
            self._remove(host, root, root.prefix + below, seen)

    def _single(self, host: HostFiles, root: Root) -> Steps[None]:
        if os.path.isfile(root.real):
            yield from self._look(host, root, root.prefix, root.real)
        else:
            self._remove(host, root, root.prefix, set())

    def _one(self, host: HostFiles, root: Root, path: str) -> Steps[None]:
        walk = root.walk(self.statics.log)
        kind, file = walk.find(path)
        root.add_links(walk.links)
        if kind == "folder":
            yield from self.whole(host, root, path)
        elif kind == "file":
            yield from self._look(host, root, root.prefix + path, file)
            self._remove(host, root, root.prefix + path, {root.prefix + path})  # was it a folder?
        else:
            self._remove(host, root, root.prefix + path, set())
        yield

    def _remove(self, host: HostFiles, root: Root, path: str, seen: set[str]) -> None:
        """What is at a path, or below it, and was not seen."""
        for served in root.below(path):
            if served not in seen:
                self._plan(host, root, served, None)

    # One file.

    def _look(self, host: HostFiles, root: Root, served: str, file: str) -> Steps[None]:
        known = root.known(served)
        if known is not None:
            try:
                if known.signature == signature_of(os.stat(file)) and not known.is_racy:
                    return
            except OSError:
                pass  # reading it will say why
        try:
            content = yield from self._read(root, file)
        except Unsettled:
            return  # it will be looked at again
        if content is None:
            if known is not None:
                self._plan(host, root, served, None)
            return
        entry = yield from self._entry(root, served, file, content, known)
        if known is not None and known.signature == entry.signature and known.body == entry.body:
            known.is_racy = entry.is_racy
            return
        self._plan(host, root, served, entry)

    def _read(self, root: Root, file: str) -> Steps[Optional[Content]]:
        """None when there is nothing to read. Unsettled when it is not one whole version now."""
        statics = self.statics
        for count in range(READ_COUNT_MAX):
            try:
                content = yield from read(file, statics.config.res_cache_threshold)
            except Unsettled:
                if count == READ_COUNT_MAX - 1:
                    self._again(file)
                    raise
                continue
            except OSError as error:
                if error.errno != errno.ENOENT:
                    message = f"static: cannot read {file}: {error.strerror}"
                    root.say(statics.log, ERR, message)
                if error.errno in OUT_OF:
                    self._again(file)
                    raise Unsettled(file) from None
                return None
            if content is not None and not self._is_settled(file, content):
                raise Unsettled(file)  # whoever writes it will close it, which is an event
            return content
        raise AssertionError("the loop returns or raises")

    def _is_settled(self, file: str, content: Content) -> bool:
        watcher = self.statics.watcher
        if watcher is None:
            return True
        # At the start most files are old, and nobody need be asked.
        age_s = time.time() - content.signature[0] / 1e9
        return age_s > WRITER_QUIET_S_MAX or watcher.is_settled(file)

    def _again(self, file: str) -> None:
        engine = self.statics.engine
        if engine is not None:
            engine.later(AGAIN_S, lambda: self.statics.refresh({file}))
        else:
            self.statics.log(WAR, f"static: {file} is being written: not served yet")

    def _entry(
        self, root: Root, served: str, file: str, content: Content, known: Optional[Entry]
    ) -> Steps[Entry]:
        body = content.body
        if body is not None and root.minified and can_minify(served, body):
            body = yield from self._minify(served, file, body)
        modified = content.signature[0] // 1_000_000_000
        # RFC 9110 §8.8.2.1: no date after the answer's own.
        modified = min(modified, int(time.time())) if modified >= 0 else -1
        entry = Entry(served, file, body, content.signature, modified)
        entry.is_racy = time.time_ns() - content.signature[0] < RACY_NS
        if entry.references:
            return entry  # its key comes when those of the others are known
        if body is None:
            key = yield from content_key(disk_etag(content.signature).encode())
        else:
            key = yield from content_key(body)
        entry.make(key, self.statics.policy, known)
        return entry

    def _minify(self, served: str, file: str, body: bytes) -> Steps[bytes]:
        yield
        return minify(served, file, body, self.statics.log)


# The machine's trouble and not the file's: what is served stays.
OUT_OF = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EINTR)
