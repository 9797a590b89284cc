"""The exceptions of nodepp, and the page that stands for an error status when the application has
none of its own.

Each class knows the HTTP status it means (`status`), so that whoever catches one can answer. A
leaf: imports nothing but library.py.
"""

from __future__ import annotations

from .library import library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Union

    HeaderSource = Union[Mapping[str, str], Iterable[tuple[str, str]]]

# The reason phrases of the IANA registry for the statuses that are errors (RFC 9110 §15.5, §15.6
# and others). http.HTTPStatus has them too, but importing it costs 4 ms of a start that has 120.
REASONS = {
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    418: "I'm a Teapot",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    423: "Locked",
    424: "Failed Dependency",
    425: "Too Early",
    426: "Upgrade Required",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    451: "Unavailable For Legal Reasons",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    506: "Variant Also Negotiates",
    507: "Insufficient Storage",
    508: "Loop Detected",
    511: "Network Authentication Required",
}

# What a visitor can do about it, in one sentence. Statuses without one show their name only.
ADVICE = {
    400: "The request could not be understood.",
    401: "This page is for people who have signed in.",
    403: "You may not see this page.",
    404: "There is nothing at this address.",
    405: "This address does not answer to that method.",
    408: "The request took too long to arrive.",
    410: "What was here is gone for good.",
    413: "That is more than this server takes in one request.",
    415: "This address does not take that kind of content.",
    429: "Too many requests: please wait a little.",
    500: "Something went wrong on our side. It has been noted.",
    503: "The server is too busy. Please try again in a moment.",
}


class NodeppError(Exception):
    """The base of all exceptions of nodepp. `status` is the HTTP status an answer would have."""

    status: int = 500


class HTTPError(NodeppError):
    """Raised by a handler to answer with an error status.

    status: 400 to 599; anything else is a ValueError, because it would not be an error.
    detail: a sentence for the visitor, shown on the error page (escaped) and in its JSON form.
    None: a general one.
    headers: further fields of the answer, a mapping or pairs of str, e.g. {"Retry-After": "120"}.
    """

    def __init__(
        self, status: int, detail: str | None = None, headers: HeaderSource | None = None
    ) -> None:
        if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 599:
            raise ValueError(f"HTTPError takes a status from 400 to 599, not {status!r}")
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers: list[tuple[str, str]] = header_pairs(headers)

    def __str__(self) -> str:
        text = f"{self.status} {reason(self.status)}"
        return f"{text}: {self.detail}" if self.detail else text


class RouteError(NodeppError, ValueError):
    """A route that cannot work, said when it is registered: bad pattern, unknown converter,
    duplicate, wrong handler.
    """


class StartError(NodeppError):
    """The application refused to start: an on_start handler (or npp_app_init) returned False."""


class ConfigError(NodeppError):
    """A setting that is unknown or has a bad value. The message says where it stands and what would
    be right.
    """


def reason(status: int) -> str:
    """The reason phrase of an error status; "Error" for one that has none."""
    return REASONS.get(status, "Error")


def header_pairs(headers: HeaderSource | None) -> list[tuple[str, str]]:
    """A list of (name, value) from a mapping or from pairs."""
    if headers is None:
        return []
    items = getattr(headers, "items", None)
    return list(items() if items is not None else headers)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that names the nearest of the known names, or nothing."""
    # Without the dashes of options: all have them, and they would make all of them alike.
    by_lower = {other.lower().lstrip("-"): other for other in known}
    nearest = library("difflib").get_close_matches
    found = nearest(name.lower().lstrip("-"), by_lower, n=1, cutoff=0.7)
    return f" Did you mean {by_lower[found[0]]!r}?" if found else ""


SHOWN_SIZE_MAX = 100            # characters of a setting in a message


def shown(text: str) -> str:
    """A setting's text, as far as a message needs it."""
    return text if len(text) <= SHOWN_SIZE_MAX else f"{text[:SHOWN_SIZE_MAX]}…"


# The page.

# One file, no requests for others, readable in the dark and on a phone. About 700 bytes with the
# text.
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>%(status)d %(reason)s</title>
<style>
:root{color-scheme:light dark}
body{font:1.1rem/1.5 system-ui,sans-serif;margin:18vh auto 0;max-width:32rem;padding:0 1.5rem}
h1{font-size:3.5rem;line-height:1;margin:0;font-weight:300}
h2{font-size:1.3rem;margin:.6rem 0}
p{opacity:.75}
</style>
</head>
<body>
<h1>%(status)d</h1>
<h2>%(reason)s</h2>
%(detail)s</body>
</html>
"""


def error_page(status: int, detail: str | None = None) -> str:
    """The HTML page for an error status. detail is escaped; None gives the general advice, if there
    is one.
    """
    sentence = ADVICE.get(status, "") if detail is None else escape(detail)
    paragraph = f"<p>{sentence}</p>\n" if sentence else ""
    return PAGE % {"status": status, "reason": escape(reason(status)), "detail": paragraph}


def error_json(status: int, detail: str | None = None) -> dict[str, object]:
    """For a client that asked for JSON: {"status": 404, "error": "Not Found", "detail": "…"}."""
    sentence = ADVICE.get(status) if detail is None else detail
    answer: dict[str, object] = {"status": status, "error": reason(status)}
    if sentence:
        answer["detail"] = sentence
    return answer


def escape(text: str) -> str:
    """HTML-escapes text. html.escape does the same but loads a table of all entities (3 ms)."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("'", "&#39;")


def prefers_json(accept: str | None) -> bool:
    """Whether a client with this Accept field asks for JSON rather than HTML (RFC 9110 §12.5.1).

    A wildcard asks for nothing in particular: HTML. Between equal weights the one named first wins.
    """
    best_json = best_html = 0.0
    json_is_first = False
    for item in (accept or "").lower().split(","):
        media, _, parameters = item.partition(";")
        media = media.strip()
        if media == "application/json" or media.endswith("+json"):
            if best_json == 0.0 and best_html == 0.0:
                json_is_first = True
            best_json = max(best_json, _weight(parameters))
        elif media in ("text/html", "application/xhtml+xml"):
            best_html = max(best_html, _weight(parameters))
    if best_json == best_html:
        return json_is_first and best_json > 0.0
    return best_json > best_html


def _weight(parameters: str) -> float:
    """The q among ";"-separated parameters in lower case: 1 without it, 0 for no number."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return 0.0
            return weight if 0.0 <= weight <= 1.0 else 0.0
    return 1.0


def core_missing(cause: ImportError) -> ImportError:
    """The ImportError for when nodepp._core cannot be imported: it says what to do about it."""
    import os
    import sys

    folder = os.path.dirname(os.path.abspath(__file__))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    others = sorted(
        name for name in os.listdir(folder) if name.startswith("_core.c") and name.endswith(".so")
    )
    in_checkout = os.path.exists(os.path.join(folder, "_core.pyx"))
    todo = "make build" if in_checkout else "pip install --force-reinstall nodepp"
    if not isinstance(cause, ModuleNotFoundError):
        return ImportError(
            f"nodepp's compiled core cannot be loaded: {cause}. Build it again: {todo}"
        )
    if others:
        return ImportError(
            f"nodepp's compiled core is not there for Python {version},"
            f" only {', '.join(others)}. Build it: {todo}"
        )
    return ImportError(f"nodepp's compiled core is not built. Build it: {todo}")
