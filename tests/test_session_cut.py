"""A session file that is cut, overwritten or replaced while a server uses it.

`truncate -s 0 sessions.npp` killed the server at the next request (SIGBUS), and so did `cp` of
another file onto it. The sessions are lost then; the server is not, and nobody gets another's.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys

import pytest
from nodepprun import Run
from processes import Child
from sessionfiles import Settings, files_of, packed, record, set_aside
from visitors import LOGIN_HANDLERS, Visits

from nodepp import _core
from nodepp.sessions.header import HEADER_SIZE
from nodepp.sessions.table import open_table

PAGE = os.sysconf("SC_PAGE_SIZE")


def cut_to_nothing(path):
    os.truncate(path, 0)


def cut_within_a_page(path):
    os.truncate(path, HEADER_SIZE + PAGE // 2)


def cut_by_a_page(path):
    os.truncate(path, path.stat().st_size - PAGE)


def write_random(path):
    path.write_bytes(random.Random(5).randbytes(path.stat().st_size))


def write_zeros(path):
    path.write_bytes(bytes(path.stat().st_size))


def write_text(path):
    path.write_text("this was a session file")


def grow(path):
    with open(path, "ab") as it:
        it.write(b"more")


def copy_another(path):
    """cp other.npp sessions.npp: the same inode with the content of another server's file."""
    other = path.with_name("other.npp")
    opened = open_table(Settings(other, 60), None, print)
    assert opened.table.restore(record(5, uid=77, data=packed(count=99)))
    opened.close()
    path.write_bytes(other.read_bytes())


LEFT = [cut_to_nothing, cut_within_a_page, cut_by_a_page, write_random, write_zeros, write_text,
        grow, copy_another]  # fmt: skip


class Site:
    """An engine in this process whose sessions lie in a file."""

    def __init__(self, path, capacity: int = 60) -> None:
        self.path, self.lines = path, []
        self.opened = open_table(Settings(path, capacity), None,
                                 lambda level, text: self.lines.append(text))
        self.visits = Visits(table=self.opened.table, handlers=LOGIN_HANDLERS)
        self.opened.begin(self.visits.server.engine)

    @property
    def table(self) -> _core.SessionTable:
        return self.opened.table

    def visitor(self):
        return self.visits.visitor()

    def look(self) -> None:
        """The next look at the file is due."""
        self.visits.skip(3)

    def close(self) -> None:
        self.visits.server.close()
        assert self.table.check() == []
        self.opened.close()


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path / "sessions.npp")
    yield site
    if site.opened._file is not None:
        site.close()


def who(visitor) -> int:
    """The uid that a handler sees."""
    response = visitor.get("/who")
    assert response.status == 200
    return int(response.body.split()[0])


def copy_at(capacity: int, slot: int, which: int, data_size: int) -> int:
    """Where one of the two copies of a slot begins: behind all heads, session_copy_t and data."""
    return capacity * 64 + (2 * slot + which) * (40 + data_size)


def visitors_of(site, count=20):
    visitors = [site.visitor() for _ in range(count)]
    for number, visitor in enumerate(visitors, 1):
        assert visitor.get(f"/login?uid={number}&name=n{number}").status == 200
    return visitors


@pytest.mark.parametrize("looks_first", [False, True], ids=["request first", "look first"])
@pytest.mark.parametrize("damage", LEFT)
def test_a_damaged_file_costs_the_sessions_and_nothing_else(site, damage, looks_first):
    visitors = visitors_of(site)
    damage(site.path)
    if looks_first:
        site.look()
    for number, visitor in enumerate(visitors, 1):
        # At worst it has not been noticed yet, and his own session is still there.
        assert who(visitor) in (0, number)
        assert visitor.get("/count").status == 200
    site.look()
    for visitor in visitors:
        assert who(visitor) == 0
        assert visitor.get("/login?uid=5").status == 200
        assert who(visitor) == 5
    assert len(site.lines) == 1 and site.lines[0].startswith(
        f"sessionFile={site.path}: damaged while in use: it")
    (aside,) = set_aside(site.path.parent)
    assert f" It was set aside as {site.path.parent / aside}. " in site.lines[0]
    assert not site.path.exists()
    site.look()
    assert len(site.lines) == 1


