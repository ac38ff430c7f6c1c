"""A curriculum: avsa goes on from the encoders of an avc run, from the command line."""

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from avssl_downstream.correspondence.transformer_predictions import load_transformer
from click.testing import CliRunner, Result

from avssl.cli import main
from avssl.data.loader import Batches
from avssl.models.encoders import Encoders
from avssl.runs import run_folder
from avssl.train import checkpoint

STAGES = {"first_stage.train.steps": 3, "train.steps": 3}


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pretrain(world: Path, recipe: str, out: Path, *flags: str, **settings: Any) -> Result:
    """A run of a few seconds."""
    settings = {
        "data.manifest": world, "data.batch": 3, "data.workers": 0, "data.seconds": 0.5,
        "options.crops": 2, "options.size": 32, "probe.enabled": "false", **settings,
    }  # fmt: skip
    given = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    return CliRunner().invoke(main, ["pretrain", "--recipe", recipe, "--out", str(out), *flags, *given])


@pytest.fixture(scope="module")
def curriculum(short_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a curriculum with transformers that nothing interrupted."""
    folder = tmp_path_factory.mktemp("runs") / "curriculum"
    done = pretrain(short_scenes, "avsa/small-curriculum-transformer", folder, **STAGES)
    assert done.exit_code == 0, done.output
    return folder


def same_bits(one: Path, other: Path) -> bool:
    weights = [checkpoint.load(each / checkpoint.LAST)["task"] for each in (one, other)]
    return weights[0].keys() == weights[1].keys() and all(
        torch.equal(weights[0][name], weights[1][name]) for name in weights[0]
    )


def test_one_command_is_the_same_bits_as_its_two_stages_by_two(
    short_scenes: Path, curriculum: Path, tmp_path: Path
) -> None:
    first = pretrain(short_scenes, "avc/small", tmp_path / "avc", **{"train.steps": 3})
    flags = ["--init", str(tmp_path / "avc")]
    second = pretrain(short_scenes, "avsa/small-transformer", tmp_path / "avsa", *flags, **{"train.steps": 3})
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert same_bits(curriculum / "first_stage", tmp_path / "avc")
    assert same_bits(curriculum, tmp_path / "avsa")
    assert run_folder.read_metrics(curriculum)["test_loss"] == run_folder.read_metrics(tmp_path / "avsa")["test_loss"]
    assert "avsa_bin" not in run_folder.read_metrics(curriculum / "first_stage")


@pytest.mark.parametrize("stops", [*(pytest.param(each, marks=pytest.mark.slow) for each in ((1,), (4,))), (2, 3, 5)])
def test_a_curriculum_stopped_in_either_stage_ends_with_the_same_bits(
    short_scenes: Path, curriculum: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stops: tuple[int, ...]
) -> None:
    """Stopped after so many steps of both stages together."""
    stream = Batches.between

    def stopped(at: int) -> Any:
        def between(self: Batches, start: int, stop: int) -> Any:
            stage = 3 if (tmp_path / "run/first_stage/encoders").is_dir() else 0
            for step, batch in zip(range(start, stop), stream(self, start, stop), strict=True):
                if step + stage == at:
                    signal.raise_signal(signal.SIGTERM)
                yield batch

        return between

    for at in stops:
        monkeypatch.setattr(Batches, "between", stopped(at))
        done = pretrain(short_scenes, "avsa/small-curriculum-transformer", tmp_path / "run", **STAGES)
        assert done.exit_code == 0, done.output
        assert "test_loss" not in run_folder.read_metrics(tmp_path / "run")
    monkeypatch.setattr(Batches, "between", stream)
    done = pretrain(short_scenes, "avsa/small-curriculum-transformer", tmp_path / "run", **STAGES)
    assert done.exit_code == 0, done.output
    assert same_bits(tmp_path / "run", curriculum)
    assert same_bits(tmp_path / "run/first_stage", curriculum / "first_stage")
    assert "test_avc_acc" in run_folder.read_metrics(tmp_path / "run/first_stage")


def test_a_complete_curriculum_is_left_alone_and_another_one_is_refused(short_scenes: Path, curriculum: Path) -> None:
    before = (curriculum / checkpoint.LAST).stat().st_mtime_ns
    again = pretrain(short_scenes, "avsa/small-curriculum-transformer", curriculum, **STAGES)
    assert (again.exit_code, (curriculum / checkpoint.LAST).stat().st_mtime_ns) == (0, before)
    longer = {**STAGES, "first_stage.train.steps": 4}
    other = pretrain(short_scenes, "avsa/small-curriculum-transformer", curriculum, **longer)
    assert other.exit_code == 2
    assert "belongs to another run (first_stage.train.steps was 3, is 4)" in other.output


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"first_stage.task": "avd"}, "did you mean 'avc'?"),
        ({"first_stage.train.stesp": 3}, "avsa/small-curriculum: first_stage: unknown key 'train.stesp'"),
        ({"first_stage.optim.lr": -1}, "avsa/small-curriculum: first_stage: optim.lr must be positive"),
        ({"first_stage.options.negatives": "hard"}, "unknown key 'negatives'"),
    ],
)
def test_a_wrong_first_stage_is_one_line_before_anything_is_written(
    short_scenes: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    done = pretrain(short_scenes, "avsa/small-curriculum", tmp_path / "run", **settings)
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_the_second_stage_begins_with_the_encoders_of_the_first(
    short_scenes: Path, curriculum: Path, tmp_path: Path
) -> None:
    # A rate at which nothing moves: what comes out is what went in, but for the running statistics of normalisation.
    still = {"train.steps": 1, "optim.lr": 1e-12, "optim.warmup": 0, "train.precision": "32-true"}
    first_stage = curriculum / "first_stage"
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


@pytest.mark.parametrize(
    ("recipe", "settings", "message"),
    [
        ("avsa/small-baseline", {}, "features config, name 'foa-logmel', got 'foa-iv'"),
        ("avsa/small", {"model.preset": "avsa"}, "model config, preset 'avsa', got 'small'"),
    ],
)
def test_encoders_of_another_kind_are_refused_with_what_differs(
    short_scenes: Path, curriculum: Path, tmp_path: Path, recipe: str, settings: dict[str, Any], message: str
) -> None:
    first_stage = curriculum / "first_stage"
    done = pretrain(short_scenes, recipe, tmp_path / "run", "--init", str(first_stage), **settings)
    assert done.exit_code == 2
    assert f"{first_stage}: " in done.output
    assert message in done.output
    assert not (tmp_path / "run").exists()
