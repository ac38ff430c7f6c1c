"""Rates against torch's own schedulers, decay against the closed form."""

from itertools import pairwise

import pytest
import torch
from torch import nn

from avssl.config import OptimConfig
from avssl.train.optim import learning_rate, optimizer, set_learning_rates


@pytest.mark.parametrize("factor", [0.1, 0.3])
def test_steps_are_those_of_multi_step_lr(factor: float) -> None:
    config = OptimConfig(lr=1e-5, schedule="steps", milestones=[0.5, 0.8], factor=factor)
    theirs = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=1e-5)
    schedule = torch.optim.lr_scheduler.MultiStepLR(theirs, [5, 8], factor)
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


def test_exponential_falls_by_the_same_factor_every_step_to_what_remains() -> None:
    config = OptimConfig(lr=0.5, schedule="exponential", final_lr_ratio=0.01)
    rates = [learning_rate(config, step, 100) for step in range(101)]
    assert rates[0] == 0.5
    assert rates[100] == pytest.approx(0.005)
    assert [later / earlier for earlier, later in pairwise(rates)] == pytest.approx([0.01**0.01] * 100)


def test_parts_have_their_share_of_the_rate_and_the_longest_name_decides() -> None:
    network = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    groups = optimizer(network, OptimConfig(lr_multipliers={"a": 0.1, "a.bias": 0.0})).param_groups
    found = {id(each): group["multiplier"] for group in groups for each in group["params"]}
    lr_multipliers = {name: found[id(each)] for name, each in network.named_parameters()}
    assert lr_multipliers == {"a.weight": 0.1, "a.bias": 0.0, "b.weight": 1.0, "b.bias": 1.0}
    with pytest.raises(ValueError, match="begins with 'c'; expected one of a, b"):
        optimizer(network, OptimConfig(lr_multipliers={"c": 0.1}))


def test_parts_have_their_own_warm_up_and_then_the_schedule() -> None:
    network = nn.ModuleDict({"slow": nn.Linear(2, 2), "fast": nn.Linear(2, 2)})
    config = OptimConfig(
        lr=0.1, schedule="cosine", warmup=2, warmups={"slow": 10, "slow.bias": 0}, lr_multipliers={"slow": 0.5}
    )
    rule = optimizer(network, config)
    names = {id(each): name for name, each in network.named_parameters()}
    rates: dict[str, list[float]] = {name: [] for name in names.values()}
    for step in range(20):
        set_learning_rates(rule, config, step, 20)
        for group in rule.param_groups:
            for each in group["params"]:
                rates[names[id(each)]].append(group["lr"])
    assert rates["slow.weight"][:10] == pytest.approx([0.05 * (step + 1) / 10 for step in range(10)])
    for name, multiplier, warmup in (("slow.weight", 0.5, 10), ("slow.bias", 0.5, 0), ("fast.weight", 1.0, 2)):
        plain = OptimConfig(lr=0.1 * multiplier, schedule="cosine", warmup=warmup)
        assert rates[name] == pytest.approx([learning_rate(plain, step, 20) for step in range(20)])
    assert len(rule.param_groups) == 3
    with pytest.raises(ValueError, match="optim.warmups: no trainable parameter begins with 'c'; expected"):
        optimizer(network, OptimConfig(warmups={"c": 1}))
    with pytest.raises(ValueError, match="optim.warmups must not be negative or infinite, it is -1"):
        OptimConfig(warmups={"slow": -1})
