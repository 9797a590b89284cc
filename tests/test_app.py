"""Routes, events and settings of an App: what is refused at registration, what is called when."""

import functools

import pytest

from nodepp import App, HTTPError, Response, RouteError, StartError, routes
from nodepp import app as app_module
from nodepp.routes import call_order, handler_name, parse_path
from nodepp.testing import Client


@pytest.fixture
def app():
    return App()


# Patterns.


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        ("/", (("",),)),
        ("/a", (("a",),)),
        ("/a/", (("a",), ("",))),
        ("/a/b.txt", (("a",), ("b.txt",))),
        ("/café", (("café",),)),
        ("/user/{id}", (("user",), ("", "", "str", "id"))),
        ("/user/{id:int}/x", (("user",), ("", "", "int", "id"), ("x",))),
        ("/f-{name}.txt", (("f-", ".txt", "str", "name"),)),
        ("/{a:float}/{b:uuid}", (("", "", "float", "a"), ("", "", "uuid", "b"))),
        ("/static/{rest:path}", (("static",), ("", "", "path", "rest"))),
    ],
)
def test_a_pattern_becomes_segments(path, segments):
    assert parse_path(path) == segments


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", 'begins with a slash: "/"'),
        ("user", 'begins with a slash: "/user"'),
        ("/a?b=1", "a query is not part"),
        ("/a#b", "a fragment is not part"),
        ("/{id", "'{' without '}'"),
        ("/id}", "'}' without '{'"),
        ("/{a}}", "'}' without '{'"),
        ("/{{a}", "'{' without '}'"),
        ("/{a}{b}", "one parameter per segment"),
        ("/{a}-{b}", "one parameter per segment"),
        ("/{id:integer}", "unknown converter 'integer' of parameter 'id'"),
        ("/{id:}", "unknown converter ''"),
        ("/{}", "'' cannot be the name"),
        ("/{a-b}", "'a-b' cannot be the name"),
        ("/{a}/{a}", "'a' is there twice"),
        ("/{rest:path}/more", "nothing can follow"),
        ("/{rest:path}.txt", "nothing can follow"),
        ("/a/../b", "'..' is not a segment"),
        ("/./b", "'.' is not a segment"),
        ("/" + "/".join(f"{{p{i}}}" for i in range(17)), "17 parameters"),
        ("/a" * 65, "65 segments"),
    ],
)
def test_a_pattern_that_cannot_work_is_refused_with_a_reason(path, said):
    with pytest.raises(RouteError) as caught:
        parse_path(path)
    assert said in str(caught.value)


def test_a_path_that_is_no_text_is_refused(app):
    with pytest.raises(RouteError, match="is a str, not bytes"):
        app.get(b"/")(lambda req: "")


def test_method_bits_are_those_of_the_core():
    from nodepp import _core

    for name, bit in routes.METHODS.items():
        assert getattr(_core, f"METHOD_{name}") == bit


# Handlers.


def takes_nothing():
    pass


def takes_request(req):
    pass


def takes_id(req, id):
    pass


def takes_two(req, a, b):
    pass


def takes_two_turned(req, b, a):
    pass


def takes_default(req, page=1, id=None):
    pass


def takes_id_then_default(req, id, page=1):
    pass


def takes_keyword_only(req, *, id):
    pass


def takes_positional_only(req, id, /):
    pass


def takes_anything(*args, **kwargs):
    pass


class Pages:
    def show(self, req, id):
        pass

    def __call__(self, req, id):
        pass

    @classmethod
    def of_class(cls, req, id):
        pass

    @staticmethod
    def static(req, id):
        pass


def wrapper(handler):
    @functools.wraps(handler)
    def wrapped(*args):
        return handler(*args)

    return wrapped


