"""Binaural rendering of mono sources as in PseudoBinaural: by HRIRs, by a first-order field, or by both."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from avssl.spatial.ambisonics import gains
from avssl.spatial.binaural import convolve
from avssl.spatial.hrir import HrirSet

WAYS = ("ambisonic", "direct", "ambidirect")
"""Through a first-order field and eight loudspeakers around the head; by the responses of each source's own direction;
by a first-order field and two cardioids."""
SPEAKERS = 8


def ear_filters(way: str, azimuth: float, elevation: float, hrirs: HrirSet) -> Tensor:
    """Filters that render a mono source from a direction.

    Args:
        way: one of `WAYS`.
        azimuth: radians, left is +.
        elevation: radians.
        hrirs: of the listener, at the rate of the sound.

    Returns:
        float32 `(2, taps)`: left, right.
    """
    place = torch.tensor([[azimuth, elevation]], dtype=torch.float64)
    if way == "direct":
        return hrirs.interpolator.responses(*place.unbind(1))[0]
    field = gains(*place.unbind(1))[0]
    if way == "ambidirect":
        return torch.stack([field[0] + field[1], field[0] - field[1]])[:, None].float() / 2
    around = -torch.pi + torch.arange(SPEAKERS, dtype=torch.float64) * (2 * torch.pi / SPEAKERS)
    level = torch.zeros_like(around)
    # The decoder is the encoder transposed: a projection.
    shares = gains(around, level) @ field
    return torch.einsum("s,set->et", shares.float(), hrirs.interpolator.responses(around, level))


def hear(audio: np.ndarray, way: str, azimuth: float, elevation: float, hrirs: HrirSet) -> np.ndarray:
    """A mono source at two ears: the full convolution cut to its length, the onset kept; `(2, samples)`."""
    filters = ear_filters(way, azimuth, elevation, hrirs)
    return convolve(torch.from_numpy(audio), filters).numpy()
