"""npp.conf, the environment and the command line become one frozen Config.

Command line > environment (NPP_*) > npp.conf > default; each value remembers where it came from.
What settings there are stands in settings.py.
"""

from __future__ import annotations

import os
import sys

from .errors import ConfigError
from .settings import IGNORED_KEYS, KEYS, MEMORY_MODELS, Key, format_value, parse_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, NoReturn, Optional

CONF_SIZE_MAX = 1024 * 1024     # bytes of an npp.conf; Node++'s sample has 4 KiB. Over: refused
RANK_DEFAULT, RANK_CONF, RANK_ENVIRONMENT, RANK_COMMAND_LINE = range(4)

_BY_NAME = {name: key for key in KEYS for name in (key.name, *key.aliases)}


class Setting:
    """A value as it was written somewhere: the text, where that was, and how much it weighs."""

    __slots__ = ("origin", "rank", "text")

    def __init__(self, text: str, origin: str, rank: int) -> None:
        self.text, self.origin, self.rank = text, origin, rank


class Config:
    """All settings of one run, read-only. Sizes are bytes; what ends in _ms is milliseconds."""

    host: str
    http_port: int
    bind: tuple[str, ...]
    uds: str
    uds_permissions: int
    backlog: int
    app: str
    res: str
    resmin: str
    snippets: str
    templates: str
    compress_threshold: int
    compress: bool
    precompress: bool
    static_cache: str
    res_cache_threshold: int
    expires_statics_ms: int
    server_header: str
    test: bool
    memory_model: str
    max_connections: int
    max_payload: int
    buffer_memory: int
    head_size_max: int
    target_size_max: int
    field_count_max: int
    form_part_count_max: int
    form_field_size_max: int
    spool_size: int
    spool_dir: str
    fd_monitor: str
    header_timeout_ms: int
    body_timeout_ms: int
    send_timeout_ms: int
    keep_alive_timeout_ms: int
    graceful_timeout_ms: int
    log_level: int
    log_file: str
    log_to_stdout: bool
    access_log: bool
    access_log_file: str
    access_log_format: str
    log_combined: bool
    allow_unknown_keys: bool

    app_dir: str                        # the application's folder; $NPP_DIR or --app-dir
    conf_path: str                      # of the npp.conf that was read, or ""
    warnings: tuple[str, ...]           # to be logged once
    user: Mapping[str, str]             # the keys that begin with app., without that
    ignored: Mapping[str, str]          # keys of Node++ without effect here, and where
    listeners: tuple[str, ...]          # what to listen on: bind, or host and port, and uds
    origins: Mapping[str, str]          # attribute → where its value came from

    __slots__ = (
        *(key.attribute for key in KEYS),
        "app_dir", "conf_path", "ignored", "listeners", "origins", "user", "warnings",
    )  # fmt: skip

    def __init__(self, values: Mapping[str, Any]) -> None:
        for name in self.__slots__:
            object.__setattr__(self, name, values[name])

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("settings cannot be changed while the server runs")

    def is_set(self, attribute: str) -> bool:
        """True when somebody chose the value, false for a default."""
        return self.origins[attribute] != "default"

    def engine_settings(self) -> dict[str, Any]:
        """What the compiled core is told, by the names that it uses."""
        names = (
            "max_connections", "max_payload", "buffer_memory", "head_size_max", "target_size_max",
            "field_count_max", "form_part_count_max", "form_field_size_max", "spool_size",
            "header_timeout_ms", "body_timeout_ms", "send_timeout_ms", "keep_alive_timeout_ms",
        )  # fmt: skip
        settings = {name: getattr(self, name) for name in names}
        settings["poller"] = self.fd_monitor
        settings["spool_dir"] = self.spool_dir or None
        settings["compress_threshold"] = self.compress_threshold if self.compress else -1
        settings["server_header"] = self.server_header.encode("ascii")
        return settings

    def listing(self) -> str:
        """Each setting and where it came from. The text is a valid npp.conf."""
        rows = [(f"{key.name}={format_value(key, getattr(self, key.attribute))}",
                 self.origins[key.attribute]) for key in KEYS]
        rows += [(f"app.{name}={_masked(name, text)}", self.origins["app." + name])
                 for name, text in self.user.items()]
        rows += [(f"# {name}", f"{origin}, no effect here")
                 for name, origin in self.ignored.items()]
        width = min(40, max(len(left) for left, _ in rows))
        return "".join(f"{left:<{width}}  # {origin}\n" for left, origin in rows)


