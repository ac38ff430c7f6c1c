"""Ambisonic rendering of a scene at the position of the listener."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from avssl.spatial.ambisonics import encode
from avssl.spatial.spherical_harmonics import channel_count, spherical_harmonics
from avssl.synth.acoustics.fractional_delay import interpolate
from avssl.synth.acoustics.measured_room import measured
from avssl.synth.acoustics.room import SPEED_OF_SOUND, Room, background, images, tail
from avssl.synth.scene import Scene
from avssl.synth.scene_format import Format
from avssl.synth.scene_object import SceneObject
from avssl.synth.sources.oscillators import Signal
from avssl.synth.trajectories import unit_vector
from avssl.synth.user_media.room_response import read_response

BLOCK = 0.25
"""Interval between the times at which reflections are computed, s; they cross-fade in between."""
PEAK = 0.9
"""Maximum absolute value of a sample."""


def render_audio(scene: Scene, form: Format, order: int = 1) -> NDArray[np.float32]:
    """Ambisonic recording at the position of the listener.

    Direct sound follows the object sample by sample (direction, 1/distance, delay with its Doppler shift); reflections
    and tail are the room's; background noise comes last.

    Returns:
        float32 `(4, samples)`, ambiX, or `(order + 1) ** 2` channels.
    """
    rendered = _with_background(_field(scene, form, list(sources(scene, form)), order), scene, form, order)
    return level(rendered, rendered[0], scene.room.level)


def render_stems(scene: Scene, form: Format, order: int = 1) -> dict[int, NDArray[np.float32]]:
    """Each sounding object alone, at its level in `render_audio`: number of the object -> `(channels, samples)`.

    Reflections and tail of the object are included; their sum is the recording without its background noise.
    """
    dry = list(sources(scene, form))
    stems = {thing.number: _field(scene, form, [(thing, source)], order) for thing, source in dry}
    rendered = _with_background(np.sum(list(stems.values()), axis=0), scene, form, order)
    gain = np.float32(level_gain(rendered, rendered[0], scene.room.level))
    return {number: gain * stem for number, stem in stems.items()}


def _field(scene: Scene, form: Format, dry: list[tuple[SceneObject, Signal]], order: int) -> NDArray[np.float32]:
    """Sound of some objects in the room, without background noise."""
    total = np.zeros((channel_count(order), len(form.sample_times())), np.float32)
    for thing, source in dry:
        if scene.responses:
            total += measured(thing, source, form, read_response(scene.responses[thing.number], form.sample_rate))
            continue
        total += direct(thing, source, form, order)
        if any(scene.room.reflection):
            total += early(scene.room, thing, source, form, order)
    if scene.room.reverberation > 0 and not scene.responses:
        at_one_metre = np.sum([source for _, source in dry], axis=0)
        total += tail(scene.room, at_one_metre, form.sample_rate, order)[:, -total.shape[1] :]
    return total


def sources(scene: Scene, form: Format) -> Iterator[tuple[SceneObject, Signal]]:
    """The objects that sound, each with its sound at 1 m `(span samples,)`, the lead included."""
    for thing in scene.things:
        if thing.sounding:
            yield thing, thing.signal(form) * np.float32(_strength(thing))


def _strength(thing: SceneObject) -> float:
    """Amplitude at 1 m that is as loud as wanted at the object's first distance."""
    return float(thing.path.distance * 10 ** (thing.loudness / 20))


def direct(thing: SceneObject, source: Signal, form: Format, order: int = 1) -> NDArray[np.float32]:
    """Sound that comes straight from a moving object.

    Args:
        thing: what moves.
        source: its sound at 1 m, `(span samples,)`, the lead included.
        form: of the recording.
        order: of the field.

    Returns:
        float32 `(4, samples)`, or `(order + 1) ** 2` channels.
    """
    azimuth, elevation, _ = thing.path.at(form.sample_times())
    rendered = arriving(thing, source, form)
    tensors = (torch.from_numpy(each.astype(np.float32)) for each in (rendered, _wrap(azimuth), elevation))
    return np.asarray(encode(*tensors, order=order).numpy())


