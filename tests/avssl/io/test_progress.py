import re

from avssl.io import progress
from avssl.io.progress import ProgressBar


def test_without_a_terminal_lines_come_now_and_then(capfd, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with ProgressBar("avsa", 0, 100) as bar:
        for step in range(1, 101):
            now[0] += 0.5
            bar.update(step, 2.5, seconds=0.5, data_wait=0.125, clips=8)
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0] == "avsa: step 10/100, loss 2.500, 16.0 clips/s, 25% waiting for data, 00:00:45 left"


def test_time_left_may_be_more_than_a_day(capfd):
    with ProgressBar("avsa", 0, 2) as bar:
        bar._last_line = -10.0
        bar.update(1, 2.5, seconds=100 * 3600.0, data_wait=0.0, clips=8)
    assert ", 100:00:00 left" in capfd.readouterr().err


def test_a_terminal_gets_a_bar(capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "140")
    with ProgressBar("avsa", 0, 4) as bar:
        bar.update(3, 2.5, seconds=0.5, data_wait=0.25, clips=8)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capfd.readouterr().err)
    for part in ("avsa", "3/4", "loss 2.500", "16.0 clips/s", "50% waiting for data"):
        assert part in text


def test_silence_is_silent(capfd):
    with ProgressBar("avsa", 0, 1, shown=False) as bar:
        bar.update(1, 1.0, 1.0, 0.0, 1)
        bar.say("something")
    assert capfd.readouterr() == ("", "")
