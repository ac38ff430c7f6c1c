"""`avssl downstream spatialize` from the command line: a small stage, a generator, a report, and files made with it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from click.testing import CliRunner, Result

from avssl.cli import main
from avssl.datasets.manifest import read_manifest, write_manifest
from avssl.media import probe, read_all_audio, write_video
from avssl.media.mp4.spatial_mp4 import write_spatial_mp4
from avssl.synth.stage.stage_dataset import stage

RATE = 16000
SMALL_STAGE: dict[str, Any] = {
    "width": 64, "height": 36, "frame_rate": 10.0, "sample_rate": RATE, "workers": 1, "progress": False
}  # fmt: skip
SMALLER = {
    "generator_options.bands": 32,
    "generator_options.seconds": 0.5,
    "generator_options.hop": 0.25,
    "generator_options.rows": 32,
    "generator_options.columns": 56,
    "batch": 4,
    "workers": 0,
    "train.steps": 3,
    "train.save_every": 2,
    "optim.warmup": 0,
}
"""What makes the recipe quick: in seconds, not to be any good."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def call(*words: object, **settings: object) -> Result:
    given = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return CliRunner().invoke(main, [*map(str, words), *given])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """8 scenes of one second, 2 of them test."""
    folder = tmp_path_factory.mktemp("stage")
    return stage(folder, 8, 1.0, 0, **SMALL_STAGE).parent


