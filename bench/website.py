"""A site of 1,000 files and 30 MB, made once: what start-up and bytes sent are measured with.

It is a documentation site with an application beside it, as one finds them: many pages, some large
scripts, icons, data, and pictures and fonts for a tenth of the bytes. Sizes of a kind are spread as
on the web: most are small, a few have most of the bytes (a log-normal distribution). The share of
pictures decides how much compression can save in all, which is why sent.py tells of each kind.

nginx has a folder of its own: the same files, and beside each that compresses one made by gzip -9.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import material
from places import BENCH, gzip_beside

SEED = 20250601
PREFIX = "site"  # of every path, so that routes and the two files of the loads keep theirs
SPREAD = 1.1  # sigma of the logarithm of the sizes: the largest is about thirty times the median
SIZE_MIN = 220  # bytes; an icon, a redirecting page

Maker = Callable[[random.Random, int], bytes]


@dataclass(frozen=True)
class Kind:
    name: str
    folder: str
    extensions: str
    count: int
    size: int  # bytes of all of them
    make: Maker
    compresses: bool = True


KINDS = (
    Kind("HTML", "guide", "html", 440, 15_600_000, material.page),
    Kind("JavaScript", "js", "js", 120, 5_000_000, material.script),
    Kind("CSS", "css", "css", 50, 1_200_000, material.style),
    Kind("SVG", "icons", "svg", 220, 1_900_000, material.drawing),
    Kind("JSON", "data", "json", 60, 3_300_000, material.records),
    Kind("pictures", "img", "jpg png webp", 100, 2_600_000, material.noise, False),
    Kind("fonts", "fonts", "woff2", 10, 400_000, material.noise, False),
)


@dataclass(frozen=True)
class File:
    kind: Kind
    path: str  # below the site, without a first slash
    size: int

    def body(self) -> bytes:
        return self.kind.make(random.Random(f"{SEED} {self.path}"), self.size)


def files() -> Iterator[File]:
    """What the site consists of; the same at each call."""
    for kind in KINDS:
        chance = random.Random(f"{SEED} {kind.name}")
        weights = [chance.lognormvariate(0, SPREAD) for _ in range(kind.count)]
        extensions = kind.extensions.split()
        left = kind.size - kind.count * SIZE_MIN
        for number, weight in enumerate(weights):
            word = chance.choice(material.names())
            name = f"{word}-{number}.{extensions[number % len(extensions)]}"
            size = SIZE_MIN + int(left * weight / sum(weights))
            yield File(kind, f"{PREFIX}/{kind.folder}/{name}", size)


def stamp() -> str:
    """Changes when the files would: with this module, material.py, or the Python."""
    parts = [sys.version.encode()]
    parts += [(BENCH / name).read_bytes() for name in ("website.py", "material.py")]
    return hashlib.sha256(b"\n".join(parts)).hexdigest()


def prepare(home: Path, share: float = 1.0) -> list[File]:
    """Writes the site below home/res and home/nginx, unless it is there: half a minute. Its files.

    share: of the files of each kind, for a quick run.
    """
    made, wanted, found = home / "made", f"{stamp()} {share}", chosen(share)
    if made.exists() and made.read_text() == wanted:
        return found
    made.unlink(missing_ok=True)
    for folder in ("res", "nginx"):
        shutil.rmtree(home / folder, ignore_errors=True)
    for file in found:
        path = home / "res" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.body())
    shutil.copytree(home / "res", home / "nginx")
    gzip_beside([home / "nginx" / file.path for file in found if file.kind.compresses])
    made.write_text(wanted)
    return found


def chosen(share: float) -> list[File]:
    """The first files of each kind, as many as the share says, one at least."""
    found, everything = [], list(files())
    for kind in KINDS:
        own = [file for file in everything if file.kind is kind]
        found += own[: max(1, round(len(own) * share))]
    return found
