"""Who is let in: the black list and the white list while a server runs.

The files are read at the start, on SIGHUP, and when they have changed: an operator may have written
an address into one, or `nodepp-run --unblock` has taken it out. An address that the core blocks
because it guesses ids of sessions stands in a file of its own, see blocked.py; with autoBlacklist=1
it goes on the black list as well.
"""

from __future__ import annotations

import os

from .errors import ConfigError
from .log import ALWAYS, WAR, log, short_path
from .sessions import ListFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._core import Engine
    from .blocked import BlockedFile
    from .config import Config

LOOK_S = 2.0                    # two stat() calls
# Between a change and the lists that the engine has: sorting the longest list takes longer than one
# request, and somebody with many addresses may have them all blocked in a row.
APPLY_S = 0.1


class AccessLists:
    """Both lists of a server."""

    def __init__(self, config: Config) -> None:
        """Reads them. ConfigError for a line that is no address, with its place, and for a file
        that is not there, unless it has the name that it has by default.
        """
        self.black = ListFile("", "blacklist")
        self.white = ListFile("", "whitelist")
        self.engine: Engine | None = None
        self._is_due = False                # the engine is to be told of a change
        self._warned: set[str] = set()      # what has been said, and need not be said again
        self._blocked: BlockedFile | None = None    # once an address was blocked
        self._blocked_path = config.blocked_file
        self.read(config)

    def read(self, config: Config) -> None:
        """Reads the files that the settings name. ConfigError: nothing has changed."""
        black = ListFile(config.blacklist, "blacklist")
        white = ListFile(config.whitelist, "whitelist")
        black.unwritten = list(self.black.unwritten)
        for file in (black, white):
            default = os.path.join(config.app_dir, f"{file.setting}.txt")
            file.load(required=file.path not in ("", default))
        self.black, self.white = black, white
        self._auto_blacklist = config.auto_blacklist
        self._warned.clear()
        if white.exists and not white.entries:
            self._warn(f"{white.path} names nobody: nobody is let in.")
        self._tell()

    def banner(self) -> str:
        """ "blacklist.txt 6 entries  whitelist.txt 1 entry: only these are let in"; "" without a
        list. Who is closed without a word looks for the reason here.
        """
        texts = []
        for file in (self.black, self.white):
            if file.exists:
                texts.append(f"{short_path(file.path)} {_entries(file)}")
        return "  ".join(texts) + (": only these are let in" if self.white.exists else "")

    def begin(self, engine: Engine) -> None:
        """Before the engine is opened: it lets in whom the lists let in, and follows them."""
        self.engine = engine
        if self.black.entries or self.white.exists:
            self.apply()

    def follow(self) -> None:
        """When it is open: looks at the files from now on."""
        assert self.engine is not None
        self.engine.every(LOOK_S, self.look)

    def look(self) -> None:
        """Reads what has changed. A file that cannot be read leaves its list as it was."""
        for file in (self.black, self.white):
            if not file.path or not file.has_changed():
                continue
            if file is self.white and file.exists and not os.path.exists(file.path):
                # An editor may be about to put it back, and without it everybody is let in.
                self._warn(f"{file.path} is gone. It counts until SIGHUP says that it is meant.")
                continue
            try:
                file.load()
            except ConfigError as error:
                self._warn(f"The {file.setting} stays as it was: {error}")
                continue
            log.write(ALWAYS, f"Read {file.path} again: {_entries(file)}.")
            self._tell()
        assert self.engine is not None
        if self._blocked is None and self.engine.blocked_addresses():
            from .blocked import BlockedFile

            self._blocked = BlockedFile(self._blocked_path)
        if self._blocked is not None:
            self._blocked.look(self.engine)

    def end(self) -> None:
        """When the server stops: what it has blocked by itself is blocked no more."""
        if self._blocked is not None:
            self._blocked.remove()

    def address_blocked(self, ip: str, why: str, seconds: int) -> None:
        """The core has blocked an address for so many seconds, 0 for not at all."""
        if self._auto_blacklist and self.black.path:
            self.block(ip, why)
        elif seconds:
            log.write(WAR, f"Blocked {ip} for {seconds} s: {why}. Its requests with an unknown id"
                           f" get 429. To undo that: nodepp-run --unblock {ip}")
        else:
            self._warn(f"{ip} is not blocked (blockTime=0): {why}.")

    def block(self, ip: str, why: str) -> None:
        """Puts an address, of IPv6 its /64, on the black list: closed from now on and after a
        restart.
        """
        try:
            is_new = self.black.block(ip, why)
        except OSError as error:
            is_new = True
            self._warn(f"blacklist={self.black.path}: {error.strerror}. Addresses are blocked until"
                       " the server stops.")
        if is_new:
            log.write(WAR, f"Blocked {ip}: {why}. To undo that: nodepp-run --unblock {ip}")
            self._tell()

    def apply(self) -> None:
        """Gives the lists to the engine, which closes connections that they refuse."""
        assert self.engine is not None
        self._is_due = False
        black = self.black.address_list() if len(self.black) else None
        self.engine.set_lists(black, self.white.address_list() if self.white.exists else None)

    def _tell(self) -> None:
        """Soon: the core asks for it amid a request, and others may follow."""
        if self.engine is not None and self.engine.running and not self._is_due:
            self._is_due = True
            self.engine.later(APPLY_S, self.apply)

    def _warn(self, text: str) -> None:
        if text not in self._warned and len(self._warned) < 100:
            self._warned.add(text)
            log.write(WAR, text)


def _entries(file: ListFile) -> str:
    return "1 entry" if len(file) == 1 else f"{len(file):,} entries"


def blocked_listing(config: Config) -> tuple[str, str]:
    """The black list and what a running server has blocked, a line each: address, and why. And what
    this does not tell.
    """
    from .blocked import read_blocked

    file = ListFile(config.blacklist, "blacklist")
    file.load()
    entries, note = read_blocked(config.blocked_file)
    rows = [(entry.text, entry.comment) for entry in (*file.entries, *entries)]
    width = max((len(text) for text, _ in rows), default=0)
    return "".join(f"{text:<{width}}  {comment}".rstrip() + "\n" for text, comment in rows), note


def unblock(config: Config, address: str) -> str:
    """Takes an address out of the black list and out of what a running server has blocked, and says
    so. ConfigError if it is in neither, or if a network of the black list covers it that an
    operator has written.
    """
    from .blocked import read_blocked
    from .sessions.lists import remove

    path = config.blacklist
    try:
        removed, remaining = remove(path, address) if path else ([], [])
        entries, note = read_blocked(config.blocked_file)
        if entries:
            path = config.blocked_file
            removed += remove(path, address)[0]
    except ValueError as error:
        raise ConfigError(f"--unblock {address}: {error}.") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}.") from None
    if remaining:
        covering = remaining[0]
        raise ConfigError(f"{address} is blocked by {covering.text} still"
                          f" ({config.blacklist}:{covering.line}), which the server did not write.")
    if not removed:
        black = config.blacklist or "there is no blacklist"
        raise ConfigError(f"{address} is not blocked: {black}. {note}")
    names = dict.fromkeys(entry.text for entry in removed)
    return f"Unblocked {', '.join(names)}. A server notices in 2 s.\n"
