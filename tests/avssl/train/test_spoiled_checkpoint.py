"""Checkpoints with spoiled values, and runs that diverge: one line, and the last good checkpoint stays."""

import math
import os
from random import Random

import pytest
import torch
from torch import nn

from avssl.config import OptimConfig, TrainConfig
from avssl.train import checkpoint
from avssl.train.loop import fit

LAST = checkpoint.LAST
CONFIG = {"precision": "32-true", "log_every": 2, "save_every": 2}


class Line(nn.Module):
    """A straight line; `spoiled` makes the gradients of one step NaN, and leaves its loss finite."""

    def __init__(self, spoiled=0):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Sequential(nn.Linear(4, 1), nn.BatchNorm1d(1))
        self.spoiled, self.seen = spoiled, 0

    def forward(self, batch):
        self.seen += 1
        out = self.layer(batch["x"])
        if self.seen == self.spoiled:
            out.register_hook(lambda gradient: gradient * math.nan)
        return {"loss": out.square().mean()}


class Points:
    workers = 0

    def between(self, start, stop):
        for step in range(start, stop):
            yield {"x": torch.randn(8, 4, generator=torch.Generator().manual_seed(step))}


def train(folder, steps=4, task=None, optim=None, **changes):
    config = TrainConfig(steps=steps, **(CONFIG | changes))
    return fit(task or Line(), Points(), config, optim or OptimConfig(), folder, progress=False)


def refused(folder, **settings):
    before = (folder / LAST).read_bytes()
    with pytest.raises(ValueError, match=r"last\.ckpt: ") as caught:
        train(folder, steps=6, **settings)
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert (folder / LAST).read_bytes() == before
    return str(caught.value)


def edit(folder, change):
    state = torch.load(folder / LAST, weights_only=True)
    change(state)
    torch.save(state, folder / LAST)


@pytest.fixture
def folder(tmp_path):
    train(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("step", 2.5, "expected step to be a whole number of at least 0, got 2.5"),
        ("step", -1, "expected step to be a whole number of at least 0, got -1"),
        ("step", "4", "expected step to be a whole number"),
        ("step", [4], "expected step to be a whole number"),
        ("step", True, "expected step to be a whole number"),
        ("step", 10**30, "expected step to be a whole number"),
        ("step", torch.tensor(4), "expected step to be a whole number"),
        ("loss", "low", "expected loss to be a finite number, got low"),
        ("loss", math.inf, "expected loss to be a finite number, got inf"),
        ("seconds", [1.0], "expected seconds to be a finite number"),
        ("clips", -32, "expected clips to be a whole number of at least 0, got -32"),
        ("scalars", [1.0], "expected scalars to be"),
        ("scalars", {"loss": "x"}, "expected scalars to be"),
        ("scalars", {1: 1.0}, "expected scalars to be"),
        ("curve", {}, "expected curve to be"),
        ("curve", [(2.5, 1.0)], "expected curve to be"),
        ("curve", [(2, 1.0, 3)], "expected curve to be"),
        ("curve", [2], "expected curve to be"),
        ("suspected", "no", "expected suspected to be"),
        ("interval", [1], "expected interval to be"),
        ("interval", {"names": 1}, "the interval in the run's state is spoiled"),
        ("interval", {"names": ["a"], "counts": [0], "sums": torch.ones(1, 4)}, "the interval in the run's state"),
        ("interval", {"names": ["a"], "counts": [1], "sums": torch.ones(1, 4) / 0}, "expected finite sums"),
    ],
)
def test_spoiled_progress_is_refused_by_name(folder, name, value, message):
    edit(folder, lambda state: state["run"].update({name: value}))
    assert message in refused(folder)


@pytest.mark.parametrize("run", [[1], "text", None, 4, {}])
def test_progress_that_is_no_mapping_of_its_names_is_refused(folder, run):
    edit(folder, lambda state: state.update(run=run))
    assert "run" in refused(folder)


