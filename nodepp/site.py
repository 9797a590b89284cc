"""What a server serves: an application with its public files."""

from __future__ import annotations

import os

from .banner import counted
from .library import add_folders_in_front, untold_clashes
from .log import WAR, log, short_path

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
        if not path or os.path.isdir(path):
            continue
        if os.path.lexists(path):
            log.write(WAR, f"{attribute}={path}: that is no folder: not used.")
        elif config.is_set(attribute):
            log.write(WAR, f"{config.origins[attribute]}: there is no folder {path}.")
    tell_of_clashes()
    app.statics = Statics(app, config)
    count = app.route_count
    routes = f"  ({counted(count, 'route')})" if count else ""
    return Site(app, text + routes)


CLASHES_TOLD_MAX = 10  # files: a line that names more is not read


def tell_of_clashes() -> None:
    """A line for the application's files that have the names of library modules. nodepp finds the
    library's; the application, and a library that it imports, may not.
    """
    add_folders_in_front()      # the application may have put some there
    files = [short_path(file) for file in untold_clashes()]
    if not files:
        return
    names = ", ".join(files[:CLASHES_TOLD_MAX])
    if len(files) > CLASHES_TOLD_MAX:
        names += f" and {len(files) - CLASHES_TOLD_MAX} more"
    log.write(WAR, f"Named like library modules: {names}. An import of such a name, in a library"
                   " too, may find the wrong module. Rename the file.")
