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
  REQ_ID …) are objects here
  that read the current request whenever they are used: `if REQ_POST:`, `REQ_METHOD == "PUT"`,
  `"id=" + REQ_ID`, `int(REQ_ID)`. Where Python insists on a genuine str or bool (`",".join`,
  `re.match`, a key kept for later), call it: REQ_ID(), REQ_POST(). Those that *do* something are
  functions and must be called: RES_DONT_CACHE(), OUT_HTML_HEADER(). A line with the bare name would
  do nothing at all, so app_from_module() looks for such lines and refuses them.
- What C writes into an argument is returned: `name = QS("name")`, "" without such a parameter, as
  the QSVAL would be; a presence test, QS("name", NULL) in C, is `QS("name", None) is not None`. QSI
  and the other numbers give 0.
- #define in npp_app.h is a name of the module: NPP_APP_NAME, NPP_APP_DESCRIPTION,
  NPP_APP_KEYWORDS, QS_DEF_SQL_ESCAPE = True, QS_DEF_DONT_ESCAPE = True, HTML_ESCAPE_NEW_LINES =
  True.
- Parameters come from the body of POST, PUT, PATCH and DELETE, and then from the query, which
  Node++ did not look at.
- Paths are percent-decoded. RES_LOCATION keeps a status of 301, 302, 307 or 308 that was set.
  Cookies get Path=/, HttpOnly and SameSite=Lax.