@pytest.mark.parametrize(
    ("handler", "names", "order"),
    [
        (takes_request, (), ()),
        (takes_id, ("id",), (0,)),
        (takes_two, ("a", "b"), (0, 1)),
        (takes_two_turned, ("a", "b"), (1, 0)),
        (takes_default, (), ()),
        (takes_default, ("id",), None),
        (takes_id_then_default, ("id",), (0,)),
        (takes_keyword_only, ("id",), None),
        (takes_positional_only, ("id",), (0,)),
        (takes_anything, ("id",), None),
        (Pages().show, ("id",), (0,)),
        (Pages.of_class, ("id",), (0,)),
        (Pages.static, ("id",), (0,)),
        (Pages(), ("id",), (0,)),
        (wrapper(takes_two_turned), ("a", "b"), (1, 0)),
        (functools.partial(takes_two, b=1), ("a",), None),
        (print, (), ()),
        (print, ("a",), None),
    ],
)
def test_parameters_are_passed_by_position_where_the_handler_allows_it(handler, names, order):
    assert call_order(handler, names, "/x") == order


@pytest.mark.parametrize(
    ("handler", "names", "said"),
    [
        (takes_nothing, (), "takes_nothing() takes no request; write def takes_nothing(req, …)"),
        (takes_request, ("id",), "the path has 'id', which takes_request(req) does not take"),
        (takes_id, (), "takes_id(req, id) wants 'id', which the path does not have"),
        (takes_keyword_only, (), "takes_keyword_only(req, id) wants 'id'"),
        (takes_id, ("uid",), "the path has 'uid', which takes_id(req, id) does not take"),
        (takes_id, ("req",), "the first argument of takes_id(req, id) is the request"),
        (Pages().show, (), "Pages.show(req, id) wants 'id'"),
        (Pages, (), "Pages() is a class"),
        ("text", (), "'text' is not a handler"),
        (wrapper(takes_id), ("uid",), "the path has 'uid'"),
    ],
)
def test_a_handler_that_does_not_fit_its_path_is_refused_with_both_names(handler, names, said):
    with pytest.raises(RouteError) as caught:
        call_order(handler, names, "/x")
    assert "route /x: " in str(caught.value)
    assert said in str(caught.value)


def test_a_positional_only_parameter_behind_another_one_is_refused():
    def page(req, size, id, /):
        pass

    page.__defaults__ = (1, 2)
    with pytest.raises(RouteError, match="takes 'id' by position only"):
        call_order(page, ("id",), "/x")


def test_a_coroutine_is_refused_until_there_are_coroutine_handlers(app):
    async def later(req):
        pass

    async def stream(req):
        yield b""

    for handler in (later, stream, wrapper(later)):
        with pytest.raises(RouteError, match=r"later|stream.*coroutine"):
            app.get("/")(handler)


def test_a_handler_is_named_with_what_it_takes():
    assert handler_name(takes_two) == "takes_two(req, a, b)"
    assert handler_name(lambda req: "") == "<lambda>(req)"
    assert handler_name(Pages()) == "Pages(req, id)"


# Registration.


def test_a_second_handler_for_a_path_is_refused_and_the_first_is_named(app):
    app.get("/user/{id}")(takes_id)

    def other(req, name):
        pass

    with pytest.raises(RouteError) as caught:
        app.get("/user/{name}")(other)
    assert "GET /user/{name} of other(req, name)" in str(caught.value)
    assert "already taken by takes_id(req, id) (test_app.py:" in str(caught.value)


def test_one_path_may_have_a_handler_for_each_method_and_each_converter(app):
    app.get("/user/{id}")(takes_id)
    app.post("/user/{id}")(takes_id)
    app.get("/user/{id:int}")(takes_id)
    assert app.route_count == 3


def test_a_refused_route_leaves_nothing_behind(app):
    app.post("/a")(takes_request)
    with pytest.raises(RouteError):
        app.route("/a", methods=["GET", "POST"])(takes_request)
    app.get("/a")(takes_request)
    assert app.route_count == 2


