"""What a start refuses, and nodepp-run --check and --print-statics, which find out without serving
anything.
"""

from __future__ import annotations

import sys

from .access import AccessLists
from .errors import RouteError, StartError
from .log import WAR, log
from .streams import say
from .visitors import rule_warnings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from .config import Config
    from .site import Site
    from .statics import Statics
    from .trials import Trials


def print_statics(config: Config, site: Site) -> int:
    """What would be served from memory and disk, with the codings that the cache has, or, with
    --precompress, all of them.
    """
    statics = site.statics
    statics.load()
    if config.precompress:
        statics.precompress()
    return say(statics.listing())


def check(config: Config, find_site: Callable[[Config], Site]) -> int:
    """Everything that a start would do short of serving. What it would refuse, and what it would
    have to answer requests with 503 for, is told in one StartError; on_start is not called.
    """
    from .trials import Trials

    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        site = find_site(config)
    finally:
        sys.dont_write_bytecode = writes_bytecode
    trials = Trials(config)
    trials.try_all(site.app)
    if trials.problems:
        raise StartError("\n".join(trials.problems))
    for warning in config.warnings:
        log.write(WAR, warning)
    check_visitors(config, site)
    site.app.freeze()
    site.statics.load(makes_cache=False)
    refuse_public(config, site.statics)
    for warning in rule_warnings(site.app, config):
        log.write(WAR, warning)
    return say(summary(config, site, trials))


def summary(config: Config, site: Site, trials: Trials) -> str:
    """What was found to be fine, and what is worth knowing."""
    static = site.statics.banner()
    rows = [
        f"Settings are fine: {config.conf_path or 'no npp.conf'}",
        f"Application is fine: {site.text}",
    ]
    if static:
        rows.append(f"Public files are fine: {static}")
    if trials.addresses:
        rows.append(f"Addresses are fine: {'  '.join(trials.addresses)}")
    rows += [f"Note: {note}" for note in trials.notes]
    return "".join(f"{row}\n" for row in rows)


def check_visitors(config: Config, site: Site) -> None:
    """ConfigError for a list that cannot be read, StartError for rules that cannot be kept. Rules
    that on_start adds are not seen: nothing is started.
    """
    AccessLists(config)
    try:
        site.app.auth_rules(config)
    except RouteError as error:
        raise StartError(str(error)) from None


def refuse_public(config: Config, statics: Statics) -> None:
    """StartError for a session file in a folder that the application serves: it holds the key, and
    the id of everybody who is logged in."""
    from .statics.roots import serves

    if config.session_file and serves(statics, config.session_file):
        raise StartError(f"sessionFile={config.session_file}: it would be served with the public"
                         " files. Put it elsewhere.")
