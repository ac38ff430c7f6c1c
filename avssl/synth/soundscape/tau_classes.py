"""Ten urban scene classes named as those of TAU Urban Audio-Visual Scenes: sources and scenery of each.

Neither tells them all apart alone: halls sound alike and streets look alike.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from avssl.synth.soundscape.background_noise import NoiseSpectrum
from avssl.synth.soundscape.eigenscape_classes import AMBIENCES, crowd, trains
from avssl.synth.soundscape.sampler import SoundscapeSampler


@dataclass(frozen=True)
class Figure:
    """Objects of a kind that may be seen."""

    kind: str
    number: float
    """On average."""
    speed: float
    """Picture widths a second; 0: they stay where they are."""


@dataclass(frozen=True)
class UrbanScenery:
    """Visible scenery of a class."""

    surroundings: tuple[str, ...]
    """Families of backgrounds, one of which it is."""
    figures: tuple[Figure, ...]
    shake: float = 0.0
    """Amplitude of the camera shake, frame widths."""


def _airport(sketch: SoundscapeSampler) -> None:
    sketch.bed(NoiseSpectrum(100, 1200, -3), -3, sketch.between(0, 0.5))
    sketch.standing("face", every=7, level=-5, nearest=(2, 4), height=(5, 8), wet=0.7)
    sketch.standing("bell", every=12, level=-10, nearest=(2, 4), height=(5, 8), wet=0.6)
    sketch.walking("face", every=4, level=-6, wet=0.6)


def _bus(sketch: SoundscapeSampler) -> None:
    sketch.bed(NoiseSpectrum(40, 500, -4), 0, sketch.between(0.5, 3), depth=2)
    sketch.staying("engine", level=-4, wet=sketch.between(0.2, 0.6))
    sketch.standing("face", every=8, level=-10, nearest=(1, 2), wet=0.2)


def _rails(sketch: SoundscapeSampler, tint: NoiseSpectrum, signal: str) -> None:
    """On rails: rolling all round, joints that click, and a signal before stops."""
    sketch.bed(tint, 0, sketch.between(0, 1.5), depth=3)
    sketch.standing("metronome", every=2, level=-14, nearest=(1, 3), height=(-1.5, -1), wet=0.3)
    sketch.standing(signal, every=9, level=-9, nearest=(1, 3), height=(0.5, 1.5), wet=0.3)
    sketch.standing("face", every=8, level=-10, nearest=(1, 2), wet=0.2)


def _public_square(sketch: SoundscapeSampler) -> None:
    crowd(sketch, wet=sketch.between(0.2, 0.5))
    sketch.bed(NoiseSpectrum(600, 6000, -2), -8, sketch.between(5, 40))


AUDIO: dict[str, Callable[[SoundscapeSampler], None]] = {
    "airport": _airport,
    "bus": _bus,
    "metro": partial(_rails, tint=NoiseSpectrum(60, 1100, -3), signal="alarm"),
    "metro_station": trains,
    "park": AMBIENCES["Park"],
    "public_square": _public_square,
    "shopping_mall": AMBIENCES["ShoppingCentre"],
    "street_pedestrian": AMBIENCES["PedestrianZone"],
    "street_traffic": AMBIENCES["BusyStreet"],
    "tram": partial(_rails, tint=NoiseSpectrum(50, 600, -3), signal="bell"),
}
SIGHTS = {
    "airport": UrbanScenery(("room", "haze"), (Figure("face", 2, 0.1), Figure("bell", 0.5, 0))),
    "bus": UrbanScenery(("room",), (Figure("face", 1, 0), Figure("engine", 0.7, 0.4)), 0.02),
    "metro": UrbanScenery(("room",), (Figure("face", 1, 0), Figure("alarm", 0.4, 0)), 0.015),
    "metro_station": UrbanScenery(("room",), (Figure("face", 2, 0.1), Figure("engine", 0.3, 0.3))),
    "park": UrbanScenery(("outdoors",), (Figure("bird", 1.5, 0.3), Figure("face", 1, 0.1), Figure("water", 0.5, 0))),
    "public_square": UrbanScenery(("city", "outdoors"), (Figure("face", 2, 0.1), Figure("water", 0.7, 0))),
    "shopping_mall": UrbanScenery(("room", "city"), (Figure("face", 3, 0.1), Figure("guitar", 0.5, 0))),
    "street_pedestrian": UrbanScenery(("city",), (Figure("face", 3, 0.1), Figure("guitar", 0.3, 0))),
    "street_traffic": UrbanScenery(("city", "outdoors"), (Figure("engine", 2, 0.4), Figure("face", 0.7, 0.1))),
    "tram": UrbanScenery(("room", "city"), (Figure("face", 1, 0), Figure("bell", 0.4, 0)), 0.02),
}
