"""What the network sees and hears of a batch, as pictures and sounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from avssl.spatial.ambisonics import rotate
from avssl.train.checkpoint import replacing
from avssl.train.monitor import evaluating

CLIPS = 4


@dataclass
class Shown:
    """Pictures and sounds by name."""

    images: dict[str, Tensor] = field(default_factory=dict)
    """uint8 or float in 0..1, `(3 or 1, height, width)`."""
    sounds: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    """`(1, samples)` of full scale 1, and Hz."""


def pictures(task: nn.Module, batch: dict[str, Any]) -> Shown:
    """Views, features and sound of the first clips of a batch.

    Knows the keys that tasks share: `frames` uint8 `(batch, [view,] time, 3, height, width)` and `sound`
    `(batch, channels, samples)`; what is missing is left out.

    Args:
        task: with `encoders`, whose features are shown.
        batch: as the task's forward takes it.
    """
    shown = Shown()
    if "frames" in batch:
        shown.images["views"] = mosaic(batch["frames"][:CLIPS])
    encoders = getattr(task, "encoders", None)
    if "sound" in batch and encoders is not None:
        sound = batch["sound"][0].detach().float()
        shown.sounds["sound"] = sound[:1].cpu() / sound[0].abs().amax().clamp(min=1e-6).cpu(), encoders.sample_rate
        maps = feature_maps(task, sound[None])[0]
        shown.images["features"] = rearrange(_to_unit(maps), "maps time mel -> 1 (maps mel) time").flip(1)
    return shown


def mosaic(frames: Tensor) -> Tensor:
    """The first picture of each clip and view: a row a clip, a column a view.

    Args:
        frames: `(clip, [view,] time, 3, height, width)`.

    Returns:
        `(3, clip x height, view x width)`.
    """
    frames = frames[:, None] if frames.ndim == 5 else frames
    return rearrange(frames[:, :, 0].cpu(), "clip view colour y x -> colour (clip y) (view x)")


@torch.no_grad()
def feature_maps(task: Any, sound: Tensor) -> Tensor:
    """What the audio tower hears: `(..., maps, time, mels)`, from sound `(..., channels, samples)`."""
    features = task.encoders.features
    with evaluating(features):
        maps: Tensor = features(sound.float())
    return maps.cpu()


def draw_views(path: Path, task: Any, batch: dict[str, Any]) -> None:
    """A picture of one clip: each view, beside the features of the sound turned as the task turns it for that view.

    Nothing is drawn for a task without encoders, or a batch without `frames` and `sound`.
    """
    if not (hasattr(task, "encoders") and {"frames", "sound"} <= batch.keys()):
        return
    frames = batch["frames"][0].cpu()
    frames = frames if frames.ndim == 5 else frames[None]
    sound = batch["sound"][0].float().cpu().expand(len(frames), -1, -1)
    if "rotation" in batch:
        sound = rotate(sound, batch["rotation"][0].float().cpu())
    maps = feature_maps(task, sound.to(batch["sound"].device))
    figure, axes = _axes(len(frames), 1 + maps.shape[1])
    for row, view, heard in zip(axes, frames, maps, strict=True):
        row[0].imshow(view[0].permute(1, 2, 0))
        for axis, each in zip(row[1:], heard, strict=True):
            axis.imshow(each.T, origin="lower", aspect="auto", cmap="magma")
    axes[0][0].set_title("view")
    for axis, name in zip(axes[0][1:], map_names(task.encoders.features, maps.shape[1]), strict=True):
        axis.set_title(name)
    _write(path, figure)


def draw_curve(path: Path, curve: list[tuple[int, float]]) -> None:
    """A picture of the loss over the steps."""
    figure, axes = _axes(1, 1)
    axes[0][0].set_axis_on()
    axes[0][0].plot([each[0] for each in curve], [each[1] for each in curve])
    axes[0][0].set(xlabel="step", ylabel="loss")
    _write(path, figure)


def map_names(features: Any, maps: int) -> list[str]:
    """A title for each map of a front-end: log-mel of its channels, then components of the intensity."""
    channels = {1: ["log-mel"], 2: ["L", "R"], 4: ["W", "Y", "Z", "X"], 7: ["W", "Y", "Z", "X", "Iy", "Iz", "Ix"]}
    return channels.get(maps, [f"{features.name} {index}" for index in range(maps)])


def _axes(rows: int, columns: int) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (6.0, 4.0) if rows * columns == 1 else (1.6 * columns, 1.6 * rows)
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    return figure, axes


def _write(path: Path, figure: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=120)


def _to_unit(maps: Tensor) -> Tensor:
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-6)
