"""The public files: res/ as it is, resmin/ with its CSS and JavaScript minified, read into memory
at start.

What load() gives goes to _core.Router.add_static: the path a client asks for (decoded), the body,
its media type, and ready-made field lines. Runs once, before the first request.

Served: regular files, a folder's index.html also under the folder's own path. Not served: what
begins with a dot (but for .well-known, RFC 8615), and links that lead out of the folder.
"""

from __future__ import annotations

import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Callable

    Static = tuple[str, bytes, str, bytes]  # path, body, content type, further field lines
    Log = Callable[[int, str], None]

ERR, WAR, INF, DBG = 1, 2, 3, 4

INDEX = "index.html"
VISIBLE_HIDDEN = (".well-known",)  # RFC 8615: certificates and applications are looked for there
DEPTH_MAX = 32  # folders within folders; deeper ones are not read, which is logged
# Seconds a browser may use a file without asking. An hour, not Node++'s 90 days: names do not carry
# a version yet, and a visitor must not keep yesterday's script beside today's page for a season.
# Pages themselves are asked for each time.
MAX_AGE_S = 3600


def load(
    res: str | None, resmin: str | None = None, log: Log | None = None, size_warning: int = 1 << 24
) -> list[Static]:
    """Reads both folders. A file that is in both is taken from res, which is logged.

    res, resmin: folders; None or one that is not there gives nothing.
    log: log(level, message); None uses the process's log.
    size_warning: bytes; a larger file is named in a warning, for it will stay in memory.
    """
    if log is None:
        from ..log import write

        log = write
    found: dict[str, Static] = {}
    for folder, minified in ((res, False), (resmin, True)):
        if not folder or not os.path.isdir(folder):
            continue
        for path, file in walk(folder, log):
            static = read(path, file, minified, log, size_warning)
            if static is None:
                continue
            if path in found:
                log(WAR, f"static: {file} is hidden by a file of the same name in {res}")
                continue
            found[path] = static
    return [*found.values(), *indexes(found)]


def indexes(found: dict[str, Static]) -> Iterator[Static]:
    """The index pages once more, by the paths of their folders: /docs/index.html as /docs/ too."""
    for path, static in found.items():
        folder, _, name = path.rpartition("/")
        if name == INDEX:
            yield (f"{folder}/", *static[1:])


def walk(folder: str, log: Log) -> Iterator[tuple[str, str]]:
    """(path, file name) of everything that may be served, in alphabetical order."""
    root = os.path.realpath(folder)
    yield from _walk(root, root, "", log, 0)


def _walk(root: str, folder: str, prefix: str, log: Log, depth: int) -> Iterator[tuple[str, str]]:
    if depth > DEPTH_MAX:
        log(WAR, f"static: {folder} is more than {DEPTH_MAX} folders deep: not read")
        return
    try:
        names = sorted(os.listdir(folder))
    except OSError as exc:
        log(ERR, f"static: cannot read {folder}: {exc.strerror}")
        return
    for name in names:
        if name.startswith(".") and name not in VISIBLE_HIDDEN:
            continue
        file = os.path.join(folder, name)
        if not is_within(root, file):
            log(WAR, f"static: {file} leads out of {root}: not served")
            continue
        if not is_text(name):
            log(WAR, f"static: {file!r} has a name that is not UTF-8: not served")
            continue
        try:
            mode = os.stat(file).st_mode
        except OSError as exc:
            log(WAR, f"static: cannot read {file}: {exc.strerror}")
            continue
        if stat.S_ISDIR(mode):
            yield from _walk(root, file, f"{prefix}/{name}", log, depth + 1)
        elif stat.S_ISREG(mode):
            yield f"{prefix}/{name}", file


def is_within(root: str, file: str) -> bool:
    """Whether a file, all its links followed, lies below the folder root (itself a real path)."""
    real = os.path.realpath(file)
    return real.startswith(root.rstrip("/") + "/")


