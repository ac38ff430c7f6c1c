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
    independent; `ideal_mask_output` returns audio of the window's shape. Where there are masks, those of the mono audio
    itself give the output of `generate` whatever the level of the other audio, and silence stays silent; tracks have
    masks and gains of one length.

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
        _check_masks(generator, mono, frames, tolerance)


def _check_masks(generator: Generator, mono: torch.Tensor, frames: torch.Tensor, tolerance: float) -> None:
    """Assert what `generate_with_masks_of` and `separated_tracks` promise, where a generator has them."""
    features = generator.encode_video(frames)
    own = generator.generate_with_masks_of(mono, LEVEL * mono, features)
    if own is not None:
        audio = generator.generate(mono, features)
        np.testing.assert_allclose(own, audio, atol=tolerance, err_msg="masks of the audio itself")
        silent = generator.generate_with_masks_of(0 * mono, mono, features)
        assert silent is not None
        # A constant, such as a bias of published weights, may remain.
        moving = silent - silent.mean(-1, keepdim=True)
        assert float(moving.abs().max()) <= tolerance, "expected masks of other audio to keep silence silent"
    tracks = generator.separated_tracks(mono, features)
    if tracks is not None:
        bins, columns = generator.mask_stft.bins, generator.mask_stft.frames(generator.samples)
        count, outputs = tracks.masks.shape[1], generator.channels - generator.input_channels
        expected = (len(mono), count, bins, columns), (len(mono), count, outputs, columns)
        found = tuple(tracks.masks.shape), tuple(tracks.gains.shape)
        assert found == expected, f"expected tracks of shapes {expected}, got {found}"
