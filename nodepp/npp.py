"""The Node++ way: a module with npp_app_main needs no App.

    from nodepp.npp import *

    def npp_app_main():
        if REQ(""):
            OUT("<h1>Hello</h1>")
        elif REQ("welcome"):
            name = QS("name")
            if name: OUT("<p>Welcome %s</p>", name)
        else:
            RES_STATUS(404)

Names and meaning are those of Node++, so that an application can be carried over line by line. What
differs, and why:

- C's macros without arguments are of two sorts. Those that *are* a value (REQ_METHOD, REQ_GET,
  REQ_ID …) are objects that read the current request whenever they are used: `if REQ_POST:`,
  `REQ_METHOD == "PUT"`, `"id=" + REQ_ID`, `int(REQ_ID)`. Where Python insists on a genuine str or
  bool (`",".join`, `re.match`, a key kept for later), call it: REQ_ID(), REQ_POST(). Those that
  *do* something are functions and must be called: RES_DONT_CACHE(), OUT_HTML_HEADER(). A line with
  the bare name would do nothing at all: app_from_module() looks for such lines and refuses them.
- What C writes into an argument is returned: `name = QS("name")`, "" without such a parameter, as
  the QSVAL would be; a presence test, QS("name", NULL) in C, is `QS("name", None) is not None`. QSI
  and the other numbers give 0.
- #define in npp_app.h is a name of the module: NPP_APP_NAME, NPP_APP_DESCRIPTION,
  NPP_APP_KEYWORDS, QS_DEF_SQL_ESCAPE = True, QS_DEF_DONT_ESCAPE = True,
  HTML_ESCAPE_NEW_LINES = True.
- Parameters come from the body of POST, PUT, PATCH and DELETE, and then from the query, which
  Node++ did not look at.
- Paths are percent-decoded. RES_LOCATION keeps a status of 301, 302, 307 or 308 that was set.
  Cookies get Path=/, HttpOnly and SameSite=Lax.

- npp_minify is told what it minifies, and npp_render_md renders CommonMark: both give the text.
- Not of Node++: asset("app.css"), the URL of a file that changes with its content.

Not here yet, as they belong to later modules: sessions and users, messages and strings, services,
CALL_HTTP, JSON_*. One such application runs per process, as in Node++.
"""

from __future__ import annotations

import sys

