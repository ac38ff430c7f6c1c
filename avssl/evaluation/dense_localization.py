"""Evaluation of dense audio-visual tasks on held-out clips: forced choice, and the direction error of the heat map.

Beside each number stand chance and, where a synthetic dataset has ground truth, ideal observers.
"""

# B clips of a batch, T frames, h and w rows and columns of cells, N objects, M kinds

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from avssl.config import DataConfig
from avssl.data.clip import Clip
from avssl.data.loader import Batches
from avssl.datasets.manifest import Manifest
from avssl.evaluation.forced_choice import accepted_by_kinds, forced_choice
from avssl.evaluation.scene_truth import SceneObjects, read_scene_truth
from avssl.evaluation.scene_views import IndexedViews, scenes_of, without_index
from avssl.io.progress import track
from avssl.spatial.ambisonics import direction

CLIPS = 32
"""Clips of a forced choice."""
PASSES = 3
"""Draws of each clip: times of its window, and the other clips of its batch."""
CHANCE, IDEAL, ANY_OBJECT = "_chance", "_ideal", "_any_object"
RANDOM_ERROR = 90.0
"""Degrees; median and mean angle between any direction and one that is uniform over the sphere."""
Floats = NDArray[np.float64]


@runtime_checkable
class DenseTask(Protocol):
    """Task that matches audio with every cell of a panorama."""

    grid: tuple[Tensor, Tensor]
    """Azimuth and elevation `(h, w)` of the cells, radians."""

    def evaluation_views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """Views of a clip without augmentation."""
        ...

    def compare(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Similarity `(B, B)` of audio (rows) and frames (columns), and heat maps `(B, T, h, w)` of matching pairs."""
        ...


def evaluate_dense_task(
    task: DenseTask, clips: Manifest, data: DataConfig, sample_rate: int, seed: int, fabric: Fabric
) -> dict[str, float]:
    """Forced choice and direction errors on held-out clips, several draws of each.

    Args:
        task: in evaluation mode, on the device of `fabric`.
        clips: at least 2.
        data: windows and loader processes.
        sample_rate: Hz of the audio.
        seed: of the draws.
        fabric: device and precision.

    Returns:
        `r1_of_N`: accuracy among N clips, and `pair_accuracy`: among two, as fractions, averaged over both retrieval
        directions. `peak_error_median` and `peak_error_mean`: degrees between the peak of the heat map and the source,
        in windows with one source. Beside each, `_chance`. With ground truth, from which direction errors come, also
        `_ideal`: an observer that knows the kinds that sound and those that are seen, and guesses among objects of one
        kind, of which one may be silent; and for directions `_any_object`: an observer that points at any object.

    Raises:
        InputError: a file is broken, or the ground truth lacks a clip.
    """
    data = replace(data, batch=min(CLIPS, len(clips)))
    truth, scores = read_scene_truth(clips.root), _Scores()
    views = IndexedViews.of(task.evaluation_views, clips, data)
    batches = Batches(clips, views, data, sample_rate, seed)
    steps = PASSES * len(clips) // data.batch
    with closing(batches.between(0, steps)) as stream, torch.inference_mode():
        for batch in track(stream, "held-out panoramas", "batches", steps):
            objects = scenes_of(truth, clips, batch) if truth else None
            with fabric.autocast():
                similarity, maps = task.compare(fabric.to_device(without_index(batch)))
            scores.add(_floats(similarity), _peaks(maps, task.grid), objects)
    return scores.metrics(data.batch)


@dataclass
class _Scores:
    """Results of batches, and their means."""

    choices: list[tuple[float, float]] = field(default_factory=list)
    """Forced choice among all and among two, of each batch."""
    ideal_choices: list[tuple[float, float]] = field(default_factory=list)
    errors: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: {"": [], IDEAL: [], ANY_OBJECT: []})
    """Degrees and weight of every guess, by observer."""

    def add(self, similarity: Floats, peaks: Floats, objects: list[SceneObjects] | None) -> None:
        """Add a batch: similarities `(B, B)`, unit vectors `(B, 3)`, ground truth."""
        self.choices.append(forced_choice(similarity))
        if objects is None:
            return
        kinds = 1 + max((int(each.kind.max()) for each in objects if len(each.kind)), default=0)
        sounding = np.stack([_mask(each.kind[each.sounding], kinds) for each in objects])
        seen = np.stack([_mask(each.kind[each.visible], kinds) for each in objects])
        self.ideal_choices.append(forced_choice(accepted_by_kinds(sounding, seen)))
        for peak, each in zip(peaks, objects, strict=True):
            if each.sounding.sum() == 1:
                self._add_errors(peak, each)

    def _add_errors(self, peak: Floats, objects: SceneObjects) -> None:
        """Add the errors of one window with one source."""
        (source,) = objects.direction[objects.sounding]
        (kind,) = objects.kind[objects.sounding]
        self.errors[""] += _guesses(peak[None], source)
        self.errors[IDEAL] += _guesses(objects.direction[objects.visible & (objects.kind == kind)], source)
        self.errors[ANY_OBJECT] += _guesses(objects.direction[objects.visible], source)

    def metrics(self, clips: int) -> dict[str, float]:
        """Means, with chance and ideal observers; `clips`: N of the forced choice."""
        found: dict[str, float] = {}
        for place, (name, chance) in enumerate(((f"r1_of_{clips}", 1 / clips), ("pair_accuracy", 0.5))):
            found |= {name: _mean(self.choices, place), name + CHANCE: chance}
            if self.ideal_choices:
                found[name + IDEAL] = _mean(self.ideal_choices, place)
        for name, statistic in (("peak_error_median", _weighted_median), ("peak_error_mean", _weighted_mean)):
            if self.errors[""]:
                found |= {name + observer: statistic(np.array(each)) for observer, each in self.errors.items()}
                found[name + CHANCE] = RANDOM_ERROR
        return found


def _peaks(maps: Tensor, grid: tuple[Tensor, Tensor]) -> Floats:
    """Unit vectors `(B, 3)` of the highest cell of heat maps `(B, T, h, w)` in any frame."""
    highest = maps.amax(1).flatten(1).argmax(1).cpu()
    return _floats(direction(*grid).flatten(0, 1)[highest])


def _guesses(candidates: Floats, source: Floats) -> list[tuple[float, float]]:
    """Angles in degrees, and equal weights, of directions `(N, 3)` that are guessed; without one, of a random one."""
    angles = np.degrees(np.arccos(np.clip(candidates @ source, -1, 1))).tolist() or [RANDOM_ERROR]
    return [(angle, 1 / len(angles)) for angle in angles]


def _weighted_mean(guesses: Floats) -> float:
    """Of values and weights `(N, 2)`."""
    return float(np.average(guesses[:, 0], weights=guesses[:, 1]))


def _weighted_median(guesses: Floats) -> float:
    """Least value up to which lies half of the weight, of values and weights `(N, 2)`."""
    values, weights = guesses[guesses[:, 0].argsort()].T
    share = weights.cumsum() / weights.sum()
    return float(values[min(int(np.searchsorted(share, 0.5 - 1e-9)), len(values) - 1)])


def _mask(kinds: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    return np.isin(np.arange(count), kinds)


def _mean(choices: list[tuple[float, float]], place: int) -> float:
    return float(np.mean([each[place] for each in choices]))


def _floats(tensor: Tensor) -> Floats:
    return tensor.double().cpu().numpy()
