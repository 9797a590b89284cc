"""Which files wait for their codings, and what happens when those come."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

    from .codings import Compressor
    from .collection import Statics
    from .entry import Entry

INF = 3

CODED_S = 0.2  # codings that come in within this time are shown together


class Compressing:
    """The compressor of a Statics, and who waits for it."""

    def __init__(self, statics: Statics) -> None:
        self.statics = statics
        self.compressor: Optional[Compressor] = None
        self.is_on = statics.policy.threshold >= 0
        self._waiting: dict[str, set[Entry]] = {}  # content key → entries that get its codings
        self._is_flush_due = False

    def begin(self) -> None:
        """Compresses in the background from now on."""
        engine = self.statics.engine
        if self.is_on and engine is not None:
            self._make().begin(engine)
            self._add_all()

    def run(self) -> None:
        """Waits until everything has all its codings."""
        if self.is_on:
            compressor = self._make()
            self._add_all()
            if compressor.pending:
                self.statics.log(INF, f"static: compressing {compressor.pending:,} files first")
            compressor.run()
            self.statics.flush()

    def end(self) -> None:
        """Ends the compressor."""
        if self.compressor is not None:
            self.compressor.end()
        self.compressor = None
        self._waiting.clear()

    def add(self, entry: Entry) -> None:
        """Queues what the cache did not have of an entry."""
        if not entry.varies or entry.is_tried or entry.sent is None or self.compressor is None:
            return
        self._waiting.setdefault(entry.key, set()).add(entry)
        self.compressor.add(entry.key, entry.sent)

    def remove(self, key: str, entry: Entry) -> None:
        """Nobody sees this content of an entry any more: it waits for nothing, nor keeps memory."""
        entries = self._waiting.get(key)
        if entries is None:
            return
        entries.discard(entry)
        if not entries:
            del self._waiting[key]
            if self.compressor is not None:
                self.compressor.drop(key)

    def _make(self) -> Compressor:
        if self.compressor is None:
            from .codings import Compressor

            self.compressor = Compressor(self.statics.cache, self.statics.log, self._coded)
        return self.compressor

    def _add_all(self) -> None:
        for host in self.statics.hosts.values():
            for entry in host.winners.values():
                self.add(entry)

    def _coded(self, key: str, found: dict[str, Optional[bytes]]) -> None:
        """The compressor is done with one content."""
        for entry in self._waiting.pop(key, ()):
            if entry.key != key:
                continue  # a style sheet that was rewritten meanwhile
            entry.is_tried = True
            if entry.take(found):
                entry.recode()
                for host in self.statics.hosts.values():
                    host.recoded(entry)
        self._flush_soon()

    def _flush_soon(self) -> None:
        engine = self.statics.engine
        if engine is not None and not self._is_flush_due:
            self._is_flush_due = True
            engine.later(CODED_S, self._flush)

    def _flush(self) -> None:
        self._is_flush_due = False
        if self.statics.engine is not None:
            self.statics.flush()
