"""Sound tracks of a film: decoded in blocks, as a sound field of first order or as left and right."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avssl.errors import InputError
from avssl.media.audio_segments import read_resampled
from avssl.media.channel_layouts import check_name, find_layout
from avssl.media.streams import AudioReader
from avssl.plugins import hint
from avssl.spatial.ambisonics import gains

RATE = 48000
"""Hz of all sound in the page, whatever that of the file."""
BLOCK_SECONDS = 1.0
"""Length of a block: a page holds a few, and waits for one after a seek."""
TRIED = 10.0
"""Seconds that tell YouTube's ambisonics in six-channel AAC from 5.1."""
PEAK = 32767
LOUDSPEAKERS = {
    "5.1": (30.0, -30.0, 0.0, None, 110.0, -110.0),
    "7.1": (30.0, -30.0, 0.0, None, 135.0, -135.0, 90.0, -90.0),
}
"""Degrees to the left of the front, in FFmpeg's channel order; None: low frequencies, from nowhere."""


@dataclass(frozen=True)
class SoundTrack:
    """One of the sound tracks of a film."""

    name: str
    path: Path
    stream: int
    """Index of the audio stream in the file."""
    seconds: float
    """Length by the header."""
    layout: str
    """Name of the channel layout of the file."""
    matrix: Tensor
    """`(4 or 2, channels of the file)`: to ambiX W, Y, Z, X, or to left and right, which do not turn with the view."""

    @property
    def channels(self) -> int:
        """4: a sound field; 2: left and right."""
        return len(self.matrix)

    def samples(self, start: float, seconds: float) -> Tensor:
        """Sound `(4 or 2, round(seconds * RATE))` from a start in seconds; zeros after the end of the file.

        Raises:
            InputError: the file cannot be read, or breaks off.
        """
        if start >= self.seconds:
            return torch.zeros(self.channels, round(seconds * RATE))
        return self.matrix @ read_resampled(self.path, start, seconds, RATE, stream=self.stream)


def pack_block(samples: Tensor) -> bytes:
    """A block for the page: full scale as float32, then all samples of each channel in turn as int16, little-endian.

    Args:
        samples: `(channels, samples)`; above full scale 1, the block's peak is its full scale.
    """
    scale = max(1.0, float(samples.abs().max()) if samples.numel() else 1.0)
    return struct.pack("<f", scale) + (samples.numpy() * (PEAK / scale)).round().astype("<i2").tobytes()


def open_track(name: str, path: Path, layout: str, panoramic: bool) -> SoundTrack:
    """Open a sound track.

    Args:
        name: of the track in the page.
        path: any file with audio.
        layout: auto; one of `avssl.media.channel_layouts.NAMES`, stereo, binaural, or one of `LOUDSPEAKERS`.
        panoramic: the film is a 360-degree one: mono is W only, and six-channel AAC may be YouTube's ambisonics.

    Raises:
        InputError: no audio, or channels that are not of this layout.
    """
    audio = AudioReader(path)
    try:
        chosen, matrix = _matrix(audio, layout, panoramic)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return SoundTrack(name, path, audio.stream, float(audio.seconds), chosen, matrix)


def check_layout(name: str) -> None:
    """Check the name of a channel layout.

    Raises:
        InputError: unknown.
    """
    if name in LOUDSPEAKERS:
        return
    try:
        check_name(name)
    except InputError as error:
        raise InputError(f"{error}, {', '.join(LOUDSPEAKERS)}{hint(name, LOUDSPEAKERS)}") from error


def _matrix(audio: AudioReader, layout: str, panoramic: bool) -> tuple[str, Tensor]:
    """Name of the layout, and the matrix of it."""
    if layout == "auto":
        layout = _recognised(audio, panoramic)
    if layout == "mono":
        return layout, torch.tensor([[1.0], [0.0], [0.0], [0.0]]) if panoramic else torch.ones(2, 1)
    if layout in ("stereo", "binaural"):
        _check_count(layout, 2, audio.channels)
        return layout, torch.eye(2)
    if layout in LOUDSPEAKERS:
        _check_count(layout, len(LOUDSPEAKERS[layout]), audio.channels)
        return layout, _surround(layout)
    found = find_layout(layout, audio.channels, audio.codec, audio.mark)
    return found.name, found.to_ambix(torch.eye(audio.channels))


def _recognised(audio: AudioReader, panoramic: bool) -> str:
    """Name of a layout by the number of channels; auto where it is ambisonics."""
    if audio.channels <= 2:
        return "mono" if audio.channels == 1 else "stereo"
    if audio.mark is None and audio.channels == 8:
        return "7.1"
    if audio.mark is None and audio.channels == 6 and not (panoramic and _is_youtube(audio)):
        return "5.1"
    return "auto"


def _is_youtube(audio: AudioReader) -> bool:
    """Whether six-channel AAC leaves the channels silent that YouTube's ambisonics do not use."""
    if audio.codec != "aac":
        return False
    block = next(audio.play(TRIED))
    try:
        find_layout("youtube-327", audio.channels, audio.codec, None).check_unused(block.square().sum(1))
    except InputError:
        return False
    return True


def _surround(layout: str) -> Tensor:
    """Loudspeakers as plane waves from their directions; the low-frequency channel in W alone."""
    found = [
        torch.tensor([1.0, 0.0, 0.0, 0.0]) if angle is None else gains(math.radians(angle), 0.0)
        for angle in LOUDSPEAKERS[layout]
    ]
    return torch.stack(found, 1).float()


def _check_count(layout: str, expected: int, channels: int) -> None:
    if channels != expected:
        raise InputError(f"{layout} sound has {expected} channels, this has {channels}; leave out --channel-layout")


def unpack_block(block: bytes, channels: int) -> np.ndarray:
    """Samples `(channels, samples)`, float32, of a block of `pack_block`."""
    (scale,) = struct.unpack_from("<f", block)
    whole = np.frombuffer(block, "<i2", offset=4).astype(np.float32) * np.float32(scale / PEAK)
    return whole.reshape(channels, -1)
