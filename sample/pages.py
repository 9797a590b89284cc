"""The pages of the sample application: functions that write with req.out, or yield text.

What comes from a visitor is escaped in one of two ways: as an argument, req.out("<p>%s</p>", name)
escapes it; in an f-string, escape() does. Text without arguments is markup, and goes out as it is.
"""

from __future__ import annotations

import re
from base64 import b64encode
from calendar import TextCalendar, month_name
from time import gmtime, perf_counter_ns
from urllib.parse import quote

from layout import BOTTOM, HERE, POLICY, begin, end, icon, links, listing, sources, top

from nodepp.errors import ADVICE, reason

# The landing page.

HELLO = """from nodepp import App

app = App()

@app.get("/")
def landing(req):
    return "<h1>Hello</h1>"

@app.get("/user/{id:int}")
def user(req, id):
    return {"id": id, "q": req.query.get("q")}
"""

CARDS = (
    ("/routes", "routes", "Routes", "Parameters with converters: a number arrives as a number."),
    ("/guestbook", "form", "A form", "POST, validation, a redirection, and a cookie."),
    ("/upload", "upload", "An upload", "A large file goes to disk while it arrives."),
    ("/calendar", "render", "Rendering", "A whole year, written with req.out."),
    ("/automaton", "stream", "Streaming", "A picture that is drawn while it is sent."),
    ("/api", "json", "JSON", "A small API: a dict is returned, JSON goes out."),
    ("/errors", "error", "Errors", "One function makes the page for all that can go wrong."),
    ("/nodeplusplus", "plus", "The Node++ way", "REQ, QS and OUT, without an App."),
    ("/performance", "pulse", "Performance", "What the engine counts, live."),
)


def landing(req, now):
    begin(req, "A web server in one Python process", "/", kind="landing")
    req.out("""
        <section class="hero">
        <div>
        <h1>A web server in one <em>Python</em> process</h1>
        <p class="lead">The event loop, the HTTP parser, routing and output are compiled to C. Your
        application is plain Python, called directly.</p>
        <p class="actions"><a class="button" href="/performance">See it work</a>
        <a class="button quiet" href="#demos">Look around</a></p>
        </div>
    """)
    req.out(listing("app.py", HELLO))
    req.out('</section><dl class="strip">')
    for label, fact in (
        ("requests so far", f"{now['requests']:,}"),
        ("on average", interval(now["average_us"])),
        ("connections now", f"{now['connections']:,}"),
        ("memory", size(now["memory"])),
    ):
        req.out("<div><dt>%s</dt><dd>%s</dd></div>", label, fact)
    req.out('</dl><section id="demos"><h2>What is here</h2><ul class="cards">')
    for path, picture, name, text in CARDS:
        req.out('<li><a href="%s">', path)
        req.out(icon(picture))
        req.out("<h3>%s</h3><p>%s</p></a></li>", name, text)
    req.out("</ul></section>")
    end(req)


# Routes.

PATTERNS = (
    ("/routes/str/{value}", ("/routes/str/Zoë", "/routes/str/<b>Ann")),
    ("/routes/int/{value:int}", ("/routes/int/42", "/routes/int/many")),
    ("/routes/float/{value:float}", ("/routes/float/2.5",)),
    ("/routes/uuid/{value:uuid}", ("/routes/uuid/6ba7b810-9dad-11d1-80b4-00c04fd430c8",)),
    ("/routes/path/{value:path}", ("/routes/path/docs/guide/first.md",)),
    ("/routes/sum/{a:int}/{b:int}", ("/routes/sum/19/23",)),
)


def routes(req):
    lead = """A path may have parameters. Each has a converter: what does not fit it is another
        path, and here a 404."""
    begin(req, "Routes", "/routes", lead)
    req.out("""
        <table class="table">
        <thead><tr><th>Pattern</th><th>Try it</th></tr></thead>
        <tbody>
    """)
    for pattern, paths in PATTERNS:
        req.out("<tr><td><code>%s</code></td><td>", pattern)
        for path in paths:
            req.out('<a href="%s">%s</a> ', quote(path), path)
        req.out("</td></tr>")
    req.out("</tbody></table>")
    end(req, "app.show_value", "app.add")


