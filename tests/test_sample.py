"""The sample application, driven as a visitor would."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import re
import sys
import wave
from pathlib import Path

import pytest

from nodepp.testing import Client

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "sample"

PAGES = (
    "/",
    "/routes",
    "/routes/int/42",
    "/guestbook",
    "/session",
    "/login",
    "/sessions",
    "/upload",
    "/calendar/2024",
    "/automaton/30",
    "/api",
    "/files",
    "/download",
    "/snippets",
    "/template",
    "/errors",
    "/nodeplusplus",
    "/performance",
)
# They import each other, and keep what an application knows: each test gets new ones.
MODULES = ("application", "dashboard", "files", "forms", "layout", "melody", "pages", "pictures",
           "sessions", "source", "visitors")  # fmt: skip
FOLDERS = {name: str(ROOT / name) for name in ("snippets", "templates")}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(60)


def load(name):
    """A new copy of a module of the sample: each test has a guestbook of its own."""
    spec = importlib.util.spec_from_file_location(f"sample_{name}", SAMPLE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def sample(monkeypatch):
    monkeypatch.syspath_prepend(str(SAMPLE))
    for name in MODULES:  # bench/ has a layout of its own
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield load("app")
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def client(sample):
    # A million lines take a while with sanitizers on; nothing here measures time.
    return Client(sample.app, res=str(ROOT / "res"), resmin=str(ROOT / "resmin"), statics=FOLDERS,
                  timeout=120)  # fmt: skip


# --- every page -----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_page_is_whole_html_and_allows_nothing_inline(client, path):
    answer = client.get(path)
    assert answer.status == 200
    assert answer.content_type == "text/html"
    assert answer.text.startswith("<!DOCTYPE html>")
    assert answer.text.endswith("</html>\n")
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert not re.search(r"<style|<script(?! src=)| style=| on\w+=", without_code(answer.text))


@pytest.mark.parametrize("path", PAGES)
def test_what_a_page_loads_and_links_to_is_there(client, path):
    found = set(re.findall(r'(?:href|src|action)="(/[^"#]*)"', client.get(path).text))
    for link in found - {"/nowhere", "/routes/int/many", "/errors/crash", "/squares.csv"}:
        expected = {"/errors/403": 403, "/errors/418": 418, "/api/entries/0": 404}.get(link, 200)
        answer = client.get(link, headers=BROWSER, follow_redirects=True)
        assert answer.status == expected, link


@pytest.mark.parametrize("path", PAGES)
def test_identifiers_are_unique_and_labels_have_their_controls(client, path):
    text = without_code(client.get(path).text)
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r' for="([^"]*)"', text)) <= set(ids)


def without_code(text):
    return re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)


# --- routes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "type_name", "shown"),
    [
        ("/routes/str/Zo%C3%AB", "str", "Zoë"),
        ("/routes/int/007", "int", "7"),
        ("/routes/float/2.5", "float", "2.5"),
        ("/routes/uuid/6ba7b810-9dad-11d1-80b4-00c04fd430c8", "UUID", "UUID("),
        ("/routes/path/a/b/c.txt", "str", "a/b/c.txt"),
    ],
)
def test_a_parameter_arrives_as_its_converter_makes_it(client, path, type_name, shown):
    text = without_code(client.get(path).text)
    assert f"<code>{type_name}</code>" in text
    assert shown in text


def test_what_fits_no_converter_is_not_found(client):
    assert client.get("/routes/int/many").status == 404


def test_two_numbers_are_added(client):
    assert client.get("/routes/sum/19/23").json() == {"a": 19, "b": 23, "sum": 42}


def test_markup_in_a_path_is_text(client):
    text = without_code(client.get("/routes/str/%3Cb%3EAnn").text)
    assert "&lt;b&gt;Ann" in text
    assert "<b>Ann" not in text


# --- the form -------------------------------------------------------------------------------------


def test_signing_leads_back_to_the_entry_and_remembers_the_name(client):
    answer = client.post("/guestbook", data={"name": "Zoë; O'Hara", "text": "Hello"})
    assert answer.status == 303
    page = client.get(answer.headers["location"])
    assert '<li class="new">' in page.text
    assert 'value="Zoë; O&#39;Hara"' in page.text


@pytest.mark.parametrize(
    ("form", "wrong"),
    [
        ({"name": "", "text": ""}, ["name", "text"]),
        ({"name": "Ann", "text": "   "}, ["text"]),
        ({"text": "Hello"}, ["name"]),
        ({"name": "n" * 40, "text": "t" * 281}, ["text"]),
        ({"name": "n" * 41, "text": "t" * 280}, ["name"]),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(client, form, wrong):
    answer = client.post("/guestbook", data=form)
    assert answer.status == 422
    assert re.findall(r'<span class="wrong" id="(\w+)-error">', answer.text) == wrong
    assert answer.text.count('aria-invalid="true"') == len(wrong)
    assert re.findall(r'id="(\w+)"[^>]* autofocus', answer.text) == wrong[:1]
    for value in form.values():
        assert value.strip() in answer.text


def test_markup_of_a_visitor_is_text(client):
    attack = '"><script>alert(1)</script>'
    client.post("/guestbook", data={"name": attack, "text": "</p><img src=x onerror=a()>"})
    for page in (client.get("/guestbook"), client.post("/guestbook", data={"name": attack})):
        text = without_code(page.text)
        assert "<script>" not in text
        assert "<img src=x" not in text
        assert "&lt;script&gt;alert(1)" in text


def test_the_oldest_entry_leaves_a_full_guestbook(client, sample):
    for number in range(sample.ENTRY_COUNT_MAX + 3):
        client.post("/guestbook", data={"name": "Ann", "text": f"number {number}."})
    text = client.get("/guestbook").text
    assert "number 2." not in text
    assert "number 3." in text
    assert len(sample.entries) == sample.ENTRY_COUNT_MAX


# --- the upload -----------------------------------------------------------------------------------


def test_an_uploaded_file_is_described(client):
    content = b"some text\n"
    answer = client.post("/upload", files={"file": ("a<b>.txt", content, "text/plain")})
    assert answer.status == 200
    assert "a&lt;b&gt;.txt" in answer.text
    assert "10 bytes" in answer.text
    assert hashlib.sha256(content).hexdigest() in answer.text
    assert "data:" not in without_code(answer.text)


def test_a_picture_is_shown_whatever_the_client_calls_it(client):
    answer = client.post("/upload", files={"file": ("x.txt", PNG, "text/html")})
    assert 'src="data:image/png;base64,iVBORw0KGgo' in answer.text


def test_a_page_that_is_called_a_picture_is_not_shown(client):
    page = b"<script>alert(1)</script>"
    answer = client.post("/upload", files={"file": ("x.png", page, "image/png")})
    assert answer.status == 200
    assert "data:" not in without_code(answer.text)


def test_a_large_file_goes_through_a_temporary_file(client):
    content = bytes(range(256)) * 20_000
    answer = client.post("/upload", files={"file": ("large.bin", content)})
    assert "5,120,000 bytes" in answer.text
    assert hashlib.sha256(content).hexdigest() in answer.text


def test_several_files_come_in_their_order(client):
    files = [("file", ("first.txt", b"1")), ("file", ("second.txt", b"2"))]
    text = client.post("/upload", files=files).text
    assert text.index("first.txt") < text.index("second.txt")


def test_no_file_is_a_mistake_that_is_named(client):
    answer = client.post("/upload", files={"file": ("", b"")})
    assert answer.status == 422
    assert "Please choose a file first." in answer.text


# --- rendering and streams ------------------------------------------------------------------------


def test_the_calendar_has_each_day_of_the_year(client):
    text = without_code(client.get("/calendar/2024").text)
    assert len(re.findall(r"<td>(?:<b[^>]*>)?\d", text)) == 366
    assert text.count("<caption>") == 12


def test_the_calendar_ends_with_the_years_that_python_knows(client):
    assert client.get("/calendar/1").status == client.get("/calendar/9999").status == 200
    answer = client.get("/calendar/10000")
    assert answer.status == 404
    assert "the years 1 to 9999" in answer.text


def test_this_year_is_a_redirection(client):
    assert re.fullmatch(r"/calendar/\d{4}", client.get("/calendar").headers["location"])


def test_the_automaton_comes_in_chunks_line_by_line(client):
    answer = client.get("/automaton/90")
    assert answer.headers["transfer-encoding"] == "chunked"
    assert without_code(answer.text).count('<path d="M') == 160
    assert '<path d="M158 1.5h1M160 1.5h1"/>' in answer.text


def test_an_unknown_rule_is_not_found(client):
    assert client.get("/automaton/256").status == 404


def test_the_download_is_complete(client):
    answer = client.get("/squares.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="squares.csv"'
    assert answer.body.startswith(b"number,square\r\n0,0\r\n1,1\r\n")
    assert answer.body.endswith(b"\r\n999999,999998000001\r\n")
    assert answer.body.count(b"\n") == 1_000_001


# --- JSON -----------------------------------------------------------------------------------------


def test_an_entry_is_made_read_and_taken_out(client):
    made = client.post("/api/entries", json={"name": "Ann", "text": "Hello"})
    assert made.status == 201
    place = made.headers["location"]
    assert client.get(place).json() == made.json()
    assert made.json() in client.get("/api/entries").json()["entries"]
    assert client.delete(place).status == 204
    assert client.get(place).status == 404


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ('{"name": "Ann"}', 422),
        ('{"name": 1, "text": ["x"]}', 422),
        ("[]", 422),
        ("{", 400),
        ("", 400),
    ],
)
def test_what_is_no_entry_is_refused_as_json(client, data, status):
    answer = client.post("/api/entries", data=data)
    assert answer.status == status
    assert answer.content_type == "application/json"
    assert answer.json()["status"] == status


# --- errors ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/nowhere", 404, "Not Found"),
        ("/errors/418", 418, "Teapot"),
        ("/errors/200", 404, "200 is not an error."),
        ("/errors/599", 599, "Error"),
    ],
)
def test_errors_have_the_page_of_the_site(client, path, status, text):
    answer = client.get(path)
    assert answer.status == status
    assert text in answer.text
    assert '<nav id="menu"' in answer.text


def test_a_crash_is_logged_and_shows_nothing_of_the_code(client, sample):
    lines = []
    sample.app.host.log = lambda level, message: lines.append(message)
    answer = client.get("/errors/crash")
    assert answer.status == 500
    assert "ZeroDivision" not in answer.text
    assert ["ZeroDivisionError" in line for line in lines] == [True]


def test_a_wrong_method_is_told_the_right_ones(client):
    answer = client.post("/calendar")
    assert answer.status == 405
    assert "GET" in answer.headers["allow"]
    assert '<nav id="menu"' in answer.text


def test_errors_of_the_api_are_json(client):
    answer = client.get("/api/entries/0")
    assert answer.status == 404
    assert answer.json() == {"status": 404, "error": "There is no entry 0."}


# --- files ----------------------------------------------------------------------------------------


def test_the_files_page_has_a_row_for_each_file(client):
    text = without_code(client.get("/files").text)
    paths = re.findall(r'<tr><td><a href="([^"]*)">', text)
    assert paths == ["/icon.png", "/logo.svg", "/melody.wav", "/pattern.svg", "/robots.txt",
                     "/script.js", "/sitemap.xml", "/style.css"]  # fmt: skip
    assert ' data-label="as it is"><b>1,552,364</b></td>' in text


def test_codings_are_shown_when_they_are_there(sample):
    statics = {**FOLDERS, "precompress": True}
    client = Client(sample.app, resmin=str(ROOT / "resmin"), statics=statics, timeout=120)
    row = re.search(r'<tr>(?:(?!</tr>).)*"/style.css".*?</tr>', client.get("/files").text)[0]
    sizes = [int(it.replace(",", "")) for it in re.findall(r">([\d,]+)<", row)]
    assert len(sizes) == 4
    assert sizes[0] > 3 * max(sizes[1:])
    assert row.count("<b>") == 1


def test_pages_and_style_sheet_name_files_by_their_content(client):
    name = re.search(r'href="(/style\.[0-9a-f]{10}\.css)"', client.get("/").text)[1]
    answer = client.get(name)
    assert "immutable" in answer.headers["cache-control"]
    picture = re.search(r"url\((/pattern\.[0-9a-f]{10}\.svg)\)", answer.text)[1]
    assert client.get(picture).content_type == "image/svg+xml"


def test_the_melody_is_a_wave_that_is_sent_in_parts(client):
    with wave.open(io.BytesIO(client.get("/melody.wav").body)) as stream:
        assert (stream.getnchannels(), stream.getsampwidth()) == (1, 2)
        assert stream.getnframes() / stream.getframerate() == pytest.approx(35.2)
    part = client.get("/melody.wav", headers={"Range": "bytes=0-3"})
    assert (part.status, part.body) == (206, b"RIFF")
    for value in ("bytes=0-99", "bytes=-100", "bytes=0-9,1000-1009", "bytes=99999999-"):
        assert f'value="{value}"' in client.get("/download").text
        status = 416 if value.startswith("bytes=9") else 206
        assert client.get("/melody.wav", headers={"Range": value}).status == status


def test_the_sitemap_has_the_pages(client):
    answer = client.get("/sitemap.xml")
    assert answer.content_type == "application/xml"
    paths = re.findall(r"<loc>https://example\.org(/\w*)</loc>", answer.text)
    assert set(paths) <= {*PAGES, "/calendar", "/automaton"}
    assert len(paths) == 14


def test_snippets_are_html_and_markdown(client):
    text = client.get("/snippets").text
    assert "<h1>Snippets</h1>" in text
    assert "<h2>Written as Markdown, sent as HTML</h2>" in text
    assert "<s>strikethrough</s>" in text


def test_the_template_escapes_and_has_the_frame_of_the_site(client):
    text = without_code(client.get("/template", params={"name": "<b>Ann"}).text)
    assert text.count("&lt;b&gt;Ann") == 2
    assert '<nav id="menu"' in text
    assert "one, two, three" in text


def test_without_jinja_the_page_says_what_to_install(client, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    answer = client.get("/template")
    assert answer.status == 200
    assert "pip install nodepp[templates]" in answer.text


def test_the_performance_page_is_compressed_unless_it_shall_not_be(sample):
    client = Client(sample.app, settings={"compress_threshold": 500})
    takes = {"Accept-Encoding": "zstd, gzip;q=0.5"}
    plain = client.get("/performance", params={"plain": ""}, headers=takes)
    assert "content-encoding" not in plain.headers
    assert "sent as it is" in plain.text
    coded = client.get("/performance", headers=takes)
    assert coded.headers["content-encoding"] == "zstd"
    assert len(coded.body) < len(plain.body) / 2


# --- sessions -------------------------------------------------------------------------------------

# Switched on, the core asks for tokens before the handlers do. Nothing else may change.
@pytest.fixture(params=[False, True], ids=["csrf=0", "csrf=1"])
def visitor(sample, request):
    return Client(sample.app, settings={"csrf": request.param}, timeout=120)


ACCOUNTS = {"ada": "engine", "grace": "compiler"}


def token_of(answer):
    return re.search(r'name="csrft" value="([^"]+)"', answer.text)[1]


def log_in(client, name, **more):
    token = token_of(client.get("/login"))
    form = {"csrft": token, "name": name, "password": ACCOUNTS.get(name, "?"), **more}
    return client.post("/login", data=form)


def visits(client):
    return int(re.search(r'<b id="visits">(\d+)</b>', client.get("/session").text)[1])


def basket(client):
    text = without_code(client.get("/session").text)
    return dict(re.findall(r'name="remove" value="(\w+)"', text) and
                [(name, int(count)) for count, name in re.findall(r"<li><b>(\d+)</b> (\w+)", text)])


def change(client, **form):
    form["csrft"] = token_of(client.get("/session"))
    return client.post("/session", data=form)


def test_visits_are_counted_for_each_visitor(visitor, sample):
    other = Client(sample.app, timeout=120)
    assert [visits(visitor) for _ in range(3)] == [1, 2, 3]
    assert visits(other) == 1


def test_a_bot_gets_the_page_and_no_session(visitor):
    for _ in range(2):
        answer = visitor.get("/session", headers={"User-Agent": "curl/8.5"})
        assert '<b id="visits">1</b>' in answer.text
        assert "for bots nothing is kept" in answer.text
        assert "set-cookie" not in answer.headers


def test_the_page_shows_a_part_of_the_id_only(visitor):
    visits(visitor)
    assert visitor.cookies["as"] not in visitor.get("/session").text


def test_the_basket_keeps_what_is_put_into_it(visitor):
    for name in ("tea", "bread", "tea"):
        assert change(visitor, add=name).headers["location"] == "/session#basket"
    assert basket(visitor) == {"tea": 2, "bread": 1}
    change(visitor, remove="tea")
    assert basket(visitor) == {"bread": 1}


def test_what_is_not_sold_is_not_put_into_the_basket(visitor):
    assert change(visitor, add="<b>").status == 422
    assert basket(visitor) == {}


def test_a_basket_has_a_bound(visitor, sample):
    pieces = [["tea", 98]]
    for _ in range(3):
        sample.visitors.add_to(pieces, "tea")
    assert pieces == [["tea", 99]]


@pytest.mark.parametrize("token", ["", "x", "A" * 40])
def test_a_form_without_the_token_changes_nothing(visitor, token):
    for path, form in (("/session", {"add": "tea"}), ("/logout", {}),
                       ("/login", {"name": "ada", "password": "engine"})):  # fmt: skip
        answer = visitor.post(path, data={**form, "csrft": token})
        assert answer.status == 403
        assert "This form is too old, or was not made for you" in answer.text
    assert basket(visitor) == {}
    assert visitor.get("/members", headers=BROWSER).status == 303


def test_a_token_of_another_session_is_none(visitor, sample):
    other = Client(sample.app, timeout=120)
    visits(visitor)
    stolen = token_of(other.get("/session"))
    assert visitor.post("/session", data={"csrft": stolen, "add": "tea"}).status == 403


# --- login ----------------------------------------------------------------------------------------

def test_the_login_leads_where_the_visitor_wanted_to_go(visitor):
    answer = visitor.get("/members", params={"page": "2"}, headers=BROWSER)
    assert answer.status == 303
    form = visitor.get(answer.headers["location"])
    way = re.search(r'name="next" value="([^"]*)"', form.text)[1]
    assert way == "/members?page=2"
    assert log_in(visitor, "ada", next=way).headers["location"] == way
    assert "Welcome, Ada Lovelace" in visitor.get(way).text


@pytest.mark.parametrize("way", ["https://example.org/", "//example.org/", "/\\example.org"])
def test_a_login_leads_to_this_site_only(visitor, way):
    assert log_in(visitor, "ada", next=way).headers["location"] == "/members"
    page = visitor.get("/login", params={"next": way})
    assert "example.org" not in without_code(page.text)


@pytest.mark.parametrize(
    ("name", "password"),
    [("ada", "compiler"), ("nobody", "engine"), ("", ""), ("ada", ""), ("ada", "ENGINE")],
)
def test_a_wrong_login_says_the_same_whatever_is_wrong(visitor, name, password):
    answer = log_in(visitor, name, password=password)
    assert answer.status == 422
    assert "There is no such account, or the password is another one." in answer.text
    assert f'value="{name}"' in answer.text
    assert visitor.get("/members", headers=BROWSER).status == 303


def test_the_basket_comes_along_and_the_id_is_another(visitor):
    change(visitor, add="olives")
    before = visitor.cookies["as"]
    log_in(visitor, "ada")
    assert basket(visitor) == {"olives": 1}
    assert "as" not in visitor.cookies
    assert visitor.cookies["ls"] != before
    assert visits(Client(visitor.app, headers={"Cookie": f"as={before}"}, timeout=120)) == 1


def test_who_keeps_the_login_has_a_cookie_for_thirty_days(visitor):
    cookies = log_in(visitor, "ada", keep="on").headers.getlist("set-cookie")
    (login,) = (line for line in cookies if line.startswith("ls="))
    assert "; max-age=2592000;" in login.lower()
    assert "for 30 days" in visitor.get("/members").text


def test_members_are_no_administrators(visitor):
    log_in(visitor, "ada")
    answer = visitor.get("/admin", headers=BROWSER)
    assert answer.status == 403
    assert '<nav id="menu"' in answer.text


def test_the_administrator_sees_what_the_hooks_saw(visitor):
    log_in(visitor, "grace")
    rows = re.findall(r"<tr><td>[\d:]+</td><td>([^<]*)</td><td>([^<]*)</td></tr>",
                      visitor.get("/admin").text)  # fmt: skip
    assert rows == [("logged in", "Grace Hopper"), ("a session began", "")]


def test_who_logs_out_is_nobody_again(visitor):
    log_in(visitor, "ada")
    old = visitor.cookies["ls"]
    token = token_of(visitor.get("/members"))
    assert visitor.post("/logout", data={"csrft": token}).headers["location"] == "/session"
    assert "ls" not in visitor.cookies
    assert visitor.get("/members", headers=BROWSER).status == 303
    thief = {**BROWSER, "Cookie": f"ls={old}"}
    assert visitor.get("/members", headers=thief).status == 303, "its cookie is worth nothing"
    assert visits(visitor) == 1


def test_a_link_does_not_log_out(visitor):
    log_in(visitor, "ada")
    assert visitor.get("/logout").headers["location"] == "/session"
    assert visitor.get("/members").status == 200


def test_a_program_that_is_not_logged_in_is_told_so_by_a_status(visitor):
    assert visitor.get("/members", headers={"Accept": "application/json"}).status == 401


# --- the table of sessions ------------------------------------------------------------------------


def test_the_table_counts_what_happened(sample):
    client = Client(sample.app, timeout=120)
    visits(client)
    log_in(client, "ada")
    figures = client.get("/api/sessions").json()
    assert (figures["sessions"], figures["sessions_started"], figures["logins"]) == (1, 1, 1)
    assert figures["sessions_high_water"] == 1
    assert (figures["sessions_expired"], figures["sessions_refused"]) == (0, 0)
    assert figures["session_size"] >= 2 * figures["session_data_size"]
    text = figures["page"]["text"]
    assert (text["now"], text["logins"]) == ("1", "1 login")


def test_the_script_finds_a_place_for_each_figure_of_the_table(client):
    page = client.get("/sessions").text
    live = client.get("/api/sessions").json()["page"]
    for key in {**live["text"], **live["shapes"]}:
        assert f' id="{key}"' in page


@pytest.mark.parametrize("ip", ["192.0.2.7", "2001:db8::7", "::ffff:192.0.2.7"])
def test_the_table_is_shown_on_this_machine_only(sample, ip):
    client = Client(sample.app, client=(ip, 50000), timeout=120)
    assert client.get("/sessions").status == client.get("/api/sessions").status == 403


@pytest.mark.parametrize("ip", ["127.0.0.1", "127.0.0.7", "::1", "::ffff:127.0.0.1"])
def test_this_machine_has_several_names(sample, ip):
    assert Client(sample.app, client=(ip, 50000), timeout=120).get("/sessions").status == 200


def test_the_forms_without_a_session_work_with_and_without_the_setting(visitor):
    assert visitor.post("/guestbook", data={"name": "Ann", "text": "Hello"}).status == 303
    assert visitor.post("/upload", files={"file": ("a.txt", b"x")}).status == 200
    made = visitor.post("/api/entries", json={"name": "Ann", "text": "Hello"})
    assert made.status == 201
    assert visitor.delete(made.headers["location"]).status == 204
    assert visitor.post("/calendar").status == 405


# --- performance ----------------------------------------------------------------------------------


def test_the_figures_are_those_of_the_engine(client, sample):
    sample.rates.extend((7, 5))
    figures = client.get("/api/performance").json()
    assert (figures["requests"], figures["connections"]) == (1, 1)
    assert figures["page"]["text"]["poller"] == "poll"
    assert figures["page"]["text"]["rate"] == "5"
    assert figures["page"]["text"]["rate_most"] == "7"


def test_the_script_finds_a_place_for_each_figure(client):
    page = client.get("/performance").text
    live = client.get("/api/performance").json()["page"]
    for key in {**live["text"], **live["shapes"]}:
        assert f' id="{key}"' in page


def test_the_rate_is_what_came_in_the_last_second(sample, monkeypatch):
    counts = iter((10, 25, 25))
    monkeypatch.setattr(sample.app, "stats", lambda: {"requests": next(counts)})
    for _ in range(3):
        sample.remember_rate()
    assert list(sample.rates)[-3:] == [10, 15, 0]


def test_figures_are_words_a_person_reads(sample):
    pages = sample.dashboard
    assert [pages.size(it) for it in (0, 1023, 1 << 20)] == ["0 bytes", "1023 bytes", "1.0 MiB"]
    assert [pages.interval(it) for it in (85.4, 1234)] == ["85 µs", "1.23 ms"]
    assert [pages.duration(it) for it in (0, 61, 93784.2)] == ["0 s", "1 min 1 s", "1 d 2 h"]


# --- the Node++ way -------------------------------------------------------------------------------


def test_the_hello_of_node_plus_plus_greets_and_escapes():
    client = Client(load("npp_hello"))
    assert "<h1>Hello</h1>" in client.get("/").text
    assert "Welcome, &lt;b&gt;Ann!" in client.get("/welcome", params={"name": "<b>Ann"}).text
    assert client.get("/welcome").headers["location"] == "/"
    assert client.get("/api").json() == {"method": "GET", "bot": 0}
    assert client.get("/nowhere").status == 404
