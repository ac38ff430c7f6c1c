"""Audio distances against scipy, numpy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
import torch

from avssl.spatial.metrics.spectral_error import (
    FIELD,
    envelope,
    envelope_distance,
    log_spectral_distance,
    magnitude_distance,
    peak_normalised,
    phase_distance,
    published_field_envelope,
    published_field_stft,
    published_mag,
    published_snr,
    snr,
    stft_distance,
)


@pytest.fixture
def pair(generator):
    return (0.3 * torch.randn(2, 3, 2, 16000, generator=generator)).unbind()


def columns(audio, n_fft=512, window=400, hop=160, centred=True):
    """STFT by numpy: `(..., F, T)`."""
    audio = audio.double().numpy()
    if centred:
        audio = np.pad(audio, [(0, 0)] * (audio.ndim - 1) + [(n_fft // 2, n_fft // 2)], mode="reflect")
    taper = np.zeros(n_fft)
    before = (n_fft - window) // 2
    taper[before : before + window] = scipy.signal.get_window("hann", window, fftbins=True)
    starts = range(0, audio.shape[-1] - n_fft + 1, hop)
    return np.stack([np.fft.rfft(audio[..., at : at + n_fft] * taper) for at in starts], -1)


def test_stft_distance_is_mean_over_parts_and_sum_over_channels(pair):
    predicted, target = pair
    apart = columns(predicted) - columns(target)
    parts = np.stack([apart.real, apart.imag])
    expected = (parts**2).mean((0, 3, 4)).sum(-1)
    np.testing.assert_allclose(stft_distance(predicted, target), expected, rtol=1e-5)
    np.testing.assert_allclose(stft_distance(predicted, target, reduce="mean"), expected / 2, rtol=1e-5)


def test_published_mag_is_twice_the_stft_distance(pair):
    predicted, target = pair
    squared = (np.abs(columns(predicted) - columns(target)) ** 2).mean((-2, -1)).sum(-1)
    np.testing.assert_allclose(published_mag(predicted, target), squared, rtol=1e-5)
    torch.testing.assert_close(published_mag(predicted, target), 2 * stft_distance(predicted, target))
    true = ((np.abs(columns(predicted)) - np.abs(columns(target))) ** 2).mean((-2, -1)).sum(-1)
    np.testing.assert_allclose(magnitude_distance(predicted, target), true, rtol=1e-5)
    # Negating the signal changes no magnitude.
    assert float(magnitude_distance(-target, target).max()) < 1e-6
    assert float(published_mag(-target, target).min()) > 1


def test_phase_distance_of_mono_is_half_pi(generator):
    target = torch.randn(2, 160000, generator=generator)
    mono = target.mean(0, keepdim=True).expand(2, -1)
    assert float(phase_distance(mono, target)) == pytest.approx(math.pi / 2, abs=0.01)
    assert float(phase_distance(target.flip(0), target)) == pytest.approx(math.pi, abs=1e-3)
    assert float(phase_distance(3 * target, target)) == pytest.approx(0, abs=1e-3)


def test_phase_distance_is_the_smaller_angle_of_left_minus_right(pair):
    predicted, target = pair
    both = [np.angle(spectrum[:, 0] - spectrum[:, 1]) for spectrum in map(columns, (predicted, target))]
    apart = np.abs(both[0] - both[1])
    expected = np.minimum(apart, 2 * np.pi - apart).mean((-2, -1))
    np.testing.assert_allclose(phase_distance(predicted, target), expected, rtol=1e-4)


@pytest.mark.parametrize("samples", [4000, 4001])
def test_envelopes_equal_scipys(generator, samples):
    audio = torch.randn(2, samples, generator=generator)
    np.testing.assert_allclose(envelope(audio), np.abs(scipy.signal.hilbert(audio.numpy())), atol=1e-5)
    other = torch.randn(2, samples, generator=generator)
    hulls = [np.abs(scipy.signal.hilbert(each.double().numpy())) for each in (audio, other)]
    expected = np.sqrt(((hulls[0] - hulls[1]) ** 2).mean(-1)).sum()
    assert float(envelope_distance(audio, other)) == pytest.approx(expected, rel=1e-5)


def test_the_envelope_of_a_tone_is_flat():
    time = torch.arange(8000) / 8000
    assert (envelope(0.5 * torch.sin(2 * math.pi * 440 * time)) - 0.5).abs().max() < 1e-4


def test_snr_equals_the_mixing_ratio(generator):
    target = torch.randn(2, 16000, generator=generator)
    target /= target.square().mean().sqrt()
    noise = torch.randn(2, 16000, generator=generator)
    noise /= noise.square().mean().sqrt()
    assert float(snr(target + 0.1 * noise, target)) == pytest.approx(20, abs=1e-3)
    assert float(snr(target, target)) == pytest.approx(200, abs=0.1)
    assert float(snr(torch.zeros(2, 9), torch.zeros(2, 9))) == pytest.approx(0)
    quiet = 0.01 * target
    assert float(published_snr(0 * quiet, quiet)) == pytest.approx(0)
    assert float(published_snr(quiet, quiet)) == pytest.approx(10 * math.log10(2), abs=1e-3)


def test_log_spectral_distance_of_doubled_amplitude_is_6_db(generator):
    target = torch.randn(4, 16000, generator=generator)
    assert float(log_spectral_distance(2 * target, target)) == pytest.approx(20 * math.log10(2), abs=1e-3)
    # From silence, it is the level above the floor, 100 dB below a full-scale sine.
    tone = torch.sin(2 * math.pi * 1000 * torch.arange(16000) / 16000).expand(1, -1)
    floor = (100 * 10 ** (-100 / 20)) ** 2
    levels = 10 * np.log10(np.maximum(np.abs(columns(tone)) ** 2, floor) / floor)
    expected = np.sqrt((levels**2).mean(-2)).mean()
    assert float(log_spectral_distance(torch.zeros_like(tone), tone)) == pytest.approx(expected, rel=1e-3)


def test_published_field_stft_is_two_sided_times_100(generator):
    predicted, target = torch.randn(2, 3, 8192, generator=generator)
    windows = (predicted - target).double().unfold(-1, 2048, 1024).numpy() * scipy.signal.get_window("hann", 2048)
    expected = 100 * (np.abs(np.fft.fft(windows)) ** 2).mean()
    assert float(published_field_stft(predicted, target)) == pytest.approx(expected, rel=1e-5)
    assert FIELD.frames(8192) == windows.shape[-2]
    assert float(published_field_envelope(predicted, target)) == pytest.approx(
        math.sqrt(4800) * float(envelope_distance(predicted, target, "mean")), rel=1e-6
    )


def test_peaks_are_normalised_over_both_channels():
    audio = torch.tensor([[0.1, -0.2], [0.4, 0.0]])
    torch.testing.assert_close(peak_normalised(audio), audio / 0.4)
    assert not peak_normalised(torch.zeros(2, 5)).any()


def test_all_distances_have_finite_gradients_at_zero(generator):
    target = torch.randn(2, 4000, generator=generator)
    for measure in (stft_distance, magnitude_distance, envelope_distance, log_spectral_distance, snr):
        predicted = target.clone().requires_grad_()
        measure(predicted, target).backward()
        assert predicted.grad.isfinite().all(), measure.__name__
    silent = torch.zeros(2, 4000, requires_grad=True)
    envelope_distance(silent, torch.zeros(2, 4000)).backward()
    assert silent.grad.isfinite().all()


def test_incomparable_inputs_are_errors():
    with pytest.raises(ValueError, match=r"of one shape, got \(2, 900\) and \(2, 800\)"):
        stft_distance(torch.zeros(2, 900), torch.zeros(2, 800))
    with pytest.raises(ValueError, match="2 channels, left and right, .* got 4"):
        phase_distance(torch.zeros(4, 900), torch.zeros(4, 900))
    with pytest.raises(ValueError, match="'sum' or 'mean'"):
        stft_distance(torch.zeros(2, 900), torch.zeros(2, 900), reduce="max")
