"""One file as it is served: its bytes, its names, and the Resources made of it."""

from __future__ import annotations

from .coders import CODINGS, coder_id
from .codings import etag, is_worth
from .fingerprint import FINGERPRINT_SIZE, fingerprinted, has_own_hash, references, rewrite
from .media import media_type
from .minify import is_finished
from .tree import disk_etag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from .codings import Cache
    from .fingerprint import Reference

YEAR_S = 365 * 24 * 3600  # RFC 9111 has no upper bound; caches take a year for "for ever"
# Pages are asked for each time: they name the others by fingerprint, and so must never be stale.
PAGES = ("text/html", "application/xhtml+xml")


class Policy:
    """What the settings say about files: how long they are kept, what is compressed.

    expires_s: how long browsers may keep what is no page. threshold: bytes below which nothing is
    compressed; -1, nothing ever is. make: nodepp._core.Resource.
    """

    def __init__(
        self, make: Any, expires_s: int, threshold: int, cache: Optional[Cache] = None
    ) -> None:
        self.make = make
        self.expires_s = expires_s
        self.threshold = threshold
        self.cache = cache

    def caching(self, content_type: str, is_for_ever: bool) -> tuple[str, int]:
        """(Cache-Control, seconds to Expires, -1 for none)."""
        if content_type.startswith(PAGES):
            return "no-cache", -1
        if is_for_ever:
            return f"public, max-age={YEAR_S}, immutable", YEAR_S
        if not self.expires_s:
            return "no-cache", -1
        return f"public, max-age={self.expires_s}", self.expires_s

    def compresses(self, content_type: str, size: int) -> bool:
        """Whether a file of this type and size is to have codings."""
        return self.threshold >= 0 and is_worth(content_type, size, self.threshold)


class Entry:
    """One file at one path, in one version. What was read never changes; what is sent does, for a
    style sheet, when a file changes that it refers to.
    """

    __slots__ = (
        "body", "coded", "content_type", "file", "fingerprints", "is_racy", "is_tried", "key",
        "modified", "name", "named", "path", "plain", "read_modified", "references", "sent",
        "signature", "varies",
    )  # fmt: skip

    def __init__(
        self,
        path: str,
        file: str,
        body: Optional[bytes],
        signature: tuple[int, int, int, int],
        modified: int,
        content_type: str = "",
    ) -> None:
        self.path = path  # decoded, with its leading slash
        self.file = file  # absolute; "" for a generated one
        self.body = body  # as read, minified; None: it stays on disk
        self.sent = body  # what a client gets
        self.signature = signature
        self.content_type = content_type or media_type(path)
        self.read_modified = modified  # seconds since 1970; -1: none
        self.modified = modified
        self.references: list[Reference] = []
        self.fingerprints: Optional[list[str]] = None  # that the references were given
        self.key = ""  # of the content that is sent
        self.name = ""  # the fingerprinted path; "" if there is none
        self.coded: dict[str, tuple[bytes, str]] = {}
        self.varies = False  # it has codings, or may get some
        self.is_racy = False  # a write after the reading could bear the same date
        self.is_tried = False  # all codings were tried
        self.plain: Any = None  # Resource
        self.named: Any = None
        if body is not None and self.content_type.startswith("text/css"):
            self._find_references(body)

    def _find_references(self, body: bytes) -> None:
        # A name with a hash says what is in it, and must not be given other bytes.
        if is_finished(self.path, body) or has_own_hash(self.path):
            return
        try:
            self.references = references(self.path, body.decode())
        except UnicodeDecodeError:
            pass  # another charset: served as it is

    @property
    def is_on_disk(self) -> bool:
        """Whether its bytes are not in memory."""
        return self.body is None

    @property
    def fingerprint(self) -> str:
        """What stands in the fingerprinted path, "" where there is none."""
        return self.key[:FINGERPRINT_SIZE] if self.name else ""

    def rewrite(self, fingerprints: list[str], modified: int) -> None:
        """Gives the references their fingerprints. A new key and make() must follow."""
        assert self.body is not None
        self.fingerprints = fingerprints
        self.modified = max(self.read_modified, modified)
        if any(fingerprints):
            self.sent = rewrite(self.body.decode(), self.references, fingerprints).encode()
        else:
            self.sent = self.body

    def make(self, key: str, policy: Policy, before: Optional[Entry] = None) -> None:
        """Makes the Resources, with the codings that the cache has.

        key: content_key() of what is sent; for a file on disk, anything that changes with it.
        before: the version before, of which a file that was only touched takes the codings.
        """
        self.key = key
        is_page = self.content_type.startswith(PAGES)
        has_hash = has_own_hash(self.path)
        self.name = "" if is_page or has_hash else fingerprinted(self.path, self.fingerprint_of())
        self.coded = {}
        self.is_tried = False
        self.varies = self.sent is not None and policy.compresses(self.content_type, len(self.sent))
        if self.varies and before is not None and before.key == key and before.coded:
            self.coded, self.is_tried = before.coded, before.is_tried
        elif self.varies and policy.cache is not None:
            found = policy.cache.get(key)
            self.take(found)
            # A coder that is not installed will not be tried.
            self.is_tried = all(coding in found or not coder_id(coding) for coding in CODINGS)
        self.plain = self._resource(policy, has_hash)
        self.named = self._resource(policy, True) if self.name else None

    def fingerprint_of(self) -> str:
        """The part of the key that goes into the name."""
        return self.key[:FINGERPRINT_SIZE]

    def _resource(self, policy: Policy, is_for_ever: bool) -> Any:
        cache_control, expires_s = policy.caching(self.content_type, is_for_ever)
        is_on_disk = self.sent is None
        return policy.make(
            self.sent,
            self.content_type,
            etag=disk_etag(self.signature) if is_on_disk else etag(self.key),
            modified=self.modified,
            cache_control=cache_control,
            expires_s=expires_s,
            varies=self.varies,
            codings=self.coded,
            path=self.file if is_on_disk else "",
            size=self.signature[1] if is_on_disk else 0,
        )

    def take(self, found: dict[str, Optional[bytes]]) -> bool:
        """Keeps codings that the cache or the compressor gives; whether any is new."""
        new = {
            coding: (data, etag(self.key, coding))
            for coding, data in found.items()
            if data is not None and coding in CODINGS and coding not in self.coded
        }
        self.coded.update(new)
        return bool(new)

    def recode(self) -> None:
        """Makes the Resources again, with what take() brought."""
        self.plain = self.plain.with_codings(self.coded)
        if self.named is not None:
            self.named = self.named.with_codings(self.coded)

    @property
    def memory(self) -> int:
        """Bytes that it holds, codings included."""
        return len(self.sent or b"") + sum(len(data) for data, _ in self.coded.values())
