"""Evaluation of dense tasks on a small synthetic dataset: observers with known scores, and broken ground truth."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from avssl.config import DataConfig
from avssl.data.clip import Clip
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.evaluation.dense_localization import evaluate_dense_task
from avssl.evaluation.scene_truth import SceneTruth, read_scene_truth
from avssl.models.runtime import single_process
from avssl.runs.evaluated_clips import read_evaluated_clips
from avssl.spatial.ambisonics import direction
from avssl.spatial.energy_map import equirectangular_grid
from avssl.synth.synth360 import synth360

GRID = equirectangular_grid(32, 64)
DATA = DataConfig(seconds=0.5, frames=1, batch=4, workers=0)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = tmp_path_factory.mktemp("scenes")
    return read_manifest(synth360(folder, clips=12, seconds=0.6, width=64, workers=1, progress=False))


class Observer:
    """Task that takes its answers from the truth: `similarity` and `maps` of a batch of keys and times."""

    grid = GRID

    def __init__(self, truth: SceneTruth, similarity: float, opposite: bool = False) -> None:
        self.truth, self.similarity, self.sign = truth, similarity, -1 if opposite else 1

    def evaluation_views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        objects = self.truth.at(clip.key, clip.labels["frame_start"])
        source = objects.direction[objects.sounding][0]
        return {"source": torch.from_numpy(self.sign * source).float()}

    def compare(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        maps = torch.einsum("hwx,bx->bhw", direction(*GRID), batch["source"])[:, None]
        return self.similarity * torch.eye(len(maps)), maps


def evaluated(clips: Manifest, folder: Path | None = None, **options: Any) -> dict[str, float]:
    task = Observer(SceneTruth(clips.root / "truth.parquet"), **options)
    return evaluate_dense_task(task, clips, DATA, 24000, 0, single_process("32-true"), folder)


def test_a_perfect_observer_finds_every_pair_and_source(clips: Manifest) -> None:
    found = evaluated(clips, similarity=1.0)
    assert (found["r1_of_12"], found["pair_accuracy"]) == (1.0, 1.0)
    cell = math.degrees(math.hypot(math.pi / 64, math.pi / 64))
    assert 0 < found["peak_error_mean"] <= cell
    assert found["peak_error_median_ideal"] == 0
    assert found["peak_error_mean_ideal"] <= found["peak_error_mean_any_object"] < 90


def test_directions_of_windows_are_stored_with_their_errors(clips: Manifest, tmp_path: Path) -> None:
    found = evaluated(clips, tmp_path, similarity=1.0, opposite=True)
    windows = read_evaluated_clips(tmp_path)
    assert windows is not None
    assert np.mean([each.score for each in windows.clips]) == pytest.approx(found["peak_error_mean"])
    assert {each.key for each in windows.clips} <= {row.key for row in clips}
    for each in windows.clips:
        assert abs(each.predicted_elevation + each.elevation) < 6
        assert abs((each.predicted_azimuth - each.azimuth) % 360 - 180) < 12


def test_an_observer_without_similarity_is_at_chance_and_opposite_peaks_are_180_off(clips: Manifest) -> None:
    found = evaluated(clips, similarity=0.0, opposite=True)
    assert found["r1_of_12"] == pytest.approx(found["r1_of_12_chance"])
    assert found["r1_of_12_chance"] == pytest.approx(1 / 12)
    assert found["pair_accuracy"] == found["pair_accuracy_chance"] == 0.5
    assert found["peak_error_median"] > 170
    assert found["peak_error_median_chance"] == found["peak_error_mean_chance"] == 90


def test_ideal_observer_counts_kinds_of_the_truth_by_hand(clips: Manifest) -> None:
    truth = SceneTruth(clips.root / "truth.parquet")
    scenes = [truth.at(row.key, 0.0) for row in clips]
    accepted = np.array(
        [[set(one.kind[one.sounding]) <= set(other.kind[other.visible]) for other in scenes] for one in scenes]
    )
    guess = [(accepted / accepted.sum(axis, keepdims=True)).diagonal().mean() for axis in (0, 1)]
    found = evaluated(clips, similarity=1.0)
    assert found["r1_of_12_ideal"] == pytest.approx(np.mean(guess), abs=0.02)  # objects may be hidden at other times


def test_truth_at_a_time_is_that_of_the_nearest_frame(clips: Manifest) -> None:
    table = pq.read_table(clips.root / "truth.parquet").to_pylist()
    truth = SceneTruth(clips.root / "truth.parquet")
    rows = [row for row in table if row["key"] == "00003" and row["frame"] == 5]
    found = truth.at("00003", 5 / 16 + 0.02)
    assert [truth.kinds[kind] for kind in found.kind] == [row["kind"] for row in rows]
    assert found.sounding.tolist() == [row["sounding"] for row in rows]
    azimuth, elevation = (torch.tensor([row[name] for row in rows]).deg2rad() for name in ("azimuth", "elevation"))
    np.testing.assert_allclose(found.direction, direction(azimuth, elevation).numpy(), atol=1e-5)


def test_clips_without_truth_are_compared_but_not_located(clips: Manifest, tmp_path: Path) -> None:
    assert read_scene_truth(tmp_path) is None
    task = Observer(SceneTruth(clips.root / "truth.parquet"), 1.0)
    moved = Manifest(clips.rows, tmp_path)
    (tmp_path / "media").symlink_to(clips.root / "media")
    found = evaluate_dense_task(task, moved, DATA, 24000, 0, single_process("32-true"))
    assert set(found) == {"r1_of_12", "r1_of_12_chance", "pair_accuracy", "pair_accuracy_chance"}


def test_broken_or_foreign_truth_is_one_line_with_its_path(clips: Manifest, tmp_path: Path) -> None:
    path = tmp_path / "truth.parquet"
    path.write_bytes(b"not parquet")
    with pytest.raises(
        InputError, match=r"truth\.parquet: expected the ground truth of a synthetic dataset .* \(parquet\)"
    ):
        SceneTruth(path)
    pq.write_table(pq.read_table(clips.root / "truth.parquet").drop_columns(["azimuth", "visible"]), path)
    with pytest.raises(InputError, match="lacks azimuth, visible"):
        SceneTruth(path)
    table = pq.read_table(clips.root / "truth.parquet")
    words = pa.array(["left"] * len(table))
    pq.write_table(table.set_column(table.column_names.index("azimuth"), "azimuth", words), path)
    with pytest.raises(InputError, match=r"truth\.parquet: column azimuth of .* is not of its kind"):
        SceneTruth(path)
    with pytest.raises(InputError, match="clip 'other'"):
        SceneTruth(clips.root / "truth.parquet").at("other", 0.0)
