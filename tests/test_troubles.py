"""What an operator can put right is in the log: at once, then once a minute with its number."""

from __future__ import annotations

import errno
import os
import resource

import harness
import pytest
from harness import requests_in
from nodepprun import Run

from nodepp import _core

GET = requests_in(1)
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n"
MINUTE_MS = 60_000


def lines_of(server: harness.Server) -> list[str]:
    return [message for _, message in server.app.logged]


def refuse_upload(server: harness.Server) -> int:
    client = server.connect()
    client.send(POST + b"x" * 3000)
    client.until_closed()
    return client.responses()[0].status


def test_a_spool_folder_that_is_not_there_is_told_with_its_name(serve, tmp_path) -> None:
    """Uploads got 503 for weeks, and no log had a word of it."""
    folder = tmp_path / "nowhere"
    server = serve(spool_dir=str(folder), spool_size=1000)
    server.idle()
    told = (f"spoolDir={folder}: No such file or directory. Bodies of more than 1,000 bytes"
            " (spoolSize) are answered 503")
    assert server.app.logged == [(1, told)], "told before the first upload"
    for _ in range(3):
        assert refuse_upload(server) == 503
    server.idle()
    assert lines_of(server) == [told], "once a minute"
    _core.probe_clock(MINUTE_MS)
    server.idle()
    (_, second) = lines_of(server)
    assert second.startswith(f"{told} (3 times in 6")
    _core.probe_clock(10 * MINUTE_MS)
    server.idle()
    assert len(lines_of(server)) == 2, "what was told is not told again"
    assert refuse_upload(server) == 503
    server.idle()
    assert lines_of(server)[2] == told


def test_a_folder_that_comes_is_used_without_a_restart(serve_epoll, tmp_path) -> None:
    server = serve_epoll(spool_dir=str(tmp_path / "later"), spool_size=1000)
    assert refuse_upload(server) == 503
    (tmp_path / "later").mkdir()
    client = server.connect()
    client.send(POST + b"x" * 5000)
    assert client.responses(count=1)[0].status == 200


def test_bodies_that_all_fit_into_memory_need_no_folder(serve_epoll, tmp_path) -> None:
    server = serve_epoll(spool_dir=str(tmp_path / "nowhere"), spool_size=1000, max_payload=1000)
    server.idle()
    assert lines_of(server) == []


def test_a_disk_that_is_full_is_told_with_the_reason(serve_epoll, tmp_path) -> None:
    """The limit of one file plays the full disk: both fail at the write."""
    server = serve_epoll(spool_dir=str(tmp_path), spool_size=100)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        assert refuse_upload(server) == 507
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert lines_of(server) == [
        f"spoolDir={tmp_path}: {os.strerror(errno.EFBIG)}. A body could not be kept: answering 507"]


def test_spent_buffer_memory_is_told_with_its_setting(serve) -> None:
    server = serve(buffer_memory=65536, body_timeout_ms=1000)
    clients = [server.connect() for _ in range(4)]
    for client in clients:
        client.send(POST.replace(b"5000", b"60000") + b"x" * 20000)
    server.idle()
    for client in clients:
        client.send(b"x" * 30000)
    server.idle()
    _core.probe_clock(2000)
    for client in clients:
        client.until_closed()
    assert 503 in [client.responses()[0].status for client in clients]
    assert any(line.startswith("bufferMemory, 65,536 bytes, is spent: answering 503")
               for line in lines_of(server))


def test_memory_that_the_system_refuses_is_told_as_such(serve_epoll) -> None:
    server = serve_epoll()
    _core.probe_fault("malloc", 1, errno.ENOMEM)
    client = server.connect()
    client.send(GET[:10])
    client.until_closed()
    assert client.responses()[0].status == 503
    assert lines_of(server) == [
        "the system gives no more memory: requests are answered 503, answers cut"]


def test_a_full_table_is_told_once_a_minute_with_its_setting(serve) -> None:
    """It was told every second, and without the name of the setting."""
    server = serve(max_connections=1)
    server.connect().exchange(GET)
    for _ in range(5):
        client = server.connect()
        client.exchange(GET)
        assert client.responses(count=1)[0].status == 503
    told = "the table of 1 connections is full: answering 503 (maxConnections)"
    assert lines_of(server) == [told]
    _core.probe_clock(1100)
    server.idle()
    assert lines_of(server) == [told]
    server.engine.close()
    assert len(lines_of(server)) == 2, "the end tells what is left"
    assert lines_of(server)[1].startswith(f"{told} (4 times in ")


@pytest.mark.parametrize(
    ("number", "text"),
    [(errno.EMFILE, "ulimit -n"), (errno.ENFILE, "fs.file-max"),
     (errno.ENOMEM, os.strerror(errno.ENOMEM))])
def test_a_pause_of_accepting_is_told_once_a_minute(serve, number, text) -> None:
    server = serve()
    _core.probe_fault("accept", 1, number, count=1_000_000)
    client = server.connect()
    client.send(GET)
    server.idle()
    for pauses in range(2, 5):
        _core.probe_clock(1100)
        server.until(lambda pauses=pauses: server.stat("accept_pauses") == pauses)
    (line,) = lines_of(server)
    assert text in line
    assert "ccepting is paused" in line
    _core.probe_fault_clear()
    _core.probe_clock(1100)
    assert client.responses(count=1)[0].status == 200


def test_a_file_that_cannot_be_opened_for_now_is_503_and_told_once(tmp_path) -> None:
    """Without descriptors, a large file was 404: caches and search engines forget such a page."""
    application = harness.Application()
    with harness.serving(statics=tmp_path, app=application) as server:
        def fail(resource):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        application.open_file = fail
        for _ in range(3):
            client = server.connect()
            client.send(requests_in(1, "/ten.txt"))
            assert client.responses(count=1)[0].status == 503
        server.idle()
        (line,) = lines_of(server)
    assert line.startswith(f"{tmp_path}/")
    assert line.endswith(": Too many open files: answering 503")


def test_an_upload_without_a_spool_folder_is_in_the_log_of_a_server(tmp_path) -> None:
    """The folder is named at the start, and again when uploads are refused."""
    (tmp_path / "app.py").write_text(
        "from nodepp import App\napp = App()\n"
        "@app.post('/up')\ndef up(req):\n    return str(len(req.body))\n")
    with Run(tmp_path, "--spool-dir", "nowhere", "--spool-size", "1k") as server:
        server.wait_for(rf"ERR spoolDir={tmp_path}/nowhere: No such file or directory\."
                        r" Bodies of more than 1,024 bytes \(spoolSize\) are answered 503$")
        answer = server.converse(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n"
                                 + b"x" * 2000)
        assert answer.startswith(b"HTTP/1.1 503 ")
        (tmp_path / "nowhere").mkdir()
        answer = server.converse(b"POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n"
                                 b"Connection: close\r\n\r\n" + b"x" * 5000)
        assert answer.endswith(b"\r\n\r\n5000")