from .app import App, import_core
from .errors import HTTPError, RouteError
from .macros import (
    current,
    escape_html,
    escape_nothing,
    escape_sql,
    refuse_bare_macros,
    state,
)
from .npp_files import (
    AUTH_LEVEL_NONE,
    OUT_SNIPPET,
    OUT_SNIPPET_MD,
    asset,
    npp_add_host,
    npp_add_to_static_res,
    npp_get_snippet,
    npp_get_snippet_len,
    npp_minify,
    npp_render_md,
)
from .npp_request import (
    HOST,
    NPP_PROTOCOL,
    QS,
    QS1K,
    QS2K,
    QS4K,
    QS8K,
    QS16K,
    QS32K,
    QS64K,
    QS_DONT_ESCAPE,
    QS_FILE,
    QS_HTML_ESCAPE,
    QS_SQL_ESCAPE,
    QS_TEXT,
    QS_TEXT_DONT_ESCAPE,
    QS_TEXT_HTML_ESCAPE,
    QS_TEXT_SQL_ESCAPE,
    QSB,
    QSD,
    QSF,
    QSI,
    QSL,
    QSU,
    REQ,
    REQ0,
    REQ1,
    REQ2,
    REQ3,
    REQ4,
    REQ5,
    REQ_BOT,
    REQ_CONTENT_TYPE,
    REQ_COOKIE,
    REQ_DATA,
    REQ_DELETE,
    REQ_DSK,
    REQ_GET,
    REQ_GET_HEADER,
    REQ_HEAD,
    REQ_ID,
    REQ_LANG,
    REQ_METHOD,
    REQ_MOB,
    REQ_OPTIONS,
    REQ_PATCH,
    REQ_POST,
    REQ_PUT,
    REQ_TAB,
    REQ_URI,
    REQUEST,
    URI,
)
from .npp_response import (
    ALWAYS,
    APPEND_CSS,
    APPEND_SCRIPT,
    DBG,
    DDBG,
    ERR,
    INF,
    OUT,
    OUT_BIN,
    OUT_HTML_FOOTER,
    OUT_HTML_HEADER,
    OUTSS,
    REDIRECT_TO_LANDING,
    RES_CONTENT_DISPOSITION,
    RES_CONTENT_TYPE,
    RES_CONTENT_TYPE_FROM_FILE_EXTENSION,
    RES_CONTENT_TYPE_HTML,
    RES_CONTENT_TYPE_JSON,
    RES_CONTENT_TYPE_TEXT,
    RES_COOKIE,
    RES_DONT_CACHE,
    RES_HEADER,
    RES_KEEP_CONTENT,
    RES_LOCATION,
    RES_REDIRECT,
    RES_STATUS,
    WAR,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable

__all__ = [
    "ALWAYS",
    "APPEND_CSS",
    "APPEND_SCRIPT",
    "AUTH_LEVEL_NONE",
    "DBG",
    "DDBG",
    "ERR",
    "FALSE",
    "HOST",
    "INF",
    "NPP_PROTOCOL",
    "OUT",
    "OUTSS",
    "OUT_BIN",
    "OUT_HTML_FOOTER",
    "OUT_HTML_HEADER",
    "OUT_SNIPPET",
    "OUT_SNIPPET_MD",
    "QS",
    "QS1K",
    "QS2K",
    "QS4K",
    "QS8K",
    "QS16K",
    "QS32K",
    "QS64K",
    "QSB",
    "QSD",
    "QSF",
    "QSI",
    "QSL",
    "QSU",
    "QS_DONT_ESCAPE",
    "QS_FILE",
    "QS_HTML_ESCAPE",
    "QS_SQL_ESCAPE",
    "QS_TEXT",
    "QS_TEXT_DONT_ESCAPE",
    "QS_TEXT_HTML_ESCAPE",
    "QS_TEXT_SQL_ESCAPE",
    "REDIRECT_TO_LANDING",
    "REQ",
    "REQ0",
    "REQ1",
    "REQ2",
    "REQ3",
    "REQ4",
    "REQ5",
    "REQUEST",
    "REQ_BOT",
    "REQ_CONTENT_TYPE",
    "REQ_COOKIE",
    "REQ_DATA",
    "REQ_DELETE",
    "REQ_DSK",
    "REQ_GET",
    "REQ_GET_HEADER",
    "REQ_HEAD",
    "REQ_ID",
    "REQ_LANG",
    "REQ_METHOD",
    "REQ_MOB",
    "REQ_OPTIONS",
    "REQ_PATCH",
    "REQ_POST",
    "REQ_PUT",
    "REQ_TAB",
    "REQ_URI",
    "RES_CONTENT_DISPOSITION",
    "RES_CONTENT_TYPE",
    "RES_CONTENT_TYPE_FROM_FILE_EXTENSION",
    "RES_CONTENT_TYPE_HTML",
    "RES_CONTENT_TYPE_JSON",
    "RES_CONTENT_TYPE_TEXT",
    "RES_COOKIE",
    "RES_DONT_CACHE",
    "RES_HEADER",
    "RES_KEEP_CONTENT",
    "RES_LOCATION",
    "RES_REDIRECT",
    "RES_STATUS",
    "TRUE",
    "URI",
    "WAR",
    "asset",
    "npp_add_host",
    "npp_add_to_static_res",
    "npp_get_snippet",
    "npp_get_snippet_len",
    "npp_minify",
    "npp_render_md",
]

TRUE = True
FALSE = False


def app_from_module(module: ModuleType) -> App:
    """The App of a module written in the Node++ way.

    Takes npp_app_main, the six other hooks (npp_app_init, npp_app_done, npp_app_session_init,
    npp_app_session_done, npp_app_user_login, npp_app_user_logout), and of the optional ones
    npp_app_every_spare_second, npp_app_every_minute and npp_app_custom_message_page(code). Raises
    RouteError without npp_app_main, and for lines that name a macro which must be called.
    """
    main = getattr(module, "npp_app_main", None)
    if not callable(main):
        raise RouteError(f"{module.__name__} has no function npp_app_main")
    refuse_bare_macros(module)
    app = App()
    _read_defines(module)
    app.set_fallback(_main_handler(app, main), flags=import_core().FLAG_NO_REQUEST)
    _register_hooks(app, module)
    state.app = app
    state.missing_snippets.clear()
    return app


def _main_handler(app: App, main: Callable[[], Any]) -> Callable[[], Any]:
    def npp_app_main() -> Any:
        state.keeps_content = False
        result = main()
        if result is not None:
            return result
        request = current()
        if request.status >= 400 and not state.keeps_content:
            raise HTTPError(request.status)  # drops what was written, and asks for the page
        return None

    return npp_app_main


def _register_hooks(app: App, module: ModuleType) -> None:
    init = getattr(module, "npp_app_init", None)
    if init is not None:
        app.on_start(_init_handler(init))
    done = getattr(module, "npp_app_done", None)
    if done is not None:
        app.on_stop(done)
    for name, register in (
        ("npp_app_session_init", app.on_session_start),
        ("npp_app_session_done", app.on_session_stop),
        ("npp_app_user_login", app.on_login),
        ("npp_app_user_logout", app.on_logout),
    ):
        hook = getattr(module, name, None)
        if hook is not None:
            register(_without_argument(hook))
    for name, seconds in (("npp_app_every_spare_second", 1), ("npp_app_every_minute", 60)):
        hook = getattr(module, name, None)
        if hook is not None:
            app.every(seconds)(hook)
    page = getattr(module, "npp_app_custom_message_page", None)
    if page is not None:
        app.error(*range(400, 600))(lambda req: page(req.status))


def _init_handler(init: Callable[..., Any]) -> Callable[[], bool]:
    def npp_app_init() -> bool:
        # C passes argc and argv, and so do we to a function that wants them.
        takes_arguments = getattr(getattr(init, "__code__", None), "co_argcount", 0) == 2
        result = init(len(sys.argv), sys.argv) if takes_arguments else init()
        return result is None or bool(result)  # in Python a forgotten return is no refusal

    return npp_app_init


def _without_argument(hook: Callable[[], Any]) -> Callable[[Any], Any]:
    def call(subject: Any) -> Any:
        return hook()

    return call


def _read_defines(module: ModuleType) -> None:
    """Takes over the #defines of npp_app.h, here names of the module."""
    state.app_name = str(getattr(module, "NPP_APP_NAME", "Node++ Web Application"))
    state.app_description = str(getattr(module, "NPP_APP_DESCRIPTION", ""))
    state.app_keywords = str(getattr(module, "NPP_APP_KEYWORDS", ""))
    state.escapes_new_lines = bool(getattr(module, "HTML_ESCAPE_NEW_LINES", False))
    if getattr(module, "QS_DEF_SQL_ESCAPE", False):
        state.escape = escape_sql
    elif getattr(module, "QS_DEF_DONT_ESCAPE", False):
        state.escape = escape_nothing
    else:
        state.escape = escape_html
