"""Benchmark suite: runs all rows in sequence."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from threadpoolctl import threadpool_limits

from avssl import plugins
from avssl.bench import (
    ambisonic_cases,
    binaural_cases,
    collection_cases,
    crop_cases,
    decode_cases,
    detector_cases,
    flow_cases,
    infonce_cases,
    intensity_cases,
    logmel_cases,
    loss_cases,
    packed_cases,
    room_cases,
    sample_cases,
    startup_cases,
    step_parts,
    tower_cases,
    training_cases,
)
from avssl.bench.bench_figure import draw_ratios
from avssl.bench.bench_report import BenchReport, Outcome, write_json
from avssl.bench.case import Absent, Case, DisagreementError, Group, Row, Size
from avssl.bench.machine_facts import load_warning, machine
from avssl.bench.timing import Timing, measure, threads, time_case
from avssl.errors import InputError, MissingFileError
from avssl.io.atomic import scratch_folder
from avssl.io.cores import usable_cores
from avssl.io.folder_lock import file_lock
from avssl.io.markdown_insertion import Insertion
from avssl.io.progress import ProgressBar
from avssl.media import close_all
from avssl.plugins import hint

logger = logging.getLogger(__name__)

CASES: dict[str, Group] = {
    "frames": decode_cases.frame_cases,
    "audio": decode_cases.audio_cases,
    "crops": crop_cases.cases,
    "sample": sample_cases.cases,
    "load": training_cases.load_cases,
    "packed": packed_cases.cases,
    "rotation": ambisonic_cases.rotation_cases,
    "logmel": logmel_cases.cases,
    "features": ambisonic_cases.feature_cases,
    "intensity": intensity_cases.cases,
    "binaural": binaural_cases.cases,
    "room": room_cases.cases,
    "flow": flow_cases.cases,
    "tower": tower_cases.cases,
    "infonce": infonce_cases.cases,
    "alignment": loss_cases.alignment_cases,
    "sigmoid": loss_cases.sigmoid_cases,
    "step": training_cases.step_cases,
    "step-small": step_parts.small,
    "step-full": step_parts.full,
    "detector": detector_cases.cases,
    "embed": collection_cases.embed_rows,
    "prepare": collection_cases.prepare_rows,
    "synth": collection_cases.synth_rows,
    "startup": startup_cases.rows,
}
PART = "bench"
"""Name of the place in a Markdown file, see `Insertion`."""
FIGURES = (".png", ".pdf", ".svg")


def all_cases() -> dict[str, Group]:
    """Those of `CASES`, then those of plug-ins (entry-point group `avssl.benchmarks`), which are imported when run."""

    def loaded(name: str) -> Group:
        return lambda size, folder: plugins.load(plugins.BENCHMARKS, name)(size, folder)  # type: ignore[no-any-return]

    return CASES | {name: loaded(name) for name in plugins.names(plugins.BENCHMARKS) if name not in CASES}


def bench(
    only: Sequence[str] = (),
    repeats: int = 15,
    count: int | None = None,
    target: Path | None = None,
    size: Size | None = None,
    *,
    figure: Path | None = None,
    into: Path | None = None,
) -> BenchReport:
    """Time avssl against peers, alternating, in this process.

    Nothing is tuned beforehand; the system's memory allocator is used unchanged. Files are written at the end, each
    whole or not at all.

    Args:
        only: names in `all_cases`; empty: all.
        repeats: timed runs of each side, after one run that checks that both agree; rows that take long have fewer, at
            least three.
        count: threads of torch, OpenCV, numpy and the PyAV peer; None: one per core.
        target: JSON file for all single times.
        size: input sizes; None: those of a training run.
        figure: file for the ratios beside their aims, `.png`, `.pdf` or `.svg`.
        into: Markdown file with the lines `<!-- avssl report bench -->` and `<!-- end of report bench -->`, between
            which the tables are put.

    Returns:
        Results and machine; as text, tables of medians. A row whose two sides disagree is in it without times.

    Raises:
        InputError: unknown name, a number below 1, another suffix of the figure, or a Markdown file without the lines.
        OSError: a file cannot be read or written.
    """
    _check(only, repeats, count)
    _check_outputs(target, figure)
    if into:
        Insertion(into, PART)  # raises before anything is timed
    count = count or usable_cores()
    with threads(count), threadpool_limits(count):
        facts = machine()
        if warning := load_warning(facts):
            logger.warning("%s", warning)
        found = [each for rows in _outcomes(only or list(all_cases()), repeats, size or Size()) for each in rows]
    if warning:
        found = [replace(each, busy=True) if isinstance(each, Timing) else each for each in found]
    report = BenchReport(facts, found, repeats)
    if target:
        write_json(target, report)
    if figure:
        draw_ratios(report, figure)
    if into:
        with file_lock(into.resolve(), wait=True):
            Insertion(into, PART).write(report.markdown())
    return report


def _outcomes(names: Sequence[str], repeats: int, size: Size) -> Iterator[list[Outcome]]:
    with (
        scratch_folder(Path(tempfile.gettempdir(), "avssl-bench")) as folder,
        ProgressBar("bench", len(names), "groups", numbers=("{name}",)) as bar,
    ):
        for name in names:
            logger.info("%s: preparing", name)
            place = folder / name
            place.mkdir()
            for row in all_cases()[name](size, place):
                yield _outcome(row, repeats)
            close_all()
            bar.advance(name=name)


def _outcome(row: Row, repeats: int) -> list[Outcome]:
    if isinstance(row, Absent):
        logger.warning("%s%s: %s", row.name, f" against {row.peer_name}" if row.peer_name else "", row.reason)
        return [row]
    if not isinstance(row, Case):
        logger.info("%s: %s", row.name, row.unit)
        return [*measure(row, repeats)]
    logger.info("%s: %d times against %s", row.name, repeats, row.peer_name)
    try:
        return [time_case(row, repeats)]
    except DisagreementError as error:
        logger.error("%s", error)
        return [Absent(row.name, row.peer_name, f"results disagree: {error}", failed=True)]


def _check(only: Sequence[str], repeats: int, count: int | None) -> None:
    known = all_cases()
    for name in only:
        if name not in known:
            raise InputError(f"expected a benchmark among {', '.join(known)}, got {name!r}{hint(name, known)}")
    if repeats < 1 or (count is not None and count < 1):
        raise InputError(f"expected repeats and threads of at least 1, got {repeats} and {count}")


def _check_outputs(target: Path | None, figure: Path | None) -> None:
    if figure and figure.suffix not in FIGURES:
        raise InputError(f"{figure}: expected a figure {', '.join(FIGURES)}, got {figure.suffix or 'no suffix'}")
    for path in (target, figure):
        if path and not path.parent.is_dir():
            raise MissingFileError(f"{path}: expected a file to write in a folder that exists, there is no such folder")
