"""A network that trains in milliseconds; run as a program, it trains or compares gradients in a process of its own."""

import argparse
import json
import logging
import os
import signal
import time
from pathlib import Path

import torch
from torch import nn

from avssl.config import OptimConfig, TrainConfig
from avssl.losses import info_nce
from avssl.train import distributed
from avssl.train.loop import Trainer, fit
from avssl.train.process_checks import check_same_config
from avssl.train.sync_batchnorm import convert_sync_batchnorm

OPTIM = OptimConfig(lr=1e-2, schedule="cosine", warmup=3, clip_norm=0.5, weight_decay=1e-2)


class TinyTask(nn.Module):
    """Two towers with batch normalisation in every shape, and a contrastive loss over all processes."""

    def __init__(self, dropout=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.video = nn.Sequential(
            nn.Conv3d(3, 6, 3, bias=False),
            nn.BatchNorm3d(6),
            nn.ReLU(),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(6, 8),
        )
        self.audio = nn.Sequential(
            nn.Conv2d(2, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
        )
        self.head = nn.Sequential(
            nn.Linear(6, 16, bias=False), nn.BatchNorm1d(16), nn.Dropout(dropout), nn.ReLU(), nn.Linear(16, 8)
        )

    def embeddings(self, batch):
        return {"video": self.video(batch["x"]), "audio": self.head(self.audio(batch["y"]))}

    def forward(self, batch):
        found = self.embeddings(batch)
        return {"loss": info_nce(found["video"], found["audio"], 0.2), "level": batch["x"].mean()}


class Pairs(nn.Module):
    """Two towers, with dropout or batch normalisation where asked."""

    def __init__(self, dropout=0.0, norm=False):
        super().__init__()
        torch.manual_seed(0)
        own = [nn.BatchNorm1d(16)] if norm else []
        self.video = nn.Sequential(nn.Linear(6, 16), *own, nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 8))
        self.audio, self.scale = nn.Linear(5, 8), nn.Parameter(torch.tensor(1.5))

    def embed(self, batch):
        return {"video": self.video(batch["x"]), "audio": self.audio(batch["y"])}

    def contrast(self, embeddings, batch):
        loss = info_nce(embeddings["video"], embeddings["audio"], 0.2) * self.scale
        return {"loss": loss, "level": batch["x"].mean()}

    def forward(self, batch):
        return self.contrast(self.embed(batch), batch)


def pairs(rows=13):
    generator = torch.Generator().manual_seed(1)
    return {"x": torch.randn(rows, 6, generator=generator), "y": torch.randn(rows, 5, generator=generator)}


class Stream:
    """Random batches, a function of the step; each process takes its share of them."""

    workers = 0

    def __init__(self, batch=8, rank=0, world=1, pause=0.0):
        self.batch, self.rank, self.world, self.pause = batch, rank, world, pause

    def between(self, start, stop):
        for step in range(start, stop):
            time.sleep(self.pause)
            generator = torch.Generator().manual_seed(step)
            x = torch.randn(self.batch, 3, 3, 6, 6, generator=generator) + 3
            y = torch.randn(self.batch, 2, 7, 7, generator=generator)
            yield {name: each.chunk(self.world)[self.rank].clone() for name, each in (("x", x), ("y", y))}


def train(folder, steps=12, pause=0.0, dropout=0.2, **settings):
    """Fit a tiny task in a folder; in as many processes as torchrun started."""
    config = TrainConfig(**{"steps": steps, "log_every": 4, "save_every": 2, **settings})
    with distributed.processes(config.precision) as fabric:
        stream = Stream(rank=fabric.global_rank, world=fabric.world_size, pause=pause)
        return fit(TinyTask(dropout), stream, config, OPTIM, folder, fabric=fabric)


def gradients(folder):
    """Loss, gradients and buffers of one step, a file for each process."""
    task = TinyTask()
    with distributed.processes("32-true") as fabric:
        module = fabric.setup_module(convert_sync_batchnorm(task, fabric.device) if fabric.world_size > 1 else task)
        loss = module(next(Stream(rank=fabric.global_rank, world=fabric.world_size).between(0, 1)))["loss"]
        fabric.backward(loss)
    found = {
        "loss": loss.detach(),
        **{name: each.grad for name, each in task.named_parameters()},
        **dict(task.named_buffers()),
    }
    torch.save(found, folder / f"{fabric.world_size}-{fabric.global_rank}.pt")


def chunked(folder):
    """Loss and gradients of one step in chunks of 4 clips, a file for each process."""
    with distributed.processes("32-true") as fabric:
        config = TrainConfig(steps=1, precision="32-true", chunk=4)
        trainer = Trainer(Pairs(), config, OptimConfig(), None, fabric)
        share = {name: each.chunk(fabric.world_size)[fabric.global_rank] for name, each in pairs(12).items()}
        for _ in range(2):  # a second step, as the first one is special to DistributedDataParallel
            trainer.optimizer.zero_grad()
            loss = trainer._with_gradients(share)["loss"]
    found = {"loss": loss.detach(), **{name: each.grad for name, each in trainer.task.named_parameters()}}
    torch.save(found, folder / f"{fabric.global_rank}.pt")


def first_rank(folder):
    """Each process leaves a file with the results that rank 0 broadcast, and one for each time that it did the work."""

    def work(error=None):
        (folder / f"work-{fabric.global_rank}").touch()
        if error:
            raise error
        return {"rejected": ["a"]}

    with distributed.processes("32-true") as fabric:
        found = distributed.on_first_rank(fabric, work)
        try:
            distributed.on_first_rank(fabric, lambda: work(ValueError("all clips were rejected")))
        except ValueError as error:
            (folder / f"{fabric.global_rank}.json").write_text(json.dumps([found, str(error)]))


class OddError(Exception):
    """Cannot be pickled: it is made of two arguments and keeps one."""

    def __init__(self, one, two):
        super().__init__(one + two)


ERRORS = {
    "type": TypeError("odd"),
    "interrupt": KeyboardInterrupt("odd"),
    "exit": SystemExit(3),
    "custom": OddError("od", "d"),
}


def _killed_after(batches, count):
    """Some batches; then the process is killed."""
    for _ in range(count):
        yield next(batches)
    os.kill(os.getpid(), signal.SIGKILL)


def failing(folder, where, kind):
    """One process fails while the others wait for it, each in its own way."""

    def work(guilty):
        if guilty:
            raise ERRORS[kind]
        return "done"

    with distributed.processes("32-true") as fabric:
        rank = fabric.global_rank
        if where == "first":
            distributed.on_first_rank(fabric, lambda: work(True))
        if where == "result":
            distributed.on_first_rank(fabric, lambda: time.sleep if rank else (lambda: 1))
        if where == "machine":
            distributed.first_on_each_machine(fabric, lambda: work(rank == 0))
        if where == "others":
            distributed.first_on_each_machine(fabric, lambda: work(rank == 1))
        if where == "config":
            check_same_config(fabric, {"train": {"seed": rank, "steps": 4}})
        if where == "killed":
            stream = Stream(rank=rank, world=fabric.world_size)
            batches = stream.between(0, 100)
            stream.between = lambda *_: _killed_after(batches, 3 if rank else 100)
            fit(TinyTask(), stream, TrainConfig(steps=100, log_every=2, save_every=2), OPTIM, folder, fabric=fabric)
        if where == "step":
            stream = Stream(rank=rank, world=fabric.world_size)
            stream.rank = rank if rank == 0 else 7  # an IndexError in the second process
            fit(TinyTask(), stream, TrainConfig(steps=4), OPTIM, folder, fabric=fabric)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["train", "gradients", "chunked", "first_rank", "failing"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--settings", type=json.loads, default={})
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    given.folder.mkdir(exist_ok=True)
    print(globals()[given.what](given.folder, **given.settings))
