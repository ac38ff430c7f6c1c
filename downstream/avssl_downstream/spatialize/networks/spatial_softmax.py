"""Spatial softmax: where in a picture a few learnt things are, as numbers (spatial softmax; Finn et al., ICRA 2016)."""

# B clips, C channels, T pictures, N points, h and w rows and columns of the maps

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpatialSoftmax(nn.Module):
    """Maps, and beside them planes that say where each of some things is in the whole picture.

    A thing is shared out among all cells and one more, which is nowhere: its planes are its mean place, right and down
    from -1 to 1 times how much of it is in the picture, and that share itself.

    Args:
        channels: of the maps.
        points: things that are looked for.
    """

    def __init__(self, channels: int, points: int) -> None:
        super().__init__()
        self.channels = channels + 3 * points
        self.looks = nn.Conv3d(channels, points, 1)
        self.nowhere = nn.Parameter(torch.zeros(points))

    def forward(self, maps: Tensor) -> Tensor:
        """`(B, C, T, h, w)` to `(B, C + 3 N, T, h, w)`; the same planes in every cell."""
        planes = self.places(maps)[..., None, None].expand(-1, -1, -1, *maps.shape[-2:])
        return torch.cat([maps, planes.to(maps)], 1)

    def places(self, maps: Tensor) -> Tensor:
        """`(B, C, T, h, w)` to `(B, 3 N, T)`, float32: right of all points, down of all, shares of all."""
        likeness = self.looks(maps).flatten(3).float()
        nowhere = self.nowhere[None, :, None, None].expand(*likeness.shape[:2], likeness.shape[2], 1)
        shares = torch.cat([likeness, nowhere], -1).softmax(-1)[..., :-1]
        down, right = (torch.linspace(-1, 1, size, device=maps.device) for size in maps.shape[-2:])
        down, right = (plane.flatten() for plane in torch.meshgrid(down, right, indexing="ij"))
        return torch.cat([(shares * right).sum(-1), (shares * down).sum(-1), shares.sum(-1)], 1)
