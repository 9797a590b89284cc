"""CSS and JavaScript without blanks and comments."""

from __future__ import annotations

from ..library import library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

    Log = Callable[[int, str], None]

WAR = 2

MINIFIED = ("css", "js", "mjs")
# A tool has made it, and its source map counts the columns of exactly these bytes.
SOURCE_MAP = b"sourceMappingURL="
FINISHED = (".min", "-min")


def is_finished(path: str, body: bytes) -> bool:
    """Whether a file is a tool's finished product, which is served byte for byte."""
    return path.rpartition(".")[0].endswith(FINISHED) or SOURCE_MAP in body


def can_minify(path: str, body: bytes) -> bool:
    """Whether minify() would do anything with it."""
    _, dot, extension = path.rpartition(".")
    return bool(dot) and extension.lower() in MINIFIED and not is_finished(path, body)


def minify(path: str, file: str, body: bytes, log: Log) -> bytes:
    """CSS and JavaScript without blanks and comments; anything else, and what is finished already,
    as it is.

    When the minifier is missing, fails, or makes nothing of something, the original is served and
    the log says why.
    """
    if not can_minify(path, body):
        return body
    try:
        text = body.decode("utf-8-sig")
        small = _minifier(path.rpartition(".")[2].lower())(text)
        if not isinstance(small, str) or (
            text.strip() and not small.strip() and not is_comment(text)
        ):
            raise ValueError("nothing was left of it")
    except Exception as exc:  # whatever a third party's code raises, the site still starts
        log(WAR, f"static: {file} is served as it is: {type(exc).__name__}: {exc}")
        return body
    encoded = small.encode()
    return encoded if len(encoded) < len(body) else body


def is_comment(text: str) -> bool:
    """Whether a style sheet or script may be nothing but comments, of which rightly nothing is
    left.
    """
    return text.lstrip().startswith(("/*", "//"))


def _minifier(extension: str) -> Callable[[str], object]:
    if extension == "css":
        minifier: Callable[[str], object] = library("rcssmin").cssmin
    else:
        minifier = library("rjsmin").jsmin
    return minifier
