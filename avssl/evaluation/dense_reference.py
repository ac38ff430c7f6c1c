"""Heat maps of dense tasks on recordings without ground truth, against the energy direction of their own sound field.

Beside each number stand chance and an observer that always points straight ahead, where a camera looks.
"""

# B clips of a batch, C cells

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from avssl.config import DataConfig
from avssl.data.clip import Clip
from avssl.data.loader import Batches
from avssl.datasets.manifest import Manifest, Row
from avssl.errors import InputError
from avssl.evaluation.dense_localization import CLIPS, DenseTask, highest_values
from avssl.evaluation.direction_scores import (
    Floats,
    angles_between,
    average_precision,
    highest_directions,
    positive_cells,
    positive_share,
)
from avssl.evaluation.localization_scores import RANDOM_ERROR
from avssl.io.progress import track
from avssl.models.panorama import cell_solid_angles
from avssl.spatial.ambisonics import direction, intensity_direction
from avssl.spatial.energy_map import energy_map, equirectangular_grid

ROWS = 64
"""Rows of the energy map whose peak is the reference, 2.8 degrees apart."""
FRONT = np.array([[1.0, 0.0, 0.0]])
PLACE, REFERENCE, DIFFUSENESS = "clip_place", "energy_direction", "diffuseness"
"""Views by which a window is scored."""


@dataclass(frozen=True)
class EnergyScore:
    """Scores of the heat map of one window, and of an observer that points straight ahead."""

    row: Row
    """Clip of the window; `row.source` is its recording."""
    diffuseness: float
    """Of the window's sound field: 0 for one plane wave, 1 for a diffuse field, whose direction means little."""
    error: float
    """Degrees between the peak of the heat map and the direction of most energy."""
    error_straight_ahead: float
    """Degrees between the front and the direction of most energy."""
    precision: float
    """Average precision of the heat map; cells near the direction of most energy are positive."""
    precision_straight_ahead: float
    """Average precision of a map that falls with the angle from the front."""
    precision_chance: float
    """Share of the sphere that is positive."""


def energy_direction(foa: Tensor) -> Tensor:
    """Unit vector `(3,)` of the direction of most energy of ambisonics `(4, samples)`: peak of its energy map.

    Example:
        >>> from avssl.spatial.ambisonics import encode
        >>> wave = encode(torch.sin(torch.arange(2400.0)), azimuth=1.5708, elevation=0.0)
        >>> bool(energy_direction(wave)[1] > 0.99)  # to the left
        True
    """
    level = energy_map(foa, ROWS, 2 * ROWS)
    return direction(*equirectangular_grid(ROWS, 2 * ROWS)).flatten(0, 1)[level.argmax()]


def score_against_energy(
    task: DenseTask, clips: Manifest, data: DataConfig, sample_rate: int, seed: int, fabric: Fabric, passes: int = 3
) -> list[EnergyScore]:
    """Score the heat maps of windows of recordings; windows that are silent have no direction and are left out.

    Args:
        task: in evaluation mode, on the device of `fabric`.
        clips: first-order ambisonics and equirectangular video.
        data: windows and loader processes.
        sample_rate: Hz of the audio.
        seed: of the draws.
        fabric: device and precision.
        passes: windows of each clip, drawn at random.

    Raises:
        InputError: a file is broken, or its audio is not first-order ambisonics.
    """
    data = replace(data, batch=min(CLIPS, len(clips)))
    views = _ReferenceViews(task, {row.key: place for place, row in enumerate(clips)})
    batches = Batches(clips, views, data, sample_rate, seed)
    steps = passes * batches.steps_per_epoch
    found: list[EnergyScore] = []
    with closing(batches.between(0, steps)) as stream, torch.inference_mode():
        for batch in track(stream, "panoramas", "batches", steps):
            own = {PLACE, REFERENCE, DIFFUSENESS}
            with fabric.autocast():
                _, maps = task.compare(fabric.to_device({name: batch[name] for name in batch.keys() - own}))
            found += _scores(maps, task.grid, batch, clips)
    return found


def energy_metrics(scores: list[EnergyScore]) -> dict[str, float]:
    """Means over windows: `energy_error_median`, `energy_error_mean` in degrees, and `energy_precision`.

    Beside each, with `_straight_ahead` and `_chance`.

    Raises:
        InputError: no scores.
    """
    if not scores:
        raise InputError("expected windows with sound to score heat maps on, got none")
    found: dict[str, float] = {}
    for name, statistic in (("energy_error_median", np.median), ("energy_error_mean", np.mean)):
        found[name] = float(statistic([each.error for each in scores]))
        found[f"{name}_straight_ahead"] = float(statistic([each.error_straight_ahead for each in scores]))
        found[f"{name}_chance"] = RANDOM_ERROR
    for ending in ("", "_straight_ahead", "_chance"):
        found[f"energy_precision{ending}"] = float(np.mean([getattr(each, f"precision{ending}") for each in scores]))
    return found


@dataclass(frozen=True)
class _ReferenceViews:
    """Evaluation views of a clip, its place in the manifest, and the direction of most energy; zero if silent."""

    task: DenseTask
    places: dict[str, int]

    def __call__(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        if len(clip.audio) != 4:
            raise InputError(f"expected ambiX audio of order 1, 4 channels, got {len(clip.audio)} ({clip.key})")
        towards = energy_direction(clip.audio) if bool(clip.audio.any()) else torch.zeros(3)
        _, _, diffuseness = intensity_direction(clip.audio, clip.sample_rate)
        own = {PLACE: torch.tensor(self.places[clip.key]), REFERENCE: towards, DIFFUSENESS: diffuseness}
        return self.task.evaluation_views(clip, rng) | own


def _scores(
    maps: Tensor, grid: tuple[Tensor, Tensor], batch: dict[str, Tensor], clips: Manifest
) -> Iterator[EnergyScore]:
    """Scores of heat maps `(B, T, h, w)`, highest value over the frames."""
    cells, solid_angles = _floats(direction(*grid).flatten(0, 1)), _floats(cell_solid_angles(*maps.shape[2:]).flatten())
    size = maps.shape[2], maps.shape[3]
    values, sources = _floats(highest_values(maps)), _floats(batch[REFERENCE])
    ahead = cells @ FRONT[0]
    for value, source, place, diffuseness in zip(
        values, sources, batch[PLACE].tolist(), batch[DIFFUSENESS].tolist(), strict=True
    ):
        if not source.any():
            continue
        positive = positive_cells(cells, source[None])
        yield EnergyScore(
            row=clips.rows[place],
            diffuseness=diffuseness,
            error=angles_between(highest_directions(value, cells, size), source[None]).item(),
            error_straight_ahead=angles_between(FRONT, source[None]).item(),
            precision=average_precision(value, positive, solid_angles),
            precision_straight_ahead=average_precision(ahead, positive, solid_angles),
            precision_chance=positive_share(positive, solid_angles),
        )


def _floats(tensor: Tensor) -> Floats:
    return tensor.double().cpu().numpy()
