"""Parts of a network that are frozen in the first steps of a training."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from avssl.errors import InputError
from avssl.train.optim import longest_prefix


class FrozenParts:
    """Parts without a gradient, and in evaluation mode, until a step; the optimiser leaves them as they are.

    A context, at whose end all parts can be trained again.

    Args:
        network: in training.
        steps: prefix of the parameter names -> steps in which it is frozen; the longest matching prefix decides.
        processes: of the training.

    Raises:
        InputError: frozen parts in a training of several processes, which would wait for their gradients.
    """

    def __init__(self, network: nn.Module, steps: Mapping[str, int], processes: int = 1) -> None:
        if steps and processes > 1:
            raise InputError(f"optim.frozen_steps: expected one process, got {processes}; leave it out, or use one")
        trained = ((name, each) for name, each in network.named_parameters() if each.requires_grad)
        self._parameters = [(each, steps[key]) for name, each in trained if (key := longest_prefix(name, steps))]
        modules = network.named_modules()
        self._modules = [(each, steps[key]) for name, each in modules if (key := longest_prefix(name, steps))]

    def __enter__(self) -> FrozenParts:
        """Itself; nothing is frozen before `set`."""
        return self

    def __exit__(self, *error: object) -> None:
        """Unfreeze all parts."""
        for parameter, _ in self._parameters:
            parameter.requires_grad_(True)
        for module, _ in self._modules:
            module.training = True

    def set(self, step: int) -> None:
        """Freeze or unfreeze each part for one step, counted from 0; the network is in training mode otherwise."""
        for parameter, steps in self._parameters:
            parameter.requires_grad_(step >= steps)
        for module, steps in self._modules:
            if step <= steps:
                module.training = step == steps
