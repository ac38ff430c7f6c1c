"""Benchmark suite: runs all cases in sequence."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from avssl import plugins
from avssl.bench import ambisonic_cases, crop_cases, decode_cases, detector_cases, infonce_cases, training_cases
from avssl.bench.bench_report import BenchReport, machine, write_json
from avssl.bench.case import Case, Size
from avssl.bench.timing import Timing, threads, time_case
from avssl.errors import InputError, MissingFileError
from avssl.io.atomic import scratch_folder
from avssl.io.cores import usable_cores
from avssl.media import close_all
from avssl.plugins import hint

logger = logging.getLogger(__name__)

CASES: dict[str, Callable[[Size, Path], list[Case]]] = {
    "crops": crop_cases.cases,
    "features": ambisonic_cases.feature_cases,
    "rotation": ambisonic_cases.rotation_cases,
    "infonce": infonce_cases.cases,
    "frames": decode_cases.frame_cases,
    "audio": decode_cases.audio_cases,
    "load": training_cases.load_cases,
    "step": training_cases.step_cases,
    "detector": detector_cases.cases,
}


def all_cases() -> dict[str, Callable[[Size, Path], list[Case]]]:
    """Those of `CASES`, then those of plug-ins (entry-point group `avssl.benchmarks`), which are imported when run."""

    def loaded(name: str) -> Callable[[Size, Path], list[Case]]:
        return lambda size, folder: plugins.load(plugins.BENCHMARKS, name)(size, folder)  # type: ignore[no-any-return]

    return CASES | {name: loaded(name) for name in plugins.names(plugins.BENCHMARKS) if name not in CASES}


def bench(
    only: Sequence[str] = (),
    repeats: int = 15,
    count: int | None = None,
    target: Path | None = None,
    size: Size | None = None,
) -> BenchReport:
    """Time avssl against peers, alternating, in this process.

    Nothing is tuned beforehand; the system's memory allocator is used unchanged.

    Args:
        only: names in `all_cases`; empty: all.
        repeats: timed runs of each side, after one run that checks that both agree.
        count: threads of torch, OpenCV and the PyAV peer; None: one per core.
        target: JSON file for all single times.
        size: input sizes; None: those of a training run.

    Returns:
        Timings and machine; as text, a table of medians.

    Raises:
        InputError: unknown name, or a number below 1.
        OSError: the JSON file cannot be written.
        RuntimeError: the results of avssl and of a peer differ.
    """
    _check(only, repeats, count, target)
    with threads(count or usable_cores()):
        facts = machine()
        timings = _timings(only or list(all_cases()), repeats, size or Size())
    if target:
        write_json(target, facts, timings)
    return BenchReport(facts, timings, repeats)


def _timings(names: Iterable[str], repeats: int, size: Size) -> list[Timing]:
    timings = []
    with scratch_folder(Path(tempfile.gettempdir(), "avssl-bench")) as folder:
        for name in names:
            logger.info("%s: preparing", name)
            for case in all_cases()[name](size, folder):
                logger.info("%s: %d times against %s", case.name, repeats, case.peer_name)
                timings.append(time_case(case, repeats))
        close_all()
    return timings


def _check(only: Sequence[str], repeats: int, count: int | None, target: Path | None) -> None:
    known = all_cases()
    for name in only:
        if name not in known:
            raise InputError(f"expected a benchmark among {', '.join(known)}, got {name!r}{hint(name, known)}")
    if repeats < 1 or (count is not None and count < 1):
        raise InputError(f"expected repeats and threads of at least 1, got {repeats} and {count}")
    if target and not target.parent.is_dir():
        raise MissingFileError(f"{target}: expected a file to write in a folder that exists, there is no such folder")
