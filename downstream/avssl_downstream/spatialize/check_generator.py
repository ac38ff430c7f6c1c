"""The contract of a generator as assertions, for authors of generators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch

from avssl.data.clip import Clip
from avssl.models.runtime import evaluating
from avssl.task import Task
from avssl.testing import check_task
from avssl_downstream.spatialize.generator import Generator, resize_frames

LEVEL = 0.25
"""Factor by which the mono audio is attenuated; a power of two, so nothing is rounded."""


def check_generator(generator: Generator, clips: Sequence[Clip], seed: int = 0) -> None:
    """Assert the contract of `avssl_downstream.spatialize.generator.Generator`.

    Besides views, loss and gradients (`avssl.testing.check_task`): `generate` returns audio of the window's shape,
    finite for silence and black frames, proportional to the level of the mono audio; windows of a batch are
    independent; `ideal_mask_output` returns audio of the window's shape.

    Args:
        generator: the gradients of its parameters are overwritten.
        clips: at least two windows, of the generator's length, sample rate and channels.
        seed: of the views.

    Raises:
        AssertionError: names the violated clause.
    """
    check_task(cast(Task, generator), clips, seed)
    target = torch.stack([clip.audio for clip in clips])
    frames = torch.stack([resize_frames(clip.frames, generator.size) for clip in clips])
    shape = (len(clips), generator.channels, generator.samples)
    assert target.shape == shape, f"expected clips of shape {shape}, got {tuple(target.shape)}"
    mono = generator.input_audio(target).squeeze(1)
    with evaluating(generator), torch.no_grad():
        audio = generator.spatialize(mono, frames)
        assert audio.shape == shape, f"expected spatialize to return {shape}, got {tuple(audio.shape)}"
        tolerance = 1e-3 * float(audio.abs().max())
        quiet = generator.spatialize(LEVEL * mono, frames)
        np.testing.assert_allclose(quiet, LEVEL * audio, atol=tolerance, err_msg="output level follows input level")
        single = generator.spatialize(mono[:1], frames[:1])
        np.testing.assert_allclose(single, audio[:1], atol=tolerance, err_msg="windows of a batch are independent")
        silent = generator.spatialize(0 * mono, 0 * frames)
        assert bool(silent.isfinite().all()), "expected finite audio for silence and black frames"
        ideal = generator.ideal_mask_output(target)
        assert ideal.shape == shape, f"expected ideal_mask_output to return {shape}, got {tuple(ideal.shape)}"
        assert bool(ideal.isfinite().all()), "expected finite audio from ideal_mask_output"
