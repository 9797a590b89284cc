"""Reading a text that an operator keeps: npp.conf, blacklist.txt, whitelist.txt.

Such a file decides who is let in and how much is taken. One that is there and cannot be read must
be an error: a server that went on without it would run without its limits.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

_KINDS = (
    (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"), (stat.S_ISBLK, "a device"),
)  # fmt: skip


def read_plain(path: str, size_max: int) -> Optional[bytes]:
    """The bytes of a regular file, one more than size_max at most; None if nothing has that name.

    OSError for all else, with a strerror that says what is there. Never waits: a pipe is not read.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if os.path.islink(path):
            target = os.readlink(path)
            raise OSError(errno.ENOENT, f"a link to {target}, which is not there") from None
        return None
    # Before it is opened, for some devices notice that; and once more after it, for the name may
    # stand for something else by then.
    _refuse_others(found)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        _refuse_others(os.fstat(descriptor))
        return file.read(size_max + 1)


def _refuse_others(found: os.stat_result) -> None:
    kind = kind_of(found)
    if kind:
        raise OSError(errno.EINVAL, f"{kind}, and no regular file")


def kind_of(found: os.stat_result) -> str:
    """ "a folder", "a pipe" …; "" for a regular file."""
    return next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "")