def is_text(name: str) -> bool:
    """Whether a name could be decoded: os.listdir gives surrogates for bytes that are no UTF-8."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def read(path: str, file: str, minified: bool, log: Log, size_warning: int) -> Static | None:
    """One file as it will be served, None (and a line in the log) if it cannot be read."""
    try:
        with open(file, "rb") as stream:
            body = stream.read()
            modified = os.fstat(stream.fileno()).st_mtime
    except OSError as exc:
        log(ERR, f"static: cannot read {file}: {exc.strerror}")
        return None
    if len(body) > size_warning:
        log(WAR, f"static: {file} takes {len(body) >> 20} MiB of memory")
    if minified:
        body = minify(path, file, body, log)
    content_type = media_type(path)
    return path, body, content_type, field_lines(modified, content_type)


def field_lines(modified: float, content_type: str) -> bytes:
    """Last-Modified and Cache-Control, each ending CRLF. modified: seconds since 1970."""
    cache = "no-cache" if content_type.startswith("text/html") else f"public, max-age={MAX_AGE_S}"
    return f"Last-Modified: {http_date(modified)}\r\nCache-Control: {cache}\r\n".encode("ascii")


DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(moment: float) -> str:
    """An IMF-fixdate (RFC 9110 §5.6.7) for seconds since 1970. strftime would speak the language of
    the locale.

    A file dated in the future (or before 1970) gets the present: RFC 9110 §8.8.2.1 forbids a
    Last-Modified after Date.
    """
    now = time.time()
    utc = time.gmtime(moment if 0 <= moment <= now else now)
    return (
        f"{DAYS[utc.tm_wday]}, {utc.tm_mday:02d} {MONTHS[utc.tm_mon - 1]} {utc.tm_year:04d}"
        f" {utc.tm_hour:02d}:{utc.tm_min:02d}:{utc.tm_sec:02d} GMT"
    )


# Minifying.


def minify(path: str, file: str, body: bytes, log: Log) -> bytes:
    """CSS and JavaScript without blanks and comments; anything else, and what is minified already,
    as it is.

    When the minifier is missing, fails, or makes nothing of something, the original is served and
    the log says why.
    """
    stem, dot, extension = path.rpartition(".")
    if not dot or extension.lower() not in ("css", "js", "mjs") or stem.endswith((".min", "-min")):
        return body
    try:
        text = body.decode("utf-8-sig")
        small = _minifier(extension.lower())(text)
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
        import rcssmin

        minifier: Callable[[str], object] = rcssmin.cssmin
    else:
        import rjsmin

        minifier = rjsmin.jsmin
    return minifier


# Media types.

# By extension. The mimetypes module reads files of the machine, so that the same site would differ
# from one to the next. Names are those of the IANA registry and of the WHATWG MIME Sniffing
# standard where browsers expect another.
TEXT_TYPES = {
    "appcache": "text/cache-manifest",
    "atom": "application/atom+xml",
    "conf": "text/plain",
    "css": "text/css",
    "csv": "text/csv",
    "geojson": "application/geo+json",
    "gpx": "application/gpx+xml",
    "htm": "text/html",
    "html": "text/html",
    "ics": "text/calendar",
    "ini": "text/plain",
    "js": "text/javascript",  # RFC 9239
    "json": "application/json",
    "json5": "application/json5",
    "jsonld": "application/ld+json",
    "kml": "application/vnd.google-earth.kml+xml",
    "log": "text/plain",
    "m3u8": "application/vnd.apple.mpegurl",
    "map": "application/json",
    "markdown": "text/markdown",
    "md": "text/markdown",
    "mjs": "text/javascript",
    "mpd": "application/dash+xml",
    "opml": "text/x-opml",
    "rdf": "application/rdf+xml",
    "rss": "application/rss+xml",
    "rst": "text/x-rst",
    "rtf": "application/rtf",
    "shtml": "text/html",
    "srt": "application/x-subrip",
    "svg": "image/svg+xml",
    "toml": "application/toml",
    "topojson": "application/json",
    "ts": "text/x-typescript",
    "tsv": "text/tab-separated-values",
    "txt": "text/plain",
    "vcard": "text/vcard",
    "vcf": "text/vcard",
    "vtt": "text/vtt",
    "webmanifest": "application/manifest+json",
    "xhtml": "application/xhtml+xml",
    "xml": "application/xml",
    "xsd": "application/xml",
    "xsl": "application/xslt+xml",
    "xslt": "application/xslt+xml",
    "yaml": "application/yaml",
    "yml": "application/yaml",
}

BINARY_TYPES = {
    "3gp": "video/3gpp",
    "7z": "application/x-7z-compressed",
    "aac": "audio/aac",
    "aif": "audio/aiff",
    "aiff": "audio/aiff",
    "apk": "application/vnd.android.package-archive",
    "apng": "image/apng",
    "avi": "video/x-msvideo",
    "avif": "image/avif",
    "bmp": "image/bmp",
    "br": "application/octet-stream",
    "bz2": "application/x-bzip2",
    "cur": "image/x-icon",
    "deb": "application/vnd.debian.binary-package",
    "dmg": "application/x-apple-diskimage",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "eot": "application/vnd.ms-fontobject",
    "epub": "application/epub+zip",
    "exe": "application/vnd.microsoft.portable-executable",
    "flac": "audio/flac",
    "gif": "image/gif",
    "glb": "model/gltf-binary",
    "gltf": "model/gltf+json",
    "gz": "application/gzip",
    "heic": "image/heic",
    "heif": "image/heif",
    "ico": "image/x-icon",
    "iso": "application/x-iso9660-image",
    "jar": "application/java-archive",
    "jfif": "image/jpeg",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "jxl": "image/jxl",
    "kmz": "application/vnd.google-earth.kmz",
    "m4a": "audio/mp4",
    "m4s": "video/iso.segment",
    "m4v": "video/mp4",
    "mid": "audio/midi",
    "midi": "audio/midi",
    "mkv": "video/x-matroska",
    "mov": "video/quicktime",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "mpeg": "video/mpeg",
    "mpg": "video/mpeg",
    "msi": "application/x-msi",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "ogv": "video/ogg",
    "opus": "audio/ogg",
    "otf": "font/otf",
    "pbf": "application/x-protobuf",
    "pdf": "application/pdf",
    "png": "image/png",
    "ppt": "application/vnd.ms-powerpoint",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "ps": "application/postscript",
    "psd": "image/vnd.adobe.photoshop",
    "rar": "application/vnd.rar",
    "rpm": "application/x-rpm",
    "stl": "model/stl",
    "swf": "application/vnd.adobe.flash.movie",
    "tar": "application/x-tar",
    "tgz": "application/gzip",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "ttc": "font/collection",
    "ttf": "font/ttf",
    "usdz": "model/vnd.usdz+zip",
    "wasm": "application/wasm",
    "wav": "audio/wav",
    "weba": "audio/webm",
    "webm": "video/webm",
    "webp": "image/webp",
    "whl": "application/zip",
    "woff": "font/woff",
    "woff2": "font/woff2",
    "xls": "application/vnd.ms-excel",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "xz": "application/x-xz",
    "zip": "application/zip",
    "zst": "application/zstd",
}

# JSON is UTF-8 by definition and has no charset parameter (RFC 8259 §11).
WITHOUT_CHARSET = ("application/json", "application/rtf")


def media_type(name: str) -> str:
    """The Content-Type for a file name or path, charset included; application/octet-stream when it
    is not known.
    """
    stem, dot, extension = name.rpartition("/")[2].rpartition(".")
    if not dot or not stem:
        return "application/octet-stream"
    extension = extension.lower()
    text = TEXT_TYPES.get(extension)
    if text is None:
        return BINARY_TYPES.get(extension, "application/octet-stream")
    if text in WITHOUT_CHARSET or text.endswith("+json"):
        return text
    return f"{text}; charset=utf-8"
