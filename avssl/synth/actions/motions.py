"""Classes of motion that no single frame distinguishes, and no mirror image exchanges.

All that moves are phases. They begin anywhere in their period with equal chance, whether they move or are frozen, so
that what is seen at any one instant has the same distribution in every kind.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

PHASES = ("climb", "zoom", "roll", "sway", "orbit", "cross", "pulse", "light")
"""Parameters of a motion: height, size, roll, sideways swing, circle, crossing, pulse of size, brightness."""
ROCKING = 0.18
"""Amplitude of rocking on either side, as a fraction of a full turn."""
HOLD = 0.24
"""Interval between hops, s."""

Course = Callable[[Floats, float, float], Floats]
"""Phase in turns at times in s, from a rate in Hz and a random number in 0..1."""


def _steady(times: Floats, rate: float, chance: float) -> Floats:
    return rate * times


def _rocking(times: Floats, rate: float, chance: float) -> Floats:
    return ROCKING * np.sin(2 * np.pi * (rate * times + chance))


def _hopping(times: Floats, rate: float, chance: float) -> Floats:
    return rate * HOLD * np.floor(times / HOLD + chance)


@dataclass(frozen=True)
class Motion:
    """A kind of motion: one phase goes round, all others are frozen."""

    name: str
    """In words, small."""
    phase: str
    """One of `PHASES`."""
    rates: tuple[float, float]
    """Slowest and fastest, Hz."""
    senses: tuple[int, ...] = (-1, 1)
    """1 forwards, -1 backwards; both where either is of the kind."""
    course: Course = _steady


MOTIONS = (
    Motion("rise", "climb", (0.5, 0.9), (1,)),
    Motion("fall", "climb", (0.5, 0.9), (-1,)),
    Motion("approach", "zoom", (0.5, 0.9), (1,)),
    Motion("recede", "zoom", (0.5, 0.9), (-1,)),
    Motion("spin slow", "roll", (0.2, 0.35)),
    Motion("spin fast", "roll", (0.9, 1.5)),
    Motion("sway slow", "sway", (0.4, 0.6)),
    Motion("sway fast", "sway", (1.4, 2.0)),
    Motion("orbit", "orbit", (0.8, 1.2)),
    Motion("rock", "orbit", (1.2, 1.6), course=_rocking),
    Motion("glide", "cross", (0.35, 0.6)),
    Motion("hop", "cross", (0.35, 0.6), course=_hopping),
    Motion("pulse slow", "pulse", (0.5, 0.7)),
    Motion("pulse fast", "pulse", (1.8, 2.5)),
    Motion("blink slow", "light", (0.5, 0.7)),
    Motion("blink fast", "light", (2.0, 3.0)),
)
"""Motions in pairs; the members of a pair differ in the course of one phase."""


def draw_phases(rng: np.random.Generator, motion: Motion, acts: bool, times: Floats) -> dict[str, Floats]:
    """The phases of one object at some instants.

    Args:
        rng: where the randomness comes from.
        motion: what it does.
        acts: whether it does it, or holds still.
        times: seconds, `(frames,)`.

    Returns:
        For each of `PHASES`, 0..1, `(frames,)`.
    """
    begins = rng.random(len(PHASES))
    rate, chance, sense = float(rng.uniform(*motion.rates)), float(rng.random()), int(rng.choice(motion.senses))
    turned = sense * motion.course(times, rate, chance) * acts
    return {
        name: (begin + (turned if name == motion.phase else np.zeros_like(times))) % 1
        for name, begin in zip(PHASES, begins.tolist(), strict=True)
    }
