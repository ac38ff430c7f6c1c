"""All comparisons, one after the other."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from avssl.bench import ambisonic_cases, crop_cases, decode_cases, detector_cases, infonce_cases
from avssl.bench.bench_report import BenchReport, machine, write_json
from avssl.bench.case import Case, Size
from avssl.bench.timing import Timing, measure, threads
from avssl.errors import InputError, MissingFileError
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
    "detector": detector_cases.cases,
}


def bench(
    only: Sequence[str] = (),
    repeats: int = 15,
    count: int | None = None,
    target: Path | None = None,
    size: Size | None = None,
) -> BenchReport:
    """Time ours against peers, in turn in this process.

    Nothing is tuned beforehand: memory comes from malloc as the system has it.

    Args:
        only: names in `CASES`; empty takes all.
        repeats: times each side is run, after one run to see that both agree.
        count: threads of torch, OpenCV and the PyAV peer; None takes one a core.
        target: JSON file to write as well, with every single time.
        size: how much work; None takes that of a training run.

    Returns:
        Timings and the machine; its text is a table of medians.

    Raises:
        InputError: an unknown name, or a number below 1.
        OSError: the JSON file cannot be written.
        RuntimeError: the result of ours and that of a peer differ.
    """
    _check(only, repeats, count, target)
    with threads(count or usable_cores()):
        facts = machine()
        timings = _timings(only or list(CASES), repeats, size or Size())
    if target:
        write_json(target, facts, timings)
    return BenchReport(facts, timings, repeats)


def _timings(names: Iterable[str], repeats: int, size: Size) -> list[Timing]:
    timings = []
    with tempfile.TemporaryDirectory(prefix="avssl-bench-") as folder:
        for name in names:
            logger.info("%s: preparing", name)
            for case in CASES[name](size, Path(folder)):
                logger.info("%s: %d times against %s", case.name, repeats, case.peer_name)
                timings.append(measure(case, repeats))
        close_all()
    return timings


def _check(only: Sequence[str], repeats: int, count: int | None, target: Path | None) -> None:
    for name in only:
        if name not in CASES:
            raise InputError(f"bench: nothing named {name!r}{hint(name, CASES)}; one of {', '.join(CASES)}")
    if repeats < 1 or (count is not None and count < 1):
        raise InputError(f"bench: repeats and threads are at least 1, not {repeats} and {count}")
    if target and not target.parent.is_dir():
        raise MissingFileError(f"{target}: expected a file to write in a folder that exists, there is no such folder")
