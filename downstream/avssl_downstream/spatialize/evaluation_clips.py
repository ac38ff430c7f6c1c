"""Clips for evaluation: target audio, frames, and the spatial prior of a training set."""

# I input channels, C output channels

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from avssl.datasets.manifest import Manifest, Row
from avssl.errors import InputError
from avssl.media import iterate_frames, read_resampled
from avssl.media.clip_start import check_clip_start
from avssl_downstream.spatialize.frame_features import FrameReader
from avssl_downstream.spatialize.generator import Generator

PRIOR_CLIPS = 200
"""Training clips at most for the spatial prior, evenly spaced."""


def target_audio(row: Row, manifest: Manifest, generator: Generator) -> Tensor:
    """True spatial audio of a clip, `(C, samples)` at the generator's sample rate.

    Raises:
        InputError: another number of channels than the generator's output has, or samples that are not finite.
    """
    path = manifest.root / row.audio
    audio = read_resampled(path, row.start, row.seconds, generator.sample_rate)
    if len(audio) != generator.channels:
        raise InputError(f"{path}: expected {generator.channels} channels ({generator.output}), got {len(audio)}")
    if not bool(audio.isfinite().all()):
        raise InputError(f"{path}: expected finite audio samples, got NaN or Inf")
    return audio


def clip_frames(row: Row, manifest: Manifest) -> FrameReader:
    """Frame reader of a clip; timestamps count from the clip's beginning."""

    def read(times: Sequence[float], size: tuple[int, int]) -> Iterator[np.ndarray]:
        check_clip_start(manifest.root / row.video, row.start)
        return iterate_frames(manifest.root / row.video, [row.start + time for time in times], size)

    return read


def spatial_prior(manifest: Manifest, generator: Generator) -> Tensor:
    """Least-squares gains from input to output channels over training clips (Morgado et al. 2018): `(C, I)`.

    Raises:
        InputError: all training clips are silent, or one cannot be read.
    """
    shape = generator.channels, generator.input_channels
    shared, power = (torch.zeros(rows, generator.input_channels, dtype=torch.float64) for rows in shape)
    for row in evenly_spaced(manifest.rows, PRIOR_CLIPS):
        target = target_audio(row, manifest, generator).double()
        audio = generator.input_audio(target)
        shared += target @ audio.T
        power += audio @ audio.T
    if not bool(power.any()):
        raise InputError(f"{manifest.root}: expected audible training clips for the spatial prior, got silence")
    prior: Tensor = shared @ torch.linalg.pinv(power, hermitian=True)
    return prior.float()


def evenly_spaced(rows: Sequence[Row], most: int) -> Sequence[Row]:
    """At most `most` of the rows, evenly spaced; 0: all."""
    return rows if not most else rows[:: -(-len(rows) // most)]
