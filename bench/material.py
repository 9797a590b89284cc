"""Text such as sites are made of: pages, style sheets, scripts, pictures as SVG, data as JSON.

Compression is measured on it, so that nothing may repeat more than it does in life. Words and code
come from the Python that runs the benchmark: the reference manual that `help()` shows, and the
standard library's sources. Pages are laid out as documentation generators do; scripts are Python
brought into JavaScript's spelling line by line (nobody runs them). The same seed and the same
Python give the same bytes.
"""

from __future__ import annotations

import html
import keyword
import pydoc_data.topics
import random
import re
import sysconfig
import textwrap
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

SOURCE_SIZE_MIN = 8 * 1024  # bytes; smaller modules are mostly licence and imports
CODE_LINES = 36  # of a stretch of code: a function or two
BUNDLED_SIZE = 60 * 1024  # bytes; larger scripts are bundles, without comments and indentation

PROPERTIES = {
    "display": "block flex grid inline-block none inline-flex",
    "position": "relative absolute sticky fixed",
    "padding": "0 4px 8px .5rem 1rem 1.5rem|0 .75em|12px|24px",
    "margin": "0|0 auto|-1px|1rem 0|.25rem .5rem|0 0 2rem|auto",
    "color": "#COLOUR|var(--text)|var(--muted)|inherit|#fff|rgba(0,0,0,.LEVEL)",
    "background": "#COLOUR|transparent|var(--surface)|linear-gradient(180deg, #COLOUR, #COLOUR)",
    "border": "0|1px solid #COLOUR|2px dashed var(--line)|none",
    "border-radius": "2px|4px|.375rem|50%|999px",
    "font-size": ".875rem|1rem|1.25rem|14px|clamp(1rem, 2vw, 1.5rem)",
    "font-weight": "400|500|600|700|bold",
    "line-height": "1|1.25|1.5|1.6",
    "width": "100%|auto|calc(100% - NUMBERpx)|NUMBERpx|NUMBERrem",
    "max-width": "NUMBERpx|72ch|100%",
    "min-height": "NUMBERpx|100vh|2.5rem",
    "box-shadow": "0 1px 2px rgba(0,0,0,.LEVEL)|0 NUMBERpx NUMBERpx -4px rgba(0,0,0,.LEVEL)|none",
    "transition": "color .15s ease-in-out|transform .2s|opacity .3s ease, transform .3s ease",
    "transform": "translateY(-50%)|rotate(NUMBERdeg)|scale(1.0LEVEL)|none",
    "opacity": ".LEVEL|0|1",
    "overflow": "hidden|auto|visible",
    "text-align": "left|center|right",
    "white-space": "nowrap|pre-wrap",
    "align-items": "center|flex-start|stretch|baseline",
    "justify-content": "space-between|center|flex-end",
    "gap": ".5rem|1rem|NUMBERpx",
    "z-index": "1|10|100|1000",
    "cursor": "pointer|default|not-allowed",
}
T = TypeVar("T")

STATES = ("", "", "", "", ":hover", ":focus-visible", ":disabled", "::before", ".is-active")
TAGS = ("", "", "", " a", " li", " > div", " span", " svg", " input", " td")


# ---- where words and code come from ----


@lru_cache(maxsize=1)
def paragraphs() -> tuple[str, ...]:
    """The reference manual, cut where it leaves lines empty."""
    text = "\n\n".join(text for _, text in sorted(pydoc_data.topics.topics.items()))
    return tuple(part for part in re.split(r"\n\s*\n", text) if len(part) > 40)


