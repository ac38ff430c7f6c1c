"""Losses read every few steps, as on an accelerator: numbers and guarantees of those that are read in every step."""

import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from avssl.config import OptimConfig, TrainConfig
from avssl.models.runtime import single_process
from avssl.train import checkpoint, pending_losses
from avssl.train.loop import Trainer, TrainState, fit
from avssl.train.pending_losses import PendingLosses


class Delayed(PendingLosses):
    """Those of an accelerator, on the CPU."""

    def __init__(self, device):
        super().__init__(torch.device("meta"))


@pytest.fixture
def delayed(monkeypatch):
    monkeypatch.setattr("avssl.train.loop.PendingLosses", Delayed)


def config(steps=12, **settings):
    return TrainConfig(**{"steps": steps, "precision": "32-true", "log_every": 6, "save_every": 6, **settings})


@pytest.mark.parametrize("steps", [12, 13])
def test_losses_read_late_give_the_same_state_and_weights(tiny, tmp_path, delayed, monkeypatch, steps):
    late = fit(tiny.TinyTask(0.2), tiny.Stream(), config(steps), tiny.OPTIM, tmp_path / "late", progress=False)
    monkeypatch.undo()
    known = fit(tiny.TinyTask(0.2), tiny.Stream(), config(steps), tiny.OPTIM, tmp_path / "known", progress=False)
    assert late["loss"] == known["loss"]
    one, other = (checkpoint.load(tmp_path / name / checkpoint.LAST) for name in ("late", "known"))
    assert one["run"]["curve"] == other["run"]["curve"]
    assert all(torch.equal(value, other["task"][name]) for name, value in one["task"].items())


class Spoiled(torch.nn.Module):
    """A line whose loss is NaN in one step, while its weights stay finite."""

    def __init__(self, step):
        super().__init__()
        self.layer, self.step, self.seen = torch.nn.Linear(8, 1), step, 0

    def forward(self, batch):
        self.seen += 1
        loss = self.layer(batch["x"].flatten(1)[:, :8]).square().mean()
        return {"loss": loss.detach() * math.nan + 0 * loss.nan_to_num() if self.seen == self.step else loss}


@pytest.mark.parametrize("spoiled", [3, 6, 7, 11])
def test_a_loss_that_is_not_finite_is_neither_saved_nor_logged(tiny, tmp_path, delayed, monkeypatch, spoiled):
    logged = []
    monkeypatch.setattr("avssl.train.metric_logger.MetricLogger.write", lambda self, step, scalars: logged.append(step))
    with pytest.raises(ValueError, match=f"the loss is nan at step {spoiled}; nothing of it is saved"):
        fit(Spoiled(spoiled), tiny.Stream(), config(log_every=5), OptimConfig(), tmp_path, progress=False)
    assert all(step < spoiled for step in logged)
    saved = tmp_path / checkpoint.LAST
    assert saved.exists() == (spoiled > 6)
    assert not saved.exists() or checkpoint.load(saved)["run"]["step"] == 6


class HostReads(TorchDispatchMode):
    """Counts numbers that travel from a tensor to Python, for which an accelerator is waited for."""

    count = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        reads = ("aten::_local_scalar_dense", "aten::nonzero", "aten::equal", "aten::is_nonzero")
        self.count += operation.name().removesuffix(".out") in reads
        return operation(*args, **(kwargs or {}))


def test_a_step_reads_nothing_from_the_device(tiny, delayed):
    from avssl_tasks.avsa import Avsa, AvsaOptions

    from avssl.config import FeatureConfig, ModelConfig
    from avssl.models.encoders import Encoders

    options = AvsaOptions(crops=2, size=32, yaw_negatives=1, transformer=1, loss="sigmoid", loss_options={"bias": -3})
    task = Avsa(Encoders(ModelConfig("small"), FeatureConfig(sample_rate=8000, mels=32)), options).train()
    turns = torch.linalg.qr(torch.randn(4, 2, 3, 3)).Q
    frames = torch.zeros(4, 2, 1, 3, 32, 32, dtype=torch.uint8)
    batch = {"frames": frames, "audio": torch.randn(4, 4, 4000), "rotation": turns, "yaw_rotation": turns[:, :, None]}
    optim = OptimConfig(clip_norm=1.0)
    trainer = Trainer(task, config(precision="bf16-mixed"), optim, None, single_process("bf16-mixed"))
    trainer.optimizer.step = lambda: None  # of a compiled kernel, whose step counter it reads on the CPU
    with HostReads() as seen:
        out = trainer.step(batch)
        trainer.losses.add(1, out["loss"])
        trainer.logger.add(out, 1.0, 0.0, 4)
    assert seen.count == 0
    with HostReads() as seen:
        float(out["loss"])
    assert seen.count == 1


def test_the_cpu_reads_every_loss_and_an_accelerator_ten_at_a_time():
    assert PendingLosses(torch.device("cpu")).every == 1
    pending = PendingLosses(torch.device("cuda"))
    assert pending.every == pending_losses.STEPS == 10
    for step in range(1, 4):
        pending.add(step, torch.tensor(0.5 * step))
    assert pending.read() == [(1, 0.5), (2, 1.0), (3, 1.5)]
    assert pending.read() == []


def test_the_moving_average_begins_with_the_first_loss():
    state = TrainState()
    for loss in (2.0, 4.0):
        state.add_loss(loss)
    assert state.loss == 0.98 * 2.0 + (1 - 0.98) * 4.0
