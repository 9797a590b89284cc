"""Source code as the pages of the sample application show it: what made them."""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from pathlib import Path

HERE = Path(__file__).parent


@lru_cache(maxsize=64)
def sources(*names):
    """The functions of those names, those of a file together."""
    files = {}
    for name in names:
        module, _, function = name.partition(".")
        files.setdefault(f"sample/{module}.py", []).append(functions(module)[function])
    blocks = "".join(listing(file, "\n\n\n".join(found)) for file, found in files.items())
    return f'<section class="sources"><h2>What made this page</h2>{blocks}</section>\n'


@lru_cache(maxsize=8)
def functions(module):
    """The functions of a file as text, decorators included, by name. Two empty lines part them."""
    found = {}
    for block in (HERE / f"{module}.py").read_text("utf-8").split("\n\n\n"):
        if match := re.search(r"^def (\w+)", block, re.MULTILINE):
            found[match[1]] = block.strip()
    return found


@lru_cache(maxsize=64)
def listing(title, code):
    return (
        f'<figure class="code"><figcaption>{escape(title)}</figcaption>'
        f'<pre tabindex="0"><code>{highlight(code)}</code></pre></figure>\n'
    )


TOKEN = re.compile(
    r"""
    (?P<comment> \# [^\n]* )
    | (?P<string> f? (?: \"{3} [\s\S]*? \"{3} | " (?: \\. | [^"\\\n] )* "
        | ' (?: \\. | [^'\\\n] )* ' ))
    | (?P<mark> @ [\w.]+ | \b (?: def | lambda ) \b )
    | (?P<word> \b (?: and | as | elif | else | except | for | from | global | if | import | in | is
        | not | or | raise | return | try | while | with | yield | None | True | False ) \b )
    | (?P<number> \b \d [\d_.]* \b )
    """,
    re.VERBOSE,
)


def highlight(code):
    """Python in colours, good enough for this site."""
    parts, at = [], 0
    for match in TOKEN.finditer(code):
        parts.append(escape(code[at : match.start()]))
        parts.append(f'<span class="c-{match.lastgroup}">{escape(match[0])}</span>')
        at = match.end()
    parts.append(escape(code[at:]))
    return "".join(parts)
