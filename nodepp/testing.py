"""A client that drives an App without a network: for the tests of an application.

    from nodepp.testing import Client

    def test_hello():
        with Client(app) as client:
            answer = client.get("/", params={"name": "Ann"})
            assert answer.status == 200
            assert "Hello Ann" in answer.text

Each request goes through the real engine: its bytes are written to one end of a socket pair, the
other end is adopted by a small Engine, and the answer is read by a strict reader, so that what a
test sees is what a browser would.
"""

from __future__ import annotations

import socket
from urllib.parse import quote, urlencode, urljoin, urlsplit

from .answers import ProtocolError, Response
from .app import App, import_core
from .sessions import open_table
from .testing_bodies import encode_body as encode_body
from .testing_bodies import pairs_of
from .testing_cookies import CookieJar as CookieJar
from .testing_host import TestHost
from .testing_sessions import session_config
from .testing_wire import converse, end
from .visitors import visitor_settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType, TracebackType
    from typing import Any, Union

    from ._core import Engine
    from .sessions import OpenedTable

    Pairs = Union[Mapping[str, Any], Iterable[tuple[str, Any]]]
    File = Any  # bytes, str, a file object, or a tuple (name, content[, content type])

REDIRECT_COUNT_MAX = 20  # as curl's browsers do: more is a loop
URL_SIGNS = "%/:=&?~#+!$,;'@()*[]|"  # beside letters and digits; a browser encodes all others
# For one answer, in real time. A stream that never ends is a failure of the test.
TIMEOUT_S = 10.0

# A table of one connection is enough: each request has its own. The rest is the engine's default.
SETTINGS: dict[str, Any] = {"max_connections": 8, "reserved_descriptors": 0, "poller": "poll"}


