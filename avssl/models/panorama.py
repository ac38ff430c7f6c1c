"""Feature maps of whole equirectangular frames, seamless at the edges, and the solid angles of their cells."""

# B clips, C channels, T time, h and w rows and columns of the maps

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.errors import InputError
from avssl.models.encoders import VideoEncoder


def panorama_maps(encoder: VideoEncoder, frames: Tensor, padding: int) -> Tensor:
    """Feature maps of equirectangular frames, padded circularly before the tower and cut to their own cells after it.

    With a padding of the radius of the tower's receptive field or more, rolling the frames by a whole cell rolls the
    maps, but for the batch statistics of the padding.

    Args:
        encoder: video encoder; its tower is used as it is.
        frames: uint8 `(B, T, 3, height, width)`.
        padding: pixels on either side; a multiple of the width of a cell.

    Returns:
        `(B, C, T, h, w)`, rows from the zenith, columns from the left edge.

    Raises:
        InputError: padding wider than the frames, or no multiple of the width of a cell.
    """
    width = frames.shape[-1]
    if not 0 <= padding <= width:
        raise InputError(f"expected a padding of 0 to {width} pixels, the width of the frames, got {padding}")
    wide = torch.cat([frames[..., width - padding :], frames, frames[..., :padding]], -1)
    maps = encoder.maps(wide)
    margin, rest = divmod(maps.shape[-1] * padding, wide.shape[-1])
    if rest:
        cell = wide.shape[-1] / maps.shape[-1]
        raise InputError(f"expected a padding in multiples of the {cell:g} pixels of a cell, got {padding}")
    return maps[..., margin : maps.shape[-1] - margin]


def cell_solid_angles(rows: int, columns: int) -> Tensor:
    """Solid angles `(rows, columns)` of the cells of an equirectangular grid, in steradian; their sum is 4 pi.

    Example:
        >>> cell_solid_angles(2, 4)  # 8 equal parts of the sphere
        tensor([[1.5708, 1.5708, 1.5708, 1.5708],
                [1.5708, 1.5708, 1.5708, 1.5708]])
    """
    edges = torch.linspace(math.pi / 2, -math.pi / 2, rows + 1).sin()
    return ((edges[:-1] - edges[1:]) * 2 * math.pi / columns)[:, None].repeat(1, columns)
