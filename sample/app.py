"""The sample application: one page for each thing that the engine does.

    make run        or, in the folder above this one:  nodepp-run sample/app.py

The handlers are here, those of sessions and logins in visitors.py. The markup is in pages.py and
those beside it, what all pages share in layout.py. Style sheet, script and pictures are public
files, in resmin/ and res/ of the folder it is started in; snippets/ and templates/ are there, too.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from itertools import count
from urllib.parse import quote, unquote

import dashboard
import files
import forms
import melody
import pages
import pictures
import visitors  # noqa: F401  its handlers register themselves
from application import app
from layout import MENU

from nodepp import HTTPError, NodeppError, Response
from nodepp.errors import reason

NAME_SIZE_MAX = 40  # characters
TEXT_SIZE_MAX = 280
ENTRY_COUNT_MAX = 50  # the oldest one leaves when one more comes
YEAR_S = 365 * 24 * 3600

entries = deque(maxlen=ENTRY_COUNT_MAX)
entry_ids = count(1)


@app.get("/")
def landing(req):
    pages.landing(req, figures())


# Routes: a parameter arrives as what its converter makes of it, or there is no match.


@app.get("/routes")
def routes(req):
    pages.routes(req)


@app.get("/routes/str/{value}")
@app.get("/routes/int/{value:int}")
@app.get("/routes/float/{value:float}")
@app.get("/routes/uuid/{value:uuid}")
@app.get("/routes/path/{value:path}")
def show_value(req, value):
    pages.value(req, value)


@app.get("/routes/sum/{a:int}/{b:int}")
def add(req, a, b):
    return {"a": a, "b": b, "sum": a + b}  # a dict becomes JSON


# A form: POST, then either the same page with what is wrong (422), or a redirection (303).
# Everybody may sign, in anybody's name: there is nothing that a token would guard.


@app.get("/guestbook")
def guestbook(req):
    name = unquote(req.cookies.get("name", ""))
    forms.guestbook(req, entries, {"name": name}, signed=req.query.get("signed"))


@app.post("/guestbook", csrf=False)
def sign(req):
    form = {key: req.form.get(key, "").strip() for key in ("name", "text")}
    errors = check(form)
    if errors:
        req.status = 422
        return forms.guestbook(req, entries, form, errors)
    entry = add_entry(form)
    req.set_cookie("name", quote(entry["name"]), max_age=YEAR_S, httponly=True)
    return req.redirect(f"/guestbook?signed={entry['id']}")


def check(form):
    """What is wrong with an entry, field by field; {} if nothing is."""
    errors = {}
    for key, what, size_max in (
        ("name", "your name", NAME_SIZE_MAX),
        ("text", "a message", TEXT_SIZE_MAX),
    ):
        value = form.get(key)
        if not isinstance(value, str) or not value.strip():
            errors[key] = f"Please enter {what}."
        elif len(value.strip()) > size_max:
            errors[key] = f"{len(value.strip())} characters are too many: {size_max} at most."
    return errors


def add_entry(form):
    entry = {
        "id": next(entry_ids),
        "name": form["name"].strip(),
        "text": form["text"].strip(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    entries.append(entry)
    return entry


for name, text in (
    ("Ada", "The first entry. Everybody who starts the sample finds it here."),
    ("<Bobby>", "I tried <script>alert('hello')</script>, and all it became is this text."),
):
    add_entry({"name": name, "text": text})


# An upload: long bodies lie in a temporary file, and are read from there piece by piece.


@app.get("/upload")
def upload_form(req):
    forms.upload(req)


@app.post("/upload", csrf=False)
def upload(req):
    files = [file for file in req.files.getlist("file") if file.filename]
    if not files:
        req.status = 422
        return forms.upload(req, error="Please choose a file first.")
    return forms.uploaded(req, [(file, digest_of(file), preview_of(file)) for file in files])


def digest_of(file):
    digest = hashlib.sha256()
    with file.open() as stream:
        while block := stream.read(65536):
            digest.update(block)
    return digest.hexdigest()


PREVIEW_SIZE_MAX = 512 * 1024  # bytes; the picture goes into the page itself, as base64
PICTURES = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg", b"GIF8": "image/gif"}


def preview_of(file):
    """(media type, bytes) of a small picture, else None.

    By its first bytes: name and content type are only what the client says.
    """
    if file.size > PREVIEW_SIZE_MAX:
        return None
    file.seek(0)
    data = file.read()
    for start, media_type in PICTURES.items():
        if data.startswith(start):
            return media_type, data
    return None


# A page rendered with req.out: nothing is joined, each piece goes where the answer leaves from.


@app.get("/calendar")
def this_year(req):
    return req.redirect(f"/calendar/{time.gmtime().tm_year}")


@app.get("/calendar/{year:int}")
def calendar(req, year):
    if not 1 <= year <= 9999:
        raise HTTPError(404, "This calendar knows the years 1 to 9999.")
    return pictures.calendar(req, year)


# Streams: an iterator is pulled as fast as the client reads, and no faster.


@app.get("/automaton")
def automaton_start(req):
    return req.redirect("/automaton/30")


@app.get("/automaton/{rule:int}")
def automaton(req, rule):
    if rule > 255:
        raise HTTPError(404, "There are 256 rules, 0 to 255.")
    req.content_type = "text/html; charset=utf-8"
    return pictures.automaton(req, rule)  # a generator


@app.get("/squares.csv")
def squares(req):
    def rows():
        yield "number,square\r\n"
        for start in range(0, 1_000_000, 1000):
            yield "".join(f"{n},{n * n}\r\n" for n in range(start, start + 1000))

    return Response(
        rows(),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="squares.csv"'},
    )


# A JSON API over the guestbook.


@app.get("/api")
def api(req):
    pages.api(req)


@app.get("/api/entries")
def list_entries(req):
    return {"entries": list(entries)}


@app.post("/api/entries", csrf=False)
def create_entry(req):
    form = req.json()  # 400 if it is none
    if not isinstance(form, dict):
        raise HTTPError(422, "Send an object with name and text.")
    if errors := check(form):
        return 422, {"status": 422, "errors": errors}
    entry = add_entry(form)
    return Response(entry, 201, headers={"Location": f"/api/entries/{entry['id']}"})


@app.get("/api/entries/{id:int}")
def read_entry(req, id):
    return find_entry(id)


@app.delete("/api/entries/{id:int}", csrf=False)
def delete_entry(req, id):
    entries.remove(find_entry(id))
    return 204, ""


def find_entry(id):
    for entry in entries:
        if entry["id"] == id:
            return entry
    raise HTTPError(404, f"There is no entry {id}.")


# Files: those of res/ and resmin/ are served without a word here. Others can be added.

MELODY = melody.wave()
app.add_static("/melody.wav", MELODY)


app.add_static("/sitemap.xml", files.sitemap(MENU))


@app.get("/files")
def public_files(req):
    snapshot = app.statics.snapshot
    found = [(path, snapshot.get(path)) for path in sorted(snapshot.paths())]
    # The same bytes are there by the names that asset() gives, which nobody wants to read.
    files.files(req, [(path, it) for path, it in found if "immutable" not in it.cache_control])


@app.get("/download")
def download(req):
    files.download(req, len(MELODY))


@app.get("/snippets")
def snippets(req):
    files.snippets(req)


@app.get("/template")
def templates(req):
    try:
        return files.template(req, name=req.query.get("name", ""), words=("one", "two", "three"))
    except NodeppError as problem:  # Jinja2 is an extra
        return files.no_template(req, problem)


# Errors: whatever goes wrong, and wherever, ends here.


@app.error(*range(400, 600))
def error_page(req, exc):
    detail = getattr(exc, "detail", None)
    if req.path.startswith("/api/"):
        return {"status": req.status, "error": detail or reason(req.status)}
    return pages.error(req, detail)


@app.get("/errors")
def errors(req):
    pages.errors(req)


@app.get("/errors/{status:int}")
def fail(req, status):
    if not 400 <= status <= 599:
        raise HTTPError(404, f"{status} is not an error.")
    raise HTTPError(status)


@app.get("/errors/crash")
def crash(req):
    return 1 / 0  # the visitor gets a 500, the log the place


@app.get("/nodeplusplus")
def nodeplusplus(req):
    pages.nodeplusplus(req)


# Performance: the engine counts, the page shows, a periodic function remembers the last minute.

rates = deque([0] * 60, maxlen=60)  # requests in each of the last 60 seconds
request_count = 0  # when rates was written last


@app.every(1)
def remember_rate():
    global request_count
    before, request_count = request_count, app.stats()["requests"]
    rates.append(request_count - before)


def figures():
    return {**app.stats(), **dashboard.memory(), "rates": list(rates)}


@app.get("/performance")
def performance(req):
    req.no_cache()
    req.compress = "plain" not in req.query
    dashboard.performance(req, figures())


@app.get("/api/performance")
def performance_figures(req):
    req.no_cache()
    now = figures()
    return {**now, "page": dashboard.live(now)}  # what the page's script puts where
