"""Names that try to leave a folder, in every encoding: no answer ever holds a secret's bytes.

A real server on real files: secrets lie beside its folders, in hidden files, behind links that lead
out, and in files whose names another system would read as paths.
"""

from __future__ import annotations

import pathlib
import re

import pytest
from nodepprun import Run

SECRET = b"SECRET-no-answer-may-hold-this"
LARGE = 20_000                    # bytes; above what is kept in memory here

APP = f"""\
# {SECRET.decode()}
from nodepp import App

app = App()
app.serve("public", prefix="static")

@app.get("/route/{{rest:path}}")
def route(req, rest):
    return rest
"""

# One step upwards, as somebody has tried it somewhere.
STEPS = r"""
    ../ ..%2f ..%2F %2e%2e/ %2E%2E/ %2e%2e%2f .%2e/ %2e./ .%2e%2f %252e%252e/ %252e%252e%252f
    ..%252f ..%25252f %25%32%65%25%32%65/ %%32%65%%32%65/ %c0%ae%c0%ae/ %c0%ae%c0%ae%c0%af
    ..%c0%af ..%c1%9c ..%c1%af ..%c0%9v %c0%2e%c0%2e/ %e0%80%ae%e0%80%ae/ ..%e0%80%af
    %f0%80%80%ae%f0%80%80%ae/ ..%f0%80%80%af ..%fc%80%80%80%80%af %u002e%u002e/ %u002e%u002e%u002f
    ..%u2215 ..%u2216 ..%uEFC8 %uff0e%uff0e/ ..;/ ..;a=b/ ..%3b/ ..%3B/ ;/../ /;/.. .;./ ..;// ..\
    ..%5c ..%5C %2e%2e\ %2e%2e%5c ..%255c ..\/ ..%5c/ ..%5c%2f ....// ....\/ ..././ ...// .../
    ..../ ...../// ..%00/ ..%00%2f %00../ ../%00 ..%0d/ ..%0a/ ..%09/ ..%20/ %20../ ..%0d%0a/
    ..%7f/ ..%08/ ..%01/ ..// ../// /..// %2e%2e// .//../ ./../ ././../ x/../../ x//../../
    x/y/../../../ x%2f..%2f../ %ef%bc%8e%ef%bc%8e/ %ef%bc%8e%ef%bc%8e%ef%bc%8f ..%ef%bc%8f
    %e2%80%a5/ %e2%80%a4%e2%80%a4/ ..%e2%88%95 ..%e2%81%84 ..%e2%a7%b8 %e3%80%82%e3%80%82/
    %cc%81../ ..%cc%b8/ %ef%bb%bf../ 0x2e0x2e/ &#46;&#46;/ &period;&period;/ \x2e\x2e/
    %5cx2e%5cx2e/ \u002e\u002e/ =2e=2e/ ..|/ ..*/ ..!/ ..:/ ..,/ ..~/ ~/../ ~root/ $HOME/../
    %24HOME/../ ${PWD}/../ `pwd`/../ ..'/ .."/ \xc0\xae\xc0\xae/ \xef\xbc\x8e\xef\xbc\x8e/
    ..\xc0\xaf ..\xff/
""".split()

# What is wanted up there, from one and from two folders below.
TARGETS = ("secret.txt", "site/app.py", "site/res/.hidden", "app.py", "etc/passwd")
BASES = ("/", "/sub/", "/static/", "/sub/deep/", "/a.txt/", "/route/")
COUNTS = (1, 2, 3, 7)

