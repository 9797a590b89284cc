"""Exceptions and the default error page."""

import http

import pytest

from nodepp import errors
from nodepp.errors import HTTPError, error_json, error_page, prefers_json


@pytest.mark.parametrize("status", [400, 404, 418, 499, 500, 599])
def test_an_http_error_has_its_status(status):
    assert HTTPError(status).status == status


@pytest.mark.parametrize("status", [0, 200, 304, 399, 600, -404, True, "404", 404.0, None])
def test_an_http_error_with_what_is_no_error_status_is_refused(status):
    with pytest.raises(ValueError, match="from 400 to 599"):
        HTTPError(status)


def test_headers_may_be_a_mapping_or_pairs():
    assert HTTPError(503, headers={"Retry-After": "1"}).headers == [("Retry-After", "1")]
    assert HTTPError(401, headers=[("A", "1"), ("A", "2")]).headers == [("A", "1"), ("A", "2")]
    assert HTTPError(404).headers == []


def test_an_http_error_reads_as_a_sentence():
    assert str(HTTPError(404)) == "404 Not Found"
    assert str(HTTPError(404, "no such user")) == "404 Not Found: no such user"
    assert str(HTTPError(499)) == "499 Error"


def test_every_exception_knows_a_status():
    for name in ("NodeppError", "RouteError", "StartError", "ConfigError"):
        assert issubclass(getattr(errors, name), errors.NodeppError)
        assert getattr(errors, name)("x").status == 500


def test_reasons_agree_with_the_registry():
    # RFC 9110 gave them new names, some of which http has from Python 3.13 on.
    renamed = {413, 414, 416, 422}
    for status in http.HTTPStatus:
        if status >= 400 and status not in renamed and status != 510:
            assert errors.reason(status).lower() == status.phrase.lower()


def test_every_page_is_whole_and_small():
    for status in errors.REASONS:
        page = error_page(status)
        assert page.startswith("<!DOCTYPE html>")
        assert page.endswith("</html>\n")
        assert f"<title>{status} " in page
        assert "%" not in page
        assert len(page) < 1024


def test_a_detail_is_escaped():
    page = error_page(404, "<script>alert('x' & \"y\")</script>")
    assert "<script>" not in page
    assert "&lt;script&gt;alert(&#39;x&#39; &amp; &quot;y&quot;)" in page


def test_a_status_without_advice_has_no_paragraph():
    assert "<p>" not in error_page(418)
    assert "<p>" in error_page(404)
    assert "<p>" not in error_page(404, "")


def test_the_json_form_has_status_error_and_detail():
    assert error_json(404, "x") == {"status": 404, "error": "Not Found", "detail": "x"}
    assert error_json(418) == {"status": 418, "error": "I'm a Teapot"}


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("text/html", False),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", False),
        ("application/json", True),
        ("Application/JSON", True),
        ("application/json, text/plain, */*", True),
        ("application/problem+json", True),
        ("text/html, application/json", False),
        ("application/json, text/html", True),
        ("text/html;q=0.5, application/json", True),
        ("text/html, application/json;q=0.9", False),
        ("application/json;q=0", False),
        ("application/json;q=x", False),
        ("application/json;q=nan", False),
        ("application/json;q=1e9, text/html;q=0.1", False),
        ("application/json; charset=utf-8; q=0.2", True),
        (",,;;,", False),
    ],
)
def test_json_is_for_those_who_ask_for_it(accept, json):
    assert prefers_json(accept) is json


def test_a_missing_core_is_explained(monkeypatch):
    missing = errors.core_missing(ModuleNotFoundError("No module named 'nodepp._core'"))
    assert isinstance(missing, ImportError)
    assert "core is not " in str(missing)
    # What to do depends on whether the core's source lies beside: a checkout, or an installed copy.
    assert ("make build" in str(missing)) or ("pip install" in str(missing))
    broken = errors.core_missing(ImportError("undefined symbol: x"))
    assert "cannot be loaded: undefined symbol: x" in str(broken)
