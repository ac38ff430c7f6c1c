"""Calibration of a fitted generator on clips: the level of what it adds, and a spatial prior beside it.

A generator that was fitted on other films finds directions better than levels, and knows nothing of how films of a kind
are shot. One level, and constant gains of the input, need few clips, on which training would overfit.
"""

# I input channels, C output channels

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from avssl.errors import InputError
from avssl_downstream.spatialize.generator import KEPT_CHANNELS, unspatialized


class Calibration(NamedTuple):
    """What a generator adds to its input at another level, and constant gains of the input."""

    level: float
    """Factor of what the generator adds."""
    gains: Tensor
    """From input channels to what is added beside it, `(C, I)`; 0 for channels that are kept."""

    def __call__(self, generated: Tensor, audio: Tensor) -> Tensor:
        """Calibrated audio `(..., C, samples)` of generated audio and the input audio `(..., I, samples)`."""
        plain = unspatialized(audio, generated.shape[-2])
        return plain + self.level * (generated - plain) + self.gains.to(audio) @ audio


class CalibrationClip(NamedTuple):
    """A clip whose true audio is known."""

    generated: Tensor
    """`(C, samples)`."""
    audio: Tensor
    """Input of the generator, `(I, samples)`."""
    target: Tensor
    """`(C, samples)`."""
    present: Sequence[int]
    """Output channels that were recorded."""


def fit_calibration(clips: Iterable[CalibrationClip]) -> Calibration:
    """The calibration of least squared error over clips, all at the same level of their input, as in training.

    Raises:
        InputError: no audible clip.
    """
    shape, equations = (0, 0), (torch.zeros(0), torch.zeros(0))
    for clip in clips:
        audio = clip.audio.double()
        if not bool(audio.any()):
            continue
        if not len(equations[1]):
            shape = len(clip.target), len(audio)
            unknown = 1 + shape[0] * shape[1]
            equations = (
                torch.zeros(unknown, unknown, dtype=torch.float64),
                torch.zeros(unknown, dtype=torch.float64),
            )
        _add_equations(equations, clip, audio)
    if not len(equations[1]):
        raise InputError("expected audible training clips for the calibration, got silence")
    found = torch.linalg.pinv(equations[0], hermitian=True) @ equations[1]
    found[equations[0].diagonal() == 0] = 0  # kept or never recorded: without an equation, and not exactly 0
    return Calibration(float(found[0]), found[1:].reshape(shape).float())


def _add_equations(equations: tuple[Tensor, Tensor], clip: CalibrationClip, audio: Tensor) -> None:
    """Add the normal equations of a clip; the unknowns are the level, then the gains of each output channel."""
    power, shared = equations
    inputs, channels = len(audio), len(clip.target)
    plain, energy = unspatialized(audio, channels), audio.square().sum()
    added, wanted = clip.generated.double() - plain, clip.target.double() - plain
    for channel in clip.present:
        if channel < KEPT_CHANNELS[channels]:
            continue
        places = torch.tensor([0, *range(1 + channel * inputs, 1 + (channel + 1) * inputs)])
        signals = torch.cat([added[channel : channel + 1], audio])
        power[places[:, None], places] += signals @ signals.T / energy
        shared[places] += signals @ wanted[channel] / energy
