"""Training loop of tasks and heads: step, log, save, resume."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from avssl.config import OptimConfig, TrainConfig
from avssl.errors import InputError, first_line
from avssl.io.cores import compute_threads, usable_cores
from avssl.io.memory import keep_freed
from avssl.io.ranks import local_world_size
from avssl.io.tensor_files import is_finite
from avssl.models.runtime import single_process
from avssl.models.two_threads import two_threads
from avssl.train import checkpoint
from avssl.train.collapse import collapse
from avssl.train.compiled_towers import begin_step, compiled_towers, eagerly
from avssl.train.data_timer import Batch, BatchSource, TimedBatches
from avssl.train.device_batches import batch_mover
from avssl.train.distributed import on_first_rank
from avssl.train.fast_kernels import kernels
from avssl.train.frozen_parts import FrozenParts
from avssl.train.gradient_cache import GradientCache
from avssl.train.metric_logger import MetricLogger
from avssl.train.optim import optimizer, set_learning_rates
from avssl.train.pending_losses import PendingLosses
from avssl.train.saved_values import read_fields
from avssl.train.signals import StopRequest
from avssl.train.step_progress import StepProgress
from avssl.train.sync_batchnorm import convert_sync_batchnorm

logger = logging.getLogger(__name__)


SMOOTHING = 0.98
"""Weight of the earlier losses in the moving average."""

NOT_SAVED = (
    "nothing of it is saved, an earlier checkpoint stays. "
    "A lower optim.lr, optim.clip_norm=1 or train.precision=32-true may help"
)
"""End of errors about a run that diverges."""


@dataclass
class TrainState:
    """Progress of a run, saved beside the weights."""

    step: int = 0
    """Completed optimiser steps."""
    loss: float = math.nan
    """Exponential moving average over about 50 steps."""
    seconds: float = 0.0
    """Time of all steps in s, data wait included."""
    data_wait: float = 0.0
    """Time spent waiting for data, in s."""
    clips: int = 0
    """Clips processed, over all processes."""
    scalars: dict[str, float] = field(default_factory=dict)
    """Means over the last logged interval."""
    curve: list[tuple[int, float]] = field(default_factory=list)
    """Step and mean loss of every logged interval."""
    interval: dict[str, Any] = field(default_factory=dict)
    """Sums since the last log, as `MetricLogger.interval` has them."""
    suspected: bool = False
    """Whether the last log looked like a collapse."""

    def add_loss(self, loss: float) -> None:
        """Add the loss of one step to the moving average."""
        self.loss = loss if math.isnan(self.loss) else SMOOTHING * self.loss + (1 - SMOOTHING) * loss

    def add(self, seconds: float, data_wait: float, clips: int) -> None:
        """Add one step: duration and data-wait time in s, clips."""
        self.step += 1
        self.seconds, self.data_wait, self.clips = (
            self.seconds + seconds,
            self.data_wait + data_wait,
            self.clips + clips,
        )

    def metrics(self) -> dict[str, float]:
        """Metrics of the run: scalars, loss, steps, duration in s, clips per second, share of data wait."""
        seconds = max(self.seconds, 1e-9)
        speed = {"clips_per_second": self.clips / seconds, "wait_share": self.data_wait / seconds}
        return {**self.scalars, "loss": self.loss, "steps": self.step, "train_seconds": self.seconds, **speed}


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

    Each step seeds its random state from seed, step and rank. With batches that are a function of the step, an
    interrupted and continued run ends bit-identical to an uninterrupted one.

    Args:
        task: trained in place; with several processes its batch normalisation is synchronized.
        batches: source of this process's part of each batch.
        config: length, seed, precision and intervals.
        optim: rate, decay and clipping.
        folder: takes checkpoints and TensorBoard events; None: nothing is written.
        fabric: device and processes; by default one process alone.
        resume: continue from the folder's last checkpoint.
        progress: show a bar, or lines where there is no terminal.
        title: text in front of the bar.

    Returns:
        The smoothed loss, the task's other scalars over the last logged interval, `steps`, `train_seconds`,
        `clips_per_second`, `wait_share`.

    Raises:
        InputError: the loss is not finite; the folder's checkpoint is of another network or another version;
            `config.chunk` or `config.compile` for a network that does not support it.
        SystemExit: with code 0, after saving, on SIGTERM, SIGHUP or Ctrl-C.
        KeyboardInterrupt: on SIGTERM, SIGHUP or Ctrl-C without a folder to save in.
    """
    fabric = fabric or single_process(config.precision)
    trainer = Trainer(task, config, optim, folder, fabric)
    if resume:
        trainer.resume()
    with (
        trainer.threads_beside(batches.workers),
        kernels(fabric.device, config.deterministic),
        compiled_towers(task, config.compile, fabric.device),
        StopRequest() as stop,
        StepProgress(title, trainer.run.step, config.steps, trainer.shows_progress(progress)) as bar,
    ):
        stopped = trainer.train(batches, stop, bar)
        if stopped:
            signal, steps = stop.signal or "stop", f"step {trainer.run.step} of {config.steps}"
            trainer.log_message(logging.INFO, f"{signal}: ended after {steps}; {trainer.stop_message()}")
    if stopped and folder is None:
        raise stop.interrupt()
    if stopped:
        raise SystemExit(0)
    return trainer.run.metrics()


