"""STFT against closed forms and other libraries; ideal masks recover their channels."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal
import torch

from avssl.spatial.stft import (
    MASKS,
    StftConfig,
    apply_mask,
    from_parts,
    ideal_masks,
    istft,
    level,
    one_sided,
    parts,
    stft,
    two_sided,
)

CONFIG = StftConfig()
SAMPLES = 10_080


def band(low: float, high: float, *shape: int, rate: int = 16_000, seed: int = 0) -> torch.Tensor:
    """Noise between two frequencies."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    spectrum, hertz = np.fft.rfft(noise), np.fft.rfftfreq(shape[-1], 1 / rate)
    return torch.from_numpy(np.fft.irfft(spectrum * ((hertz >= low) & (hertz <= high)), shape[-1])).float()


def decibels(found: torch.Tensor, target: torch.Tensor) -> float:
    return float(10 * (target.square().sum() / (found - target).square().sum()).log10())


def test_parameters_give_the_published_shapes():
    spectrum = CONFIG.stft(torch.zeros(2, SAMPLES))
    assert spectrum.shape == (2, 257, 64) == (2, CONFIG.bins, CONFIG.frames(SAMPLES))
    assert StftConfig(pad="none").stft(torch.zeros(SAMPLES)).shape[-1] == StftConfig(pad="none").frames(SAMPLES)


def test_first_frame_is_the_transform_of_reflected_samples():
    audio = band(0, 8000, SAMPLES)
    padded = np.pad(audio.numpy().astype(float), 256, mode="reflect")
    window = np.zeros(512)
    window[56:456] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    found = CONFIG.stft(audio)
    for frame in (0, 1, 31, 63):
        expected = np.fft.rfft(padded[frame * 160 : frame * 160 + 512] * window)
        np.testing.assert_allclose(found[:, frame].numpy(), expected, atol=2e-5)


def test_stft_equals_scipys():
    audio = band(0, 8000, SAMPLES)
    other = scipy.signal.ShortTimeFFT(scipy.signal.get_window("hann", 512), 128, 16_000, phase_shift=None)
    found = stft(audio, 512, 512, 128)
    expected = other.stft(audio.double().numpy(), p0=0, p1=found.shape[-1], padding="even")
    np.testing.assert_allclose(found.numpy(), expected, atol=2e-5)


@pytest.mark.parametrize("pad", ["reflect", "constant"])
def test_istft_equals_torchs(pad):
    spectrum = torch.randn(3, 257, 64, dtype=torch.complex64)
    found = istft(spectrum, 512, 400, 160, SAMPLES, pad)
    expected = torch.istft(spectrum, 512, 160, 400, torch.hann_window(400), length=SAMPLES)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_istft_inverts_stft():
    audio = band(0, 8000, 2, SAMPLES)
    assert decibels(CONFIG.istft(CONFIG.stft(audio), SAMPLES), audio) > 100


def test_istft_without_nyquist_bin_recovers_band_limited_audio():
    """Inverted with n_fft=510, as in published code, half of the signal is lost."""
    audio = band(80, 7500, 2, SAMPLES)
    cut = CONFIG.stft(audio)[..., :-1, :]
    assert decibels(CONFIG.istft(cut, SAMPLES), audio) > 60
    legacy = torch.istft(cut, 510, 160, 400, torch.hann_window(400), length=SAMPLES)
    assert decibels(legacy, audio) < 25


def test_istft_without_padding_recovers_the_interior():
    """Morgado's frames: 203 of 1024, none beyond the ends."""
    config, audio = StftConfig(1024, 1024, 256, "none"), torch.randn(52_799)
    spectrum = config.stft(audio)
    assert spectrum.shape == (513, 203)
    middle = config.istft(spectrum[:, 89:117], 27 * 256 + 1024)
    torch.testing.assert_close(middle[1216:6016], audio[24_000:28_800], atol=1e-5, rtol=0)


def test_gradients_pass_stft_and_istft():
    audio = torch.randn(1, 2000, dtype=torch.float64, requires_grad=True)
    config = StftConfig(64, 48, 16)
    weight = torch.randn(1, 2000, dtype=torch.float64)
    (config.istft(config.stft(audio), 2000) * weight).sum().backward()
    torch.testing.assert_close(audio.grad, weight)


