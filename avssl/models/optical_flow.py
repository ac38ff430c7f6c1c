"""Optical flow between consecutive frames, by OpenCV's DIS or torchvision's RAFT."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl.errors import InputError
from avssl.io.tensor_files import load_tensors, read_tensors
from avssl.plugins import hint

# T frames, H and W rows and columns

RAFT = ("raft_small", "raft_large")
METHODS = ("dis", *RAFT)
WRAP_FRACTION = 8
"""Panoramas are wrapped by 1/8 of their width on either side, for motion across the seam."""

FlowEstimator = Callable[[Tensor], Tensor]


def flow_estimator(method: str = "dis", weights: str = "", panoramic: bool = False) -> FlowEstimator:
    """Optical flow estimator.

    The flow of a frame is that to the next one; the last frame repeats the flow of the one before, so that the number
    of time steps is unchanged. The flow of a single frame is 0.

    Args:
        method: `dis`, OpenCV's dense inverse search (Kroeger et al. 2016), a few ms a frame on one core; `raft_small`
            or `raft_large`, torchvision's RAFT.
        weights: a `.safetensors` file of RAFT's weights.
        panoramic: frames are 360-degree: left and right edge meet.

    Returns:
        Function from uint8 `(T, 3, H, W)`, RGB, to float32 `(T, 2, H, W)`: pixels to the right, pixels down.

    Raises:
        InputError: unknown method, RAFT without weights, `dis` with weights, or weights that do not match.
    """
    if method not in METHODS:
        raise InputError(
            f"expected an optical flow method among {', '.join(METHODS)}, got {method!r}{hint(method, METHODS)}"
        )
    if method == "dis" and weights:
        raise InputError(
            f"{weights}: expected no weights for optical flow by dis; use {' or '.join(RAFT)}, or leave them out"
        )
    compute = _dis if method == "dis" else _Raft(method, weights)

    def estimate(frames: Tensor) -> Tensor:
        count, _, height, width = frames.shape
        if count < 2:
            return torch.zeros(count, 2, height, width, device=frames.device)
        margin = width // WRAP_FRACTION if panoramic else 0
        flow = compute(_wrap(frames, margin))[..., margin : margin + width]
        return torch.cat([flow, flow[-1:]])

    return estimate


def flow_to_rgb(flow: Tensor, max_flow: float = 16.0) -> Tensor:
    """Encode flow as an RGB image for image networks.

    Args:
        flow: `(..., 2, H, W)`, pixels.
        max_flow: pixels at full scale; larger values are clipped.

    Returns:
        uint8 `(..., 3, H, W)`: horizontal, vertical and magnitude; no motion is 128, 128, 0.
    """
    length = flow.square().sum(-3, keepdim=True).sqrt()
    scaled = torch.cat([128 + flow * (127 / max_flow), length * (255 / max_flow)], -3)
    return scaled.round().clamp(0, 255).to(torch.uint8)


def _wrap(frames: Tensor, margin: int) -> Tensor:
    return torch.cat([frames[..., frames.shape[-1] - margin :], frames, frames[..., :margin]], -1) if margin else frames


def _dis(frames: Tensor) -> Tensor:
    """`(T, 3, H, W)` to `(T - 1, 2, H, W)`."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames.permute(0, 2, 3, 1).contiguous().numpy()]
    flow = [search.calc(one, other, None) for one, other in pairwise(grey)]  # type: ignore[call-overload]
    return torch.from_numpy(np.stack(flow)).permute(0, 3, 1, 2)


class _Raft:
    """RAFT (Teed & Deng 2020); frames are padded to multiples of 8 and to its least size."""

    min_size = 128

    def __init__(self, name: str, weights: str) -> None:
        from torchvision.models import optical_flow

        if not weights:
            raise InputError(
                f"expected a .safetensors file of weights for optical flow by {name}, got none; dis needs none"
            )
        self.network: nn.Module = getattr(optical_flow, name)(weights=None, progress=False).eval()
        load_tensors(self.network, read_tensors(Path(weights)), weights)

    @torch.inference_mode()
    def __call__(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[-2:]
        down, right = (max(self.min_size - size, -size % 8) for size in (height, width))
        scaled = functional.pad(frames / 127.5 - 1, (0, right, 0, down), mode="replicate")
        flow = [self.network(one[None], other[None])[-1] for one, other in pairwise(scaled)]
        return torch.cat(flow)[..., :height, :width].clone()