def load(
    command_line: Iterable[tuple[str, str, str]] = (),
    environment: Optional[Mapping[str, str]] = None,
    conf: Optional[str] = None,
    app_dir: Optional[str] = None,
    here: Optional[str] = None,
) -> Config:
    """Reads all sources.

    `command_line` has (key of npp.conf, text, origin); `conf` names the file, which must exist
    then; `app_dir` overrides $NPP_DIR. Relative paths start in the application's folder; those of
    `command_line` in `here`, if that is given: a shell completes them there. Raises ConfigError.
    """
    environment = os.environ if environment is None else environment
    folder = os.path.abspath(app_dir or environment.get("NPP_DIR") or ".")
    if not os.path.isdir(folder):
        source = "--app-dir" if app_dir else "NPP_DIR"
        named = app_dir or environment["NPP_DIR"]
        raise ConfigError(f"{source}: there is no folder {named!r}.")
    reader = _Reader()
    path = _find_conf(conf, environment, folder)
    if path:
        _read_conf(path, reader)
    _read_environment(environment, reader)
    for name, text, origin in command_line:
        reader.take(name, text, origin, RANK_COMMAND_LINE)
    reader.check_unknown()
    return _assemble(reader, environment, (folder, here or folder), path)


def load_settings(settings: Mapping[str, object], app_dir: Optional[str] = None) -> Config:
    """The Config of `app.run(**settings)`: names as in Config, in npp.conf or on the command line.

    Numbers are bytes or seconds, as they would be in npp.conf. Raises ConfigError.
    """
    names = {}
    for key in KEYS:
        options = (option.lstrip("-").replace("-", "_") for option in key.options)
        for name in (key.name, *key.aliases, key.attribute.replace("_ms", ""), *options):
            names[name] = key.name
    command_line = []
    for name, value in settings.items():
        if name not in names:
            raise ConfigError(f"app.run() has no setting {name!r}.{did_you_mean(name, names)}")
        if isinstance(value, (list, tuple)):
            text = ",".join(str(part) for part in value)
        else:
            text = str(int(value)) if isinstance(value, bool) else str(value)
        command_line.append((names[name], text, f"app.run({name}=…)"))
    return load(command_line, app_dir=app_dir)


