"""Training on the videos of a fold: batches of different videos, and a number of steps chosen on other ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avssl.config import DataConfig, OptimConfig, RunConfig, TrainConfig
from avssl.data.clip import Clip
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.evaluation.video_folds import video_of_clips
from avssl.models.runtime import single_process
from avssl.reproduce import fold_training
from avssl.reproduce.fold_training import BEST, FoldTrainer, FoldTraining, VideoBatches, chosen_steps, split_videos
from avssl.task import Task
from avssl.train.checkpoint import LAST

CONFIG = RunConfig(
    data=DataConfig(seconds=0.25, frames=1, batch=4, workers=0),
    optim=OptimConfig(weight_decay=0.0),
    train=TrainConfig(precision="32-true", log_every=100),
)
TRAINING = FoldTraining(steps=5, lr=0.1, warmup=0, every=2, validation=0.4)


@pytest.fixture
def clips(filmed_noise: Path) -> Manifest:
    return read_manifest(filmed_noise)


@pytest.fixture
def videos(clips: Manifest) -> dict[str, str]:
    return video_of_clips(clips, r"(.+)_\d+")


class Target(Task):
    """One weight that training pulls to 1; the loss of evaluation pulls to `best`."""

    def __init__(self, best: float) -> None:
        super().__init__(SimpleNamespace(sample_rate=24000), None)  # type: ignore[arg-type]
        self.weight, self.best = nn.Parameter(torch.zeros(1)), best

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        return {"level": clip.audio[0].square().mean(), "draw": torch.tensor(rng.random())}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        scale = 1 + batch["draw"].mean()
        return {"loss": scale * (self.weight - (1.0 if self.training else self.best)).abs().sum()}


def trained(folder: Path, clips: Manifest, videos: dict[str, str], best: float) -> tuple[int, float]:
    folder.mkdir(parents=True, exist_ok=True)
    task = Target(best)
    steps = FoldTrainer(task, CONFIG, TRAINING, folder, single_process("32-true")).train(clips, videos)
    return steps, task.weight.item()


def test_a_batch_has_one_clip_of_each_video_and_depends_on_the_step_only(
    clips: Manifest, videos: dict[str, str]
) -> None:
    batches = VideoBatches(clips, videos, Target(0).views, CONFIG.data, 24000, 3)
    seen = set()
    for step in range(30):
        rows = batches.rows(step)
        names = [videos[row.key] for row in rows]
        assert len(set(names)) == len(names) == 4
        assert rows == batches.rows(step)
        seen |= {row.key for row in rows}
    assert seen == set(videos)
    whole = [batch["draw"] for batch in batches.between(0, 4)]
    parts = [batch["draw"] for start in (0, 2) for batch in batches.between(start, start + 2)]
    assert torch.equal(torch.stack(whole), torch.stack(parts))
    everyone = replace(batches, data=replace(CONFIG.data, batch=32)).rows(0)
    assert len(everyone) == len(set(videos.values()))


@pytest.mark.parametrize("seed", range(5))
def test_validation_videos_are_not_trained_on(clips: Manifest, videos: dict[str, str], seed: int) -> None:
    train, held = split_videos(clips, videos, 0.3, seed)
    names = [{videos[row.key] for row in side} for side in (train, held)]
    assert not names[0] & names[1]
    assert (len(names[0]), len(names[1])) == (4, 2)
    assert split_videos(clips, videos, 0.0, seed) == (clips, Manifest((), clips.root))


def test_too_few_videos_to_choose_by_are_refused(clips: Manifest, videos: dict[str, str]) -> None:
    few = Manifest(tuple(row for row in clips if videos[row.key] in ("near", "left", "odd")), clips.root)
    message = "expected at least 4 videos to train on, got 3; choose fewer folds, or validation=0"
    with pytest.raises(InputError, match=message):
        split_videos(few, videos, 0.25, 0)


@pytest.mark.parametrize(("best", "steps"), [(-1.0, 0), (0.2, 2), (0.39, 4), (2.0, 5)])
def test_the_steps_with_the_lowest_validation_loss_win(
    tmp_path: Path, clips: Manifest, videos: dict[str, str], best: float, steps: int
) -> None:
    assert trained(tmp_path, clips, videos, best) == (steps, pytest.approx(0.1 * steps, rel=0.1))
    assert chosen_steps(tmp_path) == steps


def test_training_on_all_videos_ends_at_the_largest_number(
    clips: Manifest, videos: dict[str, str], tmp_path: Path
) -> None:
    task, options = Target(-1.0), replace(TRAINING, validation=0.0)
    assert FoldTrainer(task, CONFIG, options, tmp_path, single_process("32-true")).train(clips, videos) == 5
    assert task.weight.item() == pytest.approx(0.5, rel=0.1)


@pytest.mark.parametrize("stops", [1, 2])
def test_a_stopped_training_ends_as_an_uninterrupted_one(
    tmp_path: Path, clips: Manifest, videos: dict[str, str], monkeypatch: pytest.MonkeyPatch, stops: int
) -> None:
    whole, fit, left = trained(tmp_path / "whole", clips, videos, 0.39), fold_training.fit, [stops]

    def stopping(*given: Any, **named: Any) -> dict[str, float]:
        left[0] -= 1
        if left[0] < 0:
            raise SystemExit(0)
        return fit(*given, **named)

    monkeypatch.setattr(fold_training, "fit", stopping)
    with pytest.raises(SystemExit):
        trained(tmp_path / "stopped", clips, videos, 0.39)
    assert (tmp_path / "stopped" / BEST).is_file()
    assert (tmp_path / "stopped" / LAST).is_file()
    monkeypatch.setattr(fold_training, "fit", fit)
    assert trained(tmp_path / "stopped", clips, videos, 0.39) == whole


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}', '{"1": "x"}'])
def test_spoiled_losses_are_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "steps.json").write_text(text)
    with pytest.raises(InputError, match=r"steps.json: expected validation losses by steps"):
        chosen_steps(tmp_path)


def test_options_without_meaning_are_refused() -> None:
    for wrong in ({"steps": 0}, {"lr": -1.0}, {"every": 0}, {"warmup": -1}, {"validation": 1.0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            FoldTraining(**wrong)  # type: ignore[arg-type]
