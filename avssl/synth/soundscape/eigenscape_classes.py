"""Eight soundscape classes named as EigenScape's: sources, directions, diffuseness and motion of each.

Three pairs have the same sounds, equally loud and equally often, and differ in space alone:

- Beach and Woodland: surf from one side, or wind from all round; gulls that fly over, or birds in the trees.
- BusyStreet and QuietStreet: vehicles that drive past, or the same ones somewhere behind the houses.
- PedestrianZone and ShoppingCentre: people who walk past, or the same ones in a hall that throws them back from all
  round.

Every recording has its own levels, spectra, distances and times, and the whole is turned by a random angle.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from avssl.synth.soundscape.background_noise import NoiseSpectrum
from avssl.synth.soundscape.sampler import SoundscapeSampler
from avssl.synth.soundscape.soundscape import Soundscape

LEVELS = (-38.0, -30.0)
"""Level of a recording, about, dB below full scale."""


def _anywhere(sketch: SoundscapeSampler) -> None:
    """Sounds independent of the class: wind in the microphone, and the hum of a distant machine."""
    sketch.bed(_any_tint(sketch), sketch.between(-20, -5), sketch.between(0, 0.5))
    sketch.bed(_any_tint(sketch), sketch.between(-20, -5), sketch.between(20, 99), sketch.between(-30, 40), around=True)


def _any_tint(sketch: SoundscapeSampler) -> NoiseSpectrum:
    low = 10 ** sketch.between(1.7, 2.7)
    return NoiseSpectrum(low, low * 10 ** sketch.between(0.5, 1.3), sketch.between(-5, 0))


def _beach(sketch: SoundscapeSampler) -> None:
    _weather(sketch, concentration=sketch.between(2, 7))
    sketch.flying("bird", every=2.5, level=-7)


def _woodland(sketch: SoundscapeSampler) -> None:
    _weather(sketch, concentration=sketch.between(0, 0.8))
    sketch.standing("bird", every=2.5, level=-7, nearest=(5, 15), height=(3, 8))


def _weather(sketch: SoundscapeSampler, concentration: float) -> None:
    """Surf or wind, and somebody now and then."""
    sketch.bed(NoiseSpectrum(120, 2500, -2), 0, concentration, elevation=-5, depth=3)
    sketch.standing("face", every=25, level=-14, nearest=(4, 12))


def _busy_street(sketch: SoundscapeSampler) -> None:
    _traffic(sketch, wet=sketch.between(0.05, 0.4))


def _quiet_street(sketch: SoundscapeSampler) -> None:
    _traffic(sketch, wet=sketch.between(0.75, 0.98))


def _traffic(sketch: SoundscapeSampler, wet: float) -> None:
    """Vehicles both ways along a street, over the hum of the town."""
    sketch.bed(NoiseSpectrum(60, 500, -4), -17, sketch.between(0, 0.5))
    for source, level in ((NoiseSpectrum(90, 1800, -3), 4.0), ("engine", -4.0)):
        sketch.driving(source, every=5, level=level, wet=wet)
    sketch.standing("bird", every=12, level=-14, nearest=(5, 15), height=(3, 8))
    sketch.standing("face", every=15, level=-12, nearest=(3, 9))


def _pedestrian_zone(sketch: SoundscapeSampler) -> None:
    crowd(sketch, wet=sketch.between(0.05, 0.3))


def _shopping_centre(sketch: SoundscapeSampler) -> None:
    crowd(sketch, wet=sketch.between(0.75, 0.98))


def crowd(sketch: SoundscapeSampler, wet: float) -> None:
    """People who walk and talk, their steps, and music that stays where it is."""
    sketch.bed(NoiseSpectrum(200, 1500, -3), -17, sketch.between(0, 0.5))
    sketch.walking("face", every=2, level=-3, wet=wet)
    sketch.walking("metronome", every=4, level=-12, wet=wet)
    sketch.staying("guitar", level=-12, wet=wet)


def trains(sketch: SoundscapeSampler) -> None:
    """Trains that arrive slowly, bells and announcements from above, in a large hall."""
    sketch.bed(NoiseSpectrum(50, 900, -4), -8, sketch.between(0, 0.5))
    sketch.driving(NoiseSpectrum(50, 900, -4), every=25, level=5, wet=sketch.between(0.2, 0.5), speed=(2, 4))
    sketch.standing("bell", every=12, level=-8, nearest=(2, 4), height=(5, 8), wet=0.6)
    sketch.standing("face", every=8, level=-6, nearest=(2, 4), height=(5, 8), wet=0.7)
    sketch.walking("face", every=6, level=-9, wet=0.5)


def _park(sketch: SoundscapeSampler) -> None:
    """A fountain in one place, children, birds, and the town far away."""
    sketch.bed(NoiseSpectrum(60, 500, -4), -10, sketch.between(0, 0.5))
    sketch.bed(NoiseSpectrum(600, 6000, -2), -4, sketch.between(40, 120), depth=0.5)
    sketch.standing("bird", every=4, level=-8, nearest=(5, 15), height=(3, 8))
    sketch.walking("face", every=6, level=-6, wet=0.1, nearest=(4, 10))


AMBIENCES: dict[str, Callable[[SoundscapeSampler], None]] = {
    "Beach": _beach,
    "BusyStreet": _busy_street,
    "Park": _park,
    "PedestrianZone": _pedestrian_zone,
    "QuietStreet": _quiet_street,
    "ShoppingCentre": _shopping_centre,
    "TrainStation": trains,
    "Woodland": _woodland,
}


def describe(
    sketches: dict[str, Callable[[SoundscapeSampler], None]], label: str, seed: int, number: int, seconds: float
) -> Soundscape:
    """Recording `number` of a class: a pure function of what it is given.

    Args:
        sketches: what draws each class.
        label: the class.
        seed: of the world.
        number: of the recording.
        seconds: of its length.
    """
    rng = np.random.default_rng((seed, list(sketches).index(label), number))
    sketch = SoundscapeSampler(rng, seconds)
    sketches[label](sketch)
    _anywhere(sketch)
    return sketch.place(sketch.between(*LEVELS)).turned(float(rng.uniform(-np.pi, np.pi)))
