"""Snippets: what is read, what is not, Markdown, hosts, changes."""

from __future__ import annotations

import io
import os
import sys

import pytest

from nodepp import NodeppError, snippets
from nodepp.snippets import Snippets, render_markdown
from nodepp.statics import tree


class Folder:
    """A folder of snippets, and what was logged while it was read."""

    def __init__(self, root):
        self.root = root
        self.lines = []
        self.snippets = Snippets()

    def write(self, name, data):
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data.encode() if isinstance(data, str) else data)
        return str(file)

    def load(self, **hosts):
        folders = {"": str(self.root), **{host: str(folder) for host, folder in hosts.items()}}
        self.snippets.load(folders, lambda level, message: self.lines.append(message))
        return self.snippets

    def changed(self, *files, **options):
        return self.snippets.refresh({str(file) for file in files}, **options)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "snippets"
    root.mkdir()
    return Folder(root)


# --- what is read ---------------------------------------------------------------------------------


def test_a_snippet_is_the_text_of_its_file(folder):
    folder.write("footer.html", "<p>Bye, Zoë</p>\n")
    assert folder.load().get("footer.html") == "<p>Bye, Zoë</p>\n".encode()
    assert folder.lines == []


def test_names_have_slashes_and_are_in_alphabetical_order(folder):
    folder.write("z.html", "z")
    folder.write("parts/deep/a.html", "a")
    loaded = folder.load()
    assert loaded.names() == ["parts/deep/a.html", "z.html"]
    assert loaded.get("parts/deep/a.html") == loaded.get("/parts/deep/a.html") == b"a"


def test_a_folder_that_is_not_there_gives_nothing(folder):
    folder.root.rmdir()
    assert folder.load().names() == []
    assert folder.lines == []


def test_a_byte_order_mark_is_no_part_of_a_snippet(folder):
    folder.write("a.html", b"\xef\xbb\xbfHello")
    assert folder.load().get("a.html") == folder.snippets.raw("a.html") == b"Hello"


@pytest.mark.parametrize(
    "name", [".hidden.html", ".git/config", "parts/.a.html.swp", ".well-known/x"]
)
def test_hidden_files_are_not_read(folder, name):
    folder.write(name, "secret")
    assert folder.load().names() == []
    assert folder.lines == []


def test_what_is_not_utf_8_is_named_and_not_read(folder):
    file = folder.write("a.html", b"Z\xf6e")
    folder.write("b.html", "b")
    assert folder.load().names() == ["b.html"]
    assert folder.lines == [f"snippets: '{file}' is not UTF-8: not read"]


def test_a_name_that_is_not_utf_8_is_not_read(folder):
    with open(os.fsencode(str(folder.root)) + b"/\xff.html", "wb"):
        pass
    assert folder.load().names() == []
    assert "not UTF-8" in folder.lines[0]


def test_what_is_too_large_is_named_and_not_read(folder, monkeypatch):
    folder.write("a.html", "x" * snippets.SNIPPET_SIZE_MAX)
    file = folder.write("b.html", "x" * (snippets.SNIPPET_SIZE_MAX + 1))
    assert folder.load().names() == ["a.html"]
    assert folder.lines == [f"snippets: {file} is larger than 1 MiB: not read"]


def test_what_is_too_many_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(snippets, "SNIPPET_COUNT_MAX", 2)
    for name in "abcd":
        folder.write(f"{name}.html", name)
    assert folder.load().names() == ["a.html", "b.html"]
    assert len(folder.lines) == 1
    assert "more than 2" in folder.lines[0]


def test_what_lies_too_deep_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(tree, "DEPTH_MAX", 1)
    folder.write("a/one.html", "1")
    folder.write("a/b/two.html", "2")
    assert folder.load().names() == ["a/one.html"]
    assert "1 folders deep" in folder.lines[0]


@pytest.mark.parametrize("target", ["../outside.html", "..", "/etc/hostname"])
def test_links_that_lead_out_are_not_read(folder, target):
    (folder.root.parent / "outside.html").write_text("secret")
    (folder.root / "link").symlink_to(target)
    assert folder.load().names() == []
    assert "leads out" in folder.lines[0]


def test_links_that_stay_are_read_and_those_that_turn_in_a_circle_end(folder):
    folder.write("parts/a.html", "a")
    (folder.root / "same.html").symlink_to("parts/a.html")
    (folder.root / "parts" / "up").symlink_to("..")
    (folder.root / "lost.html").symlink_to("parts/nothing")
    assert folder.load().names() == ["parts/a.html", "same.html"]
    assert folder.snippets.get("same.html") == b"a"


