"""Verification of a written ambiX file: its first channels are read back and compared with the input audio."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from avssl.media.streams import AudioReader
from avssl.spatial.resample import resample_blocks
from avssl_downstream.spatialize.input_media import BLOCK, InputMedia


class Difference(NamedTuple):
    """Difference of two audio streams."""

    largest: float
    """Largest absolute difference of a sample, full scale 1."""
    decibels: float
    """Energy of the difference over that of the second stream; -inf where they are equal."""


def verification_message(target: Path, source: InputMedia) -> str:
    """A line with the difference of a written ambiX file from the audio it was made of.

    Compared are W and the mono input, or the first four channels and the first-order input. They are equal bit for bit
    in a wav; in a video file the difference is that of the audio codec.

    Args:
        target: the written file.
        source: its input.
    """
    written = AudioReader(target)
    audio = source.audio_blocks()
    if written.sample_rate != source.sample_rate:
        audio = resample_blocks(audio, source.sample_rate, written.sample_rate)
    found = difference((block[: source.channels] for block in written.play(BLOCK)), audio)
    compared = "W is the mono input" if source.channels == 1 else "W, Y, Z and X are the first-order input"
    if written.raw:
        return f"{target}: {compared}, largest difference {found.largest:g}"
    return (
        f"{target}: {compared} through {written.codec}, largest difference {found.largest:g}, {found.decibels:.0f} dB"
    )


def difference(one: Iterable[Tensor], other: Iterable[Tensor]) -> Difference:
    """Difference of two streams of blocks `(channels, samples)` of any lengths, up to the end of the shorter one."""
    largest = error = energy = 0.0
    for block, reference in zip_blocks(one, other):
        off = block - reference
        largest = max(largest, float(off.abs().max()))
        error += float(off.double().square().sum())
        energy += float(reference.double().square().sum())
    return Difference(largest, 10 * math.log10(error / energy) if error and energy else -math.inf)


def zip_blocks(one: Iterable[Tensor], other: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Blocks of two streams at the same samples, up to the end of the shorter one."""
    streams, held = (iter(one), iter(other)), [torch.zeros(1, 0)] * 2
    while True:
        for place, blocks in enumerate(streams):
            while not held[place].shape[1]:
                block = next(blocks, None)
                if block is None:
                    return
                held[place] = block
        count = min(each.shape[1] for each in held)
        yield held[0][:, :count], held[1][:, :count]
        held = [each[:, count:] for each in held]
