"""The class that an application declares for its sessions, as a record of fixed fields.

    @app.session_data
    class Visitor:
        hits: int = 0
        nick: Annotated[str, 30] = ""       # 30 bytes of UTF-8

becomes a subclass of the core's Session whose fields read and write their place in the record: no
encoding, and no key in any slot. What a session file remembers of the class is its layout, a text.
"""

from __future__ import annotations

from struct import Struct

from ..library import library

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional, Union

    Value = Union[int, float, bool, str, bytes]

FIELDS_COUNT_MAX = 256
RECORD_SIZE_MAX = 64 * 1024         # bytes; both copies of it lie in each slot
NAME_SIZE_MAX = 100                 # bytes of UTF-8: 256 of them fit in the file's header

INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1

# Little endian on every machine, so that a file could move.
_INT, _FLOAT, _LENGTH = Struct("<q"), Struct("<d"), Struct("<H")

KINDS = ("int", "float", "bool", "str", "bytes")
_ZEROS: dict[str, Value] = {"int": 0, "float": 0.0, "bool": False, "str": "", "bytes": b""}

# Fields lie in this order, so that none needs padding: the widest alignment first.
_ALIGNMENTS = {"int": 8, "float": 8, "str": 2, "bytes": 2, "bool": 1}
_SIZES = {"int": 8, "float": 8, "bool": 1}


