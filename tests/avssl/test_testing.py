"""check_task passes valid tasks and names violations of the contract."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from avssl.data.clip import Clip
from avssl.spatial.ambisonics import intensity_direction
from avssl.task import Task
from avssl.testing import check_task, make_clips


class Good(Task):
    """Predicts the level of the audio from the mean colour."""

    Options = dict

    def __init__(self, encoders: Any = None, options: Any = None) -> None:
        super().__init__(nn.Identity() if encoders is None else encoders, options)
        self.line = nn.Linear(3, 1)

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        frame = clip.frames[rng.integers(len(clip.frames))]
        return {"colour": frame.float().mean((1, 2)) / 255, "level": clip.audio[0].std()}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": (self.line(batch["colour"])[:, 0] - batch["level"]).square().mean()}


class Variant(Good):
    """Valid except for one method."""

    def __init__(self, views: Any = None, forward: Any = None, extra: nn.Module | None = None) -> None:
        super().__init__()
        self.make_views, self.computed, self.extra = views, forward, extra

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        return self.make_views(super().views(clip, rng), clip) if self.make_views else super().views(clip, rng)

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.computed(super().forward(batch)) if self.computed else super().forward(batch)


def random_view(views: dict[str, Tensor], clip: Clip) -> dict[str, Tensor]:
    return {**views, "dice": torch.rand(1)}


def unseeded_view(views: dict[str, Tensor], clip: Clip) -> dict[str, Tensor]:
    return {**views, "dice": torch.from_numpy(np.random.default_rng().random(1))}


def written_clip(views: dict[str, Tensor], clip: Clip) -> dict[str, Tensor]:
    clip.audio.mul_(0.5)
    return views


def ragged_view(views: dict[str, Tensor], clip: Clip) -> dict[str, Tensor]:
    return {**views, "ragged": torch.zeros(int(clip.key[-1]))}


def array_view(views: dict[str, Tensor], clip: Clip) -> dict[str, Any]:
    return {**views, "array": np.zeros(3)}


def test_a_good_task_passes() -> None:
    check_task(Good(), make_clips())


@pytest.mark.parametrize(
    ("views", "message"),
    [
        (random_view, "used the global random state"),
        (unseeded_view, "view 'dice' of 'synthetic-0-0' differs between two calls"),
        (written_clip, "changed clip.audio in place"),
        (ragged_view, "do not stack"),
        (array_view, "view 'array' of 'synthetic-0-0' as a tensor, got ndarray"),
    ],
)
def test_views_that_break_the_contract_are_named(views: Callable[..., Any], message: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        check_task(Variant(views), make_clips())


@pytest.mark.parametrize(
    ("forward", "message"),
    [
        (lambda found: {"cost": found["loss"]}, '{"loss": scalar'),
        (lambda found: {"loss": found["loss"] * torch.nan}, "expected a finite loss, got nan"),
        (lambda found: {"loss": found["loss"].detach()}, "loss with gradient"),
        (lambda found: {**found, "map": torch.zeros(3)}, "'map' of forward as a scalar tensor"),
    ],
)
def test_losses_that_break_the_contract_are_named(forward: Callable[..., Any], message: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(message)):
        check_task(Variant(forward=forward), make_clips())


class Stating(Good):
    """States what stands beside its scalars."""

    def __init__(self, found: dict[str, Any]) -> None:
        super().__init__()
        self.found = found

    def reference_scores(self, batch: dict[str, Tensor], scenes: None) -> dict[str, Any]:
        assert scenes is None
        return self.found


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({"loss_chance": 0.5, "other_ideal_both": 1.0}, "'other_ideal_both' of reference_scores"),
        ({"loss_chanse": 0.5}, "'loss_chanse' of reference_scores"),
        ({"loss_chance": torch.zeros(1)}, "'loss_chance' of reference_scores as a finite number"),
        ({"loss_chance": float("nan")}, "as a finite number, got nan"),
    ],
)
def test_references_that_break_the_contract_are_named(found: dict[str, Any], message: str) -> None:
    check_task(Stating({"loss_chance": 0.5}), make_clips())
    with pytest.raises(AssertionError, match=re.escape(message)):
        check_task(Stating(found), make_clips())


class Chunked(Good):
    """Colours as embeddings; `mixed` ones are those of the batch, `wrong` is another loss."""

    def __init__(self, mixed: bool = False, wrong: float = 0.0) -> None:
        super().__init__()
        self.mixed, self.wrong = mixed, wrong

    def embed(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"colour": batch["colour"] - self.mixed * batch["colour"].mean(0)}

    def contrast(self, embeddings: dict[str, Tensor], batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": Good.forward(self, {**batch, **embeddings})["loss"] + self.wrong}

    def forward(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return Good.forward(self, {**batch, **self.embed(batch)})


def test_embeddings_in_chunks_that_break_the_contract_are_named() -> None:
    check_task(Chunked(), make_clips())
    with pytest.raises(AssertionError, match="expected 'colour' of embed from each clip alone, got other embeddings"):
        check_task(Chunked(mixed=True), make_clips())
    with pytest.raises(AssertionError, match="expected the loss of forward, .* from contrast"):
        check_task(Chunked(wrong=1.0), make_clips())


def test_a_parameter_without_gradient_is_named() -> None:
    with pytest.raises(AssertionError, match=re.escape("no gradient reaches extra.weight, extra.bias")):
        check_task(Variant(extra=nn.Linear(2, 2)), make_clips())


def test_clips_are_deterministic_and_audio_is_at_the_disc() -> None:
    first, again = make_clips(3, seed=5), make_clips(3, seed=5)
    for clip, same in zip(first, again, strict=True):
        assert torch.equal(clip.frames, same.frames)
        assert torch.equal(clip.audio, same.audio)
        bright = clip.frames[0].amax(0) >= 60
        azimuth, elevation, _ = intensity_direction(clip.audio, clip.sample_rate)
        row = round((0.5 - float(elevation) / np.pi) * 31)
        column = round((0.5 - float(azimuth) / (2 * np.pi)) * 63)
        assert bright[row, column]


def test_stereo_clips_are_louder_on_the_side_of_the_disc() -> None:
    for clip in make_clips(8, seed=1, channels=2):
        across = (clip.frames[0].amax(0) >= 60).float().sum(0)
        side = float((across * torch.linspace(1, -1, 64)).sum() / across.sum())
        left, right = clip.audio.square().mean(1)
        assert clip.audio.shape[0] == 2
        assert abs(side) < 0.05 or (left > right) == (side > 0)
    with pytest.raises(ValueError, match="2 or 4 channels, got 1"):
        make_clips(channels=1)
