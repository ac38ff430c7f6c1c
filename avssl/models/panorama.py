"""Feature maps of whole equirectangular frames, seamless at the edges, and the solid angles of their cells."""

# B clips, C channels, T time, h and w rows and columns of the maps

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from avssl.errors import InputError
from avssl.models.encoders import VideoEncoder

_STRIDED = (nn.Conv2d, nn.Conv3d, nn.MaxPool2d, nn.MaxPool3d)


def panorama_maps(encoder: VideoEncoder, frames: Tensor, padding: int) -> Tensor:
    """Feature maps of equirectangular frames, padded circularly before the tower and cut to their own cells after it.

    Columns of the maps are centred on their cells (`stride_of_centred_layers`), so that mirrored frames have mirrored
    maps, up to a pixel, as a mirrored scene has a mirrored sound field. Rows are where the tower has them.

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
    # The tower looks at the first pixel of a cell, (stride - 1) / 2 before its centre.
    frames = frames.roll(-(stride_of_centred_layers(encoder.tower) // 2), -1)
    wide = torch.cat([frames[..., width - padding :], frames, frames[..., :padding]], -1)
    maps = encoder.maps(wide)
    margin, rest = divmod(maps.shape[-1] * padding, wide.shape[-1])
    if rest:
        cell = wide.shape[-1] / maps.shape[-1]
        raise InputError(f"expected a padding in multiples of the {cell:g} pixels of a cell, got {padding}")
    return maps[..., margin : maps.shape[-1] - margin]


def stride_of_centred_layers(tower: nn.Module) -> int:
    """Columns between neighbouring receptive fields of a tower, by its layers that are padded by half their kernel.

    The receptive field of column i of the output of such layers is centred on column stride * i of their input; that of
    a layer whose kernel is its stride, such as the patches of a transformer, on the middle of the kernel.

    Args:
        tower: convolutional layers in sequence or in residual blocks, whose shortcuts have the stride of the block.

    Returns:
        Product of the strides; 1 without such layers.
    """
    product = 1
    for layer in tower.modules():
        if isinstance(layer, _STRIDED) and not isinstance(layer.padding, str):
            kernel, stride, padding = (_last(each) for each in (layer.kernel_size, layer.stride, layer.padding))
            if kernel > 1 and 2 * padding == kernel - 1:
                product *= stride
    return product


def _last(size: int | tuple[int, ...]) -> int:
    """Along the columns."""
    return size if isinstance(size, int) else size[-1]


def cell_solid_angles(rows: int, columns: int) -> Tensor:
    """Solid angles `(rows, columns)` of the cells of an equirectangular grid, in steradian; their sum is 4 pi.

    Example:
        >>> cell_solid_angles(2, 4)  # 8 equal parts of the sphere
        tensor([[1.5708, 1.5708, 1.5708, 1.5708],
                [1.5708, 1.5708, 1.5708, 1.5708]])
    """
    edges = torch.linspace(math.pi / 2, -math.pi / 2, rows + 1).sin()
    return ((edges[:-1] - edges[1:]) * 2 * math.pi / columns)[:, None].repeat(1, columns)
