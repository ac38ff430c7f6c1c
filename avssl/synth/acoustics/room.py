"""Room around the listener: early reflections by image sources, diffuse tail, diffuse background noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import scipy
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SPEED_OF_SOUND = 343.0
"""Speed of sound, m/s."""


@dataclass(frozen=True)
class Room:
    """Shoebox room with the listener inside, its reverberation and its background noise."""

    walls: tuple[float, float, float, float, float, float]
    """Metres from the listener to the walls in front, behind, left, right, above, below."""
    reflection: tuple[float, float, float, float, float, float]
    """Pressure that each wall gives back, 0..1; all 0: no reflections."""
    reverberation: float
    """Seconds until the tail has fallen by 60 dB; 0: no tail."""
    critical_distance: float
    """Metres at which the tail is as strong as the direct sound."""
    noise: float
    """Decibels by which the background lies below the objects; infinite: no background."""
    noise_slope: float
    """Decibels an octave of the background's spectrum."""
    level: float
    """Root mean square of W that is aimed at, decibels below full scale."""
    seed: int
    """Seed of the tail and the noise."""

    def anechoic(self) -> Room:
        """The same without reflections, tail and background."""
        return replace(self, reflection=(0.0,) * 6, reverberation=0.0, noise=np.inf)


def draw_room(rng: np.random.Generator) -> Room:
    """A random room; its walls lie beyond every object's path."""
    return Room(
        walls=tuple(rng.uniform((5.3,) * 4 + (3.8,) * 2, (9.0,) * 4 + (5.5,) * 2).tolist()),
        reflection=tuple(rng.uniform(0.2, 0.75, 6).tolist()),
        reverberation=float(rng.uniform(0.15, 0.5)),
        critical_distance=float(rng.uniform(5.0, 9.0)),
        noise=float(rng.uniform(12, 35)),
        noise_slope=float(rng.uniform(-6, 0)),
        level=float(rng.uniform(-32, -20)),
        seed=int(rng.integers(2**31)),
    )


def images(room: Room, positions: Floats) -> tuple[Floats, Floats]:
    """First-order image sources.

    Args:
        room: where.
        positions: `(..., 3)`, metres in x, y, z from the listener.

    Returns:
        Positions of the six images `(..., 6, 3)` and what their walls give back `(6,)`.
    """
    mirrored = np.repeat(positions[..., None, :], 6, axis=-2)
    for wall in range(6):
        axis, sign = wall // 2, 1 - 2 * (wall % 2)
        mirrored[..., wall, axis] = 2 * sign * room.walls[wall] - mirrored[..., wall, axis]
    return mirrored, np.array(room.reflection)


def diffuse(order: int) -> Floats:
    """Root mean square of each channel (ACN, SN3D) of a diffuse field of unit pressure."""
    degrees = np.arange(order + 1)
    return np.asarray(np.repeat(1 / np.sqrt(2.0 * degrees + 1), 2 * degrees + 1))


def tail(room: Room, source: NDArray[np.float32], sample_rate: int, order: int = 1) -> NDArray[np.float32]:
    """Diffuse reverberation of a signal.

    Args:
        room: where.
        source: `(samples,)`, all sounding objects as they are at 1 m.
        sample_rate: Hz.
        order: of the field; a higher one begins with the lower ones' channels.

    Returns:
        `(4, samples)`, W, Y, Z, X, or `(order + 1) ** 2` channels.
    """
    rng = np.random.default_rng((room.seed, 0))
    times = np.arange(int(1.1 * room.reverberation * sample_rate)) / sample_rate
    rise = np.clip((times - 0.012) / 0.01, 0, 1)
    shape = rise * 10 ** (-3 * times / room.reverberation)
    powers = diffuse(order)[:, None]
    responses = rng.standard_normal((len(powers), len(times))) * shape * powers
    responses /= np.sqrt((shape**2).sum()) * room.critical_distance
    wet = scipy.signal.fftconvolve(source[None], responses.astype(np.float32), axes=-1)
    return np.asarray(wet[:, : len(source)], np.float32)


def background(room: Room, samples: int, sample_rate: int, order: int = 1) -> NDArray[np.float32]:
    """Diffuse noise `(4, samples)` of unit power in W, with the room's spectral slope above 100 Hz; see `tail`."""
    rng = np.random.default_rng((room.seed, 1))
    length = 1 << (samples - 1).bit_length()
    frequencies = np.fft.rfftfreq(length, 1 / sample_rate)
    gain = np.where(frequencies > 40, np.maximum(frequencies, 100.0) ** (room.noise_slope / 6.02), 0.0)
    powers = diffuse(order)
    spectrum = rng.standard_normal((len(powers), len(frequencies), 2)).view(np.complex128)[..., 0] * gain
    noise = np.fft.irfft(spectrum)[:, :samples]
    noise *= (powers / np.sqrt((noise**2).mean(1)))[:, None]
    return noise.astype(np.float32)
