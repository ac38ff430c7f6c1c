"""Benchmark of optical flow between the frames of a clip: DIS against Farneback, RAFT against a plain loop."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torchvision.models.optical_flow import raft_small

from avssl.bench.case import Case, Result, Size, largest
from avssl.models.optical_flow import flow_estimator

SHIFT = 3
"""Pixels to the right from one frame to the next, seamless."""
LEAST = 128
"""Rows that RAFT takes at least."""
TOLERANCE = 0.1
"""Mean distance of two flow vectors, pixels: both methods are estimates of a flow of 3 pixels."""


def cases(size: Size, folder: Path) -> list[Case]:
    """Flow of panoramas that turn, by the method of the generators, and by RAFT without weights."""
    rng = np.random.default_rng(0)
    first = texture(size.height, rng)
    frames = torch.stack([first.roll(SHIFT * step, -1) for step in range(size.frames)])
    dis = flow_estimator("dis")
    torch.manual_seed(0)
    network = raft_small(weights=None).eval()
    weights = folder / "raft_small.safetensors"
    save_file(network.state_dict(), weights)
    raft, pair = flow_estimator("raft_small", str(weights)), torch.stack([texture(max(size.height, LEAST), rng)] * 2)

    def plain_raft() -> Result:
        with torch.no_grad():
            one, other = (pair[index, None] / 127.5 - 1 for index in (0, 1))
            return (network(one, other)[-1][0],)

    work = f"{size.frames} frames of {2 * size.height} x {size.height}"
    pairs = f"2 frames of {pair.shape[-1]} x {pair.shape[-2]}, random weights"
    raft_sides = (lambda: (raft(pair)[0],)), plain_raft
    return [
        Case("flow", "OpenCV Farneback", lambda: (dis(frames),), lambda: (farneback(frames),), TOLERANCE, mean_distance,
             work=work, aim=2.0),
        Case("flow-raft", "torchvision raft_small", *raft_sides, 1e-3, largest, work=pairs),
    ]  # fmt: skip


def texture(height: int, rng: np.random.Generator) -> Tensor:
    """Panorama uint8 `(3, height, 2 * height)` of blurred noise, with structure that a flow can be found by."""
    noise = rng.integers(0, 256, (height, 2 * height, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2.0)
    stretched = (blurred - blurred.mean()) / blurred.std() * 50 + 128
    return torch.from_numpy(stretched.clip(0, 255).astype(np.uint8)).permute(2, 0, 1)


def farneback(frames: Tensor) -> Tensor:
    """Flow `(T, 2, H, W)` of frames uint8 `(T, 3, H, W)`, the last repeated; parameters of OpenCV's tutorial."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames.permute(0, 2, 3, 1).contiguous().numpy()]
    flow = [
        cv2.calcOpticalFlowFarneback(one, other, None, 0.5, 3, 15, 3, 5, 1.2, 0)  # type: ignore[call-overload]
        for one, other in pairwise(grey)
    ]
    return torch.from_numpy(np.stack([*flow, flow[-1]])).permute(0, 3, 1, 2)


def mean_distance(mine: Tensor, other: Tensor) -> float:
    """Mean distance of two flow fields `(T, 2, H, W)` in pixels, without an eighth at either side (the seam)."""
    edge = mine.shape[-1] // 8
    return float(torch.linalg.vector_norm(mine - other, dim=1)[..., edge:-edge].mean())
