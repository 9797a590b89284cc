"""What the tests need of the machine that they run on. Each function brings it about and looks
whether it is so; none of them takes it for granted.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import pathlib
import resource

from waiting import until

# What makes a server, or a program that a test starts, behave in another way than expected.
TELLING = ("PORT", "HOST", "WEB_CONCURRENCY", "NO_COLOR", "FORCE_COLOR", "TZ", "LANG", "LANGUAGE",
           "PYTHONWARNINGS", "PYTHONASYNCIODEBUG", "PYTHONUNBUFFERED")
TELLING_PREFIXES = ("NPP_", "LISTEN_", "NOTIFY_", "LC_")
DESCRIPTOR_COUNT = 2000           # tests go past the 1,024 that select can watch


def plain_environment(environment: dict[str, str]) -> dict[str, str]:
    """That environment without what the user of this machine has set for other servers."""
    return {name: value for name, value in environment.items()
            if name not in TELLING and not name.startswith(TELLING_PREFIXES)
            and not name.lower().endswith("_proxy")}


def allow_descriptors(count: int = DESCRIPTOR_COUNT) -> int:
    """Raises this process's limit of open files so far, or as far as it goes; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        count = min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def descriptors() -> list[str]:
    """What this process has open, as `number → file`; nothing where the system does not tell. What
    other tests dropped is closed first: it would go at any time.
    """
    gc.collect()
    found = []
    if not os.path.isdir("/proc/self/fd"):
        return found
    for name in sorted(os.listdir("/proc/self/fd"), key=int):
        try:
            found.append(f"{name} → {os.readlink(f'/proc/self/fd/{name}')}")
        except FileNotFoundError:      # the one that listed them
            pass
    return found


def resident_size() -> int:
    """Bytes of this process in memory. Not by statm, which is off by some megabytes on a machine
    with many processors.
    """
    with open("/proc/self/smaps_rollup") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith("Rss:"))


# The kernel's memory of files.


def tells_memory(path: pathlib.Path) -> bool:
    """Does this file system answer the core's question whether a byte is in memory?"""
    with open(path, "rb", buffering=0) as file:
        try:
            os.preadv(file.fileno(), [bytearray(1)], 0, os.RWF_NOWAIT)
        except BlockingIOError:
            pass
        except (OSError, AttributeError):
            return False
    return True


def resident_count(path: pathlib.Path) -> int:
    """How many pages of the file the kernel has in memory; asking does not read any of them."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as region:
        page_count = (len(region) + mmap.PAGESIZE - 1) // mmap.PAGESIZE
        pages = (ctypes.c_ubyte * page_count)()
        start = ctypes.c_char.from_buffer(region)
        try:
            status = libc.mincore(
                ctypes.byref(start), ctypes.c_size_t(len(region)), ctypes.byref(pages))
        finally:
            del start                  # the region cannot be closed before
        assert status == 0, os.strerror(ctypes.get_errno())
    return sum(page & 1 for page in pages)


def chill(path: pathlib.Path) -> bool:
    """Takes a file out of the kernel's memory; False where files live in memory (tmpfs).

    The kernel keeps pages that are dirty, or that another processor has not let go of yet: it is
    asked again until they have gone.
    """
    def is_cold() -> bool:
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return resident_count(path) == 0

    if not hasattr(os, "posix_fadvise") or lives_in_memory(path):
        return False
    until(is_cold, f"{path} out of memory")
    return True


def memory_folder() -> str:
    """A folder whose files are written without waiting for a disk; "" where there is none."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) and lives_in_memory("/dev/shm") else ""


def lives_in_memory(path: str | pathlib.Path) -> bool:
    """Is this the file system of a folder that has no disk: tmpfs, ramfs?"""
    real = os.path.realpath(path)
    with open("/proc/self/mountinfo") as file:
        mounts = [line.split() for line in file]
    here = [row for row in mounts if real == row[4] or real.startswith(row[4].rstrip("/") + "/")]
    kind = max(here, key=lambda row: len(row[4]))
    return kind[kind.index("-") + 1] in ("tmpfs", "ramfs")
