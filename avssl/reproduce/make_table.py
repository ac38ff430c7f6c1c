"""Make all runs of a table that are not complete, then the table."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Sequence

from avssl.errors import InputError
from avssl.io.folder_lock import folder_lock
from avssl.io.ranks import world_size
from avssl.printable_text import utf8_text
from avssl.report.comparison import compare
from avssl.report.report import write_files
from avssl.report.table import markdown
from avssl.reproduce.paper_table import PaperTable
from avssl.reproduce.planned_run import PlannedRun
from avssl.reproduce.run_times import RunTimes

logger = logging.getLogger(__name__)


def make_table(table: PaperTable, *, dry_run: bool = False) -> str:
    """Make a table, or say which runs that would take.

    Runs are made one after the other in this process, by the functions of the ordinary commands. A complete run is not
    made again; an interrupted one continues.

    Args:
        table: what to make.
        dry_run: only return the plan; nothing is written.

    Returns:
        The table in Markdown, or the plan.

    Raises:
        InputError: unusable data or settings, a folder of another run, or more than one process.
        SystemExit: with code 0, after saving, on SIGTERM, SIGHUP or Ctrl-C while a network trains.
        KeyboardInterrupt: on these at another time.
    """
    table.check()
    plan = make_runs(table.name, table.runs(), dry_run=dry_run)
    return plan if dry_run else _write(table)


def make_runs(name: str, runs: Iterable[PlannedRun], *, dry_run: bool = False) -> str:
    """Make those of some runs that are not complete, each once.

    Args:
        name: of the table, for messages.
        runs: each after those that it needs.
        dry_run: make none.

    Returns:
        The plan.

    Raises:
        InputError: unusable data or settings, a folder of another run, or more than one process.
        SystemExit: with code 0, after saving, on SIGTERM, SIGHUP or Ctrl-C while a network trains.
        KeyboardInterrupt: on these at another time.
    """
    if world_size() > 1:
        raise InputError(f"reproduce: expected one process, got {world_size()}; start it without torchrun")
    different = distinct(runs)
    for run in different:
        run.check()
    times = RunTimes(different)
    plan = plan_text(name, different, times)
    if not dry_run:
        for line in plan.splitlines():
            logger.info("%s", line)
        _make(different, times)
    return plan


def distinct(runs: Iterable[PlannedRun]) -> list[PlannedRun]:
    """Each run once, at its first place."""
    return list({run.folder: run for run in reversed(list(runs))}.values())[::-1]


def plan_text(name: str, runs: Sequence[PlannedRun], times: RunTimes) -> str:
    """The runs of a table by kind, the seeds that are complete and to be made, and about how long these take."""
    missing = times.missing(runs)
    lines = [f"{name}: {len(runs)} runs, {len(runs) - len(missing)} complete, {len(missing)} to make"]
    for kind in dict.fromkeys(run.kind for run in runs):
        of_kind = [run for run in runs if run.kind == kind]
        left = times.missing(of_kind)
        done = _counted("complete", [run for run in of_kind if run not in left])
        lines.append(f"  {kind}: {'; '.join(filter(None, [done, _counted('to make', left), _left(times, left)]))}")
    if missing:
        lines.append(f"about {times.total(missing)} in all, {times.source(missing)}")
    return "\n".join(lines)


def _counted(state: str, runs: Sequence[PlannedRun]) -> str:
    seeds = ", ".join(map(str, sorted({run.seed for run in runs})))
    return f"{len(runs)} {state} (seed {seeds})" if runs else ""


def _left(times: RunTimes, runs: Sequence[PlannedRun]) -> str:
    return f"about {times.total(runs)}" if runs and times.total(runs).high else ""


def _make(runs: Sequence[PlannedRun], times: RunTimes) -> None:
    for at, run in enumerate(runs, 1):
        if not times.missing([run]):
            continue
        if run.is_complete():  # only its encoders had gone
            times.add(run)
            continue
        run.check()  # its encoders may have been made since
        logger.info("run %d of %d: %s, seed %d, in %s", at, len(runs), run.kind, run.seed, run.folder)
        run.make()
        gc.collect()  # networks and caches of a run, before the next one takes memory
        times.add(run)
        if left := times.missing(runs):
            logger.info("%d of %d runs left, about %s", len(left), len(runs), times.total(left))


def _write(table: PaperTable) -> str:
    """Write the finished table beside its runs."""
    out = table.out / table.name
    with folder_lock(out):
        found = compare(table.records(), notes=table.notes(), chosen=table.columns())
        text = utf8_text(markdown(found))
        write_files(out, found, text)
    logger.info("%s: table, figure, statistics and numbers of every run", out)
    return text
