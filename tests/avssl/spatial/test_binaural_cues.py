"""Binaural cues against closed forms of pure delays and gains, scipy, and a recorded pianist on the left."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
import torchaudio
from torch import Tensor

from avssl.config import FeatureConfig
from avssl.spatial.ambisonics import encode, mirror, stereo
from avssl.spatial.binaural_cues import MAX_LAG, cross_spectrum, gcc_phat, lag_steering, lags
from avssl.spatial.features import Features

RATE, N_FFT, HOP = 24000, 512, 480
LEVEL, SINE, COSINE, LAG = 2, 3, 4, 5


def features(mels: int = 64, **config) -> Features:
    return Features(FeatureConfig(name="stereo-phase", hop=HOP, mels=mels, **config))


def delayed(signal: Tensor, seconds: float) -> Tensor:
    """Fractional delay by the spectrum of the whole signal."""
    frequency = torch.fft.rfftfreq(signal.shape[-1], 1 / RATE)
    return torch.fft.irfft(torch.fft.rfft(signal) * torch.exp(-2j * np.pi * frequency * seconds), signal.shape[-1])


def spectra(audio: Tensor) -> np.ndarray:
    """`(channels, time, frequency)` by scipy, reflected at the ends as in librosa."""
    transform = scipy.signal.ShortTimeFFT(scipy.signal.get_window("hann", N_FFT), HOP, RATE, fft_mode="onesided")
    padded = np.pad(audio.double().numpy(), ((0, 0), (N_FFT // 2, N_FFT // 2)), mode="reflect")
    frames = np.stack([padded[:, HOP * i : HOP * i + N_FFT] for i in range(audio.shape[1] // HOP)], 1)
    return np.fft.rfft(frames * transform.win)


@pytest.fixture
def pair(generator: torch.Generator) -> Tensor:
    """Two sources with different delays and gains, and noise in each channel."""
    one, other = torch.randn(2, RATE, generator=generator)
    left = one + delayed(other, 4e-4) * 0.4
    right = 0.5 * delayed(one, 3e-4) + other
    return torch.stack([left, right]) + 0.1 * torch.randn(2, RATE, generator=generator)


@pytest.mark.parametrize("gain", [0.1, 0.3, 1.0, 2.0, 10.0])
def test_a_gain_is_a_level_difference_in_bels_without_phase(generator, gain):
    left = torch.randn(RATE, generator=generator)
    maps = features()(torch.stack([gain * left, left]))
    expected = torch.full((50, 64), 2 * np.log10(gain))
    audible = features().filterbank.sum(0) > 0
    torch.testing.assert_close(maps[LEVEL][:, audible], expected[:, audible], atol=1e-2, rtol=0)
    torch.testing.assert_close(maps[COSINE][:, audible], torch.ones_like(expected)[:, audible], atol=1e-2, rtol=0)
    assert maps[SINE].abs().max() < 1e-3
    # For an even number of lags, 0 is between the two central ones, half a step away.
    assert maps[LAG].mean(0).argmax() in (31, 32)


@pytest.mark.parametrize("seconds", [-6e-4, -1e-4, 0.0, 5e-5, 4.321e-4])
@pytest.mark.parametrize("bin_of_tone", [10, 23, 60])
def test_a_delay_is_a_phase_difference_of_a_tone(seconds, bin_of_tone):
    frequency = bin_of_tone * RATE / N_FFT
    time = torch.arange(RATE).double() / RATE
    # Positive: left leads, so that right comes later.
    stereo = torch.stack([torch.sin(2 * np.pi * frequency * each) for each in (time, time - seconds)]).float()
    module = features()
    band = module.filterbank[bin_of_tone].argmax()
    maps = module(stereo)[:, 2:-2, band]
    angle = 2 * np.pi * frequency * seconds
    torch.testing.assert_close(maps[SINE], torch.full((46,), np.sin(angle)).float(), atol=1e-3, rtol=0)
    torch.testing.assert_close(maps[COSINE], torch.full((46,), np.cos(angle)).float(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("seconds", [-9e-4, -3.3e-4, -2e-5, 1e-4, 7.5e-4])
@pytest.mark.parametrize("gain", [0.1, 1.0, 5.0])
def test_gcc_phat_of_noise_peaks_at_the_delay(generator, seconds, gain):
    left = torch.randn(RATE, generator=generator)
    peaks = features(mels=128)(torch.stack([left, gain * delayed(left, seconds)]))[LAG].mean(0)
    step = 2 * MAX_LAG / 127
    assert abs(lags(128)[peaks.argmax()] - seconds) < 0.6 * step
    assert peaks.max() > 0.75


def test_sign_of_lags_equals_scipys_correlation(pair):
    sooner = torch.stack([pair[0], pair[0].roll(12)])
    found = scipy.signal.correlate(sooner[1].numpy(), sooner[0].numpy(), method="fft")
    where = scipy.signal.correlation_lags(RATE, RATE)[found.argmax()] / RATE
    assert where == 12 / RATE
    peak = lags(64)[features()(sooner)[LAG].mean(0).argmax()]
    assert peak == pytest.approx(where, abs=MAX_LAG / 63)


def test_gcc_phat_equals_numpys_inverse_transform(pair):
    left, right = spectra(pair)
    cross = left * right.conj()
    whole = np.fft.irfft(cross / np.abs(cross), N_FFT)
    samples = np.array([-17, -3, 0, 1, 20])
    steering = lag_steering(torch.from_numpy(samples / RATE), N_FFT, RATE, RATE / 2)
    parts = [torch.from_numpy(np.stack([part(left), part(right)])).float() for part in (np.real, np.imag)]
    found = gcc_phat(*cross_spectrum(*parts), steering)
    # numpy's transform is evaluated at left leads by -n: the phase of the cross spectrum grows with the lead.
    np.testing.assert_allclose(found.numpy(), whole[:, -samples], atol=1e-3)


def test_maps_equal_those_of_scipys_spectra(pair):
    left, right = spectra(pair)
    bank = torchaudio.functional.melscale_fbanks(257, 0.0, RATE / 2, 40, RATE, "slaney", "slaney").double().numpy()
    cross, energies = (left * right.conj()) @ bank, [np.abs(each) ** 2 @ bank for each in (left, right)]
    maps = features(mels=40)(pair).numpy()
    np.testing.assert_allclose(maps[LEVEL], np.log10(energies[0] / energies[1]), atol=1e-3)
    phasor = cross / np.sqrt(energies[0] * energies[1])
    np.testing.assert_allclose(maps[SINE], phasor.imag, atol=1e-3)
    np.testing.assert_allclose(maps[COSINE], phasor.real, atol=1e-3)
    assert (np.hypot(maps[SINE], maps[COSINE]) <= 1 + 1e-5).all()


def test_log_mels_are_those_of_stereo_logmel(pair):
    plain = Features(FeatureConfig(name="stereo-logmel", hop=HOP, mels=64))
    assert torch.equal(features()(pair)[:2], plain(pair))


def test_swapped_channels_negate_level_and_sine_and_reverse_lags(pair):
    there, back = features()(pair), features()(pair.flip(0))
    torch.testing.assert_close(back[:2], there[:2].flip(0))
    for index, expected in ((LEVEL, -there[LEVEL]), (SINE, -there[SINE]), (COSINE, there[COSINE])):
        torch.testing.assert_close(back[index], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(back[LAG], there[LAG].flip(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(lags(64), -lags(64).flip(0))


def test_differences_do_not_depend_on_the_common_level(pair):
    loud, quiet = (features()(pair * gain)[2:] for gain in (1.0, 1e-4))
    torch.testing.assert_close(loud, quiet, atol=1e-4, rtol=0)


def test_incoherent_channels_have_no_phase(generator):
    maps = features(mels=16)(torch.randn(2, RATE, generator=generator))
    # A band of n bins is coherent by chance as 1 / sqrt(n).
    assert torch.hypot(maps[SINE], maps[COSINE])[:, 8:].mean() < 0.5
    assert maps[LAG].square().mean() < 2 / 33  # bins below 1.5 kHz


def test_a_silent_channel_has_a_large_level_difference_and_no_phase(generator):
    left = torch.randn(RATE, generator=generator)
    for gains, sign in (((1.0, 0.0), 1), ((0.0, 1.0), -1), ((0.0, 0.0), 0)):
        maps = features()(torch.stack([gain * left for gain in gains]))
        assert maps.isfinite().all()
        assert (maps[SINE:] == 0).all()
        assert (maps[LEVEL].sign() == sign).float().mean() > (0.9 if sign else 1 - 1e-6)
    assert maps[LEVEL].abs().max() == 0


def test_a_batch_equals_its_waveforms_one_by_one(pair):
    many = torch.stack([pair * gain for gain in torch.linspace(0.1, 1, 9)])
    torch.testing.assert_close(features()(many), torch.stack([features()(each) for each in many]))


def test_foa_is_projected_to_stereo_first(generator):
    foa = encode(torch.randn(RATE, generator=generator), 1.0, 0.2)
    module = features()
    assert torch.equal(module(foa), module(stereo(foa)))
    assert module(foa)[LEVEL].median() > 0.5
    assert module(mirror(foa, "left-right"))[LEVEL].median() < -0.5


def test_cues_of_a_recorded_pianist_point_left(media):
    audio, rate = soundfile.read(media("free/stereo/fairplay_example-00001/audio/audio.wav"), dtype="float32")
    # Below 1.5 kHz, cross-correlation by scipy gives 125 to 167 microseconds.
    for n_fft in (512, 1024, 2048):
        module = Features(FeatureConfig(name="stereo-phase", sample_rate=rate, n_fft=n_fft, hop=480, mels=128))
        maps = module(torch.from_numpy(audio.T.copy()))
        lead = lags(128)[maps[LAG].mean(0).argmax()]
        assert 1.1e-4 < lead < 1.8e-4, f"the left ear leads by {1e6 * lead:.0f} us"
        assert (lags(128)[maps[LAG].argmax(1)] > 0).float().mean() > 0.8
