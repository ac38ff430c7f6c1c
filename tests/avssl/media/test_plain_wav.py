"""Plain wav files: samples as libsndfile reads them; every other file is left to it."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from avssl.media import read_audio, read_resampled
from avssl.media.plain_wav import plain_wav


def write(path, subtype="PCM_16", **options):
    audio = np.random.default_rng(0).uniform(-1, 1, (4000, 4))
    audio[:2] = [[1, -1, 0, 1]] * 2
    soundfile.write(path, audio, 8000, subtype=subtype, **options)
    return path


def layout(path):
    return plain_wav(path, path.stat().st_size, path.stat().st_mtime_ns)


@pytest.mark.parametrize("form", ["WAV", "WAVEX"])
def test_samples_are_those_of_libsndfile(tmp_path, form):
    path = write(tmp_path / "a.wav", format=form)
    expected = torch.from_numpy(soundfile.read(path, dtype="float32")[0].T)
    assert layout(path).frames == 4000
    assert torch.equal(read_audio(path, 0.1, 0.2)[0], expected[:, 800:2400])
    assert torch.equal(read_audio(path, 0.1, 0.2, [2, 0])[0], expected[[2, 0], 800:2400])
    late = read_resampled(path, 0.4, 0.25, 8000)
    assert late.shape == (4, 2000)
    assert torch.equal(late[:, :800], expected[:, 3200:])
    assert not late[:, 800:].any()


@pytest.mark.parametrize(("name", "subtype"), [("a.wav", "PCM_24"), ("a.wav", "FLOAT"), ("b.wav", "PCM_U8")])
def test_other_samples_are_left_to_libsndfile(tmp_path, name, subtype):
    path = write(tmp_path / name, subtype)
    assert layout(path) is None
    expected = torch.from_numpy(soundfile.read(path, dtype="float32")[0].T)
    assert torch.equal(read_audio(path, 0.1, 0.2)[0], expected[:, 800:2400])


def test_a_file_that_changes_is_looked_at_again(tmp_path):
    path = write(tmp_path / "a.wav")
    before = read_audio(path, 0.0, 0.1)[0]
    soundfile.write(path, np.full((2000, 1), 0.5), 16000, subtype="PCM_16")
    after, rate = read_audio(path, 0.0, 0.1)
    assert before.shape == (4, 800)
    assert rate == 16000
    assert torch.equal(after, torch.full((1, 1600), 0.5))


def test_big_endian_and_undeclared_lengths_are_left_to_libsndfile(tmp_path):
    assert layout(write(tmp_path / "big.wav", endian="BIG")) is None
    path = write(tmp_path / "open.wav")
    data = bytearray(path.read_bytes())
    data[40:44] = b"\xff" * 4
    path.write_bytes(data)
    assert layout(path) is None
    assert read_audio(path, 0.0, 0.5)[0].shape == (4, 4000)
