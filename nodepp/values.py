"""How a value is written in npp.conf, the environment and on the command line, and what it stands
for: numbers, sizes, times, switches, names. Which settings there are is settings.py's.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Union

KIB, MIB, GIB, TIB = 1024, 1024**2, 1024**3, 1024**4
DAY_MS = 24 * 3600 * 1000

# Bytes of a path that the system still takes: PATH_MAX is 4,096 with the NUL (limits.h).
PATH_SIZE_MAX = 4095
HOST_SIZE_MAX = 253             # characters of a name, RFC 1035 §2.3.4; no address has more
TEXT_SIZE_MAX = 64 * KIB        # characters of any value; the longest of a sane kind has 4,095
# Digits. What has more is larger than every bound, and int() of thousands of digits is slow or an
# error (sys.get_int_max_str_digits).
DIGIT_COUNT_MAX = 20

# Connections and sessions by Node++'s names (`NPP_MEM_LARGE` there; the prefix may stay or go).
# Its per-connection buffers are not copied: an idle connection owns none here.
MEMORY_MODELS = {
    "TINY": (10, 5),
    "SMALL": (20, 10),
    "MEDIUM": (200, 100),
    "LARGE": (1_000, 500),
    "XLARGE": (5_000, 2_500),
    "XXLARGE": (10_000, 5_000),
    "XXXLARGE": (20_000, 10_000),
    "XXXXLARGE": (50_000, 25_000),
    "XXXXXLARGE": (100_000, 50_000),
    "XXXXXXLARGE": (200_000, 100_000),
}


class Key:
    """One setting. `attribute` is its name in Config; the rest is as in the table below."""

    __slots__ = (
        "aliases", "attribute", "choices", "default", "environment", "group", "help", "high",
        "kind", "low", "name", "options", "reloadable",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        attribute: str,
        kind: str,
        default: Any,
        help: str,
        *,
        group: str,
        options: str = "",
        environment: str = "",
        aliases: str = "",
        low: int = 0,
        high: Optional[int] = None,
        choices: tuple[str, ...] = (),
        reloadable: bool = False,
    ) -> None:
        self.name = name                    # in npp.conf
        self.attribute = attribute          # in Config; durations end in _ms
        self.kind = kind                    # one of the kinds that parse_value reads
        self.default = default
        self.help = help                    # one line, without a full stop
        self.group = group                  # of --help
        self.options = tuple(options.split())
        # Every setting can come from the environment; the usual short names come first.
        self.environment = tuple(dict.fromkeys((*environment.split(), "NPP_" + _upper_snake(name))))
        self.aliases = tuple(aliases.split())
        self.low, self.high = low, high     # in the units of Config
        self.choices = choices
        self.reloadable = reloadable        # SIGHUP applies it to a running server


def _upper_snake(name: str) -> str:
    return "".join("_" + letter if letter.isupper() else letter.upper() for letter in name)


_FLAGS = {**dict.fromkeys(("1", "on", "true", "yes"), True),
          **dict.fromkeys(("0", "off", "false", "no"), False)}
_SIZE_UNITS = {"": 1, "b": 1, "k": KIB, "m": MIB, "g": GIB}
_DURATION_UNITS = {"ms": 1, "s": 1000, "": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_LEVELS = {"always": 0, "error": 1, "warning": 2, "info": 3, "debug": 4, "critical": 0, "warn": 2}


def parse_value(key: Key, text: str) -> Any:
    """The value that `text` stands for, in the units of Config.

    ValueError says what would have been right.
    """
    value: Union[int, str, bool, tuple[str, ...]]
    _refuse_never_meant(key, text)
    lower = text.lower()
    if key.kind in ("text", "path"):
        return text
    if key.kind == "texts":
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if key.kind == "flag":
        if lower not in _FLAGS:
            raise ValueError("expected 1 or 0")
        return _FLAGS[lower]
    if key.kind == "choice":
        if lower not in key.choices:
            raise ValueError(f"expected {', '.join(key.choices[:-1])} or {key.choices[-1]}")
        return lower
    if key.kind == "server":
        if lower in _FLAGS:
            return str(key.default) if _FLAGS[lower] else ""
        if not (text.isascii() and text.isprintable()):
            raise ValueError("expected 0, 1 or a text in ASCII")
        return text
    if key.kind in _READERS:
        return _READERS[key.kind](text)
    if key.kind == "model":
        model = text.upper()[8:] if text.upper().startswith("NPP_MEM_") else text.upper()
        if model and model not in MEMORY_MODELS:
            raise ValueError(f"expected one of {' '.join(MEMORY_MODELS)}")
        return model
    if key.kind == "level":
        value = _LEVELS[lower] if lower in _LEVELS else _integer(text, "a level from 0 to 4")
        return _bounded(key, value, 0, 4)
    if key.kind == "size":
        value = _scaled(lower.replace("ib", ""), _SIZE_UNITS, "a size like 65536, 64k, 16m or 1g")
    elif key.kind == "duration":
        value = _scaled(lower, _DURATION_UNITS, "a time like 500ms, 10s, 5m, 1h or 1d")
    elif key.kind == "mode":
        value = _integer(text, "permissions in octal, like 660", base=8)
    else:
        value = _integer(text, "a whole number")
    return _bounded(key, value, key.low, key.high)


def _refuse_never_meant(key: Key, text: str) -> None:
    """ValueError for what no value of any key can be."""
    if "\0" in text:
        raise ValueError("it holds a NUL character")
    if len(text) > TEXT_SIZE_MAX:
        raise ValueError(f"longer than {TEXT_SIZE_MAX:,} characters")
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'":
        # To take them off would give the same npp.conf another meaning than Node++ gives it.
        raise ValueError(f"values stand without quotes: {key.name}={text[1:-1]}")
    if key.kind == "path":
        if len(text.encode("utf-8", "surrogateescape")) > PATH_SIZE_MAX:
            raise ValueError(f"a path has at most {PATH_SIZE_MAX:,} bytes")
    elif key.kind != "server" and not text.isprintable():
        # A path may be of any bytes; what else is not UTF-8, or holds a line break, is a mistake.
        raise ValueError("expected printable text in UTF-8")


def _host(text: str) -> str:
    """A name or an address. Brackets around an IPv6 address are optional."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if len(host) > HOST_SIZE_MAX or set(host) & set(" /\\[]\"'@?#,"):
        raise ValueError("expected a name or an address, like localhost, 0.0.0.0 or ::")
    if host.count(":") == 1:
        raise ValueError("expected a name or an address; the port is set by httpPort")
    return host


