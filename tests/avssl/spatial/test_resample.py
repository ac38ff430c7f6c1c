"""Resampling against closed forms and SciPy's Fourier method."""

import numpy as np
import pytest
import torch
from scipy.signal import resample as by_spectrum

from avssl.config import DataConfig
from avssl.data.clip_options import Reading
from avssl.data.loader import read_clip
from avssl.data.window_reader import read_window_audio
from avssl.datasets.manifest import Row
from avssl.media import read_resampled, write_video
from avssl.media.wav_writer import write_wav
from avssl.spatial.resample import resample, resample_blocks


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
def test_frequencies_above_nyquist_are_removed(hertz):
    tone = torch.sin(2 * torch.pi * hertz * torch.arange(24000, dtype=torch.float64) / 48000)[None].float()
    assert resample(tone, 48000, 24000)[0, 1200:-1200].abs().max() < 1e-4


def test_band_limited_noise_equals_fourier_resampling():
    spectrum = np.fft.rfft(np.random.default_rng(0).standard_normal((2, 44100)))
    spectrum[:, 10000:] = 0  # Hz
    noise = np.fft.irfft(spectrum)
    found = resample(torch.from_numpy(noise).float(), 44100, 24000).numpy()
    expected = by_spectrum(noise, 24000, axis=1)
    assert found.shape == expected.shape
    assert np.abs(found - expected)[:, 1200:-1200].max() < 2e-5 * np.abs(expected).max()


RATES = [(48000, 24000), (44100, 24000), (24000, 44100), (16000, 48000), (8000, 8001)]


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("length", [777, 30 * 8000 + 123])
def test_resampled_blocks_equal_the_resampled_whole(source, target, length):
    audio = torch.randn(2, length, generator=torch.Generator().manual_seed(0))
    whole = resample(audio, source, target)
    found = torch.cat(list(resample_blocks(audio.split(3001, 1), source, target)), 1)
    assert found.shape == whole.shape
    assert (found - whole).abs().max() < 1e-6


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("start", [0.0, 0.0007, 0.6123, 1.9])
def test_a_resampled_segment_equals_that_of_the_whole_file(tmp_path, source, target, start):
    audio = torch.rand(2, 2 * source, generator=torch.Generator().manual_seed(0)) - 0.5
    write_wav(tmp_path / "a.wav", [audio], source)
    whole = resample(torch.nn.functional.pad(audio, (0, source)), source, target)  # silence follows
    found = read_resampled(tmp_path / "a.wav", start, 0.25, target)
    assert found.shape == (2, round(0.25 * target))
    begin = round(start * target)
    assert (found - whole[:, begin : begin + found.shape[1]]).abs().max() < 1e-6


def test_training_and_inference_read_the_same_samples(tmp_path):
    audio = torch.rand(4, 3 * 44100, generator=torch.Generator().manual_seed(0)) - 0.5
    write_wav(tmp_path / "a.wav", [audio], 44100)
    write_video(tmp_path / "a.mp4", [np.zeros((32, 64, 3), np.uint8)] * 24, 8.0)
    row = Row("a", "train", "a.mp4", "a.wav", 0.0, 3.0, 8.0, 64, 32, 44100, "ambix", "", 0.0, 0.0, 1.0, "")
    clip = read_clip(row, tmp_path, DataConfig(seconds=1.0), 24000)
    window = read_window_audio(tmp_path / "a.wav", clip.labels["start"], Reading(seconds=1.0), 24000)
    assert clip.labels["start"] == 1.0
    assert (clip.audio - window).abs().max() < 1e-6
