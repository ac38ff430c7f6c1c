"""All that the header of a video says about its projection: boxes, elements, XML, and FFmpeg's side data."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from avssl.media.declared_projection import DeclaredProjection, describe_projection, strictest
from avssl.media.matroska_header import MatroskaProjection, read_matroska_projections
from avssl.media.mp4.metadata import Sphere
from avssl.media.mp4.track_projections import read_track_projections
from avssl.media.spherical_xml import parse_spherical_xml

TWO_VIEW = "two-view"
MULTI_VIEW = "hevc"
"""Codec whose second view is a layer of its own, which FFmpeg does not decode unless asked to."""
# FFmpeg's AVSphericalProjection and AVStereo3DType (libavutil 60); the tile is a part of a sphere.
_PROJECTIONS = ("equirectangular", "cubemap", "cropped equirectangular", "half equirectangular", "rectilinear",
                "fisheye", "parametric immersive")  # fmt: skip
_STEREO = ("", "side-by-side", "top-bottom", "frame-sequential", "checkerboard", "side-by-side", "interlaced", "column",
           TWO_VIEW)  # fmt: skip
_ONE_EYE = (1, 2)
"""FFmpeg's AVStereo3DView: left, right."""
# ProjectionType and StereoMode of Matroska (RFC 9559). A rectangular projection is the default, and carries rotations.
_MATROSKA = ("", "equirectangular", "cubemap", "mesh")
_MATROSKA_STEREO = ("", "left-right", "bottom-top", "top-bottom", "checkerboard", "checkerboard", "interlaced",
                    "interlaced", "column", "column", "anaglyph", "right-left", "anaglyph", "frame-sequential",
                    "frame-sequential")  # fmt: skip
XML_TAG = "SPHERICAL-VIDEO"
"""Tag of V1 XML in WebM."""


def declared_projection(path: Path, stream: VideoStream, frame: VideoFrame) -> DeclaredProjection:
    """Projection and stereo mode of a video stream; the strictest where headers disagree.

    Args:
        path: the file.
        stream: of its open container.
        frame: a decoded frame of the stream.

    Raises:
        InputError: broken boxes.
    """
    one_view = stream.codec_context.name == MULTI_VIEW
    return strictest([*_container_statements(path, stream), _side_data(frame, one_view)])


def _container_statements(path: Path, stream: VideoStream) -> Iterator[DeclaredProjection]:
    container = stream.container
    assert isinstance(container, InputContainer)
    formats = container.format.name.split(",")
    texts = [text for tags in (stream.metadata, container.metadata) for name, text in tags.items()
             if name.upper() == XML_TAG]  # fmt: skip
    if "mp4" in formats:
        spheres, more = read_track_projections(path, stream.id)
        texts += more
        yield from map(_of_sphere, spheres)
    if "matroska" in formats:
        number = [each.index for each in container.streams if each.type == "video"].index(stream.index)
        yield from map(_of_matroska, read_matroska_projections(path)[number : number + 1])
    yield from map(parse_spherical_xml, texts)


def _of_sphere(sphere: Sphere) -> DeclaredProjection:
    kind = sphere.projection
    described = kind and describe_projection(kind, cropped=any(sphere.bounds), turned=any(sphere.pose))
    return DeclaredProjection(described, "" if sphere.stereo == "mono" else sphere.stereo)


def _of_matroska(found: MatroskaProjection) -> DeclaredProjection:
    kind = _MATROSKA[found.kind] if found.kind < len(_MATROSKA) else f"projection {found.kind}"
    cropped = found.kind == 1 and any(found.private[4:20])
    described = kind and describe_projection(kind, cropped=cropped, turned=any(found.pose))
    known = found.stereo < len(_MATROSKA_STEREO)
    return DeclaredProjection(described, _MATROSKA_STEREO[found.stereo] if known else f"mode-{found.stereo}")


def _side_data(frame: VideoFrame, one_view: bool) -> DeclaredProjection:
    """Statement of FFmpeg, from the container or the bit stream; `one_view`: two views are not in one frame."""
    projection = stereo = ""
    entries: Any = frame.side_data  # typed as a mapping of names, iterates over entries
    for data in entries:
        if data.type == Type.SPHERICAL:
            kind, *pose = struct.unpack("<4i", bytes(data)[:16])
            name = _PROJECTIONS[kind] if kind < len(_PROJECTIONS) else f"projection {kind}"
            projection = describe_projection(name, cropped=False, turned=any(pose))
        elif data.type == Type.STEREO3D:
            kind, view = struct.unpack("<i4xi", bytes(data)[:12])
            stereo = _STEREO[kind] if kind < len(_STEREO) else f"mode-{kind}"
            stereo = "" if stereo == TWO_VIEW and (one_view or view in _ONE_EYE) else stereo
    return DeclaredProjection(projection, stereo)
