"""Real spherical harmonics of any order, as ambiX has them: ACN order, SN3D gain, no Condon-Shortley phase."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from avssl.errors import InputError


def channels(order: int) -> int:
    """Of a sound field of some order."""
    return (order + 1) ** 2


def harmonics(vector: Tensor, order: int) -> Tensor:
    """Spherical harmonics of directions: 1, y, z, x, then those of degree 2 and so on.

    As polynomials of x, y and z (the Legendre functions by their recursion over the degree), so that no direction is
    singular. Of each degree above 0, the squares of all harmonics add up to 1.

    Args:
        vector: unit vectors `(..., 3)` along x, y, z.
        order: highest degree, 0 or more.

    Returns:
        `(..., (order + 1) ** 2)`.

    Raises:
        ValueError: a negative order.

    Example:
        >>> harmonics(torch.tensor([0.0, 1.0, 0.0]), order=1)  # to the left: W, Y, Z, X
        tensor([1., 1., 0., 0.])
    """
    if order < 0:
        raise InputError(f"an ambisonic order is 0 or more, not {order}")
    x, y, z = vector.unbind(-1)
    found = [z] * channels(order)
    cosine, sine = torch.ones_like(z), torch.zeros_like(z)
    for turns in range(order + 1):
        for degree, level in enumerate(_levels(z, turns, order), turns):
            scale = _scale(degree, turns)
            found[degree * (degree + 1) - turns] = scale * level * sine
            found[degree * (degree + 1) + turns] = scale * level * cosine
        cosine, sine = cosine * x - sine * y, cosine * y + sine * x
    return torch.stack(found, -1)


def _levels(z: Tensor, turns: int, order: int) -> list[Tensor]:
    """Legendre functions of degree `turns` to `order`, over the `turns`-th power of the cosine of the elevation."""
    first = torch.full_like(z, float(math.prod(range(1, 2 * turns, 2))))
    levels = [first, (2 * turns + 1) * z * first]
    for degree in range(turns + 2, order + 1):
        above = (2 * degree - 1) * z * levels[-1] - (degree + turns - 1) * levels[-2]
        levels.append(above / (degree - turns))
    return levels[: order - turns + 1]


def _scale(degree: int, turns: int) -> float:
    ratio = math.factorial(degree - turns) / math.factorial(degree + turns)
    return math.sqrt((2 if turns else 1) * ratio)
