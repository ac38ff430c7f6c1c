"""Format of a rendered scene: length, frame size, rates, lens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from avssl.synth.projection.lens import Lens, Panorama
from avssl.synth.sources.oscillators import Span

LEAD = 0.3
"""Lead-in of the audio before the scene, s, for delays and reverberation."""


@dataclass(frozen=True)
class Format:
    """How a scene is written down: what is seen all around, and when."""

    seconds: float = 4.0
    width: int = 448
    """Columns of a frame; half as many rows."""
    frame_rate: float = 16.0
    """Frames a second."""
    sample_rate: int = 24000
    """Hz."""

    def lens(self) -> Lens:
        """Lens of the camera."""
        return Panorama(self.width)

    def frame_times(self) -> NDArray[np.float64]:
        """Seconds of every frame."""
        return np.arange(max(1, round(self.seconds * self.frame_rate))) / self.frame_rate

    def sample_times(self) -> NDArray[np.float64]:
        """Seconds of every sample."""
        return np.arange(round(self.seconds * self.sample_rate)) / self.sample_rate

    def span(self) -> Span:
        """The instants that dry sounds are made for."""
        lead = round(LEAD * self.sample_rate)
        return Span(-lead / self.sample_rate, lead + round(self.seconds * self.sample_rate), self.sample_rate)
