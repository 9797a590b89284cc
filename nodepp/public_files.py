"""App's methods for public files: folders, single files, generated ones, hosts, and their names.

What is declared here is checked at once (statics/declared.py) and read when the server starts
(statics/collection.py).
"""

from __future__ import annotations

from .errors import RouteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Union

    from .statics import Statics
    from .statics.declared import Declared

    FileName = Union[str, os.PathLike[str]]


class PublicFiles:
    """The part of an App that says which files are public."""

    def __init__(self) -> None:
        self.statics: Statics | None = None  # the files, from the start of the server on
        self._declared: Declared | None = None

    @property
    def declared(self) -> Declared:
        """What was said with the methods below."""
        if self._declared is None:
            from .statics.declared import Declared

            self._declared = Declared()
        return self._declared

    def serve(
        self, directory: FileName, prefix: str = "", flags: int = 1, host: str = ""
    ) -> None:
        """Serves the files of a folder, and of all folders in it, below a prefix of the path.

        directory: absolute, or relative to the application's folder. prefix: "static" or "/static";
        "" for the root. flags: FileFlags; INDEX (1), index.html stands for its folder; MINIFY, CSS
        and JavaScript are minified. host: one of app.add_host(). May be called while the server
        runs, on its thread (handlers, events, timers). Raises RouteError for arguments that cannot
        work.
        """
        folder = self.declared.serve(directory, prefix, flags, host)
        if self.statics is not None:
            self.statics.add_folder(folder)

    def serve_file(self, file: FileName, path: str = "", host: str = "") -> None:
        """Serves a single file.

        path: where; "" for its own name at the root, and one that ends with a slash for its own
        name there. For the rest see serve().
        """
        folder = self.declared.serve_file(file, path, host)
        if self.statics is not None:
            self.statics.add_folder(folder)

    def unserve(self, prefix_or_path: str) -> None:
        """Takes away what serve(), serve_file() or add_static() serves there, on all hosts. Raises
        RouteError when nothing is.
        """
        gone = self.declared.unserve(prefix_or_path)
        if self.statics is not None:
            self.statics.remove(gone)

    def add_static(
        self, path: str, body: bytes | str, content_type: str = "", host: str = ""
    ) -> None:
        """Serves bytes that the application made as if they were a file: compressed, with an ETag
        and Range. They win over a file of the same path.

        body: a str is encoded as UTF-8. content_type: "" takes it from the path's extension. May be
        called while the server runs, on its thread, and again for the same path. Raises RouteError
        for arguments that cannot work.
        """
        made = self.declared.add_static(path, body, content_type, host)
        if self.statics is not None:
            self.statics.add_generated(made)

    def add_host(self, host: str, res: str = "", resmin: str = "", snippets: str = "") -> None:
        """A host with files of its own, told by the Host field: "example.com", which is
        "www.example.com" too.

        res, resmin, snippets: its folders, absolute or relative to the application's; "" for none.
        Nothing of the main host's files is served for it. Before the start only; raises RouteError
        for what is no name, or is there already.
        """
        if self.statics is not None and self.statics.is_loaded:
            raise RouteError(f"app.add_host({host!r}): the files are read already, add it before")
        self.declared.add_host(host, res, resmin, snippets)

    def asset(self, name: str, host: str = "") -> str:
        """The URL path of a public file, with a fingerprint in it that changes with the content:
        asset("css/app.css") gives "/css/app.3f2a9c1b2d.css", which browsers keep for ever.

        A query or fragment stays. host: the Host field of the request, for one of app.add_host().
        What is not known gives its plain path, and one line in the log.
        """
        if self.statics is None:
            from .statics import Options, Statics

            return Statics(self, Options()).asset(name, host)  # type: ignore[arg-type]
        return self.statics.asset(name, host)
