"""Streaming resampler: the samples of the whole for any blocks, with a short delay."""

import numpy as np
import pytest
import torch

from avssl.spatial.resample import StreamResampler, resample

RATES = [(48000, 16000), (44100, 16000), (16000, 44100), (8000, 24000), (47999, 24000), (16000, 16000)]


@pytest.mark.parametrize(("source", "target"), RATES)
@pytest.mark.parametrize("samples", [1, 300, 12345])
def test_a_stream_is_resampled_as_the_whole(source, target, samples):
    audio = torch.from_numpy(np.random.default_rng(0).standard_normal((2, samples))).float()
    whole = resample(audio, source, target)
    for size in (64, 1000, samples):
        stream = StreamResampler(2, source, target)
        made = torch.cat([*[stream.push(block) for block in audio.split(size, 1)], stream.finish()], 1)
        assert made.shape == whole.shape
        torch.testing.assert_close(made, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("source", "target"), RATES)
def test_output_never_lags_by_more_than_the_stated_delay(source, target):
    stream, seconds = StreamResampler(1, source, target), 0.0
    for size in 50 * [64] + 3 * [5000]:
        seconds += size / source - stream.push(torch.zeros(1, size)).shape[1] / target
        assert -1e-9 <= seconds <= stream.delay + 1e-9
    assert stream.delay <= (0.02 if source != 47999 else 2.0)  # two steps of the common time grid


def test_an_empty_stream_has_no_output():
    stream = StreamResampler(2, 48000, 16000)
    assert stream.push(torch.zeros(2, 0)).shape == stream.finish().shape == (2, 0)
