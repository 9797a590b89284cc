"""What an operator is told at the start: the banner, and how many descriptors there are."""

from __future__ import annotations

import os
import sys
import time

from .library import library
from .log import WAR, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from .config import Config
    from .listeners import Listener
    from .sessions import OpenedTable
    from .site import Site

# Descriptors beyond one for each connection: the core's places for refused peers (64), its reserve
# (32), spool files and what the application opens.
DESCRIPTORS_BESIDE = 256


def banner(
    config: Config,
    site: Site,
    listeners: Sequence[Listener],
    stats: Mapping[str, Any],
    opened: OpenedTable,
    lists: str,
    started: float,
) -> list[str]:
    """At most nine lines; each is something an operator must know. lists: AccessLists.banner()."""
    from . import __version__
    from .log import short_path
    from .settings import KEYS
    from .values import format_value

    python = ".".join(map(str, sys.version_info[:3]))
    urls = [listener.url for listener in listeners]
    if len(urls) > 3:
        urls[2:] = [f"and {len(urls) - 2} more"]
    sizes = {key.attribute: format_value(key, getattr(config, key.attribute))
             for key in KEYS if key.kind == "size"}
    static = site.statics.banner()
    rows = [
        f"nodepp {__version__}  Python {python}  engine {stats['poller']}  pid {os.getpid()}",
        f" app      {site.text}",
        f" listen   {'  '.join(urls)}",
        f" static   {static}",
        f" limits   {stats['connection_slots']:,} connections"
        f"  {counted(config.max_sessions, 'session')}  body {sizes['max_payload']}"
        f"  buffers {sizes['buffer_memory']}  files {descriptor_limit():,}",
    ]
    if not static:
        del rows[3]
    if config.session_file:
        rows.append(f" sessions {short_path(config.session_file)}  {opened.restored:,} restored")
    if lists:
        rows.append(f" lists    {lists}")
    if config.conf_path:
        rows.append(f" conf     {short_path(config.conf_path)}")
    took_ms = (time.perf_counter() - started) * 1000
    rows.append(f"Ready in {took_ms:.0f} ms. Ctrl-C to stop.")
    return rows


def counted(number: int, noun: str) -> str:
    """ "1 request", "2 requests"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def descriptor_limit() -> int:
    """How many descriptors this process may have open."""
    resource = library("resource")
    return int(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def raise_descriptor_limit(connection_count: int) -> None:
    """Raises the soft limit as far as so many connections need; a warning names what it got if that
    is less.
    """
    resource = library("resource")
    needed = connection_count + DESCRIPTORS_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft in (unlimited, needed) or soft > needed:
        return
    wanted = needed if hard == unlimited else min(needed, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError):
        wanted = soft                       # macOS refuses more than kern.maxfilesperproc
    if wanted < needed:
        room = max(0, wanted - DESCRIPTORS_BESIDE)
        log.write(WAR, f"Only {wanted:,} descriptors: about {room:,} connections instead of"
                       f" {needed - DESCRIPTORS_BESIDE:,}. Try: ulimit -n {needed}")


def warn_of_missing_coders(config: Config) -> None:
    """One line at the start, rather than one for each request that would have been served better.
    """
    from .statics.coders import coder_id

    libraries = {"zstd": "zstandard", "br": "brotli"}
    missing = [coding for coding in libraries if config.compress and not coder_id(coding)]
    if missing:
        names = [libraries[coding] for coding in missing]
        log.write(WAR, f"Nothing leaves as {' or '.join(missing)}, gzip is larger:"
                       f" {' and '.join(names)} cannot be imported."
                       f" Try: pip install {' '.join(names)}")
