"""Sound of a moving object in a room whose response was measured."""

from __future__ import annotations

import numpy as np
import scipy
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.spatial.ambisonics import rotate, rotation, rotation_to_front
from avssl.synth.acoustics.fractional_delay import interpolate
from avssl.synth.acoustics.room import SPEED_OF_SOUND
from avssl.synth.scene_format import Format
from avssl.synth.scene_object import SceneObject
from avssl.synth.sources.oscillators import Signal
from avssl.synth.user_media.room_response import Response

MARGIN = 8
"""Samples of silence around a signal for interpolation."""


def measured(
    thing: SceneObject, source: Signal, form: Format, response: Response, part: Tensor | None = None
) -> NDArray[np.float32]:
    """Sound field of a moving object: its sound through a response that is turned to where the object is.

    The direct sound has delay and level of the object's distance; reflections and reverberation follow it as they were
    measured, so that the direct-to-reverberant ratio is that of the response.

    Args:
        thing: what moves.
        source: its sound at 1 m, `(span samples,)`, the lead included.
        form: of the recording.
        response: of the room.
        part: of the response that is rendered, `(4, taps)`; None: all of it.

    Returns:
        float32 `(4, samples)`, ambiX.
    """
    samples = len(form.sample_times())
    taps = (response.whole if part is None else part).numpy()
    arriving = _arriving(thing, source, form)
    wet = scipy.signal.fftconvolve(arriving[None], taps, axes=-1)[:, response.onset :][:, : len(arriving)]
    wet = np.pad(wet, ((0, 0), (0, len(arriving) - wet.shape[1])))[:, -samples:]
    return _turned(torch.from_numpy(wet), thing, form, response)


def dry_direct(source: Signal, response: Response) -> Signal:
    """A sound through the direct sound of a response: `(span samples,)`, at 1 m."""
    direct = response.direct[0].numpy()
    return np.asarray(scipy.signal.fftconvolve(source, direct)[response.onset :][: len(source)], np.float32)


def _arriving(thing: SceneObject, source: Signal, form: Format) -> Signal:
    """Sound at the listener `(span samples,)`: delayed and attenuated by the distance at each instant."""
    times = form.span().times()
    distance = thing.path.at(times)[2]
    delay = distance / SPEED_OF_SOUND * form.sample_rate
    lead = int(np.ceil(delay.max())) + MARGIN
    padded = np.pad(source, (lead, MARGIN))
    return np.asarray(interpolate(padded, np.arange(len(source)) + lead - delay) / distance, np.float32)


def _turned(foa: Tensor, thing: SceneObject, form: Format, response: Response) -> NDArray[np.float32]:
    """A field `(4, samples)` whose direct sound is turned from where it was measured to where the object is.

    By azimuth and elevation, without roll: what was level stays level, but for the difference in elevation.
    """
    azimuth, elevation, _ = (torch.from_numpy(each) for each in thing.path.at(form.sample_times()))
    turn = rotation(azimuth, elevation) @ rotation_to_front(response.azimuth, response.elevation).double()
    turned = rotate(foa.T[..., None].double(), turn)
    return np.asarray(turned[..., 0].T.numpy(), np.float32)