def arriving(thing: SceneObject, source: Signal, form: Format) -> NDArray[np.float64]:
    """Direct sound of a moving object at the listener, `(samples,)`: delayed and attenuated by its distance.

    Args:
        thing: what moves.
        source: its sound at 1 m, `(span samples,)`, the lead included.
        form: of the recording.
    """
    times = form.sample_times()
    distance = thing.path.at(times)[2]
    instants = (times - form.span().start - distance / SPEED_OF_SOUND) * form.sample_rate
    return np.asarray(interpolate(source, instants) / distance)


def early(room: Room, thing: SceneObject, source: Signal, form: Format, order: int = 1) -> NDArray[np.float32]:
    """Sound that reaches the listener by way of one wall.

    Args:
        room: where.
        thing: what moves.
        source: its sound at 1 m, `(span samples,)`, the lead included.
        form: of the recording.
        order: of the field.

    Returns:
        float32 `(4, samples)`, or `(order + 1) ** 2` channels.
    """
    rate = form.sample_rate
    hop = round(BLOCK * rate)
    fade = np.bartlett(2 * hop + 1)[1:-1].astype(np.float32)
    padded = np.pad(source, (hop, 3 * hop + rate // 4))
    total = np.zeros((channel_count(order), len(padded)), np.float32)
    for begin in range(0, len(source) + hop, hop):
        # The block is loudest at `begin + hop` of the padded sound, which is `begin` of the sound.
        block = padded[begin : begin + len(fade)] * fade
        gains, delays = _taps(room, thing, form.span().start + begin / rate, rate, order)
        for gain, delay in zip(gains, delays, strict=True):
            total[:, begin + delay : begin + delay + len(block)] += gain[:, None] * block
    lead = len(source) - len(form.sample_times())
    return total[:, hop + lead : hop + len(source)]


def _taps(
    room: Room, thing: SceneObject, time: float, rate: int, order: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Gains of all channels `(6, channels)` and delays in samples `(6,)` of the reflections at one instant."""
    azimuth, elevation, distance = thing.path.at(np.array(time))
    mirrored, kept = images(room, unit_vector(azimuth, elevation) * distance)
    far = np.linalg.norm(mirrored, axis=-1)
    gains = spherical_harmonics(torch.from_numpy(mirrored / far[:, None]), order).numpy() * (kept / far)[:, None]
    return gains.astype(np.float32), np.round(far / SPEED_OF_SOUND * rate).astype(np.int64)


def _with_background(total: NDArray[np.float32], scene: Scene, form: Format, order: int) -> NDArray[np.float32]:
    snr = scene.room.noise if scene.ambience is None else scene.ambience.snr
    if np.isinf(snr):
        return total
    power = np.sqrt((total[0] ** 2).mean()) * 10 ** (-snr / 20)
    return total + np.float32(power) * around(scene, form, order)


def around(scene: Scene, form: Format, order: int = 1) -> NDArray[np.float32]:
    """Background sound `(channels, samples)` of unit power in W: an ambience recording, or diffuse noise."""
    if scene.ambience is not None:
        return scene.ambience.audio(form)
    return background(scene.room, len(form.sample_times()), form.sample_rate, order)


def level(total: NDArray[np.float32], measured: NDArray[np.float32], wanted: float) -> NDArray[np.float32]:
    """Sound at a wanted level, or as loud as its peaks allow.

    Args:
        total: `(channels, samples)`.
        measured: what has that level, such as W.
        wanted: root mean square, decibels.
    """
    return total * np.float32(level_gain(total, measured, wanted))


def level_gain(total: NDArray[np.float32], measured: NDArray[np.float32], wanted: float) -> float:
    """Factor of `level`."""
    gain = 10 ** (wanted / 20) / (np.sqrt((measured**2).mean()) + 1e-12)
    return float(min(gain, PEAK / (np.abs(total).max() + 1e-12)))


def _wrap(azimuth: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((azimuth + np.pi) % (2 * np.pi) - np.pi)
