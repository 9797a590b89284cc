"""Whom nodepp is measured against: how each is installed, started, and what it has no way to do.

Each Python peer lives in a virtual environment of its own below build/bench/venvs/, made with the
interpreter that runs nodepp. Versions are pinned: a figure names what it was measured with. A peer
that cannot be had is reported by name with the reason, in the table and in the JSON; none is
dropped in silence.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from places import APPS, BIN, CACHE, ROOT, SCRATCH, SITE, VENVS, MissingTool


@dataclass(frozen=True)
class Launch:
    """What a command line may depend on."""

    port: int
    workload: str
    answer: Path  # the recorded answer, for the limit
    request_body_size: int  # bytes after each request head, for the limit
    closes: bool  # the workload ends each connection after its answer
    settings: Mapping[str, object] = field(default_factory=dict)  # npp.conf keys, for nodepp
    home: Path = SITE  # where res/ and nginx/ are
    app: str = "app"  # which of the peer's applications: apps/PEER_APP.py


Command = Callable[["Peer", Launch], "list[str]"]


@dataclass(frozen=True)
class Peer:
    """One server. `without` names the workloads it has no way to do, with the reason that is
    printed.
    """

    name: str
    title: str
    command: Command
    packages: tuple[str, ...] = ()
    venv: str = ""  # empty: none is needed
    binary: str = ""  # a program that must be there
    hint: str = ""  # how to get what is missing
    without: Mapping[str, str] = field(default_factory=dict)
    dated: bool = True  # its answers carry a Date; else its title says that they do not
    state_in_cookie: bool = False  # the cookie is the session, signed; the server keeps nothing

    @property
    def python(self) -> str:
        return str(VENVS / self.venv / "bin" / "python")

    def script(self, name: str) -> str:
        return str(VENVS / self.venv / "bin" / name)


# ---- command lines ----


def limit(peer: Peer, launch: Launch) -> list[str]:
    command = [str(BIN / "limit"), "--port", str(launch.port), "--answer", str(launch.answer)]
    command += ["--body", str(launch.request_body_size)]
    return [*command, "--close"] if launch.closes else command


def nodepp_run() -> Path:
    """The command as it is installed beside the interpreter that runs the benchmark."""
    return Path(sys.executable).parent / "nodepp-run"


def nodepp(peer: Peer, launch: Launch) -> list[str]:
    command = [str(nodepp_run()), str(APPS / f"nodepp_{launch.app}.py"), "--port", str(launch.port)]
    for key, value in launch.settings.items():
        command += ["--set", f"{key}={value}"]
    return command


def wsgi_script(peer: Peer, launch: Launch) -> list[str]:
    return [peer.python, str(APPS / "wsgi_app.py"), peer.name, str(launch.port)]


def own_script(peer: Peer, launch: Launch) -> list[str]:
    return [peer.python, str(APPS / f"{peer.name}_{launch.app}.py"), str(launch.port)]


def uvicorn(name: str) -> Command:
    def command(peer: Peer, launch: Launch) -> list[str]:
        options = "--loop uvloop --http httptools --no-access-log --log-level warning"
        options += " --timeout-keep-alive 120"
        return [
            peer.script("uvicorn"),
            f"{name}_{launch.app}:app",
            *options.split(),
            *(
                "--app-dir",
                str(APPS),
                "--host",
                "127.0.0.1",
                "--port",
                str(launch.port),
                "--backlog",
                "4096",
            ),
        ]

    return command


def granian(interface: str) -> Command:
    def command(peer: Peer, launch: Launch) -> list[str]:
        options = (
            f"--interface {interface} --workers 1 --http 1 --no-ws --log-level error --backlog 4096"
        )
        options += " --backpressure 16384"  # the default stops at 4,096 connections
        # Several blocking threads do not help on one core; coroutines run on uvloop, as uvicorn's
        # do.
        options += " --loop uvloop" if interface != "wsgi" else " --blocking-threads 1"
        return [
            peer.script("granian"),
            *options.split(),
            *("--host", "127.0.0.1", "--port", str(launch.port), f"{interface}_app:app"),
        ]

    return command


def gunicorn(peer: Peer, launch: Launch) -> list[str]:
    # gthread: the sync worker has no keep-alive. One thread: more share one core and one
    # interpreter lock.
    options = (
        "--workers 1 --worker-class gthread --threads 1 --keep-alive 120 --worker-connections 15000"
    )
    return [
        peer.script("gunicorn"),
        *options.split(),
        *("--backlog", "4096", "--log-level", "error", "--chdir", str(APPS)),
        *("--bind", f"127.0.0.1:{launch.port}", f"flask_{launch.app}:app"),
    ]


def node(peer: Peer, launch: Launch) -> list[str]:
    return [found_program("node"), str(APPS / "node_app.js"), str(launch.port)]


def nginx(peer: Peer, launch: Launch) -> list[str]:
    folder = SCRATCH / f"nginx-{launch.port}"
    folder.mkdir(parents=True, exist_ok=True)
    text = (APPS / "nginx.conf.in").read_text()
    for name, value in (
        ("PORT", launch.port),
        ("FOLDER", folder),
        ("FILES", launch.home / "nginx"),
    ):
        text = text.replace(f"@{name}@", str(value))
    if os.geteuid() == 0:
        text = "user root;\n" + text  # else its worker, as nobody, may not read the checkout
    (folder / "nginx.conf").write_text(text)
    return [found_program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")]


def found_program(name: str) -> str:
    """Its path, or nothing. nginx is often where only root looks."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin") or ""


