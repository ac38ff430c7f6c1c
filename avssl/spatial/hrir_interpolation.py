"""Interpolation of head-related impulse responses (HRIRs) between measured directions.

Time of arrival and filter shape are interpolated separately: responses are aligned to a common arrival first, so that
neighbours add in phase without comb filtering. Weights are barycentric in a triangulation of the sphere, and
continuous along every path.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy
import torch
from torch import Tensor

from avssl.spatial.ambisonics import direction

_MAX_GAP = math.radians(35)
"""An axis without a measurement nearer than this gets an extrapolated response. With 54.7 degrees (largest angle from
any direction to its nearest axis) the sum stays below 90, so the triangles always enclose the head."""
_NEAREST_MARGIN = math.radians(10)
"""An extrapolated response is the mean of all measurements at most this much further away than the nearest."""
_DUPLICATE = 1e-3
"""Directions closer than this, in radians, are duplicates."""
_PADDING = 8
"""Samples of padding at both ends of an aligned response, for the ringing of its fractional delay."""
_DIRECTIONS_CHUNK = 64
"""Directions per chunk: the triangle search stays in the CPU cache."""
_UPSAMPLING = 4
"""Upsampling of the cross-correlation; a parabola through the maximum refines it further."""
_RESPONSES_CHUNK = 512
"""Responses per chunk: bounds the memory."""


@dataclass(frozen=True, eq=False)
class HrirInterpolator:
    """Aligned responses with their delays, and the triangulation of their directions."""

    corners: Tensor
    """`(triangles, 3)`: indices of the responses at the corners."""
    inverses: Tensor
    """`(3, triangles, 3)`: rows that give the barycentric weight of each corner for a vector along x, y, z."""
    delays: Tensor
    """float64 `(responses, 2)` samples to delay the aligned responses by; negative, as alignment makes them late."""
    aligned: Tensor
    """`(responses, 2, taps)`."""

    @staticmethod
    def from_measurements(directions: Tensor, responses: Tensor) -> HrirInterpolator:
        """Align measured responses and triangulate their directions.

        Args:
            directions: `(directions, 2)` azimuth and elevation in radians; any number and spacing, duplicates allowed.
            responses: `(directions, 2, taps)`.
        """
        points = direction(*directions.double().unbind(-1))
        unique = _distinct(points)
        points, mix = _fill_gaps(points[unique])
        arrival = times_of_arrival(responses[unique]).double()
        aligned, common_arrival = _align(responses[unique], arrival)
        corners, inverses = _triangulate(points)
        delays = torch.einsum("pm,me->pe", mix, arrival) - common_arrival
        return HrirInterpolator(corners, inverses, delays, torch.einsum("pm,met->pet", mix.float(), aligned))

    def delays_and_aligned(self, azimuth: Tensor, elevation: Tensor) -> tuple[Tensor, Tensor]:
        """Interpolated delays in samples `(directions, 2)`, float64, and aligned responses `(directions, 2, taps)`.

        Args:
            azimuth: `(directions,)` radians.
            elevation: `(directions,)` radians.
        """
        vectors = direction(azimuth.double(), elevation.double())
        chunks = [self._weights(chunk) for chunk in torch.split(vectors, _DIRECTIONS_CHUNK)]
        corner, weight = (torch.cat(parts) for parts in zip(*chunks, strict=True))
        delays = (weight[:, :, None] * self.delays[corner]).sum(1)
        return delays, torch.einsum("dc,dcet->det", weight.float(), self.aligned[corner])

    def responses(self, azimuth: Tensor, elevation: Tensor) -> Tensor:
        """Impulse responses `(directions, 2, taps)`; at a measured direction, the measured response."""
        delays, aligned = self.delays_and_aligned(azimuth, elevation)
        return fractional_delay(aligned, delays)

    def _weights(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Corners and weights, each `(directions, 3)`, of the triangle around each direction `(directions, 3)`."""
        weights = (vectors.float() @ self.inverses.flatten(0, 1).T).reshape(len(vectors), 3, -1)
        # Cheaper than a minimum over an axis of three.
        inside = torch.minimum(torch.minimum(weights[:, 0], weights[:, 1]), weights[:, 2]).argmax(1)
        weight = weights[torch.arange(len(vectors), device=vectors.device), :, inside].clamp(min=0).double()
        return self.corners[inside], weight / weight.sum(-1, keepdim=True)


