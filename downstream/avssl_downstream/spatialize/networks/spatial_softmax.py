"""Spatial softmax (Finn et al., ICRA 2016): image coordinates of learned keypoints."""

# B clips, C channels, T frames, N keypoints, h and w rows and columns of the feature maps

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpatialSoftmax(nn.Module):
    """Appends to feature maps the image coordinates and presence of each keypoint, as constant planes.

    Each keypoint has a softmax over all cells and one further cell, "absent". Its planes are its mean coordinates,
    right and down from -1 to 1, times its presence; and its presence, 1 less the share of "absent".

    Args:
        channels: C, of the feature maps.
        keypoints: N.
    """

    def __init__(self, channels: int, keypoints: int) -> None:
        super().__init__()
        self.channels = channels + 3 * keypoints
        self.scores = nn.Conv3d(channels, keypoints, 1)
        self.absent = nn.Parameter(torch.zeros(keypoints))

    def forward(self, maps: Tensor) -> Tensor:
        """`(B, C, T, h, w)` to `(B, C + 3 N, T, h, w)`; the added planes are constant over h and w."""
        planes = self.coordinates(maps)[..., None, None].expand(-1, -1, -1, *maps.shape[-2:])
        return torch.cat([maps, planes.to(maps)], 1)

    def coordinates(self, maps: Tensor) -> Tensor:
        """`(B, C, T, h, w)` to `(B, 3 N, T)`, float32: x of all keypoints, y of all, presence of all."""
        scores = self.scores(maps).flatten(3).float()
        absent = self.absent[None, :, None, None].expand(*scores.shape[:2], scores.shape[2], 1)
        shares = torch.cat([scores, absent], -1).softmax(-1)[..., :-1]
        down, right = (torch.linspace(-1, 1, size, device=maps.device) for size in maps.shape[-2:])
        down, right = (plane.flatten() for plane in torch.meshgrid(down, right, indexing="ij"))
        return torch.cat([(shares * right).sum(-1), (shares * down).sum(-1), shares.sum(-1)], 1)
