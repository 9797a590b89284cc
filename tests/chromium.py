"""A headless Chromium that tells what its network did: the DevTools protocol over two pipes.

No port and no WebSocket: with --remote-debugging-pipe it reads JSON from descriptor 3 and writes
it to descriptor 4, each message ended by a NUL.
"""

from __future__ import annotations

import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field

from waiting import DEADLINE_S

QUIET_S = 5.0                     # without an event after a page is there, but not all it needs
EXTRA_S = 0.5                     # the same, when all has ended, but not been told as on the wire
LATE_S = 0.1                      # the same, when all is told
NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--no-proxy-server", "--disable-background-networking", "--disable-component-update",
    "--disable-extensions", "--disable-sync", "--remote-debugging-pipe",
)  # fmt: skip

# Puts the ends of the pipes where the browser looks for them, and becomes the browser.
MOVE = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 10) for word in sys.argv[1:3]]
for place, end in zip((3, 4), ends):
    os.dup2(end, place)
    os.close(end)
os.execv(sys.argv[3], sys.argv[3:])
"""


def program() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)


@dataclass
class Exchange:
    """What became of one request of a page."""

    path: str
    kind: str = ""                   # Document, Stylesheet, Script, Image …
    status: int = 0                  # on the wire: 304 where the page is told 200
    fields: dict[str, str] = field(default_factory=dict)
    cached: bool = False             # answered out of the browser's own cache, without a request
    wire_size: int = 0               # bytes that came over the network, with the head
    sent: dict[str, str] = field(default_factory=dict)
    failed: str = ""
    finished: bool = False
    has_extra: bool = False          # what was on the wire has been told …
    awaits_extra: bool = False       # … which may come after the end, or never

    @property
    def is_told(self) -> bool:
        return self.cached or self.has_extra or not self.awaits_extra


class Chromium:
    """Use it as a context. load(url) gives all exchanges of a page."""

    def __init__(self, profile: pathlib.Path) -> None:
        environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        to_read, self._to = os.pipe()
        self._from, to_write = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-S", "-c", MOVE, str(to_read), str(to_write), program(), *OPTIONS,
             f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(to_read, to_write), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env=environment, start_new_session=True)  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        self._text = b""
        self._count = 0
        self._events: list[dict] = []
        self.session = ""
        try:
            self.forget()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *unused) -> None:
        self.close()

    def close(self) -> None:
        # With its children, and at once: asked to leave, it takes two seconds.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._to)
        os.close(self._from)

    def forget(self) -> None:
        """Goes on as somebody else, with an empty cache."""
        self.session = ""
        context = self.call("Target.createBrowserContext")["browserContextId"]
        target = self.call(
            "Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
        self.session = self.call(
            "Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Page", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params) -> dict:
        """The result of a command; events that come before it are kept."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            found = self._receive()
            assert found, f"the browser does not answer to {method}"
            if found.get("id") == self._count:
                assert "error" not in found, found
                return found["result"]
            self._events.append(found)

    def _receive(self, wait_s: float = DEADLINE_S) -> dict:
        """The next message; {} when none comes in time."""
        deadline = time.monotonic() + wait_s
        while b"\0" not in self._text:
            rest = deadline - time.monotonic()
            if rest <= 0:
                return {}
            if select.select([self._from], [], [], rest)[0]:
                data = os.read(self._from, 1 << 20)
                assert data, "the browser has ended"
                self._text += data
        message, _, self._text = self._text.partition(b"\0")
        return json.loads(message)

    def load(self, url: str) -> dict[str, Exchange]:
        """Goes to a page as a visitor does who clicks on a link to it, and waits until all that it
        needs is there: its exchanges by path."""
        return self._watch("Page.navigate", url=url)

    def reload(self) -> dict[str, Exchange]:
        """As a visitor who presses F5."""
        return self._watch("Page.reload")

    def act(self, expression: str) -> dict[str, Exchange]:
        """Lets a script do what leads to another page (submit a form, say), and waits for that."""
        return self._watch("Runtime.evaluate", expression=expression, userGesture=True)

    def cookies(self) -> dict[str, dict]:
        """The cookies of the page that is shown, by name, as the browser keeps them."""
        return {each["name"]: each for each in self.call("Network.getCookies")["cookies"]}

    def evaluate(self, expression: str):
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True,
                          awaitPromise=True)
        return found["result"].get("value")

    def _watch(self, method: str, **params) -> dict[str, Exchange]:
        exchanges: dict[str, Exchange] = {}
        self._events.clear()
        answer = self.call(method, **params)
        assert "exceptionDetails" not in answer, answer
        loaded = False
        while True:
            # Some events come late, and some of them never: it is silent, then.
            wait_s = patience_s(exchanges) if loaded else DEADLINE_S
            event = self._events.pop(0) if self._events else self._receive(wait_s)
            if not event:
                break
            if event.get("sessionId") != self.session:
                continue                   # of a page that was left: its scripts go on asking
            loaded = loaded or event.get("method") == "Page.loadEventFired"
            note(exchanges, event.get("method", ""), event.get("params", {}))
        assert loaded, f"the page is not there: {exchanges}"
        return {each.path: each for each in exchanges.values()}


def patience_s(exchanges: dict[str, Exchange]) -> float:
    """How long a page that is there may be silent before it counts as complete."""
    if not all(each.finished for each in exchanges.values()):
        return QUIET_S
    return LATE_S if all(each.is_told for each in exchanges.values()) else EXTRA_S


def note(exchanges: dict[str, Exchange], method: str, params: dict) -> None:
    """Adds what an event of the domain Network tells."""
    number = params.get("requestId", "")
    if method == "Network.requestWillBeSent":
        url = params["request"]["url"]
        before = exchanges.pop(number, None)
        if before is not None:            # it was sent elsewhere, under the same number
            before.status = params.get("redirectResponse", {}).get("status", before.status)
            before.finished = True
            exchanges[f"{number} to {before.path}"] = before
        if url.startswith("http"):
            path = "/" + url.split("/", 3)[3]
            exchanges[number] = Exchange(path, params.get("type", ""))
            exchanges[number].sent = lowered(params["request"]["headers"])
        return
    exchange = exchanges.get(number)
    if exchange is None:
        return
    if method == "Network.requestWillBeSentExtraInfo":
        exchange.sent = lowered(params["headers"])
    elif method == "Network.requestServedFromCache":
        exchange.cached = exchange.finished = True     # nothing more need come
    elif method == "Network.responseReceived":
        response = params["response"]
        exchange.status = exchange.status or response["status"]
        exchange.fields = exchange.fields or lowered(response["headers"])
        exchange.cached = exchange.cached or response.get("fromDiskCache", False)
        exchange.awaits_extra = params.get("hasExtraInfo", False)
    elif method == "Network.responseReceivedExtraInfo":
        exchange.status = params["statusCode"]
        exchange.has_extra = True
        exchange.fields = lowered(params["headers"])
    elif method == "Network.loadingFinished":
        exchange.wire_size = int(params["encodedDataLength"])
        exchange.finished = True
    elif method == "Network.loadingFailed":
        exchange.failed = params["errorText"]
        exchange.finished = True


def lowered(fields: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in fields.items()}
