"""The one table of settings: how each is spelled, what it may be, what it is for.

Names are Node++'s where Node++ had the setting (npp.conf is its file), and uvicorn's on the command
line, because that is what people type. The syntax of values is here too; reading the three sources
and deciding between them is config.py's.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Union

KIB, MIB, GIB = 1024, 1024**2, 1024**3
DAY_MS = 24 * 3600 * 1000

# Connections and sessions by Node++'s names (`NPP_MEM_LARGE` there; the prefix may stay or go).
# Its per-connection buffers are not copied: an idle connection owns none here.
MEMORY_MODELS = {
    "TINY": (10, 5),
    "SMALL": (20, 10),
    "MEDIUM": (200, 100),
    "LARGE": (1_000, 500),
    "XLARGE": (5_000, 2_500),
    "XXLARGE": (10_000, 5_000),
    "XXXLARGE": (20_000, 10_000),
    "XXXXLARGE": (50_000, 25_000),
    "XXXXXLARGE": (100_000, 50_000),
    "XXXXXXLARGE": (200_000, 100_000),
}

# Keys that an npp.conf of Node++ may have and that change nothing here (yet): they load, and a
# warning names them.
IGNORED_KEYS = frozenset(
    """
    httpsPort cipherList certFile certChainFile keyFile
    dbHost dbPort dbName dbUser dbPassword dbDisableEncryption dbSSLKey dbSSLCert dbSSLCA
    dbSSLCAPath dbSSLCRL dbSSLCRLPath dbSSLTLSVersion dbSSLCipher dbSSLCipherSuites dbSSLMode
    usersRequireActivation
    IPBlackList IPWhiteList ASYNCId ASYNCSvcProcesses ASYNCDefTimeout callHTTPTimeout phpPathWindows
    watcherLogLevel watcherLogToStdout watcherStopCmd watcherStartCmd watcherWait watcherLogRestart
    """.split()
)


class Key:
    """One setting. `attribute` is its name in Config; the rest is as in the table below."""

    __slots__ = (
        "aliases", "attribute", "choices", "default", "environment", "group", "help", "high",
        "kind", "low", "name", "options", "reloadable",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        attribute: str,
        kind: str,
        default: Any,
        help: str,
        *,
        group: str,
        options: str = "",
        environment: str = "",
        aliases: str = "",
        low: int = 0,
        high: Optional[int] = None,
        choices: tuple[str, ...] = (),
        reloadable: bool = False,
    ) -> None:
        self.name = name                    # in npp.conf
        self.attribute = attribute          # in Config; durations end in _ms
        self.kind = kind                    # one of the kinds that parse_value reads
        self.default = default
        self.help = help                    # one line, without a full stop
        self.group = group                  # of --help
        self.options = tuple(options.split())
        # Every setting can come from the environment; the usual short names come first.
        self.environment = tuple(dict.fromkeys((*environment.split(), "NPP_" + _upper_snake(name))))
        self.aliases = tuple(aliases.split())
        self.low, self.high = low, high     # in the units of Config
        self.choices = choices
        self.reloadable = reloadable        # SIGHUP applies it to a running server


def _upper_snake(name: str) -> str:
    return "".join("_" + letter if letter.isupper() else letter.upper() for letter in name)


def _number(name: str, attribute: str, default: int, help: str, **rest: Any) -> Key:
    return Key(name, attribute, "number", default, help, **rest)


def _size(name: str, attribute: str, default: int, help: str, **rest: Any) -> Key:
    return Key(name, attribute, "size", default, help, **rest)


def _seconds(name: str, attribute: str, default_s: int, help: str, **rest: Any) -> Key:
    # A day is the ceiling: a longer deadline is a typing mistake.
    return Key(name, attribute, "duration", default_s * 1000, help, high=DAY_MS, **rest)


KEYS = (
    # Where to listen.
    Key("host", "host", "text", "127.0.0.1", "address to listen on; 0.0.0.0 where $PORT is set",
        group="listen", options="--host", environment="NPP_HOST"),
    _number("httpPort", "http_port", 8080, "port to listen on; 0 lets the system choose",
            group="listen", options="--port -p", environment="NPP_PORT PORT", high=65535),
    Key("bind", "bind", "texts", (), "host:port, [v6]:port, unix:PATH, fd://N, systemd; repeatable",
        group="listen", options="--bind -b"),
    Key("uds", "uds", "path", "", "unix socket to listen on",
        group="listen", options="--uds"),
    Key("udsPermissions", "uds_permissions", "mode", 0o660, "permissions of unix sockets",
        group="listen", options="--uds-permissions", high=0o777),
    _number("backlog", "backlog", 2048, "connections the kernel keeps until they are accepted",
            group="listen", options="--backlog", low=1, high=65535),

    # The application.
    Key("app", "app", "text", "", "the application: module, module:attr, file.py or a folder",
        group="app", environment="NPP_APP"),
    Key("res", "res", "path", "res", "folder of public files, served as they are",
        group="app", options="--static --res"),
    Key("resmin", "resmin", "path", "resmin", "folder of public files, served minified",
        group="app", options="--resmin"),
    Key("snippets", "snippets", "path", "snippets", "folder of pieces of pages",
        group="app", options="--snippets"),
    Key("templates", "templates", "path", "templates", "folder of Jinja2 templates",
        group="app", options="--templates"),
    Key("serverHeader", "server_header", "server", "nodepp", "the Server field; 0 for none",
        group="app", options="--server-header"),
    Key("test", "test", "flag", False, "developer's mode: access log, changes at once",
        group="app", environment="NPP_DEV"),

    # Public files.
    _size("compressThreshold", "compress_threshold", 500, "bytes below which nothing is compressed",
          group="static", options="--compress-min", aliases="compressTreshold"),
    Key("compress", "compress", "flag", True, "files and pages leave as zstd, br or gzip",
        group="static", options="--compress"),
    Key("precompress", "precompress", "flag", False, "all files are compressed before the start",
        group="static", options="--precompress"),
    Key("staticCache", "static_cache", "path", "~/.cache/nodepp", "compressed files; '' for none",
        group="static", options="--static-cache"),
    _size("resCacheTreshold", "res_cache_threshold", 16 * MIB, "bytes; larger files stay on disk",
          group="static", options="--static-memory", aliases="resCacheThreshold"),
    Key("expiresStatics", "expires_statics_ms", "duration", 90 * DAY_MS, "browsers keep files",
        group="static", options="--static-expires", high=3650 * DAY_MS),

    # Limits.
    Key("memoryModel", "memory_model", "model", "", "TINY to XXXXXXLARGE, as Node++ has them",
        group="limits", options="--memory-model"),
    _number("maxConnections", "max_connections", 10_000, "connections at a time; one more: 503",
            group="limits", options="--limit-connections", low=1, high=1_000_000),
    _size("maxPayload", "max_payload", 16 * MIB, "bytes of a request body; over: 413",
          group="limits", options="--limit-body"),
    _size("bufferMemory", "buffer_memory", 64 * MIB, "bytes kept for slow peers; spent: 503",
          group="limits", options="--limit-memory", low=MIB),
    _size("maxHeaderSize", "head_size_max", 16 * KIB, "bytes of request line and fields; over: 431",
          group="limits", options="--limit-header", low=KIB, high=60 * KIB),
    _size("maxTargetSize", "target_size_max", 8 * KIB, "bytes of a request target; over: 414",
          group="limits", options="--limit-target", low=256, high=60 * KIB),
    _number("maxHeaderCount", "field_count_max", 100, "fields of a request; over: 431",
            group="limits", options="--limit-headers", low=1, high=256),
    _number("maxFormParts", "form_part_count_max", 1000, "fields and files of a form; over: 413",
            group="limits", options="--limit-form-parts", low=1, high=1_000_000),
    _size("maxFormField", "form_field_size_max", MIB, "bytes of a form field, no file; over: 413",
          group="limits", options="--limit-form-field"),
    _size("spoolSize", "spool_size", MIB, "bytes of a body kept in memory; more: a file",
          group="limits", options="--spool-size"),
    Key("spoolDir", "spool_dir", "path", "", "folder of those files; empty: the system's",
        group="limits", options="--spool-dir"),
    Key("fdMonitor", "fd_monitor", "choice", "auto", "how readiness is learnt",
        group="limits", options="--fd-monitor",
        choices=("auto", "epoll", "poll", "select", "selectors")),

    # Time.
    _seconds("headerTimeout", "header_timeout_ms", 10, "for a request's head to arrive; over: 408",
             group="time", options="--timeout-header", aliases="timeoutHeader", low=1),
    _seconds("bodyTimeout", "body_timeout_ms", 60, "without a byte of a request's body; over: 408",
             group="time", options="--timeout-body", aliases="timeoutBody", low=1),
    _seconds("sendTimeout", "send_timeout_ms", 60, "without a byte of an answer taken; over: cut",
             group="time", options="--timeout-send", aliases="timeoutSend", low=1),
    _seconds("connectionTimeout", "keep_alive_timeout_ms", 60, "an idle connection is kept open",
             group="time", options="--timeout-keep-alive --keep-alive",
             aliases="timeoutKeepAlive", low=1),
    _seconds("gracefulTimeout", "graceful_timeout_ms", 30, "for requests to finish when stopping",
             group="time", options="--timeout-graceful-shutdown --graceful-timeout"),

    # Logs.
    Key("logLevel", "log_level", "level", 3, "0 always, 1 error, 2 warning, 3 info, 4 debug",
        group="log", options="--log-level", reloadable=True),
    Key("logFile", "log_file", "path", "", "error log; empty: stderr",
        group="log", options="--log-file", reloadable=True),
    Key("logToStdout", "log_to_stdout", "flag", False, "error log to stdout instead of stderr",
        group="log", reloadable=True),
    Key("accessLog", "access_log", "flag", False, "one line for each request",
        group="log", options="--access-log", reloadable=True),
    Key("accessLogFile", "access_log_file", "path", "", "its file; empty: where the error log goes",
        group="log", options="--access-log-file", reloadable=True),
    Key("accessLogFormat", "access_log_format", "choice", "npp", "shape of its lines",
        group="log", options="--access-log-format --access-logformat",
        choices=("npp", "combined", "json"), reloadable=True),
    Key("logCombined", "log_combined", "flag", False, "as accessLogFormat=combined",
        group="log", reloadable=True),

    Key("allowUnknownKeys", "allow_unknown_keys", "flag", False, "an unknown key is no error",
        group="app"),
)  # fmt: skip

_FLAGS = {**dict.fromkeys(("1", "on", "true", "yes"), True),
          **dict.fromkeys(("0", "off", "false", "no"), False)}
_SIZE_UNITS = {"": 1, "b": 1, "k": KIB, "m": MIB, "g": GIB}
_DURATION_UNITS = {"ms": 1, "s": 1000, "": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LEVELS = {"always": 0, "error": 1, "warning": 2, "info": 3, "debug": 4, "critical": 0, "warn": 2}


def parse_value(key: Key, text: str) -> Any:
    """The value that `text` stands for, in the units of Config.

    ValueError says what would have been right.
    """
    value: Union[int, str, bool, tuple[str, ...]]
    lower = text.lower()
    if key.kind in ("text", "path"):
        return text
    if key.kind == "texts":
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if key.kind == "flag":
        if lower not in _FLAGS:
            raise ValueError("expected 1 or 0")
        return _FLAGS[lower]
    if key.kind == "choice":
        if lower not in key.choices:
            raise ValueError(f"expected {', '.join(key.choices[:-1])} or {key.choices[-1]}")
        return lower
    if key.kind == "server":
        if lower in _FLAGS:
            return str(key.default) if _FLAGS[lower] else ""
        if not (text.isascii() and text.isprintable()):
            raise ValueError("expected 0, 1 or a text in ASCII")
        return text
    if key.kind == "model":
        model = text.upper()[8:] if text.upper().startswith("NPP_MEM_") else text.upper()
        if model and model not in MEMORY_MODELS:
            raise ValueError(f"expected one of {' '.join(MEMORY_MODELS)}")
        return model
    if key.kind == "level":
        value = _LEVELS[lower] if lower in _LEVELS else _integer(text, "a level from 0 to 4")
        return _bounded(key, value, 0, 4)
    if key.kind == "size":
        value = _scaled(lower.replace("ib", ""), _SIZE_UNITS, "a size like 65536, 64k, 16m or 1g")
    elif key.kind == "duration":
        value = _scaled(lower, _DURATION_UNITS, "a time like 500ms, 10s, 5m, 1h or 1d")
    elif key.kind == "mode":
        value = _integer(text, "permissions in octal, like 660", base=8)
    else:
        value = _integer(text, "a whole number")
    return _bounded(key, value, key.low, key.high)


def _integer(text: str, expected: str, base: int = 10) -> int:
    if not (text.isascii() and text.isdigit()):     # int() would take "1_000", " 7" and "-1" too
        raise ValueError(f"expected {expected}")
    try:
        return int(text, base)
    except ValueError:
        raise ValueError(f"expected {expected}") from None


def _scaled(text: str, units: dict[str, int], expected: str) -> int:
    """A number with a unit: "16m" → 16777216. One decimal point is allowed: "1.5g"."""
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(digits) :].strip()
    whole, point, fraction = digits.partition(".")
    parts = [whole, fraction] if point else [whole]
    if unit not in units or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"expected {expected}")
    scale: int = 10 ** len(fraction)
    return int(whole + fraction) * units[unit] // scale


def _bounded(key: Key, value: int, low: int, high: Optional[int]) -> int:
    if value < low or (high is not None and value > high):
        least = format_value(key, low)
        bound = f"at least {least}" if high is None else f"{least} to {format_value(key, high)}"
        raise ValueError(f"expected {bound}")
    return value


def format_value(key: Key, value: Any) -> str:
    """The value as npp.conf would have it; parse_value reads it back to the same."""
    if key.kind == "flag":
        return "1" if value else "0"
    if key.kind == "texts":
        return ",".join(value)
    if key.kind == "mode":
        return f"{value:o}"
    if key.kind == "server":
        return value or "0"
    if key.kind == "size":
        return _unscaled(value, (("g", GIB), ("m", MIB), ("k", KIB), ("", 1)))
    if key.kind == "duration":
        # Whole days are said as such from two on: a day itself is the ceiling of what is thought in
        # seconds.
        units = (("d", DAY_MS), ("s", 1000), ("ms", 1))
        return _unscaled(value, units if value > DAY_MS else units[1:])
    return str(value)


def _unscaled(value: int, units: tuple[tuple[str, int], ...]) -> str:
    for unit, size in units:
        if value % size == 0 and (value or size == units[-1][1]):
            return f"{value // size}{unit}"
    raise AssertionError("the last unit divides everything")
