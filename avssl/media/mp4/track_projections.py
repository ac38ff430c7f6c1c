"""Projection boxes of one video track of an mp4 or mov, read without the rest of its header."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from avssl.errors import InputError
from avssl.media.mp4.isobmff import box_positions, parse_descriptions
from avssl.media.mp4.metadata import XML, Sphere, described_spheres
from avssl.regular_files import open_regular

LARGEST = 1 << 20
"""Maximum bytes of a box that is read; codec headers and XML have a few kB."""
XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
"""UUID of an XMP box, where GPano statements lie."""
_TO_DESCRIPTIONS = (b"mdia", b"minf", b"stbl", b"stsd")


def read_track_projections(path: Path, track: int) -> tuple[list[Sphere], list[str]]:
    """Spatial metadata of a video track.

    Args:
        path: mp4 or mov.
        track: track identifier of its header.

    Returns:
        One sphere for each sample description that has boxes of it, and the texts of V1 XML and XMP boxes of the track,
        the header and the file.

    Raises:
        InputError: broken boxes.
        OSError: there is no such file.
    """
    with open_regular(path, "an mp4") as file:
        size = file.seek(0, 2)
        texts = [text for place in [(0, size), *_below(file, 0, size, (b"moov",))] for text in _texts(file, *place)]
        for begin, end in _below(file, 0, size, (b"moov", b"trak")):
            if _identifier(file, begin, end) == track:
                return _spheres(path, file, begin, end), texts + _texts(file, begin, end)
    return [], texts


def _below(file: IO[bytes], begin: int, end: int, kinds: tuple[bytes, ...]) -> Iterator[tuple[int, int]]:
    """Begin and end of the bodies of all boxes down a path of kinds."""
    for place, body in box_positions(file, begin, end):
        if place.kind == kinds[0]:
            if len(kinds) == 1:
                yield body, place.end
            else:
                yield from _below(file, body, place.end, kinds[1:])


def _body(file: IO[bytes], begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(min(end - begin, LARGEST))


def _identifier(file: IO[bytes], begin: int, end: int) -> int:
    """Identifier of a track by its tkhd box; 0, which no track has, where it is missing or broken."""
    for place in _below(file, begin, end, (b"tkhd",)):
        body = _body(file, *place)
        at = 20 if body[:1] == b"\1" else 12
        return int.from_bytes(body[at : at + 4], "big")
    return 0


def _spheres(path: Path, file: IO[bytes], begin: int, end: int) -> list[Sphere]:
    try:
        tables = [
            parse_descriptions(_body(file, *place), b"vide") for place in _below(file, begin, end, _TO_DESCRIPTIONS)
        ]
        return [sphere for table in tables for sphere in described_spheres(table)]
    except (struct.error, ValueError) as error:
        raise InputError(f"{path}: expected an mp4, the sample descriptions of its video track are broken") from error


def _texts(file: IO[bytes], begin: int, end: int) -> list[str]:
    bodies = (_body(file, *place) for place in _below(file, begin, end, (b"uuid",)))
    return [body[16:].decode("utf-8", "replace") for body in bodies if body[:16] in (XML, XMP)]
