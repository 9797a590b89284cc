"""Children that an application forks: in a handler, a stream, a hook; that end, or live on.

A handler ran `if os.fork() == 0: sys.exit(0)`. The child came out of the engine as a second server:
it took the entries of the epoll that both share, removed the unix socket and ran on_stop; one
connection had two answers, and the server never answered again. A child of multiprocessing kept
connections and the port open after the server had gone, and could not be ended by TERM.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import select
import signal
import socket
import sys
import warnings

import harness
import pytest
from nodepprun import Run

from nodepp import App, _core
from nodepp.sessions.header import STATE_OFFSET, STATE_SIZE, State
from nodepp.testing import Client

DEADLINE_S = 60.0


def fork() -> int:
    with warnings.catch_warnings():
        # "may lead to deadlocks in the child": threads of other tests, which only wait.
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def c_fork() -> int:
    """As C code forks: Python is not told."""
    return ctypes.CDLL(None).fork()


def status_of(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def descriptors(pid: int) -> dict[str, str]:
    folder = f"/proc/{pid}/fd"
    found = {}
    for name in os.listdir(folder):
        try:
            found[name] = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:      # closed meanwhile: the listing's own
            pass
    return found


class Forks:
    """Handlers that fork, for the harness. `pids`: children, as the parent knows them."""

    def __init__(self, how=fork) -> None:
        self.how = how
        self.pids: list[int] = []
        self.lived, self.into = os.pipe()      # a child that lives on writes when it begins

    def __call__(self) -> bool:
        """True in the child."""
        pid = self.how()
        if pid:
            self.pids.append(pid)
        return pid == 0

    def living(self) -> int:
        """The child that lives on, when the hooks of its fork have run."""
        assert select.select([self.lived], [], [], DEADLINE_S)[0] and os.read(self.lived, 1)
        return self.pids[-1]

    def __del__(self) -> None:
        os.close(self.lived)
        os.close(self.into)

    def returns(self, req):
        return b"child" if self() else b"parent"

    def exits(self, req):
        if self():
            sys.exit(3)
        return b"parent"

    def raises(self, req):
        if self():
            raise ValueError("in a child")
        return b"parent"

    def lives(self, req):
        if self():
            os.write(self.into, b"x")
            signal.alarm(int(DEADLINE_S))
            while True:
                signal.pause()
        return b"parent"

    def streams(self, req):
        yield b"one "
        yield b"child " if self() else b"two "
        yield b"three"

    def breaks(self, req):
        yield b"one "
        if self():
            sys.exit(3)
        yield b"two three"

    def begins(self, req):
        yield b"child" if self() else b"one two three"


def handlers(forks: Forks) -> dict:
    names = ("returns", "exits", "raises", "lives", "streams", "breaks", "begins")
    return {name: getattr(forks, name) for name in names}


GET = b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


# --- on every poller ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [fork, c_fork], ids=["os", "C"])
@pytest.mark.parametrize(
    ("path", "status"), [("returns", 0), ("exits", 3), ("raises", 1)])
def test_a_child_that_comes_back_ends_and_its_connection_has_one_answer(
        serve, how, path, status) -> None:
    forks = Forks(how)
    server = serve(handlers=handlers(forks))
    client = server.connect()
    client.send(GET % path.encode() + harness.requests_in(2))
    first, *others = client.responses("GET", "GET", "GET", count=3)
    assert first.body == b"parent" and [it.body for it in others] == [b"nothing"] * 2
    assert status_of(*forks.pids) == status
    assert server.connect().exchange(GET % b"get").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("path", "status"), [("streams", 0), ("breaks", 3), ("begins", 0)])
def test_a_child_of_a_stream_ends_and_the_stream_goes_on(serve, path, status) -> None:
    forks = Forks()
    server = serve(handlers=handlers(forks))
    client = server.connect()
    client.send(GET % path.encode())
    (response,) = client.responses("GET", count=1)
    assert response.body == b"one two three"
    assert status_of(*forks.pids) == status


def test_a_child_that_lives_on_holds_nothing_while_a_hundred_requests_are_served(serve) -> None:
    forks = Forks()
    server = serve(handlers=handlers(forks))
    idle, last = server.connect(), server.connect()
    idle.exchange(GET % b"get")
    last.send(LAST % b"lives")
    last.until_closed()                # the end of its connection comes though the child lives
    pid = forks.living()
    try:
        assert last.closed == "eof" and last.responses("GET")[0].body == b"parent"
        ours = {it for it in descriptors(os.getpid()).values() if it.startswith("socket")}
        theirs = descriptors(pid).values()
        # The clients are this process's own, and so is nothing else that it has.
        clients = {os.readlink(f"/proc/self/fd/{it.socket.fileno()}") for it in server.clients}
        assert ours & set(theirs) <= clients
        if server.engine.poller == "epoll":
            assert not any("eventpoll" in it for it in theirs)
        for _ in range(100):
            assert server.connect().exchange(LAST % b"get").startswith(b"HTTP/1.1 200")
        server.engine.stop(0)
        idle.until_closed()
        assert idle.closed == "eof"
    finally:
        os.kill(pid, signal.SIGKILL)
        status_of(pid)


@pytest.mark.parametrize("leave", ["return", "exit"])
def test_a_child_of_a_timer_a_reader_or_a_signal_ends(serve, leave) -> None:
    forks = Forks()

    def callback(*_) -> None:
        if forks() and leave == "exit":
            sys.exit(3)

    def alarm(*_) -> None:
        try:
            server.engine.turn(0)
        except RuntimeError:
            pass                       # a turn is under way: that is what is meant
        else:
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            return
        callback()

    server = serve()
    ready, into = os.pipe()
    before = signal.signal(signal.SIGALRM, alarm)
    try:
        server.engine.later(0.001, callback)
        server.until(lambda: len(forks.pids) == 1, "the timer")
        server.engine.add_reader(ready, lambda: (os.read(ready, 1), callback()))
        os.write(into, b"x")
        server.until(lambda: len(forks.pids) == 2, "the reader")
        signal.setitimer(signal.ITIMER_REAL, 0.001)
        while len(forks.pids) == 2:
            server.engine.turn(1000)
        assert [status_of(pid) for pid in forks.pids] == [3 if leave == "exit" else 0] * 3
    finally:
        signal.signal(signal.SIGALRM, before)
        server.engine.remove_reader(ready)
        os.close(ready)
        os.close(into)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the number of the system call")
def test_a_copy_of_a_connection_that_no_hook_could_close_does_not_delay_its_end(serve) -> None:
    forks = Forks()
    server = serve(handlers=handlers(forks))
    server.connect().exchange(GET % b"returns")            # from now on connections are shut down
    client = server.connect()
    client.exchange(GET % b"get")
    pid = ctypes.CDLL(None).syscall(57)                    # fork, past the C library's hooks
    if pid == 0:
        signal.alarm(int(DEADLINE_S))
        while True:
            signal.pause()
    try:
        client.send(LAST % b"get")
        client.until_closed()
        assert client.closed == "eof" and len(client.responses("GET", "GET")) == 2
    finally:
        os.kill(pid, signal.SIGKILL)
        assert [status_of(it) for it in (pid, *forks.pids)] == [-signal.SIGKILL, 0]


def test_an_upload_under_way_goes_on_after_a_fork(serve, tmp_path) -> None:
    forks = Forks()
    server = serve(handlers=handlers(forks), spool_size=1000, spool_dir=str(tmp_path))
    slow = server.connect()
    slow.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n" + b"a" * 25000)
    server.idle()
    server.connect().exchange(GET % b"lives")
    pid = forks.living()
    try:
        assert any(str(tmp_path) in it for it in descriptors(os.getpid()).values())
        assert not any(str(tmp_path) in it for it in descriptors(pid).values())
        slow.send(b"b" * 25000)
        assert slow.responses("POST", count=1)[0].body == b"a" * 25000 + b"b" * 25000
    finally:
        os.kill(pid, signal.SIGKILL)
        status_of(pid)


# --- the engine in a child ------------------------------------------------------------------------


def in_child(serve, work, **options) -> None:
    """Has `work(server)` done in a child that a handler has forked, and holds that it succeeds."""
    forks = Forks()
    box: list[harness.Server] = []

    def handler(req):
        if forks():
            work(box[0], req)
            os._exit(9)
        return b"parent"

    box.append(serve(handlers={"work": handler}, **options))
    assert box[0].connect().exchange(GET % b"work").startswith(b"HTTP/1.1 200")
    assert status_of(*forks.pids) == 9
    assert box[0].connect().exchange(GET % b"get").startswith(b"HTTP/1.1 200")


def test_the_engine_of_the_parent_says_that_it_is_not_the_childs(serve) -> None:
    def work(server, req) -> None:
        engine = server.engine
        assert not engine.running and not engine.stopping and engine.connection_count == 0
        assert engine.fileno() == -1 and req.path == "/work"
        ours = socket.socket()
        for call in (
            engine.turn, engine.run, engine.stop, engine.stats,
            lambda: engine.later(1, print), lambda: engine.every(1, print),
            lambda: engine.adopt(ours.fileno()), lambda: engine.publish(None),
            lambda: engine.add_reader(ours.fileno(), print),
            lambda: engine.set_lists(None, None), lambda: engine.set_access_log(2, 1),
        ):
            with pytest.raises(RuntimeError, match="forked from"):
                call()
        engine.remove_reader(ours.fileno())
        engine.flush_access_log()
        engine.close()

    in_child(serve, work)


def test_a_child_may_have_an_engine_of_its_own(serve) -> None:
    def work(server, req) -> None:
        app = App()
        app.get("/")(lambda req: "of the child")
        with Client(app) as client:
            assert client.get("/").text == "of the child"
            with pytest.raises(RuntimeError):
                str(req.path)          # the request of the parent's engine is over
            forks = Forks()
            app2 = App()
            app2.get("/")(forks.exits)
            with Client(app2) as second:
                assert second.get("/").text == "parent"
            assert status_of(*forks.pids) == 3

    in_child(serve, work)


def test_the_childs_own_engine_may_end_before_the_handler_does(serve_epoll) -> None:
    forks = Forks()

    def handler(req):
        if forks():
            app = App()
            app.get("/")(lambda req: "x")
            with Client(app) as client:
                client.get("/")
            return b"child"
        return b"parent"

    server = serve_epoll(handlers={"work": handler})
    client = server.connect()
    client.send(GET % b"work")
    assert client.responses("GET", count=1)[0].body == b"parent"
    assert status_of(*forks.pids) == 0


def test_an_engine_driven_by_hand_is_left_alone_by_a_child_between_two_turns(serve) -> None:
    server = serve()
    client = server.connect()
    client.exchange(GET % b"get")
    pid = fork()
    if pid == 0:
        try:
            with pytest.raises(RuntimeError, match="forked from"):
                server.engine.turn(0)
            server.engine.close()
            server.listener.close()
            os._exit(0)
        finally:
            os._exit(1)
    assert status_of(pid) == 0
    client.send(GET % b"get")
    assert len(client.responses("GET", "GET", count=2)) == 2


def test_a_fork_of_nodepps_own_keeps_everything(serve_epoll) -> None:
    server = serve_epoll()
    count = _core.fork_count()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = _core.fork_worker()
    if pid == 0:
        fine = server.engine.running and _core.fork_count() == count
        os._exit(0 if fine and os.readlink(f"/proc/self/fd/{server.engine.fileno()}") else 1)
    assert status_of(pid) == 0
    pid = fork()                       # the next one is an ordinary one again
    if pid == 0:
        os._exit(0 if _core.fork_count() == count + 1 else 1)
    assert status_of(pid) == 0


def test_owned_descriptors_are_replaced_so_that_a_second_close_hits_nobody() -> None:
    ours, theirs = socket.socketpair()
    _core.fork_own(ours.fileno())
    pid = fork()
    if pid == 0:
        replaced = os.readlink(f"/proc/self/fd/{ours.fileno()}") == "/dev/null"
        kept = os.readlink(f"/proc/self/fd/{theirs.fileno()}").startswith("socket")
        os._exit(0 if replaced and kept else 1)
    assert status_of(pid) == 0
    _core.fork_disown(ours.fileno())
    pid = fork()
    if pid == 0:
        os._exit(0 if os.readlink(f"/proc/self/fd/{ours.fileno()}").startswith("socket") else 1)
    assert status_of(pid) == 0
    ours.close()
    theirs.close()


def test_a_file_that_waits_for_the_disk_arrives_and_a_child_reads_by_itself(
        serve_epoll, tmp_path) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(1_500_000))
    snapshot = _core.Snapshot({"": {"/file": _core.Resource(
        None, "application/x-disk", etag="1", modified=1, path=str(file), size=1_500_000)}})
    server = serve_epoll(statics=snapshot)
    _core.probe_cold_files(True)
    _core.probe_hold_disk(True)
    client = server.connect()
    client.send(GET % b"file")
    server.until(lambda: server.stat("reads_ahead"), "the question to the helper")
    pid = fork()
    if pid == 0:
        try:                           # the lists of jobs were the parent's, the lock perhaps held
            _core.probe_hold_disk(False)
            own = harness.Server("epoll", statics=snapshot)
            mine = own.connect()
            mine.send(GET % b"file")
            os._exit(mine.responses("GET", count=1)[0].body != file.read_bytes())
        finally:
            os._exit(2)
    _core.probe_hold_disk(False)
    assert status_of(pid) == 0
    assert client.responses("GET", count=1)[0].body == file.read_bytes()


# --- the test client ------------------------------------------------------------------------------


def test_hooks_and_error_pages_that_fork_end_the_child() -> None:
    forks = Forks()
    app = App()

    @app.on_session_start
    def started(req):
        if forks():
            raise ValueError("in a child")

    @app.get("/session")
    def session(req):
        req.session["x"] = 1
        return "parent"

    @app.error(404)
    def missing(req, exc):
        if forks():
            sys.exit(4)
        return "missing"

    with Client(app) as client:
        assert client.get("/session").text == "parent"
        assert client.get("/nothing").text == "missing"
    assert [status_of(pid) for pid in forks.pids] == [1, 4]


def test_on_stop_belongs_to_the_process_that_was_started() -> None:
    stopped = []
    app = App()
    app.on_stop(lambda: stopped.append(1))
    app.get("/")(lambda req: "hello")
    with Client(app) as client:
        client.get("/")
        pid = fork()
        if pid == 0:
            client.close()
            os._exit(len(stopped))
        assert status_of(pid) == 0
    assert stopped == [1]


def test_a_child_of_on_start_ends_when_that_returns_or_raises() -> None:
    forks = Forks()
    app = App()
    app.get("/")(lambda req: "hello")
    app.on_start(lambda: forks() or None)

    @app.on_start
    def leaves() -> None:
        if forks():
            sys.exit("a word on stderr")

    with Client(app) as client:
        assert client.get("/").text == "hello"
    assert [status_of(pid) for pid in forks.pids] == [0, 1]


def test_the_node_way_forks_too() -> None:
    import types

    from nodepp import npp

    forks = Forks()
    module = types.ModuleType("forking")
    module.npp_app_main = lambda: npp.OUT("child" if forks() else "parent")
    module.npp_app_init = lambda: not forks() or sys.exit(5)
    with Client(module) as client:
        assert client.get("/").text == "parent"
    assert [status_of(pid) for pid in forks.pids] == [5, 0]


# --- nodepp-run -----------------------------------------------------------------------------------


APP = """\
import ctypes, json, multiprocessing, os, signal, subprocess, sys, threading, warnings
from nodepp import App, log

