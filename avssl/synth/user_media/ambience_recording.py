"""Ambience of scenes from a user's first-order recordings: excerpts, turned in azimuth, looped where they are short."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.errors import InputError
from avssl.media import read_resampled
from avssl.media.channel_layouts import ChannelLayout, find_layout
from avssl.media.streams import AudioReader
from avssl.spatial.ambisonics import rotate, rotation
from avssl.synth.scene_format import Format
from avssl.synth.user_media.media_files import Split, Splitter, digest, find_files, read_each, split_files

EXPECTED = "a folder of first-order recordings"
SUFFIXES = (
    ".wav", ".wave", ".flac", ".caf", ".aif", ".aiff", ".amb", ".w64", ".rf64", ".ogg", ".opus", ".mka", ".m4a",
    ".mp4", ".mkv", ".webm", ".mov",
)  # fmt: skip
SHORTEST = 0.5
"""Minimum length of a recording, s."""
FADE = 0.5
"""Longest cross-fade of a loop, s; a quarter of a shorter recording."""
BLOCK = 10.0
"""Seconds that are read at once to find sound."""
SILENT = 1e-5
"""Peak up to which a recording is silent."""


@dataclass(frozen=True)
class Recording:
    """A recording of first order."""

    path: Path
    stream: int
    layout: ChannelLayout
    seconds: float


@dataclass(frozen=True)
class AmbienceExcerpt:
    """A part of a recording."""

    recording: Recording
    position: float
    """0..1; where it begins: 0 and 1 are the earliest and the latest beginning."""
    yaw: float
    """Radians by which it is turned."""
    snr: float
    """Decibels by which it lies below the sources."""

    def audio(self, form: Format) -> NDArray[np.float32]:
        """Background sound of a scene, ambiX: float32 `(4, samples)` of unit power in W; zeros where it is silent."""
        samples = len(form.sample_times())
        foa = self._turned(form.sample_rate, samples)
        power = float(foa[0].square().mean().sqrt())
        return np.asarray((foa / power if power > SILENT else torch.zeros_like(foa)).numpy(), np.float32)

    def _turned(self, rate: int, samples: int) -> Tensor:
        seconds = samples / rate
        spare = self.recording.seconds - seconds
        if spare >= 0:
            foa = _read(self.recording, self.position * spare, seconds, rate)
        else:
            foa = _looped(_read(self.recording, 0.0, self.recording.seconds, rate), self.position, samples, rate)
        return rotate(foa, rotation(self.yaw))


def _read(recording: Recording, start: float, seconds: float, rate: int) -> Tensor:
    """A part of a recording as ambiX `(4, samples)`."""
    native = read_resampled(recording.path, start, seconds, rate, None, recording.stream)
    if not bool(native.isfinite().all()):
        raise InputError(f"{recording.path}: expected finite samples, the sound contains NaN or Inf")
    return recording.layout.to_ambix(native)


def _looped(foa: Tensor, position: float, samples: int, rate: int) -> Tensor:
    """A short recording again and again; its end fades into its beginning at constant power.

    Args:
        foa: `(4, length)`.
        position: 0..1 of a period at which the loop begins.
        samples: how many are wanted.
        rate: Hz.
    """
    fade = min(round(FADE * rate), foa.shape[1] // 4)
    period = foa.shape[1] - fade
    ramp = torch.linspace(0, math.pi / 2, fade + 2)[1:-1]
    loop = foa[:, :period].clone()
    loop[:, :fade] = loop[:, :fade] * ramp.sin() + foa[:, period:] * ramp.cos()
    return loop[:, (torch.arange(samples) + int(position * period)) % period]


def load_recordings(
    folder: Path, layout: str, splitter: Splitter, rng: np.random.Generator, failures: list[str]
) -> tuple[Split[Recording], str]:
    """Recordings of a folder, split, and their identity.

    Args:
        folder: of sound or video files, subfolders included; those of one subfolder are in one split.
        layout: auto, or one of `avssl.media.channel_layouts.NAMES`.
        splitter: decides what is for test scenes.
        rng: where the randomness comes from.
        failures: takes a line for each file that cannot be read.

    Raises:
        InputError: no file, one that is not ambisonic, or too few for two splits.
    """
    found = read_each(find_files(folder, SUFFIXES, EXPECTED), _header, failures)
    items = [(path, _recording(*header, layout)) for path, header in found]
    return split_files(folder, items, splitter, rng, "recordings"), digest(folder, [path for path, _ in found])


def _header(path: Path) -> tuple[AudioReader, Tensor]:
    """The sound of a file, and the energy of its channels in the first block that is not silent.

    Raises:
        InputError: it cannot be read, is silent, or too short.
    """
    reader = AudioReader(path)
    if not reader.length() >= SHORTEST:
        raise InputError(f"{path}: expected a recording of at least {SHORTEST:g} s, got {reader.length():.2f} s")
    for block in reader.play(BLOCK):
        if float(block.abs().max()) > SILENT:
            return reader, block.double().square().sum(-1)
    raise InputError(f"{path}: expected a recording, got silence")


def _recording(reader: AudioReader, energy: Tensor, name: str) -> Recording:
    """A recording by its declared or inferred layout.

    Raises:
        InputError: it is not of first order.
    """
    try:
        layout = find_layout(name, reader.channels, reader.codec, reader.mark)
        layout.check_unused(energy)
    except InputError as error:
        reason = str(error).partition(";")[0]
        raise InputError(
            f"{reader.path}: expected a first-order recording as ambience: {reason}; leave it out, or state its "
            "format (ambience_format)"
        ) from error
    return Recording(reader.path, reader.stream, layout, float(reader.length()))
