"""The watchdog by itself, in this process: its pipes, its thread, its end. What it does for a
server is in test_hanging.py and test_slow.py.
"""

from __future__ import annotations

import os
import select
import signal
import threading

import pytest
from processes import Child
from waiting import until

from nodepp import _core

LOOK_S = 10.0                    # for a byte to come through another thread


def nothing(*told: object) -> None:
    pass


@pytest.fixture
def watchdog():
    it = _core.Watchdog(nothing, 0)
    yield it
    it.close()


def threads() -> set[str]:
    """Numbers of this process's threads."""
    return set(os.listdir("/proc/self/task"))


def received(fd: int) -> bytes:
    assert select.select([fd], [], [], LOOK_S)[0], "nothing came"
    return os.read(fd, 100)


def test_signals_go_through_it_to_the_engine(watchdog):
    os.write(watchdog.signal_fd, bytes([signal.SIGHUP, signal.SIGINT]))
    assert received(watchdog.wakeup_fd) == bytes([signal.SIGHUP, signal.SIGINT])
    assert watchdog.signals == 1


def test_two_signals_of_which_python_made_one_are_two(watchdog):
    """An impatient Ctrl-C Ctrl-C, or a supervisor that sends TERM to the whole group and forwards
    it too, was one signal to the server when both came before Python looked."""
    os.write(watchdog.signal_fd, bytes([signal.SIGTERM, signal.SIGTERM]))
    assert watchdog.signals == 2
    watchdog.begin("a test")           # it came back: this process lives on


def test_there_is_one_at_a_time_and_none_is_left(watchdog):
    """Threads of other tests may end meanwhile: this looks at the one that a watchdog adds."""
    with pytest.raises(RuntimeError):
        _core.Watchdog(nothing, 0)
    watchdog.close()
    watchdog.close()                   # nothing happens
    before = threads()
    again = _core.Watchdog(nothing, 0)
    (own,) = threads() - before
    assert again.watching
    again.close()
    until(lambda: own not in threads(), "the end of its thread")


def test_its_thread_takes_no_signals(watchdog):
    """They are for the main thread, which Python's handlers run in."""
    masks = []
    for task in os.listdir("/proc/self/task"):
        with open(f"/proc/self/task/{task}/status") as status:
            blocked = next(line for line in status if line.startswith("SigBlk:"))
        masks.append(int(blocked.split()[1], 16))
    interrupt = 1 << signal.SIGINT - 1
    assert sum(1 for mask in masks if mask & interrupt) >= 1
    assert not masks[0] & interrupt


def test_it_leaves_descriptors_and_signals_as_they_were():
    before = set(os.listdir("/proc/self/fd"))
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    it = _core.Watchdog(nothing, 100)
    it.set_log(2, False)
    it.close()
    assert set(os.listdir("/proc/self/fd")) == before
    assert [signal.getsignal(number) for number in signal.valid_signals()] == handlers


def test_a_child_that_was_forked_forgets_it(watchdog):
    """The thread is its parent's; waiting for it would last for ever."""
    def work():
        _core.probe_watchdog_forget()
        watchdog.close()
        again = _core.Watchdog(nothing, 100)
        os.write(again.signal_fd, bytes([signal.SIGHUP]))
        came = received(again.wakeup_fd)
        again.close()
        return came

    with Child(work) as child:
        assert child.report() == bytes([signal.SIGHUP])
    os.write(watchdog.signal_fd, bytes([signal.SIGHUP]))
    assert received(watchdog.wakeup_fd) == bytes([signal.SIGHUP])


def test_without_a_thread_signals_still_wake_the_engine():
    """The limit of processes is reached: the server starts all the same."""
    def work():
        import resource
        os.setgid(65534)
        os.setuid(65534)
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        it = _core.Watchdog(nothing, 100)
        os.write(it.signal_fd, bytes([signal.SIGINT]))
        result = it.watching, received(it.wakeup_fd), it.signals
        it.close()
        return result

    if os.getuid() != 0:
        pytest.skip("needs root, to become a user with a process already")
    with Child(work) as child:
        assert child.report() in ((False, bytes([signal.SIGINT]), 0),
                                  (True, bytes([signal.SIGINT]), 1))


def test_a_report_that_fails_ends_nothing(serve_epoll, monkeypatch):
    """It runs in a thread of its own, beside whatever holds the loop."""
    reported = threading.Event()
    failures = []
    monkeypatch.setattr("sys.unraisablehook", lambda it: failures.append(it.exc_value))

    def report(what, held_ms, frame):
        reported.set()
        raise ValueError("no room in the log")

    def handler(req):
        assert reported.wait(LOOK_S)
        return "done"

    it = _core.Watchdog(report, 1)
    try:
        server = serve_epoll(handlers={"handler": handler})
        client = server.connect()
        client.send(b"GET /handler HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.responses(count=1)[0].status == 200
    finally:
        it.close()
    assert [str(each) for each in failures] == ["no room in the log"]
