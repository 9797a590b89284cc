"""Snippets: pieces of pages in files of their own, read into memory at start and again when they
change.

A snippet's name is its path below the folder, with slashes: "parts/footer.html". It belongs to
the author, like the code: nothing in it is escaped, and the HTML in a Markdown snippet is kept.
Markdown is rendered when it is read, so that a request copies bytes and no more; while the server
runs, another process does that (rendering.py). It takes the extra `markdown` (markdown-it-py).

Not read: hidden files, links that lead out of the folder (statics/tree.py), and what is not UTF-8.
"""

from __future__ import annotations

import os

from .errors import NodeppError, did_you_mean
from .library import library
from .statics.tree import Walk, signature_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from .rendering import Place, Renderer

    Log = Callable[[int, str], None]

ERR, WAR = 1, 2

# A MiB of Markdown takes seconds to render, before the server listens: a page that long is a book,
# and belongs into res/. Larger files are not read, which is logged.
SNIPPET_SIZE_MAX = 1 << 20  # bytes
SNIPPET_COUNT_MAX = 10_000  # of a host (Node++: 1,000); more are not read, which is logged

MARKDOWN = (".md", ".markdown")
NO_MARKDOWN = "Markdown takes markdown-it-py: pip install nodepp[markdown]"

Signature = tuple[int, int, int, int]  # of a file's version: what signature_of() gives


class Snippet:
    """One file: raw is its text, page what a page gets. problem: why there is no page."""

    __slots__ = ("file", "page", "problem", "raw", "signature")

    def __init__(self, file: str, signature: Signature, raw: bytes) -> None:
        self.file = file  # absolute
        self.signature = signature
        self.raw = raw
        self.page = raw
        self.problem = ""

    def is_of(self, file: str, signature: Signature) -> bool:
        """Whether it is this version of this file."""
        return self.signature == signature and self.file == file


