"""The Node++ way: how a module becomes an App. Its hooks become events, its #defines settings.

Uses macros.py. The names that modules use are npp.py's.
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
from .values import page_path
from .visitors import level_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable


def app_from_module(module: ModuleType) -> App:
    """The App of a module written in the Node++ way.

    Takes npp_app_main, the six other hooks (npp_app_init, npp_app_done, npp_app_session_init,
    npp_app_session_done, npp_app_user_login, npp_app_user_logout), and of the optional ones
    npp_app_every_spare_second, npp_app_every_minute and npp_app_custom_message_page(code); and the
    class app_session_data_t. Raises RouteError without npp_app_main, and for lines that name a
    macro which must be called, TypeError for a field that no session can keep.
    """
    main = getattr(module, "npp_app_main", None)
    if not callable(main):
        raise RouteError(f"{module.__name__} has no function npp_app_main")
    refuse_bare_macros(module)
    app = App()
    _read_defines(app, module)
    data = getattr(module, "app_session_data_t", None)
    if data is not None:
        app.session_data(data)
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
    """subject: the request of a session that begins, or the session that has ended. SESSION and
    SESSION_DATA read that session; the other macros read the current request, if there is one.
    """
    request_class = import_core().Request

    def call(subject: Any) -> Any:
        before = state.session  # a hook may log in or out, and another hook runs meanwhile
        state.session = subject.session if isinstance(subject, request_class) else subject
        try:
            return hook()
        finally:
            state.session = before

    return call


def _read_defines(app: App, module: ModuleType) -> None:
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
    app.default_level = level_of(
        getattr(module, "NPP_REQUIRED_AUTH_LEVEL", 0), "NPP_REQUIRED_AUTH_LEVEL")
    # In Node++ "" is the landing page.
    app.default_login_path = page_path(str(getattr(module, "NPP_LOGIN_URI", "/login")))
