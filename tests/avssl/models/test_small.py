"""Small towers: equal to their plain layers, values and gradients, whatever is left out or laid out for speed."""

from __future__ import annotations

import pytest
import torch
from einops import rearrange
from torch import nn
from torch.nn import functional

from avssl.models.small import Block, SmallAudio, SmallVideo


def plain_video(tower: SmallVideo, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tower's layers as its description has them."""
    clips = len(x)
    x = tower.stages[:4](rearrange(x, "B C T H W -> (B T) C H W"))
    maps = rearrange(x, "(B T) C H W -> B C T H W", B=clips)
    later, earlier = maps[:, :, 1:], maps[:, :, :-1]
    change = torch.cat([later, maps[:, :, -1:]], 2) - torch.cat([maps[:, :, :1], earlier], 2)
    x = functional.relu(x + tower.difference(rearrange(change, "B C T H W -> (B T) C H W")))
    x = tower.stages[4:](x)
    cells = rearrange(functional.adaptive_avg_pool2d(x, tower.grid), "(B T) C H W -> B C T (H W)", B=clips)
    motion = functional.relu(tower.motion_bn(tower.motion(cells)))
    return tower.norm(tower.out((cells + motion).mean(2).flatten(1))), rearrange(x, "(B T) C H W -> B C T H W", B=clips)


def plain_audio(tower: SmallAudio, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The tower's layers as its description has them."""
    x = tower.stages(x)
    pooled = torch.cat([x.mean(2), x.amax(2)], 1)
    return tower.norm(tower.out(functional.adaptive_avg_pool1d(pooled, tower.bands).flatten(1))), x


def values_and_gradients(tower: nn.Module, forward, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Embedding, maps, and the gradient of every weight for a loss of both."""
    tower.zero_grad()
    embedding, maps = forward(x)
    (embedding.sin().mean() + maps.square().mean()).backward()
    return embedding, maps, *(each.grad.clone() for each in tower.parameters())


@pytest.mark.parametrize("stride", [1, 2, (2, 1)])
def test_block_equals_its_plain_layers_and_so_do_gradients(stride):
    block = Block(4, 6, stride)
    x = torch.randn(3, 4, 9, 8, generator=torch.Generator().manual_seed(0), requires_grad=True)

    def plain(x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(block.bn1(block.conv1(x)))
        return functional.relu(block.bn2(block.conv2(y)) + block.shortcut(x))

    results = []
    for forward in (block, plain):
        block.zero_grad()
        found = forward(x.relu())
        gradients = torch.autograd.grad(found.sin().sum(), [x, *block.parameters()])
        results.append([found, *gradients])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("size", [(3, 1, 64, 64), (3, 1, 48, 80), (3, 4, 64, 64)])
def test_video_equals_its_plain_layers_and_so_do_gradients(size):
    tower, x = SmallVideo(), torch.randn(2, *size, generator=torch.Generator().manual_seed(0))
    found = values_and_gradients(tower, tower.forward_features, x)
    expected = values_and_gradients(tower, lambda x: plain_video(tower, x), x)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-4)


def test_weight_that_a_single_frame_does_not_use_has_gradient_zero():
    tower = SmallVideo()
    tower(torch.randn(2, 3, 1, 64, 64, generator=torch.Generator().manual_seed(0))).square().sum().backward()
    assert torch.equal(tower.difference.weight.grad, torch.zeros_like(tower.difference.weight))


@pytest.mark.parametrize("mels", [64, 72])
def test_audio_equals_its_plain_layers_and_so_do_gradients(mels):
    tower, x = SmallAudio(7), torch.randn(3, 7, 50, mels, generator=torch.Generator().manual_seed(0))
    found = values_and_gradients(tower, tower.forward_features, x)
    expected = values_and_gradients(tower, lambda x: plain_audio(tower, x), x)
    for mine, other in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-4)