class _Reader:
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
        lines = [f"{origin}: unknown key {name!r}.{did_you_mean(name, known)}"
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


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest of the known names, or nothing."""
    from difflib import get_close_matches

    # Without the dashes of options: all have them, and they would make all of them alike.
    by_lower = {other.lower().lstrip("-"): other for other in known}
    found = get_close_matches(name.lower().lstrip("-"), by_lower, n=1, cutoff=0.7)
    return f" Did you mean {by_lower[found[0]]!r}?" if found else ""


def _find_conf(conf: Optional[str], environment: Mapping[str, str], folder: str) -> str:
    named = conf or environment.get("NPP_CONF")
    if named:
        source = "--conf" if conf else "NPP_CONF"
        if not os.path.isfile(named):
            raise ConfigError(f"{source}: there is no file {named!r}.")
        return named
    # Node++ keeps it in bin/.
    for path in (os.path.join(folder, "npp.conf"), os.path.join(folder, "bin", "npp.conf")):
        if os.path.isfile(path):
            return path
    return ""


def _read_conf(path: str, reader: _Reader) -> None:
    shown = os.path.basename(path)
    try:
        with open(path, "rb") as file:
            data = file.read(CONF_SIZE_MAX + 1)
        if len(data) > CONF_SIZE_MAX:
            raise ConfigError(f"{path}: longer than {CONF_SIZE_MAX} bytes; is this an npp.conf?")
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{shown}:{line}: not UTF-8.") from None
    for number, raw in enumerate(text.split("\n"), 1):
        line_text = without_comment(raw)
        if not line_text:
            continue
        name, equals, value = line_text.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"{shown}:{number}: expected key=value, found {line_text!r}.")
        reader.take(name.strip(), value.strip(), f"{shown}:{number}", RANK_CONF)


def without_comment(line: str) -> str:
    """The line without its comment. `#` begins one at the start and after white space only, so
    that `dbPassword=a#b` keeps its value (Node++ cuts it, silently)."""
    line = line.strip()
    at = line.find("#")
    while at > 0 and not line[at - 1].isspace():
        at = line.find("#", at + 1)
    return line if at < 0 else line[:at].rstrip()


def _read_environment(environment: Mapping[str, str], reader: _Reader) -> None:
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


def _assemble(
    reader: _Reader, environment: Mapping[str, str], folders: tuple[str, str], path: str
) -> Config:
    """folders: where relative paths start, in general and of the command line."""
    folder = folders[0]
    values: dict[str, Any] = {}
    origins = {}
    for key in KEYS:
        setting = reader.settings.get(key.name)
        origins[key.attribute] = setting.origin if setting else "default"
        values[key.attribute] = _value(key, setting, environment, folders)
    values["app_dir"] = folder
    values["conf_path"] = path
    values["user"] = {name: setting.text for name, setting in reader.user.items()}
    origins.update({"app." + name: setting.origin for name, setting in reader.user.items()})
    values["ignored"] = reader.ignored
    values["origins"] = origins
    _derive(values, reader.settings, environment)
    _refuse_contradictions(values, reader.settings)
    values["listeners"] = _listeners(values, reader.settings)
    values["warnings"] = tuple(reader.warnings)
    return Config(values)


def _value(
    key: Key,
    setting: Optional[Setting],
    environment: Mapping[str, str],
    folders: tuple[str, str],
) -> Any:
    is_typed = setting is not None and setting.rank == RANK_COMMAND_LINE
    if setting is None:
        value = key.default
        if key.kind == "path" and value.startswith("~"):
            value = _cache_folder(environment)
    else:
        try:
            value = parse_value(key, setting.text)
            if key.kind == "path":
                value = expand(value, {"NPP_DIR": folders[0], **environment})
        except ValueError as error:
            where = f"{setting.origin}: {key.name}={setting.text}"
            raise ConfigError(f"{where}: {error}.") from None
    if key.kind == "path" and value:
        value = os.path.normpath(os.path.join(folders[is_typed], value))
    return value


def _cache_folder(environment: Mapping[str, str]) -> str:
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
    import re

    def replace(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2) or match.group(3)
        if name not in environment:
            raise ValueError(f"the environment has no {name}")
        return environment[name]

    return re.sub(r"\$(\w+)|\$\{(\w+)\}|%(\w+)%", replace, path)


def _derive(
    values: dict[str, Any], settings: Mapping[str, Setting], environment: Mapping[str, str]
) -> None:
    """Settings that decide the default of others. Whoever set the other one with more weight, or
    the same, is heard before them."""

    def imply(attribute: str, name: str, value: object, by: str) -> None:
        chosen, cause = settings.get(name), settings[by]
        if chosen is None or chosen.rank < cause.rank:
            values[attribute] = value
            values["origins"][attribute] = f"{cause.origin} ({by})"

    if values["memory_model"]:
        connection_count = MEMORY_MODELS[values["memory_model"]][0]
        imply("max_connections", "maxConnections", connection_count, "memoryModel")
    if values["test"]:
        imply("access_log", "accessLog", True, "test")
        # Whoever edits a style sheet wants to see it: asked for each time, by ETag.
        imply("expires_statics_ms", "expiresStatics", 0, "test")
    if values["access_log_file"]:
        imply("access_log", "accessLog", True, "accessLogFile")
    if values["log_combined"]:
        imply("access_log_format", "accessLogFormat", "combined", "logCombined")
    port = settings.get("httpPort")
    if port is not None and port.origin == "PORT" and "host" not in settings:
        # Platforms that hand out a port expect the server on all addresses.
        values["host"], values["origins"]["host"] = "0.0.0.0", "PORT"


def _refuse_contradictions(values: dict[str, Any], settings: Mapping[str, Setting]) -> None:
    def clash(first: str, second: str, why: str) -> ConfigError:
        origins = [settings[name].origin if name in settings else "default"
                   for name in (first, second)]
        return ConfigError(f"{first} ({origins[0]}) and {second} ({origins[1]}) contradict: {why}.")

    if values["log_file"] and values["log_to_stdout"]:
        raise clash("logFile", "logToStdout", "the log goes to one of them")
    if values["access_log_file"] and not values["access_log"]:
        raise clash("accessLogFile", "accessLog", "a file for a log that is off")
    if values["target_size_max"] > values["head_size_max"]:
        raise clash("maxTargetSize", "maxHeaderSize", "the target is a part of the head")
    for key in KEYS[:2]:
        chosen, bind = settings.get(key.name), settings.get("bind")
        # The default is no second opinion: a listing of settings has both.
        differs = values[key.attribute] != key.default
        if chosen is not None and bind is not None and chosen.rank == bind.rank and differs:
            raise clash("bind", key.name, "bind has host and port already")
    monitor = values["fd_monitor"]
    if monitor in ("epoll", "poll"):
        import select

        if not hasattr(select, monitor):
            raise ConfigError(
                f"{settings['fdMonitor'].origin}: {sys.platform} has no {monitor}. Try: auto.")


def _listeners(values: dict[str, Any], settings: Mapping[str, Setting]) -> tuple[str, ...]:
    """What to listen on, each as `bind` would have it."""
    def rank(name: str) -> int:
        return settings[name].rank if name in settings else RANK_DEFAULT

    inet_rank = max(rank("host"), rank("httpPort"))
    unix = [f"unix:{values['uds']}"] if values["uds"] else []
    if rank("bind") > inet_rank:
        return (*values["bind"], *unix)
    if unix and rank("uds") > inet_rank:
        return tuple(unix)                  # a unix socket alone: nobody asked for a port
    host = f"[{values['host']}]" if ":" in values["host"] else values["host"]
    return (f"{host}:{values['http_port']}", *unix)


def _masked(name: str, text: str) -> str:
    """Node++ masks what a key calls a password; tokens and keys deserve the same."""
    secret = any(word in name.upper() for word in ("PASSW", "SECRET", "TOKEN", "KEY"))
    return "********" if secret and text else text
