"""Activation maps of visual branches: where in a frame each is active."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avssl_downstream.spatialize.generator import Generator
from avssl_downstream.spatialize.networks.apnet import APNet, AssociativeConv, AVFusionBlock
from avssl_downstream.spatialize.networks.visual_branch import NO_FRAMES, VisualBranch

Hook = Callable[[nn.Module, object, Tensor], None]
Maps = Mapping[str, np.ndarray]


@torch.no_grad()
def activation_maps(generator: Generator, frames: Tensor, audio: Tensor | None = None) -> dict[str, Tensor]:
    """Where each visual branch is active, by the branch's name; with audio, also where a fusion network is.

    Of a visual branch, the root mean square of its feature maps over channels and time. Of a fusion network (APNet),
    the root mean square over frequency and time of each cell's inner products with the audio features, over the mean of
    all cells, averaged over levels.

    Args:
        generator: in evaluation mode.
        frames: of one window, uint8 `(T, 3, *generator.size)`.
        audio: of the same window, `(I, S)`, on the generator's device; None: no map of a fusion network.

    Returns:
        `(rows, columns)` at the branch's stride, or of the fusion network's cells.
    """
    found: dict[str, Tensor] = {}

    def of_branch(name: str) -> Hook:
        def keep(module: nn.Module, inputs: object, maps: Tensor) -> None:
            found[name] = maps.float().square().mean((0, 1, 2)).sqrt().cpu()

        return keep

    def of_fusion(name: str, grid: tuple[int, int]) -> Hook:
        def keep(module: nn.Module, inputs: object, products: Tensor) -> None:
            cells = products[0].float().square().mean((1, 2)).sqrt().cpu()
            level = (cells / cells.mean().clamp(min=1e-12)).reshape(grid)
            found[name] = found.get(name, torch.zeros(grid)) + level / len(blocks[name])

        return keep

    modules = dict(generator.named_modules())
    branches = {name: each for name, each in modules.items() if isinstance(each, VisualBranch)}
    fusions = {name: each for name, each in modules.items() if isinstance(each, APNet | AssociativeConv)}
    blocks = {
        name: [block for block in each.children() if isinstance(block, AVFusionBlock)] for name, each in fusions.items()
    }
    hooks = [each.register_forward_hook(of_branch(name)) for name, each in branches.items() if each.source != NO_FRAMES]
    if audio is not None:
        hooks += [
            block.register_forward_hook(of_fusion(name, each.grid))
            for name, each in fusions.items()
            for block in blocks[name]
        ]
    try:
        features = generator.encode_video(frames[None].to(next(generator.parameters()).device))
        if audio is not None and fusions:
            generator.generate(audio, features)
    finally:
        for each in hooks:
            each.remove()
    return found


def plot_film(path: Path, times: Sequence[float], frames: Sequence[np.ndarray], maps: Sequence[Maps]) -> None:
    """Write a figure of a film: a column for each time, the frame above, and below it under each map.

    Args:
        path: of the png.
        times: seconds.
        frames: uint8 `(height, width, 3)` at each time.
        maps: name -> `(rows, columns)` in 0..1 at each time.
    """
    from matplotlib.figure import Figure

    rows = ["frame", *maps[0]]
    figure = Figure(figsize=(3.2 * len(times), 2 * len(rows)), layout="constrained")
    axes = figure.subplots(len(rows), len(times), squeeze=False)
    for column, (time, frame, each) in enumerate(zip(times, frames, maps, strict=True)):
        axes[0][column].set_title(f"{time:.1f} s")
        for axis, name in zip(axes[:, column], rows, strict=True):
            axis.imshow(frame)
            axis.set_xticks([])
            axis.set_yticks([])
            if name in each:
                extent = (-0.5, frame.shape[1] - 0.5, frame.shape[0] - 0.5, -0.5)
                axis.imshow(
                    each[name], alpha=0.6, cmap="inferno", extent=extent, interpolation="bilinear", vmin=0, vmax=1
                )
    for axis, name in zip(axes[:, 0], rows, strict=True):
        axis.set_ylabel(name)
    figure.savefig(path, dpi=80, format="png")


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
