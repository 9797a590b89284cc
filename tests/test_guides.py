"""What docs/sessions.md shows is run as it stands there."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from uuid import UUID

import pytest

from nodepp import App, SessionFull
from nodepp.testing import Client

GUIDE = (Path(__file__).resolve().parent.parent / "docs" / "sessions.md").read_text("utf-8")
EXAMPLES = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
BROWSER = {"Accept": "text/html"}


def example(words: str) -> str:
    """The one that has these words."""
    (found,) = (text for text in EXAMPLES if words in text)
    return found


def run(text: str, **names: object) -> dict:
    names["__name__"] = "guide"
    exec(compile(text, "docs/sessions.md", "exec", dont_inherit=True), names)
    return names


@pytest.mark.parametrize("text", EXAMPLES, ids=lambda text: text.split("\n", 1)[0][:40])
def test_an_example_is_python(text: str) -> None:
    compile(text, "docs/sessions.md", "exec", dont_inherit=True)


def find_user(name: str, password: str) -> SimpleNamespace | None:
    return SimpleNamespace(id=7, name="Ann") if (name, password) == ("ann", "secret") else None


@pytest.mark.parametrize("csrf", [False, True])
def test_the_first_example_greets_and_logs_in(csrf: bool) -> None:
    app = run(example("find_user"), find_user=find_user)["app"]
    client = Client(app, settings={"csrf": csrf})
    assert [client.get("/").text for _ in range(2)] == [
        "<p>Your visit number 1</p>", "<p>Your visit number 2</p>"]
    way = client.get("/members/7?a=b", headers=BROWSER).headers["location"]
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', client.get(way).text))
    assert form["next"] == "/members/7?a=b"
    assert client.post("/login", data={**form, "name": "ann", "password": "y"}).status == 403
    answer = client.post("/login", data={**form, "name": "ann", "password": "secret"})
    assert (answer.status, answer.headers["location"]) == (303, "/members/7?a=b")
    assert client.get("/members").json() == {"uid": 7, "name": "Ann"}
    assert client.get("/").text == "<p>Your visit number 3</p>"


def test_the_test_of_the_guide_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("app")
    module.app = run(example("find_user"), find_user=find_user)["app"]
    monkeypatch.setitem(sys.modules, "app", module)
    run(example("session_settings"))["test_members_are_greeted_when_they_have_logged_in"]()


def test_a_test_may_log_in_by_a_route_of_its_own() -> None:
    (line,) = re.findall(r"^`(app\.get\(\"/as/.*?)`\.", GUIDE, re.M)
    app = App()
    app.get("/")(lambda req: str(req.session.uid))
    exec(line)
    client = Client(app)
    client.get("/as/12")
    assert client.get("/").text == "12"


def test_what_is_nearly_json_comes_back_as_the_guide_says() -> None:
    @dataclass
    class Ware:
        name: str

    noon = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)
    given = {
        "tuple": ((1, 2), [1, 2]), "set": ({1}, [1]), "bytes": (b"\xff", b"\xff"),
        "date": (date(2026, 1, 2), "2026-01-02"), "time": (noon.time(), "12:00:00"),
        "naive": (noon.replace(tzinfo=None), "2026-01-02T12:00:00"), "zone": (noon, noon),
        "decimal": (Decimal("1.50"), "1.50"), "uuid": (UUID(int=5), str(UUID(int=5))),
        "class": (Ware("tea"), {"name": "tea"}),
    }  # fmt: skip
    found = {}
    app = App()

    @app.get("/put")
    def put(req):
        for key, (value, _) in given.items():
            req.session[key] = value
        with pytest.raises(TypeError, match="a session cannot hold"):
            req.session["else"] = object()

    @app.get("/take")
    def take(req):
        found.update(req.session)

    client = Client(app)
    client.get("/put")
    client.get("/take")
    assert found == {key: value for key, (_, value) in given.items()}


def test_a_session_that_is_returned_is_json() -> None:
    app = App()

    @app.get("/")
    def page(req):
        req.session["theme"] = "dark"
        return req.session

    answer = Client(app).get("/")
    assert answer.json() == {"theme": "dark"}
    assert answer.headers["content-type"] == "application/json"


def test_what_is_for_one_visitor_is_not_for_caches(tmp_path: Path) -> None:
    (tmp_path / "members").mkdir()
    for name in ("members/list.txt", "open.txt"):
        (tmp_path / name).write_text("names")
    app = App()
    app.get("/in")(lambda req: req.session.login(1))
    app.get("/mine")(lambda req: req.session.name)
    app.get("/all")(lambda req: "hello")
    app.get("/said")(lambda req: (req.session.name, req.set_header("Cache-Control", "max-age=9")))
    app.require_auth("/members", "USER")
    client = Client(app, res=str(tmp_path))
    assert client.get("/in").headers["cache-control"] == "private, no-cache"
    for path in ("/mine", "/members/list.txt"):
        answer = client.get(path)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "private, no-cache", path
    assert client.get("/said").headers["cache-control"] == "max-age=9"
    assert "cache-control" not in client.get("/all").headers
    assert "private" not in client.get("/open.txt").headers["cache-control"]


@pytest.mark.parametrize(
    ("agent", "is_bot"),
    [("curl/8.5.0", True), ("python-requests/2.32", True), ("Googlebot/2.1", True),
     ("SomeCrawler", True), ("a spider", True), ("portscan", True), ("Mozilla", False),
     ("Wget/1.21", False), ("python-httpx/0.27", False), ("Python/3.11 aiohttp/3.9", False),
     ("Mozilla/5.0 (Linux; Android 10; CUBOT NOTE 20)", False), (None, False)],
)  # fmt: skip
def test_bots_are_those_of_the_guide(agent: str | None, is_bot: bool) -> None:
    app = App()
    app.get("/")(lambda req: {"bot": req.is_bot, "visits": req.session.add("visits")})
    client = Client(app, headers={"User-Agent": agent} if agent else {})
    client.get("/")
    assert client.get("/").json() == {"bot": is_bot, "visits": 1 if is_bot else 2}


def test_links_of_the_guide_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)", GUIDE):
        assert (Path(__file__).resolve().parent.parent / "docs" / target).is_file(), target


def test_a_session_is_used_like_a_dict() -> None:
    app = App()
    code = example("session.setdefault")

    @app.get("/")
    def use(req):
        run(code, req=req)
        return {**req.session}

    client = Client(app)
    client.get("/")
    item = {"item": 17, "count": 1}
    assert client.get("/").json() == {"basket": [item, item], "visits": 2}


def test_a_typed_session_has_attributes_and_methods() -> None:
    names = run(example("@app.session_data"))
    app = names["app"]

    @app.get("/nick/{nick}")
    def rename(req, nick):
        req.session.nick = nick

    @app.get("/wrong")
    def wrong(req):
        found = []
        for name, value in (("nick", 7), ("nick", "é" * 16), ("nobody", 1)):
            try:
                setattr(req.session, name, value)
            except (TypeError, AttributeError, SessionFull) as problem:
                found.append(type(problem).__name__)
        return found

    client = Client(app)
    assert client.get("/").text == "<p>Hello stranger, visit 1"
    client.get("/nick/Ann")
    assert client.get("/wrong").json() == ["TypeError", "SessionFull", "AttributeError"]
    assert client.get("/").text == "<p>Hello Ann, visit 2"


def test_the_node_plus_plus_way_keeps_and_greets() -> None:
    module = ModuleType("guide")
    exec(compile(example("nodepp.npp"), "docs/sessions.md", "exec", dont_inherit=True),
         module.__dict__)
    client = Client(module)
    page = [client.get("/").text for _ in range(2)][1]
    assert "<p>Visit 2, user 0</p>" in page
    way = client.get("/members", headers=BROWSER).headers["location"]
    assert way == "/?next=/members"
    page = client.get(way).text
    assert 'name="next" value="/members"' in page
    token = re.search(r'name="csrft" value="([^"]+)"', page)[1]
    assert client.post("/login", data={"name": "Ann"}).status == 403
    answer = client.post("/login", data={"name": "<Ann>", "csrft": token, "next": "/members"})
    assert (answer.status, answer.headers["location"]) == (303, "/members")
    assert "<p>Hello &lt;Ann&gt;</p>" in client.get("/members").text
    assert "<p>Visit 4, user 7</p>" in client.get("/").text


def test_the_longest_rule_wins() -> None:
    app = run("from nodepp import App, AuthLevel\napp = App()\n" + example("/img-private*"))["app"]

    @app.get("/{rest:path}")
    def page(req, rest):
        return "seen"

    client = Client(app)
    for path, status in (("/members", 401), ("/members/7", 401), ("/members/join", 200),
                         ("/members/join/x", 200), ("/membership", 200),
                         ("/img-private-2.png", 401), ("/img", 200)):  # fmt: skip
        assert client.get(path).status == status, path
    assert "set-cookie" not in client.get("/img").headers
    shop = Client(app, base_url="http://shop.example.com")
    assert "as=" in shop.get("/img").headers["set-cookie"]
