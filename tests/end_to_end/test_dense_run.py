"""Dense correspondence from recipe to heads: two steps, held-out numbers, encoders that downstream heads take."""

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from avssl.cli import main
from avssl.config import RunConfig, fill
from avssl.models.encoders import Encoders
from avssl.recipe_files import read_recipe
from avssl.train.pretrain import pretrain, summary


def config(manifest: Path, **changes: Any) -> RunConfig:
    return fill(
        RunConfig,
        read_recipe("dense_avc/small"),
        {
            "data": {"manifest": str(manifest), "batch": 4, "workers": 0},
            "options": {"height": 64, "size": 32},
            "train": {"steps": 2},
            "probe": {"enabled": False},
        },
        changes,
    )


@pytest.fixture(scope="module")
def run(short_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """Folder of a run of two steps, and its metrics."""
    folder = tmp_path_factory.mktemp("runs") / "dense"
    return folder, pretrain(config(short_scenes), folder, recipe="dense_avc/small", progress=False)


def test_held_out_numbers_stand_beside_chance_and_ideal_observer(
    run: tuple[Path, dict[str, float]], short_scenes: Path
) -> None:
    folder, metrics = run
    assert {f"test_{name}" for name in ("loss", "avc_acc", "crop_acc")} <= metrics.keys()
    assert metrics["test_r1_of_3_chance"] == pytest.approx(1 / 3)
    for name in ("r1_of_3", "pair_accuracy"):
        assert 0 <= metrics[f"test_{name}"] <= 1
        assert metrics[f"test_{name}_chance"] < metrics[f"test_{name}_ideal"] <= 1
    for name in ("avc_acc", "crop_acc"):
        assert metrics[f"test_{name}_chance"] == pytest.approx(1 / 3)
        assert metrics[f"test_{name}_chance"] <= metrics[f"test_{name}_ideal_kinds"] <= 1
    lines = summary(config(short_scenes), folder).splitlines()
    rows = {cells[1].strip(): cells[2:] for line in lines if len(cells := line.split("│")) > 3}
    shown = [cell.strip() for cell in rows["r1_of_3"]]
    names = ("r1_of_3", "r1_of_3_chance", "r1_of_3_ideal")
    assert [each for each in shown if each] == [f"{metrics[f'test_{name}']:.3g}" for name in names]
    assert not {"test_loss", "r1_of_3_chance"} & rows.keys()


def test_saved_encoders_have_the_trained_towers(run: tuple[Path, dict[str, float]], short_scenes: Path) -> None:
    folder, _ = run
    encoders = Encoders.from_pretrained(folder)
    assert encoders.geometry is not None
    assert (encoders.geometry.size, encoders.geometry.min_fov) == (32, 90)
    assert encoders.video(torch.zeros(1, 1, 3, 32, 32, dtype=torch.uint8)).shape == (1, encoders.video_width)
    assert encoders.audio(torch.zeros(1, 1, 24000)).shape == (1, encoders.audio_width)
    stored = torch.load(folder / "last.ckpt", weights_only=True)["task"]
    for name, weight in encoders.state_dict().items():
        torch.testing.assert_close(weight, stored[f"encoders.{name}"])


def test_a_head_takes_the_encoders(run: tuple[Path, dict[str, float]], short_scenes: Path, tmp_path: Path) -> None:
    settings = [f"manifest={short_scenes}", "epochs=1", "bootstrap=10", "workers=0", "size=32"]
    options = [word for each in settings for word in ("--set", each)]
    words = ["downstream", "correspondence", "--encoders", str(run[0]), "--out", str(tmp_path / "head"), *options]
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert "avc_bin_low" in result.output


def test_two_runs_of_one_seed_end_with_the_same_weights(
    run: tuple[Path, dict[str, float]], short_scenes: Path, tmp_path: Path
) -> None:
    pretrain(config(short_scenes), tmp_path / "again", progress=False)
    one, other = (Encoders.from_pretrained(each).fingerprint() for each in (run[0], tmp_path / "again"))
    assert one == other
