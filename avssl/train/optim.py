"""Adam and its learning-rate schedule, a function of the step: there is no scheduler state to save."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from avssl.config import OptimConfig
from avssl.errors import InputError


def optimizer(network: nn.Module, config: OptimConfig, *, fused: bool = True) -> torch.optim.Adam:
    """Adam or AdamW over the parameters that are trained.

    Args:
        network: network to train; parameters that require no gradient are left out.
        config: learning rate, its multipliers, and weight decay.
        fused: one kernel for all parameters; not possible with the loss scaling of float16.

    Returns:
        An optimiser whose parameter groups carry their `multiplier` of the learning rate.

    Raises:
        InputError: `network` has no trainable parameter, or `lr_multipliers` names parts that it does not have.
    """
    trained = {name: each for name, each in network.named_parameters() if each.requires_grad}
    if not trained:
        raise InputError(f"{type(network).__name__}: expected a trainable parameter, got none")
    kind = torch.optim.AdamW if config.decoupled else torch.optim.Adam
    return kind(_groups(trained, config.lr_multipliers), lr=config.lr, weight_decay=config.weight_decay, fused=fused)


def _groups(trained: dict[str, nn.Parameter], lr_multipliers: dict[str, float]) -> list[dict[str, Any]]:
    """Parameter groups by learning-rate multiplier; the longest matching key decides."""
    for key in lr_multipliers:
        if not any(name.startswith(key) for name in trained):
            known = sorted({name.split(".")[0] for name in trained})
            raise InputError(
                f"optim.lr_multipliers: no trainable parameter begins with {key!r}; expected one of {', '.join(known)}"
            )
    found: dict[float, list[nn.Parameter]] = {}
    for name, each in trained.items():
        fitting = max((key for key in lr_multipliers if name.startswith(key)), key=len, default="")
        found.setdefault(lr_multipliers.get(fitting, 1.0), []).append(each)
    return [{"params": each, "multiplier": multiplier} for multiplier, each in found.items()]


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
