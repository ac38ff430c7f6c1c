"""Scores of heat maps over the windows of a synthetic dataset, beside chance and observers that know its truth.

Windows with one source and those with more are scored apart.
"""

# C cells of a heat map, N objects of a window, S sources among them

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from avssl.evaluation.direction_scores import (
    Floats,
    angles_between,
    average_precision,
    highest_directions,
    matched_errors,
    near_cells,
    positive_cells,
    positive_share,
)
from avssl.evaluation.scene_truth import SceneObjects
from avssl.models.panorama import cell_solid_angles
from avssl.spatial.ambisonics import direction

CHANCE, IDEAL, ANY_OBJECT = "_chance", "_ideal", "_any_object"
"""Ending of a metric by observer; none for the heat map itself."""
RANDOM_ERROR = 90.0
"""Degrees; median and mean angle between any direction and one that is uniform over the sphere."""
DRAWS = 8
"""Sets of directions that an observer draws for a window with several sources."""


class FoundDirection(NamedTuple):
    """Direction of the peak of one window with one source, and that of the source: unit vectors `(3,)`."""

    name: str
    """Of the window's clip."""
    peak: Floats
    source: Floats
    error: float
    """Degrees."""


class LocalizationScores:
    """Collects windows; see `add` and `metrics`.

    Args:
        grid: azimuth and elevation `(h, w)` of the cells of an equirectangular heat map, radians.
        seed: of the guesses of observers.
    """

    def __init__(self, grid: tuple[Tensor, Tensor], seed: int = 0) -> None:
        self._size = grid[0].shape[0], grid[0].shape[1]
        self._cells: Floats = direction(*grid).flatten(0, 1).double().numpy()
        self._solid_angles: Floats = cell_solid_angles(*grid[0].shape).flatten().double().numpy()
        self._rng = np.random.default_rng(seed)
        self._peak_errors: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._matched_errors: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
        self._precision: defaultdict[str, list[float]] = defaultdict(list)
        self.directions: list[FoundDirection] = []
        """Of the windows with one source, in the order they were added."""

    def add_batch(self, values: Floats, scenes: Sequence[SceneObjects], names: Sequence[str] = ()) -> None:
        """Add windows; values `(B, C)`, and the names of their clips."""
        for each, objects, name in zip(values, scenes, names or [""] * len(scenes), strict=True):
            self.add(each, objects, name)

    def add(self, values: Floats, objects: SceneObjects, name: str = "") -> None:
        """Add a window; without sources it is left out.

        Args:
            values: `(C,)` of the heat map.
            objects: ground truth.
            name: of the window's clip.
        """
        sources = objects.direction[objects.sounding]
        if not len(sources):
            return
        observers = {IDEAL: _probability_by_kind(objects), ANY_OBJECT: objects.visible.astype(float)}
        self._add_precision(values, objects, observers)
        if len(sources) == 1:
            self._add_peak(values, objects, observers, name)
        else:
            self._add_peaks(values, objects, observers)

    def metrics(self) -> dict[str, float]:
        """Means over windows, or over sources, with those of each observer.

        Returns:
            `peak_error_median` and `peak_error_mean`: degrees from the peak (`highest_directions`) to the source, in
            windows with one source. `matched_error_median` and `matched_error_mean`: of each source, in windows with
            more, to one of as many peaks, see `matched_errors`. `average_precision_one_source` and
            `average_precision_many_sources`:
            see `average_precision`. Beside each: `_chance`; `_ideal`, an observer that knows the kinds that sound and
            those that are seen, and guesses among objects of one kind; and `_any_object`, one that knows the objects.
        """
        found: dict[str, float] = {}
        for prefix, errors in (("peak_error", self._peak_errors), ("matched_error", self._matched_errors)):
            for name, statistic in (("median", weighted_median), ("mean", weighted_mean)):
                found |= {f"{prefix}_{name}{observer}": statistic(np.array(each)) for observer, each in errors.items()}
        return found | {f"average_precision_{name}": float(np.mean(each)) for name, each in self._precision.items()}

    def _add_precision(self, values: Floats, objects: SceneObjects, observers: dict[str, Floats]) -> None:
        near = near_cells(self._cells, objects.direction)
        positive = positive_cells(self._cells, objects.direction[objects.sounding])
        name = "one_source" if objects.sounding.sum() == 1 else "many_sources"
        self._precision[name].append(average_precision(values, positive, self._solid_angles))
        self._precision[name + CHANCE].append(positive_share(positive, self._solid_angles))
        for observer, probability in observers.items():
            expected = (near * probability).max(1)
            self._precision[name + observer].append(average_precision(expected, positive, self._solid_angles))

    def _add_peak(self, values: Floats, objects: SceneObjects, observers: dict[str, Floats], name: str) -> None:
        """Errors of one window with one source: observers guess every object that may sound alike."""
        source = objects.direction[objects.sounding]
        peak = highest_directions(values, self._cells, self._size)
        error = angles_between(peak, source).item()
        self.directions.append(FoundDirection(name, peak[0], source[0], error))
        self._peak_errors[""].append((error, 1.0))
        self._peak_errors[CHANCE].append((RANDOM_ERROR, 1.0))
        for observer, probability in observers.items():
            angles = angles_between(objects.direction[probability > 0], source)[:, 0].tolist() or [RANDOM_ERROR]
            self._peak_errors[observer] += [(angle, 1 / len(angles)) for angle in angles]

    def _add_peaks(self, values: Floats, objects: SceneObjects, observers: dict[str, Floats]) -> None:
        """Errors of one window with several sources: observers draw sets of directions."""
        sources = objects.direction[objects.sounding]
        peaks = highest_directions(values, self._cells, self._size, len(sources))
        self._matched_errors[""] += [(error, 1.0) for error in matched_errors(peaks, sources)]
        nothing = np.zeros(len(objects.kind))
        for observer, probability in {CHANCE: nothing, **observers}.items():
            for _ in range(DRAWS):
                errors = matched_errors(self._guess(objects.direction, probability, len(sources)), sources)
                self._matched_errors[observer] += [(error, 1 / DRAWS) for error in errors]

    def _guess(self, directions: Floats, probability: Floats, count: int) -> Floats:
        """`(count, 3)` of the most probable objects, in random order where alike, then random directions."""
        order = np.lexsort((self._rng.random(len(probability)), -probability))
        chosen = directions[order[probability[order] > 0][:count]]
        random = self._rng.normal(size=(count - len(chosen), 3))
        return np.concatenate([chosen, random / np.linalg.norm(random, axis=1, keepdims=True)])


def weighted_mean(pairs: Floats) -> float:
    """Mean of values and weights `(N, 2)`."""
    return float(np.average(pairs[:, 0], weights=pairs[:, 1]))


def weighted_median(pairs: Floats) -> float:
    """Least value up to which lies half of the weight, of values and weights `(N, 2)`."""
    values, weights = pairs[pairs[:, 0].argsort()].T
    share = weights.cumsum() / weights.sum()
    return float(values[min(int(np.searchsorted(share, 0.5 - 1e-9)), len(values) - 1)])


def _probability_by_kind(objects: SceneObjects) -> Floats:
    """`(N,)`: 1 over the number of visible objects of its kind, where that kind sounds and the object is seen."""
    fits: NDArray[np.bool_] = objects.visible & np.isin(objects.kind, objects.kind[objects.sounding])
    alike = (objects.kind[:, None] == objects.kind) & objects.visible
    probability: Floats = fits / np.maximum(alike.sum(1), 1)
    return probability
