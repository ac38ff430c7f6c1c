"""Binaural decoding of first-order ambisonics against spaudiopy, least squares and the HRIRs."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
import torch
from scipy.signal import fftconvolve

from avssl.spatial.ambisonics import encode, gains, mirror
from avssl.spatial.binaural import ambisonic_filters, spherical_head, to_binaural
from avssl.spatial.energy_map import equal_area_grid

RATE = 48000
SIZE = 2048
FREQUENCY = torch.fft.rfftfreq(SIZE, 1 / RATE)


@pytest.fixture(scope="module")
def head():
    return spherical_head(RATE)


@pytest.fixture(scope="module")
def magls(head):
    return ambisonic_filters(head)


@pytest.fixture(scope="module")
def grid(head):
    """600 evenly spaced directions and their HRIRs."""
    azimuth, elevation = equal_area_grid(600)
    return azimuth, elevation, head.interpolator.responses(azimuth, elevation)


@pytest.fixture(scope="module")
def peer(grid):
    """Filters of spaudiopy for the same head, in SN3D."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spaudiopy = pytest.importorskip("spaudiopy")
    azimuth, elevation, responses = (each.double().numpy() for each in grid)
    hrirs = spaudiopy.sig.HRIRs(responses[:, 0], responses[:, 1], azimuth, np.pi / 2 - elevation, RATE)
    theirs = spaudiopy.decoder.magls_bin(hrirs, 1, f_trans=624)
    # Its harmonics are N3D / sqrt(4 pi).
    gain = np.array([1, 3**0.5, 3**0.5, 3**0.5]) / math.sqrt(4 * math.pi)
    return torch.from_numpy(theirs * gain[:, None]).float()


def _level_error(filters, grid, low, high):
    """Level errors of plane waves in dB, `(directions, ears, bins)`."""
    azimuth, elevation, responses = grid
    rendered = torch.einsum("pc,ecf->pef", gains(azimuth, elevation).cfloat(), torch.fft.rfft(filters, SIZE))
    error = 20 * torch.log10(rendered.abs() / torch.fft.rfft(responses, SIZE).abs())
    return error[..., FREQUENCY.ge(low) & FREQUENCY.lt(high)]


@pytest.mark.heavy
def test_left_sources_are_louder_on_the_left(magls, head, generator):
    signal = torch.randn(4800, generator=generator)
    for filters in (magls, ambisonic_filters(head, "plain")):
        left, right = to_binaural(encode(signal, math.pi / 2, 0.0), filters).square().sum(-1)
        assert left > 2 * right
        left, right = to_binaural(encode(signal, -math.pi / 2, 0.0), filters).square().sum(-1)
        assert right > 2 * left


def test_mirrored_foa_swaps_left_and_right(magls, generator):
    foa = torch.randn(4, 3000, generator=generator)
    rendered, mirrored = to_binaural(foa, magls), to_binaural(mirror(foa, "left-right"), magls)
    assert (rendered - mirrored.flip(0)).square().sum() < 1e-3 * rendered.square().sum()


def test_plain_filters_equal_the_least_squares_fit(head, grid):
    azimuth, elevation, responses = grid
    fit, *_ = np.linalg.lstsq(gains(azimuth, elevation).numpy(), responses.flatten(1).numpy(), rcond=None)
    expected = torch.from_numpy(fit).unflatten(1, (2, -1)).movedim(0, 1)
    error = ambisonic_filters(head, "plain") - expected
    assert error.square().sum() < 2e-3 * expected.square().sum()


def test_filters_below_the_aliasing_frequency_equal_spaudiopys(magls, peer):
    low = (FREQUENCY > 100) & (FREQUENCY < 550)
    ours, theirs = (torch.fft.rfft(filters, SIZE)[..., low] for filters in (magls, peer))
    assert (ours - theirs).abs().max() < 0.05 * theirs.abs().max()


def test_level_errors_above_aliasing_are_no_larger_than_spaudiopys(magls, peer, head, grid):
    plain = ambisonic_filters(head, "plain")
    for low, high in ((700, 2000), (2000, 6000), (6000, 16000)):
        ours, theirs, lost = (_level_error(filters, grid, low, high) for filters in (magls, peer, plain))
        assert ours.square().mean().sqrt() < theirs.square().mean().sqrt() + 0.1
        assert ours.square().mean().sqrt() < 1
        assert abs(ours.mean()) < 0.3
        assert lost.mean() < -4


def test_a_front_wave_has_the_time_of_arrival_of_the_hrirs(magls, head):
    click = torch.zeros(1024)
    click[100] = 1
    rendered = to_binaural(encode(click, 0.0, 0.0), magls)
    index = int(head.directions.abs().sum(1).argmin())
    assert abs(int(rendered[0].abs().argmax()) - 100 - int(head.responses[index, 0].abs().argmax())) <= 4


@pytest.mark.parametrize("samples", [1, 100, 1712, 1713, 9999])
def test_overlap_save_equals_one_convolution(generator, samples):
    foa, filters = torch.randn(3, 4, samples, generator=generator), torch.randn(2, 4, 336, generator=generator)
    rendered = to_binaural(foa, filters)
    expected = fftconvolve(foa[:, None].numpy(), filters[None].numpy(), axes=-1).sum(2)[..., :samples]
    assert rendered.shape == (3, 2, samples)
    np.testing.assert_allclose(rendered.numpy(), expected, atol=2e-4)


def test_invalid_foa_and_filters_are_errors(head, magls):
    with pytest.raises(ValueError, match="magls"):
        ambisonic_filters(head, "best")
    with pytest.raises(ValueError, match=r"\(\.\.\., 4, samples\)"):
        to_binaural(torch.zeros(3, 100), magls)
    with pytest.raises(ValueError, match=r"\(2, 4, taps\)"):
        to_binaural(torch.zeros(4, 100), magls[0])
