"""Spherical harmonics against scipy and spaudiopy; rotated and mirrored fields against reencoded ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import assoc_legendre_p, gammaln

from avssl.spatial.ambisonics import encode, gains, mirror, rotate, rotation
from avssl.spatial.spherical_harmonics import ambisonic_order, mirror_left_right, rotate_yaw


def published(azimuth: np.ndarray, elevation: np.ndarray, degree: int, turns: int) -> np.ndarray:
    """Definition of SN3D (Nachbar et al. 2011), without the Condon-Shortley phase of scipy's functions."""
    size = abs(turns)
    scale = np.sqrt((2 if size else 1) * np.exp(gammaln(degree - size + 1) - gammaln(degree + size + 1)))
    around = np.sin(size * azimuth) if turns < 0 else np.cos(size * azimuth)
    return scale * (-1) ** size * assoc_legendre_p(degree, size, np.sin(elevation))[0] * around


def test_gains_are_sn3d_by_definition(directions):
    azimuth, elevation = (angle.double() for angle in directions)
    found = gains(azimuth, elevation, order=5)
    for channel in range(36):
        degree = math.isqrt(channel)
        expected = published(azimuth.numpy(), elevation.numpy(), degree, channel - degree * (degree + 1))
        np.testing.assert_allclose(found[:, channel], expected, atol=1e-12)


def test_gains_of_order_four_agree_with_spaudiopy(directions):
    spaudiopy = pytest.importorskip("spaudiopy")
    azimuth, elevation = (angle.double().numpy() for angle in directions)
    theirs = spaudiopy.sph.sh_matrix(4, azimuth, np.pi / 2 - elevation, "real") * np.sqrt(4 * np.pi)
    degrees = np.sqrt(np.arange(25)).astype(int)
    np.testing.assert_allclose(gains(*directions, order=4), theirs / np.sqrt(2 * degrees + 1), atol=2e-6)


def test_every_degree_has_the_energy_of_w_and_the_first_order_is_unchanged(directions):
    found = gains(*directions, order=3)
    for degree in range(4):
        squares = found[:, degree**2 : (degree + 1) ** 2].square().sum(-1)
        torch.testing.assert_close(squares, torch.ones(1000), atol=1e-5, rtol=0)
    assert torch.equal(found[:, :4], gains(*directions))


def test_rotated_and_mirrored_fields_equal_reencoded_ones(directions, generator):
    signal, (azimuth, elevation) = torch.randn(1000, 20, generator=generator), directions
    field = encode(signal, azimuth, elevation, order=3)
    torch.testing.assert_close(
        rotate_yaw(field, 1.2), encode(signal, azimuth + 1.2, elevation, order=3), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(
        mirror_left_right(field), encode(signal, -azimuth, elevation, order=3), atol=1e-5, rtol=0
    )
    first = field[:, :4]
    torch.testing.assert_close(rotate_yaw(first, 1.2), rotate(first, rotation(1.2)), atol=1e-6, rtol=0)
    assert torch.equal(mirror_left_right(first), mirror(first, "left-right"))


def test_paths_are_encoded_sample_by_sample(generator):
    azimuth = torch.linspace(0, 2, 50)
    field = encode(torch.ones(50), azimuth, torch.zeros(50), order=2)
    torch.testing.assert_close(field[8], math.sqrt(0.75) * torch.cos(2 * azimuth))
    torch.testing.assert_close(field[4], math.sqrt(0.75) * torch.sin(2 * azimuth))


def test_channel_counts_of_no_order_are_errors():
    assert [ambisonic_order(torch.zeros(count, 5)) for count in (4, 9, 25)] == [1, 2, 4]
    for shape in ((1, 5), (6, 5), (4,)):
        with pytest.raises(ValueError, match=r"expected ambiX of shape .* got"):
            ambisonic_order(torch.zeros(shape))
