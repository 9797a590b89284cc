"""Reading the public files."""

import os
import time

import pytest

from nodepp import App, statics
from nodepp.statics import http_date, load, media_type
from nodepp.testing import Client


class Lines(list):
    def __call__(self, level, message):
        self.append((level, message))


@pytest.fixture
def log():
    return Lines()


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


def paths(found):
    return [static[0] for static in found]


def body_of(found, path):
    (body,) = [static[1] for static in found if static[0] == path]
    return body


def test_files_are_found_in_all_folders(res, log):
    (res / "a.txt").write_bytes(b"a")
    (res / "b" / "c").mkdir(parents=True)
    (res / "b" / "c" / "d.png").write_bytes(b"\x00\r\n")
    (res / "empty.txt").write_bytes(b"")
    found = load(str(res), None, log)
    assert paths(found) == ["/a.txt", "/b/c/d.png", "/empty.txt"]
    assert body_of(found, "/b/c/d.png") == b"\x00\r\n"
    assert body_of(found, "/empty.txt") == b""
    assert log == []


def test_folders_that_are_not_there_give_nothing(tmp_path, log):
    assert load(None, None, log) == []
    assert load(str(tmp_path / "no"), "", log) == []


def test_hidden_files_and_folders_are_not_served_but_well_known_ones_are(res, log):
    for name in (".env", ".git/config", "a/.htaccess", ".well-known/security.txt"):
        file = res / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
    assert paths(load(str(res), None, log)) == ["/.well-known/security.txt"]


def test_a_link_within_the_folder_is_followed_and_one_that_leaves_it_is_not(res, tmp_path, log):
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "res-other").mkdir()
    (tmp_path / "res-other" / "x.txt").write_text("other")
    (res / "real.txt").write_text("real")
    (res / "good.txt").symlink_to("real.txt")
    (res / "bad.txt").symlink_to(tmp_path / "secret.txt")
    (res / "up").symlink_to(tmp_path)
    (res / "beside").symlink_to(tmp_path / "res-other")
    (res / "dead.txt").symlink_to(res / "nothing")
    assert paths(load(str(res), None, log)) == ["/good.txt", "/real.txt"]
    assert sum("leads out of" in message for _, message in log) == 3


def test_a_link_to_its_own_folder_ends(res, log):
    (res / "a.txt").write_text("a")
    (res / "loop").symlink_to(res / "sub")
    (res / "sub").mkdir()
    (res / "sub" / "again").symlink_to(res / "sub")
    found = load(str(res), None, log)
    assert paths(found) == ["/a.txt"]
    assert any("folders deep" in message for _, message in log)


def test_what_is_no_regular_file_is_left_out(res, log):
    os.mkfifo(res / "pipe")
    assert load(str(res), None, log) == []


def test_an_unreadable_file_is_logged_and_the_others_are_served(res, log, monkeypatch):
    (res / "a.txt").write_text("a")
    (res / "b.txt").write_text("b")
    real = open

    def refusing(file, *arguments):
        if str(file).endswith("a.txt"):
            raise PermissionError(13, "Permission denied")
        return real(file, *arguments)

    monkeypatch.setattr("builtins.open", refusing)
    assert paths(load(str(res), None, log)) == ["/b.txt"]
    assert len(log) == 1
    assert "Permission denied" in log[0][1]


def test_a_name_that_is_not_utf8_is_left_out(res, log):
    try:
        with open(os.fsencode(str(res)) + b"/\xff.txt", "wb"):
            pass
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    assert load(str(res), None, log) == []
    assert "not UTF-8" in log[0][1]


def test_an_index_page_is_served_for_its_folder(res, log):
    (res / "docs").mkdir()
    (res / "index.html").write_text("root")
    (res / "docs" / "index.html").write_text("docs")
    found = load(str(res), None, log)
    assert paths(found) == ["/docs/index.html", "/index.html", "/docs/", "/"]
    assert body_of(found, "/") == b"root"
    assert body_of(found, "/docs/") == b"docs"
    assert found[-1][2] == "text/html; charset=utf-8"


def test_a_file_in_both_folders_is_taken_from_res(res, resmin, log):
    (res / "a.txt").write_text("res")
    (resmin / "a.txt").write_text("resmin")
    found = load(str(res), str(resmin), log)
    assert paths(found) == ["/a.txt"]
    assert body_of(found, "/a.txt") == b"res"
    assert "hidden by" in log[0][1]


def test_field_lines_tell_age_and_caching(res, log):
    (res / "a.css").write_text("a{}")
    (res / "a.html").write_text("a")
    moment = 784111777  # RFC 9110 §5.6.7: Sun, 06 Nov 1994 08:49:37 GMT
    for name in ("a.css", "a.html"):
        os.utime(res / name, (moment, moment))
    found = {static[0]: static[3] for static in load(str(res), None, log)}
    assert found["/a.css"] == (
        b"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: public, max-age=3600\r\n"
    )
    assert b"Cache-Control: no-cache\r\n" in found["/a.html"]


def test_a_date_in_the_future_becomes_the_present():
    # RFC 9110 §8.8.2.1
    assert http_date(time.time() + 86400) in (http_date(time.time()), http_date(time.time() - 1))
    assert http_date(-1) in (http_date(time.time()), http_date(time.time() - 1))
    assert http_date(0) == "Thu, 01 Jan 1970 00:00:00 GMT"


def test_a_large_file_is_named_in_the_log(res, log):
    (res / "a.bin").write_bytes(b"x" * 101)
    assert len(load(str(res), None, log, size_warning=100)) == 1
    assert "takes" in log[0][1]
    del log[:]
    assert len(load(str(res), None, log, size_warning=101)) == 1
    assert log == []


