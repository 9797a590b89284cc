"""npp.conf, the environment and the command line become one frozen Config.

Command line > environment (NPP_*) > npp.conf > default; each value remembers where it came from.
What settings there are stands in settings.py, how they are read in sources.py, how they go together
in consistency.py.
"""

from __future__ import annotations

import os

from .consistency import derive, listeners_of, refuse_addresses, refuse_contradictions
from .errors import ConfigError, did_you_mean, shown
from .settings import KEYS
from .sources import (
    RANK_COMMAND_LINE,
    Reader,
    Setting,
    cache_folder,
    expand,
    find_conf,
    read_conf,
    read_environment,
)
from .values import DIGIT_COUNT_MAX, Key, format_value, parse_value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any, NoReturn, Optional


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
    half_close: bool
    graceful_timeout_ms: int
    max_sessions: int
    session_data_size: int
    session_file: str
    session_timeout_ms: int
    session_auth_timeout_ms: int
    session_keep_ms: int
    session_lifetime_ms: int
    session_cookie: str
    login_cookie: str
    session_bind_agent: bool
    sessions_for_bots: bool
    secure_cookies: bool
    required_auth_level: int
    login_path: str
    csrf: bool
    blacklist: str
    whitelist: str
    block_time_ms: int
    auto_blacklist: bool
    blocked_file: str
    log_level: int
    slow_log_ms: int
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
            "half_close",
        )  # fmt: skip
        settings = {name: getattr(self, name) for name in names}
        settings["poller"] = self.fd_monitor
        settings["spool_dir"] = self.spool_dir or None
        settings["compress_threshold"] = self.compress_threshold if self.compress else -1
        settings["server_header"] = self.server_header.encode("ascii")
        return settings

    def session_settings(self) -> dict[str, Any]:
        """What the core is told of sessions, beside the table and the rules of access."""
        names = (
            "session_cookie", "login_cookie", "session_bind_agent", "sessions_for_bots",
            "secure_cookies", "csrf", "login_path",
        )  # fmt: skip
        settings: dict[str, Any] = {name: getattr(self, name) for name in names}
        for name in ("session_timeout", "session_auth_timeout", "session_keep", "session_lifetime",
                     "block_time"):
            settings[f"{name}_s"] = -(-getattr(self, f"{name}_ms") // 1000)
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
    then, "" for none; `app_dir` overrides $NPP_DIR. Relative paths start in the application's
    folder; those of `command_line` in `here`, if that is given: a shell completes them there.
    Raises ConfigError.
    """
    environment = os.environ if environment is None else environment
    folder = os.path.abspath(app_dir or environment.get("NPP_DIR") or ".")
    if not os.path.isdir(folder):
        source = "--app-dir" if app_dir else "NPP_DIR"
        named = app_dir or environment["NPP_DIR"]
        raise ConfigError(f"{source}: there is no folder {named!r}.")
    reader = Reader()
    path = "" if conf == "" else find_conf(conf, environment, folder)
    if path:
        read_conf(path, reader)
    read_environment(environment, reader)
    for name, text, origin in command_line:
        reader.take(name, text, origin, RANK_COMMAND_LINE)
    reader.check_unknown()
    return _assemble(reader, environment, (folder, here or folder), path)


def load_settings(
    settings: Mapping[str, object],
    app_dir: Optional[str] = None,
    *,
    who: str = "app.run()",
    only: str = "",
    without: Sequence[str] = (),
    environment: Optional[Mapping[str, str]] = None,
    conf: Optional[str] = None,
) -> Config:
    """The Config of `app.run(**settings)`: names as in Config, in npp.conf or on the command line.

    Numbers are bytes or seconds, as they would be in npp.conf. who: takes them, for messages. only:
    a group of settings, without some; the others are unknown. For the rest see load(). Raises
    ConfigError.
    """
    names = {}
    for key in KEYS:
        if (only and key.group != only) or key.name in without:
            continue
        options = (option.lstrip("-").replace("-", "_") for option in key.options)
        for name in (key.name, *key.aliases, key.attribute.replace("_ms", ""), *options):
            names[name] = key.name
    command_line = []
    for name, value in settings.items():
        if name not in names:
            raise ConfigError(f"{who} has no setting {name!r}.{did_you_mean(name, names)}")
        origin = f"{who.replace('()', '')}({name}=…)"
        parts = value if isinstance(value, (list, tuple)) else (value,)
        try:
            text = ",".join(_written(part) for part in parts)
        except ValueError as error:
            raise ConfigError(f"{origin}: {error}.") from None
        command_line.append((names[name], text, origin))
    return load(command_line, environment, conf, app_dir)


def _written(value: object) -> str:
    """A value of app.run() as npp.conf would have it."""
    if isinstance(value, bytes):
        raise ValueError("expected str, not bytes")
    if isinstance(value, int):
        if abs(value) >= 10**DIGIT_COUNT_MAX:   # str() of a huge one is an error, too
            raise ValueError("that number is too large")
        return str(int(value))              # a bool is 1 or 0, and a level of access its number
    return str(value)


def _assemble(
    reader: Reader, environment: Mapping[str, str], folders: tuple[str, str], path: str
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
    derive(values, reader.settings, environment)
    refuse_contradictions(values, reader.settings)
    refuse_addresses(values, reader.settings)
    values["listeners"] = listeners_of(values, reader.settings)
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
            value = cache_folder(environment)
    else:
        try:
            value = parse_value(key, setting.text)
            if key.kind == "path":
                value = expand(value, {"NPP_DIR": folders[0], **environment})
        except ValueError as error:
            where = f"{setting.origin}: {key.name}={shown(setting.text)}"
            raise ConfigError(f"{where}: {error}.") from None
    if key.kind == "path" and value:
        value = os.path.normpath(os.path.join(folders[is_typed], value))
    return value


def _masked(name: str, text: str) -> str:
    """Node++ masks what a key calls a password; tokens and keys deserve the same."""
    secret = any(word in name.upper() for word in ("PASSW", "SECRET", "TOKEN", "KEY"))
    return "********" if secret and text else text
