"""Morgado's network: sizes of the paper's table, the synthesis of channels from tracks, and what it can learn."""

from __future__ import annotations

import pytest
import torch
from avssl_downstream.spatialize.networks.conv_unet import SMALL
from avssl_downstream.spatialize.networks.foa360 import (
    AudioVisualTrunk,
    Foa360Net,
    Foa360UNet,
    LocalizedTracks,
    mix_tracks,
)
from torch import Tensor
from torch.nn import functional

SIZE = (1024, 127)
KERNELS = ((1, 32, 16 * 7), (32, 64, 7 * 3), (64, 128, 5 * 3), (128, 256, 5 * 3), (256, 512, 5 * 3))


def small(streams: tuple[int, ...] = (4,), inputs: int = 1, norm: bool = False) -> AudioVisualTrunk:
    return AudioVisualTrunk((32, 48), streams, inputs, SMALL, units=32, grid=(2, 4), norm=norm)


def linear(before: int, after: int) -> int:
    return before * after + after


@pytest.fixture(scope="module")
def full() -> Foa360Net:
    torch.manual_seed(0)
    return Foa360Net(AudioVisualTrunk(SIZE))


def test_the_maps_of_the_encoder_are_the_papers(full):
    with torch.no_grad():
        levels = full.trunk.encoder(torch.rand(1, 1, *SIZE))
    found = [tuple(each.shape[1:]) for each in levels]
    assert found == [(32, 127, 31), (64, 31, 15), (128, 14, 7), (256, 10, 5), (512, 6, 3)]


def test_every_layer_of_the_paper_is_there_and_no_other(full):
    encoder = sum(before * after * kernel + after for before, after, kernel in KERNELS)
    frames = 2 * (linear(512, 128) + linear(128 * 7 * 14, 512))
    localization = linear(2048, 512) + linear(512, 512) + linear(512, 3 * 33)
    ways = zip((64, 128, 256, 512, 1024), (32, 32, 64, 128, 256), KERNELS, strict=True)
    decoder = sum(before * after * kernel + after for before, after, (_, _, kernel) in ways)
    wanted = encoder + linear(3072, 1024) + frames + localization + linear(2048, 512) + decoder
    assert sum(each.numel() for each in full.parameters()) == wanted


def test_a_second_gives_three_steps_of_99_numbers_and_32_masks(full):
    with torch.no_grad():
        weights, bias, masks, _ = full(torch.rand(1, 1, *SIZE), [torch.rand(1, 512, 7, 14)] * 2)
    assert weights.shape == (1, 3, 3, 32)
    assert bias.shape == (1, 3, 3)
    assert masks.shape == (1, 32, *SIZE)
    assert float(masks.min()) > 0
    assert float(masks.max()) < 1


def test_it_starts_with_hardly_any_direction(full):
    weight = full.localization.out.weight.detach()
    assert float(weight.abs().max()) <= 2e-3
    assert abs(float(weight.std()) / 1e-3 - 0.88) < 0.03  # a normal deviate cut at two deviations
    assert not full.localization.out.bias.any()


@pytest.mark.parametrize("streams", [(), (4,), (4, 6)])
@pytest.mark.parametrize("separate", [True, False])
def test_every_variant_trains_all_its_parameters(streams, separate):
    torch.manual_seed(0)
    network = Foa360Net(small(streams), tracks=5, separate=separate, units=32)
    found = network(torch.rand(2, 1, 32, 48), [torch.rand(2, each, 4, 8) for each in streams])
    assert found.weights.shape == (2, 3, 3, 5 if separate else 1)
    sum(each.sum() for each in found if each is not None).backward()
    assert all(each.grad is not None for each in network.parameters())
    assert (found.masks is not None) == separate


def test_from_order_1_to_order_2_every_channel_has_tracks_of_its_own():
    network = Foa360Net(small(inputs=4), tracks=5, outputs=5, units=32)
    found = network(torch.rand(2, 4, 32, 48), [torch.rand(2, 4, 4, 8)])
    assert found.weights.shape == (2, 3, 5, 20)
    assert found.masks.shape == (2, 20, 32, 48)


def test_the_u_net_has_a_complex_mask_for_every_channel():
    found = Foa360UNet(small())(torch.rand(2, 1, 32, 48), [torch.rand(2, 4, 4, 8)])
    assert found.shape == (2, 3, 2, 32, 48)


def test_each_channel_is_the_weighted_sum_of_tracks_in_each_step():
    weights, bias, tracks = torch.randn(2, 3, 3, 4), torch.randn(2, 3, 3), torch.randn(2, 4, 4800)
    found = mix_tracks(weights, bias, tracks)
    for step in range(3):
        part = slice(1600 * step, 1600 * (step + 1))
        torch.testing.assert_close(found[..., part], weights[:, step] @ tracks[..., part] + bias[:, step, :, None])


def test_smooth_weights_go_along_a_line_from_middle_to_middle():
    weights = torch.tensor([0.0, 1.0, -1.0]).reshape(1, 3, 1, 1)
    found = mix_tracks(weights, torch.zeros(1, 3, 1), torch.ones(1, 1, 3000), smooth=True)[0, 0]
    assert float(found.diff().abs().max()) < 2.1e-3
    torch.testing.assert_close(found[[500, 1000, 1500, 2500]], torch.tensor([0.0, 0.5, 1.0, -1.0]), atol=2e-3, rtol=0)


def test_a_weight_of_an_encoding_makes_a_plane_wave():
    """One track at azimuth 30 degrees: Y and X are its cosines."""
    audio = torch.randn(1, 1, 960)
    gains = torch.tensor([0.5, 0.0, 3**0.5 / 2])
    found = mix_tracks(gains.reshape(1, 1, 3, 1).repeat(1, 3, 1, 1), torch.zeros(1, 3, 3), audio)
    torch.testing.assert_close(found, gains[None, :, None] * audio)


def fit(network: Foa360Net, magnitude: Tensor, maps: Tensor, target: Tensor) -> LocalizedTracks:
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(60):
        optimiser.zero_grad()
        functional.mse_loss(network(magnitude, [maps]).weights[..., 0], target).backward()
        optimiser.step()
    with torch.no_grad():
        return network(magnitude, [maps.flip(-1)])


def test_it_learns_that_a_mirrored_image_negates_y():
    torch.manual_seed(0)
    network = Foa360Net(small(), separate=False, units=32)
    magnitude, maps = torch.rand(1, 1, 32, 48).repeat(4, 1, 1, 1), torch.zeros(4, 4, 4, 8)
    maps[::2, :, :, :2] = maps[1::2, :, :, -2:] = 1
    target = torch.zeros(4, 3, 3)
    target[::2, :, 0], target[1::2, :, 0] = 1, -1
    mirrored = fit(network, magnitude, maps, target)
    torch.testing.assert_close(mirrored.weights[..., 0], -target, atol=0.1, rtol=0)


def test_spectra_of_another_size_are_refused_in_one_line():
    with pytest.raises(ValueError, match=r"\Aexpected spectra \(\.\.\., 32, 48\), got.+\Z"):
        Foa360Net(small())(torch.rand(1, 1, 32, 50), [torch.rand(1, 4, 4, 8)])
    with pytest.raises(ValueError, match="too small"):
        AudioVisualTrunk((1024, 94))