class Field:
    """A place in the record. size: bytes of the value; of str and bytes the most it may have, after
    two bytes of length.
    """

    __slots__ = ("default", "kind", "name", "offset", "size")

    def __init__(self, name: str, kind: str, size: int, default: Value, offset: int = 0) -> None:
        self.name, self.kind, self.size = name, kind, size
        self.default, self.offset = default, offset

    @property
    def end(self) -> int:
        """The first byte after it."""
        return self.offset + self.size + (2 if self.kind in ("str", "bytes") else 0)

    def read(self, record: bytes) -> Value:
        """Its value. A record that is too short, or text that is none, gives the default."""
        if len(record) < self.end:
            return self.default
        if self.kind == "int":
            return int(_INT.unpack_from(record, self.offset)[0])
        if self.kind == "float":
            return float(_FLOAT.unpack_from(record, self.offset)[0])
        if self.kind == "bool":
            return record[self.offset] != 0
        size = _LENGTH.unpack_from(record, self.offset)[0]
        data = bytes(record[self.offset + 2 : self.offset + 2 + size])
        if size > self.size:
            return self.default
        if self.kind == "bytes":
            return data
        try:
            return data.decode()
        except UnicodeDecodeError:
            return self.default

    def write(self, record: bytearray, value: Value) -> None:
        """Puts a value of its kind that fits, see fitted()."""
        if self.kind == "int":
            _INT.pack_into(record, self.offset, value)
        elif self.kind == "float":
            _FLOAT.pack_into(record, self.offset, value)
        elif self.kind == "bool":
            record[self.offset] = bool(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            assert isinstance(data, bytes) and len(data) <= self.size
            _LENGTH.pack_into(record, self.offset, len(data))
            record[self.offset + 2 : self.offset + 2 + len(data)] = data


class Schema:
    """The fields of a declared class, in its order, and where each lies in the record.

    record: the bytes of the defaults. layout: the text that a session file keeps; two classes with
    the same one can read each other's records. Defaults are no part of it.
    """

    __slots__ = ("fields", "layout", "record", "size")

    def __init__(self, fields: list[Field]) -> None:
        self.fields = fields
        end = 0
        for kinds in (("int", "float"), ("str", "bytes"), ("bool",)):
            for field in fields:
                if field.kind in kinds:
                    end += -end % _ALIGNMENTS[field.kind]
                    field.offset = end
                    end = field.end
        self.size = end + -end % 8
        record = bytearray(self.size)
        for field in fields:
            field.write(record, field.default)
        self.record = bytes(record)
        self.layout = "".join(
            f"{it.name} {it.kind} {it.offset} {it.size}\n" for it in fields) or "-\n"

    @classmethod
    def parse(cls, layout: str) -> Schema:
        """The schema of a layout; its defaults are zeros. ValueError if that is no layout."""
        fields: list[Field] = []
        for line in layout.splitlines():
            if line == "-":
                continue
            name, kind, _, size = line.split(" ")
            if kind not in KINDS:
                raise ValueError(f"no kind of field: {kind!r}")
            width = int(size)
            if not 1 <= width <= RECORD_SIZE_MAX or len(fields) >= FIELDS_COUNT_MAX:
                raise ValueError(f"{name} has {width} bytes, or there are too many fields")
            fields.append(Field(name, kind, width, _ZEROS[kind]))
        schema = cls(fields)
        if schema.layout != layout:
            raise ValueError("this layout is not one of ours")
        return schema


# --- a class --------------------------------------------------------------------------------------


def declare(cls: type) -> type:
    """The subclass of the core's Session for a class of annotated fields; methods and properties
    are kept. TypeError, naming field and class, for what a record cannot hold.

    Its attribute __session_schema__ is the Schema.
    """
    from .._core import Session, SessionField

    if not isinstance(cls, type):
        raise TypeError(f"session_data decorates a class, not {cls!r}")
    hints = _hints_of(cls)
    fields = _fields_of(cls, Session, hints)
    schema = Schema(fields)
    if schema.size > RECORD_SIZE_MAX:
        raise TypeError(
            f"{cls.__name__} needs {schema.size:,} bytes; a session has {RECORD_SIZE_MAX:,} at"
            " most. Keep what is larger elsewhere, and its key in the session.")
    members = _members_of(cls, Session, {field.name for field in fields}, set(hints))
    for index, field in enumerate(fields):
        members[field.name] = SessionField(
            field.name, field.kind, field.offset, field.size, index)
    members["__slots__"] = ()
    members["__annotations__"] = hints          # for tools that list the fields
    members["__session_record__"] = schema.record
    members["__session_schema__"] = schema
    declared = type(cls.__name__, (Session,), members)
    _point_super_at(declared, members)
    return declared


def schema_of(cls: Optional[type]) -> Optional[Schema]:
    """The Schema of a declared class; None for one that is not, whose sessions are dicts."""
    schema: Optional[Schema] = getattr(cls, "__session_schema__", None)
    return schema


def _hints_of(cls: type) -> dict[str, Any]:
    typing = library("typing")
    try:
        hints: dict[str, Any] = typing.get_type_hints(cls, include_extras=True)
    except Exception as error:
        # A name that is not defined, or not at the top level of its module.
        raise TypeError(f"the annotations of {cls.__name__} cannot be read: {error}") from None
    return hints


def _fields_of(cls: type, session: type, hints: dict[str, Any]) -> list[Field]:
    typing = library("typing")
    fields = []
    for name, hint in hints.items():
        if typing.get_origin(hint) is typing.ClassVar or hint is typing.ClassVar:
            continue
        where = f"{cls.__name__}.{name}"
        if hasattr(session, name):
            raise TypeError(f"{where}: every session has a {name!r} already; choose another name")
        if name.startswith("__") or len(name.encode()) > NAME_SIZE_MAX:
            raise TypeError(f"{where}: a field needs another name")
        kind, size = _kind_of(where, hint)
        default = getattr(cls, name, _ZEROS[kind])
        fields.append(Field(name, kind, size, _checked_default(where, kind, size, default)))
    if not fields:
        raise TypeError(f"{cls.__name__} has no fields; write them as  hits: int = 0")
    if len(fields) > FIELDS_COUNT_MAX:
        raise TypeError(f"{cls.__name__} has {len(fields)} fields; {FIELDS_COUNT_MAX} at most")
    return fields


def _kind_of(where: str, hint: Any) -> tuple[str, int]:
    typing = library("typing")
    base = hint
    sizes: list[int] = []
    if hasattr(hint, "__metadata__"):               # Annotated[base, …]
        base = typing.get_args(hint)[0]
        sizes = [it for it in hint.__metadata__ if type(it) is int]
    if base in (int, float, bool):
        kind: str = base.__name__
        return kind, _SIZES[kind]
    if base not in (str, bytes):
        raise TypeError(
            f"{where}: a field is an int, float, bool, Annotated[str, BYTES] or"
            f" Annotated[bytes, BYTES], not {hint!r}")
    if len(sizes) != 1:
        raise TypeError(
            f"{where}: how many bytes? Write Annotated[{base.__name__}, 30], for 30 at most")
    if not 1 <= sizes[0] <= RECORD_SIZE_MAX - 2:
        raise TypeError(f"{where}: its size is 1 to {RECORD_SIZE_MAX - 2:,} bytes, not {sizes[0]}")
    return base.__name__, sizes[0]


def _checked_default(where: str, kind: str, size: int, value: Any) -> Value:
    fits = type(value).__name__ == kind or (kind == "float" and type(value) is int)
    if not fits:
        raise TypeError(f"{where}: its default is {value!r}, which is no {kind}")
    if kind == "int" and not INT_MIN <= value <= INT_MAX:
        raise TypeError(f"{where}: its default has more than 64 bits")
    if kind in ("str", "bytes"):
        length = len(value.encode() if kind == "str" else value)
        if length > size:
            raise TypeError(f"{where}: its default has {length} bytes; {size} at most")
    result: Value = float(value) if kind == "float" else value
    return result


_PLAIN = (int, float, bool, str, bytes, list, dict, set, tuple, type(None))
_DROPPED = {"__dict__", "__weakref__", "__annotations__", "__slots__", "__init_subclass__"}


def _members_of(
    cls: type, session: type, names: set[str], annotated: set[str]
) -> dict[str, Any]:
    """Methods, properties and constants, those of base classes too, which a Session has not.

    names: of the fields; annotated: these, and what is a ClassVar.
    """
    members: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        if base in session.__mro__:
            continue                                # Session: so that type checkers know login()
        for name, value in vars(base).items():
            if name in _DROPPED or name in names or name.startswith("__annot"):
                continue
            if name == "__dataclass_fields__":
                raise TypeError(
                    f"{cls.__name__}: leave @dataclass away, session_data does its work")
            if name in ("__init__", "__new__", "__del__"):
                raise TypeError(f"{cls.__name__} has {name}: sessions are made by the server;"
                                " give the fields defaults, or use on_session_start")
            is_meant = name.startswith("_") or name.isupper() or name in annotated
            if isinstance(value, _PLAIN) and not is_meant:
                raise TypeError(f"{cls.__name__}.{name} = {value!r} has no type; write"
                                f"  {name}: {type(value).__name__} = {value!r}")
            members[name] = value
    return members


def _point_super_at(declared: type, members: dict[str, Any]) -> None:
    """super() and __class__ in methods mean the class that they were written in, by a cell that the
    compiler made; it has to be this class now.
    """
    for member in members.values():
        functions: list[Any] = [member]
        functions += [getattr(member, name, None) for name in ("__func__", "fget", "fset")]
        for function in functions:
            code = getattr(function, "__code__", None)
            if code is not None and "__class__" in code.co_freevars:
                cell = function.__closure__[code.co_freevars.index("__class__")]
                cell.cell_contents = declared
