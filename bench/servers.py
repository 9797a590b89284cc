"""A server under measurement: started on its core, awaited, read through /proc, ended by its own
process group.
"""

from __future__ import annotations

import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import peers
from exchange import Wrong, exchange
from places import CACHE, ROOT, SCRATCH, SITE
from workload import Workload

SERVER_CORE = 0
CLIENT_CORE = 1
START_SECONDS_MAX = 60  # the slowest peer takes 1.5; a loaded machine many times that
STOP_SECONDS_MAX = 5
PORTS = range(20_000, 32_768)  # below net.ipv4.ip_local_port_range


class NotStarted(Exception):
    """The server ended, or gave no answer in time; the message has its last words."""


def free_port() -> int:
    """A port that was free a moment ago. It is none of those that the kernel gives to a
    program that asks for any port, as others on this machine do all the time.
    """
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return port


@dataclass
class Server:
    """A running server and all its processes."""

    peer: peers.Peer
    port: int
    process: subprocess.Popen[bytes]
    started_ms: float  # exec to first 200

    def process_ids(self) -> list[int]:
        """The process and all its descendants."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += map(int, read(task).split())
        return found

    def cpu_ns(self) -> int:
        """Nanoseconds on the CPU so far, over all threads of all processes, as the scheduler counts
        them.

        A thread that has ended is no longer counted; the servers measured here keep theirs.
        """
        total = 0
        for pid in self.process_ids():
            for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
                total += int((read(task) or "0").split()[0])
        return total

    def resident_bytes(self) -> int:
        """Resident memory of all processes, each page counted in each process that has it.

        From smaps_rollup, which counts pages; the numbers of /proc/PID/statm lag by up to 64 pages
        a core.
        """
        total = 0
        for pid in self.process_ids():
            match = re.search(r"^Rss:\s+(\d+) kB", read(Path(f"/proc/{pid}/smaps_rollup")), re.M)
            total += int(match.group(1)) * 1024 if match else 0
        return total


def read(path: Path) -> str:
    """A file of /proc, or nothing when its process has just gone."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def launch(
    peer: peers.Peer, workload: Workload, answer: Path, settings: Mapping[str, object], home: Path
) -> peers.Launch:
    if peer.name == "nodepp" and workload.idle:
        settings = {"maxConnections": 12_000, **settings}  # the default is 10,000
    return peers.Launch(
        free_port(),
        workload.name,
        answer,
        workload.request_body_size,
        workload.churn,
        {**workload.settings, **settings},
        home,
        workload.app,
    )


@contextmanager
def serving(
    peer: peers.Peer,
    workload: Workload,
    answer: Path,
    settings: Optional[Mapping[str, object]] = None,
    home: Path = SITE,
    cache: Path = CACHE,
    seconds_max: float = START_SECONDS_MAX,
) -> Iterator[Server]:
    """Starts the peer on the server's core and gives it when it answers; ends all its processes
    afterwards.

    home: where its files are. cache: the folder that nodepp keeps codings in. seconds_max: to its
    first answer.
    """
    how = launch(peer, workload, answer, settings or {}, home)
    command = peer.command(peer, how)
    log_path = SCRATCH / f"{peer.name}.log"
    with open(log_path, "wb") as log:
        began = time.monotonic()
        process = spawn(command, log, peers.environment(home, cache))
        deadline = began + seconds_max
        try:
            started = wait_until_it_answers(process, how.port, workload, deadline, log_path)
            yield Server(peer, how.port, process, (started - began) * 1000)
        finally:
            end(process)


def spawn(command: list[str], log: object, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """Starts the command on the server's core.

    The affinity is inherited, not set by a helper between fork and exec: that helper (taskset,
    preexec_fn) would be part of the start-up time. Its own session, so that its process group can
    be ended as one.
    """
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {SERVER_CORE})
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,  # type: ignore[arg-type]
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=SCRATCH,
            start_new_session=True,
        )
    finally:
        os.sched_setaffinity(0, here)


def wait_until_it_answers(
    process: subprocess.Popen[bytes], port: int, workload: Workload, deadline: float, log: Path
) -> float:
    """The moment of the first answer with the right status. Asks every 0.5 ms, from the client's
    core.
    """
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotStarted(f"ended with status {process.returncode}: {last_words(log)}")
        try:
            request = workload.begin or workload.request
            exchange(port, request, START_SECONDS_MAX, status=workload.status)
            return time.monotonic()
        except OSError:
            time.sleep(0.0005)
        except Wrong as error:
            raise NotStarted(f"its first answer: {error}") from error
    raise NotStarted(f"no answer in time: {last_words(log)}")


def wait_until_listening(port: int) -> None:
    """For a server whose answer may be wrong on purpose."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.0005)
    raise NotStarted(f"nobody listens at port {port}")


def last_words(log: Path) -> str:
    """Of a server's log; a hint in parentheses is none."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    lines = [line for line in lines if line and not line.startswith("(")]
    return lines[-1].replace(str(ROOT), ".")[:200] if lines else "it said nothing"


def end(process: subprocess.Popen[bytes]) -> None:
    """TERM, and KILL for what is left of the process group (which is ours: start_new_session)."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            pass
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def core_idle_ticks(core: int) -> int:
    """Ticks (10 ms) in which a core had nothing to do."""
    for line in read(Path("/proc/stat")).splitlines():
        fields = line.split()
        if fields[0] == f"cpu{core}":
            return int(fields[4]) + int(fields[5])
    return 0
