"""The resources behind the wire cases: fixed bytes, tags and dates; tests/wire/README.md has them.

The same site lies in memory or, with a folder, on disk: every answer has to be the same.
"""

from __future__ import annotations

import hashlib
import os
import pathlib

from nodepp import _core

MODIFIED = 784_111_777           # Sun, 06 Nov 1994 08:49:37 GMT, the date of all RFCs
FUTURE = 7_289_567_377           # Sun, 30 Dec 2200, in a year that no run of this sees
CACHED = {"cache_control": "public, max-age=7776000", "expires_s": 7_776_000}
TEXT = "text/plain; charset=utf-8"

IDENTITY = b"identity identity identity identity identity"
CODINGS = {
    "gzip": (b"gzip gzip gzip gzip", "id-gz"),
    "br": (b"br br br br br br", "id-br"),
    "zstd": (b"zstd zstd zstd", "id-zs"),
}
BIG = b"0123456789abcdef" * 6250                       # 100,000 bytes: sent from where it lies


class Site:
    """hosts() as a Snapshot takes them; everything without codings lies in `folder`, if there is
    one."""

    def __init__(self, folder: pathlib.Path | None = None) -> None:
        self.folder = folder

    def text(self, body: bytes, etag: str, **options) -> _core.Resource:
        options = {"modified": MODIFIED, **CACHED, **options}
        content_type = options.pop("content_type", TEXT)
        if self.folder is None or "codings" in options or not body:
            return _core.Resource(body, content_type, etag=etag, **options)
        path = self.folder / hashlib.sha256(body).hexdigest()
        path.write_bytes(body)
        return _core.Resource(
            None, content_type, etag=etag, path=str(path), size=len(body), **options)

    def coded(self, *names: str) -> _core.Resource:
        """Everything that is kept in these codings has the same identity."""
        codings = {name: CODINGS[name] for name in names}
        return self.text(IDENTITY, "id", varies=True, codings=codings)

    def hosts(self) -> dict[str, dict[str, _core.Resource]]:
        page = self.text(b"<p>page", "page", content_type="text/html; charset=utf-8",
                         cache_control="no-cache", expires_s=-1)
        main = {
            "/ten.txt": self.text(b"0123456789", "ten"),
            "/undated.txt": self.text(b"0123456789", "undated", modified=-1),
            "/future.txt": self.text(b"0123456789", "future", modified=FUTURE),
            "/uncached.txt": self.text(b"0123456789", "un", cache_control="", expires_s=-1),
            "/empty.txt": self.text(b"", "empty"),
            "/big.txt": self.text(BIG, "big"),
            "/coded.txt": self.coded("gzip", "br", "zstd"),
            "/gzip.txt": self.coded("gzip"),
            "/br.txt": self.coded("br"),
            "/not-yet.txt": self.text(IDENTITY, "id", varies=True),
            "/folder/": page,
            "/folder/index.html": page,
            "/a folder/": page,
            "/folder": _core.Resource(None, "", etag="", location="/folder/"),
            "/a folder": _core.Resource(None, "", etag="", location="/a%20folder/"),
            "/echo/file.txt": self.text(b"file", "file"),
            "/form.txt": self.text(b"file", "file"),
            "/caf\u00e9.txt": self.text(b"coffee", "coffee"),
            "/a b+c.txt": self.text(b"blank", "blank"),
            "/50%25.txt": self.text(b"percent", "percent"),
        }
        other = {
            "/ten.txt": self.text(b"other here", "other"),
            "/only.txt": self.text(b"only here", "only"),
        }
        return {"": main, "example.com": other}


def snapshot(folder: pathlib.Path | None = None) -> _core.Snapshot:
    return _core.Snapshot(Site(folder).hosts())


def open_file(resource):
    """What a Host does when a resource on disk is asked for."""
    try:
        descriptor = os.open(resource.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    return resource, _core.File(descriptor)
