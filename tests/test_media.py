"""Media types by extension."""

import re

import pytest

from nodepp.statics.media import GROUPS, media_type, table


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("/index.html", "text/html; charset=utf-8"),
        ("A.HTM", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.csv", "text/csv; charset=utf-8"),
        ("a.md", "text/markdown; charset=utf-8"),
        ("a.vtt", "text/vtt; charset=utf-8"),
        ("a.ics", "text/calendar; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.map", "application/json"),
        ("a.webmanifest", "application/manifest+json"),
        ("a.svg", "image/svg+xml"),
        ("a.xml", "application/xml"),
        ("a.rss", "application/rss+xml"),
        ("a.xhtml", "application/xhtml+xml"),
        ("a.webp", "image/webp"),
        ("a.avif", "image/avif"),
        ("a.jxl", "image/jxl"),
        ("a.jpg", "image/jpeg"),
        ("a.jpeg", "image/jpeg"),
        ("a.PNG", "image/png"),
        ("a.gif", "image/gif"),
        ("a.ico", "image/x-icon"),
        ("a.woff", "font/woff"),
        ("a.woff2", "font/woff2"),
        ("a.ttf", "font/ttf"),
        ("a.wasm", "application/wasm"),
        ("a.mp4", "video/mp4"),
        ("a.webm", "video/webm"),
        ("a.mp3", "audio/mpeg"),
        ("a.ogg", "audio/ogg"),
        ("a.m3u8", "application/vnd.apple.mpegurl"),
        ("a.pdf", "application/pdf"),
        ("a.zip", "application/zip"),
        ("a.tar.gz", "application/gzip"),
        ("a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.gltf", "model/gltf+json"),
        ("a.bin", "application/octet-stream"),
        ("a.unknown", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("/folder.d/a", "application/octet-stream"),
        (".htaccess", "application/octet-stream"),
        (".css", "application/octet-stream"),
        ("", "application/octet-stream"),
    ],
)
def test_a_media_type_comes_from_the_extension(name, content_type):
    assert media_type(name) == content_type


def test_the_table_is_complete_and_each_line_of_it_is_sound():
    assert len(table()) > 1000
    pairs = [pair for text in GROUPS.values() for pair in text.split()]
    extensions = [pair.partition(":")[0] for pair in pairs]
    assert len(extensions) == len(set(extensions))
    for pair in pairs:
        # RFC 6838 §4.2: restricted names.
        assert re.fullmatch(r"[a-z0-9_-]+:[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]*", pair), pair


def test_only_text_has_a_charset():
    for content_type in table().values():
        assert content_type.endswith("; charset=utf-8") == content_type.startswith("text/")
