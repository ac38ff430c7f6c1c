"""Head-related impulse responses: what two ears hear of a click from each of many directions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from avssl.errors import InputError
from avssl.spatial.between import HrirInterpolator
from avssl.spatial.resample import RESPONSES, resample


@dataclass(frozen=True, eq=False)
class HrirSet:
    """Impulse responses of two ears for sources far away.

    Raises:
        ValueError: shapes that do not fit one another, numbers that are not finite, or a rate that is not positive.
    """

    directions: Tensor
    """`(directions, 2)`: azimuth and elevation in radians, azimuth counter-clockwise from the front (left is +)."""
    responses: Tensor
    """float32 `(directions, 2, taps)`: left ear, right ear; they keep their times of arrival."""
    sample_rate: int
    """Hz."""

    def __post_init__(self) -> None:
        count = len(self.directions)
        if not count or self.directions.shape != (count, 2):
            raise ValueError(f"directions are (directions, 2), these are {tuple(self.directions.shape)}")
        if self.responses.ndim != 3 or self.responses.shape[:2] != (count, 2) or not self.responses.shape[2]:
            raise ValueError(f"responses are ({count} directions, 2 ears, taps), not {tuple(self.responses.shape)}")
        if not bool(self.directions.isfinite().all() and self.responses.isfinite().all()):
            raise InputError("directions and responses are finite numbers, here are others")
        if self.sample_rate < 1:
            raise InputError(f"a sample rate is at least 1 Hz, not {self.sample_rate}")

    def at(self, sample_rate: int) -> HrirSet:
        """The same filters at another rate in Hz: gains and times of arrival in seconds stay."""
        if sample_rate == self.sample_rate:
            return self
        # A filter's gain is the sum of its taps, which grows with their number.
        taps = resample(self.responses.flatten(0, 1), self.sample_rate, sample_rate, RESPONSES)
        taps = taps.reshape(len(self.directions), 2, -1) * (self.sample_rate / sample_rate)
        return HrirSet(self.directions, taps, sample_rate)

    @cached_property
    def between(self) -> HrirInterpolator:
        """The responses of every direction, measured or not; worked out once."""
        return HrirInterpolator.of(self.directions, self.responses)
