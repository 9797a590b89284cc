"""Names that change with the content, and the references of style sheets to such names.

/css/app.css is also /css/app.3f2a9c1b2d.css. The second may be kept by browsers for ever, because
other bytes would have another name; pages and style sheets therefore refer to that.
"""

from __future__ import annotations

from ..library import library

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re
    from typing import Optional

FINGERPRINT_SIZE = 10  # hex digits: 40 bits; two versions of one file meet once in 10**12
REFERENCE_COUNT_MAX = 10_000  # of one style sheet; what is beyond stays as it is written

# A build tool's own: app.3f2a9c1b.js, app-3f2a9c1b.js. A letter and a digit must be in it, so that
# report.20240131.pdf and a word such as "deadbeef" are not taken for one.
HASH_MIN, HASH_MAX = 8, 64


class Reference:
    """One reference in a style sheet: where the file's name stands in its text, and the path that
    it means, decoded.
    """

    __slots__ = ("end", "path", "start")

    def __init__(self, start: int, end: int, path: str) -> None:
        self.start, self.end, self.path = start, end, path


def fingerprinted(path: str, fingerprint: str) -> str:
    """The path with the fingerprint before its last extension."""
    folder, _, name = path.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    if not stem:  # LICENSE, .htaccess
        return f"{path}.{fingerprint}"
    return f"{folder}/{stem}.{fingerprint}{dot}{extension}"


def has_own_hash(path: str) -> bool:
    """Whether a file's own name carries a hash that a build tool gave it."""
    name = path.rpartition("/")[2]
    if len(name) < HASH_MIN + 3:  # nearly all
        return False
    pieces = name.split(".")[:-1]
    # The hash stands before a dot, and after one or a hyphen.
    for index, piece in enumerate(pieces):
        before, hyphen, tail = piece.rpartition("-")
        if (
            (hyphen or index)
            and HASH_MIN <= len(tail) <= HASH_MAX
            and not tail.isalpha()
            and not tail.isdigit()
            and not tail.strip("0123456789abcdef")
            and not _is_uuid(before, tail)
        ):
            return True
    return False


def _is_uuid(before: str, tail: str) -> bool:
    """Whether that ends a UUID, which names a thing and not its content: an upload's, say."""
    parts = before.lower().split("-")[-4:]
    return len(tail) == 12 and [len(part) for part in parts[1:]] == [4, 4, 4] and not (
        parts[0][-8:] + "".join(parts[1:])).strip("0123456789abcdef")


# References.

# Comments and other strings are matched so that what stands in them is passed over. All that may
# match begins with one of a few signs, which the re module looks for first: four times as fast.
_PATTERN = r"""[/"'@uU]
  (?: (?<=/)\*.*?(?:\*/|\Z)
    | (?<=[uU])[rR][lL]\((?<![\w-]....)\s*
      (?:"(?P<double>[^"\\\n]*)"|'(?P<single>[^'\\\n]*)'|(?P<bare>[^\s"'()\\]+))\s*\)
    | (?<=@)[iI][mM][pP][oO][rR][tT]\s+
      (?:"(?P<import_double>[^"\\\n]*)"|'(?P<import_single>[^'\\\n]*)')
    | (?<=")(?:[^"\\\n]|\\.)*"
    | (?<=')(?:[^'\\\n]|\\.)*'
  )
"""
_compiled: Optional[re.Pattern[str]] = None


def pattern() -> re.Pattern[str]:
    """Compiled when the first style sheet is read."""
    global _compiled
    if _compiled is None:
        re = library("re")
        _compiled = re.compile(_PATTERN, re.VERBOSE | re.DOTALL)
    return _compiled


def references(path: str, text: str) -> list[Reference]:
    """The references of a style sheet to files of the same site, in the order of its text.

    path: of the style sheet, which relative references start from. Left out: other hosts, data:,
    fragments, names with CSS escapes, and what would lead out of the site.
    """
    found: list[Reference] = []
    lower = text.lower()
    if "url(" not in lower and "@import" not in lower:
        return found
    for match in pattern().finditer(text):
        group = match.lastgroup
        if group is None:
            continue
        start = match.start(group)
        reference = _reference(path, match.group(group), start)
        if reference is not None:
            found.append(reference)
            if len(found) == REFERENCE_COUNT_MAX:
                break
    return found


def _reference(sheet: str, url: str, start: int) -> Optional[Reference]:
    """url: as it is written; start: where it stands."""
    target = url
    for sign in "#?":
        target = target.partition(sign)[0]
    if not target or target.startswith("//") or ":" in target.partition("/")[0]:
        return None
    path = resolve(sheet, target)
    name_start = start + target.rfind("/") + 1
    if path is None or path.endswith("/"):
        return None
    return Reference(name_start, start + len(target), path)


def resolve(base: str, target: str) -> Optional[str]:
    """The decoded path that a reference means (RFC 3986 §5.2.4); None if it leads out of the site
    or cannot be decoded.
    """
    if "%" in target:
        try:
            target = library("urllib.parse").unquote(target, errors="strict")
        except UnicodeDecodeError:
            return None
    whole = target if target.startswith("/") else base[: base.rfind("/") + 1] + target
    parts: list[str] = []
    for part in whole[1:].split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/" + "/".join(parts)


def rewrite(text: str, found: list[Reference], fingerprints: list[str]) -> str:
    """The text with the fingerprints (one for each reference, "" to leave it) put in.

    Only the file's name is changed: a relative reference stays relative, so that a site behind a
    path prefix keeps working.
    """
    pieces = []
    at = 0
    for reference, fingerprint in zip(found, fingerprints):
        if not fingerprint:
            continue
        name = text[reference.start : reference.end]
        pieces += [text[at : reference.start], fingerprinted(f"/{name}", fingerprint)[1:]]
        at = reference.end
    return "".join(pieces) + text[at:]
