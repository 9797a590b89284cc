"""Settings that decide the default of others, settings that contradict each other, and what is to
be listened on. Called by config.py when all sources have been read.
"""

from __future__ import annotations

import os
import sys

from .errors import ConfigError
from .library import library
from .settings import KEYS
from .sources import RANK_CONF, RANK_DEFAULT, Setting
from .values import MEMORY_MODELS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Callable, Optional

# How long a session may be idle; none of them can be longer than it lives.
IDLE_TIMES = (("sessionTimeout", "session_timeout_ms"),
              ("sessionAuthTimeout", "session_auth_timeout_ms"),
              ("sessionKeep", "session_keep_ms"))

# Files of addresses: attributes, and names in npp.conf.
LISTS = ("blacklist", "whitelist")


def derive(
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
        connection_count, session_count = MEMORY_MODELS[values["memory_model"]]
        imply("max_connections", "maxConnections", connection_count, "memoryModel")
        imply("max_sessions", "maxSessions", session_count, "memoryModel")
    if values["test"]:
        imply("access_log", "accessLog", True, "test")
        # Whoever edits a style sheet wants to see it: asked for each time, by ETag.
        imply("expires_statics_ms", "expiresStatics", 0, "test")
    if values["access_log_file"]:
        imply("access_log", "accessLog", True, "accessLogFile")
    if values["log_combined"]:
        imply("access_log_format", "accessLogFormat", "combined", "logCombined")
    if "sessionLifetime" in settings:
        for name, attribute in IDLE_TIMES:
            if values[attribute] > values["session_lifetime_ms"]:
                imply(attribute, name, values["session_lifetime_ms"], "sessionLifetime")
    for name in LISTS:
        values[name] = _beside_conf(values, settings.get(name), values[name])
    port = settings.get("httpPort")
    if port is not None and port.origin == "PORT" and "host" not in settings:
        # Platforms that hand out a port expect the server on all addresses.
        values["host"], values["origins"]["host"] = "0.0.0.0", "PORT"


def _beside_conf(values: Mapping[str, Any], setting: Optional[Setting], path: str) -> str:
    """The path of a list: Node++ has it in bin/, where its npp.conf is. Used if it is there, and
    not in the application's folder."""
    if setting is None or setting.rank != RANK_CONF or not path or os.path.lexists(path):
        return path
    beside = os.path.join(os.path.dirname(values["conf_path"]), setting.text)
    return os.path.normpath(beside) if os.path.lexists(beside) else path


def refuse_contradictions(values: dict[str, Any], settings: Mapping[str, Setting]) -> None:
    """ConfigError for the first pair of settings that cannot both be kept, with where they stand.
    """
    def clash(first: str, second: str, why: str) -> ConfigError:
        origins = [settings[name].origin if name in settings else "default"
                   for name in (first, second)]
        return ConfigError(f"{first} ({origins[0]}) and {second} ({origins[1]}) contradict: {why}.")

    _refuse_sessions(values, clash)
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
    if monitor in ("epoll", "poll") and not hasattr(library("select"), monitor):
        raise ConfigError(
            f"{settings['fdMonitor'].origin}: {sys.platform} has no {monitor}. Try: auto.")


def _refuse_sessions(
    values: dict[str, Any], clash: Callable[[str, str, str], ConfigError]
) -> None:
    for name, attribute in IDLE_TIMES:
        if values[attribute] > values["session_lifetime_ms"]:
            raise clash(name, "sessionLifetime", "no session outlives the latter")
    if values["session_cookie"] == values["login_cookie"]:
        raise clash("sessionCookie", "loginCookie", "each needs a name of its own")
    files = [(name, values[attribute]) for name, attribute in
             (("blacklist",) * 2, ("whitelist",) * 2, ("sessionFile", "session_file"),
              ("blockedFile", "blocked_file"))]
    for at, (name, path) in enumerate(files):
        for other, other_path in files[at + 1 :]:
            if path and path == other_path:
                raise clash(name, other, f"both are {path}")


def refuse_addresses(values: dict[str, Any], settings: Mapping[str, Setting]) -> None:
    """ConfigError for the first address that nothing can listen on, with where it stands."""
    # It loads the socket module, which a start needs anyway, and --help does not.
    from .listeners import parse_address

    addresses = [("bind", text) for text in values["bind"]]
    if values["uds"]:
        addresses.append(("uds", f"unix:{values['uds']}"))
    for name, text in addresses:
        try:
            parse_address(text, name)
        except ConfigError as error:
            raise ConfigError(f"{settings[name].origin}: {error}") from None


def listeners_of(values: dict[str, Any], settings: Mapping[str, Setting]) -> tuple[str, ...]:
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
