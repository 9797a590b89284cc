"""A session's data of one layout as data of another: after an upgrade of the application, or when
the settings give a session less room.

Fields of the same name are carried over, the rest take their defaults. Numbers become each other
as Python's int(), float() and bool() make them; numbers become text, and text that is a number one;
text and bytes become each other as UTF-8; text that is too long is cut at a character, but neither
bytes nor numbers are: half a token is useless, half a number wrong.
"""

from __future__ import annotations

from ..library import library
from .schema import INT_MAX, INT_MIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .schema import Field, Schema, Value

NUMBER_LENGTH_MAX = 40  # characters of a text that may be a number; 64 bits have 20
NAMES_SAID_MAX = 8      # field names that the log line has, of each sort


class Converter:
    """From one layout to another; None is a dict in MessagePack.

    lost_count: values that could not be carried over, of fields that both have.
    """

    def __init__(self, old: Optional[Schema], new: Optional[Schema]) -> None:
        self.old, self.new = old, new
        self.lost_count = 0
        self.is_same = (old.layout if old else "") == (new.layout if new else "")
        shared = {it.name: it for it in new.fields} if new else {}
        self._pairs = [(it, shared[it.name]) for it in old.fields if it.name in shared] \
            if old else []

    def convert(self, data: bytes, room: int) -> bytes:
        """The data of a session, in `room` bytes at most. Empty data, which mean that nothing was
        ever written, stay so.
        """
        if not data or (self.is_same and len(data) <= room):
            return data
        if self.new is not None:
            return self._record(data)
        return self._dict(data, room)

    def _record(self, data: bytes) -> bytes:
        assert self.new is not None
        record = bytearray(self.new.record)
        if self.old is not None:
            for source, target in self._pairs:
                self._put(record, target, source.read(data))
        else:
            values = self._unpacked(data)
            for field in self.new.fields:
                if field.name in values:
                    self._put(record, field, values[field.name])
        return bytes(record)

    def _put(self, record: bytearray, field: Field, value: Any) -> None:
        found = fitted(field, value)
        if found is None:
            self.lost_count += 1
        else:
            field.write(record, found)

    def _dict(self, data: bytes, room: int) -> bytes:
        msgspec = library("msgspec")
        if self.old is not None:
            values: dict[str, Any] = {it.name: it.read(data) for it in self.old.fields}
        else:
            values = self._unpacked(data)
        pack = msgspec.msgpack.Encoder().encode
        packed: bytes = pack(values)
        if len(packed) <= room:
            return packed
        # The largest go first: so most of them stay.
        sizes = {name: len(pack(value)) for name, value in values.items()}
        for name in sorted(values, key=lambda name: sizes[name], reverse=True):
            del values[name]
            self.lost_count += 1
            packed = pack(values)
            if len(packed) <= room:
                break
        return packed if values else b""

    def _unpacked(self, data: bytes) -> dict[str, Any]:
        msgspec = library("msgspec")
        try:
            values = msgspec.msgpack.decode(data)
        except (msgspec.DecodeError, RecursionError):
            values = None
        if not isinstance(values, dict):
            self.lost_count += 1
            return {}
        return values

    def text(self) -> str:
        """What happens to the fields, for the log; "" if nothing does."""
        if self.is_same:
            return ""
        if self.old is None and self.new is not None:
            return f"dicts became fields {_listed([it.name for it in self.new.fields])}"
        if self.new is None:
            return "fields became dicts"
        assert self.old is not None
        old = {it.name for it in self.old.fields}
        new = {it.name for it in self.new.fields}
        parts = [("kept", [it.name for it in self.new.fields if it.name in old]),
                 ("new", [it.name for it in self.new.fields if it.name not in old]),
                 ("gone", [it.name for it in self.old.fields if it.name not in new])]
        return "fields " + "; ".join(f"{word}: {_listed(names)}" for word, names in parts if names)


def fitted(field: Field, value: Any) -> Optional[Value]:
    """The value as one of the field's kind that fits; None if there is none."""
    if field.kind in ("int", "float", "bool"):
        return _number(field.kind, value)
    if field.kind == "bytes":
        data = value.encode() if isinstance(value, str) else value
        return data if isinstance(data, bytes) and len(data) <= field.size else None
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError:
            return None
    elif type(value) in (int, float):       # no bool: "True" is a word of Python's
        value = str(value)
        return value if len(value) <= field.size else None
    return _cut(value, field.size) if isinstance(value, str) else None


def _number(kind: str, value: Any) -> Optional[Value]:
    if kind == "bool":
        return bool(value) if isinstance(value, (int, float)) else None
    if not isinstance(value, (int, float)) and not (
        isinstance(value, str) and len(value) <= NUMBER_LENGTH_MAX
    ):
        return None
    try:
        if kind == "float":
            return float(value)
        number = int(value)
    except (ValueError, OverflowError):     # no number, infinite, an integer beyond all floats
        return None
    return number if INT_MIN <= number <= INT_MAX else None


def _cut(text: str, size: int) -> Optional[str]:
    """The text in so many bytes of UTF-8."""
    try:
        return text.encode()[:size].decode("utf-8", "ignore")
    except UnicodeEncodeError:              # a lone surrogate
        return None


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMES_SAID_MAX} more" if len(names) > NAMES_SAID_MAX else ""
    return ", ".join(names[:NAMES_SAID_MAX]) + more
