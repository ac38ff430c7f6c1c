"""Projection and stereo mode that the header of a video declares."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

EQUIRECTANGULAR = "equirectangular"


class DeclaredProjection(NamedTuple):
    """One statement about a video, or all of them."""

    projection: str = ""
    """equirectangular for a full sphere with the front in its centre, another description otherwise; empty: none."""
    stereo: str = ""
    """Arrangement of two eyes; empty: one."""


def strictest(declared: Iterable[DeclaredProjection]) -> DeclaredProjection:
    """The first projection that is not a full sphere, and the first stereo mode, whichever header states them."""
    found = list(declared)
    projections = [each.projection for each in found if each.projection]
    others = [each for each in projections if each != EQUIRECTANGULAR]
    stereo = next((each.stereo for each in found if each.stereo), "")
    return DeclaredProjection(next(iter(others or projections), ""), stereo)


def describe_projection(kind: str, *, cropped: bool, turned: bool) -> str:
    """Description of a projection.

    Args:
        kind: name.
        cropped: whether the frames are a part of it.
        turned: whether its pose differs from the front.
    """
    return f"{'cropped ' if cropped else ''}{kind}{' turned away from the front' if turned else ''}"
