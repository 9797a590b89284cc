"""A sink never waits, takes whole lines, and goes on by itself when there is room again."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import socket
import subprocess
import sys
import termios
import tty
from pathlib import Path

import pytest

from nodepp import sink as sink_module
from nodepp.sink import PIECE_SIZE_MAX, Sink, renewed

F_SETPIPE_SZ = 1031                # Linux; Python names it from 3.10 on
PIPE_SIZE = 4096
Ends = tuple[int, int]
LINES = [b"line %d %s\n" % (number, b"." * 90) for number in range(1000)]


@pytest.fixture
def stderr():
    """stderr(fd) makes it the standard error, until the test ends."""
    kept = os.dup(2)
    yield lambda fd: os.dup2(fd, 2)
    os.dup2(kept, 2)
    os.close(kept)


@pytest.fixture
def pipe():
    """The ends of a small pipe: (reader, writer)."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, F_SETPIPE_SZ, PIPE_SIZE)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def pour(sink: Sink, lines: list[bytes]) -> int:
    """Writes each line once; how many were taken."""
    return sum(sink.write(line) == len(line) for line in lines)


def drain(fd: int) -> bytes:
    """What lies there now."""
    data = b""
    while select.select([fd], [], [], 0)[0]:
        piece = os.read(fd, 1 << 16)
        if not piece:
            break
        data += piece
    return data


def refuse_to_reopen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user is not the one that made the pipe."""
    real = os.open

    def open_(path, *rest):
        if str(path).startswith("/proc/self/fd/"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return real(path, *rest)

    monkeypatch.setattr(sink_module.os, "open", open_)


# --- streams --------------------------------------------------------------------------------------


def test_full_pipe_takes_nothing_and_goes_on_when_it_is_read(pipe: Ends) -> None:
    """stderr was a pipe that nothing read: after a few hundred lines the server stood still."""
    reader, writer = pipe
    sink = Sink(stream=writer)
    taken = pour(sink, LINES)
    assert 0 < taken < len(LINES)
    assert sink.reason == "their reader is too slow"
    assert drain(reader) == b"".join(LINES[:taken])
    assert sink.write(b"on\n") == 3
    assert drain(reader) == b"on\n"
    sink.close()


def test_flags_of_the_inherited_descriptor_stay(pipe: Ends) -> None:
    """With O_NONBLOCK on it, the shell in the same terminal would have failed to read and write."""
    _, writer = pipe
    before = fcntl.fcntl(writer, fcntl.F_GETFL)
    sink = Sink(stream=writer)
    pour(sink, LINES)
    assert fcntl.fcntl(writer, fcntl.F_GETFL) == before
    assert not os.get_blocking(sink.fd)
    assert not os.get_inheritable(sink.fd)
    sink.close()


def test_own_descriptor_is_closed(pipe: Ends) -> None:
    _, writer = pipe
    sink = Sink(stream=writer)
    fd = sink.fd
    sink.close()
    with pytest.raises(OSError):
        os.fstat(fd)
    os.fstat(writer)
    assert sink.write(b"x\n") == 0


def test_pipe_that_cannot_be_opened_again_is_asked_before_each_write(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = pipe
    refuse_to_reopen(monkeypatch)
    sink = Sink(stream=writer)
    assert sink.trouble == os.strerror(errno.EACCES)
    taken = pour(sink, LINES)
    assert 0 < taken < len(LINES)
    long = b"x" * 3 * PIECE_SIZE_MAX + b"\n"
    assert sink.write(long) == 0
    assert drain(reader) == b"".join(LINES[:taken])
    assert sink.write(b"on\n") == 3
    sink.close()


def test_block_of_lines_is_taken_up_to_the_end_of_a_line(pipe: Ends) -> None:
    reader, writer = pipe
    sink = Sink(stream=writer)
    block = b"".join(LINES)
    taken = sink.write(block)
    assert 0 < taken < PIPE_SIZE
    assert block[taken - 1 : taken] == b"\n"
    assert drain(reader) == block[:taken]
    sink.close()


def test_line_longer_than_the_pipe_is_cut_and_the_next_begins_on_its_own(pipe: Ends) -> None:
    reader, writer = pipe
    sink = Sink(stream=writer)
    assert sink.write(b"x" * 3 * PIPE_SIZE + b"\n") == 0
    drain(reader)
    assert sink.write(b"next\n") == 5
    assert drain(reader) == b"\nnext\n"
    sink.close()


def test_reader_that_has_gone_costs_lines_and_no_more(pipe: Ends) -> None:
    reader, writer = pipe
    sink = Sink(stream=writer)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, reader)
    os.close(null)
    assert sink.write(b"x\n") == 0
    assert sink.reason == "they have no reader"
    sink.close()


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_socket_takes_what_it_has_room_for(kind: int) -> None:
    """systemd gives a service a unix stream socket as stderr."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    sink = Sink(stream=theirs.fileno())
    taken = pour(sink, LINES)
    assert 0 < taken < len(LINES)
    assert os.get_blocking(theirs.fileno())
    ours.setblocking(False)
    received = b""
    while len(received) < sum(map(len, LINES[:taken])):
        received += ours.recv(1 << 16)
    assert received == b"".join(LINES[:taken])
    assert sink.write(b"on\n") == 3
    assert ours.recv(100) == b"on\n"
    ours.close()
    assert sink.write(b"x\n") == 0
    sink.close()
    theirs.close()


