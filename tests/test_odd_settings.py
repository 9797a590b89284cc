"""Whatever stands in a setting, it becomes a Config or a ConfigError that says where: never a
traceback, never a wait, never a setting that is silently left out.
"""

from __future__ import annotations

import os
import re
import socket
import time
from pathlib import Path

import harness
import pytest

from nodepp import _core
from nodepp.access import AccessLists
from nodepp.config import load, load_settings
from nodepp.errors import ConfigError, StartError
from nodepp.listeners import open_all
from nodepp.settings import KEYS
from nodepp.values import TEXT_SIZE_MAX, format_value

ODD_TEXTS = {
    "a huge size": "99999999g",
    "thousands of digits": "9" * 5000,
    "a long fraction": "0." + "1" * 5000,
    "negative": "-1",
    "infinite": "inf",
    "no number": "nan",
    "an exponent": "1e9",
    "a huge exponent": "1e999999",
    "an empty text": "",
    "superscript": "\u00b2",
    "other digits": "\u0663",
    "a NUL": "a\0b",
    "only a NUL": "\0",
    "a line feed": "a\nb",
    "an escape": "\x1b[31m",
    "not UTF-8": "\udcff\udc80",
    "very long": "x" * 5000,
    "longer": "y" * (TEXT_SIZE_MAX + 1),
    "long names": "/".join(["z" * 300] * 5),
    "quotes": '"1"',
    "apostrophes": "'1'",
    "a missing variable": "$NO_SUCH_VARIABLE/x",
    "a missing user": "~no_such_user/x",
    "commas": ",,,",
    "colons": ":::",
    "an address": "127.0.0.1:99999",
    "digits for a port": "127.0.0.1:" + "9" * 5000,
    "a descriptor": "fd://" + "9" * 5000,
    "another descriptor": "fd://\u00b2",
    "a long socket": "unix:/" + "s" * 200,
}
# The command line has all of them; of the other sources the way to the same reader is tried.
SOME_TEXTS = [ODD_TEXTS[name] for name in (
    "a huge size", "thousands of digits", "negative", "a NUL", "not UTF-8", "longer", "quotes",
    "an address")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outcome(read, *words: str) -> None:
    """Reading works, or says so in a ConfigError that has all of the words."""
    began = time.monotonic()
    try:
        read()
    except ConfigError as error:
        for word in words:
            assert word in str(error)
        assert len(str(error)) < 1000
        assert len(str(error).splitlines()) <= 3
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_odd_text_in_npp_conf_is_read_or_refused_with_file_line_and_key(folder, key) -> None:
    """`maxPayload=99999999g` and a NUL in a path ended the start with a traceback."""
    for text in SOME_TEXTS:
        line = f"# first\n{key.name}={text}\n".encode("utf-8", "surrogateescape")
        (folder / "npp.conf").write_bytes(line)
        if "\udcff" in text:
            with pytest.raises(ConfigError, match=r"npp\.conf:2: not UTF-8"):
                load(environment={})
        else:
            outcome(lambda: load(environment={}), "npp.conf:2", key.name)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_odd_text_on_the_command_line_or_in_the_environment_names_the_key(key) -> None:
    for text in ODD_TEXTS.values():
        outcome(lambda text=text: load([(key.name, text, "--it")], {}), "--it", key.name)
    name = key.environment[0]
    for text in SOME_TEXTS:
        outcome(lambda text=text, name=name: load([], {name: text}), name, key.name)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_odd_values_of_app_run_name_the_key(key) -> None:
    values = [10**30, -(10**5000), float("inf"), float("nan"), 1e9, 1e300, None, b"bytes", object(),
              [1, 2], (), {}, True, "\0"]
    for value in values:
        outcome(lambda value=value: load_settings({key.name: value}, environment={}), key.name)


@pytest.mark.parametrize(
    "key", [key for key in KEYS if key.high and key.group in ("limits", "static", "time")],
    ids=lambda key: key.name)
def test_the_core_takes_the_smallest_and_the_largest_of_each_number(key) -> None:
    """`maxFormField=0` was a setting that no engine took: the start failed with a traceback."""
    for value in (key.low, key.high):
        command_line = [(key.name, format_value(key, value), "--it")]
        if key.name == "maxTargetSize" and value == key.high:
            command_line.append(("maxHeaderSize", format_value(key, value), "--it"))
        if key.name == "maxHeaderSize" and value == key.low:
            command_line.append(("maxTargetSize", format_value(key, value), "--it"))
        config = load(command_line, {})
        engine = _core.Engine(config.engine_settings(), _core.Router(), harness.Application())
        try:
            engine.open([])
        finally:
            engine.close()
    harness.restore_limits()


# --- quotes, hosts, ports -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('host = "127.0.0.1"', "values stand without quotes: host=127.0.0.1"),
        ("res='public'", "values stand without quotes: res=public"),
        ("bind=0.0.0.0:99999", "a port is a number from 0 to 65535"),
        ("bind=0.0.0.0:http", "expected host:port"),
        ("bind=::1:80", "in brackets"),
        ("host=127.0.0.1:8080", "the port is set by httpPort"),
        ("host=http://localhost", "expected a name or an address"),
        ("host=a b", "expected a name or an address"),
        ("uds=/" + "s" * 200, "1 to 107 bytes"),
        ("maxPayload=99999999g", "expected 0 to 1024g"),
        ("res=a\0b", "NUL"),
    ],
)
def test_what_was_meant_can_be_read_from_the_message(folder: Path, line, message) -> None:
    (folder / "npp.conf").write_text(f"\n{line}\n")
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load(environment={})
    assert str(caught.value).startswith(f"npp.conf:2: {line.partition('=')[0].strip()}=")


