"""Sound at another rate, against closed forms and SciPy's Fourier method."""

import numpy as np
import pytest
import torch
from scipy.signal import resample as by_spectrum

from avssl.media.resample import resample


@pytest.mark.parametrize(("source", "target"), [(48000, 24000), (44100, 24000), (16000, 24000), (47999, 24000)])
def test_a_sine_keeps_its_frequency_phase_and_level(source, target):
    def sine(rate):
        return torch.sin(2 * torch.pi * 5000 * torch.arange(rate // 2, dtype=torch.float64) / rate + 0.3)

    found = resample(sine(source).float()[None], source, target)[0]
    expected = sine(target)[: len(found)]
    inside = slice(target // 20, -target // 20)
    assert found.dtype == torch.float32
    assert (found[: len(expected)] - expected)[inside].abs().max() < 2e-5


@pytest.mark.parametrize("hertz", [13500, 15000, 20000])
def test_what_the_new_rate_cannot_hold_is_gone(hertz):
    tone = torch.sin(2 * torch.pi * hertz * torch.arange(24000, dtype=torch.float64) / 48000)[None].float()
    assert resample(tone, 48000, 24000)[0, 1200:-1200].abs().max() < 1e-4


def test_noise_below_the_edge_is_as_by_its_spectrum():
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal((2, 44100)))
    spectrum[:, 10000:] = 0  # Hz
    noise = np.fft.irfft(spectrum)
    found = resample(torch.from_numpy(noise).float(), 44100, 24000).numpy()
    expected = by_spectrum(noise, 24000, axis=1)
    assert found.shape == expected.shape
    assert np.abs(found - expected)[:, 1200:-1200].max() < 2e-5 * np.abs(expected).max()
