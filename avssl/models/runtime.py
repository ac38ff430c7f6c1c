"""Running networks outside distributed training: one device, a precision, evaluation mode."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

from lightning_fabric import Fabric
from lightning_fabric.plugins.precision import MixedPrecision
from torch import nn

from avssl.io.arithmetic import resolve_precision


def single_process(precision: str) -> Fabric:
    """Fabric on one device of this process, also inside a distributed job.

    Args:
        precision: see `resolve_precision`.

    Raises:
        ValueError: unknown precision, or not supported on this device.
    """
    return launch_fabric(devices=1, precision=precision)


class AutocastAlone(MixedPrecision):
    """Mixed precision by autocast, without rounding the inputs of a network.

    Rounded to bfloat16, waveforms keep 50 dB above their rounding errors, and rotations are wrong by 0.2 degrees.
    """

    def convert_input(self, data: Any) -> Any:
        """`data` itself."""
        return data


def launch_fabric(precision: str, **settings: Any) -> Fabric:
    """Launch Fabric on the available accelerator, with its log messages reduced to warnings; see `AutocastAlone`.

    Args:
        precision: see `resolve_precision`.
        settings: of `Fabric`.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    fabric = Fabric(accelerator="auto", precision=cast(Any, resolve_precision(precision)), **settings)
    mixed = fabric.strategy.precision
    if isinstance(mixed, MixedPrecision):
        name = cast(Literal["16-mixed", "bf16-mixed"], mixed.precision)
        fabric.strategy.precision = AutocastAlone(name, mixed.device, mixed.scaler)
    fabric.launch()
    return fabric


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Context in evaluation mode; restores the previous mode of every module."""
    modes = [(each, each.training) for each in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for each, training in modes:
            each.training = training
