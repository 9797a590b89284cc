"""The error log: one line a message, to stderr, stdout or a file that can be reopened.

Imports streams.py and sink.py, and nothing that takes long to import (Python's own logging takes
6 ms). Levels are Node++'s: 0 always, 1 errors, 2 warnings, 3 information, 4 debugging.
"""

from __future__ import annotations

import os
import time

from .library import library, library_first
from .sink import Sink, renewed
from .streams import encoding, is_standard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

ALWAYS, ERR, WAR, INF, DBG = range(5)
NAMES = ("   ", "ERR", "WAR", "INF", "DBG")
LEVELS = {"always": 0, "error": 1, "warning": 2, "info": 3, "debug": 4}

# Characters. Node++ cuts at 4,095; a traceback of a deep recursion fits in this. Longer: cut.
MESSAGE_SIZE_MAX = 64 * 1024

# A message may carry what a peer sent. A line break in it must not begin a line that looks like
# one of ours, and an escape character must not reach a terminal: breaks are followed by an indent,
# other control characters are spelled out.
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))}
_ESCAPES[10] = "\n    "

_COLOURS = {ERR: "\x1b[31m", WAR: "\x1b[33m", DBG: "\x1b[2m"}


class Log:
    """Where messages go. There is one for the process, `log`; tests make others.

    Before a server configures it, and after that one has closed it, messages go straight to stderr.
    In between a sink takes them: what it cannot write at once is dropped, and the next message that
    it takes says how many were. Nothing is held back, so nothing is lost when the process dies.
    """

    __slots__ = ("_coloured", "_dated", "_encoding", "_sink", "level", "path")

    def __init__(self) -> None:
        self.level: int = INF
        self.path: str = ""                     # of the file, or "" for a standard stream
        self._sink: Optional[Sink] = None
        self._dated = False
        self._encoding = ""                     # "": that of stderr, which may change
        self._coloured: Optional[bool] = None   # None: not asked yet

    def configure(self, level: int = INF, path: str = "", to_stdout: bool = False) -> None:
        """Sets level and destination. OSError if the file cannot be opened; the old ones stay."""
        stream = 1 if to_stdout else 2
        # A stream that is none has no reader: what the application has opened is not written to.
        where = path or ("" if is_standard(stream) else os.devnull)
        sink, before = renewed(self._sink, where, stream), self._sink
        self.level, self.path, self._dated = level, path, bool(path)
        self._encoding = "utf-8" if path else encoding(stream)
        self._coloured = None
        if sink is before:
            return
        self._sink = sink
        if before is not None:
            before.close()
        if sink.trouble:
            self.write(WAR, f"{('stdout', 'stderr')[sink.stream - 1]} cannot be opened once more"
                            f" ({sink.trouble}): if other programs write to it, or it is a"
                            " terminal, the server may have to wait for its reader.")

    def reopen(self) -> None:
        """Opens the file again by its name: after it was moved away by log rotation."""
        if self.path:
            self.configure(self.level, self.path)

    def close(self) -> None:
        """Ends what configure() has begun."""
        if self._sink is not None:
            self.report()
            self._sink.close()
        self._sink = None
        self.path = self._encoding = ""
        self._dated, self._coloured = False, None

    @property
    def sink(self) -> Optional[Sink]:
        """What takes the messages: for the access log, if it goes the same way."""
        return self._sink

    def fileno(self) -> int:
        """The descriptor that messages are written to, until the log is reopened; writing to it
        does not wait either. Of a FIFO, which is opened anew for each reader: stderr's.
        """
        return self._sink.fd if self._sink is not None and self._sink.is_steady else 2

    def write(self, level: int, message: str) -> None:
        """Writes a message if the level asks for it. Never raises: no server stops for its log."""
        if level > self.level:
            return
        line = f"{_now(self._dated)} {NAMES[level]} {clean(message)}"
        if self._coloured is None:
            self._coloured = not self._dated and wants_colour(self.fileno())
        colour = _COLOURS.get(level) if self._coloured else None
        self._put(f"{colour}{line}\x1b[0m" if colour else line)

    def report(self) -> None:
        """Says how many lines were lost, if that can be written now."""
        if self._sink is not None and self._sink.lost_count:
            self._put("")

    def tell(self, text: str) -> None:
        """Writes to stderr, wherever the messages go: the banner, or why there is no server."""
        if not is_standard(2):
            return
        if self._sink is not None and self._sink.stream == 2:
            self._put(text)
            return
        try:
            sink = Sink(stream=2)
        except OSError:                         # stderr is closed
            return
        sink.write((text + "\n").encode(encoding(2), "backslashreplace"))
        sink.close()

    def _put(self, text: str) -> None:
        """Hands lines to the sink, after what was lost before them."""
        sink = self._sink
        data = self._encode(text + "\n") if text else b""
        if sink is None:
            _write_to_stderr(data)
            return
        told = b""
        if count := sink.lost_count:
            lost = "1 line before this was" if count == 1 else f"{count:,} lines before this were"
            told = self._encode(f"{_now(self._dated)} WAR {lost} lost: {sink.reason}.\n")
        taken = sink.write(told + data)
        if taken >= len(told):
            sink.lost_count -= count
        if taken < len(told) + len(data) and data:
            sink.lost_count += 1

    def _encode(self, text: str) -> bytes:
        return text.encode(self._encoding or encoding(2), "backslashreplace")


