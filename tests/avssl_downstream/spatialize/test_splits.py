"""`avssl reproduce splits`: every split is trained and evaluated, once; the table has the means over splits."""

import json
from statistics import fmean

import numpy as np
import pytest
from click.testing import CliRunner

from avssl.cli.main import main
from avssl.datasets.manifest import Row, write_manifest
from avssl.datasets.prepare_journal import ENTRIES
from avssl.media import write_audio, write_video
from avssl.reproduce.split_table import SplitTable
from avssl.runs.reader import read_metrics

RECIPE = "spatialize/pseudo_binaural-small-supervised"
TINY = {
    "width": 4, "rows": 32, "columns": 64, "grid_rows": 1, "grid_columns": 2, "fusion": "none", "crop": False,
    "colour": 0.0, "norm": "instance", "mirror": False, "hop": 0.3,
}  # fmt: skip
SETTINGS = {
    "generator_options": TINY, "batch": 2, "workers": 0, "train_share": 1.0, "train": {"steps": 2}, "max_clips": 1,
}  # fmt: skip


NAN = float("nan")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Eight clips in two sets of lists."""
    folder, rng, rows = tmp_path_factory.mktemp("clips"), np.random.default_rng(0), []
    for index in range(8):
        write_video(folder / f"{index}.mp4", rng.integers(0, 256, (10, 32, 64, 3), np.uint8), 10.0)
        write_audio(folder / f"{index}.wav", 0.1 * rng.standard_normal((2, 16000)).astype(np.float32), 16000)
        files = f"{index}.mp4", f"{index}.wav"
        rows.append(
            Row(f"clip-0-{index}", "", *files, 0.0, 1.0, 10.0, 64, 32, 16000, "binaural", "", NAN, NAN, NAN, "")
        )
    write_manifest(folder, rows)
    for split, (train, test) in {"split1": ((0, 1, 2), (3, 4)), "split2": ((4, 5, 6), (0, 1))}.items():
        lists = folder / "lists" / split
        lists.mkdir(parents=True)
        for name, clips in (("train", train), ("test", test)):
            (lists / f"{name}.txt").write_text("\n".join(f"clip-0-{index}.wav" for index in clips))
    return folder


def table(data, out, recipes=(RECIPE,), **changed):
    return SplitTable(out, str(data), data / "lists", recipes, settings=SETTINGS | changed)


def words(data, out, *more):
    settings = [f"--set={key}" for key in (
        "batch=2", "workers=0", "train_share=1", "train.steps=2", "max_clips=1",
        *(f"generator_options.{name}={value}" for name, value in TINY.items()),
    )]  # fmt: skip
    return ["reproduce", "splits", "--data", str(data), "--lists", str(data / "lists"), "--out", str(out),
            "--recipe", RECIPE, *settings, *more]  # fmt: skip


def test_every_split_is_made_once_and_averaged(data, tmp_path):
    run = CliRunner().invoke(main, words(data, tmp_path, "--dry-run"))
    assert run.exit_code == 0, run.output
    assert "2 runs, 0 complete, 2 to make" in run.output
    assert not list(tmp_path.iterdir())
    run = CliRunner().invoke(main, words(data, tmp_path))
    assert run.exit_code == 0, run.output
    folders = [tmp_path / "spatialize" / f"pseudo_binaural-small-supervised-split{number}-seed0" for number in (1, 2)]
    found = [read_metrics(folder) for folder in folders]
    assert [each["training_clips"] for each in found] == [3.0, 3.0]
    assert found[0]["test_stft"] != found[1]["test_stft"]
    rows = list(table(data, tmp_path).rows())
    record = rows[0].record()
    for name in ("test_explained", "test_stft", "test_env"):
        assert record.metrics[name] == pytest.approx(fmean(each[name] for each in found))
    assert record.published == {}
    assert "Numbers of a seed are means over 2 splits: split1, split2." in run.output
    assert "standard error" in run.output
    again = CliRunner().invoke(main, words(data, tmp_path, "--dry-run"))
    assert "2 runs, 2 complete, 0 to make" in again.output


def test_published_numbers_stand_beside_unchanged_recipes_on_fair_play_only(data, tmp_path):
    recipe = "spatialize/pseudo_binaural-full-supervised"

    def shown(**settings):
        return SplitTable(tmp_path, str(data), data / "lists", (recipe,), settings=settings).published(recipe)

    journal = data / ENTRIES
    try:
        assert shown() == {}
        journal.write_text(json.dumps({"settings": {"layout": "fair-play"}}) + "\n")
        assert shown()["test_stft"] == 0.917
        assert shown(workers=1) == shown()
        assert shown(batch=4) == {}
    finally:
        journal.unlink(missing_ok=True)


def test_lists_without_test_clips_are_refused_before_anything_is_made(data, tmp_path):
    (tmp_path / "lists" / "split1").mkdir(parents=True)
    (tmp_path / "lists" / "split1" / "train.txt").write_text("clip-0-0")
    run = CliRunner().invoke(main, [*words(data, tmp_path / "out"), "--lists", str(tmp_path / "lists")])
    assert run.exit_code == 2
    assert "expected clips in the list test of split1, got none" in run.output
    assert not (tmp_path / "out").exists()
