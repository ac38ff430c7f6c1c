"""Sound fields of any order: which it is, turned about the vertical, mirrored left to right."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.spatial.harmonics import channels


def require_field(field: Tensor) -> int:
    """The order of a sound field `(..., channels, samples)`.

    Raises:
        ValueError: no order has so many channels.
    """
    count = field.shape[-2] if field.ndim > 1 else 0
    order = math.isqrt(count) - 1
    if order < 1 or channels(order) != count:
        raise ValueError(f"ambiX sound has shape (..., 4, 9, 16 or so, samples), this has {tuple(field.shape)}")
    return order


def rotate_yaw(field: Tensor, yaw: float) -> Tensor:
    """Turn a sound field `(..., channels, samples)` counter-clockwise, so that `azimuth += yaw`, in radians.

    Raises:
        ValueError: no order has so many channels.
    """
    turned = field.clone()
    for degree in range(1, require_field(field) + 1):
        middle = degree * (degree + 1)
        for turns in range(1, degree + 1):
            cosine, sine = math.cos(turns * yaw), math.sin(turns * yaw)
            odd, even = field[..., middle - turns, :], field[..., middle + turns, :]
            turned[..., middle - turns, :] = cosine * odd + sine * even
            turned[..., middle + turns, :] = cosine * even - sine * odd
    return turned


def mirror_left_right(field: Tensor) -> Tensor:
    """Mirror a sound field `(..., channels, samples)` left to right, as a horizontal flip does the picture.

    Raises:
        ValueError: no order has so many channels.
    """
    degrees = range(require_field(field) + 1)
    signs = [-1.0 if turns < 0 else 1.0 for degree in degrees for turns in range(-degree, degree + 1)]
    return field * torch.tensor(signs).to(field)[:, None]