def environment(home: Path = SITE, cache: Path = CACHE) -> dict[str, str]:
    """The environment of every server. NPP_* is nodepp's; the others read the same files through
    BENCH_RES.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("NPP_")}
    return {
        **own,
        "NPP_DIR": str(home),
        "NPP_STATIC_CACHE": str(cache),
        "BENCH_RES": str(SITE / "res" / "static"),
        "PYTHONPATH": str(APPS),
    }


NO_PROGRAM = "nginx runs no program"

LIMIT = Peer("limit", "the limit (bare epoll loop in C)", limit)
NODEPP = Peer("nodepp", "nodepp", nodepp)

_UVICORN = "uvicorn[standard]==0.54.0"
_GRANIAN = "granian[uvloop]==2.8.7"

OTHERS = (
    Peer(
        "bjoern",
        "bjoern, WSGI (no Date)",
        wsgi_script,
        ("bjoern==3.2.2",),
        "bjoern",
        dated=False,
        hint="its build needs libev (on Debian: apt-get install libev-dev)",
    ),
    Peer("fastpysgi", "fastpysgi, WSGI", wsgi_script, ("fastpysgi==0.6",), "fastpysgi"),
    Peer("granian-rsgi", "granian, RSGI", granian("rsgi"), (_GRANIAN,), "granian"),
    Peer("granian-wsgi", "granian, WSGI", granian("wsgi"), (_GRANIAN,), "granian"),
    Peer("granian-asgi", "granian, ASGI", granian("asgi"), (_GRANIAN,), "granian"),
    Peer("socketify", "socketify", own_script, ("socketify==0.0.31",), "socketify"),
    Peer("uvicorn", "uvicorn, plain ASGI", uvicorn("asgi"), (_UVICORN,), "uvicorn"),
    Peer(
        "starlette",
        "uvicorn, Starlette",
        uvicorn("starlette"),
        (_UVICORN, "starlette==1.10.0", "itsdangerous==2.2.0"),
        "starlette",
        state_in_cookie=True,
    ),
    Peer(
        "fastapi",
        "uvicorn, FastAPI",
        uvicorn("fastapi"),
        (_UVICORN, "fastapi==0.165.0"),
        "fastapi",
    ),
    Peer(
        "flask",
        "gunicorn, Flask",
        gunicorn,
        ("gunicorn==27.0.1", "flask==3.1.3"),
        "flask",
        state_in_cookie=True,
    ),
    Peer(
        "aiohttp",
        "aiohttp on uvloop",
        own_script,
        ("aiohttp==3.14.5", "uvloop==0.23.0", "aiohttp-session==2.12.1", "cryptography==50.0.2"),
        "aiohttp",
        state_in_cookie=True,
    ),
    Peer("node", "Node.js http", node, binary="node", hint="on Debian: apt-get install nodejs"),
    Peer(
        "nginx",
        "nginx",
        nginx,
        binary="nginx",
        hint="on Debian: apt-get install nginx",
        without=dict.fromkeys(("json", "echo", "page", "dynamic-zstd", "dynamic-gzip"), NO_PROGRAM),
    ),
)

PEERS = {peer.name: peer for peer in (LIMIT, NODEPP, *OTHERS)}


# ---- installing ----


def ensure_installed(peer: Peer) -> None:
    """Makes the peer ready to start. Raises MissingTool, whose text is printed as the reason it is
    not measured.
    """
    if peer.name == "nodepp":
        if not nodepp_run().exists():
            raise MissingTool(
                f"nodepp is not installed beside {Path(sys.executable).name} (make build)"
            )
        return
    if peer.binary and not found_program(peer.binary):
        raise MissingTool(f"{peer.binary} is not installed ({peer.hint})")
    if peer.venv:
        ensure_venv(peer.venv, peer.packages, peer.hint)


def ensure_venv(name: str, packages: tuple[str, ...], hint: str = "") -> Path:
    """A virtual environment with these packages; made once, and again when the list changes.

    Raises MissingTool with pip's last word, and the hint, when they cannot be installed.
    """
    folder = VENVS / name
    wanted = f"{sys.version}\n" + "\n".join(packages)
    stamp = folder / "packages"
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([base, "-m", "venv", str(folder)], check=True)
    options = "-m pip --disable-pip-version-check install --quiet".split()
    command = [str(folder / "bin" / "python"), *options, *packages]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        reason = [line for line in done.stderr.splitlines() if line.strip()] or ["pip failed"]
        said = re.sub(r"https?://\S+", "the registry", reason[-1].strip())[:160]
        text = f"pip install {' '.join(packages)}: {said}"
        raise MissingTool(f"{text} ({hint})" if hint else text)
    stamp.write_text(wanted)
    return folder


def versions(peers: list[Peer]) -> dict[str, str]:
    """What was measured, by name: the pinned packages, or what the program says of itself."""
    found = {}
    for peer in peers:
        if peer.packages:
            found[peer.name] = ", ".join(peer.packages)
        elif peer.name == "nginx":
            said = subprocess.run(
                [found_program("nginx"), "-v"], capture_output=True, text=True
            ).stderr
            found["nginx"] = said.rpartition("nginx/")[2].strip()
        elif peer.binary:
            said = subprocess.run(
                [found_program(peer.binary), "--version"], capture_output=True, text=True
            ).stdout
            found[peer.name] = said.strip()
    return found