def _write_to_stderr(data: bytes) -> None:
    try:
        if is_standard(2):
            os.write(2, data)
    except OSError:                             # its reader has gone, or its disk is full
        pass


def clean(message: str) -> str:
    """The message as it may be written to a terminal or a file: see the escapes above."""
    if len(message) > MESSAGE_SIZE_MAX:
        message = message[:MESSAGE_SIZE_MAX] + f" … ({len(message) - MESSAGE_SIZE_MAX} more)"
    return message if message.isprintable() else message.translate(_ESCAPES)


def wants_colour(descriptor: int) -> bool:
    """Colours are for a terminal, and not for those who asked to be spared them (no-color.org)."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return os.isatty(descriptor)


def _now(dated: bool) -> str:
    moment = time.time()
    text = time.strftime("%Y-%m-%d %H:%M:%S" if dated else "%H:%M:%S", time.localtime(moment))
    return f"{text}.{int(moment * 1000) % 1000:03d}"


log = Log()
write = log.write


def err(message: str) -> None:
    """Something failed that should not have."""
    log.write(ERR, message)


def war(message: str) -> None:
    """Something a person should look at when there is time."""
    log.write(WAR, message)


def inf(message: str) -> None:
    """What an operator likes to know."""
    log.write(INF, message)


def dbg(message: str) -> None:
    """What only a developer wants."""
    log.write(DBG, message)


def always(message: str) -> None:
    """What is said at every level."""
    log.write(ALWAYS, message)


def complain(text: str) -> None:
    """Says on stderr why a command did not do what it was asked for."""
    text = "\n".join(clean(line) for line in text.split("\n"))
    if wants_colour(2):
        first, newline, rest = text.partition("\n")
        text = f"\x1b[31m{first}\x1b[0m{newline}{rest}"
    log.tell(text)


# --- exceptions -------------------------------------------------------------------------------


def exception_text(error: BaseException, verbose: bool = False) -> str:
    """The exception in one line, then the frames of the user's own code, a line each.

    Frames of nodepp, of the standard library and of installed packages help nobody who looks for a
    mistake in an application; the last frame is always shown. `verbose`: the whole traceback.
    """
    with library_first:         # traceback imports more while it works
        return _exception_text(error, verbose)


def _exception_text(error: BaseException, verbose: bool) -> str:
    if verbose:
        format_exception = library("traceback").format_exception
        return "".join(format_exception(type(error), error, error.__traceback__)).rstrip()
    parts = [_one_exception(error)]
    seen = {id(error)}
    cause = _cause(error)
    while cause is not None and id(cause) not in seen:     # a cycle can be made by hand
        seen.add(id(cause))
        parts.append("  after " + _one_exception(cause))
        cause = _cause(cause)
    return "\n".join(parts)


def _cause(error: BaseException) -> Optional[BaseException]:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _one_exception(error: BaseException) -> str:
    traceback = library("traceback")
    lines = [line.rstrip() for line in traceback.format_exception_only(type(error), error)]
    if isinstance(error, SyntaxError):
        # Its own text says where and shows the line; put last what Python puts first.
        lines = [lines[-1], *lines[:-1]]
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_own(frame.filename)]
    shown = own or frames[-1:] if not isinstance(error, SyntaxError) else own
    if own and frames[-1] is not own[-1] and not _is_ours(frames[-1].filename):
        shown = [*own, frames[-1]]
    for frame in shown:
        source = f": {frame.line}" if frame.line else ""
        lines.append(f"  {short_path(frame.filename)}:{frame.lineno} in {frame.name}{source}")
    return "\n".join(lines)


def is_own(filename: str) -> bool:
    """True for a source file of the application: not nodepp's, Python's, or a package's."""
    if filename.startswith("<") or _is_ours(filename):
        return False
    library = os.path.dirname(os.__file__) + os.sep
    inside = ("site-packages" + os.sep, "dist-packages" + os.sep)
    return not filename.startswith(library) and not any(part in filename for part in inside)


def _is_ours(filename: str) -> bool:
    # Frames of the compiled core carry the path as it was compiled: nodepp/core/loop.pxi.
    ours = (os.path.dirname(__file__) + os.sep, "nodepp/_core.pyx", "nodepp/core/")
    return filename.startswith(ours)


def short_path(path: str) -> str:
    """The path from the current folder, if the file lies below it."""
    try:
        relative = os.path.relpath(path)
    except (ValueError, OSError):           # the current folder is gone
        return path
    return path if relative.startswith("..") else relative
