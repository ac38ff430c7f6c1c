"""Objects of a scene: path, sound and images over time, and how they are cast."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from avssl.synth.projection.tangent_plane import tangent_basis
from avssl.synth.scene_format import LEAD, Format
from avssl.synth.sources.oscillators import Signal
from avssl.synth.trajectories import Path

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]

ENVELOPE_RATE = 64
"""Rate of the loudness envelope, Hz."""


@dataclass(frozen=True, eq=False)
class Track:
    """An object frame by frame; all arrays `(frames,)`."""

    azimuth: Floats
    """Radians, not wrapped."""
    elevation: Floats
    distance: Floats
    """Metres."""
    tangent: Floats
    """Tangent of the angular radius."""
    roll: Floats
    """Radians in the picture's plane."""
    light: Floats
    which: NDArray[np.int64]
    """Number of the image that is shown."""
    images: Sequence[Image]
    """uint8 RGBA `(side, side, 4)` each, colour multiplied by alpha, nothing outside the inscribed circle."""

    def bases(self) -> Floats:
        """Right, up, forward of the object's plane `(frames, 3, 3)`."""
        return tangent_basis(self.azimuth, self.elevation, self.roll)

    def at(self, frames: NDArray[np.int64]) -> Track:
        """The track in some frames only."""
        chosen = {each.name: getattr(self, each.name) for each in fields(self)}
        return Track(**{name: value if name == "images" else value[frames] for name, value in chosen.items()})

    def by_image(self) -> Iterator[tuple[NDArray[np.int64], Image]]:
        """The frames in which an image is shown, and the image; for every image that is shown."""
        for number in np.unique(self.which).tolist():
            yield np.flatnonzero(self.which == number), self.images[number]


@dataclass(frozen=True)
class SceneObject(ABC):
    """One object; a pure function of how it was drawn."""

    number: int
    kind: str
    path: Path
    loudness: float
    """Decibels at the listener at time 0, relative to the other objects."""
    sounding: bool

    @abstractmethod
    def signal(self, form: Format) -> Signal:
        """Sound at 1 m, also of a silent object: unit power, bounded peaks, float32 `(form.span().samples,)`."""

    @abstractmethod
    def track(self, form: Format) -> Track:
        """Place, size and image in every frame."""


class Member(ABC):
    """One of those that a scene is cast from."""

    @abstractmethod
    def placed(self, rng: np.random.Generator, number: int, path: Path, radii: tuple[float, float]) -> SceneObject:
        """Draw an object, silent for now.

        Args:
            rng: where the randomness comes from.
            number: of the object in its scene.
            path: where it is when.
            radii: smallest and largest angular radius of built-in objects at time 0, degrees.
        """


class Cast(ABC):
    """Those whom the objects of a scene are drawn from; pickled to the processes that render it."""

    @abstractmethod
    def choose(self, rng: np.random.Generator, count: int, alike: float = 0.0) -> Sequence[Member]:
        """Draw members of different kinds, as far as there are.

        Args:
            rng: where the randomness comes from.
            count: how many; fewer where there are not so many.
            alike: probability that the last one is of the first one's kind.
        """


def loudness(signal: Signal, form: Format) -> Floats:
    """Loudness of an object's signal at every frame: 0..1, the root of its short-time amplitude."""
    step = round(form.sample_rate / ENVELOPE_RATE)
    blocks = len(signal) // step
    power = (signal[: blocks * step].reshape(blocks, step) ** 2).mean(1)
    level = np.convolve(power, [0.25, 0.5, 0.25], "same") ** 0.25
    centres = (np.arange(blocks) + 0.5) * step / form.sample_rate - LEAD
    return np.asarray(np.interp(form.frame_times(), centres, level / level.max()))
