"""Walking a folder of public files: what is found, and what is never shown."""

import os

import pytest

from nodepp.statics import tree
from nodepp.statics.tree import Walk, fault_of_name, is_within


@pytest.fixture
def log():
    lines = []

    def write(level, message):
        lines.append(message)

    write.lines = lines
    return write


@pytest.fixture
def res(tmp_path):
    folder = tmp_path / "res"
    folder.mkdir()
    return folder


def paths(folder, log, below=""):
    return [path for path, _ in Walk(os.path.realpath(folder), log).files(below)]


def put(folder, *names):
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)


def test_files_are_found_in_all_folders_in_alphabetical_order(res, log):
    put(res, "z.txt", "a.txt", "b/c/d.png", "b/a.png", "empty/x/y.txt")
    assert paths(res, log) == [
        "/a.txt", "/b/a.png", "/b/c/d.png", "/empty/x/y.txt", "/z.txt"]  # fmt: skip
    assert paths(res, log, "/b") == ["/b/a.png", "/b/c/d.png"]
    assert log.lines == []


def test_hidden_files_and_folders_are_not_found_but_well_known_ones_are(res, log):
    put(res, ".env", ".git/config", "a/.htaccess", ".well-known/security.txt", "a/b.txt")
    assert paths(res, log) == ["/.well-known/security.txt", "/a/b.txt"]
    assert log.lines == []


def test_private_files_are_not_found(res, log):
    put(res, "app.py", "A.PY", "npp.conf", "b/key.pem", "index.html")
    walk = Walk(os.path.realpath(res), log, private=True)
    assert [path for path, _ in walk.files()] == ["/index.html"]
    assert walk.private_count == 4
    assert len(paths(res, log)) == 5


def test_an_excluded_folder_is_not_found_by_any_way_and_one_line_says_so(res, log):
    put(res, "a.txt", "cache/b.txt", "cache/c/d.txt")
    (res / "link").symlink_to("cache/c")
    (res / "one.txt").symlink_to("cache/b.txt")
    excluded = os.path.realpath(res / "cache")
    walk = Walk(os.path.realpath(res), log, excluded=excluded)
    assert list(walk.files()) == [("/a.txt", str(res / "a.txt"))]
    assert list(walk.files("/cache/c")) == []
    for path in ("/cache", "/cache/b.txt", "/link/d.txt", "/one.txt"):
        assert walk.find(path) == ("", "")
    assert set(log.lines) == {
        f"static: {excluded} is the cache of compressed files: not served"}
    assert list(Walk(os.path.realpath(res / "cache" / "c"), log, excluded=excluded).files()) == []


def test_a_link_within_the_folder_is_followed_and_one_that_leaves_it_is_not(res, tmp_path, log):
    put(tmp_path, "secret.txt", "res-other/x.txt")
    put(res, "real.txt", "folder/in.txt")
    (res / "good.txt").symlink_to("real.txt")
    (res / "twin").symlink_to("folder")
    (res / "bad.txt").symlink_to(tmp_path / "secret.txt")
    (res / "up").symlink_to(tmp_path)
    (res / "beside").symlink_to(tmp_path / "res-other")
    (res / "dead.txt").symlink_to(res / "nothing")
    walk = Walk(os.path.realpath(res), log)
    assert [path for path, _ in walk.files()] == [
        "/folder/in.txt", "/good.txt", "/real.txt", "/twin/in.txt"]  # fmt: skip
    assert walk.has_links
    assert sum("leads out of" in message for message in log.lines) == 3
    assert sum("a link to nothing" in message for message in log.lines) == 1


def test_a_root_that_is_a_link_is_a_root(res, tmp_path, log):
    put(res, "a.txt")
    (tmp_path / "link").symlink_to(res)
    assert paths(tmp_path / "link", log) == ["/a.txt"]


def test_links_in_a_circle_end(res, log):
    put(res, "a.txt", "one/x.txt", "two/y.txt")
    (res / "one" / "two").symlink_to(res / "two")
    (res / "two" / "one").symlink_to(res / "one")
    (res / "self").symlink_to(res)
    (res / "loop").symlink_to(res / "loop")
    assert paths(res, log) == [
        "/a.txt", "/one/two/y.txt", "/one/x.txt", "/two/one/x.txt", "/two/y.txt"]  # fmt: skip
    assert sum("leads to a folder that it is in" in message for message in log.lines) == 3