# Names of their own; {root} is the absolute name of the folder that holds everything.
SINGLES = r"""
    /.hidden /.hidden.txt /.git/config /.git/ /.git /%2egit/config /.%67it/config /sub/.env
    /.GIT/config /sub/../.hidden /a.txt/../.hidden /./.hidden /x/../.hidden //.hidden /.//.hidden
    /%2f.hidden /static/.hidden /static/../.hidden /static/%2e%2e/.hidden /static/sub/../.hidden
    /link.txt /up/secret.txt /up/site/app.py /up/ /sub/absolute/secret.txt /sub/absolute/
    /chain/secret.txt /link-large.bin /static/link.txt /static/up/secret.txt /dangling.txt
    /loop/loop/a.txt /pipe {root}/secret.txt /{root}/secret.txt //{root}/secret.txt
    /%2f{root}/secret.txt /.{root}/secret.txt file://{root}/secret.txt file:{root}/secret.txt
    /file://{root}/secret.txt http:{root}/secret.txt http://a{root}/secret.txt
    http://a/../secret.txt http://a/..%2fsecret.txt http://a/%2e%2e/secret.txt
    http://../secret.txt http://a/sub/../../secret.txt http://a//{root}/secret.txt /app.py
    /site/app.py /npp.conf /res/a.txt /res/.hidden /../app.py /../npp.conf /res/../app.py
    /snippets/part.html /templates/page.html /../snippets/part.html /key.pem /../key.pem
    /res-secret/x.txt /../res-secret/x.txt /-secret/x.txt /%2e%2e/res-secret/x.txt
    /static-secret/x.txt /static/../static-secret/x.txt /public-secret/x.txt
    /static/..-secret/x.txt /back%5cslash.txt /back\slash.txt /back/slash.txt /%5csecret.txt
    /new%0aline.txt /tab%09.txt /c%01.txt /proc/self/environ /proc/self/cwd/app.py
    /../../../../../proc/self/environ /dev/fd/3 /dev/stdin C:/secret.txt /C:/secret.txt
    /C:%5csecret.txt /c:secret.txt //./C:/secret.txt //?/C:/secret.txt \\server\share\secret.txt
    //server/share/secret.txt /%5c%5cserver%5cshare /CON /aux.txt /NUL /com1.txt /PRN.
    /a.txt::$DATA /a.txt:secret /secret.txt::$DATA /.hidden::$DATA /a.txt. /a.txt.. /a.txt%20
    /a.txt%00 /a.txt%00.png /secret.txt%00.css /.hidden%00.txt /A.TXT /A~1.TXT /HIDDEN~1 /a.txt~
    /a.txt.bak /.a.txt.swp /%23a.txt%23 /a.txt;.hidden /;.hidden /a.txt?../../secret.txt
    /a.txt?file=/../secret.txt /?/../secret.txt /a.txt#/../secret.txt /.. /../ /%2e%2e /..%2f /.
    /./ /%2e /... /.... /..; /..; /..%00 /..%20 /..%5c .. ../ ../secret.txt ./../secret.txt
    secret.txt %2e%2e/secret.txt ..%2fsecret.txt \..\secret.txt * ** /* /*.txt /.* /sub/*
    /[a-z]ecret.txt /{{secret,a}}.txt /$(cat%20secret.txt) /|cat /sub/../../site/app.py
    /sub/%2e%2e/%2e%2e/site/app.py /sub/..%2f..%2fsecret.txt /static/..%2f..%2fsecret.txt
    /static/..%5c..%5csecret.txt /static%2f..%2f..%2fsecret.txt /static../secret.txt
    /static..%2fsecret.txt /static/%2e%2e/%2e%2e/secret.txt /static..;/secret.txt
    /static./../secret.txt /static/./../../secret.txt /static//../../secret.txt
    /static/../../secret.txt /index.html/../.hidden /index.html/..%2f.hidden
    /sub/index.html/../../.hidden /sub/./../.hidden
""".split()


