"""Observer without a network: the sound of a film comes from where its camera looks.

Most films are shot with the action in front, so this is the floor of every score of directions on recordings.
"""

# B clips of a batch, Y yaws

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from avssl.config import DataConfig
from avssl.data.clip import Clip
from avssl.data.loader import Batches
from avssl.datasets.manifest import Manifest
from avssl.errors import InputError
from avssl.evaluation.dense_reference import FRONT, energy_direction
from avssl.evaluation.direction_scores import angles_between
from avssl.evaluation.scene_views import INDEX, IndexedViews
from avssl.evaluation.true_yaw import YAWS
from avssl.io.progress import track
from avssl.spatial.ambisonics import intensity_direction
from avssl.spatial.energy_map import energy_towards

Floats = NDArray[np.float64]


class StraightAhead:
    """Yaw scorer whose similarity is the level of the sound field in front, over that in all directions."""

    def views(self, clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
        """`level` `(Y,)` in front after each yaw."""
        azimuth = -torch.arange(YAWS) * (2 * math.pi / YAWS)  # a source there is in front after the yaw
        level = energy_towards(clip.audio, azimuth, torch.zeros(YAWS))
        return {"level": level / level.sum().clamp(min=torch.finfo(level.dtype).tiny)}

    def similarity(self, batch: dict[str, Tensor]) -> Tensor:
        """`(B, Y)`; see `avssl.evaluation.true_yaw.YawScorer`."""
        return batch["level"]


@dataclass(frozen=True)
class WindowDirection:
    """Direction of most energy in a window of a clip."""

    key: str
    """Of the clip."""
    direction: Floats
    """Unit vector `(3,)`."""
    diffuseness: float
    """0 for one plane wave, 1 for a diffuse field."""

    @property
    def error(self) -> float:
        """Degrees from the front."""
        return float(angles_between(FRONT, self.direction[None])[0, 0])

    @property
    def yaw(self) -> float:
        """Degrees of azimuth from the front, 0 to 180."""
        return abs(math.degrees(math.atan2(self.direction[1], self.direction[0])))


def window_directions(
    clips: Manifest, data: DataConfig, sample_rate: int, seed: int, windows: int
) -> list[WindowDirection]:
    """Direction of most energy in random windows of clips; silent windows are left out.

    Args:
        clips: first-order ambisonics.
        data: length of a window, and loader processes.
        sample_rate: Hz of the audio.
        seed: of the windows.
        windows: of each clip.

    Raises:
        InputError: a file is broken, or its audio is not first-order ambisonics.
    """
    data = replace(data, batch=1)
    batches = Batches(clips, IndexedViews.of(_field, clips, data), data, sample_rate, seed)
    steps, found = windows * len(clips), []
    with closing(batches.between(0, steps)) as stream:
        for batch in track(stream, "directions of sound", "windows", steps):
            vector = batch["direction"][0].double().numpy()
            if vector.any():
                key = clips.rows[int(batch[INDEX])].key
                found.append(WindowDirection(key, vector, float(batch["diffuseness"])))
    return found


def alignment_threshold(windows: list[WindowDirection]) -> float:
    """Yaw in degrees up to which sound counts as aligned, with the highest expected accuracy on these windows.

    Raises:
        InputError: no windows with sound.
    """
    if not windows:
        raise InputError("expected windows with sound to choose a threshold by, got none")
    candidates = sorted({each.yaw for each in windows} | {180.0})
    return max(candidates, key=lambda limit: sum(alignment_score(each, limit) for each in windows))


def alignment_score(window: WindowDirection, limit: float) -> float:
    """Expected accuracy on the aligned sound field of a window and on that after a uniformly random yaw.

    Args:
        window: its direction.
        limit: yaw in degrees up to which sound counts as aligned.
    """
    return ((window.yaw <= limit) + (1 - limit / 180)) / 2


def _field(clip: Clip, rng: np.random.Generator) -> dict[str, Tensor]:
    """`direction` `(3,)`, zero for silence, and `diffuseness`."""
    if len(clip.audio) != 4:
        raise InputError(f"expected ambiX audio of order 1, 4 channels, got {len(clip.audio)} ({clip.key})")
    towards = energy_direction(clip.audio) if bool(clip.audio.any()) else torch.zeros(3)
    return {"direction": towards, "diffuseness": intensity_direction(clip.audio, clip.sample_rate)[2]}
