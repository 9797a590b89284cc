"""What a server serves: an application with its public files."""

from __future__ import annotations

import os

from .banner import counted
from .log import WAR, log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .app import App
    from .config import Config
    from .statics import Statics


class Site:
    """What is served: the application with its public files, and how to say so in the banner."""

    __slots__ = ("app", "text")

    def __init__(self, app: App, text: str) -> None:
        self.app, self.text = app, text

    @property
    def statics(self) -> Statics:
        """The public files; read when load() of them was called."""
        assert self.app.statics is not None
        return self.app.statics


def site_of(app: App, text: str, config: Config) -> Site:
    """The application, with what will be its public files. They are not read yet."""
    from .statics import Statics

    for attribute in ("res", "resmin", "snippets", "templates"):
        path = getattr(config, attribute)
        if config.is_set(attribute) and path and not os.path.isdir(path):
            log.write(WAR, f"{config.origins[attribute]}: there is no folder {path}.")
    app.statics = Statics(app, config)
    count = app.route_count
    routes = f"  ({counted(count, 'route')})" if count else ""
    return Site(app, text + routes)
