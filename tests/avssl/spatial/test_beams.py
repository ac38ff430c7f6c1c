"""First-order beams against their definitions, spaudiopy, and a recording."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from avssl.config import FeatureConfig
from avssl.media import read_all_audio
from avssl.spatial.ambisonics import beamform, beams, encode, rotate, rotation_to_front
from avssl.spatial.features import Features

UNIT = ["cardioid", "hypercardioid", "max-re", "dipole"]


def response(pattern, angle):
    """Gain of a beam for plane waves at these angles from its axis."""
    angle, axis = torch.as_tensor(angle, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    return beamform(encode(torch.ones_like(angle)[:, None], axis + angle, 0.0), axis, 0.0, pattern)[:, 0]


def family(quantity):
    """Omnidirectional weight, among first-order beams with gain 1, that maximises a quantity of the pattern."""
    cosine = np.linspace(-1, 1, 4001)
    shares = np.linspace(0.001, 0.999, 999)
    return shares[np.argmax([quantity(share + (1 - share) * cosine, cosine) for share in shares])]


@pytest.mark.parametrize("pattern", UNIT)
def test_a_beam_has_gain_one_on_its_axis(pattern):
    assert response(pattern, [0.0]).item() == pytest.approx(1)


def test_the_projection_is_twice_the_cardioid():
    angle = torch.linspace(0, math.pi, 50)
    torch.testing.assert_close(response("projection", angle), 2 * response("cardioid", angle))


@pytest.mark.parametrize(
    ("pattern", "null"),
    [
        ("projection", math.pi),
        ("cardioid", math.pi),
        ("hypercardioid", math.acos(-1 / 3)),
        ("max-re", math.acos(-1 / math.sqrt(3))),
        ("dipole", math.pi / 2),
    ],
)
def test_a_beam_has_its_null_at_the_closed_form(pattern, null):
    torch.testing.assert_close(response(pattern, [null]), torch.zeros(1, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("pattern", "quantity"),
    [
        ("hypercardioid", lambda gain, cosine: 1 / (gain**2).mean()),
        ("max-re", lambda gain, cosine: (gain**2 * cosine).mean() / (gain**2).mean()),
        ("max-re", lambda gain, cosine: (gain[cosine > 0] ** 2).mean() / (gain[cosine < 0] ** 2).mean()),
    ],
    ids=["directivity", "energy vector", "front-to-back ratio of the supercardioid"],
)
def test_a_beam_maximises_its_defining_quantity(pattern, quantity):
    omnidirectional = response(pattern, [math.pi / 2]).item()
    assert omnidirectional == pytest.approx(family(quantity), abs=1e-3)


def test_max_re_reaches_the_longest_energy_vector_of_order_one():
    angle = (torch.arange(2000, dtype=torch.float64) + 0.5) * math.pi / 2000
    energy = response("max-re", angle).square() * angle.sin()
    assert (energy * angle.cos()).sum() / energy.sum() == pytest.approx(1 / math.sqrt(3), abs=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("pattern", "theirs", "error"),
    # spaudiopy computes max-rE by Zotter and Frank's approximation for all orders, 0.5 % below the exact root.
    [("cardioid", "cardioid", 1e-9), ("hypercardioid", "hypercardioid", 1e-9), ("max-re", "maxre", 6e-3)],
)
def test_beam_weights_equal_spaudiopys(pattern, theirs, error):
    import spaudiopy

    zeroth, first = getattr(spaudiopy.sph, f"{theirs}_modal_weights")(1)
    omnidirectional, front = response(pattern, [math.pi / 2, 0.0]).tolist()
    assert (front - omnidirectional) / omnidirectional == pytest.approx(3 * first / zeroth, rel=error)


@pytest.mark.parametrize("pattern", beams())
def test_beam_features_are_the_levels_of_the_beam_signal(pattern, generator):
    foa = torch.randn(2, 4, 4800, generator=generator)
    rotated = rotate(foa, rotation_to_front(1.2, 0.4))
    beam_signal = beamform(foa, 1.2, 0.4, pattern).unsqueeze(-2)
    features = Features(FeatureConfig(name="beam-logmel", beam=pattern))
    torch.testing.assert_close(
        features(rotated), Features(FeatureConfig(name="mono-logmel"))(beam_signal), atol=1e-3, rtol=0
    )


@pytest.mark.parametrize("name", ["beam-logmel", "foa-iv"])
def test_an_unknown_beam_error_suggests_the_nearest(name):
    with pytest.raises(ValueError, match=r"features.beam is projection, .*, not 'max_re' \(did you mean 'max-re'\?\)"):
        Features(FeatureConfig(name=name, beam="max_re"))


@pytest.mark.parametrize("pattern", ["projection", "cardioid", "hypercardioid", "max-re"])
def test_a_beam_at_the_recorded_tractor_is_three_decibels_louder(pattern, media):
    foa, _ = read_all_audio(media("restricted/video360/tAiVUt5vE34l_40.webm"))
    towards, away = (beamform(foa, azimuth, 0.0, pattern).square().mean() for azimuth in np.radians([87, 87 - 180]))
    assert 10 * torch.log10(towards / away) >= 3
