"""Entries of the cache of codings: one file each, named by the content that they were made from.

The same bytes come out of the process that makes them (coder.py). A file that is damaged, cut off,
of another version or of other coders is as good as none.
"""

from __future__ import annotations

import os
import time
import zlib
from struct import Struct

try:
    from _blake2 import blake2b  # hashlib loads OpenSSL as well: 8 ms
except ImportError:
    from hashlib import blake2b

from .coders import CODINGS, coder_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

# magic, key; of each coding: hash of the coder's id, size, CRC-32; then a CRC-32 of all this. The
# bodies follow.
_HEAD = Struct("<8s16s" + "8sqI" * len(CODINGS))
_HEAD_CHECK = Struct("<I")
HEAD_SIZE = _HEAD.size + _HEAD_CHECK.size
_MAGIC = b"npp-cod1"
_NOT_WORTH, _NOT_TRIED = -1, -2  # instead of a size


def digest(data: bytes, size: int) -> str:
    """So many bytes of a hash, in hex."""
    return blake2b(data, digest_size=size).hexdigest()


def _hash_id(coding: str) -> bytes:
    found = _id_hashes.get(coding)
    if found is None:
        found = bytes.fromhex(digest(coder_id(coding).encode(), 8))
        _id_hashes[coding] = found
    return found


_id_hashes: dict[str, bytes] = {}


def pack(key: str, codings: dict[str, Optional[bytes]]) -> bytes:
    """An entry. codings: what was tried; None where it does not save."""
    fields: list[object] = []
    bodies = []
    for coding in CODINGS:
        body = codings.get(coding)
        tried = coding in codings and coder_id(coding) != ""
        size = _NOT_TRIED if not tried else _NOT_WORTH if body is None else len(body)
        fields += (_hash_id(coding), size, zlib.crc32(body or b""))
        if body is not None and tried:
            bodies.append(body)
    head = _HEAD.pack(_MAGIC, bytes.fromhex(key), *fields)
    return b"".join((head, _HEAD_CHECK.pack(zlib.crc32(head)), *bodies))


def unpack(key: str, entry: bytes | memoryview) -> Optional[dict[str, Optional[bytes]]]:
    """The codings that were tried by the coders that are here now; None if this is not a whole and
    undamaged entry of that key.

    A coding whose library is missing here counts as tried and not worth it.
    """
    if len(entry) < HEAD_SIZE or entry[:8] != _MAGIC:
        return None
    head = entry[: _HEAD.size]
    if _HEAD_CHECK.unpack_from(entry, _HEAD.size)[0] != zlib.crc32(head):
        return None
    fields = _HEAD.unpack(head)
    bodies = memoryview(entry)  # so that each is copied once: entries may have megabytes
    if fields[1].hex() != key:
        return None
    found: dict[str, Optional[bytes]] = {}
    end = HEAD_SIZE
    for index, coding in enumerate(CODINGS):
        coder, size, check = fields[2 + 3 * index : 5 + 3 * index]
        start = end
        end += max(size, 0)
        if not coder_id(coding):
            found[coding] = None
        elif coder == _hash_id(coding) and size != _NOT_TRIED:
            body = None if size == _NOT_WORTH else bytes(bodies[start:end])
            if body is not None and (len(body) != size or zlib.crc32(body) != check):
                return None
            found[coding] = body
    return found if end == len(entry) else None


def entry_path(folder: str, key: str) -> str:
    """In 256 folders: some file systems are slow with folders of many thousand files."""
    return f"{folder}/{key[:2]}/{key}"


def store(folder: str, key: str, entry: bytes) -> None:
    """Writes an entry: to another name, renamed when it is whole, so that nobody ever reads half of
    one. OSError."""
    path = entry_path(folder, key)
    other = f"{path}.{os.getpid()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    try:
        descriptor = os.open(other, flags, 0o600)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        descriptor = os.open(other, flags, 0o600)
    except FileExistsError:  # left over by one that had our number, and died
        os.unlink(other)
        descriptor = os.open(other, flags, 0o600)
    try:
        try:
            rest = memoryview(entry)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        finally:
            os.close(descriptor)
        os.rename(other, path)
    except BaseException:
        os.unlink(other)
        raise


# Keeping the cache small.

DAY_S = 86400
UNUSED_S_MAX = 90 * DAY_S  # as long as a browser keeps a file, by default
CACHE_SIZE_MAX = 1 << 30  # bytes; past it the oldest go, down to nine tenths
TEMPORARY_S_MAX = 3600  # no entry takes that long to write
STAMP = "tended"  # the file whose date says when this was last done


def tend(folder: str) -> None:
    """Removes entries that nobody used for 90 days, and the longest unused ones above 1 GiB.
    OSError."""
    now = time.time()
    entries = []
    for sub in _scan(folder):
        if len(sub.name) == 2 and sub.is_dir(follow_symlinks=False):
            for file in _scan(sub.path):
                try:
                    found = file.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                age_s = now - found.st_mtime
                limit_s = TEMPORARY_S_MAX if file.name.endswith(".tmp") else UNUSED_S_MAX
                if age_s > limit_s:
                    _remove(file.path)
                else:
                    entries.append((found.st_mtime, found.st_size, file.path))
    total = sum(size for _, size, _ in entries)
    if total > CACHE_SIZE_MAX:
        for _, size, path in sorted(entries):
            _remove(path)
            total -= size
            if total <= CACHE_SIZE_MAX * 9 // 10:
                break
    stamp = os.open(f"{folder}/{STAMP}", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.close(stamp)
    os.utime(f"{folder}/{STAMP}")


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:  # another process tidies up too
        pass


def is_due(folder: str) -> bool:
    """Whether the cache was not tended for a day."""
    try:
        return not 0 <= time.time() - os.stat(f"{folder}/{STAMP}").st_mtime <= DAY_S
    except OSError:
        return True


def _scan(folder: str) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return list(found)