def names(root: pathlib.Path) -> list[bytes]:
    """The whole table. Bytes above 127 are written \\xHH above."""
    found = [single.format(root=root) for single in SINGLES]
    for step in STEPS:
        for count in COUNTS:
            base = BASES[(len(found) + count) % len(BASES)]
            found.append(base + step * count + TARGETS[len(found) % len(TARGETS)])
            found.append("/" + step * count + TARGETS[0])
    found += [f"/{step * 500}secret.txt"
              for step in ("../", "%2e%2e/", "./", "x/../", "..%2f", "//")]
    found += [f"/{'sub/' * 40}{'../' * count}secret.txt" for count in (39, 40, 41, 42, 43)]
    return [re.sub(rb"\\x([0-9a-f]{2})", lambda match: bytes.fromhex(match[1].decode()),
                   name.encode()) for name in found]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> pathlib.Path:
    """root/site is served; everything with SECRET in it lies where it must not be found."""
    root = tmp_path_factory.mktemp("traversal")
    secrets = (
        "secret.txt etc/passwd site/npp.conf.secret site/key.pem site/snippets/part.html"
        " site/templates/page.html site/res-secret/x.txt site/public-secret/x.txt"
        " site/static-secret/x.txt -secret/x.txt"
        " site/res/.hidden site/res/.hidden.txt site/res/.git/config site/res/sub/.env"
        " site/public/.hidden site/res/.a.txt.swp"
    ).split()
    for name in secrets:
        put(root / name, SECRET)
    for name in ("back\\slash.txt", "new\nline.txt", "tab\t.txt", "c\x01.txt", "..\\secret.txt"):
        put(root / "site" / "res" / name, SECRET)
    put(root / "large-secret.bin", SECRET * (LARGE // len(SECRET) + 1))
    for name in ("a.txt", "index.html", "sub/b.txt", "sub/index.html", "sub/deep/c.txt"):
        put(root / "site" / "res" / name, b"public " + name.encode())
        put(root / "site" / "public" / name, b"public " + name.encode())
    put(root / "site" / "res" / "large.bin", b"public" * LARGE)
    put(root / "site" / "app.py", APP.encode())
    res = root / "site" / "res"
    for link, target in (
        ("link.txt", root / "secret.txt"), ("up", root), ("sub/absolute", root),
        ("chain", "up"), ("link-large.bin", root / "large-secret.bin"), ("dangling.txt", "nothing"),
        ("loop", "loop"), ("inside.txt", "a.txt"), ("relative.txt", "../../secret.txt"),
        ("hidden-behind.txt", ".hidden"),
    ):  # fmt: skip
        (res / link).symlink_to(target)
    for link, target in (("link.txt", root / "secret.txt"), ("up", "../..")):
        (root / "site" / "public" / link).symlink_to(target)
    return root


def put(path: pathlib.Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture(scope="module")
def server(root):
    with Run(root / "site", "app.py", "--static-memory", "10k") as server:
        yield server


def ask(server: Run, name: bytes, fields: bytes = b"") -> bytes:
    return server.converse(
        b"GET " + name + b" HTTP/1.1\r\nHost: a\r\n" + fields + b"Connection: close\r\n\r\n")


def test_the_table_is_long(root):
    table = names(root)
    assert len(set(table)) >= 900
    assert len(STEPS) >= 110
    assert len(SINGLES) >= 150


def test_what_is_public_is_served(server):
    """Or the rest of this file would prove nothing."""
    for path in ("a.txt", "index.html", "sub/b.txt", "sub/deep/c.txt"):
        for prefix in ("/", "/static/", "/x/../", "/%2e/"):
            assert server.get(prefix + path).body == b"public " + path.encode()
    assert server.get("/inside.txt").body == b"public a.txt"
    assert server.get("/large.bin").body == b"public" * LARGE
    assert server.get("/sub/").body == b"public sub/index.html"
    assert server.get("/route/a/../b").body == b"b"


def test_no_name_gets_a_secret(server, root):
    leaks = []
    statuses = set()
    for name in names(root):
        answer = ask(server, name)
        if SECRET[:12] in answer:
            leaks.append((name, answer[-200:]))
        match = re.match(rb"HTTP/1\.1 (\d\d\d) ", answer)
        assert match, f"{name!r} has no answer: {answer[:100]!r}"
        statuses.add(int(match[1]))
    assert leaks == []
    assert statuses <= {200, 301, 400, 404, 414}


def test_no_name_gets_a_secret_in_part(server, root):
    """Neither by a range, nor by HEAD, nor by a precondition."""
    chosen = [name for name in names(root) if b"secret" in name or b"hidden" in name][::7]
    for name in chosen:
        answer = ask(server, name, b"Range: bytes=0-20,22-40\r\n")
        assert SECRET[:12] not in answer, name
        assert not re.match(rb"HTTP/1\.1 (?:206|304)", answer), name
        answer = ask(server, name, b"If-None-Match: *\r\n")
        assert not re.match(rb"HTTP/1\.1 (?:206|304)", answer), name


def test_a_location_never_leads_to_another_host(server, root):
    for name in names(root):
        answer = ask(server, name)
        location = re.search(rb"(?i)\r\nlocation: ([^\r]*)\r\n", answer)
        assert not location or re.match(rb"/(?!/)[^\\]*$", location[1]), (name, location)


def test_hidden_and_outside_files_are_named_in_no_listing(server):
    """A folder without an index has no listing at all."""
    for path in ("/sub/deep/", "/static/sub/deep/", "/up/", "/.git/"):
        answer = server.get(path)
        assert answer.status == 404
        assert b"c.txt" not in answer.body


def test_a_file_that_appears_behind_a_link_later_is_not_served(server, root):
    """The watcher takes what comes into a folder by the same rules as the first reading."""
    res = root / "site" / "res"
    (res / "later.txt").symlink_to(root / "secret.txt")
    put(res / ".later", SECRET)
    put(res / "marker.txt", b"public marker")
    server.until(lambda: server.get("/marker.txt").status == 200, "the marker")
    assert server.get("/marker.txt").body == b"public marker"
    for name in (b"/later.txt", b"/.later"):
        assert SECRET not in ask(server, name)


@pytest.fixture(scope="module")
def folder_server(root):
    """`nodepp-run FOLDER`: a folder without an application, served as it is."""
    folder = root / "folder"
    for name in ("a.txt", "index.html", "sub/b.txt", "sub/index.html", "sub/deep/c.txt"):
        put(folder / name, b"public " + name.encode())
    for name in ("server.key", "npp.conf", "script.py", "sub/other.py", ".env", "sub/.htpasswd"):
        put(folder / name, b"# " + SECRET)
    for link, target in (("link.txt", root / "secret.txt"), ("up", root), ("sub/absolute", root),
                         ("chain", "up"), ("relative.txt", "../secret.txt")):
        (folder / link).symlink_to(target)
    with Run(root, str(folder)) as server:
        yield server


def test_a_folder_that_is_served_as_it_is_gives_no_secret_away(folder_server, root):
    """Keys, settings and programs in it are private by their names; the rest as above."""
    assert folder_server.get("/").body == b"public index.html"
    assert folder_server.get("/sub/deep/c.txt").body == b"public sub/deep/c.txt"
    private = b"/server.key /npp.conf /script.py /sub/other.py /.env /sub/.htpasswd".split()
    variants = [name.replace(b".", dot) for name in private for dot in (b"%2e", b"%2E")]
    doubled = [b"/x/.." + name for name in private] + [b"/." + name for name in private]
    for name in private + variants + doubled + names(root):
        assert SECRET[:12] not in ask(folder_server, name), name
    for name in private:
        assert folder_server.get(name.decode()).status == 404
