"""The frame of every page of the sample application, and words for numbers."""

from __future__ import annotations

from html import escape

from source import sources

from nodepp import asset

# Nothing is loaded from elsewhere, nothing inline runs: what a visitor writes could not either.
POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'"

MENU = (
    ("/routes", "Routes"),
    ("/guestbook", "Form"),
    ("/session", "Session"),
    ("/upload", "Upload"),
    ("/calendar", "Rendering"),
    ("/automaton", "Streaming"),
    ("/api", "JSON"),
    ("/files", "Files"),
    ("/download", "Download"),
    ("/snippets", "Snippets"),
    ("/template", "Templates"),
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
    req.out(bottom())


def top(title, here, kind="page"):
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{escape(title)} · nodepp</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="description" content="The sample application of nodepp, a Python web server.">
<link rel="icon" href="{asset("logo.svg")}" type="image/svg+xml">
<link rel="apple-touch-icon" href="{asset("icon.png")}">
<link rel="stylesheet" href="{asset("style.css")}">
<script src="{asset("script.js")}" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<header class="bar">
<a class="brand" href="/"><img src="{asset("logo.svg")}" width="28" height="28" alt="">nodepp</a>
<button class="menu-button" popovertarget="menu" aria-label="Menu"><i></i></button>
<nav id="menu" popover aria-label="Pages">{links(MENU, here)}</nav>
</header>
<main id="main" class="{kind}">
"""


def bottom():
    return """</main>
<footer class="foot">
<p>The sample application of <strong>nodepp</strong>. Its source: <code>sample/</code>,
<code>res/</code>, <code>resmin/</code>,
<code>snippets/</code> and <code>templates/</code> of the checkout.</p>
<p>Cookies: the guestbook's, and one with your session. No script from elsewhere, and it works
without any.</p>
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
    "files": "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
    "words": "M4 6h16M4 10h10M4 14h16M4 18h7",
    "json": "M9 4c-3 0-2 4-2 5s-1 3-3 3c2 0 3 2 3 3s-1 5 2 5M15 4c3 0 2 4 2 5s1 3 3 3"
    "c-2 0-3 2-3 3s1 5-2 5",
    "error": "M12 4l9 16H3zM12 10v4M12 17v.5",
    "plus": "M7 8v8M3 12h8M17 8v8M13 12h8",
    "key": "M14 10a4 4 0 1 0-4 4h2v3h3v3h5v-4l-6-6M9 9v.5",
    "pulse": "M2 12h5l3-8 4 16 3-8h5",
}


def icon(name):
    path = f'<path d="{ICONS[name]}"/>'
    return f'<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">{path}</svg>'


def facts(req, pairs):
    req.out('<dl class="facts">')
    for name, fact in pairs:
        req.out("<div><dt>%s</dt><dd><code>%s</code></dd></div>", name, fact)
    req.out("</dl>")


# Words for numbers.


def size(count):
    """1234567 → "1.2 MiB"."""
    for unit, length in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= length:
            return f"{count / length:,.1f} {unit}"
    return f"{count} bytes"


def interval(microseconds):
    """1234.5 → "1.23 ms"."""
    return f"{microseconds:.0f} µs" if microseconds < 1000 else f"{microseconds / 1000:,.3g} ms"


def duration(seconds):
    """93784.2 → "1 d 2 h": the two largest units."""
    parts = []
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        number, seconds = divmod(int(seconds), length)
        if number or unit == "s":
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])
