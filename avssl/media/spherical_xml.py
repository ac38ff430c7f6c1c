"""Spherical Video V1 and GPano XML: projection, stereo mode and crop of equirectangular frames.

References: Google's Spherical Video RFC, and Photo Sphere XMP Metadata.
"""

from __future__ import annotations

import re

from avssl.media.declared_projection import EQUIRECTANGULAR, DeclaredProjection, describe_projection

_FIELD = re.compile(r"""(?<![/\w])\w{1,40}:(\w{1,40})\s*(?:=\s*["']([^"'<]{0,80})["']|>\s*([^<]{0,80})<)""")
"""Element or attribute of any namespace prefix: files in the wild use GSpherical, GPano and their own."""
_SIZES = (
    ("CroppedAreaImageWidthPixels", "FullPanoWidthPixels"),
    ("CroppedAreaImageHeightPixels", "FullPanoHeightPixels"),
)
_OFFSETS = ("CroppedAreaLeftPixels", "CroppedAreaTopPixels")
_POSE = ("InitialViewHeadingDegrees", "InitialViewPitchDegrees", "InitialViewRollDegrees", "PoseHeadingDegrees",
         "PosePitchDegrees", "PoseRollDegrees")  # fmt: skip
"""FFmpeg reads the initial view as the pose."""


def parse_spherical_xml(text: str) -> DeclaredProjection:
    """Statement of a V1 or GPano XML, in elements or attributes; empty where it says nothing of the projection."""
    if "GSpherical" not in text and "GPano" not in text:
        return DeclaredProjection()  # another program's XMP
    fields = {name: (attribute or element).strip() for name, attribute, element in _FIELD.findall(text)}
    kind = fields.get("ProjectionType", "").lower()
    if not kind and fields.get("Spherical", fields.get("UsePanoramaViewer", "")).lower() == "true":
        kind = EQUIRECTANGULAR
    stereo = fields.get("StereoMode", "").lower()
    return DeclaredProjection(
        kind and describe_projection(kind, cropped=_is_cropped(fields), turned=_is_turned(fields)),
        "" if stereo == "mono" else stereo,
    )


def _is_cropped(fields: dict[str, str]) -> bool:
    """Whether the frames are a part of the sphere; sizes that are not numbers are not those of a whole one."""
    pairs = [(fields[part], fields[whole]) for part, whole in _SIZES if part in fields and whole in fields]
    return any(_number(part) != _number(whole) for part, whole in pairs) or any(
        _number(fields.get(name, "0")) != 0 for name in _OFFSETS
    )


def _is_turned(fields: dict[str, str]) -> bool:
    return any(_number(fields.get(name, "0")) != 0 for name in _POSE)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
