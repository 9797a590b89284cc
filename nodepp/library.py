"""Library modules that are imported late, when the application's folder is on sys.path already.

An application may have an http.py or a token.py of its own, and Python would give us that one.
library("http.cookies") finds what an import would find if the application's folder were not on the
path. The application's module stays what it is for the application: sys.modules has one place for
a name, which belongs to the application, and the library's module of that name is kept here.

Modules of nodepp need no such call for what they import at their top: while the folder has such a
name, they are loaded under the guard. Nearly all applications have none; then this module does
nothing but import, and sys.path is never changed.
"""

from __future__ import annotations

import os
import sys

# What importlib and threading have it from: fewer modules to load, and nothing can hide them.
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import PathFinder
from _thread import RLock, get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType
    from typing import Any

# What nodepp imports from installed packages, and what those import in turn.
PACKAGES = frozenset((
    "_brotli", "brotli", "deflate", "jinja2", "markdown_it", "markupsafe", "mdurl", "msgspec",
    "rcssmin", "_rcssmin", "rjsmin", "_rjsmin", "selectors2", "typing_extensions", "zopfli",
    "zstandard"))

_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

_folders: dict[str, bool] = {}         # of the application, absolute: whether it has libraries too
_clashing: set[str] = set()            # names of library modules that a file in these has too
_files: dict[str, bool] = {}           # these files: whether they have been told of
_ours: dict[str, ModuleType] = {}      # the library's, while the place belongs to the application
_theirs: dict[str, ModuleType] = {}    # the application's, while a guard is on
_kept: set[str] = set()                # names whose places were the library's before the guard
_guarded: dict[int, int] = {}          # thread: how many guards it is in
_lock = RLock()                        # of the four above; never held during an import


def library(name: str) -> Any:
    """The library's module of that name, a.b included. ImportError as from an import."""
    if name in _ours:
        return _ours[name]
    if not _clashing or (name in sys.modules and _root(name) not in _clashing):
        __import__(name)
        return sys.modules[name]
    with library_first:
        __import__(name)
        return sys.modules[name]


class _Guard:
    """While a thread is in it, its imports find the library's modules. For calls of functions that
    import only when they run.
    """

    def __enter__(self) -> None:
        if _clashing:
            with _lock:
                if not _guarded:
                    _swap_in()
                me = get_ident()
                _guarded[me] = _guarded.get(me, 0) + 1

    def __exit__(self, *problem: object) -> None:
        me = get_ident()
        if me in _guarded:
            with _lock:
                _guarded[me] -= 1
                if not _guarded[me]:
                    del _guarded[me]
                if not _guarded:
                    _swap_out()


library_first = _Guard()


def add_folder(folder: str, has_libraries: bool = False) -> None:
    """The application's modules are in this folder, which is on sys.path or will be.

    has_libraries: the packages that nodepp uses may be there too, and are no clash.
    """
    folder = os.path.abspath(folder)
    has_libraries = has_libraries or folder == _HOME
    if _folders.get(folder) in (False, has_libraries):
        return
    _folders[folder] = has_libraries
    for name, path in _clashes_in(folder, has_libraries).items():
        _clashing.add(name)
        _files.setdefault(path, False)
    if _clashing and _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


def add_folders_in_front() -> None:
    """The folders before Python's library on the path: the program's, which comes first, those of
    PYTHONPATH, and what the application has put there itself.
    """
    given = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    ours = os.path.dirname(os.__file__)
    # A console script, such as nodepp-run, has its folder there.
    programs = (os.path.join(sys.prefix, "bin"), os.path.dirname(sys.executable or ""))
    for entry in sys.path:
        try:
            folder = os.path.abspath(entry)
        except OSError:                 # the current folder is gone
            continue
        if folder == ours:
            break
        if folder not in programs and os.path.isdir(folder):
            add_folder(folder, has_libraries=entry in given or bool(_folders))


def path_without_application() -> list[str]:
    """sys.path as the server wants it, for its children too."""
    path = list(map(str, sys.path))
    last = [entry for entry in path if _folders.get(os.path.abspath(entry))]
    return [entry for entry in path if os.path.abspath(entry) not in _folders] + last


def untold_clashes() -> list[str]:
    """The application's files that have the name of a library module; each is given once."""
    files = [path for path, is_told in _files.items() if not is_told]
    _files.update(dict.fromkeys(files, True))
    return files


