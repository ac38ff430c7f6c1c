"""Spatial softmax: coordinates of a keypoint are the centroid of matching cells; 0 where there is none."""

from __future__ import annotations

import torch
from avssl_downstream.spatialize.networks.spatial_softmax import SpatialSoftmax


def matching_the_first_map() -> SpatialSoftmax:
    keypoints = SpatialSoftmax(channels=3, keypoints=2)
    torch.nn.init.zeros_(keypoints.scores.weight)
    torch.nn.init.constant_(keypoints.scores.bias, -40.0)
    keypoints.scores.weight.data[:, 0] = 80
    return keypoints


def test_coordinates_are_right_and_down_from_the_centre():
    maps = torch.zeros(1, 3, 2, 5, 9)
    maps[0, 0, 0, 1, 8] = 1
    maps[0, 0, 1, 4, 2] = maps[0, 0, 1, 4, 4] = 1
    right, down, share = matching_the_first_map().coordinates(maps).detach().unflatten(1, (3, 2))[0, :, 1]
    torch.testing.assert_close(right, torch.tensor([1.0, -0.25]))
    torch.testing.assert_close(down, torch.tensor([-0.5, 1.0]))
    torch.testing.assert_close(share, torch.ones(2))


def test_an_absent_keypoint_has_no_coordinates():
    assert matching_the_first_map().coordinates(torch.zeros(1, 3, 2, 5, 9)).abs().max() < 1e-6


def test_every_cell_has_the_same_coordinates_beside_its_features():
    torch.manual_seed(0)
    keypoints, maps = SpatialSoftmax(3, 2), torch.randn(2, 3, 4, 5, 9)
    found = keypoints(maps)
    assert found.shape == (2, keypoints.channels, 4, 5, 9)
    assert torch.equal(found[:, :3], maps)
    assert torch.equal(found[:, 3:], found[:, 3:, :, :1, :1].expand(-1, -1, -1, 5, 9))
