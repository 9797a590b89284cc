"""What stands before the sessions in their file: 64 KiB, since a mapping begins at a page and the
largest pages of our machines have as many.

    0        what is written once, when the file is made: format, geometry, layout, key; a checksum
    60 KiB   what changes: who uses it, whether it was closed, since which start of the machine

They are apart, so that a page which never reached the disk costs a check of the sessions at most,
and never all of them.
"""

from __future__ import annotations

import sys
import zlib
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

# Raise it when the layout of slots changes (session_t, session_copy_t): test_session_file.py holds
# the sizes that belong to it. A file of a higher one is refused, of a lower one set aside.
FORMAT = 1
FORMAT_MAX = 1000           # what is above was never a format

HEADER_SIZE = 64 * 1024
STATE_OFFSET = 60 * 1024

KEY_SIZE = 32

_MAGIC = b"npp-sess"
_STATE_MAGIC = b"npp-used"
# magic, format, byte order, capacity, data size, region size, layout's size, when it was made, key.
# The layout follows, and a CRC-32 of all.
_FIXED = Struct(f"<8sIIQQQQQ{KEY_SIZE}s")
# magic, clean, process id, boot id; then a CRC-32.
_STATE = Struct("<8sIi40s")
_CHECK = Struct("<I")

LAYOUT_SIZE_MAX = STATE_OFFSET - _FIXED.size - _CHECK.size

_ORDER = 1 if sys.byteorder == "little" else 2


class Damaged(Exception):
    """This is a session file that lost a part. The text says what is wrong with it."""


class Newer(Exception):
    """A later version of nodepp made it. `format` is its."""

    def __init__(self, format: int) -> None:
        super().__init__(format)
        self.format = format


class Header:
    """What is written once. layout: of the declared class, "" for dicts. key: marks our ids."""

    __slots__ = ("capacity", "created", "data_size", "key", "layout", "region_size")

    def __init__(
        self, capacity: int, data_size: int, layout: str, key: bytes, region_size: int,
        created: int = 0,
    ) -> None:  # fmt: skip
        self.capacity, self.data_size, self.layout = capacity, data_size, layout
        self.key, self.region_size, self.created = key, region_size, created

    @property
    def file_size(self) -> int:
        """Bytes of the whole file."""
        return HEADER_SIZE + self.region_size

    def pack(self) -> bytes:
        """For the start of the file."""
        layout = self.layout.encode()
        assert len(layout) <= LAYOUT_SIZE_MAX and len(self.key) == KEY_SIZE
        data = _FIXED.pack(_MAGIC, FORMAT, _ORDER, self.capacity, self.data_size,
                           self.region_size, len(layout), self.created, self.key) + layout
        return data + _CHECK.pack(zlib.crc32(data))

    @classmethod
    def unpack(cls, data: bytes, file_size: int) -> Header:
        """From the first 64 KiB of a file of that size. Damaged or Newer."""
        if len(data) < HEADER_SIZE:
            raise Damaged(f"it has {file_size:,} bytes, less than its head")
        magic, format, order, capacity, data_size, region_size, layout_size, created, key = \
            _FIXED.unpack_from(data)
        if magic != _MAGIC:
            raise Damaged("it does not begin as a session file")
        if FORMAT < format < FORMAT_MAX and order == _ORDER:
            raise Newer(format)                     # its checksum may be elsewhere
        end = _FIXED.size + layout_size
        if layout_size > LAYOUT_SIZE_MAX or \
                _CHECK.unpack_from(data, end)[0] != zlib.crc32(data[:end]):
            raise Damaged("its head is not what was written")
        if format != FORMAT or order != _ORDER:
            raise Damaged("another version of nodepp, or another kind of machine, made it")
        try:
            layout = data[_FIXED.size : end].decode()
        except UnicodeDecodeError:
            raise Damaged("the layout in its head is no text") from None
        header = cls(capacity, data_size, layout, key, region_size, created)
        if file_size != header.file_size:
            raise Damaged(f"it has {file_size:,} bytes instead of {header.file_size:,}")
        return header


class State:
    """Who uses the file. boot: the id of the machine's start, "" if that is not known."""

    __slots__ = ("boot", "is_clean", "pid")

    def __init__(self, is_clean: bool, pid: int, boot: str) -> None:
        self.is_clean, self.pid, self.boot = is_clean, pid, boot

    def pack(self) -> bytes:
        """For STATE_OFFSET."""
        data = _STATE.pack(_STATE_MAGIC, self.is_clean, self.pid, self.boot.encode())
        return data + _CHECK.pack(zlib.crc32(data))

    @classmethod
    def unpack(cls, data: bytes) -> Optional[State]:
        """From the bytes at STATE_OFFSET; None if they are not what was written."""
        size = _STATE.size
        if len(data) < size + _CHECK.size:
            return None
        magic, is_clean, pid, boot = _STATE.unpack_from(data)
        if magic != _STATE_MAGIC or _CHECK.unpack_from(data, size)[0] != zlib.crc32(data[:size]):
            return None
        return cls(is_clean == 1, pid, boot.rstrip(b"\0").decode("ascii", "replace"))


STATE_SIZE = _STATE.size + _CHECK.size


def is_ours(head: bytes) -> bool:
    """Whether a file that begins so (its first 64 KiB) is a session file, empty, or what is left of
    one: a page that never reached the disk is zeros, and one of the two magics stays. Somebody's
    source or database is neither to be moved nor to be written over.
    """
    return head.startswith(_MAGIC) or head[STATE_OFFSET:].startswith(_STATE_MAGIC) \
        or not head.strip(b"\0")


def boot_id() -> str:
    """The id of this start of the machine; "" where there is none (then no unclean file is taken
    on trust).
    """
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read(40).strip()
    except OSError:
        return ""
