"""A logarithmic axis: octaves are alike, what is constant stays, masks come back."""

from __future__ import annotations

import pytest
import torch
from avssl_downstream.spatialize.networks.log_frequency import LogFrequency, band_centres

BINS, BANDS = 1025, 256


def test_what_is_constant_stays_both_ways():
    axis = LogFrequency(BINS, BANDS)
    torch.testing.assert_close(axis(torch.ones(2, BINS, 3)), torch.ones(2, BANDS, 3))
    torch.testing.assert_close(axis.inverse(torch.ones(2, BANDS, 3)), torch.ones(2, BINS, 3))


def test_an_octave_is_a_tenth_of_ten_octaves_everywhere():
    axis = LogFrequency(BINS, BANDS)
    peaks = []
    for exponent in range(3, 10):
        spectrum = torch.zeros(BINS, 1)
        spectrum[2**exponent] = 1
        peaks.append(int(axis(spectrum).argmax()))
    assert all(abs(step - (BANDS - 1) / 10) <= 1 for step in torch.tensor(peaks).diff().tolist())


def test_close_bands_interpolate_between_bins_and_far_ones_average():
    axis, place = LogFrequency(BINS, BANDS), band_centres(BINS, BANDS)
    ramp = torch.arange(BINS, dtype=torch.float32)[:, None]
    close = place < 30
    torch.testing.assert_close(axis(ramp)[close, 0], place[close].float())
    noise = torch.randn(BINS, 4000)
    power = axis(noise).square().mean(1)
    spacing = place[-2] - place[-3]
    assert float(power[-3]) == pytest.approx(2 / 3 / float(spacing), rel=0.1)  # squares of a triangle's weights


@pytest.mark.parametrize("bands", [64, 256])
def test_a_smooth_mask_comes_back(bands):
    axis, log = LogFrequency(BINS, bands), torch.linspace(0, 1, bands)
    mask = (0.5 + 0.4 * torch.sin(6 * log))[:, None]
    torch.testing.assert_close(axis(axis.inverse(mask)), mask, atol=0.03, rtol=0)
    place = torch.log(torch.arange(1, BINS).float()) / torch.log(torch.tensor(BINS - 1.0))
    expected = 0.5 + 0.4 * torch.sin(6 * place)
    torch.testing.assert_close(axis.inverse(mask)[1:, 0], expected, atol=0.02, rtol=0)


def test_axes_that_cannot_be_are_refused():
    for bands, min_bin in ((1, 1.0), (64, 0.0), (64, 1024.0)):
        with pytest.raises(ValueError, match=r"\Aexpected at least 2 bands and a min_bin.+\Z"):
            LogFrequency(BINS, bands, min_bin)
