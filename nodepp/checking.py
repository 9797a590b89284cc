"""What a start refuses, and nodepp-run --check and --print-statics, which find out without serving
anything.
"""

from __future__ import annotations

import os

from .access import AccessLists
from .errors import RouteError, StartError
from .library import library
from .log import WAR, log
from .streams import say
from .visitors import rule_warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .config import Config
    from .site import Site
    from .statics import Statics


def print_statics(config: Config, site: Site) -> int:
    """What would be served from memory and disk, with the codings that the cache has, or, with
    --precompress, all of them.
    """
    statics = site.statics
    statics.load()
    if config.precompress:
        statics.precompress()
    return say(statics.listing())


def check(config: Config, site: Site) -> int:
    """Everything short of serving: settings, logs, lists, import, routes, rules, public files."""
    for name, path in (("logFile", config.log_file), ("accessLogFile", config.access_log_file)):
        check_log(name, path)
    for warning in config.warnings:
        log.write(WAR, warning)
    check_visitors(config, site)
    site.app.freeze()
    site.statics.load()
    refuse_public(config, site.statics)
    for warning in rule_warnings(site.app, config):
        log.write(WAR, warning)
    static = site.statics.banner()
    fine = [f"Settings are fine: {config.conf_path or 'no npp.conf'}\n",
            f"Application is fine: {site.text}\n"]
    if static:
        fine.append(f"Public files are fine: {static}\n")
    return say("".join(fine))


def check_visitors(config: Config, site: Site) -> None:
    """ConfigError for a list that cannot be read, StartError for rules and session files that
    cannot be kept. Rules that on_start adds are not seen: nothing is started.
    """
    AccessLists(config)
    try:
        site.app.auth_rules(config)
    except RouteError as error:
        raise StartError(str(error)) from None
    check_log("sessionFile", config.session_file)
    if config.session_file:
        from .sessions.file import check_file

        check_file(config.session_file)


def refuse_public(config: Config, statics: Statics) -> None:
    """StartError for a session file in a folder that the application serves: it holds the key, and
    the id of everybody who is logged in."""
    from .statics.roots import serves

    if config.session_file and serves(statics, config.session_file):
        raise StartError(f"sessionFile={config.session_file}: it would be served with the public"
                         " files. Put it elsewhere.")


def check_log(name: str, path: str) -> None:
    """StartError, as at a start, for a log, or another file of the server's, that cannot be
    written. Makes no file.
    """
    errno = library("errno")
    folder = os.path.dirname(path)
    if not path or os.access(path if os.path.exists(path) else folder, os.W_OK):
        code = errno.EISDIR if path and os.path.isdir(path) else 0
    else:
        code = errno.EACCES if os.path.isdir(folder) else errno.ENOENT
    if code:
        raise StartError(f"{name}={path}: {os.strerror(code)}.")
