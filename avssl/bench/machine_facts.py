"""Facts about the machine that times depend on."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import torch

from avssl import __version__
from avssl.io.cores import usable_cores

TUNING = ("GLIBC_TUNABLES", "MALLOC_", "LD_PRELOAD", "OMP_", "GOMP_", "MKL_", "KMP_", "OPENBLAS_")
"""Prefixes of environment variables that affect speed."""


def machine() -> dict[str, Any]:
    """Facts about the machine, and environment variables that affect speed."""
    return {
        "cpu": _cpu(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else "",
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "avssl": __version__,
        "tuned": {name: value for name, value in sorted(os.environ.items()) if name.startswith(TUNING)},
    }


def machine_line(facts: dict[str, Any]) -> str:
    """Machine in one line, with its load when the benchmark began."""
    tuned = ", ".join(f"{name}={value}" for name, value in facts["tuned"].items()) or "nothing tuned outside"
    count = f"{facts['threads']} thread{'s' if facts['threads'] != 1 else ''} of {facts['cores']} cores"
    device = f", {facts['gpu']}" if facts["gpu"] else ""
    return f"{facts['cpu']}{device}, {count}, load average {facts['load']:g}, torch {facts['torch']}, {tuned}"


def load_warning(facts: dict[str, Any]) -> str:
    """Warning about other programs that use the cores; empty if there are none."""
    if facts["load"] <= facts["threads"]:
        return ""
    return (
        f"load average {facts['load']:g} before anything is timed, with {facts['threads']} threads on {facts['cores']} "
        "cores: times are too long, ratios less so; for numbers to publish, wait until the other programs have ended"
    )


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
