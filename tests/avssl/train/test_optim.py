"""Rates against torch's own schedulers, decay against the closed form."""

import pytest
import torch
from torch import nn

from avssl.config import OptimConfig
from avssl.train.optim import learning_rate, optimizer


def test_steps_are_those_of_multi_step_lr() -> None:
    config = OptimConfig(lr=1e-5, schedule="steps", milestones=[0.5, 0.8])
    theirs = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1e-5)
    schedule = torch.optim.lr_scheduler.MultiStepLR(theirs, [5, 8])
    for step in range(10):
        assert learning_rate(config, step, 10) == pytest.approx(theirs.param_groups[0]["lr"])
        theirs.step()
        schedule.step()


def test_cosine_is_that_of_cosine_annealing() -> None:
    config = OptimConfig(lr=0.1, schedule="cosine")
    theirs = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(theirs, 20)
    for step in range(20):
        assert learning_rate(config, step, 20) == pytest.approx(theirs.param_groups[0]["lr"])
        theirs.step()
        schedule.step()


def test_coupled_decay_passes_through_adam_and_decoupled_does_not() -> None:
    found = {}
    for decoupled in (True, False):
        layer = nn.Linear(1, 1, bias=False)
        nn.init.constant_(layer.weight, 2.0)
        rule = optimizer(layer, OptimConfig(lr=0.1, weight_decay=0.5, decoupled=decoupled), fused=False)
        layer(torch.zeros(1, 1)).sum().backward()
        rule.step()
        found[decoupled] = layer.weight.item()
    assert found[True] == pytest.approx(2.0 * (1 - 0.1 * 0.5))
    # Adam's first step has the length of the rate, however large the gradient, here the decay alone.
    assert found[False] == pytest.approx(2.0 - 0.1, abs=1e-5)


def test_a_milestone_is_a_share_of_the_run() -> None:
    with pytest.raises(ValueError, match=r"optim.milestones is from 0 to 1, not 5"):
        OptimConfig(schedule="steps", milestones=[5])
