"""Rank of the true yaw on clips whose sound comes from a disc in the frames: scorers with known ranks."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from avssl.config import DataConfig
from avssl.data.clip import Clip
from avssl.data.clip_options import CropOptions
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.evaluation.straight_ahead import (
    StraightAhead,
    WindowDirection,
    alignment_score,
    alignment_threshold,
    window_directions,
)
from avssl.evaluation.true_yaw import (
    YAWS,
    YawScorer,
    alignment_among_yaws,
    alignments,
    rank_of_first,
    true_yaw_ranks,
    true_yaw_similarities,
    yaw_rotations,
)
from avssl.evaluation.yaw_scorers import CropYawScorer, DenseYawScorer, yaw_scorer
from avssl.models.runtime import single_process
from avssl.spatial.ambisonics import direction, rotate
from avssl.spatial.energy_map import energy_towards, equirectangular_grid

DATA = DataConfig(seconds=0.5, frames=1, batch=4, workers=0)
GRID = equirectangular_grid(16, 32)


@pytest.fixture
def clips(filmed_noise: Path) -> Manifest:
    return read_manifest(filmed_noise)


def ranks(scorer: YawScorer, clips: Manifest, windows: int = 2, seed: int = 0) -> dict[str, float]:
    return dict(true_yaw_ranks(similarities(scorer, clips, windows, seed)))


def similarities(scorer: YawScorer, clips: Manifest, windows: int = 2, seed: int = 0) -> list[tuple[str, Any]]:
    return true_yaw_similarities(scorer, clips, DATA, 24000, seed, single_process("32-true"), windows)


def brightness(frames: Tensor) -> Tensor:
    """Brightness above grey `(..., height, width)` of frames `(..., time, 3, height, width)`."""
    return (frames[..., 0, :, :, :].float().mean(-3) - 60).clamp(min=0)


class Oracle:
    """Compares the direction of the disc with the level of the sound from there."""

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        azimuth, elevation = equirectangular_grid(*clip.frames.shape[2:])
        seen = (brightness(clip.frames)[..., None] * direction(azimuth, elevation)).sum((0, 1))
        towards = torch.atan2(seen[1], seen[0])
        fields = rotate(clip.audio, yaw_rotations())
        return {"level": energy_towards(fields, towards[None], torch.zeros(1))[:, 0]}

    def similarity(self, batch: dict[str, Tensor]) -> Tensor:
        return batch["level"]


class Guess:
    """Similarities without relation to the clip."""

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        return {"level": torch.from_numpy(rng.standard_normal(YAWS))}

    def similarity(self, batch: dict[str, Tensor]) -> Tensor:
        return batch["level"]


def test_an_oracle_ranks_the_true_yaw_first_and_its_opposite_last(clips: Manifest) -> None:
    assert ranks(Oracle(), clips) == {row.key: 1.0 for row in clips}
    worst = Oracle()
    worst.similarity = lambda batch: -batch["level"]  # type: ignore[method-assign]
    assert ranks(worst, clips) == {row.key: 12.0 for row in clips}


def test_a_random_scorer_is_at_chance(clips: Manifest) -> None:
    found = [rank for seed in range(25) for rank in ranks(Guess(), clips, 1, seed).values()]
    error = math.sqrt((YAWS**2 - 1) / 12 / len(found))
    assert abs(np.mean(found) - 6.5) < 3 * error
    assert {round(each) for each in found} == set(range(1, 13))


def test_straight_ahead_has_the_ranks_of_geometry(clips: Manifest) -> None:
    found = ranks(StraightAhead(), clips)
    for row in clips:
        nearer = [abs((row.azimuth + 30 * yaw + 180) % 360 - 180) < abs(row.azimuth) for yaw in range(1, YAWS)]
        assert found[row.key] == 1 + sum(nearer), row.key
    assert (found["near_2"], found["near_1"], found["left_1"], found["back_1"]) == (1, 2, 7, 12)


def test_ties_share_the_mean_of_their_ranks() -> None:
    assert rank_of_first(np.array([1.0, 1.0, 1.0, 0.0])) == 2.0
    assert rank_of_first(np.array([0.5, 0.5 + 1e-9, 0.7])) == 2.5


def test_alignment_is_that_of_sound_fields_after_random_yaws() -> None:
    rng = np.random.default_rng(0)
    similarity = rng.standard_normal(YAWS).round(1)  # some are ties
    assert len(set(similarity)) < YAWS
    decisions = []
    for _ in range(4000):
        broken = similarity + 1e-3 * rng.permutation(YAWS) / YAWS  # ties at random
        yaw = rng.integers(YAWS)
        aligned, turned = (1 + (np.roll(broken, -each) > broken[each]).sum() <= 3 for each in (0, yaw))
        decisions.append((aligned + (not turned)) / 2)
    expected = alignment_among_yaws(similarity)
    assert abs(np.mean(decisions) - expected) < 4 * np.std(decisions) / math.sqrt(len(decisions))


def test_every_window_has_an_alignment(clips: Manifest) -> None:
    found = alignments(similarities(Oracle(), clips, windows=2))
    assert found == [(row.key, 0.875) for row in clips for _ in range(2)]
    guessed = [each for seed in range(25) for _, each in alignments(similarities(Guess(), clips, 1, seed))]
    assert abs(np.mean(guessed) - 0.5) < 3 * np.std(guessed) / math.sqrt(len(guessed))


def test_windows_of_a_clip_are_evaluated_together(clips: Manifest) -> None:
    alternating = Guess()
    values = iter([[0.0, 3.0] + [0.0] * 10, [2.0] + [0.0] * 11] * len(clips))
    alternating.similarity = lambda batch: torch.tensor([next(values)])  # type: ignore[method-assign]
    few = Manifest(clips.rows[:1], clips.root)
    assert ranks(alternating, few, windows=2) == {"near_1": 2.0}  # means 1 and 1.5


class Towers:
    """Towers whose outputs are known: brightness in the centre of a crop, and level of sound in front."""

    features = SimpleNamespace(name="foa-iv")

    def video(self, frames: Tensor) -> Tensor:
        return brightness(frames)[..., 12:20, 12:20].mean((-1, -2))[..., None] / 190

    def audio(self, audio: Tensor, rotation: Tensor) -> Tensor:
        audio = rotate(audio[:, None], rotation)
        front, total = energy_towards(audio, torch.zeros(1), torch.zeros(1)), audio[..., 0, :].square().mean(-1).sqrt()
        return (front / total[..., None] / 2) ** 8


class Omnidirectional(Towers):
    """The same, with the level of W alone."""

    features = SimpleNamespace(name="mono-logmel")

    def audio(self, audio: Tensor, rotation: Tensor) -> Tensor:
        return rotate(audio[:, None], rotation)[..., :1, :].square().mean(-1).sqrt()


class Projecting:
    """Task that compares the two towers: cosine 1 where brightness and level agree."""

    def __init__(self, encoders: Towers) -> None:
        self.encoders = encoders

    def project(self, video: Tensor, audio: Tensor, rotation: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return tuple(torch.cat([each, 1 - each], -1) for each in (video, audio))  # type: ignore[return-value]


CROPS = CropOptions(crops=24, size=32, min_fov=60, max_fov=60, aspect=1, min_elevation=0, max_elevation=0)


def test_crops_and_sound_rotated_to_them_find_the_true_yaw(clips: Manifest) -> None:
    found = ranks(CropYawScorer(Projecting(Towers()), CROPS), clips, windows=8)  # type: ignore[arg-type]
    assert found == {row.key: 1.0 for row in clips}
    tied = ranks(CropYawScorer(Projecting(Omnidirectional()), CROPS), clips)  # type: ignore[arg-type]
    assert tied == {row.key: 6.5 for row in clips}


def test_the_similarity_peaks_at_the_yaw_that_undoes_a_rotation(
    clips: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    for turn in (1, 4, 9):
        found: list[int] = []

        class Turned(Oracle):
            def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
                audio = rotate(clip.audio, yaw_rotations()[-turn % YAWS])  # noqa: B023
                return super().views(Clip(clip.frames, audio, clip.sample_rate, clip.key), rng)

            def similarity(self, batch: dict[str, Tensor]) -> Tensor:
                found.append(int(batch["level"].argmax()))  # noqa: B023
                return batch["level"]

        ranks(Turned(), clips, 1)
        assert set(found) == {turn}


class Dense:
    """Dense task: a heat map of brightness, and the level of the sound where it is brightest."""

    grid = GRID

    def __init__(self, name: str) -> None:
        self.encoders = SimpleNamespace(features=SimpleNamespace(name=name))

    def evaluation_views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        return {"frames": clip.frames, "audio": clip.audio, "rotation": torch.eye(3)}

    def compare(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        maps = torch.nn.functional.adaptive_avg_pool2d(brightness(batch["frames"]), (16, 32))
        cell = maps.flatten(1).argmax(1)
        azimuth, elevation = (each.flatten()[cell] for each in GRID)
        return energy_towards(rotate(batch["audio"], batch["rotation"]), azimuth, elevation), maps[:, None]


@pytest.mark.parametrize("features", ["foa-iv", "mono-logmel"])
def test_panoramas_find_the_true_yaw_by_audio_or_by_heat_map(clips: Manifest, features: str) -> None:
    scorer = yaw_scorer(Dense(features), CROPS)
    assert isinstance(scorer, DenseYawScorer)
    assert ranks(scorer, clips) == {row.key: 1.0 for row in clips}


def test_a_task_that_compares_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="expected a task that compares audio with frames, .*, got SimpleNamespace"):
        yaw_scorer(SimpleNamespace(), CROPS)


def test_directions_of_windows_are_those_of_their_sources(clips: Manifest) -> None:
    found = window_directions(clips, DATA, 24000, 0, 3)
    assert sorted(each.key for each in found) == sorted(3 * [row.key for row in clips])
    azimuths = {row.key: row.azimuth for row in clips}
    for each in found:
        assert each.yaw == pytest.approx(abs(azimuths[each.key]), abs=2)
        assert each.error == pytest.approx(abs(azimuths[each.key]), abs=2)
        assert each.diffuseness < 0.01


def window(degrees: float) -> WindowDirection:
    angle = math.radians(degrees)
    return WindowDirection("clip", np.array([math.cos(angle), math.sin(angle), 0.0]), 0.0)


def test_straight_ahead_is_right_as_often_as_a_random_yaw_leaves_its_sector() -> None:
    assert alignment_score(window(-20), 30) == pytest.approx((1 + 5 / 6) / 2)
    assert alignment_score(window(40), 30) == pytest.approx((0 + 5 / 6) / 2)
    rng, limit = np.random.default_rng(0), 50.0
    turned = np.abs((40 + rng.uniform(0, 360, 20000) + 180) % 360 - 180)
    assert alignment_score(window(40), limit) == pytest.approx((1 + (turned > limit).mean()) / 2, abs=0.01)


def test_the_threshold_takes_in_sources_that_pay_for_a_wider_sector() -> None:
    assert alignment_threshold([window(each) for each in (5, -8, 10, 170)]) == pytest.approx(10)
    assert alignment_threshold([window(each) for each in (1, 60, -65)]) == pytest.approx(65)
    with pytest.raises(InputError, match="expected windows with sound"):
        alignment_threshold([])


def test_audio_of_two_channels_is_refused_by_the_name_of_its_clip(clips: Manifest, tmp_path: Path) -> None:
    from dataclasses import replace

    from avssl.media import write_audio

    for path in clips.root.glob("*.mp4"):
        (tmp_path / path.name).symlink_to(path)
    write_audio(tmp_path / "stereo.wav", torch.ones(2, 18000) / 2, 24000)
    stereo = Manifest((replace(clips.rows[0], audio="stereo.wav"),), tmp_path)
    for evaluate in (lambda: ranks(Guess(), stereo), lambda: window_directions(stereo, DATA, 24000, 0, 1)):
        with pytest.raises(InputError, match=r"4 channels, got 2 \(near_1\)"):
            evaluate()
