"""What a file asks of the system, and what the system answers, in words."""

from __future__ import annotations

import errno
import os
import time

from ..errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

MIB = 1024 * 1024

# What posix_fallocate() says when there is no room: none on the disk, in the quota, for one file.
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

ASIDE_TRIES_MAX = 1000          # files set aside within one second


def refused(shown: str, error: Exception, path: str) -> StartError:
    """What the system said, with what can be done about it."""
    folder = os.path.dirname(path)
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, StartError):
        return error
    if number == errno.EISDIR:
        text = "that is a folder. Name a file in it, e.g. " + os.path.join(path, "sessions.npp")
    elif number == errno.ENOENT and not os.path.isdir(folder):
        text = f"there is no folder {folder}. Make it, or name another file"
    elif number == errno.ENOTDIR:
        text = f"{folder} is no folder. Name another file"
    elif number in (errno.EACCES, errno.EPERM):
        which = folder if not os.path.lexists(path) or _may_write(path) else "The file"
        text = f"permission denied. {which} has to be writable for user {os.geteuid()}"
    elif number in (errno.ENOLCK, errno.EOPNOTSUPP):
        text = "its file system has no locks. Name a file on a local disk"
    else:
        text = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return StartError(f"{shown}: {text}.")


def _may_write(path: str) -> bool:
    effective = os.access in os.supports_effective_ids
    return os.access(path, os.R_OK | os.W_OK, effective_ids=effective)


def size_text(size: int) -> str:
    """Bytes as a person compares them: "2.2 MiB", "74.1 GiB"."""
    for unit, length in (("TiB", MIB * MIB), ("GiB", 1024 * MIB)):
        if size >= length:
            return f"{size / length:,.1f} {unit}"
    return f"{size / MIB:,.1f} MiB"


def free_size(path: str) -> Optional[int]:
    """Bytes that we may still write to the disk of that file; None if it does not say."""
    try:
        room = os.statvfs(os.path.dirname(path))
    except OSError:
        return None
    return room.f_bavail * room.f_frsize if room.f_blocks else None


def fill(descriptor: int, size: int) -> None:
    """Takes all room now. A mapped file with holes is a signal (SIGBUS) when the disk is full."""
    try:
        os.posix_fallocate(descriptor, 0, size)
        return
    except AttributeError:              # macOS
        pass
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise
    # What is there stays: holes read as zeros, and are written as such.
    for offset in range(0, size, MIB):
        count = min(MIB, size - offset)
        data = os.pread(descriptor, count, offset).ljust(count, b"\0")
        while data:
            written = os.pwrite(descriptor, data, offset)
            data, offset = data[written:], offset + written


def set_aside(path: str) -> str:
    """Gives a damaged file another name too; the rename that follows takes away the old one, so
    that there is always a file of that name, and nobody begins another meanwhile.
    """
    base = f"{path}.damaged-{time.strftime('%Y%m%d-%H%M%S')}"
    for number in range(1, ASIDE_TRIES_MAX):
        aside = base if number == 1 else f"{base}-{number}"
        try:
            os.link(path, aside)
        except FileExistsError:
            continue
        except OSError:                 # a file system without links
            os.rename(path, aside)
        return aside
    raise OSError(errno.EEXIST, f"there are too many files {base}")


def remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def to_disk(descriptor: int, sync: Callable[[int], None]) -> bool:
    """False if the system cannot say so (a file system without it), or has failed."""
    try:
        sync(descriptor)
    except OSError as error:
        return error.errno in (errno.EINVAL, errno.ENOTSUP)
    return True