Not here yet, as they belong to later modules: sessions and users, messages and strings, snippets,
services, CALL_HTTP, JSON_*. One such application runs per process, as in Node++: its #defines are
kept in this module.
"""

from __future__ import annotations

import sys

from .app import ALWAYS as _ALWAYS
from .app import DBG as _DBG
from .app import ERR as _ERR
from .app import INF as _INF
from .app import WAR as _WAR
from .app import App, import_core
from .errors import HTTPError, RouteError
from .log import log as _log
from .statics import media_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable

    from ._core import Request, UploadFile

__all__ = [
    "ALWAYS",
    "APPEND_CSS",
    "APPEND_SCRIPT",
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
]

TRUE = True
FALSE = False

_current: Callable[[], Request] = import_core().current
_app: App | None = None  # the application whose log the macros write to

# #defines of the application, see _read_defines.
_app_name = "Node++ Web Application"
_app_description = ""
_app_keywords = ""


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

    def __getattr__(self, name: str) -> Any:
        return getattr(self._read(), name)

    def __eq__(self, other: object) -> bool:
        return bool(self._read() == _plain(other))

    def __ne__(self, other: object) -> bool:
        return bool(self._read() != _plain(other))

    def __lt__(self, other: Any) -> Any:
        return self._read() < _plain(other)

    def __le__(self, other: Any) -> Any:
        return self._read() <= _plain(other)

    def __gt__(self, other: Any) -> Any:
        return self._read() > _plain(other)

    def __ge__(self, other: Any) -> Any:
        return self._read() >= _plain(other)

    def __add__(self, other: Any) -> Any:
        return self._read() + _plain(other)

    def __radd__(self, other: Any) -> Any:
        return other + self._read()

    def __mul__(self, other: Any) -> Any:
        return self._read() * _plain(other)

    def __and__(self, other: Any) -> Any:
        return self._read() & _plain(other)

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        return self._read() | _plain(other)

    __ror__ = __or__


def _plain(value: Any) -> Any:
    return value._read() if isinstance(value, Macro) else value


# The request.


def _part(index: int) -> str:
    """The index-th part of the path, "" if there is none. Empty parts do not count, as in Node++
    ("//a/" has one part).
    """
    parts = [part for part in _current().path.split("/") if part]
    return parts[index] if index < len(parts) else ""


def _is_part(index: int, name: str) -> bool:
    return _part(index) == (name[1:] if name[:1] == "/" else name)


def REQ(name: str) -> bool:
    """Whether the first part of the path is name. REQ("") is the landing page. A leading slash in
    name does not matter.
    """
    if name[:1] == "/":
        name = name[1:]
    # Fast path: without it the answer is the same. An application asks this once for each of its
    # pages.
    path = _current().path
    if path[1:2] != "/":
        return path[1:].partition("/")[0] == name
    return _part(0) == name


def REQ0(name: str) -> bool:
    """The same as REQ."""
    return _is_part(0, name)


def REQ1(name: str) -> bool:
    """Whether the second part of the path is name."""
    return _is_part(1, name)


def REQ2(name: str) -> bool:
    """Whether the third part of the path is name."""
    return _is_part(2, name)


def REQ3(name: str) -> bool:
    """Whether the fourth part of the path is name."""
    return _is_part(3, name)


def REQ4(name: str) -> bool:
    """Whether the fifth part of the path is name."""
    return _is_part(4, name)


def REQ5(name: str) -> bool:
    """Whether the sixth part of the path is name."""
    return _is_part(5, name)


def _id() -> str:
    parts = [part for part in _current().path.split("/") if part]
    return parts[-1] if parts else ""


def _uri() -> str:
    request = _current()
    target = request.target
    if target.startswith("/"):
        return target[1:]
    # The absolute form of RFC 9112 §3.2.2: what follows the authority.
    return target.partition("://")[2].partition("/")[2]


def URI(pattern: str) -> bool:
    """Whether the whole path is pattern. A trailing "*" or "{id}" stands for anything; a leading
    slash does not matter, nor does a trailing one of the path.
    """
    path = _current().path[1:]
    path = path[:-1] if path[-1:] == "/" else path
    if pattern[:1] == "/":
        pattern = pattern[1:]
    for wildcard in ("*", "{id}"):
        if pattern.endswith(wildcard):
            return path.startswith(pattern[: -len(wildcard)])
    return path == pattern


def HOST(name: str) -> bool:
    """Whether the request is for the host name: case, port and a leading "www." do not matter."""
    return _bare_host(_current().host or "") == _bare_host(name)


def _bare_host(host: str) -> str:
    host = host.lower()
    if host.startswith("["):  # an IPv6 address has colons of its own
        return host.partition("]")[0] + "]"
    host = host.partition(":")[0]
    return host[4:] if host.startswith("www.") else host


REQUEST = Macro("REQUEST", _current)
REQ_METHOD = Macro("REQ_METHOD", lambda: _current().method)
REQ_GET = Macro("REQ_GET", lambda: _current().method == "GET")
REQ_POST = Macro("REQ_POST", lambda: _current().method == "POST")
REQ_PUT = Macro("REQ_PUT", lambda: _current().method == "PUT")
REQ_PATCH = Macro("REQ_PATCH", lambda: _current().method == "PATCH")
REQ_DELETE = Macro("REQ_DELETE", lambda: _current().method == "DELETE")
REQ_HEAD = Macro("REQ_HEAD", lambda: _current().method == "HEAD")
REQ_OPTIONS = Macro("REQ_OPTIONS", lambda: _current().method == "OPTIONS")
REQ_ID = Macro("REQ_ID", _id)
REQ_URI = Macro("REQ_URI", _uri)
REQ_CONTENT_TYPE = Macro("REQ_CONTENT_TYPE", lambda: _current().header("content-type", ""))
REQ_DSK = Macro("REQ_DSK", lambda: _current().device == "desktop")
REQ_TAB = Macro("REQ_TAB", lambda: _current().device == "tablet")
REQ_MOB = Macro("REQ_MOB", lambda: _current().device == "mobile")
REQ_BOT = Macro("REQ_BOT", lambda: _current().is_bot)
REQ_LANG = Macro("REQ_LANG", lambda: _current().lang or "")
REQ_DATA = Macro("REQ_DATA", lambda: _current().body)
NPP_PROTOCOL = Macro("NPP_PROTOCOL", lambda: _current().scheme)


def REQ_GET_HEADER(name: str, default: str | None = None) -> str | None:
    """A field of the request, any field (Node++ knew three), None or default without it."""
    return _current().header(name, default)


def REQ_COOKIE(name: str, default: str = "") -> str:
    """A cookie of the request, "" or default without it."""
    return _current().cookies.get(name, default)


# Parameters.

# Characters that a QSVAL holds. Node++ cuts what is longer, and so do these functions: a
# carried-over application may rely on it for the width of its columns. The value is cut before it
# is escaped, so no entity is ever cut in two.
QS_SIZE_MAX = 255
QS_TEXT_SIZE_MAX = 65535

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

_escapes_new_lines = False


def _escape_html(value: str) -> str:
    return value.translate(_HTML_WITH_LINES if _escapes_new_lines else _HTML)


def _escape_sql(value: str) -> str:
    return value.translate(_SQL)


def _escape_nothing(value: str) -> str:
    return value


_escape_default: Callable[[str], str] = _escape_html


def _parameter(name: str) -> str | None:
    """A parameter as it was sent: from the body of a method that has one, else from the query."""
    request = _current()
    if request.method in ("POST", "PUT", "PATCH", "DELETE"):
        value = _body_parameter(request, name)
        if value is not None:
            return value
    return request.query.get(name)


def _body_parameter(request: Request, name: str) -> str | None:
    media = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if media == "application/json":
        body = request.json()
        value = body.get(name) if isinstance(body, dict) else None
        if value is None or isinstance(value, (dict, list)):
            return None  # only scalars of the top level are parameters
        return ("true" if value else "false") if isinstance(value, bool) else str(value)
    return request.form.get(name)


def _text(name: str, default: Any, size_max: int, escape: Callable[[str], str]) -> Any:
    value = _parameter(name)
    return default if value is None else escape(value[:size_max])


def QS(name: str, default: Any = "") -> Any:
    """A parameter of at most 255 characters, escaped by the application's policy (for HTML if it
    has none); default ("") without it.
    """
    return _text(name, default, QS_SIZE_MAX, _escape_default)


def QS_HTML_ESCAPE(name: str, default: Any = "") -> Any:
    """QS, escaped for HTML: ' " < > & and backslash become entities, carriage returns go."""
    return _text(name, default, QS_SIZE_MAX, _escape_html)


