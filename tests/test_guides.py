"""What docs/sessions.md shows is run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType, SimpleNamespace

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


@pytest.mark.parametrize("csrf", [False, True])
def test_the_first_example_greets_and_logs_in(csrf: bool) -> None:
    def find_user(name: str, password: str) -> SimpleNamespace | None:
        return SimpleNamespace(id=7, name="Ann") if (name, password) == ("ann", "x") else None

    app = run(example("find_user"), find_user=find_user)["app"]
    client = Client(app, settings={"csrf": csrf})
    assert [client.get("/").text for _ in range(2)] == [
        "<p>Your visit number 1</p>", "<p>Your visit number 2</p>"]
    way = client.get("/members/7?a=b", headers=BROWSER).headers["location"]
    form = dict(re.findall(r'name="(\w+)" value="([^"]*)"', client.get(way).text))
    assert form["next"] == "/members/7?a=b"
    assert client.post("/login", data={**form, "name": "ann", "password": "y"}).status == 403
    answer = client.post("/login", data={**form, "name": "ann", "password": "x"})
    assert (answer.status, answer.headers["location"]) == (303, "/members/7?a=b")
    assert client.get("/members").json() == {"uid": 7, "name": "Ann"}
    assert client.get("/").text == "<p>Your visit number 3</p>"


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
    assert client.get("/members", headers=BROWSER).status == 303
    token = re.search(r'name="csrft" value="([^"]+)"', page)[1]
    assert client.post("/login", data={"name": "Ann"}).status == 403
    assert client.post("/login", data={"name": "<Ann>", "csrft": token}).status == 303
    assert "<p>Hello &lt;Ann&gt;</p>" in client.get("/members").text
    assert "<p>Visit 3, user 7</p>" in client.get("/").text


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
