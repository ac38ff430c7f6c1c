"""Real spherical harmonics (ACN order, SN3D gain, no Condon-Shortley phase) and ambisonics of any order."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.errors import InputError


def channel_count(order: int) -> int:
    """Number of ambisonic channels of an order, `(order + 1) ** 2`."""
    return (order + 1) ** 2


def spherical_harmonics(vector: Tensor, order: int) -> Tensor:
    """Spherical harmonics of directions in ACN order: 1, y, z, x, then those of degree 2 and above.

    Computed as polynomials of x, y and z (Legendre functions by recursion over the degree), so that no direction is
    singular. For each degree above 0, the squares of all harmonics sum to 1.

    Args:
        vector: unit vectors `(..., 3)` along x, y, z.
        order: highest degree, 0 or more.

    Returns:
        `(..., (order + 1) ** 2)`.

    Raises:
        ValueError: negative order.

    Example:
        >>> spherical_harmonics(torch.tensor([0.0, 1.0, 0.0]), order=1)  # to the left: W, Y, Z, X
        tensor([1., 1., 0., 0.])
    """
    if order < 0:
        raise InputError(f"expected an ambisonic order of 0 or more, got {order}")
    x, y, z = vector.unbind(-1)
    result = [z] * channel_count(order)
    cosine, sine = torch.ones_like(z), torch.zeros_like(z)
    for m in range(order + 1):
        for degree, legendre in enumerate(_legendre(z, m, order), m):
            scale = _sn3d(degree, m)
            result[degree * (degree + 1) - m] = scale * legendre * sine
            result[degree * (degree + 1) + m] = scale * legendre * cosine
        cosine, sine = cosine * x - sine * y, cosine * y + sine * x
    return torch.stack(result, -1)


def _legendre(z: Tensor, m: int, order: int) -> list[Tensor]:
    """Associated Legendre functions of degree `m` to `order`, divided by `cos(elevation) ** m`."""
    first = torch.full_like(z, float(math.prod(range(1, 2 * m, 2))))
    values = [first, (2 * m + 1) * z * first]
    for degree in range(m + 2, order + 1):
        numerator = (2 * degree - 1) * z * values[-1] - (degree + m - 1) * values[-2]
        values.append(numerator / (degree - m))
    return values[: order - m + 1]


def _sn3d(degree: int, m: int) -> float:
    ratio = math.factorial(degree - m) / math.factorial(degree + m)
    return math.sqrt((2 if m else 1) * ratio)


def ambisonic_order(ambisonics: Tensor) -> int:
    """Order of an ambisonic signal `(..., channels, samples)`, from its channel count.

    Raises:
        ValueError: no order of 1 or more has this channel count.
    """
    count = ambisonics.shape[-2] if ambisonics.ndim > 1 else 0
    order = math.isqrt(count) - 1
    if order < 1 or channel_count(order) != count:
        shape = tuple(ambisonics.shape)
        raise InputError(f"expected ambiX of shape (..., (order + 1) ** 2, samples), order 1 or more, got {shape}")
    return order


def rotate_yaw(ambisonics: Tensor, yaw: float) -> Tensor:
    """Rotate an ambisonic signal `(..., channels, samples)` counter-clockwise: `azimuth += yaw`, radians.

    Raises:
        ValueError: no order of 1 or more has this channel count.
    """
    rotated = ambisonics.clone()
    for degree in range(1, ambisonic_order(ambisonics) + 1):
        centre = degree * (degree + 1)
        for m in range(1, degree + 1):
            cosine, sine = math.cos(m * yaw), math.sin(m * yaw)
            odd, even = ambisonics[..., centre - m, :], ambisonics[..., centre + m, :]
            rotated[..., centre - m, :] = cosine * odd + sine * even
            rotated[..., centre + m, :] = cosine * even - sine * odd
    return rotated


def mirror_left_right(ambisonics: Tensor) -> Tensor:
    """Mirror an ambisonic signal `(..., channels, samples)` left to right, to match horizontally flipped frames.

    Raises:
        ValueError: no order of 1 or more has this channel count.
    """
    degrees = range(ambisonic_order(ambisonics) + 1)
    signs = [-1.0 if m < 0 else 1.0 for degree in degrees for m in range(-degree, degree + 1)]
    return ambisonics * torch.tensor(signs).to(ambisonics)[:, None]