class Trainer:
    """Network in training, its optimiser and state, and the steps of the loop."""

    def __init__(
        self, task: nn.Module, config: TrainConfig, optim: OptimConfig, folder: Path | None, fabric: Fabric
    ) -> None:
        self.config, self.optim, self.folder, self.fabric = config, optim, folder, fabric
        self.task = convert_sync_batchnorm(task, fabric.device) if fabric.world_size > 1 else task
        self.frozen = FrozenParts(self.task, optim.frozen_steps, fabric.world_size)
        scaled = config.precision.startswith("16-mixed")  # its loss scaling does not clip under a fused kernel
        self.module, self.optimizer = fabric.setup(self.task, optimizer(self.task, optim, fused=not scaled))
        if fabric.device.type == "cpu":
            keep_freed()
        self.move, self.losses = batch_mover(fabric.device), PendingLosses(fabric.device)
        self.cache = GradientCache(self.task, config.chunk, fabric) if config.chunk else None
        if self.cache and (notice := self.cache.notice()):
            self.log_message(logging.WARNING, notice)
        self.run = TrainState()
        self.logger = MetricLogger(folder if fabric.is_global_zero else None)

    @contextmanager
    def threads_beside(self, workers: int) -> Iterator[None]:
        """Context with as many threads as loader processes leave cores; OMP_NUM_THREADS of the user is kept.

        With one thread and more cores, networks that share nothing run in a thread each: their numbers are the same.
        """
        before, own = torch.get_num_threads(), self.fabric.world_size == 1 and "OMP_NUM_THREADS" in os.environ
        if self.fabric.device.type == "cpu" and not own:
            torch.set_num_threads(compute_threads(workers, before, local_world_size()))
        alone = self.fabric.device.type == "cpu" and self.fabric.world_size == 1 and not own
        alone = alone and self.config.compile == "none"
        try:
            with two_threads(alone and torch.get_num_threads() == 1 and usable_cores() > 1):
                yield
        finally:
            torch.set_num_threads(before)

    def shows_progress(self, progress: bool) -> bool:
        """Whether this process shows progress."""
        return progress and self.fabric.is_global_zero

    def log_message(self, level: int, message: str) -> None:
        """Log a message in the first process alone."""
        if self.fabric.is_global_zero:
            logger.log(level, "%s", message)

    def stop_message(self) -> str:
        """Message for a stopped run: whether it is saved, and how to continue."""
        if self.folder and not self.run.step:
            return f"nothing to save yet, the same command begins anew in {self.folder}"
        return f"saved, the same command continues {self.folder}" if self.folder else "nothing is saved"

    def resume(self) -> None:
        """Load the last checkpoint of the folder, if there is one.

        Raises:
            InputError: the checkpoint is of another network or version, or not all processes find it.
        """
        path = self.folder / checkpoint.LAST if self.folder else None
        if path and path.is_file():
            others = (("optimizer", self.optimizer), ("precision", self.fabric.strategy.precision))
            self.run = _resumed(path, checkpoint.restore(path, self.task, *others))
            self._resume_interval(path)
            self.log_message(logging.INFO, f"{path}: continues from step {self.run.step}")
        first = self.fabric.broadcast(self.run.step)
        if first != self.run.step:
            raise InputError(f"{path}: at step {self.run.step} here, at {first} in the first process; share the folder")

    def _resume_interval(self, path: Path) -> None:
        """Go on with the open interval; the last log of a run that is continued was of a part of it."""
        try:
            self.logger.resume(self.run.step, self.run.interval, self.fabric)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            raise InputError(f"{path}: the interval in the run's state is spoiled: {first_line(error)}") from error
        if self.logger.was_logged() and self.run.step < self.config.steps:
            self.run.curve = self.run.curve[:-1]

    def save(self) -> None:
        """Write the last checkpoint, after the events of its steps; all processes call this, the first one writes.

        Raises:
            InputError: a loss or a weight is not finite; the checkpoint before is left as it is.
        """
        self.read_losses()
        if not is_finite(self.task):
            raise InputError(f"a weight is infinite or NaN after step {self.run.step}; {NOT_SAVED}")
        if not self.folder:
            return
        self.run.interval = self.logger.interval(self.fabric)
        on_first_rank(self.fabric, partial(self._write, self.folder / checkpoint.LAST))

    def _write(self, path: Path) -> None:
        self.logger.sync()
        state = {"run": asdict(self.run), "task": self.task.state_dict(), "optimizer": self.optimizer.state_dict()}
        state["precision"] = self.fabric.strategy.precision.state_dict()
        path.parent.mkdir(parents=True, exist_ok=True)  # a run that is stopped before its first log has written nothing
        checkpoint.save(path, state)

    def train(self, batches: BatchSource, stop: StopRequest, bar: StepProgress) -> bool:
        """Run the remaining steps; True if a signal stopped them."""
        self.task.train()
        saved = self.run.step
        with self.logger, self.frozen, closing(TimedBatches(batches, self.run.step, self.config.steps)) as timed:
            while self.run.step < self.config.steps:
                batch = timed.next(stop)
                if self._stops(stop):
                    break
                if not batch:
                    raise InputError(f"{stop.signal}: it ended the loader; the last checkpoint continues")
                self.advance(batch, timed, bar)
                if self._due(self.config.save_every):
                    self.save()
                    saved = self.run.step
        if saved < self.run.step:
            self.save()
        return self.run.step < self.config.steps

    def advance(self, batch: Batch, timed: TimedBatches, bar: StepProgress) -> None:
        """Do one step, update the state, report it."""
        batch = self.move(batch)
        out = self.step(batch)
        self.losses.add(self.run.step + 1, out["loss"])
        if (self.run.step + 1) % self.losses.every == 0:
            self.read_losses()
        seconds, data_wait = timed.split_times()
        clips = _clips(batch) * self.fabric.world_size
        self.run.add(seconds, data_wait, clips)
        bar.step(self.run.loss, seconds, data_wait, clips)
        self.logger.add(out, seconds, data_wait, clips)
        with eagerly(self.config.compile):
            self._report(batch)

    def _report(self, batch: Batch) -> None:
        if self._due(self.config.log_every):
            self.log(batch)
        if self._due(self.config.show_every) or self.run.step == 1:
            self.read_losses()
            on_first_rank(self.fabric, lambda: self.logger.show(self.run.step, self.task, batch))

    def read_losses(self) -> None:
        """Read the losses of the steps since the last reading, and update the moving average.

        Raises:
            InputError: one is infinite or NaN.
        """
        for step, loss in self.losses.read():
            if not math.isfinite(loss):
                raise InputError(f"the loss is {loss} at step {step}; {NOT_SAVED}")
            self.run.add_loss(loss)

    def step(self, batch: Batch) -> dict[str, Tensor]:
        """Forward, backward, update."""
        set_learning_rates(self.optimizer, self.optim, self.run.step, self.config.steps)
        self.frozen.set(self.run.step)
        rank, world = self.fabric.global_rank, self.fabric.world_size
        torch.manual_seed((((self.config.seed << 32) + self.run.step) * world + rank) % 2**64)
        begin_step(self.config.compile)
        out = self._with_gradients(batch)
        extra = {} if (norm := self._clip()) is None else {"grad_norm": norm}
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {name: value.detach() for name, value in {**out, **extra}.items()}

    def _with_gradients(self, batch: Batch) -> dict[str, Tensor]:
        """Scalars of a batch; the gradients are those of its loss."""
        if self.cache and _clips(batch) > self.config.chunk:
            return self.cache.step(batch)
        out: dict[str, Tensor] = self.module(batch)
        self.fabric.backward(out["loss"])
        return out

    def log(self, batch: Batch) -> None:
        """Log the means since the last log, over all processes, and the collapse metrics of the embeddings.

        A network in its first steps looks collapsed too: only the second such log in a row warns. The last step logs an
        interval that is not over, which a longer run goes on with.
        """
        ends = self.run.step % self.config.log_every == 0
        self.read_losses()
        alive, warning = collapse(self.task, _first(batch, self.config.chunk), self.fabric)
        self.run.scalars = {**self.logger.means(self.fabric, ends=ends), **alive}
        self.run.curve.append((self.run.step, self.run.scalars["loss"]))
        scalars = {**self.run.scalars, "lr": self.optimizer.param_groups[0]["lr"]}
        on_first_rank(self.fabric, lambda: self.logger.write(self.run.step, scalars))
        if warning and self.run.suspected:
            self.log_message(logging.WARNING, f"step {self.run.step}: {warning}")
        self.run.suspected = bool(warning) if ends else self.run.suspected

    def _clip(self) -> Tensor | None:
        """Clip the gradients; returns their norm, or None where it is neither clipped nor logged."""
        limit = self.optim.clip_norm or math.inf
        if limit == math.inf and (self.run.step + 1) % self.config.log_every:
            return None
        return self.fabric.clip_gradients(self.module, self.optimizer, max_norm=limit, error_if_nonfinite=False)

    def _due(self, every: int) -> bool:
        return self.run.step % every == 0 or self.run.step == self.config.steps

    def _stops(self, stop: StopRequest) -> bool:
        """Whether the run stops before the next step: several processes agree on it when they read their losses."""
        if self.fabric.world_size > 1 and self.run.step % self.losses.every:
            return False
        return stop.agreed(self.fabric)


def _resumed(path: Path, state: dict[str, Any]) -> TrainState:
    state = {"interval": {}, "suspected": False, **state}  # of a checkpoint before they were kept
    try:
        return read_fields(TrainState, state)
    except InputError as error:
        raise InputError(
            f"{path}: written by another version of avssl, or spoiled: {error}; train in a new folder"
        ) from error


def _clips(batch: Batch) -> int:
    return next((len(each) for each in batch.values() if isinstance(each, Tensor) and each.ndim), 0)


def _first(batch: Batch, clips: int) -> Batch:
    """The first clips of a batch; 0: all."""
    return (
        {name: each[:clips] if isinstance(each, Tensor) and each.ndim else each for name, each in batch.items()}
        if clips
        else batch
    )
