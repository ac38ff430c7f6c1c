"""Messages: silent unless a program asks for them; standard error, -v and -q on the command line."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from avssl.cli import main
from avssl.cli.logs import StderrHandler, logging_to_stderr
from avssl.io import progress

RENDER = ["synth", "stage", "{out}", "--clips=1", "--seconds=0.25", "--width=64", "--height=32", "--workers=1"]


def render(out: Path, *flags: str):
    return CliRunner().invoke(main, [*flags, *(word.format(out=out) for word in RENDER)])


def script(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ)
    )


@pytest.mark.heavy
def test_the_library_configures_no_logging_and_is_silent():
    code = """
import logging
import avssl
from avssl.synth.stage.stage_dataset import stage
import tempfile, pathlib
stage(pathlib.Path(tempfile.mkdtemp()) / "out", 1, 0.25, 0, width=64, height=32, workers=1)
logging.getLogger("avssl.x").warning("of no use to anybody")
assert not logging.getLogger().handlers
assert [type(each).__name__ for each in logging.getLogger("avssl").handlers] == ["NullHandler"]
"""
    done = script(code)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.heavy
def test_a_program_gets_the_messages_it_asks_for():
    code = """
import logging, pathlib, sys, tempfile
from avssl.io import progress
progress.FIRST_LINE = 0
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(name)s|%(message)s")
logging.getLogger("avssl").setLevel(logging.{level})
from avssl.synth.stage.stage_dataset import stage
stage(pathlib.Path(tempfile.mkdtemp()) / "out", 1, 0.25, 0, width=64, height=32, workers=1)
"""
    shown, silenced = script(code.format(level="INFO")), script(code.format(level="WARNING"))
    assert shown.stdout.startswith("avssl.io.progress|rendering: 1/1 clips")
    assert (silenced.stdout, silenced.stderr) == ("", "")


def test_results_go_to_standard_output_and_progress_to_standard_error(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "FIRST_LINE", 0)
    done = render(tmp_path / "out")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'out' / 'manifest.parquet'}\n")
    assert done.stderr.startswith("rendering: 1/1 clips")


def test_quiet_prints_the_result_alone(tmp_path):
    done = render(tmp_path / "out", "-q")
    assert (done.stdout, done.stderr) == (f"{tmp_path / 'out' / 'manifest.parquet'}\n", "")


def test_quiet_draws_no_bar_on_a_terminal(tmp_path, monkeypatch):
    from avssl.io import progress

    monkeypatch.setenv("FORCE_COLOR", "1")
    progress.stderr_console.cache_clear()
    try:
        assert "rendering" in render(tmp_path / "bar").stderr
        assert render(tmp_path / "out", "-q").stderr == ""
    finally:
        progress.stderr_console.cache_clear()


def test_quiet_still_shows_warnings_and_errors(tmp_path, monkeypatch):
    def broken(*_, **__):
        logging.getLogger("avssl.synth").info("hidden")
        logging.getLogger("avssl.synth").warning("the ears are exchanged")
        raise FileNotFoundError(2, "No such file or directory", "gone.sofa")

    monkeypatch.setattr("avssl.synth.stage.stage_dataset.Stage.render", broken)
    done = render(tmp_path / "out", "-q")
    assert done.exit_code == 2
    assert done.stderr.splitlines() == [
        "Warning: the ears are exchanged", "Error: gone.sofa: No such file or directory"
    ]  # fmt: skip


def test_verbose_names_the_logger_of_debugging_messages(tmp_path, monkeypatch):
    def debugging(*_, **__):
        logging.getLogger("avssl.synth").debug("12 clips cached")

    monkeypatch.setattr("avssl.synth.stage.stage_dataset.Stage.render", debugging)
    assert "avssl.synth: 12 clips cached\n" in render(tmp_path / "out", "-v").stderr
    assert render(tmp_path / "out").stderr == ""


def test_verbose_and_quiet_exclude_each_other(tmp_path):
    done = render(tmp_path / "out", "-v", "-q")
    assert (done.exit_code, done.stderr) == (2, "Error: expected -v or -q, got both\n")


@pytest.mark.parametrize(("rank", "shown"), [("0", ["info", "Warning: warning"]), ("3", ["Warning: warning"])])
def test_other_processes_than_the_first_show_warnings_only(rank, shown, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", rank)
    logger = logging.getLogger("avssl.train")
    with logging_to_stderr(logging.INFO):
        logger.info("info")
        logger.warning("warning")
    assert capsys.readouterr().err.splitlines() == shown


def test_the_command_line_leaves_logging_as_it_was(tmp_path):
    logger = logging.getLogger("avssl")
    before = logger.level, list(logger.handlers)
    render(tmp_path / "out", "-v")
    assert (logger.level, logger.handlers) == before
    assert not any(isinstance(each, StderrHandler) for each in logger.handlers)


def test_messages_are_plain_text_without_markup_or_wrapping(capsys):
    text = "[bold]a :smile: file[/bold] " + "name " * 60
    with logging_to_stderr(logging.INFO):
        logging.getLogger("avssl.x").info("%s", text)
    assert capsys.readouterr().err == f"{text}\n"
