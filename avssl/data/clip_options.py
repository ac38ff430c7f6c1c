"""Config dataclasses of how clips are read, cropped and augmented; importing them imports no torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from avssl.config import check_choices, check_range, choice
from avssl.data.sphere_sampling import TRIES_AT_FIRST, DirectionConstraints, sample_directions
from avssl.errors import InputError

CROP_GUIDES = ("random", "objects")
_AUDIO = ("seconds", "channels", "upmix")
"""What of a reading the audio tower hears; the video tower sees the rest."""


@dataclass(frozen=True)
class Reading:
    """How windows are read."""

    seconds: float = 1.0
    """Sound of a window."""
    frames: int = 8
    """Pictures of a window."""
    frame_rate: float = 16.0
    """Pictures a second."""
    resize: int = 128
    """Pixels that the shorter side is scaled to; 0 leaves it."""
    size: int = 112
    """Pixels; side of the square cut from the middle. 0 leaves the whole picture."""
    channels: int = 0
    """First so many of the sound's channels; 0 takes all."""
    upmix: bool = False
    """Take left and right for the sides of a first-order field, and one channel for its W."""
    view: tuple[float, float, float] | None = None
    """Azimuth, elevation and field of view, in radians, of what is seen of 360-degree pictures; None takes all."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        if not (0 < self.seconds < math.inf and self.frame_rate > 0 and self.frames >= 1):
            found = f"{self.seconds}, {self.frame_rate} and {self.frames}"
            raise InputError(f"windows want seconds > 0, frame_rate > 0 and frames >= 1, not {found}")
        if min(self.resize, self.size, self.channels) < 0:
            found = f"{self.resize}, {self.size} and {self.channels}"
            raise InputError(f"resize, size and channels must not be negative, they are {found}")
        if self.resize and self.size > self.resize:
            raise InputError(f"a square of {self.size} pixels cannot be cut from pictures scaled to {self.resize}")
        if self.view is not None and not (self.size and 0 < self.view[2] < math.pi):
            raise InputError(
                f"a view wants size > 0 and a field of view below 180 degrees, not {self.size}, {self.view}"
            )

    def of(self, tower: str) -> dict[str, Any]:
        """What of it matters to one tower."""
        return {name: value for name, value in asdict(self).items() if (name in _AUDIO) == (tower == "audio")}


@dataclass(frozen=True)
class Colour:
    """Strengths of a colour jitter; the defaults are AVSA's."""

    brightness: float = 0.4
    """Pixels are multiplied by 1 plus or minus up to this."""
    contrast: float = 0.4
    """So are their distances from the mean grey."""
    saturation: float = 0.4
    """So are their distances from their own grey."""
    hue: float = 0.2
    """Turns of the colour circle, plus or minus up to this."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        for name, most in (("brightness", 1.0), ("contrast", 1.0), ("saturation", 1.0), ("hue", 0.5)):
            check_range("colour", name, getattr(self, name), 0.0, most)


@dataclass(frozen=True)
class CropOptions:
    """Which crops are cut from a clip; the defaults are AVSA's, whose nominal 25.5 to 90 degrees are these."""

    crops: int = 4
    """Crops of one instant."""
    size: int = 112
    """Pixels of a side."""
    min_fov: float = 25.0
    """Degrees; least horizontal field of view. Its tangent is uniform up to the widest's."""
    max_fov: float = 76.3
    """Degrees; largest horizontal field of view."""
    aspect: float = 4 / 3
    """Largest ratio of vertical to horizontal field (tangents), and its inverse the least; log-uniform."""
    min_elevation: float = -30.0
    """Degrees; least elevation of a random crop's centre."""
    max_elevation: float = 30.0
    """Degrees; largest elevation of a random crop's centre."""
    min_separation: float = 0.0
    """Degrees between the centres of any two crops of a clip."""
    crop_guide: str = choice("random", CROP_GUIDES)
    """random, or objects: centred on the clip's objects, best first, and random where there are too few of them."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning, and crops that do not fit beside one another."""
        if self.crops < 1 or self.size < 1:
            raise InputError(f"crops and size are at least 1, not {self.crops} and {self.size}")
        if not 0 < self.min_fov <= self.max_fov < 180:
            raise InputError(f"0 < min_fov <= max_fov < 180 degrees, not {self.min_fov} and {self.max_fov}")
        if not -90 <= self.min_elevation <= self.max_elevation <= 90:
            found = f"{self.min_elevation} and {self.max_elevation}"
            raise InputError(f"-90 <= min_elevation <= max_elevation <= 90 degrees, not {found}")
        if not 0 <= self.min_separation <= 180:
            raise InputError(f"min_separation is from 0 to 180 degrees, not {self.min_separation}")
        if not self.aspect >= 1:
            raise InputError(f"aspect is at least 1, not {self.aspect}")
        check_choices(self)
        sample_directions(self.room(), np.random.default_rng(0), TRIES_AT_FIRST)

    def room(self) -> DirectionConstraints:
        """Where the centres of a clip's crops may be."""
        return DirectionConstraints(
            self.crops,
            *(math.radians(angle) for angle in (self.min_elevation, self.max_elevation, self.min_separation)),
        )


def check_crop_guide(options: CropOptions, detector: str) -> None:
    """See that crops guided by objects have a detector that finds them.

    Raises:
        InputError: none is named.
    """
    if options.crop_guide == "objects" and not detector:
        raise InputError(
            "crop_guide is objects, but no detector is named: give a model's path, or truth in a made-up "
            "world (data.detector in a run, detector in a head)"
        )
