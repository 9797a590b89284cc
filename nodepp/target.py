"""From the words after `nodepp-run` to an App: find the module, import it, find the App in it.

APP is a module, module:attr, file.py or file.py:attr; two words are tried as ATTR MODULE, then as
MODULE ATTR. Without any, app.py and main.py are looked for. What goes wrong is said in one to three
lines, with the user's own frames only.
"""

from __future__ import annotations

import os
import sys

from . import forks
from .app import App
from .errors import NodeppError, StartError, did_you_mean
from .library import add_folder, library
from .plain_file import read_plain
from .site import tell_of_clashes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

FILES = ("app.py", "main.py")
ATTRIBUTES = ("app", "application", "api", "create_app")


class Target:
    """An application, and where it was found: "app:app" from "app.py"; file: that, absolute, ""
    for what is in none.
    """

    __slots__ = ("app", "file", "name", "place")

    def __init__(self, app: App, name: str, place: str, file: str) -> None:
        self.app, self.name, self.place, self.file = app, name, place, file


class Missing(StartError):
    """There is no such module, or nothing of that name in it."""


def discover(folder: str) -> str:
    """The file of the application in a folder, when none is named; "" if there is none.
    StartError for one that is there and cannot be read: a greeting would be served in its place.
    """
    for name in FILES:
        path = os.path.join(folder, name)
        try:
            if read_plain(path, 0) is not None:
                return name
        except OSError as error:
            raise StartError(f"{path}: cannot be read: {error.strerror}.") from None
    return ""


def load(words: Sequence[str], folder: str, verbose: bool = False) -> Target:
    """Imports and finds the application that `words` (one or two) name.

    `folder` goes to the front of sys.path. StartError if there is none, or if importing it fails.
    """
    if len(words) == 1:
        return _load_one(words[0], folder, verbose)
    first, second = words
    try:
        return _load_one(f"{second}:{first}", folder, verbose)      # ATTR MODULE
    except Missing:
        if not _exists(first, folder):
            raise
        try:
            return _load_one(f"{first}:{second}", folder, verbose)  # MODULE ATTR
        except Missing:
            pass                            # what was said of the first reading is the answer
        raise


def _load_one(word: str, folder: str, verbose: bool) -> Target:
    name, colon, attribute = word.partition(":")
    if colon and not attribute:
        raise StartError(f"{word!r} names no attribute after the colon. Try: {name}")
    module = _import(name, folder, verbose)
    try:
        found, app = _find(module, attribute)
    except StartError:
        raise
    except NodeppError as error:
        raise StartError(str(error)) from None
    except Exception as error:
        raise StartError(_trouble(f"{module.__name__}:{attribute}", error, verbose)) from None
    file = getattr(module, "__file__", None) or ""
    place = _short(file or module.__name__)
    return Target(app, f"{module.__name__}:{found}", place, file and os.path.abspath(file))


# --- importing ----------------------------------------------------------------------------------


def _is_file(name: str, folder: str) -> bool:
    """Whether a word is meant as a file: not a.b, unless that is there (index.html)."""
    return name.endswith(".py") or os.sep in name or (
        "." in name and os.path.isfile(os.path.join(folder, name)))


def _exists(name: str, folder: str) -> bool:
    """True if there is a module, package or file of that name, without importing anything."""
    if _is_file(name, folder):
        return os.path.isfile(os.path.join(folder, name))
    first = name.partition(".")[0]
    path = os.path.join(folder, first)
    if os.path.isfile(path + ".py") or os.path.isdir(path):
        return True
    return library("importlib.util").find_spec(first) is not None


def _import(name: str, folder: str, verbose: bool) -> ModuleType:
    named = name
    if _is_file(name, folder):
        path = _python_file(name, folder)
        folder, name = os.path.dirname(path), os.path.basename(path)[:-3]
    else:
        path = ""
    add_folder(folder)
    tell_of_clashes()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        forks.call(__import__, name)        # importlib would be another module to load
        module = sys.modules[name]
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise Missing(f"Cannot import {name!r}.{_similar_module(name, folder)}") from None
        raise StartError(_trouble(named, error, verbose)) from None
    except SystemExit as error:
        raise StartError(
            f"{named} ended the process while it was imported (exit {error.code}).") from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise StartError(_trouble(named, error, verbose)) from None
    if path and not os.path.samefile(getattr(module, "__file__", None) or os.devnull, path):
        raise StartError(
            f"{_short(path)} cannot be imported: {name!r} is the name of another module.")
    return module


def _python_file(name: str, folder: str) -> str:
    """The absolute path of a file that was named. StartError if it is none of Python, or no file.
    """
    path = os.path.abspath(os.path.join(folder, name))
    what = "folder" if name.endswith(os.sep) else "file"
    if not os.path.isfile(path):
        raise Missing(f"There is no {what} {name!r}.{_similar_file(path)}")
    if not path.endswith(".py"):
        place = os.path.dirname(name) or "."
        raise StartError(f"{name!r} is no Python file. To serve the folder that it is in:"
                         f" nodepp-run {place}{os.sep if place != '.' else ''}")
    return path


