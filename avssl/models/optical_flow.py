"""Optical flow: how far each point of a picture has moved in the next one."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from avssl.errors import InputError
from avssl.plugins import hint

# T frames, H and W rows and columns

RAFT = ("raft_small", "raft_large")
METHODS = ("dis", *RAFT)
SEAM = 8
"""A panorama is laid around itself by an eighth of its width on either side: what crosses the seam is followed."""

FlowEstimator = Callable[[Tensor], Tensor]


def flow_estimator(method: str = "dis", weights: str = "", panoramic: bool = False) -> FlowEstimator:
    """What makes flow of frames.

    The flow of a frame is that to the next one, so that time has as many steps as before; the last frame's is that
    of the one before it, and that of a single frame is 0.

    Args:
        method: `dis`, OpenCV's dense inverse search (Kroeger et al. 2016), a few ms a frame on one core; `raft_small`
            or `raft_large`, torchvision's RAFT.
        weights: a `.safetensors` file of RAFT's.
        panoramic: the left edge of the frames is where the right one ends.

    Returns:
        From uint8 `(T, 3, H, W)`, RGB, to float32 `(T, 2, H, W)`: pixels to the right, pixels down.

    Raises:
        InputError: another method, RAFT without weights, `dis` with some, or weights that do not fit.
    """
    if method not in METHODS:
        raise InputError(f"optical flow is {', '.join(METHODS)}, not {method!r}{hint(method, METHODS)}")
    if method == "dis" and weights:
        raise InputError(f"{weights}: optical flow by dis has no weights; name {' or '.join(RAFT)}, or leave them out")
    between = _dis if method == "dis" else _Raft(method, weights)

    def estimate(frames: Tensor) -> Tensor:
        count, _, height, width = frames.shape
        if count < 2:
            return torch.zeros(count, 2, height, width, device=frames.device)
        margin = width // SEAM if panoramic else 0
        flow = between(_around(frames, margin))[..., margin : margin + width]
        return torch.cat([flow, flow[-1:]])

    return estimate


def paint(flow: Tensor, most: float = 16.0) -> Tensor:
    """Flow as a picture that networks of pictures can read.

    Args:
        flow: `(..., 2, H, W)`, pixels.
        most: pixels that are full scale; what moves further is cut.

    Returns:
        uint8 `(..., 3, H, W)`: to the right, down, and length; no movement is 128, 128, 0.
    """
    length = flow.square().sum(-3, keepdim=True).sqrt()
    scaled = torch.cat([128 + flow * (127 / most), length * (255 / most)], -3)
    return scaled.round().clamp(0, 255).to(torch.uint8)


def _around(frames: Tensor, margin: int) -> Tensor:
    return torch.cat([frames[..., frames.shape[-1] - margin :], frames, frames[..., :margin]], -1) if margin else frames


def _dis(frames: Tensor) -> Tensor:
    """`(T, 3, H, W)` to `(T - 1, 2, H, W)`."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames.permute(0, 2, 3, 1).contiguous().numpy()]
    found = [search.calc(one, other, None) for one, other in pairwise(grey)]  # type: ignore[call-overload]
    return torch.from_numpy(np.stack(found)).permute(0, 3, 1, 2)


class _Raft:
    """RAFT (Teed & Deng 2020); pictures are padded to the multiple of 8, and to the least size, that it needs."""

    least = 128

    def __init__(self, name: str, weights: str) -> None:
        from torchvision.models import optical_flow

        if not weights:
            raise InputError(f"optical flow by {name} needs a .safetensors file of its weights; dis needs none")
        self.network: nn.Module = getattr(optical_flow, name)(weights=None, progress=False).eval()
        _fill(self.network, Path(weights))

    @torch.inference_mode()
    def __call__(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[-2:]
        down, right = (max(self.least - size, -size % 8) for size in (height, width))
        scaled = functional.pad(frames / 127.5 - 1, (0, right, 0, down), mode="replicate")
        flow = [self.network(one[None], other[None])[-1] for one, other in pairwise(scaled)]
        return torch.cat(flow)[..., :height, :width].clone()


def _fill(network: nn.Module, path: Path) -> None:
    if path.suffix != ".safetensors" or not path.is_file():
        raise InputError(f"{path}: expected a .safetensors file of {type(network).__name__}'s weights; it is not one")
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: not the weights of this {type(network).__name__}: {reason}") from error