warnings.simplefilter("ignore", DeprecationWarning)
context = multiprocessing.get_context("fork")
app = App()
SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1]
BEFORE = [str(signal.SIG_DFL), str(signal.default_int_handler)] + [str(signal.SIG_DFL)] * 3

def ended(pid):
    return str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

if os.environ.get("FORK_AT_IMPORT"):
    pid = os.fork()
    if pid == 0:
        sys.exit(7)                     # out of the import, which is the server's
    print("import", ended(pid), file=sys.stderr)

@app.on_start
def start():
    pid = os.fork()
    if pid:
        print("on_start", ended(pid), file=sys.stderr)

@app.on_start
def start_early():
    if os.environ.get("EARLY"):         # a child that lives on, from before the engine is open
        context.Process(target=report, args=("early",), daemon=True).start()

@app.on_stop
def stop():
    print("on_stop", os.getpid(), file=sys.stderr)

@app.get("/")
def landing(req):
    return "hello"

@app.get("/count")
def count(req):
    return str(req.session.add("visits"))

@app.get("/count-in-child")
def count_in_child(req):
    pid = os.fork()
    if pid == 0:
        req.session.add("visits")
        os._exit(0)
    return ended(pid)

@app.get("/exit")
def leave(req):
    pid = os.fork()
    if pid == 0:
        print("the child prints")
        sys.exit(0)
    return ended(pid)

