"""MonoTo3D's network: the paper's sizes, both joins, and what the frames can tell it."""

from __future__ import annotations

import pytest
import torch
from avssl_downstream.spatialize.networks.mono_to_3d import MonoTo3DNet
from torch.nn import functional


def test_four_seconds_are_halved_as_in_the_paper():
    torch.manual_seed(0)
    network = MonoTo3DNet(width=2, visual_channels=4, visual_width=8)
    sizes = []
    for down in network.downs:
        down.register_forward_hook(lambda _, __, out: sizes.append(tuple(out.shape[-2:])))
    with torch.no_grad():
        masks = network(torch.randn(1, 2, 257, 401), torch.rand(1, 4, 8, 19, 19))
    assert [columns for _, columns in sizes] == [200, 100, 50, 25, 12, 6, 3]
    assert [rows for rows, _ in sizes] == [128, 64, 32, 16, 8, 4, 2]
    assert masks.shape == (1, 3, 2, 257, 401)


def test_the_frames_are_one_map_of_2048_channels_at_first():
    with torch.device("meta"):
        network = MonoTo3DNet()
    channels = [(each.in_channels, each.out_channels) for each in network.frames[::3]]
    assert channels == [(2048, 1024), (1024, 512), (512, 1024)]


def test_the_frames_join_at_the_smallest_map_and_after_five_doublings():
    torch.manual_seed(0)
    network = MonoTo3DNet(width=2, visual_channels=4, frame_times=2, visual_width=8)
    taken = {}
    for step, up in enumerate(network.ups):
        up.register_forward_hook(lambda _, inputs, __, step=step: taken.update({step: inputs[0]}))
    frames, mix = torch.rand(2, 4, 2, 9, 9), torch.randn(2, 2, 257, 401)
    with torch.no_grad():
        visual = network.eval().frames(frames.flatten(1, 2))
        network(mix, frames)
    torch.testing.assert_close(taken[0][:, :8], functional.adaptive_max_pool2d(visual, (2, 3)))
    torch.testing.assert_close(taken[5][:, :8], functional.adaptive_avg_pool2d(visual, (64, 100)))
    assert [taken[step].shape[1] for step in range(6)] == [16 + 8, 32, 32, 32, 16, 8 + 8]


def test_fewer_halvings_take_smaller_spectra_and_train_every_parameter():
    torch.manual_seed(0)
    network = MonoTo3DNet(width=4, visual_channels=3, frame_times=4, visual_width=8, depth=4)
    network(torch.randn(2, 2, 65, 51), torch.rand(2, 3, 4, 5, 5)).square().sum().backward()
    assert all(each.grad is not None for each in network.parameters())


@pytest.mark.heavy
def test_it_learns_that_mirrored_frames_negate_x():
    torch.manual_seed(0)
    network = MonoTo3DNet(width=8, visual_channels=3, frame_times=2, visual_width=16, depth=4)
    mix, maps = torch.randn(1, 2, 33, 32).repeat(4, 1, 1, 1), torch.zeros(4, 3, 2, 4, 8)
    maps[::2, ..., :2] = maps[1::2, ..., -2:] = 1
    target = torch.zeros(4, 3, 2, 33, 32)
    target[::2, 0, 0], target[1::2, 0, 0] = 1, -1
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        functional.mse_loss(network(mix, maps), target).backward()
        optimiser.step()
    with torch.no_grad():
        mirrored = network(mix, maps.flip(-1))
    assert float((mirrored + target).square().mean()) < 0.02


def test_sizes_that_do_not_fit_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"\Aexpected at least 128 bins and frames, got.+\Z"):
        MonoTo3DNet(2, 4, 1, 8)(torch.randn(1, 2, 257, 100), torch.rand(1, 4, 1, 9, 9))
    with pytest.raises(ValueError, match="at least 2"):
        MonoTo3DNet(depth=1)
