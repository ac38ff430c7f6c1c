"""TrackLocalization: where tracks point is where the cells are, and masks of channels are weighted tracks."""

from __future__ import annotations

import math

import torch
from avssl_downstream.spatialize.networks.conv_unet import SMALL
from avssl_downstream.spatialize.networks.foa360 import AudioVisualTrunk, LocalizedTracks, mix_tracks
from avssl_downstream.spatialize.networks.track_localization import (
    CLOSED,
    PointingParts,
    TrackLocalization,
    TrackLocalizationNet,
    channel_masks,
)
from torch import Tensor

from avssl.spatial.ambisonics import angles
from avssl.spatial.stft import StftConfig


def matching_the_first_map(absent: float = -40.0) -> TrackLocalization:
    """All classes match cells where the first feature map is 1."""
    localization = TrackLocalization(channels=5, classes=3)
    torch.nn.init.zeros_(localization.scores.weight)
    torch.nn.init.constant_(localization.absent, absent)
    localization.scores.weight.data[:, 0] = 40
    return localization


def maps_with(row: int, column: int) -> Tensor:
    maps = torch.zeros(1, 5, 8, 16)
    maps[0, 0, row, column] = 1
    return maps


def test_a_class_is_localized_at_the_cell_that_matches_it():
    localization = matching_the_first_map()
    for row, column in ((0, 0), (3, 8), (6, 15)):
        y, z, x = localization(maps_with(row, column))[0, :, 2].detach()
        azimuth, elevation = angles(torch.stack([x, y, z]))
        assert math.isclose(azimuth, (1 - 2 * (column + 0.5) / 16) * math.pi, abs_tol=1e-3)
        assert math.isclose(elevation, (0.5 - (row + 0.5) / 8) * math.pi, abs_tol=1e-3)
        assert math.isclose(torch.stack([x, y, z]).norm(), 1.0, abs_tol=1e-3)


def test_what_is_nowhere_has_no_direction():
    assert matching_the_first_map(1000.0)(maps_with(2, 5)).abs().max() < 1e-6


def test_a_turned_image_turns_the_weights():
    torch.manual_seed(0)
    localization, maps = TrackLocalization(5, 3), torch.randn(2, 5, 8, 16)
    y, z, x = localization(maps).unbind(1)
    turned_y, turned_z, turned_x = localization(maps.roll(-4, -1)).unbind(1)  # a quarter to the left
    for found, wanted in ((turned_y, x), (turned_x, -y), (turned_z, z)):
        torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_unseparated_audio_is_distributed_over_the_classes():
    torch.manual_seed(0)
    net = TrackLocalizationNet(AudioVisualTrunk((32, 32), (), 1, SMALL, 8), (5,), classes=3, separate=False)
    torch.nn.init.zeros_(net.shares.weight)
    net.shares.bias.data = torch.tensor([0.2, 0.5, 0.3]).log()
    maps = torch.randn(2, 5, 8, 16)
    found = net(torch.rand(2, 1, 32, 32), [maps])
    wanted = net.localization(maps) @ torch.tensor([0.2, 0.5, 0.3])
    assert found.masks is None
    torch.testing.assert_close(found.weights[..., 0], wanted[:, None].expand(-1, 2, -1))


def pointing(parts: PointingParts, separate: bool = True, streams: tuple[int, ...] = (5,)) -> TrackLocalizationNet:
    torch.manual_seed(0)
    return TrackLocalizationNet(AudioVisualTrunk((32, 32), (), 1, SMALL, 8), streams, 3, separate, 1, parts)


def test_attention_without_scores_is_uniform_over_the_sphere():
    localization = TrackLocalization(5, 2, solid_angle=True)
    maps = torch.zeros(1, 5, 16, 32)
    shares = localization.attention(maps)[0, 0, :-1].detach()
    shares = shares / shares.sum()
    z = (0.5 - (torch.arange(16) + 0.5) / 16).mul(math.pi).sin()
    second = (shares.reshape(16, 32).sum(1) * z.square()).sum()
    assert math.isclose(second, 1 / 3, abs_tol=3e-3)  # of an isotropic distribution
    flat = TrackLocalization(5, 2).attention(maps)[0, 0, :-1].reshape(16, 32).sum(1)
    assert (flat * z.square()).sum() / flat.sum() > 0.45  # without it the poles weigh as much as the horizon