def test_methods_may_be_written_in_any_case_and_as_one_name(app):
    app.route("/a", methods="post")(takes_request)
    app.route("/b", methods=("Get", "get", "PATCH"))(takes_request)
    assert [route.methods for route in app.routes] == [("POST",), ("GET", "PATCH")]


def test_an_unknown_method_and_none_at_all_are_refused(app):
    with pytest.raises(RouteError, match="unknown method 'FETCH'"):
        app.route("/a", methods=["FETCH"])(takes_request)
    with pytest.raises(RouteError, match="no method given"):
        app.route("/a", methods=[])(takes_request)


def test_a_decorator_gives_back_the_function(app):
    assert app.get("/")(takes_request) is takes_request
    assert app.on_start(takes_nothing) is takes_nothing
    assert app.every(1)(takes_nothing) is takes_nothing
    assert app.error(404)(takes_request) is takes_request


def test_after_the_freeze_nothing_can_be_registered(app):
    app.freeze()
    for register in (
        app.get("/"),
        app.error(404),
        app.on_start,
        app.every(1),
    ):
        with pytest.raises(RouteError, match="running already"):
            register(takes_request)


@pytest.mark.parametrize("cause", [200, 600, True, "404", 404.0, int, None])
def test_an_error_handler_for_what_is_no_error_is_refused(app, cause):
    with pytest.raises(RouteError, match=r"app\.error"):
        app.error(cause)


def test_a_second_error_handler_for_the_same_is_refused(app):
    app.error(404, KeyError)(takes_request)
    for cause in (404, KeyError):
        with pytest.raises(RouteError, match=r"already taken by takes_request\(req\)"):
            app.error(cause)(takes_request)


def test_an_error_handler_without_causes_or_request_is_refused(app):
    with pytest.raises(RouteError, match="give a status"):
        app.error()
    with pytest.raises(RouteError, match="takes no request"):
        app.error(404)(takes_nothing)
    with pytest.raises(RouteError, match="wants 'c'"):
        app.error(404)(lambda a, b, c: "")


@pytest.mark.parametrize("seconds", [0, -1, True, "1", None, float("nan")])
def test_a_period_that_is_no_time_is_refused(app, seconds):
    with pytest.raises(RouteError, match="seconds above 0"):
        app.every(seconds)


# Events.


def test_start_handlers_run_in_order_and_stop_handlers_backwards(app):
    seen = []
    app.on_start(lambda: seen.append("start 1"))
    app.on_start(lambda: seen.append("start 2"))
    app.on_stop(lambda: seen.append("stop 1"))
    app.on_stop(lambda: seen.append("stop 2"))
    app.start()
    app.stop()
    assert seen == ["start 1", "start 2", "stop 2", "stop 1"]


def test_a_start_handler_that_returns_false_refuses_the_start(app):
    def check():
        return False

    app.on_start(check)
    with pytest.raises(StartError, match=r"check\(\) returned False"):
        app.start()


def test_a_start_handler_that_returns_nothing_does_not_refuse(app):
    app.on_start(lambda: None)
    app.on_start(lambda: 0)
    app.start()


def test_a_stop_handler_that_raises_is_logged_and_the_others_run(app):
    lines, seen = [], []
    app.host.log = lambda level, message: lines.append((level, message))
    app.on_stop(lambda: seen.append("first"))

    @app.on_stop
    def broken():
        raise KeyError("gone")

    app.stop()
    assert seen == ["first"]
    assert len(lines) == 1
    assert lines[0][0] == 1
    assert "broken()" in lines[0][1]
    assert "KeyError: 'gone'" in lines[0][1]


def test_a_periodic_function_that_raises_is_logged_each_time(app):
    lines = []
    app.host.log = lambda level, message: lines.append(message)

    @app.every(0.5)
    def tick():
        raise ValueError("no")

    ((seconds, callback),) = app.timers
    assert seconds == 0.5
    callback()
    callback()
    assert len(lines) == 2
    assert "every tick()" in lines[0]
    assert "ValueError: no" in lines[0]


