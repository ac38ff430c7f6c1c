"""Channel declarations of the sound tracks of an mp4 or mov: SA3D and chan boxes."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import NamedTuple

from avssl.errors import InputError
from avssl.media.mp4.isobmff import Box, read_header
from avssl.media.mp4.metadata import Ambisonics, parse_ambisonics


class TrackChannels(NamedTuple):
    """Declarations of one sound track."""

    ambisonics: Ambisonics | None
    """SA3D box."""
    core_audio: bytes
    """AudioChannelLayout of the chan box; empty without one."""
    channels: int
    """Channels by the sample description itself; not reliable for AAC."""


def read_track_channels(path: Path) -> list[TrackChannels]:
    """Channel declarations of all sound tracks, in stored order; none of a file that is no mp4 or mov.

    Raises:
        OSError: there is no such file.
        InputError: a broken header.
    """
    header = read_header(path)
    try:
        return [_declared(track) for track in header.all(b"trak") if _is_sound(track)] if header else []
    except struct.error as error:
        raise InputError(f"{path}: expected an mp4, the boxes of its sound are broken") from error


def _is_sound(track: Box) -> bool:
    handler = track.find(b"mdia", b"hdlr")
    return handler is not None and handler.body[8:12] == b"soun"


def _declared(track: Box) -> TrackChannels:
    entry = track.find(b"mdia", b"minf", b"stbl", b"stsd")
    description = entry.children[0] if entry is not None and entry.children else Box(b"")
    spatial, core_audio = description.find(b"SA3D"), description.find(b"chan")
    ambisonics = parse_ambisonics(spatial) if spatial is not None else None
    layout = core_audio.body[4:] if core_audio is not None else b""
    return TrackChannels(ambisonics, layout, _count(description.body))


def _count(entry: bytes) -> int:
    """Channel count of an audio sample entry; that of QuickTime's version 2 is another field."""
    version, count = struct.unpack_from(">H6xH", entry, 8)
    return int(struct.unpack_from(">I", entry, 40)[0] if version == 2 else count)
