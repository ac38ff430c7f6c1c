"""Impulse responses between measured directions, without combs and without jumps.

Time of arrival and shape are interpolated apart: responses are first moved to one common arrival, so that neighbours
add in phase. Weights come from triangles over the sphere: they are continuous along every path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.spatial import ConvexHull
from torch import Tensor

from avssl.spatial.ambisonics import direction
from avssl.spatial.arrival import arrivals

_GAP = math.radians(35)
"""An axis with no measurement nearer than this gets one made up. 54.7 degrees (any direction to its nearest axis) and
this stay below 90: whatever was measured, the triangles then surround the head."""
_NEARLY = math.radians(10)
"""A made-up response is the mean of the measured ones that are nearest, give or take this."""
_SAME = 1e-3
"""Directions nearer than this, in radians, are one."""
_MARGIN = 8
"""Samples kept around a moved response for the ringing of its fractional shift."""
_CHUNK = 64
"""Directions at a time: the search stays in cache."""


@dataclass(frozen=True, eq=False)
class HrirInterpolator:
    """Responses moved to one arrival, and the triangles to interpolate them in."""

    corners: Tensor
    """`(triangles, 3)`: which responses stand at the corners."""
    inverses: Tensor
    """`(3, triangles, 3)`: rows that give the weight of each corner of a vector along x, y, z."""
    delays: Tensor
    """float64 `(responses, 2)` samples: what the aligned responses still want; negative, for they come late."""
    aligned: Tensor
    """`(responses, 2, taps)`."""

    @staticmethod
    def of(directions: Tensor, responses: Tensor) -> HrirInterpolator:
        """Get ready to interpolate.

        Args:
            directions: `(directions, 2)` azimuth and elevation; any number, anywhere, repeated or not.
            responses: `(directions, 2, taps)`.
        """
        points = direction(*directions.double().unbind(-1))
        kept = _distinct(points)
        points, mix = _surround(points[kept])
        arrived = arrivals(responses[kept]).double()
        aligned, lead = _align(responses[kept], arrived)
        corners, inverses = _triangles(points)
        delays = torch.einsum("pm,me->pe", mix, arrived) - lead
        return HrirInterpolator(corners, inverses, delays, torch.einsum("pm,met->pet", mix.float(), aligned))

    def towards(self, azimuth: Tensor, elevation: Tensor) -> tuple[Tensor, Tensor]:
        """Delays in samples `(directions, 2)`, float64, and aligned responses `(directions, 2, taps)`.

        Args:
            azimuth: `(directions,)`.
            elevation: `(directions,)`.
        """
        vectors = direction(azimuth.double(), elevation.double())
        found = [self._weights(some) for some in torch.split(vectors, _CHUNK)]
        corner, weight = (torch.cat(parts) for parts in zip(*found, strict=True))
        delays = (weight[:, :, None] * self.delays[corner]).sum(1)
        return delays, torch.einsum("dc,dcet->det", weight.float(), self.aligned[corner])

    def responses(self, azimuth: Tensor, elevation: Tensor) -> Tensor:
        """Impulse responses `(directions, 2, taps)`; the measured ones come back as they were."""
        delays, aligned = self.towards(azimuth, elevation)
        return shifted(aligned, delays)

    def _weights(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Corners and weights, each `(directions, 3)`, of the triangle around each direction `(directions, 3)`."""
        weights = (vectors.float() @ self.inverses.flatten(0, 1).T).reshape(len(vectors), 3, -1)
        # Cheaper than a minimum over an axis of three.
        inside = torch.minimum(torch.minimum(weights[:, 0], weights[:, 1]), weights[:, 2]).argmax(1)
        weight = weights[torch.arange(len(vectors), device=vectors.device), :, inside].clamp(min=0).double()
        return self.corners[inside], weight / weight.sum(-1, keepdim=True)


def shifted(responses: Tensor, samples: Tensor) -> Tensor:
    """Responses `(..., taps)` moved later by a fraction of a sample too, `(...)`; what leaves at one end comes back.

    Exact and reversible where the number of taps is odd: there is no bin at half the sample rate.
    """
    taps = responses.shape[-1]
    turn = -2 * math.pi / taps * torch.arange(taps // 2 + 1, device=samples.device) * samples[..., None].double()
    spectrum = torch.fft.rfft(responses.double()) * torch.polar(torch.ones_like(turn), turn)
    moved: Tensor = torch.fft.irfft(spectrum, taps)
    return moved.to(responses.dtype)


def _align(responses: Tensor, arrived: Tensor) -> tuple[Tensor, float]:
    """Responses that all arrive at one sample, and that sample."""
    first, last = arrived.min(), arrived.max()
    lead = math.ceil(last) + _MARGIN
    taps = (responses.shape[-1] + lead - math.floor(first) + _MARGIN) | 1
    padded = torch.nn.functional.pad(responses, (0, taps - responses.shape[-1]))
    return shifted(padded, lead - arrived), float(lead)


def _distinct(points: Tensor) -> Tensor:
    """Numbers of the points that are no repetition of an earlier one."""
    _, first = np.unique(np.round(points.numpy() / _SAME), axis=0, return_index=True)
    return torch.from_numpy(np.sort(first))


def _surround(points: Tensor) -> tuple[Tensor, Tensor]:
    """The points and made-up ones where they leave a gap, and all as mixtures `(points, measured)` of the measured."""
    axes = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    away = torch.acos((axes @ points.T).clamp(-1, 1))
    nearest = away.amin(1, keepdim=True)
    lonely = nearest[:, 0] > _GAP
    near = (away < nearest + _NEARLY)[lonely].double()
    mix = torch.cat([torch.eye(len(points)).double(), near / near.sum(1, keepdim=True)])
    return torch.cat([points, axes[lonely]]), mix


def _triangles(points: Tensor) -> tuple[Tensor, Tensor]:
    corners = torch.from_numpy(ConvexHull(points.numpy()).simplices).long()
    sides = points[corners]
    # Four points of one plane can leave a triangle without area; its neighbours cover it.
    solid = torch.linalg.det(sides).abs() > 1e-9
    return corners[solid], torch.linalg.inv(sides[solid].mT).float().transpose(0, 1).contiguous()