# Minifying.

CSS = "/* note */\nbody {\n    color: red;\n}\n"
JS = "// note\nfunction f(a) {\n    return a + 1\n}\nvar re = /[/]{2}\\/\\//g, t = `a  //  b`\n"


def test_css_and_javascript_of_resmin_are_minified_and_of_res_they_are_not(res, resmin, log):
    for folder in (res, resmin):
        (folder / f"{folder.name}.css").write_text(CSS)
        (folder / f"{folder.name}.js").write_text(JS)
    found = load(str(res), str(resmin), log)
    assert body_of(found, "/res.css") == CSS.encode()
    assert body_of(found, "/res.js") == JS.encode()
    assert body_of(found, "/resmin.css") == b"body{color:red}"
    small = body_of(found, "/resmin.js")
    assert len(small) < len(JS)
    assert b"note" not in small
    assert b"`a  //  b`" in small
    assert b"/[/]{2}\\/\\//g" in small
    assert log == []


@pytest.mark.parametrize("name", ["a.min.css", "a.min.js", "a.html", "a.svg", "a.json", "a.png"])
def test_what_is_minified_already_or_is_neither_stays_as_it_is(resmin, log, name):
    (resmin / name).write_text(CSS)
    assert body_of(load(None, str(resmin), log), f"/{name}") == CSS.encode()


def test_a_failing_minifier_serves_the_original_and_says_so(resmin, log, monkeypatch):
    (resmin / "a.css").write_text(CSS)
    (resmin / "b.js").write_bytes(b"var a = '\xff'")

    def broken(extension):
        def fail(text):
            raise RuntimeError("lost")

        return fail

    monkeypatch.setattr(statics, "_minifier", broken)
    found = load(None, str(resmin), log)
    assert body_of(found, "/a.css") == CSS.encode()
    assert body_of(found, "/b.js") == b"var a = '\xff'"
    assert ["served as it is" in message for _, message in log] == [True, True]


def test_a_missing_minifier_serves_the_original(resmin, log, monkeypatch):
    (resmin / "a.css").write_text(CSS)
    monkeypatch.setitem(__import__("sys").modules, "rcssmin", None)
    assert body_of(load(None, str(resmin), log), "/a.css") == CSS.encode()
    assert "ModuleNotFoundError" in log[0][1]


def test_a_minifier_that_eats_a_file_is_not_believed(resmin, log, monkeypatch):
    (resmin / "a.css").write_text("body{color:red}")
    (resmin / "b.css").write_text("/* only a note */")
    monkeypatch.setattr(statics, "_minifier", lambda extension: lambda text: "")
    found = load(None, str(resmin), log)
    assert body_of(found, "/a.css") == b"body{color:red}"
    assert body_of(found, "/b.css") == b""
    assert len(log) == 1


# Media types.


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("/index.html", "text/html; charset=utf-8"),
        ("A.HTM", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.svg", "image/svg+xml; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.csv", "text/csv; charset=utf-8"),
        ("a.xml", "application/xml; charset=utf-8"),
        ("a.webp", "image/webp"),
        ("a.avif", "image/avif"),
        ("a.jpeg", "image/jpeg"),
        ("a.ico", "image/x-icon"),
        ("a.woff2", "font/woff2"),
        ("a.wasm", "application/wasm"),
        ("a.mp4", "video/mp4"),
        ("a.webm", "video/webm"),
        ("a.mp3", "audio/mpeg"),
        ("a.pdf", "application/pdf"),
        ("a.tar.gz", "application/gzip"),
        ("a.unknown", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("/folder.d/a", "application/octet-stream"),
        (".htaccess", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_a_media_type_comes_from_the_extension(name, content_type):
    assert media_type(name) == content_type


def test_no_extension_is_in_both_tables_and_all_are_lower_case():
    assert not set(statics.TEXT_TYPES) & set(statics.BINARY_TYPES)
    for extension, content_type in {**statics.TEXT_TYPES, **statics.BINARY_TYPES}.items():
        assert extension == extension.lower()
        assert content_type.count("/") == 1


# Served.


def test_statics_are_served_with_their_fields(res):
    (res / "a.css").write_text(CSS)
    (res / "index.html").write_text("<h1>root</h1>")
    (res / "ein wört.txt").write_text("x")
    (res / "100%.txt").write_text("all")
    client = Client(App(), res=str(res))
    answer = client.get("/a.css")
    assert (answer.status, answer.text) == (200, CSS)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["cache-control"] == "public, max-age=3600"
    assert answer.headers["last-modified"].endswith(" GMT")
    assert client.get("/").text == "<h1>root</h1>"
    assert client.get("/?q=1").text == "<h1>root</h1>"
    assert client.get("/index.html").text == "<h1>root</h1>"
    assert client.get("/ein wört.txt").text == "x"
    assert client.get("/ein%20w%C3%B6rt.txt").text == "x"
    assert client.get("/100%25.txt").text == "all"
    assert client.head("/a.css").headers["content-length"] == str(len(CSS))
    assert client.get("/A.CSS").status == 404


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
        "GET",
        "HEAD",
        "POST",
        "OPTIONS",
    }


@pytest.mark.parametrize(
    "path", ["/../secret", "/a/../../secret", "/%2e%2e/secret", "/..%2fsecret"]
)
def test_no_path_leads_out_of_the_folder(res, tmp_path, path):
    (tmp_path / "secret").write_text("secret")
    (res / "a").mkdir()
    answer = Client(App(), res=str(res)).get(path)
    assert answer.status in (400, 404)
