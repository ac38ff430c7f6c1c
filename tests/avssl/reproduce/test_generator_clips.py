"""Generators on recordings: their own videos are left out of training; floors of plane waves are in closed form."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from avssl.cli import main
from avssl.datasets.manifest import Manifest, read_manifest
from avssl.errors import InputError
from avssl.evaluation.video_folds import video_of_clips
from avssl.reproduce.fold_outcomes import write_scores
from avssl.reproduce.generator_clips import ROWS, GeneratorClipsOptions, generator_clips, of_row
from avssl.reproduce.generator_rows import read_by_clip
from avssl.reproduce.make_table import make_runs

TINY = {
    "generator": "foa360",
    "generator_options": {
        "network": "pointing", "variant": "no_flow", "sample_rate": 16000, "n_fft": 512, "hop": 256,
        "stft_frames": 32, "output_seconds": 0.4, "bands": 32, "tracks": 3, "units": 16, "rows": 32, "columns": 64,
        "gate": True,
    },
    "batch": 4,
    "workers": 0,
    "train": {"steps": 2, "precision": "32-true"},
}  # fmt: skip
OPTIONS = GeneratorClipsOptions(folds=3, tested_folds=1, group_by=r"(.+)_\d+", adapt_steps=2, head=TINY, bootstrap=200)


def recipe(folder: Path) -> str:
    path = folder / "tiny.yaml"
    path.write_text("title: tiny\n")
    return str(path)


def azimuths(clips: Manifest) -> dict[str, float]:
    """Degrees from the front of the noise of each clip, by its manifest."""
    return {row.key: abs(row.azimuth) for row in clips}


def test_the_command_takes_a_packaged_generator_by_its_name(tmp_path: Path, filmed_noise: Path) -> None:
    command = ["reproduce", "generator-clips", "--data", str(filmed_noise), "--group-by", r"(.+)_\d+", "--folds", "3"]
    place = ["--out", str(tmp_path / "out"), "--dry-run", "--head"]
    planned = CliRunner().invoke(main, [*command, *place, "foa360-small"])
    assert planned.exit_code == 0, planned.output
    assert "6 runs, 0 complete, 6 to make" in planned.output
    assert not (tmp_path / "out").exists()
    chosen = CliRunner().invoke(main, [*command, *(f"--row={row}" for row in ROWS[:3]), *place, "foa360-small"])
    assert "6 runs" in chosen.output
    unknown = CliRunner().invoke(main, [*command, *place, "foa360-smal"])
    assert unknown.exit_code == 2
    assert "did you mean 'foa360-small'" in unknown.stderr


@pytest.mark.heavy
def test_a_generator_is_trained_and_tested_on_other_videos(tmp_path: Path, filmed_noise: Path) -> None:
    clips = read_manifest(filmed_noise)
    videos = video_of_clips(clips, OPTIONS.group_by)
    made = generator_clips(str(filmed_noise), tmp_path / "scratch", OPTIONS, recipe=recipe(tmp_path))
    assert "1 to make" in make_runs("generator-clips", made.runs())
    folder = made.runs()[0].folder
    keys = [(folder / "lists" / f"{split}.txt").read_text().replace(".wav", "").split() for split in ("train", "test")]
    sides = [{videos[key] for key in each} for each in keys]
    assert not sides[0] & sides[1]
    assert sorted(keys[0] + keys[1]) == sorted(row.key for row in clips)
    rows = {row.title: row.outcomes for row in made.table().rows}
    ahead = rows["straight ahead"]["direction_error"]
    assert ahead.values == pytest.approx([azimuths(clips)[key] for key in ahead.clips], abs=0.5)
    assert set(ahead.videos) == sides[1]
    assert set(rows["silence"]["explained"].values) == {0.0}
    assert min(rows["oracle: best real masks"]["explained"].values) > 0.999
    assert "energy explained %" in made.write()
    assert "1 complete" in make_runs("generator-clips", made.runs(), dry_run=True)
    assert not (folder / "run" / "last.ckpt").exists()

    fitted = generator_clips(str(filmed_noise), tmp_path / "fitted", replace(OPTIONS, head={}), folder / "run")
    assert [method.trained for method in fitted.methods] == [False, False, True]
    assert fitted.methods[2].options.train.steps == 2
    assert fitted.methods[2].options.optim.lr == OPTIONS.adapt_lr
    first = replace(fitted, methods=fitted.methods[:2])
    assert [run.method.name for run in first.runs()] == ["calibrated"]  # it is evaluated as fitted, too
    make_runs("generator-clips", first.runs())
    again = first.table().rows[3].outcomes["stft"]
    scratch = rows["trained on the training videos from scratch"]["stft"]
    assert again.values == pytest.approx(scratch.values, rel=1e-4)  # the same weights on the same clips
    calibrated = first.table().rows[4]
    assert calibrated.title == "generator, its level and a prior fitted on the training videos"
    run = first.runs()[0].folder / "run"
    assert calibrated.outcomes["stft"].values == pytest.approx(
        [score for _, score in read_by_clip(run / "by_clip.csv")["calibrated:stft"]]
    )
    assert {"level", "gains"} == json.loads((run / "prior.json").read_text())["calibration"].keys()


def test_scores_are_those_of_every_clip_and_row(tmp_path: Path) -> None:
    path = tmp_path / "by_clip.csv"
    path.write_text(
        "row,clip,explained,direction_error,error_energy\ntest,a,0.5,30.0,1\ntest,b,,60.0,1\nsilence,a,0.0,,2\n"
    )
    scores = read_by_clip(path)
    assert scores == {
        "test:explained": [("a", 0.5)],
        "test:direction_error": [("a", 30.0), ("b", 60.0)],
        "silence:explained": [("a", 0.0)],
    }


def test_each_video_weighs_the_same_and_partitions_are_the_papers(tmp_path: Path, filmed_noise: Path) -> None:
    options = GeneratorClipsOptions(folds=3, repeats=3, tested_folds=1, group_by=r"(.+)_\d+", head=TINY, bootstrap=50)
    made = generator_clips(str(filmed_noise), tmp_path, options, recipe=recipe(tmp_path))
    runs = made.runs()
    assert [(run.repeat, run.fold.number) for run in runs] == [(0, 0), (1, 0), (2, 0)]
    for run in runs:
        run.folder.mkdir(parents=True)
        keys = [row.key for row in run.fold.test]
        marks = {video: float(number) for number, video in enumerate(sorted(set(made.videos.values())))}
        scores = {f"{row}:explained": [(key, marks[made.videos[key]]) for key in keys] for row in ("test", "silence")}
        write_scores(run.folder, scores, made.videos)
    table = made.table()
    tested = {made.videos[row.key] for run in runs for row in run.fold.test}
    wanted = sum(marks[video] for video in tested) / len(tested)
    found = next(
        csv.DictReader(line for line in table.statistics_csv().splitlines() if "scratch" in line or "row" in line)
    )
    assert float(found["value"]) == pytest.approx(wanted)


def test_rows_of_one_evaluation_are_told_apart() -> None:
    scores = {"test:stft": 1, "silence:stft": 2, "prior:stft": 3}
    assert of_row(scores, "prior") == {"stft": 3, "silence:stft": 2}  # type: ignore[arg-type]


def test_what_cannot_be_made_is_refused(tmp_path: Path, filmed_noise: Path) -> None:
    data = str(filmed_noise)
    for options, given, message in (
        (OPTIONS, {}, "expected a fitted generator .--head. or, for the row scratch, a recipe .--recipe., got none"),
        (OPTIONS, {"rows": ("adapted",), "recipe": recipe(tmp_path)}, "expected a fitted generator"),
        (replace(OPTIONS, folds=50), {"recipe": recipe(tmp_path)}, "2 videos for each of 50 folds"),
        (replace(OPTIONS, head={"generator": "none"}), {"recipe": recipe(tmp_path)}, "none"),
    ):
        with pytest.raises(InputError, match=message):
            generator_clips(data, tmp_path / "out", options, **given).runs()[0].method._make({}, tmp_path / "r", 0)
    for changed in ({"tested_folds": 4, "folds": 3}, {"adapt_lr": 0.0}, {"repeats": 0}):
        with pytest.raises(InputError, match="expected generator-clips"):
            GeneratorClipsOptions(**changed)
