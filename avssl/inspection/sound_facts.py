"""Sound of a recording: layout by declaration and by levels, silent channels, direction over time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from avssl.datasets.audio_stats import HIGH, LOW, SILENT_DB, FoaStats
from avssl.errors import InputError, one_line
from avssl.inspection.finding import Finding
from avssl.media.channel_layouts import ChannelLayout, infer_layout
from avssl.media.streams import AudioReader
from avssl.spatial.ambisonics import band_covariance, field_direction

POINTS = 60
"""Directions over time, at most."""
SHORTEST = 0.5
"""Seconds of one direction, at least."""
CLIPPED = 0.999
"""Full scale is 1."""
QUIET_DB = -50.0
"""Root mean square of the loudest channel below full scale, under which 16-bit audio has few bits."""
_RATIOS = {"SN3D (ambiX)": 1.0, "FuMa": 2.0, "N3D, or loudspeakers": 3.0}
"""Energy of Y, Z and X together over that of W, of plane waves and of diffuse fields alike."""
_SURE = 0.7
"""Largest distance from a ratio, as a logarithm of base 2, at which it is named."""


@dataclass(frozen=True)
class DirectionAt:
    """Direction of the sound in one segment of time."""

    seconds: float
    """Centre of the segment."""
    azimuth: float
    """Degrees to the left of the front; nan where nothing sounds."""
    elevation: float
    """Degrees above the horizon."""
    diffuseness: float
    """0 for one plane wave, 1 for a diffuse field."""


@dataclass(frozen=True)
class SoundFacts:
    """Facts about the audio of a recording."""

    channels: int
    codec: str
    sample_rate: int
    """Hz."""
    seconds: float
    """Decoded length."""
    declared: str
    """Marker and convention by the file; empty without a declaration."""
    layout: str
    """Layout that `prepare` would take; empty if none."""
    evidence: tuple[str, ...]
    """Measurements that speak for a layout."""
    order: int
    """Ambisonic order; 0 if not ambisonic."""
    silent_channels: tuple[int, ...]
    """Stored channels 70 dB below the loudest."""
    level_db: float
    """Root mean square of the loudest channel below full scale."""
    peak: float
    """Largest sample; full scale is 1."""
    direction: DirectionAt | None
    """Over the whole recording."""
    path: tuple[DirectionAt, ...]
    """Over time."""
    findings: tuple[Finding, ...]


def examine_sound(path: Path) -> SoundFacts:
    """Facts about the audio of a file, read once in blocks.

    Args:
        path: any sound or video file.

    Raises:
        InputError: no audio, or audio that cannot be read.
    """
    audio = AudioReader(path)
    seconds = max(SHORTEST, audio.seconds / POINTS)
    layout, findings = _layout(audio)
    stats = FoaStats(audio.sample_rate)
    measured = _Levels(audio.channels)
    segments: list[DirectionAt] = []
    for block in audio.play(seconds):
        measured.add(block)
        if layout is not None:
            field = layout.to_ambix(block)
            stats.add(field)
            centre = (measured.samples - block.shape[1] / 2) / audio.sample_rate
            segments.append(_direction(band_covariance(field, audio.sample_rate, LOW, HIGH).double(), centre))
    whole = _direction(stats.band, 0.0) if layout is not None and stats.samples else None
    findings += [*measured.findings(path), *_field_findings(layout, stats, measured)]
    mark = audio.mark
    return SoundFacts(
        audio.channels,
        audio.codec,
        audio.sample_rate,
        measured.samples / audio.sample_rate,
        f"{mark.marker}: {mark.convention}" if mark else "",
        layout.name if layout else "",
        tuple(_evidence(audio, layout, stats, measured)),
        math.isqrt(audio.channels) - 1 if layout and layout.name == "hoa-acn" else int(layout is not None),
        measured.silent(),
        measured.level_db(),
        measured.peak,
        whole,
        tuple(segments),
        tuple(findings),
    )


def _layout(audio: AudioReader) -> tuple[ChannelLayout | None, list[Finding]]:
    """Layout that `prepare` infers, or its refusal."""
    try:
        return infer_layout(audio.channels, audio.codec, audio.mark), []
    except InputError as error:
        return None, [Finding(one_line(error))]


class _Levels:
    """Energy, covariance, peak and number of samples of the stored channels."""

    def __init__(self, channels: int) -> None:
        self.energy, self.samples, self.peak = torch.zeros(channels, dtype=torch.float64), 0, 0.0
        self.same = torch.zeros(channels, channels, dtype=torch.float64)
        """Covariance of the stored channels."""

    def add(self, block: Tensor) -> None:
        """Accumulate a block `(channels, samples)`."""
        exact = block.double()
        self.same += exact @ exact.mT
        self.energy = self.same.diagonal()
        self.samples += block.shape[1]
        self.peak = max(self.peak, float(block.abs().max()))

    def silent(self) -> tuple[int, ...]:
        """Channels far below the loudest one."""
        floor = float(self.energy.max()) * 10 ** (SILENT_DB / 10)
        return tuple(index for index, energy in enumerate(self.energy.tolist()) if energy <= floor)

    def level_db(self) -> float:
        """Root mean square of the loudest channel, dB of full scale."""
        power = float(self.energy.max()) / max(1, self.samples)
        return 10 * math.log10(power) if power else -math.inf

    def copies(self) -> list[tuple[int, int]]:
        """Pairs of channels that carry the same sound up to a gain, silent ones left out."""
        quiet, scale = self.silent(), self.energy.clamp(min=1e-30).sqrt()
        alike = (self.same / scale / scale[:, None]).abs() > 1 - 1e-6
        sounding = [index for index in range(len(self.energy)) if index not in quiet]
        return [(one, other) for one in sounding for other in sounding if one < other and bool(alike[one, other])]

    def findings(self, path: Path) -> Iterator[Finding]:
        """What is wrong with the sound, and notes."""
        if self.peak == 0.0:
            yield Finding("the sound is silent throughout", "leave the recording out")
            return
        if not self.energy.isfinite().all():
            yield Finding("the audio contains NaN or infinity", "encode it again")
        if self.peak > CLIPPED:
            yield Finding(f"samples reach full scale (peak {self.peak:.2f}), perhaps clipped", wrong=False)
        if self.level_db() < QUIET_DB:
            yield Finding(f"the sound is quiet ({self.level_db():.0f} dB of full scale)", wrong=False)
        if len(self.energy) == 2 and (self.copies() or self.silent()):
            yield Finding("left and right carry one signal: this stereo is mono", "it has no direction to learn from")


def _field_findings(layout: ChannelLayout | None, stats: FoaStats, measured: _Levels) -> Iterator[Finding]:
    if layout is None or measured.peak == 0.0:
        return
    try:
        layout.check_unused(measured.energy)
        if silent := stats.silent_channels():
            yield Finding(f"silent: {silent}" + (" (no elevation)" if silent == "Z" else ""), wrong=False)
    except InputError as error:
        yield Finding(one_line(error), "it has no direction to learn from")
        return
    for one, other in measured.copies():
        yield Finding(
            f"channels {one} and {other} carry one signal up to a gain: a single source that never moves, or copies",
            wrong=False,
        )
    ratio = _ratio(stats)
    if _named(ratio).startswith("N3D") and layout.convention == "ambix":
        yield Finding(
            f"Y, Z and X have {ratio:.1f} times the energy of W, ambiX has 1",
            "wind, N3D (--channel-layout acn-n3d), or loudspeaker channels, which are no ambisonics",
            wrong=False,
        )


def _ratio(stats: FoaStats) -> float:
    """Energy of Y, Z and X over that of W, 150 to 4000 Hz."""
    power = stats.band.diagonal()
    return float(power[1:].sum() / power[0].clamp(min=1e-30))


def _named(ratio: float) -> str:
    """Normalisation that an energy ratio speaks for; empty if none."""
    name, far = min(
        ((name, abs(math.log2(max(ratio, 1e-6) / each))) for name, each in _RATIOS.items()), key=lambda each: each[1]
    )
    return name if far < _SURE else ""


def _evidence(audio: AudioReader, layout: ChannelLayout | None, stats: FoaStats, measured: _Levels) -> Iterator[str]:
    yield f"{audio.channels}-channel {audio.codec}"
    if layout is None or not measured.peak:
        return
    if layout.unused:
        yield f"channels {', '.join(map(str, layout.unused))} unused as YouTube's six-channel AAC leaves them"
    ratio = _ratio(stats)
    yield f"energy of Y, Z, X over W {ratio:.2f}: {_named(ratio) or 'undecided'}"


def _direction(covariance: Tensor, seconds: float) -> DirectionAt:
    azimuth, elevation, diffuseness = (float(each) for each in field_direction(covariance))
    return DirectionAt(seconds, math.degrees(azimuth), math.degrees(elevation), diffuseness)
