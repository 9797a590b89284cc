"""blacklist.txt and whitelist.txt: an address, a network or a range a line, and "#" for comments.

The server adds lines of its own to the black list, `ADDRESS  # blocked DATE TIME: why`, and the
command line takes lines out, while a person may have the file in an editor: lines are appended
whole, everything else goes to a file beside it that is renamed, and both hold a lock meanwhile.
"""

from __future__ import annotations

import errno
import os
import time

from ..errors import ConfigError
from ..library import library
from ..plain_file import read_plain
from .addresses import blockable, covers, parse_ranges

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from .._core import AddressList
    from .addresses import Range

    Stamp = Optional[tuple[int, int, int]]

# Node++ takes 10,000 and 1,000. A list of 100,000 is read in 0.3 s, and searched as fast as one of
# 10. More is an error: that is a firewall's work.
ENTRIES_COUNT_MAX = 100_000
FILE_SIZE_MAX = 16 * 1024 * 1024        # bytes; 160 a line

WHY_LENGTH_MAX = 100                    # characters
BLOCKED = "blocked "                    # how the comment of a line begins that the server wrote

# A rewriting of the longest list takes 100 ms. Whoever holds the lock for longer is not one of us,
# and the server, which serves nobody meanwhile, goes on without the file.
LOCK_WAIT_S_MAX = 1.0
LOCK_LOOK_S = 0.005


class Entry:
    """One line: the text of its address, what that covers, its comment without the sign."""

    __slots__ = ("comment", "line", "ranges", "text")

    def __init__(self, line: int, text: str, ranges: tuple[Range, ...], comment: str = "") -> None:
        self.line, self.text, self.ranges, self.comment = line, text, ranges, comment

    @property
    def is_automatic(self) -> bool:
        """Whether the server wrote it, not a person."""
        return self.comment.startswith(BLOCKED)


class ListFile:
    """A list as it was when it was last read, and what this process has added since.

    path: where it is; "" is a list that is not there. setting: its name, for messages.
    """

    def __init__(self, path: str, setting: str = "blacklist") -> None:
        self.path, self.setting = path, setting
        self.entries: list[Entry] = []
        self.unwritten: list[Entry] = []    # blocked, but the file could not be written
        self.exists = False
        self._stamp: Stamp = None

    def __len__(self) -> int:
        return len(self.entries) + len(self.unwritten)

    def load(self, required: bool = False) -> None:
        """Reads the file; one that is not there is empty, unless it is required.

        ConfigError with file and line; the entries stay what they were then, and the file has not
        changed until somebody writes it again: a long list is not read every other second.
        """
        self._stamp = stamp_of(self.path)
        try:
            text = read(self.path) if self.path else None
        except OSError as error:
            raise ConfigError(f"{self.setting}={self.path}: {error.strerror}.") from None
        if text is None and required:
            raise ConfigError(f"{self.setting}={self.path}: there is no such file.")
        self.entries = parse(self.path, text or "")
        self.exists = text is not None
        self.unwritten = [it for it in self.unwritten if not self.covers(it.ranges, written=True)]

    def has_changed(self) -> bool:
        """Whether somebody has written, made or removed the file since it was read: one stat()."""
        return stamp_of(self.path) != self._stamp

    def covers(self, ranges: tuple[Range, ...], written: bool = False) -> bool:
        """Whether an entry has all of these addresses."""
        entries = self.entries if written else (*self.entries, *self.unwritten)
        return any(covers(entry.ranges, ranges) for entry in entries)

    def address_list(self) -> AddressList:
        """What the engine takes: the addresses, sorted and merged."""
        from .._core import AddressList

        return AddressList(
            pair for entry in (*self.entries, *self.unwritten) for pair in entry.ranges)

    def block(self, address: str, why: str, now: Optional[float] = None) -> bool:
        """Adds an address (of IPv6 its /64), to the file too. False: it was covered already.

        Raises OSError if the file cannot be written; the entry is kept in memory then. ValueError
        if that is no address.
        """
        text = blockable(address)
        ranges = parse_ranges(text)
        if self.covers(ranges):
            return False
        entry = Entry(0, text, ranges, _comment(why, time.time() if now is None else now))
        self.unwritten.append(entry)
        if len(self) > ENTRIES_COUNT_MAX:
            # The oldest of those in memory: they are forgotten at the next start anyway.
            del self.unwritten[0]
            raise OSError(errno.EFBIG, f"the list has {ENTRIES_COUNT_MAX:,} entries already")
        if not self.path:
            return True
        was_current = not self.has_changed()
        append(self.path, f"{text}  # {entry.comment}")
        self.unwritten.remove(entry)
        self.entries.append(entry)
        self.exists = True
        if was_current:                     # else the next look reads what others wrote
            self._stamp = stamp_of(self.path)
        return True


