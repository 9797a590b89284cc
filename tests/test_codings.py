"""Coders, the cache of what they made, and the process that they run in."""

import contextlib
import gzip
import os
import select
import signal
import subprocess
import sys
import threading
import time
import zlib

import pytest
from machine import descriptors
from processes import IN_THE_FRONT
from waiting import DEADLINE_S, children_cpu_s, cpu_s, until

from nodepp.statics import cachefile, coder, coderprocess, coders, codings, compressor
from nodepp.statics.codings import (
    CODINGS,
    Cache,
    Compressor,
    compress,
    content_key,
    etag,
    is_worth,
)
from nodepp.statics.media import media_type

PROGRAM = coderprocess._PROGRAM                  # as a server starts it

PAGE = b"<!doctype html>" + b"".join(
    b'<tr class="row-%d"><td>%d</td><td><a href="/article/%d">A name</a></td></tr>\n'
    % (number % 2, number, number * 7919 % 1000) for number in range(140))


class Lines(list):
    def __call__(self, level, line):
        self.append(line)


@pytest.fixture
def log():
    return Lines()


@pytest.fixture
def folder(tmp_path):
    return str(tmp_path / "cache")


@pytest.fixture
def cache(folder, log):
    return Cache(folder, log)


def noise(size):
    return os.urandom(size)


# Coders.


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("body", [PAGE, b"a" * 1000, PAGE * 40, bytes(70000)],
                         ids=["page", "a", "long", "zeros"])
def test_a_coding_is_smaller_and_gives_the_body_back(coding, body):
    coded = coders.encode(coding, body)
    assert len(coded) < len(body) * 0.5
    assert coders.decode(coding, coded) == body
    assert coders.encode(coding, body) == coded  # no date, no chance


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("body", [noise(5000), b"", b"x", noise(980) + bytes(20)],
                         ids=["noise", "empty", "one", "2 percent"])
def test_a_coding_that_saves_less_than_three_percent_is_none(coding, body):
    assert coders.encode(coding, body) is None


def test_gzip_has_no_date_and_no_name():
    head = coders.encode("gzip", PAGE)[:10]
    assert head[:2] == b"\x1f\x8b"
    assert head[3] == 0                    # flags: no name, no comment
    assert head[4:8] == b"\0\0\0\0"        # date
    assert gzip.decompress(coders.encode("gzip", PAGE)) == PAGE


def test_zstd_tells_the_size_has_no_checksum_and_a_window_that_browsers_take():
    import zstandard

    for body in (PAGE, PAGE * 900):        # the latter has 10 MB, more than the window
        found = zstandard.get_frame_parameters(coders.encode("zstd", body))
        assert found.content_size == len(body)
        assert not found.has_checksum
        assert found.window_size <= 8 << 20    # RFC 9659


def test_a_coder_that_is_wrong_is_found_out(monkeypatch):
    monkeypatch.setitem(coders._ENCODERS, "gzip", lambda body: zlib.compress(b"other", wbits=31)
                        if sys.version_info >= (3, 11) else gzip.compress(b"other"))
    with pytest.raises(ValueError, match="does not give back"):
        coders.encode("gzip", PAGE)


def test_ids_name_library_version_and_level():
    assert all(any(character.isdigit() for character in coders.coder_id(it)) for it in CODINGS)
    assert coders.coder_id("br").startswith("brotli ")
    assert coders.coder_id("br").endswith(" 11")
    assert coders.coder_id("zstd").endswith(" 19")


def test_the_best_library_for_gzip_is_used_and_named(monkeypatch):
    class Best:
        __version__ = "7.8"
        gzip_compress = staticmethod(lambda body, level: bytearray(gzip.compress(body, mtime=0)))

        compress = staticmethod(lambda body: b"zopfli")

    monkeypatch.setattr(coders, "_library", lambda name: Best)
    assert coders._make_id("gzip") == "zopfli 7.8 to 65536, deflate 7.8 12"
    assert coders._encode_gzip(b"x") == b"zopfli"
    assert gzip.decompress(coders._encode_gzip(PAGE * 10)) == PAGE * 10
    monkeypatch.setattr(coders, "_library", lambda name: None)
    assert coders._make_id("gzip") == f"zlib {zlib.ZLIB_RUNTIME_VERSION} 9"