class Client:
    """Sends requests to an App.

    app: an App, or a module written in the Node++ way.
    base_url: gives scheme and host of each request, and the address that relative redirects start
    from.
    headers: fields sent with each request. client: the peer's address as req.client shows it.
    follow_redirects: what get() and the others do if they are not told.
    res, resmin: folders of static files. statics: settings of theirs by the names in Config, e.g.
    {"snippets": "snippets", "precompress": True}; nothing is compressed unless precompress says so.
    settings: of nodepp._core.Engine, e.g. {"max_payload": 1000}.
    session_settings: of sessions and levels, by the names of npp.conf or as in Config, e.g.
    {"csrf": True, "required_auth_level": "STAFF", "max_sessions": 2}.
    raise_exceptions: an exception that no error handler knows, of a handler or of an event of
    sessions, is raised from the request in the test.

    Sessions last from request to request, as the cookies do: a test logs in as a browser would, and
    client.cookies.clear() makes it another visitor. close() ends them.

    on_start handlers run at the first request, or at `with`; on_stop handlers at the end of `with`,
    or close().
    """

    def __init__(
        self,
        app: App | ModuleType,
        *,
        base_url: str = "http://localhost",
        headers: Mapping[str, str] | None = None,
        client: tuple[str, int] = ("127.0.0.1", 50000),
        follow_redirects: bool = False,
        res: str | None = None,
        resmin: str | None = None,
        statics: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        session_settings: Mapping[str, Any] | None = None,
        raise_exceptions: bool = False,
        timeout: float = TIMEOUT_S,
    ) -> None:
        if not isinstance(app, App):
            from .npp import app_from_module

            app = app_from_module(app)
        self.app = app
        self.base_url = base_url
        self.headers = dict(headers or {})
        self.client = client
        self.cookies = CookieJar()
        self.follow_redirects = follow_redirects
        self.timeout = timeout
        self._options = {"res": res or "", "resmin": resmin or "", **(statics or {})}
        self._given = settings or {}
        self._settings: dict[str, Any] = {}  # of the engine, when the application is started
        self._config = session_config(session_settings or {})
        self._sessions: OpenedTable | None = None
        self._host = TestHost(app) if raise_exceptions else app.host
        self._router: Any = None

    def __enter__(self) -> Client:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Runs the on_stop handlers, if the application was started. The next request would start
        it again.
        """
        if self._router is not None:
            self._router = None
            self.app.stop()
            if self.app.statics is not None:
                self.app.statics.end()
            assert self._sessions is not None
            self._sessions.close()
            self._sessions = None

    def _start(self) -> None:
        if self._router is None:
            from .statics import Options, Statics

            options: Any = Options(**self._options)
            statics = self.app.statics = Statics(self.app, options)
            router = self.app.freeze()
            sessions = open_table(self._config, self.app.session_class, self.app.host.log)
            try:
                self.app.start()
                statics.load()
                if options.precompress:
                    statics.precompress()
                visitors = visitor_settings(self.app, self._config, sessions.table)
            except BaseException:
                sessions.close()
                raise
            threshold = options.compress_threshold if options.compress else -1
            self._settings = {
                **SETTINGS, "compress_threshold": threshold, **visitors, **self._given
            }  # fmt: skip
            self._sessions, self._router = sessions, router

    def get(self, url: str, **options: Any) -> Response:
        """GET. For the options see request()."""
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Any) -> Response:
        """HEAD. For the options see request()."""
        return self.request("HEAD", url, **options)

    def post(self, url: str, **options: Any) -> Response:
        """POST. For the options see request()."""
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> Response:
        """PUT. For the options see request()."""
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> Response:
        """PATCH. For the options see request()."""
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> Response:
        """DELETE. For the options see request()."""
        return self.request("DELETE", url, **options)

    def options(self, url: str, **options: Any) -> Response:
        """OPTIONS. For the options see request()."""
        return self.request("OPTIONS", url, **options)

    def request(
        self,
        method: str,
        url: str,
        *,
        params: Pairs | None = None,
        headers: Pairs | None = None,
        cookies: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | str | Pairs | None = None,
        files: Mapping[str, File] | Iterable[tuple[str, File]] | None = None,
        follow_redirects: bool | None = None,
    ) -> Response:
        """Sends one request and gives its Response.

        url: a path with or without a query, or a whole URL. params: added to the query; a list as
        value repeats the name.
        cookies: sent with this request, beside those kept in the jar. json: a body as JSON. data: a
        body, bytes or str as it is, anything else as a form. files: name to content, (file name,
        content) or (file name, content, type), sent as multipart together with data. Raises
        ProtocolError for an answer that is no HTTP, TimeoutError for none.
        """
        target_url = self._whole_url(url)
        if params is not None:
            joint = "&" if urlsplit(target_url).query else "?"
            target_url = f"{target_url}{joint}{urlencode(pairs_of(params))}"
        body, content_type = encode_body(json, data, files)
        follows = self.follow_redirects if follow_redirects is None else follow_redirects
        fields = pairs_of(headers)
        history: list[Response] = []
        while True:
            answer = self._exchange(method, target_url, fields, cookies, body, content_type)
            answer.history = list(history)
            location = answer.headers.get("location")
            if not follows or location is None or answer.status not in (301, 302, 303, 307, 308):
                return answer
            if len(history) == REDIRECT_COUNT_MAX:
                raise ProtocolError(
                    f"more than {REDIRECT_COUNT_MAX} redirections, the last to {location}"
                )
            history.append(answer)
            target_url = urljoin(target_url, location)
            # RFC 9110 §15.4: 303 asks for GET, and browsers do so for a POST answered with 301 or
            # 302.
            if (answer.status == 303 and method != "HEAD") or (
                answer.status in (301, 302) and method == "POST"
            ):
                method, body, content_type = "GET", None, None

    def _whole_url(self, url: str) -> str:
        if "://" not in url.partition("?")[0]:
            # Not urljoin, which takes "//name/x" for another host: a test may want exactly that
            # path.
            url = self.base_url.rstrip("/") + (url if url.startswith("/") else f"/{url}")
        return quote(url, safe=URL_SIGNS)

    def _exchange(
        self,
        method: str,
        url: str,
        fields: list[tuple[str, str]],
        cookies: Mapping[str, str] | None,
        body: bytes | None,
        content_type: str | None,
    ) -> Response:
        parts = urlsplit(url)
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        sent = [("Host", parts.netloc), *self.headers.items()]
        jar = {**self.cookies.matching(path, parts.scheme == "https"), **(cookies or {})}
        if jar:
            sent.append(("Cookie", "; ".join(f"{name}={value}" for name, value in jar.items())))
        if content_type is not None:
            sent.append(("Content-Type", content_type))
        if body is not None or method in ("POST", "PUT", "PATCH"):
            sent.append(("Content-Length", str(len(body or b""))))
        given = {name.lower() for name, _ in fields}
        sent = [(name, value) for name, value in sent if name.lower() not in given] + fields
        head = "".join(f"{name}: {value}\r\n" for name, value in sent)
        data = f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")
        answer = self.send(data, method)
        answer.url = url
        for line in answer.headers.getlist("set-cookie"):
            self.cookies.store(line, path)
        return answer

    def send(self, data: bytes, method: str = "GET") -> Response:
        """Sends bytes as they are, one request, and reads the answer. method: what it is an answer
        to (HEAD has no body).
        """
        self._start()
        core = import_core()
        engine: Engine = core.Engine(self._settings, self._router, self._host)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            if self.app.statics is not None:
                engine.publish(self.app.statics.snapshot)
            engine.open([])
            try:
                self.app.engine = engine
                engine.adopt(theirs.detach(), self.client)
                answer = converse(engine, ours, data, method, self.timeout)
            finally:
                ours.close()
                end(engine)
                self.app.engine = None
        if isinstance(self._host, TestHost):
            self._host.raise_pending()
        return answer
