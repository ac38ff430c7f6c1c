"""The command line: help without torch, one-line errors, exit codes."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from avssl.cli import main


@pytest.mark.parametrize("arguments", [["--help"], ["list"], ["downstream", "--help"], ["recipe", "avsa/small"]])
def test_looking_around_does_not_import_torch(arguments):
    run = f"from avssl.cli import main; main({arguments}, standalone_mode=False)"
    code = f"import sys; {run}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_list_names_what_is_installed():
    output = CliRunner().invoke(main, ["list"]).output
    for name in ("avsa", "avc", "correspondence", "avsa/small"):
        assert name in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pretrain", "--task", "avsaa"], "did you mean 'avsa'"),
        (["pretrain", "--features", "foa-vi"], "did you mean 'foa-iv'"),
        (["pretrain", "--set", "optim.lrr=3"], "did you mean 'lr'"),
        (["pretrain", "--set", "options.crop=3"], "did you mean 'crops'"),
        (["pretrain", "--set", "optim.lr"], "KEY=VALUE"),
        (["pretrain", "--recipe", "avsa/smal"], "did you mean 'avsa/small'"),
        (["pretrain", "--data", "nowhere"], "nowhere"),
        (["pretrain", "--init", "nowhere"], "nowhere"),
        (["downstream", "correspondance", "--encoders", "x"], "did you mean 'correspondence'"),
        (["downstream", "correspondence", "--encoders", "nowhere"], "nowhere"),
        (["downstream", "correspondence", "--encoders", "x", "--apply", "y"], "--apply and --to"),
        (["prepare", "nowhere", "out", "--layout", "files"], "nowhere"),
    ],
)
def test_a_mistake_is_answered_in_one_line_with_exit_code_2(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output
    assert "Traceback" not in result.output
    assert result.output.strip().count("\n") == 0
    assert not list(tmp_path.iterdir())