def fractional_delay(responses: Tensor, samples: Tensor) -> Tensor:
    """Delay responses `(..., taps)` circularly by `samples` `(...)`, fractions of a sample included.

    Exact and reversible for an odd number of taps: there is no bin at half the sample rate.
    """
    taps = responses.shape[-1]
    phase = -2 * math.pi / taps * torch.arange(taps // 2 + 1, device=samples.device) * samples[..., None].double()
    spectrum = torch.fft.rfft(responses.double()) * torch.polar(torch.ones_like(phase), phase)
    delayed: Tensor = torch.fft.irfft(spectrum, taps)
    return delayed.to(responses.dtype)


def times_of_arrival(responses: Tensor) -> Tensor:
    """Time of arrival of each response `(..., taps)` in samples, `(...)`; 0 for a silent response.

    Lag of the maximum cross-correlation with the minimum-phase version (Nam, Abel, Smith: "A method for estimating
    interaural time difference for binaural synthesis", AES 125, 2008): no threshold to tune, and stable where the first
    wave front is weak.
    """
    flat = responses.flatten(0, -2)
    chunks = [_times_of_arrival(chunk) for chunk in torch.split(flat, _RESPONSES_CHUNK)]
    return torch.cat(chunks).reshape(responses.shape[:-1])


def minimum_phase(spectrum: Tensor) -> Tensor:
    """Minimum-phase spectrum of the same magnitude, `(..., bins)` of an even length.

    Source: Oppenheim and Schafer, Discrete-Time Signal Processing, the folded cepstrum.
    """
    magnitude = spectrum.abs()
    floor = (magnitude.amax(-1, keepdim=True) * 1e-5).clamp(min=torch.finfo(magnitude.dtype).tiny)
    cepstrum = torch.fft.irfft(torch.maximum(magnitude, floor).log())
    half = cepstrum.shape[-1] // 2
    cepstrum[..., 1:half] *= 2
    cepstrum[..., half + 1 :] = 0
    result: Tensor = torch.fft.rfft(cepstrum).exp()
    return result


def _times_of_arrival(responses: Tensor) -> Tensor:
    size = 1 << (4 * responses.shape[-1] - 1).bit_length()
    spectrum = torch.fft.rfft(responses, size)
    correlation = torch.fft.irfft(spectrum * minimum_phase(spectrum).conj(), size * _UPSAMPLING)
    # A response is causal: lags beyond its own length are wrapped negative ones.
    best = correlation[:, : responses.shape[-1] * _UPSAMPLING].argmax(-1)
    neighbours = (best[:, None] + torch.tensor([-1, 0, 1], device=best.device)) % (size * _UPSAMPLING)
    before, peak, after = correlation.gather(1, neighbours).unbind(1)
    curvature = before - 2 * peak + after
    offset = torch.where(curvature < 0, (before - after) / (2 * curvature), 0.0)
    arrival: Tensor = (best + offset) / _UPSAMPLING
    return arrival


def _align(responses: Tensor, arrival: Tensor) -> tuple[Tensor, float]:
    """Responses delayed to a common time of arrival, and that time in samples."""
    first, last = arrival.min(), arrival.max()
    common = math.ceil(last) + _PADDING
    taps = (responses.shape[-1] + common - math.floor(first) + _PADDING) | 1
    padded = torch.nn.functional.pad(responses, (0, taps - responses.shape[-1]))
    return fractional_delay(padded, common - arrival), float(common)


def _distinct(points: Tensor) -> Tensor:
    """Indices of the points without duplicates, the first of each."""
    _, first = np.unique(np.round(points.numpy() / _DUPLICATE), axis=0, return_index=True)
    return torch.from_numpy(np.sort(first))


def _fill_gaps(points: Tensor) -> tuple[Tensor, Tensor]:
    """Measured points and axis points where they leave a gap, with mixing weights `(points, measured)` for each."""
    axes = torch.cat([torch.eye(3), -torch.eye(3)]).double()
    angle = torch.acos((axes @ points.T).clamp(-1, 1))
    nearest = angle.amin(1, keepdim=True)
    gap = nearest[:, 0] > _MAX_GAP
    near = (angle < nearest + _NEAREST_MARGIN)[gap].double()
    mix = torch.cat([torch.eye(len(points)).double(), near / near.sum(1, keepdim=True)])
    return torch.cat([points, axes[gap]]), mix


def _triangulate(points: Tensor) -> tuple[Tensor, Tensor]:
    corners = torch.from_numpy(scipy.spatial.ConvexHull(points.numpy()).simplices).long()
    matrices = points[corners]
    # Four coplanar points can give a triangle without area; its neighbours cover it.
    regular = torch.linalg.det(matrices).abs() > 1e-9
    return corners[regular], torch.linalg.inv(matrices[regular].mT).float().transpose(0, 1).contiguous()