@pytest.mark.parametrize("damage", [cut_to_nothing, write_random])
def test_what_began_after_the_damage_is_there_after_a_restart(site, damage):
    visitors_of(site, 3)
    damage(site.path)
    site.look()
    visitors_of(site, 4)
    names = sorted(it[8] for it in site.table.records())
    site.close()
    again = open_table(Settings(site.path, 60), None, print)
    assert again.restored == 4 and again.table.check() == []
    assert sorted(it[8] for it in again.table.records()) == names
    again.close()


def remove(path):
    path.unlink()


def replace_by_an_empty_one(path):
    path.unlink()
    path.touch()


@pytest.mark.parametrize("change", [remove, replace_by_an_empty_one])
def test_a_file_that_lost_its_name_goes_on_and_is_written_anew(site, change):
    visitors = visitors_of(site, 5)
    change(site.path)
    site.look()
    site.look()
    assert [who(visitor) for visitor in visitors] == [1, 2, 3, 4, 5]
    assert site.lines == [
        f"sessionFile={site.path}: it was removed, or another file has its name. The sessions go"
        " on, and into a new file when the server stops."]
    site.close()
    again = open_table(Settings(site.path, 60), None, print)
    assert again.restored == 5
    again.close()


@pytest.mark.parametrize("content", [b"from nodepp import App\n", None], ids=["source", "sound"])
def test_another_file_of_that_name_is_left_alone(site, content):
    visitors_of(site, 5)
    site.path.unlink()
    if content is None:
        open_table(Settings(site.path, 60), None, print).close()
        content = site.path.read_bytes()
    else:
        site.path.write_bytes(content)
    site.close()
    assert site.path.read_bytes() == content
    assert site.lines[-1].endswith("5 sessions could not be kept.")
    assert files_of(site.path.parent) == ["sessions.npp"]


def test_a_file_that_is_cut_after_a_full_stop_is_a_start_with_an_empty_one(site):
    site.close()
    os.truncate(site.path, HEADER_SIZE)
    again = open_table(Settings(site.path, 60), None, lambda level, text: site.lines.append(text))
    assert "was set aside as" in site.lines[-1] and len(again.table) == 0
    again.close()


def test_sessions_that_are_overwritten_end_and_the_others_stay(site):
    """The head of the file is sound: only what was written over is lost."""
    visitors = visitors_of(site)
    memory = _core.probe_session_memory(site.table, False)
    for slot in range(0, 20, 2):
        for which in (0, 1):
            memory[copy_at(60, slot, which, 256) + 1] ^= 0x55       # of uid
    seen = [who(visitor) for visitor in visitors]
    assert seen[1::2] == list(range(2, 21, 2)) and seen[::2] == [0] * 10
    site.look()
    assert site.lines == [f"sessionFile={site.path}: others have written into it: 10 sessions had"
                          " to be ended."]
    assert site.table.check() == [] and len(site.table) == 10
    assert site.visits.stat("sessions_damaged") == 10


def test_a_hole_is_zeros_and_its_slots_are_used_again(site):
    visitors_of(site, 40)
    memory = _core.probe_session_memory(site.table, False)
    memory[: 30 * 64] = bytes(30 * 64)
    site.visits.skip(2)                              # the slots are compared with the index
    for _ in range(50):
        assert site.visitor().get("/count").status == 200
    site.visits.skip(3600)
    assert [site.visitor().get("/count").status for _ in range(60)] == [200] * 60
    assert site.table.check() == [] and len(site.table) == 60


def test_a_level_that_no_login_gives_opens_nothing(tmp_path):
    """A byte of the level is overwritten: 125 and above would open what is closed to all."""
    table = _core.SessionTable(4, 64)                # in memory there is no checksum
    site = Visits(table=table, handlers=LOGIN_HANDLERS, auth_rules=[("", "/who", 125)])
    visitor = site.visitor()
    visitor.get("/login?uid=1&level=124")
    assert visitor.get("/who").status == 403
    memory = _core.probe_session_memory(table, False)
    for which in (0, 1):
        memory[copy_at(4, 0, which, 64) + 20] = 126
    assert visitor.get("/who").status == 401
    site.close()


