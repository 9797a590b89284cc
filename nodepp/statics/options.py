"""The settings of public files for an application that is not served with an npp.conf: tests, and
scripts that only look."""

from __future__ import annotations

import os

from ..settings import KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Union

    from ..config import Config

    Settings = Union[Config, "Options"]

# Folders and files that a default would find, or write, where nobody expects it.
NOT_BY_DEFAULT = ("res", "resmin", "static_cache")


class Options:
    """The defaults of all settings, by their names in Config, and what is given instead.

    Relative folders start in app_dir, the current one. No file is served and no cache is written
    unless that is given.
    """

    def __init__(self, **given: Any) -> None:
        self.app_dir: str = os.path.abspath(given.pop("app_dir", None) or ".")
        for key in KEYS:
            value = "" if key.attribute in NOT_BY_DEFAULT else key.default
            value = given.pop(key.attribute, None) if key.attribute in given else value
            if key.kind == "path" and value:
                value = os.path.join(self.app_dir, value)
            setattr(self, key.attribute, value)
        if given:
            raise TypeError(f"there is no setting {next(iter(given))!r}")

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"there is no setting {name!r}")

    def is_set(self, attribute: str) -> bool:
        """As Config's: nobody chose anything here."""
        return False
