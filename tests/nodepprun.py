"""A nodepp-run in a process of its own, for tests that need files, clients and a server apart."""

from __future__ import annotations

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable

from responsereader import Response, read_responses
from waiting import DEADLINE_S, until

RUN = "from nodepp.cli import main; raise SystemExit(main())"


class Run:
    """Use it as a context: the server is stopped by SIGTERM in the end, and then its status is 0;
    unless end() was called, which gives the status.

    folder: where it starts. words: of the command line, beside the port. script: a program that
    calls app.run(port=0) instead, as `python script` starts it. ready: False does not wait until it
    serves.
    """

    program = RUN

    def __init__(
        self, folder: pathlib.Path, *words: str, script: str = "", ready: bool = True
    ) -> None:
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith("NPP_") and name not in ("PORT", "LISTEN_PID")}
        command = ["-c", self.program, *words, "--port", "0"]
        if script:
            command = [script, *words]
            kept.pop("PYTHONSAFEPATH", None)
        else:                          # or in a checkout its package, instead of the one under test
            kept["PYTHONSAFEPATH"] = "1"
        self.process = subprocess.Popen(
            [sys.executable, *command], cwd=folder, env=kept,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.text = ""
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if ready:
            try:
                self.wait_until_ready()
            except BaseException:
                self.process.kill()
                self._end()
                raise

    def wait_until_ready(self) -> None:
        ready = self.wait_for(r"http://[^\s:]+:(\d+)(?:.|\n)*^Ready in")
        self.port = int(ready[1])
        self.address = ("127.0.0.1", self.port)
        self.url = f"http://127.0.0.1:{self.port}"

    def _read(self) -> None:
        while data := os.read(self.process.stderr.fileno(), 65536):
            with self._more:
                self.text += data.decode("utf-8", "replace")
                self._more.notify_all()
        with self._more:
            self._more.notify_all()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Waits until its messages hold the pattern."""
        def found() -> object:
            return re.search(pattern, self.text, re.M) or not self._reader.is_alive()
        with self._more:
            self._more.wait_for(found, DEADLINE_S)
        match = re.search(pattern, self.text, re.M)
        assert match, f"{pattern!r} did not come; there is:\n{self.text}"
        return match

    def until(self, condition: Callable[[], object], what: str) -> None:
        """Asks until it holds."""
        try:
            until(condition, what)
        except AssertionError as problem:
            raise AssertionError(f"{problem}; the server said:\n{self.text}") from problem

    def connect(self) -> socket.socket:
        return socket.create_connection(self.address, timeout=DEADLINE_S)

    def converse(self, data: bytes) -> bytes:
        """All that comes back on a connection of its own, until the server closes it."""
        received = b""
        with self.connect() as client:
            try:
                client.sendall(data)
                while piece := client.recv(1 << 18):
                    received += piece
            except (BrokenPipeError, ConnectionResetError):
                pass                               # refused before all was sent
        return received

    def get(self, path: str, fields: str = "", method: str = "GET") -> Response:
        """The answer to one request on a connection of its own."""
        received = self.converse(
            f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{fields}Connection: close\r\n\r\n"
            .encode("latin-1"))
        (response,), rest = read_responses(received, (method,), closed=True)
        assert not rest, rest[:200]
        return response

    def end(self) -> int:
        """Waits for the end; the exit status."""
        status = self.process.wait(DEADLINE_S)
        self._end()
        return status

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind, error, traceback) -> None:
        if self.process.returncode is not None:
            self._end()
            return
        try:
            self.process.send_signal(signal.SIGTERM)
            status = self.process.wait(DEADLINE_S)
        finally:
            self._end()
        if kind is None:
            assert status == 0, self.text
            assert "Traceback" not in self.text, self.text

    def _end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(DEADLINE_S)
        self.process.stderr.close()
