"""The Node++ way: what was asked. REQ, URI, HOST, the REQ_ values, and QS for parameters.

Uses macros.py. Applications import all names from npp.py, which says what differs from C.
"""

from __future__ import annotations

from .macros import Macro, current, escape_html, escape_nothing, escape_sql, state

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from ._core import Request, UploadFile


def _part(index: int) -> str:
    """The index-th part of the path, "" if there is none. Empty parts do not count, as in Node++
    ("//a/" has one part).
    """
    parts = [part for part in current().path.split("/") if part]
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
    path = current().path
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
    parts = [part for part in current().path.split("/") if part]
    return parts[-1] if parts else ""


def _uri() -> str:
    request = current()
    target = request.target
    if target.startswith("/"):
        return target[1:]
    # The absolute form of RFC 9112 §3.2.2: what follows the authority.
    return target.partition("://")[2].partition("/")[2]


def URI(pattern: str) -> bool:
    """Whether the whole path is pattern. A trailing "*" or "{id}" stands for anything; a leading
    slash does not matter, nor does a trailing one of the path.
    """
    path = current().path[1:]
    path = path[:-1] if path[-1:] == "/" else path
    if pattern[:1] == "/":
        pattern = pattern[1:]
    for wildcard in ("*", "{id}"):
        if pattern.endswith(wildcard):
            return path.startswith(pattern[: -len(wildcard)])
    return path == pattern


def HOST(name: str) -> bool:
    """Whether the request is for the host name: case, port and a leading "www." do not matter."""
    return _bare_host(current().host or "") == _bare_host(name)


def _bare_host(host: str) -> str:
    host = host.lower()
    if host.startswith("["):  # an IPv6 address has colons of its own
        return host.partition("]")[0] + "]"
    host = host.partition(":")[0]
    return host[4:] if host.startswith("www.") else host


REQUEST = Macro("REQUEST", current)
REQ_METHOD = Macro("REQ_METHOD", lambda: current().method)
REQ_GET = Macro("REQ_GET", lambda: current().method == "GET")
REQ_POST = Macro("REQ_POST", lambda: current().method == "POST")
REQ_PUT = Macro("REQ_PUT", lambda: current().method == "PUT")
REQ_PATCH = Macro("REQ_PATCH", lambda: current().method == "PATCH")
REQ_DELETE = Macro("REQ_DELETE", lambda: current().method == "DELETE")
REQ_HEAD = Macro("REQ_HEAD", lambda: current().method == "HEAD")
REQ_OPTIONS = Macro("REQ_OPTIONS", lambda: current().method == "OPTIONS")
REQ_ID = Macro("REQ_ID", _id)
REQ_URI = Macro("REQ_URI", _uri)
REQ_CONTENT_TYPE = Macro("REQ_CONTENT_TYPE", lambda: current().header("content-type", ""))
REQ_DSK = Macro("REQ_DSK", lambda: current().device == "desktop")
REQ_TAB = Macro("REQ_TAB", lambda: current().device == "tablet")
REQ_MOB = Macro("REQ_MOB", lambda: current().device == "mobile")
REQ_BOT = Macro("REQ_BOT", lambda: current().is_bot)
REQ_LANG = Macro("REQ_LANG", lambda: current().lang or "")
REQ_DATA = Macro("REQ_DATA", lambda: current().body)
NPP_PROTOCOL = Macro("NPP_PROTOCOL", lambda: current().scheme)


def REQ_GET_HEADER(name: str, default: str | None = None) -> str | None:
    """A field of the request, any field (Node++ knew three), None or default without it."""
    return current().header(name, default)


def REQ_COOKIE(name: str, default: str = "") -> str:
    """A cookie of the request, "" or default without it."""
    return current().cookies.get(name, default)


# Characters that a QSVAL holds. Node++ cuts what is longer, and so do these functions: a
# carried-over application may rely on it for the width of its columns. The value is cut before it
# is escaped, so no entity is ever cut in two.
QS_SIZE_MAX = 255
QS_TEXT_SIZE_MAX = 65535


def parameter(name: str) -> str | None:
    """A parameter as it was sent: from the body of a method that has one, else from the query."""
    request = current()
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
    value = parameter(name)
    return default if value is None else escape(value[:size_max])


def QS(name: str, default: Any = "") -> Any:
    """A parameter of at most 255 characters, escaped by the application's policy (for HTML if it
    has none); default ("") without it.
    """
    return _text(name, default, QS_SIZE_MAX, state.escape)


def QS_HTML_ESCAPE(name: str, default: Any = "") -> Any:
    """QS, escaped for HTML: ' " < > & and backslash become entities, carriage returns go."""
    return _text(name, default, QS_SIZE_MAX, escape_html)


def QS_SQL_ESCAPE(name: str, default: Any = "") -> Any:
    """QS with a backslash before ' " and backslash. Parameters of a prepared statement are the safe
    way.
    """
    return _text(name, default, QS_SIZE_MAX, escape_sql)


def QS_DONT_ESCAPE(name: str, default: Any = "") -> Any:
    """QS as it was sent. OUT does not escape: never write this into a page."""
    return _text(name, default, QS_SIZE_MAX, escape_nothing)


def QS1K(name: str, default: Any = "") -> Any:
    """QS of at most 1,023 characters."""
    return _text(name, default, 1023, state.escape)


def QS2K(name: str, default: Any = "") -> Any:
    """QS of at most 2,047 characters."""
    return _text(name, default, 2047, state.escape)


def QS4K(name: str, default: Any = "") -> Any:
    """QS of at most 4,095 characters."""
    return _text(name, default, 4095, state.escape)


def QS8K(name: str, default: Any = "") -> Any:
    """QS of at most 8,191 characters."""
    return _text(name, default, 8191, state.escape)


def QS16K(name: str, default: Any = "") -> Any:
    """QS of at most 16,383 characters."""
    return _text(name, default, 16383, state.escape)


def QS32K(name: str, default: Any = "") -> Any:
    """QS of at most 32,767 characters."""
    return _text(name, default, 32767, state.escape)


def QS64K(name: str, default: Any = "") -> Any:
    """QS of at most 65,535 characters."""
    return _text(name, default, QS_TEXT_SIZE_MAX, state.escape)


def QS_TEXT(name: str, default: Any = "") -> Any:
    """QS of at most 65,535 characters, for a QSVAL_TEXT."""
    return _text(name, default, QS_TEXT_SIZE_MAX, state.escape)


def QS_TEXT_HTML_ESCAPE(name: str, default: Any = "") -> Any:
    """QS_TEXT, escaped for HTML."""
    return _text(name, default, QS_TEXT_SIZE_MAX, escape_html)


def QS_TEXT_SQL_ESCAPE(name: str, default: Any = "") -> Any:
    """QS_TEXT, escaped as QS_SQL_ESCAPE does."""
    return _text(name, default, QS_TEXT_SIZE_MAX, escape_sql)


def QS_TEXT_DONT_ESCAPE(name: str, default: Any = "") -> Any:
    """QS_TEXT as it was sent."""
    return _text(name, default, QS_TEXT_SIZE_MAX, escape_nothing)


def _integer(name: str, default: Any, lowest: int, highest: int) -> Any:
    value = (parameter(name) or "").strip()
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
    value = (parameter(name) or "").strip()
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
    value = parameter(name)
    return default if value is None else value[:1] in ("t", "T", "1") or value == "on"


def QS_FILE(name: str) -> UploadFile | None:
    """An uploaded file with .filename, .size and .read(), None without it. In C: pointer, length
    and name.
    """
    return current().files.get(name)