def test_a_periodic_function_runs_on_the_engine(app):
    from nodepp import _core

    seen = []
    app.every(0.05)(lambda: seen.append(1))
    engine = _core.Engine({"max_connections": 4}, app.freeze(), app.host)
    engine.open([])
    try:
        for seconds, callback in app.timers:
            engine.every(seconds, callback)
        engine.turn(0)
        assert seen == []
        _core.probe_clock(60)
        engine.turn(0)
        assert seen == [1]
    finally:
        engine.close()


# Settings.


def test_an_app_has_the_users_settings(monkeypatch):
    monkeypatch.setitem(app_module.user_settings, "greeting", "Hello")
    app = App()
    assert app.config["greeting"] == "Hello"
    app.config["greeting"] = "Bye"
    assert App().config["greeting"] == "Hello"


# Dispatch.


def test_each_converter_gives_its_type(app):
    import uuid

    seen = []

    @app.get("/s/{value}")
    @app.get("/i/{value:int}")
    @app.get("/f/{value:float}")
    @app.get("/u/{value:uuid}")
    @app.get("/p/{value:path}")
    def show(req, value):
        seen.append(value)
        return ""

    client = Client(app)
    key = uuid.UUID("12345678-1234-5678-1234-567812345678")
    paths = ("/s/7", "/i/7", "/f/1.5", f"/u/{key}", "/p/a/b", "/s/a%20b")
    assert [client.get(path).status for path in paths] == [200] * len(paths)
    assert seen == ["7", 7, 1.5, key, "a/b", "a b"]
    assert [type(value) for value in seen[:4]] == [str, int, float, uuid.UUID]


@pytest.mark.parametrize(
    "path",
    ["/i/x", "/i/", "/i/-1", "/i/+1", "/i/1.5", "/i/1_0", "/f/x", "/u/12", "/i/1/2"],
)
def test_what_a_converter_does_not_take_is_not_found(app, path):
    for pattern in ("/i/{value:int}", "/f/{value:float}", "/u/{value:uuid}"):
        app.get(pattern)(lambda req, value: "")
    assert Client(app).get(path).status == 404


def test_parameters_arrive_under_their_names_in_every_way_of_calling(app):
    @app.get("/turned/{a}/{b}")
    def turned(req, b, a):
        return f"{a} {b}"

    @app.get("/default/{id:int}")
    def default(req, page=1, id=0):
        return f"{page} {id}"

    @app.get("/keyword/{id:int}")
    def keyword(req, *, id):
        return str(id)

    @app.get("/any/{id:int}")
    def anything(req, **kwargs):
        return str(kwargs)

    client = Client(app)
    assert client.get("/turned/1/2").text == "1 2"
    assert client.get("/default/5").text == "1 5"
    assert client.get("/keyword/5").text == "5"
    assert client.get("/any/5").text == "{'id': 5}"


def test_literal_text_may_stand_around_a_parameter(app):
    @app.get("/file-{name}.txt")
    def show(req, name):
        return name

    client = Client(app)
    assert client.get("/file-a.b.txt").text == "a.b"
    assert client.get("/file-a.csv").status == 404


def test_a_literal_wins_over_a_parameter_and_a_strict_one_over_a_lax_one(app):
    @app.get("/user/{name}")
    def by_name(req, name):
        return f"name {name}"

    @app.get("/user/{id:int}")
    def by_id(req, id):
        return f"id {id}"

    @app.get("/user/new")
    def new(req):
        return "new"

    client = Client(app)
    texts = [client.get(f"/user/{what}").text for what in ("new", "5", "ann")]
    assert texts == ["new", "id 5", "name ann"]


def test_a_path_with_and_without_trailing_slash_are_two(app):
    app.get("/a")(lambda req: "without")
    app.get("/b/")(lambda req: "with")
    client = Client(app)
    assert [client.get(path).status for path in ("/a", "/a/", "/b", "/b/")] == [200, 404, 404, 200]


