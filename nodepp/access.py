"""Who is let in: the black list and the white list while a server runs.

The files are read at the start, on SIGHUP, and when they have changed: somebody may have written an
address into one, or `nodepp-run --unblock` has taken it out. What the core finds to be guessing ids
of sessions goes into the black list.
"""

from __future__ import annotations

import os

from .errors import ConfigError
from .log import ALWAYS, WAR, log, short_path
from .sessions import ListFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._core import Engine
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

    def block(self, ip: str, why: str) -> None:
        """Blocks an address, of IPv6 its /64, from now on and after a restart. `blacklist=` has
        switched that off.
        """
        if not self.black.path:
            self._warn(f"{ip} would be blocked ({why}), but there is no blacklist.")
            return
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


def blocked_listing(config: Config) -> str:
    """The black list, a line each: address, and why, which the comment of its line says."""
    file = ListFile(config.blacklist, "blacklist")
    file.load()
    rows = [(entry.text, entry.comment) for entry in file.entries]
    width = max((len(text) for text, _ in rows), default=0)
    return "".join(f"{text:<{width}}  {comment}".rstrip() + "\n" for text, comment in rows)


def unblock(config: Config, address: str) -> str:
    """Takes an address out of the black list, and says so. ConfigError if it is not there, or if a
    network covers it that somebody has written.
    """
    from .sessions.lists import remove

    path = config.blacklist
    try:
        removed, remaining = remove(path, address) if path else ([], [])
    except ValueError as error:
        raise ConfigError(f"--unblock {address}: {error}.") from None
    except OSError as error:
        raise ConfigError(f"blacklist={path}: {error.strerror}.") from None
    if remaining:
        covering = remaining[0]
        raise ConfigError(f"{address} is blocked by {covering.text} still ({path}:{covering.line}),"
                          " which the server did not write.")
    if not removed:
        raise ConfigError(f"{address} is not blocked: {path or 'there is no blacklist'}.")
    return f"Unblocked {', '.join(entry.text for entry in removed)}. A server notices in 2 s.\n"
