"""app.serve, serve_file, unserve, add_static, add_host: what works, and what is said else."""

from __future__ import annotations

import re

import pytest

from nodepp import App, FileFlags, RouteError
from nodepp.testing import Client


@pytest.fixture
def folder(tmp_path):
    public = tmp_path / "public"
    (public / "sub").mkdir(parents=True)
    (public / "index.html").write_text("page")
    (public / "sub" / "index.html").write_text("sub page")
    (public / "a.css").write_text("a { b: c }")
    return public


@pytest.fixture
def app():
    made = App()
    made.host.log = lambda level, message: made.lines.append(message)
    made.lines = []
    return made


@pytest.mark.parametrize("prefix", ["static", "/static", "static/", "/static/"])
def test_a_folder_is_served_below_its_prefix(app, folder, prefix):
    app.serve(folder, prefix)
    client = Client(app)
    assert client.get("/static/a.css").text == "a { b: c }"
    assert client.get("/static/").text == "page"
    assert client.get("/static").headers["location"] == "/static/"
    assert client.get("/static/sub/").text == "sub page"
    assert client.get("/a.css").status == 404
    assert re.fullmatch(r"/static/a\.[0-9a-f]{10}\.css", app.asset("static/a.css"))


def test_a_folder_without_a_prefix_is_served_at_the_root(app, folder):
    app.serve(str(folder))
    assert Client(app).get("/").text == "page"


def test_flags_say_whether_index_pages_stand_for_folders_and_whether_to_minify(app, folder):
    app.serve(folder, "both", FileFlags.INDEX | FileFlags.MINIFY)
    app.serve(folder, "plain", 0)
    client = Client(app)
    assert client.get("/both/a.css").text == "a{b:c}"
    assert client.get("/both/").text == "page"
    assert client.get("/plain/").status == 404
    assert client.get("/plain/index.html").text == "page"


def test_a_relative_folder_starts_in_the_applications_folder(app, folder):
    app.serve("public")
    assert Client(app, statics={"app_dir": str(folder.parent)}).get("/a.css").status == 200