def QS_SQL_ESCAPE(name: str, default: Any = "") -> Any:
    """QS with a backslash before ' " and backslash. Parameters of a prepared statement are the safe
    way.
    """
    return _text(name, default, QS_SIZE_MAX, _escape_sql)


def QS_DONT_ESCAPE(name: str, default: Any = "") -> Any:
    """QS as it was sent. OUT does not escape: never write this into a page."""
    return _text(name, default, QS_SIZE_MAX, _escape_nothing)


def QS1K(name: str, default: Any = "") -> Any:
    """QS of at most 1,023 characters."""
    return _text(name, default, 1023, _escape_default)


def QS2K(name: str, default: Any = "") -> Any:
    """QS of at most 2,047 characters."""
    return _text(name, default, 2047, _escape_default)


def QS4K(name: str, default: Any = "") -> Any:
    """QS of at most 4,095 characters."""
    return _text(name, default, 4095, _escape_default)


def QS8K(name: str, default: Any = "") -> Any:
    """QS of at most 8,191 characters."""
    return _text(name, default, 8191, _escape_default)


def QS16K(name: str, default: Any = "") -> Any:
    """QS of at most 16,383 characters."""
    return _text(name, default, 16383, _escape_default)


def QS32K(name: str, default: Any = "") -> Any:
    """QS of at most 32,767 characters."""
    return _text(name, default, 32767, _escape_default)


def QS64K(name: str, default: Any = "") -> Any:
    """QS of at most 65,535 characters."""
    return _text(name, default, QS_TEXT_SIZE_MAX, _escape_default)


