"""Files that are too large for memory: opened for each answer, and compared with what was said of
them.
"""

from __future__ import annotations

import os
import stat

from .entry import YEAR_S
from .refresh import OUT_OF
from .tree import disk_etag, signature_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from .._core import File, Resource
    from .collection import Statics


class Disk:
    """Opens the files of resources that have no body."""

    def __init__(self, statics: Statics) -> None:
        self.statics = statics

    def open(self, resource: Resource) -> Optional[tuple[Resource, File]]:
        """The file, and what is to be said of it: the resource itself, or a fresh one when the file
        was replaced meanwhile. None when it is no file any more, may not be read, or is now a link
        out of its folder. OSError: it is there, and the machine cannot open it for now.
        """
        file = resource.path
        try:
            # O_NONBLOCK: a FIFO in the file's place must not hold the server.
            fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno in OUT_OF:
                raise
            self._look_again(file)
            return None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or not self._is_inside(file, fd):
                os.close(fd)
                self._look_again(file)
                return None
            etag = disk_etag(signature_of(status))
            if etag != resource.etag:
                resource = self._fresh(resource, status, etag)
                self._look_again(file)
            opened: File = self.statics.core.File(fd)
        except BaseException:
            os.close(fd)
            raise
        return resource, opened

    def _is_inside(self, file: str, fd: int) -> bool:
        """Whether what was opened still lies in the folder that the name lies in. Asked of the
        descriptor: a name could lead elsewhere by the next moment.
        """
        try:
            real = os.readlink(f"/proc/self/fd/{fd}")
        except OSError:
            real = os.path.realpath(file)
        return any(
            root.folder and root.path_of(file) is not None and root.has(real)
            for host in self.statics.hosts.values()
            for root in host.roots
        )

    def _fresh(self, old: Resource, status: os.stat_result, etag: str) -> Resource:
        # A fingerprint in the name speaks of the old bytes: nobody may keep the new ones under it.
        is_for_ever = old.expires_s == YEAR_S
        resource: Resource = self.statics.core.Resource(
            None,
            old.content_type,
            etag=etag,
            modified=status.st_mtime_ns // 1_000_000_000,
            cache_control="no-cache" if is_for_ever else old.cache_control,
            expires_s=-1 if is_for_ever else old.expires_s,
            path=old.path,
            size=status.st_size,
        )
        return resource

    def _look_again(self, file: str) -> None:
        self.statics.refresh({file})
