"""Progress: a bar on a terminal, logged lines elsewhere, nothing where it is silenced."""

import logging
import re

import pytest

from avssl.io import progress
from avssl.io.progress import ProgressBar, track
from avssl.train.step_progress import StepProgress


@pytest.fixture(autouse=True)
def _console(monkeypatch):
    progress.stderr_console.cache_clear()
    yield
    progress.stderr_console.cache_clear()


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "140")


@pytest.fixture
def now(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "avssl")
    return caplog


def printed(capfd) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capfd.readouterr().err)


def test_without_a_terminal_steps_are_logged_after_two_seconds_then_every_five(capfd, now, lines):
    with StepProgress("avsa", 0, 100) as bar:
        for _ in range(100):
            now[0] += 0.5
            bar.step(2.5, seconds=0.5, data_wait=0.125, clips=8)
    assert len(lines.messages) == 11  # 2, 7, ..., 47, 50 s
    assert lines.messages[1] == "avsa: 14/100 steps, loss 2.500, 16.0 clips/s, 25% waiting for data, 00:00:43 left"
    assert capfd.readouterr() == ("", "")


def test_time_left_may_be_more_than_a_day(now, lines):
    with StepProgress("avsa", 0, 2) as bar:
        now[0] += 100 * 3600.0
        bar.step(2.5, seconds=100 * 3600.0, data_wait=0.0, clips=8)
    assert lines.messages[0].endswith(", 100:00:00 left")


def test_a_resumed_run_counts_from_its_step_and_its_rate_from_now(now, lines):
    with ProgressBar("render", 100, "clips", start=90, line_every=1.0) as bar:
        now[0] += 2.0
        bar.advance()
    assert lines.messages == ["render: 91/100 clips, 0.5 clips/s, 00:00:18 left"]


def test_no_work_is_silent_for_more_than_two_seconds_and_short_work_has_no_lines(now, lines):
    with ProgressBar("short", 3, "files") as short:
        for _ in range(3):
            now[0] += 0.5
            short.advance()
    assert lines.messages == []
    for _ in track(range(70), "long", "clips"):
        now[0] += 1.0
    assert [line.split()[1] for line in lines.messages] == ["2/70", "32/70", "62/70", "70/70"]


def test_an_unknown_total_has_no_time_left(now, lines):
    with ProgressBar("train", None, "steps", numbers=("loss {loss:.1f}",), line_every=1.0) as bar:
        now[0] += 2.0
        bar.advance(loss=0.5)
    assert lines.messages == ["train: 1 steps, loss 0.5"]


def test_a_terminal_gets_a_bar_and_no_lines(capfd, terminal, lines):
    with StepProgress("avsa", 2, 4) as bar:
        bar.step(2.5, seconds=0.5, data_wait=0.25, clips=8)
    text = printed(capfd)
    for part in ("avsa", "3/4", "loss 2.500", "16.0 clips/s", "50% waiting for data"):
        assert part in text
    assert not lines.messages


def test_tracked_items_are_passed_on_in_order(capfd, terminal):
    assert list(track("abc", "letters", "letters")) == ["a", "b", "c"]
    assert "3/3" in printed(capfd)


def test_a_bar_inside_another_is_not_drawn(capfd, terminal):
    with ProgressBar("outer", 2, "clips") as outer:
        assert list(track([1, 2], "inner", "frames")) == [1, 2]
        outer.advance(2)
    text = printed(capfd)
    assert ("outer" in text, "inner" in text) == (True, False)


@pytest.mark.parametrize("how", ["shown", "level"])
def test_silence_is_silent_on_a_terminal_too(capfd, terminal, monkeypatch, how):
    logger = logging.getLogger("avssl")
    monkeypatch.setattr(logger, "level", logging.WARNING if how == "level" else logger.level)
    with StepProgress("avsa", 0, 1, shown=how == "level") as bar:
        bar.step(1.0, 1.0, 0.0, 1)
    assert capfd.readouterr() == ("", "")


def test_unshown_progress_logs_nothing(lines, now):
    with ProgressBar("render", 1, "clips", shown=False, line_every=1.0) as bar:
        now[0] += 5.0
        bar.advance()
    assert not lines.messages