@pytest.mark.parametrize("rows", [257, 256])
def test_ideal_complex_masks_recover_the_channels(rows):
    left, right = band(80, 4000, SAMPLES, seed=1), 0.3 * band(80, 4000, SAMPLES, seed=2)
    spectra, mix = CONFIG.stft(torch.stack([left, right])), CONFIG.stft(left + right)
    masks = ideal_masks(spectra, mix)[..., :rows, :]
    found = CONFIG.istft(apply_mask(masks, mix), SAMPLES)
    assert decibels(found[0], left) > 60
    assert decibels(found[1], right) > 60


def test_a_mask_of_one_is_the_identity():
    audio = band(80, 7500, SAMPLES)
    mix = CONFIG.stft(audio)
    planes = torch.stack([torch.ones(256, 64), torch.zeros(256, 64)])
    assert decibels(CONFIG.istft(apply_mask(from_parts(planes), mix), SAMPLES), audio) > 60


def test_sqrt_power_masks_are_3_db_too_loud_for_equal_channels():
    spectrum = CONFIG.stft(band(80, 7500, SAMPLES))
    both, mix = torch.stack([spectrum, spectrum]), 2 * spectrum
    torch.testing.assert_close(ideal_masks(both, mix, "sqrt_power"), torch.full((2, 257, 64), 0.5**0.5))
    torch.testing.assert_close(ideal_masks(both, mix, "amplitude_over_mix"), torch.full((2, 257, 64), 0.5))


def test_masks_of_silence_are_finite():
    silent = torch.zeros(2, 257, 4, dtype=torch.complex64)
    for kind in MASKS:
        assert torch.equal(ideal_masks(silent, silent[0], kind).abs(), torch.zeros(2, 257, 4))


def test_mask_product_equals_the_published_one():
    mask, mix = torch.randn(2, 256, 8), torch.randn(2, 257, 8)
    found = parts(apply_mask(from_parts(mask), from_parts(mix)))
    real = mix[0, :-1] * mask[0] - mix[1, :-1] * mask[1]
    imag = mix[0, :-1] * mask[1] + mix[1, :-1] * mask[0]
    torch.testing.assert_close(found, torch.stack([real, imag]))


def test_level_normalises_a_mix_to_a_tenth():
    mix = band(0, 8000, 3, SAMPLES) * torch.tensor([[1.0], [0.01], [0.0]])
    scaled = mix / level(mix)
    torch.testing.assert_close(scaled.square().mean(-1).sqrt(), torch.tensor([0.1, 0.1, 0.0]))


def test_invalid_parameters_are_one_line_errors():
    for call in (
        lambda: StftConfig(512, 400, 500),
        lambda: StftConfig(pad="reflct"),
        lambda: CONFIG.stft(torch.zeros(256)),
        lambda: CONFIG.istft(torch.zeros(255, 4, dtype=torch.complex64), 1000),
        lambda: ideal_masks(torch.zeros(2, 3, 4), torch.zeros(3, 4), "irm"),
    ):
        with pytest.raises(ValueError, match=r"\A.+\Z"):
            call()


def test_one_sided_mask_is_equivalent_on_real_audio():
    windows = np.random.default_rng(0).standard_normal((64, 5))
    mask = torch.rand(64, 5)
    whole = np.fft.ifft(mask.numpy() * np.fft.fft(windows, axis=0), axis=0).real
    half = np.fft.irfft(one_sided(mask).numpy() * np.fft.rfft(windows, axis=0), 64, axis=0)
    np.testing.assert_allclose(half, whole, atol=1e-6)


def test_two_sided_magnitude_equals_the_full_transform():
    windows = np.random.default_rng(0).standard_normal((64, 5))
    found = two_sided(torch.from_numpy(np.abs(np.fft.rfft(windows, axis=0))))
    np.testing.assert_allclose(found.numpy(), np.abs(np.fft.fft(windows, axis=0)), atol=1e-12)
