"""What the targets share: the bytes of libFuzzer cut into pieces, seeds, the start."""

from __future__ import annotations

import hashlib
import pathlib
import sys

import atheris
import wirecases


def cut(data: bytes) -> tuple[bytes, list[int]]:
    """The first byte says how many pieces, the next ones where: the rest, and the places."""
    if not data:
        return b"", []
    count = data[0] % 8
    places, rest = data[1:1 + count], data[1 + count:]
    return rest, sorted({1 + place * (len(rest) - 1) // 256 for place in places if len(rest) > 1})


def pieces(data: bytes) -> list[bytes]:
    rest, places = cut(data)
    return [rest[start:end] for start, end in zip([0, *places], [*places, len(rest)])]


def seed_wire_cases(argv: list[str]) -> None:
    """Puts the wire cases into the corpus folder, once."""
    folder = next((pathlib.Path(word) for word in argv[1:] if pathlib.Path(word).is_dir()), None)
    if folder is None:
        return
    for case in wirecases.all_cases():
        if len(case.data) < 4000:
            write_seed(folder, b"\0" + case.data)


def write_seed(folder: pathlib.Path, data: bytes) -> None:
    path = folder / ("seed-" + hashlib.sha256(data).hexdigest()[:16])
    if not path.exists():
        path.write_bytes(data)


def start(one_input, seed=seed_wire_cases) -> None:
    seed(sys.argv)
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
