"""SpatialSoftmax: a thing's place is the centre of the cells that look like it, and nowhere where there are none."""

from __future__ import annotations

import torch
from avssl_downstream.spatialize.networks.spatial_softmax import SpatialSoftmax


def looking_for_the_first_map() -> SpatialSoftmax:
    points = SpatialSoftmax(channels=3, points=2)
    torch.nn.init.zeros_(points.looks.weight)
    torch.nn.init.constant_(points.looks.bias, -40.0)
    points.looks.weight.data[:, 0] = 80
    return points


def test_places_are_right_and_down_from_the_middle():
    maps = torch.zeros(1, 3, 2, 5, 9)
    maps[0, 0, 0, 1, 8] = 1
    maps[0, 0, 1, 4, 2] = maps[0, 0, 1, 4, 4] = 1
    right, down, share = looking_for_the_first_map().places(maps).detach().unflatten(1, (3, 2))[0, :, 1]
    torch.testing.assert_close(right, torch.tensor([1.0, -0.25]))
    torch.testing.assert_close(down, torch.tensor([-0.5, 1.0]))
    torch.testing.assert_close(share, torch.ones(2))


def test_what_is_not_in_the_image_is_nowhere():
    assert looking_for_the_first_map().places(torch.zeros(1, 3, 2, 5, 9)).abs().max() < 1e-6


def test_every_cell_is_told_the_same_beside_its_own():
    torch.manual_seed(0)
    points, maps = SpatialSoftmax(3, 2), torch.randn(2, 3, 4, 5, 9)
    told = points(maps)
    assert told.shape == (2, points.channels, 4, 5, 9)
    assert torch.equal(told[:, :3], maps)
    assert torch.equal(told[:, 3:], told[:, 3:, :, :1, :1].expand(-1, -1, -1, 5, 9))
