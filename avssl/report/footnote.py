"""Footnotes of a table: only the notation that occurs in it."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

from avssl.report.column import OBSERVERS, Column
from avssl.report.comparison import Comparison


def footnote(found: Comparison) -> str:
    """One paragraph on means, intervals, differences, chance, ideal observers and published numbers."""
    published = any(cell.published is not None for line in found.lines for cell in line.cells)
    said = [*_means(found), *_differences(found), *_chance(found.columns), *_ceilings(found)]
    return " ".join([*said, *["Paper: the published number of that row."] * published])


def _means(found: Comparison) -> list[str]:
    ours = [cell.ours for line in found.lines for cell in line.cells if cell.ours]
    averaged = [each.seeds for each in ours if each.seeds > 1]
    own = any(each.method == "bootstrap" for each in ours)
    said = []
    if averaged:
        interval = f"95 % confidence interval of the mean, Student's t over {_counted(averaged)} seeds"
        said.append(f"Mean ± standard deviation over seeds [{interval}; all seeds share the held-out clips].")
    if own:
        said.append("† One run [its 95 % bootstrap interval over held-out clips, which says nothing of other seeds].")
    return said


def _differences(found: Comparison) -> list[str]:
    apart = [cell.difference for line in found.lines for cell in line.cells if cell.difference]
    if not apart:
        return []
    titles = list(dict.fromkeys(line.baseline.title for line in found.lines if not line.is_baseline))
    paired = [each.seeds for each in apart if each.method == "paired"]
    ways = [
        *[f"paired by seed [95 % interval, Student's t over {_counted(paired)} pairs]"] * bool(paired),
        *["‡ not the same seeds as the baseline [95 % interval, Welch's t]"] * _has("welch", found),
        *["without brackets where a row has one seed"] * _has("", found),
    ]
    to = " or ".join(f"*{title}*" for title in titles) + " of the same task" * (len(found.tasks) > 1)
    bold = "Bold: the interval leaves out 0; not corrected for the number of comparisons."
    return [f"Differences to {to}: {'; '.join(ways)}.", *[bold] * any(each.method for each in apart)]


def _has(method: str, found: Comparison) -> bool:
    return any(cell.difference and cell.difference.method == method for line in found.lines for cell in line.cells)


def _chance(columns: Iterable[Column]) -> list[str]:
    by_level: dict[float, list[str]] = {}
    for column in columns:
        if column.chance is not None:
            by_level.setdefault(column.chance, []).append(column.title.removesuffix(" %"))
    return [f"Chance is {100 * level:g} % for {', '.join(titles)}." for level, titles in by_level.items()]


def _ceilings(found: Comparison) -> list[str]:
    """Ideal observers on the clips of the runs, means over all runs that have them."""
    runs = [run for line in found.lines for run in line.row.runs]
    ceilings = []
    for column in found.columns:
        known = {
            label: [run.metrics[column.name + ending] for run in runs if column.name + ending in run.metrics]
            for ending, label in OBSERVERS.items()
        }
        texts = [f"{label} {column.text(fmean(each), 1)}" for label, each in known.items() if each]
        if texts:
            ceilings.append(f"{column.title} {', '.join(texts)}")
    return [f"Ideal observers from the ground truth: {'; '.join(ceilings)}."] if ceilings else []


def _counted(numbers: Iterable[int]) -> str:
    return " or ".join(map(str, sorted(set(numbers))))