def value(req, value):
    begin(req, "A parameter", "/routes", "This is what the handler got.")
    facts(req, (("path", req.path), ("type", type(value).__name__), ("value", repr(value))))
    req.out('<p><a class="button quiet" href="/routes">Back to the routes</a></p>')
    end(req, "app.show_value", "pages.value", "pages.facts")


def facts(req, pairs):
    req.out('<dl class="facts">')
    for name, fact in pairs:
        req.out("<div><dt>%s</dt><dd><code>%s</code></dd></div>", name, fact)
    req.out("</dl>")


# The form.


def guestbook(req, entries, form, errors=None, signed=None):
    lead = """A form without a line of script: what is wrong is said beside the field, what was
        entered is kept, and your name is remembered."""
    begin(req, "Guestbook", "/guestbook", lead)
    req.out("""
        <div class="columns">
        <form class="panel" method="post" action="/guestbook" novalidate>
    """)
    field(req, "name", "Your name", '<input%s value="%%s" autocomplete="name">', form, errors)
    field(req, "text", "Message", '<textarea%s rows="4">%%s</textarea>', form, errors)
    req.out('<button class="button">Sign</button></form>')
    req.out('<section><h2 class="small">Entries</h2><ol class="entries">')
    for entry in reversed(entries):
        entry_item(req, entry, is_new=str(entry["id"]) == signed)
    req.out("</ol></section></div>")
    end(req, "app.sign", "app.check", "pages.entry_item")


def field(req, name, label, control, form, errors):
    """A label, its control, and what is wrong with it. control: markup with a place for attributes,
    %s, and then one for the value, %%s.
    """
    errors = errors or {}
    error = errors.get(name)
    attributes = f' id="{name}" name="{name}"'
    if error:
        attributes += f' aria-invalid="true" aria-describedby="{name}-error"'
        if name == next(iter(errors)):
            attributes += " autofocus"
    req.out(f'<p class="field"><label for="{name}">{label}</label>')
    req.out(control % attributes, form.get(name, ""))
    if error:
        req.out(f'<span class="wrong" id="{name}-error">%s</span>', error)
    req.out("</p>")


def entry_item(req, entry, is_new):
    req.out('<li class="new">' if is_new else "<li>")
    req.out(
        '<p class="who"><b aria-hidden="true">%s</b> %s <time>%s</time></p><p>%s</p></li>',
        entry["name"][0],
        entry["name"],
        entry["time"][:16].replace("T", " "),
        entry["text"],
    )


# The upload.


def upload(req, error=None):
    lead = """What arrives is looked at and let go: nothing is kept. Up to 16 MiB here; from 1 MiB
        on it waits in a temporary file, and memory stays flat."""
    begin(req, "Upload", "/upload", lead)
    upload_form(req, error)
    end(req, "app.upload", "app.digest_of", "app.preview_of")


def uploaded(req, files):
    lead = "Name and type are what the browser said. Size and digest are what came."
    begin(req, "Uploaded", "/upload", lead)
    req.out('<ul class="files">')
    for file, digest, preview in files:
        req.out('<li class="panel">')
        if preview:
            media_type, data = preview
            source = f"data:{media_type};base64,{b64encode(data).decode()}"
            req.out('<img src="%s" alt="The picture">', source)
        req.out('<div><h2 class="small">%s</h2>', file.filename)
        pairs = ("type", file.content_type), ("size", f"{file.size:,} bytes"), ("SHA-256", digest)
        facts(req, pairs)
        req.out("</div></li>")
    req.out("</ul>")
    upload_form(req)
    end(req, "app.upload", "app.digest_of", "app.preview_of")


def upload_form(req, error=None):
    req.out("""
        <form class="panel drop" method="post" action="/upload" enctype="multipart/form-data">
        <p class="field">
        <label for="file">Files: choose them, or drop them here</label>
        <input id="file" name="file" type="file" multiple aria-describedby="file-error">
        </p>
    """)
    req.out('<p class="wrong" id="file-error">%s</p>', error or "")
    req.out('<button class="button">Upload</button></form>')


