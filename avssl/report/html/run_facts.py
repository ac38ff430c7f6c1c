"""What a run says of itself: command, machine, versions, all metrics, resolved config; and what it is compared with."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from avssl.errors import InputError
from avssl.regular_files import read_json, read_text
from avssl.report.column import CHANCE
from avssl.report.html.elements import details, missing, section, table, text
from avssl.report.html.markdown_text import markdown_html
from avssl.report.html.remake import command_of
from avssl.report.run_record import Run
from avssl.runs.reader import CONFIG
from avssl.runs.run_folder import ENVIRONMENT

REFERENCES = {
    "_chance": "chance",
    "_any_object": "any object",
    "_ideal": "ideal observer",
    "_ideal_kinds": "ideal: kinds",
    "_ideal_directions": "ideal: directions",
    "_ideal_both": "ideal: both",
}
"""Ending of a metric -> what stands beside the metric."""
TABLES = (("table.csv", "Rows of the head"), ("classes.csv", "Classes"))
EVALUATION = "evaluation.md"
PACKAGES = ("avssl", "torch", "torchvision", "torchaudio", "numpy", "scikit-learn")


def reference_table(names: dict[str, Run]) -> str:
    """Section with chance and ceilings of every metric that runs have them for; empty without."""
    rows = [
        [name, metric, f"{run.metrics[metric]:.6g}", *cells]
        for name, run in names.items()
        for metric in run.metrics
        if any(cells := _references(run, metric))
    ]
    if not rows:
        return ""
    used = [at for at in range(len(REFERENCES)) if any(row[3 + at] for row in rows)]
    heading = ["run", "metric", "run's", *(list(REFERENCES.values())[at] for at in used)]
    body = [[*row[:3], *(row[3 + at] for at in used)] for row in rows]
    return section("Chance and ceilings", table(heading, body, 2, "references"))


def run_facts(run: Run) -> str:
    """Command, machine, seed, metrics and config of a run, shown on demand."""
    metrics = table(["metric", "value"], [[name, repr(value)] for name, value in run.metrics.items()], 1, "metrics")
    config = f"<pre>{text_lines(read_text(run.folder / CONFIG, 'the config of a run'))}</pre>"
    parts = [details("All metrics", metrics), details("Resolved config", config)]
    return _start(run) + "".join(parts)


def head_tables(folder: Path) -> str:
    """Tables that a head left in its folder: rows of a classification, evaluation of a generator."""
    parts = []
    for name, title in TABLES:
        if (folder / name).is_file():
            rows = list(csv.reader(read_text(folder / name, "a table in CSV").splitlines()))
            shown = table(rows[0], rows[1:], 1, name) if rows else ""
            parts.append(f"<h3>{text(title)}</h3>{shown}")
    if (folder / EVALUATION).is_file():
        parts.append(f"<h3>Evaluation</h3>{markdown_html(read_text(folder / EVALUATION, 'a table in Markdown'))}")
    return "".join(parts)


def text_lines(value: str) -> str:
    """Escaped text that keeps its lines."""
    return "\n".join(map(text, value.splitlines()))


def _references(run: Run, metric: str) -> list[str]:
    """Chance and ceilings of one metric, in the order of `REFERENCES`; empty texts where there are none."""
    known = {"_chance": CHANCE[metric]} if metric in CHANCE else {}
    values = [run.metrics.get(metric + ending, known.get(ending)) for ending in REFERENCES]
    return ["" if value is None else f"{value:.6g}" for value in values]


def _start(run: Run) -> str:
    """Command, commit and machine of the last start; a line where the run does not hold them."""
    starts = _starts(run.folder / ENVIRONMENT)
    if not starts:
        return missing(
            f"No command and machine: the run holds no {ENVIRONMENT}, which its command writes:", command_of(run)
        )
    last = starts[-1]
    packages: Any = last.get("packages")
    known = packages if isinstance(packages, dict) else {}
    versions = ", ".join(f"{name} {known[name]}" for name in PACKAGES if name in known)
    rows = [
        ("folder", run.folder), ("seed", run.seed), ("steps", run.steps), ("command", last.get("command", "")),
        ("recipe", last.get("recipe", "")), ("machine", last.get("platform", "")),
        ("device", last.get("device", "")), ("precision of auto", last.get("auto_precision", "")),
        ("commit", last.get("commit", "")), ("Python", last.get("python", "")), ("packages", versions),
        ("starts", len(starts)),
    ]  # fmt: skip
    return table(["run", ""], [row for row in rows if str(row[1])], 2, "facts")


def _starts(path: Path) -> Sequence[dict[str, Any]]:
    if not path.is_file():
        return []
    found = read_json(path, "a JSON list of starts")
    starts = found.get("starts") if isinstance(found, dict) else None
    if not isinstance(starts, list) or not all(isinstance(each, dict) for each in starts):
        raise InputError(f"{path}: expected a JSON list of starts, got {json.dumps(found)[:80]}")
    return starts
