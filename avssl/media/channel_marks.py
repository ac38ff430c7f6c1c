"""Ambisonic channel orders and normalizations that files declare: wav, Core Audio layouts, SA3D, Opus.

References: M. Leese, File Format for B-Format (.amb); Apple's CoreAudioBaseTypes.h; Google's Spatial Audio RFC; iXML
(functions `ACN0-FOA` and so on); ITU-R BS.2088 and BS.2094 (chna chunk, common definitions of the Audio Definition
Model: SN3D, N3D and FuMa from AC_00040001, 0101 and 0201 on, by ACN); RFC 8486 (ambisonics in Opus).
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avssl.errors import InputError
from avssl.media.chunked_sound import read_chunks
from avssl.media.mp4.track_channels import TrackChannels, read_track_channels
from avssl.media.native_layouts import AMBISONIC_OPUS
from avssl.media.probe import AudioStreamInfo
from avssl.regular_files import open_regular

ABSENT = -1
"""In place of a channel that a file does not have."""
FUMA_HEIGHT = {3: False, 4: True, 5: False, 6: True, 7: False, 8: True, 9: True, 11: True, 16: True}
"""Channels of a B-format file -> whether Z is among them: W X Y (Z) come first at every mixed order."""
_B_FORMAT = bytes.fromhex("2107d3118644c8c1ca000000")
"""Bytes 4 to 15 of the two B-format GUIDs (PCM, float) of WAVE_FORMAT_EXTENSIBLE."""
_SUBFORMAT = slice(28, 40)
_TAG_B_FORMAT, _TAG_ACN_SN3D, _TAG_ACN_N3D, _TAG_DESCRIPTIONS = 107, 190, 191, 0
_LABEL_W, _LABEL_SN3D, _LABEL_N3D = 200, 2 << 16, 3 << 16
_DESCRIPTION = 20
"""Bytes of a channel description in a Core Audio layout."""
_TRACK_UID, _TRACK_REFERENCE = 40, 14
"""Bytes of a track in a chna chunk, and of what comes before its track format."""
_CHANNEL_FORMAT = re.compile(rb"A[TC]_0004([0-9a-fA-F]{4})")
_TRACK = re.compile(rb"<TRACK>(.*?)</TRACK>", re.DOTALL)
_INDEX, _FUNCTION = re.compile(rb"<INTERLEAVE_INDEX>\s*(\d+)"), re.compile(rb"<FUNCTION>\s*ACN(\d+)\b")


@dataclass(frozen=True)
class ChannelMark:
    """Place of the first-order components in a file, by the file's own declaration."""

    marker: str
    """Declaration, for messages."""
    convention: str
    """Order and normalization, see `avssl.spatial.ambisonics.convert`."""
    channels: tuple[int, int, int, int] = (0, 1, 2, 3)
    """Native channel of each component of `convention`; -1: missing."""
    refusal: str = ""
    """Why it cannot be converted; empty if it can."""


def read_channel_mark(path: Path, channels: int) -> ChannelMark | None:
    """Read the ambisonic declaration of a sound file; None if it has none.

    Args:
        path: any file.
        channels: channel count of the sound.

    Raises:
        InputError: no regular file.
        OSError: it cannot be read.
    """
    if path.suffix.lower() == ".amb":
        return _b_format("the suffix .amb", channels)
    with open_regular(path, "sound") as file:
        chunked = read_chunks(file)
    return None if chunked is None else _chunk_mark(chunked.chunks, channels)


def read_stream_mark(path: Path, header: AudioStreamInfo) -> ChannelMark | None:
    """Read the ambisonic declaration of a stream that FFmpeg decodes; None if it has none.

    Args:
        path: any sound or video file.
        header: of the stream.

    Raises:
        InputError: no regular file, or an mp4 whose header is broken or contradicts itself.
        OSError: it cannot be read.
    """
    if found := read_channel_mark(path, header.channels):
        return found
    if header.opus_family == AMBISONIC_OPUS:
        return _complete(ChannelMark("Opus mapping family 2", "ambix"), header.channels)
    tracks = read_track_channels(path)
    if header.track >= len(tracks):
        return None
    track = tracks[header.track]
    if header.codec.startswith("pcm") and track.channels != header.channels:
        raise InputError(
            f"{path}: expected boxes for the {track.channels} channels of its sound, got one for {header.channels}"
        )
    return _above_low_frequencies(_track_mark(track, header.channels), header)


def _chunk_mark(chunks: Mapping[bytes, bytes], channels: int) -> ChannelMark | None:
    if chunks.get(b"fmt ", b"")[_SUBFORMAT] == _B_FORMAT:
        return _b_format("the B-format GUID", channels)
    core_audio = chunks.get(b"chan") or chunks.get(b"CHAN") or b""
    return (
        _core_audio(core_audio, channels)
        or _audio_definition(chunks.get(b"chna", b""), channels)
        or _ixml(chunks.get(b"iXML", b""), channels)
    )


def _track_mark(track: TrackChannels, channels: int) -> ChannelMark | None:
    if track.ambisonics is None:
        return _core_audio(track.core_audio, channels)
    found = track.ambisonics
    marker = "the SA3D box with head-locked stereo" if found.head_locked else "the SA3D box"
    count = (found.order + 1) ** 2 + 2 * found.head_locked
    if found.kind or found.ordering != "ACN" or found.normalisation != "SN3D":
        kind = f"type {found.kind}, {found.ordering}, {found.normalisation}"
        return ChannelMark(marker, "ambix", refusal=f"expected {marker} to say type 0, ACN, SN3D, got {kind}")
    if found.order < 1 or not len(found.channel_map) == count == channels:
        shape = f"order {found.order}, {len(found.channel_map)} channels"
        return ChannelMark(marker, "ambix", refusal=f"expected {marker} to describe {channels} channels, got {shape}")
    if sorted(found.channel_map) != list(range(channels)):
        order = " ".join(map(str, found.channel_map))
        return ChannelMark(marker, "ambix", refusal=f"expected {marker} to name each channel once, got {order}")
    w, y, z, x = found.channel_map[:4]
    return ChannelMark(marker, "ambix", (w, y, z, x))