def test_the_first_of_two_folders_wins_and_files_of_res_before(app, folder, tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.css").write_text("more")
    (tmp_path / "more" / "b.css").write_text("more")
    app.serve(tmp_path / "more")
    app.serve(folder)
    client = Client(app)
    assert client.get("/a.css").text == "more"
    assert client.get("/").text == "page"
    assert Client(app, res=str(folder)).get("/a.css").text == "a { b: c }"


@pytest.mark.parametrize(("path", "url"), [
    ("", "/a.css"),
    ("favicon.ico", "/favicon.ico"),
    ("/x/y.css", "/x/y.css"),
    ("/x/", "/x/a.css"),
])  # fmt: skip
def test_a_single_file_is_served_where_it_is_asked_for(app, folder, path, url):
    app.serve_file(folder / "a.css", path)
    client = Client(app)
    assert client.get(url).text == "a { b: c }"
    assert client.get("/index.html").status == 404


def test_generated_bytes_are_a_file_and_win_over_one(app, folder):
    app.serve(folder)
    app.add_static("/a.css", "ä{}")
    app.add_static("data.json", b"[]")
    app.add_static("page", "<p>", "text/html; charset=utf-8")
    client = Client(app)
    answer = client.get("/a.css")
    assert answer.body == "ä{}".encode()
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert answer.headers["last-modified"]
    assert client.get("/data.json").headers["content-type"] == "application/json"
    answer = client.get("/page")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert app.asset("data.json") != "/data.json"


def test_text_without_an_extension_is_text_and_bytes_are_bytes(app):
    app.add_static("humans", "me")
    app.add_static("data", b"me")
    client = Client(app)
    assert client.get("/humans").headers["content-type"] == "text/plain; charset=utf-8"
    assert client.get("/data").headers["content-type"] == "application/octet-stream"


def test_all_of_it_can_change_while_the_application_runs(app, folder):
    @app.post("/do")
    def do(req):
        app.add_static("/made.txt", req.query["text"])
        return app.asset("made.txt")

    with Client(app) as client:
        first = client.post("/do?text=one").text
        assert client.get("/made.txt").text == "one"
        second = client.post("/do?text=two").text
        assert first != second
        assert (client.get(first).text, client.get(second).text) == ("one", "two")
        app.serve(folder, "late")
        app.serve_file(folder / "a.css", "single.css")
        assert client.get("/late/").text == "page"
        assert client.get("/single.css").text == "a { b: c }"
        app.unserve("late")
        app.unserve("single.css")
        app.unserve("/made.txt")
        for path in ("/late/", "/late", "/late/a.css", "/single.css", "/made.txt"):
            assert client.get(path).status == 404
        with pytest.raises(RouteError, match="read already"):
            app.add_host("example.com")


def test_an_on_start_handler_may_add_hosts_and_files(app, folder):
    @app.on_start
    def start():
        app.add_host("example.com", res=str(folder))
        app.add_static("x.txt", "x")

    client = Client(app)
    assert client.get("/x.txt").text == "x"
    assert client.get("/", headers={"Host": "example.com"}).text == "page"


def test_unserve_gives_way_to_what_was_hidden(app, folder):
    app.serve(folder)
    app.add_static("a.css", "generated")
    with Client(app) as client:
        assert client.get("/a.css").text == "generated"
        app.unserve("a.css")
        assert client.get("/a.css").text == "a { b: c }"


# Hosts.


def test_each_host_has_its_own_files(app, folder, tmp_path):
    (tmp_path / "resmin").mkdir()
    (tmp_path / "resmin" / "m.css").write_text("a { b: c }")
    (tmp_path / "main").mkdir()
    (tmp_path / "main" / "main.txt").write_text("main")
    app.add_host("Example.COM:8080", res=str(folder), resmin=str(tmp_path / "resmin"))
    app.add_host("other.org")
    app.add_static("o.txt", "o", host="other.org")
    app.serve_file(folder / "a.css", "s.css", host="other.org")
    client = Client(app, res=str(tmp_path / "main"))

    def get(path, host):
        return client.get(path, headers={"Host": host})

    for host in ("example.com", "EXAMPLE.com:81", "www.example.com"):
        assert get("/", host).text == "page"
        assert get("/m.css", host).text == "a{b:c}"
        assert get("/main.txt", host).status == 404
    assert get("/o.txt", "other.org").text == "o"
    assert get("/s.css", "www.other.org").text == "a { b: c }"
    for host in ("localhost", "unknown.net", "a.b.example.com"):
        assert get("/main.txt", host).text == "main"
        assert get("/o.txt", host).status == 404
    assert app.asset("o.txt", "www.other.org:443") != "/o.txt"
    assert app.asset("main.txt", "unknown.net") != "/main.txt"
    assert app.asset("main.txt", "example.com") == "/main.txt"


def test_a_host_without_files_does_not_get_those_of_the_main_one(app, folder):
    app.add_host("empty.org")
    client = Client(app, res=str(folder))
    assert client.get("/").status == 200
    assert client.get("/", headers={"Host": "empty.org"}).status == 404


# What cannot work.


@pytest.mark.parametrize(("call", "said"), [
    (lambda app: app.serve(1), "app.serve: a directory is a str or a path, not 1"),
    (lambda app: app.serve(""), "app.serve: a directory is a str or a path, not ''"),
    (lambda app: app.serve(b"x"), "app.serve: a directory is a str or a path"),
    (lambda app: app.serve("a\0b"), "app.serve: a directory is a str or a path"),
    (lambda app: app.serve("x", "../y"), "app.serve: a path without dot segments"),
    (lambda app: app.serve("x", "a/./b"), "app.serve: a path without dot segments"),
    (lambda app: app.serve("x", "a//b"), "app.serve: two slashes in a row"),
    (lambda app: app.serve("x", "a?b"), "app.serve: a query is not part of a path"),
    (lambda app: app.serve("x", "a#b"), "app.serve: a fragment is not part of a path"),
    (lambda app: app.serve("x", "a\\b"), "app.serve: a backslash is not part of a path"),
    (lambda app: app.serve("x", "a\nb"), "app.serve: a control character is not part"),
    (lambda app: app.serve("x", 1), "app.serve: prefix is a str, not int"),
    (lambda app: app.serve("x", "", 8), "app.serve: flags are FileFlags"),
    (lambda app: app.serve("x", "", True), "app.serve: flags are FileFlags"),
    (lambda app: app.serve("x", host="no.com"), "app.serve: there is no host 'no.com'"),
    (lambda app: app.serve("x", host=5), "app.serve: host is a str, not int"),
    (lambda app: app.serve_file(None), "app.serve_file: a file is a str or a path, not None"),
    (lambda app: app.serve_file("x", "a/../b"), "app.serve_file: a path without dot segments"),
    (lambda app: app.add_static("x", 5), "app.add_static /x: bytes or a str, not int"),
    (lambda app: app.add_static("x", None), "app.add_static /x: bytes or a str, not NoneType"),
    (lambda app: app.add_static("x", "\ud800"), "app.add_static /x: the text has lone surrogates"),
    (lambda app: app.add_static(b"x", ""), "app.add_static: path is a str, not bytes"),
    (lambda app: app.add_static("\ud800", ""), "has no UTF-8 form"),
    (lambda app: app.add_static("x", "", "text/html\r\nX: y"), "is not a media type"),
    (lambda app: app.add_static("x", "", 5), "content_type is a str, not int"),
    (lambda app: app.unserve("nothing"), "app.unserve: nothing was served at '/nothing'"),
    (lambda app: app.add_host(""), "the main host is there already"),
    (lambda app: app.add_host("a b"), "'a b' is not the name of a host"),
    (lambda app: app.add_host("a/b"), "'a/b' is not the name of a host"),
    (lambda app: app.add_host(5), "app.add_host: host is a str, not int"),
    (lambda app: app.add_host("a.com", res=5), "app.add_host: res is a str, not int"),
    (lambda app: [app.add_host("a.com"), app.add_host("A.com:80")], "'a.com' is there already"),
])  # fmt: skip
def test_what_cannot_work_is_said_at_once(app, call, said):
    with pytest.raises(RouteError) as caught:
        call(app)
    assert said in str(caught.value)


def test_a_near_miss_is_named(app):
    app.add_host("example.com")
    with pytest.raises(RouteError, match=r"Did you mean 'example\.com'"):
        app.serve("x", host="exmaple.com")
    app.serve("x", "static")
    with pytest.raises(RouteError, match="Did you mean '/static'"):
        app.unserve("statics")


def test_folders_and_files_that_are_not_there_are_named_and_the_rest_is_served(app, tmp_path):
    app.serve(tmp_path / "no", "no")
    app.serve_file(tmp_path / "no.txt")
    app.add_host("example.com", res=str(tmp_path / "none"))
    app.add_static("yes.txt", "yes")
    assert Client(app).get("/yes.txt").text == "yes"
    assert sorted(app.lines) == [
        f"static: there is no file {tmp_path}/no.txt",
        f"static: there is no folder {tmp_path}/no",
        f"static: there is no folder {tmp_path}/none",
    ]


@pytest.mark.parametrize("how", ["serve", "parent", "res"])
def test_the_applications_own_folder_shows_no_source_and_no_keys(app, folder, how):
    for name in ("app.py", "npp.conf", "server.key", "data.db"):
        (folder / name).write_text("secret")
    options = {"app_dir": str(folder)}
    if how == "res":
        options["res"] = "."
    else:
        app.serve("." if how == "serve" else "..")
    client = Client(app, statics=options)
    prefix = "/public" if how == "parent" else ""
    assert client.get(f"{prefix}/a.css").status == 200
    for name in ("app.py", "npp.conf", "server.key", "data.db"):
        assert client.get(f"{prefix}/{name}").status == 404
    client.app.statics.refresh()
    assert sum("not for the public" in line for line in app.lines) == 1
