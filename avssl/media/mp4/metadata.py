"""Spatial metadata of mp4 files: SA3D (ambisonics), st3d and sv3d (spherical video), and V1 XML.

References: Google's Spatial Audio RFC, Spherical Video V2 RFC and Spherical Video RFC.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from xml.sax.saxutils import escape

from avssl.errors import InputError
from avssl.media.mp4.isobmff import Box, full_box, read_header

SOURCE = "avssl"
"""Metadata source written to the boxes."""
XML = bytes.fromhex("ffcc8263f8554a938814587a02521fdd")
"""UUID of the Spherical Video V1 XML box."""
_STEREO = ("mono", "top-bottom", "left-right", "custom", "right-left")
_OPTIONAL = {b"pasp", b"clap", b"colr", b"btrt", b"fiel", b"mdcv", b"clli"}
_PROJECTIONS = {b"equi": "equirectangular", b"cbmp": "cubemap", b"mshp": "mesh"}


@dataclass(frozen=True)
class Ambisonics:
    """An SA3D box."""

    order: int
    channel_map: tuple[int, ...]
    """Channel of each ambisonic component, in ACN order: 0 2 3 1 for W X Y Z; head-locked stereo follows."""
    ordering: str = "ACN"
    normalisation: str = "SN3D"
    head_locked: bool = False
    """Whether head-locked stereo follows the ambisonic channels."""
    kind: int = 0
    """Ambisonic type; the RFC defines 0, periphonic."""


@dataclass(frozen=True)
class Sphere:
    """Projection metadata of a video track."""

    projection: str
    """equirectangular, cubemap, mesh, another box's code, or empty for stereo alone."""
    stereo: str = "mono"
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Yaw, pitch and roll in degrees."""
    bounds: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0)
    """Cropped fractions at top, bottom, left and right."""
    source: str = ""
    """Metadata source (software name)."""
    xml: bool = False
    """Whether V1 XML is present."""


@dataclass(frozen=True)
class Spatial:
    """Spatial metadata of a file; None where absent."""

    ambisonics: Ambisonics | None
    sphere: Sphere | None


def read_spatial(path: Path | str) -> Spatial:
    """Read the spatial metadata of an mp4 or mov, from the first track that has any.

    Raises:
        OSError: there is no such file.
        InputError: no mp4, or one with a broken header.
    """
    path = Path(path)
    header = read_header(path)
    if header is None:
        raise InputError(f"{path}: expected an mp4 or mov, it has no moov box")
    try:
        audio_streams = [parse_ambisonics(box) for entry in entries(header) for box in entry.all(b"SA3D")]
        spheres = [sphere for track in header.all(b"trak") if (sphere := _sphere(track))]
    except struct.error as error:
        raise InputError(f"{path}: expected an mp4, its spatial metadata boxes are broken") from error
    return Spatial(next(iter(audio_streams), None), next(iter(spheres), None))


def entries(header: Box) -> list[Box]:
    """The sample descriptions of all tracks."""
    return [entry for table in header.all(b"trak", b"mdia", b"minf", b"stbl", b"stsd") for entry in table.children]


def mark_ambisonics(entry: Box, channel_map: Sequence[int] = (0, 1, 2, 3)) -> None:
    """Add an SA3D box to an audio sample description: ambiX (ACN, SN3D)."""
    order = math.isqrt(len(channel_map)) - 1
    numbers = struct.pack(">BBIBBI", 0, 0, order, 0, 0, len(channel_map))
    entry.drop(b"SA3D")
    entry.children.append(Box(b"SA3D", numbers + struct.pack(f">{len(channel_map)}I", *channel_map)))


def mark_sphere(track: Box) -> None:
    """Mark a video track as full monoscopic equirectangular, front in the centre."""
    for entry in track.all(b"mdia", b"minf", b"stbl", b"stsd"):
        for description in entry.children:
            _mark_entry(description)
    track.children = [child for child in track.children if not _is_xml(child)] + [Box(b"uuid", XML + _xml())]


def clear_sphere(track: Box) -> None:
    """Remove spherical metadata from a video track."""
    track.children = [child for child in track.children if not _is_xml(child)]
    for entry in track.all(b"mdia", b"minf", b"stbl", b"stsd"):
        for description in entry.children:
            description.drop(b"st3d", b"sv3d")


def _mark_entry(entry: Box) -> None:
    """Insert st3d and sv3d after the decoder configuration and before optional boxes (V2 RFC)."""
    entry.drop(b"st3d", b"sv3d")
    pose = full_box(b"prhd", struct.pack(">3i", 0, 0, 0))
    bounds = full_box(b"equi", struct.pack(">4I", 0, 0, 0, 0))
    about = full_box(b"svhd", SOURCE.encode() + b"\0")
    sphere = Box(b"sv3d", b"", [about, Box(b"proj", b"", [pose, bounds])])
    at = next((i for i, child in enumerate(entry.children) if child.kind in _OPTIONAL), len(entry.children))
    entry.children[at:at] = [full_box(b"st3d", b"\0"), sphere]


def _xml() -> bytes:
    said = {"Spherical": "true", "Stitched": "true", "StitchingSoftware": SOURCE, "ProjectionType": "equirectangular"}
    inside = "".join(f"<GSpherical:{name}>{escape(value)}</GSpherical:{name}>" for name, value in said.items())
    return (
        '<?xml version="1.0"?><rdf:SphericalVideo xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        f'xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/">{inside}</rdf:SphericalVideo>'
    ).encode()


def _is_xml(box: Box) -> bool:
    return box.kind == b"uuid" and box.body[:16] == XML


def parse_ambisonics(box: Box) -> Ambisonics:
    """Content of an SA3D box.

    Raises:
        struct.error: a broken box.
    """
    _, kind, order, ordering, normalisation, count = struct.unpack_from(">BBIBBI", box.body)
    channel_map = struct.unpack_from(f">{count}I", box.body, 12) if count <= len(box.body) else ()
    return Ambisonics(
        order,
        channel_map,
        "ACN" if ordering == 0 else f"ordering {ordering}",
        "SN3D" if normalisation == 0 else f"normalisation {normalisation}",
        bool(kind & 0x80),
        kind & 0x7F,
    )


def _sphere(track: Box) -> Sphere | None:
    xml = any(_is_xml(child) and b"equirectangular" in child.body for child in track.children)
    for table in track.all(b"mdia", b"minf", b"stbl", b"stsd"):
        for sphere in described_spheres(table):
            return replace(sphere, xml=xml)
    return Sphere("equirectangular", xml=True) if xml else None


def described_spheres(table: Box) -> list[Sphere]:
    """Spatial metadata of the sample descriptions of a video track (stsd) that have any.

    Raises:
        struct.error: a broken box.
    """
    boxes = [(entry.find(b"sv3d"), entry.find(b"st3d")) for entry in table.children]
    return [_described(sphere, stereo) for sphere, stereo in boxes if sphere is not None or stereo is not None]


def _described(sphere: Box | None, stereo: Box | None) -> Sphere:
    kind = stereo.body[4] if stereo is not None and len(stereo.body) > 4 else 0
    described = _projected(sphere) if sphere is not None else Sphere("")
    return replace(described, stereo=_STEREO[kind] if kind < len(_STEREO) else f"mode-{kind}")


def _projected(sphere: Box) -> Sphere:
    """Projection of an sv3d box; a kind of box that the RFC does not know is named."""
    source, pose, bounds = sphere.find(b"svhd"), sphere.find(b"proj", b"prhd"), sphere.find(b"proj", b"equi")
    children = [child.kind for box in sphere.all(b"proj") for child in box.children if child.kind != b"prhd"]
    kinds = [_PROJECTIONS.get(kind) or printable_kind(kind) for kind in children]
    others = [kind for kind in kinds if kind != "equirectangular"]
    yaw, pitch, roll = struct.unpack_from(">3i", pose.body, 4) if pose else (0, 0, 0)
    top, bottom, left, right = struct.unpack_from(">4I", bounds.body, 4) if bounds else (0, 0, 0, 0)
    return Sphere(
        projection=next(iter(others), "equirectangular" if kinds else "unnamed projection"),
        pose=(yaw / 65536, pitch / 65536, roll / 65536),
        bounds=(top / 2**32, bottom / 2**32, left / 2**32, right / 2**32),
        source=source.body[4:].split(b"\0")[0].decode(errors="replace") if source else "",
    )


def printable_kind(kind: bytes) -> str:
    """Name of a projection by its four-character code."""
    return f"projection {kind.decode('ascii', 'backslashreplace')!r}"
