"""The sockets a server listens on: `host:port`, `unix:PATH`, `fd://N` or `systemd`.

They are bound, and listen, before the application is imported: a port that is taken is found out
first. (Linux lets two sockets with SO_REUSEADDR bind one port as long as neither listens.)
"""

from __future__ import annotations

import errno
import os
import socket
import stat

from . import forks
from .errors import ConfigError, StartError, shown
from .library import library, library_first

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Optional

SYSTEMD_FIRST_FD = 3            # sd_listen_fds(3)
UNIX_PATH_SIZE_MAX = 107        # bytes; sun_path has 108 with its NUL, unix(7)
PORT_TRIES_MAX = 50             # ports tried for a suggestion


class AddressTaken(StartError):
    """Another process listens there. pid: which, 0 if that cannot be seen."""

    pid: int = 0


class Address:
    """Where to listen. `kind` is "tcp" (host, port), "unix" (path), "fd" (fd) or "systemd"."""

    __slots__ = ("fd", "host", "kind", "path", "port")

    def __init__(
        self, kind: str, host: str = "", port: int = 0, path: str = "", fd: int = -1
    ) -> None:
        self.kind, self.host, self.port, self.path, self.fd = kind, host, port, path, fd


class Listener:
    """A listening socket; `url` is for people. close() removes the file of a unix socket, in the
    process that made it.
    """

    __slots__ = ("_inode", "_owner", "kind", "path", "socket", "url")

    def __init__(self, sock: socket.socket, kind: str, url: str, path: str = "") -> None:
        self.socket, self.kind, self.url, self.path = sock, kind, url, path
        self._inode = os.stat(path).st_ino if path else 0
        self._owner = os.getpid()
        forks.own(sock.fileno())

    def close(self) -> None:
        forks.disown(self.socket.fileno())
        self.socket.close()
        if not self.path or os.getpid() != self._owner:
            return
        try:
            # A successor may have put its own socket there.
            if os.stat(self.path).st_ino == self._inode:
                os.unlink(self.path)
        except FileNotFoundError:
            pass                            # somebody tidied up before us
        self.path = ""


def parse_address(text: str, name: str = "bind") -> Address:
    """ConfigError for what cannot be understood. name: of the setting, for the message."""
    setting = f"{name}={shown(text)}"
    if text == "systemd":
        return Address("systemd")
    if text.startswith("unix:"):
        path = text[5:][2:] if text.startswith("unix://") else text[5:]
        if not path or len(os.fsencode(path)) > UNIX_PATH_SIZE_MAX:
            size = f"1 to {UNIX_PATH_SIZE_MAX} bytes"
            raise ConfigError(f"{setting}: the path of a unix socket has {size}.")
        return Address("unix", path=path)
    if text.startswith("fd://"):
        if not _is_number(text[5:], 9):
            raise ConfigError(f"{setting}: expected fd://N, N a descriptor.")
        return Address("fd", fd=int(text[5:]))
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ConfigError(f"{setting}: write an IPv6 address in brackets: [::1]:8080.")
    if not (colon and _is_number(port, len(port))):
        raise ConfigError(
            f"{setting}: expected host:port, [ipv6]:port, unix:PATH, fd://N or systemd.")
    if not _is_number(port, 5) or int(port) > 65535:
        raise ConfigError(f"{setting}: a port is a number from 0 to 65535.")
    return Address("tcp", host=host, port=int(port))


def _is_number(text: str, digit_count_max: int) -> bool:
    """Plain digits, and so few that int() gives what a descriptor or port can be."""
    return text.isascii() and text.isdigit() and len(text) <= digit_count_max


