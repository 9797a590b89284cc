"""Templates: escaping, globals, content types, what is missing."""

from __future__ import annotations

import gc
import os
import sys
import weakref

import pytest

from nodepp import App, NodeppError, raw, templates
from nodepp.testing import Client


class Site:
    """An application with a folder of templates; ask() renders one of them as a request does."""

    def __init__(self, folder, test=False):
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.app = App()
        self.app.asset = lambda name, host="": f"/{name}?of={host}"
        self.app.get("/{name:path}")(self.page)
        self.context = {}
        self.before = None
        statics = {"templates": str(folder), "test": test}
        self.client = Client(self.app, statics=statics, raise_exceptions=True)
        self.client.__enter__()

    def page(self, req, name):
        if self.before:
            self.before(req)
        return req.render(name, **self.context)

    def write(self, name, text):
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")

    def ask(self, name, text=None, /, **context):
        if text is not None:
            self.write(name, text)
        self.context = context
        return self.client.get(f"/{name}")


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "templates")


# --- what a template shows ------------------------------------------------------------------------


def test_a_template_shows_its_variables(site):
    answer = site.ask("hello.html", "<p>Hello {{ name }}</p>", name="Zoë")
    assert answer.text == "<p>Hello Zoë</p>"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("name", ["a.html", "a.HTM", "a.xhtml", "a.xml", "a.svg", "a.jinja2",
                                  "a.html.j2", "b.d/a.jinja"])  # fmt: skip
def test_markup_is_escaped(site, name):
    assert site.ask(name, "{{ x }}", x="<b>").text == "&lt;b&gt;"


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.txt.jinja2", "a", "b.html/a.js"])
def test_other_text_is_not(site, name):
    assert site.ask(name, "{{ x }}", x="<b>").text == "<b>"


def test_templates_from_strings_are_escaped(site):
    environment = templates.environment_of(site.app)
    assert environment.from_string("{{ x }}").render(x="<b>") == "&lt;b&gt;"


def test_raw_and_markup_are_not_escaped_in_either_direction(site):
    from markupsafe import Markup

    assert site.ask("a.html", "{{ x }}{{ y }}", x=raw("<b>"), y=Markup("<i>")).text == "<b><i>"

    app = App()
    app.get("/")(lambda req: req.out("%s %s", Markup("<i>"), Markup("<u>%s</u>") % "<"))
    assert Client(app).get("/").text == "<i> <u>&lt;</u>"


def test_extending_including_and_importing_work(site):
    site.write("base.html", "<h1>{% block title %}{% endblock %}</h1>")
    site.write("parts/macros.html", "{% macro css(n) %}{{ asset(n) }}{{ config.x }}{% endmacro %}")
    site.app.config["x"] = "!"
    text = (
        '{% extends "base.html" %}{% import "parts/macros.html" as m %}'
        '{% block title %}{{ m.css("a.css") }}{% include "name.txt" %}{% endblock %}'
    )
    site.write("name.txt", "{{ name }}")
    assert site.ask("page.html", text, name="Ann").text == "<h1>/a.css?of=localhost!Ann</h1>"


def test_request_configuration_and_assets_are_there(site):
    site.app.config["name"] = "Shop"
    text = "{{ req.path }} {{ config.name }} {{ asset('a.css') }} {{ asset('a.css', 'b.org') }}"
    assert site.ask("a.html", text).text == "/a.html Shop /a.css?of=localhost /a.css?of=b.org"


def test_outside_a_request_assets_are_those_of_the_main_host(site):
    environment = templates.environment_of(site.app)
    assert environment.from_string("{{ asset('a') }}").render() == "/a?of="


def test_filters_can_be_added(site):
    templates.environment_of(site.app).filters["shout"] = str.upper
    assert site.ask("a.html", "{{ 'a'|shout }}").text == "A"


# --- the content type -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("a.html", "text/html; charset=utf-8"),
        ("a.jinja2", "text/html; charset=utf-8"),
        ("a.unknown", "text/html; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.txt.j2", "text/plain; charset=utf-8"),
        ("feed.xml", "application/xml"),
        ("a.svg", "image/svg+xml"),
        ("a.json", "application/json"),
    ],
)
def test_the_extension_gives_the_content_type(site, name, content_type):
    assert site.ask(name, "x").headers["content-type"] == content_type


def test_html_leaves_the_type_that_the_handler_has_set(site):
    def before(req):
        req.content_type = "application/xhtml+xml"

    site.before = before
    assert site.ask("a.html", "x").headers["content-type"].startswith("application/xhtml+xml")


# --- what is missing ------------------------------------------------------------------------------


def test_an_unknown_template_is_told_what_was_meant(site):
    site.write("parts/page.html", "")
    with pytest.raises(LookupError, match=r"no template 'parts/pag\.html' in .*Did you mean 'parts/"
                                          r"page\.html'"):  # fmt: skip
        site.ask("parts/pag.html")


def test_a_template_that_another_includes_is_named(site):
    with pytest.raises(LookupError, match=r"no template 'gone\.html'"):
        site.ask("a.html", '{% include "gone.html" %}')


def test_a_missing_folder_is_named(tmp_path):
    site = Site(tmp_path / "templates")
    site.folder.rmdir()
    with pytest.raises(LookupError, match=r"there is no folder .*templates"):
        site.ask("a.html")


def test_names_that_leave_the_folder_are_unknown(site):
    (site.folder.parent / "secret.html").write_text("secret")
    site.write("a.html", '{% include "../secret.html" %}')
    with pytest.raises(LookupError):
        site.ask("a.html")


def test_without_the_extra_the_exception_names_it(site, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(NodeppError, match=r"pip install nodepp\[templates\]"):
        site.ask("a.html", "x")


def test_a_mistake_in_a_template_is_raised_as_jinja_raises_it(site):
    import jinja2

    with pytest.raises(jinja2.TemplateSyntaxError):
        site.ask("a.html", "{% if %}")
    with pytest.raises(jinja2.UndefinedError):
        site.ask("b.html", "{{ nothing.at_all }}")


# --- the environment ------------------------------------------------------------------------------


@pytest.mark.parametrize(("test", "text"), [(False, "one"), (True, "second")])
def test_changed_templates_are_noticed_in_test_mode(tmp_path, test, text):
    site = Site(tmp_path / "templates", test)
    site.ask("a.html", "one")
    site.write("a.html", "second")
    os.utime(site.folder / "a.html", (1, 1))
    assert site.ask("a.html").text == text


def test_an_application_without_settings_looks_beside_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert templates.settings_of(App()) == (str(tmp_path / "templates"), False)


def test_each_application_has_one_environment_and_takes_it_along(tmp_path):
    first, second = Site(tmp_path / "one"), Site(tmp_path / "two")
    made = templates.environment_of(first.app)
    assert templates.environment_of(first.app) is made
    assert templates.environment_of(second.app) is not made
    gone = weakref.ref(first.app)
    del first, made
    gc.collect()
    assert gone() is None
