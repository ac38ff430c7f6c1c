"""Spatial metadata of a file that players read: of the sphere, and of ambisonics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from avssl.errors import InputError
from avssl.media.matroska_header import MatroskaProjection, read_matroska_projections
from avssl.media.mp4.isobmff import read_header
from avssl.media.mp4.metadata import Ambisonics, Sphere, read_spatial

_KINDS = ("rectangular", "equirectangular", "cubemap", "mesh")


def player_metadata(path: Path) -> tuple[str, ...]:
    """Statements about the metadata of an mp4, mov, webm or mkv that players read.

    Raises:
        OSError: there is no such file.
    """
    try:
        if read_header(path) is not None:
            return tuple(_mp4(path))
    except InputError as error:
        return (f"broken: {error}",)
    return tuple(map(_matroska, read_matroska_projections(path))) or ("none",)


def _mp4(path: Path) -> Iterator[str]:
    spatial = read_spatial(path)
    yield _sphere(spatial.sphere) if spatial.sphere else "no sphere (neither sv3d nor V1 XML): players show it flat"
    yield _ambisonics(spatial.ambisonics) if spatial.ambisonics else "no SA3D: players do not turn the sound"


def _sphere(sphere: Sphere) -> str:
    boxes = [name for name, there in (("V1 XML", sphere.xml), ("V2 sv3d", bool(sphere.source))) if there]
    turned = f", pose {', '.join(f'{each:g}' for each in sphere.pose)} degrees" if any(sphere.pose) else ""
    return f"{' and '.join(boxes) or 'boxes'}: {sphere.projection or 'no projection'}, {sphere.stereo}{turned}"


def _ambisonics(found: Ambisonics) -> str:
    order = " ".join(map(str, found.channel_map))
    locked = ", head-locked stereo" if found.head_locked else ""
    return f"SA3D: order {found.order}, {found.ordering}, {found.normalisation}, channels {order}{locked}"


def _matroska(found: MatroskaProjection) -> str:
    name = _KINDS[found.kind] if found.kind < len(_KINDS) else f"projection {found.kind}"
    pose = f", pose {', '.join(f'{each:g}' for each in found.pose)} degrees" if any(found.pose) else ""
    return f"Matroska projection: {name}{pose}{', stereo' if found.stereo else ''}"
