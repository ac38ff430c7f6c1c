"""Run folders in, one table and one figure out."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from avssl.io.atomic import write_text
from avssl.io.folder_lock import file_lock, folder_lock
from avssl.io.markdown_insertion import Insertion
from avssl.printable_text import utf8_text
from avssl.report.comparison import Comparison, compare
from avssl.report.figure import draw
from avssl.report.run_record import is_run
from avssl.report.runs import read_runs
from avssl.report.sheet import runs_csv, statistics_csv
from avssl.report.table import escaped, markdown

logger = logging.getLogger(__name__)

TABLE, STATISTICS, RUNS, FIGURE, VECTORS = "report.md", "report.csv", "runs.csv", "report.png", "report.pdf"


def report(
    folders: Sequence[Path],
    out: Path | None = None,
    into: Path | None = None,
    part: str = "",
    *,
    baseline: str = "",
    metrics: Sequence[str] = (),
    same: Sequence[str] = (),
) -> str:
    """Compare finished runs: a row for those that differ only in the seed.

    Everything is read and checked before the first file is written.

    Args:
        folders: run folders.
        out: folder for the table (Markdown), the statistics and every run's numbers (CSV) and the figure (PNG, PDF).
        into: Markdown file whose part between two marks is rewritten.
        part: which, where the file has several; see `Insertion`.
        baseline: title of the row to compare with; empty: the first of each task.
        metrics: to show; empty: those that matter.
        same: settings in which runs of one row may differ, beside the seed.

    Returns:
        The table in Markdown.

    Raises:
        InputError: a broken run folder, no finished run, an unknown baseline, metric or setting, a file without marks,
            or another process writes to `out`.
        OSError: something cannot be read or written.
    """
    runs, left_out = read_runs(folders, same)
    for folder, reason in left_out.items():
        logger.warning("%s: %s, left out", folder, reason)
    notes = [f"Rows join runs that differ in {', '.join(same)}."] if same else []
    notes += [f"{folder.name}: {reason}, left out" for folder, reason in left_out.items() if is_run(folder)]
    found = compare(runs, baseline, metrics, notes)
    text = utf8_text(markdown(found))
    with _held(out, into):
        place = Insertion(into, part) if into else None
        drawn = write_files(out, found, text) if out else False
        if place:
            place.write(text + (_image(found, place.link(out / FIGURE)) if out and drawn else ""))
    return text


@contextmanager
def _held(out: Path | None, into: Path | None) -> Iterator[None]:
    """Hold what is written: a second report waits for the document, of which it rewrites another part."""
    with ExitStack() as stack:
        if out:
            stack.enter_context(folder_lock(out))
        if into:
            stack.enter_context(file_lock(into.resolve(), wait=True))
        yield


def write_files(out: Path, found: Comparison, text: str) -> bool:
    """Write table, statistics, every run's numbers and the figure to a folder; whether there was something to draw."""
    drawn = draw(found, out / FIGURE, out / VECTORS)
    write_text(out / TABLE, text + (_image(found, FIGURE) if drawn else ""))
    write_text(out / STATISTICS, utf8_text(statistics_csv(found)))
    write_text(out / RUNS, utf8_text(runs_csv(found)))
    return drawn


def _image(found: Comparison, address: str) -> str:
    titles = ", ".join(column.title for column in found.columns if column.compared)
    return f"\n![{escaped(titles)} of every row]({address})\n"
