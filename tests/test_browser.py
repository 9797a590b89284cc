"""A real browser loads real pages: what it asks for, what it gets, what it keeps.

Everything is read off the browser's own network events, not off the server.
"""

from __future__ import annotations

import io
import pathlib
import re
import time
import wave

import chromium
import pytest
from chromium import Chromium
from nodepprun import Run

pytestmark = pytest.mark.skipif(chromium.program() is None, reason="there is no Chromium")

ROOT = pathlib.Path(__file__).parent.parent
FINGERPRINT = re.compile(r"\.[0-9a-f]{10}\.\w+$")
FILLER = "/* " + "words that compress well, " * 60 + "*/\n"

APP = '''
from nodepp import App, asset

app = App()

@app.get("/")
def page(req):
    return f"""<!doctype html><meta charset=utf-8><title>waiting</title>
<link rel=icon href="data:,">
<link rel=stylesheet href="{asset("style.css")}"><script src="{asset("app.js")}" defer></script>
<img id=picture src="{asset("picture.svg")}"><p id=text>{"words " * 300}</p>"""

@app.get("/sound")
def sound(req):
    return """<!doctype html><title>sound</title><link rel=icon href="data:,">
<audio id=sound src="/sound.wav" preload=auto></audio>"""
'''
STYLE = FILLER + "#text { color: rgb(1, 2, 3); background: url('ground.svg') }\n"
SCRIPT = FILLER + "document.title = 'the script has run: caf\u00e9';\n"
PICTURE = ("<svg xmlns='http://www.w3.org/2000/svg' width='40' height='30'><!-- "
           + "filler " * 100 + "--><rect width='40' height='30'/></svg>")
STATIC_PAGE = ("<!doctype html><meta charset=utf-8><title>static</title>"
               "<link rel=icon href='data:,'>"
               "<link rel=stylesheet href='style.css'><p id=text>" + "text " * 200)


