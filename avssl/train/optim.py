"""Adam and its learning-rate schedule, a function of the step: there is no scheduler state to save."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from avssl.config import OptimConfig
from avssl.errors import InputError


def optimizer(network: nn.Module, config: OptimConfig, *, fused: bool = True) -> torch.optim.Adam:
    """Adam or AdamW over the parameters that are trained.

    Args:
        network: network to train; parameters that require no gradient are left out.
        config: learning rate, its multipliers and warm-ups, weight decay, and frozen parts.
        fused: one kernel for all parameters; not possible with the loss scaling of float16.

    Returns:
        An optimiser whose parameter groups carry their `multiplier` of the learning rate and the steps of their
        `warmup`.

    Raises:
        InputError: `network` has no trainable parameter, or `lr_multipliers`, `warmups` or `frozen_steps` name parts
            that it does not have.
    """
    trained = {name: each for name, each in network.named_parameters() if each.requires_grad}
    if not trained:
        raise InputError(f"{type(network).__name__}: expected a trainable parameter, got none")
    kind = torch.optim.AdamW if config.decoupled else torch.optim.Adam
    return kind(_groups(trained, config), lr=config.lr, weight_decay=config.weight_decay, fused=fused)


def set_learning_rates(optimizer: torch.optim.Optimizer, config: OptimConfig, step: int, steps: int) -> None:
    """Set the learning rate of each parameter group for one step.

    Args:
        optimizer: from `optimizer`.
        config: of the same.
        step: counted from 0.
        steps: length of the run.
    """
    for group in optimizer.param_groups:
        own = replace(config, warmup=group.get("warmup", config.warmup))
        group["lr"] = group.get("multiplier", 1.0) * learning_rate(own, step, steps)


def _groups(trained: dict[str, nn.Parameter], config: OptimConfig) -> list[dict[str, Any]]:
    """Parameter groups by learning-rate multiplier and warm-up; the longest matching key decides."""
    multipliers, warmups = config.lr_multipliers, config.warmups
    _check_prefixes("lr_multipliers", multipliers, trained)
    _check_prefixes("warmups", warmups, trained)
    _check_prefixes("frozen_steps", config.frozen_steps, trained)
    found: dict[tuple[float, int], list[nn.Parameter]] = {}
    for name, each in trained.items():
        multiplier, warmup = (
            multipliers.get(longest_prefix(name, multipliers), 1.0),
            warmups.get(longest_prefix(name, warmups)),
        )
        found.setdefault((multiplier, config.warmup if warmup is None else warmup), []).append(each)
    return [{"params": found[key], "multiplier": key[0], "warmup": key[1]} for key in found]


def _check_prefixes(key: str, prefixes: Iterable[str], trained: Iterable[str]) -> None:
    for prefix in prefixes:
        if not any(name.startswith(prefix) for name in trained):
            known = sorted({name.split(".")[0] for name in trained})
            raise InputError(
                f"optim.{key}: no trainable parameter begins with {prefix!r}; expected one of {', '.join(known)}"
            )


def longest_prefix(name: str, prefixes: Iterable[str]) -> str:
    """The longest prefix of a name; empty if there is none."""
    return max((prefix for prefix in prefixes if name.startswith(prefix)), key=len, default="")


def learning_rate(config: OptimConfig, step: int, steps: int) -> float:
    """Learning rate of one step: linear warm-up, then the schedule.

    Args:
        config: peak rate, schedule and warm-up.
        step: counted from 0.
        steps: length of the run.
    """
    if step < config.warmup:
        return config.lr * (step + 1) / config.warmup
    if config.schedule == "constant":
        return config.lr
    if config.schedule == "steps":
        passed = sum(step >= milestone * steps for milestone in config.milestones)
        return config.lr * math.pow(config.factor, passed)
    progress = (step - config.warmup) / max(1, steps - config.warmup)
    if config.schedule == "exponential":
        return config.lr * math.pow(config.final_lr_ratio, min(1.0, progress))
    return config.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
