"""Metric logger: means over an interval, written to TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from avssl.io.memory import resident_mb
from avssl.train.visualize import draw_views, summarize_batch


class MetricLogger:
    """Average scalars between two logs and write them, with images and audio, as TensorBoard events.

    Args:
        folder: takes the events; None: nothing is written.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._writer: Any = None
        self._sums: dict[str, tuple[Any, int]] = {}
        self._seconds, self._data_wait, self._clips = 0.0, 0.0, 0

    def __enter__(self) -> MetricLogger:
        """Open nothing yet: the event file is created with the first event."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the event file."""
        if self._writer:
            self._writer.close()

    def add(self, out: dict[str, Tensor], seconds: float, data_wait: float, clips: int) -> None:
        """Add one step: scalars of the task, duration and data-wait time in seconds, number of clips."""
        for name, value in out.items():
            total, count = self._sums.get(name, (0.0, 0))
            self._sums[name] = (total + value.float(), count + 1)
        self._seconds, self._data_wait, self._clips = (
            self._seconds + seconds,
            self._data_wait + data_wait,
            self._clips + clips,
        )

    def means(self, fabric: Fabric) -> dict[str, float]:
        """Means since the last call over all processes, with clips per second, share of data wait, and memory."""
        own = torch.stack(
            [torch.as_tensor(total / count, device=fabric.device) for total, count in self._sums.values()]
        )
        shared = fabric.all_reduce(own, reduce_op="mean") if fabric.world_size > 1 else own
        assert isinstance(shared, Tensor)
        means = dict(zip(self._sums, shared.tolist(), strict=True))
        means |= {"clips_per_second": self._clips / self._seconds, "wait_share": self._data_wait / self._seconds}
        self._clear()
        return {**means, "memory_mb": resident_mb()}

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Write scalars as events."""
        if self.folder:
            for name, value in scalars.items():
                self._events(step).add_scalar(name, value, step)

    def show(self, step: int, task: nn.Module, batch: dict[str, Any]) -> None:
        """Write views, features and audio of a batch as events and as `figures/views.png`."""
        if self.folder:
            summary = summarize_batch(task, batch)
            for name, image in summary.images.items():
                self._events(step).add_image(name, image, step)
            for name, (audio, rate) in summary.waveforms.items():
                self._events(step).add_audio(name, audio, step, rate)
            draw_views(self.folder / "figures" / "views.png", task, batch)

    def _events(self, step: int) -> Any:
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # 1 s to import

            # Drop events that are newer than the checkpoint: their steps run again.
            self._writer = SummaryWriter(str(self.folder), purge_step=step)  # type: ignore[no-untyped-call]
        return self._writer

    def _clear(self) -> None:
        self._sums = {}
        self._seconds, self._data_wait, self._clips = 0.0, 0.0, 0