def test_a_link_beside_the_folder_with_the_same_beginning_leads_out(folder):
    (folder.root.parent / "snippets-old").mkdir()
    (folder.root.parent / "snippets-old" / "a.html").write_text("old")
    (folder.root / "a.html").symlink_to("../snippets-old/a.html")
    assert folder.load().names() == []


def test_what_cannot_be_opened_is_named_and_the_others_are_read(folder, monkeypatch):
    def refuse(name, mode="r"):
        if name.endswith("a.html"):
            raise PermissionError(13, "Permission denied")
        return open(name, mode)

    folder.write("a.html", "a")
    folder.write("b.html", "b")
    monkeypatch.setattr(snippets, "open", refuse, raising=False)
    assert folder.load().names() == ["b.html"]
    assert "Permission denied" in folder.lines[0]


@pytest.mark.parametrize(
    ("name", "said"),
    [("fotter.html", "Did you mean 'footer.html'?"), ("zzz", "There is no snippet 'zzz'.")],
)
def test_an_unknown_name_is_told_what_was_meant(folder, name, said):
    folder.write("footer.html", "f")
    for ask in (folder.load().get, folder.snippets.raw):
        with pytest.raises(LookupError) as caught:
            ask(name)
        assert str(caught.value).endswith(said)


def test_without_any_snippet_the_miss_says_so():
    with pytest.raises(LookupError, match="none at all"):
        Snippets().get("a.html")


# --- Markdown -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# One\n\nTwo *three*", "<h1>One</h1>\n<p>Two <em>three</em></p>\n"),
        ("~~no~~", "<p><s>no</s></p>\n"),
        ("[a](http://b)", '<p><a href="http://b">a</a></p>\n'),
        ("```py\n1 < 2\n```", '<pre><code class="language-py">1 &lt; 2\n</code></pre>\n'),
        ("<b>kept</b>", "<p><b>kept</b></p>\n"),
        ("2 < 3 & so on", "<p>2 &lt; 3 &amp; so on</p>\n"),
        ("", ""),
    ],
)
def test_markdown_is_commonmark_with_the_authors_html(text, html):
    assert render_markdown(text) == html


def test_markdown_has_tables():
    html = render_markdown("| a | b |\n|---|--:|\n| 1 | 2 |\n")
    assert "<th>a</th>" in html
    assert '<td style="text-align:right">2</td>' in html


@pytest.mark.parametrize("name", ["a.md", "A.MD", "a.markdown"])
def test_markdown_snippets_are_rendered_and_their_text_is_kept(folder, name):
    folder.write(name, "*Zoë*")
    loaded = folder.load()
    assert loaded.get(name) == "<p><em>Zoë</em></p>\n".encode()
    assert loaded.raw(name) == "*Zoë*".encode()


def test_without_the_extra_the_log_and_the_exception_name_it(folder, monkeypatch):
    monkeypatch.setattr(snippets, "_markdown", None)
    monkeypatch.setitem(sys.modules, "markdown_it", None)
    folder.write("a.md", "*a*")
    folder.write("b.md", "*b*")
    folder.write("c.html", "c")
    loaded = folder.load()
    assert len(folder.lines) == 1
    assert "pip install nodepp[markdown]" in folder.lines[0]
    with pytest.raises(NodeppError, match=r"pip install nodepp\[markdown\]"):
        loaded.get("a.md")
    assert loaded.raw("a.md") == b"*a*"
    assert loaded.get("c.html") == b"c"


def test_a_renderer_that_fails_stops_nothing_else(folder, monkeypatch):
    def fail(text):
        raise RecursionError("too deep")

    monkeypatch.setattr(snippets, "render_markdown", fail)
    folder.write("a.md", "a")
    folder.write("b.html", "b")
    assert folder.load().get("b.html") == b"b"
    assert "too deep" in folder.lines[0]
    with pytest.raises(NodeppError, match="too deep"):
        folder.snippets.get("a.md")


# --- hosts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("authority", "text"),
    [
        ("", "main"),
        ("other.org", "main"),
        ("example.com", "own"),
        ("EXAMPLE.com:8080", "own"),
        ("www.example.com", "own"),
        ("a.b.example.com", "main"),
        ("[::1]:8080", "main"),
    ],
)
def test_a_host_has_its_own_snippets_and_those_of_the_main_host(folder, tmp_path, authority, text):
    folder.write("a.html", "main")
    folder.write("b.html", "both")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.html").write_text("own")
    loaded = folder.load(**{"example.com": tmp_path / "own"})
    assert loaded.get("a.html", authority) == text.encode()
    assert loaded.get("b.html", authority) == b"both"
    assert loaded.names("example.com") == ["a.html"]
    assert loaded.folders == sorted([str(folder.root), str(tmp_path / "own")])


