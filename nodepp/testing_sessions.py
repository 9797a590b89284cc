"""The settings of sessions that a test gives the client."""

from __future__ import annotations

from .config import load_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from .config import Config

# A test that needs more says so; the table of a server is made in the same time, but its memory is
# asked of the system each time.
DEFAULTS = {"max_sessions": 1000}

# Of that group, what only a server can do.
NOT_HERE = ("blacklist", "whitelist", "autoBlacklist", "blockedFile")


def session_config(given: Mapping[str, object]) -> Config:
    """The settings, the rest at their defaults: neither an npp.conf nor the environment is read.

    ConfigError for what is none, or cannot be.
    """
    return load_settings(
        {**DEFAULTS, **given}, who="session_settings", only="sessions", without=NOT_HERE,
        environment={}, conf="")
