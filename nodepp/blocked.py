"""blocked.txt: which addresses a running server blocks for guessing ids of sessions.

They are blocked in the server's memory, which no other process can read. So the server writes them
down, two seconds after a change at the latest, and `nodepp-run --blocked` shows what is written.
`nodepp-run --unblock`, or an editor, takes a line out; the server notices within two seconds and
lets that address in. The file is not read at a start: a restart lets all of them in.
"""

from __future__ import annotations

import os
import stat
import time

from .errors import ConfigError
from .log import WAR, log
from .sessions import lists
from .sessions.addresses import blockable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from ._core import Engine
    from .sessions.lists import Entry

HEAD = "# Written by nodepp, process {}: addresses that guess session ids. Lines may be removed.\n"
HEAD_START, HEAD_END = HEAD.split("{}")


class BlockedFile:
    """The file as this server has written it. Nothing is written before an address is blocked."""

    def __init__(self, path: str) -> None:
        """path: "" for no file."""
        self.path = path
        self._written: set[str] = set()     # addresses, as they stand in the file
        self._stamp: lists.Stamp = None
        self._complaint = ""                # said last

    def look(self, engine: Engine) -> None:
        """Every two seconds: lets in the addresses whose lines were taken out, and writes down what
        is blocked now. It does not wait: what cannot be done now is tried at the next look.
        """
        if not self.path:
            return
        blocked = {blockable(ip): (ip, until, why) for ip, until, why in engine.blocked_addresses()}
        if blocked.keys() == self._written and lists.stamp_of(self.path) == self._stamp:
            return
        try:
            self._exchange(engine, blocked)
        except BlockingIOError:
            pass                            # the command line is at it
        except (OSError, ConfigError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            self._complain(f"blockedFile={self.path}: {why}. Addresses are blocked all the same,"
                           " but nodepp-run --blocked does not show them.")

    def _exchange(self, engine: Engine, blocked: dict[str, tuple[str, int, str]]) -> None:
        descriptor = lists.open_locked(self.path, os.O_RDWR | os.O_CREAT, wait=False)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ConfigError("it is no regular file")
            text = lists.read(self.path) or ""
            owner = writer_of(text)
            if text and not owner:
                raise ConfigError("no server has written it, so it is left alone")
            if owner != os.getpid() and is_running(owner):
                raise ConfigError(f"the server with pid {owner} writes it")
            if owner == os.getpid():
                kept = {entry.text for entry in lists.parse(self.path, text)}
                for address in self._written - kept:
                    if address in blocked and engine.unblock(blocked.pop(address)[0]):
                        log.write(WAR, f"Let {address} in again: its line was taken out.")
            lists.replace(self.path, descriptor, text_of(blocked), sync=False)
            self._written = set(blocked)
            self._stamp = lists.stamp_of(self.path)
        finally:
            os.close(descriptor)

    def remove(self) -> None:
        """When the server stops: nothing is blocked any more."""
        if self._stamp is not None and lists.stamp_of(self.path) == self._stamp:
            try:
                os.unlink(self.path)
            except OSError:
                pass                        # it names a process that is gone, which says enough

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            log.write(WAR, text)


def text_of(blocked: dict[str, tuple[str, int, str]]) -> str:
    """What the file says of these addresses."""
    now = time.time()
    lines = [f"{text}  # {lists.BLOCKED}until {_moment(until)}: {why}\n"
             for text, (_, until, why) in sorted(blocked.items()) if until > now]
    return HEAD.format(os.getpid()) + "".join(lines)


def _moment(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def writer_of(text: str) -> int:
    """The process that has written the file; 0: none has."""
    head = text.partition("\n")[0]
    number = head[len(HEAD_START) :].partition(HEAD_END[:1])[0]
    is_ours = head.startswith(HEAD_START) and number.isascii() and number.isdigit()
    return int(number) if is_ours and len(number) < 10 else 0


def why_not_usable(path: str) -> str:
    """Why a server would leave what lies there alone; "" if it would write it."""
    try:
        text = lists.read(path)
    except OSError as error:
        return error.strerror or str(error)
    return "no server has written it, so it is left alone" if text and not writer_of(text) else ""


def is_running(pid: int) -> bool:
    """Whether there is such a process, also of another user. 0 is none."""
    if not pid:
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


# --- the command line -----------------------------------------------------------------------------


def read_blocked(path: str) -> tuple[list[Entry], str]:
    """What a running server has written, and a sentence on how much that is worth. ConfigError: the
    file cannot be read.
    """
    if not path:
        return [], "blockedFile is empty: what a server blocks by itself is not known here."
    try:
        text: Optional[str] = lists.read(path)
        entries = lists.parse(path, text or "")
    except OSError as error:
        raise ConfigError(f"blockedFile={path}: {error.strerror}.") from None
    if text is None:
        return [], f"There is no {path}: no server has written that it blocks addresses by itself."
    pid = writer_of(text)
    if not pid:
        return [], f"{path} was not written by a server."
    if not is_running(pid):
        return [], f"{path} is of a server that has ended (pid {pid}): it blocks nothing."
    return entries, f"{path} is written by the server with pid {pid}, within 2 s of a change."
