"""Interaural and direction errors against the parameters of synthetic signals."""

from __future__ import annotations

import math

import pytest
import torch

from avssl.spatial.ambisonics import angle_between, encode
from avssl.spatial.binaural import render, spherical_head
from avssl.spatial.metrics.spectral_error import direction_error, interaural, interaural_error

RATE = 16000


def test_level_and_time_differences_equal_those_applied(generator):
    voice = torch.randn(RATE * 2 + 10, generator=generator)
    binaural = torch.stack([voice[10:], 0.5 * voice[:-10]])
    level, time, phase = interaural(binaural, RATE)
    assert float(level) == pytest.approx(20 * math.log10(2), abs=0.05)
    assert float(time) == pytest.approx(10 / RATE, abs=5e-6)
    bins = torch.arange(8, 24)  # 250 to 750 Hz: phase grows with frequency
    expected = 2 * math.pi * bins * RATE / 512 * 10 / RATE
    apart = phase[bins] - expected
    assert torch.atan2(apart.sin(), apart.cos()).abs().max() < 0.12


def test_a_left_source_is_louder_and_earlier_on_the_left(generator):
    left, front, right = (
        interaural(render(torch.randn(RATE, generator=generator), math.radians(at), 0.0, spherical_head(RATE)), RATE)
        for at in (60.0, 0.0, -60.0)
    )
    assert left.level > 5
    assert 3e-4 < left.time < 8e-4
    assert abs(float(front.level)) < 0.1
    assert abs(float(front.time)) < 1e-5
    assert float(right.level) == pytest.approx(-float(left.level), abs=0.5)
    assert float(right.time) == pytest.approx(-float(left.time), abs=2e-5)


def test_error_of_mono_equals_the_differences_of_the_target(generator):
    voice = torch.randn(RATE * 2 + 8, generator=generator)
    binaural = torch.stack([voice[8:], 10 ** (-6 / 20) * voice[:-8]])
    mono = binaural.mean(0, keepdim=True).expand(2, -1)
    level, time, phase = interaural_error(mono, binaural, RATE)
    assert float(level) == pytest.approx(6, abs=0.1)
    assert float(time) == pytest.approx(8 / RATE, abs=1e-5)
    # Mean over 0 to 1500 Hz of a phase that grows to 3 / 4 of a cycle and wraps at half of one.
    assert 1.2 < float(phase) < 2.0
    assert all(float(each) < 1e-5 for each in interaural_error(binaural, binaural, RATE))


def test_silence_has_no_differences_and_no_error():
    assert all(not each.any() for each in interaural(torch.zeros(2, RATE), RATE))
    assert all(each.isnan() for each in interaural_error(torch.zeros(2, RATE), torch.zeros(2, RATE), RATE))


def test_direction_errors_are_the_angles_between_sources(generator):
    voice = torch.randn(3, RATE, generator=generator)
    azimuth, elevation = torch.tensor([0.3, -2.0, 3.0]), torch.tensor([0.2, 0.0, -0.9])
    other, above = torch.tensor([0.8, 2.0, -3.0]), torch.tensor([-0.2, 0.5, 0.9])
    found = direction_error(encode(voice, other, above), encode(voice, azimuth, elevation), RATE)
    torch.testing.assert_close(found, angle_between(other, above, azimuth, elevation).rad2deg(), atol=0.02, rtol=0)


def test_windows_are_weighted_by_energy_and_silence_is_ignored(generator):
    voice = torch.randn(RATE, generator=generator)
    # Four windows of equal length: loud and 40 degrees off, half as loud and 10 off, then silent with noise predicted.
    level = torch.cat([torch.ones(RATE // 4), torch.full((RATE // 4,), 0.5), torch.zeros(RATE // 2)])
    off = torch.cat([torch.full((RATE // 4,), 40.0), torch.full((RATE // 4,), 10.0), torch.full((RATE // 2,), 170.0)])
    reference = encode(level * voice, 0.0, 0.0)
    found = direction_error(encode(voice, off.deg2rad(), torch.zeros(RATE)), reference, RATE, seconds=0.25)
    energy = [float((level * voice)[at : at + RATE // 4].square().sum()) for at in (0, RATE // 4)]
    expected = (40 * energy[0] + 10 * energy[1]) / sum(energy)
    assert float(found) == pytest.approx(expected, abs=0.8)


def test_mono_in_w_only_has_an_error_of_90_degrees(generator):
    reference = encode(torch.randn(RATE, generator=generator), 0.4, 0.1)
    mono = reference * torch.tensor([1.0, 0, 0, 0])[:, None]
    assert float(direction_error(mono, reference, RATE)) == pytest.approx(90)
    assert direction_error(reference, mono, RATE).isnan()


def test_invalid_shapes_are_errors():
    with pytest.raises(ValueError, match=r"two clips \(\.\.\., 4, 1600 samples"):
        direction_error(torch.zeros(4, 100), torch.zeros(4, 100), RATE)
    with pytest.raises(ValueError, match=r"binaural audio"):
        interaural(torch.zeros(4, RATE), RATE)
    with pytest.raises(ValueError, match=r"two clips \(\.\.\., 2, 8000 samples"):
        interaural_error(torch.zeros(2, 100), torch.zeros(2, 100), RATE)