@app.get("/forkpty")
def forkpty(req):
    pid, fd = os.forkpty()
    if pid == 0:
        return "child"
    status = ended(pid)                 # before that end of its terminal is closed
    os.close(fd)
    return status

@app.get("/preexec")
def preexec(req):
    return str(subprocess.run(["true"], preexec_fn=os.setsid).returncode)

@app.get("/thread")
def thread(req):
    pids = []
    def work():
        pid = os.fork()
        if pid == 0:
            os._exit(0)                 # a last thread that returns would look for leaks in asan
        pids.append(pid)
    it = threading.Thread(target=work)
    it.start()
    it.join()
    return ended(*pids)

def square(number):
    return number * number

@app.get("/pool")
def pool(req):
    with context.Pool(2) as workers:    # its end sends TERM to them
        return str(sum(workers.map(square, range(4))) - 14)

def report(name):
    folder = "/proc/self/fd/"
    found = {}
    for fd in os.listdir(folder):
        try:
            found[fd] = os.readlink(folder + fd)
        except OSError:
            pass
    with open(name + ".new", "w") as file:
        json.dump({"signals": [str(signal.getsignal(it)) for it in SIGNALS] == BEFORE,
                   "wakeup": signal.set_wakeup_fd(-1), "descriptors": found,
                   "pid": os.getpid()}, file)
    log.err("a child writes")           # before the test goes on, and ends it
    os.rename(name + ".new", name)
    signal.alarm(100)
    while True:
        signal.pause()

