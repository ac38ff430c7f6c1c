"""A curriculum: avsa goes on from the encoders of an avc run, from the command line."""

from pathlib import Path
from typing import Any

import pytest
import torch
from avssl_downstream.correspondence.transformer_predictions import load_transformer
from click.testing import CliRunner, Result

from avssl.cli import main
from avssl.models.encoders import Encoders
from avssl.runs import run_folder


def pretrain(world: Path, recipe: str, out: Path, *flags: str, **settings: Any) -> Result:
    """A run of a few seconds."""
    settings = {
        "data.manifest": world, "data.batch": 3, "data.workers": 0, "data.seconds": 0.5,
        "options.crops": 2, "options.size": 32, "probe.enabled": "false", **settings,
    }  # fmt: skip
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return CliRunner().invoke(main, ["pretrain", "--recipe", recipe, "--out", str(out), *flags, *given])


@pytest.fixture(scope="module")
def first_stage(short_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an avc run."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("runs") / "avc"
    done = pretrain(short_scenes, "avc/small-curriculum", folder, **{"train.steps": 3})
    torch.set_num_threads(threads)
    assert done.exit_code == 0, done.output
    return folder


def test_the_second_stage_begins_with_the_encoders_of_the_first(
    short_scenes: Path, first_stage: Path, tmp_path: Path
) -> None:
    # A rate at which nothing moves: what comes out is what went in, but for the running statistics of normalisation.
    still = {"train.steps": 1, "optim.lr": 1e-12, "optim.warmup": 0, "train.precision": "32-true"}
    for name in ("from avc", "from scratch"):
        flags = ["--init", str(first_stage)] if name == "from avc" else []
        done = pretrain(short_scenes, "avsa/small-transformer", tmp_path / name, *flags, **still)
        assert done.exit_code == 0, done.output
    stage, begun, scratch = (
        Encoders.from_pretrained(folder) for folder in (first_stage, tmp_path / "from avc", tmp_path / "from scratch")
    )
    assert all(torch.allclose(a, b, atol=1e-8) for a, b in zip(stage.parameters(), begun.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(stage.parameters(), scratch.parameters(), strict=True))
    assert torch.equal(stage.features.mean, begun.features.mean)
    predicted = load_transformer(tmp_path / "from avc", begun)(torch.randn(3, 4, begun.video_width))
    assert predicted.shape == (3, 4, begun.audio_width)
    with pytest.raises(ValueError, match="expected a transformer, got none"):
        load_transformer(first_stage, stage)


def test_both_stages_run_from_their_recipes(
    short_scenes: Path, first_stage: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = pretrain(short_scenes, "avsa/small-curriculum-transformer", tmp_path / "avsa", **{"train.steps": 3})
    assert missing.exit_code == 2
    assert "runs/avc-curriculum: expected encoders of avssl" in missing.output
    Path("runs").mkdir(exist_ok=True)
    Path("runs/avc-curriculum").symlink_to(first_stage)
    done = pretrain(short_scenes, "avsa/small-curriculum-transformer", tmp_path / "avsa", **{"train.steps": 3})
    assert done.exit_code == 0, done.output
    assert run_folder.read_metrics(tmp_path / "avsa")["steps"] == 3


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("avsa/small-baseline", {}, "features config, name 'foa-logmel', got 'foa-iv'"),
        ("avsa/small", {"model.preset": "avsa"}, "model config, preset 'avsa', got 'small'"),
    ],
)
def test_encoders_of_another_kind_are_refused_with_what_differs(
    short_scenes: Path, first_stage: Path, tmp_path: Path, recipe: str, settings: dict[str, Any], message: str
) -> None:
    done = pretrain(short_scenes, recipe, tmp_path / "run", "--init", str(first_stage), **settings)
    assert done.exit_code == 2
    assert f"{first_stage}: " in done.output
    assert message in done.output
    assert not (tmp_path / "run").exists()
