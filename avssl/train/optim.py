"""The optimiser, and its rate as a function of the step: there is no scheduler state to save."""

from __future__ import annotations

import math

import torch
from torch import nn

from avssl.config import OptimConfig


def optimizer(network: nn.Module, config: OptimConfig, *, fused: bool = True) -> torch.optim.Adam:
    """Adam or AdamW over the parameters that are trained.

    Args:
        network: what is trained; parameters that require no gradient are left out.
        config: rate and decay.
        fused: one kernel for all; not possible with the loss scaling of float16.

    Raises:
        ValueError: nothing in `network` is trained.
    """
    trained = [each for each in network.parameters() if each.requires_grad]
    if not trained:
        raise ValueError(f"{type(network).__name__} has no parameter to train")
    kind = torch.optim.AdamW if config.decoupled else torch.optim.Adam
    return kind(trained, lr=config.lr, weight_decay=config.weight_decay, fused=fused)


def learning_rate(config: OptimConfig, step: int, steps: int) -> float:
    """The rate of one step: linear warm-up, then constant, a half cosine to zero, or a tenth after each milestone.

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
        return config.lr * 0.1 ** sum(step >= share * steps for share in config.milestones)
    share = (step - config.warmup) / max(1, steps - config.warmup)
    return config.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
