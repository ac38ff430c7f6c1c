"""FrameLocalization: gains of tracks are those of their cells; the density of places against torch.distributions."""

from __future__ import annotations

import math

import pytest
import torch
from avssl_downstream.spatialize.networks.frame_localization import (
    REACH,
    FrameLocalization,
    PlacedTracks,
    PointingNet,
    place_likelihood,
)
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal


def matching_the_first_map(offsets: bool = False) -> FrameLocalization:
    """All tracks match cells where the first feature map is 1; the second one is the logit of nearness."""
    localization = FrameLocalization(channels=3, tracks=2)
    for layer in (localization.scores, localization.nearness, localization.offsets):
        torch.nn.init.zeros_(layer.weight)
    localization.scores.weight.data[:, 0] = 60
    localization.nearness.weight.data[:, 1] = 1
    if offsets:
        localization.offsets.weight.data[:, 2, 0, 0] = torch.tensor([1.0, -1.0])
    return localization


def maps_with(row: int, column: int, nearness: float = 0.0, offset: float = 0.0) -> Tensor:
    """Two frames of 4 x 8 cells, `(1, 3, 2, 4, 8)`."""
    maps = torch.zeros(1, 3, 2, 4, 8)
    maps[0, :, :, row, column] = torch.tensor([1.0, nearness, offset])[:, None]
    return maps


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 6), (3, 7)])
def test_a_track_has_the_gains_of_the_cell_that_matches_it(row, column):
    gains = matching_the_first_map()(maps_with(row, column, nearness=1.5)).gains
    near = 1 / (1 + math.exp(-1.5))
    wanted = torch.tensor([1 - 2 * (column + 0.5) / 8, 1 - 2 * (row + 0.5) / 4, near])
    torch.testing.assert_close(gains, (REACH * wanted)[None, None, :, None].expand(1, 2, 3, 2))


def test_cells_are_corrected_by_two_cells_at_most():
    localization = matching_the_first_map(offsets=True)
    still, moved = (localization(maps_with(1, 3, offset=each)).gains[0, 0, :, 0] for each in (0.0, 50.0))
    # Two of 8 columns to the left, two of 4 rows down.
    torch.testing.assert_close(moved - still, REACH * torch.tensor([2 * 2 / 8, -2 * 2 / 4, 0.0]))


def test_an_absent_track_has_gains_of_its_own():
    localization = matching_the_first_map()
    localization.absent.data = torch.tensor([200.0, 0.0])
    localization.unseen.data[0] = torch.tensor([0.0, 0.1, -0.3])
    placed = localization(maps_with(1, 3))
    torch.testing.assert_close(placed.gains[0, :, :, 0], torch.tensor([0.0, 0.1, -0.3]).expand(2, 3))
    torch.testing.assert_close(placed.presence, torch.tensor([[0.0, 1.0]]), atol=1e-6, rtol=0)


def test_mirrored_maps_have_mirrored_gains():
    torch.manual_seed(0)
    localization, maps = FrameLocalization(5, 3), torch.randn(2, 5, 2, 4, 8)
    torch.nn.init.zeros_(localization.offsets.weight)
    gains, mirrored = localization(maps).gains, localization(maps.flip(-1)).gains
    torch.testing.assert_close(mirrored, gains * torch.tensor([-1.0, 1, 1])[:, None])


def test_the_density_of_places_is_that_of_a_mixture():
    torch.manual_seed(0)
    attention = torch.randn(2, 3, 4, 6).softmax(-1)
    placed = PlacedTracks(attention, torch.randn(2, 3, 4, 6, 3))
    shares, places = torch.randn(2, 4, 5, 3).softmax(1), torch.randn(2, 3, 5, 3)
    found = place_likelihood(placed, shares, places, width=0.4, unseen=0.9)
    widths = torch.tensor([0.4] * 5 + [0.9])[:, None].expand(4, 6, 3)
    for window, time, band in ((0, 0, 0), (1, 2, 4), (1, 1, 3)):
        weights = shares[window, :, band, time, None] * attention[window, time]
        normal = Independent(Normal(placed.places[window, time].flatten(0, 1), widths.flatten(0, 1)), 1)
        mixture = MixtureSameFamily(Categorical(weights.flatten()), normal)
        torch.testing.assert_close(found[window, band, time], mixture.log_prob(places[window, :, band, time]))


def test_kinds_in_the_frames_have_larger_masks_and_every_parameter_is_trained():
    torch.manual_seed(0)
    net = PointingNet((32, 33), channels=3, tracks=2, units=8)
    magnitude, maps = torch.rand(2, 1, 32, 33), torch.rand(2, 3, 2, 4, 8)
    net.localization.absent.data = torch.tensor([-50.0, 50.0])  # the first kind is there, the second is not
    gated = net(magnitude, maps)[0].masks
    net.gate = False
    free = net(magnitude, maps)[0].masks
    assert gated is not None
    assert free is not None
    torch.testing.assert_close(gated.sum(1), torch.ones(2, 32, 33))
    odds = (gated[:, 0] / gated[:, 1]) / (free[:, 0] / free[:, 1])
    torch.testing.assert_close(odds, torch.full_like(odds, 1.05 / 0.05), rtol=1e-3, atol=0)
    net.gate = True
    net.localization.absent.data.zero_()
    tracks, _ = net(magnitude, maps)
    (tracks.weights.square().sum() + tracks.masks.square().sum()).backward()
    assert all(each.grad is not None and bool(each.grad.isfinite().all()) for each in net.parameters())
