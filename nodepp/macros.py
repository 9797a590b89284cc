"""What the macros of the Node++ way stand on: values that read the current request, the #defines of
the application, escaping and printf's formats, and how a macro that was not called is found. Leaf
of npp.py.
"""

from __future__ import annotations

from .app import import_core
from .errors import RouteError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable

    from ._core import Request
    from .app import App

current: Callable[[], Request] = import_core().current


class Macro:
    """A value of the current request, read anew at each use. Behaves as the str, bytes, bool or int
    that it reads.

    Calling it gives the plain value. Outside a request each use raises RuntimeError.
    """

    __slots__ = ("_name", "_read")

    def __init__(self, name: str, read: Callable[[], Any]) -> None:
        self._name = name
        self._read = read

    def __call__(self) -> Any:
        return self._read()

    def __bool__(self) -> bool:
        return bool(self._read())

    def __str__(self) -> str:
        return str(self._read())

    def __repr__(self) -> str:
        # Must work in a debugger or a traceback, where there may be no request.
        try:
            return repr(self._read())
        except RuntimeError:
            return f"<{self._name}, outside a request>"

    def __format__(self, spec: str) -> str:
        return format(self._read(), spec)

    def __bytes__(self) -> bytes:
        return bytes(self._read())

    def __int__(self) -> int:
        return int(self._read())

    def __float__(self) -> float:
        return float(self._read())

    def __hash__(self) -> int:
        return hash(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def __iter__(self) -> Any:
        return iter(self._read())

    def __contains__(self, item: Any) -> bool:
        return item in self._read()

    def __getitem__(self, key: Any) -> Any:
        return self._read()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._read()[key] = value

    def __delitem__(self, key: Any) -> None:
        del self._read()[key]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._read(), name)

    def __setattr__(self, name: str, value: Any) -> None:
        # SESSION_DATA.counter = 1
        if name in Macro.__slots__:
            object.__setattr__(self, name, value)
        else:
            setattr(self._read(), name, value)

    def __eq__(self, other: object) -> bool:
        return bool(self._read() == plain(other))

    def __ne__(self, other: object) -> bool:
        return bool(self._read() != plain(other))

    def __lt__(self, other: Any) -> Any:
        return self._read() < plain(other)

    def __le__(self, other: Any) -> Any:
        return self._read() <= plain(other)

    def __gt__(self, other: Any) -> Any:
        return self._read() > plain(other)

    def __ge__(self, other: Any) -> Any:
        return self._read() >= plain(other)

    def __add__(self, other: Any) -> Any:
        return self._read() + plain(other)

    def __radd__(self, other: Any) -> Any:
        return other + self._read()

    def __mul__(self, other: Any) -> Any:
        return self._read() * plain(other)

    def __and__(self, other: Any) -> Any:
        return self._read() & plain(other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return self._read() | plain(other)

    __ror__ = __or__


def plain(value: Any) -> Any:
    """What a macro reads; anything else as it is."""
    return value._read() if isinstance(value, Macro) else value


class State:
    """What the macros share. One Node++ application runs per process, as #defines are global."""

    __slots__ = (
        "app",
        "app_description",
        "app_keywords",
        "app_name",
        "escape",
        "escapes_new_lines",
        "keeps_content",
        "missing_snippets",
        "session",
    )

    def __init__(self) -> None:
        self.app: App | None = None  # whose log the macros write to
        self.app_name = "Node++ Web Application"
        self.app_description = ""
        self.app_keywords = ""
        self.escape: Callable[[str], str] = escape_html  # the policy of QS
        self.escapes_new_lines = False
        self.keeps_content = False  # RES_KEEP_CONTENT was called for the current request
        self.missing_snippets: set[str] = set()  # names that a warning has named
        self.session: Any = None  # the one that a hook is about, while it runs


_HTML = {
    ord(sign): entity
    for sign, entity in (
        ("&", "&amp;"),
        ("<", "&lt;"),
        (">", "&gt;"),
        ('"', "&quot;"),
        ("'", "&apos;"),
        ("\\", "&#92;"),
        ("\r", None),
    )
}
_HTML_WITH_LINES = {**_HTML, ord("\n"): "<br>"}
_SQL = {ord(sign): "\\" + sign for sign in ("'", '"', "\\")}


def escape_html(value: str) -> str:
    """Entities for & < > " ' and backslash; carriage returns go."""
    return value.translate(_HTML_WITH_LINES if state.escapes_new_lines else _HTML)


def escape_sql(value: str) -> str:
    """A backslash before quotes and backslashes."""
    return value.translate(_SQL)


def escape_nothing(value: str) -> str:
    """The value as it was sent."""
    return value


def format_text(text: str, args: tuple[Any, ...]) -> str:
    """printf's formatting by Python's own "%", which skips one length modifier (%ld)."""
    try:
        return text % args
    except ValueError:
        # C has longer ones too: %lld, %zu.
        for modifier in ("ll", "hh", "z", "j", "t"):
            for kind in "diuxX":
                text = text.replace(f"%{modifier}{kind}", f"%{kind}")
        return text % args


state = State()


def app_of_module() -> App:
    """The App of the module that runs."""
    if state.app is None:
        raise RuntimeError("no application of the Node++ way has been loaded")
    return state.app


# Lines that do nothing in Python.

PARSE_ONLY = 0x400  # ast.PyCF_ONLY_AST; importing ast costs 5 ms

# In C these are statements without parentheses. In Python such a line is an expression whose value
# is thrown away.
STATEMENTS = frozenset(
    (
        "CSRFT_OUT_INPUT",
        "CSRFT_REFRESH",
        "OUT_CSRFT",
        "OUT_HTML_FOOTER",
        "OUT_HTML_HEADER",
        "REDIRECT_TO_LANDING",
        "RES_CONTENT_TYPE_HTML",
        "RES_CONTENT_TYPE_JSON",
        "RES_CONTENT_TYPE_TEXT",
        "RES_DONT_CACHE",
        "RES_KEEP_CONTENT",
    )
)


def refuse_bare_macros(module: ModuleType) -> None:
    """Raises RouteError for a line of the module that is only the name of a macro which does
    something.
    """
    file = getattr(module, "__file__", None)
    if not file:
        return
    try:
        with open(file, "rb") as stream:
            source = stream.read()
        tree = compile(source, file, "exec", PARSE_ONLY, dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return  # the module has been imported, so this is another file than its source
    for name, line in _bare_names(tree):
        if name in STATEMENTS:
            place = f"{file.rpartition('/')[2]}:{line}"
            raise RouteError(f"{place}: {name} does something, so in Python it is called: {name}()")


def _bare_names(tree: Any) -> list[tuple[str, int]]:
    """(name, line) of all statements that are only a name."""
    found = []
    pending = [tree]
    while pending:
        node = pending.pop()
        value: Any = getattr(node, "value", None)
        if type(node).__name__ == "Expr" and type(value).__name__ == "Name":
            found.append((value.id, node.lineno))
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            children = getattr(node, field, None)
            if isinstance(children, list):
                pending.extend(children)
    return sorted(found, key=lambda item: item[1])
