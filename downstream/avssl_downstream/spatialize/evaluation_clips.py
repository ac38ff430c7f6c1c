"""Clips of a manifest, whole: their true sound and their pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from avssl.errors import InputError
from torch import Tensor

from avssl.datasets.manifest import Manifest, Row
from avssl.media import iterate_frames, read_audio
from avssl.media.resample import resample
from avssl_downstream.spatialize.frame_features import FrameReader
from avssl_downstream.spatialize.generator import Generator

FrameTransform = Callable[[Tensor], Tensor]
MOST_FOR_PRIOR = 200
"""Training clips that the spatial prior is made of, evenly spaced."""


def target_audio(row: Row, manifest: Manifest, generator: Generator) -> Tensor:
    """`(C, samples)` at the generator's rate.

    Raises:
        InputError: another number of channels than the generator makes, or samples that are no numbers.
    """
    path = manifest.root / row.audio
    audio, rate = read_audio(path, row.start, row.seconds)
    if len(audio) != generator.channels:
        raise InputError(f"{path}: {generator.output} sound has {generator.channels} channels, this has {len(audio)}")
    if not bool(audio.isfinite().all()):
        raise InputError(f"{path}: sound is made of finite numbers, here are others")
    return resample(audio, rate, generator.sample_rate)


def clip_frames(row: Row, manifest: Manifest) -> FrameReader:
    """The pictures of a clip, as `FrameFeatures` wants them."""

    def frames(times: Sequence[float], size: tuple[int, int]) -> Iterator[np.ndarray]:
        return iterate_frames(manifest.root / row.video, [row.start + time for time in times], size)

    return frames


def spatial_prior(manifest: Manifest, generator: Generator) -> Tensor:
    """By how much each channel is the mono sound, on average of training clips (Morgado et al. 2018): `(C, I)`.

    Where a field is given, by how much it is each of its channels.

    Raises:
        InputError: no training clip has a sound, or one cannot be read.
    """
    shape = generator.channels, generator.input_channels
    shared, power = (torch.zeros(rows, generator.input_channels, dtype=torch.float64) for rows in shape)
    for row in evenly_spaced(manifest.rows, MOST_FOR_PRIOR):
        truth = target_audio(row, manifest, generator).double()
        given = generator.input_audio(truth)
        shared += truth @ given.T
        power += given @ given.T
    if not bool(power.any()):
        raise InputError(f"{manifest.root}: the training clips are silent, there is no spatial prior")
    prior: Tensor = shared @ torch.linalg.pinv(power, hermitian=True)
    return prior.float()


def evenly_spaced(rows: Sequence[Row], most: int) -> Sequence[Row]:
    """So many of some rows at most, evenly spaced; 0: all."""
    return rows if not most else rows[:: -(-len(rows) // most)]
