"""Figures of training: views, features and audio of a batch; the loss curve."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from avssl.io.atomic import durably_replacing
from avssl.models.runtime import evaluating
from avssl.spatial.ambisonics import rotate
from avssl.spatial.features import Features

CLIPS = 4


@dataclass
class BatchSummary:
    """Images and waveforms by name."""

    images: dict[str, Tensor] = field(default_factory=dict)
    """uint8 or float in 0..1, `(3 or 1, height, width)`."""
    waveforms: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    """`(1, samples)` of full scale 1, and Hz."""


def summarize_batch(task: Any, batch: dict[str, Any]) -> BatchSummary:
    """Views, features and audio of the first clips of a batch.

    Reads the keys that tasks share: `frames` uint8 `(batch, [view,] time, 3, height, width)` and `audio`
    `(batch, channels, samples)`; missing keys, and tensors of another shape, are left out.

    Args:
        task: a task with `encoders`, whose features are computed.
        batch: as the task's forward takes it.
    """
    summary = BatchSummary()
    frames, waveforms = _frames(batch), _audio(task, batch)
    if frames is not None:
        summary.images["views"] = mosaic(frames[:CLIPS])
    if waveforms is not None:
        audio, rate = waveforms[0].detach().float(), task.encoders.sample_rate
        summary.waveforms["audio"] = audio[:1].cpu() / audio[0].abs().amax().clamp(min=1e-6).cpu(), rate
        maps = feature_maps(task, audio[None])[0]
        summary.images["features"] = rearrange(_to_unit(maps), "maps time mel -> 1 (maps mel) time").flip(1)
    return summary


def mosaic(frames: Tensor) -> Tensor:
    """First frame of each clip and view: one row for a clip, one column for a view.

    Args:
        frames: `(clip, [view,] time, 3, height, width)`.

    Returns:
        `(3, clip x height, view x width)`.
    """
    frames = frames[:, None] if frames.ndim == 5 else frames
    return rearrange(frames[:, :, 0].cpu(), "clip view colour y x -> colour (clip y) (view x)")


@torch.no_grad()
def feature_maps(task: Any, audio: Tensor) -> Tensor:
    """Input features of the audio tower, `(..., maps, time, mels)`, from waveforms `(..., channels, samples)`."""
    features = task.encoders.features
    with evaluating(features):
        maps: Tensor = features(audio.float())
    return maps.cpu()


def draw_views(path: Path, task: Any, batch: dict[str, Any]) -> None:
    """Draw the views of one clip, each beside the features of the sound field rotated for that view.

    Nothing is drawn of a batch without `frames` and `audio` as in `summarize_batch`. A `rotation`
    `(batch, view, 3, 3)`, where there is one, rotates the sound field.
    """
    views, waveforms = _frames(batch), _audio(task, batch)
    if views is None or waveforms is None:
        return
    frames, rotation = views[0].cpu(), batch.get("rotation")
    audio = waveforms[0].float().cpu().expand(len(frames), -1, -1)
    if isinstance(rotation, Tensor) and rotation.shape[1:] == (len(frames), 3, 3) and audio.shape[1] == 4:
        audio = rotate(audio, rotation[0].float().cpu())
    maps = feature_maps(task, audio.to(waveforms.device))
    figure, axes = _axes(len(frames), 1 + maps.shape[1])
    for row, view, view_maps in zip(axes, frames, maps, strict=True):
        row[0].imshow(view[0].permute(1, 2, 0))
        for axis, each in zip(row[1:], view_maps, strict=True):
            axis.imshow(each.T, origin="lower", aspect="auto", cmap="magma")
    axes[0][0].set_title("view")
    for axis, name in zip(axes[0][1:], map_names(task.encoders.features, maps.shape[1]), strict=True):
        axis.set_title(name)
    _write(path, figure)


def draw_curve(path: Path, curve: list[tuple[int, float]]) -> None:
    """Plot the loss over the steps."""
    figure, axes = _axes(1, 1)
    axes[0][0].set_axis_on()
    axes[0][0].plot([each[0] for each in curve], [each[1] for each in curve])
    axes[0][0].set(xlabel="step", ylabel="loss")
    _write(path, figure)


def map_names(features: Any, maps: int) -> list[str]:
    """Title of each feature map: log-mel of the channels, then directional features."""
    names = {1: ["log-mel"], 2: ["L", "R"], 4: ["W", "Y", "Z", "X"], 6: ["L", "R", "level", "sin", "cos", "lag"]}
    names[7] = [*names[4], "Iy", "Iz", "Ix"]
    return names.get(maps, [f"{features.name} {index}" for index in range(maps)])


def _frames(batch: dict[str, Any]) -> Tensor | None:
    """`(batch, view, time, 3, height, width)`; None for a tensor of another shape or type."""
    frames = batch.get("frames")
    if not (isinstance(frames, Tensor) and frames.dtype == torch.uint8 and frames.ndim in (5, 6)):
        return None
    frames = frames if frames.ndim == 6 else frames[:, None]
    return frames if frames.shape[3] == 3 else None


def _audio(task: Any, batch: dict[str, Any]) -> Tensor | None:
    """`(batch, channels, samples)`; None for a tensor that the features do not accept."""
    audio, features = batch.get("audio"), getattr(getattr(task, "encoders", None), "features", None)
    if not (isinstance(audio, Tensor) and audio.ndim == 3 and isinstance(features, Features)):
        return None
    fits = audio.shape[1] in features.accepted and audio.shape[2] >= max(features.config.n_fft, features.config.hop)
    return audio if fits else None


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
    with durably_replacing(path) as part:
        figure.savefig(part, format="png", dpi=120)


def _to_unit(maps: Tensor) -> Tensor:
    low, high = maps.amin((-2, -1), keepdim=True), maps.amax((-2, -1), keepdim=True)
    return (maps - low) / (high - low).clamp(min=1e-6)