def test_the_zstd_library_is_found_without_its_front_door_and_with_it():
    code = ("import sys; from nodepp.statics import coders\n"
            "library = coders.zstd()\n"
            "assert library.ZSTD_VERSION\n"
            "assert not {'platform', 'typing', 'zstandard'} & set(sys.modules), sys.modules\n"
            "import zstandard\n"
            "assert zstandard.ZstdCompressor is library.ZstdCompressor\n"
            "assert zstandard.decompress(library.ZstdCompressor().compress(b'x')) == b'x'\n")
    subprocess.run([sys.executable, "-W", "error", "-S", "-c",
                    f"import sys; sys.path[:] = {sys.path!r}\n{code}"], check=True)


def test_without_a_library_there_is_no_such_coding(monkeypatch):
    monkeypatch.setattr(coders, "_library", lambda name: None)
    monkeypatch.setattr(coders, "zstd", lambda: None)
    monkeypatch.setattr(coders, "_ids", {})
    assert coders.encode("br", PAGE) is None
    assert coders.encode("zstd", PAGE) is None
    assert gzip.decompress(coders.encode("gzip", PAGE)) == PAGE


# Names.


def test_keys_and_etags_differ_by_content_and_coding():
    key = content_key(PAGE)
    assert len(key) == 32
    assert key != content_key(PAGE + b"x")
    tags = {etag(key), *(etag(key, coding) for coding in CODINGS)}
    assert len(tags) == 4
    assert etag(key) == key[:22]
    assert [etag(key, it)[22:] for it in CODINGS] == ["-zs", "-br", "-gz"]
    assert all(set(tag) <= set("0123456789abcdef-zsbrg") for tag in tags)


def test_an_etag_changes_with_the_coder_for_so_may_the_bytes(monkeypatch):
    key = content_key(PAGE)
    before = etag(key, "br")
    monkeypatch.setitem(coders._ids, "br", "brotli 9.9 11")
    assert etag(key, "br") != before


@pytest.mark.parametrize("name", """
    a.html a.css a.js a.mjs a.json a.map a.svg a.xml a.txt a.md a.csv a.wasm a.ttf a.otf a.ttc a.eot
    a.bmp a.ico a.webmanifest a.rss a.atom a.ics a.vtt a.yaml a.geojson a.m3u8 a.mpd a.gltf a.glb
    a.ps a.rtf a.toml
""".split())
def test_types_that_compress(name):
    assert is_worth(media_type(name), 5000, 500)


@pytest.mark.parametrize("name", """
    a.png a.jpg a.webp a.avif a.gif a.woff a.woff2 a.zip a.gz a.br a.zst a.mp4 a.webm a.mp3 a.ogg
    a.docx a.xlsx a.7z a.epub a.jar a.unknown
""".split())
def test_types_that_are_compressed_already(name):
    assert not is_worth(media_type(name), 5000, 500)


def test_the_threshold_is_the_smallest_size_that_is_compressed():
    assert is_worth("text/css", 500, 500)
    assert not is_worth("text/css", 499, 500)
    assert not is_worth("text/css", 0, 0)
    assert is_worth("TEXT/HTML; charset=utf-8", 1, 0)
    assert is_worth("application/problem+json", 1, 0)


# What is compressed while the client waits.


@pytest.mark.parametrize("coding", ["zstd", "gzip"])
def test_rendered_text_is_compressed(coding):
    for body in (PAGE, b"", b"x", PAGE * 100, PAGE):
        assert coders.decode(coding, compress(coding, body)) == body
    assert len(compress(coding, PAGE)) < len(PAGE) / 3


@pytest.mark.parametrize("coding", ["br", "deflate", ""])
def test_what_cannot_be_compressed_quickly_is_refused(coding):
    with pytest.raises(LookupError):
        compress(coding, PAGE)


def test_without_zstd_identity_must_be_sent(monkeypatch):
    monkeypatch.setattr(codings, "zstd", lambda: None)
    monkeypatch.setattr(codings, "_zstd_coder", None)
    with pytest.raises(LookupError):
        compress("zstd", PAGE)


# The cache.


