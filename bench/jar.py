"""Visitors with a session: their cookies, as each server gave them."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator

from exchange import Answer, Wrong, decoded, read_answer
from places import SCRATCH
from servers import START_SECONDS_MAX, Server
from workload import Workload, with_cookie

BATCH = 64  # requests in one write, where a server takes that
COOKIES_MAX = 100  # of a server that keeps nothing: one cookie is as good as another


def session_options(server: Server, workload: Workload) -> list[str]:
    """Begins as many sessions as the workload has, and sees that they count. Gives the options that
    load.c asks with their cookies by.

    Raises Wrong when an answer is not what it must be.
    """
    cookies = begin(server, workload)
    path = SCRATCH / f"{workload.name}.cookies"
    path.write_text("\n".join(cookies) + "\n")
    options = ["--cookies", str(path)]
    if not workload.counts:
        answer = next(ask(server, workload.request, cookies[:1], workload.status))
        wrong = workload.check(decoded(answer))
        if wrong:
            raise Wrong(wrong)
        return [*options, "--body", str(len(answer.body))]
    step = 0 if server.peer.state_in_cookie else 1
    counts = [decoded(answer) for answer in ask(server, workload.request, [cookies[0]] * 2)]
    if counts != [b"2", b"%d" % (2 + step)]:
        raise Wrong(f"a session begun with 1 counts {counts!r}")
    return [*options, "--step", str(step)]


def begin(server: Server, workload: Workload) -> list[str]:
    """A cookie of each new session."""
    count = workload.sessions
    if server.peer.state_in_cookie:
        count = min(count, COOKIES_MAX)
    cookies = []
    for answer in answers(server, [workload.begin] * count):
        wrong = workload.check(decoded(answer)) if workload.counts else None
        cookie, _, _ = answer.fields.get(b"set-cookie", b"").partition(b";")
        if wrong or not cookie:
            raise Wrong(wrong or "a new visitor was given no cookie")
        cookies.append(cookie.decode("latin-1"))
    if workload.counts and len(set(cookies)) < count and not server.peer.state_in_cookie:
        raise Wrong("two visitors were given one session")
    return cookies


def ask(
    server: Server, request: bytes, cookies: Iterable[str], status: int = 200
) -> Iterator[Answer]:
    """The answer to the request with each of these cookies."""
    return answers(server, [with_cookie(request, cookie) for cookie in cookies], status)


def answers(server: Server, requests: list[bytes], status: int = 200) -> Iterator[Answer]:
    """The answers to many requests on one connection, in batches where the server takes them."""
    size = BATCH if server.peer.name == "nodepp" else 1
    try:
        with socket.create_connection(("127.0.0.1", server.port), START_SECONDS_MAX) as stream:
            for start in range(0, len(requests), size):
                batch, rest = requests[start : start + size], b""
                stream.sendall(b"".join(batch))
                for _ in batch:
                    answer, rest = read_answer(stream, rest)
                    if answer.status != status:
                        raise Wrong(f"status {answer.status}, body {answer.body[:60]!r}")
                    yield answer
    except OSError as error:
        raise Wrong(f"no whole answer ({error})") from error