# A page with many small pieces.


def calendar(req, year):
    started = perf_counter_ns()
    lead = """Every day below is a call of req.out, which formats, escapes, and writes in C to where
        the answer leaves from."""
    begin(req, str(year), "/calendar", lead)
    req.out('<nav class="actions" aria-label="Years">')
    if year > 1:
        req.out('<a class="button quiet" href="/calendar/%d">← %d</a>', year - 1, year - 1)
    if year < 9999:
        req.out('<a class="button quiet" href="/calendar/%d">%d →</a>', year + 1, year + 1)
    req.out('</nav><div class="year">')
    now = gmtime()
    for month in range(1, 13):
        today = now.tm_mday if (year, month) == (now.tm_year, now.tm_mon) else 0
        calendar_month(req, year, month, today)
    req.out("</div>")
    req.out('<p class="note">Rendered in %d µs.</p>', (perf_counter_ns() - started) // 1000)
    end(req, "pages.calendar_month")


def calendar_month(req, year, month, today):
    req.out("<table><caption>%s</caption><thead><tr>", month_name[month])
    for name in ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su"):
        req.out('<th scope="col">%s</th>', name)
    req.out("</tr></thead><tbody>")
    for week in TextCalendar().monthdayscalendar(year, month):
        req.out("<tr>")
        for day in week:
            if day == 0:
                req.out("<td></td>")
            elif day == today:
                req.out('<td><b aria-current="date">%d</b></td>', day)
            else:
                req.out("<td>%d</td>", day)
        req.out("</tr>")
    req.out("</tbody></table>")


# A page that is sent while it is made.

RULES = [
    (f"/automaton/{rule}", rule) for rule in (18, 22, 30, 45, 54, 60, 73, 90, 105, 110, 126, 150)
]
ROW_COUNT = 160


def automaton(req, rule):
    """Yields text instead of calling req.out: each piece may leave before the next is made."""
    req.set_header("Content-Security-Policy", POLICY)
    yield top(f"Rule {rule}", "/automaton")
    yield f"""
        <header class="head">
        <h1>Rule {rule}</h1>
        <p class="lead">Each line follows from the one above it, and is sent when it is known: the
        handler returns a generator.</p>
        </header>
        <nav class="pills" aria-label="Rules">{links(RULES, req.path)}</nav>
        <svg class="automaton" viewBox="0 0 {2 * ROW_COUNT} {ROW_COUNT}" role="img"
        aria-label="The cellular automaton of rule {rule}">
    """
    for y, cells in enumerate(rows(rule)):
        runs = re.finditer("1+", f"{cells:0{2 * ROW_COUNT}b}")
        path = "".join(f"M{run.start()} {y}.5h{len(run[0])}" for run in runs)
        yield f'<path d="{path}"/>\n'
    yield """
        </svg>
        <p>A download of the same kind, a million lines made as they are read:
        <a href="/squares.csv" download>squares.csv</a></p>
    """
    yield sources("app.automaton", "app.squares", "pages.rows")
    yield BOTTOM


def rows(rule):
    """The lines of an elementary cellular automaton, a bit for each cell."""
    mask = (1 << 2 * ROW_COUNT) - 1
    cells = 1 << ROW_COUNT
    for _ in range(ROW_COUNT):
        yield cells
        left, right = cells >> 1, cells << 1
        after = 0
        for pattern in range(8):
            if rule >> pattern & 1:
                after |= (
                    (left if pattern & 4 else ~left)
                    & (cells if pattern & 2 else ~cells)
                    & (right if pattern & 1 else ~right)
                )
        cells = after & mask


# JSON.

ENDPOINTS = (
    ("GET", "/api/entries", "all entries of the guestbook"),
    ("POST", "/api/entries", "a new one, from name and text: 201, or 422 and what is wrong"),
    ("GET", "/api/entries/{id:int}", "one of them, or 404"),
    ("DELETE", "/api/entries/{id:int}", "takes it out: 204"),
    ("GET", "/api/performance", "what the engine counts"),
)

CURL = """curl localhost:8080/api/entries

curl localhost:8080/api/entries --json '{"name": "Ann", "text": "From the shell"}'

curl -X DELETE localhost:8080/api/entries/3
"""


def api(req):
    lead = """What a handler returns as a dict goes out as JSON, and what comes in is read with
        req.json()."""
    begin(req, "JSON", "/api", lead)
    req.out('<table class="table"><tbody>')
    for method, path, text in ENDPOINTS:
        req.out('<tr><td><span class="method">%s</span></td><td>', method)
        if method == "GET" and "{" not in path:
            req.out('<a href="%s"><code>%s</code></a>', path, path)
        else:
            req.out("<code>%s</code>", path)
        req.out("</td><td>%s</td></tr>", text)
    req.out("""
        </tbody></table>
        <form class="panel try" data-url="/api/entries" hidden>
        <p class="field">
        <label for="json">POST /api/entries</label>
        <textarea id="json" rows="3" spellcheck="false">{"name": "Ann", "text": "Hello"}</textarea>
        </p>
        <button class="button">Send</button>
        <output></output>
        </form>
    """)
    req.out(listing("shell", CURL))
    end(req, "app.create_entry", "app.delete_entry", "app.find_entry")


# Errors.

FAILURES = (
    ("/nowhere", "404", "No such path"),
    ("/errors/403", "403", "A handler that refuses"),
    ("/errors/418", "418", "A teapot"),
    ("/errors/crash", "500", "A handler that fails"),
    ("/api/entries/0", "404", "The same as JSON"),
)


def errors(req):
    lead = """A path is wrong, a handler raises HTTPError, or just fails. One function answers for
        all of it."""
    begin(req, "Errors", "/errors", lead)
    req.out('<ul class="choices">')
    for path, status, text in FAILURES:
        req.out('<li><a href="%s"><b>%s</b> %s</a></li>', path, status, text)
    req.out("""
        <li><form method="post" action="/calendar">
        <button><b>405</b> POST where only GET is</button>
        </form></li>
        </ul>
    """)
    end(req, "app.error_page", "app.fail", "app.crash")


def error(req, detail):
    req.content_type = "text/html; charset=utf-8"
    begin(req, f"{req.status} {reason(req.status)}", kind="page oops")
    req.out('<p class="status" aria-hidden="true">%d</p>', req.status)
    req.out("<h1>%s</h1>", reason(req.status))
    req.out('<p class="lead">%s</p>', detail or ADVICE.get(req.status, ""))
    req.out("""
        <p class="actions"><a class="button" href="/">To the start</a>
        <a class="button quiet" href="/errors">More errors</a></p>
    """)
    end(req)


# The Node++ way.


def nodeplusplus(req):
    lead = """As applications of Node++ are written, and can be carried over line by line: one
        function asks what is wanted. No App, and no routes."""
    begin(req, "The Node++ way", "/nodeplusplus", lead)
    req.out(listing("sample/npp_hello.py", (HERE / "npp_hello.py").read_text("utf-8")))
    req.out(listing("shell", "nodepp-run sample/npp_hello.py --port 8081"))
    end(req)


# Performance. The page is made here once; the script puts what live() gives where it belongs.

TILES = (
    ("Requests", "requests", "bytes"),
    ("Average time", "average", "busy"),
    ("Connections now", "connections", "connections_most"),
    ("Memory", "memory", "memory_most"),
    ("Up", "uptime", "turns"),
    ("Poller", "poller", "slots"),
)
STATUSES = (("2", "done"), ("3", "elsewhere"), ("4", "client's fault"), ("5", "server's fault"))
TROUBLES = (
    ("parse_errors", "requests that were no HTTP"),
    ("handler_errors", "handlers that failed"),
    ("timeouts", "requests or answers that took too long"),
    ("refused", "refused, for want of place or memory"),
)


def performance(req, now):
    begin(req, "Performance", "/performance", "What the engine counts about itself, live.")
    page = live(now)
    text, shapes = page["text"], page["shapes"]
    req.out('<div class="dashboard" data-live="/api/performance">')
    chart(req, text, shapes)
    req.out('<dl class="tiles">')
    for label, key, more in TILES:
        req.out('<div class="tile"><dt>%s</dt>', label)
        req.out('<dd id="%s">%s</dd>', key, text[key])
        req.out('<dd class="more" id="%s">%s</dd></div>', more, text[more])
    req.out('</dl><section class="panel"><h2 class="small">Answers by status</h2>')
    req.out('<table class="bars"><tbody>')
    for kind, name in STATUSES:
        status_bar(req, kind, name, text, shapes)
    req.out('</tbody></table></section><section class="panel">')
    req.out('<h2 class="small">What went wrong</h2><dl class="facts">')
    for key, label in TROUBLES:
        req.out('<div><dt>%s</dt><dd id="%s">%s</dd></div>', label, key, text[key])
    req.out("</dl></section></div>")
    req.out('<noscript><p class="note">Reload to see newer figures.</p></noscript>')
    end(req, "app.remember_rate", "app.figures", "app.performance_figures")


def chart(req, text, shapes):
    req.out('<section class="panel chart"><h2 class="small">Requests per second ')
    req.out('<span id="rate">%s</span></h2>', text["rate"])
    req.out('<svg viewBox="0 0 590 100" preserveAspectRatio="none" role="img"')
    req.out(' aria-label="The last minute">')
    for key in ("area", "line"):
        req.out('<path class="%s" id="%s" d="%s"/>', key, key, shapes[key]["d"])
    req.out('</svg><p class="note">The last minute, at most ')
    req.out('<span id="rate_most">%s</span> in a second.</p></section>', text["rate_most"])


def status_bar(req, kind, name, text, shapes):
    req.out('<tr class="s%s"><th scope="row">%sxx <small>%s</small></th>', kind, kind, name)
    req.out('<td><svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">')
    req.out('<rect id="bar_%s" height="1" width="%s"/></svg></td>', kind,
            shapes[f"bar_{kind}"]["width"])  # fmt: skip
    req.out('<td class="number" id="status_%s">%s</td></tr>', kind, text[f"status_{kind}"])


def live(now):
    """Texts and shapes of the performance page, by the id of their element."""
    peak = max(now["rates"])
    points = [f"{10 * i} {100 - 96 * it / max(peak, 1):.4g}" for i, it in enumerate(now["rates"])]
    line = "M" + "L".join(points)
    shapes = {"line": {"d": line}, "area": {"d": f"{line}V100H0Z"}}
    text = {
        "rate": f"{now['rates'][-1]:,}",
        "rate_most": f"{peak:,}",
        "requests": f"{now['requests']:,}",
        "bytes": f"{size(now['bytes_out'])} sent, {size(now['bytes_in'])} received",
        "average": interval(now["average_us"]),
        "busy": f"busy {now['busy_ns'] / max(now['uptime_s'], 0.001) / 1e7:.2f} % of the time",
        "connections": f"{now['connections']:,}",
        "connections_most": f"at most {now['connections_high_water']:,}",
        "memory": size(now["memory"]),
        "memory_most": f"at most {size(now['memory_high_water'])}",
        "uptime": duration(now["uptime_s"]),
        "turns": f"{now['turns']:,} turns of the loop",
        "poller": now["poller"],
        "slots": f"{now['connection_slots']:,} slots of {now['connection_size']} bytes",
        "parse_errors": f"{now['parse_errors']:,}",
        "handler_errors": f"{now['handler_errors']:,}",
        "timeouts": f"{sum(n for key, n in now.items() if key.startswith('timeouts_')):,}",
        "refused": f"{now['refused_full'] + now['refused_memory']:,}",
    }
    counts = {kind: now[f"status_{kind}xx"] for kind, _ in STATUSES}
    for kind, count in counts.items():
        text[f"status_{kind}"] = f"{count:,}"
        shapes[f"bar_{kind}"] = {"width": f"{100 * count / max(1, sum(counts.values())):.4g}"}
    return {"text": text, "shapes": shapes}


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