def moments(state):
    return state["optimizer"]["state"][0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: moments(state).update(exp_avg=torch.ones(2, 4)), "expected exp_avg of shape (1, 4), got (2, 4)"),
        (lambda state: moments(state).update(exp_avg=torch.full((1, 4), math.nan)), "expected finite torch.float32"),
        (lambda state: moments(state).update(exp_avg_sq=-torch.ones(1, 4)), "expected squares as exp_avg_sq"),
        (lambda state: moments(state).update(exp_avg=torch.ones(1, 4).int()), "expected finite torch.float32"),
        (lambda state: moments(state).update(exp_avg="x"), "expected exp_avg of shape (1, 4), got str"),
        (lambda state: moments(state).update(step=torch.tensor(2.5)), "expected a whole number as step"),
        (lambda state: moments(state).update(step=torch.tensor(-1.0)), "expected a whole number as step"),
        (lambda state: moments(state).update(step="x"), "expected a whole number as step"),
        (lambda state: moments(state).pop("exp_avg"), "expected step and the moments"),
        (lambda state: state["optimizer"]["state"].update({99: {}}), "expected moments of the same parameters"),
        (lambda state: state["optimizer"].update(state=[]), "expected moments of the same parameters"),
        (lambda state: state["optimizer"].update(param_groups=[]), "expected an optimiser of the same parameters"),
        (lambda state: state["optimizer"].update(param_groups=3), "expected the state of an optimiser"),
        (lambda state: state.update(optimizer="x"), "expected the state of an optimiser"),
        (lambda state: state.update(precision=[1]), "expected finite numbers of the loss scaling"),
        (lambda state: state.update(precision={"scale": math.inf}), "expected finite numbers of the loss scaling"),
        (lambda state: state["task"].update({"layer.0.weight": torch.full((1, 4), math.nan)}), "layer.0.weight (NaN"),
        (lambda state: state["task"].update({"layer.0.weight": torch.ones(1, 4).long()}), "int64 instead of float32"),
        (lambda state: state["task"].update({"layer.0.weight": [1.0]}), "expected tensors by name"),
        (lambda state: state.update(task=5), "expected tensors by name"),
    ],
)
def test_spoiled_weights_and_moments_are_refused(folder, change, message):
    edit(folder, change)
    assert message in refused(folder)


def test_settings_of_the_optimiser_are_those_of_the_config_not_of_the_file(folder, tmp_path_factory):
    straight, spoiled = Line(), Line()
    train(tmp_path_factory.mktemp("straight"), steps=6, task=straight)
    edit(folder, lambda state: state["optimizer"]["param_groups"][0].update(lr="x", betas=None, eps=-1, maximize=True))
    train(folder, steps=6, task=spoiled)
    assert torch.equal(straight.layer[0].weight, spoiled.layer[0].weight)


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


def test_a_pickle_that_calls_something_is_one_line_of_ours(folder, tmp_path):
    edit(folder, lambda state: state["run"].update(step=Evil(tmp_path / "ran")))
    assert "expected a checkpoint of avssl, got another file: expected tensors and plain values" in refused(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.95])
def test_a_cut_checkpoint_is_one_line(folder, share):
    content = (folder / LAST).read_bytes()
    (folder / LAST).write_bytes(content[: int(share * len(content))])
    assert "expected a checkpoint of avssl" in refused(folder)


def test_weights_that_a_finite_loss_spoils_are_never_saved(tmp_path):
    with pytest.raises(ValueError, match="a weight is infinite or NaN after step 4; nothing of it is saved"):
        train(tmp_path, task=Line(spoiled=4))
    state = checkpoint.load(tmp_path / LAST)
    assert state["run"]["step"] == 2
    assert all(each.isfinite().all() for each in state["task"].values())
    assert train(tmp_path)["steps"] == 4  # the good one continues


def test_a_run_that_diverges_without_a_folder_is_an_error_too():
    with pytest.raises(ValueError, match="a weight is infinite or NaN after step 4"):
        train(None, task=Line(spoiled=4), save_every=100)


def corrupted(content, random):
    """Content cut, with bytes changed at random or near the ends, or with a block removed or put in."""
    data, way = bytearray(content), random.randrange(5)
    if way == 0:
        return bytes(data[: random.randrange(len(data))])
    if way == 1:
        for _ in range(random.choice([1, 3, 20])):
            data[random.randrange(len(data))] = random.randrange(256)
    elif way == 2:
        data[random.randrange(max(1, len(data) - 2000), len(data))] = random.randrange(256)
    elif way == 3:
        begin = random.randrange(len(data))
        del data[begin : begin + random.randrange(1, 3000)]
    else:
        begin = random.randrange(len(data) - 8)
        data[begin : begin + 8] = random.choice([b"\xff" * 8, bytes(8), b"9" * 8])
    return bytes(data)


def test_corrupted_checkpoints_continue_or_are_one_line(folder):
    content, random, outcomes = (folder / LAST).read_bytes(), Random(0), []
    for _ in range(100):
        (folder / LAST).write_bytes(corrupted(content, random))
        try:
            train(folder)
        except ValueError as error:
            outcomes.append(str(error))
    assert len(outcomes) > 50
    assert not [each for each in outcomes if "\n" in each or "last.ckpt: " not in each or "weights_only" in each]
