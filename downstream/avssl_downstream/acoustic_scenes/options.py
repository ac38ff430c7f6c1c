"""Options of the heads that classify acoustic scenes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from avssl.config import choice
from avssl.data.clip_options import Reading
from avssl.errors import InputError
from avssl.models.geometry import resized, resolve_geometry, resolved
from avssl_downstream.classification.options import SegmentOptions

if TYPE_CHECKING:
    from avssl.models.encoders import Encoders

TOWERS = ("audio", "video", "both")


@dataclass(frozen=True)
class AcousticScenesOptions(SegmentOptions):
    """Options of the head `scenes`; windows and frames default to the geometry of the encoders."""

    tower: str = choice("both", TOWERS)
    """audio, video or both."""
    segment: float = 10.0
    """Seconds of a file; TAU's have 10."""
    frames: int | None = None
    """Frames of a window; None: as the encoders were trained."""
    frame_rate: float | None = None
    """Frames a second; None: as the encoders were trained."""
    resize: int | None = None
    """Pixels; shorter side that frames are scaled to before the centre crop. None: 8/7 of `size`."""
    size: int | None = None
    """Pixels; side of the centre crop. None: as the encoders were trained."""
    upmix: bool = False
    """Let encoders of ambisonics hear stereo: W = (L + R) / 2, Y = (L - R) / 2, nothing in Z and X."""

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        super().__post_init__()
        if not self.segment > 0:
            raise InputError(f"segment is a length above 0 seconds, not {self.segment}")
        for name in ("frames", "frame_rate"):
            if (value := getattr(self, name)) is not None and not value > 0:
                raise InputError(f"{name} must be positive, not {value}")
        if self.size is not None and self.resize is not None:
            Reading(resize=self.resize, size=self.size)

    @property
    def towers(self) -> tuple[str, ...]:
        """Which of audio and video are used."""
        return ("audio", "video") if self.tower == "both" else (self.tower,)

    def with_geometry(self, encoders: Encoders | None) -> Self:
        """The options with the encoders' own geometry where none is set; frames count with the tower video alone.

        Raises:
            InputError: neither gives it.
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
