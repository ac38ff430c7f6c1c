"""Metrics over clips whose left and right differ in level: which are kept, and their numbers by hand."""

import pytest
import torch
from avssl_downstream.spatialize.evaluate_generator import Evaluation
from avssl_downstream.spatialize.evaluation_rows import EvaluationRows
from avssl_downstream.spatialize.evaluation_table import evaluation_table
from avssl_downstream.spatialize.filtered_clips import filtered_metrics, level_difference
from avssl_downstream.spatialize.options import SpatializeOptions

from avssl.datasets.manifest import Manifest, Row
from avssl.media import write_audio
from avssl.models.runtime import single_process

RATE, NAN = 16000, float("nan")
GAINS = {"left": (1.0, 0.5), "both": (1.0, 1.0), "right": (0.1, 1.0)}


def clip(stft, error, energy=1.0):
    return {"stft": stft, "env": stft / 2, "lsd": 5.0, "error_energy": error, "target_energy": energy}


def test_the_difference_is_that_of_energies_in_decibels_on_either_side():
    noise = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    assert level_difference(torch.cat([noise, 0.5 * noise])) == pytest.approx(6.0206, abs=1e-4)
    assert level_difference(torch.cat([0.1 * noise, noise])) == pytest.approx(20.0, abs=1e-4)
    assert level_difference(torch.zeros(2, 100)) == 0.0


def test_metrics_are_over_the_clips_that_are_kept():
    clips = {
        "test": [clip(1.0, 0.2), clip(9.0, 9.0), clip(3.0, 0.4)],
        "mono": [clip(4.0, 1.0), clip(9.0, 1.0), clip(4.0, 1.0)],
        "oracle": [clip(0.5, 0.1), clip(9.0, 1.0), clip(0.5, 0.1)],
        "silence": [clip(4.0, 1.0)] * 3,
    }
    found = filtered_metrics(clips, [6.0, 0.5, 1.0], ["a", "b", "c"], 1.0)
    assert (found["filtered_share"], found["filtered_db"]) == (pytest.approx(2 / 3), 1.0)
    assert (found["filtered_stft"], found["filtered_mono_stft"], found["filtered_oracle_stft"]) == (2.0, 4.0, 0.5)
    assert found["filtered_stft_below_mono"] == found["filtered_env_below_mono"] == 0.5
    assert found["filtered_explained"] == pytest.approx(0.7)  # 1 - 0.6 / 2
    assert found["filtered_explained_low"] <= 0.7 <= found["filtered_explained_high"]
    assert not [name for name in found if "silence" in name or "lsd" in name]
    assert filtered_metrics(clips, [6.0, 0.5, 1.0], ["a", "b", "c"], 7.0) == {
        "filtered_db": 7.0,
        "filtered_share": 0.0,
    }


@pytest.fixture
def manifest(film, tone, tmp_path):
    """Clips of one tone, whose levels are those of `GAINS`."""
    film("in.mp4")
    rows = []
    for name, gains in GAINS.items():
        write_audio(tmp_path / f"{name}.wav", torch.cat([gain * tone() for gain in gains]), RATE)
        rows.append(Row(name, "test", "silent-in.mp4", f"{name}.wav", 0.0, 3.0, 20.0, 160, 90, RATE, "binaural", "",
                        NAN, NAN, NAN, ""))  # fmt: skip
    return Manifest(tuple(rows), tmp_path)


@pytest.mark.parametrize(("threshold", "kept"), [(0.0, 3), (1.0, 2), (10.0, 1), (30.0, 0)])
def test_an_evaluation_filters_its_clips_and_says_how_many(manifest, pan, threshold, kept):
    options = SpatializeOptions(filter_db=threshold)
    found = Evaluation(EvaluationRows(pan, None, options, single_process("32-true")), options).run(manifest)
    assert found["filtered_share"] == pytest.approx(kept / 3)
    text = evaluation_table(found, {})
    share = {3: "100.0", 2: "66.7", 1: "33.3", 0: "0.0"}[kept]
    assert f"Filtered clips: the {share} % whose left and right differ by at least {threshold:g} dB." in text
    assert ("filtered clips: generator" in text) == ("filtered_stft" in found) == (kept > 0)
    if kept == 3:
        for name in ("stft", "env", "explained", "stft_below_mono", "env_below_mono"):
            assert found[f"filtered_{name}"] == pytest.approx(found[f"test_{name}"])
    if kept:  # mono's error is half of left minus right in each ear: its energy goes with the square of that
        left_minus_right = {3: (0.5, 0.0, 0.9), 2: (0.5, 0.9), 1: (0.9,)}[kept]
        energy = sum(each**2 for each in left_minus_right) / kept
        assert found["filtered_mono_stft"] / found["mono_stft"] == pytest.approx(energy / ((0.25 + 0.81) / 3), rel=1e-4)


def test_ambisonics_have_no_filtered_clips(around, film, tone, tmp_path):
    film("in.mp4", size=(80, 160))
    write_audio(tmp_path / "in.wav", torch.cat([tone(), tone(), 0 * tone(), 0 * tone()]), RATE)
    row = Row("a", "test", "silent-in.mp4", "in.wav", 0.0, 3.0, 20.0, 160, 80, RATE, "ambix", "", NAN, NAN, NAN, "")
    options = SpatializeOptions()
    rows = EvaluationRows(around, None, options, single_process("32-true"))
    found = Evaluation(rows, options).run(Manifest((row,), tmp_path))
    assert not [name for name in found if name.startswith("filtered")]
