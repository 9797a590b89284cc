"""The one table of settings: how each is spelled, what it may be, what it is for.

Names are Node++'s where Node++ had the setting (npp.conf is its file), and uvicorn's on the command
line, because that is what people type. The syntax of values is values.py's; reading the sources and
deciding between them is config.py's.
"""

from __future__ import annotations

from .values import DAY_MS, KIB, MIB, TIB, Key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Keys that an npp.conf of Node++ may have and that change nothing here (yet): they load, and a
# warning names them.
IGNORED_KEYS = frozenset(
    """
    httpsPort cipherList certFile certChainFile keyFile
    dbHost dbPort dbName dbUser dbPassword dbDisableEncryption dbSSLKey dbSSLCert dbSSLCA
    dbSSLCAPath dbSSLCRL dbSSLCRLPath dbSSLTLSVersion dbSSLCipher dbSSLCipherSuites dbSSLMode
    usersRequireActivation
    ASYNCId ASYNCSvcProcesses ASYNCDefTimeout callHTTPTimeout phpPathWindows
    watcherLogLevel watcherLogToStdout watcherStopCmd watcherStartCmd watcherWait watcherLogRestart
    """.split()
)


def _number(name: str, attribute: str, default: int, help: str, **rest: Any) -> Key:
    return Key(name, attribute, "number", default, help, **rest)


def _size(name: str, attribute: str, default: int, help: str, **rest: Any) -> Key:
    return Key(name, attribute, "size", default, help, **rest)


def _seconds(name: str, attribute: str, default_s: int, help: str, **rest: Any) -> Key:
    # A day is the ceiling: a longer deadline is a typing mistake.
    return Key(name, attribute, "duration", default_s * 1000, help, high=DAY_MS, **rest)


def _lifetime(
    name: str, attribute: str, default_s: int, help: str, low: int = 1000, **rest: Any
) -> Key:
    """How long a session lasts: the core counts whole seconds, and browsers keep no cookie for more
    than 400 days (RFC 6265bis §5.5)."""
    return Key(name, attribute, "duration", default_s * 1000, help, group="sessions", low=low,
               high=400 * DAY_MS, **rest)