@lru_cache(maxsize=1)
def sources() -> tuple[tuple[str, ...], ...]:
    """The lines of each larger module of the standard library."""
    folder = Path(sysconfig.get_path("stdlib"))
    texts = (path.read_text("utf-8", "replace") for path in sorted(folder.glob("*.py")))
    return tuple(tuple(text.splitlines()) for text in texts if len(text) > SOURCE_SIZE_MIN)


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Words that people name things with, each as often as it is used."""
    found: list[str] = []
    for lines in sources():
        found += re.findall(r"\b[a-z]{3,10}\b", "\n".join(lines[::7]))
    return tuple(name for name in found if not keyword.iskeyword(name))


@lru_cache(maxsize=1)
def stretches() -> tuple[tuple[str, ...], ...]:
    """The sources in pieces, as they stand in one module."""
    return tuple(
        lines[start : start + CODE_LINES]
        for lines in sources()
        for start in range(0, len(lines), CODE_LINES)
    )


def dealt(chance: random.Random, deck: Sequence[T]) -> Iterator[T]:
    """The deck in another order, again and again: within one file nothing comes twice that does
    not in life, or brotli's and zstd's long windows would find it and gzip's short one would not.
    """
    order = list(range(len(deck)))
    while True:
        chance.shuffle(order)
        yield from (deck[index] for index in order)


def prose(chance: random.Random) -> Iterator[str]:
    return (" ".join(part.split()) for part in dealt(chance, paragraphs()))


def code(chance: random.Random) -> Iterator[list[str]]:
    return (textwrap.dedent("\n".join(part)).split("\n") for part in dealt(chance, stretches()))


def until(size: int, pieces: Iterator[str], end: str = "") -> bytes:
    """Pieces until there are `size` bytes; cut there, so that sizes are what was asked for."""
    made, have = [], len(end.encode())
    while have < size:
        piece = next(pieces)
        made.append(piece)
        have += len(piece.encode())
    cut = "".join(made).encode()[: max(0, size - len(end.encode()))].decode("utf-8", "ignore")
    return (cut.encode() + end.encode()).ljust(size)  # for the half of a letter that was left


# ---- pages ----

TOKEN = re.compile(r"(#.*$)|(\"[^\"\n]*\"|'[^'\n]*')|\b(\d[\w.]*)\b|\b([a-zA-Z_]\w*)\b")


def highlighted(line: str) -> str:
    """A line of Python with the spans that a highlighter puts around its words."""

    def mark(match: re.Match[str]) -> str:
        text = html.escape(match.group(0))
        if match.group(4):
            if not keyword.iskeyword(text):
                return f'<span class="n">{text}</span>'
            return f'<span class="k">{text}</span>'
        return f'<span class="{("c1", "s1", "mi")[(match.lastindex or 1) - 1]}">{text}</span>'

    at, made = 0, []
    for match in TOKEN.finditer(line):
        made += [html.escape(line[at : match.start()]), mark(match)]
        at = match.end()
    return "".join([*made, html.escape(line[at:])])


def chrome(chance: random.Random) -> str:
    """What stands on each page of a site: links, a menu, a form. The title differs."""
    title = " ".join(chance.sample(names(), 3)).capitalize()
    menu = random.Random(1)  # the same on each page
    links = "".join(
        f'<li class="toctree-l{menu.randint(1, 3)}"><a class="reference internal" '
        f'href="/library/{word}.html">{word} — {" ".join(menu.sample(names(), 3))}</a></li>\n'
        for word in menu.sample(names(), 40)
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title} — Reference</title>\n"
        '<link rel="stylesheet" href="/static/css/theme.css">\n'
        '<link rel="icon" type="image/svg+xml" href="/static/img/icon.svg">\n'
        '<script defer src="/static/js/search.js"></script>\n</head>\n<body>\n'
        '<header class="site-header"><a class="brand" href="/">Reference</a>'
        '<form class="search" action="/search.html"><input type="search" name="q" '
        'placeholder="Search" aria-label="Search"></form></header>\n'
        f'<nav class="sidebar" aria-label="Contents"><ul>\n{links}</ul></nav>\n'
        f'<main class="content" role="main">\n<h1>{title}</h1>\n'
    )


def page_pieces(chance: random.Random) -> Iterator[str]:
    texts, stretches_of_code = prose(chance), code(chance)
    yield chrome(chance)
    while True:
        word, kind = chance.choice(names()), chance.random()
        if kind < 0.15:
            yield (
                f'<section id="{word}">\n<h2>{word.capitalize()} <a class="headerlink" '
                f'href="#{word}" title="Link to this heading">¶</a></h2>\n'
            )
        elif kind < 0.75:
            text = html.escape(next(texts))
            text = re.sub(r'"(\w+)"', r'<code class="literal">\1</code>', text)
            yield f"<p>{text}</p>\n"
        elif kind < 0.9:
            lines = "\n".join(map(highlighted, next(stretches_of_code)))
            yield f'<div class="highlight"><pre>{lines}</pre></div>\n'
        else:
            cells = (chance.choice(names()), chance.randint(1, 9999), html.escape(next(texts)))
            row = "".join(f"<td>{cell}</td>" for cell in cells)
            yield f'<table class="docutils"><tbody><tr>{row}</tr></tbody></table>\n'


def page(chance: random.Random, size: int) -> bytes:
    return until(size, page_pieces(chance), "\n</main></body></html>\n")


# ---- scripts and style sheets ----

SPELLINGS = (
    (r"^(\s*)(?:async )?def (\w+)\((.*?)\).*:$", r"\1function \2(\3) {"),
    (r"^(\s*)class (\w+)(?:\((\w+).*\))?:$", r"\1class \2 extends \3 {"),
    (r"^(\s*)elif (.*):$", r"\1} else if (\2) {"),
    (r"^(\s*)else:$", r"\1} else {"),
    (r"^(\s*)(if|while|for|with) (.*):$", r"\1\2 (\3) {"),
    (r"^(\s*)try:$", r"\1try {"),
    (r"^(\s*)except (\w+).*:$", r"\1} catch (error) { // \2"),
    (r"^(\s*)(?:from|import) (\w+).*$", r'\1import * as \2 from "./\2.js";'),
    (r"^(\s*)(\w+) = (.*)$", r"\1const \2 = \3;"),
    (r"^(\s*)(return|raise|yield)\b(.*)$", r"\1\2\3;"),
    (r"#", "//"),
    (r"\bself\b", "this"),
    (r"\bNone\b", "null"),
    (r"\bTrue\b", "true"),
    (r"\bFalse\b", "false"),
    (r"\bnot ", "!"),
    (r" and ", " && "),
    (r" or ", " || "),
    (r"\braise\b", "throw new"),
    (r"_([a-z])(?=[a-z]*\b)", lambda match: match.group(1).upper()),
)


def script_line(line: str) -> str:
    for pattern, replacement in SPELLINGS:
        line = re.sub(pattern, replacement, line)
    return line


def script_pieces(chance: random.Random, bundled: bool) -> Iterator[str]:
    for stretch in code(chance):
        lines = [script_line(line.rstrip()) for line in stretch]
        if bundled:
            kept = (line.strip() for line in lines)
            # A bundler takes out the spaces around signs as well.
            squeezed = (
                re.sub(r" ?([=+*/,:(){}<>-]|&&|\|\|) ?", r"\1", line)
                for line in kept
                if line and not line.startswith(("//", '"""'))
            )
            yield "".join(squeezed)
        else:
            yield "\n".join(lines) + "\n}\n\n"