TRIED = {"zstd": b"zstd" * 10, "br": None, "gzip": b"gzip"}


def test_what_was_put_is_got_again_by_others_too(cache, folder, log):
    key = content_key(PAGE)
    assert cache.get(key) == {}
    cache.put(key, TRIED)
    assert cache.get(key) == TRIED
    assert Cache(folder, log).get(key) == TRIED
    assert cache.get(content_key(b"other")) == {}
    assert log == []


def test_only_this_user_may_read_it(cache, folder):
    old = os.umask(0)
    try:
        cache.put(content_key(PAGE), TRIED)
    finally:
        os.umask(old)
    path = cachefile.entry_path(folder, content_key(PAGE))
    assert os.stat(folder).st_mode & 0o777 == 0o700
    assert os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700
    assert os.stat(path).st_mode & 0o777 == 0o600


def test_no_damaged_entry_is_believed_wherever_the_damage_is(cache, folder):
    key = content_key(PAGE)
    cache.put(key, TRIED)
    path = cachefile.entry_path(folder, key)
    with open(path, "rb") as file:
        whole = file.read()
    damaged = [whole[:size] for size in range(len(whole))]
    damaged += [whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1:] for at in range(len(whole))]
    damaged += [whole + b"\0", b"", bytes(len(whole)), noise(len(whole))]
    for content in damaged:
        with open(path, "wb") as file:
            file.write(content)
        assert cache.get(key) == {}
    cache.put(key, TRIED)
    assert cache.get(key) == TRIED


def test_an_entry_of_another_content_is_not_believed(cache, folder):
    one, two = content_key(b"1"), content_key(b"2")
    cache.put(one, TRIED)
    cache.put(two, TRIED)
    os.replace(cachefile.entry_path(folder, one), cachefile.entry_path(folder, two))
    assert cache.get(two) == {}


def test_a_folder_in_the_place_of_an_entry_is_no_entry(cache, folder, log):
    key = content_key(PAGE)
    os.makedirs(cachefile.entry_path(folder, key))
    assert cache.get(key) == {}
    cache.put(key, TRIED)
    assert len(log) == 1


def test_a_pipe_in_the_place_of_an_entry_is_no_entry_and_holds_nobody(cache, folder, log):
    key = content_key(PAGE)
    path = cachefile.entry_path(cache.folder, key)
    os.makedirs(os.path.dirname(path))
    os.mkfifo(path)
    code = ("import sys; from nodepp.statics.codings import Cache\n"
            "print(Cache(sys.argv[1], print).get(sys.argv[2]))")
    done = subprocess.run([sys.executable, "-c", code, cache.folder, key], timeout=DEADLINE_S,
                          capture_output=True, text=True)
    assert done.stdout == "{}\n"
    assert cache.get(key) == {}
    assert log == []


def test_what_another_version_of_a_coder_made_is_made_again(cache, monkeypatch):
    key = content_key(PAGE)
    cache.put(key, TRIED)
    monkeypatch.setitem(coders._ids, "gzip", "zlib 99 9")
    monkeypatch.setattr(cachefile, "_id_hashes", {})
    assert cache.get(key) == {"zstd": TRIED["zstd"], "br": None}


def test_what_was_not_tried_is_not_in_it(cache):
    key = content_key(PAGE)
    cache.put(key, {"gzip": b"gzip"})
    assert cache.get(key) == {"gzip": b"gzip"}


def test_a_missing_library_is_not_asked_for_again_and_again(cache, monkeypatch):
    key = content_key(PAGE)
    cache.put(key, TRIED)
    monkeypatch.setitem(coders._ids, "zstd", "")
    monkeypatch.setattr(cachefile, "_id_hashes", {})
    assert cache.get(key) == {"zstd": None, "br": None, "gzip": b"gzip"}


def test_a_cache_that_is_off_finds_nothing_and_says_nothing(log):
    cache = Cache("", log)
    cache.put(content_key(PAGE), TRIED)
    assert cache.get(content_key(PAGE)) == {}
    assert not cache.is_due()
    assert log == []


