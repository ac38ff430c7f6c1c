"""Binaural rendering of a scene."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.media.hrir_files import read_hrirs
from avssl.spatial.binaural import ambisonic_filters, render, spherical_head, to_binaural
from avssl.spatial.hrir import HrirSet
from avssl.synth.acoustics.foa_render import around, arriving, early, level_gain, sources
from avssl.synth.acoustics.measured_room import dry_direct, measured
from avssl.synth.acoustics.room import tail
from avssl.synth.scene import Scene
from avssl.synth.scene_format import Format
from avssl.synth.scene_object import SceneObject
from avssl.synth.sources.oscillators import Signal
from avssl.synth.user_media.room_response import read_response

Ears = NDArray[np.float32]


@lru_cache(maxsize=1)
def head_responses(path: str, sample_rate: int) -> HrirSet:
    """The responses of a head.

    Args:
        path: see `read_hrirs`; empty: a sphere.
        sample_rate: Hz that they are wanted at.

    Raises:
        InputError: the file is none of head-related responses.
        OSError: there is none.
    """
    return read_hrirs(Path(path)).resample(sample_rate) if path else spherical_head(sample_rate)


@lru_cache(maxsize=1)
def field_filters(path: str, sample_rate: int) -> Tensor:
    """Binaural decoding filters of a first-order field, `(2, 4, taps)`."""
    return ambisonic_filters(head_responses(path, sample_rate))


def fingerprint(path: str, sample_rate: int) -> str:
    """Tells heads apart by their responses, not by where these lie."""
    if not path:
        return "sphere"
    hrirs = head_responses(path, sample_rate)
    content = hrirs.directions.numpy().tobytes() + hrirs.responses.numpy().tobytes()
    return hashlib.sha256(content).hexdigest()[:16]


def render_ears(scene: Scene, form: Format, head: str) -> Ears:
    """Binaural audio of a listener that faces the direction of the camera.

    Direct sound is rendered from every object's own direction; reflections, tail and background noise are diffuse
    enough for a first-order field.

    Args:
        scene: what sounds.
        form: of the recording.
        head: path of its responses; empty: a sphere.

    Returns:
        float32 `(2, samples)`: left, right.
    """
    total = _with_background(_ears(scene, form, head, list(sources(scene, form))), scene, form, head)
    return total * np.float32(level_gain(total, total, scene.room.level))


def render_ears_and_sources(scene: Scene, form: Format, head: str) -> tuple[Ears, NDArray[np.float32]]:
    """The audio of `render_ears`, and each source's direct sound at the place of the head without the head.

    Returns:
        `(2, samples)`, and `(sources, samples)` at their levels in it, by ascending number of the object.
    """
    dry = list(sources(scene, form))
    total = _with_background(_ears(scene, form, head, dry), scene, form, head)
    gain = np.float32(level_gain(total, total, scene.room.level))
    alone = np.stack([arriving(thing, source, form) for thing, source in dry])
    return gain * total, gain * alone.astype(np.float32)


def render_ear_stems(scene: Scene, form: Format, head: str) -> dict[int, Ears]:
    """Each sounding object alone, at its level in `render_ears`: number of the object -> `(2, samples)`.

    Reflections and tail of the object are included; their sum is the recording without its background noise.
    """
    dry = list(sources(scene, form))
    stems = {thing.number: _ears(scene, form, head, [(thing, source)]) for thing, source in dry}
    total = _with_background(np.sum(list(stems.values()), axis=0), scene, form, head)
    gain = np.float32(level_gain(total, total, scene.room.level))
    return {number: gain * stem for number, stem in stems.items()}


def _ears(scene: Scene, form: Format, head: str, dry: list[tuple[SceneObject, Signal]]) -> Ears:
    """Binaural audio of some objects in the room, without background noise."""
    hrirs, filters = head_responses(head, form.sample_rate), field_filters(head, form.sample_rate)
    samples = len(form.sample_times())
    total = np.zeros((2, samples), np.float32)
    field = np.zeros((4, samples), np.float32)
    for thing, source in dry:
        if scene.responses:
            response = read_response(scene.responses[thing.number], form.sample_rate)
            total += _direct(thing, dry_direct(source, response), form, hrirs)
            field += measured(thing, source, form, response, response.rest)
            continue
        total += _direct(thing, source, form, hrirs)
        if any(scene.room.reflection):
            field += early(scene.room, thing, source, form)
    if scene.room.reverberation > 0 and not scene.responses:
        at_one_metre = np.sum([source for _, source in dry], axis=0)
        field += tail(scene.room, at_one_metre, form.sample_rate)[:, -samples:]
    total += to_binaural(torch.from_numpy(field), filters).numpy()
    return total


def _with_background(total: Ears, scene: Scene, form: Format, head: str) -> Ears:
    snr = scene.room.noise if scene.ambience is None else scene.ambience.snr
    if np.isfinite(snr):
        filters = field_filters(head, form.sample_rate)
        noise = to_binaural(torch.from_numpy(around(scene, form)), filters).numpy()
        total += noise * np.float32(10 ** (-snr / 20) * _loudness(total) / _loudness(noise))
    return total


def _direct(thing: SceneObject, source: Signal, form: Format, hrirs: HrirSet) -> Ears:
    """Sound that comes straight from a moving object; `source` is its sound at 1 m, the lead included."""
    span = form.span()
    azimuth, elevation, distance = (torch.from_numpy(each) for each in thing.path.at(span.times()))
    rendered = render(torch.from_numpy(source), azimuth, elevation, hrirs, distance).numpy()
    return np.asarray(rendered[:, -len(form.sample_times()) :])


def _loudness(audio: Ears) -> float:
    """Root mean square over both ears."""
    return float(np.sqrt((audio**2).mean()) + 1e-12)