def begin_there(table, old: bytes) -> tuple[int, bool, bytes]:
    found = table.find(old)
    id = table.start()
    table.write(id, b"begun by a child")
    return found, table.file_left, id


def test_processes_that_share_a_damaged_file_share_what_takes_its_place(site):
    visitors_of(site, 5)
    table, old = site.table, site.table.ids()[0]
    os.truncate(site.path, 0)
    ids = []
    for _ in range(3):
        with Child(begin_there, table, old) as child:
            found, left, id = child.report()
        assert (found, left) == (-1, True)
        ids.append(id)
    site.visits.server.idle()                        # a turn is when this process follows
    assert sorted(table.ids()) == sorted(ids) and table.check() == []
    assert [table.read(id)[1] for id in ids] == [b"begun by a child"] * 3
    assert site.visitor().get("/count").body == b"1" and len(table) == 4


# --- a server -------------------------------------------------------------------------------------

APP = """
from nodepp import App
app = App()

@app.get("/login/{uid:int}")
def login(req, uid):
    req.session.login(uid, keep=True)
    return {}

@app.get("/who")
def who(req):
    return {"uid": req.session.uid}
"""


class Browser:
    def __init__(self, run: Run) -> None:
        self.run, self.cookie = run, ""

    def get(self, path: str):
        response = self.run.get(path, f"User-Agent: Mozilla\r\nCookie: {self.cookie}\r\n")
        for name, value in response.fields:
            if name.lower() == "set-cookie":
                self.cookie = value.partition(";")[0]
        assert response.status == 200
        return json.loads(response.body)


def test_a_server_whose_file_is_cut_and_overwritten_serves_on(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    path = tmp_path / "sessions.npp"
    words = ("app.py", "--session-file", "sessions.npp", "--limit-sessions", "100")
    with Run(tmp_path, *words) as run:
        ann = Browser(run)
        ann.get("/login/7")
        assert ann.get("/who") == {"uid": 7}
        os.truncate(path, 0)
        assert ann.get("/who") == {"uid": 0}
        ann.get("/login/8")
        assert ann.get("/who") == {"uid": 8}
        line = run.wait_for(r"^.*damaged while in use.*$")[0]
        assert f"sessionFile={path}: " in line
        assert re.search(r"it has 0 bytes instead of .* It was set aside as .*damaged-", line)
    with Run(tmp_path, *words) as again:
        ann.run = again
        assert ann.get("/who") == {"uid": 8}
    assert run.text.count("damaged") == 2            # and the name of the file in the same line


FAULT = """
import faulthandler, mmap, os, sys, tempfile
from nodepp import _core

def mapped(size):
    file = tempfile.TemporaryFile()
    os.ftruncate(file.fileno(), size)
    return file

size = _core.SessionTable.region_size(50, 64)
file = mapped(size)
if "before" in sys.argv:
    faulthandler.enable()
table = _core.SessionTable(50, 64, fd=file.fileno())
ids = [table.start() for _ in range(20)]
engine = _core.Engine({"sessions": table, "max_connections": 4}, _core.Router(), HOST())
if "after" in sys.argv:
    faulthandler.enable()
engine.open([])
os.ftruncate(file.fileno(), 0)
assert not any(table.find(id) >= 0 for id in ids)
assert table.file_left and table.start() and len(table) == 1 and table.check() == []
print("survived", flush=True)
other = mapped(8192)
memory = mmap.mmap(other.fileno(), 8192)
os.ftruncate(other.fileno(), 0)
memory[0]
print("not reached")
"""


@pytest.mark.parametrize("word", ["before", "after", "without"])
def test_a_fault_elsewhere_still_ends_the_process(word):
    """And faulthandler, which comes before or after us, says where."""
    host = "class HOST:\n    json_encode = json_decode = error = None\n    log = print\n"
    child = subprocess.run([sys.executable, "-c", host + FAULT, word], capture_output=True,
                           text=True, timeout=60, check=False)
    assert child.stdout == "survived\n", child.stderr
    if "libasan" in os.environ.get("LD_PRELOAD", ""):
        assert child.returncode != 0                 # it reports the fault in its own way
        return
    assert child.returncode == -signal.SIGBUS
    assert ("Fatal Python error: Bus error" in child.stderr) == (word != "without")
