"""Energy maps against single beams and against the sphere's own integrals."""

from __future__ import annotations

import math

import pytest
import torch

from avssl.spatial.ambisonics import angle_between, beamform, direction, encode, mirror, rotate, rotation
from avssl.spatial.energy_map import energy_map, energy_towards, equal_area_grid, equirectangular_grid


@pytest.fixture
def field(generator):
    return torch.randn(2, 4, 500, generator=generator)


def test_map_is_the_level_of_a_beam_at_every_pixel_centre(field):
    loudness = energy_map(field, 6, 12)
    for row, column in [(0, 0), (2, 3), (5, 11)]:
        azimuth, elevation = (1 - 2 * (column + 0.5) / 12) * math.pi, (1 - 2 * (row + 0.5) / 6) * math.pi / 2
        level = beamform(field, azimuth, elevation).square().mean(-1).sqrt()
        torch.testing.assert_close(loudness[:, row, column], level)


def test_map_peaks_at_the_source_and_is_silent_behind(generator):
    azimuth, elevation = torch.tensor([1.0, -2.5, 3.1]), torch.tensor([0.3, -0.8, 0.0])
    foa = encode(torch.randn(3, 500, generator=generator), azimuth, elevation)
    loudness = energy_map(foa, 64, 128)
    columns, rows = equirectangular_grid(64, 128)
    peak = loudness.flatten(1).argmax(1)
    assert angle_between(columns.flatten()[peak], rows.flatten()[peak], azimuth, elevation).rad2deg().max() < 2.1
    behind = energy_towards(foa, azimuth + math.pi, -elevation).diagonal()
    assert behind.max() < 2e-3
    ahead = energy_towards(foa, azimuth, elevation).diagonal()
    torch.testing.assert_close(ahead, 2 * foa[:, 0].square().mean(-1).sqrt())


def test_mirrored_audio_has_the_mirrored_map(field):
    torch.testing.assert_close(energy_map(mirror(field, "left-right")), energy_map(field).flip(-1))
    torch.testing.assert_close(energy_map(mirror(field, "up-down")), energy_map(field).flip(-2))


def test_a_rotated_field_has_a_rolled_map(field):
    # Content moves left when sources rotate counter-clockwise.
    rotated = energy_map(rotate(field, rotation(2 * math.pi * 5 / 64)), 32, 64)
    torch.testing.assert_close(rotated, energy_map(field, 32, 64).roll(-5, -1), atol=1e-5, rtol=1e-4)


def test_equal_area_points_integrate_first_and_second_moments():
    vectors = direction(*equal_area_grid(2000))
    assert vectors.mean(0).abs().max() < 1e-3
    torch.testing.assert_close(vectors.T @ vectors / 2000, torch.eye(3) / 3, atol=1e-3, rtol=0)


def test_silence_has_a_map_and_a_finite_gradient():
    foa = torch.zeros(4, 100, requires_grad=True)
    loudness = energy_map(foa)
    loudness.sum().backward()
    assert loudness.max() < 1e-15
    assert foa.grad.isfinite().all()


def test_energy_map_of_stereo_is_an_error():
    with pytest.raises(ValueError, match=r"got \(2, 100\)"):
        energy_map(torch.zeros(2, 100))
