"""Overlap-add: unit gain, no audible window borders, bounded memory, results independent of the blocks."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.overlap_add import OverlapAdd
from torch import Tensor


def same(windows, starts):
    return torch.cat([windows, 2 * windows], 1)


def processed(overlap_add: OverlapAdd, blocks: Iterable[Tensor]) -> Tensor:
    return torch.cat([*[overlap_add.push(block) for block in blocks], overlap_add.finish()], 1)


@pytest.mark.parametrize(("samples", "hop", "margin"), [(100, 25, 0), (100, 50, 0), (100, 20, 30), (100, 7, 10)])
@pytest.mark.parametrize("total", [1, 30, 99, 100, 101, 137, 1003])
def test_windows_that_change_nothing_return_the_input(samples, hop, margin, total):
    audio = torch.randn(1, total)
    made = processed(OverlapAdd(same, 2, samples, hop, margin, 3), audio.split(37, 1))
    assert made.shape == (2, total)
    torch.testing.assert_close(made, torch.cat([audio, 2 * audio]), atol=1e-5, rtol=0)


def test_windows_are_given_in_place_whatever_the_blocks():
    audio = torch.arange(500.0)[None]
    found = []

    def look(windows, starts):
        found.extend(zip(windows[:, 0, 40].tolist(), starts, strict=True))
        return windows

    processed(OverlapAdd(look, 1, 120, 20, 30, 4), audio.split(13, 1))
    assert all(value == start + 40 for value, start in found)
    assert [start for _, start in found][:3] == [-30, -10, 10]
    assert found[-1][1] == 500 + 30 - 120


@pytest.mark.parametrize(("hop", "margin"), [(400, 0), (800, 0), (200, 300)])
def test_window_borders_are_inaudible(hop, margin):
    """Each window is louder or quieter by chance: a low tone must stay without any high frequency."""
    rng = np.random.default_rng(0)
    audio = torch.sin(2 * torch.pi * 100 * torch.arange(48000) / 16000)[None]

    def louder(windows, starts):
        return windows * torch.from_numpy(rng.uniform(0, 1, (len(windows), 1, 1))).float()

    made = processed(OverlapAdd(louder, 1, 1600, hop, margin), [audio])[0].numpy()
    power = np.abs(np.fft.rfft(made * np.hanning(len(made)))) ** 2
    above = power[3 * 1000 :].sum() / power.sum()
    assert 10 * np.log10(above) < -70
    cut = np.concatenate([audio[0, at : at + hop] * rng.uniform(0, 1) for at in range(0, 48000, hop)])
    clicks = np.abs(np.fft.rfft(cut * np.hanning(len(cut)))) ** 2
    assert 10 * np.log10(clicks[3 * 1000 :].sum() / clicks.sum()) > -70


def test_a_steady_gain_is_steady_to_the_last_sample():
    made = processed(OverlapAdd(same, 2, 100, 33), [torch.ones(1, 1234)])
    torch.testing.assert_close(made[0], torch.ones(1234))


@pytest.mark.parametrize("batch", [1, 4])
def test_output_never_lags_by_more_than_the_stated_delay(batch):
    overlap_add, behind, most = OverlapAdd(same, 2, 100, 25, 10, batch), 0, 0
    for size in 400 * [50] + 100 * [7]:
        behind += size - overlap_add.push(torch.zeros(1, size)).shape[1]
        most = max(most, behind)
    assert overlap_add.delay - 50 <= most <= overlap_add.delay == 100 - 10 + 25 * batch
    assert overlap_add.finish().shape[1] == behind


def test_output_is_the_same_bit_for_bit_however_the_stream_is_divided():
    """The function sees the same batches, also where it depends on what else is in one."""
    audio, rng = torch.randn(1, 2000), np.random.default_rng(0)

    def relative(windows, starts):
        return windows / windows.abs().amax()

    whole = processed(OverlapAdd(relative, 1, 100, 30, 10, 3), [audio])
    sizes = rng.multinomial(2000, np.ones(150) / 150).tolist()
    for blocks in (audio.split(1, 1), audio.split(333, 1), audio.split(sizes, 1)):
        assert torch.equal(processed(OverlapAdd(relative, 1, 100, 30, 10, 3), blocks), whole)


def test_windows_wait_until_they_are_ready():
    audio, ready = torch.randn(1, 500), 0
    overlap_add = OverlapAdd(same, 2, 100, 25, 0, 2, lambda start: start < ready)
    assert overlap_add.push(audio).shape == (2, 0)
    ready = 120
    first = overlap_add.push(audio[:, :0])
    assert first.shape == (2, 75)  # up to the start of the fourth window: two batches of two
    made = torch.cat([first, overlap_add.finish()], 1)
    torch.testing.assert_close(made, torch.cat([audio, 2 * audio]), atol=1e-5, rtol=0)


def test_an_empty_stream_has_no_output():
    assert processed(OverlapAdd(same, 2, 100, 25), [torch.zeros(1, 0)]).shape == (2, 0)


@pytest.mark.parametrize("hop", [0, 51])
def test_windows_that_do_not_overlap_by_half_are_refused(hop):
    with pytest.raises(ValueError, match="1 to 50 samples"):
        OverlapAdd(same, 2, 100, hop)
