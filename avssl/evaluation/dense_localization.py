"""Evaluation of dense audio-visual tasks on held-out clips: forced choice, and the directions of the heat map.

Beside each number stand chance and, where a synthetic dataset has ground truth, ideal observers.
"""

# B clips of a batch, T frames, h and w rows and columns of cells, M kinds

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
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
from avssl.evaluation.evaluated_directions import evaluated_directions
from avssl.evaluation.forced_choice import accepted_by_kinds, forced_choice
from avssl.evaluation.localization_scores import CHANCE, IDEAL, LocalizationScores
from avssl.evaluation.scene_truth import SceneObjects, read_scene_truth
from avssl.evaluation.scene_views import INDEX, IndexedViews, scenes_of, without_index
from avssl.io.progress import track
from avssl.runs.evaluated_clips import write_evaluated_clips

CLIPS = 32
"""Clips of a forced choice."""
PASSES = 3
"""Draws of each clip: times of its window, and the other clips of its batch."""
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


@runtime_checkable
class MonoDenseTask(DenseTask, Protocol):
    """Dense task that embeds the cells of a panorama and the time steps of mono audio apart."""

    embedding: int
    """D, dimension of both."""
    frame_size: tuple[int, int]
    """Rows and columns of the panoramas."""
    sharpness: float
    """Factor on the cosine of a cell and a time step, before the soft maximum over the cells."""

    def embed_cells(self, frames: Tensor) -> Tensor:
        """Embeddings `(B, T, h, w, D)` of the cells of panoramas uint8 `(B, T, 3, *frame_size)`."""
        ...

    def embed_times(self, audio: Tensor) -> Tensor:
        """Embeddings `(B, S, D)` of the time steps of mono audio `(B, 1, samples)`."""
        ...


def evaluate_dense_task(
    task: DenseTask,
    clips: Manifest,
    data: DataConfig,
    sample_rate: int,
    seed: int,
    fabric: Fabric,
    folder: Path | None = None,
) -> dict[str, float]:
    """Forced choice and direction errors on held-out clips, several draws of each.

    Args:
        task: in evaluation mode, on the device of `fabric`.
        clips: at least 2.
        data: windows and loader processes.
        sample_rate: Hz of the audio.
        seed: of the draws.
        fabric: device and precision.
        folder: takes `evaluated.parquet`, the directions of windows with one source; None: not written.

    Returns:
        `r1_of_N`: accuracy among N clips, and `pair_accuracy`: among two, as fractions, averaged over both retrieval
        directions, each beside `_chance`. With ground truth also `_ideal`: an observer that knows the kinds that sound
        and those that are seen; and the metrics of `LocalizationScores`.

    Raises:
        InputError: a file is broken, or the ground truth lacks a clip.
    """
    data = replace(data, batch=min(CLIPS, len(clips)))
    truth, choices, places = read_scene_truth(clips.root), _Choices(), LocalizationScores(task.grid, seed)
    views = IndexedViews.of(task.evaluation_views, clips, data)
    batches = Batches(clips, views, data, sample_rate, seed)
    steps = PASSES * len(clips) // data.batch
    with closing(batches.between(0, steps)) as stream, torch.inference_mode():
        for batch in track(stream, "held-out panoramas", "batches", steps):
            objects = scenes_of(truth, clips, batch) if truth else []
            with fabric.autocast():
                similarity, maps = task.compare(fabric.to_device(without_index(batch)))
            choices.add(_floats(similarity), objects)
            if objects:
                names = [clips.rows[index].key for index in batch[INDEX].tolist()]
                places.add_batch(_floats(highest_values(maps)), objects, names)
    if folder is not None:
        write_evaluated_clips(folder, evaluated_directions(clips, places.directions))
    return choices.metrics(data.batch) | places.metrics()


def highest_values(maps: Tensor) -> Tensor:
    """Values `(B, h w)` of the cells of heat maps `(B, T, h, w)`, the highest over the frames."""
    return maps.amax(1).flatten(1)


@dataclass
class _Choices:
    """Forced choice among all and among two, of each batch, and that of the ideal observer of kinds."""

    found: list[tuple[float, float]] = field(default_factory=list)
    ideal: list[tuple[float, float]] = field(default_factory=list)

    def add(self, similarity: Floats, objects: list[SceneObjects]) -> None:
        """Add a batch: similarities `(B, B)`, and ground truth, empty without."""
        self.found.append(forced_choice(similarity))
        if objects:
            kinds = 1 + max((int(each.kind.max()) for each in objects if len(each.kind)), default=0)
            sounding = np.stack([_mask(each.kind[each.sounding], kinds) for each in objects])
            seen = np.stack([_mask(each.kind[each.visible], kinds) for each in objects])
            self.ideal.append(forced_choice(accepted_by_kinds(sounding, seen)))

    def metrics(self, clips: int) -> dict[str, float]:
        """Means, with chance and the ideal observer; `clips`: N of the forced choice."""
        found: dict[str, float] = {}
        for place, (name, chance) in enumerate(((f"r1_of_{clips}", 1 / clips), ("pair_accuracy", 0.5))):
            found |= {name: _mean(self.found, place), name + CHANCE: chance}
            if self.ideal:
                found[name + IDEAL] = _mean(self.ideal, place)
        return found


def _mask(kinds: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    return np.isin(np.arange(count), kinds)


def _mean(choices: list[tuple[float, float]], place: int) -> float:
    return float(np.mean([each[place] for each in choices]))


def _floats(tensor: Tensor) -> Floats:
    return tensor.double().cpu().numpy()
