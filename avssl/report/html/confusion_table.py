"""Confusion matrix of a classification as a table: rows are true classes, columns are predicted ones."""

from __future__ import annotations

from collections import Counter

from avssl.report.html.elements import note, text
from avssl.runs.evaluated_clips import EvaluatedClips

MOST = 120
"""Classes of a matrix that a page shows."""


def confusion_table(found: EvaluatedClips) -> str:
    """The matrix; empty where clips have no predicted class."""
    counts = confusion_counts(found)
    if not counts:
        return ""
    classes = sorted({name for pair in counts for name in pair})
    if len(classes) > MOST:
        return note(f"No confusion matrix: {len(classes)} classes, at most {MOST} are shown; see confusion.png.")
    totals = Counter({name: sum(counts[name, other] for other in classes) for name in classes})
    head = "".join(f'<th scope="col">{text(each)}</th>' for each in classes)
    rows = "".join(
        f'<tr><th scope="row">{text(true)}</th>'
        + "".join(_cell(counts[true, each], totals[true], true == each) for each in classes)
        + "</tr>"
        for true in classes
    )
    return (
        "<h3>Confusion</h3><p class=quiet>Rows: true class; columns: predicted class; clips.</p>"
        f'<div class="scroll"><table class="confusion"><thead><tr><td></td>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def confusion_counts(found: EvaluatedClips) -> Counter[tuple[str, str]]:
    """Clips of each pair of true and predicted class."""
    return Counter((each.label, each.predicted) for each in found.clips if each.predicted)


def _cell(count: int, total: int, right: bool) -> str:
    """A cell, shaded in ten steps by its share of the row."""
    shade = round(10 * count / total) if total else 0
    return f'<td class="share{shade}{" right" if right else ""}">{count or ""}</td>'
