"""Which names are not for the public where the application's own folder is served, or a folder as
a site: source, settings, keys, databases, logs, and what editors and tools leave of those.

The one place of that rule. docs/statics.md tells it; res/, resmin/ and folders below the
application's that app.serve() names are public as a whole, for they were made to be.
"""

from __future__ import annotations

# By what the name ends with, after copies and packing were taken off (app.py.bak, dump.sql.gz).
# Text, JSON, XML, CSV, Markdown and certificates (.crt, .cer) are public: sites have them.
EXTENSIONS = frozenset(
    """
    wsgi py pyc pyo pyw pyi pyx pxd pxi pyd pyz pth so ipynb jinja jinja2 j2
    php phtml rb pl cgi asp aspx jsp
    conf cfg cnf config ini toml env yaml yml properties tf tfvars tfstate reg lock lockb
    key pem p8 p12 pfx jks keystore ppk pgpass ovpn kdb kdbx
    db db3 sqlite sqlite2 sqlite3 s3db sl3 sql dump rdb mdb accdb
    log pid sock htpasswd htaccess netrc npp
    """.split()
)

# What ends so is a copy that an editor, a merge or a person has made, of whatever.
COPIES = frozenset(
    "bak backup old orig save saved swp swo swn rej tmp temp part damaged new".split())
PACKED = frozenset("gz bz2 xz zst br lz4 z 7z zip".split())

# Whole names, and how others begin. Lower case.
NAMES = frozenset(
    """
    makefile gnumakefile procfile vagrantfile jenkinsfile rakefile gemfile pipfile justfile brewfile
    manifest.in package.json package-lock.json npm-shrinkwrap.json composer.json tsconfig.json
    authorized_keys known_hosts passwd shadow htpasswd nohup.out
    blacklist.txt whitelist.txt blocked.txt
    __pycache__ node_modules venv virtualenv site-packages
    """.split()
)
BEGINNINGS = ("dockerfile", "containerfile", "docker-compose", "id_rsa", "id_dsa", "id_ecdsa",
              "id_ed25519", "ssh_host_")
LISTS = ("requirements", "constraints")  # of packages: requirements-dev.txt

# Called so, also data is not for the public: secrets.json, credentials.xml, passwords.txt.
SECRETS = ("secret", "credential", "password", "service-account", "service_account")
DATA = frozenset(("", "json", "txt", "xml", "csv"))


def is_private(name: str) -> bool:
    """Whether a file or folder of that name (one part of a path) is not for the public."""
    name = name.lower()
    if name.endswith(("~", ".egg-info", ".dist-info")) or (name[:1] == "#" == name[-1:]):
        return True
    if name in NAMES or name.startswith(BEGINNINGS):
        return True
    stem, extension = _split(name)
    if extension in COPIES:
        return True
    while extension in PACKED or extension.isdigit():  # dump.sql.gz, access.log.1
        stem, extension = _split(stem)
    if extension in EXTENSIONS or extension in COPIES:
        return True
    if extension == "txt" and stem.startswith(LISTS):
        return True
    return extension in DATA and any(word in stem for word in SECRETS)


def _split(name: str) -> tuple[str, str]:
    """("app", "py"), also of "app.py-old" and "app.py (copy)"; ("makefile", "")."""
    stem, dot, last = name.rpartition(".")
    if not dot:
        return name, ""
    size = 0
    while size < len(last) and last[size].isalnum():
        size += 1
    return stem, last[:size]
