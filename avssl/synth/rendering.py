"""Parallel rendering of scenes, one per core, with a progress bar."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import torch

from avssl.errors import InputError
from avssl.io.atomic import sweep
from avssl.io.cores import usable_cores
from avssl.io.process_pool import CrashError, has_other_pool, outcomes
from avssl.io.progress import ProgressBar

Job = TypeVar("Job")
Result = TypeVar("Result")


def rendered(
    render: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int | None,
    progress: bool,
    unit: str = "clips",
    folders: Collection[Path] = (),
) -> list[Result]:
    """Render all, in any order.

    Args:
        render: a function of a module.
        jobs: what it is called with; pickled. Their text names them in messages.
        workers: processes; 1 renders in this one, None takes one a core.
        progress: show a bar, or log lines where standard error is no terminal.
        unit: what a job makes one of.
        folders: what is written into; made if they are not there, and rid of what was begun and not ended.

    Returns:
        What it returned, in the order of the jobs.

    Raises:
        InputError: jobs killed their processes; the others are done.
    """
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with closing(_results(render, jobs, min(workers or usable_cores(), len(jobs)))) as results:
            return _watched(results, len(jobs), progress, unit)
    finally:
        for folder in folders:
            sweep(folder)


def _watched(results: Iterator[tuple[int, Result]], total: int, progress: bool, unit: str) -> list[Result]:
    found: dict[int, Result] = {}
    with ProgressBar("rendering", total, unit, shown=progress) as bar:
        for number, result in results:
            found[number] = result
            bar.advance()
    return [found[number] for number in range(total)]


def _results(
    render: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Generator[tuple[int, Result], None, None]:
    if workers == 1 and not has_other_pool():
        for numbered in enumerate(jobs):
            with _one_thread():  # as in a process of several: files do not depend on the numbers of either
                result = render(numbered[1])
            yield numbered[0], result
        return
    crashed: list[tuple[Job, CrashError]] = []
    for (number, job), outcome in outcomes(partial(_alone, render), list(enumerate(jobs)), workers):
        if isinstance(outcome, CrashError):
            crashed.append((job, outcome))
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            yield number, outcome
    if crashed:
        job, crash = crashed[0]
        more = f"; so did {len(crashed) - 1} more of {len(jobs)}, the others are done" if len(crashed) > 1 else ""
        raise InputError(f"{job} cannot be rendered: {crash}{more}") from crash


def _alone(render: Callable[[Job], Result], numbered: tuple[int, Job]) -> Result:
    """As one of several processes, each with one thread."""
    with _one_thread():
        return render(numbered[1])


@contextmanager
def _one_thread() -> Iterator[None]:
    """Several threads add up in another order, which turns single bits of the sound."""
    threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads[0])
        cv2.setNumThreads(threads[1])
