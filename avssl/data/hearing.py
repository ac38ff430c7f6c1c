"""The sound of a recording: heard once to know it, a second time to write it as first-order ambiX."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from avssl.data.ambix import NAMES, SoundLayout, declared_layout, recognised_layout
from avssl.data.field import FieldMeter
from avssl.data.media.whole import Sound

BLOCK = 10.0
"""Seconds of sound in memory at once."""
MARGIN = 1.0
"""Seconds of sound on either side of a block that its resampling sees."""
LARGEST_WAV = 2**32 - 4096
"""Bytes; RF64 is the same with a longer header."""
LOST = 0.5
"""Seconds that a file may end before its header says, on top of a tenth of its length."""
PASSED = 0.95
"""Share of the lower rate's band that resampling leaves as it is; the rest fades out, so that echoes stay short."""


@dataclass(frozen=True)
class Heard:
    """A recording's sound after the first hearing."""

    sound: Sound
    layout: SoundLayout
    meter: FieldMeter
    silent: str

    @property
    def seconds(self) -> float:
        """How long it really is."""
        return self.meter.samples / self.meter.sample_rate


def hear(path: Path, name: str, longest: float) -> Heard:
    """Listen once to what belongs to the pictures, and refuse what is not first-order ambisonics.

    Args:
        path: the file with the sound.
        name: auto, or a declared layout, one of `avssl.data.ambix.NAMES`.
        longest: seconds to listen to.

    Raises:
        ValueError: cannot be read, breaks off early, or is no ambisonics.
    """
    sound = Sound(path)
    layout = declared_layout(name, sound.channels) if name in NAMES else recognised_layout(sound.channels, sound.codec)
    meter, energy = FieldMeter(sound.sample_rate), torch.zeros(sound.channels, dtype=torch.float64)
    left = round(longest * sound.sample_rate)
    for block in sound.play(BLOCK):
        energy += block[:, :left].double().square().sum(-1)
        meter.add(layout.to_ambix(block[:, :left]))
        left -= min(left, block.shape[1])
        if not left:
            break
    if not energy.isfinite().all():
        raise ValueError(f"{path}: expected sound, some of its samples are not finite numbers")
    check_length(path, meter.samples / sound.sample_rate, min(sound.seconds, longest))
    layout.check_unused(energy)
    return Heard(sound, layout, meter, meter.silent_channels())


def check_length(path: Path, found: float, promised: float) -> None:
    """Refuse a file that ends long before what its header promises.

    Raises:
        ValueError: it breaks off.
    """
    if found < 0.9 * promised - LOST:
        raise ValueError(f"{path}: expected {promised:.1f} s, the file breaks off after {found:.1f} s")


def write_ambix(target: Path, heard: Heard, seconds: float, sample_rate: int) -> None:
    """Write ambiX as a 16-bit wav, turned down as a whole where it would clip.

    Args:
        target: the file; not atomic, give a temporary name.
        heard: whose sound.
        seconds: how much of it.
        sample_rate: Hz.
    """
    gain = min(1.0, 0.99 / heard.meter.peak)
    left = round(seconds * sample_rate)
    kind = "WAV" if left * 4 * 2 < LARGEST_WAV else "RF64"
    with soundfile.SoundFile(target, "w", sample_rate, 4, "PCM_16", format=kind) as file:
        for block in _resampled(heard, sample_rate):
            file.write((gain * block[:, :left]).clamp(-1, 1).T.numpy())
            left -= min(left, block.shape[1])
            if not left:
                break


def _resampled(heard: Heard, sample_rate: int) -> Iterator[Tensor]:
    """The whole sound at another rate, block by block, as if it were resampled in one piece.

    Blocks and margins are whole seconds, so that they begin on a sample at either rate.
    """
    source = heard.sound.sample_rate
    margin, wanted = round(MARGIN * source), round(MARGIN * sample_rate)
    nothing = torch.zeros(4, 0)
    before, held = nothing, nothing
    for native in heard.sound.play(BLOCK):
        block = heard.layout.to_ambix(native)
        if held.numel():
            wide = _resample(torch.cat([before, held, block[:, :margin]], 1), source, sample_rate)
            yield wide[:, wanted * bool(before.numel()) :][:, : round(BLOCK * sample_rate)]
            before = held[:, -margin:]
        held = block
    yield _resample(torch.cat([before, held], 1), source, sample_rate)[:, wanted * bool(before.numel()) :]


def _resample(foa: Tensor, source: int, target: int) -> Tensor:
    """Sound at another rate, by its spectrum: exact for any two rates, and faster than any filter."""
    if source == target:
        return foa
    # The transform is circular: a second of silence keeps the end from running into the beginning.
    seconds = math.ceil(foa.shape[1] / source) + 1
    spectrum = torch.fft.rfft(foa, seconds * source)[:, : seconds * min(source, target) // 2 + 1]
    place = torch.linspace(0, 1, spectrum.shape[1])
    fade = torch.cos(0.5 * math.pi * ((place - PASSED) / (1 - PASSED)).clamp(0, 1)).square()
    resampled: Tensor = torch.fft.irfft(spectrum * fade * (target / source), seconds * target)
    return resampled[:, : math.ceil(foa.shape[1] / source * target)]
