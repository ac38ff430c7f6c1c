"""Footnotes of a table: only the notation that occurs in it."""

from __future__ import annotations

from collections.abc import Iterable

from avssl.report.column import Column
from avssl.report.comparison import Comparison


def footnote(found: Comparison) -> str:
    """One paragraph on means, intervals, differences, chance and published numbers."""
    published = any(cell.published is not None for line in found.lines for cell in line.cells)
    said = [*_means(found), *_differences(found), *_chance(found.columns)]
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


def _counted(numbers: Iterable[int]) -> str:
    return " or ".join(map(str, sorted(set(numbers))))
