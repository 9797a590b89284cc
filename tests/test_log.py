"""The error log: what is written where, and that nothing a peer sends can forge a line."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from nodepp import log as log_module
from nodepp.log import ALWAYS, DBG, ERR, INF, MESSAGE_SIZE_MAX, WAR, Log, clean, exception_text


@pytest.fixture
def log(tmp_path: Path):
    it = Log()
    it.configure(INF, str(tmp_path / "error.log"))
    yield it
    it.close()


def lines(log: Log) -> list[str]:
    return Path(log.path).read_text().splitlines()


def test_line_has_moment_level_and_message(log: Log) -> None:
    log.write(ERR, "it broke")
    (line,) = lines(log)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} ERR it broke", line)


@pytest.mark.parametrize("level", range(5))
def test_level_decides_what_is_written(log: Log, level: int) -> None:
    log.level = level
    for wanted in (ALWAYS, ERR, WAR, INF, DBG):
        log.write(wanted, "x")
    assert len(lines(log)) == level + 1


def test_second_line_of_a_message_is_indented(log: Log) -> None:
    log.write(ERR, "GET /\n2025-01-01 00:00:00.000 ERR forged")
    assert lines(log)[1].startswith("    2025")


def test_control_characters_are_spelled_out() -> None:
    assert clean("a\x1b[31m\x00\r\x7f\x9bb\tc") == "a\\x1b[31m\\x00\\x0d\\x7f\\x9bb\tc"


def test_plain_text_stays_as_it_is() -> None:
    assert clean("żółw 亀") == "żółw 亀"


def test_lone_surrogate_is_written_somehow(log: Log) -> None:
    log.write(ERR, "\ud800")
    assert lines(log)[0].endswith("\\ud800")


def test_long_message_is_cut_and_says_so() -> None:
    text = clean("x" * (MESSAGE_SIZE_MAX + 5))
    assert text.endswith("x … (5 more)")
    assert clean("x" * MESSAGE_SIZE_MAX) == "x" * MESSAGE_SIZE_MAX


def test_reopened_log_goes_to_a_new_file_of_the_same_name(log: Log) -> None:
    log.write(ERR, "before")
    moved = log.path + ".1"
    os.rename(log.path, moved)
    log.write(ERR, "still there")
    log.reopen()
    log.write(ERR, "after")
    assert len(Path(moved).read_text().splitlines()) == 2
    assert len(lines(log)) == 1


def test_reopening_a_stream_changes_nothing() -> None:
    it = Log()
    it.reopen()
    assert it.fileno() == 2


def test_file_that_cannot_be_opened_leaves_the_old_one(log: Log, tmp_path: Path) -> None:
    with pytest.raises(OSError):
        log.configure(INF, str(tmp_path / "nowhere" / "x.log"))
    log.write(ERR, "here")
    assert len(lines(log)) == 1


def test_lost_messages_are_counted_and_told(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write

    def full_disk(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log_module.os, "write", full_disk)
    log.write(ERR, "one")
    log.write(ERR, "two")
    monkeypatch.setattr(log_module.os, "write", real)
    log.write(ERR, "three")
    told, message = lines(log)
    assert told.endswith("WAR 2 lines before this were lost: No space left on device.")
    assert message.endswith("ERR three")


def test_file_is_for_owner_and_group_only(log: Log) -> None:
    assert os.stat(log.path).st_mode & 0o007 == 0


def test_streams_have_no_date_and_files_no_colour(capfd: pytest.CaptureFixture[str]) -> None:
    it = Log()
    it.configure(INF, to_stdout=True)
    it.write(ERR, "to stdout")
    it.configure(INF)
    it.write(ERR, "to stderr")
    out, err = capfd.readouterr()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} ERR to stdout\n", out)
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} ERR to stderr\n", err)


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False),
     ({"TERM": "xterm", "NO_COLOR": "1"}, False)],
)
def test_terminal_gets_colours_unless_it_was_asked_not_to(
    variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pty

    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    master, slave = pty.openpty()
    try:
        assert log_module.wants_colour(slave) is coloured
    finally:
        os.close(master)
        os.close(slave)


# --- exceptions -----------------------------------------------------------------------------------


def failing(text: str) -> None:
    int(text)


def test_exception_shows_its_line_and_the_users_frames() -> None:
    try:
        failing("x")
    except ValueError as error:
        text = exception_text(error).splitlines()
    assert text[0] == "ValueError: invalid literal for int() with base 10: 'x'"
    assert re.fullmatch(r"  \S*test_log\.py:\d+ in failing: int\(text\)", text[-1])


def test_frames_of_libraries_are_left_out_but_the_last() -> None:
    import json

    try:
        json.loads("{")
    except ValueError as error:
        text = exception_text(error).splitlines()
    assert len(text) == 3
    assert "json" in text[-1]


def test_cause_is_told_after_the_exception() -> None:
    try:
        try:
            failing("x")
        except ValueError as error:
            raise KeyError("y") from error
    except KeyError as error:
        text = exception_text(error)
    assert text.startswith("KeyError: 'y'\n")
    assert "\n  after ValueError: invalid literal" in text


def test_cycle_of_causes_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert exception_text(first).count("ValueError") == 2


def test_syntax_error_shows_the_place_in_the_source() -> None:
    try:
        compile("a b", "app.py", "exec")
    except SyntaxError as error:
        text = exception_text(error)
    assert text.startswith("SyntaxError: ")
    assert 'File "app.py", line 1' in text


def test_verbose_shows_the_whole_traceback() -> None:
    try:
        failing("x")
    except ValueError as error:
        assert exception_text(error, verbose=True).startswith("Traceback (most recent call last)")