def test_path_parameters_are_in_params(app):
    @app.get("/{a}/{b:int}")
    def show(req, a, b):
        return req.params

    assert Client(app).get("/x/5").json() == {"a": "x", "b": 5}


def test_a_known_path_with_another_method_is_405_with_allow(app):
    app.get("/a")(lambda req: "")
    app.post("/a")(lambda req: "")
    answer = Client(app).delete("/a")
    assert answer.status == 405
    allowed = {name.strip() for name in answer.headers["allow"].split(",")}
    assert allowed == {"GET", "HEAD", "POST", "OPTIONS"}


def test_head_is_answered_by_the_handler_of_get_without_a_body(app):
    app.get("/a")(lambda req: "four")
    answer = Client(app).head("/a")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "4")


def test_head_has_its_own_handler_if_there_is_one(app):
    app.get("/a")(lambda req: "four")

    @app.head("/a")
    def short(req):
        req.set_header("X-From", "head")
        return ""

    assert Client(app).head("/a").headers["x-from"] == "head"


def test_options_is_answered_with_allow_unless_there_is_a_handler(app):
    app.get("/a")(lambda req: "")
    app.get("/b")(lambda req: "")
    app.options("/b")(lambda req: "mine")
    client = Client(app)
    answer = client.options("/a")
    assert answer.status == 204
    assert "GET" in answer.headers["allow"]
    assert client.options("/b").text == "mine"


def test_every_decorator_registers_its_method(app):
    for name in ("get", "post", "put", "patch", "delete", "options"):
        getattr(app, name)(f"/{name}")(lambda req: req.method)
    client = Client(app)
    for name in ("get", "post", "put", "patch", "delete", "options"):
        assert getattr(client, name)(f"/{name}").text == name.upper()


