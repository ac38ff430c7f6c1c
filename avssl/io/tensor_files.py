"""Tensors of safetensors files, and their loading into a module after every one of them is checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from avssl.errors import InputError, MissingFileError, excerpt
from avssl.regular_files import utf8_path

SUFFIX = ".safetensors"


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file; pickles are never read, as unpickling runs foreign code.

    The tensors are views of the mapped file: no value is read before it is used.

    Raises:
        MissingFileError: no such file.
        InputError: a broken file, or another file type.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: expected a safetensors file, got none")
    if path.suffix != SUFFIX:
        raise InputError(
            f"{path}: expected a safetensors file, never a pickle; convert it once with: {_conversion(path)}"
        )
    try:
        with utf8_path(path, "a safetensors file") as opened:
            tensors: dict[str, Tensor] = load_file(opened)
    except InputError:
        raise
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: expected a complete safetensors file, got {excerpt(error)}") from error
    return tensors


def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load every parameter and buffer of a module.

    Args:
        module: changed in place, only if all tensors match.
        tensors: name -> tensor, with exactly the module's names.
        where: file of the tensors, for errors.

    Raises:
        InputError: missing or unexpected names; shapes that differ; integer or complex numbers in place of real ones;
            NaN or infinity, also where the module's own precision cannot hold a value; a negative variance.
    """
    check_shapes(module, tensors, where)
    found = ((name, _value_problem(name, tensors[name], each)) for name, each in module.state_dict().items())
    _check_empty(where, "has unusable values at", [f"{name} {text}" for name, text in found if text])
    module.load_state_dict(dict(tensors))


def check_shapes(module: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Check names and shapes of tensors; no value is read, and the module may be one without storage.

    Args:
        module: the module to load.
        tensors: name -> tensor, with exactly the module's names.
        where: file of the tensors, for errors.

    Raises:
        InputError: missing or unexpected names, or shapes that differ.
    """
    expected = module.state_dict()
    _check_empty(where, "lacks", sorted(expected.keys() - tensors.keys()))
    _check_empty(where, "has unexpected", sorted(str(name) for name in tensors.keys() - expected.keys()))
    different = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if tensors[name].shape != tensor.shape
    ]
    _check_empty(where, "has other shapes at", different)


def is_finite(module: nn.Module) -> bool:
    """Whether all parameters of a module are finite, and no buffer is NaN; a buffer may be a mask of infinities."""
    return all(bool(each.isfinite().all()) for each in module.parameters()) and not any(
        bool(each.isnan().any()) for each in module.buffers()
    )


def _value_problem(name: str, tensor: Tensor, expected: Tensor) -> str:
    """Why a tensor of the right shape cannot be taken, or nothing."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        return "(not a dense tensor)"
    if not expected.is_floating_point() and tensor.is_floating_point():  # counters, as older folders of detectors have
        return "" if bool((tensor == tensor.to(expected.dtype)).all()) else f"(fractions as {_type_name(expected)})"
    if _number_kind(tensor) != _number_kind(expected):
        return f"({_type_name(tensor)} instead of {_type_name(expected)})"
    if not expected.is_floating_point():
        return ""
    taken = tensor.to(expected.dtype)
    if bool(taken.isnan().any()) or (bool(taken.isinf().any()) and bool(expected.isfinite().all())):
        return f"(NaN or infinity as {_type_name(expected)})"
    return "(a negative variance)" if name.endswith("running_var") and bool((tensor < 0).any()) else ""


def _number_kind(tensor: Tensor) -> str:
    if tensor.is_floating_point():
        return "real"
    return "complex" if tensor.is_complex() else str(tensor.dtype)


def _type_name(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _check_empty(where: str, problem: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise InputError(f"{where}: {problem} {', '.join(map(excerpt, names[:3]))}{more}")


def _conversion(path: Path) -> str:
    load = f"torch.load({path.name!r}, map_location='cpu', weights_only=True)"
    return (
        'python -c "import torch; from safetensors.torch import save_file; '
        f"s = {load}; s = s.get('model', s); "
        f'save_file({{k: v.contiguous() for k, v in s.items()}}, {path.with_suffix(SUFFIX).name!r})"'
    )