def QS_TEXT(name: str, default: Any = "") -> Any:
    """QS of at most 65,535 characters, for a QSVAL_TEXT."""
    return _text(name, default, QS_TEXT_SIZE_MAX, _escape_default)


def QS_TEXT_HTML_ESCAPE(name: str, default: Any = "") -> Any:
    """QS_TEXT, escaped for HTML."""
    return _text(name, default, QS_TEXT_SIZE_MAX, _escape_html)


def QS_TEXT_SQL_ESCAPE(name: str, default: Any = "") -> Any:
    """QS_TEXT, escaped as QS_SQL_ESCAPE does."""
    return _text(name, default, QS_TEXT_SIZE_MAX, _escape_sql)


def QS_TEXT_DONT_ESCAPE(name: str, default: Any = "") -> Any:
    """QS_TEXT as it was sent."""
    return _text(name, default, QS_TEXT_SIZE_MAX, _escape_nothing)


def _integer(name: str, default: Any, lowest: int, highest: int) -> Any:
    value = (_parameter(name) or "").strip()
    digits = value[1:] if value[:1] in ("-", "+") else value
    # Python's int() also takes "1_000" and digits of other scripts, and more of them than fits a
    # column.
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 20:
        return default
    number = int(value)
    return number if lowest <= number <= highest else default


def QSI(name: str, default: Any = 0) -> Any:
    """A parameter as an int of 32 bits; default (0) without it, and for what is no such number."""
    return _integer(name, default, -(1 << 31), (1 << 31) - 1)


def QSU(name: str, default: Any = 0) -> Any:
    """A parameter as an unsigned int of 32 bits; default (0) without it, and for what is no such
    number.
    """
    return _integer(name, default, 0, (1 << 32) - 1)


def QSL(name: str, default: Any = 0) -> Any:
    """A parameter as an int of 64 bits; default (0) without it, and for what is no such number."""
    return _integer(name, default, -(1 << 63), (1 << 63) - 1)


def QSD(name: str, default: Any = 0.0) -> Any:
    """A parameter as a float; default (0.0) without it, and for what is no finite number."""
    value = (_parameter(name) or "").strip()
    if "_" in value or not value.isascii():
        return default
    try:
        number = float(value)
    except ValueError:
        return default
    return number if number - number == 0.0 else default  # neither inf nor nan


def QSF(name: str, default: Any = 0.0) -> Any:
    """The same as QSD: Python has one kind of float."""
    return QSD(name, default)


def QSB(name: str, default: Any = False) -> Any:
    """A parameter as a bool: true if it begins with t, T or 1, or is "on" as a ticked box sends it;
    default without it.
    """
    value = _parameter(name)
    return default if value is None else value[:1] in ("t", "T", "1") or value == "on"


def QS_FILE(name: str) -> UploadFile | None:
    """An uploaded file with .filename, .size and .read(), None without it. In C: pointer, length
    and name.
    """
    return _current().files.get(name)


# The response.

_keeps_content = False  # RES_KEEP_CONTENT was called for the current request


def OUT(text: Any, *args: Any) -> None:
    """Appends to the page: with args as printf would format them, without args exactly as it is.

    Never escapes, because QS did.
    """
    if not isinstance(text, str):
        text = str(text)
    request = _current()
    try:
        request.out_raw(text, *args)
    except ValueError:
        # The engine knows the conversions that pages need; printf has more: %X, %o, %g, %e, %zu.
        # Nothing has been written. What is no format at all raises here again.
        request.out_raw(_format(text, args))


def _format(text: str, args: tuple[Any, ...]) -> str:
    """printf's formatting by Python's own "%", which skips one length modifier (%ld)."""
    try:
        return text % args
    except ValueError:
        # C has longer ones too: %lld, %zu.
        for modifier in ("ll", "hh", "z", "j", "t"):
            for kind in "diuxX":
                text = text.replace(f"%{modifier}{kind}", f"%{kind}")
        return text % args


def OUTSS(text: Any) -> None:
    """Appends a string exactly as it is."""
    _current().out_raw(str(text))


