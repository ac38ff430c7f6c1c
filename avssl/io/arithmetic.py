"""Arithmetic of the device that networks run on."""

from __future__ import annotations

import torch


def has_bfloat16() -> bool:
    """Whether networks run faster in bfloat16 than in float32: on GPUs and processors that have its arithmetic.

    Convolutions of a processor without it are several times slower in bfloat16 than in float32.
    """
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if torch.backends.mps.is_available():
        return False
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


def resolve_precision(name: str) -> str:
    """Lightning Fabric's name; of `auto`, bf16-mixed where `has_bfloat16`, else 32-true.

    Args:
        name: as in `TrainConfig`.
    """
    if name != "auto":
        return name
    return "bf16-mixed" if has_bfloat16() else "32-true"


def device_name() -> str:
    """The device that networks run on: the name of a GPU, or the processor's."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return "mps" if torch.backends.mps.is_available() else f"cpu, {torch.backends.cpu.get_cpu_capability()}"
