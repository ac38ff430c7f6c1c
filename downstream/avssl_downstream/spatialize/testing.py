"""For authors of generators: the contract as assertions."""

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
"""By which the mono sound is made quieter; a power of two, so that nothing is rounded."""


def check_generator(generator: Generator, clips: Sequence[Clip], seed: int = 0) -> None:
    """Hold a generator against the contract of `avssl_downstream.spatialize.generator.Generator`.

    Beside what `avssl.testing.check_task` asks of views, loss and gradients: `hear` gives sound of the window's shape,
    finite before silence and blank pictures too, as loud as the mono sound asks; windows do not see one another; the
    oracle gives sound of the window's shape.

    Args:
        generator: its parameters' gradients are overwritten.
        clips: at least two windows, of the generator's length, rate and channels.
        seed: of the views.

    Raises:
        AssertionError: says which clause is broken.
    """
    check_task(cast(Task, generator), clips, seed)
    truth = torch.stack([clip.audio for clip in clips])
    frames = torch.stack([resize_frames(clip.frames, generator.size) for clip in clips])
    shape = (len(clips), generator.channels, generator.samples)
    assert truth.shape == shape, f"clips are {tuple(truth.shape)}, a generator of these sizes takes {shape}"
    mono = generator.input_audio(truth).squeeze(1)
    with evaluating(generator), torch.no_grad():
        made = generator.spatialize(mono, frames)
        assert made.shape == shape, f"spatialize gives {tuple(made.shape)}, not {shape}"
        quiet = generator.spatialize(LEVEL * mono, frames)
        np.testing.assert_allclose(quiet, LEVEL * made, atol=1e-3 * float(made.abs().max()), err_msg="level is kept")
        alone = generator.spatialize(mono[:1], frames[:1])
        np.testing.assert_allclose(alone, made[:1], atol=1e-3 * float(made.abs().max()), err_msg="windows are apart")
        nothing = generator.spatialize(0 * mono, 0 * frames)
        assert bool(nothing.isfinite().all()), "silence and blank pictures make sound that is not finite"
        oracle = generator.ideal_mask_output(truth)
        assert oracle.shape == shape, f"oracle gives {tuple(oracle.shape)}, not {shape}"
        assert bool(oracle.isfinite().all()), "the oracle's sound is not finite"
