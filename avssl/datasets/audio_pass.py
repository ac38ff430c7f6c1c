"""The sound of a recording: heard once to know it, a second time to write it, as first-order ambiX or for two ears."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avssl.datasets.audio_stats import FoaStats, StereoStats
from avssl.errors import InputError
from avssl.media.channel_layouts import NAMES, PAIRS, check_pair, declared_layout, infer_layout
from avssl.media.numbered_audio import NumberedAudio
from avssl.media.streams import AudioReader
from avssl.media.wav_writer import write_wav
from avssl.spatial.resample import BLOCK, resample_blocks

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
    meter: FoaStats | StereoStats
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
        meter = StereoStats(audio.sample_rate)
        _listen(audio, longest, _as_it_stands, meter, energy)
        return AudioSummary(audio, name, _as_it_stands, 2, meter, meter.silent_channels())
    layout = declared_layout(name, audio.channels) if name in NAMES else infer_layout(audio.channels, audio.codec)
    field = FoaStats(audio.sample_rate)
    _listen(audio, longest, layout.to_ambix, field, energy)
    layout.check_unused(energy)
    return AudioSummary(audio, layout.name, layout.to_ambix, 4, field, field.silent_channels())


def _listen(
    audio: AudioReader | NumberedAudio,
    longest: float,
    prepared: Callable[[Tensor], Tensor],
    meter: FoaStats | StereoStats,
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
        target: the file, written whole or not at all.
        heard: whose sound.
        seconds: how much of it.
        sample_rate: Hz.

    Raises:
        OSError: the file cannot be written.
    """
    gain = min(1.0, 0.99 / heard.meter.peak)
    native = (heard.prepared(block) for block in heard.audio.play(BLOCK))
    changed = resample_blocks(native, heard.audio.sample_rate, sample_rate)
    blocks = ((gain * block).clamp(-1, 1) for block in _first(changed, round(seconds * sample_rate)))
    write_wav(target, blocks, sample_rate, "PCM_16")


def _first(blocks: Iterable[Tensor], samples: int) -> Iterator[Tensor]:
    """Blocks `(channels, samples)` up to a number of samples."""
    for block in blocks:
        yield block[:, :samples]
        samples -= min(samples, block.shape[1])
        if not samples:
            return