def script(chance: random.Random, size: int) -> bytes:
    return until(size, script_pieces(chance, size > BUNDLED_SIZE), "\n")


def style_value(chance: random.Random, name: str) -> str:
    options = PROPERTIES[name]
    value = chance.choice(options.split("|" if "|" in options else " "))
    value = re.sub("COLOUR", lambda _: f"{chance.randrange(1 << 24):06x}", value)
    value = re.sub("LEVEL", lambda _: str(chance.randint(1, 9)), value)
    return re.sub("NUMBER", lambda _: str(chance.randint(1, 96)), value)


def style_pieces(chance: random.Random) -> Iterator[str]:
    blocks = chance.sample(names(), 12)
    while True:
        selectors = [
            f".{chance.choice(blocks)}-{chance.choice(names())}"
            f"{chance.choice(STATES)}{chance.choice(TAGS)}"
            for _ in range(chance.choice((1, 1, 1, 2, 3)))
        ]
        chosen = chance.sample(list(PROPERTIES), chance.randint(1, 6))
        rules = "".join(f"  {name}: {style_value(chance, name)};\n" for name in chosen)
        rule = ",\n".join(selectors) + " {\n" + rules + "}\n\n"
        if chance.random() < 0.06:
            width = chance.choice((480, 640, 768, 1024, 1280))
            rule = f"@media (min-width: {width}px) {{\n{textwrap.indent(rule, '  ')}}}\n\n"
        yield rule


def style(chance: random.Random, size: int) -> bytes:
    return until(size, style_pieces(chance), "\n")


# ---- pictures and data ----


def drawing_pieces(chance: random.Random) -> Iterator[str]:
    yield '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 512 512" fill="none">\n'
    while True:
        x, y = (chance.uniform(0, 512) for _ in range(2))
        path = [f"M{x:.1f} {y:.1f}"]
        for _ in range(chance.randint(3, 24)):
            letter = chance.choice("ccclhvs")
            count = {"c": 6, "s": 4, "l": 2, "h": 1, "v": 1}[letter]
            # Steps of a drawing are short; a number is a sign, a digit or two, and a fraction.
            path.append(letter + " ".join(f"{chance.gauss(0, 14):.1f}" for _ in range(count)))
        colour = f"#{chance.randrange(4096):03x}"
        yield f'<path fill="{colour}" stroke-width="1.5" d="{"".join(path)}z"/>\n'


def drawing(chance: random.Random, size: int) -> bytes:
    return until(size, drawing_pieces(chance), "</svg>\n")


def record_pieces(chance: random.Random) -> Iterator[str]:
    yield '{"items":[\n{"id":0}'
    number = 0
    for text in prose(chance):
        number += chance.randint(1, 30)
        first, second = chance.choice(names()), chance.choice(names())
        terms = ",".join(f'"{chance.choice(names())}"' for _ in range(chance.randint(1, 8)))
        text = text[: chance.randint(20, 200)].replace("\\", "/").replace('"', "'")
        yield (
            f',\n{{"id":{number},"slug":"{first}-{second}","price":{chance.uniform(1, 900):.2f},'
            f'"updated":"2025-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}T'
            f'{chance.randrange(24):02d}:{chance.randrange(60):02d}:00Z","tags":[{terms}],'
            f'"active":{chance.choice(("true", "false"))},"text":"{text}"}}'
        )


def records(chance: random.Random, size: int) -> bytes:
    return until(size, record_pieces(chance), "\n]}\n")


def noise(chance: random.Random, size: int) -> bytes:
    """What pictures and fonts are to a compressor: their formats have compressed them already."""
    return chance.getrandbits(8 * size).to_bytes(size, "little")
