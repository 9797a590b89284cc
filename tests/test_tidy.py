"""The conventions that stand in for what `include` lacks (names, imports), and the house's style.

Each part of the core is a room: prefix = namespace, header = imports, and a room uses only what
`_core.pyx` includes before it. See docs/architecture.md.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CORE = ROOT / "nodepp" / "core"
PARTS = sorted(CORE.glob("*.pxi"))
ROOMS = [path.stem for path in PARTS]

CONTENTS = (ROOT / "nodepp" / "_core.pyx").read_text()


def read_floors() -> dict[str, int]:
    """The table of contents says which room stands on which floor: "# floor 3: HTTP"."""
    floors = {}
    floor = -1
    for line in CONTENTS.splitlines():
        if match := re.match(r"# floor (\d+):", line):
            floor = int(match[1])
        elif line.startswith("# beside:"):
            floor = BESIDE
        elif match := re.fullmatch(r'include "core/(\w+)\.pxi"', line):
            floors[match[1]] = floor
    return floors


# A part uses only what is included before it. What stands beside (probes: doors for the tests) sees
# all, and is seen by none.
BESIDE = 99
FLOORS = read_floors()

# Parts that use names of one that is included later, with the reason: a part and its helpers that
# cannot do without each other. The test fails when another is needed, and when one is needed no
# longer.
FORWARD = {
    ("tables", "request"): "connection_t points to one: the type is only promised there",
    ("tables", "output"): "likewise",
    ("parser", "target"): "reads a part of the head into what the parser has defined",
    ("parser", "field"): "likewise",
    ("session", "mend"): "a session that is found damaged is mended where it is found",
    ("route", "freeze"): "class Router is filled by freeze, its methods call it",
    ("loop", "house"): "one turn: what it does apart from answering stands there",
    ("loop", "wait"): "likewise, for requests that wait for an answer",
}
KNOT_SIZE_MAX = 3                      # rooms that use each other, directly or by way of others

# Names without their room's prefix: nouns and words of the whole core, and what Python sees.
# Patterns of fnmatch; whoever adds one says in review why the prefix would read worse.
EXCEPTIONS = {
    "address": "AddressList",
    "admit": "CsrfError",
    "cookie": "cookies_t",
    "declared": "SessionField",
    "personal": "Session",
    "rules": "rule_t",
    "store": "SessionFull SessionsExhausted",
    "vault": "guess_t session_t session_copy_t",
    "answer": "Response",
    "clock": "DATE_SIZE IDENTITY_SIZE_MAX",
    "connection": "input_t stats stats_t",
    "context": "Request current",
    "objects": "RequestGone RequestState SessionState",
    "record": "FieldState",
    "roster": "SessionTable",
    "asked": "asked_t",
    "callbacks": "is_fault",
    "pulse": "Cut",
    "engine": "Engine",
    "escape": "Raw raw html_escape",
    "file": "File",
    "form": "MultiDict RequestError",
    "freeze": "route_freeze route_insert route_register",
    "headers": "Headers ClientAddress",
    "inotify": "Inotify IN_*",
    "later": "Later",
    "limits": "[A-Z]*",
    "memory": "fault_t fault_strikes",
    "output": "output piece_t pending_t mark_t",
    "parser": "METHOD_* SAID_* CODING_* field_t",
    "poller": "event_t",
    "response": "head_t status_line_t type_line_t",
    "route": "Router FLAG_* *_t",
    "negotiate": "weights_t",
    "precondition": "conditions_t text_t",
    "ranges": "range_t",
    "readahead": "job_t",
    "snapshot": "Snapshot host_t place_t",
    "statics": "Resource expires_t representation_t static_t",
    "state": "CONNECTION_*",
    "tables": "connection_t request_t pending_t",
    "transport": "peer_t",
    "upload": "UploadFile UploadReader UploadSource",
    "watchdog": "Watchdog",
}

SOURCES = sorted(
    path
    for folder in ("nodepp", "tests", "bench", "sample", ".")
    for path in (ROOT / folder).glob("*.py" if folder == "." else "**/*")
    if path.suffix in (".py", ".pyi", ".pyx", ".pxi", ".pxd")
    and not {"venvs", "out", "__pycache__"} & set(path.parts)
)
TEXTS = SOURCES + sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "bench/**/*.md", "tests/**/*.md", "Makefile",
                    "npp.conf", "pyproject.toml", ".ci/run")
    for path in ROOT.glob(pattern)
    if "venvs" not in path.parts
)  # fmt: skip


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def is_beside(room: str) -> bool:
    return FLOORS.get(room) == BESIDE


# --- reading the parts ----------------------------------------------------------------------------


EMBEDDED = re.compile(r'(cdef extern from [^\n]*\n\s*)"""((?:.|\n)*?)"""')


def embedded(match: re.Match[str]) -> str:
    """The C code of a `cdef extern` block without comments and strings: its names count."""
    code = re.sub(r"/\*(?:.|\n)*?\*/|//[^\n]*", "", match[2])
    return match[1] + re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|#', "", code)


def without_comments(text: str) -> str:
    """The code without comments and strings, so that only names are left: also those of embedded
    C, of a function in C, and in the braces of an f-string."""
    text = EMBEDDED.sub(embedded, text)
    text = re.sub(r'\bf"((?:\\.|[^"\\\n])*)"',
                  lambda match: " ".join(re.findall(r"\{([^{}]+)", match[1])), text)
    text = re.sub(r'(\w+) "(\w+)" *\(', r"\2 \1(", text)
    text = re.sub(r'"""(?:.|\n)*?"""', '""', text)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', '""', text)
    return re.sub(r"#.*", "", text)


def header_of(path: Path) -> dict[str, str]:
    """The contract at the head of a part: Prefix, Owns, Uses, Never, Holds."""
    fields: dict[str, str] = {}
    last = ""
    for line in path.read_text().splitlines()[1:]:
        match = re.match(r"#   (Prefix|Owns|Uses|Never|Holds): *(.*)", line)
        if match:
            last = match[1]
            fields[last] = match[2]
        elif re.match(r"#    {6,}\S", line) and last:
            fields[last] += " " + line.lstrip("# ")
        else:
            break
    return fields


def uses_of(path: Path) -> set[str]:
    words = re.split(r",\s*", header_of(path).get("Uses", "").strip())
    return {word for word in words if word not in ("", "nothing") and not word.endswith(".pxd")}


def prefix_of(path: Path) -> str:
    """What the names of a part begin with. The doors for the tests are one room in three files."""
    return "probe" if is_beside(path.stem) else header_of(path).get("Prefix", "")


def definitions(path: Path) -> set[str]:
    """The names that a part adds to the module; of declared C functions, its own ones."""
    names: set[str] = set()
    own_c: tuple[str, ...] = (f"{prefix_of(path)}_",)
    if path.stem == "limits":
        own_c = ("ensure", "likely_", "unlikely_")
    in_enum = in_extern = False
    names.update(re.findall(r'^cdef [^("\n]*"(\w+)" *\(', path.read_text(), re.M))
    for line in without_comments(path.read_text()).splitlines():
        if line and not line[0].isspace():
            in_extern = line.startswith("cdef extern")
            match = re.match(r"(?:cdef|ctypedef) (?:packed )?(enum|struct|union)\b *(\w*)", line)
            in_enum = bool(match and match[1] == "enum")
            if match and not line.rstrip().endswith(":"):
                continue               # a promise: the part that keeps it is the owner
            if match:
                names.update(filter(None, [match[2]]))
                continue
            match = re.match(r"(?:cdef )?class (\w+)|c?p?def? *class (\w+)", line)
            if match:
                names.add(match[1] or match[2])
                continue
            match = re.match(r"def (\w+)", line) or re.match(
                r"c(?:p)?def (?:inline )?[^(=]*?(\w+) *\(", line)
            if match:
                names.add(match[1])
                continue
            match = re.match(r"cdef [^=]*?(\w+(?:\[[^\]]*\])*(?: *, *\w+)*) *(?:=|$)", line)
            if match:
                names.update(re.findall(r"[A-Za-z_]\w*", re.sub(r"\[.*?\]", "", match[1])))
                continue
            match = re.match(r"(\w+) *=", line)
            if match:
                names.add(match[1])
        elif in_enum and not in_extern:
            names.update(re.findall(r"(?:^|,)\s*([A-Za-z_]\w*)", line))
        elif in_extern:
            match = re.match(r"    \S[^(]*?(\w+)\(", line)
            if match is None and "(" not in line:    # a variable, or a type
                match = re.match(r"    \S.*?(\w+):?$", line.rstrip())
            if match and not line.endswith(";") and match[1].startswith(own_c):
                names.add(match[1])
    return names


def used_names(path: Path, owners: dict[str, str]) -> dict[str, set[str]]:
    """Which names of other rooms a part uses, by room. What follows a dot is an attribute."""
    used: dict[str, set[str]] = {}
    for word in re.findall(r"(?<![\w.])[A-Za-z_]\w*", without_comments(path.read_text())):
        if owners.get(word, path.stem) != path.stem:
            used.setdefault(owners[word], set()).add(word)
    return used


def knots(uses: dict[str, set[str]]) -> list[list[str]]:
    """The groups of rooms that use each other, directly or by way of others (Kosaraju)."""
    order: list[str] = []
    users: dict[str, set[str]] = {room: set() for room in uses}
    for room, used in uses.items():
        for other in used:
            users[other].add(room)

    def walk(room: str, ways: dict[str, set[str]], seen: set[str], reached: list[str]) -> None:
        seen.add(room)
        for other in sorted(ways[room]):
            if other not in seen:
                walk(other, ways, seen, reached)
        reached.append(room)

    seen: set[str] = set()
    for room in uses:
        if room not in seen:
            walk(room, uses, seen, order)
    groups: list[list[str]] = []
    seen = set()
    for room in reversed(order):
        if room not in seen:
            groups.append([])
            walk(room, users, seen, groups[-1])
    return [sorted(group) for group in groups if len(group) > 1]


@pytest.fixture(scope="module")
def owners() -> dict[str, str]:
    """Which room defines each name."""
    return {name: path.stem for path in PARTS for name in definitions(path)}


@pytest.fixture(scope="module")
def uses(owners: dict[str, str]) -> dict[str, dict[str, set[str]]]:
    """What each room uses of each other one; not of the doors for the tests, which see all."""
    return {path.stem: used_names(path, owners) for path in PARTS if not is_beside(path.stem)}


# --- the rooms ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.stem)
def test_part_opens_with_its_contract(path: Path) -> None:
    first = path.read_text().split("\n", 1)[0]
    assert re.fullmatch(rf"# core/{path.stem}\.pxi — \S.*", first)
    prefix = [] if is_beside(path.stem) else ["Prefix"]
    assert list(header_of(path)) == [*prefix, "Owns", "Uses", "Never", "Holds"]


def test_prefixes_are_unique_and_none_is_the_beginning_of_another() -> None:
    prefixes = sorted(prefix_of(path) for path in PARTS if not is_beside(path.stem))
    assert all(re.fullmatch(r"[a-z]+", prefix) for prefix in prefixes)
    # Sorted, a beginning stands right before one that begins with it.
    clashes = [(one, two) for one, two in zip(prefixes, prefixes[1:]) if two.startswith(one)]
    assert not clashes


def test_contents_have_each_part_once_on_a_floor_and_lower_floors_first() -> None:
    included = re.findall(r'^include "core/(\w+)\.pxi"$', CONTENTS, re.M)
    assert sorted(included) == sorted(ROOMS)
    assert all(FLOORS[room] >= 0 for room in included)
    assert [FLOORS[room] for room in included] == sorted(FLOORS[room] for room in included)


def test_part_uses_only_what_is_included_before_it(uses: dict[str, dict[str, set[str]]]) -> None:
    included = re.findall(r'^include "core/(\w+)\.pxi"$', CONTENTS, re.M)
    forward = {
        (room, other): " ".join(sorted(names))
        for room, used in uses.items() for other, names in used.items()
        if included.index(other) > included.index(room)
    }  # fmt: skip
    new = {pair: names for pair, names in forward.items() if pair not in FORWARD}
    assert not new, "a part uses names of one that is included later"
    assert not set(FORWARD) - set(forward), "these exceptions are needed no longer"
    assert all(reason.strip() for reason in FORWARD.values())


def test_rooms_that_use_each_other_are_few(uses: dict[str, dict[str, set[str]]]) -> None:
    groups = knots({room: set(used) for room, used in uses.items()})
    assert max(len(group) for group in groups) <= KNOT_SIZE_MAX, groups


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.stem)
def test_header_names_what_the_part_uses(
        path: Path, uses: dict[str, dict[str, set[str]]]) -> None:
    if not is_beside(path.stem):
        assert uses_of(path) == set(uses[path.stem])


@pytest.mark.parametrize(("code", "names"), [
    ("cdef void b_run(a_t* it):\n    a_go(it)\n", {"a_t", "a_go"}),
    ("cdef struct b_t:\n    a_t* next\n", {"a_t"}),
    ("cdef struct a_t\n", {"a_t"}),
    ('cdef extern from *:\n    """\n    int b_go(void) { return a_go(); }\n    """\n'
     "    int b_go()\n", {"a_go"}),
    ('cdef extern from *:\n    int b_go "a_go"()\n', {"a_go"}),
    ("cdef int b_run():\n    return b_it.a_go  # a_t\n", set()),
    ('cdef int b_run():\n    return f"a {a_go():,} a_t"\n', {"a_go"}),
    ('cdef int b_run():\n    """a_go"""\n    return b"a_t"\n', set()),
])  # fmt: skip
def test_names_are_found_wherever_they_stand(code: str, names: set[str], tmp_path: Path) -> None:
    path = tmp_path / "b.pxi"
    path.write_text(code)
    found = used_names(path, {"a_t": "a", "a_go": "a"})
    assert found.get("a", set()) == names


def test_a_knot_is_found() -> None:
    assert knots({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"a"}}) == [["b", "c"]]


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.stem)
def test_names_begin_with_their_room(path: Path) -> None:
    room = path.stem
    prefix = prefix_of(path)
    prefixes = (f"{prefix}_", f"_{prefix}_", f"{prefix.upper()}_")
    if is_beside(room):
        prefixes = ("probe_", "Probe", "FLAVOUR")
    allowed = [room, *EXCEPTIONS.get(room, "").split()]
    if room == "limits":
        allowed += ["ensure", "likely_", "unlikely_"]
    strange = {
        name for name in definitions(path)
        if not name.startswith(prefixes) and not any(fnmatchcase(name, it) for it in allowed)
    }  # fmt: skip
    assert not strange


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.stem)
def test_part_is_neither_a_scrap_nor_a_hall(path: Path) -> None:
    count = len(path.read_text().splitlines())
    assert count <= 500


# Each of these is the business of the functions named; a state is its watch and its deadline too.
SOLE = {
    r"\bc\.state *=(?!=)": "connection_enter",
    r"\bdeadline_set\(": "connection_enter connection_hurry",
    r"\bpoller_change\(": "connection_watch",
    r"\bconnection_watch\(": "connection_enter",
}


@pytest.mark.parametrize("pattern", SOLE)
def test_a_state_is_entered_in_one_place(pattern: str) -> None:
    users = {
        name for path in PARTS for name, count, text in functions(path.read_text())
        if re.search(pattern, without_comments("\n".join(text.splitlines()[1 - count:])))
    }  # fmt: skip
    assert users == set(SOLE[pattern].split())


def test_public_names_are_exported_and_typed() -> None:
    import nodepp

    stub = ast.parse((ROOT / "nodepp" / "_core.pyi").read_text())
    typed = {node.name for node in stub.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}
    typed |= {node.target.id for node in stub.body
              if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)}
    for name, home in nodepp._HOMES.items():
        assert name in nodepp.__all__
        assert home != "_core" or name in typed
        assert getattr(nodepp, name) is not None


# --- the house ------------------------------------------------------------------------------------


def test_lines_have_a_hundred_columns() -> None:
    long = [f"{name_of(path)}:{number}" for path in SOURCES
            for number, line in enumerate(path.read_text().splitlines(), 1) if len(line) > 100]
    assert not long


# Spelled in two pieces, so that this file does not find itself.
MARKS = re.compile(r"\b(?:FIX" r"ME|XX" r"X|HA" r"CK)\b")
MACHINE = re.compile(
    r"(?:^|[\s\"'`(=])/(?:wo" r"rk|ro" r"ot|fa" r"rm)/|bash" r"_jobs|/tmp/pl" r"an")


def test_no_mark_and_no_machine_is_left() -> None:
    texts = {name_of(path): path.read_text() for path in TEXTS}
    assert [name for name, text in texts.items() if MARKS.search(text)] == []
    assert [name for name, text in texts.items() if MACHINE.search(text)] == []


def functions(text: str) -> list[tuple[str, int, str]]:
    """(name, line count, text) of every function, by indentation: also in Cython."""
    lines = text.splitlines()
    found = []
    for start, line in enumerate(lines):
        match = re.match(r"( *)(?:async )?(?:def|c(?:p)?def (?!class )[^=:(]*?) ?(\w+) *\(", line)
        if not match or line.lstrip().startswith("cdef extern"):
            continue
        indent = len(match[1])
        end = start + 1
        while end < len(lines):
            text_line = lines[end]
            depth = len(text_line) - len(text_line.lstrip())
            is_signature = end < start + 8 and not any(
                row.rstrip().endswith(":") for row in lines[start:end])
            if text_line.strip() and depth <= indent and not is_signature:
                break
            end += 1
        while not lines[end - 1].strip():
            end -= 1
        found.append((match[2], end - start, "\n".join(lines[max(0, start - 3) : end])))
    return found


def test_functions_have_seventy_lines() -> None:
    long = [f"{name_of(path)}: {name} has {count} lines" for path in SOURCES
            if path.suffix in (".py", ".pxi", ".pyx")
            for name, count, text in functions(path.read_text())
            if count > 70 and "Long on purpose:" not in text]
    assert not long


TESTS = sorted((ROOT / "tests").glob("*.py"))


def breaches_of_peace(text: str) -> list[str]:
    """Calls that make a test depend on how busy the machine is, or on what else runs there."""
    lines = text.splitlines()
    found = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        ports = [it.elts[1] for it in node.args if isinstance(it, ast.Tuple) and len(it.elts) == 2]
        if called in ("time.sleep", "sleep") and "# sleeps:" not in lines[node.lineno - 1]:
            found.append(f"line {node.lineno}: a sleep; see tests/waiting.py")
        if called.endswith(".bind") and any(
                isinstance(port, ast.Constant) and port.value != 0 for port in ports):
            found.append(f"line {node.lineno}: a port that somebody else may have")
    return found


def test_tests_wait_by_asking_and_listen_where_the_kernel_says() -> None:
    """A test that slept for as long as something takes failed on a machine that was busy."""
    found = {path.name: breaches_of_peace(path.read_text()) for path in TESTS}
    assert {name for name, breaches in found.items() if breaches} == {"waiting.py"}, found


@pytest.mark.parametrize(("code", "count"), [
    ("import time\ntime.sleep(1)\n", 1),
    ("from time import sleep\nsleep(1)\n", 1),
    ("import time\ntime.sleep(1)  # sleeps: a handler that blocks the loop\n", 0),
    ("APP = 'import time; time.sleep(1)'\n", 0),
    ("socket.bind(('127.0.0.1', 8080))\n", 1),
    ("socket.bind(('127.0.0.1', 0))\nsocket.bind(('::1', free))\nsocket.bind(path)\n", 0),
])  # fmt: skip
def test_sleeps_and_fixed_ports_are_found(code: str, count: int) -> None:
    assert len(breaches_of_peace(code)) == count


# What takes long to import, or drags much along; exec to the first answer has 120 ms.
SLOW = {"asyncio", "dataclasses", "email", "http", "inspect", "json", "logging", "msgspec",
        "typing", "unittest", "urllib.request"}


def test_starting_imports_nothing_slow() -> None:
    code = ("import sys; import nodepp.cli, nodepp.server, nodepp.app, nodepp.target;"
            " print(' '.join(sys.modules))")
    before = subprocess.run([sys.executable, "-c", "import sys; print(' '.join(sys.modules))"],
                            capture_output=True, text=True, check=True)
    after = subprocess.run([sys.executable, "-c", code],
                           capture_output=True, text=True, check=True)
    new = set(after.stdout.split()) - set(before.stdout.split())
    assert not new & SLOW


# Python has always loaded these, or has them built in.
LOADED = {"os", "sys", "_frozen_importlib_external", "_thread", "_weakref", "faulthandler"}


def late_imports(path: Path) -> list[str]:
    """The modules that statements in functions import."""
    if path.suffix != ".py":
        return re.findall(r"^ +(?:from (?=\S+ import)|import )(\w+)", path.read_text(), re.M)
    found = []
    for function in ast.walk(ast.parse(path.read_text())):
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            for node in ast.walk(function):
                if isinstance(node, ast.Import):
                    found.extend(alias.name for alias in node.names)
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found.append(str(node.module))
    return found


@pytest.mark.parametrize(
    "path", [*sorted((ROOT / "nodepp").rglob("*.py")), *PARTS], ids=name_of)
def test_functions_import_modules_of_others_by_library(path: Path) -> None:
    """By a statement it would be the application's token.py: see nodepp/library.py."""
    others = [name for name in late_imports(path) if name.partition(".")[0] != "nodepp"]
    assert set(others) <= LOADED
