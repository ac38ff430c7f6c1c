"""Activation maps of visual branches: where in a frame each is active."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.networks.visual_branch import NO_FRAMES, VisualBranch


@torch.no_grad()
def activation_maps(generator: Generator, frames: Tensor) -> dict[str, Tensor]:
    """Root mean square over channels and time of each visual branch's feature maps, by the branch's name.

    Args:
        generator: in evaluation mode.
        frames: of one window, uint8 `(T, 3, *generator.size)`.

    Returns:
        `(rows, columns)` at the branch's stride.
    """
    found: dict[str, Tensor] = {}

    def hook(name: str) -> object:
        def keep(module: nn.Module, inputs: object, maps: Tensor) -> None:
            found[name] = maps.float().square().mean((0, 1, 2)).sqrt().cpu()

        return keep

    branches = {
        name: each
        for name, each in generator.named_modules()
        if isinstance(each, VisualBranch) and each.source != NO_FRAMES
    }
    hooks = [each.register_forward_hook(hook(name)) for name, each in branches.items()]  # type: ignore[arg-type]
    try:
        generator.encode_video(frames[None].to(next(generator.parameters()).device))
    finally:
        for each in hooks:
            each.remove()
    return found


def plot_activations(path: Path, frame: Tensor, maps: dict[str, Tensor]) -> None:
    """Write a figure of a frame, uint8 `(3, rows, columns)`, and of the same frame under each activation map."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * (1 + len(maps)), 3), layout="constrained")
    axes = figure.subplots(1, 1 + len(maps), squeeze=False)[0]
    image = np.ascontiguousarray(frame.permute(1, 2, 0).numpy())
    for axis, (name, each) in zip(axes, [("frame", None), *maps.items()], strict=True):
        axis.imshow(image)
        axis.set_title(name)
        axis.axis("off")
        if each is not None:
            large = functional.interpolate(each[None, None], tuple(frame.shape[-2:]), mode="bilinear")[0, 0]
            axis.imshow(large, alpha=0.6, cmap="inferno")
    figure.savefig(path, dpi=80)