def test_a_class_that_is_not_in_the_frame_gets_no_mask():
    net, maps = pointing(PointingParts(gate=True)), torch.zeros(1, 5, 8, 16)
    torch.nn.init.zeros_(net.localization.scores.weight)
    net.localization.absent.data = torch.tensor([0.0, 40.0, -40.0])  # the room, an absent class, one in the frame
    torch.nn.init.zeros_(net.separation.decoder.convolutions[0].weight)
    masks = net(torch.rand(1, 1, 32, 32), [maps]).masks[0, :, 3, 4]
    total = 1 + CLOSED + (1 + CLOSED)
    torch.testing.assert_close(masks, torch.tensor([1 / total, CLOSED / total, (1 + CLOSED) / total]))


def test_the_room_is_open_and_nowhere():
    net = pointing(PointingParts(gate=True))
    found = net(torch.rand(2, 1, 32, 32), [torch.randn(2, 5, 8, 16)])
    assert not found.weights[..., 0].any()
    assert found.weights[..., 1:].abs().max() > 1e-3
    torch.testing.assert_close(found.attention[:, 0, -1], torch.ones(2))
    torch.testing.assert_close(found.masks.sum(1), torch.ones(2, 32, 32))


def test_gated_shares_leave_absent_classes_out():
    net, maps = pointing(PointingParts(gate=True), separate=False), torch.zeros(1, 5, 8, 16)
    torch.nn.init.zeros_(net.localization.scores.weight)
    net.localization.absent.data = torch.tensor([0.0, 40.0, -40.0])
    torch.nn.init.zeros_(net.shares.weight)
    torch.nn.init.zeros_(net.shares.bias)
    found = net(torch.rand(1, 1, 32, 32), [maps])
    assert found.attention.shape == (1, 1, 8 * 16 + 1)
    total = 2 + 2 * CLOSED
    assert math.isclose(found.attention[0, 0, -1], (1 + CLOSED) / total, rel_tol=1e-4)  # the room, and what is absent


def test_every_parameter_of_all_parts_is_trained():
    net = pointing(PointingParts(gate=True, solid_angle=True, pulses=4), streams=(5, 8 * 4))
    torch.nn.init.normal_(net.pulses.weights)
    found = net(torch.rand(2, 1, 32, 32), [torch.rand(2, 5, 4, 8), torch.rand(2, 32, 4, 8)])
    channel_masks(found, 32).square().sum().backward()
    assert all(each.grad is not None and bool(each.grad.isfinite().all()) for each in net.parameters())


def test_masks_of_channels_are_tracks_weighted_and_added_up():
    torch.manual_seed(0)
    stft, mono = StftConfig(256, 256, 128, "none"), torch.randn(2, 256 + 128 * 31)
    weights, masks = torch.randn(2, 1, 3, 5).expand(-1, 4, -1, -1), torch.rand(2, 5, 129, 32)
    spectrum = stft.stft(mono)
    found = LocalizedTracks(weights, torch.zeros(2, 4, 3), masks)
    at_once = stft.istft(channel_masks(found, 32)[:, :, 0] * spectrum[:, None], mono.shape[-1])
    tracks = stft.istft(masks * spectrum[:, None], mono.shape[-1])
    torch.testing.assert_close(at_once, mix_tracks(*found[:2], tracks), atol=1e-4, rtol=1e-4)


def test_tracks_add_up_to_the_mono_audio_and_every_parameter_is_trained():
    torch.manual_seed(0)
    net = TrackLocalizationNet(AudioVisualTrunk((32, 32), (), 1, SMALL, 8, norm=True), (3, 4), classes=5)
    found = net(torch.rand(2, 1, 32, 32), [torch.rand(2, 3, 4, 8), torch.rand(2, 4, 4, 8)])
    assert found.masks is not None
    torch.testing.assert_close(found.masks.sum(1), torch.ones(2, 32, 32))
    channel_masks(found, 32).square().sum().backward()
    assert all(each.grad is not None and bool(each.grad.isfinite().all()) for each in net.parameters())
