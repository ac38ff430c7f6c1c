"""Windows over a sound: what goes in comes out, no border is heard, and no more is held than a window or two."""

import numpy as np
import pytest
import torch
from avssl_downstream.spatialize.overlap_add import OverlapAdd


def same(windows, starts):
    return torch.cat([windows, 2 * windows], 1)


@pytest.mark.parametrize(("samples", "hop", "margin"), [(100, 25, 0), (100, 50, 0), (100, 20, 30), (100, 7, 10)])
@pytest.mark.parametrize("total", [1, 30, 99, 100, 101, 137, 1003])
def test_windows_that_change_nothing_give_the_audio_back(samples, hop, margin, total):
    audio = torch.randn(1, total)
    made = torch.cat(list(OverlapAdd(samples, hop, margin).process(audio.split(37, 1), same, 3)), 1)
    assert made.shape == (2, total)
    torch.testing.assert_close(made, torch.cat([audio, 2 * audio]), atol=1e-5, rtol=0)


def test_windows_are_given_in_place_whatever_the_blocks():
    audio = torch.arange(500.0)[None]
    seen = []

    def look(windows, starts):
        seen.extend(zip(windows[:, 0, 40].tolist(), starts, strict=True))
        return windows

    list(OverlapAdd(120, 20, 30).process(audio.split(13, 1), look, 4))
    assert all(value == start + 40 for value, start in seen)
    assert [start for _, start in seen][:3] == [-30, -10, 10]
    assert seen[-1][1] == 500 + 30 - 120


@pytest.mark.parametrize(("hop", "margin"), [(400, 0), (800, 0), (200, 300)])
def test_no_border_of_a_window_is_heard(hop, margin):
    """Each window is louder or quieter by chance: a low tone must stay without any high frequency."""
    rng = np.random.default_rng(0)
    audio = torch.sin(2 * torch.pi * 100 * torch.arange(48000) / 16000)[None]

    def louder(windows, starts):
        return windows * torch.from_numpy(rng.uniform(0, 1, (len(windows), 1, 1))).float()

    made = torch.cat(list(OverlapAdd(1600, hop, margin).process([audio], louder)), 1)[0].numpy()
    power = np.abs(np.fft.rfft(made * np.hanning(len(made)))) ** 2
    above = power[3 * 1000 :].sum() / power.sum()
    assert 10 * np.log10(above) < -70
    cut = np.concatenate([audio[0, at : at + hop] * rng.uniform(0, 1) for at in range(0, 48000, hop)])
    clicks = np.abs(np.fft.rfft(cut * np.hanning(len(cut)))) ** 2
    assert 10 * np.log10(clicks[3 * 1000 :].sum() / clicks.sum()) > -70


def test_a_steady_gain_is_steady_to_the_last_sample():
    made = torch.cat(list(OverlapAdd(100, 33).process([torch.ones(1, 1234)], same)), 1)
    torch.testing.assert_close(made[0], torch.ones(1234))


def test_what_is_held_does_not_grow_with_the_audio():
    taken, given, most = 0, 0, 0

    def blocks():
        nonlocal taken
        for _ in range(400):
            taken += 50
            yield torch.zeros(1, 50)

    for block in OverlapAdd(100, 25).process(blocks(), same, 4):
        given += block.shape[1]
        most = max(most, taken - given)
    assert given == 20000
    assert most < 500


@pytest.mark.parametrize("hop", [0, 51])
def test_windows_that_do_not_overlap_by_half_are_refused(hop):
    with pytest.raises(ValueError, match="from 1 to 50 samples"):
        OverlapAdd(100, hop)
