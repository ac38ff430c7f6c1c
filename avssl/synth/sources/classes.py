"""Source classes: each has its own appearance and sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avssl.synth.sources import percussive, sustained
from avssl.synth.sources.oscillators import Signal, Span, Voice
from avssl.synth.sprites import shapes
from avssl.synth.sprites.drawing import Brush


@dataclass(frozen=True)
class SourceClass:
    """Properties shared by all individuals of a source class."""

    name: str
    hue: float
    """Degrees on the colour wheel."""
    silhouette: Callable[[Brush], None]
    audio: Callable[[Voice, Span], Signal]
    pitch: tuple[float, float]
    """Lowest and highest in Hz; what it means is up to the sound."""
    rate: tuple[float, float]
    """Slowest and fastest rhythm in Hz; no second of sound is empty."""
    spins: bool = False


KINDS = (
    SourceClass("drum", 0, shapes.drum, percussive.drum, (80, 170), (2.5, 5)),
    SourceClass("maraca", 25, shapes.maraca, percussive.maraca, (3500, 5500), (5, 9)),
    SourceClass("bell", 50, shapes.bell, percussive.bell, (500, 1100), (2, 4)),
    SourceClass("horn", 75, shapes.horn, sustained.horn, (140, 280), (1.5, 3)),
    SourceClass("engine", 105, shapes.engine, sustained.engine, (45, 95), (2, 4)),
    SourceClass("metronome", 130, shapes.metronome, percussive.metronome, (1100, 2200), (3, 7)),
    SourceClass("fan", 155, shapes.fan, sustained.fan, (250, 600), (2, 3.5), spins=True),
    SourceClass("water", 185, shapes.water, percussive.water, (700, 1400), (5, 10)),
    SourceClass("siren", 210, shapes.siren, sustained.siren, (550, 1000), (1.5, 4)),
    SourceClass("alarm", 240, shapes.alarm, sustained.alarm, (1300, 2400), (5, 9)),
    SourceClass("whistle", 270, shapes.whistle, sustained.whistle, (2000, 3200), (2, 4)),
    SourceClass("bird", 295, shapes.bird, percussive.bird, (3000, 5000), (4, 7)),
    SourceClass("guitar", 320, shapes.guitar, percussive.guitar, (110, 330), (3, 6)),
    SourceClass("face", 342, shapes.face, sustained.face, (110, 260), (3, 5)),
)
BY_NAME = {kind.name: kind for kind in KINDS}


def draw_voice(rng: np.random.Generator, kind: SourceClass) -> Voice:
    """A random individual's way of sounding."""
    low, high = kind.pitch
    return Voice(
        pitch=float(low * (high / low) ** rng.random()),
        rate=float(rng.uniform(*kind.rate)),
        phase=float(rng.random()),
        timbre=float(rng.random()),
        seed=int(rng.integers(2**31)),
    )
