"""Objects of scenes that are cut out of user clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from avssl.synth.drawn_object import bounded
from avssl.synth.scene_format import LEAD, Format
from avssl.synth.scene_object import Cast, Member, SceneObject, Track
from avssl.synth.sources.oscillators import Signal
from avssl.synth.sprites.drawing import SIDE
from avssl.synth.trajectories import Path as Trajectory
from avssl.synth.user_clips.cutouts import CutOut, read_cut_out

SMALLEST, LARGEST = 0.45, 1.2
"""Smallest and largest apparent radius of a cut-out, in radii of built-in objects: of the smallest and the largest."""
FADE = 0.05
"""Longest cross-fade of a sound that is repeated, s; a quarter of a shorter sound."""
GRID = 0.05
"""Seconds between the beginnings that a scene chooses from."""
QUIETER_DB = -10.0
"""Level re the loudest part of a clip that the part in a scene has at least."""


@dataclass(frozen=True)
class ClipObject(SceneObject):
    """A cut-out that is seen and that sounds all the time; one that is shorter than the scene is repeated."""

    file: Path
    """Of the cut-out."""
    position: float
    """0..1; the part of the clip: 0 the earliest, 1 the latest that is loud enough."""
    fov: float
    """Radians; vertical field of view of the camera that it was filmed with."""
    radii: tuple[float, float]
    """Degrees; smallest and largest apparent radius at time 0."""

    def signal(self, form: Format) -> Signal:
        """See `SceneObject.signal`."""
        return _signal(self.file, self.position, form.seconds, form.sample_rate)

    def track(self, form: Format) -> Track:
        """The cut-out at each instant, under the angle that it was filmed under; farther away, a smaller one."""
        cut, times, reach = read_cut_out(self.file), form.frame_times(), _reach(self.file)
        azimuth, elevation, distance = self.path.at(times)
        which = _playing(cut, self.position, form.seconds, form.sample_rate).frames(times, cut.rate, len(cut.frames))
        filmed = cut.sides[which] * reach * np.tan(self.fov / 2)
        tangent = np.clip(filmed, *np.tan(np.radians(self.radii))) * self.path.distance / distance
        shown, number = np.unique(which, return_inverse=True)
        images = [_shrunk(cut.frames[each], reach) for each in shown.tolist()]
        still = np.zeros(len(times))
        return Track(azimuth, elevation, distance, tangent, still, still + 1, number, images)


@lru_cache(maxsize=64)
def _reach(file: Path) -> float:
    """Radius of the circle about the middle that holds a cut-out at all times, in half sides of its images."""
    solid = np.argwhere((read_cut_out(file).frames[..., 3] > 0).any(0)) + 0.5 - SIDE / 2
    return max(0.1, (float(np.hypot(*solid.T).max()) + 1) / (SIDE / 2)) if len(solid) else 1.0


def _shrunk(image: NDArray[np.uint8], reach: float) -> NDArray[np.uint8]:
    """An image scaled about its centre by 1/reach, so that nothing of it is outside the inscribed circle."""
    middle = SIDE / 2 - 0.5
    matrix = np.array([[reach, 0, middle * (1 - reach)], [0, reach, middle * (1 - reach)]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=flags), np.uint8)


@dataclass(frozen=True)
class _Playing:
    """The part of a cut-out that a scene shows; a short one is repeated."""

    begin: float
    """Seconds of the cut-out at the beginning of the scene."""
    period: float
    """Seconds after which it is repeated."""

    def frames(self, times: NDArray[np.float64], rate: float, count: int) -> NDArray[np.int64]:
        """Number of the image at each instant."""
        return np.minimum(np.floor((self.begin + times) % self.period * rate + 1e-6).astype(np.int64), count - 1)


def _playing(cut: CutOut, position: float, seconds: float, sample_rate: int) -> _Playing:
    length = len(cut.audio) / sample_rate
    if length < seconds:
        period = length - min(FADE, length / 4)
        return _Playing(position * period, period)
    begins = _loud_begins(cut.audio, round(seconds * sample_rate), round(GRID * sample_rate))
    return _Playing(float(begins[int(position * (len(begins) - 1) + 0.5)]) / sample_rate, length)


def _loud_begins(audio: Signal, samples: int, step: int) -> NDArray[np.int64]:
    """Samples at which a part that is nearly as loud as the loudest begins."""
    energy = np.concatenate([[0.0], np.cumsum(audio.astype(np.float64) ** 2)])
    begins = np.arange(0, len(audio) - samples + 1, step)
    power = energy[begins + samples] - energy[begins]
    return np.asarray(begins[power >= power.max() * 10 ** (QUIETER_DB / 10)])


@lru_cache(maxsize=16)
def _signal(file: Path, position: float, seconds: float, sample_rate: int) -> Signal:
    """Sound of a cut-out with its lead-in, of unit power within the scene; read-only."""
    cut = read_cut_out(file)
    playing = _playing(cut, position, seconds, sample_rate)
    lead, samples = round(LEAD * sample_rate), round(seconds * sample_rate)
    at = round(playing.begin * sample_rate) - lead + np.arange(lead + samples)
    if len(cut.audio) < seconds * sample_rate:
        loop = _loop(cut.audio, playing, sample_rate)
        found = loop[at % len(loop)]
    else:
        found = np.where(at < 0, 0, cut.audio[np.clip(at, 0, len(cut.audio) - 1)])
    signal = bounded(found, float(np.sqrt(np.mean(found[lead:] ** 2))))
    signal.setflags(write=False)
    return signal


def _loop(audio: Signal, playing: _Playing, sample_rate: int) -> Signal:
    """One period of a short sound, whose end fades into its beginning at constant power."""
    period = round(playing.period * sample_rate)
    fade = len(audio) - period
    ramp = np.linspace(0, np.pi / 2, fade + 2, dtype=np.float32)[1:-1]
    loop = audio[:period].copy()
    loop[:fade] = loop[:fade] * np.sin(ramp) + audio[period:] * np.cos(ramp)
    return loop


@dataclass(frozen=True)
class ClipMember(Member):
    """One cut-out."""

    file: Path
    kind: str
    fov: float
    """See `ClipObject`."""

    def placed(
        self, rng: np.random.Generator, number: int, path: Trajectory, radii: tuple[float, float]
    ) -> SceneObject:
        """Some part of the clip, on a path."""
        return ClipObject(
            number, self.kind, path, float(rng.uniform(-2.5, 2.5)), sounding=False, file=self.file,
            position=float(rng.random()), fov=self.fov, radii=(SMALLEST * radii[0], LARGEST * radii[1]),
        )  # fmt: skip


@dataclass(frozen=True)
class ClipCast(Cast):
    """Cut-outs of a user's clips, each once in a scene."""

    members: tuple[ClipMember, ...]

    def choose(self, rng: np.random.Generator, count: int, alike: float = 0.0) -> Sequence[Member]:
        """Different kinds as far as there are, then further clips of the same ones."""
        order = [self.members[number] for number in rng.permutation(len(self.members)).tolist()]
        seen: Counter[str] = Counter()
        turns = []
        for member in order:
            turns.append(seen[member.kind])
            seen[member.kind] += 1
        chosen = [order[k] for k in np.argsort(turns, kind="stable")][:count]
        twins = [each for each in order if each.kind == chosen[0].kind and each is not chosen[0]]
        if rng.random() < alike and len(chosen) > 1 and twins and twins[0] not in chosen:
            chosen[-1] = twins[0]
        return chosen