@pytest.fixture(scope="module")
def fitted(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "asn"
    words = ("downstream", "spatialize", "--recipe", "spatialize/asn-small", "--data", world, "--out", folder)
    result = call(*words, **SMALLER)
    assert result.exit_code == 0, result.output
    assert "test_stft" in result.output
    return folder


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Three seconds of a moving edge, with a tone of one channel."""
    frames = np.zeros((60, 90, 160, 3), np.uint8)
    for index, image in enumerate(frames):
        image[:, 2 * index : 2 * index + 40] = 255
    write_video(tmp_path / "silent.mp4", frames, 20.0)
    tone = 0.3 * torch.sin(2 * math.pi * 440 * torch.arange(3 * 48000) / 48000)[None]
    write_spatial_mp4(tmp_path / "film.mp4", tmp_path / "silent.mp4", [tone], 48000, panoramic=False)
    return tmp_path / "film.mp4"


def test_a_run_is_measured_on_held_out_clips_beside_its_baselines(fitted: Path) -> None:
    found = json.loads((fitted / "metrics.json").read_text())
    assert found["tested_clips"] == 2
    for method in ("test", "silence", "mono", "prior", "black", "deaf", "flipped", "oracle"):
        assert all(math.isfinite(found[f"{method}_{name}"]) for name in ("stft", "env", "phase", "snr", "lsd"))
    assert found["test_stft_below_mono"] == pytest.approx(1 - found["test_stft"] / found["mono_stft"])
    assert found["oracle_snr"] > 60
    assert (found["sample_rate"], found["steps"]) == (RATE, 3)
    assert {"config.json", "config.yaml", "generator.safetensors"} <= {each.name for each in fitted.iterdir()}


def test_a_finished_run_is_measured_again_to_the_same_numbers(fitted: Path, world: Path) -> None:
    before = json.loads((fitted / "metrics.json").read_text())
    words = ("downstream", "spatialize", "--recipe", "spatialize/asn-small", "--data", world, "--out", fitted)
    assert call(*words, **SMALLER).exit_code == 0
    after = json.loads((fitted / "metrics.json").read_text())
    assert {name: value for name, value in after.items() if name.startswith(("test_", "mono_"))} == {
        name: value for name, value in before.items() if name.startswith(("test_", "mono_"))
    }


def test_a_fitted_head_is_measured_on_other_data(fitted: Path, world: Path, tmp_path: Path) -> None:
    words = ("downstream", "spatialize", "--head", fitted)
    assert call(*words, "--data", world).exit_code == 0
    own, again = (json.loads((folder / "metrics.json").read_text()) for folder in (fitted, fitted / "measured"))
    assert again == {name: own[name] for name in again}
    assert {"test_stft", "test_stft_below_prior", "mono_stft"} <= again.keys()
    others = stage(tmp_path / "others", 4, 1.0, 7, test_share=0.0, **SMALL_STAGE)
    out = tmp_path / "out"
    refused = call(*words, "--data", others, "--out", out)
    assert refused.exit_code == 2
    assert "expected clips of split 'test' to evaluate, got clips of ['train']" in refused.output
    result = call(*words, "--data", others, "--split", "", "--title", "others", "--out", out)
    assert result.exit_code == 0, result.output
    found = json.loads((out / "metrics.json").read_text())
    assert found["tested_clips"] == 4
    assert found["test_stft"] != own["test_stft"]
    assert "others" in call("report", out, "--out", tmp_path / "report").output
    assert call(*words, "--data", world, "--out", out).exit_code == 2  # holds what is of other data


def test_where_nothing_is_labelled_a_fitted_head_is_measured_on_all(fitted: Path, tmp_path: Path) -> None:
    others = stage(tmp_path / "others", 2, 1.0, 7, test_share=0.0, **SMALL_STAGE)
    manifest = read_manifest(others)
    write_manifest(others, [replace(row, split="") for row in manifest])
    result = call("downstream", "spatialize", "--head", fitted, "--data", others, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert found["tested_clips"] == 2
    assert "prior_stft" not in found


def test_the_report_names_the_row_as_the_recipe_does(fitted: Path, tmp_path: Path) -> None:
    result = call("report", fitted, "--out", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert "asn" in result.output


def test_a_mono_video_becomes_binaural_with_its_frames(fitted: Path, film: Path, tmp_path: Path) -> None:
    target = tmp_path / "ears.mp4"
    result = call("downstream", "spatialize", "--head", fitted, "--input", film, "--output", target)
    assert result.exit_code == 0, result.output
    before, after = probe(film), probe(target)
    assert after.audio_streams[0].channels == 2
    assert (after.videos[0].width, after.videos[0].height) == (160, 90)
    assert after.videos[0].seconds == pytest.approx(before.videos[0].seconds, abs=0.05)
    audio, rate = read_all_audio(target)
    assert rate == 48000
    assert audio.shape[1] / rate == pytest.approx(3.0, abs=0.05)
    assert float(audio.abs().max()) > 0.02


def test_the_same_head_makes_the_same_audio(fitted: Path, film: Path, tmp_path: Path) -> None:
    made = []
    for name in ("one.wav", "two.wav"):
        result = call("downstream", "spatialize", "--head", fitted, "--input", film, "--output", tmp_path / name)
        assert result.exit_code == 0, result.output
        audio, rate = soundfile.read(tmp_path / name)
        assert audio.shape == (read_all_audio(film)[0].shape[1], 2)  # a little more than 3 s: whole blocks of AAC
        assert rate == 48000
        made.append(audio)
    np.testing.assert_array_equal(*made)


@pytest.mark.parametrize(
    ("source", "settings", "why"),
    [
        ("silent.mp4", {}, "silent.mp4: expected"),
        ("nothing.mp4", {}, "nothing.mp4"),
        ("film.mp4", {"generator_options.bands": 64}, "fitted with generator_options.bands 32, got 64"),
        ("film.mp4", {"field_of_view": 60}, "fitted with field_of_view 90.0, got 60.0"),
    ],
)
def test_what_cannot_be_made_is_one_line_and_leaves_nothing(
    fitted: Path, film: Path, source: str, settings: dict[str, object], why: str
) -> None:
    target = film.parent / "made.mp4"
    words = ("downstream", "spatialize", "--head", fitted, "--input", film.parent / source, "--output", target)
    result = call(*words, **settings)
    assert result.exit_code == 2
    assert result.output.startswith("Error: ")
    assert len(result.output.strip().splitlines()) == 1
    assert why in result.output
    assert sorted(each.name for each in film.parent.iterdir()) == ["film.mp4", "silent.mp4"]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (
            {"generator_options.target_mask": "sqr_power"},
            "asn.target_mask is sqrt_power, amplitude_over_mix, complex, not 'sqr_power'",
        ),
        ({"generator_options.band": 32}, "unknown key 'band'"),
        ({"generator_options.network": "full"}, "too small for 5 layers"),
    ],
)
def test_a_run_that_cannot_be_begun_is_one_line(
    world: Path, tmp_path: Path, settings: dict[str, object], why: str
) -> None:
    words = ("downstream", "spatialize", "--recipe", "spatialize/asn-small", "--data", world, "--out", tmp_path / "run")
    result = call(*words, **(SMALLER | settings))
    assert result.exit_code == 2, result.output
    assert why in result.output
    assert not (tmp_path / "run").exists()
