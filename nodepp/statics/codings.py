"""What is compressed, by what names it is known, and the cache of what was compressed before.

    key = content_key(body)
    for a body that is_worth() it: Cache.get(key), and what is missing there goes to Compressor.add
    etag(key), etag(key, "br")

Compressing beforehand is another process's work (compressor.py, coder.py); what an application
renders is compressed here, by compress(), quickly.
"""

from __future__ import annotations

import os
import stat
import time
import zlib

from .cachefile import digest, entry_path, is_due, pack, store, unpack
from .coders import CODINGS, coder_id, zstd
from .compressor import Compressor

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    Log = Callable[[int, str], None]

__all__ = ["CODINGS", "Cache", "Compressor", "compress", "content_key", "etag", "is_worth"]

ERR, WAR, INF, DBG = 1, 2, 3, 4


# Names.


def content_key(body: bytes) -> str:
    """32 hex digits that no other content has."""
    return digest(body, 16)


_TAG_SIZE = 22  # hex digits: 88 bits, of which no two in a site will be equal
_TAG_ENDS = {"gzip": "-gz", "br": "-br", "zstd": "-zs"}


def etag(key: str, coding: str = "") -> str:
    """The ETag (without quotes) of a content's identity, or of one of its codings.

    That of a coding changes with the coder, for so may the bytes, and a strong ETag promises the
    same bytes (RFC 9110 §8.8.1): a range of a new one must not be joined to a half of an old one.
    """
    if not coding:
        return key[:_TAG_SIZE]
    return digest((key + coder_id(coding)).encode(), _TAG_SIZE // 2) + _TAG_ENDS[coding]


# What compresses besides text/*, +json, +xml and +text. Left out are types that are compressed
# already (woff2, png, zip, docx, video …), and those whose readers want ranges of the identity
# (pdf, audio).
WORTH = frozenset(
    """
    application/atom+xml application/dart application/ecmascript application/eot application/font
    application/font-sfnt application/graphql application/javascript application/json
    application/json-seq application/json5 application/jsonl application/ld+json
    application/manifest+json application/n-quads application/n-triples application/opentype
    application/otf application/pkcs7-mime application/postscript application/rtf application/sql
    application/toml application/truetype application/ttf application/vnd.apple.mpegurl
    application/vnd.ms-fontobject application/wasm application/x-cgi application/x-font-opentype
    application/x-font-otf application/x-font-truetype application/x-font-ttf
    application/x-httpd-php application/x-javascript application/x-json application/x-latex
    application/x-mpegurl application/x-ndjson application/x-opentype application/x-otf
    application/x-perl application/x-sh application/x-sql application/x-subrip application/x-tex
    application/x-truetype application/x-ttf application/x-web-app-manifest+json
    application/x-yaml application/xhtml+xml application/xml application/xml-dtd application/yaml
    font/collection font/eot font/opentype font/otf font/sfnt font/ttf
    image/bmp image/svg+xml image/vnd.microsoft.icon image/x-bmp image/x-icon image/x-ms-bmp
    image/x-portable-anymap image/x-portable-bitmap image/x-portable-graymap
    image/x-portable-pixmap image/x-xbitmap image/x-xpixmap
    message/rfc822 model/gltf-binary model/mtl model/obj model/stl
    """.split()
)


def is_worth(content_type: str, size: int, threshold: int) -> bool:
    """Whether a body of this type (parameters may follow) and size in bytes is compressed."""
    if size < threshold or size == 0:
        return False
    name = content_type.partition(";")[0].strip().lower()
    return name.startswith("text/") or name.endswith(("+json", "+xml", "+text")) or name in WORTH


# What an application renders: compressed while its client waits.

# Measured with tables in HTML, best of 9 rounds on one processor (µs, and bytes that are left):
#             10 KB          100 KB
#     zstd 1  18   1,910     91   15,716
#     zstd 3  21   1,860    103   14,991
#     gzip 2  24   1,947    376   17,667
#     gzip 3  26   1,865    482   16,138
#     gzip 6  58   1,789  1,323   13,804    (with zlib's own window and tables)
# The others wait meanwhile, so that time counts for more than the last few per cent.
DYNAMIC_ZSTD_LEVEL = 1
DYNAMIC_GZIP_LEVEL = 2
# A window of 16 KB with gzip's head, and tables for that: 80 KB. zlib's default takes 268 KB, which
# are fetched from the system and given back for each page: 50 µs, of 71 for 10 KB, for nothing.
DYNAMIC_GZIP_WINDOW = 16 + 14
DYNAMIC_GZIP_MEMORY = 5

_zstd_coder: Any = None


def compress(coding: str, data: bytes) -> bytes:
    """Rendered text as "zstd" or "gzip". On the engine's thread only: there is one zstd coder, for
    making one takes longer than a page does.

    LookupError: there is no coder for this, and identity must be sent.
    """
    if coding == "gzip":
        coder = zlib.compressobj(
            DYNAMIC_GZIP_LEVEL, zlib.DEFLATED, DYNAMIC_GZIP_WINDOW, DYNAMIC_GZIP_MEMORY)
        return coder.compress(data) + coder.flush()
    global _zstd_coder
    if _zstd_coder is None or coding != "zstd":
        library = zstd()
        if coding != "zstd" or library is None:
            raise LookupError(f"there is no coder for {coding} here")
        _zstd_coder = library.ZstdCompressor(level=DYNAMIC_ZSTD_LEVEL)
    return _zstd_coder.compress(data)  # type: ignore[no-any-return]


# What was compressed before.

DAY_S = 86400


class Cache:
    """The codings of contents, in files of a folder that only this user may write to.

    folder: made when it is not there. "" or one that is not to be trusted: nothing is kept, and
    nothing found; the log says why, once. Several processes may share a folder.

    used: keys whose entries were used, and bear no note of it from the last day; the compressor's
    process sees to them, so that the start of a server writes nothing.
    """

    def __init__(self, folder: str, log: Log) -> None:
        self.folder = ""  # "" while the cache is off
        self.used: list[str] = []
        self._log = log
        self._complained = False
        if folder:
            try:
                self.folder = _open_folder(folder)
            except OSError as exc:
                self._complain(f"{folder}: {exc.strerror or exc}")

    def get(self, key: str) -> dict[str, Optional[bytes]]:
        """The codings that were tried: bytes, or None where it does not save. {}: not known."""
        if not self.folder:
            return {}
        # O_NONBLOCK: a FIFO in an entry's place must not hold the server.
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(entry_path(self.folder, key), flags)
        except OSError:
            return {}
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                return {}
            entry = os.read(descriptor, found.st_size)
        except OSError:
            return {}
        finally:
            os.close(descriptor)
        codings = unpack(key, entry)
        if codings is None:
            return {}
        if time.time() - found.st_mtime > DAY_S:
            self.used.append(key)
        return codings

    def put(self, key: str, codings: dict[str, Optional[bytes]]) -> None:
        """Keeps what was tried, None where it does not save. Never raises."""
        if self.folder:
            try:
                store(self.folder, key, pack(key, codings))
            except OSError as exc:
                self._complain(f"{self.folder} cannot be written: {exc.strerror}")
                self.folder = ""

    def is_due(self) -> bool:
        """Whether the compressor's process has something to do here, were it only tidying up."""
        return bool(self.folder) and (bool(self.used) or is_due(self.folder))

    def _complain(self, reason: str) -> None:
        if not self._complained:
            self._complained = True
            self._log(WAR, f"static: no cache of compressed files: {reason}")


def _open_folder(folder: str) -> str:
    """The folder's real path; made if need be. OSError: it cannot be used, or not be trusted: who
    may write to it could put scripts into our pages."""
    folder = os.path.realpath(folder)
    os.makedirs(folder, 0o700, exist_ok=True)
    _refuse_folder(folder)
    return folder


def why_no_cache(folder: str) -> str:
    """Why a Cache could not be there; "" if it could. Makes nothing."""
    folder = os.path.realpath(folder)
    try:
        if os.path.lexists(folder):
            _refuse_folder(folder)
            return ""
        above = os.path.dirname(folder)
        while not os.path.lexists(above):
            above = os.path.dirname(above)
        if not os.path.isdir(above):
            raise NotADirectoryError(20, "Not a directory")
        if not os.access(above, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as exc:
        return exc.strerror or str(exc)
    return ""


def _refuse_folder(folder: str) -> None:
    found = os.stat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(20, "Not a directory")
    if found.st_uid != os.geteuid():
        raise OSError("it belongs to another user")
    if found.st_mode & 0o022:
        raise OSError("others may write to it")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(13, "Permission denied")
