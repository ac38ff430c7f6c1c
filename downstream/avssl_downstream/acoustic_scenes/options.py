"""Options of the head `acoustic-scenes`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from avssl.config_fields import choice
from avssl.data.clip_options import Reading
from avssl.errors import InputError
from avssl.models.geometry import resized, resolve_geometry, resolved
from avssl_downstream.classification.options import SegmentOptions

if TYPE_CHECKING:
    from avssl.models.encoders import Encoders

TOWERS = ("audio", "video", "both")


@dataclass(frozen=True)
class AcousticScenesOptions(SegmentOptions):
    """Towers, segments, windows and frames; windows and frames default to the geometry of the encoders."""

    tower: str = choice("both", TOWERS)
    """audio, video or both."""
    segment: float = 10.0
    """Segment length in seconds; TAU's files have 10."""
    frames: int | None = None
    """Frames of a window; None: as the encoders were trained."""
    frame_rate: float | None = None
    """Frames a second; None: as the encoders were trained."""
    resize: int | None = None
    """Shorter side in pixels before the centre crop; None: 8/7 of `size`."""
    size: int | None = None
    """Side of the centre crop in pixels; None: as the encoders were trained."""
    upmix: bool = False
    """Encode stereo as FOA for encoders of ambisonics: W = (L + R) / 2, Y = (L - R) / 2, Z = X = 0."""

    def __post_init__(self) -> None:
        """Validate field values."""
        super().__post_init__()
        if not self.segment > 0:
            raise InputError(f"segment: expected a length above 0 seconds, got {self.segment}")
        for name in ("frames", "frame_rate"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise InputError(f"{name}: expected a number above 0, got {value}")
        if self.size is not None and self.resize is not None:
            Reading(resize=self.resize, size=self.size)

    @property
    def towers(self) -> tuple[str, ...]:
        """Towers in use: audio, video or both."""
        return ("audio", "video") if self.tower == "both" else (self.tower,)

    def with_geometry(self, encoders: Encoders | None) -> Self:
        """Fill in unset geometry from the encoders; that of frames only with the tower video.

        Raises:
            InputError: neither the options nor the encoders have it.
        """
        own = super().with_geometry(encoders)
        if encoders is None or "video" not in self.towers:
            return own
        own = resolve_geometry(own, encoders.geometry, {name: name for name in ("frames", "frame_rate", "size")})
        return replace(own, resize=resized(resolved(own.size)) if own.resize is None else own.resize)

    def reading(self, encoders: Encoders | None = None) -> Reading:
        """How a window is read for these encoders."""
        upmix = self.upmix and encoders is not None and 2 not in encoders.features.accepted
        window = resolved(self.window)
        if "video" not in self.towers:
            return Reading(window, upmix=upmix)
        frames, rate, resize = resolved(self.frames), resolved(self.frame_rate), resolved(self.resize)
        return Reading(window, frames, rate, resize, resolved(self.size), upmix=upmix)