def test_socket_keeps_its_flags_whatever_timeout_the_application_has_set() -> None:
    ours, theirs = socket.socketpair()
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(5.0)
    try:
        sink = Sink(stream=theirs.fileno())
        assert socket.getdefaulttimeout() == 5.0
    finally:
        socket.setdefaulttimeout(before)
    assert os.get_blocking(theirs.fileno())
    sink.close()
    ours.close()
    theirs.close()


def test_terminal_that_is_stopped_takes_nothing_until_it_goes_on() -> None:
    """Ctrl-S in the terminal stopped the server together with its messages."""
    master, slave = os.openpty()
    tty.setraw(slave)
    sink = Sink(stream=slave)
    termios.tcflow(slave, termios.TCOOFF)
    assert pour(sink, LINES) == 0
    termios.tcflow(slave, termios.TCOON)
    assert sink.write(b"on\n") == 3
    assert drain(master) == b"on\n"
    assert os.get_blocking(slave)
    sink.close()
    os.close(master)
    os.close(slave)


def test_terminal_that_nothing_reads_cuts_a_line_at_most() -> None:
    master, slave = os.openpty()
    sink = Sink(stream=slave)
    taken = pour(sink, LINES)
    assert 0 < taken < len(LINES)
    received = drain(master)
    assert sink.write(b"on\n") == 3
    received = (received + drain(master)).replace(b"\r\n", b"\n")
    assert received.endswith(b"\non\n")
    whole = [line for line in received.splitlines(keepends=True) if line in LINES]
    assert len(whole) >= taken              # a line that lacked its end only is whole after all
    sink.close()
    os.close(master)
    os.close(slave)


def test_lines_of_two_writers_on_one_pipe_stay_whole(pipe: Ends) -> None:
    """A write of 4,096 bytes at most is not mixed with another's."""
    reader, writer = pipe
    first, second = Sink(stream=writer), Sink(stream=writer)
    block = b"".join(LINES)
    received = b""
    for sink, letter in ((first, b"a"), (second, b"b")) * 40:
        sink.write(block.replace(b".", letter))
        received += os.read(reader, 1000)
    received += drain(reader)
    expected = {line.replace(b".", letter) for line in LINES for letter in (b"a", b"b")}
    assert set(received.splitlines(keepends=True)) <= expected
    first.close()
    second.close()


def test_reader_of_one_byte_at_a_time_gets_whole_lines(pipe: Ends) -> None:
    reader, writer = pipe
    sink = Sink(stream=writer)
    received, taken = b"", 0
    for line in LINES:
        taken += sink.write(line) == len(line)
        received += os.read(reader, 1)
    received += drain(reader)
    assert len(received.splitlines()) == taken
    assert set(received.splitlines(keepends=True)) <= set(LINES)
    sink.close()


# --- files ----------------------------------------------------------------------------------------


def test_full_device_takes_nothing() -> None:
    sink = Sink("/dev/full")
    assert sink.write(b"x\n") == 0
    assert sink.reason == os.strerror(errno.ENOSPC)
    sink.close()


