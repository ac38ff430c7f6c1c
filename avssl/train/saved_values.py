"""Checks of what a checkpoint states, before a run goes on with it: progress, and moments of the optimiser."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import torch
from torch import Tensor
from torch.optim import Optimizer

from avssl.errors import InputError, excerpt

T = TypeVar("T")
MOMENTS = ("exp_avg", "exp_avg_sq")
"""Tensors that Adam keeps for a parameter, of its shape; besides them, `step`."""


def read_fields(kind: type[T], values: Any) -> T:
    """An instance of a dataclass of numbers, and of lists and mappings of numbers, from stored values.

    Args:
        kind: a dataclass with a default for each field.
        values: name -> value, with exactly its fields.

    Raises:
        InputError: a field is missing, unknown or of another type; a negative count; infinity.
    """
    names = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(values, dict) or values.keys() != names:
        found = sorted(map(str, names ^ values.keys())) if isinstance(values, dict) else [excerpt(values)]
        raise InputError(f"its run state differs in {excerpt(', '.join(found))}")
    for name, hint in get_type_hints(kind).items():
        if not _is_of(values[name], hint):
            raise InputError(f"expected {name} to be {_words(hint)}, got {excerpt(values[name])}")
    return kind(**values)


def checked_optimizer(saved: Any, optimizer: Optimizer) -> dict[str, Any]:
    """State of an optimiser to load: the saved moments, with the settings that the optimiser has now.

    Args:
        saved: state dict of a checkpoint.
        optimizer: an Adam over the same parameters.

    Raises:
        InputError: it is of other parameters; a moment of another shape, not finite, or negative where it is a square.
    """
    own = optimizer.state_dict()
    groups = saved.get("param_groups") if isinstance(saved, dict) else None
    if not isinstance(groups, list) or not all(isinstance(each, dict) for each in groups):
        raise InputError(f"expected the state of an optimiser, got {excerpt(saved)}")
    if [each.get("params") for each in groups] != [each["params"] for each in own["param_groups"]]:
        raise InputError("expected an optimiser of the same parameters, got other groups")
    numbers = [number for group in own["param_groups"] for number in group["params"]]
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    known, state = dict(zip(numbers, parameters, strict=True)), saved.get("state")
    if not isinstance(state, dict) or not state.keys() <= known.keys():
        raise InputError("expected moments of the same parameters, got others")
    for number, moments in state.items():
        _check_moments(moments, known[number], f"parameter {number}")
    return {"state": state, "param_groups": own["param_groups"]}


def check_scaling(saved: Any) -> None:
    """Check the state of the loss scaling of float16: positive finite numbers; empty for other precisions.

    Raises:
        InputError: it is something else.
    """
    values = saved.values() if isinstance(saved, dict) else [None]
    if not all(isinstance(each, int | float) and math.isfinite(each) and each >= 0 for each in values):
        raise InputError(f"expected finite numbers of the loss scaling, got {excerpt(saved)}")


def _check_moments(moments: Any, parameter: Tensor, where: str) -> None:
    if not isinstance(moments, Mapping) or moments.keys() != {"step", *MOMENTS}:
        raise InputError(f"{where}: expected step and the moments {', '.join(MOMENTS)}, got {excerpt(moments)}")
    step = torch.as_tensor(moments["step"]) if isinstance(moments["step"], int | float | Tensor) else torch.zeros(2)
    if step.numel() != 1 or not math.isfinite(float(step)) or float(step) < 0 or float(step) % 1:
        raise InputError(f"{where}: expected a whole number as step, got {excerpt(moments['step'])}")
    for name in MOMENTS:
        each = moments[name]
        shape = tuple(each.shape) if isinstance(each, Tensor) else type(each).__name__
        if shape != tuple(parameter.shape):
            raise InputError(f"{where}: expected {name} of shape {tuple(parameter.shape)}, got {shape}")
        if each.dtype != parameter.dtype or not bool(each.isfinite().all()):
            raise InputError(f"{where}: expected finite {parameter.dtype} as {name}, got {each.dtype}, NaN or infinity")
    if bool((moments["exp_avg_sq"] < 0).any()):
        raise InputError(f"{where}: expected squares as exp_avg_sq, got negative numbers")


def _is_of(value: Any, hint: Any) -> bool:
    """Whether a value is of a type: whole numbers are not negative, others finite or NaN."""
    origin, inside = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is dict:
        return isinstance(value, dict) and all(
            _is_of(one, inside[0]) and _is_of(other, inside[1]) for one, other in value.items()
        )
    if origin is list:
        return isinstance(value, list) and all(_is_of(each, inside[0]) for each in value)
    if origin is tuple:
        return isinstance(value, list | tuple) and len(value) == len(inside) and all(map(_is_of, value, inside))
    if hint is int:
        return type(value) is int and 0 <= value < 2**63
    return isinstance(value, hint) if hint is not float else type(value) in (int, float) and not math.isinf(value)


def _words(hint: Any) -> str:
    return {int: "a whole number of at least 0", float: "a finite number"}.get(hint, str(hint))