KEYS = (
    # Where to listen.
    Key("host", "host", "host", "127.0.0.1", "address to listen on; 0.0.0.0 where $PORT is set",
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
          group="static", options="--compress-min", aliases="compressTreshold", high=TIB),
    Key("compress", "compress", "flag", True, "files and pages leave as zstd, br or gzip",
        group="static", options="--compress"),
    Key("precompress", "precompress", "flag", False, "all files are compressed before the start",
        group="static", options="--precompress"),
    Key("staticCache", "static_cache", "path", "~/.cache/nodepp", "compressed files; '' for none",
        group="static", options="--static-cache"),
    _size("resCacheTreshold", "res_cache_threshold", 16 * MIB, "bytes; larger files stay on disk",
          group="static", options="--static-memory", aliases="resCacheThreshold", high=TIB),
    Key("expiresStatics", "expires_statics_ms", "duration", 90 * DAY_MS, "browsers keep files",
        group="static", options="--static-expires", high=3650 * DAY_MS),

    # Limits.
    Key("memoryModel", "memory_model", "model", "", "TINY to XXXXXXLARGE, as Node++ has them",
        group="limits", options="--memory-model"),
    _number("maxConnections", "max_connections", 10_000, "connections at a time; one more: 503",
            group="limits", options="--limit-connections", low=1, high=1_000_000),
    _size("maxPayload", "max_payload", 16 * MIB, "bytes of a request body; over: 413",
          group="limits", options="--limit-body", high=TIB),
    _size("bufferMemory", "buffer_memory", 64 * MIB, "bytes kept for slow peers; spent: 503",
          group="limits", options="--limit-memory", low=MIB, high=TIB),
    _size("maxHeaderSize", "head_size_max", 16 * KIB, "bytes of request line and fields; over: 431",
          group="limits", options="--limit-header", low=KIB, high=60 * KIB),
    _size("maxTargetSize", "target_size_max", 8 * KIB, "bytes of a request target; over: 414",
          group="limits", options="--limit-target", low=256, high=60 * KIB),
    _number("maxHeaderCount", "field_count_max", 100, "fields of a request; over: 431",
            group="limits", options="--limit-headers", low=1, high=255),
    _number("maxFormParts", "form_part_count_max", 1000, "fields and files of a form; over: 413",
            group="limits", options="--limit-form-parts", low=1, high=1_000_000),
    _size("maxFormField", "form_field_size_max", MIB, "bytes of a form field, no file; over: 413",
          group="limits", options="--limit-form-field", low=1, high=TIB),
    _size("spoolSize", "spool_size", MIB, "bytes of a body kept in memory; more: a file",
          group="limits", options="--spool-size", high=TIB),
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
    Key("halfClose", "half_close", "flag", False, "an ended client may wait for a late answer",
        group="time"),
    _seconds("gracefulTimeout", "graceful_timeout_ms", 30, "for requests to finish when stopping",
             group="time", options="--timeout-graceful-shutdown --graceful-timeout"),

    # Visitors.
    _number("maxSessions", "max_sessions", 50_000, "at a time; past it the oldest goes, or 503",
            group="sessions", options="--limit-sessions", low=1, high=1_000_000),
    _size("sessionDataSize", "session_data_size", KIB, "bytes of data a session; over: SessionFull",
          group="sessions", options="--session-data", low=16, high=MIB),
    Key("sessionFile", "session_file", "path", "", "keeps sessions over restarts; empty: they end",
        group="sessions", options="--session-file"),
    _lifetime("sessionTimeout", "session_timeout_ms", 600, "a visitor may be idle; past it: ended",
              options="--session-timeout"),
    _lifetime("sessionAuthTimeout", "session_auth_timeout_ms", 1800, "the same when logged in",
              options="--session-auth-timeout"),
    _lifetime("sessionKeep", "session_keep_ms", 30 * 86400, "the same with login(keep=True)"),
    _lifetime("sessionLifetime", "session_lifetime_ms", 30 * 86400, "no session lasts longer",
              options="--session-lifetime"),
    Key("sessionCookie", "session_cookie", "cookie", "as", "cookie of visitors",
        group="sessions"),
    Key("loginCookie", "login_cookie", "cookie", "ls", "cookie of those who are logged in",
        group="sessions"),
    Key("sessionBindAgent", "session_bind_agent", "flag", True, "a session is for one User-Agent",
        group="sessions"),
    Key("sessionsForBots", "sessions_for_bots", "flag", False, "bots get sessions too",
        group="sessions"),
    Key("secureCookies", "secure_cookies", "flag", False, "Secure also behind a proxy that has TLS",
        group="sessions"),
    Key("requiredAuthLevel", "required_auth_level", "auth_level", 0, "a name or number, for all",
        group="sessions", options="--required-auth-level"),
    Key("loginPath", "login_path", "page", "/login", "where whoever must log in is sent",
        group="sessions", options="--login-path", aliases="loginUri"),
    Key("csrf", "csrf", "flag", False, "POST, PUT, PATCH, DELETE need the session's token",
        group="sessions", options="--csrf"),
    Key("blacklist", "blacklist", "path", "blacklist.txt", "addresses that are not let in",
        group="sessions", options="--blacklist", aliases="IPBlackList", reloadable=True),
    Key("whitelist", "whitelist", "path", "whitelist.txt", "if it is there: the only ones let in",
        group="sessions", options="--whitelist", aliases="IPWhiteList", reloadable=True),
    _lifetime("blockTime", "block_time_ms", 86400, "an address that guesses is blocked; 0: none",
              low=0),
    Key("autoBlacklist", "auto_blacklist", "flag", False, "such an address goes on the blacklist",
        group="sessions", reloadable=True),
    Key("blockedFile", "blocked_file", "path", "blocked.txt", "where those addresses are shown",
        group="sessions"),

    # Logs.
    Key("logLevel", "log_level", "level", 3, "0 always, 1 error, 2 warning, 3 info, 4 debug",
        group="log", options="--log-level", reloadable=True),
    Key("logFile", "log_file", "path", "", "error log; empty: stderr",
        group="log", options="--log-file", reloadable=True),
    Key("logToStdout", "log_to_stdout", "flag", False, "error log to stdout instead of stderr",
        group="log", reloadable=True),
    Key("slowLog", "slow_log_ms", "duration", 500, "code that holds the loop longer is named",
        group="log", options="--slow-log", high=DAY_MS, reloadable=True),
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