def test_what_only_a_host_has_the_others_have_not(folder, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "a.html").write_text("own")
    loaded = folder.load(**{"example.com": tmp_path / "own"})
    with pytest.raises(LookupError):
        loaded.get("a.html", "other.org")


# --- changes --------------------------------------------------------------------------------------


def test_a_changed_file_is_read_again(folder):
    file = folder.write("a.md", "one")
    folder.load()
    folder.write("a.md", "*second*")
    assert folder.changed(file)
    assert folder.snippets.get("a.md") == b"<p><em>second</em></p>\n"


def test_files_come_and_go(folder):
    gone = folder.write("gone.html", "x")
    folder.load()
    os.unlink(gone)
    come = folder.write("parts/come.html", "y")
    assert folder.changed(gone, come)
    assert folder.snippets.names() == ["parts/come.html"]


def test_a_folder_stands_for_what_is_below_it(folder):
    folder.write("a/one.html", "1")
    folder.load()
    (folder.root / "a").rename(folder.root / "b")
    assert folder.changed(folder.root / "a", folder.root / "b")
    assert folder.snippets.names() == ["b/one.html"]


def test_a_change_is_seen_behind_a_link_too(folder):
    file = folder.write("parts/a.html", "a")
    (folder.root / "same").symlink_to("parts")
    folder.load()
    folder.write("parts/a.html", "new")
    assert folder.changed(file)
    assert folder.snippets.get("parts/a.html") == folder.snippets.get("same/a.html") == b"new"


def test_the_folder_itself_may_come_later(folder):
    folder.root.rmdir()
    folder.load()
    file = folder.write("a.html", "a")
    assert folder.changed(folder.root.parent)
    assert folder.snippets.get("a.html") == b"a"
    assert not folder.changed(file)


def test_a_link_that_is_switched_leads_to_other_snippets(folder, tmp_path):
    folder.write("a.html", "old")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "a.html").write_text("new")
    link = tmp_path / "current"
    link.symlink_to("snippets")
    folder.root = link
    folder.load()
    assert folder.snippets.get("a.html") == b"old"
    link.unlink()
    link.symlink_to("new")
    assert folder.snippets.refresh()
    assert folder.snippets.get("a.html") == b"new"
    assert folder.snippets.folders == [str(tmp_path / "new")]


def test_files_elsewhere_change_nothing(folder):
    folder.write("a.html", "a")
    folder.load()
    folder.write("a.html", "b, not named")
    assert not folder.changed("/elsewhere/a.html", str(folder.root) + "-old/a.html")
    assert folder.snippets.get("a.html") == b"a"


def test_a_file_that_nobody_has_named_keeps_its_old_text(folder):
    folder.write("a.html", "a")
    named = folder.write("b.html", "b")
    folder.load()
    folder.write("a.html", "half writ")
    folder.write("b.html", "second b")
    folder.write("new.html", "half writ")
    assert folder.changed(named)
    assert folder.snippets.get("a.html") == b"a"
    assert folder.snippets.names() == ["a.html", "b.html"]
    assert folder.snippets.refresh()
    assert folder.snippets.names() == ["a.html", "b.html", "new.html"]


def test_a_file_that_is_being_written_keeps_its_old_text(folder):
    file = folder.write("a.html", "a")
    folder.load()
    folder.write("a.html", "half")
    assert not folder.changed(file, is_settled=lambda name: name != file)
    assert folder.snippets.get("a.html") == b"a"
    assert folder.changed(file, is_settled=lambda name: True)
    assert folder.snippets.get("a.html") == b"half"


def test_a_file_that_changes_while_it_is_read_is_not_taken(folder, monkeypatch):
    file = folder.write("a.html", "a")
    folder.load()

    class Interrupted(io.FileIO):
        def read(self, size=-1):
            data = super().read(size)
            folder.write("a.html", "longer than before")
            return data

    folder.write("a.html", "new")
    monkeypatch.setattr(snippets, "open", lambda name, mode: Interrupted(name), raising=False)
    assert not folder.changed(file)
    assert folder.snippets.get("a.html") == b"a"


def test_a_file_that_went_bad_leaves_its_last_good_text(folder):
    file = folder.write("a.html", "good")
    folder.load()
    folder.write("a.html", b"\xff\xfe")
    folder.changed(file)
    assert folder.snippets.get("a.html") == b"good"
    assert "not UTF-8" in folder.lines[0]
