"""The Node++ way: what is answered. OUT, RES_, APPEND_, and the macros that log.

Uses macros.py. Applications import all names from npp.py, which says what differs from C.
"""

from __future__ import annotations

from . import log
from .macros import current, escape_html, format_text, state
from .statics import media_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def OUT(text: Any, *args: Any) -> None:
    """Appends to the page: with args as printf would format them, without args exactly as it is.

    Never escapes, because QS did.
    """
    if not isinstance(text, str):
        text = str(text)
    request = current()
    try:
        request.out_raw(text, *args)
    except ValueError:
        # The engine knows the conversions that pages need; printf has more: %X, %o, %g, %e, %zu.
        # Nothing has been written. What is no format at all raises here again.
        request.out_raw(format_text(text, args))


def OUTSS(text: Any) -> None:
    """Appends a string exactly as it is."""
    current().out_raw(str(text))


def OUT_BIN(data: bytes | bytearray | memoryview, size: int | None = None) -> None:
    """Appends bytes, the first size of them if it is given."""
    current().out_raw(bytes(data if size is None else data[:size]))


def OUT_HTML_HEADER() -> None:
    """Appends doctype and head (title, description and keywords from the NPP_APP_… names of the
    module), opens the body.
    """
    parts = [
        '<!DOCTYPE html>\n<html>\n<head>\n<meta charset="utf-8">\n',
        f"<title>{escape_html(state.app_name)}</title>\n",
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
    ]
    for name, content in (("description", state.app_description), ("keywords", state.app_keywords)):
        if content:
            parts.append(f'<meta name="{name}" content="{escape_html(content)}">\n')
    parts.append("</head>\n<body>\n")
    current().out("".join(parts))


def OUT_HTML_FOOTER() -> None:
    """Closes what OUT_HTML_HEADER opened."""
    current().out("</body>\n</html>\n")


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
        current().out(
            "function npp_css(n){var l=document.createElement('link');l.rel='stylesheet';l.href=n;"
            "document.head.appendChild(l)}\n"
        )
    current().out(f"npp_css({_script_string(name)});\n")


def APPEND_SCRIPT(name: str, first: bool = True) -> None:
    """Appends JavaScript, for use within a script element, that loads a script. first: defines the
    loader before.
    """
    if first:
        current().out(
            "function npp_script(n){var s=document.createElement('script');s.src=n;"
            "document.head.appendChild(s)}\n"
        )
    current().out(f"npp_script({_script_string(name)});\n")


def RES_STATUS(status: int) -> None:
    """The status of the answer. With 400 and above the page is replaced by an error page, unless
    RES_KEEP_CONTENT().
    """
    current().status = status


def RES_CONTENT_TYPE(content_type: str) -> None:
    """The Content-Type of the answer; text/html in UTF-8 without it."""
    current().content_type = content_type


def RES_CONTENT_TYPE_TEXT() -> None:
    """The answer is plain text in UTF-8."""
    current().content_type = "text/plain; charset=utf-8"


def RES_CONTENT_TYPE_HTML() -> None:
    """The answer is HTML in UTF-8, as it is without this."""
    current().content_type = "text/html; charset=utf-8"


def RES_CONTENT_TYPE_JSON() -> None:
    """The answer is JSON."""
    current().content_type = "application/json"


def RES_CONTENT_TYPE_FROM_FILE_EXTENSION(name: str) -> None:
    """The Content-Type that a file of that name would have."""
    current().content_type = media_type(name)


REDIRECTS = (301, 302, 303, 307, 308)


def RES_LOCATION(url: str, *args: Any) -> None:
    """Sends the client to another address, with status 303 unless one for redirections is set. args
    as in OUT.
    """
    request = current()
    status = request.status if request.status in REDIRECTS else 303
    request.redirect(format_text(str(url), args) if args else str(url), status)


RES_REDIRECT = RES_LOCATION


def REDIRECT_TO_LANDING() -> None:
    """Sends the client to the landing page."""
    RES_LOCATION("/")


def RES_HEADER(name: str, value: Any) -> None:
    """A further field of the answer."""
    current().set_header(name, str(value))


def RES_COOKIE(name: str, value: Any, days: float = 0) -> None:
    """A cookie; without days it ends with the browser. Sent back to every path, not readable by
    scripts, Secure on HTTPS.
    """
    request = current()
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
    current().set_header("Content-Disposition", format_text(text, args) if args else text)


def RES_KEEP_CONTENT() -> None:
    """Sends what was written although the status is an error."""
    state.keeps_content = True


def RES_DONT_CACHE() -> None:
    """Forbids caches to keep the answer."""
    current().no_cache()


def _write(level: int, text: Any, args: tuple[Any, ...]) -> None:
    if level > log.log.level:
        return
    try:
        message = format_text(str(text), args) if args else str(text)
    except (TypeError, ValueError) as exc:
        # A bad format in a line of the log is no reason to fail the request.
        message = f"{text} {args!r} ({exc})"
    write = log.write if state.app is None else state.app.host.log
    write(level, message)


def ALWAYS(text: Any, *args: Any) -> None:
    """Logs at every level."""
    _write(log.ALWAYS, text, args)


def ERR(text: Any, *args: Any) -> None:
    """Logs an error."""
    _write(log.ERR, text, args)


def WAR(text: Any, *args: Any) -> None:
    """Logs a warning."""
    _write(log.WAR, text, args)


def INF(text: Any, *args: Any) -> None:
    """Logs information."""
    _write(log.INF, text, args)


def DBG(text: Any, *args: Any) -> None:
    """Logs for debugging."""
    _write(log.DBG, text, args)


DDBG = DBG
