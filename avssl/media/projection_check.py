"""Validate the projection of frames (equirectangular or rectilinear) by header and aspect ratio."""

from __future__ import annotations

from typing import Protocol

from avssl.errors import InputError
from avssl.media.declared_projection import EQUIRECTANGULAR

TOLERANCE = 0.02
"""Relative; encoders round sizes to multiples of 16."""
SPHERE_ASPECT = 2.0
WIDESCREEN_ASPECT = 16 / 9
"""Aspect ratio at which YouTube stores 2:1 frames, such as 640x360."""


class FrameHeader(Protocol):
    """Size and declared projection of frames."""

    @property
    def width(self) -> int:
        """Stored pixels, upright."""

    @property
    def height(self) -> int:
        """Stored pixels, upright."""

    @property
    def aspect(self) -> float:
        """Width of displayed frames over their height."""

    @property
    def projection(self) -> str:
        """By the header; empty if it has none."""

    @property
    def stereo(self) -> str:
        """By the header; empty for monoscopic frames."""


def check_equirect(
    frames: FrameHeader, *, declared: bool, vouched: bool, declare: str = "--projection equirect"
) -> None:
    """Raise unless the frames are full monoscopic equirectangular frames.

    Args:
        frames: reader with the header of the file.
        declared: declared equirectangular by the user; overrides the header.
        vouched: declared equirectangular by the dataset; the header overrides it.
        declare: command-line option to name in the error.

    Raises:
        InputError: another projection, stereo, or aspect ratio.
    """
    aspect, projection, stereo = frames.aspect, frames.projection, frames.stereo
    size = f"{frames.width}x{frames.height}"
    if not declared and stereo:
        raise InputError(f"expected monoscopic equirectangular frames, the header says {stereo} stereo ({size})")
    if not declared and projection not in ("", EQUIRECTANGULAR):
        raise InputError(f"expected equirectangular frames, the header says {projection} ({size}){_advice(projection)}")
    if is_near(aspect, SPHERE_ASPECT):
        return
    if not is_near(aspect, WIDESCREEN_ASPECT):
        raise InputError(f"expected equirectangular frames (2:1), these are {size}{_guess(aspect)}")
    if not (declared or vouched or projection):
        raise InputError(
            f"expected equirectangular frames (2:1), these are {size}; if they are 2:1 frames stored 16:9, declare "
            f"{declare}"
        )


def check_flat(frames: FrameHeader) -> None:
    """Raise if the header of frames expected to be rectilinear says otherwise.

    Raises:
        InputError: spherical or stereo header.
    """
    found = " ".join(each for each in (frames.projection, frames.stereo and f"{frames.stereo} stereo") if each)
    if found and found != "rectilinear":
        raise InputError(f"expected rectilinear frames, the header says {found}")


def _guess(aspect: float) -> str:
    """Likely format for an aspect ratio."""
    guesses = {
        0.5: "turned by the display rotation of the header",
        1.0: "top-bottom stereo",
        4.0: "side-by-side stereo",
        1.5: "a cube map (--projection cubemap or eac)",
        6.0: "a cube map (--projection cubemap)",
        1 / 6: "a cube map (--projection cubemap)",
        4 / 3: "a cube map or flat",
    }
    return next((f", perhaps {guess}" for ratio, guess in guesses.items() if is_near(aspect, ratio)), "")


def _advice(projection: str) -> str:
    """Option that converts a projection; YouTube declares EAC as a mesh."""
    options = {"cubemap": "cubemap", "mesh": "eac"}
    return f"; --projection {options[projection]} converts cube faces" if projection in options else ""


def is_near(aspect: float, wanted: float) -> bool:
    """Whether two aspect ratios are the same up to the rounding of encoders."""
    return abs(aspect / wanted - 1) <= TOLERANCE
