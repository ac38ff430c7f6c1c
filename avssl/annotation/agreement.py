"""Agreement of annotators of the same films: class over time, segments and boxes.

Cohen's kappa (Cohen 1960) of two annotators and Krippendorff's alpha for nominal data (Krippendorff 2011) of all, over
instants `STEP` apart; temporal intersection over union of segments of one class; mean intersection over union of boxes.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from avssl.annotation.annotation_file import FilmAnnotations, Films
from avssl.annotation.film_segments import Segment
from avssl.errors import InputError

STEP = 0.1
"""Seconds between the instants that are compared."""
NONE = ""
"""Class where no segment is."""


@dataclass(frozen=True)
class PairAgreement:
    """Agreement of two annotators over the films that both have annotated."""

    first: str
    second: str
    films: int
    seconds: float
    """Time compared: up to the film's end."""
    kappa: float
    """Cohen's, of the class over time; nan where both say one class throughout."""
    temporal_iou: float
    """Over segments of one class: shared seconds of all over those that either has; nan where neither has any."""
    box_iou: float
    """Mean over the instants at which both have a box of one class; nan where there are none."""


@dataclass(frozen=True)
class Agreement:
    """Agreement of all annotators of a folder."""

    pairs: tuple[PairAgreement, ...]
    alpha: float
    """Krippendorff's, of the class over time, of all annotators; nan where only one class occurs."""

    def to_json(self) -> dict[str, Any]:
        """Numbers by name; None where there is none."""
        pairs = [{key: _finite(value) for key, value in asdict(pair).items()} for pair in self.pairs]
        return {"pairs": pairs, "alpha": _finite(self.alpha)}

    def text(self) -> str:
        """A table for a terminal."""
        rows = [["annotators", "films", "seconds", "kappa", "temporal IoU", "box IoU"]]
        rows += [
            [f"{each.first} {each.second}", str(each.films), f"{each.seconds:.1f}"]
            + [_shown(value) for value in (each.kappa, each.temporal_iou, each.box_iou)]
            for each in self.pairs
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([*lines, f"Krippendorff's alpha of the class over time: {_shown(self.alpha)}"])


def agreement(folder: Path, annotated: Mapping[str, Films], seconds: Mapping[str, float]) -> Agreement:
    """Agreement of the annotators of a folder.

    A film counts for an annotator who has segments in it or has marked it as done; suggestions that no person has
    confirmed do not count.

    Args:
        folder: for the error.
        annotated: annotator -> films.
        seconds: film -> its length.

    Raises:
        InputError: no film was annotated by two.
    """
    counted = {name: _counted(films, seconds) for name, films in annotated.items()}
    shared = [(one, other) for one, other in combinations(sorted(counted), 2) if counted[one].keys() & counted[other]]
    if not shared:
        raise InputError(
            f"{folder}: expected films that two annotators have annotated, got none; `avssl annotate --annotator NAME`"
        )
    pairs = tuple(_pair(one, other, counted[one], counted[other], seconds) for one, other in shared)
    return Agreement(pairs, krippendorff_alpha(_units(counted, seconds)))


def krippendorff_alpha(units: Iterable[Sequence[Hashable]]) -> float:
    """Krippendorff's alpha for nominal data; nan where only one value occurs.

    Args:
        units: values that observers gave each unit; those with fewer than two do not count.
    """
    within: Counter[tuple[Hashable, ...]] = Counter(tuple(sorted(unit, key=repr)) for unit in units if len(unit) > 1)
    total: Counter[Hashable] = Counter()
    disagreed = 0.0
    for unit, times in within.items():
        counts = Counter(unit)
        total.update({value: times * count for value, count in counts.items()})
        disagreed += times * sum(count * (len(unit) - count) for count in counts.values()) / (len(unit) - 1)
    number = sum(total.values())
    expected = sum(count * (number - count) for count in total.values())
    return 1 - (number - 1) * disagreed / expected if expected else math.nan


def classes_over_time(film: FilmAnnotations, seconds: float, step: float = STEP) -> list[str]:
    """Class in the middle of each step; of overlapping segments all, in order, joined by +."""
    times = _instants(seconds, step)
    found: list[list[str]] = [[] for _ in times]
    for segment in _confirmed(film):
        for at in np.flatnonzero((times >= segment.start) & (times < segment.end)):
            found[at].append(segment.label)
    return ["+".join(sorted(set(labels))) for labels in found]


def temporal_iou(one: FilmAnnotations, other: FilmAnnotations) -> tuple[float, float]:
    """Seconds that segments of one class of both share, and seconds that either has, summed over classes."""
    shared = either = 0.0
    labels = {segment.label for film in (one, other) for segment in _confirmed(film)}
    for label in labels:
        mine, theirs = (_merged(_confirmed(film), label) for film in (one, other))
        both = sum(max(0.0, min(a[1], b[1]) - max(a[0], b[0])) for a in mine for b in theirs)
        shared += both
        either += sum(end - start for start, end in [*mine, *theirs]) - both
    return shared, either


def box_ious(one: FilmAnnotations, other: FilmAnnotations, seconds: float, step: float = STEP) -> list[float]:
    """Intersection over union of boxes of one class at each instant at which both have one.

    Where an annotator has several segments of a class at an instant, the best pair counts.
    """
    found = []
    for time in _instants(seconds, step):
        mine, theirs = (_boxes(film, time) for film in (one, other))
        for label in sorted(mine.keys() & theirs.keys()):
            found.append(max(box_iou(a, b) for a in mine[label] for b in theirs[label]))
    return found


def box_iou(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Intersection over union of two boxes of left, top, right, bottom."""
    sides = np.maximum(0.0, np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2]))
    both = float(sides.prod())
    return both / (float(np.prod(one[2:] - one[:2])) + float(np.prod(other[2:] - other[:2])) - both)


def _counted(films: Films, seconds: Mapping[str, float]) -> Films:
    return {name: film for name, film in films.items() if name in seconds and (film.done or _confirmed(film))}


def _pair(first: str, second: str, one: Films, other: Films, seconds: Mapping[str, float]) -> PairAgreement:
    names = sorted(one.keys() & other)
    mine, theirs = (
        [c for name in names for c in classes_over_time(each[name], seconds[name])] for each in (one, other)
    )
    with warnings.catch_warnings():  # of one class throughout: nan, without its words
        warnings.simplefilter("ignore")
        kappa = float(cohen_kappa_score(mine, theirs)) if mine else math.nan
    spans = [temporal_iou(one[name], other[name]) for name in names]
    shared, either = (sum(column) for column in zip(*spans, strict=True))
    boxes = [iou for name in names for iou in box_ious(one[name], other[name], seconds[name])]
    length = sum(seconds[name] for name in names)
    return PairAgreement(first, second, len(names), length, kappa, shared / either if either else math.nan,
                         float(np.mean(boxes)) if boxes else math.nan)  # fmt: skip


def _units(counted: Mapping[str, Films], seconds: Mapping[str, float]) -> Iterable[Sequence[str]]:
    for name in sorted({name for films in counted.values() for name in films}):
        rows = [classes_over_time(films[name], seconds[name]) for films in counted.values() if name in films]
        yield from zip(*rows, strict=True)


def _instants(seconds: float, step: float) -> NDArray[np.float64]:
    return (np.arange(max(1, math.floor(seconds / step + 1e-9)), dtype=np.float64) + 0.5) * step


def _confirmed(film: FilmAnnotations) -> list[Segment]:
    return [segment for segment in film.segments.values() if not segment.suggested]


def _merged(segments: Sequence[Segment], label: str) -> list[tuple[float, float]]:
    """Stretches of a class, overlapping ones joined."""
    found: list[tuple[float, float]] = []
    for start, end in sorted((each.start, each.end) for each in segments if each.label == label):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def _boxes(film: FilmAnnotations, time: float) -> dict[str, list[NDArray[np.float64]]]:
    found: dict[str, list[NDArray[np.float64]]] = {}
    for segment in _confirmed(film):
        if segment.start <= time < segment.end and (box := segment.box_at(time)) is not None:
            found.setdefault(segment.label, []).append(box)
    return found


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _shown(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"