def test_keys_of_the_user_keep_their_quotes(folder: Path) -> None:
    (folder / "npp.conf").write_text('app.motto="hello"\ndbPassword="x"\n')
    assert load(environment={}).user["motto"] == '"hello"'


def test_an_address_in_brackets_is_the_address() -> None:
    assert load([("host", "[::1]", "--host")], {}).listeners == ("[::1]:8080",)


def test_what_systemd_says_is_read_with_care(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    for count in ("\u00b2", "9" * 5000, "-1", "", "0"):
        monkeypatch.setenv("LISTEN_FDS", count)
        with pytest.raises(StartError, match="no sockets were handed over"):
            open_all(["systemd"])


# --- files that are there and cannot be read ------------------------------------------------------


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path.name)               # relative: long paths do not fit


def a_broken_link(path: Path) -> None:
    path.symlink_to("nowhere")


def a_loop_of_links(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


def a_device(path: Path) -> None:
    path.symlink_to("/dev/null")


def a_path_through_a_file(path: Path) -> None:
    path.with_name("file").write_text("")
    path.symlink_to("file/below")


UNREADABLE = {
    a_folder: "a folder", a_pipe: "a pipe", a_socket: "a socket",
    a_broken_link: "a link to nowhere, which is not there",
    a_loop_of_links: "Too many levels of symbolic links", a_device: "a device",
    a_path_through_a_file: "Not a directory",
}  # fmt: skip


@pytest.mark.parametrize("make", UNREADABLE, ids=lambda make: make.__name__)
@pytest.mark.parametrize("place", ["npp.conf", "bin/npp.conf", "--conf", "NPP_CONF"])
def test_an_npp_conf_that_is_no_file_is_an_error(folder: Path, make, place: str) -> None:
    """An `npp.conf` that was a folder or a pipe was skipped, and with it the operator's limits and
    lists: the server ran on all defaults and did not say so."""
    path = folder / ("npp.conf" if place.startswith(("-", "N")) else place)
    path.parent.mkdir(exist_ok=True)
    os.chdir(path.parent)                   # the fixture's monkeypatch goes back
    make(path)
    conf = str(path) if place == "--conf" else None
    environment = {"NPP_CONF": str(path)} if place == "NPP_CONF" else {}
    with pytest.raises(ConfigError) as caught:
        load([], environment, conf, str(folder))
    assert f"{path}: cannot be read: {UNREADABLE[make]}" in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_an_npp_conf_without_permission_is_an_error(folder: Path) -> None:
    (folder / "npp.conf").touch(0)
    with pytest.raises(ConfigError, match="Permission denied"):
        load(environment={})


def test_an_npp_conf_in_another_encoding_is_named_with_its_line(folder: Path) -> None:
    (folder / "npp.conf").write_bytes("x=1\n".encode("utf-16"))
    with pytest.raises(ConfigError, match=r"npp\.conf:1: not UTF-8"):
        load(environment={})
    (folder / "npp.conf").write_bytes("test=1\ncsrf=1\n".encode("utf-16-le"))
    with pytest.raises(ConfigError, match=r"npp\.conf:1: a NUL character; is this a text in UTF-8"):
        load(environment={})


def test_a_file_named_bin_hides_no_conf(folder: Path) -> None:
    (folder / "bin").write_text("")
    assert load(environment={}).conf_path == ""


@pytest.mark.parametrize("make", UNREADABLE, ids=lambda make: make.__name__)
@pytest.mark.parametrize("name", ["blacklist", "whitelist"])
def test_a_list_that_is_no_file_is_an_error(folder: Path, make, name: str) -> None:
    """A whitelist that was a pipe let nobody in, and a link to a list that had gone let all in."""
    make(folder / f"{name}.txt")
    with pytest.raises(ConfigError) as caught:
        AccessLists(load(environment={}))
    assert f"{name}={folder}/{name}.txt: {UNREADABLE[make]}" in str(caught.value)


@pytest.mark.parametrize("make", [a_folder, a_pipe, a_broken_link], ids=lambda make: make.__name__)
def test_a_list_beside_the_conf_is_not_overlooked(folder: Path, make) -> None:
    (folder / "bin").mkdir()
    (folder / "bin" / "npp.conf").write_text("blacklist=closed.txt\n")
    make(folder / "bin" / "closed.txt")
    with pytest.raises(ConfigError, match=f"closed.txt: {UNREADABLE[make]}"):
        AccessLists(load(environment={}))
