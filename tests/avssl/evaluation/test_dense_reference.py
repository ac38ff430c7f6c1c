"""Heat maps against the energy direction of the sound field itself: observers with known scores."""

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from avssl.config import DataConfig
from avssl.data.clip import Clip
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.evaluation.dense_reference import EnergyScore, energy_direction, energy_metrics, score_against_energy
from avssl.media import write_audio
from avssl.media.streams import AudioReader
from avssl.models.runtime import single_process
from avssl.spatial.ambisonics import direction, encode, rotate, rotation
from avssl.spatial.energy_map import energy_map, equirectangular_grid
from avssl.synth.synth360 import synth360

GRID = equirectangular_grid(32, 64)
CELL = math.degrees(math.hypot(math.pi / 64, math.pi / 64))
MEDIA = Path(os.environ.get("AVSSL_TEST_MEDIA", Path(__file__).parents[4] / "shared" / "data")) / "restricted"
DATA = DataConfig(seconds=0.5, frames=1, batch=4, workers=0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("scenes")
    return read_manifest(synth360(folder, clips=6, seconds=0.6, width=64, workers=1, progress=False))


class Observer:
    """Task that draws the energy map of the audio, or where `ahead` nearness to the front."""

    grid = GRID

    def __init__(self, ahead: bool = False) -> None:
        self.ahead = ahead

    def evaluation_views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        return {"audio": clip.audio}

    def compare(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        maps = energy_map(batch["audio"], *GRID[0].shape)
        front = direction(*GRID)[..., 0].expand_as(maps)
        return torch.eye(len(maps)), (front if self.ahead else maps)[:, None]


def scored(clips: Manifest, passes: int = 2, **options: bool) -> list[EnergyScore]:
    return score_against_energy(Observer(**options), clips, DATA, 24000, 0, single_process("32-true"), passes)


def test_the_energy_map_itself_is_right_in_every_window(clips: Manifest) -> None:
    scores = scored(clips)
    assert sorted(each.row.key for each in scores) == sorted(2 * [row.key for row in clips])
    found = energy_metrics(scores)
    assert 0 < found["energy_error_mean"] <= 1.5 * CELL
    assert found["energy_precision"] > 0.95  # a disc of the energy map is not exactly round
    assert found["energy_precision_chance"] == pytest.approx((1 - math.cos(math.radians(20))) / 2, rel=0.1)
    assert found["energy_error_mean_chance"] == 90


def test_a_map_of_the_front_scores_as_straight_ahead_does(clips: Manifest) -> None:
    scores = scored(clips, passes=1, ahead=True)
    for each in scores:
        assert each.error == pytest.approx(each.error_straight_ahead, abs=CELL)
        assert each.precision == pytest.approx(each.precision_straight_ahead, abs=1e-6)
    found = energy_metrics(scores)
    assert found["energy_error_mean_straight_ahead"] == np.mean([each.error_straight_ahead for each in scores])


def test_most_energy_comes_from_the_louder_source_and_turns_with_the_field() -> None:
    noise = torch.randn(2, 24000, generator=torch.Generator().manual_seed(0))
    field = encode(noise[0], 1.2, 0.3) + encode(0.1 * noise[1], -1.0, 0.0)
    for yaw in (0.0, 0.7):
        expected = direction(torch.tensor(1.2 + yaw), torch.tensor(0.3))
        assert float(energy_direction(rotate(field, rotation(yaw))) @ expected) > math.cos(math.radians(4))


def test_silent_windows_have_no_direction_and_are_left_out(clips: Manifest, tmp_path: Path) -> None:
    (tmp_path / "media").symlink_to(clips.root / "media")
    write_audio(tmp_path / "silence.wav", torch.zeros(4, 24000), 24000)
    rows = (replace(clips.rows[0], audio="silence.wav"), *clips.rows[1:])
    scores = scored(Manifest(rows, tmp_path), passes=1)
    assert sorted(each.row.key for each in scores) == sorted(row.key for row in clips.rows[1:])
    with pytest.raises(InputError, match="expected windows with sound"):
        energy_metrics([])


def test_audio_of_two_channels_is_refused_by_the_name_of_its_clip(clips: Manifest, tmp_path: Path) -> None:
    (tmp_path / "media").symlink_to(clips.root / "media")
    write_audio(tmp_path / "stereo.wav", torch.ones(2, 24000), 24000)
    rows = (replace(clips.rows[0], audio="stereo.wav"), *clips.rows[1:])
    with pytest.raises(InputError, match=rf"4 channels, got 2 \({rows[0].key}\)"):
        scored(Manifest(rows, tmp_path), passes=1)


@pytest.mark.parametrize(("name", "azimuth", "elevation"), [
    ("video360/JUN314mwb90_49.webm", 2, -1),
    ("video360_more/tAiVUt5vE34l_10.webm", 176, 0),
    ("video360/V_To4k9AJXc_20.webm", 117, -9),
])  # fmt: skip
def test_direction_of_most_energy_in_real_recordings(name: str, azimuth: float, elevation: float) -> None:
    path = MEDIA / name
    if not path.is_file():
        pytest.skip(f"real media missing: {path} (set AVSSL_TEST_MEDIA)")
    found = energy_direction(torch.cat(list(AudioReader(path).play(10.0)), 1))
    expected = direction(*torch.tensor([azimuth, elevation]).deg2rad())
    assert float(found @ expected) > math.cos(math.radians(25))
