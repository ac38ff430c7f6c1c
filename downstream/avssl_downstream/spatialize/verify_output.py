"""Whether a written field has the sound it was made of: read back, and held against the source."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from avssl.media.resample import resample_blocks
from avssl.media.streams import AudioReader
from avssl_downstream.spatialize.input_media import BLOCK, InputMedia


class Difference(NamedTuple):
    """How far two sounds are apart."""

    largest: float
    """Of all samples, full scale 1."""
    decibels: float
    """Energy of the difference over that of the second sound; -inf where they are the same."""


def verification_message(target: Path, source: InputMedia) -> str:
    """A line that says by how much W of a written ambiX file differs from the mono sound it was made of.

    Or its first four channels from the field that was given. In a wav it is the same, bit for bit; in a film it is what
    the codec leaves of it.

    Args:
        target: what was written.
        source: what it was made of.
    """
    written = AudioReader(target)
    given = source.audio_blocks()
    if written.sample_rate != source.sample_rate:
        given = resample_blocks(given, source.sample_rate, written.sample_rate)
    found = difference((block[: source.channels] for block in written.play(BLOCK)), given)
    same = "W is the mono sound" if source.channels == 1 else "W, Y, Z and X are the field that was given"
    if written.raw:
        return f"{target}: {same}, they differ by {found.largest:g} at most"
    return (
        f"{target}: {same} as {written.codec} keeps it, they differ by {found.largest:g} at most, "
        f"{found.decibels:.0f} dB"
    )


def difference(one: Iterable[Tensor], other: Iterable[Tensor]) -> Difference:
    """Between two sounds in blocks `(channels, samples)` of any lengths, as far as both go."""
    largest = wrong = energy = 0.0
    for mine, theirs in zip_blocks(one, other):
        off = mine - theirs
        largest = max(largest, float(off.abs().max()))
        wrong += float(off.double().square().sum())
        energy += float(theirs.double().square().sum())
    return Difference(largest, 10 * math.log10(wrong / energy) if wrong and energy else -math.inf)


def zip_blocks(one: Iterable[Tensor], other: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Pieces of two sounds at the same samples, until the shorter one ends."""
    waiting, held = (iter(one), iter(other)), [torch.zeros(1, 0)] * 2
    while True:
        for place, blocks in enumerate(waiting):
            while not held[place].shape[1]:
                block = next(blocks, None)
                if block is None:
                    return
                held[place] = block
        count = min(each.shape[1] for each in held)
        yield held[0][:, :count], held[1][:, :count]
        held = [each[:, count:] for each in held]