other = App()
other.get("/")(lambda req: "the other one")

@app.get("/other")
def serve_other(req):
    it = context.Process(target=other.run, kwargs={"port": 0})
    it.start()
    app.other = it
    return "0"

@app.get("/end-other")
def end_other(req):
    app.other.terminate()
    app.other.join()
    return str(app.other.exitcode)

@app.get("/process")
def process(req):
    it = context.Process(target=report, args=("process",), daemon=True)
    it.start()
    return str(it.pid)

@app.get("/daemon")
def daemon(req):
    source, sink = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setsid()
        second = os.fork()              # a child of a child
        if second:
            os.write(sink, str(second).encode())
            return "the first child"
        report("daemon")
    ended(pid)
    number = os.read(source, 20)
    os.close(source)
    os.close(sink)
    return number.decode()

@app.get("/c-child")
def c_child(req):
    pid = ctypes.CDLL(None).fork()
    if pid == 0:
        report("c-child")
    return str(pid)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "app.py").write_text(APP)
    return tmp_path


def ask(run: Run, path: str, fields: str = "") -> str:
    response = run.get(path, fields)
    assert response.status == 200, response.body
    return response.body.decode()


def test_children_of_every_kind_leave_the_server_as_it_was(folder, monkeypatch) -> None:
    monkeypatch.setenv("FORK_AT_IMPORT", "1")
    sessions = folder / "sessions.npp"
    words = ("app.py", "--access-log", "--access-log-file", str(folder / "access.log"),
             "--log-file", str(folder / "error.log"), "--session-file", str(sessions),
             "--limit-sessions", "100", "--uds", "s")
    with Run(folder, *words) as run:
        run.wait_for("import 7(.|\n)*on_start 0")
        begun = run.get("/count", "User-Agent: Mozilla\r\n")
        cookie = (begun.get("set-cookie") or "").partition(";")[0]
        cookie = f"User-Agent: Mozilla\r\nCookie: {cookie}\r\n"
        assert ask(run, "/count-in-child", cookie) == "0"
        assert ask(run, "/count", cookie) == "3"           # the table is the same one
        for path in ("/exit", "/forkpty", "/preexec", "/thread", "/pool"):
            assert ask(run, path) == "0", path
            assert ask(run, "/") == "hello"
        assert ask(run, "/other") == "0"                   # a child may serve by itself
        port = run.wait_for(rf"http://127\.0\.0\.1:(?!{run.port})(\d+)(.|\n)*^Ready in")[1]
        with socket.create_connection(("127.0.0.1", int(port)), DEADLINE_S) as client:
            client.sendall(LAST % b"")
            assert client.recv(1000).endswith(b"the other one")
        assert ask(run, "/end-other") == "0"
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder / "s"))
            client.sendall(LAST % b"")
            assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert "on_stop" not in run.text
        assert not clean(sessions), "a child has said that the session file is not in use"
    assert run.text.count("on_stop") == 1
    assert not (folder / "s").exists() and clean(sessions)
    lines = (folder / "access.log").read_text().splitlines()
    assert len(lines) == 16, "each request has one line"


