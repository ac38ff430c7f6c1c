"""A generator over a sound of any length."""

# C channels of the output, S samples of a window

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from avssl.errors import InputError
from lightning_fabric import Fabric
from torch import Tensor

from avssl_downstream.spatialize.frame_features import FrameFeatures
from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.overlap_add import OverlapAdd


class WindowSchedule(NamedTuple):
    """How windows are laid over a sound."""

    hop: float
    """Seconds between them; 0: the generator's."""
    together: int
    """Computed at once."""

    def overlap(self, generator: Generator) -> OverlapAdd:
        """Of a generator's windows.

        Raises:
            InputError: they would not overlap by half.
        """
        rate = generator.sample_rate
        hop = round((self.hop or generator.hop) * rate)
        margin = round(generator.margin * rate)
        longest = (generator.samples - 2 * margin) // 2
        if not 1 <= hop <= longest:
            raise InputError(f"hop is up to {longest / rate:g} s, half of what a window gives, not {hop / rate:g} s")
        return OverlapAdd(generator.samples, hop, margin)


def generate_stream(
    generator: Generator, given: Iterable[Tensor], sights: FrameFeatures, fabric: Fabric, pace: WindowSchedule
) -> Iterator[Tensor]:
    """Spatial sound of a sound, block by block.

    Args:
        generator: in evaluation mode, on the fabric's device.
        given: blocks `(I, samples)` of what the generator starts from, at its rate.
        sights: what is seen meanwhile.
        fabric: precision.
        pace: of the windows.

    Yields:
        `(C, samples)`; of a field, what was given is itself, bit for bit.
    """

    def heard(windows: Tensor, starts: list[int]) -> Tensor:
        middles = [(start + generator.samples / 2) / generator.sample_rate for start in starts]
        with torch.no_grad(), fabric.autocast():
            return generator.generate(windows.squeeze(1).to(fabric.device), sights.at(middles)).float().cpu()

    waiting = DelayLine(given)
    for block in pace.overlap(generator).process(waiting, heard, pace.together):
        same = waiting.take(block.shape[1])
        yield block if generator.output == "binaural" else torch.cat([same, block[generator.input_channels :]])


def ideal_mask_stream(generator: Generator, truth: Tensor, pace: WindowSchedule) -> Tensor:
    """Audio `(C, samples)` of the ideal masks of a whole recording; see `Generator.ideal_mask_output`."""

    def heard(windows: Tensor, starts: list[int]) -> Tensor:
        with torch.no_grad():
            return generator.ideal_mask_output(windows)

    return torch.cat(list(pace.overlap(generator).process([truth], heard, pace.together)), 1)


class DelayLine:
    """Blocks that go by, kept until they are taken.

    Args:
        blocks: `(channels, samples)` each.
    """

    def __init__(self, blocks: Iterable[Tensor]) -> None:
        self._blocks = blocks
        self._kept: deque[Tensor] = deque()
        self._nothing = torch.zeros(1, 0)

    def __iter__(self) -> Iterator[Tensor]:
        for block in self._blocks:
            self._kept.append(block)
            self._nothing = block[:, :0]
            yield block

    def take(self, samples: int) -> Tensor:
        """The first so many samples that have gone by and were not taken; fewer if there are no more."""
        found, missing = [], samples
        while missing and self._kept:
            block = self._kept.popleft()
            found.append(block[:, :missing])
            if block.shape[1] > missing:
                self._kept.appendleft(block[:, missing:])
            missing -= found[-1].shape[1]
        return torch.cat(found, 1) if found else self._nothing
