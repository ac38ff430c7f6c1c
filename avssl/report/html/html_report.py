"""Runs as one self-contained page that opens from disk and loads nothing."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import avssl
from avssl.errors import InputError
from avssl.io.atomic import replacing
from avssl.media.video_writer import require_writable
from avssl.report.comparison import Comparison
from avssl.report.footnote import footnote
from avssl.report.html.clip_examples import Budget, clip_examples
from avssl.report.html.confusion_table import confusion_table
from avssl.report.html.direction_plot import direction_plots
from avssl.report.html.elements import missing, section, text
from avssl.report.html.embedding_plot import embedding_plots
from avssl.report.html.markdown_text import rich, rich_table
from avssl.report.html.remake import command_of
from avssl.report.html.run_facts import head_tables, reference_table, run_facts
from avssl.report.html.scalar_curves import scalar_curves
from avssl.report.run_record import Run
from avssl.report.table import cells, left_columns
from avssl.runs.evaluated_clips import FILE, EvaluatedClips, read_evaluated_clips

STATIC = Path(avssl.__file__).parent / "web" / "static"
STYLES, SCRIPT = ("base.css", "report/report.css"), "report/report.js"
MOST_EXAMPLES = 20
EVALUATIONS = {"": "", "correspondence": "Correspondence probe", "measured": "Measured on other data"}
"""Folder within a run -> title of its evaluation."""
SIZE = "@@SIZE@@"


def check_page(path: Path, examples: int) -> None:
    """Check what `write_page` would write, before minutes of work.

    Raises:
        InputError: not the name of a .html, a folder, or an unsuitable number of examples.
        OSError: the folder cannot be written.
    """
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--html: expected the name of a .html file to write, got {path}")
    if path.is_dir():
        raise InputError(f"--html: expected the name of a file to write, {path} is a folder")
    if not 0 <= examples <= MOST_EXAMPLES:
        raise InputError(f"--examples: expected 0 to {MOST_EXAMPLES} clips, got {examples}")
    require_writable(path)


def write_page(path: Path, found: Comparison, examples: int) -> int:
    """Write the page, whole or not at all.

    Args:
        path: the .html to write.
        found: rows of finished runs.
        examples: worst, and as many best clips of each evaluation.

    Returns:
        Its size in bytes.

    Raises:
        InputError: a broken file of a run; see `check_page`.
        OSError: the file cannot be written.
    """
    check_page(path, examples)
    data = page(found, examples).encode("utf-8")
    with replacing(path) as part:
        part.write_bytes(data)
    return len(data)


def page(found: Comparison, examples: int) -> str:
    """HTML of the page; see `write_page`."""
    runs, budget = named_runs([run for line in found.lines for run in line.row.runs]), Budget()
    body = "".join(
        [
            _results(found),
            reference_table(runs),
            scalar_curves(runs),
            *(_run(name, run, examples, budget) for name, run in runs.items()),
        ]
    )
    html = _document(len(runs), body)
    return html.replace(SIZE, f"{len(html.encode()) / 1e6:.1f} MB")


def named_runs(runs: Sequence[Run]) -> dict[str, Run]:
    """Runs by a unique name: that of their folder, or its whole path where two have the same."""
    folders = [run.folder.name for run in runs]
    return {run.folder.name if folders.count(run.folder.name) == 1 else str(run.folder): run for run in runs}


def _results(found: Comparison) -> str:
    """A table for each task, with the columns that its rows have numbers in."""
    notes = "".join(f"<li>{text(each)}</li>" for each in found.notes)
    tables = "".join(_task(_of_task(found, task), len(found.tasks) > 1) for task in found.tasks)
    return section("Results", tables, f"<ul>{notes}</ul>" if notes else "")


def _of_task(found: Comparison, task: str) -> Comparison:
    lines = [line for line in found.lines if line.row.task == task]
    used = [at for at in range(len(found.columns)) if any(line.cells[at].ours for line in lines)]
    kept = [replace(line, cells=[line.cells[at] for at in used]) for line in lines]
    return Comparison([found.columns[at] for at in used], kept, [])


def _task(found: Comparison, titled: bool) -> str:
    heading, body = cells(found)
    title = f"<h3>{text(found.tasks[0])}</h3>" if titled else ""
    return title + rich_table(heading, body, left_columns(found), "results") + f"<p>{rich(footnote(found))}</p>"


def _run(name: str, run: Run, examples: int, budget: Budget) -> str:
    """Section of one run."""
    evaluations: Mapping[str, EvaluatedClips] = {
        title: clips for part, title in EVALUATIONS.items() if (clips := read_evaluated_clips(run.folder / part))
    }
    parts = [
        f"<h3>{text(title)}</h3>" * bool(title) + _evaluation(clips, examples, budget, run)
        for title, clips in evaluations.items()
    ]
    if not parts:
        what = f"No embeddings, confusion, directions and examples: the run holds no {FILE}, which evaluation writes:"
        parts = [missing(what, command_of(run))]
    return section(f"Run {name}", run_facts(run), head_tables(run.folder), *parts)


def _evaluation(clips: EvaluatedClips, examples: int, budget: Budget, run: Run) -> str:
    return "".join(
        [
            embedding_plots(clips),
            confusion_table(clips),
            direction_plots(clips),
            clip_examples(clips, examples, budget, run.folder),
        ]
    )


def _document(count: int, body: str) -> str:
    style = "".join((STATIC / each).read_text(encoding="utf-8") for each in STYLES)
    script = (STATIC / SCRIPT).read_text(encoding="utf-8")
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:; "
        "media-src data:; base-uri 'none'; form-action 'none'"
    )
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, avssl {avssl.__version__}, {SIZE}"
    title = f"avssl report: {count} run{'s' * (count != 1)}"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title><style>{style}</style></head>\n"
        f'<body><header><h1>{title}</h1><p class="quiet">{text(made)}</p></header>\n<main>{body}</main>\n'
        f"<script>{script}</script></body></html>\n"
    )


def _hash(source: str) -> str:
    """Hash of an inline style or script, the only ones that the page's policy lets run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(source.encode()).digest()).decode('ascii')}"
