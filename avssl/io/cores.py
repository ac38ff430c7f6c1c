"""Number of processor cores that this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
"""Linux control groups, version 2; a container sees its own here."""
OWN = Path("/proc/self/cgroup")
"""Names the control group of this process."""


def usable_cores() -> int:
    """Cores that this process may use: CPU affinity, and the CPU quota of its container, rounded up; at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(math.ceil(each) for each in _quotas())]))


def compute_threads(workers: int, threads: int, processes: int = 1) -> int:
    """Threads of a network in training: the cores that its loader processes leave, at least 1.

    A step is thousands of small parallel loops, each as slow as its slowest thread: with a thread on a core that
    another process uses, each of them waits for a time slice. A function of the machine and the settings, not of the
    load: results do not depend on what else runs.

    Args:
        workers: loader processes of each process.
        threads: at most so many.
        processes: on this machine, with as many loader processes each.
    """
    return max(1, min(threads, usable_cores() // processes - workers))


def _quotas() -> Iterator[float]:
    """CPU quotas, in cores, of the control group of this process and of those above it that have one."""
    try:
        lines = OWN.read_text(encoding="utf-8").splitlines()
    except OSError:  # no Linux
        return
    own = CGROUPS / next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    for group in (own, *own.parents):
        try:
            quota, period = (group / "cpu.max").read_text(encoding="utf-8").split()  # microseconds, or `max`
        except (OSError, ValueError):  # the topmost group has none
            continue
        if quota != "max":
            yield int(quota) / int(period)