def test_what_is_no_regular_file_is_left_out(res, log):
    os.mkfifo(res / "pipe")
    assert paths(res, log) == []


@pytest.mark.parametrize(("name", "fault"), [
    (b"\xff.txt", "not UTF-8"),
    (b"a\\b.txt", "a backslash"),
    (b"a\nb.txt", "a control character"),
    (b"a\x7f.txt", "a control character"),
])  # fmt: skip
def test_a_name_that_no_url_should_carry_is_left_out(res, log, name, fault):
    try:
        with open(os.fsencode(str(res)) + b"/" + name, "wb"):
            pass
    except OSError:
        pytest.skip("this file system does not take such a name")
    put(res, "ok.txt")
    assert paths(res, log) == ["/ok.txt"]
    assert len(log.lines) == 1
    assert fault in log.lines[0]
    log.lines[0].encode()  # the log can be written


@pytest.mark.parametrize("name", ["a b.txt", "ä.txt", "日本.css", "a%20.txt", "a;b,c=d.txt", "~x"])
def test_other_names_are_fine(res, log, name):
    assert fault_of_name(name) is None
    put(res, name)
    assert paths(res, log) == [f"/{name}"]


def test_a_folder_that_cannot_be_read_is_a_line_and_the_others_are_read(res, log, monkeypatch):
    put(res, "a/x.txt", "b/y.txt")
    real = os.scandir

    def refusing(folder):
        if str(folder).endswith("/a"):
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    walk = Walk(os.path.realpath(res), log)
    assert [path for path, _ in walk.files()] == ["/b/y.txt"]
    assert log.lines == [f"static: cannot read {res}/a: Permission denied"]
    assert not walk.is_partial


def test_without_descriptors_the_pass_says_that_it_did_not_see_all(res, log, monkeypatch):
    def refusing(folder):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "scandir", refusing)
    walk = Walk(os.path.realpath(res), log)
    assert list(walk.files()) == []
    assert walk.is_partial


def test_too_deep_and_too_many_are_said_and_end(res, log, monkeypatch):
    monkeypatch.setattr(tree, "DEPTH_MAX", 2)
    put(res, "1.txt", "a/2.txt", "a/b/3.txt", "a/b/c/4.txt")
    assert paths(res, log) == ["/1.txt", "/a/2.txt", "/a/b/3.txt"]
    assert "more than 2 folders deep" in log.lines.pop()
    monkeypatch.setattr(tree, "FILE_COUNT_MAX", 2)
    walk = Walk(os.path.realpath(res), log)
    assert len(list(walk.files())) == 2
    assert walk.is_partial
    assert "more than 2 files" in log.lines[0]


@pytest.mark.parametrize(("path", "kind"), [
    ("/a.txt", "file"),
    ("/b", "folder"),
    ("/b/c.txt", "file"),
    ("/good.txt", "file"),
    ("/bad.txt", ""),
    ("/.git", ""),
    ("/.git/config", ""),
    ("/no", ""),
    ("/no/x", ""),
    ("/pipe", ""),
    ("/a.txt/x", ""),
])  # fmt: skip
def test_a_single_path_is_judged_as_a_pass_would(res, tmp_path, log, path, kind):
    put(res, "a.txt", "b/c.txt", ".git/config")
    put(tmp_path, "secret.txt")
    (res / "good.txt").symlink_to("a.txt")
    (res / "bad.txt").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(res / "pipe")
    found, file = Walk(os.path.realpath(res), log).find(path)
    assert found == kind
    assert file == (str(res) + path if kind else "")


def test_a_path_is_within_its_root_by_whole_names():
    assert is_within("/srv/res", "/srv/res/a")
    assert is_within("/srv/res", "/srv/res")
    assert is_within("/", "/a")
    assert not is_within("/srv/res", "/srv/res-other/a")
    assert not is_within("/srv/res", "/srv")
