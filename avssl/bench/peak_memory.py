"""Peak memory of a computation: tensors that live at the same time, beyond those from before."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

ALLOCATION = "[memory]"
"""Name of torch's events of allocations and releases."""


def peak_bytes(work: Callable[[], object]) -> int:
    """Most bytes of tensors at one time while `work` runs, beyond those from before.

    Counted from every allocation and release of torch's allocator (of the GPU where there is one), so that the number
    is the same in every run; memory of numpy, OpenCV and of threads' work spaces is not in it.
    """
    if torch.cuda.is_available():
        return _peak_on_gpu(work)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # its first use reports that there is no GPU as an error
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as recorded:
        work()
    assert recorded.profiler is not None
    events = [each for each in recorded.profiler.kineto_results.events() if each.name() == ALLOCATION]
    total = most = 0
    for event in sorted(events, key=lambda each: each.start_ns()):
        total += event.nbytes()
        most = max(most, total)
    return most


def _peak_on_gpu(work: Callable[[], object]) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before