def clean(path) -> bool:
    state = State.unpack(path.read_bytes()[STATE_OFFSET:][:STATE_SIZE])
    assert state is not None
    return state.is_clean


def test_children_that_live_on_hold_nothing_of_a_server_and_outlive_it(
        folder, monkeypatch) -> None:
    monkeypatch.setenv("EARLY", "1")
    pids: dict[str, int] = {}
    with pytest.raises(Killed), Run(folder, "app.py", "--access-log", "--access-log-file",
                                    str(folder / "access.log")) as run:
        idle = run.connect()
        idle.sendall(GET % b"")
        assert idle.recv(1000).endswith(b"hello")
        before = descriptors(run.process.pid)
        try:
            for name in ("early", "process", "daemon", "c-child"):
                if name != "early":
                    pids[name] = int(ask(run, f"/{name}"))
                run.until(lambda name=name: ask(run, "/") and (folder / name).exists(), name)
                report = json.loads((folder / name).read_text())
                pids[name] = report["pid"]
                if name != "c-child":                      # Python was not told of that one
                    assert report["signals"] and report["wakeup"] == -1
                assert not kept(before) & {*report["descriptors"].values()}
            run.process.kill()                             # the server ends, and nothing else
            run.process.wait()
            assert idle.recv(1) == b""                     # FIN
            with socket.socket() as successor:
                successor.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                successor.bind(run.address)
                successor.listen()
        finally:
            idle.close()
            for name, pid in pids.items():                 # which ends them
                os.kill(pid, signal.SIGINT if name == "c-child" else signal.SIGTERM)
        raise Killed
    assert run.text.count("a child writes") == 4
    assert run.text.count("KeyboardInterrupt") == 1


def kept(found: dict[str, str]) -> set[str]:
    """What the descriptors of a process lead to, without the standard streams, also opened once
    more for a log, and without pipes of which it has one end: those are multiprocessing's.
    """
    streams = {found[name] for name in ("0", "1", "2") if name in found}
    places = [place for place in found.values() if place not in streams]
    return {it for it in places if not it.startswith("pipe") or places.count(it) == 2}


class Killed(Exception):
    """The server was: its end is not in order."""
