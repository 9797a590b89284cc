"""The Node++ way: what comes from files. Snippets, Markdown, statics that the application makes,
further hosts, the minifier.

Uses macros.py. Applications import all names from npp.py, which says what differs from C.
"""

from __future__ import annotations

from . import log
from .library import library
from .macros import app_of_module, current, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    from .snippets import Snippets

# Warnings that a snippet is not there, one for each name. The name may come from a visitor, who
# shall not fill memory or log: past this there are no more warnings.
MISSING_COUNT_MAX = 1000


def OUT_SNIPPET(name: str) -> None:
    """Appends a snippet as it stands in its file. Without it nothing is written, and a warning is
    logged.
    """
    request = current()
    text = _snippet(name, _snippets().raw)
    if text:
        request.out_raw(text)


def OUT_SNIPPET_MD(name: str) -> None:
    """Appends a Markdown snippet as HTML; whatever it is called, it is Markdown. Without it nothing
    is written, and a warning is logged. NodeppError without the extra `markdown`.
    """
    from .snippets import MARKDOWN, render_markdown

    request = current()
    if name.lower().endswith(MARKDOWN):
        text = _snippet(name, _snippets().get)  # rendered when it was read
    else:
        text = render_markdown(_snippet(name, _snippets().raw).decode()).encode()
    if text:
        request.out_raw(text)


def npp_get_snippet(name: str) -> str:
    """A snippet as it stands in its file; "" without it, and a warning is logged."""
    return _snippet(name, _snippets().raw).decode()


def npp_get_snippet_len(name: str) -> int:
    """The bytes of a snippet; 0 without it, and a warning is logged."""
    return len(_snippet(name, _snippets().raw))


def _snippet(name: str, read: Callable[[str, str], bytes]) -> bytes:
    """A snippet of the host that is asked, b"" without it."""
    try:
        return read(name, _host())
    except LookupError as exc:
        if name not in state.missing_snippets and len(state.missing_snippets) < MISSING_COUNT_MAX:
            state.missing_snippets.add(name)
            app_of_module().host.log(log.WAR, str(exc))
        return b""


def npp_render_md(text: str) -> str:
    """Markdown as HTML: CommonMark with tables and strikethrough, which is more than Node++ knew,
    but _underline_ is emphasis here. HTML within it is kept, as in Node++: text of a visitor is to
    be escaped before, which QS has done. NodeppError without the extra `markdown`.
    """
    from .snippets import render_markdown

    return render_markdown(text)


def npp_minify(text: str, kind: str) -> str:
    """A style sheet or script without comments and needless blanks. kind: "css" or "js"; Node++
    treated both alike, and broke some. ValueError for another kind.
    """
    if kind == "css":
        return str(library("rcssmin").cssmin(text))
    if kind == "js":
        return str(library("rjsmin").jsmin(text))
    raise ValueError(f'npp_minify takes "css" or "js", not {kind!r}')


def npp_add_to_static_res(host: str, name: str, text: str | bytes) -> bool:
    """Serves text as a static resource: host "" is the main one, name a path such as "sitemap.xml",
    whose extension gives the type. Later calls replace it.
    """
    app_of_module().add_static(name, text, host=host)
    return True


def npp_add_host(
    host: str,
    res: str = "",
    resmin: str = "",
    snippets: str = "",
    required_auth_level: int | None = None,
) -> bool:
    """Serves another host from folders of its own, for npp_app_init. Relative folders begin where
    the application lies; "" is none. required_auth_level: one of AUTH_LEVEL_; None, what the main
    host asks for.
    """
    app_of_module().add_host(host, res, resmin, snippets, required_auth_level)
    return True


def asset(name: str, host: str = "") -> str:
    """The URL of a static resource with the fingerprint of its content: asset("app.css") gives
    "/app.3f2a9c1b2d.css". host: the one that is asked, if it is not given.
    """
    return app_of_module().asset(name, host or _host())


def _snippets() -> Snippets:
    statics = app_of_module().statics
    if statics is None:
        raise RuntimeError("the application is not being served: there are no snippets yet")
    return statics.snippets


def _host() -> str:
    """The host that is asked; the main one outside a request (npp_app_init)."""
    try:
        return current().host
    except RuntimeError:
        return ""
