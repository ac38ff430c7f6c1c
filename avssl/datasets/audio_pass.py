"""Audio of one recording: a first pass computes statistics, a second pass writes first-order ambiX or stereo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avssl.datasets.audio_stats import FoaStats, StereoStats
from avssl.errors import InputError
from avssl.media.channel_layouts import PAIRS, check_pair, find_layout
from avssl.media.numbered_audio import NumberedAudio
from avssl.media.probe import check_length
from avssl.media.streams import AudioReader
from avssl.media.wav_writer import write_wav
from avssl.spatial.resample import BLOCK, resample_blocks


@dataclass(frozen=True)
class AudioSummary:
    """Statistics and channel conversion of a recording's audio, from the first pass."""

    audio: AudioReader | NumberedAudio
    name: str
    """Channel layout of the source: one of `avssl.media.channel_layouts.NAMES` or `PAIRS`, or hoa-acn."""
    convert: Callable[[Tensor], Tensor]
    """Converts blocks of the file's channels to W, Y, Z, X or left, right."""
    channels: int
    """Number of channels written."""
    stats: FoaStats | StereoStats
    silent_channels: str

    @property
    def seconds(self) -> float:
        """Decoded length."""
        return self.stats.samples / self.stats.sample_rate


def analyze_audio(path: Path, name: str, longest: float) -> AudioSummary:
    """Compute statistics of a recording's audio; reject audio that is neither first-order ambisonics nor stereo.

    Args:
        path: audio file, or folder of numbered audio files.
        name: auto (ambisonics), or a declared layout, one of `avssl.media.channel_layouts.NAMES` or `PAIRS`.
        longest: seconds to read at most.

    Raises:
        InputError: the audio is unreadable, truncated, silent, or of another channel layout.
    """
    audio = NumberedAudio(path) if path.is_dir() else AudioReader(path)
    energy = torch.zeros(audio.channels, dtype=torch.float64)
    if name in PAIRS:
        check_pair(name, audio.channels)
        stats = StereoStats(audio.sample_rate)
        _accumulate(audio, longest, _identity, stats, energy)
        return AudioSummary(audio, name, _identity, 2, stats, stats.silent_channels())
    layout = find_layout(name, audio.channels, audio.codec, audio.mark)
    field = FoaStats(audio.sample_rate)
    _accumulate(audio, longest, layout.to_ambix, field, energy)
    layout.check_unused(energy)
    return AudioSummary(audio, layout.name, layout.to_ambix, 4, field, field.silent_channels())


def _accumulate(
    audio: AudioReader | NumberedAudio,
    longest: float,
    convert: Callable[[Tensor], Tensor],
    stats: FoaStats | StereoStats,
    energy: Tensor,
) -> None:
    """Accumulate statistics, and the energy of the file's channels."""
    left = round(longest * audio.sample_rate)
    for block in audio.play(BLOCK):
        energy += block[:, :left].double().square().sum(-1)
        stats.add(convert(block[:, :left]))
        left -= min(left, block.shape[1])
        if not left:
            break
    if not energy.isfinite().all():
        raise InputError(f"{audio.path}: expected finite samples, the audio contains NaN or Inf")
    check_length(audio.path, stats.samples / audio.sample_rate, min(audio.seconds, longest), audio.stated)


def _identity(audio: Tensor) -> Tensor:
    return audio


def write_analyzed_audio(target: Path, summary: AudioSummary, seconds: float, sample_rate: int) -> None:
    """Write ambiX or stereo as a 16-bit wav, with one gain below 1 for all channels where it would clip.

    Args:
        target: the file, written whole or not at all.
        summary: result of `analyze_audio`.
        seconds: length to write.
        sample_rate: Hz.

    Raises:
        OSError: the file cannot be written.
    """
    gain = min(1.0, 0.99 / summary.stats.peak)
    native = (summary.convert(block) for block in summary.audio.play(BLOCK))
    changed = resample_blocks(native, summary.audio.sample_rate, sample_rate)
    blocks = ((gain * block).clamp(-1, 1) for block in _first(changed, round(seconds * sample_rate)))
    write_wav(target, blocks, sample_rate, "PCM_16")


def _first(blocks: Iterable[Tensor], samples: int) -> Iterator[Tensor]:
    """Blocks `(channels, samples)` up to a number of samples."""
    for block in blocks:
        yield block[:, :samples]
        samples -= min(samples, block.shape[1])
        if not samples:
            return
