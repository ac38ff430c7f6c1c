"""Pieces of a sound that comes block by block: its short-time spectrum, and stretches of one length.

Whatever the blocks, the pieces put together are what the whole sound would give.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import pad

from avssl.spatial.spectrum import StftConfig


class Spectra:
    """The short-time spectrum of a sound `(..., samples)` that comes block by block."""

    def __init__(self, config: StftConfig) -> None:
        self.config = replace(config, pad="none")
        self.mode, self.half = config.pad, 0 if config.pad == "none" else config.n_fft // 2
        self.held: Tensor | None = None
        self.tail: Tensor | None = None
        self.begun = False

    def add(self, block: Tensor) -> Tensor | None:
        """Columns `(..., F, T)` that this block completes; None where it completes none."""
        self.held = block if self.held is None else torch.cat([self.held, block], -1)
        if not self.begun:
            if self.held.shape[-1] <= self.half:
                return None
            self.held, self.begun = _led(self.held, self.half, self.mode), True
        self.tail = self.held[..., -self.half - 1 :].clone() if self.half else None
        return self._columns()

    def finish(self) -> Tensor | None:
        """The last columns.

        Raises:
            ValueError: the sound was shorter than half a window.
        """
        if not self.begun or self.held is None:
            raise ValueError(f"a spectrum of windows of {self.config.n_fft} needs more than half of one")
        if self.tail is not None:
            end = _led(self.tail.flip(-1), self.half, self.mode)[..., : self.half].flip(-1)
            self.held = torch.cat([self.held, end], -1)
        return self._columns()

    def _columns(self) -> Tensor | None:
        assert self.held is not None
        size, hop = self.config.n_fft, self.config.hop
        count = (self.held.shape[-1] - size) // hop + 1
        if count < 1:
            return None
        columns = self.config.stft(self.held[..., : (count - 1) * hop + size])
        self.held = self.held[..., count * hop :].clone()
        return columns


class Stretches:
    """The same sound, cut where whole stretches end.

    Args:
        size: samples of a stretch.
        margin: samples before and after that come along, silent at the sound's ends.
    """

    def __init__(self, size: int, margin: int = 0) -> None:
        self.size, self.margin = size, margin
        self.held: Tensor | None = None

    def add(self, block: Tensor) -> Tensor | None:
        """Whole stretches `(..., margin + k size + margin)` that this block completes; None where it completes none."""
        self.held = pad(block, (self.margin, 0)) if self.held is None else torch.cat([self.held, block], -1)
        return self._whole((self.held.shape[-1] - 2 * self.margin) // self.size * self.size)

    def finish(self) -> Tensor | None:
        """What remains, shorter than a stretch; None where nothing does."""
        if self.held is None or self.held.shape[-1] <= self.margin:
            return None
        self.held = pad(self.held, (0, self.margin))
        return self._whole(self.held.shape[-1] - 2 * self.margin)

    def _whole(self, length: int) -> Tensor | None:
        if length < 1:
            return None
        assert self.held is not None
        found = self.held[..., : length + 2 * self.margin]
        self.held = self.held[..., length:].clone()
        return found


def _led(sound: Tensor, half: int, mode: str) -> Tensor:
    """With half a window before it: reflected, or silence."""
    if not half:
        return sound
    before = sound[..., 1 : half + 1].flip(-1) if mode == "reflect" else torch.zeros_like(sound[..., :half])
    return torch.cat([before, sound], -1)