def OUT_BIN(data: bytes | bytearray | memoryview, size: int | None = None) -> None:
    """Appends bytes, the first size of them if it is given."""
    _current().out_raw(bytes(data if size is None else data[:size]))


def OUT_HTML_HEADER() -> None:
    """Appends doctype and head (title, description and keywords from the NPP_APP_… names of the
    module), opens the body.
    """
    parts = [
        '<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n',
        f"<title>{_escape_html(_app_name)}</title>\n",
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
    ]
    for name, content in (("description", _app_description), ("keywords", _app_keywords)):
        if content:
            parts.append(f'<meta name="{name}" content="{_escape_html(content)}">\n')
    parts.append("</head>\n<body>\n")
    _current().out("".join(parts))


def OUT_HTML_FOOTER() -> None:
    """Closes what OUT_HTML_HEADER opened."""
    _current().out("</body>\n</html>\n")


def _script_string(text: str) -> str:
    """A JavaScript string literal that cannot end the script element it stands in."""
    signs = {
        "\\": "\\\\",
        '"': '\\"',
        "\n": "\\n",
        "\r": "\\r",
        "<": "\\u003c",
        "\u2028": "\\u2028",
        "\u2029": "\\u2029",
    }
    return '"' + "".join(signs.get(sign, sign) for sign in text) + '"'


def APPEND_CSS(name: str, first: bool = True) -> None:
    """Appends JavaScript, for use within a script element, that loads a style sheet. first: defines
    the loader before.
    """
    if first:
        _current().out(
            "function npp_css(n){var l=document.createElement('link');l.rel='stylesheet';l.href=n;"
            "document.head.appendChild(l)}\n"
        )
    _current().out(f"npp_css({_script_string(name)});\n")


def APPEND_SCRIPT(name: str, first: bool = True) -> None:
    """Appends JavaScript, for use within a script element, that loads a script. first: defines the
    loader before.
    """
    if first:
        _current().out(
            "function npp_script(n){var s=document.createElement('script');s.src=n;"
            "document.head.appendChild(s)}\n"
        )
    _current().out(f"npp_script({_script_string(name)});\n")


def RES_STATUS(status: int) -> None:
    """The status of the answer. With 400 and above the page is replaced by an error page, unless
    RES_KEEP_CONTENT().
    """
    _current().status = status


def RES_CONTENT_TYPE(content_type: str) -> None:
    """The Content-Type of the answer; text/html in UTF-8 without it."""
    _current().content_type = content_type


def RES_CONTENT_TYPE_TEXT() -> None:
    _current().content_type = "text/plain; charset=utf-8"


def RES_CONTENT_TYPE_HTML() -> None:
    _current().content_type = "text/html; charset=utf-8"


def RES_CONTENT_TYPE_JSON() -> None:
    _current().content_type = "application/json"


def RES_CONTENT_TYPE_FROM_FILE_EXTENSION(name: str) -> None:
    """The Content-Type that a file of that name would have."""
    _current().content_type = media_type(name)


REDIRECTS = (301, 302, 303, 307, 308)


def RES_LOCATION(url: str, *args: Any) -> None:
    """Sends the client to another address, with status 303 unless one for redirections is set. args
    as in OUT.
    """
    request = _current()
    status = request.status if request.status in REDIRECTS else 303
    request.redirect(_format(str(url), args) if args else str(url), status)


RES_REDIRECT = RES_LOCATION


def REDIRECT_TO_LANDING() -> None:
    """Sends the client to the landing page."""
    RES_LOCATION("/")


def RES_HEADER(name: str, value: Any) -> None:
    """A further field of the answer."""
    _current().set_header(name, str(value))


def RES_COOKIE(name: str, value: Any, days: float = 0) -> None:
    """A cookie; without days it ends with the browser. Sent back to every path, not readable by
    scripts, Secure on HTTPS.
    """
    request = _current()
    request.set_cookie(
        name,
        str(value),
        max_age=int(days * 86400) if days else None,
        path="/",
        secure=request.scheme == "https",
        httponly=True,
        samesite="Lax",
    )


