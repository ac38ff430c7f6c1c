"""The sound of a recording: heard once to know it, a second time to write it, as first-order ambiX or for two ears."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from avssl.data.ears import EarsMeter
from avssl.data.field import FieldMeter
from avssl.errors import InputError
from avssl.media.channel_layouts import NAMES, PAIRS, check_pair, declared_layout, recognised_layout
from avssl.media.numbered_audio import NumberedAudio
from avssl.media.resample import BLOCK, resample_blocks
from avssl.media.streams import AudioReader

LARGEST_WAV = 2**32 - 4096
"""Bytes; RF64 is the same with a longer header."""
LOST = 0.5
"""Seconds that a file may end before its header says, on top of a tenth of its length."""


@dataclass(frozen=True)
class AudioSummary:
    """A recording's sound after the first hearing."""

    audio: AudioReader | NumberedAudio
    name: str
    """What it was: one of `avssl.media.channel_layouts.NAMES` or `PAIRS`, or hoa-acn."""
    prepared: Callable[[Tensor], Tensor]
    """From the file's channels to those written, W, Y, Z, X or left, right."""
    channels: int
    """How many are written."""
    meter: FieldMeter | EarsMeter
    silent: str

    @property
    def seconds(self) -> float:
        """How long it really is."""
        return self.meter.samples / self.meter.sample_rate


def analyze_audio(path: Path, name: str, longest: float) -> AudioSummary:
    """Listen once to what belongs to the pictures, and refuse what is neither first-order ambisonics nor for two ears.

    Args:
        path: the file with the sound, or a folder of its pieces.
        name: auto (ambisonics), or a declared layout, one of `avssl.media.channel_layouts.NAMES` or `PAIRS`.
        longest: seconds to listen to.

    Raises:
        InputError: cannot be read, breaks off early, is silent, or is no such sound.
    """
    audio = NumberedAudio(path) if path.is_dir() else AudioReader(path)
    energy = torch.zeros(audio.channels, dtype=torch.float64)
    if name in PAIRS:
        check_pair(name, audio.channels)
        meter = EarsMeter(audio.sample_rate)
        _listen(audio, longest, _as_it_stands, meter, energy)
        return AudioSummary(audio, name, _as_it_stands, 2, meter, meter.silent_channels())
    layout = declared_layout(name, audio.channels) if name in NAMES else recognised_layout(audio.channels, audio.codec)
    field = FieldMeter(audio.sample_rate)
    _listen(audio, longest, layout.to_ambix, field, energy)
    layout.check_unused(energy)
    return AudioSummary(audio, layout.name, layout.to_ambix, 4, field, field.silent_channels())


def _listen(
    audio: AudioReader | NumberedAudio,
    longest: float,
    prepared: Callable[[Tensor], Tensor],
    meter: FieldMeter | EarsMeter,
    energy: Tensor,
) -> None:
    """Hear the sound to a meter, and add up the energy of the file's channels."""
    left = round(longest * audio.sample_rate)
    for block in audio.play(BLOCK):
        energy += block[:, :left].double().square().sum(-1)
        meter.add(prepared(block[:, :left]))
        left -= min(left, block.shape[1])
        if not left:
            break
    if not energy.isfinite().all():
        raise InputError(f"{audio.path}: expected sound, some of its samples are not finite numbers")
    check_length(audio.path, meter.samples / audio.sample_rate, min(audio.seconds, longest))


def _as_it_stands(ears: Tensor) -> Tensor:
    return ears


def check_length(path: Path, found: float, promised: float) -> None:
    """Refuse a file that ends long before what its header promises.

    Raises:
        InputError: it breaks off.
    """
    if found < 0.9 * promised - LOST:
        raise InputError(f"{path}: expected {promised:.1f} s, the file breaks off after {found:.1f} s")


def write_analyzed_audio(target: Path, heard: AudioSummary, seconds: float, sample_rate: int) -> None:
    """Write ambiX, or left and right, as a 16-bit wav, turned down as a whole where it would clip.

    Args:
        target: the file; not atomic, give a temporary name.
        heard: whose sound.
        seconds: how much of it.
        sample_rate: Hz.
    """
    gain = min(1.0, 0.99 / heard.meter.peak)
    left = round(seconds * sample_rate)
    kind = "WAV" if left * heard.channels * 2 < LARGEST_WAV else "RF64"
    with soundfile.SoundFile(target, "w", sample_rate, heard.channels, "PCM_16", format=kind) as file:
        native = (heard.prepared(block) for block in heard.audio.play(BLOCK))
        for block in resample_blocks(native, heard.audio.sample_rate, sample_rate):
            file.write((gain * block[:, :left]).clamp(-1, 1).T.numpy())
            left -= min(left, block.shape[1])
            if not left:
                break
