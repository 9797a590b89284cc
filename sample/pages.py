"""The pages of the sample application: functions that write with req.out, or yield text.

What comes from a visitor is escaped in one of two ways: as an argument, req.out("<p>%s</p>", name)
escapes it; in an f-string, escape() does. Text without arguments is markup, and goes out as it is.
"""

from __future__ import annotations

from urllib.parse import quote

from layout import begin, end, facts, icon, interval, size
from source import HERE, listing

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
    ("/session", "key", "A session", "A counter, a basket, a login, and pages for members."),
    ("/upload", "upload", "An upload", "A large file goes to disk while it arrives."),
    ("/calendar", "render", "Rendering", "A whole year, written with req.out."),
    ("/automaton", "stream", "Streaming", "A picture that is drawn while it is sent."),
    ("/api", "json", "JSON", "A small API: a dict is returned, JSON goes out."),
    ("/files", "files", "Files", "In memory, minified, compressed; names change with the content."),
    ("/snippets", "words", "Snippets", "Pages put together from files, HTML and Markdown."),
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
    end(req, "app.show_value", "pages.value", "layout.facts")


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