# --- what an application's folder hides ---------------------------------------------------------


def _clashes_in(folder: str, has_libraries: bool) -> dict[str, str]:
    """Name of a library module: the file or package in the folder that is found instead."""
    try:
        entries = os.listdir(folder)
    except OSError:
        return {}
    found = {}
    for entry in entries:
        name, _, extension = entry.partition(".")
        if name in _standard_names() or (name in PACKAGES and not has_libraries):
            path = os.path.join(folder, entry if extension else os.path.join(entry, "__init__.py"))
            is_module = not extension or extension in ("py", "pyc") or extension.endswith("so")
            # What is built into the interpreter is found before any file.
            if is_module and name not in sys.builtin_module_names and os.path.isfile(path):
                found[name] = path
    return found


def _standard_names() -> frozenset[str]:
    """The modules of the standard library, those of other systems too: it tries to import them."""
    global _standard
    if _standard is None:
        _standard = getattr(sys, "stdlib_module_names", None) or _listed_names()
    return _standard


_standard: frozenset[str] | None = None


def _listed_names() -> frozenset[str]:
    """The same for Python 3.9, which has no list of them."""
    place = os.path.dirname(os.__file__)
    names = {"_winapi", "msvcrt", "nt", "winreg"}
    for folder in (place, os.path.join(place, "lib-dynload")):
        if os.path.isdir(folder):
            names.update(entry.partition(".")[0] for entry in os.listdir(folder))
    return frozenset(names - {"site-packages", "test"})


# --- the guard ----------------------------------------------------------------------------------


def _root(name: str) -> str:
    return name.partition(".")[0]


def _present() -> list[str]:
    """The modules in sys.modules whose names clash, and their parts."""
    return [name for name in list(sys.modules) if _root(name) in _clashing]


def _is_theirs(name: str) -> bool:
    """Whether sys.modules has the application's module of a name that clashes, or a part of it."""
    file = getattr(sys.modules.get(_root(name)), "__file__", None)
    if not file:                        # built in, or a folder without an __init__.py
        return False
    folder, base = os.path.split(os.path.abspath(file))
    return (os.path.dirname(folder) if base.startswith("__init__.") else folder) in _folders


def _swap_in() -> None:
    """The application's modules leave the places that the library's may need."""
    for name in _present():
        if _is_theirs(name):
            _theirs[name] = sys.modules[name]
        else:
            _kept.add(_root(name))
    for name in _theirs:
        del sys.modules[name]


def _swap_out() -> None:
    """The places are the application's again."""
    found = [name for name in _present() if _root(name) not in _kept]
    for name, is_theirs in [(name, _is_theirs(name)) for name in found]:
        (_theirs if is_theirs else _ours).setdefault(name, sys.modules.pop(name))
    sys.modules.update(_theirs)
    _theirs.clear()
    _kept.clear()


class _Given:
    """Loads a module that there is already: the library's for a guarded thread, its own for a
    thread of the application that imports while another is guarded.
    """

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self.spec         # the import has put the one of a _Given there


class _Finder:
    """Stands before the other finders once there is a name that clashes."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.startswith("nodepp.") and path is not None:
            return _guarded_spec(name, path)
        if _root(name) not in _clashing:
            return None
        is_guarded = get_ident() in _guarded
        module = (_ours if is_guarded else _theirs).get(name)
        if module is not None:
            loader: Any = _Given(module)
            return ModuleSpec(name, loader)
        if path is not None or not is_guarded:
            return None
        spec = _found(name, path_without_application())
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return spec


def _found(name: str, path: Sequence[str]) -> ModuleSpec | None:
    """As all other finders find it, on this path."""
    for finder in sys.meta_path:
        if finder is not _Finder:
            takes_path = "." in name or finder is PathFinder
            spec = finder.find_spec(name, path if takes_path else None)
            if spec is not None:
                return spec
    return None


def _guarded_spec(name: str, path: Sequence[str]) -> ModuleSpec | None:
    """A module of nodepp, which is executed under the guard."""
    spec = _found(name, path)
    loader: Any = spec and spec.loader
    if loader is not None:
        execute = loader.exec_module

        def execute_guarded(module: ModuleType) -> None:
            with library_first:
                execute(module)

        loader.exec_module = execute_guarded
    return spec
