"""Rendered answers leave compressed when the client takes it: when, how, and what the head says."""

from __future__ import annotations

import gzip
import zlib

import harness
import pytest
import zstandard

from nodepp import _core
from nodepp.statics.codings import compress

TEXT = "".join(f"<li>item {number} of a list that goes on</li>\n" for number in range(300))
BROWSER = "gzip, deflate, br, zstd"


def decoded(answer) -> bytes:
    coding = answer.get("Content-Encoding")
    if coding == "zstd":
        return zstandard.ZstdDecompressor().decompress(answer.body)
    if coding == "gzip":
        return gzip.decompress(answer.body)
    assert coding is None
    return answer.body


@pytest.fixture
def ask(monkeypatch):
    """ask(handler, accept, …): the answer of a server with that one handler."""

    def ask(handler, accept: str | None = BROWSER, method: str = "GET", threshold: int = 500,
            flags: int = 0, compressor=compress):  # fmt: skip
        router = _core.Router()
        router.add((("page",),), _core.METHOD_GET, handler, flags, ())
        monkeypatch.setattr(harness.Application, "routes", lambda self: router)
        with harness.serving(compress_threshold=threshold) as server:
            server.app.compress = compressor
            client = server.connect()
            lines = [f"{method} /page HTTP/1.1", "Host: a"]
            if accept is not None:
                lines.append(f"Accept-Encoding: {accept}")
            client.send("\r\n".join([*lines, "", ""]).encode())
            return client.responses(method, count=1)[0]

    return ask


def by_out(req):
    req.out(TEXT)


RESULTS = {
    "str": lambda req: TEXT,
    "str beyond ASCII": lambda req: TEXT + "żółw",
    "out": by_out,
    "json": lambda req: {"items": TEXT},
    "Response": lambda req: _core.Response(TEXT.encode(), content_type="text/css"),
    "tuple": lambda req: (404, TEXT),
}


@pytest.mark.parametrize("name", RESULTS)
@pytest.mark.parametrize("accept", [BROWSER, "gzip", "zstd", "gzip;q=1, zstd;q=0.5", "*"])
def test_text_is_compressed_in_a_coding_that_the_client_takes(ask, name, accept):
    plain = ask(RESULTS[name], None)
    answer = ask(RESULTS[name], accept)
    expected = "gzip" if accept.startswith("gzip") and accept != BROWSER else "zstd"
    assert answer.get("Content-Encoding") == expected
    assert answer.get("Vary") == "Accept-Encoding"
    assert plain.get("Vary") == "Accept-Encoding"
    assert answer.status == plain.status
    assert int(answer.get("Content-Length")) == len(answer.body) < len(plain.body) / 2
    assert decoded(answer) == decoded(plain) == plain.body


@pytest.mark.parametrize("accept", [None, "", "identity", "br", "gzip;q=0", "deflate", "nonsense",
                                    "identity, gzip;q=0.5", "zstd;q=0, gzip;q=0, *"])
def test_who_does_not_take_it_gets_plain_text_and_the_vary(ask, accept):
    answer = ask(RESULTS["str"], accept)
    assert answer.get("Content-Encoding") is None
    assert answer.get("Vary") == "Accept-Encoding"
    assert answer.body.decode() == TEXT


def off_by_request(req):
    req.compress = False
    return TEXT


def with_coding(req):
    req.set_header("Content-Encoding", "deflate")
    return zlib.compress(TEXT.encode()) + b" " * 1000


def not_to_transform(req):
    req.set_header("Cache-Control", "no-transform")
    return TEXT


def part(req):
    req.set_header("Content-Range", f"bytes 0-{len(TEXT) - 1}/{len(TEXT)}")
    return 206, TEXT


UNTOUCHED = {
    "switched off": off_by_request,
    "binary": lambda req: TEXT.encode(),
    "an image": lambda req: _core.Response(TEXT.encode(), content_type="image/png"),
    "coded already": with_coding,
    "not to be transformed": not_to_transform,
    "part of something": part,
    "a stream": lambda req: iter([TEXT.encode()]),
    "events": lambda req: _core.Response(TEXT, content_type="text/event-stream"),
}