def append(path: str, line: str) -> None:
    """Adds a line, and makes the file (mode 0640) if there is none. OSError: then the file is as it
    was; half an address is never left behind.
    """
    descriptor = open_locked(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = "\n" + line              # somebody's editor ends files without one
        data = line.encode("utf-8", "surrogateescape") + b"\n"
        if size + len(data) > FILE_SIZE_MAX:
            raise OSError(errno.EFBIG, f"the list has {size:,} bytes already")
        written = 0
        try:
            written = os.write(descriptor, data)
            if written != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            if written:
                os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def remove(path: str, address: str) -> tuple[list[Entry], list[Entry]]:
    """Takes an address out: its own line, and the one by which the server blocked its network.

    Gives the entries that were removed, and those that cover it still (a person's networks: they
    are not ours to remove). ConfigError if the file cannot be read, OSError if it cannot be
    written, ValueError if that is no address.
    """
    ranges = parse_ranges(address)
    if stamp_of(path) is None:
        return [], []
    descriptor = open_locked(path, os.O_RDWR)
    try:
        text = read(path) or ""
        removed: list[Entry] = []
        remaining: list[Entry] = []
        for entry in parse(path, text):
            if covers(entry.ranges, ranges):
                is_same = covers(ranges, entry.ranges)
                (removed if is_same or entry.is_automatic else remaining).append(entry)
        if removed:
            numbers = {entry.line for entry in removed}
            lines = text.split("\n")
            kept = [it for number, it in enumerate(lines, 1) if number not in numbers]
            replace(path, descriptor, "\n".join(kept))
        return removed, remaining
    finally:
        os.close(descriptor)


def _comment(why: str, now: float) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
    words = "".join(it if it.isprintable() else " " for it in why)[:WHY_LENGTH_MAX]
    return f"{BLOCKED}{moment}: {words}".rstrip()


# --- the file -------------------------------------------------------------------------------------


def parse(path: str, text: str) -> list[Entry]:
    """ConfigError names the first line that is wrong, and says how many others are."""
    entries: list[Entry] = []
    first_error, error_count = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        words, _, comment = line.partition("#")
        words = words.strip()
        if not words:
            continue
        try:
            entries.append(Entry(number, words, parse_ranges(words), comment.strip()))
        except ValueError as error:
            first_error = first_error or f"{path}:{number}: {error}"
            error_count += 1
    if error_count:
        others = "1 more line is" if error_count == 2 else f"{error_count - 1:,} more lines are"
        more = f" ({others} wrong too)" if error_count > 1 else ""
        raise ConfigError(
            f"{first_error}; a line is an address, a network (10.0.0.0/8) or a range"
            f" (10.0.0.1-10.0.0.9){more}.")
    if len(entries) > ENTRIES_COUNT_MAX:
        raise ConfigError(f"{path} has {len(entries):,} entries; {ENTRIES_COUNT_MAX:,} at most.")
    return entries


def read(path: str) -> Optional[str]:
    """The text, None without a file. Bytes that are no UTF-8, in a comment, survive a rewriting."""
    data = read_plain(path, FILE_SIZE_MAX)
    if data is None:
        return None
    if len(data) > FILE_SIZE_MAX:
        raise OSError(errno.EFBIG, f"it has more than {FILE_SIZE_MAX:,} bytes")
    return data.decode("utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8",
                       "surrogateescape")


def stamp_of(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def open_locked(path: str, flags: int, wait: bool = True) -> int:
    """The descriptor of the file that has this name when we have its lock: the process that had it
    before us may have put another in its place. BlockingIOError: we should not wait for it.
    """
    fcntl = library("fcntl")
    deadline = time.monotonic() + LOCK_WAIT_S_MAX
    while True:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except (BlockingIOError, FileNotFoundError):
            pass
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        if not wait:
            raise BlockingIOError(errno.EAGAIN, "another program holds its lock")
        if time.monotonic() > deadline:
            raise OSError(errno.EBUSY, "another program holds its lock")
        time.sleep(LOCK_LOOK_S)


def replace(path: str, descriptor: int, text: str, sync: bool = True) -> None:
    """Puts another file in its place, with its mode and, if we may, its owner; whole or not at all,
    with `sync` also when the power fails.
    """
    path = os.path.realpath(path)           # a link stays one
    other = f"{path}.{os.getpid()}.tmp"
    old = os.fstat(descriptor)
    try:
        os.unlink(other)                    # of one that had our number, and died
    except FileNotFoundError:
        pass
    with open(other, "xb") as file:
        try:
            os.fchmod(file.fileno(), old.st_mode & 0o777)
            try:
                os.fchown(file.fileno(), old.st_uid, old.st_gid)
            except PermissionError:
                pass                        # then it is ours: the mode is what matters
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            if sync:
                os.fsync(file.fileno())
            os.rename(other, path)
        except BaseException:
            os.unlink(other)
            raise
