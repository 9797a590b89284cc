"""Markdown is rendered by a process of its own while the server runs: 1.5 to 3.5 ms for each KiB of
text would be time in which nobody gets an answer.

One process for all texts that have changed meanwhile. It reads them from a file in memory, so that
nobody waits for a full pipe, and writes the pages into a pipe that the engine reads.

    in     size | the server's path, split by NUL; then for each text: size | text
    out    for each text: size | page, size | why there is none, or ""

size is 8 bytes, little-endian; texts are UTF-8.
"""

from __future__ import annotations

import os
import sys

from . import forks
from .library import library, path_without_application

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Union

    Place = tuple[str, str]  # host, name of the snippet
    Done = Callable[[Place, bytes, str], None]
    Log = Callable[[int, str], None]

ERR, WAR = 1, 2

# For one process, in real time. A MiB takes 2 to 4 s when nobody else wants the processor; what
# takes longer is a text that the renderer cannot cope with. Past it: killed, the old pages stay.
RENDER_S_MAX = 120.0
SOON_S = 0.001  # when this turn is over
NICENESS = 5  # answers come first

# -I -S -B as for the process that compresses (statics/compressor.py).
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from nodepp.rendering import main; main()")
_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class Renderer:
    """The texts that wait to be rendered, and the process that does it, seen from the engine.

    done(place, page, problem) is called on the engine's thread for each text that was added last
    for its place; problem: why there is no page, or "".
    """

    def __init__(self, engine: Any, log: Log, done: Done) -> None:
        self.engine = engine
        self.log = log
        self.done = done
        self._is_short = False  # no process could be had, which has been said
        self._waiting: dict[Place, bytes] = {}
        self._batch: list[Place] = []  # what the process has
        self._process = -1
        self._owner = 0  # the process that started it
        self._source = -1
        self._in = bytearray()
        self._batch_count = 0

    def add(self, place: Place, text: bytes) -> None:
        """Renders a text soon; the one that waited for the same place is dropped."""
        self._waiting[place] = text
        if self._process < 0:
            self._start()

    def end(self) -> None:
        """Ends the process, and forgets what waits."""
        self._waiting.clear()
        if self._process >= 0 and self._owner == os.getpid():
            self._reap(kill=True)

    def _start(self) -> None:
        texts, self._waiting = self._waiting, {}
        try:
            self._process, self._source = _spawn([_paths(), *texts.values()])
        except (OSError, AttributeError) as exc:  # no processes left, or no posix_spawn: then here
            if not self._is_short:
                self.log(ERR, f"snippets: no process to render Markdown: {exc}. The server does it"
                              " until there is one, and answers wait meanwhile")
            self._is_short = True
            # Not at once: whoever adds a text has not taken note of it yet.
            self.engine.later(SOON_S, lambda: self._render_here(texts))
            return
        self._owner = os.getpid()
        forks.own(self._source)
        if self._is_short:
            self._is_short = False
            self.log(WAR, "snippets: a process renders Markdown again")
        self._batch = list(texts)
        self._batch_count += 1
        number = self._batch_count
        self.engine.add_reader(self._source, self._readable)
        self.engine.later(RENDER_S_MAX, lambda: self._expire(number))

    def _render_here(self, texts: dict[Place, bytes]) -> None:
        from .snippets import rendered

        for place, text in texts.items():
            if place not in self._waiting:
                self.done(place, *rendered(text.decode()))

    def _readable(self) -> None:
        """Takes what came; at the end hands it over."""
        try:
            data = os.read(self._source, 1 << 18)
        except BlockingIOError:
            return
        if data:
            self._in += data
            return
        records = unpacked(bytes(self._in))
        batch = self._batch
        self._reap(kill=False)
        for index, place in enumerate(batch):
            if len(records) < 2 * index + 2:
                self.log(ERR, "snippets: the process that renders Markdown died; as they were:"
                              f" {' '.join(name for _, name in batch[index:])}")
                break
            if place not in self._waiting:  # else it has changed again
                self.done(place, records[2 * index], records[2 * index + 1].decode())
        if self._waiting and self._process < 0:
            self._start()

    def _expire(self, number: int) -> None:
        if self._process >= 0 and self._batch_count == number:
            try:
                os.kill(self._process, 9)  # the end of its pipe does the rest
            except ProcessLookupError:
                pass

    def _reap(self, kill: bool) -> None:
        self.engine.remove_reader(self._source)
        forks.close(self._source)
        try:
            if kill:
                os.kill(self._process, 9)
            os.waitpid(self._process, 0)
        except (ChildProcessError, ProcessLookupError):
            pass  # an application that waits for all its children was quicker
        self._process = self._source = -1
        self._in = bytearray()
        self._batch = []


def _paths() -> bytes:
    return "\0".join(path_without_application()).encode("utf-8", "surrogateescape")


def _spawn(records: list[bytes]) -> tuple[int, int]:
    """Starts main(): its process id, and the descriptor that its answers are read from."""
    if not sys.executable:
        raise OSError(2, "nobody knows where the interpreter is")
    texts = _file_of(packed(records))
    try:
        source, sink = os.pipe()
        try:
            os.set_blocking(source, False)
            words = [sys.executable, "-I", "-S", "-B", "-c", _PROGRAM, _HOME]
            process = os.posix_spawn(
                sys.executable, words, os.environ,
                file_actions=[(os.POSIX_SPAWN_DUP2, texts, 0), (os.POSIX_SPAWN_DUP2, sink, 1)],
                setpgroup=0, setsigmask=[])
        except BaseException:
            os.close(source)
            raise
        finally:
            os.close(sink)
    finally:
        os.close(texts)
    return process, source


def _file_of(data: bytes) -> int:
    """A descriptor that reads data from the beginning."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("nodepp snippets")
    else:
        descriptor, name = library("tempfile").mkstemp()
        os.unlink(name)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def packed(records: list[bytes]) -> bytes:
    """size | record, for each."""
    return b"".join(len(record).to_bytes(8, "little") + record for record in records)


def unpacked(data: Union[bytes, memoryview]) -> list[bytes]:
    """The records, as far as they are whole."""
    records = []
    at = 0
    while len(data) - at >= 8:
        size = int.from_bytes(data[at : at + 8], "little")
        if len(data) - at - 8 < size:
            break
        records.append(bytes(data[at + 8 : at + 8 + size]))
        at += 8 + size
    return records


def main() -> None:
    """The process: renders what it is given, and leaves."""
    with open(0, "rb", closefd=False) as source:
        paths, *texts = unpacked(source.read())
    sys.path[:] = paths.decode("utf-8", "surrogateescape").split("\0")
    os.nice(NICENESS)
    from .snippets import rendered

    with open(1, "wb", closefd=False) as sink:
        for text in texts:
            page, problem = rendered(text.decode())
            sink.write(packed([page, problem.encode()]))
            sink.flush()
    os._exit(0)  # there is nothing to tidy up, and the server waits for the end
