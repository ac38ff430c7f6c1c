"""First-order beams against their definitions, spaudiopy, and a recording."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torchaudio

from avssl.config import FeatureConfig
from avssl.media import read_all_audio
from avssl.spatial.ambisonics import beamform, beams, encode, rotate, rotation, rotation_to_front
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


PATTERNS = {
    "projection": lambda cosine: 1 + cosine,
    "cardioid": lambda cosine: (1 + cosine) / 2,
    "hypercardioid": lambda cosine: (1 + 3 * cosine) / 4,
    "max-re": lambda cosine: (1 + math.sqrt(3) * cosine) / (1 + math.sqrt(3)),
    "dipole": lambda cosine: cosine,
}
"""Gain for a plane wave at an angle from the axis, by its cosine."""


def ratio(foa, pattern, **config):
    """Level of the beam over that of W."""
    return Features(FeatureConfig(name="beam-ratio", beam=pattern, **config))(foa)[..., 1, :, :]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_beam_ratio_of_a_plane_wave_is_the_pattern_at_its_angle(pattern, generator):
    angle = torch.tensor([0.0, 25.0, 50.0, 75.0, 100.0, 140.0], dtype=torch.float64).deg2rad()[:, None]
    cone = torch.tensor([0.0, 1.1, 3.0], dtype=torch.float64)  # about the front axis
    left, up = angle.sin() * cone.cos(), angle.sin() * cone.sin()
    # A coloured signal: the ratio does not depend on its spectrum.
    signal = torch.randn(1600, generator=generator).cumsum(0).expand(6, 3, -1)
    found = ratio(encode(signal, torch.atan2(left, angle.cos().expand(6, 3)), up.asin()), pattern)
    error = (found - PATTERNS[pattern](angle.cos()).square().log10()[..., None, None]).abs()
    # Few cells of one bin lie near the floor, where the spectrum passes through zero.
    assert error.flatten(2).quantile(0.99, -1).max() < 2e-3
    assert error.max() < 0.5


@pytest.mark.parametrize("pattern", ["projection", "cardioid"])
def test_beam_ratio_behind_a_cardioid_is_its_floor_and_of_silence_zero(pattern, generator):
    behind = ratio(encode(torch.randn(4800, generator=generator), math.pi, 0.0), pattern)
    assert behind.median().item() == pytest.approx(-6, abs=0.3)
    assert behind.quantile(0.95) < -4.5
    assert bool((ratio(torch.zeros(4, 4800), pattern) == 0).all())


@pytest.mark.parametrize("pattern", PATTERNS)
def test_beam_ratio_of_a_diffuse_field_is_the_mean_power_of_the_pattern(pattern, generator):
    vectors = torch.nn.functional.normalize(torch.randn(600, 3, generator=generator), dim=-1)
    azimuth, elevation = torch.atan2(vectors[:, 1], vectors[:, 0]), torch.asin(vectors[:, 2])
    foa = encode(torch.randn(600, 6000, generator=generator), azimuth, elevation).sum(0)
    cosine = torch.linspace(-1, 1, 20001, dtype=torch.float64)
    expected = math.log10(PATTERNS[pattern](cosine).square().mean())
    assert ratio(foa, pattern, mels=16).mean().item() == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize("pattern", beams())
def test_beam_ratio_does_not_depend_on_gain(pattern, generator):
    foa = torch.randn(4, 4800, generator=generator)
    torch.testing.assert_close(ratio(1e-3 * foa, pattern), ratio(foa, pattern), atol=1e-4, rtol=0)
    whole = Features(FeatureConfig(name="beam-ratio", beam=pattern, remove_level=True))
    torch.testing.assert_close(whole(1e-3 * foa), whole(foa), atol=1e-3, rtol=0)


@pytest.mark.parametrize("pattern", beams())
def test_beam_ratio_rotates_with_the_field(pattern, generator):
    foa = torch.randn(2, 4, 4800, generator=generator)
    found = Features(FeatureConfig(name="beam-ratio", beam=pattern))(rotate(foa, rotation_to_front(1.2, 0.4)))
    beam_signal = beamform(foa, 1.2, 0.4, pattern).unsqueeze(-2)
    mono = Features(FeatureConfig(name="mono-logmel"))
    torch.testing.assert_close(found[:, :1], mono(beam_signal), atol=1e-3, rtol=0)
    beam_energy, omni = (mel_energy(signal) for signal in (beam_signal[:, 0], foa[:, 0]))
    clear = torch.minimum(beam_energy, omni) > 1e-3 * omni.mean(1, keepdim=True)  # far above the floor
    assert clear.double().mean() > 0.97
    torch.testing.assert_close(found[:, 1][clear], (beam_energy / omni).log10().float()[clear], atol=2e-3, rtol=0)
    rolled = rotate(foa, rotation(0.0, 0.0, 0.8))
    torch.testing.assert_close(ratio(rolled, pattern), ratio(foa, pattern), atol=1e-3, rtol=0)


def mel_energy(signal):
    """Energy `(..., time, mels)` in the mel bands of the default features, by torchaudio."""
    bank = torchaudio.transforms.MelSpectrogram(
        24000, 512, hop_length=240, n_mels=128, norm="slaney", mel_scale="slaney"
    ).double()
    return bank(signal.double())[..., : signal.shape[-1] // 240].mT


@pytest.mark.parametrize("name", ["beam-logmel", "foa-iv"])
def test_an_unknown_beam_error_suggests_the_nearest(name):
    with pytest.raises(ValueError, match=r"features.beam is projection, .*, not 'max_re' \(did you mean 'max-re'\?\)"):
        Features(FeatureConfig(name=name, beam="max_re"))


@pytest.mark.parametrize("pattern", ["projection", "cardioid", "hypercardioid", "max-re"])
def test_a_beam_at_the_recorded_tractor_is_three_decibels_louder(pattern, media):
    foa, _ = read_all_audio(media("restricted/video360/tAiVUt5vE34l_40.webm"))
    towards, away = (beamform(foa, azimuth, 0.0, pattern).square().mean() for azimuth in np.radians([87, 87 - 180]))
    assert 10 * torch.log10(towards / away) >= 3