def open_all(
    bind: Iterable[str], backlog: int = 2048, permissions: int = 0o660
) -> list[Listener]:
    """Opens every address, or none. StartError says in a line or two why it could not."""
    addresses = [parse_address(text) for text in bind]
    listeners: list[Listener] = []
    try:
        for address in addresses:
            if address.kind == "tcp":
                listeners.extend(_open_tcp(address, addresses, backlog))
            elif address.kind == "unix":
                listeners.append(_open_unix(address.path, backlog, permissions))
            elif address.kind == "fd":
                listeners.append(_adopt(address.fd))
            else:
                listeners.extend(_adopt(fd) for fd in _systemd_descriptors(required=True))
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def try_address(
    address: Address, others: Iterable[Address], backlog: int, permissions: int
) -> list[Listener]:
    """Opens a TCP or unix address for nodepp-run --check, for the caller to close: StartError as at
    a start. Unlike that it leaves the socket file of a server that is gone, and opens nothing then.
    """
    if address.kind == "tcp":
        return _open_tcp(address, others, backlog)
    if _is_stale(address.path):
        folder = os.path.dirname(address.path)
        if not os.access(folder or ".", os.W_OK | os.X_OK):
            raise StartError(f"Cannot listen on unix:{address.path}: it cannot be replaced:"
                             f" {os.strerror(errno.EACCES)}.")
        return []
    return [_open_unix(address.path, backlog, permissions)]


def given_by_systemd() -> bool:
    """True if this process was started by socket activation (sd_listen_fds(3))."""
    return bool(_systemd_descriptors(required=False))


def _systemd_descriptors(required: bool) -> list[int]:
    count = os.environ.get("LISTEN_FDS", "")
    if os.environ.get("LISTEN_PID") == str(os.getpid()) and _is_number(count, 4) and int(count):
        return list(range(SYSTEMD_FIRST_FD, SYSTEMD_FIRST_FD + int(count)))
    if required:
        raise StartError(
            "bind=systemd: no sockets were handed over (LISTEN_PID and LISTEN_FDS do not say so).")
    return []


# --- TCP ----------------------------------------------------------------------------------------


def _open_tcp(address: Address, others: Iterable[Address], backlog: int) -> list[Listener]:
    host, port = address.host, address.port
    try:
        # bytes: a str would load the codec for international names (2 ms).
        with library_first:     # the first use of a codec imports it
            name = host.encode("ascii" if host.isascii() else "idna") or None
        found = socket.getaddrinfo(
            name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise StartError(f"Cannot listen on {host}:{port}: there is no host {host!r}.") from None
    places = list(dict.fromkeys((family, place) for family, _, _, _, place in found))
    # An IPv6 socket on all addresses takes IPv4 peers too, unless an IPv4 socket is asked for.
    ipv4 = any(family == socket.AF_INET for family, _ in places) or any(
        other.kind == "tcp" and ":" not in other.host and other.port == port for other in others)
    listeners: list[Listener] = []
    try:
        for family, place in places:
            if port == 0 and listeners:     # the same for all that a name stands for
                place = (place[0], listeners[0].socket.getsockname()[1], *place[2:])
            listener = _open_tcp_place(family, place, ipv4, backlog)
            if listener is not None:
                listeners.append(listener)
        if not listeners:
            raise StartError(f"Cannot listen on {host}:{port}: no such address family here.")
    except BaseException:
        for listener in listeners:
            listener.close()
        raise
    return listeners


def _open_tcp_place(family: int, place: Any, ipv4: bool, backlog: int) -> Optional[Listener]:
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:       # no IPv6 in the kernel; getaddrinfo is unaware
            return None
        raise
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(ipv4))
        # Accepted sockets inherit it: one system call less for each.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(place)
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise _taken(family, place) from None
        raise StartError(_bind_trouble(error, place)) from None
    return Listener(sock, "tcp", url_of(sock))


def url_of(sock: socket.socket) -> str:
    """The address for people, such that a click on it works."""
    if sock.family == socket.AF_UNIX:
        name = sock.getsockname()
        return f"unix:{os.fsdecode(name) if name else '(unnamed)'}"
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        return f"http://localhost:{port} (all addresses)"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _bind_trouble(error: OSError, place: Any) -> str:
    host, port = place[:2]
    if error.errno == errno.EACCES:
        return (f"Cannot listen on port {port}: that takes root or CAP_NET_BIND_SERVICE."
                " Try: --port 8080")
    if error.errno == errno.EADDRNOTAVAIL:
        return f"Cannot listen on {host}: this machine has no such address. Try: --host 127.0.0.1"
    return f"Cannot listen on {host}:{port}: {error.strerror}."


