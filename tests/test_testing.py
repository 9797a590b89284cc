"""The test client: what it sends, what it refuses to read, what it keeps."""

import io
import json

import pytest

from nodepp import App, ConfigError, Response, StartError
from nodepp.answers import Headers, ProtocolError, Reader
from nodepp.testing import Client, CookieJar, encode_body


@pytest.fixture
def app():
    """An application that shows what it was sent."""
    app = App()

    def show(req, rest=""):
        return {
            "method": req.method,
            "target": req.target,
            "query": req.query.multi_items(),
            "headers": req.headers.items(),
            "body": req.body.decode("latin-1"),
            "form": req.form.multi_items(),
            "files": [
                [name, file.filename, file.content_type, file.read().decode("latin-1")]
                for name, file in req.files.multi_items()
            ],
            "cookies": dict(req.cookies),
            "client": list(req.client),
        }

    app.set_fallback(show)
    return app


# Requests.


def test_a_request_has_its_method_path_and_host(app):
    client = Client(app)
    for method in ("get", "post", "put", "patch", "delete", "options"):
        seen = getattr(client, method)("/a/b").json()
        assert seen["method"] == method.upper()
        assert seen["target"] == "/a/b"
        assert ["host", "localhost"] in seen["headers"]
    assert client.head("/a").status == 200
    assert client.request("PUT", "/x").json()["method"] == "PUT"


def test_base_url_gives_the_host(app):
    client = Client(app, base_url="http://shop.example:81")
    assert ["host", "shop.example:81"] in client.get("/").json()["headers"]
    assert ["host", "other.example"] in client.get("http://other.example/x").json()["headers"]


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("/", "/"),
        ("a", "/a"),
        ("/a b", "/a%20b"),
        ("/café", "/caf%C3%A9"),
        ("/%41", "/%41"),
        ("//a", "//a"),
        ("/a?b=c d", "/a?b=c%20d"),
        ("/a#b", "/a"),
        ("/a:b@c", "/a:b@c"),
        ('/"<>', "/%22%3C%3E"),
        ("/?u=http://x/y", "/?u=http://x/y"),
    ],
)
def test_a_url_is_encoded_as_a_browser_does(app, url, target):
    assert Client(app).get(url).json()["target"] == target


def test_parameters_are_added_to_the_query(app):
    client = Client(app)
    seen = client.get("/a", params={"b": "x y", "c": [1, 2], "d": "&"}).json()
    assert seen["query"] == [["b", "x y"], ["c", "1"], ["c", "2"], ["d", "&"]]
    seen = client.get("/a?z=0", params=[("b", 1), ("b", 2)]).json()
    assert seen["query"] == [["z", "0"], ["b", "1"], ["b", "2"]]


def test_headers_of_client_and_request_are_sent_and_the_latter_win(app):
    client = Client(app, headers={"X-A": "1", "X-B": "1"})
    headers = client.get("/", headers={"x-b": "2", "X-C": ["3", "4"]}).json()["headers"]
    assert [pair for pair in headers if pair[0].startswith("x-")] == [
        ["x-a", "1"],
        ["x-b", "2"],
        ["x-c", "3"],
        ["x-c", "4"],
    ]


def test_bodies_are_sent_in_each_form(app):
    client = Client(app)
    assert client.post("/", data=b"\x00\xff").json()["body"] == "\x00\xff"
    assert client.post("/", data="é").json()["body"] == "é".encode().decode("latin-1")
    seen = client.post("/", json={"a": [1]}).json()
    assert json.loads(seen["body"]) == {"a": [1]}
    assert ["content-type", "application/json"] in seen["headers"]
    seen = client.post("/", data={"a": "1 2", "b": ["x", "y"]}).json()
    assert seen["form"] == [["a", "1 2"], ["b", "x"], ["b", "y"]]
    assert client.post("/").json()["body"] == ""
    assert ["content-length", "0"] in client.post("/").json()["headers"]


