"""Pointing: where tracks point is where the cells are, and masks of channels are weighted tracks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.models.foa360 import Localised, Trunk, synthesise
from avssl.models.pointing import Pointing, PointingNet, channel_masks
from avssl.models.strided import SMALL
from avssl.spatial.ambisonics import angles
from avssl.spatial.spectrum import StftConfig


def one_likeness(pointing: Pointing) -> Pointing:
    """Every track looks for cells of which the first map is 1; nothing is nowhere."""
    torch.nn.init.zeros_(pointing.ask[-1].weight)
    torch.nn.init.constant_(pointing.ask[-1].bias, 40.0)
    torch.nn.init.zeros_(pointing.nowhere.weight)
    torch.nn.init.constant_(pointing.nowhere.bias, -40.0)
    for layer in (pointing.answer[0], pointing.answer[2]):
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
        layer.weight.data[:, 0] = 1
    return pointing


def maps_with(row: int, column: int) -> Tensor:
    maps = torch.zeros(1, 5, 8, 16)
    maps[0, 0, row, column] = 1
    return maps


def test_a_track_points_to_the_cell_that_looks_like_it():
    pointing = one_likeness(Pointing(heard=6, channels=5, tracks=3, width=4))
    for row, column in ((0, 0), (3, 8), (6, 15)):
        y, z, x = pointing(torch.randn(1, 2, 6), maps_with(row, column))[0, 1, :, 2].detach()
        azimuth, elevation = angles(torch.stack([x, y, z]))
        assert math.isclose(azimuth, (1 - 2 * (column + 0.5) / 16) * math.pi, abs_tol=1e-3)
        assert math.isclose(elevation, (0.5 - (row + 0.5) / 8) * math.pi, abs_tol=1e-3)
        assert math.isclose(torch.stack([x, y, z]).norm(), 1.0, abs_tol=1e-3)


def test_what_is_nowhere_has_no_direction():
    pointing = one_likeness(Pointing(6, 5, 3, 4))
    torch.nn.init.constant_(pointing.nowhere.bias, 1000.0)
    assert pointing(torch.randn(1, 2, 6), maps_with(2, 5)).abs().max() < 1e-6


def test_a_turned_picture_turns_the_weights():
    torch.manual_seed(0)
    pointing, heard, maps = Pointing(6, 5, 3), torch.randn(2, 4, 6), torch.randn(2, 5, 8, 16)
    y, z, x = pointing(heard, maps).unbind(2)
    turned_y, turned_z, turned_x = pointing(heard, maps.roll(-4, -1)).unbind(2)  # a quarter to the left
    for found, wanted in ((turned_y, x), (turned_x, -y), (turned_z, z)):
        torch.testing.assert_close(found, wanted)


def test_masks_of_channels_are_tracks_weighted_and_added_up():
    torch.manual_seed(0)
    stft, mono = StftConfig(256, 256, 128, "none"), torch.randn(2, 256 + 128 * 31)
    weights, masks = torch.randn(2, 1, 3, 5).expand(-1, 4, -1, -1), torch.rand(2, 5, 129, 32)
    spectrum = stft.stft(mono)
    found = Localised(weights, torch.zeros(2, 4, 3), masks)
    at_once = stft.istft(channel_masks(found, 32) * spectrum[:, None], mono.shape[-1])
    tracks = stft.istft(masks * spectrum[:, None], mono.shape[-1])
    torch.testing.assert_close(at_once, synthesise(*found[:2], tracks), atol=1e-4, rtol=1e-4)


def test_tracks_add_up_to_the_mono_sound_and_every_parameter_is_trained():
    torch.manual_seed(0)
    net = PointingNet(Trunk((32, 32), (), 1, SMALL, 8, norm=True), (3, 4), tracks=5)
    found = net(torch.rand(2, 1, 32, 32), [torch.rand(2, 3, 4, 8), torch.rand(2, 4, 4, 8)])
    assert found.masks is not None
    torch.testing.assert_close(found.masks.sum(1), torch.ones(2, 32, 32))
    channel_masks(found, 32).square().sum().backward()
    assert all(each.grad is not None and bool(each.grad.isfinite().all()) for each in net.parameters())
