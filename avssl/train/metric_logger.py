"""Metric logger: means over an interval, written to TensorBoard; the sums of an open interval go with a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from avssl.io.memory import resident_mb
from avssl.train.event_file import EventFile
from avssl.train.visualize import draw_views, summarize_batch

TIMES = ("seconds", "data_wait", "clips")
"""Sums of every interval beside those of the task's scalars."""


class MetricLogger:
    """Average scalars between two logs and write them, with images and audio, as TensorBoard events.

    Args:
        folder: takes the events; None: nothing is written.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.first = 1
        """Earlier events from this step on are dropped."""
        self._file: EventFile | None = None
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._times = [0.0] * len(TIMES)
        self._logged = False

    def __enter__(self) -> MetricLogger:
        """Open nothing yet: the event file is created with the first event."""
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        """Close the event file; after an error, as it is."""
        file, self._file = self._file, None
        if file:
            try:
                if kind is None:
                    file.sync()
            finally:
                file.close()

    def add(self, out: dict[str, Tensor], seconds: float, data_wait: float, clips: int) -> None:
        """Add one step: scalars of the task, duration and data-wait time in seconds, number of clips."""
        for name, value in out.items():
            self._sums[name] = self._sums.get(name, 0.0) + value.float()
            self._counts[name] = self._counts.get(name, 0) + 1
        self._times = [total + new for total, new in zip(self._times, (seconds, data_wait, clips), strict=True)]
        self._logged = False

    def means(self, fabric: Fabric, *, ends: bool = True) -> dict[str, float]:
        """Means of the interval over all processes, with clips per second, share of data wait, and memory.

        Args:
            fabric: all processes call this together.
            ends: begin a new interval; a last one that is cut short goes on where the run is continued.
        """
        totals = [
            torch.as_tensor(total / self._counts[name], device=fabric.device) for name, total in self._sums.items()
        ]
        own = torch.stack(totals)
        shared = fabric.all_reduce(own, reduce_op="mean") if fabric.world_size > 1 else own
        assert isinstance(shared, Tensor)
        seconds, data_wait, clips = self._times
        means = dict(zip(self._sums, shared.tolist(), strict=True))
        means |= {"clips_per_second": clips / seconds, "wait_share": data_wait / seconds}
        self._logged = not ends
        if ends:
            self._clear()
        return {**means, "memory_mb": resident_mb()}

    def interval(self, fabric: Fabric) -> dict[str, Any]:
        """The open interval of all processes, for a checkpoint: names, counts and sums `(processes, names + times)`.

        Args:
            fabric: all processes call this together.
        """
        own = torch.tensor([*(float(total) for total in self._sums.values()), *self._times], dtype=torch.float64)
        every = fabric.all_gather(own.to(fabric.device)) if fabric.world_size > 1 else own
        assert isinstance(every, Tensor)
        sums = every.reshape(fabric.world_size, -1).cpu()
        return {"names": list(self._sums), "counts": list(self._counts.values()), "sums": sums, "logged": self._logged}

    def resume(self, step: int, interval: dict[str, Any], fabric: Fabric) -> None:
        """Go on with the interval of a checkpoint; another number of processes shares it out evenly.

        Args:
            step: completed steps.
            interval: see the method of that name; empty: the checkpoint has none.
            fabric: rank and number of processes.

        Raises:
            ValueError: names, counts and sums do not fit.
        """
        self._logged = bool(interval.get("logged", False))
        self.first = step if self._logged else step + 1
        if not interval:
            return
        names, counts, sums = interval["names"], interval["counts"], interval["sums"]
        if not len(names) == len(counts) == sums.shape[1] - len(TIMES) or not all(
            type(each) is int and each > 0 for each in counts
        ):
            raise ValueError(f"expected a whole count and a sum for each of {names}, got {counts}, {tuple(sums.shape)}")
        if not bool(sums.isfinite().all()):
            raise ValueError("expected finite sums, got NaN or infinity")
        own = sums[fabric.global_rank] if len(sums) == fabric.world_size else sums.mean(0)
        self._sums = {name: each.float().to(fabric.device) for name, each in zip(names, own, strict=False)}
        self._counts, self._times = dict(zip(names, counts, strict=True)), own[len(names) :].tolist()

    def was_logged(self) -> bool:
        """Whether the last log was of an interval that is not over."""
        return self._logged

    def write(self, step: int, scalars: dict[str, float]) -> None:
        """Write scalars as events.

        Raises:
            OutputError: they cannot be written.
        """
        if self.folder:
            for name, value in scalars.items():
                self._events().add_scalar(name, value, step)

    def show(self, step: int, task: nn.Module, batch: dict[str, Any]) -> None:
        """Write views, features and audio of a batch as events and as `figures/views.png`.

        Raises:
            OutputError: they cannot be written.
        """
        if self.folder:
            summary = summarize_batch(task, batch)
            for name, image in summary.images.items():
                self._events().add_image(name, image, step)
            for name, (audio, rate) in summary.waveforms.items():
                self._events().add_audio(name, audio, step, rate)
            draw_views(self.folder / "figures" / "views.png", task, batch)

    def sync(self) -> None:
        """Have all events on the disk.

        Raises:
            OutputError: the disk is full or gone.
        """
        if self._file:
            self._file.sync()

    def _events(self) -> EventFile:
        if self._file is None:
            assert self.folder
            self._file = EventFile(self.folder, self.first)
        return self._file

    def _clear(self) -> None:
        self._sums, self._counts, self._times = {}, {}, [0.0] * len(TIMES)
