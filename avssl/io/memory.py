"""How much memory a process uses, and what becomes of what it frees."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sys
from pathlib import Path

# From glibc's malloc.h: parameter of mallopt -> value, in bytes.
KEEP = {-3: 2**30, -1: 2**31 - 1, -2: 2**26}  # M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, M_TOP_PAD


def resident_mb() -> float:
    """Resident memory of this process now, in MB; where there is no /proc, its peak."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return peak_mb()
    return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6


def peak_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def keep_freed() -> bool:
    """Let this process use freed memory again, instead of giving it back and having it zeroed at every step.

    A training step on a CPU frees and asks for the same hundreds of megabytes over and over. With glibc's malloc only;
    settings that the user made by GLIBC_TUNABLES stay.

    Returns:
        Whether it could be done.
    """
    if platform.libc_ver()[0] != "glibc" or "GLIBC_TUNABLES" in os.environ:
        return False
    libc = ctypes.CDLL(None)
    done = [bool(libc.mallopt(parameter, value)) for parameter, value in KEEP.items()]
    return all(done)
