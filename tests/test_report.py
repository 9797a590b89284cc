"""What is said of the public files: the banner's line and --print-statics."""

from __future__ import annotations

import re

from nodepp import App
from nodepp.statics import Options, Statics
from nodepp.statics.report import human


def make(tmp_path, **options):
    app = App()
    app.add_host("example.com", res="other")
    statics = Statics(app, Options(app_dir=str(tmp_path), res="res", **options), lambda *line: None)
    statics.load()
    return statics


def put(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, body in files.items():
        (folder / name.replace("_", ".")).write_bytes(body)


def test_the_banner_says_what_is_there_and_what_is_still_to_come(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "res", a_css=b"p { color: red }\n" * 200, b_png=b"x" * 1000)
    put(tmp_path / "other", c_txt=b"c" * 600)
    statics = make(tmp_path)
    assert statics.banner() == "res other  3 files  5 KiB in memory  compressing 2 of 2"
    statics.precompress()
    # Of what compresses; the figure moves a little with the coders' versions.
    assert re.fullmatch(r"res other  3 files  5 KiB in memory  \(zstd, br and gzip save 9\d %\)",
                        statics.banner())
    statics.end()


def test_the_banner_counts_what_stays_on_disk_and_names_four_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "res", a_bin=b"x" * 100, b_txt=b"x")
    put(tmp_path / "other")
    app = App()
    for number in range(4):
        put(tmp_path / f"more{number}")
        app.serve(tmp_path / f"more{number}", f"{number}")
    statics = Statics(app, Options(app_dir=str(tmp_path), res="res", res_cache_threshold=50))
    statics.load()
    assert statics.banner() == (
        "res more0 more1 more2 and 1 more  2 files  1 byte in memory  1 on disk")


def test_without_files_there_is_no_line(tmp_path):
    assert make(tmp_path).banner() == ""


def test_the_listing_has_a_line_for_each_path_and_sums(tmp_path):
    put(tmp_path / "res", a_css=b"p { color: red }\n" * 200, b_png=b"x" * 1000, index_html=b"<p>")
    put(tmp_path / "res" / "big", a_bin=b"")
    (tmp_path / "res" / "big" / "a.bin").write_bytes(b"x" * 5000)
    put(tmp_path / "other", c_txt=b"c" * 600)
    statics = make(tmp_path, res_cache_threshold=4000)
    statics.precompress()
    rows = [line.split() for line in statics.listing().splitlines()]
    statics.end()
    assert rows[0] == ["type", "identity", "gzip", "br", "zstd", "path"]
    assert [row[-1] for row in rows[1:-1]] == [
        "/a.css", "/b.png", "disk)", "/index.html", "example.com/c.txt"]  # fmt: skip
    kind, identity, *codings, path = rows[1]
    assert (kind, identity, path) == ("text/css", "3,400", "/a.css")
    assert all(0 < int(size) < 200 for size in codings)
    assert rows[2] == ["image/png", "1,000", "-", "-", "-", "/b.png"]
    assert rows[3] == ["application/octet-stream", "5,000", "-", "-", "-", "/big/a.bin", "(on",
                       "disk)"]
    assert rows[-1][:2] == ["all", "10,003"]
    assert rows[-1][-2:] == ["5", "paths"]


def test_an_empty_listing_has_its_head_and_sum(tmp_path):
    assert make(tmp_path).listing().splitlines()[-1].split() == [
        "all", "0", "0", "0", "0", "0", "paths"]  # fmt: skip


def test_sizes_are_for_people():
    assert [human(size) for size in (0, 1023, 1024, 1_500_000)] == [
        "0 bytes", "1,023 bytes", "1 KiB", "1.4 MiB"]  # fmt: skip
