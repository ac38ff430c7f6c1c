"""Projection and stereo mode of Matroska and WebM video tracks (RFC 9559, section 5.1.4.1.28)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

from avssl.regular_files import open_regular

_SEGMENT, _TRACKS, _ENTRY, _TYPE, _VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0x83, 0xE0
_STEREO, _PROJECTION, _KIND, _PRIVATE = 0x53B8, 0x7670, 0x7671, 0x7672
_POSE = (0x7673, 0x7674, 0x7675)
LARGEST_TRACKS = 1 << 24
"""Maximum bytes of the Tracks element; codec headers have a few kB."""
MOST_ELEMENTS = 100_000
"""Maximum top-level elements before Tracks."""


class MatroskaProjection(NamedTuple):
    """Spatial elements of one video track."""

    kind: int = 0
    """ProjectionType: 0 rectangular, 1 equirectangular, 2 cubemap, 3 mesh."""
    private: bytes = b""
    """ProjectionPrivate: the body of the equi, cbmp or mshp box."""
    pose: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Yaw, pitch and roll in degrees."""
    stereo: int = 0
    """StereoMode."""


def read_matroska_projections(path: Path) -> list[MatroskaProjection]:
    """Spatial elements of the video tracks of a Matroska file, in stored order; empty where the header is broken.

    Raises:
        OSError: there is no such file.
    """
    with open_regular(path, "a Matroska file") as file:
        for kind, size in _top_level(file):
            if kind == _TRACKS and size is not None and size <= LARGEST_TRACKS:
                return [_projection(body) for body in _entries(file.read(size))]
    return []


def _top_level(file: IO[bytes]) -> Iterator[tuple[int, int | None]]:
    """Identifier and size of the elements of the segment; the file stands at the body of each."""
    at = 0
    for _ in range(MOST_ELEMENTS):
        file.seek(at)
        header = _header(file.read(12))
        if header is None:
            return
        kind, size, length = header
        at += length
        if kind == _SEGMENT:
            continue
        file.seek(at)
        yield kind, size
        if size is None:
            return  # a live cluster: elements after it are found only by reading it
        at += size


def _header(data: bytes) -> tuple[int, int | None, int] | None:
    """Identifier, size (None: unknown) and length of an element's header; None where there is none."""
    if not data or not data[0]:
        return None
    width = 9 - data[0].bit_length()
    if width > 4 or len(data) <= width or not data[width]:
        return None
    digits = 9 - data[width].bit_length()
    if len(data) < width + digits:
        return None
    value = int.from_bytes(data[width : width + digits], "big") & ((1 << 7 * digits) - 1)
    unknown = value == (1 << 7 * digits) - 1
    return int.from_bytes(data[:width], "big"), None if unknown else value, width + digits


def _children(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while header := _header(data[at : at + 12]):
        kind, size, length = header
        end = len(data) if size is None else at + length + size
        yield kind, data[at + length : end]
        at = end


def _entries(tracks: bytes) -> Iterator[dict[int, bytes]]:
    """Children of the entry of each video track."""
    for kind, body in _children(tracks):
        fields = dict(_children(body)) if kind == _ENTRY else {}
        if _number(fields.get(_TYPE, b"")) == 1:
            yield fields


def _projection(entry: dict[int, bytes]) -> MatroskaProjection:
    video = dict(_children(entry.get(_VIDEO, b"")))
    fields = dict(_children(video.get(_PROJECTION, b"")))
    yaw, pitch, roll = (_real(fields.get(name, b"")) for name in _POSE)
    kind, stereo = _number(fields.get(_KIND, b"")), _number(video.get(_STEREO, b""))
    return MatroskaProjection(kind, fields.get(_PRIVATE, b""), (yaw, pitch, roll), stereo)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big")


def _real(data: bytes) -> float:
    return float(struct.unpack(">f" if len(data) == 4 else ">d", data)[0]) if len(data) in (4, 8) else 0.0
