"""The coders that precompressed bodies come from: gzip, br and zstd, each at its best.

Their libraries are imported when they are first asked: brotli and zstandard come with nodepp;
`deflate` and `zopfli` are used for gzip where they are installed.
"""

from __future__ import annotations

import sys
import zlib

from ..library import library, path_without_application

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

CODINGS = ("zstd", "br", "gzip")
SAVING_PERCENT_MIN = 3  # a coding that saves less is not worth a client's time, nor our memory

GZIP_LEVEL = 9  # zlib's best
DEFLATE_LEVEL = 12  # libdeflate's best: 2 to 6 % smaller than zlib's, at 10 times its time
# Bytes. zopfli is another 1 to 2 % smaller, and needs 10 to 100 times libdeflate's time: 0.6 s for
# a page of 48 KB. Larger bodies are left to the next best.
ZOPFLI_SIZE_MAX = 64 * 1024
BROTLI_QUALITY = 11
BROTLI_WINDOW_MAX = 24  # log2 of bytes: the most that RFC 7932 has
ZSTD_LEVEL = 19
ZSTD_WINDOW_MAX = 23  # log2 of bytes: 8 MB is the most that a browser must take, RFC 9659


def coder_id(coding: str) -> str:
    """Library, version and level: what other bytes could come from. "" when no library is there.

    It is part of the cache's entries and of ETags. For gzip it names all libraries that are used.
    """
    found = _ids.get(coding)
    if found is None:
        found = _ids[coding] = _make_id(coding)
    return found


_ids: dict[str, str] = {}


def _make_id(coding: str) -> str:
    if coding == "gzip":
        deflate, zopfli = _library("deflate"), _library("zopfli")
        best = f"zopfli {zopfli.__version__} to {ZOPFLI_SIZE_MAX}, " if zopfli else ""
        if deflate:
            return f"{best}deflate {deflate.__version__} {DEFLATE_LEVEL}"
        return f"{best}zlib {zlib.ZLIB_RUNTIME_VERSION} {GZIP_LEVEL}"
    if coding == "br":
        brotli = _library("brotli")
        return f"brotli {brotli.__version__} {BROTLI_QUALITY}" if brotli else ""
    zstandard = zstd()
    if not zstandard:
        return ""
    number = ".".join(map(str, zstandard.ZSTD_VERSION))
    return f"zstandard {zstandard.__version__} {number} {ZSTD_LEVEL}"


def _library(name: str) -> Any:
    try:
        return library(name)
    except ImportError:
        return None


def zstd() -> Any:
    """What zstandard's compiled part offers, None where it is not installed.

    The package's own __init__ imports platform and typing, which takes 10 ms of a start and gives
    us nothing, so its extension module is loaded without it if that is possible.
    """
    global _zstd
    if _zstd is None:
        _zstd = _load_zstd() or _library("zstandard") or False
    return _zstd or None


_zstd: Any = None


def _load_zstd() -> Any:
    # Where importlib.machinery has it from: two modules less to load.
    from _frozen_importlib_external import PathFinder

    name = "zstandard.backend_c"
    if name in sys.modules:
        return sys.modules[name]
    try:
        package = PathFinder.find_spec("zstandard", path_without_application())
        spec = package and PathFinder.find_spec(name, package.submodule_search_locations)
        if spec is None or spec.loader is None:
            return None
        module = spec.loader.create_module(spec)
        spec.loader.exec_module(module)  # type: ignore[arg-type]
        if not hasattr(module, "ZSTD_VERSION") or not hasattr(module, "ZstdCompressor"):
            return None
    except Exception:  # any doubt: the front door
        return None
    # Who imports the package later gets this module, not a second one.
    return sys.modules.setdefault(name, module)  # type: ignore[arg-type]


def encode(coding: str, body: bytes) -> Optional[bytes]:
    """The body in this coding; None if that saves less than 3 %, or there is no library for it.

    The same bytes for the same body and coder_id, whenever and wherever: no date, no file name.
    ValueError: decoded again it was something else. A mistake would be in browsers for a season.
    """
    if not coder_id(coding):
        return None
    coded = _ENCODERS[coding](body)
    if len(coded) * 100 > len(body) * (100 - SAVING_PERCENT_MIN):
        return None
    if decode(coding, coded) != body:
        raise ValueError(f"{coder_id(coding)} does not give back what it was given")
    return coded


def decode(coding: str, coded: bytes) -> bytes:
    """The body again. Raises what the library raises."""
    if coding == "gzip":
        return zlib.decompress(coded, 31)  # 31: with gzip's head
    if coding == "br":
        return _library("brotli").decompress(coded)  # type: ignore[no-any-return]
    return zstd().ZstdDecompressor().decompress(coded)  # type: ignore[no-any-return]


def _encode_gzip(body: bytes) -> bytes:
    if len(body) <= ZOPFLI_SIZE_MAX and _library("zopfli.gzip"):
        return bytes(_library("zopfli.gzip").compress(body))
    deflate = _library("deflate")
    if deflate:
        return bytes(deflate.gzip_compress(body, DEFLATE_LEVEL))
    coder = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31, 9)  # unlike GzipFile's, it has no date
    return coder.compress(body) + coder.flush()


def _encode_br(body: bytes) -> bytes:
    # A window larger than the body buys nothing, and costs both sides memory. Text mode gives the
    # same bytes at this quality (measured with 12 style sheets, scripts and pages).
    window = min(BROTLI_WINDOW_MAX, max(16, (len(body) + 16).bit_length()))
    coded = _library("brotli").compress(body, quality=BROTLI_QUALITY, lgwin=window)
    return bytes(coded)


def _encode_zstd(body: bytes) -> bytes:
    library = zstd()
    tuned = library.ZstdCompressionParameters.from_level(ZSTD_LEVEL, source_size=len(body))
    if tuned.window_log > ZSTD_WINDOW_MAX:
        tuned = library.ZstdCompressionParameters.from_level(
            ZSTD_LEVEL, source_size=len(body), window_log=ZSTD_WINDOW_MAX)
    # The size in the head lets a client reserve once; TCP and TLS have checksums already.
    coder = library.ZstdCompressor(compression_params=tuned)
    return coder.compress(body)  # type: ignore[no-any-return]


_ENCODERS = {"gzip": _encode_gzip, "br": _encode_br, "zstd": _encode_zstd}