class Snippets:
    """The snippets of all hosts. Empty until load()."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}  # as given
        self._found: dict[str, dict[str, Snippet]] = {"": {}}
        self._log: Log = _ignore
        self._renderer: Renderer | None = None
        self._unrendered: dict[Place, Snippet] = {}  # read, and shown when their page is there

    def load(self, folders: dict[str, str], log: Log) -> None:
        """Reads one folder for each host, all that is below it.

        folders: host to folder, "" for the main host; one that is not there gives nothing.
        log: log(level, message); each file that cannot be used is one line.
        """
        self._log = log
        self._folders = {host: folder for host, folder in folders.items() if folder}
        self._found = {"": {}}
        for host, folder in self._folders.items():
            self._found[host] = self._read_folder(host, os.path.realpath(folder), {}, _everything)
        problems = {it.problem for found in self._found.values() for it in found.values()}
        if NO_MARKDOWN in problems:
            log(WAR, f"snippets: {NO_MARKDOWN}")

    def begin(self, engine: Any) -> None:
        """From now on, Markdown that has changed is rendered by a process; until its page is there
        the old one is. engine: a nodepp._core.Engine that is open.
        """
        from .rendering import Renderer

        self._renderer = Renderer(engine, self._log, self._rendered)

    def end(self) -> None:
        """Ends that process. The snippets stay."""
        if self._renderer is not None:
            self._renderer.end()
        self._renderer = None
        self._unrendered.clear()

    def get(self, name: str, host: str = "") -> bytes:
        """A snippet as it goes into a page, UTF-8; Markdown is HTML already.

        host: an authority as clients send it ("www.example.com:8080"); its own snippets come
        first, then those of the main host. LookupError, with what may have been meant, for an
        unknown name; NodeppError for Markdown without the extra.
        """
        snippet = self._snippet(name, host)
        if snippet.problem:
            raise NodeppError(f"snippet {name!r}: {snippet.problem}")
        return snippet.page

    def raw(self, name: str, host: str = "") -> bytes:
        """A snippet as it stands in its file (without a byte order mark). LookupError as get()."""
        return self._snippet(name, host).raw

    def names(self, host: str = "") -> list[str]:
        """The names of a host's own snippets, in alphabetical order."""
        return sorted(self._found.get(host, ()))

    @property
    def folders(self) -> list[str]:
        """The real paths of the folders, to be watched."""
        return sorted({os.path.realpath(folder) for folder in self._folders.values()})

    def refresh(
        self, files: set[str] | None = None, is_settled: Callable[[str], bool] | None = None
    ) -> bool:
        """Reads again what has changed; whether anything had.

        files: absolute names of files that changed, came or went, or of folders, which stand for
        all below them. None: everything is looked at.
        is_settled: asked after a read whether the file was left alone meanwhile; if not, the old
        version stays, and the next call brings the new one.
        """
        changed = False
        for host, given in self._folders.items():
            folder = os.path.realpath(given)  # a deploy may have switched a link on the way
            if files is not None and not any(_is_related(file, folder) for file in files):
                continue
            before = self._found[host]
            after = self._read_folder(host, folder, before, _filter(files), is_settled)
            if after != before:
                self._found[host] = after
                changed = True
        return changed

    def _snippet(self, name: str, host: str) -> Snippet:
        places = [self._found[""]]
        if len(self._found) > 1:
            own = self._host_of(host)
            if own:
                places.insert(0, self._found[own])
        for found in places:
            snippet = found.get(name) or found.get(name.lstrip("/"))
            if snippet is not None:
                return snippet
        raise LookupError(self._miss(name, places))

    def _host_of(self, authority: str) -> str:
        """The host that an authority means, "" for the main one: itself, or it without its first
        label ("www.").
        """
        host = authority.lower()
        if not host.endswith("]"):
            host = host.rpartition(":")[0] or host
        host = host[:-1] if host.endswith(".") else host  # the root of all names
        if host not in self._found:
            host = host.partition(".")[2]
        return host if host in self._found else ""

    def _miss(self, name: str, places: list[dict[str, Snippet]]) -> str:
        known = {other for found in places for other in found}
        if not known:
            return f"There is no snippet {name!r}: there are none at all."
        return f"There is no snippet {name!r}.{did_you_mean(name, known)}"

    # Reading.

    def _read_folder(
        self,
        host: str,
        folder: str,
        before: dict[str, Snippet],
        may_change: Callable[[str], bool],
        is_settled: Callable[[str], bool] | None = None,
    ) -> dict[str, Snippet]:
        """Name to snippet. What did not change, or waits for its page, is taken from before."""
        found: dict[str, Snippet] = {}
        unrendered: dict[Place, Snippet] = {}
        for name, file, signature, has_links in self._walk(folder):
            if len(found) >= SNIPPET_COUNT_MAX:
                self._log(WAR, f"snippets: more than {SNIPPET_COUNT_MAX}: not read from {file} on")
                break
            known = before.get(name)
            waiting = self._unrendered.get((host, name))
            if waiting is not None and (known is None or known.signature != signature):
                unrendered[host, name] = waiting
            if not any(it is not None and it.is_of(file, signature) for it in (known, waiting)):
                # A file that nobody has named may be half written: its turn comes. Behind a link
                # the name is another. One that cannot be read any more leaves its last version.
                read = self._read(name, file) if has_links or may_change(file) else None
                if read is not None and (is_settled is None or is_settled(file)):
                    if self._renderer is not None and is_markdown(name):
                        unrendered[host, name] = read
                        self._renderer.add((host, name), read.raw)
                    else:
                        known = self._with_page(name, read)
            if known is not None:
                found[name] = known
        # What has gone meanwhile is not waited for.
        self._unrendered = {place: it for place, it in self._unrendered.items() if place[0] != host}
        self._unrendered.update(unrendered)
        return found

    def _walk(self, root: str) -> Iterator[tuple[str, str, Signature, bool]]:
        """(name, file, signature, whether links were met) of every file that may be a snippet."""
        if not os.path.isdir(root):
            return

        def log(level: int, message: str) -> None:
            self._log(level, message.replace("static: ", "snippets: ", 1))

        walk = Walk(root, log)
        for path, file in walk.files():
            if "/." in path:
                continue  # .well-known is for clients
            try:
                yield path[1:], file, signature_of(os.stat(file)), walk.has_links
            except OSError:
                pass  # it went between the two looks; its turn comes

    def _read(self, name: str, file: str) -> Snippet | None:
        """One file, None and a line in the log if it cannot be used. None without a line when it
        changed while it was read: whoever writes it is not done.
        """
        try:
            with open(file, "rb") as stream:
                before = signature_of(os.fstat(stream.fileno()))
                data = stream.read(SNIPPET_SIZE_MAX + 1)
                after = signature_of(os.fstat(stream.fileno()))
        except OSError as exc:
            self._log(ERR, f"snippets: cannot read {file}: {exc.strerror}")
            return None
        if before != after:
            return None
        if len(data) > SNIPPET_SIZE_MAX:
            limit = SNIPPET_SIZE_MAX >> 20
            self._log(WAR, f"snippets: {file} is larger than {limit} MiB: not read")
            return None
        try:
            text = data.decode("utf-8-sig")
        except ValueError:
            self._log(WAR, f"snippets: {file!r} is not UTF-8: not read")
            return None
        return Snippet(file, after, text.encode())

    def _with_page(self, name: str, snippet: Snippet) -> Snippet:
        if is_markdown(name):
            self._take_page(snippet, *rendered(snippet.raw.decode()))
        return snippet

    def _take_page(self, snippet: Snippet, page: bytes, problem: str) -> None:
        snippet.page, snippet.problem = page, problem
        if problem and problem != NO_MARKDOWN:  # of that, load() says one line for all
            self._log(ERR, f"snippets: {snippet.file} {problem}")

    def _rendered(self, place: Place, page: bytes, problem: str) -> None:
        """The process is done with the text that was read last."""
        snippet = self._unrendered.pop(place, None)
        if snippet is not None:
            host, name = place
            self._take_page(snippet, page, problem)
            self._found[host] = {**self._found[host], name: snippet}


