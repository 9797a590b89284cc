"""The session file: whose it is, that it is whole, and how another takes its place.

One process owns it, by flock; what it forks shares the lock, and the kernel gives it back when the
last of them is gone, however they end. A file is made beside the old one, in full, and renamed when
it is good: at every instant the name stands for a whole file or for none.
"""

from __future__ import annotations

import errno
import os
import stat

from ..errors import StartError
from ..library import library
from .disk import NO_ROOM, fill, free_size, refused, remove, set_aside, size_text, to_disk
from .header import (
    HEADER_SIZE,
    STATE_OFFSET,
    STATE_SIZE,
    Damaged,
    Header,
    Newer,
    State,
    boot_id,
    is_ours,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, Optional

    from ..config import Config

    Write = Callable[[int, str], None]

ERR, WAR, INF = 1, 2, 3

LOCK_TRIES_MAX = 20             # times that the file may be replaced while we open it
HEAD_LOOKED_AT = 4096           # bytes of the head that are compared while it is in use


class SessionFile:
    """A file that this process has locked. Made by hold().

    header: None if it is empty (new) or damaged; damage says what is wrong then. needs_check: the
    machine went down while it was in use, so that pages may be missing.
    """

    def __init__(self, name: str, path: str, descriptor: int, write: Write) -> None:
        self.name, self.path, self.write = name, path, write
        self.descriptor = descriptor
        self.header: Optional[Header] = None
        self.damage = ""
        self.needs_check = False
        self._next = -1             # descriptor of the file that will take its place
        self._head = b""            # how it begins while it is in use
        self._owner = os.getpid()

    @property
    def shown(self) -> str:
        """How messages begin: the setting as it was given."""
        return f"sessionFile={self.name}"

    def read(self) -> None:
        """Reads the head. StartError for a file of a newer version, and for what never was a
        session file; all else that is wrong becomes `damage`.
        """
        size = os.fstat(self.descriptor).st_size
        if size == 0:
            return
        data = os.pread(self.descriptor, HEADER_SIZE, 0)
        _check_ours(self.shown, data)
        try:
            self.header = Header.unpack(data, size)
        except Damaged as error:
            self.damage = str(error)
            return
        except Newer as error:
            raise StartError(
                f"{self.shown}: a newer nodepp made it (format {error.format}). Use that one"
                " again, or give this one a file of its own.") from None
        state = State.unpack(data[STATE_OFFSET:])
        same_boot = state is not None and state.boot != "" and state.boot == boot_id()
        self.needs_check = not (same_boot or (state is not None and state.is_clean))

    def fill_holes(self) -> None:
        """Somebody copied it, and left out the zeros: a full disk must not end us later, at a page
        that cannot be written. StartError.
        """
        found = os.fstat(self.descriptor)
        if found.st_blocks * 512 < found.st_size:
            self._allocate(self.descriptor, found.st_size, "filling its holes")

    def difference(self) -> str:
        """What is wrong with the file that is in use; "" if nothing is. Others may have cut it, or
        written into it.
        """
        assert self.header is not None
        try:
            size = os.fstat(self.descriptor).st_size
            head = os.pread(self.descriptor, HEAD_LOOKED_AT, 0)
        except OSError as error:
            return f"it cannot be read ({error.strerror})"
        if size != self.header.file_size:
            return f"it has {size:,} bytes instead of {self.header.file_size:,}"
        self._head = self._head or self.header.pack().ljust(HEAD_LOOKED_AT, b"\0")[:HEAD_LOOKED_AT]
        return "" if head == self._head else "its head is not what was written"

    def has_its_name(self) -> bool:
        """Whether the name still leads to this file, and not to another one or nowhere."""
        try:
            return os.path.samestat(os.fstat(self.descriptor), os.stat(self.path))
        except OSError:
            return False

    def set_aside(self) -> str:
        """Gives a file that was damaged while in use another name, and keeps it locked; that name.
        "" if it has lost its own, or that cannot be.
        """
        if not self.has_its_name():
            return ""
        try:
            aside = set_aside(self.path)
            if os.path.lexists(self.path) and self.has_its_name():
                os.unlink(self.path)
        except OSError:
            return ""
        return aside

    def begin(self) -> None:
        """Says in the file that it is in use. That has to be on the disk before anything else."""
        self._write_state(self.descriptor, is_clean=False)
        to_disk(self.descriptor, os.fdatasync if hasattr(os, "fdatasync") else os.fsync)

    def end(self, is_clean: bool) -> None:
        """Gives it back. Clean: all sessions are on the disk before the file says so; nothing may
        be mapped any more. A process that inherited it by fork closes its descriptor only.
        """
        if self.descriptor < 0:
            return
        self.abandon_next()
        try:
            if is_clean and os.getpid() == self._owner and to_disk(self.descriptor, os.fsync):
                self._write_state(self.descriptor, is_clean=True)
                to_disk(self.descriptor, os.fsync)
        except OSError as error:
            self.write(WAR, f"{self.shown}: it could not be closed: {error.strerror}.")
        finally:
            os.close(self.descriptor)
            self.descriptor = -1

    # --- another in its place -------------------------------------------------------------------

    def make_next(self, header: Header, what: str) -> int:
        """Makes a file beside this one, allocated in full; its descriptor, which stays ours.

        StartError, and nothing is left behind, when there is no room. what: for the message.
        """
        fcntl = library("fcntl")
        other = self.path + ".new"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._next = os.open(other, flags, 0o600)
            os.fchmod(self._next, 0o600)        # the umask may have taken more than it should
            fcntl.flock(self._next, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._allocate(self._next, header.file_size, what)
            os.pwrite(self._next, header.pack(), 0)
            self._write_state(self._next, is_clean=False)
        except OSError as error:
            self.abandon_next()
            raise refused(self.shown, error, self.path) from None
        except BaseException:
            self.abandon_next()
            raise
        return self._next

    def publish_next(self) -> str:
        """Puts that file in the place of this one, on the disk too. If this one is damaged it is
        set aside: gives its new name then.
        """
        aside = ""
        try:
            os.fsync(self._next)
            if self.damage:
                aside = set_aside(self.path)
            os.rename(self.path + ".new", self.path)
        except OSError as error:
            self.abandon_next()
            raise refused(self.shown, error, self.path) from None
        os.close(self.descriptor)   # the lock of a file that nobody can find any more
        self.descriptor, self._next = self._next, -1
        self._sync_folder()
        return aside

    def abandon_next(self) -> None:
        """Removes it again, and with it the empty file that hold() may have made."""
        if self._next >= 0:
            os.close(self._next)
            self._next = -1
            remove(self.path + ".new")

    def discard_if_empty(self) -> None:
        """A start that failed leaves no empty file behind."""
        if self.descriptor >= 0 and os.fstat(self.descriptor).st_size == 0:
            remove(self.path)

    def _allocate(self, descriptor: int, size: int, what: str) -> None:
        """Looks first: an attempt that fails has eaten the disk, and for that moment no other
        program could write to it.
        """
        free = free_size(self.path)
        reason = os.strerror(errno.ENOSPC)
        try:
            if free is None or size - os.fstat(descriptor).st_blocks * 512 <= free:
                fill(descriptor, size)
                return
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            reason = os.strerror(error.errno)   # a quota; a limit of one file; somebody was faster
        there = "" if free is None else f", and {size_text(free)} are free there"
        raise StartError(
            f"{self.shown}: {what} takes {size_text(size)}{there} ({reason}). Make room, or lower"
            " maxSessions or sessionDataSize.")

    def _write_state(self, descriptor: int, is_clean: bool) -> None:
        state = State(is_clean, os.getpid(), boot_id())
        os.pwrite(descriptor, state.pack(), STATE_OFFSET)

    def _sync_folder(self) -> None:
        try:
            descriptor = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return                  # a folder that we may not read: the name comes when it comes
        try:
            to_disk(descriptor, os.fsync)
        finally:
            os.close(descriptor)


def hold(name: str, write: Write) -> SessionFile:
    """Opens and locks the file of that name, an empty one if there is none, and reads its head.

    StartError says what to do: another server has it, it is a folder, it is not ours, there is no
    such folder, we may not.
    """
    path = name
    try:
        path = os.path.realpath(name)   # a link stays one, also when the file is replaced
        descriptor = _open_locked(name, path)
    except (OSError, ValueError) as error:
        raise refused(f"sessionFile={name}", error, path) from None
    held = SessionFile(name, path, descriptor, write)
    try:
        _check_owner(held)
        held.read()
        _close_to_others(held)
        _remove_left_over(held)
    except OSError as error:
        held.discard_if_empty()
        os.close(descriptor)
        raise refused(held.shown, error, path) from None
    except BaseException:
        os.close(descriptor)
        raise
    return held


def _open_locked(name: str, path: str) -> int:
    fcntl = library("fcntl")
    for _ in range(LOCK_TRIES_MAX):
        # A pipe of that name would make us wait for ever.
        descriptor = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK, 0o600)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise StartError(f"sessionFile={name}: that is no regular file. Name another.")
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had it may have put another in its place.
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError:
            owner = _owner_text(descriptor)
            os.close(descriptor)
            raise StartError(
                f"sessionFile={name}: another server uses it{owner}. Stop that one, or give this"
                " one a file of its own.") from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise StartError(f"sessionFile={name}: other servers keep replacing it.")


def _owner_text(descriptor: int) -> str:
    pid = _owner_pid(descriptor)
    return f" (process {pid})" if pid else ""


def _owner_pid(descriptor: int) -> int:
    """Which process has it, as far as the file tells: it may be one that is gone, of another
    container, or a parent that left the lock to its child. 0: none.
    """
    try:
        state = State.unpack(os.pread(descriptor, STATE_SIZE, STATE_OFFSET))
        if state is None or state.is_clean or state.boot != boot_id() or state.pid <= 0:
            return 0
        os.kill(state.pid, 0)
    except PermissionError:
        pass                            # it is there, and not ours
    except (OSError, OverflowError):
        return 0
    assert state is not None
    return state.pid


def user_of(name: str) -> int:
    """The process that has the session file of that name in use, 0 if there is none."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        return _owner_pid(descriptor)
    finally:
        os.close(descriptor)


def file_size(config: Config, declared: Optional[type]) -> int:
    """Bytes of the file that a start would make."""
    from .._core import SessionTable
    from .table import slot_size

    schema = getattr(declared, "__session_schema__", None)
    data_size = slot_size(schema) if schema else config.session_data_size
    return HEADER_SIZE + SessionTable.region_size(config.max_sessions, data_size)


def check_file(name: str) -> None:
    """For nodepp-run --check: StartError for a file that a start would not take. Nothing is made,
    locked or changed.
    """
    shown = f"sessionFile={name}"
    try:
        found = os.stat(name)
        if not stat.S_ISREG(found.st_mode):
            raise StartError(f"{shown}: that is no regular file. Name another.")
        _check_user(shown, found)
        _check_ours(shown, _head_of(name))
    except FileNotFoundError:
        return
    except OSError as error:
        raise refused(shown, error, name) from None


def _check_ours(shown: str, head: bytes) -> None:
    """A slip of the pen shall not cost somebody's source or database."""
    if not is_ours(head):
        raise StartError(
            f"{shown}: that is no session file of nodepp. Name another, or remove it.")


def _remove_left_over(held: SessionFile) -> None:
    """What is there of one that was killed while it made the next file."""
    path = held.path + ".new"
    try:
        head = _head_of(path)
    except FileNotFoundError:
        return
    if not is_ours(head):
        held.discard_if_empty()
        raise StartError(
            f"{held.shown}: {path} is in the way, and no session file. Move it, or name another.")
    remove(path)


def _head_of(path: str) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return os.pread(descriptor, HEADER_SIZE, 0)
    finally:
        os.close(descriptor)


def _check_owner(held: SessionFile) -> None:
    """Sessions are for the user that the server runs as, and for nobody else."""
    _check_user(held.shown, os.fstat(held.descriptor))


def _check_user(shown: str, found: os.stat_result) -> None:
    if found.st_uid != os.geteuid():
        raise StartError(
            f"{shown}: it belongs to user {found.st_uid}, and this server runs as user"
            f" {os.geteuid()}. Change its owner, or name another file.")


def _close_to_others(held: SessionFile) -> None:
    mode = stat.S_IMODE(os.fstat(held.descriptor).st_mode)
    if mode & 0o077:
        try:
            os.fchmod(held.descriptor, 0o600)
        except OSError:
            pass
        if os.fstat(held.descriptor).st_mode & 0o077:       # a file system without modes
            held.write(WAR, f"{held.shown}: others may read it, and that cannot be changed there.")
        else:
            held.write(WAR, f"{held.shown}: others could open it (mode {mode:o}); it is 600 now.")
