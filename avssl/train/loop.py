"""The training loop, one for tasks and heads: step, log, save, resume."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from avssl.config import OptimConfig, TrainConfig
from avssl.errors import InputError
from avssl.io.memory import keep_freed
from avssl.io.progress import ProgressBar
from avssl.models.runtime import single_process
from avssl.train import checkpoint
from avssl.train.collapse import collapse
from avssl.train.data_timer import Batch, BatchSource, TimedBatches
from avssl.train.metric_logger import Record
from avssl.train.optim import learning_rate, optimizer
from avssl.train.signals import StopRequest
from avssl.train.state import TrainState
from avssl.train.sync_batchnorm import convert_sync_batchnorm


def fit(
    task: nn.Module,
    batches: BatchSource,
    config: TrainConfig,
    optim: OptimConfig,
    folder: Path | None,
    *,
    fabric: Fabric | None = None,
    resume: bool = True,
    progress: bool = True,
    title: str = "",
) -> dict[str, float]:
    """Train a network whose forward turns a batch into `{"loss": scalar, ...}`.

    Every step begins with a random state of its own, made from seed, step and process: with batches that are a function
    of the step, a run that was interrupted ends in the same bits as one that was not.

    Args:
        task: trained in place; in several processes its batch normalisations are made to span them.
        batches: gives this process's share of each batch.
        config: length, seed, precision and intervals.
        optim: rate, decay and clipping.
        folder: takes checkpoints and TensorBoard events; None: nothing is written.
        fabric: device and processes; by default one process alone.
        resume: continue from the folder's last checkpoint.
        progress: show a bar, or lines where there is no terminal.
        title: stands in front of the bar.

    Returns:
        The smoothed loss, the task's other scalars over the last logged interval, `steps`, `train_seconds`,
        `clips_per_second`, `wait_share`.

    Raises:
        InputError: the loss is not finite, or the folder's checkpoint is of another network or another version.
        SystemExit: with code 0, after saving, when SIGTERM or Ctrl-C came.
        KeyboardInterrupt: likewise, where no folder is there to save in.
    """
    trainer = Trainer(task, config, optim, folder, fabric or single_process(config.precision))
    if resume:
        trainer.resume()
    with (
        StopRequest() as stop,
        ProgressBar(title, trainer.run.step, config.steps, trainer.shows_progress(progress)) as bar,
    ):
        stopped = trainer.train(batches, stop, bar)
        if stopped:
            bar.say(f"{stop.asked or 'stop'}: ended after step {trainer.run.step} of {config.steps}; {trainer.kept()}")
    if stopped and folder is None:
        raise KeyboardInterrupt
    if stopped:
        raise SystemExit(0)
    return trainer.run.metrics()


class Trainer:
    """One network in training: its optimiser, its run, and the verbs of the loop."""

    def __init__(
        self, task: nn.Module, config: TrainConfig, optim: OptimConfig, folder: Path | None, fabric: Fabric
    ) -> None:
        self.config, self.optim, self.folder, self.fabric = config, optim, folder, fabric
        self.task = convert_sync_batchnorm(task) if fabric.world_size > 1 else task
        scaled = config.precision.startswith("16-mixed")  # its loss scaling does not clip under a fused kernel
        self.module, self.optimizer = fabric.setup(self.task, optimizer(self.task, optim, fused=not scaled))
        if fabric.device.type == "cpu":
            keep_freed()
        self.run = TrainState()
        self.suspected = False
        self.record = Record(folder if fabric.is_global_zero else None)

    def shows_progress(self, progress: bool) -> bool:
        """Whether this process shows progress."""
        return progress and self.fabric.is_global_zero

    def kept(self) -> str:
        """What a person who stopped the run should know."""
        return f"saved, the same command continues {self.folder}" if self.folder else "nothing is saved"

    def resume(self) -> None:
        """Take up the folder's last checkpoint, if there is one.

        Raises:
            InputError: it is of another network or version, or not all processes see it.
        """
        path = self.folder / checkpoint.LAST if self.folder else None
        if path and path.is_file():
            others = (("optimizer", self.optimizer), ("precision", self.fabric.strategy.precision))
            self.run = _resumed(path, checkpoint.restore(path, self.task, *others))
        first = self.fabric.broadcast(self.run.step)
        if first != self.run.step:
            raise InputError(f"{path}: at step {self.run.step} here, at {first} in the first process; share the folder")

    def save(self) -> None:
        """Write the last checkpoint; only the first process writes."""
        if self.folder and self.fabric.is_global_zero:
            state = {"run": asdict(self.run), "task": self.task.state_dict(), "optimizer": self.optimizer.state_dict()}
            state["precision"] = self.fabric.strategy.precision.state_dict()
            checkpoint.save(self.folder / checkpoint.LAST, state)

    def train(self, batches: BatchSource, stop: StopRequest, bar: ProgressBar) -> bool:
        """Step until the end; True if it was asked to stop before."""
        self.task.train()
        saved = self.run.step
        with self.record, closing(TimedBatches(batches, self.run.step, self.config.steps)) as waiting:
            while self.run.step < self.config.steps:
                batch = waiting.next(stop)
                if stop.agreed(self.fabric):
                    break
                self.advance(batch, waiting, bar)
                if self._due(self.config.save_every):
                    self.save()
                    saved = self.run.step
        if saved < self.run.step:
            self.save()
        return self.run.step < self.config.steps

    def advance(self, batch: Batch, waiting: TimedBatches, bar: ProgressBar) -> None:
        """Do one step, count it, show it."""
        batch = self.fabric.to_device(batch)
        out = self.step(batch)
        loss = self._finite(out["loss"])
        seconds, data_wait = waiting.split_times()
        clips = _clips(batch) * self.fabric.world_size
        self.run.add(loss, seconds, data_wait, clips)
        bar.update(self.run.step, self.run.loss, seconds, data_wait, clips)
        self.record.add(out, seconds, data_wait, clips)
        if self._due(self.config.log_every):
            self.log(batch, bar)
        if self._due(self.config.show_every) or self.run.step == 1:
            self.record.show(self.run.step, self.task, batch)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Forward, backward, update."""
        for group in self.optimizer.param_groups:
            group["lr"] = group.get("share", 1.0) * learning_rate(self.optim, self.run.step, self.config.steps)
        rank, world = self.fabric.global_rank, self.fabric.world_size
        torch.manual_seed((((self.config.seed << 32) + self.run.step) * world + rank) % 2**64)
        out: dict[str, Tensor] = self.module(batch)
        self.fabric.backward(out["loss"])
        extra = {} if (norm := self._clip()) is None else {"grad_norm": norm}
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {name: value.detach() for name, value in {**out, **extra}.items()}

    def log(self, batch: Batch, bar: ProgressBar) -> None:
        """Write down the means since the last time, over all processes, and the state of the embeddings.

        A network that has only begun looks collapsed too: the warning comes when it still does at the next log.
        """
        alive, warning = collapse(self.task, batch, self.fabric)
        self.run.scalars = {**self.record.means(self.fabric), **alive}
        self.run.curve.append((self.run.step, self.run.scalars["loss"]))
        self.record.write(self.run.step, {**self.run.scalars, "lr": self.optimizer.param_groups[0]["lr"]})
        if warning and self.suspected:
            bar.say(f"step {self.run.step}: {warning}")
        self.suspected = bool(warning)

    def _clip(self) -> Tensor | None:
        """Clip gradients if that is wanted; their norm, where it is known or about to be logged."""
        limit = self.optim.clip_norm or math.inf
        if limit == math.inf and (self.run.step + 1) % self.config.log_every:
            return None
        return self.fabric.clip_gradients(self.module, self.optimizer, max_norm=limit, error_if_nonfinite=False)

    def _due(self, every: int) -> bool:
        return self.run.step % every == 0 or self.run.step == self.config.steps

    def _finite(self, loss: Tensor) -> float:
        value = float(loss)
        if not math.isfinite(value):
            raise InputError(
                f"the loss is {value} at step {self.run.step + 1}; nothing of it is saved. "
                "A lower optim.lr, optim.clip_norm=1 or train.precision=32-true may help"
            )
        return value


def _resumed(path: Path, state: dict[str, Any]) -> TrainState:
    expected, got = {each.name for each in fields(TrainState)}, set(state)
    if got != expected:
        raise InputError(
            f"{path}: written by another version of avssl, its run state differs in {', '.join(sorted(got ^ expected))}"
            "; train in a new folder"
        )
    return TrainState(**state)


def _clips(batch: Batch) -> int:
    return next((len(each) for each in batch.values() if isinstance(each, Tensor) and each.ndim), 0)
