"""Sessions, off the path of a request: the file that they survive in, the classes that applications
declare for them, the levels of access, the lists of addresses.

    levels              AuthLevel, and how a level is written in settings
    schema, convert     a declared class as a record; data of one layout as data of another
    table               open_table(): the core's table, in a file or without one
    file, header, disk  the session file: locked, allocated, checked
    restore             what lives in it, also when it was made for other settings
    guard               what becomes of it while it is in use
    addresses, lists    blacklist.txt, whitelist.txt

Sessions themselves (the table, req.session) are the core's. Names are imported when they are first
asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .levels import AuthLevel, parse_level
    from .lists import ListFile
    from .schema import Schema, declare
    from .table import OpenedTable, open_table, timeouts_of

__all__ = [
    "AuthLevel", "ListFile", "OpenedTable", "Schema", "declare", "open_table", "parse_level",
    "timeouts_of",
]  # fmt: skip

_HOMES = {
    "AuthLevel": "levels", "parse_level": "levels",
    "ListFile": "lists",
    "Schema": "schema", "declare": "schema",
    "OpenedTable": "table", "open_table": "table", "timeouts_of": "table",
}  # fmt: skip


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'nodepp.sessions' has no attribute {name!r}")
    value = getattr(__import__(home, globals(), None, (name,), 1), name)
    globals()[name] = value
    return value
