"""Options generated from config dataclasses: their help, and their way into the config."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import click
import pytest
from click.testing import CliRunner

from avssl import plugins
from avssl.cli import main
from avssl.cli.catalog import GROUPS
from avssl.cli.options import ConfigCommand, given_keys, option_fields
from avssl.config import FEATURES, RunConfig
from avssl.config_fields import choice
from avssl.recipe_files import resolve

WITH_OPTIONS = [each for each in GROUPS.values() if each not in (plugins.ENCODERS, plugins.FITTED_HEADS)]
"""Entry-point groups of plug-ins; weights have no options."""


@dataclass(frozen=True)
class Inner:
    """A section."""

    rate: float = 0.5
    """Hz."""
    undocumented: int = 3


def _faster() -> Inner:
    return Inner(rate=2.0)


@dataclass(frozen=True)
class Base:
    """Inherited fields."""

    wide: bool = False
    """Over two
    lines."""


@dataclass(frozen=True)
class Sample(Base):
    """Fields of each kind."""

    codec: str = choice("aac", ("", "aac", "pcm"))
    """Of the sound."""
    mode: Literal["fast", "slow"] = "fast"
    """How."""
    names: list[str] = choice(["a"], ("a", "b"))
    """Some of them."""
    inner: Inner = field(default_factory=_faster)
    """Not shown: its keys are."""


def _command() -> tuple[click.Command, list[str]]:
    seen: list[str] = []

    @click.command("sample", cls=ConfigCommand, config=lambda: Sample)
    @click.option("--mode", help="Taken.")
    @click.pass_context
    def command(context: click.Context, mode: str | None) -> None:
        seen.extend(given_keys(context))

    return command, seen


def test_fields_have_type_choices_default_and_text():
    found = {each.key: (each.flag, each.value, each.default, each.text) for each in option_fields(Sample)}
    assert found == {
        "wide": ("--wide", "BOOLEAN", False, "Over two lines."),
        "codec": ("--codec", "[aac|pcm]", "aac", "Of the sound."),
        "mode": ("--mode", "[fast|slow]", "fast", "How."),
        "names": ("--names", "[a|b],...", ["a"], "Some of them."),
        "inner.rate": ("--inner.rate", "FLOAT", 2.0, "Hz."),
        "inner.undocumented": ("--inner.undocumented", "INTEGER", 3, ""),
    }


def test_help_shows_sections_and_leaves_taken_flags_alone():
    command, _ = _command()
    lines = CliRunner().invoke(command, ["--help"]).output.splitlines()
    assert "Keys of inner:" in lines
    assert sum("--mode" in line for line in lines) == 1
    assert any(line.split() == ["--inner.rate", "FLOAT", "Hz.", "[default:", "2]"] for line in lines)


def test_given_flags_become_keys_and_missing_ones_stay_with_the_recipe():
    command, seen = _command()
    words = ["--inner.rate", "3", "--wide", "--codec=", "--inner.un_documented=1"]
    assert CliRunner().invoke(command, words).exit_code == 2
    assert CliRunner().invoke(command, words[:-1]).exit_code == 0
    assert seen == ["inner.rate=3", "wide=true", "codec="]


def _configs() -> list[tuple[str, type]]:
    found = [
        (f"{group} {name}", plugins.load_options(group, name))
        for group in WITH_OPTIONS
        for name in plugins.names(group)
    ]
    return [("pretrain", RunConfig), *found]


@pytest.mark.parametrize(("name", "kind"), _configs())
def test_every_key_of_ours_has_a_line_of_text(name: str, kind: type):
    assert [each.key for each in option_fields(kind) if not each.text] == []


@pytest.mark.parametrize("group", WITH_OPTIONS)
def test_options_found_without_the_plugin_are_the_plugins_own(group: str):
    for name in plugins.names(group):
        assert plugins.load_options(group, name) is plugins.load(group, name).Options


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["spatialize"], ["--target [ambix|binaural|stereo|5.1|7.1|activations]", "--hrirs TEXT", "--optim.lr FLOAT"]),
        (["action"], ["--colour.hue FLOAT", "--classifier [logistic|svm|knn]", "--dropout FLOAT"]),
        (["correspondence"], ["--misalignment [yaw|pitch-yaw|any]", "--avsa.lr FLOAT"]),
        (["eigenscape"], ["--baselines [random|logmel|dirac_gmm],...", "--rotations INTEGER"]),
        (["acoustic-scenes"], ["--tower [audio|video|both]"]),
    ],
)
def test_help_of_a_head_lists_its_options(words: Sequence[str], shown: Sequence[str]):
    output = CliRunner().invoke(main, ["downstream", *words, "--help"]).output
    for each in shown:
        assert each in output


def test_help_of_pretrain_lists_every_key_and_the_named_tasks_options():
    output = CliRunner().invoke(main, ["pretrain", "--task", "swap", "--help"]).output
    assert "Keys of options (swap):" in output
    for each in (
        "--optim.lr FLOAT",
        "--train.steps INTEGER",
        "--options.both-orders BOOLEAN",
        "--probe.epochs INTEGER",
        "--probe.enabled BOOLEAN",
    ):
        assert each in output
    assert f"[{'|'.join(FEATURES)}]" in "".join(output.split())


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["downstream", "spatialize", "--recipe", "spatialize/foa360-pointing"], "--generator-options.gate"),
        (["downstream", "spatialize", "--recipe=spatialize/asn-small"], "--generator-options.classifier"),
        (["pretrain", "--recipe", "swap/small"], "--options.mirror-both"),
    ],
)
def test_a_recipe_names_the_plug_in_whose_options_there_are(words: Sequence[str], shown: str):
    result = CliRunner().invoke(main, [*words, "--help"])
    assert (result.exit_code, shown in result.output) == (0, True)


def test_a_command_without_arguments_says_what_is_missing():
    result = CliRunner().invoke(main, ["reproduce", "generator-clips"])
    assert (result.exit_code, "Missing option '--data'" in result.output) == (2, True)


def test_a_flag_wins_over_the_recipe(monkeypatch: pytest.MonkeyPatch):
    seen: dict[str, Any] = {}
    monkeypatch.setattr("avssl.train.pretrain.pretrain", lambda config, *_, **__: seen.update(config=config))
    words = [
        "pretrain",
        "--recipe",
        "avsa/small",
        "--optim.lr",
        "3e-4",
        "--set",
        "train.steps=7",
        "--optim.weight_decay=0",
    ]
    assert CliRunner().invoke(main, words).exit_code == 0
    optim = {"lr": 3e-4, "weight_decay": 0}
    assert seen["config"] == resolve(RunConfig, "avsa/small", {"optim": optim, "train": {"steps": 7}})


def test_features_with_a_description_are_those_that_exist():
    from avssl.config import BEAMS
    from avssl.spatial.ambisonics import beams
    from avssl.spatial.features import names

    assert (list(FEATURES), list(BEAMS)) == (names(), beams())


def test_list_describes_each_plugin_and_shows_the_error_of_a_broken_one(tmp_path, monkeypatch):
    info = tmp_path / "strange-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    entries = "whole = strange_package:Whole\nbroken = strange_broken:Broken\nabsent = strange_absent:Absent\n"
    (info / "entry_points.txt").write_text(f"[avssl.tasks]\n{entries}")
    package = tmp_path / "strange_package"
    package.mkdir()
    (package / "__init__.py").write_text("from .inside import Whole\nimport torch_is_not_imported\n")
    (package / "inside.py").write_text('class Whole:\n    """A whole task.\n\n    More.\n    """\n')
    (tmp_path / "strange_broken.py").write_text("class Broken(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    result = CliRunner().invoke(main, ["list"])
    lines = [line.strip() for line in result.output.splitlines()]
    assert result.exit_code == 0
    assert any(line.split(maxsplit=1) == ["whole", "A whole task."] for line in lines)
    assert any(line.startswith("broken ") and "error: " in line for line in lines)
    assert any(line.startswith("absent ") and "error: " in line and "strange_absent" in line for line in lines)
    assert all(len(line.split(maxsplit=1)) == 2 for line in lines if line and not line.endswith(":"))


@pytest.mark.parametrize("name", ["acoustic-scenes", "action", "correspondence"])
def test_help_of_a_head_does_not_import_torch(name: str):
    run = f"from avssl.cli import main; main(['downstream', '{name}', '--help'], standalone_mode=False)"
    code = f"import sys; {run}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
