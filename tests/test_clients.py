"""Programs that people use, against nodepp-run in a process of its own.

A program that is not installed is skipped, and says so; the Python clients come with the extra
"test".
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import http.client
import io
import json
import os
import random
import re
import select
import shutil
import signal
import subprocess
import sys

import pytest
from waiting import DEADLINE_S, Deadline

APP = '''
import hashlib
from nodepp import App, Response

app = App()

@app.get("/")
def page(req):
    return """<!doctype html><title>waiting</title><p id=out></p><script>
    async function run() {
        const form = new FormData();
        form.append("name", "caf\\u00e9");
        form.append("file", new Blob(["x".repeat(100000)]), "a.txt");
        const sent = await (await fetch("/form", {method: "POST", body: form})).json();
        const streamed = await (await fetch("/stream")).text();
        const empty = await fetch("/empty");
        const query = await (await fetch("/query?a=[1]|{2}&b=%20")).json();
        document.title = "done";
        document.getElementById("out").textContent =
            JSON.stringify([sent, streamed.length, empty.status, query]);
    }
    run();
    </script>"""

@app.get("/hello")
def hello(req):
    return "hello"

@app.post("/echo")
def echo(req):
    return Response(req.body, content_type=req.content_type)

@app.put("/digest")
@app.post("/digest")
def digest(req):
    return {"size": len(req.body), "sha256": hashlib.sha256(req.body).hexdigest()}

@app.post("/form")
def form(req):
    files = {name: [file.filename, file.size] for name, file in req.files.items()}
    return {"form": dict(req.form.items()), "files": files}

@app.get("/query")
def query(req):
    return dict(req.query.items())

@app.get("/big")
def big(req):
    return b"0123456789abcdef" * 65536

@app.get("/stream")
def stream(req):
    return (b"%05d" % number for number in range(2000))

@app.get("/empty")
def empty(req):
    return 204, None

@app.get("/redirect")
def redirect(req):
    req.set_cookie("seen", "yes")
    req.redirect("/cookies")

@app.get("/cookies")
def cookies(req):
    return dict(req.cookies)

@app.get("/version")
def version(req):
    return req.http_version
'''
BIG = b"0123456789abcdef" * 65536
STREAM = b"".join(b"%05d" % number for number in range(2000))
BODY = random.Random(3).randbytes(2_500_000)
BOOK = b"".join(b"%d bottles of beer on the wall\n" % number for number in range(9000))
BODY_SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """host:port of a nodepp-run that serves APP; stopped by SIGTERM, and then its status is 0."""
    folder = tmp_path_factory.mktemp("clients")
    (folder / "app.py").write_text(APP)
    (folder / "res" / "sub").mkdir(parents=True)
    (folder / "res" / "book.txt").write_bytes(BOOK)
    (folder / "res" / "sub" / "index.html").write_text("<p>index")
    (folder / "res" / "large.bin").write_bytes(BODY)
    code = "from nodepp.cli import main; raise SystemExit(main())"
    server = subprocess.Popen(
        [sys.executable, "-c", code, "app.py", "--port", "0", "--precompress",
         "--static-memory", "1m", "--static-cache", str(folder / "cache")],
        cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield "127.0.0.1:" + read_port(server)
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=DEADLINE_S)
        assert server.returncode == 0, errors.decode()
        assert b"Traceback" not in errors, errors.decode()
    finally:
        if server.poll() is None:
            server.kill()
            server.communicate()


def read_port(server: subprocess.Popen) -> str:
    """From the banner's line `listen`; the banner is complete with its last line."""
    text = b""
    deadline = Deadline("the banner")
    while b"Ready in" not in text:
        if select.select([server.stderr], [], [], deadline.rest_s())[0]:
            data = os.read(server.stderr.fileno(), 65536)
            assert data, f"the server has ended: {text.decode()}"
            text += data
    match = re.search(rb"^ *listen +http://[^\s:]+:(\d+)", text, re.M)
    assert match, text.decode()
    return match[1].decode()


@pytest.fixture
def url(address):
    return f"http://{address}"


