"""What the log says of code that holds the loop. Imported when a server starts; the rest when there
is something to say.
"""

from __future__ import annotations

from .library import library, library_first
from .log import WAR, is_own, log, short_path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Optional

SERVER = __file__.replace("slow.py", "server.py")
FRAME_COUNT_MAX = 30    # the innermost ones: what goes deeper shows the same lines again and again


def report(what: str, held_ms: int, frame: Optional[FrameType]) -> None:
    """One entry: how long, and the application's own frames. The watchdog calls it in a thread of
    its own, while the code stands still.

    what: "GET /report", or what else the loop does. frame: the innermost one.
    """
    lines = [f"{what[:500]} has held the loop for {held_ms} ms, and goes on:"]
    if frame is not None:
        lines += stack_lines(frame)
    log.write(WAR, "\n".join(lines))


def stack_lines(frame: FrameType) -> list[str]:
    """A line for each frame of the application, as in its tracebacks, the innermost last. That one
    is there always.
    """
    with library_first:         # traceback imports more while it works
        frames = list(library("traceback").extract_stack(frame))
    for index in range(len(frames) - 1, -1, -1):
        if frames[index].filename == SERVER:    # what lies above it has started the server
            frames = frames[index + 1 :]
            break
    shown = [it for it in frames if is_own(it.filename)][-FRAME_COUNT_MAX:]
    if frames and (not shown or shown[-1] is not frames[-1]):
        shown.append(frames[-1])
    return [f"  {short_path(it.filename)}:{it.lineno} in {it.name}"
            + (f": {it.line}" if it.line else "") for it in shown]


def place_of(frame: FrameType) -> str:
    """Where the application is: "app.py:12 in handler"."""
    at: Optional[FrameType] = frame
    while at is not None and not is_own(at.f_code.co_filename):
        at = at.f_back
    at = at or frame
    return f"{short_path(at.f_code.co_filename)}:{at.f_lineno} in {at.f_code.co_name}"
