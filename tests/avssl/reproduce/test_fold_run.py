"""Cross-validation over videos with injected rows: made once, continued, refused for other settings; its numbers."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avssl.config import DataConfig
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.evaluation.video_folds import Fold, video_of_clips
from avssl.reproduce.fold_methods import StraightAheadRow
from avssl.reproduce.fold_outcomes import Outcomes, Scores
from avssl.reproduce.fold_run import FoldMethod
from avssl.reproduce.fold_table import FoldTable, ScoreColumn, ScoredRow, paired_difference
from avssl.reproduce.make_table import make_runs
from avssl.reproduce.network_passes import Passes
from avssl.reproduce.real_clips import RealClips, RealClipsOptions

DATA = DataConfig(seconds=0.5, frames=1, workers=0)
OPTIONS = RealClipsOptions(folds=3, repeats=2, group_by=r"(.+)_\d+", windows=2, bootstrap=200)


@dataclass
class Known:
    """Row with a rank for each video; counts its folds, and stops as often as it is asked to."""

    name: str
    ranks: dict[str, float]
    stops: list[BaseException] = field(default_factory=list)
    made: list[set[str]] = field(default_factory=list)
    version: int = 0

    @property
    def title(self) -> str:
        return f"row {self.name}"

    def settings(self, repeat: int) -> dict[str, Any]:
        return {"version": self.version, "seed": repeat}

    def scores(self, fold: Fold, videos: Mapping[str, str], repeat: int, folder: Path) -> Scores:
        test = {videos[row.key] for row in fold.test}
        assert not test & {videos[row.key] for row in fold.training}
        self.made.append(test)
        if self.stops and len(self.made) == 3:
            (folder / "last.ckpt").touch()
            raise self.stops.pop()
        return {"true_yaw_rank": [(row.key, self.ranks[videos[row.key]]) for row in fold.test]}

    def passes(self, fold: Fold, repeat: int) -> Sequence[Passes]:
        return []


@pytest.fixture
def clips(filmed_noise: Path) -> Manifest:
    return read_manifest(filmed_noise)


@pytest.fixture
def videos(clips: Manifest) -> dict[str, str]:
    return video_of_clips(clips, OPTIONS.group_by)


def table(out: Path, clips: Manifest, videos: dict[str, str], *methods: FoldMethod) -> RealClips:
    return RealClips(out, clips, videos, methods, OPTIONS)


def ranks(videos: dict[str, str], rank: float = 4.0) -> dict[str, float]:
    return dict.fromkeys(videos.values(), rank)


def test_every_video_is_tested_once_in_each_partition(tmp_path: Path, clips: Manifest, videos: dict[str, str]) -> None:
    row = Known("known", ranks(videos))
    made = table(tmp_path, clips, videos, row)
    make_runs("real-clips", made.runs())
    assert len(row.made) == 6
    for repeat in (row.made[:3], row.made[3:]):
        assert sorted(name for test in repeat for name in test) == sorted(set(videos.values()))
    make_runs("real-clips", made.runs())
    assert len(row.made) == 6


def test_a_dry_run_writes_nothing(tmp_path: Path, clips: Manifest, videos: dict[str, str]) -> None:
    row = Known("known", ranks(videos))
    plan = make_runs("real-clips", table(tmp_path / "out", clips, videos, row).runs(), dry_run=True)
    assert plan.splitlines()[:2] == ["real-clips: 6 runs, 0 complete, 6 to make", "  row known: 6 to make (seed 0, 1)"]
    assert not row.made
    assert not (tmp_path / "out").exists()


def test_a_stopped_fold_is_made_again_and_leaves_no_checkpoint(
    tmp_path: Path, clips: Manifest, videos: dict[str, str]
) -> None:
    row = Known("known", ranks(videos), stops=[SystemExit(0)])
    made = table(tmp_path, clips, videos, row)
    with pytest.raises(SystemExit):
        make_runs("real-clips", made.runs())
    folder = tmp_path / "folds" / "known-repeat0-fold2"
    assert (folder / "last.ckpt").is_file()
    make_runs("real-clips", made.runs())
    assert [len(row.made), row.made[2] == row.made[3]] == [7, True]
    assert {path.name for path in folder.iterdir()} == {"scores.parquet", "reproduced.json"}


def test_a_folder_of_other_settings_or_clips_is_refused(
    tmp_path: Path, clips: Manifest, videos: dict[str, str]
) -> None:
    row = Known("known", ranks(videos))
    make_runs("real-clips", table(tmp_path, clips, videos, row).runs())
    row.version = 1
    with pytest.raises(InputError, match=r"fold0: belongs to another run \(method.version was 0, is 1\)"):
        make_runs("real-clips", table(tmp_path, clips, videos, row).runs())
    row.version, fewer = 0, Manifest(clips.rows[:-1], clips.root)
    with pytest.raises(InputError, match="belongs to another run"):
        make_runs("real-clips", replace(table(tmp_path, fewer, videos, row), options=replace(OPTIONS, folds=2)).runs())


def test_straight_ahead_scores_what_geometry_says(tmp_path: Path, clips: Manifest, videos: dict[str, str]) -> None:
    made = table(tmp_path, clips, videos, StraightAheadRow(DATA, 24000, 2))
    make_runs("real-clips", made.runs())
    outcomes = made.table().rows[0].outcomes
    nearer = {
        row.key: sum(abs((row.azimuth + 30 * yaw + 180) % 360 - 180) < abs(row.azimuth) for yaw in range(1, 12))
        for row in clips
    }
    found = outcomes["true_yaw_rank"]
    assert len(found.values) == 2 * len(clips)  # two partitions, one rank a clip
    assert dict(zip(found.clips, found.values, strict=True)) == {key: 1 + count for key, count in nearer.items()}
    errors = outcomes["direction_error"]
    assert len(errors.values) == 2 * 2 * len(clips)
    azimuths = {row.key: abs(row.azimuth) for row in clips}
    for key, error in zip(errors.clips, errors.values, strict=True):
        assert error == pytest.approx(azimuths[key], abs=2)
    assert outcomes["direction_error_clear"].values == errors.values
    alignment = outcomes["avsa_bin"]
    assert 0.5 < np.mean(alignment.values) < 1


def test_the_table_has_chance_and_every_row_with_its_interval(
    tmp_path: Path, clips: Manifest, videos: dict[str, str]
) -> None:
    names = sorted(set(videos.values()))
    better = {name: 3.0 if place % 2 else 5.0 for place, name in enumerate(names)}
    rows = [ScoredRow("encoders", outcomes(ranks(videos, 6.0))), ScoredRow("adapted", outcomes(better))]
    column = ScoreColumn("true_yaw_rank", "rank", 6.5, digits=2)
    made = FoldTable([column, ScoreColumn("avc_bin", "AVC", 0.5)], rows, "encoders")
    cells = [[each.strip() for each in line.split("|")[1:-1]] for line in made.markdown().splitlines()]
    assert cells[0] == ["row", "rank"]  # no row has the other
    assert cells[2] == ["chance", "6.50"]
    assert cells[3] == ["encoders", "6.00 [6.00, 6.00]"]
    assert cells[4][1].startswith("4.00 [3.")
    assert cells[5][0] == "difference"
    assert cells[5][1].startswith("**-2.00 [-")
    found = list(csv.DictReader(made.statistics_csv().splitlines()))
    assert [(each["row"], float(each["value"]), each["videos"]) for each in found] == [
        ("encoders", 6.0, str(len(names))), ("adapted", 4.0, str(len(names))),
    ]  # fmt: skip
    by_video = {row["video"]: float(row["mean"]) for row in csv.DictReader(made.videos_csv().splitlines())
                if row["row"] == "adapted"}  # fmt: skip
    assert by_video == better


def outcomes(ranks: dict[str, float]) -> dict[str, Outcomes]:
    return {"true_yaw_rank": Outcomes(list(ranks), list(ranks), list(ranks.values()))}


def test_differences_are_paired_by_video() -> None:
    base = Outcomes(list("abcd"), list("abcd"), [0.0, 10.0, 20.0, 30.0])
    ours = Outcomes(list("dcba"), list("dcba"), [31.0, 21.0, 11.0, 1.0])
    assert paired_difference(ours, base) == (1.0, 1.0, 1.0)