@pytest.mark.parametrize("name", UNTOUCHED)
def test_what_is_ruled_out_leaves_as_it_is(ask, name):
    answer = ask(UNTOUCHED[name])
    assert answer.get("Content-Encoding") in (None, "deflate")
    assert len(answer.body) >= min(1000, len(TEXT))


def test_short_text_is_left_alone_and_says_nothing_of_it(ask):
    answer = ask(lambda req: "x" * 499)
    assert answer.get("Content-Encoding") is None
    assert answer.get("Vary") is None
    assert ask(lambda req: "x" * 500).get("Content-Encoding") == "zstd"


def test_below_zero_it_is_off(ask):
    answer = ask(RESULTS["str"], threshold=-1)
    assert answer.get("Content-Encoding") is None
    assert answer.get("Vary") is None


def test_head_says_what_get_would(ask):
    answer = ask(RESULTS["str"])
    head = ask(RESULTS["str"], method="HEAD")
    assert head.body == b""
    for name in ("Content-Encoding", "Content-Length", "Vary", "Content-Type"):
        assert head.get(name) == answer.get(name)


def test_the_handlers_own_vary_and_entity_tag_are_kept(ask):
    def handler(req):
        req.set_header("Vary", "Cookie")
        req.set_header("ETag", '"one"')
        return TEXT

    answer = ask(handler)
    varies = [value for name, value in answer.fields if name.lower() == "vary"]
    assert varies == ["Cookie", "Accept-Encoding"]
    # RFC 9110 §8.8.3.3: the tag named the text, not this coding of it.
    assert answer.get("ETag") == 'W/"one"'
    assert ask(handler, "identity").get("ETag") == '"one"'


def test_a_coder_that_fails_costs_the_answer_nothing(ask):
    def broken(coding, data):
        raise RuntimeError("no")

    answer = ask(RESULTS["str"], compressor=broken)
    assert answer.status == 200
    assert answer.get("Content-Encoding") is None
    assert answer.body.decode() == TEXT


@pytest.mark.parametrize(("codings", "coding"), [
    (("gzip",), "gzip"), (("zstd",), "zstd"), (("zstd", "gzip"), "zstd"), ((), None),
])  # fmt: skip
def test_a_coder_that_the_host_has_not_is_not_asked_for(ask, monkeypatch, codings, coding):
    monkeypatch.setattr(harness.Application, "codings", codings, raising=False)
    assert ask(RESULTS["str"]).get("Content-Encoding") == coding


@pytest.mark.parametrize("name", ["Content-Digest", "Repr-Digest", "Digest", "Content-MD5"])
def test_a_body_whose_digest_is_told_stays_as_it_is(ask, name):
    def handler(req):
        req.set_header(name, "sha-256=:x:")
        return TEXT

    assert ask(handler).get("Content-Encoding") is None


def test_noise_that_would_grow_leaves_as_it_is(ask):
    answer = ask(RESULTS["str"], compressor=lambda coding, data: data + b"!")
    assert answer.get("Content-Encoding") is None
    assert answer.body.decode() == TEXT


def test_a_page_for_an_error_after_a_coding_was_set_is_plain(ask):
    def handler(req):
        req.set_header("Content-Encoding", "br")
        raise ValueError("late")

    answer = ask(handler)
    assert answer.status == 500
    assert answer.get("Content-Encoding") is None


def test_a_route_can_be_kept_out(ask):
    answer = ask(lambda req: TEXT + str(req.compress), flags=_core.FLAG_NO_COMPRESS)
    assert answer.get("Content-Encoding") is None
    assert answer.body.endswith(b"False")


def test_a_request_that_was_kept_out_leaves_nothing_to_the_next_one(monkeypatch):
    router = _core.Router()
    router.add((("off",),), _core.METHOD_GET, off_by_request, 0, ())
    router.add((("on",),), _core.METHOD_GET, lambda req: TEXT, 0, ())
    monkeypatch.setattr(harness.Application, "routes", lambda self: router)
    with harness.serving(compress_threshold=500) as server:
        server.app.compress = compress
        client = server.connect()
        for path in ("off", "on", "off", "on"):
            head = f"GET /{path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n"
            client.send(head.encode())
        answers = client.responses("GET", "GET", "GET", "GET", count=4)
        codings = [answer.get("Content-Encoding") for answer in answers]
        assert codings == [None, "gzip", None, "gzip"]
