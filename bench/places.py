"""Where things lie, and the C programs. All that is built or measured goes below build/bench/,
which git ignores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
APPS = BENCH / "apps"
BUILD = ROOT / "build" / "bench"
BIN = BUILD / "bin"
VENVS = BUILD / "venvs"
SITE = BUILD / "site"  # NPP_DIR of the measured nodepp: holds res/static/
BARE = BUILD / "bare"  # NPP_DIR of the start-up figure: holds nothing
RES = SITE / "res" / "static"
SCRATCH = BUILD / "scratch"
OUT = BUILD / "out"
PUBLISHED = ROOT / "docs" / "bench"

SMALL_SIZE = 1536  # bytes; a style sheet
LARGE_SIZE = 100 * 1024  # bytes; a picture

C_FLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra"]


class MissingTool(Exception):
    """Something that cannot be had from here; the message says what to install."""


def small_resource() -> bytes:
    """A style sheet of SMALL_SIZE bytes that a minifier or compressor would find ordinary."""
    rules = "".join(f".row-{n} {{ color: #{n * 4099 % 4096:03x}; }}\n" for n in range(100))
    return rules[: SMALL_SIZE - 1].encode() + b"\n"


def large_resource() -> bytes:
    """LARGE_SIZE bytes that do not repeat within a page, so that nothing can be won by compressing
    them.
    """
    state, words = 1, []
    for _ in range(LARGE_SIZE // 4):
        state = state * 1664525 + 1013904223 & 0xFFFFFFFF
        words.append(state.to_bytes(4, "little"))
    return b"".join(words)


def prepare() -> None:
    """Makes the folders, the two static files and the two C programs; what is up to date is left
    alone.
    """
    for folder in (BIN, VENVS, RES, BARE, SCRATCH, OUT):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in (("small.css", small_resource()), ("large.bin", large_resource())):
        if not (RES / name).exists() or (RES / name).read_bytes() != content:
            (RES / name).write_bytes(content)
    for program in ("limit", "load"):
        compile_c(program)


def compile_c(program: str) -> Path:
    """Compiles bench/PROGRAM.c when it is newer than its binary. Raises MissingTool without a
    compiler.
    """
    source, binary = BENCH / f"{program}.c", BIN / program
    if binary.exists() and binary.stat().st_mtime >= source.stat().st_mtime:
        return binary
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        raise MissingTool("a C compiler (on Debian: apt-get install build-essential)")
    # Built beside and moved, so that two runs at once never execute half a binary.
    part = BIN / f"{program}.{os.getpid()}"
    subprocess.run([compiler, *C_FLAGS, "-o", str(part), str(source)], check=True)
    part.replace(binary)
    return binary
