"""The pages of the sample application about files: what is in memory, a download in parts, and
pages that are put together from files.
"""

from __future__ import annotations

from layout import POLICY, begin, bottom, end, size, top
from source import listing, sources

from nodepp import asset, raw

CODINGS = ("zstd", "br", "gzip")  # as the files page has them, the newest first


def files(req, resources):
    lead = """All of res/ and resmin/ is in memory, minified and compressed, and is sent in the
        smallest coding that the browser takes."""
    begin(req, "Public files", "/files", lead)
    req.out("""
        <table class="table sizes">
        <thead><tr><th>Path</th><th>Type</th><th class="number">as it is</th>
    """)
    for coding in CODINGS:
        req.out('<th class="number">%s</th>', coding)
    req.out("</tr></thead><tbody>")
    for path, resource in resources:
        file_row(req, path, resource)
    req.out("</tbody></table>")
    req.out('<p class="note">No figure: that coding would save nothing, or is still being made.')
    req.out(" Your browser takes: <code>%s</code>.</p>", req.header("accept-encoding", "nothing"))
    links = f"{asset('style.css')}\n{asset('script.js')}\n{asset('pattern.svg')}\n"
    req.out("""
        <h2 class="small">Names that change with the content</h2>
        <p>This page refers to its style sheet by a name that no other version of the file will ever
        have, so a browser may keep it for good. So does the style sheet to its picture.</p>
    """)
    req.out(listing("asset(…)", links))
    end(req, "app.public_files", "files.sitemap", "files.file_row")


def file_row(req, path, resource):
    sizes = {coding: resource.codings.get(coding) for coding in CODINGS}
    best = min(filter(None, (resource.size, *sizes.values())), default=0)
    req.out('<tr><td><a href="%s">%s</a></td>', path, path)
    req.out("<td><code>%s</code></td>", resource.content_type.partition(";")[0])
    for label, count in (("as it is", resource.size), *sizes.items()):
        req.out('<td class="number" data-label="%s">', label)
        if count is not None:
            req.out("<b>%s</b>" if count == best else "%s", f"{count:,}")
        req.out("</td>")
    req.out("</tr>")


def sitemap(menu):
    """The bytes of /sitemap.xml, made once when the application starts."""
    places = "".join(f"<url><loc>https://example.org{path}</loc></url>\n" for path, _ in menu)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">
{places}</urlset>
""".encode()


# A download in parts.

RANGES = (
    ("bytes=0-99", "The first 100 bytes"),
    ("bytes=-100", "The last 100"),
    ("bytes=0-9,1000-1009", "Two parts at once"),
    ("bytes=99999999-", "Beyond the end"),
)

CURL = """curl localhost:8080/melody.wav --continue-at - --output melody.wav

curl localhost:8080/melody.wav --range 0-99 --include --output -
"""


def download(req, count):
    lead = """A player asks for the part that it plays, a download goes on where it was cut. Files
        in memory and files on the disk answer alike."""
    begin(req, "Download", "/download", lead)
    req.out("""
        <figure class="panel player">
        <figcaption>Johann Sebastian Bach, Prelude in C, the beginning</figcaption>
        <audio controls preload="metadata" src="/melody.wav"></audio>
    """)
    req.out('<p class="actions"><a class="button" href="/melody.wav" download>Download, %s</a></p>',
            size(count))  # fmt: skip
    req.out("""
        </figure>
        <form class="panel try" data-ranges="/melody.wav" hidden>
        <h2 class="small">Ask for a part</h2>
        <p class="pills">
    """)
    for value, text in RANGES:
        req.out('<button name="range" value="%s">%s</button>', value, text)
    req.out("</p><output></output></form>")
    req.out(listing("shell", CURL))
    end(req, "app.download", "melody.wave")


# Pages made of files.


def snippets(req):
    begin(req, "Snippets", "/snippets")
    req.out_snippet("welcome.html")
    req.out('<div class="prose panel">')
    req.out_snippet("about.md")
    req.out("</div>")
    end(req, "files.snippets")


def template(req, **context):
    """The template gets the frame of the other pages as it is, and escapes all else."""
    req.set_header("Content-Security-Policy", POLICY)
    frame = {"top": raw(top("Templates", "/template")), "bottom": raw(bottom())}
    made = {"made": raw(sources("app.templates", "files.template"))}
    return req.render("page.html", **frame, **made, **context)


def no_template(req, problem):
    begin(req, "Templates", "/template", "Here would be a page from a Jinja2 template.")
    req.out('<div class="panel"><p>%s</p>', problem)
    req.out(
        "<p>Install it into the environment that runs this server, start the server again, and"
        " this page comes from <code>templates/page.html</code>.</p></div>"
    )
    end(req, "app.templates")
