"""Compiled towers: the numbers of eager ones, and the same names of weights."""

import pytest
import torch
from torch import nn

from avssl.config import OptimConfig, TrainConfig
from avssl.losses import info_nce
from avssl.models.tower import Tower, TowerOutput
from avssl.train import checkpoint, compiled_towers
from avssl.train.loop import fit

CPU = torch.device("cpu")


class TinyTower(Tower):
    width = 8

    def __init__(self):
        super().__init__()
        self.layer, self.out = nn.Linear(6, 16), nn.Linear(16, 8)

    def forward_features(self, x):
        compiling.append(torch.compiler.is_compiling())
        maps = self.layer(x).relu()
        return TowerOutput(self.out(maps), maps)


class Pairs(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.tower, self.other = TinyTower(), nn.Linear(6, 8)

    def embeddings(self, batch):
        return {"tower": self.tower(batch["x"])}

    def forward(self, batch):
        return {"loss": info_nce(self.tower(batch["x"]), self.other(batch["x"]), 0.2)}


class Source:
    workers = 0

    def between(self, start, stop):
        for step in range(start, stop):
            yield {"x": torch.randn(8, 6, generator=torch.Generator().manual_seed(step))}


compiling: list[bool] = []


def run(folder, mode):
    config = TrainConfig(steps=4, precision="32-true", log_every=2, save_every=4, compile=mode)
    task = Pairs()
    fit(task, Source(), config, OptimConfig(lr=1e-2), folder, progress=False)
    return task, checkpoint.load(folder / checkpoint.LAST)


def test_a_compiled_run_is_the_eager_one_and_its_checkpoint_too(tmp_path, monkeypatch):
    monkeypatch.setattr(compiled_towers, "BACKEND", "aot_eager")
    compiling.clear()
    _, eager = run(tmp_path / "eager", "none")
    assert not any(compiling)
    task, found = run(tmp_path / "compiled", "default")
    assert any(compiling)
    assert list(found["task"]) == list(eager["task"])
    torch.testing.assert_close(dict(found["task"]), dict(eager["task"]))
    assert dict(found["run"]["curve"]) == pytest.approx(dict(eager["run"]["curve"]))
    assert "forward_features" not in vars(task.tower)


def test_what_cannot_be_compiled_is_one_line(monkeypatch):
    with pytest.raises(ValueError, match="train.compile=default: expected a network with towers, got Linear; use none"):
        compiled_towers.compiled_towers(nn.Linear(1, 1), "default", CPU).__enter__()
    with pytest.raises(ValueError, match="train.compile=max-autotune: expected a CUDA device for its graphs, got cpu"):
        compiled_towers.compiled_towers(Pairs(), "max-autotune", CPU).__enter__()
    with pytest.raises(ValueError, match="train.compile is none, default, reduce-overhead, max-autotune, not 'fast'"):
        TrainConfig(compile="fast")


def test_an_error_of_the_compiler_is_one_line_and_others_are_theirs(monkeypatch, tmp_path):
    def broken(graph, inputs):
        raise OSError("no C++ compiler")

    monkeypatch.setattr(compiled_towers, "BACKEND", broken)
    with pytest.raises(
        ValueError, match=r"train.compile=default: expected towers that compile, got .*no C\+\+ comp"
    ) as error:
        run(tmp_path / "broken", "default")
    assert "\n" not in str(error.value)
    with pytest.raises(RuntimeError, match="own"), compiled_towers.compiled_towers(Pairs(), "default", CPU):
        raise RuntimeError("own")
