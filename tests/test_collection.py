"""The public files of an application, as a whole: read, named, served."""

from __future__ import annotations

import os
import re
import time

import harness
import pytest
from waiting import until

from nodepp import App, FileFlags, _core, asset
from nodepp.statics import Options, Statics
from nodepp.statics import minify as minify_module
from nodepp.testing import Client

CSS = "/* note */\nbody {\n    color: red;\n}\n"
YEAR = "public, max-age=31536000, immutable"
DAYS_90 = 90 * 24 * 3600


@pytest.fixture
def res(tmp_path):
    folder = tmp_path / "res"
    folder.mkdir()
    return folder


@pytest.fixture
def resmin(tmp_path):
    folder = tmp_path / "resmin"
    folder.mkdir()
    return folder


@pytest.fixture
def make(tmp_path):
    """make(app, **options) gives loaded Statics over res and resmin of the test's folder, with
    what was logged as `lines`.
    """

    def load(app=None, **options):
        lines: list[str] = []
        app = app or App()
        options = {"app_dir": str(tmp_path), "res": "res", "resmin": "resmin", **options}
        statics = Statics(app, Options(**options), lambda level, message: lines.append(message))
        app.statics = statics
        statics.load()
        statics.lines = lines
        return statics

    return load


def put(folder, **files):
    for name, text in files.items():
        file = folder / name.replace("__", "/").replace("_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())


def body(statics, path, host=""):
    return statics.snapshot.get(path, host).body


# Reading.


def test_files_of_both_folders_are_served_and_resmin_is_minified(res, resmin, make):
    put(res, a_css=CSS)
    put(resmin, b_css=CSS, c_min_css=CSS, d_html=CSS)
    statics = make()
    assert body(statics, "/a.css") == CSS.encode()
    assert body(statics, "/b.css") == b"body{color:red}"
    assert body(statics, "/c.min.css") == CSS.encode()
    assert body(statics, "/d.html") == CSS.encode()
    assert statics.lines == []


def test_folders_that_are_not_there_give_nothing(make):
    statics = make()
    assert len(statics.snapshot) == 0
    assert statics.lines == []
    assert statics.banner() == ""
    assert statics.refresh() is False


def test_a_file_in_both_folders_is_taken_from_res_and_the_log_says_so(res, resmin, make):
    put(res, a_txt="res")
    put(resmin, a_txt="resmin")
    statics = make()
    assert body(statics, "/a.txt") == b"res"
    assert statics.lines == [f"static: {resmin}/a.txt is hidden by {res}/a.txt"]
    (res / "a.txt").unlink()
    assert statics.refresh()
    assert body(statics, "/a.txt") == b"resmin"


def test_many_hidden_files_are_five_lines_and_a_number(res, resmin, make):
    for number in range(8):
        for folder in (res, resmin):
            (folder / f"{number}.txt").write_text("x")
    lines = make().lines
    assert len(lines) == 6
    assert lines[-1] == "static: 3 more files are hidden so"


def test_an_unreadable_file_is_one_line_and_the_others_are_served(res, make, monkeypatch):
    put(res, a_txt="a", b_txt="b")
    real = os.open

    def refusing(file, *arguments, **options):
        if str(file).endswith("a.txt"):
            raise PermissionError(13, "Permission denied")
        return real(file, *arguments, **options)

    monkeypatch.setattr(os, "open", refusing)
    statics = make()
    assert body(statics, "/b.txt") == b"b"
    assert statics.snapshot.get("/a.txt") is None
    assert statics.lines == [f"static: cannot read {res}/a.txt: Permission denied"]


def test_a_minifier_that_fails_is_one_line_and_the_original_is_served(res, resmin, make,
                                                                      monkeypatch):
    put(resmin, a_css=CSS, b_js="f ( )")

    def broken(extension):
        raise RuntimeError("lost")

    monkeypatch.setattr(minify_module, "_minifier", broken)
    statics = make()
    assert body(statics, "/a.css") == CSS.encode()
    assert len(statics.lines) == 2


def test_an_index_page_stands_for_its_folder(res, make):
    put(res, index_html="root", docs__index_html="docs", docs__a_txt="a")
    statics = make()
    snapshot = statics.snapshot
    assert snapshot.get("/") is snapshot.get("/index.html")
    assert snapshot.get("/docs/") is snapshot.get("/docs/index.html")
    assert snapshot.get("/docs").location == "/docs/"
    assert snapshot.get("") is None
    (res / "docs" / "index.html").unlink()
    statics.refresh()
    for path in ("/docs/", "/docs", "/docs/index.html"):
        assert statics.snapshot.get(path) is None
    assert statics.snapshot.get("/docs/a.txt") is not None


def test_a_file_wins_over_the_way_to_a_folder_of_its_name(res, resmin, make):
    put(res, docs="file")
    put(resmin, docs__index_html="page")
    statics = make()
    assert body(statics, "/docs") == b"file"
    assert body(statics, "/docs/") == b"page"


def test_the_way_to_a_folder_is_encoded(res, make):
    (res / "ein wört").mkdir()
    (res / "ein wört" / "index.html").write_text("x")
    assert make().snapshot.get("/ein wört").location == "/ein%20w%C3%B6rt/"


# What is said about them.


def test_pages_are_asked_for_each_time_and_other_files_are_kept(res, make):
    put(res, a_css="a{}", a_html="a", a_xhtml="a", b_3f2a9c1b_js="1")
    snapshot = make().snapshot
    for path in ("/a.html", "/a.xhtml"):
        assert (snapshot.get(path).cache_control, snapshot.get(path).expires_s) == ("no-cache", -1)
    plain = snapshot.get("/a.css")
    assert (plain.cache_control, plain.expires_s) == (f"public, max-age={DAYS_90}", DAYS_90)
    hashed = snapshot.get("/b.3f2a9c1b.js")
    assert (hashed.cache_control, hashed.expires_s) == (YEAR, 365 * 24 * 3600)


def test_with_expires_of_zero_plain_names_are_asked_for_each_time(res, make):
    put(res, a_css="a{}")
    statics = make(expires_statics_ms=0)
    assert statics.snapshot.get("/a.css").cache_control == "no-cache"
    assert statics.snapshot.get("/a.css").expires_s == -1
    assert statics.snapshot.get(statics.asset("a.css")).cache_control == YEAR


def test_no_date_lies_in_the_future_and_none_before_1970(res, make):
    put(res, a_txt="a", b_txt="b", c_txt="c")
    os.utime(res / "a.txt", (784111777, 784111777))
    os.utime(res / "b.txt", (time.time() + 86400,) * 2)
    os.utime(res / "c.txt", (-10, -10))
    snapshot = make().snapshot
    assert snapshot.get("/a.txt").modified == 784111777
    assert abs(snapshot.get("/b.txt").modified - time.time()) < 60
    assert snapshot.get("/c.txt").modified == -1


def test_the_tag_follows_the_content(res, make):
    put(res, a_txt="one", b_txt="one", c_txt="two")
    snapshot = make().snapshot
    tags = [snapshot.get(f"/{name}.txt").etag for name in "abc"]
    assert tags[0] == tags[1] != tags[2]
    assert re.fullmatch(r"[0-9a-f]{22}", tags[0])


def test_what_compresses_says_vary_and_small_or_compressed_files_do_not(res, make):
    put(res, a_css="a{}" * 200, small_css="a{}", a_png=b"x" * 1000, a_svg="<svg/>" * 100)
    snapshot = make().snapshot
    assert [snapshot.get(path).varies for path in ("/a.css", "/small.css", "/a.png", "/a.svg")] == [
        True, False, False, True]  # fmt: skip
    assert not make(compress=False).snapshot.get("/a.css").varies
    assert make(compress_threshold=0).snapshot.get("/small.css").varies


# Codings.


def test_precompress_gives_all_codings_and_the_cache_keeps_them(res, make, tmp_path):
    put(res, a_css="p { color: red }\n" * 100, b_png=b"x" * 1000)
    cache = str(tmp_path / "cache")
    statics = make(static_cache=cache)
    assert statics.snapshot.get("/a.css").codings == {}
    statics.precompress()
    codings = statics.snapshot.get("/a.css").codings
    assert set(codings) == {"gzip", "br", "zstd"}
    assert max(codings.values()) < 200
    assert statics.snapshot.get(statics.asset("a.css")).codings == codings
    assert statics.snapshot.get("/b.png").codings == {}
    assert "(zstd, br and gzip save" in statics.banner()
    statics.end()
    again = make(static_cache=cache)
    assert again.snapshot.get("/a.css").codings == codings
    assert not make(static_cache=cache, compress=False).snapshot.get("/a.css").codings


def test_a_file_that_was_only_touched_keeps_its_codings(res, make):
    put(res, a_css="p { color: red }\n" * 100)
    statics = make()
    statics.precompress()
    before = statics.snapshot.get("/a.css")
    os.utime(res / "a.css", (1000, 1000))
    assert statics.refresh()
    after = statics.snapshot.get("/a.css")
    assert after.modified == 1000
    assert (after.codings, after.etag) == (before.codings, before.etag)
    assert statics.asset("a.css") in statics.snapshot.paths()
    statics.end()


# Fingerprints.


def test_a_file_is_served_by_its_fingerprint_too_and_shares_its_bytes(res, make):
    put(res, css__app_css="a{}")
    statics = make()
    url = statics.asset("css/app.css")
    assert re.fullmatch(r"/css/app\.[0-9a-f]{10}\.css", url)
    assert statics.asset("/css/app.css") == url
    assert statics.asset("css/app.css?x=1#y") == url + "?x=1#y"
    named, plain = statics.snapshot.get(url), statics.snapshot.get("/css/app.css")
    assert named.body is plain.body
    assert named.etag == plain.etag
    assert (named.cache_control, named.expires_s) == (YEAR, 365 * 24 * 3600)


def test_a_fingerprint_changes_with_the_content_and_the_old_one_still_serves(res, make):
    put(res, a_css="a{}")
    statics = make()
    first = statics.asset("a.css")
    put(res, a_css="b{}")
    statics.refresh()
    second = statics.asset("a.css")
    assert second != first
    assert (body(statics, first), body(statics, second)) == (b"a{}", b"b{}")
    put(res, a_css="a{}")
    os.utime(res / "a.css", (1, 1))
    statics.refresh()
    assert statics.asset("a.css") == first
    assert body(statics, second) == b"b{}"
    (res / "a.css").unlink()
    statics.refresh()
    assert statics.snapshot.paths() == []  # who took it away means it


def test_old_versions_are_bounded_in_number_and_in_bytes(res, make, monkeypatch):
    from nodepp.statics import host

    monkeypatch.setattr(host, "OLD_COUNT_MAX", 2)
    statics = make()
    urls = []
    for number in range(5):
        put(res, a_css=f"a{number}" + "{}")
        statics.refresh()
        urls.append(statics.asset("a.css"))
    assert [statics.snapshot.get(url) is not None for url in urls] == [
        False, False, True, True, True]  # fmt: skip
    monkeypatch.setattr(host, "OLD_SIZE_MAX", 0)
    put(res, a_css="last{}")
    statics.refresh()
    assert [statics.snapshot.get(url) for url in urls] == [None] * 5
    assert statics.hosts[""].old.size == 0


@pytest.mark.parametrize("name", ["index.html", "app.3f2a9c1b.js"])
def test_pages_and_names_with_a_hash_have_no_fingerprint(res, make, name):
    (res / name).write_text("x")
    statics = make()
    assert statics.asset(name) == f"/{name}"
    assert statics.lines == []


def test_a_name_in_a_url_is_encoded(res, make):
    (res / "ein wört & 100%.css").write_text("x")
    assert re.fullmatch(r"/ein%20w%C3%B6rt%20&%20100%25\.[0-9a-f]{10}\.css",
                        make().asset("ein wört & 100%.css"))


def test_what_is_not_known_gives_its_plain_path_and_one_line(res, make):
    put(res, app_css="x")
    statics = make()
    assert statics.asset("ap.css?x") == "/ap.css?x"
    assert statics.asset("ap.css") == "/ap.css"
    assert statics.lines == ["asset('/ap.css'): there is no such file. Did you mean '/app.css'?"]
    assert statics.asset("https://cdn.example/x.js") == "https://cdn.example/x.js"
    assert statics.asset("//cdn.example/x.js") == "//cdn.example/x.js"
    with pytest.raises(TypeError, match="not int"):
        statics.asset(1)


def test_asset_before_the_start_gives_the_plain_path_and_says_so(res, capsys):
    app = App()
    lines = []
    app.host.log = lambda level, message: lines.append(message)
    assert app.asset("app.css") == "/app.css"
    assert "when the server starts" in lines[0]


def test_asset_of_the_module_is_that_of_the_application_that_is_served(res):
    put(res, app_css="x")
    app = App()
    with Client(app, res=str(res)) as client:
        assert client.get("/app.css").status == 200
        assert asset("app.css") == app.asset("app.css") != "/app.css"


# Style sheets.


def name_of(statics, path):
    return statics.asset(path).rpartition("/")[2]


def test_references_in_style_sheets_get_fingerprints_in_res_and_in_resmin(res, resmin, make):
    put(res, img__a_png=b"1", res_css="a{b:url( 'img/a.png?x' )}")
    put(resmin, css__min_css=b"x", css__m_css="a { b : url(../img/a.png) ; c: url(/img/a.png) }")
    statics = make()
    name = name_of(statics, "img/a.png")
    assert body(statics, "/res.css") == f"a{{b:url( 'img/{name}?x' )}}".encode()
    assert body(statics, "/css/m.css") == f"a{{b:url(../img/{name});c:url(/img/{name})}}".encode()


def test_a_style_sheet_changes_with_what_it_refers_to(res, make):
    put(res, a_png=b"1", b_css="@import 'c.css';", c_css="c{d:url(a.png)}", d_css="d{}")
    for name in ("a.png", "b.css", "c.css", "d.css"):
        os.utime(res / name, (1000, 1000))
    statics = make()
    assert statics.snapshot.get("/b.css").modified == 1000
    before = {name: statics.asset(name) for name in ("a.png", "b.css", "c.css", "d.css")}
    assert name_of(statics, "c.css").encode() in body(statics, "/b.css")
    put(res, a_png=b"2")
    os.utime(res / "a.png", (2000, 2000))
    assert statics.refresh({str(res / "a.png")})
    after = {name: statics.asset(name) for name in before}
    assert [name for name in before if before[name] != after[name]] == ["a.png", "b.css", "c.css"]
    assert name_of(statics, "c.css").encode() in body(statics, "/b.css")
    assert name_of(statics, "a.png").encode() in body(statics, "/c.css")
    # A client without entity tags learns of it too.
    assert statics.snapshot.get("/b.css").modified == 2000
    # Who has the old page finds the old sheet, and in it the old picture.
    assert body(statics, before["c.css"]) == f"c{{d:url({before['a.png'][1:]})}}".encode()
    (res / "a.png").unlink()
    statics.refresh()
    assert body(statics, "/c.css") == b"c{d:url(a.png)}"


def test_style_sheets_in_a_circle_are_served(res, make):
    put(res, a_css="@import 'b.css';a{}", b_css="@import 'a.css';b{}", c_css="@import 'c.css';",
        d_css="@import 'a.css';")
    statics = make()
    # The reference that would close the circle stays as it is.
    name = name_of(statics, "b.css")
    assert body(statics, "/a.css") == f"@import '{name}';a{{}}".encode()
    assert body(statics, "/b.css") == b"@import 'a.css';b{}"
    assert body(statics, "/c.css") == b"@import 'c.css';"
    assert name_of(statics, "a.css").encode() in body(statics, "/d.css")
    # Reading again in another order gives the same.
    tags = {path: statics.snapshot.get(path).etag for path in statics.snapshot.paths()}
    put(res, e_txt="x")
    for name in ("d.css", "b.css"):
        os.utime(res / name, (5, 5))
    statics.refresh({str(res / "d.css")})
    statics.refresh({str(res / "b.css"), str(res / "e.txt")})
    assert all(statics.snapshot.get(path).etag == tag for path, tag in tags.items())


@pytest.mark.parametrize("name", ["a.min.css", "a-min.css", "a.3f2a9c1b.css"])
def test_finished_style_sheets_are_served_byte_for_byte(res, make, name):
    put(res, x_png=b"1")
    (res / name).write_text("a { b: url(x.png) }")
    assert body(make(), f"/{name}") == b"a { b: url(x.png) }"


def test_a_style_sheet_with_a_source_map_is_served_byte_for_byte(res, resmin, make):
    text = b"a { b: url(x.png) }\n/*# sourceMappingURL=a.css.map */"
    put(res, x_png=b"1", a_css=text)
    put(resmin, b_css=text)
    statics = make()
    assert body(statics, "/a.css") == body(statics, "/b.css") == text


def test_a_style_sheet_that_is_not_utf8_is_served_as_it_is(res, make):
    text = b"a{content:'\xe9';b:url(x.png)}"
    put(res, x_png=b"1", a_css=text)
    assert body(make(), "/a.css") == text


def test_a_reference_to_a_page_or_to_nothing_stays(res, make):
    put(res, a_html="x", a_css="a{b:url(a.html) url(no.png)}")
    assert body(make(), "/a.css") == b"a{b:url(a.html) url(no.png)}"


# Served.


def test_statics_are_served_with_their_fields(res):
    (res / "a.css").write_text(CSS)
    (res / "index.html").write_text("<h1>root</h1>")
    (res / "docs").mkdir()
    (res / "docs" / "index.html").write_text("docs")
    (res / "ein wört.txt").write_text("x")
    (res / "100%.txt").write_text("all")
    client = Client(App(), res=str(res))
    answer = client.get("/a.css")
    assert (answer.status, answer.text) == (200, CSS)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == f"public, max-age={DAYS_90}"
    assert answer.headers["last-modified"].endswith(" GMT")
    assert answer.headers["expires"].endswith(" GMT")
    assert re.fullmatch(r'"[0-9a-f]{22}"', answer.headers["etag"])
    assert client.get("/").text == "<h1>root</h1>"
    assert client.get("/?q=1").text == "<h1>root</h1>"
    assert client.get("/index.html").text == "<h1>root</h1>"
    assert client.get("/ein wört.txt").text == "x"
    assert client.get("/ein%20w%C3%B6rt.txt").text == "x"
    assert client.get("/100%25.txt").text == "all"
    assert client.head("/a.css").headers["content-length"] == str(len(CSS))
    assert client.get("/A.CSS").status == 404
    answer = client.get("/docs?a=b")
    assert (answer.status, answer.headers["location"]) == (301, "/docs/?a=b")
    assert client.get("/docs", follow_redirects=True).text == "docs"


def test_a_static_wins_over_a_route_for_get_and_other_methods_go_to_the_routes(res):
    (res / "a").write_text("file")
    app = App()
    app.get("/a")(lambda req: "route")
    app.post("/a")(lambda req: "posted")
    client = Client(app, res=str(res))
    assert client.get("/a").text == "file"
    assert client.post("/a").text == "posted"
    answer = client.put("/a")
    assert answer.status == 405
    assert {name.strip() for name in answer.headers["allow"].split(",")} == {
        "GET", "HEAD", "POST", "OPTIONS"}  # fmt: skip
    assert app.hidden_routes() == ["/a"]


def test_a_route_wins_over_the_way_to_a_folder(res):
    put(res, docs__index_html="page")
    app = App()
    app.get("/docs")(lambda req: "route")
    client = Client(app, res=str(res))
    assert client.get("/docs").text == "route"
    assert client.get("/docs/").text == "page"
    assert app.hidden_routes() == []


@pytest.mark.parametrize(
    "path", ["/../secret", "/a/../../secret", "/%2e%2e/secret", "/..%2fsecret"]
)
def test_no_path_leads_out_of_the_folder(res, tmp_path, path):
    (tmp_path / "secret").write_text("secret")
    (res / "a").mkdir()
    answer = Client(App(), res=str(res)).get(path)
    assert answer.status in (400, 404)


def test_codings_are_served_to_who_takes_them(res):
    import gzip

    put(res, a_css="p { color: red }\n" * 100)
    with Client(App(), res=str(res), statics={"precompress": True}) as client:
        answer = client.get("/a.css", headers={"Accept-Encoding": "gzip"})
        assert answer.headers["content-encoding"] == "gzip"
        assert gzip.decompress(answer.body) == b"p { color: red }\n" * 100
        assert answer.headers["vary"] == "Accept-Encoding"
        assert "content-encoding" not in client.get("/a.css").headers


def test_the_same_file_in_two_places_is_two_paths(tmp_path, res):
    put(res, a_txt="x", sub__a_txt="y")
    app = App()
    app.serve(res, "one", FileFlags.INDEX)
    app.serve(str(res / "sub"), "/two/three/")
    client = Client(app)
    assert client.get("/one/a.txt").text == "x"
    assert client.get("/one/sub/a.txt").text == "y"
    assert client.get("/two/three/a.txt").text == "y"
    assert client.get("/two/a.txt").status == 404


def test_a_dot_at_the_end_of_a_host_does_not_count(tmp_path, make):
    (tmp_path / "two").mkdir()
    put(tmp_path / "two", a_txt="two")
    app = App()
    app.add_host("two.example", res="two")
    statics = make(app)
    for host in ("two.example", "two.example.", "TWO.example.:8080", "www.two.example."):
        assert statics.host_of(host).name == "two.example"
    for host in ("", ".", "three.example.", "[::1]", "example."):
        assert statics.host_of(host).name == ""


def test_a_file_that_may_be_half_written_at_the_start_is_served_a_little_later(
    tmp_path, res, monkeypatch
):
    from nodepp.statics import watch

    monkeypatch.setattr(watch, "is_being_written", lambda file: None)  # another user's
    monkeypatch.setattr(watch, "FRESH_AT_START_S", 3600)
    put(res, a_txt="half")
    app = App()
    app.statics = statics = Statics(
        app, Options(app_dir=str(tmp_path), res="res", compress=False), lambda *_: None)
    statics.watch()
    statics.load()
    assert statics.snapshot.get("/a.txt") is None
    engine = _core.Engine({}, _core.Router(), harness.Application())
    engine.open([])
    statics.begin(engine)
    try:
        until(lambda: statics.snapshot.get("/a.txt"), "the file", lambda: engine.turn(5))
        assert body(statics, "/a.txt") == b"half"
    finally:
        statics.end()
        engine.close()