def _ignore(level: int, message: str) -> None:
    pass


def _everything(file: str) -> bool:
    return True


def _is_related(file: str, folder: str) -> bool:
    """Whether one of two is the other, or lies below it."""
    return (
        file == folder
        or file.startswith(folder.rstrip("/") + "/")
        or folder.startswith(file.rstrip("/") + "/")
    )


def _filter(files: set[str] | None) -> Callable[[str], bool]:
    """Whether a file is one of files, or lies below one of them."""
    if files is None:
        return _everything
    folders = tuple(file.rstrip("/") + "/" for file in files)

    def is_named(file: str) -> bool:
        return file in files or file.startswith(folders)

    return is_named


# Markdown.

_markdown: Any = None


def is_markdown(name: str) -> bool:
    """Whether a snippet of that name is rendered."""
    return name.lower().endswith(MARKDOWN)


def rendered(text: str) -> tuple[bytes, str]:
    """(page in UTF-8, why there is none or ""). Never raises."""
    try:
        return render_markdown(text).encode(), ""
    except NodeppError as exc:
        return b"", str(exc)
    except Exception as exc:  # whatever a third party's code raises, the site still starts
        return b"", f"cannot be rendered: {type(exc).__name__}: {exc}"


def render_markdown(text: str) -> str:
    """Markdown as HTML: CommonMark, with tables and ~~strikethrough~~.

    HTML within it is kept, for the author is trusted: never give it what a visitor wrote. Raises
    NodeppError without the extra `markdown`.
    """
    global _markdown
    if _markdown is None:
        try:
            markdown_it = library("markdown_it")
        except ImportError:
            raise NodeppError(NO_MARKDOWN) from None
        _markdown = markdown_it.MarkdownIt("commonmark").enable(["table", "strikethrough"])
    return str(_markdown.render(text))
