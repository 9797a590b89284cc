"""nodepp: a whole web stack in one Python process, on a compiled core.

    from nodepp import App

    app = App()

    @app.get("/")
    def landing(req):
        return "<h1>Hello</h1>"

Run it with `nodepp-run app.py`, or app.run(). Names are imported when they are first asked for, so
that a small application starts with what it uses.
"""

from __future__ import annotations

from .library import add_folders_in_front

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._core import (
        ClientAddress,
        CsrfError,
        Headers,
        MultiDict,
        Raw,
        Request,
        RequestError,
        RequestGone,
        Response,
        Session,
        SessionFull,
        SessionsExhausted,
        UploadFile,
        current,
        raw,
    )
    from .app import App, asset
    from .errors import ConfigError, HTTPError, NodeppError, RouteError, StartError
    from .sessions import AuthLevel
    from .statics import FileFlags

__version__ = "0.1.0"

add_folders_in_front()  # before anything else is imported: they are on sys.path already

_HOMES = {
    "App": "app",
    "AuthLevel": "sessions",
    "ClientAddress": "_core",
    "ConfigError": "errors",
    "CsrfError": "_core",
    "FileFlags": "statics",
    "HTTPError": "errors",
    "Headers": "_core",
    "MultiDict": "_core",
    "NodeppError": "errors",
    "Raw": "_core",
    "Request": "_core",
    "RequestError": "_core",
    "RequestGone": "_core",
    "Response": "_core",
    "RouteError": "errors",
    "Session": "_core",
    "SessionFull": "_core",
    "SessionsExhausted": "_core",
    "StartError": "errors",
    "UploadFile": "_core",
    "asset": "app",
    "current": "_core",
    "raw": "_core",
}

__all__ = [
    "App",
    "AuthLevel",
    "ClientAddress",
    "ConfigError",
    "CsrfError",
    "FileFlags",
    "HTTPError",
    "Headers",
    "MultiDict",
    "NodeppError",
    "Raw",
    "Request",
    "RequestError",
    "RequestGone",
    "Response",
    "RouteError",
    "Session",
    "SessionFull",
    "SessionsExhausted",
    "StartError",
    "UploadFile",
    "asset",
    "current",
    "raw",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'nodepp' has no attribute {name!r}")
    if home == "_core":
        from .app import import_core

        module = import_core()
    else:
        module = __import__(home, globals(), None, (name,), 1)
    value = getattr(module, name)
    globals()[name] = value  # the next time it is found without coming here
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