def _taken(family: int, place: Any) -> AddressTaken:
    port = place[1]
    holder, free = _holder(port), _free_port(family, place)
    by = f" by {holder[0]!r} (pid {holder[1]})" if holder else ""
    taken = AddressTaken(f"Port {port} is taken{by}." + (f" Try: --port {free}" if free else ""))
    if holder:
        taken.pid = holder[1]
    return taken


def _free_port(family: int, place: Any) -> int:
    for port in range(place[1] + 1, min(place[1] + PORT_TRIES_MAX, 65536)):
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((place[0], port, *place[2:]))
                probe.listen(1)
            except OSError:
                continue
            return port
    return 0


def _holder(port: int) -> Optional[tuple[str, int]]:
    """Command and number of the process that listens on a port; None where that cannot be known.

    /proc/net/tcp gives the socket's inode; whose it is, the links in /proc/*/fd say, which can be
    read for one's own processes (all, for root).
    """
    inodes: set[str] = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            with open(table) as file:
                rows = [line.split() for line in file.readlines()[1:]]
        except OSError:
            continue                        # not Linux, or no IPv6
        # Columns: 1 is the local address in hexadecimal, 3 the state (0A: listening), 9 the inode.
        inodes.update(f"socket:[{row[9]}]" for row in rows
                      if row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port)
    if not inodes:
        return None
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            folder = f"/proc/{pid}/fd"
            if any(os.readlink(f"{folder}/{name}") in inodes for name in os.listdir(folder)):
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read(4096).rstrip(b"\0").split(b"\0")
                command = " ".join(word.decode("utf-8", "replace") for word in words)
                return command[:80], int(pid)
        except OSError:
            continue                        # gone, or somebody else's
    return None


# --- unix sockets and inherited ones ------------------------------------------------------------


def _open_unix(path: str, backlog: int, permissions: int) -> Listener:
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # chmod after bind would leave a moment in which anybody may connect. One thread is alive now.
    before = os.umask(0o777 & ~permissions)
    try:
        sock.bind(path)
    except OSError as error:
        sock.close()
        raise StartError(f"Cannot listen on unix:{path}: {error.strerror}.") from None
    finally:
        os.umask(before)
    sock.listen(backlog)
    sock.setblocking(False)
    return Listener(sock, "unix", f"unix:{path}", path)


def _remove_stale(path: str) -> None:
    """Removes a socket file whose server is gone."""
    if _is_stale(path):
        os.unlink(path)


def _is_stale(path: str) -> bool:
    """Whether there is a socket file whose server is gone. StartError: a server answers there, or
    it is no socket."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False                        # nothing there; bind will say what else is wrong
    if not stat.S_ISSOCK(mode):
        raise StartError(f"Cannot listen on unix:{path}: there is a file, and it is no socket.")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
        except OSError:
            pass                            # EAGAIN: its queue is full. EACCES: not ours.
        taken = AddressTaken(f"unix:{path} is taken: a server answers there.")
        taken.pid = _peer_process(probe)
    raise taken


def _peer_process(sock: socket.socket) -> int:
    """Which process listens at the other end, unix(7); 0 where the system does not say."""
    if not hasattr(socket, "SO_PEERCRED"):
        return 0
    struct = library("struct")
    try:
        pid: int = struct.unpack("3i", sock.getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))[0]
    except OSError:
        return 0
    return pid


def _adopt(fd: int) -> Listener:
    try:
        sock = socket.socket(fileno=fd)
        listening = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        known = sock.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
    except OSError as error:
        raise StartError(f"fd://{fd}: {error.strerror}.") from None
    if not listening or not known or sock.type != socket.SOCK_STREAM:
        sock.detach()                       # not ours to close
        raise StartError(f"fd://{fd}: not a listening stream socket.")
    os.set_inheritable(fd, False)
    sock.setblocking(False)
    return Listener(sock, "unix" if sock.family == socket.AF_UNIX else "tcp", url_of(sock))
