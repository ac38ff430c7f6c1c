"""`avssl reproduce real-clips` from the command line, on clips whose sound comes from a disc in the frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from avssl.cli import main
from avssl.config import RunConfig
from avssl.datasets.manifest import read_manifest, write_manifest
from avssl.media import write_audio
from avssl.recipe_files import resolve
from avssl.train.pretrain import pretrain

DATA = {"batch": 4, "workers": 0, "seconds": 0.5, "frames": 2}
TRAIN = {"steps": 2, "log_every": 1, "precision": "32-true"}
SMALL = {
    "folds": 2, "repeats": 1, "windows": 2, "workers": 0, "bootstrap": 100, "adapt.steps": 2, "adapt.every": 1,
    "scratch.steps": 2, "scratch.every": 2, "adapt.validation": 0, "scratch.validation": 0, "probe.epochs": 1,
    "probe.train-draws": 2, "probe.test-draws": 2, "group-by": r"(.+)_\d+",
}  # fmt: skip
ROWS = ["straight ahead", "untrained encoders", "trained on the training videos from scratch",
        "pretrained, not adapted", "pretrained, adapted on the training videos"]  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def _pretrained(shared_folder: Callable[..., Path], name: str, scenes: Path, **settings: Any) -> Path:
    given = {"data": {**DATA, "manifest": str(scenes)}, "train": TRAIN, "probe": {"enabled": False}}
    config = resolve(RunConfig, settings.pop("recipe"), given, settings)
    return shared_folder(name, lambda folder: pretrain(config, folder, progress=False))


@pytest.fixture
def avsa_run(shared_folder: Callable[..., Path], short_scenes: Path) -> Path:
    """A short run of avsa; not to be changed."""
    crops = {"options": {"crops": 2, "size": 32}}
    return _pretrained(shared_folder, "short-avsa", short_scenes, recipe="avsa/small", **crops)


@pytest.fixture
def dense_run(shared_folder: Callable[..., Path], short_scenes: Path) -> Path:
    """A short run of dense_avc; not to be changed."""
    dense = {"options": {"crops": 1, "size": 32, "height": 32, "padding": 8}}
    return _pretrained(shared_folder, "short-dense", short_scenes, recipe="dense_avc/small", **dense)


def reproduce(clips: Path, runs: list[Path], out: Path, *flags: str, **changed: Any) -> Result:
    settings = SMALL | {name.replace("_", "-"): value for name, value in changed.items()}
    options = [f"--{name}={value}" for name, value in settings.items()]
    encoders = [word for run in runs for word in ("--encoders", str(run))]
    return CliRunner().invoke(
        main, ["reproduce", "real-clips", "--data", str(clips), *encoders, "--out", str(out), *options, *flags]
    )


def cells(text: str) -> dict[str, dict[str, str]]:
    """Title of a row -> column -> cell."""
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    return {line[0]: dict(zip(lines[0], line, strict=True)) for line in lines[2:]}


def test_all_rows_on_folds_over_videos(filmed_noise: Path, avsa_run: Path, tmp_path: Path) -> None:
    plan = reproduce(filmed_noise, [avsa_run], tmp_path / "out", "--dry-run")
    assert plan.output.startswith("real-clips: 10 runs, 0 complete, 10 to make\n"), plan.output
    assert not (tmp_path / "out").exists()
    done = reproduce(filmed_noise, [avsa_run], tmp_path / "out")
    assert done.exit_code == 0, done.output
    found = cells(done.output)
    assert [row for row in found if row not in ("chance", "difference")] == ROWS
    assert found["chance"]["rank of true yaw of 12"] == "6.50"
    # ranks of near 20 and -10 degrees, left 100 and 70, back 175, right -40, up 5, odd -130, a mean for each video
    expected = ((2 + 1) / 2 + (7 + 5) / 2 + 12 + 3 + 1 + 9) / 6
    assert found["straight ahead"]["rank of true yaw of 12"].startswith(f"{expected:.2f} [")
    # aligned up to rank 3: near, right and up
    by_rank = "AVSA-Bin by rank %"
    assert (found["chance"][by_rank], found["straight ahead"][by_rank].split(" [")[0]) == ("50.0", "62.5")
    assert "at most 87.5%" in done.output
    assert "direction error, mean °" not in found["chance"]
    for row in ROWS[1:]:
        assert 37.5 <= float(found[row][by_rank].split(" [")[0]) <= 87.5
        assert 1 <= float(found[row]["rank of true yaw of 12"].split(" [")[0]) <= 12
    assert (tmp_path / "out" / "report.md").read_text() in done.output
    assert not list((tmp_path / "out").rglob("*.ckpt"))
    again = reproduce(filmed_noise, [avsa_run], tmp_path / "out")
    assert "10 complete, 0 to make" in again.output
    assert cells(again.output) == found
    other = reproduce(filmed_noise, [avsa_run], tmp_path / "out", windows=3)
    assert (other.exit_code, "belongs to another run" in other.output) == (2, True)


def test_heat_maps_of_dense_encoders_have_direction_errors(filmed_noise: Path, dense_run: Path, tmp_path: Path) -> None:
    rows = ["--row", "straight-ahead", "--row", "pretrained"]
    done = reproduce(filmed_noise, [dense_run], tmp_path / "out", *rows)
    assert done.exit_code == 0, done.output
    found = cells(done.output)
    ahead = found["straight ahead"]["direction error, mean °"]
    assert float(ahead.split(" [")[0]) == pytest.approx((15 + 85 + 175 + 40 + 5 + 130) / 6, abs=1)
    assert found["chance"]["direction error, mean °"] == "90.0"
    assert 0 < float(found[ROWS[3]]["direction error, mean °"].split(" [")[0]) < 180


def _stereo(clips: Path, folder: Path) -> Path:
    folder.mkdir()
    manifest = read_manifest(clips)
    for row in manifest:
        (folder / row.video).write_bytes((clips / row.video).read_bytes())
        write_audio(folder / row.audio, torch.ones(2, 18000) / 2, 24000)
    write_manifest(folder, manifest.rows)
    return folder


@pytest.mark.parametrize(("changed", "message"), [
    ({"folds": 4}, "expected at least 2 videos for each of 4 folds, got 6 videos of 8 clips; choose at most 3 folds"),
    ({"folds": 1}, "expected folds >= 2"),
    ({"group_by": "^()"}, "group-by: expected '^()' to match the name of every recording, got 'near_1'"),
    ({"group_by": "split"}, "group-by: expected every clip to have a split, got none for 'near_1'"),
    ({"adapt.lr": 0}, "expected a positive lr"),
    ({"adapt.validation": 0.25, "folds": 3, "probe.epochs": -1}, "epochs: expected 1 or more, got -1"),
])  # fmt: skip
def test_settings_without_meaning_are_one_line(
    filmed_noise: Path, avsa_run: Path, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    _check(reproduce(filmed_noise, [avsa_run], tmp_path / "out", **changed), message, tmp_path)


def _check(failed: Result, message: str, folder: Path) -> None:
    assert failed.exit_code == 2, failed.output
    lines = [line for line in failed.output.splitlines() if not line.startswith("Warning")]
    assert len(lines) == 1
    assert message in lines[0]
    assert not (folder / "out").exists()


def test_clips_without_ambisonics_are_one_line(filmed_noise: Path, avsa_run: Path, tmp_path: Path) -> None:
    failed = reproduce(_stereo(filmed_noise, tmp_path / "stereo"), [avsa_run], tmp_path / "out")
    message = "near_1.wav: expected first-order ambisonics, 4 channels, got 2 (clip near_1, 8 of 8 clips)"
    _check(failed, message, tmp_path)


def test_clips_of_one_video_are_one_line(filmed_noise: Path, avsa_run: Path, tmp_path: Path) -> None:
    failed = reproduce(filmed_noise, [avsa_run], tmp_path / "out", group_by="_")
    _check(failed, "got 1 video of 8 clips; add clips of other videos", tmp_path)


def test_encoders_that_do_not_fit_are_one_line(
    filmed_noise: Path, avsa_run: Path, dense_run: Path, tmp_path: Path
) -> None:
    for runs, message in (
        ([avsa_run, dense_run], "expected a run that differs from"),
        ([avsa_run] * 3, "expected at least as many repeats as runs of encoders, 3, got 1"),
        ([tmp_path], "expected the folder of a finished pretraining run, this has no config.yaml"),
    ):
        _check(reproduce(filmed_noise, runs, tmp_path / "out"), message, tmp_path)
