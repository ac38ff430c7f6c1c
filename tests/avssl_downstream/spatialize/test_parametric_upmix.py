"""Second order from first order by its own directions: exact for plane waves, nothing from a diffuse field."""

import math

import pytest
import torch
from avssl_downstream.spatialize.evaluate_generator import Evaluation
from avssl_downstream.spatialize.evaluation_rows import EvaluationRows
from avssl_downstream.spatialize.metrics import audio_metrics, explained_energy
from avssl_downstream.spatialize.options import SpatializeOptions
from avssl_downstream.spatialize.parametric_upmix import parametric_upmix

from avssl.datasets.manifest import Manifest, Row
from avssl.media import write_audio
from avssl.models.runtime import single_process
from avssl.spatial.ambisonics import encode
from avssl.spatial.stft import StftConfig

RATE, STFT = 16000, StftConfig(512, 512, 256)


def tone(hertz: float) -> torch.Tensor:
    return 0.1 * torch.sin(2 * torch.pi * hertz * torch.arange(RATE) / RATE)


def explained(audio, target):
    return explained_energy([audio_metrics(audio, target, RATE)], ["a"])["explained"]


@pytest.mark.parametrize(("azimuth", "elevation"), [(0.3, -0.4), (-2.5, 1.2), (math.pi / 2, 0.0)])
def test_a_plane_wave_is_complete_in_second_order(azimuth, elevation):
    noise = 0.1 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    target = encode(noise, azimuth, elevation, order=2)
    found = parametric_upmix(target[:4], STFT)
    assert torch.equal(found[:4], target[:4])
    torch.testing.assert_close(found, target, atol=1e-5, rtol=0)


def test_tones_from_several_directions_are_told_apart_by_frequency():
    target = sum(
        encode(tone(hertz), azimuth, 0.2, order=2) for hertz, azimuth in ((400, 1.0), (2100, -2.0), (5000, 3.0))
    )
    assert explained(parametric_upmix(target[:4], STFT), target) > 0.99


def test_silence_and_a_field_without_direction_stay_first_order():
    silent = parametric_upmix(torch.zeros(4, RATE), STFT)
    assert not silent.any()
    both = encode(tone(500), 0.0, 0.0, order=2) + encode(tone(500), math.pi, 0.0, order=2)  # front and back: no X
    assert float(parametric_upmix(both[:4], STFT)[4:].abs().max()) < 1e-5


def test_an_evaluation_compares_second_order_with_both_ways_of_first_order(tmp_path, film, sharper):
    film("in.mp4", size=(90, 180))
    noise = 0.1 * torch.randn(3 * RATE, generator=torch.Generator().manual_seed(0))
    write_audio(tmp_path / "in.wav", encode(noise, 0.3, 0.1, order=2), RATE)
    nan = float("nan")
    row = Row("a", "test", "silent-in.mp4", "in.wav", 0.0, 3.0, 20.0, 180, 90, RATE, "ambix", "", nan, nan, nan, "")
    rows = EvaluationRows(sharper, None, SpatializeOptions(), single_process("32-true"))
    found = Evaluation(rows, SpatializeOptions()).run(Manifest((row,), tmp_path))
    assert found["silence_explained"] == 0.0
    assert found["parametric_explained"] > 0.999
    assert found["silence_emd_degrees"] > found["parametric_emd_degrees"]
    below = 1 - found["test_emd_degrees"] / found["silence_emd_degrees"]
    assert found["test_emd_degrees_below_silence"] == pytest.approx(below)
