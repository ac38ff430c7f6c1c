"""Binaural rendering of mono sources as in PseudoBinaural: by HRIRs, by a first-order field, or by both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from avssl.spatial.ambisonics import gains
from avssl.spatial.binaural import convolve
from avssl.spatial.hrir import HrirSet

WAYS = ("ambisonic", "direct", "ambidirect")
"""Through a first-order field and loudspeakers around the head; by the responses of each source's own direction; by a
first-order field and two cardioids."""
ARCS = ("full", "frontal")
DECODERS = ("transpose", "pinv")
LEAST_SPEAKERS, MOST_SPEAKERS = 2, 64


@dataclass(frozen=True)
class Loudspeakers:
    """Virtual loudspeakers on the horizon; the default is that of PseudoBinaural's code.

    The paper's text has a pseudo-inverse, and loudspeakers in front.
    """

    count: int = 8
    arc: str = "full"
    """full: a circle that begins behind the head; frontal: from right to left of it, both included."""
    decoder: str = "transpose"
    """transpose: each loudspeaker gets the field from its direction; pinv: pseudo-inverse of the encoder."""

    @property
    def azimuths(self) -> Tensor:
        """Radians, float64 `(count,)`."""
        if self.arc == "frontal":
            return torch.linspace(-torch.pi / 2, torch.pi / 2, self.count, dtype=torch.float64)
        return -torch.pi + torch.arange(self.count, dtype=torch.float64) * (2 * torch.pi / self.count)

    def shares(self, field: Tensor) -> Tensor:
        """Signal of each loudspeaker, `(count,)`, for a first-order field W, Y, Z, X `(4,)`."""
        encoder = gains(self.azimuths, torch.zeros(self.count, dtype=torch.float64))
        decoder = encoder if self.decoder == "transpose" else torch.linalg.pinv(encoder.T)
        return decoder @ field


PUBLISHED = Loudspeakers()


def ear_filters(
    way: str, azimuth: float, elevation: float, hrirs: HrirSet, loudspeakers: Loudspeakers = PUBLISHED
) -> Tensor:
    """Filters that render a mono source from a direction.

    Args:
        way: one of `WAYS`.
        azimuth: radians, left is +.
        elevation: radians.
        hrirs: of the listener, at the rate of the sound.
        loudspeakers: of the way `ambisonic`.

    Returns:
        float32 `(2, taps)`: left, right.
    """
    place = torch.tensor([[azimuth, elevation]], dtype=torch.float64)
    if way == "direct":
        return hrirs.interpolator.responses(*place.unbind(1))[0]
    field = gains(*place.unbind(1))[0]
    if way == "ambidirect":
        return torch.stack([field[0] + field[1], field[0] - field[1]])[:, None].float() / 2
    around = loudspeakers.azimuths
    responses = hrirs.interpolator.responses(around, torch.zeros_like(around))
    return torch.einsum("s,set->et", loudspeakers.shares(field).float(), responses)


def hear(
    audio: np.ndarray,
    way: str,
    azimuth: float,
    elevation: float,
    hrirs: HrirSet,
    loudspeakers: Loudspeakers = PUBLISHED,
) -> np.ndarray:
    """A mono source at two ears: the full convolution cut to its length, the onset kept; `(2, samples)`."""
    filters = ear_filters(way, azimuth, elevation, hrirs, loudspeakers)
    return convolve(torch.from_numpy(audio), filters).numpy()
