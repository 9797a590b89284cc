"""The three sources of settings: npp.conf, the environment, the command line. What each said, where
it said it, and how much that weighs. Which value wins, and whether it can be, is config.py's.
"""

from __future__ import annotations

import os

from .errors import ConfigError, did_you_mean, shown
from .library import library
from .plain_file import read_plain
from .settings import IGNORED_KEYS, KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from collections.abc import Mapping
    from typing import Optional

CONF_SIZE_MAX = 1024 * 1024     # bytes of an npp.conf; Node++'s sample has 4 KiB. Over: refused
RANK_DEFAULT, RANK_CONF, RANK_ENVIRONMENT, RANK_COMMAND_LINE = range(4)

_BY_NAME = {name: key for key in KEYS for name in (key.name, *key.aliases)}


class Setting:
    """A value as it was written somewhere: the text, where that was, and how much it weighs."""

    __slots__ = ("origin", "rank", "text")

    def __init__(self, text: str, origin: str, rank: int) -> None:
        self.text, self.origin, self.rank = text, origin, rank


class Reader:
    """Gathers settings by key, the weightiest winning, and what is to be said about them."""

    def __init__(self) -> None:
        self.settings: dict[str, Setting] = {}      # by the name in npp.conf
        self.user: dict[str, Setting] = {}
        self.ignored: dict[str, str] = {}
        self.unknown: list[tuple[str, str]] = []    # (name, origin)
        self.warnings: list[str] = []

    def take(self, name: str, text: str, origin: str, rank: int) -> None:
        if name.startswith("app."):
            self.user[name[4:]] = Setting(text, origin, rank)
            return
        key = _BY_NAME.get(name)
        if key is None:
            if name in IGNORED_KEYS:
                self.ignored[name] = origin
            else:
                self.unknown.append((name, origin))
            return
        if key.kind == "texts" and not text.strip():
            return                          # an empty list says nothing; a listing has it
        before = self.settings.get(key.name)
        if before is not None and before.rank == rank:
            if key.kind == "texts":
                text = f"{before.text},{text}"
            elif rank == RANK_CONF:
                self.warnings.append(f"{origin}: {name} was set before, in {before.origin}.")
        self.settings[key.name] = Setting(text, origin, rank)

    def check_unknown(self) -> None:
        """Unknown keys are an error, because a setting that is silently not applied is worse."""
        allowed = self.settings.get("allowUnknownKeys")
        known = (*_BY_NAME, *IGNORED_KEYS)
        lines = [f"{origin}: unknown key {shown(name)!r}.{did_you_mean(name, known)}"
                 for name, origin in self.unknown]
        if lines and allowed is not None and allowed.text.lower() in ("1", "on", "true", "yes"):
            self.warnings.extend(lines)
        elif lines:
            last = "" if len(lines) <= 2 else f"\n… and {len(lines) - 2} more."
            raise ConfigError("\n".join(lines[:2]) + (
                last or "\nKeys of your own begin with app. (allowUnknownKeys=1: only a warning)"))
        if self.ignored:
            names = ", ".join(self.ignored)
            self.warnings.append(f"No effect here yet: {names}.")


def find_conf(conf: Optional[str], environment: Mapping[str, str], folder: str) -> str:
    """The path of the npp.conf to read, "" without one. What has the name and is no file is found
    too: reading it says what is wrong."""
    named = conf or environment.get("NPP_CONF")
    if named:
        source = "--conf" if conf else "NPP_CONF"
        if "\0" in named or not os.path.lexists(named):
            raise ConfigError(f"{source}: there is no file {shown(named)!r}.")
        return named
    # Node++ keeps it in bin/.
    for path in (os.path.join(folder, "npp.conf"), os.path.join(folder, "bin", "npp.conf")):
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            pass                            # a folder that may not be searched: reading says so
        return path
    return ""


def read_conf(path: str, reader: Reader) -> None:
    """Takes every line of the file. ConfigError with its name, line and key."""
    name = os.path.basename(path)
    try:
        data = read_plain(path, CONF_SIZE_MAX)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}.") from None
    if data is None:
        raise ConfigError(f"{path}: it has gone.")
    if len(data) > CONF_SIZE_MAX:
        raise ConfigError(f"{path}: longer than {CONF_SIZE_MAX} bytes; is this an npp.conf?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{name}:{line}: not UTF-8.") from None
    for number, raw in enumerate(text.split("\n"), 1):
        _read_line(raw, f"{name}:{number}", reader)


def _read_line(raw: str, place: str, reader: Reader) -> None:
    line = without_comment(raw)
    if not line:
        return
    key, equals, value = line.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{place}: expected key=value, found {shown(line)!r}.")
    if "\0" in key:
        raise ConfigError(f"{place}: a NUL character; is this a text in UTF-8?")
    reader.take(key.strip(), value.strip(), place, RANK_CONF)


def without_comment(line: str) -> str:
    """The line without its comment. `#` begins one at the start and after white space only, so
    that `dbPassword=a#b` keeps its value (Node++ cuts it, silently)."""
    line = line.strip()
    at = line.find("#")
    while at > 0 and not line[at - 1].isspace():
        at = line.find("#", at + 1)
    return line if at < 0 else line[:at].rstrip()


def read_environment(environment: Mapping[str, str], reader: Reader) -> None:
    known = {"NPP_DIR", "NPP_CONF"}
    for key in KEYS:
        known.update(key.environment)
        for name in key.environment:
            if environment.get(name):
                reader.take(key.name, environment[name], name, RANK_ENVIRONMENT)
                break
    # A variable of another program may begin so too: only a near miss is worth a word.
    for name in environment:
        if name.startswith("NPP_") and name not in known:
            hint = did_you_mean(name, known)
            if hint:
                reader.warnings.append(f"The environment's {name} is not a setting.{hint}")


def cache_folder(environment: Mapping[str, str]) -> str:
    """~/.cache/nodepp, or where the XDG Base Directory Specification sends it; "" without a home.
    """
    home = environment.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):             # the specification: a relative one is to be ignored
        home = os.path.expanduser("~/.cache")
    return os.path.join(home, "nodepp") if os.path.isabs(home) else ""


def expand(path: str, environment: Mapping[str, str]) -> str:
    """The path with $VAR, ${VAR}, %VAR% (as in Node++) and a leading ~ replaced.

    ValueError names a variable that is not set: half a path would be found to be wrong much later.
    """
    if path.startswith("~"):
        path = os.path.expanduser(path)
    if "$" not in path and "%" not in path:
        return path
    def replace(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2) or match.group(3)
        if name not in environment:
            raise ValueError(f"the environment has no {name}")
        return environment[name]

    return str(library("re").sub(r"\$(\w+)|\$\{(\w+)\}|%(\w+)%", replace, path))
