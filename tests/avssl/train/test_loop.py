import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from avssl.config import OptimConfig, TrainConfig
from avssl.train import checkpoint
from avssl.train.loop import fit
from avssl.train.optim import learning_rate, optimizer


class Line(nn.Module):
    """A straight line; `spoil` makes the loss of one step infinite."""

    def __init__(self, spoil=None):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 1)
        self.spoil, self.seen = spoil, 0

    def forward(self, batch):
        loss = (self.layer(batch["x"]) - batch["x"].sum(1, keepdim=True)).square().mean()
        self.seen += 1
        return {"loss": loss * math.inf if self.seen == self.spoil else loss}


class Points:
    workers = 0

    def between(self, start, stop):
        for step in range(start, stop):
            yield {"x": torch.randn(8, 4, generator=torch.Generator().manual_seed(step))}


EXACT = {"precision": "32-true", "log_every": 5, "save_every": 100}


def test_it_is_the_plain_torch_loop():
    optim = OptimConfig(lr=0.05, weight_decay=0.1, clip_norm=0.7)
    ours, plain = Line(), Line()
    fit(ours, Points(), TrainConfig(steps=15, **EXACT), optim, None, progress=False)
    adam = torch.optim.AdamW(plain.parameters(), lr=0.05, weight_decay=0.1)
    for batch in Points().between(0, 15):
        adam.zero_grad()
        plain(batch)["loss"].backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.7)
        adam.step()
    assert_close(ours.layer.weight, plain.layer.weight)


def test_it_finds_the_line_and_reports_it():
    line = Line()
    found = fit(line, Points(), TrainConfig(steps=300, **EXACT), OptimConfig(lr=0.05), None, progress=False)
    assert_close(line.layer.weight, torch.ones(1, 4), atol=0.02, rtol=0)
    assert found["loss"] < 0.02
    assert found["steps"] == 300
    assert found["clips_per_second"] == pytest.approx(300 * 8 / found["train_seconds"])
    assert 0 <= found["wait_share"] < 1


def test_rates_are_those_of_torchs_schedulers():
    config = OptimConfig(lr=0.3, schedule="cosine", warmup=5)
    adam = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=0.3)
    warm = torch.optim.lr_scheduler.LinearLR(adam, start_factor=1 / 5, total_iters=4)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=20)
    for step in range(25):
        assert learning_rate(config, step, 25) == pytest.approx(adam.param_groups[0]["lr"], abs=1e-7), step
        adam.step()
        (warm if step < 4 else cosine).step() if step != 4 else None
    assert learning_rate(OptimConfig(lr=0.3), 17, 25) == 0.3


def test_an_infinite_loss_names_its_step_and_saves_nothing(tmp_path):
    config = TrainConfig(steps=12, **{**EXACT, "save_every": 4})
    with pytest.raises(ValueError, match="loss is inf at step 7"):
        fit(Line(spoil=7), Points(), config, OptimConfig(), tmp_path, progress=False)
    state = checkpoint.load(tmp_path / checkpoint.LAST)
    assert state["run"]["step"] == 4
    assert all(value.isfinite().all() for value in state["task"].values())


def test_the_last_checkpoint_is_the_only_one(tmp_path):
    fit(Line(), Points(), TrainConfig(steps=6, **{**EXACT, "save_every": 2}), OptimConfig(), tmp_path, progress=False)
    assert [path.name for path in tmp_path.glob("*.ckpt")] == [checkpoint.LAST]


def test_a_checkpoint_of_another_version_is_one_line(tmp_path):
    config = TrainConfig(steps=2, **EXACT)
    fit(Line(), Points(), config, OptimConfig(), tmp_path, progress=False)
    state = checkpoint.load(tmp_path / checkpoint.LAST)
    checkpoint.save(tmp_path / checkpoint.LAST, state | {"run": state["run"] | {"best": 0.5}})
    with pytest.raises(ValueError, match=r"last\.ckpt: written by another version of avssl.* best; ") as caught:
        fit(Line(), Points(), config, OptimConfig(), tmp_path, progress=False)
    assert "\n" not in str(caught.value)


def test_a_network_without_parameters_is_refused():
    with pytest.raises(ValueError, match="Identity: expected a trainable parameter"):
        optimizer(nn.Identity(), OptimConfig())


def test_a_frozen_part_in_evaluation_stays_so_while_embeddings_are_watched(tiny):
    class Watched(tiny.TinyTask):
        def train(self, mode=True):
            super().train(mode)
            self.video.eval()
            return self

    task = Watched(0.0)
    before = task.video[1].running_mean.clone()
    config = TrainConfig(steps=4, log_every=1, precision="32-true")
    found = fit(task, tiny.Stream(), config, OptimConfig(), None, progress=False)
    assert torch.equal(task.video[1].running_mean, before)
    assert not task.video.training
    assert task.audio.training
    assert {"spread/video", "rank/audio", "nearest/audio"} <= found.keys()


class Embedding(Line):
    """All embeddings are alike in the first `dead` calls."""

    def __init__(self, dead):
        super().__init__()
        self.dead, self.asked = dead, 0

    def embeddings(self, batch):
        self.asked += 1
        return {"video": torch.ones(8, 4) if self.asked <= self.dead else batch["x"]}


@pytest.mark.parametrize(("dead", "said"), [(0, 0), (1, 0), (2, 1), (3, 2)])
def test_a_collapse_is_said_when_it_lasts(dead, said, caplog):
    fit(Embedding(dead), Points(), TrainConfig(steps=15, **EXACT), OptimConfig(lr=0.01), None)
    assert caplog.text.count("video embeddings have collapsed") == said


@pytest.mark.parametrize(("own", "expected"), [(None, 5), ("7", 7)])
def test_threads_in_training_are_the_cores_that_loaders_leave(monkeypatch, own, expected):
    class Watched(Points):
        workers = 3

        def between(self, start, stop):
            for batch in super().between(start, stop):
                seen.append(torch.get_num_threads())
                yield batch

    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr("avssl.io.cores.usable_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if own:
        monkeypatch.setenv("OMP_NUM_THREADS", own)
    torch.set_num_threads(7)
    try:
        fit(Line(), Watched(), TrainConfig(steps=2, **EXACT), OptimConfig(), None, progress=False)
        assert torch.get_num_threads() == 7
    finally:
        torch.set_num_threads(before)
    assert seen == [expected] * 2
