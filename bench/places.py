"""Where things lie, and the C programs. All that is built or measured goes below build/bench/,
which git ignores.

A home is what NPP_DIR is set to: nodepp serves its res/; nginx serves its nginx/, which has the
same files and what `gzip -9` made of them beside them. The website has a cache of codings too.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import material

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
APPS = BENCH / "apps"
BUILD = ROOT / "build" / "bench"
BIN = BUILD / "bin"
VENVS = BUILD / "venvs"
SITE = BUILD / "site"  # home of the loads: two files in static/
BARE = BUILD / "bare"  # home of the start-up figure: holds nothing
WEBSITE = BUILD / "website"  # home of a thousand files: website.py
WEBSITE_QUICK = BUILD / "website-quick"  # and of a few of them, for a quick run
RES = SITE / "res" / "static"
CACHE = BUILD / "static-cache"  # of nodepp's codings; the user's own is not touched
SCRATCH = BUILD / "scratch"
OUT = BUILD / "out"
PUBLISHED = ROOT / "docs" / "bench"

SMALL_SIZE = 1536  # bytes; a style sheet
LARGE_SIZE = 100 * 1024  # bytes; a script

C_FLAGS = ["-std=gnu11", "-O2", "-g", "-Wall", "-Wextra"]


class MissingTool(Exception):
    """Something that cannot be had from here; the message says what to install."""


@lru_cache(maxsize=1)
def small_resource() -> bytes:
    """A style sheet of SMALL_SIZE bytes that a minifier or compressor would find ordinary."""
    return material.style(random.Random("small.css"), SMALL_SIZE)


@lru_cache(maxsize=1)
def large_resource() -> bytes:
    """A script of LARGE_SIZE bytes, to be compressed as others are: to about a third."""
    return material.script(random.Random("large.js"), LARGE_SIZE)


def prepare() -> None:
    """Makes the folders, the two static files and the two C programs; what is up to date is left
    alone.
    """
    theirs = SITE / "nginx" / "static"
    for folder in (BIN, VENVS, RES, theirs, BARE, SCRATCH, OUT):
        folder.mkdir(parents=True, exist_ok=True)
    resources = {"small.css": small_resource(), "large.js": large_resource()}
    for folder in (RES, theirs):
        for name, content in resources.items():
            if not (folder / name).exists() or (folder / name).read_bytes() != content:
                (folder / name).write_bytes(content)
                (folder / f"{name}.gz").unlink(missing_ok=True)
        # An older one would be served beside the others.
        for path in folder.iterdir():
            if path.name.removesuffix(".gz") not in resources:
                path.unlink()
    if any(not (theirs / f"{name}.gz").exists() for name in resources):
        gzip_beside([theirs / name for name in resources])
    for program in ("limit", "load"):
        compile_c(program)


def gzip_beside(paths: list[Path]) -> None:
    """`gzip -9` for nginx's gzip_static; name and time are not in it, so that its size is always
    the same. One that did not get smaller is not left there: nginx would send it.

    Raises MissingTool without gzip.
    """
    if not shutil.which("gzip"):
        raise MissingTool("gzip (on Debian: apt-get install gzip)")
    for start in range(0, len(paths), 200):  # as many as a command line surely holds
        batch = list(map(str, paths[start : start + 200]))
        subprocess.run(["gzip", "-9", "-n", "-k", "-f", *batch], check=True)
    for path in paths:
        packed = path.with_name(path.name + ".gz")
        if packed.stat().st_size >= path.stat().st_size:
            packed.unlink()


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