def RES_CONTENT_DISPOSITION(text: str, *args: Any) -> None:
    """The Content-Disposition of the answer, e.g. ("attachment; filename=%s", name)."""
    _current().set_header("Content-Disposition", _format(text, args) if args else text)


def RES_KEEP_CONTENT() -> None:
    """Sends what was written although the status is an error."""
    global _keeps_content
    _keeps_content = True


def RES_DONT_CACHE() -> None:
    """Forbids caches to keep the answer."""
    _current().no_cache()


# The log.


def _write(level: int, text: Any, args: tuple[Any, ...]) -> None:
    if level > _log.level:
        return
    try:
        message = _format(str(text), args) if args else str(text)
    except (TypeError, ValueError) as exc:
        # A bad format in a line of the log is no reason to fail the request.
        message = f"{text} {args!r} ({exc})"
    write = _log.write if _app is None else _app.host.log
    write(level, message)


def ALWAYS(text: Any, *args: Any) -> None:
    """Logs at every level."""
    _write(_ALWAYS, text, args)


def ERR(text: Any, *args: Any) -> None:
    """Logs an error."""
    _write(_ERR, text, args)


def WAR(text: Any, *args: Any) -> None:
    """Logs a warning."""
    _write(_WAR, text, args)


def INF(text: Any, *args: Any) -> None:
    """Logs information."""
    _write(_INF, text, args)


def DBG(text: Any, *args: Any) -> None:
    """Logs for debugging."""
    _write(_DBG, text, args)


DDBG = DBG


# From a module to an application.


def app_from_module(module: ModuleType) -> App:
    """The App of a module written in the Node++ way.

    Takes npp_app_main, the six other hooks (npp_app_init, npp_app_done, npp_app_session_init,
    npp_app_session_done, npp_app_user_login, npp_app_user_logout), and of the optional ones
    npp_app_every_spare_second, npp_app_every_minute and npp_app_custom_message_page(code). Raises
    RouteError without npp_app_main, and for lines that name a macro which must be called.
    """
    global _app
    main = getattr(module, "npp_app_main", None)
    if not callable(main):
        raise RouteError(f"{module.__name__} has no function npp_app_main")
    refuse_bare_macros(module)
    app = App()
    _read_defines(module)
    app.set_fallback(_main_handler(app, main), flags=import_core().FLAG_NO_REQUEST)
    _register_hooks(app, module)
    _app = app
    return app


def _main_handler(app: App, main: Callable[[], Any]) -> Callable[[], Any]:
    def npp_app_main() -> Any:
        global _keeps_content
        _keeps_content = False
        result = main()
        if result is not None:
            return result
        request = _current()
        if request.status >= 400 and not _keeps_content:
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
    global _app_name, _app_description, _app_keywords, _escape_default, _escapes_new_lines
    _app_name = str(getattr(module, "NPP_APP_NAME", "Node++ Web Application"))
    _app_description = str(getattr(module, "NPP_APP_DESCRIPTION", ""))
    _app_keywords = str(getattr(module, "NPP_APP_KEYWORDS", ""))
    _escapes_new_lines = bool(getattr(module, "HTML_ESCAPE_NEW_LINES", False))
    if getattr(module, "QS_DEF_SQL_ESCAPE", False):
        _escape_default = _escape_sql
    elif getattr(module, "QS_DEF_DONT_ESCAPE", False):
        _escape_default = _escape_nothing
    else:
        _escape_default = _escape_html


# In C these are statements without parentheses. In Python such a line is an expression whose value
# is thrown away.
STATEMENTS = frozenset(
    (
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
        tree = compile(
            source, file, "exec", 0x400, dont_inherit=True
        )  # ast.PyCF_ONLY_AST, without importing ast (5 ms)
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