def test_full_disk_cuts_a_line_and_the_next_begins_on_its_own(tmp_path: Path) -> None:
    """The first line after a full disk was glued to half of the last line before it."""
    path = tmp_path / "x.log"
    code = f"""
import os, resource
from nodepp.sink import Sink
sink = Sink({str(path)!r})
most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (10, most[1]))
assert sink.write(b"first\\nsecond\\n") == 6, sink.reason
assert sink.write(b"second\\n") == 0
assert sink.reason == os.strerror({errno.EFBIG}), sink.reason
resource.setrlimit(resource.RLIMIT_FSIZE, most)
assert sink.write(b"second\\n") == 7
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert path.read_bytes() == b"first\nseco\nsecond\n"


def test_file_is_appended_to_and_for_owner_and_group_only(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    for line in (b"one\n", b"two\n"):
        sink = Sink(str(path))
        assert sink.write(line) == 4
        sink.close()
    assert path.read_bytes() == b"one\ntwo\n"
    assert path.stat().st_mode & 0o007 == 0


def test_path_that_leads_to_a_standard_stream_is_that_stream(tmp_path: Path, stderr) -> None:
    """/dev/stderr cannot be opened where it is a socket, as under systemd; and a second
    description of a file would have written over what the application prints."""
    ours, theirs = socket.socketpair()
    stderr(theirs.fileno())
    link = tmp_path / "error.log"
    link.symlink_to("/dev/stderr")          # as images for containers have it
    for path in ("/dev/stderr", "/dev/fd/2", str(link)):
        sink = Sink(path)
        assert sink.write(b"x\n") == 2
        assert ours.recv(10) == b"x\n"
        sink.close()
    ours.close()
    theirs.close()


def test_file_that_stderr_is_sent_to_is_written_where_it_ends(tmp_path: Path, stderr) -> None:
    path = tmp_path / "out"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)      # as > does, without O_APPEND
    stderr(fd)
    os.close(fd)
    sink = Sink("/dev/stderr")
    sink.write(b"one\n")
    os.write(2, b"two\n")
    sink.write(b"three\n")
    sink.close()
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere" / "x"):
        with pytest.raises(OSError):
            Sink(str(path))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(OSError):
            Sink(str(tmp_path / "socket"))


# --- FIFOs ----------------------------------------------------------------------------------------


@pytest.fixture
def fifo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Its reader is looked for at each write."""
    monkeypatch.setattr(sink_module, "LOOK_S", 0.0)
    path = str(tmp_path / "fifo")
    os.mkfifo(path)
    return path


def read_end(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK)


def test_fifo_without_a_reader_is_opened_when_there_is_one(fifo: str) -> None:
    """The start waited until something opened the other end."""
    sink = Sink(fifo)
    assert sink.write(b"early\n") == 0
    assert sink.reason == "they have no reader"
    reader = read_end(fifo)
    assert sink.write(b"here\n") == 5
    assert os.read(reader, 100) == b"here\n"
    os.close(reader)
    sink.close()


def test_next_reader_of_a_fifo_gets_the_lines_that_come_then(fifo: str) -> None:
    reader = read_end(fifo)
    sink = Sink(fifo)
    assert sink.write(b"one\n") == 4
    os.close(reader)
    assert sink.write(b"two\n") == 0
    assert sink.write(b"three\n") == 0
    reader = read_end(fifo)
    assert sink.write(b"four\n") == 5
    assert os.read(reader, 100) == b"four\n"
    os.close(reader)
    sink.close()


def test_fifo_that_was_made_anew_is_found(fifo: str) -> None:
    reader = read_end(fifo)
    sink = Sink(fifo)
    sink.write(b"one\n")
    os.close(reader)
    os.unlink(fifo)
    assert sink.write(b"two\n") == 0
    assert sink.write(b"three\n") == 0
    assert not os.path.exists(fifo), "a file stands where the FIFO will be made"
    os.mkfifo(fifo)
    reader = read_end(fifo)
    assert sink.write(b"four\n") == 5
    os.close(reader)
    sink.close()


def test_a_reader_is_looked_for_once_a_second(fifo: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink_module, "LOOK_S", 3600.0)
    sink = Sink(fifo)
    reader = read_end(fifo)
    assert sink.write(b"x\n") == 0
    os.close(reader)
    sink.close()


# --- opened again ---------------------------------------------------------------------------------


def test_what_leads_there_still_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    sink = Sink(str(path))
    assert renewed(sink, str(path)) is sink
    path.rename(tmp_path / "x.log.1")
    sink.write(b"", 3)
    new = renewed(sink, str(path))
    assert new is not sink
    assert new.lost_count == 3              # what was not reported is not forgotten
    sink.close()
    new.close()


def test_a_stream_is_not_opened_a_second_time(pipe: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    """After privileges were dropped it could not be: the reload would have made it worse."""
    sink = Sink(stream=pipe[1])
    refuse_to_reopen(monkeypatch)
    assert renewed(sink, "", pipe[1]) is sink
    assert renewed(sink, f"/dev/fd/{pipe[1]}") is sink
    sink.close()


def test_a_child_writes_to_the_destination_and_not_to_a_number(tmp_path: Path) -> None:
    """A forked child closes what is the server's; the number is another file's then."""
    path, data = tmp_path / "x.log", tmp_path / "data"
    code = f"""
import os
from nodepp.sink import Sink
sink = Sink({str(path)!r})
sink.write(b"parent\\n")
if os.fork() == 0:
    os.close(sink.fd)
    assert os.open({str(data)!r}, os.O_WRONLY | os.O_CREAT) == sink.fd
    sink.write(b"child\\n")
    os._exit(0)
os.wait()
sink.write(b"parent\\n")
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert path.read_bytes() == b"parent\nchild\nparent\n"
    assert data.read_bytes() == b""
