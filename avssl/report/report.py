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
EXAMPLES = 3
"""Worst, and as many best clips of an evaluation, on a page."""


def report(
    folders: Sequence[Path],
    out: Path | None = None,
    into: Path | None = None,
    part: str = "",
    *,
    baseline: str = "",
    metrics: Sequence[str] = (),
    same: Sequence[str] = (),
    html: Path | None = None,
    examples: int = EXAMPLES,
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
        html: file for one self-contained page, see `avssl.report.html.html_report`.
        examples: worst, and as many best clips of each evaluation, on that page.

    Returns:
        The table in Markdown.

    Raises:
        InputError: a broken run folder, no finished run, an unknown baseline, metric or setting, a file without marks,
            or another process writes to `out`.
        OSError: something cannot be read or written.
    """
    if html:
        _check_page(html, examples)
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
    if html:
        _write_page(html, found, examples)
    return text


def _check_page(path: Path, examples: int) -> None:
    from avssl.report.html.html_report import check_page  # imports torch, as the table does not

    check_page(path, examples)


def _write_page(path: Path, found: Comparison, examples: int) -> None:
    from avssl.report.html.html_report import write_page

    with file_lock(path):
        size = write_page(path, found, examples)
    logger.info("%s: %.1f MB, opens in any browser", path, size / 1e6)


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
