"""What is not served of the application's own folder, or of a folder that is a site."""

from __future__ import annotations

from pathlib import Path

import pytest
from nodepprun import Run

from nodepp.private import is_private
from nodepp.statics.tree import Walk

PRIVATE = """
app.py app.py~ app.py.bak app.py.orig app.py.old app.py.save app.py.swp #app.py# app.pyw app.pyi
app.pyc core.pyx core.pxd core.so notebook.ipynb app.py.1 app.py-old app.py.2024-01-01 APP.PY
app.py.gz app.wsgi page.html.jinja2 index.php nohup.out htpasswd
npp.conf npp.conf~ npp.conf.bak config.ini settings.cfg pyproject.toml prod.env web.config
docker-compose.yml openapi.yaml terraform.tfvars main.tfstate
server.key server.key.bak cert.pem x.p12 x.pfx x.jks vault.kdbx putty.ppk
id_rsa id_rsa.pub id_ed25519 id_ed25519.old authorized_keys ssh_host_rsa_key
data.db data.db-wal data.db-journal db.sqlite db.sqlite3 dump.sql dump.sql.gz all.dump
access.log access.log.1 access.log.2.gz server.pid
Dockerfile Dockerfile.prod Makefile Procfile Gemfile Gemfile.lock Pipfile poetry.lock uv.lock
requirements.txt requirements-dev.txt constraints.txt package.json package-lock.json tsconfig.json
secrets.json client_secret.json credentials.json passwords.txt google-service-account.json passwd
index.html.bak index.html~ style.css.orig
sessions.npp sessions.npp.new sessions.npp.damaged-20260101-120000
__pycache__ node_modules venv nodepp.egg-info
""".split()

PUBLIC = """
index.html page.htm app.css app.js app.min.js app.js.map logo.svg photo.jpg font.woff2 clip.mp4
robots.txt sitemap.xml feed.xml data.json config.json manifest.json manifest.webmanifest
table.csv notes.md README.md LICENSE humans.txt doc.pdf archive.zip archive.tar.gz jquery-3.7.1.js
python.html makefile.html secrets.html password.svg keyboard.js login.js db.html env.js logo.png
install.sh module.wasm chain.crt release.asc keyring.gpg tool.jar core
CNAME v1.2 changelog.1.html requirements.html page.1
""".split()


LISTS = ["blacklist.txt", "whitelist.txt", "blocked.txt", "blacklist.txt.bak",
         "blacklist.txt.123.tmp"]


@pytest.mark.parametrize("name", [*PRIVATE, *LISTS, "app.py (copy)", "app (copy).py"])
def test_private_names(name: str) -> None:
    assert is_private(name)


@pytest.mark.parametrize("name", [*PUBLIC, "a.b c", ".", "a.", "", "1", ".1", "#", "#a"])
def test_public_names(name: str) -> None:
    assert is_private(name) == (name == "#")


@pytest.mark.parametrize("words", [(".",), ("app.py", "--static", ".")], ids=["folder", "app"])
def test_an_application_s_own_folder_is_served_without_what_is_private(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    for name in {*PRIVATE, "sub"} - {"app.py", "npp.conf"}:
        if not Path(name).suffix and name in ("__pycache__", "node_modules", "venv", "sub"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "a.html").write_text(name)
        elif not (tmp_path / name).exists():
            (tmp_path / name).write_text(name)
    (tmp_path / "index.html").write_text("hello")
    if words[0] != ".":
        (tmp_path / "app.py").write_text("from nodepp import App\napp = App()\n")
    with Run(tmp_path, *words) as run:
        assert run.get("/index.html").body == b"hello"
        assert run.get("/sub/a.html").body == b"sub"
        for name in PRIVATE:
            path = "/" + name.replace("#", "%23")
            assert run.get(path).status == 404, name
        assert run.get("/node_modules/a.html").status == 404


def test_a_folder_made_for_the_public_is_public_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "dump.sql").write_text("")
    assert len(list(Walk(str(tmp_path), lambda level, message: None).files())) == 1
