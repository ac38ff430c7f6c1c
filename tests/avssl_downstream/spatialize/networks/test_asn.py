"""Networks of ASN: sizes, alignment of frame embeddings in time, the channel order discriminator."""

from __future__ import annotations

import torch
from avssl_downstream.spatialize.networks.asn import SMALL, AsnNet, ChannelOrderDiscriminator, FrameEmbedding
from torch.nn import functional


def test_a_second_of_the_paper_gives_two_ratio_masks():
    torch.manual_seed(0)
    network = AsnNet((1025, 44))
    with torch.no_grad():
        embedding = network.embed_frames([torch.rand(1, 512, 10, 7, 7)] * 2)
        masks = network(torch.rand(1, 1, 1025, 44), embedding)
    assert embedding.shape == (1, 2 * 8 * 49, 10)
    assert masks.shape == (1, 2, 1025, 44)
    assert 0 < float(masks.min()) <= float(masks.max()) < 1
    assert network.encoder.sizes == [(1025, 44), (127, 44), (31, 44), (14, 44), (10, 44), (6, 44)]


def test_without_frames_every_parameter_of_the_u_net_is_trained():
    torch.manual_seed(0)
    network = AsnNet((64, 20), (), outputs=4, layers=SMALL, norm=True)
    masks = network(torch.rand(2, 1, 64, 20))
    assert masks.shape == (2, 4, 64, 20)
    masks.square().sum().backward()
    assert all(each.grad is not None for each in network.parameters())


def test_a_image_changes_the_masks_of_its_own_time():
    """SMALL reaches four windows to either side on both ways."""
    torch.manual_seed(0)
    network, magnitude = AsnNet((64, 60), (3,), layers=SMALL).eval(), torch.rand(1, 1, 64, 60)
    maps = torch.rand(1, 3, 6, 7, 7)
    other = maps.clone()
    other[:, :, 2] += 1
    with torch.no_grad():
        change = (
            network(magnitude, network.embed_frames([maps])) - network(magnitude, network.embed_frames([other]))
        ).abs()
    changed = change.amax((0, 1, 2)).nonzero().flatten()
    assert 15 <= int(changed.min()) <= 20
    assert 29 <= int(changed.max()) <= 34


def test_an_instant_is_its_cells_one_after_the_other():
    torch.manual_seed(0)
    frame_embedding, maps = FrameEmbedding((3, 5), (2, 2)), [torch.rand(1, 3, 4, 2, 2), torch.rand(1, 5, 4, 2, 2)]
    found = frame_embedding(maps).reshape(1, 2, 8, 2, 2, 4)
    for stream, (cell, each) in enumerate(zip(frame_embedding.cells, maps, strict=True)):
        expected = functional.relu(
            torch.einsum("oc,bcthw->bohwt", cell.weight[..., 0, 0, 0], each) + cell.bias.reshape(8, 1, 1, 1)
        )
        torch.testing.assert_close(found[:, stream], expected)


def test_the_discriminator_learns_the_channel_order_of_each_side():
    torch.manual_seed(0)
    embedding = torch.randn(16, 6, 5)
    embedding[::2, 0], embedding[1::2, 0] = 2, -2
    left, right = torch.rand(16, 12, 20), torch.rand(16, 12, 20)
    left[::2] *= 3
    right[1::2] *= 3
    discriminator = ChannelOrderDiscriminator(6, 12, units=32)
    optimiser = torch.optim.Adam(discriminator.parameters(), 1e-2)
    for _ in range(60):
        optimiser.zero_grad()
        both = torch.cat([discriminator(embedding, left, right), discriminator(embedding, right, left)])
        truth = torch.cat([torch.ones(16), torch.zeros(16)])
        functional.binary_cross_entropy_with_logits(both, truth).backward()
        optimiser.step()
    with torch.no_grad():
        assert bool((discriminator(embedding, left, right) > 0).all())
        assert bool((discriminator(embedding, right, left) < 0).all())


def test_the_discriminator_averages_three_layers_over_time():
    torch.manual_seed(0)
    discriminator, embedding, left, right = (
        ChannelOrderDiscriminator(2, 3, units=4),
        torch.rand(1, 2, 3),
        torch.rand(1, 3, 6),
        torch.rand(1, 3, 6),
    )
    weights = [(each.weight[..., 0], each.bias) for each in discriminator.layers[::2]]
    logits = []
    for window in range(6):
        x = torch.cat([embedding[0, :, window // 2], left[0, :, window], right[0, :, window]])
        for weight, bias in weights[:2]:
            x = functional.relu(weight @ x + bias)
        logits.append(weights[2][0] @ x + weights[2][1])
    torch.testing.assert_close(discriminator(embedding, left, right), torch.stack(logits).mean(0))