@pytest.fixture(scope="module")
def chromium_process(tmp_path_factory):
    with Chromium(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(chromium_process):
    """With nothing in its cache."""
    chromium_process.forget()
    return chromium_process


def sound() -> bytes:
    """Twelve seconds of silence, a megabyte."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as made:
        made.setnchannels(1)
        made.setsampwidth(2)
        made.setframerate(44_100)
        made.writeframes(bytes(2 * 44_100 * 12))
    return stream.getvalue()


@pytest.fixture
def site(tmp_path):
    """The folder of a small site; and its server, with all codings made."""
    folder = tmp_path / "site"
    (folder / "res").mkdir(parents=True)
    (folder / "app.py").write_text(APP)
    for name, text in (("style.css", STYLE), ("app.js", SCRIPT), ("picture.svg", PICTURE),
                       ("ground.svg", PICTURE), ("page.html", STATIC_PAGE)):
        (folder / "res" / name).write_text(text, "utf-8")
    (folder / "res" / "sound.wav").write_bytes(sound())
    with Run(folder, "app.py", "--precompress", "--static-memory", "500k") as server:
        yield server, folder / "res"


def test_the_sample_site_comes_coded_and_once(browser):
    """Everything is there; text is coded as the browser likes it; the second time only the page
    itself is asked for."""
    with Run(ROOT, "sample/app.py", "--precompress") as server:
        first = browser.load(server.url + "/")
        second = browser.load(server.url + "/")
        other = browser.load(server.url + "/routes")
    files = {path: each for path, each in first.items() if path != "/"}
    assert len(files) >= 4
    for path, each in first.items():
        assert (each.status, each.failed) == (200, ""), path
    for path, each in files.items():
        assert FINGERPRINT.search(path), f"{path} is not asked for by its fingerprint"
        assert each.fields["cache-control"] == "public, max-age=31536000, immutable"
        assert re.fullmatch(r'"[\w.-]+"', each.fields["etag"])
        if each.kind in ("Stylesheet", "Script"):
            assert each.fields["content-encoding"] in ("zstd", "br")
            assert each.fields["vary"] == "Accept-Encoding"
            # Its size was told, and it came coded: not more than the head beside it.
            assert each.wire_size < int(each.fields["content-length"]) + 700
    assert first["/"].fields["content-encoding"] in ("zstd", "gzip")
    for loaded in (second, other):
        asked = [path for path, each in loaded.items() if not each.cached and path in files]
        assert asked == [], "kept for ever, so nobody asks again"
        assert sum(each.wire_size for path, each in loaded.items() if path in files) == 0


def test_what_came_coded_is_what_was_written(browser, site):
    """The style applies, the script runs, the pictures are pictures."""
    server, _ = site
    loaded = browser.load(server.url + "/")
    assert browser.evaluate("document.title") == "the script has run: caf\u00e9"
    assert browser.evaluate(
        "getComputedStyle(document.getElementById('text')).color") == "rgb(1, 2, 3)"
    assert browser.evaluate("document.getElementById('picture').naturalWidth") == 40
    coded = {path.split(".")[0]: each.fields.get("content-encoding")
             for path, each in loaded.items()}
    assert set(coded) == {"/", "/style", "/app", "/picture", "/ground"}
    assert set(coded.values()) <= {"zstd", "br", "gzip"}
    ground = next(path for path in loaded if path.startswith("/ground"))
    assert FINGERPRINT.search(ground), "a reference within the style sheet has its fingerprint too"


def test_a_static_page_is_revalidated(browser, site):
    """It may be kept, but is asked for each time: 304, a few hundred bytes."""
    server, _ = site
    first = browser.load(server.url + "/page.html")["/page.html"]
    assert (first.status, first.fields["cache-control"]) == (200, "no-cache")
    assert first.wire_size > 300
    again = browser.load(server.url + "/page.html")
    page = again["/page.html"]
    assert page.sent["if-none-match"] == first.fields["etag"]
    assert page.status == 304
    assert page.wire_size < 400
    assert again["/style.css"].cached, "ninety days need no question"
    assert browser.evaluate("document.getElementById('text').textContent.length") >= 1000


def test_a_reload_asks_for_what_may_change_and_gets_304(browser, site):
    """F5 revalidates the page."""
    server, _ = site
    browser.load(server.url + "/page.html")
    again = browser.reload()
    assert again["/page.html"].status == 304
    asked = [each for path, each in again.items() if path != "/page.html" and not each.cached]
    assert all(each.status == 304 for each in asked)


def test_a_changed_file_has_another_url_and_only_that_is_fetched(browser, site):
    server, res = site
    first = browser.load(server.url + "/")
    (res / "app.js").write_text(FILLER + "document.title = 'changed';\n", "utf-8")
    server.until(lambda: b"/app." in server.get("/").body and not any(
        path.encode() in server.get("/").body for path in first if path.startswith("/app.")),
        "another fingerprint")
    second = browser.load(server.url + "/")
    assert browser.evaluate("document.title") == "changed"
    fetched = [path for path, each in second.items() if not each.cached and path != "/"]
    assert len(fetched) == 1
    assert fetched[0].startswith("/app.")


def test_a_changed_page_is_shown(browser, site):
    """200 with a new tag after 304s: no-cache means what it says."""
    server, res = site
    browser.load(server.url + "/page.html")
    (res / "page.html").write_text(STATIC_PAGE.replace("static<", "new<"), "utf-8")
    server.until(lambda: b"<title>new" in server.get("/page.html").body, "the new page")
    assert browser.load(server.url + "/page.html")["/page.html"].status == 200
    assert browser.evaluate("document.title") == "new"


def test_sound_is_asked_for_in_ranges(browser, site):
    """From the disk, as it is larger than what is kept in memory here."""
    server, _ = site
    loaded = browser.load(server.url + "/sound")
    assert browser.evaluate("""new Promise(done => {
        const sound = document.getElementById('sound');
        const tell = () => done(sound.duration);
        if (sound.readyState > 0) tell(); else sound.onloadedmetadata = tell;
        sound.onerror = () => done('failed');
    })""") == pytest.approx(12, abs=0.1)
    exchange = loaded["/sound.wav"]
    assert exchange.sent["range"] == "bytes=0-"
    assert exchange.status == 206
    size = len(sound())
    assert exchange.fields["content-range"] == f"bytes 0-{size - 1}/{size}"


def test_a_script_can_ask_for_parts_and_conditions(browser, site):
    """fetch(): ranges, preconditions, HEAD, and what is not allowed."""
    server, _ = site
    browser.load(server.url + "/page.html")
    found = browser.evaluate("""(async () => {
        const ask = async (options) => {
            const answer = await fetch('/sound.wav', {cache: 'no-store', ...options});
            return [answer.status, (await answer.arrayBuffer()).byteLength,
                    answer.headers.get('content-range')];
        };
        const whole = await fetch('/sound.wav', {method: 'HEAD', cache: 'no-store'});
        const etag = whole.headers.get('etag');
        return [
            await ask({headers: {Range: 'bytes=0-99'}}),
            await ask({headers: {Range: 'bytes=-5'}}),
            await ask({headers: {Range: 'bytes=99999999-'}}),
            await ask({headers: {'If-None-Match': etag}}),
            await ask({headers: {'If-Match': '"x"'}}),
            await ask({method: 'HEAD'}),
            (await ask({method: 'DELETE'}))[0],
        ];
    })()""")
    size = len(sound())
    assert [each[0] for each in found[:6]] == [206, 206, 416, 304, 412, 200]
    assert [each[1] for each in found[:2]] == [100, 5]
    assert found[1][2] == f"bytes {size - 5}-{size - 1}/{size}"
    assert found[2][2] == f"bytes */{size}"
    assert found[5][1] == 0
    assert found[6] == 405


# --- sessions -------------------------------------------------------------------------------------


def fill(name: str, password: str, keep: bool = False) -> str:
    """Fills the form of the sample's login, and presses its button."""
    return f"""{{
        const form = document.querySelector('form[action="/login"]');
        form.elements.name.value = {name!r};
        form.elements.password.value = {password!r};
        form.elements.keep.checked = {"true" if keep else "false"};
        form.querySelector('button').click();
    }}"""


PRESS_LOGOUT = """document.querySelector('form[action="/logout"] button').click()"""
WHERE = "location.pathname + location.search"


def test_a_login_leads_back_and_ends_with_the_logout(browser):
    with Run(ROOT, "sample/app.py", "--csrf") as server:
        asked = browser.load(server.url + "/members?page=2")
        assert asked["/members?page=2"].status == 303
        assert browser.evaluate(WHERE) == "/login?next=/members%3Fpage%3D2"
        before = browser.cookies()["as"]
        assert browser.act(fill("ada", "wrong"))["/login"].status == 422
        assert browser.cookies()["as"]["value"] == before["value"]
        assert browser.act(fill("ada", "engine"))["/login"].status == 303
        assert browser.evaluate(WHERE) == "/members?page=2"
        assert browser.evaluate("document.querySelector('h1').textContent") == (
            "Welcome, Ada Lovelace")
        after = browser.cookies()
        assert "as" not in after
        assert after["ls"]["value"] != before["value"]
        assert browser.load(server.url + "/admin")["/admin"].status == 403
        browser.load(server.url + "/members")
        assert browser.act(PRESS_LOGOUT)["/logout"].status == 303
        assert browser.evaluate(WHERE) == "/session"
        assert "ls" not in browser.cookies()
        browser.load(server.url + "/members")
        assert browser.evaluate("location.pathname") == "/login"
        browser.call("Network.setCookie", url=server.url, name="ls", value=after["ls"]["value"])
        assert browser.load(server.url + "/members")["/members"].status == 303, "ended is ended"


def test_scripts_and_other_sites_do_not_get_the_cookie(browser):
    with Run(ROOT, "sample/app.py") as server:
        browser.load(server.url + "/session")
        cookie = browser.cookies()["as"]
        assert cookie["httpOnly"]
        assert (cookie["sameSite"], cookie["path"], cookie["session"]) == ("Lax", "/", True)
        assert not cookie["secure"], "there is no TLS here"
        assert "as=" not in browser.evaluate("document.cookie")


def test_a_kept_login_outlives_browser_and_server(browser, tmp_path):
    """With a session file; the cookie is kept for thirty days."""
    words = ("sample/app.py", "--session-file", str(tmp_path / "sessions.npp"))
    with Run(ROOT, *words) as server:
        browser.load(server.url + "/login")
        browser.act(fill("grace", "compiler", keep=True))
        cookie = browser.cookies()["ls"]
        assert not cookie["session"]
        assert 29 < (cookie["expires"] - time.time()) / 86400 < 30.01
    with Run(ROOT, *words) as server:    # on another port, which cookies do not know
        assert browser.load(server.url + "/admin")["/admin"].status == 200
        assert browser.cookies()["ls"]["value"] == cookie["value"]


def test_a_form_of_another_site_is_refused(browser):
    """localhost is another site than 127.0.0.1. The browser says so, and keeps the cookie back."""
    with Run(ROOT, "sample/app.py", "--csrf") as server:
        browser.load(server.url + "/session")
        browser.load(f"http://localhost:{server.port}/errors")
        sent = browser.act(f"""{{
            const form = document.createElement('form');
            form.method = 'post';
            form.action = '{server.url}/session';
            form.innerHTML = '<input name=add value=tea>';
            document.body.append(form);
            form.submit();
        }}""")
        assert sent["/session"].status == 403
        browser.load(server.url + "/session")
        assert "Nothing yet." in browser.evaluate("document.getElementById('basket').textContent")
        assert browser.evaluate("document.getElementById('visits').textContent") == "2"


def test_the_basket_is_filled_and_emptied(browser):
    with Run(ROOT, "sample/app.py", "--csrf") as server:
        browser.load(server.url + "/session")
        for _ in range(2):
            browser.act("document.querySelector('button[value=tea][name=add]').click()")
        assert browser.evaluate("document.querySelector('.basket li').textContent.trim()") == (
            "2 tea \u00d7")
        browser.act("document.querySelector('button[name=remove]').click()")
        assert browser.evaluate("document.querySelectorAll('.basket li').length") == 0


def test_the_figures_of_the_sessions_move(browser):
    with Run(ROOT, "sample/app.py") as server:
        browser.load(server.url + "/session")
        browser.load(server.url + "/sessions")
        seen = "document.getElementById('{}').textContent"
        assert browser.evaluate(seen.format("now")) == "1"
        server.get("/session", "User-Agent: Mozilla/5.0\r\n")
        server.until(lambda: browser.evaluate(seen.format("now")) == "2", "the second session")
        assert browser.evaluate(seen.format("started")) == "2"
        server.get("/session", "User-Agent: curl/8.5\r\n")
        assert browser.evaluate("document.querySelector('.stale')") is None


ROWS = """Object.values([...document.querySelectorAll('.tile')].reduce((rows, tile) => {
    const top = tile.getBoundingClientRect().top;
    rows[top] = (rows[top] || 0) + 1;
    return rows;
}, {}))"""


def test_no_figure_stands_alone_in_its_row(browser):
    """At 985 pixels there were five of them in a row, and one below."""
    with Run(ROOT, "sample/app.py") as server:
        try:
            for page in ("/sessions", "/performance"):
                browser.load(server.url + page)
                for width, expected in ((320, [1] * 6), (360, [2] * 3), (600, [3, 3]),
                                        (985, [3, 3]), (1100, [6]), (1900, [6])):  # fmt: skip
                    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=900,
                                 deviceScaleFactor=1, mobile=False)
                    assert browser.evaluate(ROWS) == expected, (page, width)
                    assert browser.evaluate("document.documentElement.scrollWidth") <= width
        finally:
            browser.call("Emulation.clearDeviceMetricsOverride")
