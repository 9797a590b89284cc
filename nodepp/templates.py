"""Templates: Jinja2 (extra `templates`) over the folder of the setting `templates`.

    return req.render("page.html", name=name)

What a template shows is escaped where the template is markup (.html .htm .xhtml .xml .svg, or only
.jinja2): what has __html__, such as nodepp.raw(…) and Jinja2's own Markup, is not. Nothing here is
imported before the first render().
"""

from __future__ import annotations

import os
from weakref import WeakKeyDictionary, ref

from .app import import_core
from .errors import NodeppError, did_you_mean
from .library import library, library_first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._core import Request
    from .app import App

FOLDER = "templates"  # the setting's default; an application in a script has no other
NO_JINJA2 = "Templates take Jinja2: pip install nodepp[templates]"

WRAPPERS = (".jinja2", ".jinja", ".j2")  # may follow the extension of what the template gives
MARKUP = (".html", ".htm", ".xhtml", ".xml", ".svg")

# Of each application: its environment, and what that was made from.
_environments: WeakKeyDictionary[App, tuple[tuple[str, bool], Any]] = WeakKeyDictionary()


def render(app: App, req: Request, name: str, context: dict[str, Any]) -> str:
    """The text that a template gives.

    name: its path below the folder. context: its variables, beside req, config (app.config) and
    asset(name). Sets the Content-Type of the answer by the extension, unless that is HTML, which
    strings are anyway: a handler that wants another one sets it after this.
    NodeppError without the extra; LookupError, with what may have been meant, for a template that
    is not there; what the template does wrong is raised as Jinja2 raises it.
    """
    environment = environment_of(app)
    try:
        template = environment.get_template(name)
        text: str = template.render({"req": req, **context})
    except environment.template_not_found as exc:
        raise LookupError(_miss(environment, exc)) from None
    content_type = content_type_of(name)
    if content_type:
        req.content_type = content_type
    return text


def environment_of(app: App) -> Any:
    """The jinja2.Environment of an application, to which filters and globals may be added. Raises
    NodeppError without the extra.
    """
    folder, is_test = settings_of(app)
    made_from, environment = _environments.get(app, (None, None))
    if made_from != (folder, is_test):
        environment = _make(app, folder, is_test)
        _environments[app] = ((folder, is_test), environment)
    return environment


def settings_of(app: App) -> tuple[str, bool]:
    """(absolute folder, whether changed templates are noticed) of an application."""
    if app.statics is None:
        return os.path.abspath(FOLDER), False  # nobody serves it
    config = app.statics.config
    return os.path.join(config.app_dir, config.templates), bool(config.test)


def _make(app: App, folder: str, is_test: bool) -> Any:
    try:
        jinja2 = library("jinja2")
    except ImportError:
        raise NodeppError(NO_JINJA2) from None

    whose = ref(app)  # not the application itself, which its environment would keep alive for ever

    def asset(name: str, host: str = "") -> str:
        app = whose()
        assert app is not None
        return app.asset(name, host or current_host())

    loader = jinja2.FileSystemLoader(folder)
    load = loader.load

    def load_guarded(*words: Any) -> Any:
        with library_first:     # what a template is compiled to begins with imports of jinja2
            return load(*words)

    loader.load = load_guarded
    environment: Any = jinja2.Environment(
        loader=loader,
        autoescape=is_markup,
        # A look at the file at each request costs a stat; whoever writes templates wants it.
        auto_reload=is_test,
    )
    environment.globals.update(asset=asset, config=app.config)
    environment.template_not_found = jinja2.TemplateNotFound
    environment.folder = folder
    return environment


def current_host() -> str:
    """The host that is asked, "" outside a request. Not from the context: macros of another
    template have none.
    """
    try:
        host: str = import_core().current().host
    except RuntimeError:
        return ""
    return host


def is_markup(name: str | None) -> bool:
    """Whether what a template of that name shows is escaped; yes for a template from a string."""
    if name is None:
        return True
    inner = _without_wrapper(name)
    return inner.endswith(MARKUP) or (inner != name.lower() and "." not in inner.rpartition("/")[2])


def content_type_of(name: str) -> str:
    """The Content-Type by a template's name, "" for HTML and for what is not known."""
    from .statics import media_type

    content_type = media_type(_without_wrapper(name))
    if content_type.startswith(("text/html", "application/octet-stream")):
        return ""
    return content_type


def _without_wrapper(name: str) -> str:
    """mail.txt.jinja2 → mail.txt"""
    name = name.lower()
    stem, dot, extension = name.rpartition(".")
    return stem if dot + extension in WRAPPERS else name


def _miss(environment: Any, exc: Any) -> str:
    folder = environment.folder
    if not os.path.isdir(folder):
        return f"There is no template {exc.name!r}: there is no folder {folder}."
    hint = did_you_mean(str(exc.name), environment.list_templates())
    return f"There is no template {exc.name!r} in {folder}.{hint}"