def test_a_folder_of_statics_is_reached_without_its_slash(app, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").write_text("docs")
    client = Client(app, res=str(tmp_path))
    answer = client.get("/docs")
    assert (answer.status, answer.headers["location"]) == (301, "/docs/")
    assert client.get("/docs", follow_redirects=True).text == "docs"


def test_a_route_of_the_application_wins_over_the_redirect_to_a_folder(app, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.html").write_text("docs")
    app.get("/docs")(lambda req: "mine")
    assert Client(app, res=str(tmp_path)).get("/docs").text == "mine"


# Errors.


def test_an_error_handler_renders_its_status_for_misses_and_raised_errors(app):
    @app.error(404)
    def missing(req, exc):
        return f"<p>nothing at {req.path}: {exc.detail}</p>"

    @app.get("/raised")
    def raised(req):
        raise HTTPError(404, "no such thing")

    client = Client(app)
    answer = client.get("/away")
    assert (answer.status, answer.text) == (404, "<p>nothing at /away: None</p>")
    assert answer.content_type == "text/html"
    assert client.get("/raised").text == "<p>nothing at /raised: no such thing</p>"


def test_an_error_handler_may_take_the_request_only_and_return_any_result(app):
    app.error(404)(lambda req: {"path": req.path})
    app.error(405)(lambda req: (409, "other"))
    app.error(410)(lambda req: Response("gone", status=410, content_type="text/plain"))
    app.get("/a")(lambda req: "")

    @app.get("/b")
    def gone(req):
        raise HTTPError(410)

    client = Client(app)
    answer = client.get("/x")
    assert (answer.status, answer.content_type, answer.json()) == (
        404,
        "application/json",
        {"path": "/x"},
    )
    assert client.post("/a").status == 409
    assert (client.get("/b").status, client.get("/b").content_type) == (410, "text/plain")


def test_an_error_handler_of_a_class_gets_its_subclasses_and_nothing_is_logged(app):
    lines = []
    app.host.log = lambda level, message: lines.append(message)

    @app.error(LookupError)
    def lookup(req, exc):
        req.status = 404
        return f"no {exc}"

    @app.error(KeyError)
    def key(req, exc):
        return f"no key {exc}"

    @app.get("/{what}")
    def fail(req, what):
        raise {"key": KeyError, "index": IndexError}[what](1)

    client = Client(app)
    answer = client.get("/index")
    assert (answer.status, answer.text) == (404, "no 1")
    answer = client.get("/key")
    assert (answer.status, answer.text) == (500, "no key 1")
    assert lines == []


def test_what_a_handler_raises_is_a_500_and_one_entry_in_the_log(app):
    lines = []
    app.host.log = lambda level, message: lines.append((level, message))

    def deeper():
        return 1 / 0

    @app.get("/a")
    def fail(req):
        return deeper()

    answer = Client(app).get("/a?b=1")
    assert answer.status == 500
    assert "division" not in answer.text
    ((level, message),) = lines
    assert level == 1
    assert message.startswith("GET /a?b=1: ZeroDivisionError: division by zero")
    assert "in fail" in message
    assert "in deeper" in message


def test_the_page_for_500_can_be_the_applications(app):
    lines = []
    app.host.log = lambda level, message: lines.append(message)
    app.error(500)(lambda req, exc: f"sorry: {type(exc).__name__}")
    app.get("/a")(lambda req: 1 / 0)
    answer = Client(app).get("/a")
    assert (answer.status, answer.text) == (500, "sorry: ZeroDivisionError")
    assert len(lines) == 1


def test_an_error_handler_that_raises_gives_the_default_page(app):
    lines = []
    app.host.log = lambda level, message: lines.append(message)
    app.error(404)(lambda req: 1 / 0)
    answer = Client(app).get("/a")
    assert answer.status == 500
    assert "Internal Server Error" in answer.text
    assert len(lines) == 1

    other = App()

    @other.error(404)
    def fail(req):
        raise HTTPError(410, "gone now")

    answer = Client(other).get("/a")
    assert answer.status == 410
    assert "gone now" in answer.text


def test_headers_of_an_http_error_are_sent(app):
    @app.get("/")
    def busy(req):
        raise HTTPError(503, headers={"Retry-After": "120"})

    answer = Client(app).get("/")
    assert (answer.status, answer.headers["retry-after"]) == (503, "120")


def test_headers_of_an_http_error_that_cannot_be_sent_are_a_500(app):
    lines = []
    app.host.log = lambda level, message: lines.append(message)

    @app.get("/")
    def busy(req):
        raise HTTPError(503, headers={"Retry-After": "1\r\nSet-Cookie: evil=1"})

    answer = Client(app).get("/")
    assert answer.status == 500
    assert "set-cookie" not in answer.headers
    assert len(lines) == 1


def test_a_page_of_the_applications_for_405_keeps_allow(app):
    app.get("/")(lambda req: "")
    app.error(405)(lambda req: "not so")
    answer = Client(app).post("/")
    assert (answer.status, answer.text) == (405, "not so")
    assert "GET" in answer.headers["allow"]


def test_an_error_page_may_be_rendered_with_out_or_streamed(app):
    app.error(404)(lambda req: req.out("<p>%s", req.path))
    app.error(410)(lambda req: iter([b"go", b"ne"]))

    @app.get("/gone")
    def gone(req):
        req.out("half a page")
        raise HTTPError(410)

    client = Client(app)
    assert client.get("/<b>").text == "<p>/&lt;b&gt;"
    assert (client.get("/gone").status, client.get("/gone").body) == (410, b"gone")


def test_an_error_answered_to_head_has_no_body(app):
    answer = Client(app).head("/none")
    assert (answer.status, answer.body) == (404, b"")
    assert int(answer.headers["content-length"]) > 0


def test_an_interrupt_in_a_handler_ends_the_loop(app):
    @app.get("/")
    def stop(req):
        raise KeyboardInterrupt

    app.get("/other")(lambda req: "still here")
    client = Client(app)
    with pytest.raises(KeyboardInterrupt):
        client.get("/")
    assert client.get("/other").text == "still here"


def test_an_engine_cannot_be_turned_from_a_handler(app):
    inner = Client(App())

    @app.get("/")
    def nested(req):
        with pytest.raises(RuntimeError):
            inner.get("/")
        return "refused"

    assert Client(app).get("/").text == "refused"


def test_text_written_before_an_error_is_not_sent(app):
    @app.get("/")
    def half(req):
        req.out("<p>half a page")
        raise HTTPError(403)

    answer = Client(app).get("/")
    assert answer.status == 403
    assert "half a page" not in answer.text
    assert "Forbidden" in answer.text


def test_a_client_that_asks_for_json_gets_errors_as_json(app):
    answer = Client(app, headers={"Accept": "application/json"}).get("/a")
    assert answer.status == 404
    assert answer.content_type == "application/json"
    assert answer.json()["error"] == "Not Found"


def test_the_fallback_gets_what_neither_static_nor_route_answers(app):
    app.get("/known")(lambda req: "route")
    app.set_fallback(lambda req: f"fallback {req.method} {req.path}")
    client = Client(app)
    assert client.get("/known").text == "route"
    assert client.get("/other").text == "fallback GET /other"
    assert client.put("/other/x").text == "fallback PUT /other/x"


def test_run_hands_the_application_and_its_settings_to_the_server(app, monkeypatch):
    from nodepp import server

    seen = []
    monkeypatch.setattr(server, "run", lambda *arguments: seen.append(arguments))
    app.run(port=0)
    assert seen == [(app, {"port": 0})]


def test_figures_of_the_engine_are_there_while_it_serves(app):
    app.get("/")(lambda req: app.stats())
    figures = Client(app).get("/").json()
    assert figures["requests"] == 1
    assert figures["connections"] == 1
    with pytest.raises(RuntimeError, match="not being served"):
        app.stats()


# Public files, snippets, compression: what the core asks of the host.


def test_a_route_may_refuse_to_be_compressed():
    app = App()
    page = "<p>a page that repeats itself</p>" * 100
    app.get("/yes")(lambda req: page)
    app.get("/no", compress=False)(lambda req: page)
    app.route("/neither", ("GET",), compress=False)(lambda req: page)
    client = Client(app, headers={"Accept-Encoding": "gzip"})
    assert client.get("/yes").headers["content-encoding"] == "gzip"
    for path in ("/no", "/neither"):
        assert "content-encoding" not in client.get(path).headers
    off = Client(app, headers={"Accept-Encoding": "gzip"}, statics={"compress": False})
    assert "content-encoding" not in off.get("/yes").headers


def test_the_host_compresses_and_from_then_on_directly():
    import gzip

    from nodepp.statics import codings

    app = App()
    assert gzip.decompress(app.host.compress("gzip", b"x" * 1000)) == b"x" * 1000
    assert app.host.compress is codings.compress


def test_a_snippet_goes_into_a_page(tmp_path):
    (tmp_path / "snippets").mkdir()
    (tmp_path / "snippets" / "a.html").write_text("<b>ä</b>")
    app = App()

    @app.get("/")
    def page(req):
        req.out_snippet("a.html")

    options = {"app_dir": str(tmp_path)}
    assert Client(app, statics=options).get("/").text == "<b>ä</b>"
    with pytest.raises(LookupError, match=r"Did you mean 'a\.html'"):
        app.host.snippet("b.html", "")


def test_hidden_routes_are_those_whose_path_a_file_has(tmp_path):
    (tmp_path / "a").write_text("file")
    (tmp_path / "index.html").write_text("file")
    app = App()
    for path in ("/", "/a", "/b", "/{name}"):
        app.get(path)(lambda req, name="": "route")
    app.post("/index.html")(lambda req: "route")
    assert app.hidden_routes() == []
    Client(app, res=str(tmp_path)).get("/")
    assert app.hidden_routes() == ["/", "/a"]
