"""All comparisons, one after the other."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from rich.console import Console

from avssl.bench import ambisonic_cases, crop_cases, decode_cases, detector_cases, infonce_cases
from avssl.bench.bench_report import machine, machine_line, table, write_json
from avssl.bench.case import Case, Size
from avssl.bench.timing import Timing, measure, threads
from avssl.errors import InputError, MissingFileError
from avssl.io.cores import usable_cores
from avssl.media import close_all
from avssl.plugins import hint

CASES: dict[str, Callable[[Size, Path], list[Case]]] = {
    "crops": crop_cases.cases,
    "features": ambisonic_cases.feature_cases,
    "rotation": ambisonic_cases.rotation_cases,
    "infonce": infonce_cases.cases,
    "frames": decode_cases.frame_cases,
    "audio": decode_cases.audio_cases,
    "detector": detector_cases.cases,
}
WIDTH = 110
"""Columns of the table where it does not go to a terminal."""


def bench(
    only: Sequence[str] = (),
    repeats: int = 15,
    count: int | None = None,
    target: Path | None = None,
    size: Size | None = None,
) -> list[Timing]:
    """Time ours against peers, in turn in this process, and print a table of medians.

    Progress goes to standard error. Nothing is tuned beforehand: memory comes from malloc as the system has it.

    Args:
        only: names in `CASES`; empty takes all.
        repeats: times each side is run, after one run to see that both agree.
        count: threads of torch, OpenCV and the PyAV peer; None takes one a core.
        target: JSON file to write as well, with every single time.
        size: how much work; None takes that of a training run.

    Returns:
        One timing a row of the table.

    Raises:
        InputError: an unknown name, or a number below 1.
        OSError: the JSON file cannot be written.
        RuntimeError: the result of ours and that of a peer differ.
    """
    _check(only, repeats, count, target)
    with threads(count or usable_cores()):
        facts = machine()
        timings = _timings(only or list(CASES), repeats, size or Size())
    out = Console(highlight=False)
    out.width = out.width if out.is_terminal else WIDTH
    out.print(table(timings))
    out.print(f"{machine_line(facts)}; medians of {repeats}", soft_wrap=True)
    if target:
        write_json(target, facts, timings)
    return timings


def _timings(names: Iterable[str], repeats: int, size: Size) -> list[Timing]:
    say = Console(stderr=True, highlight=False).print
    timings = []
    with tempfile.TemporaryDirectory(prefix="avssl-bench-") as folder:
        for name in names:
            say(f"{name}: preparing")
            for case in CASES[name](size, Path(folder)):
                say(f"{case.name}: {repeats} times against {case.peer_name}", soft_wrap=True)
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
