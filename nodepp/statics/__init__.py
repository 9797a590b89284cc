"""The public files: folders read into memory at start, minified, compressed, named by fingerprint,
and read again when they change.

    tree, media, minify, fingerprint    one matter each, on paths and bytes
    reading, entry, root, host          a file, what is made of it, a folder, what wins at a path
    declared, roots                     what the application adds: app.serve and the like
    collection                          class Statics, all of it together; refresh, slices, disk,
                                        asset
    codings, coder, watch               compressing, and noticing changes
    report                              the banner's line, --print-statics

Names are imported when they are first asked for.
"""

from __future__ import annotations

import enum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .collection import Statics
    from .media import media_type
    from .options import Options

__all__ = ["FileFlags", "Options", "Statics", "media_type"]

_HOMES = {"Options": "options", "Statics": "collection", "media_type": "media"}


class FileFlags(enum.IntFlag):
    """How app.serve() serves a folder; bits that can be joined with |."""

    INDEX = 1  # index.html stands for its folder
    MINIFY = 2  # CSS and JavaScript are minified, as in resmin/


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'nodepp.statics' has no attribute {name!r}")
    value = getattr(__import__(home, globals(), None, (name,), 1), name)
    globals()[name] = value
    return value
