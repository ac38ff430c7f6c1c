"""Which pictures count as whole equirectangular worlds, by header and shape, and which as an ordinary field of view."""

from __future__ import annotations

from avssl.errors import InputError
from avssl.media.image_sequence import Stills
from avssl.media.streams import VideoReader

TOLERANCE = 0.02
"""Relative; encoders round sizes to multiples of 16."""
WORLD = 2.0
STORED_WIDE = 16 / 9
"""YouTube stores 2:1 worlds as 640x360 and the like."""


def check_equirect(
    frames: VideoReader | Stills, *, declared: bool, vouched: bool, declare: str = "--projection equirect"
) -> None:
    """Refuse pictures that are not one equirectangular world.

    Args:
        frames: the header of the file.
        declared: the user says it is equirectangular, which counts more than the header.
        vouched: the data set says so, which counts less than the header.
        declare: how the user says it, for the error where only that is missing.

    Raises:
        InputError: with what was expected and what came.
    """
    aspect, projection, stereo = frames.aspect, frames.projection, frames.stereo
    size = f"{frames.width}x{frames.height}"
    if not declared and stereo:
        raise InputError(f"expected one eye's equirectangular pictures, the header says {stereo} stereo ({size})")
    if not declared and projection == "equirectangular":
        return
    if not declared and projection:
        raise InputError(f"expected equirectangular pictures, the header says {projection} ({size})")
    if _is_near(aspect, WORLD):
        return
    if not _is_near(aspect, STORED_WIDE):
        raise InputError(f"expected equirectangular pictures (2:1), these are {size}{_guess(aspect)}")
    if not (declared or vouched):
        raise InputError(
            f"expected equirectangular pictures (2:1), these are {size}; if they are 2:1 worlds stored 16:9, declare "
            f"{declare}"
        )


def check_flat(frames: VideoReader | Stills) -> None:
    """Refuse pictures that a layout takes for an ordinary field of view, and whose header says otherwise.

    Raises:
        InputError: with what the header says.
    """
    found = " ".join(each for each in (frames.projection, frames.stereo and f"{frames.stereo} stereo") if each)
    if found and found != "rectilinear":
        raise InputError(f"expected pictures of an ordinary field of view, the header says {found}")


def _guess(aspect: float) -> str:
    """What a shape is known for."""
    guesses = {1.0: "top-bottom stereo", 4.0: "side-by-side stereo", 1.5: "a cube map", 4 / 3: "a cube map or flat"}
    return next((f", perhaps {guess}" for ratio, guess in guesses.items() if _is_near(aspect, ratio)), "")


def _is_near(aspect: float, wanted: float) -> bool:
    return abs(aspect / wanted - 1) <= TOLERANCE
