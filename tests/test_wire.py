"""Every wire case, in the parser at every split and over sockets in ten ways on every poller."""

from __future__ import annotations

import contextlib
import pathlib
import random
import re
import tempfile

import harness
import pytest
import wirecases
import wirereplay
import wiresite
from wirecases import Case

from nodepp import _core

THEMES = wirecases.themes()
CASES = [case for cases in THEMES.values() for case in cases]
DOCUMENT = pathlib.Path(__file__).parent.parent / "docs" / "http-policy.md"
EVERY_SPLIT_SIZE = 1500          # bytes; of longer input the ends and a sample are split
EVERY_BYTE_SIZE = 20_500         # bytes; longer input comes in pieces of 97


@pytest.fixture(scope="module", autouse=True)
def default_limits():
    harness.restore_limits()


def splits(case: Case) -> list[int]:
    """Where the parser's input is cut in two."""
    size = len(case.data)
    if size <= EVERY_SPLIT_SIZE:
        return list(range(1, size))
    sample = random.Random(case.name).sample(range(128, size - 128), 100)
    return [*range(1, 128), *sorted(sample), *range(size - 128, size)]


# A test is a theme, not a case: thousands of tests cost more than what they test.


@pytest.mark.parametrize("theme", THEMES)
def test_the_parser_understands_cases_alike_at_every_split(theme):
    _core.probe_guard(True)
    try:
        for case in THEMES[theme]:
            try_splits(case)
    finally:
        _core.probe_guard(False)


def try_splits(case: Case) -> None:
    data = case.data
    whole = wirereplay.parse(data)
    try:
        wirereplay.verify_parsed(case, whole)
    except AssertionError as error:
        raise AssertionError(f"{case!r}: {error}") from error
    for cut in splits(case):
        assert wirereplay.parse(data, (cut,)) == whole, f"{case!r} cut at {cut}"
    step = 1 if len(data) <= EVERY_BYTE_SIZE else 97
    every_byte = tuple(range(1, len(data), step))
    assert wirereplay.parse(data, every_byte) == whole, f"{case!r} byte by byte"


def faults_of(theme: str) -> dict[str, dict[str, str]]:
    """Plays a theme on all pollers in all modes: {name of the case: {where: what}}."""
    faults: dict[str, dict[str, str]] = {}
    cases = THEMES[theme]
    plays = [(poller, False, wirereplay.MODES) for poller in harness.POLLERS]
    if theme.startswith("statics") or theme == "paths":
        # How heads come in pieces is in the other themes already; here it is about the answers.
        plays = [(poller, False, wirereplay.MODES[:3]) for poller in harness.POLLERS]
        plays += [("epoll", False, wirereplay.MODES[3:]), ("epoll", True, wirereplay.MODES[:3])]
        plays += [(poller, True, wirereplay.MODES[:1]) for poller in harness.POLLERS[1:]]
    for poller, on_disk, modes in plays:
        with site(on_disk) as statics, harness.serving(poller, statics=statics) as server:
            for mode in modes:
                for name, fault in wirereplay.replay(server, cases, mode).items():
                    where = f"{poller}, {mode}" + (", on disk" if on_disk else "")
                    faults.setdefault(name, {})[where] = fault
    return faults


@contextlib.contextmanager
def site(on_disk: bool):
    """The resources that the cases know: in memory, or as files that are sent from where they are.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield wiresite.snapshot(pathlib.Path(folder) if on_disk else None)


@pytest.mark.parametrize("theme", THEMES)
def test_cases_have_their_answers_over_sockets_on_every_poller(theme):
    assert faults_of(theme) == {}


def test_every_name_is_its_own():
    names = [case.name for case in CASES]
    assert len(names) == len(set(names))


def test_every_case_cites_a_rule():
    assert [case.name for case in CASES if not re.search(r"RFC \d{4}|§", case.why)] == []


def test_every_case_that_the_policy_names_exists():
    named = re.findall(r"`([a-z-]+): ([^`]+)`", DOCUMENT.read_text("utf-8"))
    titles = {(case.theme, case.title) for case in CASES}
    assert named
    assert [name for name in named if name not in titles] == []


def test_every_theme_is_named_in_the_policy():
    named = {theme for theme, _ in re.findall(r"`([a-z-]+): ([^`]+)`", DOCUMENT.read_text("utf-8"))}
    assert set(wirecases.themes()) - named == set()
