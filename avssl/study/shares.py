"""Shares of answers with Wilson intervals and exact tests, and their table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from scipy.stats import binomtest

from avssl.study.study_spec import PREFERENCE

CONFIDENCE = 0.95
VIEWINGS = ("all", "headset", "browser")


@dataclass(frozen=True)
class Share:
    """Share of answers, with its Wilson interval."""

    condition: str
    other: str
    """The condition compared with, of a preference study; else empty."""
    viewing: str
    """all, headset or browser."""
    count: int
    """Answers called real, or for `condition`."""
    answers: int
    share: float
    low: float
    high: float
    p: float | None
    """Exact two-sided binomial test against one half, of preference."""
    p_holm: float | None
    """Corrected for the pairs of one viewing (Holm 1979)."""


@dataclass(frozen=True)
class StudyReport:
    """Numbers of a study."""

    title: str
    question: str
    text: str
    shares: tuple[Share, ...]
    participants: int
    finished: int
    """Participants who answered every question, excluded ones among them."""
    excluded: dict[str, int]
    """Code -> failed attention checks, of those whose answers do not count."""

    def to_json(self) -> dict[str, Any]:
        """Numbers by name."""
        return asdict(self)

    def markdown(self) -> str:
        """Table of shares, and who was excluded."""
        preference = self.question == PREFERENCE
        head = ["viewing", "condition", *(["against", "preferred"] if preference else ["called real"])]
        head += ["95 % interval", "answers", *(["p (exact)", "p (Holm)"] if preference else [])]
        lines = [f"# {self.title}", "", self.text, "", _row(head), _row(["---"] * len(head))]
        lines += [_row(_cells(share, preference)) for share in self.shares]
        lines += ["", f"{self.participants} participants, {self.finished} of them finished. {self._excluded()}"]
        return "\n".join(lines) + "\n"

    def _excluded(self) -> str:
        if not self.excluded:
            return "No participant is excluded by attention checks."
        named = ", ".join(f"{code} ({failed} failed)" for code, failed in self.excluded.items())
        return f"Excluded by attention checks: {named}."


def wilson_share(condition: str, other: str, viewing: str, count: int, answers: int) -> Share:
    """Share with Wilson's interval (Wilson 1927); with an exact test where there is another condition."""
    test = binomtest(count, answers)
    interval = test.proportion_ci(CONFIDENCE, method="wilson")
    p = float(test.pvalue) if other else None
    return Share(
        condition, other, viewing, count, answers, count / answers, float(interval.low), float(interval.high), p, p
    )


def holm(values: Sequence[float]) -> list[float]:
    """Values of p corrected for their number (Holm 1979), in the same order."""
    order = sorted(range(len(values)), key=lambda at: values[at])
    found, highest = [0.0] * len(values), 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - rank) * values[at]))
        found[at] = highest
    return found


def _cells(share: Share, preference: bool) -> list[str]:
    interval = f"{100 * share.low:.1f} to {100 * share.high:.1f} %"
    tests = [f"{value:.3g}" for value in (share.p, share.p_holm) if value is not None]
    return [share.viewing, share.condition, *([share.other] if preference else []), f"{100 * share.share:.1f} %",
            interval, str(share.answers), *tests]  # fmt: skip


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"
