"""The kinds of objects: each has a look and a sound of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from avssl.scenes import silhouettes, struck, sustained
from avssl.scenes.brush import Brush
from avssl.scenes.voices import Signal, Span, Voice


@dataclass(frozen=True)
class Kind:
    """What the individuals of a kind have in common."""

    name: str
    hue: float
    """Degrees on the colour wheel."""
    silhouette: Callable[[Brush], None]
    sound: Callable[[Voice, Span], Signal]
    pitch: tuple[float, float]
    """Lowest and highest in Hz; what it means is up to the sound."""
    rate: tuple[float, float]
    """Slowest and fastest rhythm in Hz; no second of sound is empty."""
    spins: bool = False


KINDS = (
    Kind("drum", 0, silhouettes.drum, struck.drum, (80, 170), (2.5, 5)),
    Kind("maraca", 25, silhouettes.maraca, struck.maraca, (3500, 5500), (5, 9)),
    Kind("bell", 50, silhouettes.bell, struck.bell, (500, 1100), (2, 4)),
    Kind("horn", 75, silhouettes.horn, sustained.horn, (140, 280), (1.5, 3)),
    Kind("engine", 105, silhouettes.engine, sustained.engine, (45, 95), (2, 4)),
    Kind("metronome", 130, silhouettes.metronome, struck.metronome, (1100, 2200), (3, 7)),
    Kind("fan", 155, silhouettes.fan, sustained.fan, (250, 600), (2, 3.5), spins=True),
    Kind("water", 185, silhouettes.water, struck.water, (700, 1400), (5, 10)),
    Kind("siren", 210, silhouettes.siren, sustained.siren, (550, 1000), (1.5, 4)),
    Kind("alarm", 240, silhouettes.alarm, sustained.alarm, (1300, 2400), (5, 9)),
    Kind("whistle", 270, silhouettes.whistle, sustained.whistle, (2000, 3200), (2, 4)),
    Kind("bird", 295, silhouettes.bird, struck.bird, (3000, 5000), (4, 7)),
    Kind("guitar", 320, silhouettes.guitar, struck.guitar, (110, 330), (3, 6)),
    Kind("face", 342, silhouettes.face, sustained.face, (110, 260), (3, 5)),
)
BY_NAME = {kind.name: kind for kind in KINDS}


def draw_voice(rng: np.random.Generator, kind: Kind) -> Voice:
    """A random individual's way of sounding."""
    low, high = kind.pitch
    return Voice(
        pitch=float(low * (high / low) ** rng.random()),
        rate=float(rng.uniform(*kind.rate)),
        phase=float(rng.random()),
        timbre=float(rng.random()),
        seed=int(rng.integers(2**31)),
    )
