"""The standard streams: that descriptors 0 to 2 are what their numbers say, and that output which
cannot be written ends a command quietly.

Imports nothing of nodepp at the top.
"""

from __future__ import annotations

import os
import sys

NAMES = ("stdin", "stdout", "stderr")

EXIT_OUTPUT = 1                 # stdout cannot be written
EXIT_NO_READER = 128 + 13       # what a shell says of a command that SIGPIPE has ended


def secure() -> None:
    """Opens /dev/null where descriptor 0, 1 or 2 is closed. Otherwise the next file or connection
    would get the number, and with it all that is meant for the stream.
    """
    for fd, name in enumerate(NAMES):
        try:
            os.fstat(fd)
            continue
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)       # the lowest free number: fd
        os.set_inheritable(null, True)
        if getattr(sys, name) is None:
            stream = open(null, "w" if fd else "r", encoding="utf-8",  # noqa: SIM115
                          errors="backslashreplace", closefd=False)
            setattr(sys, name, stream)


def is_standard(fd: int) -> bool:
    """Whether descriptor 1 or 2 is the standard stream of that number. If it was closed when Python
    started, a file that the application has opened since may have got it.
    """
    name = NAMES[fd]
    return any(_fileno(getattr(sys, it, None)) == fd for it in (name, f"__{name}__"))


def _fileno(stream: object) -> int:
    try:
        return stream.fileno()  # type: ignore[attr-defined, no-any-return]
    except (AttributeError, OSError, ValueError):       # none, or not a file, or closed
        return -1


def encoding(fd: int) -> str:
    """Of what is written to descriptor 1 or 2."""
    return getattr(getattr(sys, NAMES[fd], None), "encoding", None) or "utf-8"


def say(text: str) -> int:
    """Writes what a command was asked for to stdout, and gives its exit status. What the encoding
    cannot show is escaped. If stdout cannot be written, a line on stderr says why; without a
    reader there is nothing to say.
    """
    out = sys.stdout
    if out is None:
        return 0
    name = encoding(1)
    try:
        out.write(text.encode(name, "backslashreplace").decode(name))
        out.flush()
    except OSError as error:
        _discard()
        if isinstance(error, BrokenPipeError):
            return EXIT_NO_READER
        from .log import complain

        complain(f"stdout: {error.strerror}.")
        return EXIT_OUTPUT
    return 0


def settle() -> None:
    """At the end: what the application has printed is written out, or dropped if that fails.
    Otherwise Python would say so after everything else, and change the exit status.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except (OSError, ValueError):                       # ValueError: closed by the application
        _discard()


def _discard() -> None:
    """What stdout still holds goes nowhere."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)
