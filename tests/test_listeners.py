"""Listening sockets: addresses, taken ports, stale files, inherited descriptors."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from nodepp import listeners
from nodepp.errors import ConfigError, StartError
from nodepp.listeners import open_all, parse_address


@pytest.fixture
def opened():
    """open_all that closes what it opened."""
    found = []

    def open_(*bind: str, **rest):
        it = open_all(bind, **rest)
        found.extend(it)
        return it

    yield open_
    for listener in found:
        listener.close()


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("text", "kind", "host", "port", "path", "fd"),
    [
        ("127.0.0.1:80", "tcp", "127.0.0.1", 80, "", -1),
        (":80", "tcp", "", 80, "", -1),
        ("localhost:0", "tcp", "localhost", 0, "", -1),
        ("[::1]:80", "tcp", "::1", 80, "", -1),
        ("unix:/run/x.sock", "unix", "", 0, "/run/x.sock", -1),
        ("unix:///run/x.sock", "unix", "", 0, "/run/x.sock", -1),
        ("fd://3", "fd", "", 0, "", 3),
        ("systemd", "systemd", "", 0, "", -1),
    ],
)
def test_address_is_understood(text, kind, host, port, path, fd) -> None:
    it = parse_address(text)
    assert (it.kind, it.host, it.port, it.path, it.fd) == (kind, host, port, path, fd)


@pytest.mark.parametrize(
    "text",
    ["", "80", "localhost", "localhost:", "localhost:http", "::1:80", "a:65536", "unix:",
     "unix:" + "x" * 108, "fd://", "fd://x", "a:٨٠"],
)
def test_bad_address_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^bind="):
        parse_address(text)


def test_tcp_listener_is_non_blocking_and_inherits_no_delay(opened) -> None:
    (it,) = opened("127.0.0.1:0")
    assert it.kind == "tcp"
    assert not it.socket.getblocking()
    assert not it.socket.get_inheritable()
    with closing(socket.create_connection(it.socket.getsockname())):
        it.socket.setblocking(True)
        peer, _ = it.socket.accept()
        with peer:
            assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_url_can_be_clicked(opened) -> None:
    (it,) = opened("127.0.0.1:0")
    assert it.url == f"http://127.0.0.1:{it.socket.getsockname()[1]}"


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_ipv6_address_is_opened(opened) -> None:
    (it,) = opened("[::1]:0")
    assert it.url.startswith("http://[::1]:")


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
def test_all_addresses_of_a_name_share_a_port(opened) -> None:
    ports = {it.socket.getsockname()[1] for it in opened("localhost:0")}
    assert len(ports) == 1


def test_several_addresses_are_opened_in_order(opened, tmp_path: Path) -> None:
    path = tmp_path / "s"
    found = opened("127.0.0.1:0", f"unix:{path}")
    assert [it.kind for it in found] == ["tcp", "unix"]


def test_none_is_left_open_when_one_cannot_be_opened(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with pytest.raises(StartError):
        open_all([f"unix:{path}", f"unix:{tmp_path / 'nowhere' / 's'}"])
    assert not path.exists()


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.fixture
def taken():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(1)
        yield sock.getsockname()[1]


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="needs Linux's /proc")
def test_taken_port_names_its_holder_and_a_free_one(taken: int) -> None:
    with pytest.raises(StartError) as caught:
        open_all([f"127.0.0.1:{taken}"])
    text = str(caught.value)
    assert text.startswith(f"Port {taken} is taken by '")
    assert f"(pid {os.getpid()})" in text
    free = int(text.rpartition("--port ")[2])
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", free))


def test_taken_port_without_proc_has_no_holder(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "_holder", lambda port: "")
    with pytest.raises(StartError, match=rf"^Port {taken} is taken\. Try: --port \d+$"):
        open_all([f"127.0.0.1:{taken}"])


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (13, "Cannot listen on port 80: that takes root or CAP_NET_BIND_SERVICE."
             " Try: --port 8080"),
        (99, "Cannot listen on 10.9.8.7: this machine has no such address. Try: --host 127.0.0.1"),
        (97, "Cannot listen on 10.9.8.7:80: Address family not supported by protocol."),
    ],
)
def test_other_trouble_says_what_to_do(error: int, text: str) -> None:
    trouble = OSError(error, os.strerror(error))
    assert listeners._bind_trouble(trouble, ("10.9.8.7", 80)) == text


def test_unknown_host_is_named() -> None:
    with pytest.raises(StartError, match=r"there is no host 'host\.invalid'"):
        open_all(["host.invalid:0"])


# --- unix sockets ---------------------------------------------------------------------------------


def test_unix_socket_has_its_permissions_and_goes_when_closed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    (it,) = open_all([f"unix:{path}"], permissions=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    it.close()
    assert not path.exists()


def test_socket_of_a_successor_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    (first,) = open_all([f"unix:{path}"])
    path.rename(tmp_path / "moved")
    (second,) = open_all([f"unix:{path}"])
    first.close()
    assert path.exists()
    second.close()


def test_stale_socket_is_replaced(opened, tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(path))
    (it,) = opened(f"unix:{path}")
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert it.url == f"unix:{path}"


def test_socket_that_somebody_answers_on_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen(1)
        with pytest.raises(StartError, match="is taken: a server answers there"):
            open_all([f"unix:{path}"])
    assert path.exists()


def test_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(StartError, match="it is no socket"):
        open_all([f"unix:{path}"])
    assert path.read_text() == "precious"


# --- inherited ones -------------------------------------------------------------------------------


def test_inherited_descriptor_is_adopted(opened) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(1)
        place = sock.getsockname()
        fd = os.dup(sock.fileno())
    (it,) = opened(f"fd://{fd}")
    assert it.socket.getsockname() == place
    assert not it.socket.getblocking()


def test_descriptor_that_does_not_listen_is_refused_and_left_open() -> None:
    with socket.socket() as sock, pytest.raises(StartError, match="not a listening stream"):
        open_all([f"fd://{sock.fileno()}"])
    read, write = os.pipe()
    try:
        with pytest.raises(StartError, match="fd://"):
            open_all([f"fd://{read}"])
        os.fstat(read)
    finally:
        os.close(read)
        os.close(write)


def test_sockets_of_systemd_are_taken(opened, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(1)
        fd = os.dup(sock.fileno())
    monkeypatch.setattr(listeners, "SYSTEMD_FIRST_FD", fd)
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    monkeypatch.setenv("LISTEN_FDS", "1")
    assert listeners.given_by_systemd()
    (it,) = opened("systemd")
    assert it.kind == "tcp"


@pytest.mark.parametrize(
    ("pid", "count"), [("1", "1"), (str(os.getpid()), "0"), ("", "")],
    ids=["another process", "none for us", "nothing set"])
def test_sockets_for_another_process_are_not_ours(
    pid: str, count: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTEN_PID", pid)
    monkeypatch.setenv("LISTEN_FDS", count)
    assert not listeners.given_by_systemd()
    with pytest.raises(StartError, match="no sockets were handed over"):
        open_all(["systemd"])