def _b_format(marker: str, channels: int) -> ChannelMark:
    """FuMa by definition, whatever the order."""
    if channels not in FUMA_HEIGHT:
        counts = ", ".join(map(str, FUMA_HEIGHT))
        return ChannelMark(marker, "fuma", refusal=f"expected {counts} channels by {marker} (FuMa), got {channels}")
    return ChannelMark(marker, "fuma", (0, 1, 2, 3 if FUMA_HEIGHT[channels] else ABSENT))


def _core_audio(layout: bytes, channels: int) -> ChannelMark | None:
    """Mark of an AudioChannelLayout: tag, bitmap, count, descriptions."""
    if len(layout) < 12:
        return None
    tag, _, count = struct.unpack_from(">3I", layout)
    if tag >> 16 == _TAG_B_FORMAT:
        return _b_format("the Core Audio layout B-format", channels)
    if tag >> 16 in (_TAG_ACN_SN3D, _TAG_ACN_N3D):
        convention = "ambix" if tag >> 16 == _TAG_ACN_SN3D else "acn-n3d"
        return _complete(ChannelMark(f"the Core Audio layout {convention}", convention), channels)
    if tag != _TAG_DESCRIPTIONS or count != channels or len(layout) < 12 + _DESCRIPTION * count:
        return None
    return _labelled([struct.unpack_from(">I", layout, 12 + _DESCRIPTION * index)[0] for index in range(count)])


def _labelled(labels: Sequence[int]) -> ChannelMark | None:
    """Mark of channels that are labelled one by one."""
    for first, convention in ((_LABEL_W, "fuma"), (_LABEL_SN3D, "ambix"), (_LABEL_N3D, "acn-n3d")):
        if first in labels:
            found = [labels.index(first + index) if first + index in labels else ABSENT for index in range(4)]
            return _complete(ChannelMark("the channel labels", convention, _four(found)), len(labels))
    return None


def _audio_definition(chunk: bytes, channels: int) -> ChannelMark | None:
    """Mark of the channel formats of the Audio Definition Model, common definitions of ambisonics."""
    places: dict[tuple[int, int], int] = {}
    for at in range(4, len(chunk) - _TRACK_UID + 1, _TRACK_UID):
        if (form := _CHANNEL_FORMAT.match(chunk, at + _TRACK_REFERENCE)) and (number := int(form[1], 16)):
            places.setdefault((number >> 8, (number & 255) - 1), struct.unpack_from("<H", chunk, at)[0] - 1)
    for family, convention in enumerate(("ambix", "acn-n3d", "fuma")):
        if (family, 0) in places:
            order = (0, 3, 1, 2) if convention == "fuma" else (0, 1, 2, 3)
            found = [places.get((family, component), ABSENT) for component in order]
            return _complete(ChannelMark("the audio definition model", convention, _four(found)), channels)
    return None


def _ixml(text: bytes, channels: int) -> ChannelMark | None:
    """Mark of the track list of a recorder."""
    places: dict[int, int] = {}
    for track in _TRACK.findall(text):
        index, function = _INDEX.search(track), _FUNCTION.search(track)
        if index and function:
            places.setdefault(int(function[1]), int(index[1]) - 1)
    if not places:
        return None
    found = [places.get(component, ABSENT) for component in range(4)]
    return _complete(ChannelMark("the iXML track list", "ambix", _four(found)), channels)


def _four(found: Sequence[int]) -> tuple[int, int, int, int]:
    one, two, three, four = found
    return one, two, three, four


def _complete(mark: ChannelMark, channels: int) -> ChannelMark:
    """The mark, refused unless W and two more components are among the channels of the file."""
    there = [channel for channel in mark.channels if 0 <= channel < channels]
    whole = mark.channels[0] in there and len(set(there)) == len(there) >= 3
    if whole and all(channel in there or channel == ABSENT for channel in mark.channels):
        return mark
    refusal = f"expected first-order components in {mark.marker}, got other ones in {channels} channels"
    return ChannelMark(mark.marker, mark.convention, refusal=refusal)


def _above_low_frequencies(mark: ChannelMark | None, header: AudioStreamInfo) -> ChannelMark | None:
    """The mark, refused if a component is on the low-frequency channel of a lossy codec, cut at some hundred Hz."""
    place = 2 if header.layout == "2.1" else 3
    lossless = header.codec.startswith(("pcm", "flac", "alac", "wavpack"))
    surround = re.match(r"[2-7]\.1", header.layout)
    if mark is None or mark.refusal or lossless or not surround or place not in mark.channels:
        return mark
    component = ("WXYZ" if mark.convention == "fuma" else "WYZX")[mark.channels.index(place)]
    refusal = f"expected {component} over all frequencies, {mark.marker} puts it on the low-frequency channel of"
    refusal = f"{refusal} {header.layout} {header.codec}, which ends at some hundred Hz"
    return ChannelMark(mark.marker, mark.convention, refusal=refusal)


def is_square(channels: int) -> bool:
    """Whether ambisonics of a full-sphere order of 1 or more have this number of channels."""
    return channels >= 4 and math.isqrt(channels) ** 2 == channels
