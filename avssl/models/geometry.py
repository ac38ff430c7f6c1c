"""Input geometry of encoders: window lengths, frame rate and crops that they were trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from avssl.errors import InputError

T = TypeVar("T")
RESIZE_RATIO = 8 / 7
"""Shorter side of frames before the centre crop, over the side of the crop (AVSA: 128 over 112 pixels)."""


@dataclass(frozen=True)
class InputGeometry:
    """Windows and crops that encoders were trained on; section `geometry` of `config.json`."""

    seconds: float
    """Seconds of audio of a window."""
    frames: int
    """Frames of a window."""
    frame_rate: float
    """Hz."""
    size: int | None = None
    """Pixels; side of a crop. None: the task does not crop."""
    min_fov: float | None = None
    """Degrees; least horizontal field of view of a crop of 360-degree frames. None: the task does not crop."""
    max_fov: float | None = None
    """Degrees; largest horizontal field of view of a crop. None: the task does not crop."""

    def __post_init__(self) -> None:
        """Validate field values."""
        if not (self.seconds > 0 and self.frames >= 1 and self.frame_rate > 0 and (self.size is None or self.size > 0)):
            raise InputError(f"expected positive seconds, frames, frame_rate and size in a geometry, got {self}")
        for name in ("min_fov", "max_fov"):
            if (angle := getattr(self, name)) is not None and not 0 < angle < 180:
                raise InputError(f"expected {name} of 0 to 180 degrees, exclusively, in a geometry, got {angle}")

    @property
    def field_of_view(self) -> float | None:
        """Radians; horizontal field of view of the mean crop, whose half-angle tangent is uniform in training."""
        if self.min_fov is None or self.max_fov is None:
            return None
        least, most = (math.tan(math.radians(each) / 2) for each in (self.min_fov, self.max_fov))
        return 2 * math.atan((least + most) / 2)


def resolve_geometry(options: T, geometry: InputGeometry | None, names: Mapping[str, str]) -> T:
    """Replace options that are None by the encoders' geometry.

    Args:
        options: a frozen dataclass.
        geometry: geometry of the encoders; None: unknown.
        names: option -> field of `InputGeometry`.

    Raises:
        InputError: an option is None and the geometry has no value for it.
    """
    known: dict[str, Any] = {option: getattr(geometry, name, None) for option, name in names.items()}
    unset = {option: value for option, value in known.items() if getattr(options, option) is None}
    if missing := [option for option, value in unset.items() if value is None]:
        setting = ", ".join(f"{option}=..." for option in missing)
        raise InputError(
            f"expected encoders whose config.json gives the input geometry ({', '.join(missing)}), got encoders saved "
            f"without it; set {setting}, or pretrain them again"
        )
    return replace(options, **unset)  # type: ignore[type-var]


def resized(size: int) -> int:
    """Pixels; shorter side of frames before a centre crop of `size` pixels."""
    return round(size * RESIZE_RATIO)


def resolved(value: T | None) -> T:
    """Value of an option after `resolve_geometry`."""
    assert value is not None, "geometry options are resolved before they are used"
    return value
