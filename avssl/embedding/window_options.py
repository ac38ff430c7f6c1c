"""Window options of `avssl embed`: the encoders' own input geometry, unless options override it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from avssl.data.clip_options import Reading
from avssl.errors import InputError
from avssl.models.geometry import InputGeometry, resized, resolve_geometry, resolved


@dataclass(frozen=True)
class WindowOptions:
    """How windows of user media are read; None: as the encoders were trained."""

    seconds: float | None = None
    """Seconds of audio of a window."""
    hop: float | None = None
    """Seconds between windows; None: a window's length."""
    frames: int | None = None
    """Frames of a window."""
    frame_rate: float | None = None
    """Hz."""
    resize: int | None = None
    """Pixels that the shorter side of a frame is scaled to; None: 8/7 of `size`; 0: not scaled."""
    size: int | None = None
    """Pixels; side of the square cut from the middle; 0: the whole frame."""
    view: tuple[float, float, float | None] | None = None
    """Azimuth, elevation and field of view in radians of the view cut from 360-degree frames; None: no view is cut."""
    channels: int = 0
    """First so many audio channels; 0: all."""
    upmix: bool = False
    """Encode stereo as W and Y of first-order ambisonics, mono as W."""

    def reading(self, geometry: InputGeometry | None, towers: Sequence[str]) -> Reading:
        """How a window is read.

        Args:
            geometry: of the encoders.
            towers: audio, video; options of frames are of no effect without video.

        Raises:
            InputError: an option is not given and the encoders carry no geometry, or a value is out of range.
        """
        own = resolve_geometry(self, geometry, {"seconds": "seconds"})
        if "video" not in towers:
            return Reading(resolved(own.seconds), channels=self.channels, upmix=self.upmix)
        own = resolve_geometry(own, geometry, {"frames": "frames", "frame_rate": "frame_rate", "size": "size"})
        size = resolved(own.size)
        return Reading(
            resolved(own.seconds),
            resolved(own.frames),
            resolved(own.frame_rate),
            resized(size) if own.resize is None else own.resize,
            size,
            self.channels,
            self.upmix,
            self._view(geometry),
        )

    def _view(self, geometry: InputGeometry | None) -> tuple[float, float, float] | None:
        if self.view is None:
            return None
        azimuth, elevation, fov = self.view
        fov = fov or (geometry.field_of_view if geometry else None)
        if fov is None:
            raise InputError("expected a view AZIMUTH,ELEVATION,FOV, got one without FOV and encoders that carry none")
        return azimuth, elevation, fov