def test_a_folder_that_cannot_be_made_is_logged_once(tmp_path, log):
    (tmp_path / "file").write_text("x")
    cache = Cache(str(tmp_path / "file" / "cache"), log)
    cache.put(content_key(PAGE), TRIED)
    assert cache.get(content_key(PAGE)) == {}
    assert len(log) == 1
    assert "Not a directory" in log[0]


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_folder_that_others_may_write_to_is_refused(folder, log, mode):
    os.mkdir(folder)
    os.chmod(folder, mode)
    cache = Cache(folder, log)
    cache.put(content_key(PAGE), TRIED)
    assert cache.get(content_key(PAGE)) == {}
    assert os.listdir(folder) == []
    assert log == [f"static: no cache of compressed files: {folder}: others may write to it"]


def test_a_folder_of_another_user_is_refused(folder, log, monkeypatch):
    os.mkdir(folder, 0o700)
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    assert Cache(folder, log).folder == ""
    assert "belongs to another user" in log[0]


def test_a_cache_that_fails_in_the_middle_is_logged_once_and_off(cache, log, monkeypatch):
    def full(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    cache.put(content_key(b"1"), TRIED)
    cache.put(content_key(b"2"), TRIED)
    monkeypatch.undo()
    assert len(log) == 1
    assert "No space left" in log[0]
    assert cache.folder == ""


def test_a_write_that_fails_leaves_no_file(folder, monkeypatch):
    key = content_key(PAGE)
    monkeypatch.setattr(os, "rename", lambda one, two: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError, match="full"):
        cachefile.store(folder, key, b"entry")
    assert os.listdir(os.path.dirname(cachefile.entry_path(folder, key))) == []


def test_what_a_dead_writer_left_is_in_nobodys_way(folder):
    key = content_key(PAGE)
    cachefile.store(folder, key, b"1")
    left = f"{cachefile.entry_path(folder, key)}.{os.getpid()}.tmp"
    with open(left, "w") as file:
        file.write("half")
    cachefile.store(folder, key, b"2")
    assert not os.path.exists(left)


def test_many_writers_and_readers_see_whole_entries_only(folder, log):
    bodies = [b"%d" % number * 5000 for number in range(4)]
    key = content_key(PAGE)
    code = ("import os, sys; from nodepp.statics.codings import Cache\n"
            "cache = Cache(sys.argv[1], print)\n"
            "body = sys.argv[3].encode() * 5000\n"
            "for _ in range(300): cache.put(sys.argv[2], {'br': body, 'gzip': None, 'zstd': None})")
    writers = [subprocess.Popen([sys.executable, "-c", code, folder, key, str(number)])
               for number in range(4)]
    seen = set()
    cache = Cache(folder, log)
    while any(writer.poll() is None for writer in writers):
        found = cache.get(key)
        if found:
            seen.add(found["br"])
    assert [writer.returncode for writer in writers] == [0] * 4
    assert seen <= set(bodies)
    assert os.listdir(os.path.dirname(cachefile.entry_path(folder, key))) == [key]
    assert log == []


def test_a_thousand_entries_are_read_quickly(cache):
    keys = []
    body = noise(8000)
    for number in range(1000):
        keys.append(content_key(b"%d" % number))
        cache.put(keys[-1], {"zstd": body, "br": body, "gzip": body})
    assert all(cache.get(key) for key in keys)
    took_s = cpu_s(lambda: [cache.get(key) for key in keys])
    print(f"1,000 entries of 24 KB: {took_s * 1e3:.1f} ms")
    assert took_s < 0.5  # below 60 ms on a machine that has nothing else to do


def test_use_is_noted_once_a_day(cache, folder):
    key = content_key(PAGE)
    cache.put(key, TRIED)
    cache.get(key)
    assert cache.used == []
    old = time.time() - 2 * 86400
    os.utime(cachefile.entry_path(folder, key), (old, old))
    cache.get(key)
    assert cache.used == [key]


def test_tending_removes_what_was_not_used_for_ninety_days(cache, folder):
    young, old, part, fresh_part = (content_key(b"%d" % number) for number in range(4))
    now = time.time()
    for key, age_days in ((young, 89), (old, 91)):
        cache.put(key, TRIED)
        os.utime(cachefile.entry_path(folder, key), (now - age_days * 86400,) * 2)
    for key, age_s in ((part, 7200), (fresh_part, 60)):
        cache.put(key, TRIED)
        path = cachefile.entry_path(folder, key)
        os.rename(path, path + ".1.tmp")
        os.utime(path + ".1.tmp", (now - age_s,) * 2)
    assert cache.is_due()
    cachefile.tend(folder)
    assert not cache.is_due()
    assert sorted(name for _, _, names in os.walk(folder) for name in names) == sorted(
        [young, fresh_part + ".1.tmp", cachefile.STAMP])


def test_tending_removes_the_longest_unused_above_the_bound(cache, folder, monkeypatch):
    keys = [content_key(b"%d" % number) for number in range(10)]
    for number, key in enumerate(keys):
        cache.put(key, {"br": bytes(1000)})
        os.utime(cachefile.entry_path(folder, key), (time.time() - 1000 + number,) * 2)
    monkeypatch.setattr(cachefile, "CACHE_SIZE_MAX", 8000)
    cachefile.tend(folder)
    assert [bool(cache.get(key)) for key in keys] == [False] * 4 + [True] * 6


# The process.


class Engine:
    """As much of an engine as the compressor needs: readers, and what comes later."""

    def __init__(self):
        self.readers = {}
        self.later_calls = []

    def later(self, seconds, callback):
        self.later_calls.append((seconds, callback))

    def come_again(self):
        """Calls what was to come later, and gives the seconds until then."""
        (seconds, callback) = self.later_calls.pop()
        assert not self.later_calls
        callback()
        return seconds

    def add_reader(self, fd, callback):
        assert fd not in self.readers
        self.readers[fd] = callback

    def remove_reader(self, fd):
        del self.readers[fd]

    def turn(self):
        waiting = select.poll()
        for fd in self.readers:
            waiting.register(fd, select.POLLIN)
        for fd, _ in waiting.poll(20):
            if fd in self.readers:
                self.readers[fd]()

    def until(self, condition):
        until(condition, between=self.turn)


@pytest.fixture
def engine():
    return Engine()


@pytest.fixture
def make(log, monkeypatch):
    """make(cache) gives a Compressor, whose results are in its `found`. Nothing is left over."""
    made = []
    monkeypatch.setattr(coderprocess, "_PROGRAM", IN_THE_FRONT + coderprocess._PROGRAM)
    monkeypatch.setattr(coderprocess, "END_WAIT_S", DEADLINE_S)
    before = descriptors()

    def start(cache=None):
        found = {}
        made.append(Compressor(cache, log, found.__setitem__))
        made[-1].found = found
        return made[-1]

    yield start
    for it in made:
        it.end()
        assert it.pending == 0
    assert descriptors() == before
    with contextlib.suppress(ChildProcessError):
        assert os.waitpid(-1, os.WNOHANG) == (0, 0), "a child is left over"


def is_over(it):
    return not it.pending and not it._processes


def test_bodies_come_back_in_all_codings_and_lie_in_the_cache(make, cache, engine, log):
    it = make(cache)
    bodies = [PAGE, PAGE[:3000], noise(3000), b"a" * 200_000, b""]
    for body in bodies:
        it.add(content_key(body), body)
        it.add(content_key(body), body)
    assert it.pending == 5
    it.begin(engine)
    engine.until(lambda: is_over(it))
    assert set(it.found) == {content_key(body) for body in bodies}
    for body in bodies:
        found = it.found[content_key(body)]
        assert found == {coding: coders.encode(coding, body) for coding in CODINGS}
        assert cache.get(content_key(body)) == found
    assert engine.readers == {}
    assert log == []


def test_without_a_cache_they_come_back_too(make, engine):
    it = make()
    it.begin(engine)
    assert it._processes == []             # nothing to do, no process
    it.add(content_key(PAGE), PAGE)
    engine.until(lambda: is_over(it))
    assert it.found[content_key(PAGE)]["br"] == coders.encode("br", PAGE)


def test_later_bodies_start_the_process_again(make, engine):
    it = make()
    it.begin(engine)
    for number in range(3):
        it.add(content_key(b"%d" % number), PAGE + b"%d" % number)
        engine.until(lambda: is_over(it))
    assert len(it.found) == 3


def test_the_smallest_come_first(make, engine):
    it = make()
    order = []
    it.done = lambda key, codings: order.append(key)
    sizes = [900, 100, 500, 300, 700]
    for size in sizes:
        it.add(f"{size:032x}", PAGE[:size])
    it.begin(engine)
    engine.until(lambda: is_over(it))
    assert order == [f"{size:032x}" for size in sorted(sizes)]


def test_a_body_that_no_pipe_takes_at_once_passes_without_blocking(make, engine):
    it = make()
    body = noise(800_000)
    it.add(content_key(body), body)
    it.begin(engine)
    assert it._processes[0]._out               # a part of it waits here, not in the pipe …
    engine.until(lambda: not it._processes[0]._out)
    assert it.found == {}                      # … and not for the process to be done
    engine.until(lambda: is_over(it))
    assert it.found[content_key(body)] == dict.fromkeys(CODINGS)


def test_run_waits_for_all_and_uses_several_processes(make, cache, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    it = make(cache)
    started = []
    real = compressor.Process.begin
    monkeypatch.setattr(compressor.Process, "begin",
                        lambda process, engine: started.append(process) or real(process, engine))
    for number in range(20):
        it.add(content_key(b"%d" % number), PAGE + b"%d" % number)
    it.run()
    assert len(it.found) == 20
    assert len(started) == 3
    assert it.pending == 0
    assert all(cache.get(content_key(b"%d" % number)) for number in range(20))
    it.run()                               # nothing to do
    assert len(started) == 3


def test_an_interrupt_ends_run_and_its_processes(make):
    it = make()
    for number in range(50):
        it.add(content_key(b"%d" % number), PAGE * 40 + b"%d" % number)

    def interrupt(key, codings):
        raise KeyboardInterrupt

    it.done = interrupt
    with pytest.raises(KeyboardInterrupt):
        it.run()
    assert it._processes == []


def test_end_in_the_middle_leaves_nothing(make, cache, engine):
    it = make(cache)
    body = PAGE * 400
    it.add(content_key(body), body)
    it.begin(engine)
    number = it._processes[0].number
    engine.until(lambda: it._processes[0].is_ready)
    before_s = children_cpu_s()
    it.end()
    assert children_cpu_s() - before_s < 3     # to compress it takes ten
    assert engine.readers == {}
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)
    it.end()                               # again


def test_end_at_once_after_the_beginning_leaves_nothing(make, cache, engine):
    for _ in range(5):
        it = make(cache)
        it.add(content_key(PAGE), PAGE)
        it.begin(engine)
        it.end()
        assert engine.readers == {}


def test_a_process_that_is_killed_is_logged_once_and_followed_by_another(make, engine, log):
    it = make()
    bodies = [PAGE * 30 + b"%d" % number for number in range(4)]
    for body in bodies:
        it.add(content_key(body), body)
    it.begin(engine)
    for _ in range(2):
        process = it._processes[0]
        engine.until(lambda process=process: process.is_ready and process._sent)
        os.kill(process.number, signal.SIGKILL)
        engine.until(lambda process=process: process not in it._processes)
    engine.until(lambda: is_over(it))
    assert set(it.found) == {content_key(body) for body in bodies}
    skipped = [key for key, found in it.found.items() if not any(found.values())]
    assert len(skipped) == 2
    assert len(log) == 1
    assert "died over a body of" in log[0]


def test_after_processes_that_die_again_and_again_one_is_tried_later(make, engine, log):
    it = make()
    for number in range(10):
        body = PAGE * 30 + b"%d" % number
        it.add(content_key(body), body)
    it.begin(engine)
    kills = 0
    while it._processes:
        process = it._processes[0]
        engine.until(lambda process=process: process.is_ready and process._sent)
        os.kill(process.number, signal.SIGKILL)
        kills += 1
        engine.until(lambda process=process: process not in it._processes)
    assert kills == 1 + compressor.RESTART_COUNT_MAX
    assert len(log) == 2
    assert "died again and again" in log[1]
    it.add(content_key(b"more"), PAGE)
    assert it._processes == []             # not before the pause is over
    assert engine.come_again() == compressor.PAUSE_S
    engine.until(lambda: is_over(it))
    assert content_key(b"more") in it.found
    assert len(log) == 3
    assert "compresses again" in log[2]


def test_an_interpreter_that_does_not_start_is_tried_less_often(make, engine, log, monkeypatch):
    monkeypatch.setattr(coderprocess, "_PROGRAM", "raise SystemExit(3)")
    it = make()
    it.add(content_key(PAGE), PAGE)
    it.begin(engine)
    for pause_s in (1, 2, 4):
        engine.until(lambda: not it._processes)
        assert engine.come_again() == pause_s * compressor.PAUSE_S
    assert it.pending == 1
    assert it.found == {}
    assert "did not start" in log[0]
    assert "died again and again" in log[1]
    assert len(log) == 2                   # said once


@pytest.mark.parametrize("executable", ["", "/missing/python"])
def test_an_interpreter_that_is_not_there_is_logged(make, engine, log, monkeypatch, executable):
    monkeypatch.setattr(sys, "executable", executable)
    it = make()
    it.add(content_key(PAGE), PAGE)
    it.begin(engine)
    assert it.pending == 1                 # it is tried again later
    assert "no process to compress" in log[0]


def test_a_descriptor_that_the_poller_has_no_room_for_is_logged(make, engine, log):
    def refuse(fd, callback):
        raise OSError(24, "cannot be watched")

    engine.add_reader = refuse
    it = make()
    it.add(content_key(PAGE), PAGE)
    it.begin(engine)
    assert it.pending == 1                 # it is tried again later
    assert it._processes == []
    assert "no process to compress" in log[0]


def test_a_failing_receiver_does_not_stop_the_others(make, engine, log):
    it = make()
    seen = []

    def fail_once(key, found):
        seen.append(key)
        if len(seen) == 1:
            raise ValueError("no")

    it.done = fail_once
    for number in range(3):
        it.add(content_key(b"%d" % number), PAGE)
    it.begin(engine)
    engine.until(lambda: is_over(it))
    assert len(seen) == 3
    assert log == ["static: taking what was compressed: ValueError: no"]


def test_a_receiver_may_end_it(make, engine):
    it = make()
    it.done = lambda key, found: it.end()
    for number in range(3):
        it.add(content_key(b"%d" % number), PAGE)
    it.begin(engine)
    engine.until(lambda: is_over(it))
    assert engine.readers == {}


def test_a_cache_that_cannot_be_written_is_logged_and_all_is_compressed(
        make, cache, folder, engine, log):
    it = make(cache)
    for number in range(3):
        it.add(content_key(b"%d" % number), PAGE)
        with contextlib.suppress(FileExistsError):   # a file where a sub-folder must be
            os.close(os.open(f"{folder}/{content_key(b'%d' % number)[:2]}", os.O_CREAT | os.O_EXCL))
    it.begin(engine)
    engine.until(lambda: is_over(it))
    assert len(it.found) == 3
    assert all(found["br"] for found in it.found.values())
    assert len(log) == 1
    assert "cannot be written" in log[0]


def test_the_process_tidies_the_cache_up_and_notes_what_was_used(make, cache, folder, engine):
    old, used = content_key(b"old"), content_key(b"used")
    now = time.time()
    for key, age_days in ((old, 100), (used, 89)):
        cache.put(key, TRIED)
        os.utime(cachefile.entry_path(folder, key), (now - age_days * 86400,) * 2)
    assert cache.get(used) == TRIED
    it = make(cache)
    it.begin(engine)
    engine.until(lambda: is_over(it))
    assert cache.get(old) == {}
    assert os.stat(cachefile.entry_path(folder, used)).st_mtime >= now - 60
    assert not cache.is_due()
    it = make(cache)
    it.begin(engine)
    assert it._processes == []


def test_the_process_has_the_lowest_priority_and_a_group_of_its_own(make, engine, monkeypatch):
    it = make()
    monkeypatch.setattr(coderprocess, "_PROGRAM", PROGRAM)
    body = PAGE * 200
    it.add(content_key(body), body)
    it.begin(engine)
    number = it._processes[0].number
    # It steps back before it does anything else. To hear from it takes a while on a busy machine.
    engine.until(lambda: os.getpriority(os.PRIO_PROCESS, number) == 19)
    if hasattr(os, "SCHED_IDLE"):
        engine.until(lambda: os.sched_getscheduler(number) == os.SCHED_IDLE)
    assert os.getpgid(number) == number
    it.end()


PARENT = f"""
import os, sys
from nodepp.statics import coderprocess
from nodepp.statics.codings import Compressor, content_key
coderprocess._PROGRAM = {IN_THE_FRONT!r} + coderprocess._PROGRAM
class Engine:
    def add_reader(self, fd, callback): pass
it = Compressor(None, print, print)
body = b"".join(b"%d" % number for number in range(900000))
it.add(content_key(body), body)
it.begin(Engine())
while not it._processes[0].is_ready or it._processes[0]._out:
    it._processes[0].readable()
print(it._processes[0].number, flush=True)
sys.stdin.read()
"""


def test_the_process_dies_with_the_server_even_in_the_middle_of_a_body(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE)
    number = int(parent.stdout.readline())
    assert is_alive(number)
    parent.kill()
    parent.communicate()
    until(lambda: not is_alive(number), "the end of the process")


def is_alive(number):
    """A zombie whose new parent does not wait for it is dead as well."""
    try:
        with open(f"/proc/{number}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_the_process_imports_little():
    code = (f"import sys; sys.path[:] = {sys.path!r}; from nodepp.statics import coder;"
            " print(*sys.modules, flush=True); import os; os._exit(0)")
    made = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True,
                          check=True)
    assert not {"subprocess", "typing", "asyncio", "nodepp._core", "hashlib",
                "threading"} & set(made.stdout.split())


# The process's own side, in this one.


class Pipes:
    """A Worker in a thread, and what it answers."""

    def __init__(self):
        self.source, self.feed = os.pipe()
        self.answers, self.sink = os.pipe()
        self.worker = coder.Worker(self.source, self.sink)
        self.thread = threading.Thread(target=self.run)

    def run(self):
        path = list(sys.path)
        try:
            self.worker.run()
        finally:
            sys.path[:] = path
            os.close(self.sink)

    def talk(self, *records, size=7):
        """Sends all in pieces, closes, and gives (kind, data) of what came back."""
        self.thread.start()
        data = b"".join(kind + len(part).to_bytes(8, "little") + part for kind, part in records)
        for start in range(0, len(data), size):
            os.write(self.feed, data[start : start + size])
        os.close(self.feed)
        with open(self.answers, "rb") as file:
            said = file.read()
        self.thread.join()
        os.close(self.source)
        found = []
        while said:
            size = int.from_bytes(said[1:9], "little")
            found.append((said[:1], said[9 : 9 + size]))
            said = said[9 + size :]
        return [it for it in found if it[0] != b"."]


def settings(folder=""):
    return b"S", "\0".join([*sys.path, folder]).encode()


def test_records_may_come_in_pieces():
    key = content_key(PAGE)
    hello, answer = Pipes().talk(settings(), (b"J", key.encode() + PAGE))
    assert hello == (b"H", "\0".join(map(coders.coder_id, CODINGS)).encode())
    assert answer[0] == b"R"
    assert cachefile.unpack(key, answer[1])["gzip"] == coders.encode("gzip", PAGE)


def test_half_a_record_is_the_end():
    assert len(Pipes().talk(settings(), size=3)) == 1
    pipes = Pipes()
    pipes.thread.start()
    os.write(pipes.feed, b"J\xff\0\0\0")
    os.close(pipes.feed)
    pipes.thread.join()
    os.close(pipes.source)
    os.close(pipes.answers)


def test_a_coder_that_fails_is_told_and_the_others_are_used(monkeypatch, folder, log):
    def fail(body):
        raise MemoryError("too large")

    monkeypatch.setitem(coders._ENCODERS, "br", fail)
    key = content_key(PAGE)
    cache = Cache(folder, log)
    _, complaint, answer = Pipes().talk(settings(folder), (b"J", key.encode() + PAGE), size=999)
    assert complaint == (b"E", b"br failed: MemoryError: too large")
    assert set(cachefile.unpack(key, answer[1])) == {"zstd", "gzip"}
    assert set(cache.get(key)) == {"zstd", "gzip"}    # and br is tried again next time