def _auth_level(text: str) -> int:
    """A level of access: its name, Node++'s AUTH_LEVEL_ before it or not, or its number."""
    from .sessions.levels import parse_level

    return parse_level(text)


# RFC 6265 §4.1.1: the name of a cookie is a token. The prefixes are promises about its attributes,
# which browsers hold against it (RFC 6265bis §4.1.3): the core adds the one that is true.
_TOKEN_SIGNS = frozenset("!#$%&'*+-.^_`|~")
COOKIE_NAME_SIZE_MAX = 64       # bytes; it comes with every request


def _cookie_name(text: str) -> str:
    """The name of a cookie, without __Host-, which it gets by itself under HTTPS."""
    is_token = all(sign in _TOKEN_SIGNS or (sign.isascii() and sign.isalnum()) for sign in text)
    if not (text and is_token and len(text) <= COOKIE_NAME_SIZE_MAX):
        raise ValueError(f"expected 1 to {COOKIE_NAME_SIZE_MAX} letters, digits or signs like - _")
    if text.lower().startswith(("__host-", "__secure-")):
        raise ValueError("expected a name without that prefix: under HTTPS it is added")
    return text


def page_path(text: str) -> str:
    """The path of a page of this server: "/login". The leading slash is optional, as in Node++."""
    path = text if text.startswith("/") else "/" + text
    is_plain = path.isascii() and path.isprintable() and not set(path) & set(' ?#%\\"<>')
    if not is_plain or "//" in path or len(path) > 1000:
        raise ValueError("expected a path of this server, like /login")
    return path


_READERS: dict[str, Callable[[str], Any]] = {
    "auth_level": _auth_level, "cookie": _cookie_name, "host": _host, "page": page_path,
}  # fmt: skip


def _integer(text: str, expected: str, base: int = 10) -> int:
    if not (text.isascii() and text.isdigit()):     # int() would take "1_000", " 7" and "-1" too
        raise ValueError(f"expected {expected}")
    try:
        return int(text.lstrip("0")[: DIGIT_COUNT_MAX + 1] or "0", base)
    except ValueError:
        raise ValueError(f"expected {expected}") from None


def _scaled(text: str, units: dict[str, int], expected: str) -> int:
    """A number with a unit: "16m" → 16777216. One decimal point is allowed: "1.5g"."""
    digits = text.rstrip("abcdefghijklmnopqrstuvwxyz ")
    unit = text[len(digits) :].strip()
    whole, point, fraction = digits.partition(".")
    parts = [whole, fraction] if point else [whole]
    if unit not in units or not all(part.isascii() and part.isdigit() for part in parts):
        raise ValueError(f"expected {expected}")
    whole = whole.lstrip("0")[: DIGIT_COUNT_MAX + 1]
    fraction = fraction[:DIGIT_COUNT_MAX]
    scale: int = 10 ** len(fraction)
    return int(whole + fraction or "0") * units[unit] // scale


def _bounded(key: Key, value: int, low: int, high: Optional[int]) -> int:
    if value < low or (high is not None and value > high):
        least = format_value(key, low)
        bound = f"at least {least}" if high is None else f"{least} to {format_value(key, high)}"
        raise ValueError(f"expected {bound}")
    return value


def format_value(key: Key, value: Any) -> str:
    """The value as npp.conf would have it; parse_value reads it back to the same."""
    if key.kind == "flag":
        return "1" if value else "0"
    if key.kind == "texts":
        return ",".join(value)
    if key.kind == "auth_level":
        from .sessions.levels import level_name

        return level_name(value)
    if key.kind == "mode":
        return f"{value:o}"
    if key.kind == "server":
        return value or "0"
    if key.kind == "size":
        return _unscaled(value, (("g", GIB), ("m", MIB), ("k", KIB), ("", 1)))
    if key.kind == "duration":
        # Whole days are said as such from two on: a day itself is the ceiling of what is thought in
        # seconds.
        units = (("d", DAY_MS), ("s", 1000), ("ms", 1))
        return _unscaled(value, units if value > DAY_MS else units[1:])
    return str(value)


def _unscaled(value: int, units: tuple[tuple[str, int], ...]) -> str:
    for unit, size in units:
        if value % size == 0 and (value or size == units[-1][1]):
            return f"{value // size}{unit}"
    raise AssertionError("the last unit divides everything")
