"""Sets of head-related impulse responses (HRIRs) over directions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from avssl.errors import InputError
from avssl.spatial.hrir_interpolation import HrirInterpolator
from avssl.spatial.resample import RESPONSES, resample


@dataclass(frozen=True, eq=False)
class HrirSet:
    """Far-field impulse responses of both ears.

    Raises:
        ValueError: shapes that do not match, numbers that are not finite, or a sample rate that is not positive.
    """

    directions: Tensor
    """`(directions, 2)`: azimuth and elevation in radians, azimuth counter-clockwise from the front (left is +)."""
    responses: Tensor
    """float32 `(directions, 2, taps)`: left ear, right ear; times of arrival included."""
    sample_rate: int
    """Hz."""

    def __post_init__(self) -> None:
        count = len(self.directions)
        if not count or self.directions.shape != (count, 2):
            raise ValueError(f"expected HRIR directions (directions, 2), got {tuple(self.directions.shape)}")
        if self.responses.ndim != 3 or self.responses.shape[:2] != (count, 2) or not self.responses.shape[2]:
            raise ValueError(f"expected HRIRs ({count} directions, 2 ears, taps), got {tuple(self.responses.shape)}")
        if not bool(self.directions.isfinite().all() and self.responses.isfinite().all()):
            raise InputError("expected finite HRIRs and directions, got NaN or Inf")
        if self.sample_rate < 1:
            raise InputError(f"expected an HRIR sample rate of at least 1 Hz, got {self.sample_rate}")

    def resample(self, sample_rate: int) -> HrirSet:
        """Responses at another sample rate in Hz, with the same gains and times of arrival in seconds."""
        if sample_rate == self.sample_rate:
            return self
        # A filter's gain is the sum of its taps, which grows with their number.
        taps = resample(self.responses.flatten(0, 1), self.sample_rate, sample_rate, RESPONSES)
        taps = taps.reshape(len(self.directions), 2, -1) * (self.sample_rate / sample_rate)
        return HrirSet(self.directions, taps, sample_rate)

    @cached_property
    def interpolator(self) -> HrirInterpolator:
        """Interpolator of the responses to any direction, built once."""
        return HrirInterpolator.from_measurements(self.directions, self.responses)