def run(program: str, *words: str, stdin: bytes = b"") -> bytes:
    """The output of a program, which must succeed."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    # The sanitizers are preloaded for our own process, not for others.
    environment = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    environment["no_proxy"] = "*"
    done = subprocess.run(
        [path, *words], input=stdin, capture_output=True, timeout=DEADLINE_S, env=environment,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr).decode("utf-8", "replace")[-2000:]
    return done.stdout


def curl(*words: str, stdin: bytes = b"") -> bytes:
    return run("curl", "-sS", "--fail", *words, stdin=stdin)


# curl

def test_curl_gets(url):
    assert curl(f"{url}/hello") == b"hello"
    assert curl(f"{url}/big") == BIG
    assert curl(f"{url}/stream") == STREAM


def test_curl_asks_for_the_head(url):
    head = curl("-I", f"{url}/big").decode()
    assert head.startswith("HTTP/1.1 200 OK\r\n")
    assert f"Content-Length: {len(BIG)}\r\n" in head


def test_curl_keeps_its_connection(url):
    counts = curl("-w", "%{stderr}", "-o", "/dev/null", "-w", "%{num_connects} ",
                  f"{url}/hello", "-o", "/dev/null", f"{url}/stream", "-o", "/dev/null",
                  f"{url}/empty", "-o", "/dev/null", f"{url}/hello")
    assert counts.split() == [b"1", b"0", b"0", b"0"]


def test_curl_speaks_http_1_0(url):
    assert curl("-0", f"{url}/version") == b"1.0"
    assert curl("-0", f"{url}/stream") == STREAM


@pytest.mark.parametrize("words", [(), ("-H", "Transfer-Encoding: chunked"), ("-H", "Expect:")])
def test_curl_uploads(url, words):
    """A large body makes curl expect 100-continue by itself."""
    answer = json.loads(curl("--data-binary", "@-", *words, f"{url}/digest", stdin=BODY))
    assert answer == {"size": len(BODY), "sha256": BODY_SHA256}


def test_curl_uploads_with_put(url):
    answer = json.loads(curl("-T", "-", f"{url}/digest", stdin=BODY))
    assert answer["sha256"] == BODY_SHA256


def test_curl_sends_forms(url, tmp_path):
    (tmp_path / "a.bin").write_bytes(BODY[:100_000])
    answer = json.loads(curl("-F", "name=caf\u00e9 & co", "-F", f"file=@{tmp_path}/a.bin",
                             f"{url}/form"))
    assert answer == {"form": {"name": "caf\u00e9 & co"}, "files": {"file": ["a.bin", 100_000]}}
    answer = json.loads(curl("--data-urlencode", "name=caf\u00e9 & co", f"{url}/form"))
    assert answer["form"] == {"name": "caf\u00e9 & co"}


def test_curl_follows_and_remembers(url, tmp_path):
    jar = str(tmp_path / "jar")
    assert json.loads(curl("-L", "-c", jar, "-b", jar, f"{url}/redirect")) == {"seen": "yes"}


def test_curl_learns_that_its_body_is_too_large(url):
    """It reads the answer instead of a reset."""
    size = str(20 * 1024 * 1024)
    status = run("curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:",
                 "-H", f"Content-Length: {size}", "--data-binary", "@-", f"{url}/digest",
                 stdin=b"x" * int(size))
    assert status == b"413"


# Clients in Python

def test_http_client(address):
    connection = http.client.HTTPConnection(address, timeout=DEADLINE_S)
    with contextlib.closing(connection):
        for method, path, body, expected in (
            ("GET", "/hello", None, b"hello"),
            ("POST", "/echo", BODY, BODY),
            ("POST", "/echo", iter([b"one", b"two"]), b"onetwo"),
            ("HEAD", "/big", None, b""),
            ("GET", "/empty", None, b""),
            ("GET", "/stream", None, STREAM),
        ):
            connection.request(method, path, body)
            answer = connection.getresponse()
            assert answer.read() == expected


def test_httpx(url):
    httpx = pytest.importorskip("httpx")
    with httpx.Client(base_url=url, trust_env=False, timeout=DEADLINE_S) as client:
        assert client.get("/hello").text == "hello"
        assert client.get("/stream").content == STREAM
        assert client.post("/echo", content=BODY).content == BODY
        assert client.post("/echo", content=iter([b"one", b"two"])).content == b"onetwo"
        assert client.get("/redirect", follow_redirects=True).json() == {"seen": "yes"}
        assert client.get("/empty").status_code == 204
        answer = client.post("/form", data={"a": "b"}, files={"f": ("n.txt", b"12345")})
        assert answer.json() == {"form": {"a": "b"}, "files": {"f": ["n.txt", 5]}}


def test_requests(url):
    requests = pytest.importorskip("requests")
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(f"{url}/hello", timeout=DEADLINE_S).text == "hello"
        assert session.get(f"{url}/stream", timeout=DEADLINE_S).content == STREAM
        assert session.post(f"{url}/echo", data=BODY, timeout=DEADLINE_S).content == BODY
        pieces = session.post(f"{url}/echo", data=iter([b"one", b"two"]), timeout=DEADLINE_S)
        assert pieces.content == b"onetwo"
        assert session.get(f"{url}/redirect", timeout=DEADLINE_S).json() == {"seen": "yes"}
        assert session.head(f"{url}/big", timeout=DEADLINE_S).headers["content-length"]


def test_urllib3_keeps_its_connection(address):
    urllib3 = pytest.importorskip("urllib3")
    host, port = address.split(":")
    with urllib3.HTTPConnectionPool(host, int(port), maxsize=1, timeout=DEADLINE_S) as pool:
        for path in ("/hello", "/stream", "/empty", "/big", "/hello") * 5:
            assert pool.request("GET", path).status in (200, 204)
        assert pool.num_connections == 1


def test_aiohttp_with_many_at_once(url):
    aiohttp = pytest.importorskip("aiohttp")

    async def fetch(session, number):
        async with session.post(f"{url}/echo", data=b"%d" % number) as answer:
            return await answer.read()

    async def work():
        connector = aiohttp.TCPConnector(limit=20)
        async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
            async with session.get(f"{url}/stream") as answer:
                assert await answer.read() == STREAM
            async with session.post(f"{url}/digest", data=io.BytesIO(BODY)) as answer:
                assert (await answer.json())["sha256"] == BODY_SHA256
            return await asyncio.gather(*(fetch(session, number) for number in range(200)))

    assert asyncio.run(work()) == [b"%d" % number for number in range(200)]


# Static files: codings, ranges, conditions, as each client asks for them.

@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_curl_decodes_a_static_file(url, coding):
    """--compressed decodes what curl was built with; the other codings are decoded here."""
    features = run("curl", "--version").decode()
    built = {"gzip": "libz", "br": "brotli", "zstd": "zstd"}[coding] in features
    words = ("-H", f"Accept-Encoding: {coding}") + (("--compressed",) if built else ())
    head = curl("-I", "-H", f"Accept-Encoding: {coding}", f"{url}/book.txt").decode()
    assert f"Content-Encoding: {coding}\r\n" in head
    body = curl(*words, f"{url}/book.txt")
    assert decoded(body, "" if built else coding) == BOOK


def decoded(body: bytes, coding: str) -> bytes:
    if coding == "gzip":
        return gzip.decompress(body)
    if coding == "br":
        return pytest.importorskip("brotli").decompress(body)
    if coding == "zstd":
        return pytest.importorskip("zstandard").ZstdDecompressor().decompress(body)
    return body


def test_curl_gets_ranges(url):
    assert curl("-r", "5-9", f"{url}/book.txt") == BOOK[5:10]
    assert curl("-r", "-7", f"{url}/large.bin") == BODY[-7:]
    assert curl("-r", "2499990-", f"{url}/large.bin") == BODY[2_499_990:]
    parts = curl("-r", "0-1,1000000-1000004", f"{url}/large.bin")
    assert BODY[:2] in parts and BODY[1_000_000:1_000_005] in parts


def test_curl_resumes_a_download(url, tmp_path):
    for name, whole in (("book.txt", BOOK), ("large.bin", BODY)):
        path = tmp_path / name
        path.write_bytes(whole[:100_001])
        curl("-C", "-", "-o", str(path), f"{url}/{name}")
        assert path.read_bytes() == whole


def test_curl_keeps_tags_and_dates(url, tmp_path):
    """--etag-compare and -z: nothing is downloaded a second time."""
    tag, body = str(tmp_path / "tag"), str(tmp_path / "body")
    curl("--etag-save", tag, "-o", body, f"{url}/book.txt")
    for words in (("--etag-compare", tag), ("-z", body)):
        said = curl("-R", *words, "-o", "/dev/null", "-w", "%{http_code} %{size_download}",
                    f"{url}/book.txt")
        assert said == b"304 0"


def test_curl_follows_to_the_slash(url):
    assert curl("-L", f"{url}/sub?a=1") == b"<p>index"
    said = curl("-o", "/dev/null", "-w", "%{redirect_url}", f"{url}/sub?a=1")
    assert said == f"{url}/sub/?a=1".encode()


def test_wget_mirrors_and_continues(url, tmp_path):
    (tmp_path / "large.bin").write_bytes(BODY[:1_234_567])
    run("wget", "-q", "-c", "-P", str(tmp_path), f"{url}/large.bin")
    assert (tmp_path / "large.bin").read_bytes() == BODY


def test_requests_and_urllib3_decode_static_files(url):
    requests = pytest.importorskip("requests")
    with requests.Session() as session:
        session.trust_env = False
        answer = session.get(f"{url}/book.txt", timeout=DEADLINE_S)
        assert answer.content == BOOK
        assert answer.headers["content-encoding"] in ("gzip", "br", "zstd")
        tag = answer.headers["etag"]
        fields = {"If-None-Match": tag}
        assert session.get(f"{url}/book.txt", headers=fields, timeout=DEADLINE_S).status_code == 304
        part = session.get(f"{url}/large.bin", headers={"Range": "bytes=9-19"}, timeout=DEADLINE_S)
        assert (part.status_code, part.content) == (206, BODY[9:20])
        assert session.get(f"{url}/sub", timeout=DEADLINE_S).url == f"{url}/sub/"


def test_httpx_decodes_static_files(url):
    httpx = pytest.importorskip("httpx")
    with httpx.Client(base_url=url, trust_env=False, timeout=DEADLINE_S) as client:
        answer = client.get("/book.txt")
        assert answer.content == BOOK
        assert answer.headers["content-encoding"] in ("gzip", "br", "zstd")
        assert client.get("/book.txt", headers={"Accept-Encoding": "identity"}).content == BOOK
        assert client.get("/large.bin", headers={"Range": "bytes=-3"}).content == BODY[-3:]
        beyond = client.get("/large.bin", headers={"Range": f"bytes={len(BODY)}-"})
        assert (beyond.status_code, beyond.headers["content-range"]) == (
            416, f"bytes */{len(BODY)}")


def test_aiohttp_decodes_static_files(url):
    aiohttp = pytest.importorskip("aiohttp")

    async def work():
        async with aiohttp.ClientSession(trust_env=False) as session:
            async with session.get(f"{url}/book.txt") as answer:
                assert answer.headers["Content-Encoding"] in ("gzip", "br", "zstd", "deflate")
                assert await answer.read() == BOOK
            async with session.get(f"{url}/large.bin", headers={"Range": "bytes=1-5"}) as answer:
                assert (answer.status, await answer.read()) == (206, BODY[1:6])
            return await asyncio.gather(*(fetch(session, number) for number in range(60)))

    async def fetch(session, number):
        start = number * 40_000
        fields = {"Range": f"bytes={start}-{start + 39_999}"}
        async with session.get(f"{url}/large.bin", headers=fields) as answer:
            return await answer.read()

    assert b"".join(asyncio.run(work())) == BODY[:2_400_000]


def test_http_client_asks_for_the_head_of_a_static_file(address):
    connection = http.client.HTTPConnection(address, timeout=DEADLINE_S)
    with contextlib.closing(connection):
        for path, size in (("/book.txt", len(BOOK)), ("/large.bin", len(BODY))):
            connection.request("HEAD", path)
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b"")
            assert answer.headers["Content-Length"] == str(size)
            assert answer.headers["Accept-Ranges"] == "bytes"


# Programs that measure; here they only have to be content.

def test_ab_with_and_without_keep_alive(url):
    """ab speaks HTTP/1.0."""
    kept = run("ab", "-q", "-k", "-n", "300", "-c", "5", f"{url}/hello").decode()
    assert re.search(r"Complete requests: +300\n", kept), kept
    assert re.search(r"Failed requests: +0\n", kept), kept
    assert re.search(r"Keep-Alive requests: +300\n", kept), kept
    assert "Non-2xx" not in kept
    closed = run("ab", "-q", "-n", "100", "-c", "5", f"{url}/stream").decode()
    assert re.search(r"Complete requests: +100\n", closed), closed
    assert re.search(r"Failed requests: +0\n", closed), closed


def test_wrk(url):
    said = run("wrk", "-t1", "-c8", "-d1s", f"{url}/hello").decode()
    assert re.search(r"[1-9]\d* requests in", said), said
    assert "Socket errors" not in said
    assert "Non-2xx" not in said


@pytest.mark.parametrize("path", ["/hello", "/stream", "/big", "/book.txt", "/large.bin"])
def test_h2load_over_http_1_1(url, path):
    said = run("h2load", "--h1", "-n", "200", "-c", "4", "-m", "8", f"{url}{path}").decode()
    assert "200 total, 200 started, 200 done, 200 succeeded, 0 failed, 0 errored" in said
    assert "200 2xx" in said


# A browser

def test_chromium_shows_a_page_that_talks_back(url, tmp_path):
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next(filter(shutil.which, names), "chromium")
    page = run(
        program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--no-first-run", "--no-proxy-server", f"--user-data-dir={tmp_path}/profile",
        "--virtual-time-budget=20000", "--dump-dom", f"{url}/",
    ).decode()  # fmt: skip
    assert "<title>done</title>" in page, page
    found = json.loads(re.search(r"<p id=\"out\">(.*?)</p>", page)[1].replace("&quot;", '"'))
    sent, streamed, empty, query = found
    assert sent == {"form": {"name": "caf\u00e9"}, "files": {"file": ["a.txt", 100_000]}}
    assert (streamed, empty) == (len(STREAM), 204)
    assert query == {"a": "[1]|{2}", "b": " "}