def _trouble(name: str, error: BaseException, verbose: bool) -> str:
    from . import log

    text = log.exception_text(error, verbose)
    hint = "" if verbose else "\n(full traceback: -v)"
    return f"{name} could not be imported: {text}{hint}"


def _similar_module(name: str, folder: str) -> str:
    try:
        files = [file for file in os.listdir(folder) if file.endswith(".py")]
    except OSError:
        return ""
    hint = did_you_mean(name, [file[:-3] for file in files])
    return hint.replace("?", f" (./{hint.split(chr(39))[1]}.py)?") if hint else ""


def _similar_file(path: str) -> str:
    try:
        return did_you_mean(os.path.basename(path), os.listdir(os.path.dirname(path)))
    except OSError:
        return ""


# --- finding the application in a module --------------------------------------------------------


def _find(module: ModuleType, attribute: str) -> tuple[str, App]:
    if attribute:
        value: Any = module
        for part in attribute.split("."):
            if not hasattr(value, part):
                raise Missing(
                    f"{module.__name__!r} has no {attribute!r}.{_candidates(module)}")
            value = getattr(value, part)
        return attribute, _as_app(value, module, attribute)
    for name in ATTRIBUTES:
        if hasattr(module, name):
            return name, _as_app(getattr(module, name), module, name)
    if hasattr(module, "npp_app_main"):
        return "npp_app_main", _from_npp(module)
    apps = [name for name, value in vars(module).items() if isinstance(value, App)]
    if len(apps) == 1:
        return apps[0], getattr(module, apps[0])
    looked = ", ".join(ATTRIBUTES)
    raise StartError(
        f"{module.__name__!r} has no application. Looked for {looked} and npp_app_main."
        + _candidates(module))


def _as_app(value: Any, module: ModuleType, attribute: str) -> App:
    if isinstance(value, App):
        return value
    if attribute == "npp_app_main":
        return _from_npp(module)
    kind = type(value).__name__
    if callable(value) and kind in ("function", "type", "method"):
        _refuse_arguments(value, f"{module.__name__}:{attribute}")
        made = value()                      # a factory, such as create_app
        if isinstance(made, App):
            return made
        kind = type(made).__name__
    raise StartError(
        f"{module.__name__}:{attribute} is of type {kind}; nodepp serves an App, or a module with"
        f" npp_app_main.{_candidates(module)}")


def _refuse_arguments(value: Any, named: str) -> None:
    """StartError for a callable that cannot be called without arguments: no factory."""
    inspect = library("inspect")
    try:
        signature = inspect.signature(value)
        signature.bind()
    except ValueError:                      # a callable of C that does not say
        return
    except TypeError:
        raise StartError(
            f"{named} takes {signature}, so it makes no App. ASGI and WSGI applications are not"
            " served yet.") from None


def _from_npp(module: ModuleType) -> App:
    from .npp import app_from_module

    return app_from_module(module)


def _candidates(module: ModuleType) -> str:
    """A sentence with what could have been meant."""
    found = [f"{name} (App)" for name, value in vars(module).items() if isinstance(value, App)]
    if hasattr(module, "npp_app_main"):
        found.append("npp_app_main (the Node++ way)")
    if callable(getattr(module, "create_app", None)):
        found.append("create_app (factory)")
    return f" Found: {', '.join(found)}." if found else ""


def _short(path: str) -> str:
    from .log import short_path

    return short_path(path)


# --- a folder without an application ------------------------------------------------------------

def has_public_files(folder: str) -> bool:
    """Whether a folder has anything that a static site could show."""
    from .statics.tree import Walk

    walk = Walk(os.path.realpath(folder), lambda level, message: None, private=True)
    return any(True for _ in walk.files())


def greeting(folder: str) -> str:
    """A page that says what to do next, for a folder with nothing to serve."""
    from .errors import escape

    shown = folder.encode("utf-8", "backslashreplace").decode()     # its name need not be UTF-8
    return GREETING.replace("FOLDER", escape(shown))


GREETING = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>nodepp is running</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
body { font: 17px/1.6 system-ui, sans-serif; max-width: 42rem; margin: 4rem auto; padding: 0 1rem;
       color: #1d2a35; background: #fbfaf7 }
h1 { font-size: 2rem; margin-bottom: .2rem }
pre { background: #1d2a35; color: #e8f1f2; padding: 1rem 1.2rem; border-radius: .5rem;
      overflow-x: auto }
code { font-size: .92em }
</style></head><body>
<h1>nodepp is running</h1>
<p>There is no application in <code>FOLDER</code> yet. Write this as <code>app.py</code>:</p>
<pre>from nodepp import App

app = App()

@app.get("/")
def landing(req):
    return "&lt;h1&gt;Hello&lt;/h1&gt;"</pre>
<p>and start <code>nodepp-run</code> again. Files in a folder <code>res</code> are served as they
are, those in <code>resmin</code> minified; a folder with an <code>index.html</code> is a site.</p>
</body></html>
"""
