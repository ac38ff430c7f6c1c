"""Benchmark of AVSA's video tower, forward and backward: channels last, bfloat16 if there is, against float32."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from avssl.bench.case import Case, Result, Size, root_mean_square
from avssl.config import ModelConfig
from avssl.io.arithmetic import has_bfloat16
from avssl.models.r2plus1d import R2Plus1D
from avssl.models.tower import Tower
from avssl.models.tower_factory import video_tower

TOLERANCE = 0.2
"""Root mean square error of bfloat16, at most, of embeddings and of a gradient."""


def cases(size: Size, folder: Path) -> list[Case]:
    """A pass through R(2+1)D with its gradient."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    ours = video_tower(ModelConfig("avsa")).train().to(device)
    plain = R2Plus1D().train().to(device)
    plain.load_state_dict(deepcopy(ours.state_dict()))
    generator = torch.Generator().manual_seed(0)
    shape = size.tower_clips, 3, size.frames, size.side, size.side
    frames = torch.randn(shape, generator=generator).to(device)
    weights = torch.randn(size.tower_clips, ours.width, generator=generator).to(device)
    last = frames.contiguous(memory_format=torch.channels_last_3d)
    autocast = partial(torch.autocast, device, torch.bfloat16, has_bfloat16())
    sides = _step(ours, last, weights, autocast), _step(plain, frames, weights, nullcontext)
    work = f"{size.tower_clips} clips of {size.frames} frames of {size.side} x {size.side}, forward and backward"
    peer_name = "as published, float32"
    return [Case("tower", peer_name, *sides, TOLERANCE, root_mean_square, work=work, aim=3.5, memory=True)]


def _step(
    tower: Tower, frames: Tensor, weights: Tensor, precision: Callable[[], AbstractContextManager[object]]
) -> Callable[[], Result]:
    def step() -> Result:
        tower.zero_grad()
        with precision():
            embedding = tower(frames)
        (embedding.float() * weights).sum().backward()  # type: ignore[no-untyped-call]
        # Of biases: rounding moves maxima to other places, whose gradients are not comparable.
        gradient = next(each.grad for name, each in reversed(list(tower.named_parameters())) if name.endswith("bias"))
        assert gradient is not None
        return embedding.detach().float().cpu(), gradient.float().cpu()

    return step
