"""Config dataclasses of windows, crops and augmentation; imports no torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from avssl.config import check_choices, check_range
from avssl.config_fields import choice
from avssl.data.sphere_sampling import TRIES_AT_FIRST, DirectionConstraints, sample_directions
from avssl.errors import InputError

CROP_GUIDES = ("random", "objects")
_AUDIO = ("seconds", "channels", "upmix")
"""Fields of `Reading` that concern the audio tower; the others concern the video tower."""


@dataclass(frozen=True)
class Reading:
    """Length, frame rate and size of the windows read from a file."""

    seconds: float = 1.0
    """Length of the audio of a window, s."""
    frames: int = 8
    """Number of frames of a window."""
    frame_rate: float = 16.0
    """Frame rate, Hz."""
    resize: int = 128
    """Length of the shorter side after scaling, pixels; 0: not scaled."""
    size: int = 112
    """Side of the centre crop, pixels; 0: no crop."""
    channels: int = 0
    """Number of audio channels, from the first on; 0: all."""
    upmix: bool = False
    """Encode stereo as a first-order field (left and right at its sides), and mono as its W."""
    view: tuple[float, float, float] | None = None
    """Viewport of 360-degree frames: azimuth, elevation and field of view, radians; None: whole frames."""

    def __post_init__(self) -> None:
        """Validate field values."""
        if not (0 < self.seconds < math.inf and self.frame_rate > 0 and self.frames >= 1):
            found = f"{self.seconds}, {self.frame_rate} and {self.frames}"
            raise InputError(f"expected seconds > 0, frame_rate > 0 and frames >= 1, got {found}")
        if min(self.resize, self.size, self.channels) < 0:
            found = f"{self.resize}, {self.size} and {self.channels}"
            raise InputError(f"expected resize, size and channels of at least 0, got {found}")
        if self.resize and self.size > self.resize:
            raise InputError(f"expected a size of at most resize={self.resize}, got {self.size}")
        if self.view is not None and not (self.size and 0 < self.view[2] < math.pi):
            raise InputError(
                f"view: expected size > 0 and a field of view below 180 degrees, got {self.size}, {self.view}"
            )

    def of(self, tower: str) -> dict[str, Any]:
        """Fields that concern one tower."""
        return {name: value for name, value in asdict(self).items() if (name in _AUDIO) == (tower == "audio")}


@dataclass(frozen=True)
class Colour:
    """Strength of the colour jitter; the defaults are those of AVSA."""

    brightness: float = 0.4
    """Pixels are scaled by a factor within 1 plus or minus this."""
    contrast: float = 0.4
    """Distances from the mean grey are scaled by such a factor."""
    saturation: float = 0.4
    """Distances from the pixel's own grey are scaled by such a factor."""
    hue: float = 0.2
    """Hue is rotated by up to this fraction of the colour circle, either way."""

    def __post_init__(self) -> None:
        """Validate field values."""
        for name, most in (("brightness", 1.0), ("contrast", 1.0), ("saturation", 1.0), ("hue", 0.5)):
            check_range("colour", name, getattr(self, name), 0.0, most)


@dataclass(frozen=True)
class CropOptions:
    """Crops of a clip; the defaults are those of AVSA, whose nominal 25.5 to 90 degrees are these."""

    crops: int = 4
    """Number of crops of a clip."""
    size: int = 112
    """Side of a crop, pixels."""
    min_fov: float = 25.0
    """Minimum horizontal field of view, degrees; the tangent of half of it is uniform up to that of `max_fov`."""
    max_fov: float = 76.3
    """Maximum horizontal field of view, degrees."""
    aspect: float = 4 / 3
    """Maximum ratio of vertical to horizontal field of view (tangents); its inverse is the minimum; log-uniform."""
    min_elevation: float = -30.0
    """Minimum elevation of the centre of a random crop, degrees."""
    max_elevation: float = 30.0
    """Maximum elevation of the centre of a random crop, degrees."""
    min_separation: float = 0.0
    """Minimum angle between the centres of two crops of a clip, degrees."""
    crop_guide: str = choice("random", CROP_GUIDES)
    """random; or objects: each shows another detected object, highest score first, then random."""
    guided_offset: float = 0.0
    """Largest offset of an object from the centre of the crop that it guides, as a fraction of the half field of view,
    0 to 1; its place is uniform over that part of the crop. 0: in the centre, as published."""
    guided_min_fov: float | None = None
    """Minimum horizontal field of view of a crop guided by an object, degrees; None: `min_fov`."""
    guided_max_fov: float | None = None
    """Maximum horizontal field of view of a crop guided by an object, degrees; None: `max_fov`."""
    guided_separation: float | None = None
    """Minimum angle between two crops guided by objects, and between their objects, degrees; None: `min_separation`."""

    def __post_init__(self) -> None:
        """Validate field values; crops must fit beside each other."""
        if self.crops < 1 or self.size < 1:
            raise InputError(f"expected crops and size of at least 1, got {self.crops} and {self.size}")
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
        self._check_guided()
        sample_directions(self.constraints(), np.random.default_rng(0), TRIES_AT_FIRST)

    def _check_guided(self) -> None:
        least, most = self.fov(guided=True)
        if not 0 < least <= most < 180:
            raise InputError(f"0 < guided_min_fov <= guided_max_fov < 180 degrees, not {least} and {most}")
        if not 0 <= self.guided_offset <= 1:
            raise InputError(f"guided_offset is from 0 to 1, not {self.guided_offset}")
        if self.guided_separation is not None and not 0 <= self.guided_separation <= 180:
            raise InputError(f"guided_separation is from 0 to 180 degrees, not {self.guided_separation}")

    def fov(self, guided: bool = False) -> tuple[float, float]:
        """Minimum and maximum horizontal field of view of a random crop, or of one guided by an object, degrees."""
        if not guided:
            return self.min_fov, self.max_fov
        return (
            self.min_fov if self.guided_min_fov is None else self.guided_min_fov,
            self.max_fov if self.guided_max_fov is None else self.guided_max_fov,
        )

    def guided_constraints(self) -> DirectionConstraints:
        """As `constraints`, between crops that are guided by objects."""
        separation = self.min_separation if self.guided_separation is None else self.guided_separation
        return replace(self.constraints(), min_separation=math.radians(separation))

    def constraints(self) -> DirectionConstraints:
        """Constraints on the centres of the crops of a clip."""
        return DirectionConstraints(
            self.crops,
            *(math.radians(angle) for angle in (self.min_elevation, self.max_elevation, self.min_separation)),
        )


def check_crop_guide(options: CropOptions, detector: str) -> None:
    """Check that crops guided by objects, all or some, have a detector.

    Raises:
        InputError: no detector is named.
    """
    if options.crop_guide != "random" and not detector:
        raise InputError(
            f"crop_guide is {options.crop_guide}, but no detector is named: give the path of a model, or truth for a "
            "synthetic dataset (data.detector in a run, detector in a head)"
        )