def test_files_are_sent_in_each_form(app, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("<p>")
    with open(path, "rb") as stream:
        files = [
            ("a", b"1"),
            ("b", "é"),
            ("c", ("c.png", b"3")),
            ("d", ("d.bin", io.BytesIO(b"4"), "x/y")),
            ("e", stream),
            ("f", ('q"\r\n.txt', b"6")),
        ]
        seen = Client(app).post("/", data={"t": "v"}, files=files).json()
    assert seen["form"] == [["t", "v"]]
    assert seen["files"] == [
        ["a", "a", "application/octet-stream", "1"],
        ["b", "b", "application/octet-stream", "é".encode().decode("latin-1")],
        ["c", "c.png", "image/png", "3"],
        ["d", "d.bin", "x/y", "4"],
        ["e", "page.html", "text/html; charset=utf-8", "<p>"],
        ["f", 'q"\r\n.txt', "text/plain; charset=utf-8", "6"],
    ]


def test_bodies_that_exclude_each_other_are_refused():
    for given in ((1, b"x", None), (1, None, {"f": b""}), (None, b"x", {"f": b""})):
        with pytest.raises(TypeError):
            encode_body(*given)


def test_a_large_body_and_a_large_answer_pass(app):
    app = App()
    app.post("/")(lambda req: req.body)
    body = bytes(range(256)) * 20_000
    assert Client(app).post("/", data=body).body == body


def test_the_client_has_an_address(app):
    assert Client(app, client=("10.0.0.1", 99)).get("/").json()["client"] == ["10.0.0.1", 99]


# Answers.


def test_an_answer_has_status_headers_text_and_json():
    app = App()
    headers = [("X-A", "1"), ("X-B", "2")]
    app.get("/")(lambda req: Response("é", 201, "text/plain", headers))
    app.get("/latin")(
        lambda req: Response("é".encode("latin-1"), content_type="text/plain; charset=latin-1")
    )
    app.get("/json")(lambda req: {"é": None})
    client = Client(app)
    answer = client.get("/")
    assert (answer.status, answer.reason) == (201, "Created")
    assert (answer.text, answer.body) == ("é", "é".encode())
    assert answer.content_type == "text/plain"
    assert answer.headers["x-a"] == answer.headers.get("X-A") == "1"
    assert answer.headers.get("none") is None
    assert answer.headers.get("none", "d") == "d"
    assert answer.headers.getlist("none") == []
    assert "X-b" in answer.headers
    assert answer.url == "http://localhost/"
    assert repr(answer) == "<Response 201 Created, 2 bytes>"
    assert client.get("/latin").text == "é"
    assert client.get("/json").json() == {"é": None}
    with pytest.raises(ValueError, match="Expecting value"):
        client.get("/").json()


def test_headers_keep_their_order_and_repetitions():
    headers = Headers([("A", "1"), ("b", "2"), ("a", "3")])
    assert headers.getlist("A") == ["1", "3"]
    assert headers.items() == [("A", "1"), ("b", "2"), ("a", "3")]
    assert list(headers) == headers.keys() == ["A", "b", "a"]
    assert len(headers) == 3
    with pytest.raises(KeyError):
        headers["c"]


# Redirections.


@pytest.fixture
def roads():
    app = App()
    for status in (301, 302, 303, 307, 308):
        app.route(f"/{status}", ["GET", "POST"])(
            lambda req, status=status: req.redirect("/end?x=1", status)
        )
    app.get("/relative/")(lambda req: req.redirect("../end"))
    app.get("/loop")(lambda req: req.redirect("/loop"))
    app.route("/end", ["GET", "POST"])(lambda req: [req.method, req.target, req.text])
    return app


def test_redirections_are_followed_only_if_asked(roads):
    client = Client(roads)
    assert client.get("/302").status == 302
    assert client.get("/302", follow_redirects=True).json() == ["GET", "/end?x=1", ""]
    client = Client(roads, follow_redirects=True)
    answer = client.get("/302")
    assert answer.json() == ["GET", "/end?x=1", ""]
    assert answer.url == "http://localhost/end?x=1"
    assert [earlier.status for earlier in answer.history] == [302]
    assert client.get("/302", follow_redirects=False).status == 302
    assert client.get("/relative/").json() == ["GET", "/end", ""]


@pytest.mark.parametrize(
    ("status", "method"), [(301, "GET"), (302, "GET"), (303, "GET"), (307, "POST"), (308, "POST")]
)
def test_a_redirected_post_keeps_its_method_as_browsers_have_it(roads, status, method):
    answer = Client(roads).post(f"/{status}", data=b"body", follow_redirects=True)
    assert answer.json() == [method, "/end?x=1", "body" if method == "POST" else ""]


def test_a_loop_of_redirections_ends(roads):
    with pytest.raises(ProtocolError, match="more than 20 redirections"):
        Client(roads).get("/loop", follow_redirects=True)


# Cookies.


def test_cookies_are_kept_and_sent_back():
    app = App()

    @app.get("/login")
    def login(req):
        req.set_cookie("user", "ann")
        req.set_cookie("admin", "1", path="/admin")
        req.set_cookie("safe", "1", secure=True)
        return ""

    @app.get("/logout")
    def logout(req):
        req.set_cookie("user", "", max_age=0)
        return ""

    @app.get("/{rest:path}")
    def show(req, rest):
        return dict(req.cookies)

    client = Client(app)
    assert client.get("/login").cookies == {"user": "ann", "admin": "1", "safe": "1"}
    assert client.cookies["user"] == "ann"
    assert client.get("/x").json() == {"user": "ann"}
    assert client.get("/admin").json() == {"user": "ann", "admin": "1"}
    assert client.get("/admin/x").json() == {"user": "ann", "admin": "1"}
    assert client.get("/administrator").json() == {"user": "ann"}
    assert client.get("/x", cookies={"user": "bob", "b": "2"}).json() == {"user": "bob", "b": "2"}
    client.get("/logout")
    assert client.get("/x").json() == {}


def test_a_jar_is_a_mapping():
    jar = CookieJar()
    jar["a"] = "1"
    jar.set("b", "2", path="/x")
    jar.store("c=3; Path=/; Expires=Sun, 06 Nov 1994 08:49:37 GMT", "/")
    jar.store("d=4", "/y/z")
    assert sorted(jar) == ["a", "b", "d"]
    assert len(jar) == 3
    assert "b" in jar
    assert jar.get("none") is None
    assert jar.matching("/y/q", False) == {"a": "1", "d": "4"}
    assert "a" in repr(jar)
    del jar["a"]
    with pytest.raises(KeyError):
        jar["a"]
    with pytest.raises(KeyError):
        del jar["a"]
    jar.clear()
    assert len(jar) == 0


# The life of the application.


def test_events_frame_the_with_block():
    app = App()
    seen = []
    app.on_start(lambda: seen.append("start"))
    app.on_stop(lambda: seen.append("stop"))
    app.get("/")(lambda req: "")
    with Client(app) as client:
        assert seen == ["start"]
        client.get("/")
        client.get("/")
        assert seen == ["start"]
    assert seen == ["start", "stop"]


def test_without_with_the_application_starts_at_the_first_request():
    app = App()
    seen = []
    app.on_start(lambda: seen.append("start"))
    app.on_stop(lambda: seen.append("stop"))
    app.get("/")(lambda req: "")
    client = Client(app)
    client.close()
    assert seen == []
    client.get("/")
    client.get("/")
    client.close()
    client.close()
    assert seen == ["start", "stop"]


def test_an_application_that_refuses_to_start_says_so():
    app = App()
    app.on_start(lambda: False)
    with pytest.raises(StartError):
        Client(app).get("/")


def test_several_clients_may_share_an_application(app):
    one, two = Client(app), Client(app)
    assert one.get("/a").status == two.get("/b").status == one.get("/c").status == 200


def test_an_exception_can_reach_the_test():
    app = App()
    app.host.log = lambda level, message: None
    app.get("/")(lambda req: 1 / 0)
    app.get("/known")(lambda req: {}["x"])
    app.error(KeyError)(lambda req: "known")
    assert Client(app).get("/").status == 500
    client = Client(app, raise_exceptions=True)
    with pytest.raises(ZeroDivisionError):
        client.get("/")
    assert client.get("/known").text == "known"
    assert client.get("/none").status == 404


def test_an_answer_that_never_ends_is_an_error_of_the_test():
    app = App()

    @app.get("/")
    def endless(req):
        while True:
            yield b"x"

    with pytest.raises(TimeoutError, match="no whole answer"):
        Client(app, timeout=0.2).get("/")


def test_nothing_is_left_open(app):
    import gc

    from nodepp import _core

    client = Client(app)
    client.get("/")
    client.post("/", data=b"x" * 100_000)
    gc.collect()
    balance = _core.probe_balance()
    for name in ("buffers", "buffer_memory", "connections", "requests", "files"):
        assert balance.get(name, 0) == 0, balance


def test_settings_reach_the_engine():
    app = App()
    app.post("/")(lambda req: "")
    client = Client(app, settings={"max_payload": 5})
    assert client.post("/", data=b"12345").status == 200
    assert client.post("/", data=b"123456").status == 413


# The reader.


def read(data, method="GET", cut=None):
    """What a Reader makes of data, whole or cut into pieces of that size."""
    reader = Reader(method)
    size = cut or max(1, len(data))
    for start in range(0, len(data), size):
        if reader.feed(data[start : start + size]):
            reader.refuse(data[start + size :])
            return reader.response()
    assert reader.feed(b"")
    return reader.response()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize("cut", [None, 1, 2, 7])
@pytest.mark.parametrize(
    ("data", "body"),
    [
        (OK + b"Content-Length: 3\r\n\r\nabc", b"abc"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n", None),
        (OK + b"\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 1\r\n\r\nx", b"x"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
        (b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", b""),
    ],
)
def test_an_answer_is_read_whole_and_in_pieces(data, body, cut):
    answer = read(data, cut=cut)
    assert answer.body == (b"abc0123456789" if body is None else body)


def test_interim_answers_are_noted():
    answer = read(b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n")
    assert (answer.status, answer.interim) == (200, [100])


def test_an_answer_to_head_has_no_body():
    assert read(OK + b"Content-Length: 5\r\n\r\n", method="HEAD").body == b""


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 200\r\n\r\n",
        b"HTTP/1.1  200 OK\r\n\r\n",
        OK + b"NoColon\r\n\r\n",
        OK + b"Space : x\r\n\r\n",
        OK + b" folded: x\r\n\r\n",
        OK + b"A: x\x00\r\n\r\n",
        OK + b"A: x\ny\r\n\r\n",
        OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: +1\r\n\r\nx",
        OK + b"Content-Length: 2\r\n\r\nx",
        OK + b"Content-Length: 1\r\n\r\nxy",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nab",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\nx",
        b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 17,
    ],
)
def test_what_is_no_http_is_refused(data):
    for cut in (None, 1):
        with pytest.raises(ProtocolError):
            read(data, cut=cut)


# Public files.


def test_settings_of_public_files_are_given_by_name(tmp_path):
    (tmp_path / "a.css").write_text("p { color: red }\n" * 100)
    options = {"expires_statics_ms": 60_000, "precompress": True}
    with Client(App(), res=str(tmp_path), statics=options) as client:
        answer = client.get("/a.css", headers={"Accept-Encoding": "zstd"})
        assert answer.headers["content-encoding"] == "zstd"
        assert answer.headers["cache-control"] == "public, max-age=60"
        assert client.app.asset("a.css") != "/a.css"
    with pytest.raises(TypeError, match="there is no setting 'expires'"):
        Client(App(), statics={"expires": 5}).get("/")


def test_a_file_that_changed_is_seen_when_it_is_looked_for(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    with Client(App(), res=str(tmp_path)) as client:
        assert client.get("/a.txt").text == "one"
        (tmp_path / "a.txt").write_text("two")
        client.app.statics.refresh()
        assert client.get("/a.txt").text == "two"


# Sessions.


@pytest.fixture
def shop():
    app = App()

    @app.get("/login")
    def form(req):
        return f"<form>{req.csrf_input()}</form>"

    @app.post("/login")
    def log_in(req):
        req.session.login(1, 10, req.form["name"])
        req.redirect(req.next_url())

    @app.get("/me")
    def me(req):
        return {"name": req.session.name, "visits": req.session.add("visits")}

    app.require_auth("/me", "USER")
    return app


def test_a_test_logs_in_as_a_browser_would(shop):
    with Client(shop, session_settings={"csrf": True}, headers={"Accept": "text/html"}) as client:
        answer = client.get("/me", follow_redirects=True)
        assert answer.url == "http://localhost/login?next=/me"
        token = answer.text.partition('value="')[2].partition('"')[0]
        assert client.post(answer.url, data={"name": "Ann"}).status == 403
        answer = client.post(
            answer.url, data={"name": "Ann", "csrft": token}, follow_redirects=True)
        assert answer.json() == {"name": "Ann", "visits": 1}
        assert client.get("/me").json()["visits"] == 2
        client.cookies.clear()
        assert client.get("/me").status == 303


def test_sessions_end_with_the_client(shop):
    client = Client(shop)
    with client:
        client.post("/login", data={"name": "Ann"})
        assert client.get("/me").status == 200
    with client:
        assert client.get("/me").status == 401


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sesion_timeout": 1}, "session_settings has no setting 'sesion_timeout'. Did you mean"),
        ({"port": 1}, "session_settings has no setting 'port'"),
        ({"blacklist": "x"}, "session_settings has no setting 'blacklist'"),
        ({"session_timeout": 0}, r"session_settings\(session_timeout=…\): sessionTimeout=0"),
        ({"session_cookie": "ls"}, "sessionCookie .* and loginCookie .* contradict"),
    ],
)
def test_a_setting_of_sessions_that_is_none_is_refused(shop, settings, message):
    with pytest.raises(ConfigError, match=message):
        Client(shop, session_settings=settings)


def test_neither_npp_conf_nor_the_environment_says_how_a_test_runs(shop, tmp_path, monkeypatch):
    (tmp_path / "npp.conf").write_text("requiredAuthLevel=ADMIN\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NPP_REQUIRED_AUTH_LEVEL", "ROOT")
    assert Client(shop).get("/login").status == 200


def test_an_engine_s_settings_win_over_those_of_sessions(shop):
    client = Client(shop, settings={"login_path": "/me"})
    assert client.get("/me").status == 200
