"""The frame of every page of the sample application, and source code as the pages show it."""

from __future__ import annotations

import re
from functools import lru_cache
from html import escape
from pathlib import Path

HERE = Path(__file__).parent

# Nothing is loaded from elsewhere, nothing inline runs: what a visitor writes could not either.
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"

MENU = (
    ("/routes", "Routes"),
    ("/guestbook", "Form"),
    ("/upload", "Upload"),
    ("/calendar", "Rendering"),
    ("/automaton", "Streaming"),
    ("/api", "JSON"),
    ("/errors", "Errors"),
    ("/nodeplusplus", "Node++"),
    ("/performance", "Performance"),
)


def begin(req, title, here="", lead="", kind="page"):
    """Everything before a page's own markup. here: its path in the menu; kind: a class for CSS."""
    req.set_header("Content-Security-Policy", POLICY)
    req.out(top(title, here, kind))
    if lead:
        req.out('<header class="head"><h1>%s</h1><p class="lead">%s</p></header>\n', title, lead)


def end(req, *names):
    """Everything after it. names: functions whose source the page shows, as "app.sign"."""
    if names:
        req.out(sources(*names))
    req.out(BOTTOM)


def top(title, here, kind="page"):
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{escape(title)} · nodepp</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="The sample application of nodepp, a Python web server.">
<link rel="icon" href="/logo.svg" type="image/svg+xml">
<link rel="apple-touch-icon" href="/icon.png">
<link rel="stylesheet" href="/style.css">
<script src="/script.js" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="bar">
<a class="brand" href="/"><img src="/logo.svg" width="28" height="28" alt="">nodepp</a>
<button class="menu-button" popovertarget="menu" aria-label="Menu"><i></i></button>
<nav id="menu" popover aria-label="Pages">{links(MENU, here)}</nav>
</header>
<main id="main" class="{kind}">
"""


BOTTOM = """</main>
<footer class="foot">
<p>The sample application of <strong>nodepp</strong>. Its source: <code>sample/</code>,
<code>res/</code> and <code>resmin/</code> of the checkout.</p>
<p>No cookie but the guestbook's, no script from elsewhere, and it works without any.</p>
</footer>
</body>
</html>
"""


def links(pairs, here):
    """Links for (path, name); the one to the page that is shown says so."""
    return "".join(
        f'<a href="{path}"{" aria-current=page" if path == here else ""}>{name}</a>'
        for path, name in pairs
    )


ICONS = {  # lines on a grid of 24
    "routes": "M5 19V9a4 4 0 0 1 4-4h6M12 2l3 3-3 3M5 13h8a4 4 0 0 1 4 4v2M14 16l3 3 3-3",
    "form": "M4 5h16v14H4zM8 10h8M8 14h5",
    "upload": "M12 16V4M7 9l5-5 5 5M4 16v4h16v-4",
    "render": "M4 6h16v14H4zM4 11h16M8 3v5M16 3v5M8 15h2M14 15h2",
    "stream": "M3 8c3-4 6 4 9 0s6 4 9 0M3 16c3-4 6 4 9 0s6 4 9 0",
    "json": "M9 4c-3 0-2 4-2 5s-1 3-3 3c2 0 3 2 3 3s-1 5 2 5M15 4c3 0 2 4 2 5s1 3 3 3"
    "c-2 0-3 2-3 3s1 5-2 5",
    "error": "M12 4l9 16H3zM12 10v4M12 17v.5",
    "plus": "M7 8v8M3 12h8M17 8v8M13 12h8",
    "pulse": "M2 12h5l3-8 4 16 3-8h5",
}


def icon(name):
    path = f'<path d="{ICONS[name]}"/>'
    return f'<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">{path}</svg>'


# Source code.


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
